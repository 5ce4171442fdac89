//! The driver of tests/foreign in ntguest: a C++ WaveRT driver that somebody wrote from Microsoft's pages and
//! the datasheet without a look at ntguest. It loads, starts, plays, records and unloads, and what ntguest
//! finds wrong with it by Windows' rules is nothing. `qemu-scripts/test` builds what it needs and runs this;
//! `cargo test` alone has no QEMU and no guest, so that it is ignored there.

use ringwave_e2e::{runs::run_with, tune_file::TuneFile};
use ringwave_runner::{
    artefacts::{self, Artefacts},
    machine::Outcome,
    report::Report,
    request::{Clock, Mode, Request, Scenario},
};

/// Imports of an ordinary WaveRT driver that the image must have, so that it proves that ntguest offers them.
const IMPORTS: &[&str] = &[
    "ExInitializeNPagedLookasideList",
    "ExInterlockedInsertTailList",
    "IoBuildSynchronousFsdRequest",
    "IoOpenDriverRegistryKey",
    "IoSetDeviceInterfaceState",
    "IofCallDriver",
    "PcNewInterruptSync",
    "PcNewMiniport",
    "RtlQueryRegistryValues",
    "ZwEnumerateKey",
    "_vsnwprintf",
    "wcscmp",
];

/// A run with the foreign driver, by Windows' rules alone. It does not ask for lockstep, so that the card
/// goes on in real time: slow enough for this machine, and what is lost all the same is accounted for.
fn foreign(mut request: Request, lines: &[&str]) -> Report {
    let driver = artefacts::foreign_driver().expect("tests/foreign/build was run");
    let artefacts = Artefacts { driver, ..Artefacts::from_env().expect("everything is built") };
    request.clock = Clock::Realtime(0.25);
    if !lines.contains(&"harsh=1") {
        request.guest_config.push("harsh=0".to_owned());
    }
    request.guest_config.extend(lines.iter().copied().map(String::from));
    run_with(&artefacts, &request)
}

fn is_right(report: &Report) {
    assert_eq!((report.outcome, &report.violations), (Some(Outcome::Ok), &Vec::new()));
    assert!(report.passed());
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn it_imports_what_an_ordinary_wavert_driver_imports() {
    let image =
        std::fs::read(artefacts::foreign_driver().expect("tests/foreign/build was run")).expect("the image");
    let has =
        |name: &str| image.windows(name.len() + 1).any(|w| w.strip_suffix(b"\0") == Some(name.as_bytes()));
    let missing: Vec<_> = IMPORTS.iter().filter(|name| !has(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn it_plays_by_messages_and_by_the_line() {
    let tune = TuneFile::stereo();
    for interrupts in ["msi=1", "msi=2", "msi=0"] {
        is_right(&foreign(Request::play(tune.path()), &[interrupts]));
    }
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn it_records_by_packets_and_events_and_while_it_plays() {
    let tune = TuneFile::stereo();
    for mode in [Mode::Packet, Mode::Event] {
        let mut request = Request::record(tune.path());
        request.scenario = Scenario::Record(mode);
        is_right(&foreign(request, &[]));
    }
    let mut request = Request::play(tune.path());
    request.scenario = Scenario::Loopback;
    is_right(&foreign(request, &[]));
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn streams_that_only_poll_play_by_timer() {
    let tune = TuneFile::stereo();
    let mut request = Request::play(tune.path());
    request.buffer_ms = 1000;
    let report = foreign(request, &["client=timer", "reg.PollingOnly=1"]);
    assert_eq!((report.outcome, &report.violations), (Some(Outcome::Ok), &Vec::new()));
    assert!(report.guest.result("timer_reads").is_some_and(|reads| reads > 20), "{:?}", report.guest.results);
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn what_is_harsher_than_windows_is_found_only_when_it_is_asked_for() {
    let tune = TuneFile::stereo();
    let report = foreign(Request::play(tune.path()), &["harsh=1"]);
    assert!(report.violated("section-not-paged"), "{:?}", report.violations);
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn it_fails_softly_and_leaves_nothing_where_the_kernel_does() {
    let tune = TuneFile::stereo();
    for fault in ["fail_pool=1", "fail_pool=3", "fail_map_io=1", "fail_connect=1"] {
        let report = foreign(Request::play(tune.path()), &[fault]);
        assert!(report.violations.is_empty(), "{fault}: {:?}", report.violations);
        let started = report.outcome == Some(Outcome::Ok);
        assert!(started || report.outcome == Some(Outcome::Failed), "{fault}: {:?}", report.outcome);
        // The registers it can do nothing without; it may do without an interrupt or one of its blocks.
        assert!(fault != "fail_map_io=1" || !started, "{fault}: it must not start");
    }
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn it_plays_on_after_d3() {
    let tune = TuneFile::stereo();
    let mut request = Request::play(tune.path());
    request.buffer_ms = 100;
    let cells = "life=d3:run:play,d3:paused:play";
    let report = foreign(request, &["client=life", cells, "life_frames=24000"]);
    assert_eq!((report.outcome, &report.violations), (Some(Outcome::Ok), &Vec::new()));
    assert_eq!(report.guest.result("d3_rounds"), Some(2));
}

/// What is heard is not judged: clients before it played too.
#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn it_refuses_what_no_client_may_ask() {
    let tune = TuneFile::stereo();
    let mut request = Request::play(tune.path());
    request.buffer_ms = 100;
    let report = foreign(request, &["client=stress"]);
    assert_eq!((report.outcome, &report.violations), (Some(Outcome::Ok), &Vec::new()));
}

//! A driver and a card of different versions (DATASHEET 3.1): another major version is refused in one line
//! and nothing but MAGIC and VERSION is touched; a later minor version plays and records, whatever it has
//! besides.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    time::Duration,
};

use ringwave_audio::wav;
use ringwave_e2e::{
    runs::{play, record},
    tune_file::TuneFile,
};
use ringwave_runner::{
    artefacts::{self, Artefacts},
    card::Card,
    guest_log::GuestLog,
    machine::{Machine, MachineOptions, Outcome, make_volume},
    request::{Clock, Request},
};
use ringwave_trace::{Event, Item, Reader, Region};

/// `STATUS_REVISION_MISMATCH`.
const REVISION_MISMATCH: &str = "0xc0000059";

fn is_of_version(version: &str) -> impl FnOnce(&mut Request) {
    move |request| request.card.extend(["--version-register", version].map(String::from))
}

/// Offsets in BAR 0 that were read, and that were written.
fn touched(trace: File) -> (BTreeSet<u64>, BTreeSet<u64>) {
    let mut reader = Reader::new(trace).expect("a trace");
    let (mut read, mut written) = (BTreeSet::new(), BTreeSet::new());
    while let Some(item) = reader.next_item().expect("a line of the trace") {
        let Item::Record(record) = item else { continue };
        match record.event {
            Event::RegionRead { region: Region::Registers, offset, .. } => drop(read.insert(offset)),
            Event::RegionWrite { region: Region::Registers, offset, .. } => drop(written.insert(offset)),
            _ => {}
        }
    }
    (read, written)
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_card_of_another_major_version_is_refused_and_left_alone() {
    let artefacts = Artefacts::from_env().expect("everything is built");
    for version in ["0.9", "2.0"] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let folder = folder.path();
        make_volume(&artefacts, folder, &TuneFile::stereo().path(), "wav=MUSIC.WAV\nloads=2\n")
            .expect("a volume");
        let mut options = Card::single_session_options(folder);
        options.extend(["--version-register", version].map(String::from));
        let card = Card::start(&artefacts.ringwave, folder, "heard", options).expect("a card");
        let mut machine = Machine::boot_with(&artefacts, folder, &card.socket(), MachineOptions::default())
            .expect("QEMU starts");
        let outcome = machine.wait(Duration::from_mins(5), || Ok(())).expect("the guest ends");
        let text = machine.guest_log();
        drop(machine);
        // No violation: what the refused start had was given back, both times.
        assert_eq!((outcome, GuestLog::parse(&text).violations), (Some(Outcome::Failed), vec![]), "{text}");
        let of = |what: &str| text.lines().filter(|line| line.contains(what)).count();
        assert_eq!(of(&format!("the device did not start: {REVISION_MISMATCH}")), 2, "{text}");
        let said = format!("the card speaks version {version} of the register interface, this driver 1.x");
        let status = format!("the device does not start: {REVISION_MISMATCH}");
        let lines = (of(&said), of(&status), of("ringwave: error"));
        assert_eq!(lines, (2, 2, 4), "each time why, and what Windows is told: {text}");
        assert!(!card.session_wav(1).exists(), "nothing was played");
        let (_, trace) = card.finish().expect("the card ends");
        assert_eq!(touched(trace), (BTreeSet::from([0, 4]), BTreeSet::new()), "version {version}");
    }
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_card_of_a_later_minor_version_plays_and_records() {
    let wav = TuneFile::stereo();
    let played = play(&wav.path(), is_of_version("1.7"));
    let recorded = record(&wav.path(), is_of_version("1.65535"));
    for report in [played, recorded] {
        assert!(report.passed(), "{report}");
        // Every bit that a later version may add was there.
        let features = report.guest.driver.iter().any(|line| line.contains("card: features 0x7fffffff"));
        assert!(features, "{:#?}", report.guest.driver);
    }
}

/// Another driver of this card (that of tests/foreign) is replaced by the shipped one. While its stream runs
/// the removal that is asked for comes to nothing, and the stream goes on; when the client has let go, the
/// old image is unloaded, the new one is loaded, goes through the same, and plays bit-exact.
#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_driver_that_replaces_another_one_with_a_stream_open_plays() {
    let artefacts = Artefacts::from_env().expect("everything is built");
    let older = artefacts::foreign_driver().expect("tests/foreign/build was run");
    let older = Artefacts { driver: older, ..artefacts.clone() };
    let (folder, tune) = (tempfile::tempdir().expect("a temporary folder"), TuneFile::stereo());
    let folder = folder.path();
    let config = "wav=MUSIC.WAV\nclient=pnp\nevent=remove\nstate=run\nloads=2\nupdate=NEWER.SYS\nbuffer_ms=100\n\
                  reg.Lockstep=1\nharsh=0\nclock=realtime\n";
    make_volume(&older, folder, &tune.path(), config).expect("a volume");
    fs::copy(&artefacts.driver, folder.join("volume/NEWER.SYS")).expect("a copy of the driver");
    let card =
        Card::start(&artefacts.ringwave, folder, "heard", Clock::LOCKSTEP.arguments()).expect("a card");
    let mut machine = Machine::boot_with(&artefacts, folder, &card.socket(), MachineOptions::default())
        .expect("QEMU starts");
    let outcome = machine.wait(Duration::from_mins(5), || Ok(())).expect("the guest ends");
    let text = machine.guest_log();
    drop(machine);
    let log = GuestLog::parse(&text);
    assert_eq!((log.result("loads"), &log.violations[..]), (Some(2), &[][..]), "{outcome:?} {text}");
    let loaded = log.driver.iter().filter(|line| line.starts_with("ringwave: info: version")).count();
    assert_eq!(loaded, 1, "the other image was loaded, once: {text}");
    let heard_wav = card.session_wav(1);
    card.end().expect("the card ends");
    let heard = wav::read(&heard_wav).expect("what was heard").frames;
    let end = heard.iter().rposition(|byte| *byte != 0).expect("a sound") + 1;
    let sent = tune.frames();
    let length = sent.iter().rposition(|byte| *byte != 0).expect("a sound") + 1;
    assert!(heard[..end].ends_with(&sent[..length]), "what the newer driver played is the file");
}

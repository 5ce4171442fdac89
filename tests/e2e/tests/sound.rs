//! Sound in full, through the shipped driver in QEMU: every kind of sample, both directions, loopback, several endpoints, cycles.
//! `qemu-scripts/test` builds what they need and runs them; `cargo test` alone has no QEMU and no guest, so they are ignored there.

use std::path::{Path, PathBuf};

use ringwave::piece::Piece;
use ringwave::ports::StreamFormat;
use ringwave_e2e::{
    machine::Outcome,
    parts::Parts,
    play::{Report, Request, play},
    record,
};
use ringwave_regs::format;

/// A second of the test piece.
struct Music {
    folder: tempfile::TempDir,
}

impl Music {
    fn new(code: u32, channels: u32, rate: u32) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let format = StreamFormat { code, channels, rate };
        Piece { seconds: 1, format }.write(&folder.path().join("in.wav")).expect("a WAV file");
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("in.wav")
    }
}

fn run(wav: &Path, change: impl FnOnce(&mut Request)) -> Report {
    let parts = Parts::from_env().expect("everything is built");
    let mut request = Request::new(wav);
    change(&mut request);
    let report = play(&parts, &request, |step| eprintln!("{step}")).expect("the run comes to a verdict");
    eprintln!("{report}");
    for line in &report.guest.driver {
        eprintln!("driver: {line}");
    }
    report
}

fn record(wav: &Path, change: impl FnOnce(&mut record::Request)) -> record::Report {
    let parts = Parts::from_env().expect("everything is built");
    let mut request = record::Request::new(wav);
    change(&mut request);
    let report =
        record::record(&parts, &request, |step| eprintln!("{step}")).expect("the run comes to a verdict");
    eprintln!("{report}");
    for line in &report.guest.driver {
        eprintln!("driver: {line}");
    }
    report
}

/// Few channels and many, low rates and high, each kind of sample.
const KINDS: [(u32, u32, u32); 5] = [
    (format::S16, 1, 8_000),
    (format::S24_32, 2, 96_000),
    (format::S32, 6, 44_100),
    (format::F32, 8, 48_000),
    (format::F32, 2, 384_000),
];

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn every_kind_of_sample_is_played_bit_for_bit() {
    for (code, channels, rate) in KINDS {
        let report = run(&Music::new(code, channels, rate).path(), |_| {});
        assert!(report.passed(), "{code} {channels} {rate}");
    }
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn every_kind_of_sample_is_recorded_bit_for_bit() {
    for (code, channels, rate) in KINDS {
        let report = record(&Music::new(code, channels, rate).path(), |_| {});
        assert!(report.passed(), "{code} {channels} {rate}");
    }
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn events_and_timers_record_too_and_contiguous_memory() {
    let music = Music::new(format::S16, 2, 48_000);
    for mode in ["event", "timer"] {
        // A late client loses packets in real time: the buffer is long.
        let report = record(&music.path(), |request| {
            request.mode = mode;
            request.clock = "realtime";
            request.buffer_ms = 1000;
        });
        assert!(report.passed(), "{mode}");
    }
    assert!(record(&music.path(), |request| request.contiguous = true).passed());
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn loopback_records_what_was_played_sample_for_sample() {
    let music = Music::new(format::S16, 2, 48_000);
    let report = run(&music.path(), |request| {
        request.card = vec!["--source".into(), "loopback:0".into()];
        request.guest_config =
            vec!["client=duplex".into(), "frames=72000".into(), "reg.LockstepCapture=1".into()];
    });
    assert_eq!((report.outcome, &report.violations), (Some(Outcome::Ok), &Vec::new()));
    let played = ringwave::wav::read(&music.path()).expect("the file").frames;
    let begin = report.recorded.iter().position(|byte| *byte != 0).expect("not all is silence") / 4 * 4;
    // The piece does not begin with silence; where the card waited for the guest there may be some within: this guest is in time.
    let recorded = report.recorded.get(begin..begin + played.len()).expect("all of it was recorded");
    assert!(recorded == played, "the same samples, without a gap, from frame {}", begin / 4);
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn every_format_that_is_announced_can_be_opened_and_no_other() {
    let report = run(&Music::new(format::S16, 2, 48_000).path(), |request| {
        request.speed = 8.0;
        request.guest_config = vec!["client=sweep".into()];
    });
    assert_eq!((report.outcome, &report.violations), (Some(Outcome::Ok), &Vec::new()));
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_thousand_cycles_over_all_endpoints_leave_nothing_behind() {
    let report = run(&Music::new(format::S16, 2, 48_000).path(), |request| {
        request.speed = 8.0;
        request.card = ["--render", "2", "--capture", "2"].map(String::from).to_vec();
        request.guest_config = vec!["client=cycles".into(), "cycles=1000".into()];
    });
    assert_eq!((report.outcome, &report.violations), (Some(Outcome::Ok), &Vec::new()));
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn three_speakers_play_at_once() {
    let music = Music::new(format::S16, 2, 48_000);
    let report = run(&music.path(), |request| {
        request.card = ["--render", "3", "--capture", "0"].map(String::from).to_vec();
        request.guest_config = vec!["also=1,2".into()];
    });
    assert!(report.passed(), "endpoint 0");
    assert_eq!(report.card.streams.iter().map(|stream| stream.frames).collect::<Vec<_>>(), [48_000; 3]);
}

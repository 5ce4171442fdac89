//! The example of portcls-sys (`driver/portcls/examples/sine.rs`) in ntguest: a driver in Rust that knows
//! nothing of this repository's card and has no hardware. It loads, starts on a device of the root bus, is
//! recorded from, and unloads; what was recorded is the sine. `qemu-scripts/test` builds what it needs and
//! runs this.

use std::{f64::consts::TAU, fs, path::Path, time::Duration};

use ringwave_audio::wav;
use ringwave_e2e::tune_file::TuneFile;
use ringwave_runner::{
    artefacts::{self, Artefacts},
    foreign::{self, Device, Request, report::Report},
    machine::GuestTime,
};

/// Frames a second, frames of a period, and the amplitude of what the example makes.
const RATE: u32 = 48_000;
const PERIOD: usize = 48;
const AMPLITUDE: f64 = 16_384.0;

/// Runs the example in ntguest, by Windows' rules alone.
fn run(client: &str, out: Option<&Path>, config: &[&str]) -> Report {
    let tune = TuneFile::stereo();
    let request = Request {
        sys: artefacts::example_driver().expect("the example was built"),
        inf: None,
        audiodev: "wav".into(),
        device: Device::None,
        pci: None,
        client: client.to_owned(),
        wav: tune.path().clone(),
        values: Vec::new(),
        harsh: false,
        out: out.map(Path::to_owned),
        config: config.iter().copied().map(String::from).collect(),
        processors: 1,
        // Nothing stands outside of the guest.
        time: GuestTime::Instructions,
        limit: Duration::from_mins(10),
        keep: false,
    };
    let artefacts = Artefacts::from_env().expect("everything is built");
    let report =
        foreign::run(&artefacts, &request, |step| eprintln!("{step}")).expect("the run comes to a verdict");
    eprintln!("{report}");
    report
}

/// Records two seconds and compares them.
fn expect_sine(config: &[&str]) -> Report {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("sine.wav");
    // From a buffer so long that a slow machine does not lose anything.
    let report = run("record", Some(&out), &[config, &["buffer_ms=1000", "frames=96000"]].concat());
    assert!(report.passed());
    let sound = wav::read(&out).expect("a WAV file");
    assert_eq!((sound.format.channels, sound.format.rate), (2, RATE));
    assert_eq!(sound.frames.len(), 4 * 96_000, "{} bytes", fs::metadata(&out).map_or(0, |meta| meta.len()));
    let frames = sound.frames.as_chunks::<4>().0;
    for (at, [l0, l1, r0, r1]) in frames.iter().enumerate() {
        let (left, right) = (i16::from_le_bytes([*l0, *l1]), i16::from_le_bytes([*r0, *r1]));
        // Computed here by the definition; the example has a table. Half a step is what rounding leaves.
        let phase = u32::try_from(at % PERIOD).map_or(0.0, f64::from) / 48.0;
        let due = AMPLITUDE * (TAU * phase).sin();
        assert!((f64::from(left) - due).abs() <= 0.501, "frame {at}: {left}, due is {due:.2}");
        assert_eq!(left, right, "frame {at}: both channels are one microphone");
    }
    report
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn what_is_recorded_from_it_is_the_sine() {
    // By calls that clang made for Microsoft's ABI (`oracle=1`).
    expect_sine(&["mode=timer", "oracle=1"]);
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn its_events_come_at_the_end_of_each_packet() {
    let report = expect_sine(&["mode=event"]).to_string();
    // Two seconds in packets of half a second; the last is signalled before the stream is paused, or not.
    let count =
        report.split_once("capture_notifications=").and_then(|(_, rest)| rest.split_whitespace().next());
    assert!(matches!(count, Some("4" | "5")), "{report}");
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn an_audio_engine_can_ask_it_everything() {
    // It has no volume: Windows does that itself then.
    assert!(run("controls", None, &["expect_volume=0"]).passed());
}

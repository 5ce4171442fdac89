//! `serve --expect-sound`, `--max-underruns` and `--junit` as a test of a guest's sound uses them: the exit
//! code, the line, and the report.

use std::path::Path;
use std::process::{Command, Output};

use crate::guest::{Guest, Setup, piece};
use crate::serving::Serving;
use ringwave_regs::stream;

/// A card with these options, to which `guest` does something, and leaves: exit code, the last line of the
/// log, and the report.
fn run(options: &[&str], guest: impl FnOnce(&mut Guest)) -> (Option<i32>, String, String) {
    let dir = tempfile::tempdir().unwrap();
    let common = ["--once", "--speed", "20", "--junit", "report.xml"];
    let mut serving = Serving::start(dir.path(), &[&common[..], options].concat());
    let mut connected = Guest::connect(&dir.path().join("card.sock"));
    guest(&mut connected);
    drop(connected);
    let code = serving.wait_for_exit().code();
    let last = serving.last_line();
    (code, last, std::fs::read_to_string(dir.path().join("report.xml")).unwrap())
}

fn play(guest: &mut Guest, samples: &[i16]) {
    let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    guest.play(Setup::USUAL, &bytes);
}

/// Silence with one sample in it.
fn click(level: i16) -> Vec<i16> {
    let mut samples = vec![0; 2 * 4_000];
    samples[5_001] = level;
    samples
}

const ALL: [&str; 3] = ["--expect-sound", "--max-underruns", "0"];

#[test]
fn sound_that_is_heard_is_0_and_a_green_report() {
    let dir = tempfile::tempdir().unwrap();
    let music = piece(&dir.path().join("played.wav"), 48_000, 2);
    let (code, last, report) = run(&ALL, |guest| guest.play(Setup::USUAL, &music));
    assert_eq!(code, Some(0), "{last}");
    assert!(report.contains("<testsuite name=\"ringwave serve\" tests=\"3\" failures=\"0\""), "{report}");
    assert!(report.contains("the client has left after ") && report.contains(" 0 underruns"), "{report}");
}

#[test]
fn nothing_or_silence_is_1_and_a_red_report() {
    let nothing = run(&ALL, |_| {});
    let silence = run(&ALL, |guest| play(guest, &[0; 2 * 4_000]));
    let muted = run(&ALL, |guest| {
        guest.stream_write(stream::MUTE, 0b11);
        play(guest, &click(20_000));
    });
    for ((code, last, report), why) in [
        (nothing, "nothing was heard"),
        (silence, "only silence was heard, 4000 frames"),
        (muted, "only silence"),
    ] {
        assert_eq!(code, Some(1), "{last}");
        assert!(last.starts_with("ringwave: ") && last.contains(why) && last.contains("; "), "{last}");
        assert!(report.contains("tests=\"3\" failures=\"1\"") && report.contains(why), "{report}");
    }
}

#[test]
fn a_level_is_a_level() {
    // -40 dBFS.
    for (wanted, code, why) in [
        ("--expect-sound=-41dB", 0, ""),
        ("--expect-sound=-39dB", 1, "its peak is -40.0 dBFS, and -39 dBFS is expected"),
        ("--expect-sound=-39dBFS", 1, "too quiet"),
    ] {
        let (found, last, _) = run(&[wanted], |guest| play(guest, &click(-328)));
        assert_eq!(found, Some(code), "{wanted}: {last}");
        assert!(last.contains(why), "{last}");
    }
}

/// Sets up, marks one packet, and lets the card run two.
fn be_late(guest: &mut Guest) {
    guest.set_up(Setup::USUAL);
    guest.fill(Setup::USUAL.mode, 0, &[1; 4_000]);
    guest.stream_write(stream::WRITTEN, 0);
    guest.stream_write(stream::STATE, stream::STATE_RUN);
    guest.wait_packets(2);
    guest.stream_write(stream::STATE, stream::STATE_PAUSE);
}

#[test]
fn more_underruns_than_allowed_are_1() {
    let realtime = ["--clock", "realtime", "--max-underruns"];
    let (code, last, report) = run(&[&realtime[..], &["0"]].concat(), be_late);
    assert_eq!(code, Some(1), "{last}");
    assert!(last.contains(" underruns or overruns, and 0 are allowed; "), "{last}");
    assert!(report.contains("tests=\"2\" failures=\"1\""), "{report}");
    let (code, last, _) = run(&[&realtime[..], &["1000000"]].concat(), be_late);
    assert_eq!(code, Some(0), "{last}");
    // A client that marks nothing.
    let (code, last, _) = run(&[&realtime[..], &["1000000"]].concat(), |guest| {
        guest.set_up(Setup::USUAL);
        guest.stream_write(stream::STATE, stream::STATE_RUN);
        guest.wait_packets(2);
        guest.stream_write(stream::STATE, stream::STATE_PAUSE);
    });
    assert_eq!(code, Some(1), "a verdict that cannot be given is none");
    assert!(last.contains("stream 0: its underruns cannot be known"), "{last}");
}

#[test]
fn a_signal_ends_it_with_the_same_verdict() {
    let dir = tempfile::tempdir().unwrap();
    let mut serving = Serving::start(dir.path(), &ALL);
    serving.signal(libc::SIGTERM);
    assert_eq!(serving.wait_for_exit().code(), Some(1));
    assert!(serving.last_line().contains("nothing was heard"), "{}", serving.last_line());

    let options = [&ALL[..], &["--speed", "20", "--junit", "report.xml"]].concat();
    let mut serving = Serving::start(dir.path(), &options);
    let mut guest = Guest::connect(&dir.path().join("card.sock"));
    play(&mut guest, &click(20_000));
    // The client is still there.
    serving.signal(libc::SIGTERM);
    assert_eq!(serving.wait_for_exit().code(), Some(0), "{}", serving.last_line());
    let report = std::fs::read_to_string(dir.path().join("report.xml")).unwrap();
    assert!(report.contains("failures=\"0\"") && report.contains("the client is still there"), "{report}");
}

fn serve(dir: &Path, options: &[&str]) -> Output {
    let mut command = Command::new("timeout");
    command.args(["-k", "1", "60", env!("CARGO_BIN_EXE_ringwave"), "serve", "--socket", "card.sock"]);
    command.args(options).current_dir(dir).output().unwrap()
}

#[test]
fn what_is_written_wrongly_is_2_and_a_foreign_file_stays() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("mine.xml"), "<testsuite name=\"mine\"/>").unwrap();
    for (options, said) in [
        (&["--expect-sound=loud"][..], "write a level below full scale, such as -60dB"),
        (&["--expect-sound=6dB"], "write a level below full scale"),
        (&["--expect-sound", "--render", "0"], "--expect-sound: no stream plays with --render 0; "),
        (&["--max-underruns", "few"], "--max-underruns"),
        (&["--junit", "mine.xml"], "mine.xml: it exists, and nothing tells that ringwave wrote it; "),
        (&["--junit", "a.xml", "--stats", "./a.xml"], "--stats and --junit: both are"),
        (&["--junit", "no/a.xml"], "its folder is not there; "),
    ] {
        let output = serve(dir.path(), options);
        let line = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{options:?}: {line}");
        assert!(line.contains(said), "{options:?}: {line}");
    }
    let left: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["mine.xml"]);
}

//! `ringwave compare` with what the card has counted: as a user calls it.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use std::path::Path;
use std::process::{Command, Output};

use ringwave_audio::wav::WavFile;
use ringwave_audio::{SampleFormat, StreamFormat};

fn ringwave(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringwave")).args(arguments).current_dir(folder).output().unwrap()
}

fn write(folder: &Path, name: &str, samples: &[i16]) {
    let format = StreamFormat { sample: SampleFormat::S16, channels: 1, rate: 48_000 };
    let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let mut file = WavFile::create(&folder.join(name), format).unwrap();
    file.add(&bytes).unwrap();
    file.flush().unwrap();
}

#[test]
fn what_was_counted_may_be_missing_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    write(dir, "sent.wav", &[1, 2, 3, 4, 5, 6]);
    write(dir, "later.wav", &[1, 2, 0, 0, 3, 4, 5, 6]);
    write(dir, "lost.wav", &[1, 2, 5, 6]);
    write(dir, "instead.wav", &[1, 2, 0, 0, 5, 6]);
    write(dir, "first.wav", &[1, 2]);
    write(dir, "begun.wav", &[1, 2, 3]);
    write(dir, "last.wav", &[1, 2, 3, 4]);
    for (b, flag, counted, code, says) in [
        ("later.wav", "--silence", "2", 0, "bit-exact apart from 2 frames of silence in 1 gap\n"),
        ("later.wav", "--silence", "4", 1, "2 frames are missing in 1 gap, 4 were counted"),
        ("later.wav", "--lost", "2", 1, "first difference at frame 2 channel 0: a=3 b=0"),
        ("instead.wav", "--silence", "2", 0, "2 frames of silence in 1 gap, for 2 frames that are lost"),
        ("lost.wav", "--lost", "2", 0, "bit-exact apart from 2 frames lost in 1 gap"),
        ("last.wav", "--lost", "2", 0, "bit-exact apart from 2 frames lost in 1 gap"),
        ("first.wav", "--lost", "4", 0, "bit-exact apart from 4 frames lost in 1 gap"),
        ("first.wav", "--lost", "2", 1, "4 frames are missing in 1 gap, 2 were counted"),
        ("first.wav", "--lost", "0", 1, "lengths differ: 6 and 2 frames after bit-exact prefix of 2"),
        ("begun.wav", "--lost", "2", 1, "lengths differ: 6 and 3 frames"),
        ("lost.wav", "--silence", "2", 1, "first difference at frame 2 channel 0: a=3 b=5"),
        ("sent.wav", "--silence", "0", 0, "bit-exact\n"),
    ] {
        let output = ringwave(&["compare", "sent.wav", b, flag, counted, "--packet", "2"], dir);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(code), "{b} {flag} {counted}: {text}");
        assert!(text.contains(says), "{b} {flag} {counted}: {says} in\n{text}");
    }
    for wrong in [&["--silence", "2"][..], &["--packet", "0", "--lost", "2"]] {
        let output = ringwave(&[&["compare", "sent.wav", "sent.wav"], wrong].concat(), dir);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
}

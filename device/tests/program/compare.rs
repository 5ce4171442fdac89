//! `ringwave compare` with what the card has counted: as a user calls it.

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

#[test]
fn aligned_verdicts_have_their_exit_codes_names_and_reports() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let mut state = 0x1234_5678_u32;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        i16::try_from(state % 20_000).unwrap() - 10_000
    };
    let music: Vec<i16> = (0..40_000).map(|_| noise()).collect();
    let (silence, mut nearly) = ([0_i16; 700], music.clone());
    nearly[9] += 2;
    write(dir, "music.wav", &music);
    write(dir, "around.wav", &[&silence, &music[..], &silence].concat());
    write(dir, "nearly.wav", &nearly);
    write(dir, "lost.wav", &[&silence, &music[..20_000], &music[20_001..]].concat());
    write(dir, "silence.wav", &silence);
    write(dir, "empty.wav", &[]);
    for (a, b, options, code, says) in [
        ("music.wav", "around.wav", &["--align"][..], 0, "the same samples"),
        ("music.wav", "around.wav", &[], 1, "first difference"),
        ("music.wav", "nearly.wav", &["--align"], 1, "click: 1 frame at 9"),
        ("music.wav", "nearly.wav", &["--tolerance", "2"], 0, "within the tolerance of 2 LSB"),
        ("music.wav", "nearly.wav", &["--tolerance", "-80dB"], 0, "within the tolerance"),
        ("music.wav", "nearly.wav", &["--tolerance", "1"], 1, "damaged"),
        ("music.wav", "lost.wav", &["--align"], 1, "lost: 1 frame at 20700"),
        ("silence.wav", "silence.wav", &["--align"], 3, "cannot tell: both sounds are silent"),
        ("empty.wav", "empty.wav", &["--align"], 3, "cannot tell"),
        ("empty.wav", "empty.wav", &[], 1, "nothing to compare"),
        ("silence.wav", "music.wav", &["--align"], 1, "extra-before"),
        ("music.wav", "silence.wav", &["--align"], 1, "nothing-heard"),
    ] {
        let output = ringwave(&[&["compare", a, b, "--junit", "report.xml"], options].concat(), dir);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(code), "{a} {b} {options:?}: {text}");
        assert!(text.contains(says), "{a} {b} {options:?}: {says} in\n{text}");
        let junit = std::fs::read_to_string(dir.join("report.xml")).unwrap();
        assert_eq!(junit.contains("failures=\"0\""), code == 0, "{junit}");
    }
    for (options, mode, conclusion) in [(&["--align"][..], "aligned", "damaged"), (&[], "strict", "")] {
        let output = ringwave(&[&["compare", "music.wav", "lost.wav", "--json"], options].concat(), dir);
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&json["version"], &json["mode"]), (&1.into(), &mode.into()), "{json}");
        if mode == "aligned" {
            assert_eq!(json["conclusion"], conclusion);
            assert_eq!(json["findings"][0]["kind"], "lost");
            assert_eq!(json["findings"][0]["frames"], 1);
            assert_eq!(json["offset_frames"], 700.0);
        }
    }
    for wrong in
        [&["--align", "--silence", "1", "--packet", "2"][..], &["--tolerance", "x"], &["--tolerance", "3dB"]]
    {
        let output = ringwave(&[&["compare", "music.wav", "music.wav"], wrong].concat(), dir);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
}

//! `qemu-scripts/windows run` against a stand-in for Windows that was written from WINDOWS.md alone
//! (`tests/winstandin`): ways in which a run ends, as a user sees it: exit code, what is said, what is left.
//! `qemu-scripts/test` runs this (`cargo test -- --ignored`).

mod failures;
mod run;

use std::fs;
use std::path::Path;

use ringwave_audio::{SampleFormat, StreamFormat, wav};

use run::Run;

/// Seconds of the song that the stand-in plays.
const PLAYED: u32 = 2;

/// Three seconds of 16-bit stereo that no other song is.
fn song(folder: &Path) -> (Vec<u8>, Vec<u8>) {
    let format = StreamFormat { sample: SampleFormat::S16, channels: 2, rate: 48_000 };
    let frames: Vec<u8> = (0..3 * 48_000u32)
        .flat_map(|at| {
            [(at.wrapping_mul(2_654_435_761) >> 16) as u16, (at.wrapping_mul(40_503) >> 16) as u16]
        })
        .flat_map(u16::to_le_bytes)
        .collect();
    let path = folder.join("song.wav");
    let mut file = wav::WavFile::create(&path, format).expect("a WAV file");
    file.add(&frames).and_then(|()| file.flush()).expect("it is written");
    (fs::read(&path).expect("read"), frames[..(PLAYED * 48_000 * 4) as usize].to_vec())
}

/// The song comes out of the card sample for sample, with nothing but silence behind it.
fn plays(card: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, frames) = song(folder.path());
    let run = Run::new("plain").with_file("song.wav", &file);
    let ended = run.end(&["--card", card], &["play", "song.wav"]);
    ended.expect(0, &[]);
    assert!(ended.told.contains("played song.wav"), "{}", ended.told);
    let heard = wav::read(&ended.out.join("heard.wav")).expect("heard.wav");
    assert!(heard.frames.starts_with(&frames), "{card}: the card heard the song");
    assert!(heard.frames[frames.len()..].iter().all(|byte| *byte == 0), "{card}: and silence behind it");
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn program_is_run_heard_and_brings_files_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, frames) = song(folder.path());
    let run = Run::new("plain").with_file("song.wav", &file).with_file("words.txt", b"brought along\r\n");
    let words =
        ["args", "a \"b\" & 100%", "", "then", "cat", "words.txt", "then", "write", "deep\\a.txt", "text"];
    let program: Vec<&str> =
        words.into_iter().chain(["then", "play", "song.wav", "then", "exit", "3"]).collect();
    let ended = run.end(&["--card", "ringwave"], &program);
    ended.expect(3, &[]);
    for text in ["[a \"b\" & 100%]", "[]", "brought along", "played song.wav"] {
        assert!(ended.told.contains(text), "{text}: {}", ended.told);
        assert!(ended.file("program.log").contains(text), "{text}");
    }
    assert_eq!(ended.file("out/deep/a.txt"), "text");
    assert!(ended.file("logs/sound.txt").contains("service Audiosrv Running"));
    let heard = wav::read(&ended.out.join("heard.wav")).expect("heard.wav");
    assert!(heard.frames.starts_with(&frames), "the card heard the song");
    for name in ["run.json", "serial.log", "stats.json", "card.log"] {
        assert!(ended.out.join(name).exists(), "{name}");
    }
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn crash_is_named_with_its_stop_code_and_its_dump_comes_out() {
    let ended = Run::new("plain").end(&["--card", "hda"], &["echo", "before", "then", "crash"]);
    ended.expect(125, &["Windows crashed in stage program"]);
    assert!(ended.told.contains("before"), "what the program said before it is told: {}", ended.told);
    assert!(
        ended.said.to_lowercase().contains("0xd1") || ended.said.contains("0x000000D1"),
        "{}",
        ended.said
    );
    assert!(ended.file("dump/MEMORY.DMP").starts_with("PAGEDU64"));
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test --long"]
fn in_long_each_card_is_heard() {
    ["ringwave", "hda", "virtio"].into_iter().for_each(plays);
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test --long"]
fn in_long_restarts_that_were_announced_are_no_crashes() {
    let program = ["reboots", "3010", "2", "then", "exit", "5"];
    let ended = Run::new("plain").end(&["--card", "hda", "--reboot-code", "3010"], &program);
    ended.expect(5, &[]);
    assert!(ended.file("program.log").contains("boot 1") && ended.file("program.log").contains("boot 2"));
    Run::new("thrice").end(&["--card", "hda", "--reboot-code", "3010"], &["exit", "0"]).expect(0, &[]);
    // Where no code asks for a restart it is an exit code like another.
    Run::new("plain").end(&["--card", "hda"], &["exit", "3010"]).expect(255, &["3010"]);
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test --long"]
fn in_long_exit_codes_are_the_programs_own() {
    for (program, code, said) in [
        (&["exit", "255"][..], 255, &[][..]),
        (&["exit", "256"], 255, &["256"]),
        (&["exit", "3221225477"], 255, &["0xC0000005"]),
        (&["exit", "-1"], 255, &["-1"]),
        (&["nobody.exe"], 127, &[]),
    ] {
        Run::new("plain").end(&["--card", "hda"], program).expect(code, said);
    }
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test --long"]
fn in_long_program_that_outlasts_its_time_is_124_and_what_it_wrote_comes_out() {
    let program = ["echo", "so far", "then", "write", "a.txt", "text", "then", "wait"];
    let ended = Run::new("plain").end(&["--card", "hda", "--time-limit", "1"], &program);
    ended.expect(124, &["the program did not end within"]);
    assert_eq!((ended.file("out/a.txt").as_str(), ended.told.contains("so far")), ("text", true));
}

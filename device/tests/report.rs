//! `ringwave compare --report`: as a user calls it. What is on the page is tested where the page is made.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use std::path::Path;
use std::process::{Command, Output};

use ringwave_audio::test_tune::TestTune;
use ringwave_audio::wav::WavFile;
use ringwave_audio::{SampleFormat, StreamFormat};
use scraper::{Html, Selector};

const STEREO: StreamFormat = StreamFormat { sample: SampleFormat::S16, channels: 2, rate: 48_000 };

fn ringwave(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringwave")).args(arguments).current_dir(folder).output().unwrap()
}

fn write(path: &Path, frames: &[u8]) {
    let mut file = WavFile::create(path, STEREO).unwrap();
    file.add(frames).unwrap();
    file.flush().unwrap();
}

/// Two seconds of music, and the same with 50 ms of silence at 1.2 s.
fn two_files(folder: &Path, heard: &str) {
    let mut frames = TestTune { seconds: 2, format: STEREO }.frames();
    write(&folder.join("sent.wav"), &frames);
    frames[57_600 * 4..60_000 * 4].fill(0);
    write(&folder.join(heard), &frames);
}

fn text(html: &Html, selector: &str) -> String {
    let found = html.select(&Selector::parse(selector).unwrap()).next();
    found.unwrap_or_else(|| panic!("no {selector}")).text().collect()
}

#[test]
fn page_says_what_is_wrong_where_and_since_when_and_how_to_do_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let evil = "<script>alert(1)<-script>.wav";
    two_files(folder.path(), evil);
    for mode in [&["--align"][..], &[]] {
        let compare = [&["compare", "sent.wav", evil, "--report", "report.html"], mode].concat();
        let output = ringwave(&compare, folder.path());
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let page = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
        let html = Html::parse_document(&page);
        assert!(html.errors.is_empty(), "{:?}", html.errors);
        assert_eq!(
            text(&html, ".headline"),
            "Wrong since 1.200 s: 2,400 frames (50.0 ms) are silence instead."
        );
        assert!(text(&html, ".badge").contains("failed"));
        assert!(text(&html, "title").contains(evil) && !page.contains("<script"));
        let command = text(&html, "#command");
        assert!(
            command.contains("compare sent.wav '<script>alert(1)<-script>.wav' --report report.html"),
            "{command}"
        );
        assert!(text(&html, "#machine").contains("kernel"));
    }
    let counted =
        ["compare", "sent.wav", evil, "--silence", "2400", "--packet", "2400", "--report", "report.html"];
    assert_eq!(ringwave(&counted, folder.path()).status.code(), Some(0));
    let page = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
    let html = Html::parse_document(&page);
    let said = "As it was counted: at 1.200 s 2,400 frames (50.0 ms) are silence instead.";
    assert_eq!(text(&html, ".headline"), said);
    let same = ringwave(&["compare", "sent.wav", "sent.wav", "--report", "report.html"], folder.path());
    assert_eq!(same.status.code(), Some(0));
    let page = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
    let html = Html::parse_document(&page);
    assert_eq!(text(&html, ".headline"), "Nothing is wrong: 96,000 frames (2.000 s), bit-exact.");
    assert!(!page.contains("<audio"));
}

#[test]
fn page_that_cannot_be_written_is_one_line_before_the_work() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    two_files(dir, "heard.wav");
    let before = std::fs::read(dir.join("sent.wav")).unwrap();
    for (path, says) in [
        ("nowhere/report.html", "its folder is not there; make it, or take another path"),
        (".", "is a directory; give a file"),
        ("/dev/null", "is no regular file; give a file"),
        ("./sent.wav", "which is read; take another file"),
    ] {
        let output = ringwave(&["compare", "sent.wav", "heard.wav", "--report", path], dir);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{path}: {error}");
        assert!(output.stdout.is_empty(), "{path}: it has worked");
        assert!(error.contains(says) && error.trim().lines().count() == 1, "{path}: {error}");
    }
    assert_eq!(std::fs::read(dir.join("sent.wav")).unwrap(), before);
    // What cannot be read leaves the page of before.
    std::fs::write(dir.join("report.html"), "before").unwrap();
    let output = ringwave(&["compare", "sent.wav", "nothing.wav", "--report", "report.html"], dir);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(std::fs::read_to_string(dir.join("report.html")).unwrap(), "before");
    assert_eq!(std::fs::read_dir(dir).unwrap().count(), 3, "nothing is left beside it");
}

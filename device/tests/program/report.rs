//! `ringwave compare --report` and `serve --report`: as a user calls them. What is on the page is tested
//! where the page is made.

use std::path::Path;
use std::process::{Command, Output};

use crate::serving::{Serving, sandbox};
use ringwave_audio::test_tune::TestTune;
use ringwave_audio::wav::WavFile;
use ringwave_audio::{SampleFormat, StreamFormat};
use scraper::{Html, Selector};

use crate::guest::{Guest, Setup, piece};

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
    // Under another name, and for two options.
    std::fs::hard_link(dir.join("sent.wav"), dir.join("link")).unwrap();
    for (report, junit, says) in [
        ("link", "junit.xml", "which is read; take another file"),
        ("report.html", "link", "it is sent.wav, too; take another file"),
        ("new", "./new", "it is new, too; take another file"),
    ] {
        let arguments = ["compare", "sent.wav", "heard.wav", "--report", report, "--junit", junit];
        let output = ringwave(&arguments, dir);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && output.stdout.is_empty(), "{report} {junit}: {error}");
        assert!(error.contains(says) && error.trim().lines().count() == 1, "{report} {junit}: {error}");
    }
    std::fs::remove_file(dir.join("link")).unwrap();
    assert_eq!(std::fs::read(dir.join("sent.wav")).unwrap(), before);
    // What cannot be read leaves the page of before.
    std::fs::write(dir.join("report.html"), "before").unwrap();
    let output = ringwave(&["compare", "sent.wav", "nothing.wav", "--report", "report.html"], dir);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(std::fs::read_to_string(dir.join("report.html")).unwrap(), "before");
    assert_eq!(std::fs::read_dir(dir).unwrap().count(), 3, "nothing is left beside it");
}

#[test]
fn page_that_fails_at_the_end_costs_the_verdict_and_the_junit_report_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    two_files(dir, "heard.wav");
    // A limit of 64 KiB for a file lets JUnit's be written, and no page.
    let script = "ulimit -f 64; trap '' XFSZ; exec \"$0\" compare sent.wav heard.wav --report report.html --junit junit.xml";
    let output = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_ringwave")])
        .current_dir(dir)
        .output()
        .unwrap();
    let [out, error] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("report.html") && error.trim().lines().count() == 1, "{error}");
    assert!(out.contains("verdict"), "{out}");
    let junit = std::fs::read_to_string(dir.join("junit.xml")).unwrap();
    assert!(junit.contains("failures=\"1\""), "{junit}");
    assert_eq!(std::fs::read_dir(dir).unwrap().count(), 3, "no page, and nothing of one");
}

/// A served page, as a parser reads it.
fn served_page(dir: &Path) -> (String, Html) {
    let page = std::fs::read_to_string(dir.join("report.html")).unwrap();
    let html = Html::parse_document(&page);
    assert!(html.errors.is_empty(), "{:?}", html.errors);
    assert!(!page.contains("<script") && page.len() < 5_000_000);
    (page, html)
}

#[test]
fn served_card_has_a_page_of_what_it_heard_behind_all_of_the_sandbox() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let music = piece(&dir.join("played.wav"), 48_000, 2);
    // Of an earlier run, and gone before a client comes.
    std::fs::write(dir.join("report.html"), r#"<!DOCTYPE html><meta name="generator" content="ringwave 0">"#)
        .unwrap();
    let all =
        ["--sink", "wav:heard.wav", "--trace", "card.trace", "--report", "report.html", "--speed", "20"];
    let mut serving = Serving::start(dir, &[&all[..], &[sandbox(dir)]].concat());
    assert!(!dir.join("report.html").exists());
    let mut guest = Guest::connect(&dir.join("card.sock"));
    guest.play(Setup::USUAL, &music);
    drop(guest);
    serving.wait_for("the client has left after ", 1);
    assert!(!dir.join("report.html").exists(), "at the end");
    serving.signal(libc::SIGTERM);
    // As coreutils' timeout does, which sends its signal twice.
    std::thread::sleep(std::time::Duration::from_millis(5));
    serving.signal(libc::SIGTERM);
    assert_eq!(serving.wait_for_exit().code(), Some(0));
    let (page, html) = served_page(dir);
    assert_eq!(
        text(&html, ".headline"),
        format!("Nothing was missed in {} frames.", grouped(music.len() / 4))
    );
    assert!(text(&html, ".badge").contains("not judged"));
    assert!(text(&html, "table.sides").contains("heard.wav"), "{page}");
    for there in ["<polygon", "<image ", "table class=\"streams\"", "id=\"stats\""] {
        assert!(page.contains(there), "{there}");
    }
    assert!(!page.contains("is not drawn"), "{}", text(&html, "header"));
    assert!(text(&html, "#command").contains("serve --socket card.sock --sink wav:heard.wav"));
    assert!(text(&html, "#machine").contains("kernel"));
    let mut names: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["card.trace", "heard.wav", "played.wav", "report.html"]);
}

#[test]
fn served_page_says_what_was_expected_and_what_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let expected = ["--expect-sound", "--junit", "report.xml", "--report", "report.html", "--once"];
    let mut serving = Serving::start(dir, &expected);
    drop(Guest::connect(&dir.join("card.sock")));
    serving.signal(libc::SIGINT);
    assert_eq!(serving.wait_for_exit().code(), Some(1));
    let (_, html) = served_page(dir);
    assert!(text(&html, ".badge").contains("failed"));
    assert!(text(&html, ".headline").starts_with("nothing was heard: "), "{}", text(&html, ".headline"));
    assert!(text(&html, "header").contains("Sound is drawn of --sink wav:FILE; this was --sink null."));
    assert!(std::fs::read_to_string(dir.join("report.xml")).unwrap().contains("failures=\"1\""));
}

#[test]
fn served_page_that_cannot_be_written_is_refused_before_serving() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    std::fs::write(dir.join("mine.html"), "<!DOCTYPE html>somebody's").unwrap();
    for (path, says) in [
        ("nowhere/report.html", "its folder is not there; make it, or take another path"),
        (".", "is a directory; give a file"),
        ("/dev/null", "is no regular file; give a file"),
        ("mine.html", "nothing tells that ringwave wrote it; remove it or take another file"),
        ("heard.wav", "--sink and --report: both are "),
    ] {
        let output =
            ringwave(&["serve", "--socket", "card.sock", "--sink", "wav:heard.wav", "--report", path], dir);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{path}: {error}");
        assert!(error.contains(says) && error.trim().lines().count() == 1, "{path}: {error}");
        assert!(!dir.join("card.sock").exists(), "{path}: the socket is left");
    }
    assert_eq!(std::fs::read_to_string(dir.join("mine.html")).unwrap(), "<!DOCTYPE html>somebody's");
}

/// `48000` as the page writes it.
fn grouped(number: usize) -> String {
    ringwave_report::html::grouped(number as u64)
}

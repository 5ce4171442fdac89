//! `qemu-scripts/windows test` against a stand-in for Windows (`tests/winstandin`), which plays the song
//! through the card and leaves winplay's lines: the verdict, and what takes it away. `qemu-scripts/test` runs
//! this (`cargo test -- --ignored`).

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ringwave_e2e::{noise, stand_in};
use ringwave_report::html::{Outcome, Page};
use ringwave_runner::html::{self, windows::Tested};
use ringwave_runner::linux::guest::existing_path;
use ringwave_runner::request::Clock;
use ringwave_runner::windows::machine::{GuestCard, Machine};
use ringwave_runner::windows::run::device::{DeviceSteps, Verifier};
use ringwave_runner::windows::run::{Finished, Request, run};
use ringwave_runner::windows::test::verdict::Verdict;
use ringwave_runner::windows::test::winplay::Mode;
use ringwave_runner::windows::test::{files, heard_file, judge_run, longest};

/// What the stand-in finds under the name `cmd`, by which winplay is started: it plays, and writes the lines
/// of winplay's contract.
const WORDS: &str = r#"play song.wav
write winplay.jsonl {"winplay":1,"seq":0,"ms":0,"type":"run","version":"0","windows":"10.0.26100","wine":null}
write winplay.jsonl {"winplay":1,"seq":1,"ms":1,"type":"chosen","flow":"render","verdict_on":"ringwave"}
write winplay.jsonl {"winplay":1,"seq":2,"ms":2,"type":"start","step":"exclusive-event"}
write winplay.jsonl {"winplay":1,"seq":3,"ms":3,"type":"step","step":"exclusive-event","outcome":"ok","underruns":0}
write winplay.jsonl {"winplay":1,"seq":4,"ms":4,"type":"end","verdict":"as expected","exit":0,"text":"well"}
"#;

fn request(folder: &Path, song: &Path) -> Request {
    let image = folder.join("windows.qcow2");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../winstandin/make-image");
    assert!(Command::new(script).arg(&image).status().expect("make-image starts").success());
    let words = folder.join("words");
    fs::write(&words, WORDS).expect("written");
    let mut files = files(&words, song, Mode::ExclusiveEvent, 60).expect("a song");
    files.more.push(("cmd".into(), words));
    Request {
        machine: Machine { more: Vec::new(), ..stand_in::machine(Duration::from_mins(1)) },
        ringwave: existing_path("RINGWAVE_BIN").expect("the programs"),
        image,
        card: GuestCard::Ringwave,
        clock: Clock::LOCKSTEP,
        card_options: Vec::new(),
        device: DeviceSteps { cycles: Some(2), suspend: true, verifier: Some(Verifier::Standard) },
        files,
        time_limit: Duration::from_mins(5),
        reboot_code: None,
        out_dir: Some(folder.join("out")),
        timeline: true,
        keep: false,
    }
}

fn judged(request: &Request, finished: &Finished, song: &Path) -> Verdict {
    let verdict = judge_run(request, finished, song, Mode::ExclusiveEvent).expect("it is judged");
    println!("{verdict}");
    verdict
}

/// The page of `--report`.
fn page(verdict: &Verdict, finished: &Finished, song: &Path) -> Page {
    let (name, heard, served) = ("exclusive-event", Some(heard_file(finished)), longest(finished));
    let tested = Tested { name, verdict, heard, served, waits: true };
    html::windows::page(song, &[tested], vec![]).expect("a page")
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn song_that_the_card_heard_is_bit_exact_and_nothing_less_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let song = noise::wav(96_000, 2, 48_000);
    let song = &song.path;
    let request = request(folder.path(), song);
    let finished = run(&request, |line| println!("{line}")).expect("it runs");
    let verdict = judged(&request, &finished, song);
    assert!(verdict.passed && verdict.text.starts_with("bit-exact"), "{verdict}");
    assert!(verdict.text.contains("clock lockstep"), "{verdict}");
    let told = page(&verdict, &finished, song);
    assert_eq!(told.outcome, Outcome::Passed);
    assert!(told.headline.starts_with("Bit-exact"), "{}", told.headline);
    // Of the boot that played, and not of the one before it.
    assert!(told.stats.as_ref().is_some_and(|stats| stats.streams[0].frames >= 96_000));
    assert!(told.timeline.as_ref().is_some_and(|timeline| timeline.streams[&0].packet_count > 0));
    assert!(told.render().contains("Driver Verifier active: standard"), "what the verdict rests on");
    // Driver Verifier was active, after a restart, and the device was in D3 before, three times.
    assert!(verdict.to_string().contains("Driver Verifier active: standard"), "{verdict}");
    assert!(verdict.to_string().contains("reinstalled, 2 times"), "{verdict}");
    let said = fs::read_to_string(finished.folder.join("serial.log")).expect("COM1");
    assert!(
        said.contains("RINGWAVE reboot for Driver Verifier")
            && said.contains("note no S3 here")
            && said.contains("note cycle 2 of 2"),
        "{said}"
    );
    // One bit of the song was another.
    let other = folder.path().join("other.wav");
    let mut bytes = fs::read(song).expect("the song");
    bytes[100_000] ^= 1;
    fs::write(&other, bytes).expect("written");
    let verdict = judged(&request, &finished, &other);
    assert!(!verdict.passed && verdict.text.starts_with("damaged: click"), "{verdict}");
    let told = page(&verdict, &finished, &other);
    assert!(told.headline.starts_with("Damaged: click"), "{}", told.headline);
    let places = &told.sounds[0].differences.as_ref().expect("two sounds").places;
    assert!(places.len() == 1 && places[0].expected_at.abs_diff((100_000 - 44) / 4) <= 64, "{places:?}");
    // winplay was ended before its end.
    let lines = finished.folder.join("out/winplay.jsonl");
    let text = fs::read_to_string(&lines).expect("its lines");
    let cut = text.find(r#"{"winplay":1,"seq":3"#).expect("the step");
    fs::write(&lines, &text[..cut]).expect("written");
    let verdict = judged(&request, &finished, song);
    assert!(!verdict.passed && verdict.text.contains("was ended in step exclusive-event"), "{verdict}");
}

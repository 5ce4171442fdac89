//! `ringwave bringup` as an engineer runs it: against the card as it is, and against cards that are none,
//! hang, or die. Those that are broken in one place are in `bringup_defects.rs`.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::bringup_run::{failures, names, ringwave, run_bringup, text};
use crate::broken::{BrokenCard, Defect};
use crate::serving;
use ringwave_bringup::steps::STEPS;
use ringwave_card::controller::Config;
use ringwave_card::env::ClockMode;
use ringwave_regs::global;

/// `ringwave serve`, ready.
struct Serving(Child);

impl Serving {
    fn start(socket: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringwave"));
        command.arg("serve").arg("--socket").arg(socket).args(arguments);
        command.stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(log.any(|line| line.unwrap().contains("listening on")), "it ended before it listened");
        // Somebody must read on, or the card writes into a full pipe.
        std::thread::spawn(move || log.for_each(drop));
        Self(child)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn signal(child: &Child, signal: libc::c_int) {
    let pid = libc::pid_t::try_from(child.id()).unwrap();
    // SAFETY: the child is ours and was not waited for, so its id is its own.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
}

/// The exit code of a child that must end soon.
fn wait_for_exit(child: &mut Child) -> i32 {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code().unwrap();
        }
        assert!(begin.elapsed() < serving::PATIENCE, "it does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn good_card_passes_every_step() {
    for clock in ["lockstep", "realtime"] {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("card.sock");
        let _serving = Serving::start(&socket, &["--clock", clock]);
        let (code, report) = run_bringup(&socket, &[]);
        assert_eq!(code, 0, "{clock}: {}", failures(&report));
        assert_eq!(report["outcome"], "ok");
        let all: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
        assert_eq!(names("ok", &report), all, "each step, in order, and none of them skipped");
        let checks: usize = report["steps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|step| step["checks"].as_array().unwrap().len())
            .sum();
        assert!(checks > 200, "{checks} checks");
        // Typically below a second; a machine that builds something else meanwhile takes longer.
        assert!(report["milliseconds"].as_u64().unwrap() < 60_000, "{} ms", report["milliseconds"]);
    }
}

#[test]
fn cards_of_other_builds_pass_every_step() {
    let usual = Config::default();
    for (name, config) in [
        // Eight messages, so that vectors can be mixed up.
        ("5 streams", Config { render: 5, ..usual }),
        ("addresses of 32 bits", Config { dma_bits: 32, ..usual }),
        ("no volume", Config { volume: false, ..usual }),
        ("lockstep", Config { clock: ClockMode::Lockstep, ..usual }),
        ("everything", Config { formats: 0xF, rates: 0x7FFF, channels_max: 8, ..usual }),
        ("one odd format", Config { formats: 8, rates: 1 << 14, channels_max: 1, ..usual }),
    ] {
        let card = BrokenCard::of(Defect::None, config);
        let (code, report) = run_bringup(&card.socket(), &["--seconds", "0.05"]);
        assert_eq!(code, 0, "{name}: {}", failures(&report));
        assert_eq!(names("ok", &report).len(), STEPS.len(), "{name}");
    }
}

#[test]
fn messages_at_each_others_vectors_are_found() {
    let card = BrokenCard::of(Defect::Swapped, Config { render: 3, ..Config::default() });
    let (code, report) = run_bringup(&card.socket(), &["--only", "interrupts"]);
    assert_eq!(code, 1, "{}", failures(&report));
    let failed = failures(&report);
    assert!(failed.contains("INT_RAISE 0: arrivals by vector: expected 1 0 0 0, seen 0 1 0 0"), "{failed}");
    assert_eq!(failed.lines().count(), 2, "and the other two are right: {failed}");
}

#[test]
fn card_that_reads_noise_is_no_card_and_breaks_nothing() {
    let card = BrokenCard::serve(Defect::Noise);
    let (code, report) = run_bringup(&card.socket(), &["--seconds", "0.01"]);
    assert_eq!(code, 1, "{}", failures(&report));
    assert!(names("failed", &report).len() > 5, "{report:#}");
}

#[test]
fn table_says_what_was_expected_and_seen() {
    let card = BrokenCard::serve(Defect::Reads(global::DMA_BITS, 12));
    let socket = card.socket();
    let output = ringwave(&[
        "bringup",
        "--socket",
        socket.to_str().unwrap(),
        "--only",
        "version",
        "--only",
        "identity",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let table = text(&output.stdout);
    let line = table.lines().find(|line| line.contains("DMA_BITS")).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words, ["DMA_BITS", "32", "to", "64", "12", "FAIL"]);
    assert!(table.contains("2 steps: 1 ok, 1 failed, 0 skipped"), "{table}");
    assert!(table.ends_with("NOT as expected: version\n"), "{table}");
    assert!(table.find("identity").unwrap() < table.find("version").unwrap(), "in the order of the walk");
}

#[test]
fn card_that_is_not_one_is_not_written_to() {
    let all = STEPS.len();
    for (register, value, step, check) in [
        (global::MAGIC, 0x1234_5678, "identity", "MAGIC"),
        (global::MAGIC, u32::MAX, "identity", "MAGIC"),
        (global::VERSION, 0x2_0000, "version", "VERSION"),
    ] {
        let card = BrokenCard::serve(Defect::Reads(register, value));
        let (code, report) = run_bringup(&card.socket(), &[]);
        assert_eq!((code, names("failed", &report)), (1, vec![step.to_owned()]), "{}", failures(&report));
        let place = STEPS.iter().position(|its| its.name == step).unwrap();
        let checks = report["steps"][place]["checks"].as_array().unwrap();
        assert!(checks.iter().any(|found| found["name"] == check && found["outcome"] == "failed"));
        assert!(
            names("skipped", &report).len() >= all - 3,
            "and all that follows is skipped: {}",
            failures(&report)
        );
        assert_eq!(card.writes.load(Ordering::Relaxed), 0, "nothing was written to its registers");
        let (code, report) = run_bringup(&card.socket(), &["--only", "tone"]);
        assert_eq!(
            (code, names("failed", &report)),
            (1, vec![step.to_owned()]),
            "also when it was not asked for"
        );
        assert_eq!(names("skipped", &report).last().unwrap(), "tone");
    }
}

#[test]
fn other_ids_are_only_touched_when_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("card.sock");
    let _serving = Serving::start(&socket, &["--device", "0xbeef"]);
    let name = socket.to_str().unwrap();
    let refused = ringwave(&["bringup", "--socket", name]);
    assert_eq!(refused.status.code(), Some(2));
    let said = text(&refused.stderr);
    assert!(said.lines().count() == 1 && said.contains("1234:beef") && said.contains("--force-id"), "{said}");
    let (code, report) = run_bringup(&socket, &["--force-id", "1234:beef", "--only", "identity"]);
    assert_eq!(code, 0, "{}", failures(&report));
}

#[test]
fn one_defect_does_not_hide_the_rest() {
    let card = BrokenCard::serve(Defect::BusMasterAlways);
    let (code, report) = run_bringup(&card.socket(), &[]);
    // Reset behind the wrapper's back shows Command as it is; nothing but Bus Master Enable is wrong.
    assert_eq!((code, names("failed", &report)), (1, vec!["bus-master".to_owned()]), "{}", failures(&report));
    assert_eq!(names("ok", &report).len(), STEPS.len() - 1);
    let card = BrokenCard::serve(Defect::None);
    let (code, report) = run_bringup(&card.socket(), &["--only", "identity", "--only", "registers"]);
    assert_eq!(code, 0, "the wrapper itself changes nothing: {}", failures(&report));
}

#[test]
fn card_that_hangs_is_named_and_ends_the_walk() {
    let card = BrokenCard::serve(Defect::Hangs(global::SELFTEST));
    let begin = Instant::now();
    let (code, report) = run_bringup(
        &card.socket(),
        &["--only", "self-test-contiguous", "--only", "states", "--only", "tone"],
    );
    assert_eq!(
        (code, names("failed", &report)),
        (1, vec!["self-test-contiguous".to_owned()]),
        "{}",
        failures(&report)
    );
    assert_eq!(names("skipped", &report), ["states", "tone"]);
    let checks = report["steps"][0]["checks"].as_array().unwrap();
    assert_eq!(checks.last().unwrap()["seen"], "no answer within 5 s", "{}", failures(&report));
    assert!(begin.elapsed() < serving::PATIENCE);
}

/// A card, and a walk that plays it a tone by now, and for longer than anybody waits for the end of the walk.
fn in_a_long_tone(dir: &Path) -> (serving::Serving, Child) {
    let serving = serving::Serving::start(dir, &["--clock", "realtime"]);
    let mut walking = Command::new(env!("CARGO_BIN_EXE_ringwave"));
    walking
        .args(["bringup", "--only", "tone", "--only", "reset", "--seconds", "600", "--socket", "card.sock"])
        .current_dir(dir);
    let walking = walking.stdout(Stdio::piped()).spawn().unwrap();
    let begin = Instant::now();
    while serving.stats_by_signal()["streams"][0]["frames"].as_u64().unwrap() == 0 {
        assert!(begin.elapsed() < serving::PATIENCE, "it does not play");
        std::thread::sleep(Duration::from_millis(20));
    }
    (serving, walking)
}

#[test]
fn card_that_dies_is_named_and_ends_the_walk() {
    let dir = tempfile::tempdir().unwrap();
    let (serving, mut walking) = in_a_long_tone(dir.path());
    serving.signal(libc::SIGKILL);
    assert_eq!(wait_for_exit(&mut walking), 1);
    let said = std::io::read_to_string(walking.stdout.take().unwrap()).unwrap();
    assert!(said.contains("the card answers"), "{said}");
    assert!(said.contains("reset: skipped (the card was lost in tone)"), "{said}");
}

#[test]
fn interrupt_ends_the_walk_and_leaves_the_card_reset() {
    for its in [libc::SIGINT, libc::SIGTERM] {
        let dir = tempfile::tempdir().unwrap();
        let (_serving, mut walking) = in_a_long_tone(dir.path());
        signal(&walking, its);
        assert_eq!(wait_for_exit(&mut walking), 1);
        let said = std::io::read_to_string(walking.stdout.take().unwrap()).unwrap();
        assert!(said.contains("(interrupted)") && said.contains("reset: skipped (interrupted)"), "{said}");
        assert!(!said.contains("as expected\n"), "a walk that was not finished says no such thing: {said}");
        let (code, report) = run_bringup(&dir.path().join("card.sock"), &["--only", "states"]);
        assert_eq!(code, 0, "the card is free and fresh: {}", failures(&report));
    }
}

#[test]
fn tone_can_be_heard() {
    let dir = tempfile::tempdir().unwrap();
    let (socket, heard) = (dir.path().join("card.sock"), dir.path().join("heard.wav"));
    let serving = Serving::start(&socket, &["--once", "--sink", &format!("wav:{}", heard.display())]);
    let (code, report) = run_bringup(&socket, &["--only", "tone", "--seconds", "0.5"]);
    assert_eq!(code, 0, "{}", failures(&report));
    let mut serving = serving;
    assert_eq!(wait_for_exit(&mut serving.0), 0);
    let mut wav = hound::WavReader::open(&heard).unwrap();
    assert_eq!((wav.spec().sample_rate, wav.spec().channels), (48_000, 2));
    let left: Vec<i32> = wav.samples::<i32>().step_by(2).map(Result::unwrap).collect();
    assert!((24_000..24_200).contains(&left.len()), "half a second: {} frames", left.len());
    let rises = left.windows(2).filter(|two| two[0] < 0 && two[1] >= 0).count();
    assert!((218..=221).contains(&rises), "440 Hz: {rises} periods");
    let peak = left.iter().map(|sample| sample.abs()).max().unwrap();
    assert!((8_100..8_200).contains(&peak), "a quarter of full scale: {peak}");
}

#[test]
fn wrong_usage_is_2_and_help_teaches() {
    for wrong in [
        &["bringup"][..],
        &["bringup", "--socket", "/nonexistent/card.sock"],
        &["bringup", "--socket", "a", "--vfio", "0000:00:04.0"],
        &["bringup", "--socket", "a", "--only", "dance"],
        &["bringup", "--socket", "a", "--seconds", "0"],
        &["bringup", "--socket", "a", "--force-id", "1234"],
        &["bringup", "--vfio", "card"],
        &["bringup", "--vfio", "ffff:ff:1f.7"],
    ] {
        let output = ringwave(wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}: {}", text(&output.stderr));
    }
    let absent = ringwave(&["bringup", "--socket", "/nonexistent/card.sock"]);
    assert!(
        text(&absent.stderr).contains("ringwave serve --socket /nonexistent/card.sock"),
        "what to do next"
    );
    let steps = ringwave(&["bringup", "--only", "dance", "--socket", "a"]);
    assert!(text(&steps.stderr).contains("self-test-across-maps"), "{}", text(&steps.stderr));
    let list = ringwave(&["bringup", "--list"]);
    assert_eq!(list.status.code(), Some(0));
    assert_eq!(text(&list.stdout).lines().count(), STEPS.len());
    let help = text(&ringwave(&["bringup", "--help"]).stdout);
    for taught in ["  ringwave bringup --socket", "--vfio 0000:00:04.0", "Exit codes", "--only"] {
        assert!(help.contains(taught), "{taught} in\n{help}");
    }
}

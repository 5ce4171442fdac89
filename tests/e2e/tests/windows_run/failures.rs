//! Each way in which the stand-in can fail (`tests/winstandin/make-image --help`) is recognised, named, and
//! told with the next step and the exit code of WINDOWS.md, 7 and 10. A sample runs each time, all of them
//! with `--long`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::run::{Ended, Run};

/// A behaviour, the exit code of `windows run`, and what is said.
type Way = (&'static str, i32, &'static [&'static str]);

const OLD_AGENT: &str = "the agent is not the one of this version";
const NO_LINE: &str = "which is no line of the protocol";

/// What the agent finds wrong.
const PROBLEMS: &[Way] = &[
    ("no-session", 125, &["the session is RDP-Tcp#0 (exit code 10)", "sound belongs to the console"]),
    ("no-service", 125, &["Audiosrv is Stopped", "Server Core has no audio services"]),
    ("no-endpoint", 125, &["no active endpoint", "is its jack plugged"]),
    (
        "problem-code",
        125,
        &[
            "problem code 10 of PCI",
            "its start failed",
            "the end of setupapi.dev.log:",
            "Device not started: problem code 10",
        ],
    ),
    ("problem-code:28", 125, &["problem code 28 of", "no driver was installed"]),
    (
        "problem-code:52",
        125,
        &["in stage sound: problem code 52 of", "is test signing on", "Device not started: problem code 52"],
    ),
    ("out-full", 125, &["in stage program", "not enough space", "write less to RINGWAVE_OUT"]),
    ("no-out-disk", 125, &["in stage agent", "no drive has ringwave-out.txt", "diskpart"]),
    ("no-card", 125, &["no device of the card", "another --card"]),
    (
        "cycle-fails",
        125,
        &[
            "cycle 1 of 2",
            "pnputil /restart-device ended with 3010, in cycle 2 of 2",
            "still holds the device",
        ],
    ),
    ("cycle-fails:1168", 125, &["ended with 1168", "net helpmsg", "logs/device.log"]),
    (
        "verifier-refused",
        125,
        &["in stage device: verifier /standard ended with 1", "logs/verifier-settings.txt"],
    ),
    (
        "verifier-off",
        125,
        &["Windows restarts: for Driver Verifier", "does not list ringwave.sys", "logs/verifier.txt"],
    ),
    ("no-room", 125, &["copying the files", "room on C:"]),
    ("wrong-done", 125, &["in stage collect: the agent gave up (exit code 7)"]),
    ("wrong-done:12", 125, &["the agent gave up (exit code 12)", "is its jack plugged"]),
];

/// A minute of the limits where they are what is looked at: an emulated machine on a busy host boots within
/// fifteen.
const MINUTE: Duration = Duration::from_secs(6);

/// Lines that are left out, stand at a wrong place or are none.
const LINES: &[Way] = &[
    ("no-exit", 125, &["exit was left out", OLD_AGENT]),
    ("no-done", 125, &["turned itself off in stage program", "an evaluation that has expired"]),
    ("skip-stage:agent", 125, &["agent was left out", OLD_AGENT]),
    ("skip-stage", 125, &["sound was left out", OLD_AGENT]),
    ("skip-stage:device", 125, &["device was left out", OLD_AGENT]),
    ("skip-stage:program", 125, &["exit 0 in stage sound", NO_LINE, OLD_AGENT]),
    ("skip-stage:collect", 125, &["says that it is done in stage exit", OLD_AGENT]),
    ("open-log", 125, &["turned itself off in stage program", "within the log open.log", OLD_AGENT]),
    ("bad-line:exit", 125, &["\"RINGWAVE exit\"", NO_LINE, OLD_AGENT]),
    ("bad-line:exit-text", 125, &["exit well", NO_LINE]),
    ("bad-line:exit-hexadecimal", 125, &["exit 0x10", NO_LINE]),
    ("bad-line:exit-large", 125, &["exit 4294967296", NO_LINE]),
    ("bad-line:exit-small", 125, &["exit -2147483649", NO_LINE]),
    ("bad-line:exit-early", 125, &["exit 0 in stage sound", NO_LINE]),
    ("bad-line:exit-twice", 125, &["exit 0 in stage exit", NO_LINE]),
    ("bad-line:exit-late", 125, &["exit 0 in stage collect", NO_LINE]),
    ("bad-line:unknown-stage", 125, &["stage winpe", NO_LINE]),
    ("bad-line:done", 125, &["\"RINGWAVE done\"", NO_LINE]),
    ("bad-line:problem", 125, &["problem access is denied", NO_LINE]),
    // What is nothing of the protocol is nothing.
    ("garbage", 0, &["exit code 0"]),
    ("exit-code:3221225477", 255, &["0xC0000005, an access violation"]),
];

/// Crashes, and what the boot for the dump brings.
const CRASHES: &[Way] = &[
    (
        "crash:sound",
        125,
        &["Windows crashed in stage sound: stop code 0xd1 (0x10, 0x2,", "tells more of dump/"],
    ),
    // What the program ended with counts no more.
    ("crash:collect", 125, &["exit code 0", "Windows crashed in stage collect: stop code 0xd1"]),
    (
        "crash-no-dump",
        125,
        &["crashed in stage program, and no dump came out", "restarts Windows itself", "--reboot-code"],
    ),
    ("crash-again", 125, &["crashed in stage program, and no dump came out", "that failed"]),
    ("panic", 125, &["no stop code is known yet", "crashed in stage program: stop code 0xd1"]),
];

/// A guest that does not go on.
const LATE: &[Way] = &[
    ("silent", 125, &["stage agent did not begin within", "start.cmd did not come", "password expired"]),
    ("hang:agent", 125, &["stage sound did not begin within", "screen.png shows where"]),
    ("hang:sound", 125, &["stage program did not begin within"]),
    (
        "hang",
        124,
        &[
            "the program did not end within 8 s",
            "does not turn itself off",
            "the NMI did nothing",
            "--time-limit",
        ],
    ),
    (
        "hang-nmi",
        124,
        &[
            "does not turn itself off",
            "Windows hangs; an NMI has it crash",
            "of dump/MEMORY.DMP (stop code 0x80 (0x10, ",
        ],
    ),
    (
        "hang-nmi:sound",
        125,
        &["stage program did not begin within", "of dump/MEMORY.DMP (stop code 0x80 (0x10, "],
    ),
    ("hang:collect", 125, &["stage done did not begin within", "the NMI did nothing", "screen.png"]),
    ("hang-after-done", 125, &["was done and did not turn itself off within", "screen.png"]),
    ("problem-alone", 125, &["no active endpoint", "is its jack plugged"]),
    ("panic-alone", 125, &["Windows crashed in stage program, and no dump came out"]),
    ("crash-hang", 125, &["crashed in stage program, and no dump came out", "stage collect did not begin"]),
    ("restart-hang", 125, &["the restart that was announced did not come within", "screen.png shows"]),
];

/// The out disk is not clean at the end; the program ended well all the same.
const DIRTY: &[Way] = &[
    ("dirty", 0, &["had not written to the out disk yet: files may be incomplete"]),
    ("dirty:free", 0, &["program.log: only 32768 of 1048576 bytes"]),
    ("dirty:ring", 0, &["program.log: only 32768 of 4294967295 bytes"]),
    ("dirty:beyond", 0, &["program.log: only 32768 of 1048576 bytes"]),
    ("dirty:folder", 0, &["too deep"]),
];

/// Behaviours with an expectation that is no table's: here, or in `main.rs`.
const ELSEWHERE: [&str; 6] = ["plain", "button", "thrice", "loop", "odd-names", "endless-log"];

/// Ways that are looked at at the same time, by each of `--test-threads`: most of a run is waiting. Each
/// machine has 512 MiB; one whose limit passed since its host was late gets longer ones (`in_time`).
const AT_ONCE: usize = 4;

/// Looks at each of the table, and names those that fail.
fn each(table: &[Way], look: fn(Way)) {
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(way) = table.get(next.fetch_add(1, Ordering::Relaxed)) {
            if std::panic::catch_unwind(|| look(*way)).is_err() {
                failed.lock().expect("no look panics here").push(way.0);
            }
        }
    };
    thread::scope(|scope| (0..AT_ONCE).for_each(|_| drop(scope.spawn(work))));
    let failed = failed.into_inner().expect("no look panics here");
    assert!(failed.is_empty(), "{failed:?}");
}

fn way(table: &'static [Way], behaviour: &str) -> Way {
    *table.iter().find(|(name, ..)| *name == behaviour).expect("a way of the table")
}

/// By the command, as a user starts it.
fn is_named((behaviour, code, said): Way) -> Ended {
    let card = if behaviour.starts_with("verifier") { "ringwave" } else { "hda" };
    let mut options = vec!["--card", card, "--qemu=-device", "--qemu=pvpanic"];
    if ["cycle-fails", "skip-stage:device"].iter().any(|name| behaviour.starts_with(name)) {
        options.extend(["--cycles", "2"]);
    }
    if behaviour.starts_with("verifier") {
        options.extend(["--verifier=standard"]);
    }
    let ended = Run::new(behaviour).end(&options, &["echo", "before"]);
    ended.expect(code, said);
    assert!(ended.out.join("run.json").exists() && ended.out.join("serial.log").exists(), "{behaviour}");
    ended
}

/// With limits of short minutes. A host that is so busy that not even the agent is there in time gets longer
/// ones.
fn in_time(behaviour: &str, program: &[&str]) -> Ended {
    let end = |minute| Run::new(behaviour).end_in_time(program, Duration::from_secs(8), minute);
    let ended = end(MINUTE);
    if behaviour == "silent" || !ended.said.contains("stage agent did not begin") {
        return ended;
    }
    end(MINUTE * 4)
}

fn is_named_in_time((behaviour, code, said): Way) {
    let ended = in_time(behaviour, &["echo", "before"]);
    ended.expect(code, said);
    // In the boot for the dump it turns itself off.
    if !behaviour.starts_with("hang-nmi") {
        ended.expect(code, &["files that came out may be incomplete"]);
    }
    // A machine that was reset has no screen to keep.
    if behaviour != "crash-hang" {
        let screen = fs::read(ended.out.join("screen.png")).unwrap_or_default();
        assert!(screen.starts_with(b"\x89PNG"), "{behaviour}: the last screen");
    }
}

#[test]
fn each_way_of_the_stand_in_has_an_expectation() {
    let script = include_str!("../../../winstandin/make-image");
    let list =
        script.split_once("Behaviours").and_then(|(_, rest)| rest.split_once("TXT")).expect("a list").0;
    let names = list.lines().filter_map(|line| line.strip_prefix("  ")?.split([' ', '[']).next());
    let known: BTreeSet<&str> = [PROBLEMS, LINES, CRASHES, LATE, DIRTY]
        .into_iter()
        .flatten()
        .map(|(name, ..)| name.split(':').next().unwrap_or_default())
        .chain(ELSEWHERE)
        .collect();
    for name in names.filter(|name| !name.is_empty()) {
        assert!(known.contains(name), "{name} of make-image has no test");
    }
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn problem_is_named_with_its_next_step_and_the_logs_come_out() {
    let ended = is_named(way(PROBLEMS, "problem-code:52"));
    assert!(ended.file("logs/sound.txt").contains("card 52 PCI"));
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn guest_that_ends_within_a_log_is_named() {
    is_named(way(LINES, "open-log"));
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn guest_that_hangs_is_named_and_ended() {
    is_named_in_time(way(LATE, "hang-nmi"));
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test --long"]
fn in_long_each_problem_is_named_with_its_next_step() {
    each(PROBLEMS, |way| {
        let ended = is_named(way);
        // Without the out disk nothing comes out of the guest, and who gives up says nothing of logs.
        let logs = !["no-out-disk", "wrong-done", "wrong-done:12"].contains(&way.0);
        assert!(ended.out.join("logs/System.evtx").exists() || !logs, "{}", way.0);
        assert!(!ended.said.contains("may be incomplete"), "{}: it turned itself off", way.0);
    });
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test --long"]
fn in_long_lines_that_are_wrong_are_named() {
    each(LINES, |way| drop(is_named(way)));
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test --long"]
fn in_long_each_crash_is_named_with_its_dump_or_without() {
    each(CRASHES, |way| {
        let ended = is_named(way);
        let dump = ended.out.join("dump/MEMORY.DMP").exists();
        assert_eq!(dump, way.2.iter().any(|text| text.contains("0xd1")), "{}: a dump", way.0);
    });
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test --long"]
fn in_long_guest_that_does_not_go_on_is_named() {
    each(LATE, is_named_in_time);
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test --long"]
fn in_long_time_that_is_over_is_told_to_windows() {
    let ended = in_time("button", &["exit", "0"]);
    ended.expect(124, &["the power button is pressed", "the program did not end within 8 s"]);
    assert!(!ended.said.contains("may be incomplete"), "it turned itself off");
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test --long"]
fn in_long_restarts_without_end_are_a_loop() {
    let options = ["--card", "hda", "--reboot-code", "3010"];
    let ended = Run::new("loop").end(&options, &["exit", "0"]);
    ended.expect(
        125,
        &["starts again and again in stage program: 11 times", "another code than --reboot-code"],
    );
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test --long"]
fn in_long_log_without_end_is_ended() {
    // By the 64 MiB of COM1, or by the stage's limit, whichever this host comes to first.
    let ended = in_time("endless-log", &["exit", "0"]);
    let by_size =
        ended.said.contains("said more than 64 MiB on COM1; the end of serial.log shows what writes there");
    let by_time =
        ended.said.contains("stage done did not begin") && ended.said.contains("within the log endless.log");
    assert!(ended.code == Some(125) && (by_size || by_time), "{}", ended.said);
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test --long"]
fn in_long_out_disk_that_is_damaged_is_said() {
    each(DIRTY, |way| {
        let ended = is_named(way);
        assert!(ended.told.contains("before"), "{}: what is whole comes out: {}", way.0, ended.told);
    });
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test --long"]
fn in_long_odd_names_come_out_as_plain_ones() {
    let ended = Run::new("odd-names").end(&["--card", "hda"], &["exit", "0"]);
    ended.expect(0, &["more than 4000 files", "deep: too deep"]);
    let mut names: Vec<String> = fs::read_dir(ended.out.join("out"))
        .expect("a folder")
        .flatten()
        .filter(|entry| entry.path().is_file())
        .map(|entry| entry.file_name().into_string().expect("a plain name"))
        .collect();
    names.sort();
    let long = "x".repeat(120);
    let wanted = [
        "%2e%2e%2f.txt",
        "$(touch x).txt",
        "new[line].txt",
        "back`tick`.txt",
        "\u{fc}n\u{ef}.txt",
        "a;b.txt",
    ];
    for odd in wanted {
        assert!(!names.iter().any(|name| name == odd), "{odd} is no plain name: {names:?}");
    }
    for name in [
        "a_b.txt",
        "a_b-2.txt",
        "-rf",
        ".hidden",
        "plain name.txt",
        "__touch x_.txt",
        "_2e_2e_2f.txt",
        "_n_.txt",
        &long,
    ] {
        assert!(names.iter().any(|found| found == name), "{name}: {names:?}");
    }
    assert!(!Path::new("x").exists(), "nothing ran");
}

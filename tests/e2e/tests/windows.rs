//! `qemu-scripts/windows build` against a stand-in for Windows that somebody else wrote from WINDOWS.md alone
//! (`tests/winstandin`): each way in which an installation ends. `qemu-scripts/test` runs this
//! (`cargo test -- --ignored`).

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use ringwave_e2e::stand_in;
use ringwave_runner::linux::guest::existing_path;
use ringwave_runner::qmp::Qmp;
use ringwave_runner::windows::family::choose;
use ringwave_runner::windows::install::install;
use ringwave_runner::windows::iso::read_editions;
use ringwave_runner::windows::machine::Firmware;
use ringwave_runner::windows::media::{Options, write_files, write_iso};

/// How long a minute of the limits is: an emulated machine on a busy host boots within ten of these.
const MINUTE: Duration = Duration::from_secs(9);
/// The limits are no part of most tests.
const PATIENT: Duration = Duration::from_mins(1);

/// An ISO whose Windows behaves so.
fn iso(folder: &Path, behaviour: &str) -> PathBuf {
    let iso = folder.join("windows.iso");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../winstandin/make-iso");
    let made =
        Command::new(script).args(["--behaviour", behaviour]).arg(&iso).status().expect("make-iso starts");
    assert!(made.success());
    iso
}

/// What an installation came to.
struct Installation {
    done: Result<(), String>,
    told: Vec<String>,
    /// It left its last screen.
    screen: bool,
}

fn installation(behaviour: &str, minute: Duration) -> Installation {
    let folder = tempfile::tempdir().expect("a folder");
    let iso = iso(folder.path(), behaviour);
    let editions = read_editions(&iso).expect("editions");
    let chosen = choose(&editions, Some("Windows Server 2022 SERVERSTANDARD")).expect("an edition");
    let (files, answer) = (folder.path().join("cd"), folder.path().join("answer.iso"));
    let options = Options { inbox_driver: true, ..Options::default() };
    write_files(&files, None, chosen, &options)
        .and_then(|()| write_iso(&files, &answer))
        .expect("an answer CD");
    let out = folder.path().join("windows.qcow2");
    let machine = stand_in::machine(minute);
    let mut told = Vec::new();
    let done = install((&machine, Firmware::Open), 1, [&iso, &answer, &out], |line| {
        println!("{behaviour}: {line}");
        told.push(line.to_owned());
    });
    let done = done.map_err(|error| error.to_string());
    assert_eq!(out.exists(), done.is_ok(), "an image is there when it is whole, and only then");
    let mut screen = false;
    if let Err(why) = &done {
        println!("{behaviour}: {why}");
        let kept = why.rsplit(" are in ").next().map(Path::new).expect("a folder");
        assert!(kept.join("serial.log").exists() && kept.join("windows.qcow2").exists(), "{why}");
        screen = fs::read(kept.join("screen.png")).is_ok_and(|png| png.starts_with(b"\x89PNG"));
    }
    Installation { done, told, screen }
}

/// The first line of why it failed.
fn failure(behaviour: &str) -> String {
    let Installation { done, .. } = installation(behaviour, PATIENT);
    done.expect_err(behaviour).lines().next().unwrap_or_default().to_owned()
}

fn succeeds(behaviour: &str) {
    let Installation { done, told, .. } = installation(behaviour, PATIENT);
    assert_eq!(done, Ok(()), "{behaviour}");
    for stage in ["winpe", "specialize", "logon", "driver", "settings"] {
        assert!(
            told.iter().any(|line| line.ends_with(&format!("stage {stage}"))),
            "{behaviour}: {stage}: {told:?}"
        );
    }
}

/// The program, as a user starts it, installing onto an image in `folder`.
fn start_program(folder: &Path, iso: &Path) -> Child {
    start_program_with(folder, iso, &["--card", "hda"])
}

fn start_program_with(folder: &Path, iso: &Path, more: &[&str]) -> Child {
    let program = existing_path("RINGWAVE_BIN").expect("the programs").with_file_name("ringwave-windows");
    let mut command = Command::new(program);
    command.args(["build", "--disk", "1", "--memory", "512", "--cpus", "1", "--edition", "Windows 11 Pro"]);
    command.arg("--iso").arg(iso).arg("--out").arg(folder.join("windows.qcow2")).args(more);
    command.env("TMPDIR", folder);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn installation_ends_in_an_image_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let iso = iso(folder.path(), "plain");
    let done = start_program(folder.path(), &iso).wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(0), "{said}");
    assert!(said.contains("stage settings") && said.contains("Windows restarts: "), "{said}");
    let mut left: Vec<_> =
        fs::read_dir(folder.path()).expect("read").flatten().map(|entry| entry.file_name()).collect();
    left.sort();
    assert_eq!(left, ["windows.iso", "windows.qcow2"]);
    let again = start_program(folder.path(), &iso).wait_with_output().expect("it ends");
    assert_eq!(again.status.code(), Some(2), "an image that is there is not written over");
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn step_that_fails_is_named_with_its_stage_and_its_code() {
    let why = failure("problem");
    assert!(why.contains("in stage driver") && why.contains("exit code 259"), "{why}");
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn secure_boot_starts_no_cd_that_nobody_signed_and_takes_no_driver_of_ours() {
    let folder = tempfile::tempdir().expect("a folder");
    let iso = iso(folder.path(), "plain");
    let wait = |card| {
        let program = start_program_with(folder.path(), &iso, &["--card", card, "--secure-boot"]);
        let done = program.wait_with_output().expect("it ends");
        (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    for card in ["ringwave", "virtio"] {
        let (code, said) = wait(card);
        assert!(
            code == Some(2) && said.contains("test certificate") && said.contains("--card hda"),
            "{said}"
        );
    }
    let (code, said) = wait("hda");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("windows: Secure Boot: the firmware refuses to start the CD"), "{said}");
    assert!(!folder.path().join("windows.qcow2").exists());
}

/// Programs whose folder is below this one.
fn programs_in(folder: &Path) -> Vec<PathBuf> {
    let processes = fs::read_dir("/proc").expect("/proc").flatten().map(|entry| entry.path());
    processes
        .filter(|process| fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder)))
        .collect()
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn tpm_is_in_the_machine_and_ends_with_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let iso = iso(folder, "plain");
    let socket = folder.join("second.sock");
    let monitor = format!("unix:{},server=on,wait=off", socket.display());
    let program = start_program_with(folder, &iso, &["--card", "hda", "--tpm", "--", "-qmp", &monitor]);
    let begin = Instant::now();
    while !socket.exists() {
        assert!(begin.elapsed() < Duration::from_mins(1), "QEMU does not start");
        thread::sleep(Duration::from_millis(20));
    }
    let mut qmp = Qmp::connect(&socket).expect("a second monitor");
    let tpm = qmp.command("query-tpm", &serde_json::json!({})).expect("it is asked");
    let programs = programs_in(folder);
    drop(qmp);
    // To its end first: what a failed test leaves running would stay.
    let done = program.wait_with_output().expect("it ends");
    assert_eq!(tpm[0]["model"], "tpm-tis", "{tpm}");
    assert_eq!(tpm[0]["options"]["type"], "emulator", "{tpm}");
    assert_eq!(programs.len(), 1, "swtpm");
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(programs_in(folder).is_empty(), "swtpm goes on");
    let mut left: Vec<_> =
        fs::read_dir(folder).expect("read").flatten().map(|entry| entry.file_name()).collect();
    left.sort();
    assert_eq!(left, ["windows.iso", "windows.qcow2"]);
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test --long"]
fn in_long_every_way_to_succeed() {
    for behaviour in ["no-key-needed", "ask-again", "garbage", "thrice"] {
        succeeds(behaviour);
    }
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test --long"]
fn in_long_every_way_to_fail_is_named() {
    for (behaviour, wanted) in [
        ("wrong-code:7", "gave up in stage settings with exit code 7"),
        ("no-done", "turned itself off in stage settings"),
        ("loop", "again and again in stage specialize"),
        ("panic", "crashed in stage driver"),
        ("skip-stage", "driver was left out"),
        ("bad-line:done-text", "no line of the protocol"),
        ("bad-line:unknown-stage", "no line of the protocol"),
        ("full-disk", "exit code 112"),
        ("missing-file", "exit code 2"),
    ] {
        let why = failure(behaviour);
        assert!(why.contains(wanted), "{behaviour}: {why}");
    }
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test --long"]
fn in_long_guest_that_hangs_leaves_its_last_screen() {
    for (behaviour, wanted) in
        [("hang:logon", "stage driver did not begin within"), ("problem-alone", "exit code 5")]
    {
        let Installation { done, screen, .. } = installation(behaviour, MINUTE);
        let why = done.expect_err(behaviour);
        assert!(why.contains(wanted), "{behaviour}: {why}");
        assert!(screen, "{behaviour}");
    }
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test --long"]
fn in_long_who_interrupts_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let iso = iso(folder.path(), "hang:winpe");
    let mut program = start_program(folder.path(), &iso);
    let mut lines = BufReader::new(program.stderr.take().expect("its stderr")).lines();
    assert!(lines.any(|line| line.is_ok_and(|line| line.ends_with("stage winpe"))));
    let kill = Command::new("kill").args(["-INT", &program.id().to_string()]).status().expect("kill");
    assert!(kill.success());
    assert_eq!(program.wait().expect("it ends").code(), Some(130));
    let left = fs::read_dir(folder.path()).expect("read").count();
    assert_eq!(left, 1, "the ISO");
}

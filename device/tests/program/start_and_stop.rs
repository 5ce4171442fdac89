//! `ringwave serve` starts or says why it does not, and ends, in time, whatever its files are: FIFOs without
//! the other end, readers that leave, files that may not grow, files that vanish.

use crate::{guest, scheduled};
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::guest::{Guest, Setup};
use crate::serving::Serving;
use ringwave_regs::stream;

/// A start that cannot succeed says so sooner, and an end takes no longer.
const PROMPT: Duration = Duration::from_secs(2);

fn fifo(dir: &Path, name: &str) {
    assert!(Command::new("mkfifo").arg(dir.join(name)).status().unwrap().success());
}

fn serve(dir: &Path, arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringwave"));
    command.args(["serve", "--socket", "card.sock"]).args(arguments).current_dir(dir);
    command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// How it ended, within this time; or it is killed, and the test fails.
fn wait_for_exit(mut child: Child, patience: Duration, what: &str) -> Output {
    if scheduled::ended_within(&mut child, patience).is_none() {
        child.kill().unwrap();
        panic!("{what}: it hangs: {:?}", child.wait_with_output().unwrap());
    }
    child.wait_with_output().unwrap()
}

#[test]
fn fifo_that_nobody_reads_is_an_error_at_the_start() {
    for option in [["--stats", "fifo"], ["--trace", "fifo"], ["--sink", "wav:fifo"], ["--sink", "raw:fifo"]] {
        let dir = tempfile::tempdir().unwrap();
        fifo(dir.path(), "fifo");
        let output = wait_for_exit(serve(dir.path(), &option), PROMPT, option[0]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{option:?}: {said}");
        assert!(said.contains("fifo"), "{said}");
        assert!(!dir.path().join("card.sock").exists());
    }
}

#[test]
fn source_that_never_comes_is_an_error_and_a_signal_ends_the_wait() {
    let dir = tempfile::tempdir().unwrap();
    fifo(dir.path(), "fifo");
    let child = serve(dir.path(), &["--source", "wav:fifo"]);
    // It waits for its source: as soon as there is the socket signals are taken.
    let begin = Instant::now();
    while !dir.path().join("card.sock").exists() {
        assert!(begin.elapsed() < guest::PATIENCE);
        std::thread::sleep(Duration::from_millis(2));
    }
    std::thread::sleep(Duration::from_millis(200));
    // SAFETY: the child is ours and was not waited for, so its id is its own.
    assert_eq!(unsafe { libc::kill(child.id().cast_signed(), libc::SIGTERM) }, 0);
    let output = wait_for_exit(child, PROMPT, "SIGTERM while a source is awaited");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(!dir.path().join("card.sock").exists());

    let output =
        wait_for_exit(serve(dir.path(), &["--source", "wav:fifo"]), Duration::from_secs(15), "no writer");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("fifo"), "{said}");
}

/// The reading end of a FIFO, without waiting for a writer.
fn reader(path: &Path) -> std::fs::File {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).unwrap()
}

fn play_a_little(dir: &Path) {
    let mut guest = Guest::connect(&dir.join("card.sock"));
    guest.set_up(Setup::USUAL);
    guest.stream_write(stream::WRITTEN, 3);
    guest.stream_write(stream::STATE, stream::STATE_RUN);
    guest.wait_packets(3);
    guest.stream_write(stream::STATE, stream::STATE_STOP);
}

#[test]
fn readers_that_leave_take_nothing_with_them() {
    for option in [["--stats", "fifo"], ["--trace", "fifo"], ["--sink", "wav:fifo"], ["--sink", "raw:fifo"]] {
        let dir = tempfile::tempdir().unwrap();
        fifo(dir.path(), "fifo");
        let there = reader(&dir.path().join("fifo"));
        let mut serving = Serving::start(dir.path(), &[&option[..], &["--speed", "20"]].concat());
        drop(there);
        for _ in 0..2 {
            play_a_little(dir.path());
        }
        // The second one is there only when the first one's files were dealt with.
        drop(Guest::connect(&dir.path().join("card.sock")));
        serving.signal(libc::SIGTERM);
        let code = scheduled::ended_within(&mut serving.child, PROMPT).expect(option[0]).code();
        let named = if option[0] == "--trace" { "the trace ends here" } else { "fifo" };
        assert!(!serving.said(named).is_empty(), "{option:?}: it is told: {:?}", serving.said(""));
        // What was heard and could not be written is a failure of the process; figures and traces are not
        // what it is for.
        assert_eq!(code, Some(i32::from(option[0] == "--sink")), "{option:?}");
    }
}

#[test]
fn reader_of_the_trace_that_never_reads_holds_nothing_up() {
    let dir = tempfile::tempdir().unwrap();
    fifo(dir.path(), "fifo");
    let _there = reader(&dir.path().join("fifo"));
    let mut serving =
        Serving::start(dir.path(), &["--trace", "fifo", "--speed", "20", "--sink", "wav:heard.wav"]);
    let mut guest = Guest::connect(&dir.path().join("card.sock"));
    // More than a pipe holds (64 KiB).
    for _ in 0..4000 {
        guest.read(0);
    }
    drop(guest);
    play_a_little(dir.path());
    drop(Guest::connect(&dir.path().join("card.sock")));
    assert!(dir.path().join("heard.wav").exists(), "sound goes on");
    serving.wait_for("the trace ends here", 1);
    serving.signal(libc::SIGTERM);
    assert_eq!(scheduled::ended_within(&mut serving.child, PROMPT).and_then(|status| status.code()), Some(0));
}

#[test]
fn file_that_may_not_grow_is_an_error_of_the_sink() {
    let dir = tempfile::tempdir().unwrap();
    let script = "ulimit -f 1024; exec \"$0\" serve --socket card.sock --sink wav:heard.wav --speed 20";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_ringwave")]).current_dir(dir.path());
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    // The pages of BAR 2 are a file, too, of 256 KiB; this is three times the 512 KiB (or 1 MiB, as the shell
    // counts) that a file may have.
    let mut guest = Guest::connect(&dir.path().join("card.sock"));
    guest.set_up(Setup::USUAL);
    guest.stream_write(stream::WRITTEN, 400);
    guest.stream_write(stream::STATE, stream::STATE_RUN);
    guest.wait_packets(400);
    drop(guest);
    drop(Guest::connect(&dir.path().join("card.sock")));
    // SAFETY: the child is ours and was not waited for, so its id is its own.
    assert_eq!(unsafe { libc::kill(child.id().cast_signed(), libc::SIGTERM) }, 0);
    let output = wait_for_exit(child, PROMPT, "a file that may not grow");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{:?}: {said}", output.status);
    assert!(said.contains("cannot write heard.wav"), "{said}");
}

#[test]
fn sink_that_vanishes_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut serving = Serving::start(dir.path(), &["--sink", "wav:heard.wav", "--speed", "20"]);
    let mut guest = Guest::connect(&dir.path().join("card.sock"));
    guest.set_up(Setup::USUAL);
    guest.stream_write(stream::WRITTEN, 40);
    guest.stream_write(stream::STATE, stream::STATE_RUN);
    guest.wait_packets(2);
    let begin = Instant::now();
    while std::fs::remove_file(dir.path().join("heard.wav")).is_err() {
        assert!(begin.elapsed() < guest::PATIENCE);
        std::thread::sleep(Duration::from_millis(5));
    }
    guest.wait_packets(30);
    drop(guest);
    serving.wait_for("heard.wav", 1);
    serving.signal(libc::SIGTERM);
    assert_eq!(serving.wait_for_exit().code(), Some(1), "not all that was heard is in its file");
    let mut said = String::new();
    for line in serving.said("") {
        said.push_str(&line);
    }
    assert!(said.contains("removed"), "{said}");
}

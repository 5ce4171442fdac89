//! A log that nobody reads: `ringwave serve` goes on, and says afterwards how many lines are missing.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Instant;

use crate::guest::{Guest, PATIENCE, Setup, piece, wav_bytes};
use ringwave_regs::global;

/// Each is a line of the log; far more than a pipe and the card's queue of lines hold.
const READS: usize = 20_000;

#[test]
fn log_that_is_not_read_holds_up_neither_messages_nor_sound() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringwave"));
    command.args(["-vv", "serve", "--socket", "card.sock", "--once", "--sink", "wav:heard.wav"]);
    command.args(["--clock", "lockstep", "--speed", "20"]).current_dir(dir.path());
    let mut serving = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut guest = Guest::connect(&dir.path().join("card.sock"));
    let begin = Instant::now();
    // A card that is held up would hold the test up, too.
    let (done, waited) = mpsc::channel::<()>();
    let pid = serving.id().to_string();
    let watchdog = std::thread::spawn(move || {
        if waited.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
            let _ = Command::new("kill").arg("-KILL").arg(pid).status();
        }
    });
    for _ in 0..READS {
        assert_eq!(guest.read(global::MAGIC), global::MAGIC_VALUE);
    }
    let samples = piece(&dir.path().join("tune.wav"), 48_000, 2);
    guest.play(Setup::USUAL, &samples);
    drop(guest);
    drop(done);
    watchdog.join().unwrap();
    assert!(begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());

    let log = BufReader::new(serving.stderr.take().unwrap());
    let missing: Vec<usize> = log
        .lines()
        .map(Result::unwrap)
        .filter_map(|line| {
            let count =
                line.strip_prefix("ringwave: warn: ")?.strip_suffix(" are missing here: it was not read")?;
            count.split(' ').next()?.parse().ok()
        })
        .collect();
    assert!(missing.iter().sum::<usize>() > READS / 4, "{missing:?}");
    assert_eq!(serving.wait().unwrap().code(), Some(0));
    assert_eq!(wav_bytes(&dir.path().join("heard.wav")), samples);
}

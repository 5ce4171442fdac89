//! A sink that fails, hangs or is killed: what the guest, the next guest, the figures, the exit code and the
//! file say of it.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use crate::guest::{DmaMode, Guest, PATIENCE, Setup, wav_bytes};
use ringwave_regs::error::Error;
use ringwave_regs::{pages, stream};

const SETUP: Setup = Setup { mode: DmaMode::Contiguous, ..Setup::USUAL };
/// What a file can hold in [`Serving::on_a_full_disk`]: the card's own pages (a memfd) just fit.
const DISK: usize = ringwave_regs::pci::PAGES_BYTES as usize;

/// `ringwave serve`, ready.
struct Serving {
    child: Child,
    log: BufReader<ChildStderr>,
}

impl Serving {
    fn start(dir: &Path, arguments: &[&str]) -> Self {
        Self::by(Command::new(env!("CARGO_BIN_EXE_ringwave")), dir, arguments)
    }

    /// No file can grow beyond [`DISK`].
    fn on_a_full_disk(dir: &Path, arguments: &[&str]) -> Self {
        let mut shell = Command::new("sh");
        // dash counts in blocks of 512 bytes, bash that is called as sh too (it is in POSIX mode then).
        let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", DISK / 512);
        shell.arg("-c").arg(script).arg(env!("CARGO_BIN_EXE_ringwave"));
        Self::by(shell, dir, arguments)
    }

    fn by(mut command: Command, dir: &Path, arguments: &[&str]) -> Self {
        command
            .args(["serve", "--socket", "card.sock", "--clock", "lockstep"])
            .args(arguments)
            .current_dir(dir);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("listening on") {
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "it ended before it listened");
        }
        Self { child, log }
    }

    fn signal(&self, signal: libc::c_int) {
        let pid = libc::pid_t::try_from(self.child.id()).unwrap();
        // SAFETY: the child is ours and was not waited for, so its id is its own.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    }

    /// Its exit code (`None`: killed), and what it has logged.
    fn wait_for_exit(mut self) -> (Option<i32>, String) {
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begin.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        };
        let mut log = String::new();
        self.log.read_to_string(&mut log).unwrap();
        (status.code(), log)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Bytes of packets 0, 1, ...: no two packets are alike.
fn music(packets: u32) -> Vec<u8> {
    let numbers = (0..packets * SETUP.packet / 2 * 2).map(|frame| frame | 0x1000_0000);
    numbers.flat_map(u32::to_le_bytes).collect()
}

/// Plays packets `from..to`; the stream is in RUN, or is brought there with the first.
fn play(guest: &mut Guest, music: &[u8], from: u32, to: u32) {
    let bytes = SETUP.packet_bytes();
    for n in from..to {
        guest.wait_packets(n.saturating_sub(1));
        let at = n as usize * bytes;
        guest.fill(SETUP.mode, u64::from(n % 2) * bytes as u64, &music[at..at + bytes]);
        guest.stream_write(stream::WRITTEN, n);
        if n == 0 {
            guest.stream_write(stream::STATE, stream::STATE_RUN);
        }
    }
    guest.wait_packets(to);
}

fn stats(dir: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(dir.join("stats.json")).unwrap()).unwrap()
}

#[test]
fn sound_that_was_lost_is_said_by_the_guests_error_the_figures_and_the_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let options = ["--sink", "wav:heard.wav", "--stats", "stats.json", "--speed", "20", "--once"];
    let serving = Serving::on_a_full_disk(dir.path(), &options);
    let music = music(40);
    let mut guest = Guest::connect(&dir.path().join("card.sock"));
    guest.set_up(SETUP);
    play(&mut guest, &music, 0, 40);
    let begin = Instant::now();
    while guest.status32(pages::status::ERROR) != Error::Host.code() {
        assert!(begin.elapsed() < PATIENCE, "the guest is not told");
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(guest);
    let (code, log) = serving.wait_for_exit();
    assert_eq!(code, Some(1), "{log}");
    assert!(
        log.lines().last().unwrap().starts_with("ringwave: not all that was heard is in its file"),
        "{log}"
    );
    assert_eq!(log.matches("stream 0: cannot write heard.wav").count(), 1, "{log}");
    assert_eq!(stats(dir.path())["streams"][0]["sink_failed"], true);
    // What is in the file is what was played first, and the file is a WAV file.
    let heard = wav_bytes(&dir.path().join("heard.wav"));
    assert!(heard.len() < DISK && music.starts_with(&heard), "{}", heard.len());
}

#[test]
fn failure_that_shows_when_the_client_has_left_is_not_the_next_clients() {
    let dir = tempfile::tempdir().unwrap();
    let options = ["--sink", "wav:heard.wav", "--stats", "stats.json", "--speed", "20"];
    let serving = Serving::on_a_full_disk(dir.path(), &options);
    let music = music(40);
    let socket = dir.path().join("card.sock");
    // The last bytes are still in the process when the client leaves: 34 packets are 258,400 bytes, and
    // another one is too many.
    let mut guest = Guest::connect(&socket);
    guest.set_up(SETUP);
    play(&mut guest, &music, 0, 35);
    drop(guest);
    let mut guest = Guest::connect(&socket);
    assert_eq!(guest.stream_read(stream::ERROR), 0, "a fresh card");
    assert_eq!(guest.status32(pages::status::ERROR), 0);
    assert_eq!(stats(dir.path())["streams"][0]["sink_failed"], true, "it was the first client's");
    // This one's is its own.
    guest.set_up(SETUP);
    play(&mut guest, &music, 0, 2);
    assert_eq!(guest.stream_read(stream::ERROR), 0);
    drop(guest);
    let mut guest = Guest::connect(&socket);
    assert_eq!(stats(dir.path())["streams"][0]["sink_failed"], false);
    assert_eq!(wav_bytes(&dir.path().join("heard-2.wav")), music[..2 * SETUP.packet_bytes()]);
    guest.set_up(SETUP);
    play(&mut guest, &music, 0, 40);
    serving.signal(libc::SIGTERM);
    assert_eq!(serving.wait_for_exit().0, Some(1));
}

#[test]
fn sink_that_hangs_is_given_up_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo.wav");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    // A reader that never reads.
    let _reader = std::fs::OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
    let serving = Serving::start(dir.path(), &["--sink", "wav:fifo.wav", "--speed", "100"]);
    let mut guest = Guest::connect(&dir.path().join("card.sock"));
    guest.set_up(SETUP);
    guest.stream_write(stream::WRITTEN, 100);
    guest.stream_write(stream::STATE, stream::STATE_RUN);
    guest.wait_packets(101);
    serving.signal(libc::SIGTERM);
    let (code, log) = serving.wait_for_exit();
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("the sink has taken nothing for 8 s"), "{log}");
    assert!(!dir.path().join("card.sock").exists());
}

#[test]
fn killed_server_leaves_a_wav_file_from_the_first_frame_on() {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(dir.path(), &["--sink", "wav:heard.wav", "--speed", "20"]);
    let music = music(2);
    let mut guest = Guest::connect(&dir.path().join("card.sock"));
    guest.set_up(SETUP);
    play(&mut guest, &music, 0, 1);
    let heard = dir.path().join("heard.wav");
    let begin = Instant::now();
    // Long before it is written out for the first time, half a second later.
    while !heard.exists() {
        assert!(begin.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(20));
    serving.signal(libc::SIGKILL);
    assert_eq!(serving.wait_for_exit().0, None);
    assert!(music.starts_with(&wav_bytes(&heard)));
}

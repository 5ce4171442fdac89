//! How `ringwave serve` ends by a signal: whatever a client is in the middle of, with whole files, without
//! its socket, and in time.

use crate::scheduled;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::guest::{Guest, Setup, piece, wav_bytes};
use ringwave_regs::stream;

/// An end by a signal takes no longer, if nothing hangs.
const PROMPT: Duration = Duration::from_secs(1);

struct Serving {
    child: Child,
    log: BufReader<ChildStderr>,
}

impl Serving {
    fn start(dir: &Path, before: &str, arguments: &[&str]) -> Self {
        let script = format!("{before} exec \"$0\" serve --socket card.sock --clock lockstep \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_ringwave")]).args(arguments);
        // Whoever runs the tests under nohup has SIGHUP ignored, and a child inherits that: the card would
        // rightly go on. SAFETY: signal is async-signal-safe and touches no memory of ours.
        unsafe {
            command.pre_exec(|| match libc::signal(libc::SIGHUP, libc::SIG_DFL) {
                libc::SIG_ERR => Err(std::io::Error::last_os_error()),
                _ => Ok(()),
            });
        }
        let mut child = command.current_dir(dir).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("listening on card.sock") {
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "it ended before it listened");
        }
        Self { child, log }
    }

    fn signal(&self, signal: libc::c_int) {
        // SAFETY: the child is ours and was not waited for, so its id is its own.
        assert_eq!(unsafe { libc::kill(self.child.id().cast_signed(), signal) }, 0);
    }

    /// How it ended, which must be within this time.
    fn wait_for_exit(&mut self, patience: Duration) -> ExitStatus {
        scheduled::ended_within(&mut self.child, patience).expect("it does not end")
    }

    fn said(&mut self) -> String {
        let mut said = String::new();
        self.log.read_to_string(&mut said).unwrap();
        said
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn in_whatever_a_client_is_in_the_middle_of() {
    type Client = fn(&Path) -> Box<dyn std::any::Any>;
    let clients: [(&str, Client); 5] = [
        ("nobody", |_| Box::new(())),
        ("connected and silent", |path| Box::new(UnixStream::connect(path).unwrap())),
        ("in the middle of a message", |path| {
            let mut client = UnixStream::connect(path).unwrap();
            client.write_all(b"\x01\x00\x01\x00\x40\x00").unwrap();
            Box::new(client)
        }),
        ("one that sends and never reads the replies", |path| {
            let mut client = UnixStream::connect(path).unwrap();
            client.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
            let version = b"\x01\x00\x01\x00\x14\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00";
            let info = b"\x02\x00\x04\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";
            client.write_all(version).unwrap();
            while client.write_all(info).is_ok() {}
            Box::new(client)
        }),
        ("a second one that waits", |path| {
            Box::new((Guest::connect(path), UnixStream::connect(path).unwrap()))
        }),
    ];
    for (name, client) in clients {
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
            let dir = tempfile::tempdir().unwrap();
            let mut serving = Serving::start(dir.path(), "", &[]);
            let client = client(&dir.path().join("card.sock"));
            serving.signal(signal);
            assert_eq!(serving.wait_for_exit(PROMPT).code(), Some(0), "{name}, signal {signal}");
            assert!(!dir.path().join("card.sock").exists(), "{name}");
            assert!(serving.said().contains("ended by a signal"), "{name}");
            drop(client);
        }
    }
}

#[test]
fn in_the_middle_of_a_stream_with_what_was_heard_so_far() {
    let dir = tempfile::tempdir().unwrap();
    let music = piece(&dir.path().join("played.wav"), 48_000, 2);
    let mut serving = Serving::start(dir.path(), "", &["--sink", "wav:heard.wav", "--stats", "stats.json"]);
    let mut guest = Guest::connect(&dir.path().join("card.sock"));
    let setup = Setup::USUAL;
    guest.set_up(setup);
    guest.give_packet(setup, &music, 0);
    guest.stream_write(stream::STATE, stream::STATE_RUN);
    guest.wait_packets(1);
    guest.give_packet(setup, &music, 1);
    // It moves: real time, in the middle of packet 1.
    std::thread::sleep(Duration::from_millis(15));
    serving.signal(libc::SIGTERM);
    assert_eq!(serving.wait_for_exit(PROMPT).code(), Some(0));
    let heard = wav_bytes(&dir.path().join("heard.wav"));
    let packet = setup.packet_bytes();
    assert!(heard.len() >= packet && heard.len() <= 2 * packet, "{} bytes", heard.len());
    assert_eq!(heard, music[..heard.len()]);
    let stats: serde_json::Value =
        serde_json::from_slice(&std::fs::read(dir.path().join("stats.json")).unwrap()).unwrap();
    assert!(stats["streams"][0]["frames"].as_u64().unwrap() >= 1_900);
    let gone = guest.client.region_read(0, 0, &mut [0; 4]);
    assert!(gone.is_err(), "and the client is told: {gone:?}");
}

#[test]
fn second_signal_ends_it_at_once_whatever_hangs() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    // A reader that never reads: a write of more than the pipe holds (64 KiB) waits for ever.
    let _reader = std::fs::OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
    let mut serving = Serving::start(dir.path(), "", &["--sink", "wav:fifo", "--speed", "100"]);
    let mut guest = Guest::connect(&dir.path().join("card.sock"));
    guest.set_up(Setup::USUAL);
    guest.stream_write(stream::WRITTEN, 200);
    guest.stream_write(stream::STATE, stream::STATE_RUN);
    guest.wait_packets(201);
    serving.signal(libc::SIGTERM);
    std::thread::sleep(Duration::from_millis(500));
    assert!(serving.child.try_wait().unwrap().is_none(), "the first one waits for the sink");
    serving.signal(libc::SIGTERM);
    let status = serving.wait_for_exit(PROMPT);
    assert_eq!((status.code(), status.signal()), (Some(1), None), "not everything is in its file");
    assert!(!dir.path().join("card.sock").exists());
}

#[test]
fn nohup_means_it_and_a_background_shell_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let mut serving = Serving::start(dir.path(), "trap '' HUP INT;", &[]);
    serving.signal(libc::SIGHUP);
    std::thread::sleep(Duration::from_millis(300));
    assert!(serving.child.try_wait().unwrap().is_none());
    serving.signal(libc::SIGINT);
    assert_eq!(serving.wait_for_exit(PROMPT).code(), Some(0));
}

//! The program `ringwave` as a user runs it: what it says, what it exits with, what it leaves behind.

use crate::guest;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::guest::{DmaMode, Guest, Setup, piece, wav_bytes};
use ringwave_regs::stream;

fn ringwave(arguments: &[&str], dir: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringwave")).args(arguments).current_dir(dir).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

/// `ringwave serve`, ready.
struct Serving {
    child: Child,
    /// What it logs after it listened.
    log: Arc<Mutex<String>>,
}

impl Serving {
    fn start(dir: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringwave"));
        command
            .args(["serve", "--socket", "card.sock", "--clock", "lockstep"])
            .args(arguments)
            .current_dir(dir);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("listening on card.sock") {
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "it ended before it listened");
        }
        let collected = Arc::new(Mutex::new(String::new()));
        let (log, lines) = (Arc::clone(&collected), log.lines());
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                collected.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        Self { child, log }
    }

    fn signal(&self, signal: libc::c_int) {
        let pid = libc::pid_t::try_from(self.child.id()).unwrap();
        // SAFETY: the child is ours and was not waited for, so its id is its own.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    }

    /// Its exit code.
    fn wait_for_exit(mut self) -> i32 {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap();
            }
            assert!(begin.elapsed() < guest::PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn help_teaches_and_wrong_usage_is_2() {
    let dir = tempfile::tempdir().unwrap();
    let help = ringwave(&["--help"], dir.path());
    assert_eq!(code(&help), 0);
    for taught in ["ringwave serve --socket", "share=on", "vfio-user-pci", "ringwave compare", "Exit codes"] {
        assert!(text(&help.stdout).contains(taught), "{taught} in\n{}", text(&help.stdout));
    }
    for command in ["serve", "compare", "tone", "trace", "control"] {
        let help = ringwave(&[command, "--help"], dir.path());
        assert_eq!(code(&help), 0);
        assert!(text(&help.stdout).contains(&format!("  ringwave {command} ")), "an example for {command}");
    }
    for wrong in [
        &[][..],
        &["serve"],
        &["serve", "--socket", "s", "--sink", "mp3:x"],
        &["serve", "--socket", "s", "--vendor", "0xffff"],
        &["serve", "--socket", "s", "--speed", "0"],
        &["tone", "x.wav", "--channels", "9"],
    ] {
        assert_eq!(code(&ringwave(wrong, dir.path())), 2, "{wrong:?}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "and nothing was made");
}

/// What a host lacks depends on the host; that each thing is looked at, and what is missing counts, does not.
#[test]
fn doctor_looks_at_everything_and_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    // A folder in which qemu-scripts/setup has fetched no QEMU.
    let nothing = Command::new(env!("CARGO_BIN_EXE_ringwave"))
        .args(["doctor", "--qemu", "./no-qemu", "--socket", "no/card.sock"])
        .current_dir(dir.path())
        .env("RINGWAVE_CACHE", dir.path())
        .output()
        .unwrap();
    let said = text(&nothing.stdout);
    assert_eq!(code(&nothing), 1, "{said}");
    for expected in [
        "missing QEMU: no program ./no-qemu\n        install qemu-system-x86",
        "missing socket no/card.sock",
        "KVM",
        "machine",
        "memory files",
        "priority: ",
        "sound: ",
        "sandbox: ",
        " things are missing",
    ] {
        assert!(said.contains(expected), "{expected} is not in {said}");
    }
}

#[test]
fn what_libvirt_needs_is_printed_and_a_domain_that_lacks_it_is_1() {
    let dir = tempfile::tempdir().unwrap();
    let printed = ringwave(&["libvirt", "--card", "hda", "--socket", "/run/a.sock"], dir.path());
    assert_eq!(code(&printed), 0);
    assert!(text(&printed.stdout).contains(r#""path":"/run/a.sock""#), "{}", text(&printed.stdout));
    std::fs::write(dir.path().join("good.xml"), &printed.stdout).unwrap();
    let good = ringwave(&["libvirt", "good.xml", "--card", "hda"], dir.path());
    assert_eq!((code(&good), text(&good.stdout).matches("ok ").count()), (0, 2), "{}", text(&good.stdout));
    std::fs::write(dir.path().join("bad.xml"), text(&printed.stdout).replace("shared", "private")).unwrap();
    let bad = ringwave(&["libvirt", "bad.xml"], dir.path());
    assert_eq!(code(&bad), 1);
    assert!(text(&bad.stdout).contains("missing memory: not shared"), "{}", text(&bad.stdout));
    let none = ringwave(&["libvirt", "no-such-domain"], dir.path());
    assert_eq!((code(&none), text(&none.stderr).lines().count()), (2, 1), "{}", text(&none.stderr));
    assert_eq!(code(&ringwave(&["libvirt", "--socket", "/a'b.sock"], dir.path())), 2);
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let made = ringwave(&["completions", shell], dir.path());
        assert_eq!(code(&made), 0);
        assert!(
            text(&made.stdout).contains("serve") && text(&made.stdout).contains("max-underruns"),
            "{shell}"
        );
    }
    assert_eq!(code(&ringwave(&["man", "."], dir.path())), 0);
    let page = std::fs::read_to_string(dir.path().join("ringwave-serve.1")).unwrap();
    assert!(page.contains(".SH OPTIONS") && page.contains("sandbox"), "{page}");
    assert!(dir.path().join("ringwave.1").exists() && !dir.path().join("ringwave-man.1").exists());
    assert_eq!(code(&ringwave(&["man", "no/folder"], dir.path())), 2);
}

#[test]
fn compare_tells_what_differs() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let write = |name: &str, rate: u32, samples: &[i16]| {
        let spec = hound::WavSpec {
            channels: 2,
            sample_rate: rate,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(at(name), spec).unwrap();
        for sample in samples {
            writer.write_sample(*sample).unwrap();
        }
        writer.finalize().unwrap();
    };
    write("a.wav", 48_000, &[100, -100, 200, -16384, 300, -300]);
    write("same.wav", 48_000, &[100, -100, 200, -16384, 300, -300]);
    write("flipped.wav", 48_000, &[100, -100, 200, -16383, 300, -301]);
    write("short.wav", 48_000, &[100, -100, 200, -16384]);
    write("rate.wav", 44_100, &[100, -100, 200, -16384, 300, -300]);
    write("silent.wav", 48_000, &[0; 6]);
    std::fs::write(at("text.wav"), "this is not music").unwrap();
    let whole = std::fs::read(at("a.wav")).unwrap();
    std::fs::write(at("cut.wav"), &whole[..whole.len() - 3]).unwrap();

    for (b, exit, says) in [
        ("same.wav", 0, "verdict    bit-exact"),
        ("same.wav", 0, "peak       -6.0 dBFS"),
        ("same.wav", 0, "format     16-bit, stereo, 48000 Hz"),
        ("flipped.wav", 1, "first difference at frame 1 channel 1: a=-16384 b=-16383"),
        ("short.wav", 1, "lengths differ: 3 and 2 frames after bit-exact prefix of 2"),
        ("rate.wav", 1, "formats differ"),
        ("silent.wav", 1, "RMS        -inf dBFS"),
    ] {
        let output = ringwave(&["compare", "a.wav", b], dir.path());
        assert_eq!(code(&output), exit, "{b}");
        assert!(text(&output.stdout).contains(says), "{b}: {says} in\n{}", text(&output.stdout));
    }
    for bad in ["text.wav", "cut.wav", "absent.wav"] {
        for pair in [["a.wav", bad], [bad, "a.wav"]] {
            let output = ringwave(&["compare", pair[0], pair[1]], dir.path());
            assert_eq!(code(&output), 2, "{pair:?}");
            let error = text(&output.stderr);
            assert!(error.lines().count() == 1 && error.contains(bad), "one line that names it: {error}");
        }
    }
    let json = ringwave(&["compare", "a.wav", "flipped.wav", "--json"], dir.path());
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["verdict"]["different"]["frame"], 1);
    assert_eq!(json["frames"], serde_json::json!([3, 3]));
}

#[test]
fn tone_makes_a_piece_that_is_the_same_every_time() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a.wav", "b.wav"] {
        let made =
            ringwave(&["tone", name, "--seconds", "2", "--rate", "44100", "--channels", "1"], dir.path());
        assert_eq!(code(&made), 0);
    }
    let compared = ringwave(&["compare", "a.wav", "b.wav"], dir.path());
    assert_eq!(code(&compared), 0);
    assert!(text(&compared.stdout).contains("frames     88200 and 88200"));
    assert_eq!(code(&ringwave(&["tone", "/nonexistent/x.wav"], dir.path())), 2);
}

#[test]
fn signal_leaves_whole_files_and_no_socket() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let dir = tempfile::tempdir().unwrap();
        let serving = Serving::start(
            dir.path(),
            &["--sink", "wav:heard.wav", "--speed", "20", "--stats", "stats.json", "--trace", "trace.txt"],
        );
        let music = piece(&dir.path().join("played.wav"), 48_000, 2);
        let mut guest = Guest::connect(&dir.path().join("card.sock"));
        let setup = Setup { mode: DmaMode::Contiguous, ..Setup::USUAL };
        guest.set_up(setup);
        guest.give_packet(setup, &music, 0);
        guest.give_packet(setup, &music, 1);
        guest.stream_write(stream::STATE, stream::STATE_RUN);
        guest.wait_packets(2);
        serving.signal(signal);
        assert_eq!(serving.wait_for_exit(), 0);
        assert!(!dir.path().join("card.sock").exists());
        assert_eq!(wav_bytes(&dir.path().join("heard.wav")), music[..2 * setup.packet_bytes()]);
        let stats = std::fs::read(dir.path().join("stats.json")).unwrap();
        let stats: serde_json::Value = serde_json::from_slice(&stats).unwrap();
        assert_eq!(stats["streams"][0]["packets_completed"], 2);
        let trace = std::fs::read_to_string(dir.path().join("trace.txt")).unwrap();
        assert!(trace.contains(" state 0 run\n") && trace.contains(" dma-read 0 0x400"), "{trace}");
        let made: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(made.len(), 4, "played, heard, figures, trace and nothing else: {made:?}");
    }
}

#[test]
fn once_ends_when_the_first_client_has_left() {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(
        dir.path(),
        &["--once", "--sink", "wav:heard.wav", "--device", "0xbeef", "--speed", "20"],
    );
    // Who only looks is no client.
    drop(std::os::unix::net::UnixStream::connect(dir.path().join("card.sock")).unwrap());
    let music = piece(&dir.path().join("played.wav"), 48_000, 2);
    let mut guest = Guest::connect(&dir.path().join("card.sock"));
    assert_eq!(guest.config_read::<4>(0), [0x34, 0x12, 0xEF, 0xBE]);
    guest.play(Setup::USUAL, &music);
    drop(guest);
    assert_eq!(serving.wait_for_exit(), 0);
    assert!(!dir.path().join("card.sock").exists());
    let compared = ringwave(&["compare", "played.wav", "heard.wav"], dir.path());
    assert_eq!(code(&compared), 0, "{}", text(&compared.stdout));
}

#[test]
fn live_socket_is_refused_and_a_stale_one_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let first = Serving::start(dir.path(), &["--sink", "wav:heard.wav", "--once"]);
    let second = ringwave(&["serve", "--socket", "card.sock", "--sink", "wav:heard.wav"], dir.path());
    assert_eq!(code(&second), 2);
    assert!(text(&second.stderr).contains("socket in use"), "{}", text(&second.stderr));
    let mut guest = Guest::connect(&dir.path().join("card.sock"));
    assert_eq!(guest.read(0), 0x5641_5752, "the first one serves on");
    first.signal(libc::SIGKILL);
    drop(first);
    assert!(dir.path().join("card.sock").exists(), "nobody removed it");
    let third = Serving::start(dir.path(), &[]);
    third.signal(libc::SIGTERM);
    assert_eq!(third.wait_for_exit(), 0);
}

#[test]
fn place_that_cannot_be_written_is_bad_input() {
    let dir = tempfile::tempdir().unwrap();
    for option in
        [["--sink", "wav:/nonexistent/x.wav"], ["--stats", "/nonexistent/x"], ["--trace", "/nonexistent/x"]]
    {
        let output = ringwave(&["serve", "--socket", "card.sock", option[0], option[1]], dir.path());
        assert_eq!(code(&output), 2, "{option:?}");
        assert!(text(&output.stderr).contains("/nonexistent/x"), "{}", text(&output.stderr));
        assert!(!dir.path().join("card.sock").exists());
    }
}

#[test]
fn fifo_that_nobody_reads_is_bad_input_and_no_endless_wait() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let output = ringwave(&["serve", "--socket", "card.sock", "--sink", "wav:fifo"], dir.path());
    assert_eq!(code(&output), 2);
    assert!(text(&output.stderr).contains("fifo"), "{}", text(&output.stderr));
}

#[test]
fn stall_that_lasts_is_named_once() {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(dir.path(), &["--speed", "20"]);
    let mut guest = Guest::connect(&dir.path().join("card.sock"));
    let setup = Setup::USUAL;
    let music = vec![1; setup.packet_bytes() * 4];
    guest.set_up(setup);
    guest.give_packet(setup, &music, 0);
    let begin = Instant::now();
    guest.stream_write(stream::STATE, stream::STATE_RUN);
    guest.wait_packets(1);
    let named = |packet: u32| {
        let line = format!("stream 0 waits for packet {packet}, not WRITTEN for 5 s");
        serving.log.lock().unwrap().matches(&line).count()
    };
    while named(1) == 0 {
        assert!(begin.elapsed() < guest::PATIENCE, "{}", serving.log.lock().unwrap());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(begin.elapsed() >= Duration::from_secs(5), "it has not lasted long enough");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(named(1), 1, "{}", serving.log.lock().unwrap());
    let begin = Instant::now();
    guest.give_packet(setup, &music, 1);
    guest.wait_packets(2);
    // A test that had no processor for 5 s was long enough in giving packet 2.
    assert!(named(2) == 0 || begin.elapsed() >= Duration::from_secs(5));
}

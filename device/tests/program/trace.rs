//! `ringwave serve --trace` and `ringwave trace`, as a user runs them: what happened is in the file, and the
//! command tells it.

use crate::guest;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::guest::{DmaMode, Guest, HALF, Setup};
use ringwave_regs::{error::Error, global, stream};
use serde_json::Value;

const RINGWAVE: &str = env!("CARGO_BIN_EXE_ringwave");

/// `ringwave serve --trace card.trace` in a folder of its own.
struct Traced {
    child: Child,
    dir: tempfile::TempDir,
}

impl Traced {
    fn start(arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new(RINGWAVE);
        command
            .args(["serve", "--socket", "card.sock", "--trace", "card.trace", "--clock", "lockstep"])
            .args(arguments);
        let mut child = command.current_dir(dir.path()).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("listening on") {
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "it ended before it listened");
        }
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self { child, dir }
    }

    fn connect(&self) -> Guest {
        Guest::connect(&self.dir.path().join("card.sock"))
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("card.trace")
    }

    /// Waits for its end and gives the folder.
    fn wait_for_exit(mut self) -> tempfile::TempDir {
        let begin = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(begin.elapsed() < guest::PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
        std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap())
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `ringwave trace`.
fn trace(file: &Path, arguments: &[&str]) -> Output {
    Command::new(RINGWAVE).arg("trace").arg(file).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What it prints; it must be content.
fn told(file: &Path, arguments: &[&str]) -> String {
    let output = trace(file, arguments);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
    text(&output.stdout)
}

/// The events as objects.
fn events(file: &Path, arguments: &[&str]) -> Vec<Value> {
    let json = told(file, &[&["--json"], arguments].concat());
    json.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn kind(event: &Value) -> &str {
    event["kind"].as_str().unwrap()
}

/// A contiguous stream of packets that are exactly one FIFO deep: one transfer each.
const SETUP: Setup = Setup { mode: DmaMode::Contiguous, rate: 48_000, channels: 2, packet: 480 };
const PACKETS: u32 = 6;

/// Plays [`PACKETS`] packets; the guest waits for each one's interrupt, so that none stands for two.
fn play(guest: &mut Guest) {
    let samples: Vec<u8> =
        (0..SETUP.packet_bytes() * PACKETS as usize).map(|at| at.to_le_bytes()[0]).collect();
    guest.write(global::TRACE_MARK, 4711);
    guest.set_up(SETUP);
    guest.give_packet(SETUP, &samples, 0);
    guest.stream_write(stream::STATE, stream::STATE_RUN);
    for packet in 1..PACKETS {
        guest.wait_interrupt();
        guest.wait_packets(packet);
        guest.give_packet(SETUP, &samples, packet);
    }
    guest.wait_interrupt();
    guest.stream_write(stream::STATE, stream::STATE_STOP);
}

/// A session that was played and is over.
fn session() -> tempfile::TempDir {
    let traced = Traced::start(&["--once", "--stats", "stats.json"]);
    let mut guest = traced.connect();
    play(&mut guest);
    drop(guest);
    traced.wait_for_exit()
}

#[test]
fn a_session_reads_back_as_it_was() {
    let dir = session();
    let file = dir.path().join("card.trace");
    let all = events(&file, &[]);
    let times: Vec<u64> = all.iter().map(|event| event["time_ns"].as_u64().unwrap()).collect();
    assert!(times.is_sorted(), "times never go back");
    let of = |wanted: &str| all.iter().filter(|event| kind(event) == wanted).collect::<Vec<_>>();

    // Each packet's range once, in turns through the two halves of the buffer.
    let bytes = SETUP.packet_bytes() as u64;
    let base = Guest::place(SETUP.mode, 0).0;
    let read: Vec<(u64, u64)> = of("dma-read")
        .iter()
        .map(|event| (event["address"].as_u64().unwrap(), event["bytes"].as_u64().unwrap()))
        .collect();
    let wanted: Vec<(u64, u64)> =
        (0..u64::from(PACKETS)).map(|packet| (base + packet % 2 * bytes, bytes)).collect();
    assert_eq!(read, wanted);

    // Each packet is complete, an event, and one interrupt, in this order and before the next packet's data
    // is fetched.
    let sound: Vec<&str> =
        all.iter().map(kind).filter(|kind| ["dma-read", "packet", "event", "msi"].contains(kind)).collect();
    assert_eq!(sound, ["dma-read", "packet", "event", "msi"].repeat(PACKETS as usize));
    assert_eq!(of("stall").len(), PACKETS as usize - 1, "it waited for each packet but the first");
    assert_eq!(of("ended").len(), 1);

    // Each message once: the guest's own are told by name and value, and the card has counted as many.
    let stats: Value =
        serde_json::from_slice(&std::fs::read(dir.path().join("stats.json")).unwrap()).unwrap();
    let messages = all.iter().filter(|event| event["group"] == "message").count();
    assert_eq!(stats["messages"]["total"], messages);
    let written: Vec<u64> = of("region-write")
        .iter()
        .filter(|event| event["register"] == "WRITTEN" && event["stream"] == 0)
        .map(|event| event["value"].as_u64().unwrap())
        .collect();
    assert_eq!(written, (0..u64::from(PACKETS)).collect::<Vec<_>>());
    let maps: Vec<u64> = of("dma-map").iter().map(|event| event["bytes"].as_u64().unwrap()).collect();
    assert_eq!(maps, [HALF, HALF]);

    // A write stands before what it brings about, a client before its messages.
    let run = all.iter().position(|event| kind(event) == "state" && event["state"] == "RUN").unwrap();
    let asked =
        all.iter().position(|event| event["register"] == "STATE" && event["meaning"] == "RUN").unwrap();
    let first = all.iter().position(|event| event["group"] == "message").unwrap();
    assert!(first < asked && asked < run && run < all.iter().position(|e| kind(e) == "dma-read").unwrap());
    assert_eq!(
        (kind(&all[first - 1]), &all[first - 1]["text"]),
        ("client", &Value::from("a client has connected"))
    );
    let left = all.iter().rposition(|event| kind(event) == "client").unwrap();
    assert_eq!(all[left]["text"], "the client has left");
    assert!(all[left + 1..].iter().all(|event| kind(event) == "reset"), "and then everything was reset");
    assert_eq!(of("mark")[0]["mark"], 4711);
    assert_eq!(of("lost").len(), 0);
}

#[test]
fn a_person_sees_names_and_values_and_only_what_was_asked_for() {
    let dir = session();
    let file = dir.path().join("card.trace");
    let all = told(&file, &[]);
    for line in [
        "write stream 0 STATE=RUN",
        "write stream 0 FORMAT=S16x2",
        "write stream 0 RATE=48000 Hz",
        "write stream 0 DMA_MODE=contiguous",
        "write stream 0 INT_ENABLE=PACKET|ERROR",
        "write stream 0 EOS=armed, 1920 bytes",
        "write card CONTROL=INT_ENABLE",
        "write config COMMAND=MEMORY|BUS_MASTER",
        "SET_IRQS msi connect 1 of 1 from 0 on",
        "DMA_MAP 0x0..=0xfffff (1048576 bytes) readable and writable",
        "stream 0 is in RUN",
        "stream 0 reads 1920 bytes at 0x40010",
        "stream 0 packet 5 is complete",
        "stream 0 waits for packet 1",
        "MSI message 0",
        "mark 4711",
    ] {
        assert!(all.lines().any(|told| told.ends_with(line)), "{line} in\n{all}");
    }
    let groups = |only: &str| {
        let mut groups: Vec<String> =
            events(&file, &["--only", only]).iter().map(|e| e["group"].as_str().unwrap().into()).collect();
        groups.sort();
        groups.dedup();
        groups
    };
    assert_eq!(groups("messages"), ["message"]);
    assert_eq!(groups("dma,interrupts"), ["dma", "interrupt"]);
    assert_eq!(groups("states"), ["state"]);

    let other = events(&file, &["--stream", "1"]);
    assert!(!other.is_empty() && other.iter().all(|event| event["stream"].is_null()));
    let own = events(&file, &["--stream", "0", "--only", "messages"]);
    assert!(own.len() > 10 && own.iter().all(|event| event["stream"] == 0));

    let all = events(&file, &[]);
    let time = |event: &Value| event["time_ns"].as_u64().unwrap();
    let (from, to) = (time(&all[all.len() / 3]), time(&all[all.len() / 2]));
    let seconds = |ns: u64| format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000);
    let part = events(&file, &["--from", &seconds(from), "--to", &seconds(to)]);
    let wanted: Vec<&Value> = all.iter().filter(|event| (from..=to).contains(&time(event))).collect();
    assert_eq!(part.iter().collect::<Vec<_>>(), wanted);
}

#[test]
fn figures_are_those_that_the_card_counted() {
    let dir = session();
    let file = dir.path().join("card.trace");
    let figures: Value = serde_json::from_str(&told(&file, &["--summary", "--json"])).unwrap();
    let stats: Value =
        serde_json::from_slice(&std::fs::read(dir.path().join("stats.json")).unwrap()).unwrap();
    assert_eq!(figures["messages"], stats["messages"]);
    assert_eq!(figures["interrupts"]["total"], stats["interrupts"]);
    let stream = &figures["streams"]["0"];
    assert_eq!(stream["packets"], PACKETS);
    assert_eq!(stream["stalls"], stats["streams"][0]["stalls"]);
    assert_eq!(stream["dma"]["read"], SETUP.packet_bytes() * PACKETS as usize);
    let intervals = &figures["interrupts"]["intervals_ns"];
    assert_eq!(intervals["count"], PACKETS - 1);
    // A packet is 10 ms long, and each comes after the one before was heard.
    assert!(intervals["min"].as_u64().unwrap() > 9_000_000, "{intervals}");
    assert!(intervals["min"].as_u64() <= intervals["median"].as_u64());
    assert!(intervals["median"].as_u64() <= intervals["max"].as_u64());
    assert_eq!(figures["card"]["clock"], "lockstep");
    assert_eq!((&figures["lost"], &figures["cut"]), (&Value::from(0), &Value::from(false)));

    let table = told(&file, &["--summary"]);
    for figure in ["packets 6", "read 11520 bytes", "WRITTEN 5", "EOS 1", "min ", "clock lockstep"] {
        assert!(table.contains(figure), "{figure} in\n{table}");
    }
}

#[test]
fn refusals_resets_and_the_line_are_told() {
    let traced = Traced::start(&["--once"]);
    let mut guest = traced.connect();
    // No buffer was set up, so ACQUIRE is refused.
    guest.stream_write(stream::STATE, stream::STATE_ACQUIRE);
    // MSI off: INTx takes its place.
    guest.config_write(0x52, &0_u16.to_le_bytes());
    guest.write(global::INT_RAISE, 0);
    guest.write(global::INT_STATUS, 1);
    guest.config_write(0x44, &3_u16.to_le_bytes());
    guest.config_write(0x44, &0_u16.to_le_bytes());
    guest.config_write(0x78, &0x8000_u16.to_le_bytes());
    guest.client.reset().unwrap();
    drop(guest);
    let dir = traced.wait_for_exit();
    let file = dir.path().join("card.trace");
    let notes = events(&file, &["--only", "notes"]);
    assert_eq!(notes.len(), 1);
    assert_eq!(
        (&notes[0]["error"], &notes[0]["stream"]),
        (&Value::from(Error::BadFormat.name()), &Value::from(0))
    );
    let told: Vec<String> =
        events(&file, &[]).iter().map(|e| e["text"].as_str().unwrap().to_owned()).collect();
    // In this order; other things happen between them.
    let mut rest = told.iter();
    for wanted in [
        "write stream 0 STATE=ACQUIRE",
        "write config MSI_CONTROL=disabled, 1 granted",
        "write card INT_RAISE=0",
        "INTx asserted",
        "write card INT_STATUS=0x00000001",
        "INTx deasserted",
        "write config PMCSR=D3hot",
        "power D3hot",
        "write config PMCSR=D0",
        "power D0",
        "write config DEVICE_CONTROL=FLR",
        "function-level reset",
        "reset",
        "DEVICE_RESET",
        "reset",
        "the client has left",
        "reset",
    ] {
        assert!(rest.any(|line| line == wanted), "{wanted}, in its order, in\n{}", told.join("\n"));
    }
}

#[test]
fn a_card_that_is_killed_leaves_a_trace_that_reads() {
    let mut traced = Traced::start(&[]);
    let mut guest = traced.connect();
    play(&mut guest);
    // It comes by itself, also where there is no sound that wakes anybody.
    for mark in [1, 2, 3] {
        guest.write(global::TRACE_MARK, mark);
        let begin = Instant::now();
        while !std::fs::read_to_string(traced.file()).unwrap().contains(&format!(" mark {mark}\n")) {
            assert!(begin.elapsed() < guest::PATIENCE, "the trace does not come by itself");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    traced.child.kill().unwrap();
    traced.child.wait().unwrap();
    let whole = told(&traced.file(), &[]);
    assert!(whole.contains("stream 0 has ended") && whole.contains("mark 3"));

    // The worst that a kill can do.
    let bytes = std::fs::read(traced.file()).unwrap();
    std::fs::write(traced.file(), &bytes[..bytes.len() - 3]).unwrap();
    let output = trace(&traced.file(), &[]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stderr).contains("last line is cut"), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout).lines().count(), whole.lines().count() - 1);
}

#[test]
fn what_is_no_trace_is_bad_input() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    assert_eq!(trace(&file, &[]).status.code(), Some(2), "no file");
    let long = "x".repeat(100_000);
    for wrong in ["", "hello\n", "ringwave-trace 2 x\n", "ringwave-trace 10\n", "\u{0}\u{1}", &long] {
        std::fs::write(&file, wrong).unwrap();
        let output = trace(&file, &[]);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(text(&output.stderr).contains("no trace"), "{}", text(&output.stderr));
        assert_eq!(text(&output.stderr).lines().count(), 1);
    }
    // Something foreign in the middle: the rest is told, the line is named.
    std::fs::write(&file, "ringwave-trace 1 a=b\n1 reset\n\u{1b}[2Jzebra\n3 mark 7\n2 mark 8\n").unwrap();
    let output = trace(&file, &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("line 3 is no line of a trace"), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("mark 7"));
    assert!(!text(&output.stdout).contains("mark 8"), "it is older than the line before");
}

#[test]
fn fifo_that_nobody_reads_is_bad_input_and_no_endless_wait() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Command::new("mkfifo").arg(dir.path().join("fifo")).status().unwrap().success());
    let mut command = Command::new(RINGWAVE);
    command.args(["serve", "--socket", "card.sock", "--trace", "fifo"]).current_dir(dir.path());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("fifo"), "{}", text(&output.stderr));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    let lines: Vec<String> = (0..200_000).map(|time| format!("{time} mark {time}\n")).collect();
    let lines = lines.concat();
    std::fs::write(&file, format!("ringwave-trace 1 a=b\n{lines}")).unwrap();
    let mut child = Command::new(RINGWAVE)
        .arg("trace")
        .arg(&file)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.ends_with("mark 0\n"));
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
}

#[test]
fn standard_input_is_told_as_it_comes() {
    let mut child = Command::new(RINGWAVE)
        .args(["trace", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    to.write_all(b"ringwave-trace 1 a=b\n1000000000 msi 3\n1000").unwrap();
    // In a thread, for what never comes is a failure and no wait.
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for line in from.lines().map_while(Result::ok) {
            tell.send(line).unwrap();
        }
    });
    let line = told.recv_timeout(guest::PATIENCE).unwrap();
    assert!(line.contains(" 1.000000 ") && line.ends_with("MSI message 3"), "{line}");
    to.write_all(b"000001 msi 4\n").unwrap();
    drop(to);
    let line = told.recv_timeout(guest::PATIENCE).unwrap();
    assert!(line.ends_with("MSI message 4"), "{line}");
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_time_line_for_viewers_goes_to_the_file_that_was_asked_for_and_over_no_other() {
    let traced = Traced::start(&["--once"]);
    let mut guest = traced.connect();
    play(&mut guest);
    drop(guest);
    let file = traced.file();
    let dir = traced.wait_for_exit();
    let json = dir.path().join("card.json");
    let arguments = ["--perfetto", "--output", json.to_str().unwrap()];
    assert_eq!(told(&file, &arguments), "");
    let line = std::fs::read(&json).unwrap();
    let value: Value = serde_json::from_slice(&line).unwrap();
    let events = value["traceEvents"].as_array().unwrap();
    for packet in 0..PACKETS {
        let name = format!("packet {packet}");
        let slices: Vec<&Value> = events.iter().filter(|event| event["name"] == name.as_str()).collect();
        assert!(slices.len() == 1 && slices[0]["ph"] == "X", "{name}: {slices:?}");
    }
    assert!(events.iter().any(|event| event["name"] == "RUN"));
    assert_eq!(told(&file, &["--perfetto"]).as_bytes(), line);
    // An earlier one is replaced.
    assert_eq!(told(&file, &arguments), "");
    // Anything else is not, least of all the trace.
    let before = std::fs::read(&file).unwrap();
    let output = trace(&file, &["--perfetto", "--output", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("take another name"), "{}", text(&output.stderr));
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[test]
fn a_long_trace_takes_no_more_memory_than_a_short_one() {
    const LINES: u64 = 200_000;
    let mut command = Command::new(RINGWAVE);
    command.args(["trace", "-", "--perfetto"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let drained = std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()).unwrap());
    let mut to = child.stdin.take().unwrap();
    let mut lines = b"ringwave-trace 1 speed=1\n0 state 0 run\n".to_vec();
    for number in 1..LINES {
        // Marks of packets that never begin, too.
        writeln!(lines, "{number} mark-seen 0 {}", number + 1_000_000).unwrap();
        writeln!(lines, "{number} dma-read 0 0x1000 1920").unwrap();
    }
    writeln!(lines, "{LINES} mark 1").unwrap();
    to.write_all(&lines).unwrap();
    // What was read is in the pipe at most.
    std::thread::sleep(Duration::from_millis(200));
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = most.trim().trim_end_matches(" kB").parse().unwrap();
    drop(to);
    assert!(child.wait().unwrap().success());
    let written = drained.join().unwrap();
    assert!(written > LINES * 100, "{written} bytes");
    assert!(kib < 32 << 10, "{kib} KiB for {written} bytes");
}

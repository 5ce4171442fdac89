//! `ringwave bench` as a user runs it: briefly, for what it prints and not for its figures.

#![allow(
    clippy::cast_precision_loss,
    reason = "a test ends where something is not as it should be; figures of seconds"
)]

use std::io::Read;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringwave")).arg("bench").args(arguments).output().unwrap()
}

/// What it prints, and the seconds of CPU time that the whole process took.
#[allow(clippy::zombie_processes, reason = "wait4 waits")]
fn bench_and_its_time(arguments: &[&str]) -> (Value, f64) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringwave"));
    let mut child = command.arg("bench").args(arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut printed = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut printed).unwrap();
    let (pid, mut status) = (child.id().cast_signed(), 0);
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the child is ours and nobody else waits for it; both results have room for what the kernel
    // writes.
    assert_eq!(unsafe { libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr()) }, pid);
    assert_eq!(status, 0);
    // SAFETY: wait4 filled it in; zeroes are a value of it anyway.
    let usage = unsafe { usage.assume_init() };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    (serde_json::from_slice(&printed).unwrap(), seconds(usage.ru_utime) + seconds(usage.ru_stime))
}

/// The kernel knows what the process took: the rows together, each as often as it was measured, are that but
/// for what is not measured.
#[test]
fn cpu_rows_add_up_to_the_time_of_the_process() {
    const SECONDS: f64 = 0.2;
    const ROUNDS: f64 = 3.0;
    let (report, took) = bench_and_its_time(&["--json", "--seconds", "0.2", "--only", "cpu"]);
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 24);
    let (wakes, rows): (Vec<_>, Vec<_>) =
        rows.iter().partition(|row| row["case"].as_str().unwrap().starts_with("wakes, "));
    assert_eq!((wakes.len(), rows.len()), (12, 12));
    for row in wakes.iter().filter(|row| !row["case"].as_str().unwrap().ends_with("unmarked")) {
        // A packet of up to 10 ms that is marked is fetched whole. Several may be handled in one wake.
        let per_packet = row["ratio"]["greatest"].as_f64().unwrap();
        assert!(per_packet > 0.0 && per_packet < 1.3, "{row}");
    }
    let (mut least, mut greatest) = (0.0, 0.0);
    for row in rows {
        let streams: f64 = row["case"].as_str().unwrap().split_once(' ').unwrap().0.parse().unwrap();
        let of_all = |which: &str| row["ratio"][which].as_f64().unwrap() * streams * SECONDS * ROUNDS;
        least += of_all("least");
        greatest += of_all("greatest");
        let milliseconds = row["value"]["median"].as_f64().unwrap();
        let share = row["ratio"]["median"].as_f64().unwrap();
        assert!((milliseconds / share - 1000.0).abs() < 1e-6, "ms per s of one stream: {row}");
    }
    assert!(least <= took, "rows add up to {least:.3} s at least, and the process took {took:.3} s");
    assert!(
        greatest >= 0.5 * took,
        "rows add up to {greatest:.3} s at most, and the process took {took:.3} s"
    );
}

/// The figure of one thread's copies: never much above memcpy, and each ratio with its ceiling.
#[test]
fn dma_rows_stand_beside_memcpy_and_their_ceilings() {
    let (report, _) = bench_and_its_time(&["--json", "--seconds", "0.05", "--only", "dma"]);
    let rows = report["rows"].as_array().unwrap();
    let median = |case: &str, what: &str| {
        let row = rows.iter().find(|row| row["case"] == case);
        row.unwrap_or_else(|| panic!("no row {case}"))[what]["median"].as_f64().unwrap()
    };
    for direction in ["read", "write"] {
        let walk = |name: &str| median(&format!("{direction}, {name}"), "ratio");
        assert!(walk("64 B entries") < walk("contiguous"), "small entries cost something");
        assert!(walk("4 KiB entries, memory not sealed") < walk("4 KiB entries"), "the kernel's copies do");
        // In a debug build the walk is slow, but memcpy is the system's own.
        for name in ["64 B entries", "512 B entries", "4 KiB entries"] {
            let case = format!("{direction}, {name}");
            let (ratio, ceiling) = (median(&case, "ratio"), median(&case, "ceiling"));
            assert!(ratio > 0.0 && ratio < 1.5 && ceiling < 1.5, "{case}: {ratio}, {ceiling} of the ceiling");
        }
    }
}

/// Not the two figures that take the longest.
#[test]
fn json_says_what_was_measured_against_what_and_where() {
    let output = bench(&[
        "--json",
        "--seconds",
        "0.05",
        "--only",
        "lateness",
        "--only",
        "messages",
        "--only",
        "position",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let machine = &report["machine"];
    assert!(machine["cores"].as_u64().unwrap() >= 1);
    assert!(machine["load"].is_number());
    assert!(!machine["kernel"].as_str().unwrap().is_empty());
    assert_eq!(report["sound_ms"], 50);
    let rows = report["rows"].as_array().unwrap();
    for figure in ["lateness", "messages", "position"] {
        let mut of_figure = rows.iter().filter(|row| row["figure"] == figure).peekable();
        assert!(of_figure.peek().is_some(), "no line of {figure}");
        for row in of_figure {
            assert!(row["value"]["median"].is_number(), "{row}");
            assert!(row["value"]["least"].as_f64() <= row["value"]["greatest"].as_f64(), "{row}");
            assert!(!row["unit"].as_str().unwrap().is_empty(), "{row}");
            assert!(!row["of"].as_str().unwrap().is_empty(), "{row}");
            assert_eq!(row["ratio"].is_null(), figure == "position", "{row}");
            assert!(row["ceiling"].is_null(), "{row}");
        }
    }
    assert!(rows.iter().all(|row| row["figure"] != "cpu" && row["figure"] != "dma"), "--only is obeyed");
    // A stream whose packets are marked by the mark page costs no message, and the card counts one interrupt
    // for each packet.
    let messages = rows.iter().filter(|row| row["figure"] == "messages");
    for row in messages {
        let per_packet = row["ratio"]["median"].as_f64().unwrap();
        if row["case"].as_str().unwrap().starts_with("messages to the card") {
            assert_eq!((per_packet, row["value"]["greatest"].as_f64()), (0.0, Some(0.0)), "{row}");
            continue;
        }
        let packets_per_second =
            if row["case"].as_str().unwrap().ends_with(", 1 ms packets") { 1000.0 } else { 100.0 };
        let per_second = row["value"]["median"].as_f64().unwrap();
        assert!((per_second / per_packet / packets_per_second - 1.0).abs() < 1e-6, "{row}");
        // Fewer on a busy machine: one answer may be for several packets.
        assert!(per_packet > 0.0 && per_packet <= 1.2, "{row}");
    }
}

/// A virtio guest sends a message for each packet, an HD Audio guest reads and clears the interrupt and reads
/// the position.
#[test]
fn the_other_cards_have_the_figures_that_every_card_has() {
    for (card, messages_per_packet) in [("virtio", 1.0), ("hda", 3.0)] {
        let output = bench(&["--card", card, "--json", "--seconds", "0.1", "--only", "messages"]);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["card"], card);
        let rows = report["rows"].as_array().unwrap();
        assert_eq!(rows.len(), 4, "{card}");
        for row in rows {
            let expected =
                if row["case"].as_str().unwrap().starts_with("messages") { messages_per_packet } else { 1.0 };
            // Of few packets, the last one may have been seen and not answered; and a busy machine answers
            // several at once.
            let per_packet = row["ratio"]["median"].as_f64().unwrap();
            assert!(per_packet > 0.0 && per_packet <= 1.3 * expected, "{card}: {row}");
        }
        let output = bench(&["--card", card, "--only", "position"]);
        assert_eq!(output.status.code(), Some(2));
        let line = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(line.contains("it has cpu, lateness, messages"), "{line}");
    }
}

#[test]
fn a_figure_that_does_not_exist_is_bad_input_and_names_those_that_do() {
    let output = bench(&["--only", "speed"]);
    assert_eq!(output.status.code(), Some(2));
    let line = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(line.contains("dma, cpu, lateness, messages, position"), "{line}");
    assert_eq!(bench(&["--seconds", "0"]).status.code(), Some(2));
}

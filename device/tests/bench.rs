//! `ringwave bench` as a user runs it: briefly, for what it prints and not for its figures.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use std::process::{Command, Output};

use serde_json::Value;

fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringwave")).arg("bench").args(arguments).output().unwrap()
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
        }
    }
    assert!(rows.iter().all(|row| row["figure"] != "cpu" && row["figure"] != "dma"), "--only is obeyed");
    // The card counts one message and one interrupt for each packet of a stream that is WRITTEN.
    let messages = rows.iter().filter(|row| row["figure"] == "messages");
    for row in messages {
        let per_packet = row["ratio"]["median"].as_f64().unwrap();
        // Fewer on a busy machine: one answer may be for several packets.
        assert!(per_packet > 0.0 && per_packet <= 1.2, "{row}");
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

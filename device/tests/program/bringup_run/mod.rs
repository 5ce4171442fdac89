//! `ringwave bringup` as a process, and what its report says.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

pub fn ringwave(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringwave")).args(arguments).output().unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Walks a card, and gives the exit code and the report.
pub fn run_bringup(socket: &Path, more: &[&str]) -> (i32, Value) {
    let output = ringwave(&[&["bringup", "--json", "--socket", socket.to_str().unwrap()], more].concat());
    let report = serde_json::from_slice(&output.stdout);
    (output.status.code().unwrap(), report.unwrap_or_else(|_| Value::String(text(&output.stderr))))
}

pub fn names(outcome: &str, report: &Value) -> Vec<String> {
    let steps = report["steps"].as_array().unwrap_or_else(|| panic!("no report: {report}"));
    let named = steps.iter().filter(|step| step["outcome"] == outcome);
    named.map(|step| step["name"].as_str().unwrap().to_owned()).collect()
}

/// What a person who sees a test fail wants to know.
pub fn failures(report: &Value) -> String {
    let steps = report["steps"].as_array().unwrap_or_else(|| panic!("no report: {report}"));
    let line = |step: &Value, check: &Value| {
        let text = |of: &Value| of.as_str().unwrap_or_default().to_owned();
        let (name, expected, seen) = (text(&check["name"]), text(&check["expected"]), text(&check["seen"]));
        format!("{}: {name}: expected {expected}, seen {seen}", text(&step["name"]))
    };
    let checks =
        steps.iter().flat_map(|step| step["checks"].as_array().unwrap().iter().map(move |its| (step, its)));
    let failed = checks.filter(|(_, check)| check["outcome"] == "failed");
    failed.map(|(step, check)| line(step, check)).collect::<Vec<_>>().join("\n")
}

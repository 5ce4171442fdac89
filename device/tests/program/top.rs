//! A card that is watched: `ringwave top` and `ringwave control SOCKET metrics`.

use crate::serving;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::guest::{Guest, Setup, piece};
use crate::serving::Serving;

const CONTROL: [&str; 2] = ["--control", "control.sock"];

fn top(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringwave"));
    command.args(["top", "control.sock"]).args(arguments).current_dir(dir).stdin(Stdio::null());
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn once_shows_what_plays_and_how_loud() {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(dir.path(), &[&CONTROL[..], &["--clock", "realtime"]].concat());
    let mut guest = Guest::connect(&dir.path().join("card.sock"));
    let music = piece(&dir.path().join("music.wav"), 192_000, 2);
    std::thread::scope(|scope| {
        // Four seconds of sound.
        scope.spawn(|| guest.play(Setup::USUAL, &music));
        let begin = std::time::Instant::now();
        loop {
            let shown = top(dir.path(), &["--once"]);
            assert_eq!(shown.status.code(), Some(0), "{}", said(&shown));
            let text = String::from_utf8(shown.stdout).unwrap();
            let line = text.lines().find(|line| line.starts_with("0 ")).unwrap();
            if line.contains("plays") {
                assert!(
                    line.contains("s16 48000 Hz x 2") && line.contains('#') && line.contains(" dB"),
                    "{text}"
                );
                assert!(
                    text.lines().any(|line| line.starts_with("1 ") && line.contains("capture")),
                    "{text}"
                );
                return;
            }
            assert!(begin.elapsed() < serving::PATIENCE, "{text}");
        }
    });
    drop(guest);
    serving.end();
    let nobody = top(dir.path(), &["--once"]);
    assert_eq!(nobody.status.code(), Some(2));
    assert!(said(&nobody).contains("ringwave serve --control control.sock"), "{}", said(&nobody));
}

#[test]
fn without_a_terminal_it_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(dir.path(), &CONTROL);
    let refused = top(dir.path(), &[]);
    assert_eq!(refused.status.code(), Some(2));
    assert_eq!(said(&refused), "ringwave: top is for a terminal; --once prints one look\n");
    serving.end();
}

#[test]
fn metrics_are_what_prometheus_reads_and_what_stats_says() {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(dir.path(), &CONTROL);
    let mut guest = Guest::connect(&dir.path().join("card.sock"));
    let music = piece(&dir.path().join("music.wav"), 48_000, 2);
    guest.play(Setup::USUAL, &music);
    let stats: serde_json::Value = serde_json::from_str(&serving.obeys(&["stats"])).unwrap();
    let metrics = serving.obeys(&["metrics"]);
    let value = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {metrics}")).parse::<f64>().unwrap()
    };
    let render = r#"{stream="0",direction="render"}"#;
    let frames = stats["streams"][0]["frames"].as_f64().unwrap();
    assert!(frames >= 40_000.0);
    assert!((value(&format!("ringwave_stream_frames_total{render}")) - frames).abs() < 0.5);
    assert!(value(&format!("ringwave_stream_underruns_total{render}")).abs() < 0.5);
    assert!((value(&format!("ringwave_stream_plugged{render}")) - 1.0).abs() < 0.5);
    assert!((value("ringwave_client") - 1.0).abs() < 0.5);
    // Every sample has its type, and every type its help.
    let lines: Vec<&str> = metrics.lines().collect();
    for line in &lines {
        let name = line.trim_start_matches("# HELP ").trim_start_matches("# TYPE ");
        assert!(name.starts_with("ringwave_"), "{line}");
    }
    let count = |begin: &str| lines.iter().filter(|line| line.starts_with(begin)).count();
    assert!(count("# TYPE ") > 10 && count("# TYPE ") == count("# HELP "));
    drop(guest);
    serving.end();
}

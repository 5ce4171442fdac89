//! The HD Audio card, watched and listened to over its control socket.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::hda_driver::{BUFFER, Driver, OUT, is_loop, sound};
use crate::serving::Serving;

const SERVE: [&str; 7] = ["--card", "hda", "--clock", "realtime", "--control", "control.sock", "--once"];
/// 100 ms: so much of the sound a listener without a processor is not made to lose.
const HEARD_BYTES: usize = 19_200;

#[test]
fn it_is_watched_and_listened_to_while_it_plays() {
    let dir = tempfile::tempdir().unwrap();
    let ringwave = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringwave"));
        command.args(arguments).current_dir(dir.path()).stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(Stdio::piped()).spawn().unwrap()
    };
    let mut serving = Serving::start(dir.path(), &SERVE);
    let mut driver = Driver::connect(&dir.path().join("card.sock"));
    driver.start_up();
    let music = sound(1);
    driver.store(BUFFER, &music);
    driver.set_up_halves(OUT, BUFFER);
    let mut listener = ringwave(&["listen", "control.sock", "--raw"]);
    let mut line = String::new();
    let mut said = BufReader::new(listener.stderr.take().unwrap());
    said.read_line(&mut line).unwrap();
    assert_eq!(line, "ringwave: listening to stream 0\n");
    let enough = AtomicBool::new(false);
    let shown = std::thread::scope(|scope| {
        scope.spawn(|| {
            driver.run(OUT);
            while !enough.load(Ordering::Relaxed) {
                driver.wait_halves(OUT, 1);
            }
            driver.stop(OUT);
        });
        let shown = ringwave(&["top", "control.sock", "--once"]).wait_with_output();
        enough.store(true, Ordering::Relaxed);
        String::from_utf8(shown.unwrap().stdout).unwrap()
    });
    let line = shown.lines().find(|line| line.starts_with("0 ")).unwrap();
    assert!(line.contains("s16 48000 Hz x 2") && line.contains("plays"), "{shown}");
    assert!(line.contains('#') && line.contains(" dB"), "{shown}");
    let stats: serde_json::Value = serde_json::from_str(&serving.obeys(&["stats"])).unwrap();
    let frames = stats["streams"][0]["frames"].as_u64().unwrap();
    let metrics = serving.obeys(&["metrics"]);
    let said = format!(r#"ringwave_stream_frames_total{{stream="0",direction="render"}} {frames}"#);
    assert!(frames > 0 && metrics.lines().any(|line| line == said), "{said}: {metrics}");
    // What this card cannot know is not said to be 0.
    assert!(stats["streams"][0]["underruns"].is_null());
    assert!(!metrics.contains(r#"ringwave_stream_underruns_total{stream="0""#), "{metrics}");
    drop(driver);
    assert_eq!(serving.wait_for_exit().code(), Some(0), "{}", serving.last_line());
    let output = listener.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout.len() >= HEARD_BYTES && is_loop(&output.stdout[..HEARD_BYTES], &music));
}

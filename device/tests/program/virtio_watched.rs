//! What every card has for the host, on the virtio-snd card: it is watched, listened to, given other files,
//! and judged.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::serving::Serving;
use crate::virtio_driver::song::*;
use crate::virtio_driver::*;
use ringwave_audio::wav::{self, WavFile};
use ringwave_audio::{SampleFormat, StreamFormat};

const STEREO: StreamFormat = StreamFormat { sample: SampleFormat::S16, channels: 2, rate: 48_000 };
const SERVE: [&str; 12] = [
    "--card",
    "virtio",
    "--control",
    "control.sock",
    "--once",
    "--expect-sound",
    "--max-underruns",
    "0",
    "--junit",
    "sound.xml",
    "--report",
    "page.html",
];

#[test]
fn it_is_watched_listened_to_given_other_files_and_judged() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let question = song(4);
    let mut file = WavFile::create(&at("question.wav"), STEREO).unwrap();
    file.add(&question).and_then(|()| file.flush()).unwrap();
    let ringwave = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringwave"));
        command.args(arguments).current_dir(dir.path()).stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(Stdio::piped()).spawn().unwrap()
    };
    let mut serving = Serving::start(dir.path(), &[&SERVE[..], &["--sink", "wav:heard.wav"]].concat());
    let mut driver = Driver::connect(&at("card.sock"));
    let mut listener = ringwave(&["listen", "control.sock", "--raw", "--stream", "0"]);
    let mut line = String::new();
    BufReader::new(listener.stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ringwave: listening to stream 0\n");

    let sound = song(3);
    prepare(&mut driver, 0);
    play(&mut driver, &sound, 5000, |_| {});
    let metrics = serving.obeys(&["metrics"]);
    let frames = r#"ringwave_stream_frames_total{stream="0",direction="render"} 1440"#;
    assert!(metrics.lines().any(|line| line == frames), "{metrics}");
    let shown = ringwave(&["top", "control.sock", "--once"]).wait_with_output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let line = shown.lines().find(|line| line.starts_with("0 ")).unwrap();
    assert!(line.contains("s16 48000 Hz x 2"), "{shown}");
    assert_eq!((driver.pcm(STOP, 0), driver.pcm(RELEASE, 0)), (OK, OK));

    assert_eq!(serving.obeys(&["source", "1", "wav:question.wav"]), "source 1 wav: s16 x 2, 48000 Hz");
    prepare(&mut driver, 1);
    driver.receive(1, 0, PERIOD);
    assert_eq!(driver.pcm(START, 1), OK);
    driver.wait_used(RX);
    assert_eq!(driver.received(0, PERIOD_BYTES), question[..PERIOD_BYTES]);

    assert_eq!(serving.obeys(&["sink", "0", "wav:second.wav"]), "sink 0 wav");
    prepare(&mut driver, 0);
    play(&mut driver, &sound[..PERIOD_BYTES], 5000, |_| {});
    assert_eq!((driver.pcm(STOP, 0), driver.pcm(RELEASE, 0)), (OK, OK));
    drop(driver);
    assert_eq!(serving.wait_for_exit().code(), Some(0), "{:?}", serving.said(""));
    assert_eq!(wav::read(&at("heard.wav")).unwrap().frames, sound);
    assert_eq!(wav::read(&at("second.wav")).unwrap().frames, sound[..PERIOD_BYTES]);
    let output = listener.wait_with_output().unwrap();
    assert_eq!(output.stdout, [&sound[..], &sound[..PERIOD_BYTES]].concat());
    let report = std::fs::read_to_string(at("sound.xml")).unwrap();
    assert!(report.contains(r#"tests="3" failures="0""#), "{report}");
    assert!(std::fs::read_to_string(at("page.html")).unwrap().contains("heard.wav"));
}

#[test]
fn silence_and_xruns_fail_what_is_expected() {
    for (dry, why) in [(false, "only silence was heard"), (true, "underrun")] {
        let dir = tempfile::tempdir().unwrap();
        let mut serving = Serving::start(dir.path(), &SERVE);
        let mut driver = Driver::connect(&dir.path().join("card.sock"));
        prepare(&mut driver, 0);
        if dry {
            play(&mut driver, &song(2), 5000, |_| {});
            // It goes on when its queue was dry.
            play_more(&mut driver);
        } else {
            play(&mut driver, &[0; 2 * PERIOD_BYTES], 5000, |_| {});
        }
        drop(driver);
        assert_eq!(serving.wait_for_exit().code(), Some(1), "{why}");
        let last = serving.last_line();
        assert!(last.contains(why), "{last}");
        let report = std::fs::read_to_string(dir.path().join("sound.xml")).unwrap();
        assert!(report.contains(r#"failures="1""#) && report.contains(why), "{report}");
    }
}

/// A period while the stream runs.
fn play_more(driver: &mut Driver) {
    driver.send(0, 0, &song(1), 5000);
    driver.wait_used(TX);
}

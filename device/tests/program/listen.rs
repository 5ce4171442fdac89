//! `ringwave listen`: what is heard beside the sink, and that nobody who listens costs the card anything.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::guest::{Guest, Setup, piece, wav_bytes};
use crate::serving::{PATIENCE, Serving, sandbox};
use ringwave_audio::wav;

const CONTROL: [&str; 4] = ["--control", "control.sock", "--sink", "wav:heard.wav"];

fn listen(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringwave"));
    command.args(["listen", "control.sock"]).args(arguments).current_dir(dir);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Somebody who listens to stream 0 already.
fn listener(dir: &Path, arguments: &[&str]) -> (Child, BufReader<ChildStderr>) {
    let mut child = listen(dir, arguments).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert_eq!(line, "ringwave: listening to stream 0\n");
    (child, stderr)
}

/// The sound, by a socket of our own.
fn socket(dir: &Path) -> BufReader<UnixStream> {
    let mut socket = UnixStream::connect(dir.join("control.sock")).unwrap();
    socket.write_all(b"listen 0\n").unwrap();
    let mut socket = BufReader::new(socket);
    let mut answer = String::new();
    socket.read_line(&mut answer).unwrap();
    assert_eq!(answer, "listen 0\n");
    socket
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn what_is_heard_is_what_is_in_the_sink_from_then_on_behind_all_of_the_sandbox() {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(dir.path(), &[&CONTROL[..], &[sandbox(dir.path())]].concat());
    let mut guest = Guest::connect(&dir.path().join("card.sock"));
    let music = piece(&dir.path().join("music.wav"), 48_000, 2);
    let (first, second) = music.split_at(4 * 20_000);
    guest.play(Setup::USUAL, first);
    let (wav, raw) = (listener(dir.path(), &[]), listener(dir.path(), &["--raw", "--stream", "0"]));
    guest.play(Setup::USUAL, second);
    drop(guest);
    serving.wait_for("the client has left", 1);
    serving.end();
    let [wav, raw] = [wav.0, raw.0].map(|child| child.wait_with_output().unwrap());
    assert_eq!((wav.status.code(), raw.status.code()), (Some(0), Some(0)));
    let sink = wav_bytes(&dir.path().join("heard.wav"));
    assert!(raw.stdout == second, "{} bytes, and {} were played", raw.stdout.len(), second.len());
    assert!(sink == music);
    let heard = wav::parse(&wav.stdout).unwrap();
    assert!(heard.frames == second);
    assert_eq!((heard.format.rate, heard.format.channels), (48_000, 2));
}

/// Whoever listens and takes nothing, or ends in the midst, is not noticed.
#[test]
fn who_does_not_take_his_sound_does_not_hold_up_the_card() {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(dir.path(), &CONTROL);
    let mut guest = Guest::connect(&dir.path().join("card.sock"));
    let (deaf, (mut gone, _stderr)) = (socket(dir.path()), listener(dir.path(), &[]));
    let music = piece(&dir.path().join("music.wav"), 192_000, 2);
    guest.play(Setup::USUAL, &music);
    gone.kill().unwrap();
    gone.wait().unwrap();
    guest.play(Setup::USUAL, &music[..40_000]);
    drop(guest);
    serving.wait_for("the client has left", 1);
    serving.end();
    assert!(wav_bytes(&dir.path().join("heard.wav")) == [&music[..], &music[..40_000]].concat());
    drop(deaf);
}

#[test]
fn what_cannot_be_heard_is_one_line_of_error() {
    let dir = tempfile::tempdir().unwrap();
    let nobody = listen(dir.path(), &[]).output().unwrap();
    assert_eq!(nobody.status.code(), Some(2));
    assert!(said(&nobody).contains("ringwave serve --control control.sock"), "{}", said(&nobody));
    let serving = Serving::start(dir.path(), &CONTROL);
    for (stream, why) in [("1", "stream 1 captures; listen to one that plays"), ("7", "stream 7")] {
        let refused = listen(dir.path(), &["--stream", stream]).output().unwrap();
        assert_eq!(refused.status.code(), Some(1));
        assert!(said(&refused).lines().count() == 1 && said(&refused).contains(why), "{}", said(&refused));
        assert!(refused.stdout.is_empty());
    }
    let mut listeners: Vec<_> = (0..32).map(|_| socket(dir.path())).collect();
    let refused = listen(dir.path(), &[]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("32 listen already"), "{}", said(&refused));
    listeners.pop();
    listeners.push(socket(dir.path()));
    serving.end();
    // The card's end is theirs.
    assert_eq!(listeners[0].read(&mut [0; 1]).unwrap(), 0);
}

/// A WAV file has one format; whoever reads samples without a header could not know of another one either.
#[test]
fn another_client_is_heard_and_another_format_ends_it_with_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(dir.path(), &CONTROL[..2]);
    let mut listeners = vec![listener(dir.path(), &[]), listener(dir.path(), &["--raw"])];
    // Less than a pipe takes: nobody reads it before the end.
    let music = &piece(&dir.path().join("music.wav"), 48_000, 2)[..4 * 14_000];
    let (first, second) = music.split_at(4 * 8_000);
    let slower = Setup { rate: 44_100, ..Setup::USUAL };
    for (left, (setup, samples)) in
        [(Setup::USUAL, first), (Setup::USUAL, second), (slower, first), (slower, second)]
            .into_iter()
            .enumerate()
    {
        let mut guest = Guest::connect(&dir.path().join("card.sock"));
        guest.play(setup, samples);
        drop(guest);
        serving.wait_for("the client has left", left + 1);
        if left == 2 {
            for (place, (mut child, mut stderr)) in listeners.drain(..).enumerate() {
                let begin = Instant::now();
                while child.try_wait().unwrap().is_none() {
                    if begin.elapsed() >= PATIENCE {
                        child.kill().unwrap();
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
                let output = child.wait_with_output().unwrap();
                let mut said = String::new();
                stderr.read_to_string(&mut said).unwrap();
                let other = "the guest goes on in another format, s16, 2 channels, 44100 Hz; listen again";
                assert_eq!((output.status.code(), said), (Some(1), format!("ringwave: {other}\n")));
                let parsed = (place == 0).then(|| wav::parse(&output.stdout).unwrap().frames);
                assert!(parsed.unwrap_or(output.stdout) == music, "all until then");
            }
            listeners.push(listener(dir.path(), &[]));
        }
    }
    serving.end();
    let output = listeners.pop().unwrap().0.wait_with_output().unwrap();
    let heard = wav::parse(&output.stdout).unwrap();
    assert!((output.status.code(), heard.format.rate) == (Some(0), 44_100) && heard.frames == second);
}

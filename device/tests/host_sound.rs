//! A piece through the card to the host's sound system, and back from a recording of what that would play:
//! sample for sample.
//!
//! Needs a build with the feature `sound`, a `PulseAudio` server that ALSA's default device leads to, and
//! nothing else that plays: started by `tests/host-sound/run`, never by itself.
#![cfg(feature = "sound")]
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod guest;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use guest::{DmaMode, Guest, PATIENCE, Setup};
use ringwave_audio::test_tune::TestTune;
use ringwave_audio::{SampleFormat, StreamFormat};

/// Long enough that the drift is known, and that a stream that did not follow would show it at some 100
/// millionths.
const SECONDS: u32 = 15;
const RATE: u32 = 48_000;
const CHANNELS: u32 = 2;
/// A packet, frames: 100 ms, so that this guest need not be quick.
const PACKET: u32 = 4_800;

/// Ended when the test is, however that is.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Records what the sound server's device would play.
fn record(to: &Path) -> Running {
    let file = std::fs::File::create(to).unwrap();
    let child = Command::new("parec")
        .args([
            "--device=ringwave.monitor",
            "--format=s16le",
            "--rate=48000",
            "--channels=2",
            "--latency-msec=20",
            "--raw",
        ])
        .stdout(file)
        .spawn();
    Running(child.expect("parec of pulseaudio-utils"))
}

/// Waits until the file is longer than `bytes`.
fn wait_longer(file: &Path, bytes: u64) {
    let begin = Instant::now();
    while std::fs::metadata(file).map_or(0, |metadata| metadata.len()) <= bytes {
        assert!(begin.elapsed() < PATIENCE, "nothing is recorded: is there a sink named ringwave?");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Plays all of `samples` and stops the stream. Gives the status page's `RATE_DEN` near the end.
fn play(guest: &mut Guest, setup: Setup, samples: &[u8]) -> u32 {
    use ringwave_regs::{pages::status, stream};
    guest.set_up(setup);
    let packets = u32::try_from(samples.len().div_ceil(setup.packet_bytes())).unwrap();
    guest.give_packet(setup, samples, 0);
    guest.stream_write(stream::STATE, stream::STATE_RUN);
    for packet in 1..packets {
        guest.wait_packets(packet.saturating_sub(1));
        guest.give_packet(setup, samples, packet);
    }
    let pace = guest.status32(status::RATE_DEN);
    guest.wait_packets(packets);
    guest.stream_write(stream::STATE, stream::STATE_STOP);
    assert_eq!(guest.stream_read(stream::ERROR), 0);
    pace
}

#[test]
#[ignore = "needs a sound server of its own: tests/host-sound/run"]
fn what_the_guest_plays_is_what_the_sound_system_plays() {
    let dir = tempfile::tempdir().unwrap();
    let (socket, heard, stats) =
        (dir.path().join("card.sock"), dir.path().join("heard.raw"), dir.path().join("stats.json"));
    let recorder = record(&heard);
    wait_longer(&heard, 0);
    let serve = Command::new(env!("CARGO_BIN_EXE_ringwave"))
        .args(["serve", "--once", "--sink", "sound", "--clock", "realtime", "--socket"])
        .arg(&socket)
        .arg("--stats")
        .arg(&stats)
        .stdin(Stdio::null())
        .spawn();
    let mut serve = Running(serve.unwrap());

    let format = StreamFormat { sample: SampleFormat::S16, channels: CHANNELS, rate: RATE };
    let song = TestTune { seconds: SECONDS, format }.frames();
    let mut guest = Guest::connect(&socket);
    let setup = Setup { mode: DmaMode::ScatterGather, rate: RATE, channels: CHANNELS, packet: PACKET };
    let pace = play(&mut guest, setup, &song);
    drop(guest);
    assert!(serve.0.wait().unwrap().success());
    let played = std::fs::metadata(&heard).unwrap().len();
    wait_longer(&heard, played + u64::from(RATE) * 4 / 2);
    drop(recorder);

    let stats: serde_json::Value = serde_json::from_slice(&std::fs::read(&stats).unwrap()).unwrap();
    let stream = &stats["streams"][0];
    for nothing in ["silence_frames", "underruns", "sink_underruns", "sink_dropped_frames"] {
        assert_eq!(stream[nothing], 0, "{nothing}: this host was too busy, or it is broken: {stream}");
    }
    let drift = stream["drift_ppm"].as_f64().expect("known after ten seconds");
    println!("drift {drift} ppm over {SECONDS} s, pace at the end {pace}");
    assert!(drift.abs() < 1000.0);
    // What the guest saw at the end: the device's pace, and up to 5 ms in 10 s more or less until the queue
    // is at its target (`host/src/drift.rs`).
    let paced = (1e9 / f64::from(pace) - 1.0) * 1e6;
    assert!(pace != 1_000_000_000 && (paced - drift).abs() < 500.0, "the stream went {paced} ppm faster");

    let heard = std::fs::read(&heard).unwrap();
    let first = |bytes: &[u8]| bytes.chunks_exact(4).position(|frame| frame != [0; 4]).map(|frame| frame * 4);
    let (begin, lead) = (first(&heard).expect("silence was recorded"), first(&song).unwrap());
    let same = heard[begin..].iter().zip(&song[lead..]).take_while(|(heard, played)| heard == played).count();
    let frames = same / 4;
    assert_eq!(same, song.len() - lead, "the first {frames} frames are the same, then no more");
    let rest = &heard[begin + same..];
    assert!(rest.iter().all(|byte| *byte == 0), "something comes after the end");
}

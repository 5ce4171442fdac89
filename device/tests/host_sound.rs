//! A piece through the card to the host's sound system, and back from a recording of what that would play; and
//! from there through the card to a guest that records: sample for sample.
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

/// Plays a file of raw samples on the sound server's device, and waits until all was played.
fn play_on_host(file: &Path) {
    let played = Command::new("pacat")
        .args(["--playback", "--device=ringwave", "--format=s16le", "--rate=48000", "--channels=2"])
        .args(["--latency-msec=100", "--raw"])
        .arg(file)
        .status();
    assert!(played.expect("pacat of pulseaudio-utils").success());
}

/// Takes packets from `first` on until `enough` says so of the last, and all of them.
fn record_packets(guest: &Guest, setup: Setup, first: u32, mut enough: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
    let mut all = Vec::new();
    for packet in first.. {
        guest.wait_packets(packet + 1);
        let from = u64::from(packet % 2) * setup.packet_bytes() as u64;
        let bytes = guest.peek(setup.mode, from, setup.packet_bytes());
        let late = guest.status32(ringwave_regs::pages::status::PACKET_COUNT) - packet;
        assert!(late <= 1, "this host is too busy: packet {packet} was stored over");
        all.extend_from_slice(&bytes);
        if enough(&bytes) {
            break;
        }
    }
    all
}

/// Whether a recording is the song, with silence around it.
fn whole(recorded: &[u8], song: &[u8]) -> Result<(), String> {
    let first = |bytes: &[u8]| bytes.chunks_exact(4).position(|frame| frame != [0; 4]).map(|frame| frame * 4);
    let (begin, lead) = (first(recorded).ok_or("silence")?, first(song).unwrap());
    let (recorded, song) = (&recorded[begin..], &song[lead..]);
    let same = recorded.iter().zip(song).take_while(|(heard, played)| heard == played).count();
    if same == song.len() {
        let rest = recorded[same..].iter().all(|byte| *byte == 0);
        return if rest { Ok(()) } else { Err("something comes after the end".to_owned()) };
    }
    let next = recorded.get(same / 4 * 4..same / 4 * 4 + 64).unwrap_or_default();
    let found = song.chunks_exact(4).enumerate().map(|(frame, _)| frame * 4);
    let found = found.into_iter().find(|at| song[*at..].starts_with(next)).map(|at| at / 4);
    Err(format!(
        "{} frames after silence of {} are the same, then frame {found:?} comes",
        same / 4,
        begin / 4
    ))
}

#[test]
#[ignore = "needs a sound server of its own: tests/host-sound/run"]
fn what_the_sound_system_hears_is_what_the_guest_records() {
    use ringwave_regs::stream;
    let dir = tempfile::tempdir().unwrap();
    let [socket, piece, stats] = ["card.sock", "song.raw", "stats.json"].map(|name| dir.path().join(name));
    let serve = Command::new(env!("CARGO_BIN_EXE_ringwave"))
        .args(["serve", "--once", "--render", "0", "--capture", "1", "--source", "sound", "--socket"])
        .arg(&socket)
        .arg("--stats")
        .arg(&stats)
        .stdin(Stdio::null())
        .spawn();
    let mut serve = Running(serve.unwrap());
    let format = StreamFormat { sample: SampleFormat::S16, channels: CHANNELS, rate: RATE };
    let song = TestTune { seconds: SECONDS, format }.frames();
    // PulseAudio puts a stream that begins into what its sink has rendered already, and the monitor has given that away:
    // what it loses is silence.
    let silence = vec![0; song.len() / SECONDS as usize];
    std::fs::write(&piece, [silence, song.clone()].concat()).unwrap();
    // A null sink of which nobody asks for less has rendered two seconds ahead: whatever is played then comes behind
    // that, and its monitor gives nothing meanwhile.
    let aside = dir.path().join("aside.raw");
    let _attentive = record(&aside);
    wait_longer(&aside, 0);

    let mut guest = Guest::connect(&socket);
    // This guest has no buffers behind the card's: it takes a packet in the time of the next one.
    let packet = 4 * PACKET;
    let setup = Setup { mode: DmaMode::ScatterGather, rate: RATE, channels: CHANNELS, packet };
    guest.set_up(setup);
    guest.stream_write(stream::STATE, stream::STATE_RUN);
    let player = std::thread::spawn(move || play_on_host(&piece));
    let (mut packets, mut last_loud) = (0_u32, None);
    let recorded = record_packets(&guest, setup, 0, |bytes| {
        packets += 1;
        if bytes.iter().any(|byte| *byte != 0) {
            last_loud = Some(packets);
        }
        // Silence, when the song is over.
        last_loud.is_some_and(|last| packets > last) && player.is_finished() || packets > 100
    });
    player.join().unwrap();
    guest.stream_write(stream::STATE, stream::STATE_STOP);
    assert_eq!(guest.stream_read(stream::ERROR), 0);
    drop(guest);
    assert!(serve.0.wait().unwrap().success());

    let stats: serde_json::Value = serde_json::from_slice(&std::fs::read(&stats).unwrap()).unwrap();
    let stream = &stats["streams"][0];
    println!("{stream}");
    let beside = whole(&std::fs::read(&aside).unwrap(), &song);
    if let Err(why) = whole(&recorded, &song) {
        let host = beside
            .map_or_else(|why| format!("no better ({why}): this host is too busy"), |()| "whole".into());
        panic!("the guest's recording: {why}; that of parec is {host}");
    }
    for nothing in ["silence_frames", "source_underruns", "source_overruns"] {
        assert_eq!(stream[nothing], 0, "{nothing}: this host was too busy, or it is broken: {stream}");
    }
    let drift = stream["drift_ppm"].as_f64().expect("known after ten seconds");
    println!("drift {drift} ppm");
    // That there is a number, no more: 1,000 is the limit of the estimator. *Doubt*: runs whose recording was whole said
    // -333 to -482 ppm of a monitor that goes by the clock of this host, and busy ones up to the limit; PulseAudio
    // changes between one block and two at a time, and which of the two is the late one is not known.
}

//! A piece through the card to the host's sound system, and another from there through the card to a guest
//! that records: sample for sample.
//!
//! Needs a build with the feature `sound`, and a sound server whose default sink and source are pipes:
//! `PulseAudio` (`module-pipe-sink`, `module-pipe-source`), or `PipeWire` (`pipe-tunnel`); started by
//! `tests/host-sound/run`, never by itself. What is at the other ends of the pipes is here: speakers and a
//! microphone.
//!
//! `PulseAudio` waits for a pipe, so that it adds no clock, and nothing is lost in it: the devices go by
//! crystals of their own, which the card has to follow. (A null sink renders by a timer, adds up the lengths
//! of its blocks in whole microseconds, and so goes 38 ppm faster with the blocks of 13 ms that this card
//! asks for. Its monitor gives away what it has rendered ahead, and a player that is late leaves a gap
//! there.)
//!
//! `PipeWire` waits for no pipe: its graph goes by a timer of this host, writes what it has and drops what
//! the pipe has no room for. So its clock is the device's here, and its drift is none; the devices play what
//! is there, and give what is due.
#![cfg(feature = "sound")]
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod guest;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use guest::{DmaMode, Guest, Setup};
use ringwave_audio::test_tune::TestTune;
use ringwave_audio::{SampleFormat, StreamFormat};

/// Long enough that the drift is known, and that a stream that did not follow would show it.
const SECONDS: u32 = 20;
const RATE: u32 = 48_000;
const CHANNELS: u32 = 2;
/// Bytes of a frame.
const FRAME: usize = 4;
/// A packet, frames: half a second, so that this guest need not be quick. It has no buffers behind the
/// card's: a packet is taken, or filled, in the time of the next one.
const PACKET: u32 = 24_000;
/// By how much devices with crystals are faster than the card's clock, in millionths.
const SPEAKERS_PPM: i32 = -300;
const MICROPHONE_PPM: i32 = 250;
/// Bytes of a pipe, and how many may wait in that of the microphone before the song: both ends may be late.
const PIPE: usize = 65_536;
const WAITING: u64 = 32_768;
/// The drift that the card tells is right to this, in millionths: it has seen the device for 20 s, which
/// comes in blocks, and late on a busy host. (11 to 61 were seen on a host with five times as much to do as
/// it has processors.)
const TOLD_PPM: f64 = 120.0;
/// A device that comes later than this was kept waiting by the host.
const LATE: Duration = Duration::from_millis(10);

/// Whose clock the sound goes by.
#[derive(Clone, Copy, PartialEq)]
enum Clock {
    Devices,
    Server,
}

impl Clock {
    /// As `tests/host-sound/run` says.
    fn of_this_server() -> Self {
        match std::env::var("RINGWAVE_SOUND_CLOCK").expect("started by tests/host-sound/run").as_str() {
            "devices" => Self::Devices,
            "server" => Self::Server,
            other => panic!("RINGWAVE_SOUND_CLOCK={other}"),
        }
    }

    /// By how much a device with this crystal is faster than the card's clock.
    fn ppm(self, crystal: i32) -> i32 {
        if self == Self::Devices { crystal } else { 0 }
    }
}

/// Ended when the test is, however that is.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `ringwave serve`, with these options besides.
fn serve(options: &[&str]) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringwave"));
    command.args(["serve", "--once", "--clock", "realtime"]).args(options).stdin(Stdio::null());
    Running(command.spawn().unwrap())
}

impl Running {
    /// Lets its engine come before the thread that `PipeWire`'s plugin for ALSA keeps busy in it (until 0.3.85), which
    /// has the same priority, if that is allowed.
    fn before_others(&self) {
        let process = self.0.id().to_string();
        chrt(&["--all-tasks", "--fifo", "--pid", "4", &process]);
    }
}

/// What is at the other end of a pipe of the sound server. It waits for nobody: speakers with a crystal play
/// silence where there is nothing in the pipe, and what a microphone has no room for is lost.
struct Device {
    moved: Arc<AtomicU64>,
    end: Arc<AtomicBool>,
    thread: JoinHandle<Report>,
}

/// What a device did.
#[derive(Debug, Default)]
struct Report {
    /// What the speakers played.
    played: Vec<u8>,
    /// Bytes of silence that the speakers played within the song, or of the song that the microphone lost: by
    /// the sound server's doing.
    missed: usize,
    /// How often it came late, and by how much at most: by this host's doing.
    late: u64,
    worst: Duration,
}

impl Device {
    /// One that moves what is due by its crystal, every 2 ms.
    fn start(ppm: i32, mut pass: impl FnMut(usize, &mut Report) + Send + 'static) -> Self {
        let (moved, end) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, ends) = (Arc::clone(&moved), Arc::clone(&end));
        let thread = std::thread::spawn(move || {
            // A device is never late, and never kept waiting by a guest.
            before_others("5");
            // Frames, in millionths.
            let per_second = u128::from(RATE) * u128::from(1_000_000_u32.checked_add_signed(ppm).unwrap());
            let (begin, mut last, mut report) = (Instant::now(), Duration::ZERO, Report::default());
            while !ends.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(2));
                let now = begin.elapsed();
                report.late += u64::from(now.saturating_sub(last) > LATE);
                (report.worst, last) = (report.worst.max(now.saturating_sub(last)), now);
                let due = u64::try_from(now.as_nanos() * per_second / 1_000_000_000_000_000).unwrap();
                let frames = due - counted.load(Ordering::Relaxed);
                pass(usize::try_from(frames).unwrap() * FRAME, &mut report);
                counted.store(due, Ordering::Relaxed);
            }
            report
        });
        Self { moved, end, thread }
    }

    /// Plays what is in the pipe of the sink.
    fn speakers(clock: Clock) -> Self {
        let mut pipe = pipe("RINGWAVE_SPEAKERS");
        let (mut dry, mut sounded) = (0, false);
        Self::start(clock.ppm(SPEAKERS_PPM), move |due, report| {
            let bytes = if clock == Clock::Devices { due } else { PIPE };
            let before = report.played.len();
            report.played.resize(before + bytes, 0);
            let read = moved(pipe.read(&mut report.played[before..]));
            if clock == Clock::Server {
                report.played.truncate(before + read);
                return;
            }
            // Before the song, and behind it, nothing need come.
            if read > 0 {
                report.missed += dry;
                sounded |= report.played[before..].iter().any(|byte| *byte != 0);
                dry = 0;
            }
            dry += if sounded { bytes - read } else { 0 };
        })
    }

    /// Gives the pipe of the source a room's sound, which is no silence, and `song` from the moment on at
    /// which `begins` says so.
    fn microphone(clock: Clock, song: Vec<u8>, begins: Arc<AtomicBool>) -> Self {
        let mut pipe = pipe("RINGWAVE_MICROPHONE");
        // What another attempt has left.
        moved(pipe.read(&mut vec![0; PIPE]));
        let mut given = 0;
        Self::start(clock.ppm(MICROPHONE_PPM), move |mut bytes, report| {
            // A server that did not listen has let the pipe fill up, and goes no faster now.
            if given == 0 && rustix::io::ioctl_fionread(&pipe).unwrap() > WAITING {
                return;
            }
            while bytes > 0 {
                // So many go into a pipe as a whole (PIPE_BUF), or not at all.
                let mut block = Vec::with_capacity(bytes.min(4096));
                if begins.load(Ordering::Relaxed) {
                    block.extend_from_slice(&song[given..song.len().min(given + bytes.min(4096))]);
                }
                let of_song = block.len();
                block.resize(bytes.min(4096), ROOM[0]);
                if moved(pipe.write(&block)) == 0 {
                    report.missed += of_song;
                }
                (given, bytes) = (given + of_song, bytes - block.len());
            }
        })
    }

    /// Waits until so many more frames are played, or recorded.
    fn wait(&self, frames: u32) {
        let before = self.moved.load(Ordering::Relaxed);
        while self.moved.load(Ordering::Relaxed) < before + u64::from(frames) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn stop(self) -> Report {
        self.end.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// Lets this thread run before what else does, if that is allowed (`sched(7)`).
fn before_others(priority: &str) {
    let thread = rustix::thread::gettid().as_raw_nonzero().to_string();
    chrt(&["--fifo", "--pid", priority, &thread]);
}

fn chrt(arguments: &[&str]) {
    let _ = Command::new("chrt").args(arguments).stderr(Stdio::null()).status();
}

/// A guest as urgent as the card: it waits for it in a loop.
fn connect(socket: &Path) -> Guest {
    before_others("1");
    Guest::connect(socket)
}

/// The pipe at this path, which the sound server has made.
fn pipe(variable: &str) -> File {
    use std::os::unix::fs::OpenOptionsExt as _;
    let path = std::env::var_os(variable).expect("started by tests/host-sound/run");
    File::options().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(path).unwrap()
}

/// Bytes that went, or none if that would have had to wait.
fn moved(result: std::io::Result<usize>) -> usize {
    match result {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => 0,
        other => other.unwrap(),
    }
}

/// A frame of what the microphone hears when there is no song.
const ROOM: [u8; FRAME] = [1; FRAME];
/// What the card stores where the device gave nothing.
const SILENCE: [u8; FRAME] = [0; FRAME];

/// The test tune, in which no frame is silent.
fn song() -> Vec<u8> {
    let format = StreamFormat { sample: SampleFormat::S16, channels: CHANNELS, rate: RATE };
    let mut song = TestTune { seconds: SECONDS, format }.frames();
    song.as_chunks_mut::<FRAME>()
        .0
        .iter_mut()
        .filter(|frame| **frame == SILENCE)
        .for_each(|frame| frame[0] = 1);
    song
}

/// The drift that the card tells of its only stream.
fn told_drift(stream: &serde_json::Value, device: &Report, right: i32) {
    let drift = stream["drift_ppm"].as_f64().expect("known after ten seconds");
    println!(
        "drift {drift} ppm of a device that goes {right} ppm; it came late {} times, by {:?}",
        device.late, device.worst
    );
    assert!(
        (drift - f64::from(right)).abs() < TOLD_PPM,
        "a drift of {drift} ppm is told, and the device has one of {right}"
    );
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

/// What `PipeWire` lost because this host was late: sound, which the card has counted (it keeps two blocks of
/// 20 ms, and `PulseAudio` all of it), or cycles of its graph, which stood still while a device saw how late
/// this host was.
fn lost(clock: Clock, stream: &serde_json::Value, device: &Report) -> Result<(), String> {
    let underruns = ["sink_underruns", "source_underruns"].map(|name| stream[name].as_u64().unwrap_or(0));
    let underruns: u64 = underruns.into_iter().sum();
    let stood_still = device.late > 0 && stream["drift_ppm"].as_f64().is_none_or(|ppm| ppm.abs() >= TOLD_PPM);
    if clock == Clock::Server && (underruns > 0 || stood_still) {
        return Err(format!(
            "this host was late {} times, by {:?}, and {underruns} underruns were counted: {stream}",
            device.late, device.worst
        ));
    }
    Ok(())
}

/// Once; and up to four times more where this host was late.
fn in_time(run: impl Fn() -> Result<(), String>) {
    for _ in 0..4 {
        match run() {
            Ok(()) => return,
            Err(late) => println!("{late}; once more"),
        }
    }
    run().unwrap();
}

#[test]
#[ignore = "needs a sound server of its own: tests/host-sound/run"]
fn what_the_guest_plays_is_what_the_sound_system_plays() {
    in_time(plays);
}

fn plays() -> Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    let [socket, stats] = ["card.sock", "stats.json"].map(|name| dir.path().join(name));
    let clock = Clock::of_this_server();
    let speakers = Device::speakers(clock);
    let paths = [&socket, &stats].map(|path| path.to_str().unwrap());
    let mut serve = serve(&["--sink", "sound", "--socket", paths[0], "--stats", paths[1]]);

    let song = song();
    let mut guest = connect(&socket);
    if clock == Clock::Server {
        serve.before_others();
    }
    let setup = Setup { mode: DmaMode::ScatterGather, rate: RATE, channels: CHANNELS, packet: PACKET };
    let pace = play(&mut guest, setup, &song);
    drop(guest);
    assert!(serve.0.wait().unwrap().success());
    speakers.wait(2 * RATE);
    let report = speakers.stop();

    let stats: serde_json::Value = serde_json::from_slice(&std::fs::read(&stats).unwrap()).unwrap();
    let stream = &stats["streams"][0];
    lost(clock, stream, &report)?;
    for nothing in ["silence_frames", "underruns", "sink_underruns", "sink_dropped_frames"] {
        assert_eq!(
            stream[nothing], 0,
            "{nothing}; the speakers came late {} times, by {:?}: {stream}",
            report.late, report.worst
        );
    }
    told_drift(stream, &report, clock.ppm(SPEAKERS_PPM));
    // The guest saw it follow: at the device's pace, and as much faster or slower as brings the queue to its
    // target.
    let paced = (1e9 / f64::from(pace) - 1.0) * 1e6;
    assert!(
        clock == Clock::Server || paced * f64::from(SPEAKERS_PPM) > 0.0,
        "at the end the stream went {paced:.0} ppm faster than the card's clock"
    );

    let heard = &report.played;
    // Less than is in the pipe when the server comes in time.
    assert_eq!(
        report.missed, 0,
        "bytes that the sound server was late with; the speakers came late {} times, by {:?}",
        report.late, report.worst
    );
    let begin = heard.as_chunks::<FRAME>().0.iter().position(|frame| *frame != SILENCE);
    let begin = begin.expect("silence was played") * FRAME;
    let same = heard[begin..].iter().zip(&song).take_while(|(heard, played)| heard == played).count();
    assert_eq!(same, song.len(), "the first {} frames are the same, then no more", same / FRAME);
    assert!(heard[begin + same..].iter().all(|byte| *byte == 0), "something comes after the end");
    Ok(())
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

/// Frames of silence in a recording that is, but for them, a room's sound, the song, and the room's sound
/// again: before the song, and within it.
fn silence_in(recorded: &[u8], song: &[u8]) -> Result<[usize; 2], String> {
    let frames = recorded.as_chunks::<FRAME>().0;
    let song = song.as_chunks::<FRAME>().0;
    let begin =
        frames.iter().position(|frame| *frame != SILENCE && *frame != ROOM).ok_or("there is no song")?;
    let silent = |frames: &[[u8; FRAME]]| frames.iter().filter(|frame| **frame == SILENCE).count();
    let (mut at, mut within) = (begin, 0);
    for (number, expected) in song.iter().enumerate() {
        while frames.get(at) == Some(&SILENCE) {
            (at, within) = (at + 1, within + 1);
        }
        let heard = frames.get(at);
        if heard != Some(expected) {
            return Err(format!("frame {at}, frame {number} of the song, is {heard:?} and not {expected:?}"));
        }
        at += 1;
    }
    match frames[at..].iter().position(|frame| *frame != ROOM && *frame != SILENCE) {
        Some(after) => Err(format!("something comes {after} frames after the song")),
        None => Ok([silent(&frames[..begin]), within]),
    }
}

#[test]
#[ignore = "needs a sound server of its own: tests/host-sound/run"]
fn what_the_sound_system_hears_is_what_the_guest_records() {
    in_time(records);
}

fn records() -> Result<(), String> {
    use ringwave_regs::stream;
    let dir = tempfile::tempdir().unwrap();
    let [socket, stats] = ["card.sock", "stats.json"].map(|name| dir.path().join(name));
    let (clock, song, begins) = (Clock::of_this_server(), song(), Arc::new(AtomicBool::new(false)));
    let microphone = Device::microphone(clock, song.clone(), Arc::clone(&begins));
    let paths = [&socket, &stats].map(|path| path.to_str().unwrap());
    let ends = ["--render", "0", "--capture", "1", "--source", "sound"];
    let mut serve = serve(&[&ends[..], &["--socket", paths[0], "--stats", paths[1]]].concat());

    let mut guest = connect(&socket);
    if clock == Clock::Server {
        serve.before_others();
    }
    let setup = Setup { mode: DmaMode::ScatterGather, rate: RATE, channels: CHANNELS, packet: PACKET };
    guest.set_up(setup);
    guest.stream_write(stream::STATE, stream::STATE_RUN);
    let (mut packets, mut last_loud) = (0_u32, None);
    let recorded = record_packets(&guest, setup, 0, |bytes| {
        packets += 1;
        let is = |what: [u8; FRAME]| bytes.as_chunks::<FRAME>().0.iter().all(|frame| *frame == what);
        // The device is open.
        if is(ROOM) && last_loud.is_none() {
            begins.store(true, Ordering::Relaxed);
        }
        if !is(ROOM) && !is(SILENCE) && begins.load(Ordering::Relaxed) {
            last_loud = Some(packets);
        }
        last_loud.is_some_and(|last| packets > last + 1) || packets > 100
    });
    guest.stream_write(stream::STATE, stream::STATE_STOP);
    assert_eq!(guest.stream_read(stream::ERROR), 0);
    drop(guest);
    assert!(serve.0.wait().unwrap().success());
    let report = microphone.stop();

    let stats: serde_json::Value = serde_json::from_slice(&std::fs::read(&stats).unwrap()).unwrap();
    let stream = &stats["streams"][0];
    lost(clock, stream, &report)?;
    assert_eq!(
        report.missed, 0,
        "bytes of the song that the sound server did not take; it came late {} times, by {:?}",
        report.late, report.worst
    );
    let [before, within] = silence_in(&recorded, &song)
        .unwrap_or_else(|why| panic!("the recording is not what the microphone heard: {why}; {stream}"));
    let [counted, underruns] =
        ["source_silence_frames", "source_underruns"].map(|name| stream[name].as_u64().unwrap());
    assert!((before + within) as u64 <= counted, "{before} and {within} silent frames: {stream}");
    assert_eq!(stream["source_overruns"], 0, "{stream}");
    if within > 0 {
        println!(
            "this host: the microphone came late {} times, by {:?}; the card stored {within} frames of silence, and counted them",
            report.late, report.worst
        );
        assert!(underruns <= report.late, "and that was not for the microphone: {stream}");
    }
    told_drift(stream, &report, clock.ppm(MICROPHONE_PPM));
    Ok(())
}

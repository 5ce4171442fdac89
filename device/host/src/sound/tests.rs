//! A stream on a device that a test turns by hand.

use std::sync::{Arc, Mutex, MutexGuard};

use ringwave_audio::SampleFormat;

use super::convert::{Offer, Samples, choose};
use super::*;
use crate::{SinkSpec, Sinks};

const STEREO: StreamFormat = StreamFormat { sample: SampleFormat::S16, channels: 2, rate: 48_000 };
const BLOCK: usize = 480;

/// A sound system whose only device takes 16-bit stereo at 48 kHz, when the test says so.
#[derive(Clone, Default)]
struct Fake(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    feed: Option<Feed>,
    opened: u32,
    /// Devices that were dropped.
    closed: u32,
    heard: Vec<u8>,
}

/// Tells when it is dropped.
struct Held(Fake);

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.closed += 1;
        state.feed = None;
    }
}

impl Fake {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
    /// The device takes so many blocks.
    fn pull(&self, blocks: usize) {
        for _ in 0..blocks {
            let mut state = self.state();
            let mut out = vec![0xEE; BLOCK * 4];
            let Some(feed) = &mut state.feed else { return };
            feed.fill(&mut out);
            state.heard.extend(out);
        }
    }
    /// What was heard, without the silence around it.
    fn sound(&self) -> Vec<u8> {
        let heard = &self.state().heard;
        let first = heard.chunks(4).position(|frame| frame != [0; 4]).unwrap_or(0);
        let last = heard.chunks(4).rposition(|frame| frame != [0; 4]).map_or(first, |last| last + 1);
        heard[first * 4..last * 4].to_vec()
    }
    fn sinks(&self) -> Sinks {
        Sinks::with_output(SinkSpec::Sound(None), Box::new(self.clone())).unwrap()
    }
    /// Goes on taking blocks in a thread, fast, until the device is closed.
    fn pull_on(&self) -> std::thread::JoinHandle<()> {
        let fake = self.clone();
        std::thread::spawn(move || {
            let end = Instant::now() + Duration::from_secs(5);
            while fake.state().feed.is_some() && Instant::now() < end {
                fake.pull(1);
                std::thread::sleep(Duration::from_millis(1));
            }
        })
    }
}

impl Output for Fake {
    fn check(&self, device: Option<&str>) -> Result<(), SoundError> {
        device.map_or(Ok(()), |name| Err(SoundError::NoDevice { device: name.to_owned(), list: SINKS }))
    }
    fn open(
        &self,
        _: Option<&str>,
        stream: StreamFormat,
        feed: &mut dyn FnMut(Opening) -> Feed,
    ) -> Result<Opened, SoundError> {
        let offer = Offer { samples: Samples::S16, channels: 2, lowest: 48_000, highest: 48_000 };
        let opening = choose(stream, &[offer]).map_err(|_| SoundError::Rate {
            device: "fake".into(),
            rate: stream.rate,
            taken: "48000 Hz".into(),
        })?;
        let mut state = self.state();
        state.opened += 1;
        state.feed = Some(feed(opening));
        Ok(Opened { device: Box::new(Held(self.clone())), block: u32::try_from(BLOCK).unwrap() })
    }
    fn devices(&self) -> Result<Vec<(String, String)>, SoundError> {
        Ok(Vec::new())
    }
}

/// Frames `first..`, none of which is silence.
fn frames_from(first: u16, frames: u16) -> Vec<u8> {
    (first..first + frames)
        .flat_map(|frame| [(frame | 0x8000).to_le_bytes(), frame.to_be_bytes()].concat())
        .collect()
}

#[test]
fn everything_is_heard_bit_for_bit_and_nothing_else() {
    let fake = Fake::default();
    let mut sinks = fake.sinks();
    let song = frames_from(0, 9600);
    for burst in song.chunks(BLOCK * 4) {
        sinks.frames(0, STEREO, burst).unwrap();
        fake.pull(1);
    }
    let puller = fake.pull_on();
    assert!(sinks.finish().is_empty());
    puller.join().unwrap();
    assert_eq!(fake.sound(), song);
    assert_eq!(fake.state().opened, 1);
    assert_eq!(fake.state().closed, 1);
    let (_, stats) = sinks.take_stats()[0];
    assert_eq!((stats.underruns, stats.dropped_frames), (0, 0));
    assert!(sinks.take_stats().is_empty(), "the next client begins with nothing");
}

#[test]
fn sound_shorter_than_the_queues_target_is_heard_when_the_stream_ends() {
    let fake = Fake::default();
    let mut sinks = fake.sinks();
    let beep = frames_from(1, 48);
    sinks.frames(0, STEREO, &beep).unwrap();
    fake.pull(10);
    assert!(fake.sound().is_empty(), "it is held back");
    assert!(sinks.idle_due().is_some_and(|due| due <= Duration::from_millis(15)));
    sinks.idle_but(1);
    fake.pull(1);
    assert!(fake.sound().is_empty(), "stream 0 still plays");
    sinks.idle_but(0);
    assert_eq!(sinks.idle_due(), None);
    fake.pull(1);
    assert_eq!(fake.sound(), beep);
    assert_eq!(sinks.stats()[0].1.underruns, 0);
}

#[test]
fn missing_sound_is_an_underrun_only_while_the_stream_plays() {
    let fake = Fake::default();
    let mut sinks = fake.sinks();
    let burst = frames_from(1, 480);
    let play = |sinks: &mut Sinks| {
        for _ in 0..4 {
            sinks.frames(0, STEREO, &burst).unwrap();
        }
    };
    play(&mut sinks);
    sinks.idle_but(0);
    fake.pull(6);
    assert_eq!(sinks.stats()[0].1.underruns, 0, "a pause");
    play(&mut sinks);
    fake.pull(6);
    assert_eq!(sinks.stats()[0].1.underruns, 1, "it plays, and nothing came");
}

#[test]
fn after_an_underrun_more_sound_waits_but_not_without_end() {
    let fake = Fake::default();
    let mut sinks = fake.sinks();
    let begins = |sinks: &mut Sinks| {
        // How many bursts have to be there before the device gets one; then it takes more than there is.
        for bursts in 1..100 {
            sinks.frames(0, STEREO, &frames_from(1, 480)).unwrap();
            let before = fake.state().heard.len();
            fake.pull(1);
            if fake.state().heard[before..].iter().any(|byte| *byte != 0) {
                fake.pull(bursts + 1);
                // The I/O worker learns of it with the next burst, which is the first of those that have to
                // wait.
                return bursts;
            }
        }
        panic!("nothing is heard")
    };
    let (first, second) = (begins(&mut sinks), begins(&mut sinks));
    assert_eq!(first, 3, "two blocks and a burst");
    assert_eq!(second, 4, "and a block for the underrun");
    let last = (0..40).map(|_| begins(&mut sinks)).last().unwrap();
    assert_eq!(last, 20, "200 ms");
    assert_eq!(sinks.stats()[0].1.underruns, 42);
}

#[test]
fn device_that_stands_still_loses_what_it_has_no_room_for_and_it_is_counted() {
    let fake = Fake::default();
    let mut sinks = fake.sinks();
    for _ in 0..200 {
        sinks.frames(0, STEREO, &frames_from(1, 480)).unwrap();
    }
    let (_, stats) = sinks.stats()[0];
    // 2 s were given; there is room for 0.9 s.
    assert_eq!(stats.dropped_frames, 96_000 - 43_200);
    fake.pull(10);
    assert_eq!(fake.sound().len(), 10 * BLOCK * 4, "what it has is played");
    // Silence is skipped while there is more than enough, sound is not.
    sinks.silence(0, STEREO, 480).unwrap();
    assert_eq!(sinks.stats()[0].1.dropped_frames, 96_000 - 43_200 + 480);
    sinks.frames(0, STEREO, &frames_from(7, 480)).unwrap();
    assert_eq!(sinks.stats()[0].1.dropped_frames, 96_000 - 43_200 + 480);
}

#[test]
fn device_that_is_unplugged_is_the_streams_error_once_with_what_to_do() {
    let fake = Fake::default();
    let mut sinks = fake.sinks();
    sinks.frames(3, STEREO, &frames_from(1, 480)).unwrap();
    fake.state().feed.as_ref().unwrap().shared().fail("Device disconnected");
    let error = sinks.frames(3, STEREO, &frames_from(1, 480)).unwrap_err().to_string();
    assert!(error.contains("Device disconnected") && error.contains("plug it in again"), "{error}");
    assert_eq!(fake.state().closed, 1, "its thread is gone");
    assert!(sinks.frames(3, STEREO, &frames_from(1, 480)).is_ok(), "dropped quietly");
    assert_eq!(sinks.stats().len(), 1, "what was known of it stays");
    assert!(sinks.finish().is_empty());
}

#[test]
fn after_a_stop_a_device_that_failed_is_opened_again_but_not_without_end() {
    let fake = Fake::default();
    let mut sinks = fake.sinks();
    let burst = frames_from(1, 480);
    // What the message says to do: another format.
    assert!(sinks.frames(0, StreamFormat { rate: 96_000, ..STEREO }, &burst).is_err());
    assert!(sinks.frames(0, STEREO, &burst).is_ok());
    assert_eq!(fake.state().opened, 0, "it is the same sound still");
    sinks.stopped(1);
    sinks.frames(0, STEREO, &burst).unwrap();
    assert_eq!(fake.state().opened, 0, "another stream");
    sinks.stopped(0);
    sinks.frames(0, STEREO, &burst).unwrap();
    assert_eq!(fake.state().opened, 1);
    // Unplugged, again and again.
    let mut errors = 0;
    for _ in 0..1000 {
        if let Some(feed) = &fake.state().feed {
            feed.shared().fail("Device disconnected");
        }
        errors += u32::from(sinks.frames(0, STEREO, &burst).is_err());
        sinks.stopped(0);
        sinks.frames(0, STEREO, &burst).unwrap();
    }
    assert!((50..200).contains(&errors), "each is a line in the log: {errors}");
    // The next client's device is opened as ever.
    sinks.finish();
    let before = fake.state().opened;
    sinks.frames(0, STEREO, &burst).unwrap();
    assert_eq!(fake.state().opened, before + 1);
}

#[test]
fn after_a_stop_the_stream_is_told_its_pace_again() {
    let fake = Fake::default();
    let mut sink = SoundSink::open(&fake, None, STEREO).unwrap();
    sink.frames(&frames_from(1, 480)).unwrap();
    for block in 1..3_000_u64 {
        let (taken, time) = (block * 480, block * 10_000_000 / 10_001 * 10_000);
        sink.follow.taken(time, taken);
        sink.follow.given(time, taken + 1440);
    }
    let told = sink.rate_den().unwrap();
    assert!(told != CLOCK_HZ && sink.rate_den().is_none(), "told once");
    // STOP has made it nominal, and the next RUN came before anybody saw the stream rest.
    sink.stopped();
    sink.frames(&frames_from(1, 480)).unwrap();
    assert_eq!(sink.rate_den(), Some(told));
}

#[test]
fn device_that_fails_while_nothing_plays_is_found_by_the_next_flush() {
    let fake = Fake::default();
    let mut sinks = fake.sinks();
    sinks.frames(1, STEREO, &frames_from(1, 480)).unwrap();
    fake.state().feed.as_ref().unwrap().shared().fail("gone");
    let failed = sinks.flush();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].0, 1);
}

#[test]
fn rate_and_device_that_do_not_do_are_refused_with_the_next_step() {
    let fake = Fake::default();
    let error = fake.sinks().frames(0, StreamFormat { rate: 96_000, ..STEREO }, &[0; 8]).unwrap_err();
    assert!(error.to_string().contains("96000 Hz but at 48000 Hz"), "{error}");
    let none = Sinks::with_output(SinkSpec::Sound(Some("hw:9".into())), Box::new(fake)).err().unwrap();
    assert!(none.to_string().contains("hw:9") && none.to_string().contains("ringwave sinks"), "{none}");
}

#[test]
fn another_format_gets_the_device_anew_and_the_first_is_played_out() {
    let fake = Fake::default();
    let mut sinks = fake.sinks();
    let song = frames_from(1, 480);
    sinks.frames(0, STEREO, &song).unwrap();
    let puller = fake.pull_on();
    let mono: Vec<u8> = (1..100_u8).flat_map(|sample| [sample, 1]).collect();
    sinks.frames(0, StreamFormat { channels: 1, ..STEREO }, &mono).unwrap();
    assert!(fake.sound().starts_with(&song), "whole, before the other is opened");
    assert!(sinks.finish().is_empty());
    puller.join().unwrap();
    let both: Vec<u8> = mono.chunks(2).flat_map(|sample| [sample, sample].concat()).collect();
    assert!(fake.sound().ends_with(&both), "mono is on both channels");
}

#[test]
fn pace_follows_a_device_that_is_too_fast() {
    let fake = Fake::default();
    let mut sink = SoundSink::open(&fake, None, STEREO).unwrap();
    // Two minutes of marks of a crystal that is 100 millionths too fast, as the I/O worker would read them.
    let mut paces = Vec::new();
    sink.idle = false;
    for block in 1..12_000_u64 {
        let taken = block * 480;
        let time = taken * 1_000_000_000 / 48_000 * 1_000_000 / 1_000_100;
        sink.follow.taken(time, taken);
        sink.follow.given(time, taken + 1440);
        paces.extend(sink.rate_den());
    }
    let last = f64::from(*paces.last().unwrap());
    assert!((last - 999_900_010.0).abs() < 5_000.0, "{last}");
    assert!(paces.len() < 480, "each is a new base of the stream: {}", paces.len());
    let drift = sink.stats().unwrap().drift_ppm.unwrap();
    assert!((drift - 100.0).abs() < 2.0, "{drift}");
}

#[test]
#[cfg(not(feature = "sound"))]
fn without_the_feature_it_is_refused_with_how_to_get_it() {
    let error = Sinks::new(SinkSpec::Sound(None)).err().unwrap().to_string();
    assert!(error.contains("--features sound") && error.contains("libasound2-dev"), "{error}");
    assert_eq!(error.lines().count(), 1);
}

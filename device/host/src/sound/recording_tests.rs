//! A stream that hears a device which a test turns by hand.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use ringwave_audio::{SampleFormat, StreamFormat};
use ringwave_engine::sources::{SourceStats, Sources};
use ringwave_engine::timeline::CLOCK_HZ;

use super::convert::{Offer, Opening, Samples, choose};
use super::intake::Intake;
use super::microphone::Microphone;
use super::recording::Recording;
use super::{InputDevices, Opened, SOURCES, SoundError};
use crate::source::{Inputs, SourceSpec};

const STEREO: StreamFormat = StreamFormat { sample: SampleFormat::S16, channels: 2, rate: 48_000 };
const MONO: StreamFormat = StreamFormat { channels: 1, ..STEREO };
/// Frames of a block, and of a burst: 10 ms.
const BLOCK: usize = 480;
const BLOCK_NANOS: u64 = 10_000_000;

/// A sound system whose only device records 16-bit mono at 48 kHz, when the test says so.
#[derive(Clone, Default)]
struct Fake(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    intake: Option<Intake>,
    opened: u32,
    closed: u32,
    /// The sample that it gives next: each is another, and none is 0.
    next: i16,
}

/// Tells when it is dropped.
struct Held(Fake);

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.closed += 1;
        state.intake = None;
    }
}

impl Fake {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn open(&self) -> (Box<dyn Send>, Recording) {
        Recording::open(self, None, MONO).unwrap()
    }

    /// The device gives a block at this time.
    fn give(&self, time: u64) {
        let mut state = self.state();
        let samples: Vec<u8> = (0..BLOCK)
            .flat_map(|_| {
                state.next = state.next % 30_000 + 1;
                state.next.to_le_bytes()
            })
            .collect();
        if let Some(intake) = &mut state.intake {
            intake.put_at(time, &samples);
        }
    }

    fn inputs(&self) -> Inputs {
        let devices = || Box::new(self.clone()) as Box<dyn InputDevices>;
        Inputs::with_devices(3, &[SourceSpec::Sound(None)], devices).unwrap()
    }

    fn wait(&self, what: impl Fn(&State) -> bool) {
        let begin = Instant::now();
        while !what(&self.state()) {
            assert!(begin.elapsed() < Duration::from_secs(10), "the device is neither opened nor closed");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl InputDevices for Fake {
    fn check(&self, device: Option<&str>) -> Result<(), SoundError> {
        let refused = |name: &str| Err(SoundError::NoDevice { device: name.to_owned(), list: SOURCES });
        device.map_or(Ok(()), refused)
    }

    fn record(
        &self,
        _: Option<&str>,
        stream: StreamFormat,
        intake: &mut dyn FnMut(Opening) -> Intake,
    ) -> Result<Opened, SoundError> {
        let offer = Offer { samples: Samples::S16, channels: 1, lowest: 48_000, highest: 48_000 };
        let opening = choose(stream, &[offer]).map_err(|_| SoundError::Rate {
            device: "fake".into(),
            rate: stream.rate,
            taken: "48000 Hz".into(),
        })?;
        let mut state = self.state();
        state.opened += 1;
        state.intake = Some(intake(opening));
        Ok(Opened { device: Box::new(Held(self.clone())), block: u32::try_from(BLOCK).unwrap() })
    }

    fn devices(&self) -> Result<Vec<(String, String)>, SoundError> {
        Ok(Vec::new())
    }
}

/// The next burst of a stream.
fn burst(recording: &mut Recording, time: u64) -> Vec<i16> {
    let mut bytes = vec![0; BLOCK * 2];
    recording.fill_at(time, &mut bytes);
    bytes.as_chunks().0.iter().map(|sample| i16::from_le_bytes(*sample)).collect()
}

/// What a stream heard, without the silence around it.
fn sound(heard: &[i16]) -> &[i16] {
    let first = heard.iter().position(|sample| *sample != 0).unwrap_or(0);
    let last = heard.iter().rposition(|sample| *sample != 0).map_or(first, |last| last + 1);
    &heard[first..last]
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "times of a test")]
fn whole(time: f64) -> u64 {
    time as u64
}

/// Whether sample after sample of the device is there.
fn is_whole(heard: &[i16]) -> bool {
    !heard.is_empty() && heard.windows(2).all(|pair| pair[1] == pair[0] % 30_000 + 1)
}

#[test]
fn what_the_device_gives_is_heard_sample_for_sample_after_a_little_silence() {
    let fake = Fake::default();
    let (_device, mut recording) = fake.open();
    let mut heard = Vec::new();
    for block in 1..500 {
        fake.give(block * BLOCK_NANOS);
        heard.extend(burst(&mut recording, block * BLOCK_NANOS + 1_000_000));
    }
    let silent = heard.iter().take_while(|sample| **sample == 0).count();
    assert_eq!(silent, 3 * BLOCK, "two blocks and 10 ms wait");
    assert!(is_whole(&heard[silent..]));
    let SourceStats { underruns, overruns, .. } = recording.stats();
    assert_eq!((underruns, overruns), (0, 0));
}

#[test]
fn device_that_is_too_slow_or_too_fast_is_followed() {
    for ppm in [-150.0, 0.0, 90.0] {
        let fake = Fake::default();
        let (_device, mut recording) = fake.open();
        let (mut next_block, mut next_burst, mut rate_den) = (0.0_f64, 0.0_f64, CLOCK_HZ);
        let (mut last, nanos) = (None, 1e7);
        while next_burst < 60e9 {
            if next_block <= next_burst {
                fake.give(whole(next_block));
                next_block += nanos / (1.0 + ppm * 1e-6);
            } else {
                let heard = burst(&mut recording, whole(next_burst));
                let with_last: Vec<i16> = last.into_iter().chain(heard.iter().copied()).collect();
                assert!(next_burst < 1e9 || is_whole(&with_last), "{ppm}: after {next_burst}");
                last = heard.last().copied();
                rate_den = recording.rate_den().unwrap_or(rate_den);
                next_burst += nanos * f64::from(rate_den) / f64::from(CLOCK_HZ);
            }
        }
        assert_eq!(recording.stats().underruns, 0, "{ppm}");
        let followed = (f64::from(CLOCK_HZ) / f64::from(rate_den) - 1.0) * 1e6;
        assert!((followed - ppm).abs() < 15.0, "{ppm}: the stream goes {followed} faster");
        let drift = recording.stats().drift_ppm.unwrap();
        assert!((drift - ppm).abs() < 5.0, "{ppm}: {drift}");
    }
}

#[test]
fn device_that_begins_to_give_two_blocks_at_once_has_no_drift() {
    // As PulseAudio does it: the first of two blocks is late, and the second one is not.
    let fake = Fake::default();
    let (_device, mut recording) = fake.open();
    let mut worst = 0.0_f64;
    for block in 1..3000_u64 {
        let pairs = block > 60;
        if !pairs {
            fake.give(block * BLOCK_NANOS);
        } else if block % 2 == 0 {
            fake.give(block * BLOCK_NANOS);
            fake.give(block * BLOCK_NANOS + 50_000);
        }
        burst(&mut recording, block * BLOCK_NANOS + 2_000_000);
        worst = worst.max(recording.stats().drift_ppm.unwrap_or(0.0).abs());
    }
    assert!(worst < 5.0, "{worst} ppm");
    assert_eq!(recording.stats().underruns, 0);
}

#[test]
fn missing_sound_is_one_underrun_and_more_waits_from_then_on() {
    let fake = Fake::default();
    let (_device, mut recording) = fake.open();
    let mut time = 0;
    let mut play = |blocks: u64, gives: bool| {
        let mut heard = Vec::new();
        for _ in 0..blocks {
            time += BLOCK_NANOS;
            if gives {
                fake.give(time);
            }
            heard.extend(burst(&mut recording, time + 1_000_000));
        }
        (heard, recording.stats().underruns)
    };
    assert_eq!(play(50, true).1, 0);
    assert_eq!(play(20, false).1, 1, "counted once, however long");
    let (heard, underruns) = play(50, true);
    let silent = heard.iter().take_while(|sample| **sample == 0).count();
    assert_eq!((silent, underruns), (4 * BLOCK, 1), "a block more than at first");
    assert!(is_whole(&heard[silent..]));
}

#[test]
fn stream_that_stands_still_loses_what_there_is_no_room_for_and_it_is_counted() {
    let fake = Fake::default();
    let (_device, mut recording) = fake.open();
    for block in 1..=50 {
        fake.give(block * BLOCK_NANOS);
        burst(&mut recording, block * BLOCK_NANOS + 1_000_000);
    }
    // Two seconds without a burst, as a lockstep stream that waits: there is room for 0.9 s.
    for block in 51..=250 {
        fake.give(block * BLOCK_NANOS);
    }
    let mut heard = Vec::new();
    for block in 251..=450 {
        fake.give(block * BLOCK_NANOS);
        heard.push(burst(&mut recording, block * BLOCK_NANOS + 1_000_000));
    }
    // One for the queue that was full, one for what waited too long behind it.
    assert_eq!((recording.stats().overruns, recording.stats().underruns), (2, 0));
    assert!(heard[..40].iter().all(|burst| is_whole(burst)), "what was there is heard");
    let last = heard.last().unwrap()[BLOCK - 1];
    let late = i32::from(fake.state().next) - i32::from(last);
    assert!((late.rem_euclid(30_000)) < 4 * 480, "it is on time again: {late} frames late");
    assert!(is_whole(&heard[100..].concat()));
}

#[test]
fn stream_that_was_late_and_takes_all_at_once_loses_nothing() {
    let fake = Fake::default();
    let (_device, mut recording) = fake.open();
    let mut heard = Vec::new();
    for block in 1..400_u64 {
        fake.give(block * BLOCK_NANOS);
        // For 200 ms nobody comes, then all bursts that were due.
        if !(100..120).contains(&block) {
            for _ in 0..if block == 120 { 21 } else { 1 } {
                heard.extend(burst(&mut recording, block * BLOCK_NANOS + 1_000_000));
            }
        }
    }
    assert!(is_whole(sound(&heard)));
    assert_eq!((recording.stats().overruns, recording.stats().underruns), (0, 0));
}

#[test]
fn after_a_pause_the_stream_hears_what_comes_then() {
    let fake = Fake::default();
    let (_device, mut recording) = fake.open();
    for block in 1..=50 {
        fake.give(block * BLOCK_NANOS);
        burst(&mut recording, block * BLOCK_NANOS);
    }
    for block in 51..=500 {
        fake.give(block * BLOCK_NANOS);
    }
    let before = fake.state().next;
    recording.restart();
    let mut heard = Vec::new();
    for block in 501..=520 {
        fake.give(block * BLOCK_NANOS);
        heard.extend(burst(&mut recording, block * BLOCK_NANOS + 1_000_000));
    }
    assert_eq!(sound(&heard)[0], before % 30_000 + 1);
    assert_eq!((recording.stats().overruns, recording.stats().underruns), (0, 0), "nobody missed it");
}

/// The next burst of stream 3.
fn capture(inputs: &mut Inputs, format: StreamFormat) -> Vec<u8> {
    let mut into = vec![0xEE; BLOCK * format.frame_bytes() as usize];
    inputs.capture(3, format, &mut into);
    into
}

#[test]
fn device_is_opened_when_a_stream_is_set_up_and_not_before() {
    let fake = Fake::default();
    let mut inputs = fake.inputs();
    assert_eq!(inputs.stats(3), Some(SourceStats::default()));
    assert_eq!(inputs.stats(4), None);
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(fake.state().opened, 0, "nobody listens");
    inputs.begin(3, STEREO, 0);
    fake.wait(|state| state.opened == 1 && state.intake.is_some());
    inputs.run(3, STEREO);
    let mut heard = Vec::new();
    for block in 1..20 {
        fake.give(block * BLOCK_NANOS);
        heard.extend(capture(&mut inputs, STEREO));
    }
    let (left, right): (Vec<i16>, Vec<i16>) = heard
        .as_chunks::<4>()
        .0
        .iter()
        .map(|frame| (i16::from_le_bytes([frame[0], frame[1]]), i16::from_le_bytes([frame[2], frame[3]])))
        .unzip();
    assert!(left == right && is_whole(sound(&left)), "mono is on both channels");
    // In another format it is another device; the same stream set up again keeps it.
    inputs.begin(3, STEREO, 0);
    inputs.begin(3, MONO, 0);
    fake.wait(|state| state.opened == 2 && state.closed == 1);
    drop(inputs);
    fake.wait(|state| state.closed == 2);
}

#[test]
fn device_that_fails_is_told_once_and_opened_again_for_the_next_start() {
    let fake = Fake::default();
    let mut inputs = fake.inputs();
    inputs.begin(3, StreamFormat { rate: 96_000, ..MONO }, 0);
    let begin = Instant::now();
    while !inputs.has_warnings() {
        assert!(begin.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(1));
    }
    let told = inputs.take_warnings();
    assert!(told.len() == 1 && told[0].contains("stream 3: ") && told[0].contains("96000 Hz"), "{told:?}");
    assert!(told[0].contains("silence is captured"), "{told:?}");
    inputs.begin(3, MONO, 0);
    fake.wait(|state| state.intake.is_some());
    inputs.run(3, MONO);
    capture(&mut inputs, MONO);
    fake.state().intake.as_ref().unwrap().shared().fail("Device disconnected");
    assert_eq!(capture(&mut inputs, MONO), vec![0; BLOCK * 2]);
    capture(&mut inputs, MONO);
    let told = inputs.take_warnings();
    assert!(told.len() == 1 && told[0].contains("Device disconnected"), "{told:?}");
    fake.wait(|state| state.closed == 1);
    inputs.run(3, MONO);
    fake.wait(|state| state.opened == 2);
}

#[test]
fn device_that_fails_while_nobody_captures_is_opened_again_once() {
    let fake = Fake::default();
    let mut inputs = fake.inputs();
    inputs.begin(3, MONO, 0);
    fake.wait(|state| state.intake.is_some());
    inputs.run(3, MONO);
    fake.state().intake.as_ref().unwrap().shared().fail("Device disconnected");
    // The stream is set up, and started while the device, which takes its time, is still being closed.
    let device = fake.state();
    inputs.begin(3, MONO, 0);
    std::thread::sleep(Duration::from_millis(50));
    inputs.run(3, MONO);
    inputs.run(3, MONO);
    drop(device);
    fake.wait(|state| state.opened == 2 && state.intake.is_some());
    std::thread::sleep(Duration::from_millis(50));
    let state = fake.state();
    assert_eq!((state.opened, state.closed), (2, 1));
}

#[test]
fn device_that_nobody_heard_is_closed_and_opened_again_by_who_goes_on() {
    // Once more where this thread had no processor for so long that the device was unheard again.
    let opened_twice = || {
        let fake = Fake::default();
        let unheard = Duration::from_millis(30);
        let mut microphone = Microphone::closing_after(unheard, Box::new(fake.clone()), None).unwrap();
        microphone.run(MONO);
        fake.wait(|state| state.opened == 1 && state.closed == 1);
        // As a stream that a lockstep client kept waiting for longer than that: there is no second RUN.
        let begin = Instant::now();
        let mut into = vec![0; BLOCK * 2];
        let mut time = 0;
        while microphone.fill(MONO, &mut into) == 0 {
            assert!(begin.elapsed() < Duration::from_mins(1), "it hears nothing any more");
            time += BLOCK_NANOS;
            fake.give(time);
            std::thread::sleep(Duration::from_millis(1));
        }
        let opened = fake.state().opened;
        fake.wait(|state| state.closed == opened);
        opened == 2
    };
    assert!((0..20).any(|_| opened_twice()));
}

#[test]
fn pace_is_told_to_the_stream_and_the_next_client_begins_with_nothing() {
    let fake = Fake::default();
    let mut inputs = fake.inputs();
    inputs.begin(3, MONO, 0);
    fake.wait(|state| state.intake.is_some());
    inputs.run(3, MONO);
    for block in 1..10 {
        fake.give(block * BLOCK_NANOS);
        capture(&mut inputs, MONO);
    }
    for _ in 0..20 {
        capture(&mut inputs, MONO);
    }
    assert_eq!(inputs.stats(3).map(|stats| stats.underruns), Some(1));
    inputs.clear_stats();
    assert_eq!(inputs.stats(3).map(|stats| stats.underruns), Some(0));
    assert!(inputs.take_rates().is_empty(), "nothing is known of it yet");
}

#[test]
fn device_that_is_not_there_is_refused_with_the_next_step() {
    let fake = Fake::default();
    let devices = || Box::new(fake.clone()) as Box<dyn InputDevices>;
    let error = Inputs::with_devices(0, &["sound:hw:9".parse().unwrap()], devices).err().unwrap().to_string();
    assert!(error.contains("hw:9") && error.contains("`ringwave sources`"), "{error}");
    assert_eq!(error.lines().count(), 1);
}

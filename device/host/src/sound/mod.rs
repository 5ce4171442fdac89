//! The host's sound system: as a sink (`--sink sound` and `sound:DEVICE`), and as a source ([`microphone`]).
//!
//! What a stream played goes through a queue ([`feed`]) to the callback of a device, in the device's format
//! ([`convert`]), and the stream is given the rate of the device (`drift`). What a device records goes the
//! same way back ([`intake`], [`recording`]). The device itself is behind [`Output`] or [`InputDevices`]: the
//! real one needs the cargo feature `sound`, for the system library that it takes; all the rest is tested
//! without one.

pub mod convert;
pub mod feed;
pub mod intake;
pub mod microphone;
pub mod recording;
pub mod server;

#[cfg(feature = "sound")]
mod device;

use std::time::{Duration, Instant};

use ringwave_engine::timeline::CLOCK_HZ;

use self::convert::{Converter, Opening};
use self::feed::{Feed, Progress, Queue};
use self::intake::Intake;
use super::{Sink, SinkError, SinkStats};
use crate::drift::ClockFollower;
use ringwave_audio::StreamFormat;

/// Sound that can wait beyond the target, in thousandths of a second: a device that stands still for longer
/// loses some.
const ROOM_MILLIS: u32 = 500;
/// More than this beyond the target, in thousandths of a second: silence is skipped until it is less.
const SURPLUS_MILLIS: u32 = 30;
/// Where sound was missing more of it has to wait from then on, but not more than this, in thousandths of a
/// second.
const TARGET_MILLIS: u32 = 200;
/// The device's own buffer, in blocks, and one to be sure: as long it plays on after it has taken the last of
/// ours.
const OWN_BLOCKS: u64 = 4;
/// A device that takes nothing for as long has stopped. A sound server that wakes up needs two seconds.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often the end looks whether everything was played.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The command that lists devices that play.
pub const SINKS: &str = "ringwave sinks";
/// The command that lists devices that record.
pub const SOURCES: &str = "ringwave sources";

/// Why there is no sound.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SoundError {
    /// This program was built without it.
    #[error(
        "the host's sound system is not built in; install libasound2-dev and pkg-config, and build with: cargo build --release --features sound"
    )]
    NotBuilt,
    /// The device's name is not known.
    #[error("no sound device {device}; `{list}` lists those there are")]
    NoDevice {
        /// Its name.
        device: String,
        /// [`SINKS`] or [`SOURCES`].
        list: &'static str,
    },
    /// No resampling is done here.
    #[error(
        "sound device {device} does not go at {rate} Hz but at {taken}; choose such a format in the guest, or a device that converts (sound:default, sound:pulse)"
    )]
    Rate {
        /// Its name.
        device: String,
        /// Frames per second of the stream.
        rate: u32,
        /// What it takes.
        taken: String,
    },
    /// Neither samples nor channels fit.
    #[error(
        "sound device {device} has no sample format or number of channels that would do; choose a device that converts (sound:default, sound:pulse)"
    )]
    Format {
        /// Its name.
        device: String,
    },
    /// It cannot be opened, or failed later.
    #[error("sound device {device}: {why}; {next}")]
    Device {
        /// Its name.
        device: String,
        /// What the sound system says.
        why: String,
        /// What to do.
        next: &'static str,
    },
}

/// A sound system: something that opens devices.
pub trait Output: Send {
    /// Whether there is such a device; `None` is the one that the system calls its default.
    fn check(&self, device: Option<&str>) -> Result<(), SoundError>;
    /// Starts a device for a stream. It takes its frames from what `feed` gives for the format it is opened
    /// with, which is asked again when that did not do.
    fn open(
        &self,
        device: Option<&str>,
        stream: StreamFormat,
        feed: &mut dyn FnMut(Opening) -> Feed,
    ) -> Result<Opened, SoundError>;
    /// Name and description of every device that plays.
    fn devices(&self) -> Result<Vec<(String, String)>, SoundError>;
}

/// A sound system: something that opens devices that record.
pub trait InputDevices: Send {
    /// Whether there is such a device; `None` is the one that the system calls its default.
    fn check(&self, device: Option<&str>) -> Result<(), SoundError>;
    /// Starts a device for a stream. It gives its frames to what `intake` gives for the format it is opened
    /// with, which is asked again when that did not do.
    fn record(
        &self,
        device: Option<&str>,
        stream: StreamFormat,
        intake: &mut dyn FnMut(Opening) -> Intake,
    ) -> Result<Opened, SoundError>;
    /// Name and description of every device that records.
    fn devices(&self) -> Result<Vec<(String, String)>, SoundError>;
}

/// A device that was started. It stops when this is dropped.
pub struct Opened {
    /// What keeps it running.
    pub device: Box<dyn Send>,
    /// Frames it takes, or gives, at once.
    pub block: u32,
}

/// The host's sound system.
pub fn host() -> Box<dyn Output> {
    #[cfg(feature = "sound")]
    return Box::new(device::Host);
    #[cfg(not(feature = "sound"))]
    return Box::new(NotBuilt);
}

/// The host's sound system, to record.
pub fn host_inputs() -> Box<dyn InputDevices> {
    #[cfg(feature = "sound")]
    return Box::new(device::Host);
    #[cfg(not(feature = "sound"))]
    return Box::new(NotBuilt);
}

/// What there is without the feature `sound`.
#[cfg(not(feature = "sound"))]
struct NotBuilt;

#[cfg(not(feature = "sound"))]
impl Output for NotBuilt {
    fn check(&self, _: Option<&str>) -> Result<(), SoundError> {
        Err(SoundError::NotBuilt)
    }
    fn open(
        &self,
        _: Option<&str>,
        _: StreamFormat,
        _: &mut dyn FnMut(Opening) -> Feed,
    ) -> Result<Opened, SoundError> {
        Err(SoundError::NotBuilt)
    }
    fn devices(&self) -> Result<Vec<(String, String)>, SoundError> {
        Err(SoundError::NotBuilt)
    }
}

#[cfg(not(feature = "sound"))]
impl InputDevices for NotBuilt {
    fn check(&self, _: Option<&str>) -> Result<(), SoundError> {
        Err(SoundError::NotBuilt)
    }
    fn record(
        &self,
        _: Option<&str>,
        _: StreamFormat,
        _: &mut dyn FnMut(Opening) -> Intake,
    ) -> Result<Opened, SoundError> {
        Err(SoundError::NotBuilt)
    }
    fn devices(&self) -> Result<Vec<(String, String)>, SoundError> {
        Err(SoundError::NotBuilt)
    }
}

/// One stream on a device.
pub struct SoundSink {
    name: String,
    /// Held: it plays as long.
    _device: Box<dyn Send>,
    queue: Queue,
    converter: Converter,
    converted: Vec<u8>,
    follow: ClockFollower,
    rate: u32,
    block: u32,
    /// Frames that are to wait.
    target: u32,
    /// Underruns that were answered with more of it.
    answered: u64,
    /// Frames given to the queue, and frames there was no room for.
    given: u64,
    dropped: u64,
    last: Progress,
    idle: bool,
    /// The `RATE_DEN` that the stream was given.
    reported_rate: Option<u32>,
    warned: bool,
}

impl SoundSink {
    /// Starts `device` of `output` for a stream.
    pub fn open(output: &dyn Output, device: Option<&str>, format: StreamFormat) -> Result<Self, SoundError> {
        let name = device.unwrap_or("default").to_owned();
        // Room for the target too, which is known only when the device is open: blocks of up to 100 ms.
        let room = frames(format.rate, 4 * 100 + ROOM_MILLIS);
        let mut made = None;
        let opened = output.open(device, format, &mut |opening| {
            let (queue, feed) = feed::queue(opening.frame_bytes(), room as usize);
            made = Some((queue, opening));
            feed
        })?;
        let (queue, opening) = made.ok_or_else(|| SoundError::Format { device: name.clone() })?;
        // The burst is in it because the queue is looked at when one was just given; the two blocks stand
        // late callbacks.
        let target = opened.block.saturating_mul(2).saturating_add(frames(format.rate, 10));
        queue.set_target(target);
        let Opening { samples, channels, rate } = opening;
        log::info!(
            "sound device {name}: {rate} Hz, {channels} ch, {}, {} frames at once",
            samples.name(),
            opened.block
        );
        Ok(Self {
            name,
            _device: opened.device,
            queue,
            converter: Converter::to_device(format, opening),
            converted: Vec::new(),
            follow: ClockFollower::new(format.rate, opened.block, target),
            rate: format.rate,
            block: opened.block,
            target,
            answered: 0,
            given: 0,
            dropped: 0,
            last: Progress::default(),
            idle: true,
            reported_rate: None,
            warned: false,
        })
    }

    fn failure(&self) -> Option<SinkError> {
        let why = self.queue.failure()?;
        let next = "plug it in again or see whether the sound server runs, and start the stream anew";
        Some(SoundError::Device { device: self.name.clone(), why, next }.into())
    }

    /// Takes what the device has reported.
    fn take_progress(&mut self) {
        for progress in self.queue.progress() {
            self.follow.taken(progress.time, progress.taken);
            if progress.playing && !self.last.playing {
                self.follow.forget_queue();
            }
            self.last = progress;
        }
    }

    /// A host that is too slow for what waits gets more time: a block for each underrun.
    fn answer_underruns(&mut self) {
        let underruns = self.queue.underruns();
        if std::mem::replace(&mut self.answered, underruns) == underruns {
            return;
        }
        let most = frames(self.rate, TARGET_MILLIS).max(self.target);
        self.target = self.target.saturating_add(self.block).min(most);
        self.queue.set_target(self.target);
        self.follow.set_target(self.target);
        log::debug!("sound device {}: {} frames wait from now on", self.name, self.target);
    }

    /// Says once that something was lost, and why that happens.
    fn warn(&mut self) {
        if !self.warned && (self.queue.underruns() != 0 || self.dropped != 0) {
            self.warned = true;
            log::warn!(
                "sound device {}: {} underruns, {} frames dropped so far; the host is too busy, or the device stood still",
                self.name,
                self.queue.underruns(),
                self.dropped
            );
        }
    }

    /// Waits until the device has played everything; `false` if it does not.
    fn play_out(&mut self) -> bool {
        self.queue.idle();
        let (mut end, mut moved, mut since) = (None, self.last.taken, Instant::now());
        loop {
            self.take_progress();
            if self.queue.waiting() == 0 {
                let end = *end.get_or_insert(self.last.taken + OWN_BLOCKS * u64::from(self.block));
                if self.last.taken >= end {
                    return true;
                }
            }
            if std::mem::replace(&mut moved, self.last.taken) != self.last.taken {
                since = Instant::now();
            }
            if since.elapsed() > PATIENCE || self.queue.failure().is_some() {
                return self.queue.waiting() == 0;
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

impl Sink for SoundSink {
    fn frames(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        if std::mem::take(&mut self.idle) {
            self.queue.resume();
            self.follow.forget_queue();
            self.reported_rate = None;
        }
        self.take_progress();
        self.converted.clear();
        self.converter.convert(bytes, &mut self.converted);
        let there = self.converter.frames_of(bytes);
        // After a device has stood still there is more than enough, and where nothing is to be heard nobody
        // misses it.
        let plenty = u64::from(self.target) + u64::from(frames(self.rate, SURPLUS_MILLIS));
        let skip = self.queue.waiting() > plenty && self.converter.is_silence(bytes);
        let given = if skip { 0 } else { self.queue.give(&self.converted) };
        self.given += given;
        self.dropped += there.saturating_sub(given);
        if self.last.playing {
            self.follow.given(self.queue.now(), self.given + self.last.silence);
        }
        self.answer_underruns();
        self.warn();
        Ok(())
    }

    fn room(&self) -> u64 {
        u64::MAX
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.failure().map_or(Ok(()), Err)
    }

    fn finish(mut self: Box<Self>) -> Result<(), SinkError> {
        if self.play_out() {
            return Ok(());
        }
        let why = "it has stopped taking sound, and the last of it was not played".to_owned();
        let next = "see whether the sound server runs";
        Err(self.failure().unwrap_or(SoundError::Device { device: self.name.clone(), why, next }.into()))
    }

    fn idle(&mut self) {
        self.idle = true;
        self.queue.idle();
    }

    fn stopped(&mut self) {
        self.reported_rate = None;
    }

    fn is_idle(&self) -> bool {
        self.idle
    }

    fn rate_den(&mut self) -> Option<u32> {
        let rate_den = self.follow.rate_den();
        (!self.idle && self.reported_rate.replace(rate_den).unwrap_or(CLOCK_HZ) != rate_den)
            .then_some(rate_den)
    }

    fn stats(&self) -> Option<SinkStats> {
        Some(SinkStats {
            drift_ppm: self.follow.drift_ppm(),
            underruns: self.queue.underruns(),
            dropped_frames: self.dropped,
        })
    }
}

/// So many thousandths of a second in frames.
fn frames(rate: u32, millis: u32) -> u32 {
    u32::try_from(u64::from(rate) * u64::from(millis) / 1000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod recording_tests;
#[cfg(test)]
mod tests;

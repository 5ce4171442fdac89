//! One stream that hears a device: what it takes out of the device's queue, and how fast it has to go.
//!
//! Only the card is in here, with its lock held: nothing waits. The device itself is somebody else's
//! ([`super::microphone`]), for it takes its time to start and to stop.

use super::convert::{Converter, Opening};
use super::intake::{self, Delivered, IntakeQueue};
use super::{InputDevices, Opened, ROOM_MILLIS, SURPLUS_MILLIS, SoundError, TARGET_MILLIS, frames};
use crate::drift::ClockFollower;
use ringwave_audio::StreamFormat;
use ringwave_engine::sources::SourceStats;
use ringwave_engine::timeline::CLOCK_HZ;

/// What waits may be too much for as long, in nanoseconds: a stream that was late takes it all at once.
const SURPLUS_FOR: u64 = 500_000_000;

/// What a stream has of a device that records.
pub struct Recording {
    name: String,
    queue: IntakeQueue,
    format: StreamFormat,
    converter: Converter,
    converted: Vec<u8>,
    follow: ClockFollower,
    /// Frames that the device gives at once.
    block: u32,
    /// Frames that are to wait when some were just taken.
    target: u32,
    /// Sound goes to the stream, and is not held back.
    flows: bool,
    /// Frames that left the queue.
    taken: u64,
    last: Delivered,
    /// In nanoseconds.
    half_block: u64,
    /// Blocks that came at once, and that the line does not know yet.
    lump: Option<Delivered>,
    /// Since when too much waits.
    surplus_since: Option<u64>,
    underruns: u64,
    overruns: u64,
    reported_rate: Option<u32>,
    warned: bool,
}

impl Recording {
    /// Starts `device` for a stream. Gives what keeps it running, too.
    pub fn open(
        devices: &dyn InputDevices,
        device: Option<&str>,
        format: StreamFormat,
    ) -> Result<(Box<dyn Send>, Self), SoundError> {
        let name = device.unwrap_or("default").to_owned();
        let room = frames(format.rate, 4 * 100 + ROOM_MILLIS);
        let mut made = None;
        let Opened { device, block } = devices.record(device, format, &mut |opening| {
            let (queue, intake) = intake::queue(opening.frame_bytes(), room as usize);
            made = Some((queue, opening));
            intake
        })?;
        let (queue, opening) = made.ok_or_else(|| SoundError::Format { device: name.clone() })?;
        let Opening { samples, channels, rate } = opening;
        log::info!(
            "sound device {name} records: {rate} Hz, {channels} ch, {}, {block} frames at once",
            samples.name()
        );
        // One block may be on its way, and the two stand late callbacks.
        let target = block.saturating_mul(2).saturating_add(frames(format.rate, 10));
        let recording = Self {
            name,
            queue,
            format,
            converter: Converter::from_device(opening, format),
            converted: Vec::new(),
            follow: ClockFollower::of_recorder(format.rate, block, target),
            block,
            target,
            flows: false,
            taken: 0,
            last: Delivered::default(),
            half_block: u64::from(block) * 500_000_000 / u64::from(rate.max(1)),
            lump: None,
            surplus_since: None,
            underruns: 0,
            overruns: 0,
            reported_rate: None,
            warned: false,
        };
        Ok((device, recording))
    }

    /// What it was opened for.
    pub fn format(&self) -> StreamFormat {
        self.format
    }

    /// The stream goes to RUN: it hears what comes from now on.
    pub fn restart(&mut self) {
        self.take_progress(self.queue.now());
        self.skip(self.queue.waiting());
        self.hold_back();
        self.reported_rate = None;
    }

    /// Why the device is gone, if it is.
    pub fn failure(&self) -> Option<SoundError> {
        let why = self.queue.shared().failure()?;
        let next = "plug it in again or see whether the sound server runs, and start the stream anew";
        Some(SoundError::Device { device: self.name.clone(), why, next })
    }

    /// Fills `into`, which is silence, from its beginning; gives how many of its bytes are sound.
    pub fn fill(&mut self, into: &mut [u8]) -> usize {
        self.fill_at(self.queue.now(), into)
    }

    /// [`Recording::fill`] at a time of the caller's, in nanoseconds since the queue was made.
    pub fn fill_at(&mut self, now: u64, into: &mut [u8]) -> usize {
        self.take_progress(now);
        let wanted = (into.len() / self.format.frame_bytes().max(1) as usize) as u64;
        if !self.flows && !self.begins(wanted) {
            return 0;
        }
        let (queue, out) = (&mut self.queue, &mut self.converted);
        out.clear();
        let taken = queue.take(wanted, |bytes| self.converter.convert(bytes, out));
        self.taken += taken;
        let bytes = self.converted.len().min(into.len());
        for (to, from) in into.iter_mut().zip(&self.converted) {
            *to = *from;
        }
        if taken < wanted {
            self.underruns += 1;
            self.hold_back();
            self.wait_for_more();
        } else {
            self.follow.given(now, self.taken + self.last.lost);
            self.skip_surplus(now);
        }
        bytes
    }

    /// Whether enough waits to begin with so many frames. Then no more than that does.
    fn begins(&mut self, wanted: u64) -> bool {
        let enough = wanted + u64::from(self.target);
        let Some(surplus) = self.queue.waiting().checked_sub(enough) else { return false };
        self.skip(surplus);
        self.flows = true;
        self.queue.shared().set_sounding(true);
        self.follow.forget_queue();
        true
    }

    /// Silence until enough waits again.
    fn hold_back(&mut self) {
        self.flows = false;
        self.surplus_since = None;
        self.queue.shared().set_sounding(false);
    }

    /// A host that is too slow for what waits gets more time: a block for each underrun.
    fn wait_for_more(&mut self) {
        let most = frames(self.format.rate, TARGET_MILLIS).max(self.target);
        self.target = self.target.saturating_add(self.block).min(most);
        self.follow.set_target(self.target);
    }

    fn skip(&mut self, frames: u64) {
        self.taken += self.queue.take(frames, |_| ());
    }

    /// After the stream has stood still for a while the rest would come late for ever.
    fn skip_surplus(&mut self, now: u64) {
        let plenty = u64::from(self.target) + u64::from(frames(self.format.rate, SURPLUS_MILLIS));
        let surplus = self.queue.waiting().saturating_sub(plenty);
        if surplus == 0 {
            self.surplus_since = None;
        } else if now.saturating_sub(*self.surplus_since.get_or_insert(now)) >= SURPLUS_FOR {
            self.surplus_since = None;
            self.skip(self.queue.waiting().saturating_sub(self.target.into()));
            self.follow.forget_queue();
            self.overruns += 1;
        }
    }

    /// Takes what the device has reported.
    fn take_progress(&mut self, now: u64) {
        for progress in self.queue.progress() {
            // What nobody was to hear is no loss.
            self.overruns += u64::from(progress.lost != self.last.lost && self.flows);
            self.last = progress;
            // Of blocks that come at once the last one says how much there is: the others are late.
            let time = match self.lump {
                Some(lump) if progress.time.saturating_sub(lump.time) < self.half_block => lump.time,
                Some(lump) => {
                    self.follow.taken(lump.time, lump.frames);
                    progress.time
                }
                None => progress.time,
            };
            self.lump = Some(Delivered { time, ..progress });
        }
        if let Some(lump) = self.lump.take_if(|lump| now.saturating_sub(lump.time) >= self.half_block) {
            self.follow.taken(lump.time, lump.frames);
        }
    }

    /// Says once that something was lost, and why that happens.
    pub fn take_warning(&mut self) -> Option<String> {
        let SourceStats { underruns, overruns, .. } = self.stats();
        if self.warned || underruns == 0 && overruns == 0 {
            return None;
        }
        self.warned = true;
        Some(format!(
            "sound device {} records: {underruns} underruns, {overruns} overruns so far; the host is too busy, or the device stood still",
            self.name
        ))
    }

    /// The `RATE_DEN` that the stream has to go at, when it is another than before.
    pub fn rate_den(&mut self) -> Option<u32> {
        let rate_den = self.follow.rate_den();
        (self.flows && self.reported_rate.replace(rate_den).unwrap_or(CLOCK_HZ) != rate_den)
            .then_some(rate_den)
    }

    /// What is known of it.
    pub fn stats(&self) -> SourceStats {
        SourceStats {
            drift_ppm: self.follow.drift_ppm(),
            underruns: self.underruns,
            overruns: self.overruns + self.queue.shared().times_late(),
        }
    }
}

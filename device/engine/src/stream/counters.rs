//! What is counted of a stream and outlives STOP: for the client until a reset, for the host until the host
//! clears it.

use super::margins::MarkTimes;
use super::stats::StreamStats;
use crate::timeline::Timeline;

/// Totals of one stream.
#[derive(Debug, Default)]
pub struct Counters {
    /// For the host.
    pub stats: StreamStats,
    /// Packets that were silent for want of a mark, since reset, modulo 2^32.
    pub underruns: u32,
    /// Transfers that failed since reset, modulo 2^32.
    pub faults: u32,
    /// Frames of silence since reset.
    pub silence_frames: u64,
    /// Device clock and frame at which the last packet was complete.
    pub packet_end: (u64, u64),
    /// Device clock at which that packet's first frame began to move.
    pub packet_start: u64,
    /// How often [`Self::anchor`] became another line, modulo 2^32. A reset is one, too.
    pub epoch: u32,
    /// The line that the position goes along, through the last point that the client is told of.
    pub anchor: Timeline,
    pub(super) marks: MarkTimes,
}

impl Counters {
    /// Nothing done yet.
    pub fn new(capture: bool) -> Self {
        Self { stats: StreamStats::new(capture), ..Self::default() }
    }

    /// The position goes along another line from here on.
    pub(super) fn set_anchor(&mut self, timeline: Timeline) {
        self.epoch = self.epoch.wrapping_add(1);
        self.anchor = timeline;
    }

    /// The same line, a new point on it. A point is a whole tick and a whole frame: it lies up to one tick
    /// behind the exact line, and since the exact line is kept elsewhere that tick never adds up.
    pub(super) fn renew_anchor(&mut self, clock: u64, frame: u64) {
        self.anchor = self.anchor.through(clock, frame);
    }

    /// The stream has stopped at `time`: there is no position, no packet and no mark.
    pub fn stopped(&mut self, time: u64) {
        self.packet_end = (0, 0);
        self.packet_start = 0;
        self.set_anchor(Timeline::frozen(time, 0));
        self.marks.clear();
    }

    /// The card was reset: what the client is told begins at 0 again, but for [`Self::epoch`].
    pub fn reset(&mut self) {
        let (stats, epoch) = (core::mem::take(&mut self.stats), self.epoch.wrapping_add(1));
        *self = Self { stats, epoch, ..Self::default() };
    }

    pub(super) fn underrun(&mut self) {
        self.underruns = self.underruns.wrapping_add(1);
        self.stats.underruns = self.stats.underruns.map(|underruns| underruns.saturating_add(1));
    }

    pub(super) fn silence(&mut self, frames: u64) {
        self.silence_frames = self.silence_frames.wrapping_add(frames);
        self.stats.silence_frames = self.stats.silence_frames.saturating_add(frames);
    }

    pub(super) fn fault(&mut self) {
        self.faults = self.faults.wrapping_add(1);
        self.stats.transport_faults += 1;
    }
}

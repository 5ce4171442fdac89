//! How early a client's marks come: the time from each mark to the moment in which its packet begins.

use std::collections::VecDeque;

use super::validity::{Mark, Validity, ahead_of};
use crate::timeline::CLOCK_HZ;

/// Marks whose packets have not begun yet: so many are remembered with their time. A client with 2 packets
/// has 2 of them.
const REMEMBERED: usize = 8;

/// Marks of packets in their order, with their times.
#[derive(Debug)]
pub(super) struct MarkTimes(VecDeque<(u32, Option<u64>)>);

impl Default for MarkTimes {
    fn default() -> Self {
        Self(VecDeque::with_capacity(REMEMBERED))
    }
}

impl MarkTimes {
    /// Remembers the time of a mark. When there are too many, packets in between seem to be marked later than
    /// they were.
    pub(super) fn remember(&mut self, mark: Mark) {
        let Validity::Packet(packet) = mark.valid else { return };
        if self.0.len() >= REMEMBERED {
            self.0.pop_back();
        }
        self.0.push_back((packet, mark.clock));
    }

    /// Device clock at which `packet` was marked, if that is known. Forgets the marks of earlier packets.
    pub(super) fn marked_at(&mut self, packet: u32) -> Option<u64> {
        while self.0.front().is_some_and(|&(marked, _)| ahead_of(packet, marked) > 0) {
            self.0.pop_front();
        }
        self.0.front()?.1
    }

    /// The stream has stopped: nothing that was marked counts any more.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Lower bounds of the intervals into which [`MarkStats::margins`] sorts, in microseconds.
pub const MARGIN_FROM_US: [u32; 8] = [0, 100, 500, 1_000, 2_000, 5_000, 10_000, 20_000];

/// How early the marks of a stream came that goes by realtime. A margin is the time from the mark to the
/// moment when the first frame of the packet began to move that needed it; negative if the mark came after.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MarkStats {
    /// Marks that were found by looking ([`super::transport::FrontEnd::refresh`]).
    pub seen: u64,
    /// Those of them that only a look of a stalled stream found: the client did not say that there was
    /// something new.
    pub polled: u64,
    /// Packets that were marked when they had begun without their mark.
    pub late: u64,
    /// The smallest margin, in ticks of the device clock.
    pub least: Option<i64>,
    /// Packets by their margins from 0 on: [`MARGIN_FROM_US`].
    pub margins: [u64; MARGIN_FROM_US.len()],
}

impl MarkStats {
    /// A packet began at `began`, and was marked before, at `marked`.
    pub(super) fn early(&mut self, began: u64, marked: u64) {
        // A card that woke late has seen a mark of after the end that it handles: the packet was heard whole.
        let ticks = began.saturating_sub(marked);
        self.least(i64::try_from(ticks).unwrap_or(i64::MAX));
        let micros = ticks / (u64::from(CLOCK_HZ) / 1_000_000);
        let interval = MARGIN_FROM_US.iter().rposition(|from| u64::from(*from) <= micros).unwrap_or(0);
        if let Some(count) = self.margins.get_mut(interval) {
            *count = count.saturating_add(1);
        }
    }

    /// A packet that began at `began` without its mark was marked at `marked`.
    pub(super) fn late(&mut self, began: u64, marked: u64) {
        self.late = self.late.saturating_add(1);
        let ticks = i64::try_from(marked.saturating_sub(began)).unwrap_or(i64::MAX);
        self.least(ticks.saturating_neg());
    }

    fn least(&mut self, margin: i64) {
        self.least = Some(self.least.map_or(margin, |least| least.min(margin)));
    }
}

//! The mark page of a stream, as the card sees it: which word counts, whether the card waits for one, and how early the marks came. DATASHEET
//! 7.4. *When* the card looks is [`super::active`]'s.
//!
//! The page is the guest's: whatever stands in it is taken as a guest's word, that is, a number that was written to the register WRITTEN.

use std::collections::VecDeque;

use super::StreamCtx;
use crate::pages::publish_waiting;
use crate::ports::Env;
use ringwave_regs::{global, pages::mark, stream as regs};

/// While a stream is STALLED the card looks again after so many ticks of the device clock.
const LOOK_AGAIN: u64 = regs::LOOK_MILLIS as u64 * (global::CLOCK_HZ_VALUE as u64 / 1000);
/// Marks whose packets have not begun yet: so many are remembered with their time. A client with 2 packets has 2 of them.
const REMEMBERED: usize = 8;

/// Why the card looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// It is handling an end of a burst, or a register of the stream.
    Passing,
    /// The guest said that it has stored a mark: by LOOK, or by a store that came as a message.
    Told,
    /// Nobody said anything: 5 ms of a stall have passed.
    Poll,
}

/// A mark that was found in the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The packet that it marks.
    pub packet: u32,
    /// Device clock at which the guest stored it, as far as that is known.
    pub clock: Option<u64>,
}

/// What the card knows of a stream's mark page.
#[derive(Debug)]
pub(super) struct MarkPage {
    stream: u32,
    /// Device clock of the last look.
    looked: u64,
    /// WAITING, as it was stored last.
    waiting: bool,
    /// A poll has found a mark, and no LOOK has come for it yet.
    polled: bool,
    /// Marks in their order, with their times.
    times: VecDeque<Found>,
}

impl MarkPage {
    pub(super) fn new(stream: u32) -> Self {
        Self { stream, looked: 0, waiting: false, polled: false, times: VecDeque::with_capacity(REMEMBERED) }
    }

    /// Reads the page. Gives the packet that its word marks if the word carries `tag`, whether it is new or not.
    pub(super) fn look(&mut self, tag: u32, why: Look, ctx: &StreamCtx<'_, '_>) -> Option<Found> {
        let words = ctx.env.pages.load_mark(self.stream);
        // An end is handled at its own clock, which may be earlier than the look.
        let now = ctx.env.now.max(ctx.time);
        let before = core::mem::replace(&mut self.looked, now).min(now);
        let packet = mark::packet(words.mark, tag)?;
        let clock = match words.clock {
            0 if why == Look::Told => Some(now),
            0 => None,
            // It was not there at the last look, and is there now.
            told => Some(told.clamp(before, now)),
        };
        Some(Found { packet, clock })
    }

    /// Device clock at which a stream that is STALLED has to look next.
    pub(super) fn next_look(&self) -> u64 {
        self.looked.saturating_add(LOOK_AGAIN)
    }

    /// The stream is about to stall: WAITING is 1 before the page is looked at once more. A guest that stores its mark after that look finds
    /// WAITING set, for both sides store, fence, and load.
    pub(super) fn wait(&mut self, env: &Env<'_>) {
        self.waiting = true;
        publish_waiting(env.pages, self.stream, true);
        env.pages.fence();
    }

    /// WAITING is what it has to be: 1 while the stream is stalled, and while a LOOK is due for a mark that a
    /// poll has found. A guest that was held up between its store and its load has to find 1 there, or it would
    /// keep to the rule and be counted as one that does not.
    pub(super) fn settle(&mut self, stalled: bool, env: &Env<'_>) {
        let waiting = stalled || self.polled;
        if core::mem::replace(&mut self.waiting, waiting) != waiting {
            publish_waiting(env.pages, self.stream, waiting);
        }
    }

    /// The function was reset: WAITING is stored whatever stood there.
    pub(super) fn reset(&mut self, env: &Env<'_>) {
        self.waiting = false;
        publish_waiting(env.pages, self.stream, false);
    }

    /// LOOK was written: the guest keeps to the rule.
    pub(super) fn look_came(&mut self) {
        self.polled = false;
    }

    /// A new mark was found. Gives whether the mark before it was found by a poll alone: a guest that had written LOOK for that one would have
    /// done so before it stored this one.
    pub(super) fn found(&mut self, why: Look) -> bool {
        core::mem::replace(&mut self.polled, why == Look::Poll)
    }

    /// The stream has stopped: nothing that was marked counts any more. Gives what [`Self::found`] gives.
    pub(super) fn stopped(&mut self) -> bool {
        self.times.clear();
        core::mem::take(&mut self.polled)
    }

    /// Remembers the time of a mark, of the page or of WRITTEN. When there are too many, packets in between seem to be marked later than they
    /// were.
    pub(super) fn remember(&mut self, mark: Found) {
        if self.times.len() >= REMEMBERED {
            self.times.pop_back();
        }
        self.times.push_back(mark);
    }

    /// Device clock at which `packet` was marked, if that is known. Forgets the marks of earlier packets.
    pub(super) fn marked_at(&mut self, packet: u32) -> Option<u64> {
        while self.times.front().is_some_and(|mark| ahead_of(packet, mark.packet) > 0) {
            self.times.pop_front();
        }
        self.times.front()?.clock
    }
}

/// Lower bounds of the intervals into which [`MarkStats::margins`] sorts, in microseconds.
pub const MARGIN_FROM_US: [u32; 8] = [0, 100, 500, 1_000, 2_000, 5_000, 10_000, 20_000];

/// How early the marks of a stream came that goes by realtime. A margin is the time from the mark to the moment when the first frame of the
/// packet began to move that needed it; negative if the mark came after.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MarkStats {
    /// Marks that were seen in the mark page.
    pub seen: u64,
    /// Those of them that only the look every 5 ms found: the guest did not write LOOK.
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
        let micros = ticks / (u64::from(global::CLOCK_HZ_VALUE) / 1_000_000);
        let place = MARGIN_FROM_US.iter().rposition(|from| u64::from(*from) <= micros).unwrap_or(0);
        if let Some(count) = self.margins.get_mut(place) {
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

/// How far packet number `packet` is ahead of `other`, modulo 2^32.
pub(super) const fn ahead_of(packet: u32, other: u32) -> i32 {
    packet.wrapping_sub(other).cast_signed()
}

//! The mark page of a stream, as the card sees it: which word counts, and whether the card waits for one.
//! DATASHEET 7.4. *When* the card looks is [`ringwave_engine::stream::active`]'s.
//!
//! The page is the guest's: whatever stands in it is taken as a guest's word, that is, a number that was
//! written to the register WRITTEN.

use crate::env::Pages;
use crate::pages::publish_waiting;
use ringwave_engine::stream::validity::{Mark, Refresh, Validity};
use ringwave_regs::{global, pages::mark, stream as regs};

/// While a stream is STALLED the card looks again after so many ticks of the device clock.
const POLL_INTERVAL: u64 = regs::LOOK_MILLIS as u64 * (global::CLOCK_HZ_VALUE as u64 / 1000);

/// What the card knows of a stream's mark page.
#[derive(Debug)]
pub(super) struct MarkPage {
    stream: u32,
    /// Device clock of the last look.
    last_look: u64,
    /// WAITING, as it was stored last.
    waiting: bool,
    /// A poll has found a mark, and no LOOK has come for it yet.
    polled: bool,
}

impl MarkPage {
    pub(super) fn new(stream: u32) -> Self {
        Self { stream, last_look: 0, waiting: false, polled: false }
    }

    /// Reads the page. Gives what its word marks if the word carries `tag`, whether it is new or not. `now`
    /// is the device clock.
    pub(super) fn read(&mut self, tag: u32, why: Refresh, pages: &dyn Pages, now: u64) -> Option<Mark> {
        let words = pages.load_mark(self.stream);
        let before = core::mem::replace(&mut self.last_look, now).min(now);
        let packet = mark::packet(words.mark, tag)?;
        let clock = match words.clock {
            0 if why == Refresh::Told => Some(now),
            0 => None,
            // It was not there at the last look, and is there now.
            stored => Some(stored.clamp(before, now)),
        };
        Some(Mark { valid: Validity::Packet(packet), clock })
    }

    /// Device clock at which a stream that is STALLED has to look next.
    pub(super) fn next_poll(&self) -> u64 {
        self.last_look.saturating_add(POLL_INTERVAL)
    }

    /// The stream is about to stall: WAITING is 1 before the page is looked at once more. A guest that stores
    /// its mark after that look finds WAITING set, for both sides store, fence, and load.
    pub(super) fn announce_wait(&mut self, pages: &dyn Pages) {
        self.waiting = true;
        publish_waiting(pages, self.stream, true);
        pages.fence();
    }

    /// WAITING is what it has to be: 1 while the stream is stalled, and while a LOOK is due for a mark that a
    /// poll has found. A guest that was held up between its store and its load has to find 1 there, or it
    /// would keep to the rule and be counted as one that does not.
    pub(super) fn settle(&mut self, stalled: bool, pages: &dyn Pages) {
        let waiting = stalled || self.polled;
        if core::mem::replace(&mut self.waiting, waiting) != waiting {
            publish_waiting(pages, self.stream, waiting);
        }
    }

    /// The function was reset: WAITING is stored whatever stood there.
    pub(super) fn reset(&mut self, pages: &dyn Pages) {
        self.waiting = false;
        publish_waiting(pages, self.stream, false);
    }

    /// LOOK was written: the guest keeps to the rule.
    pub(super) fn look_written(&mut self) {
        self.polled = false;
    }

    /// A new mark was found. Gives whether the mark before it was found by a poll alone: a guest that had
    /// written LOOK for that one would have done so before it stored this one.
    pub(super) fn found(&mut self, why: Refresh) -> bool {
        core::mem::replace(&mut self.polled, why == Refresh::Poll)
    }

    /// The stream has stopped: nothing that was marked counts any more. Gives what [`Self::found`] gives.
    pub(super) fn stopped(&mut self) -> bool {
        core::mem::take(&mut self.polled)
    }
}

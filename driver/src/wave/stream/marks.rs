//! The stream passes to the card which packets are valid. DATASHEET 5.3, 7.4.

use nt::mutex::MutexGuard;

use super::Stream;

/// Why the last mark is passed to the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MarkReason {
    /// It may be new: one that the card has taken is not passed again.
    New,
    /// The card may have lost it: also one that it has taken.
    Again,
    /// Its packet is being played. The card must see it now: the client is likely to write the next one at
    /// once, and a mark that the card sees first passes the late one over (DATASHEET 5.4): all its rest would
    /// be silent.
    Late,
}

impl Stream {
    /// Passes the last mark to the card. One that the card can't take now (in STOP, without power) is passed
    /// before the next RUN. PASSIVE_LEVEL, no spin lock held.
    pub(super) fn pass_mark(&self, reason: MarkReason) {
        self.pass_mark_locked(&self.marking.lock(), reason);
    }

    /// The same for a caller that holds `marking` already, because nothing may come between two marks.
    pub(super) fn pass_mark_locked(&self, _held: &MutexGuard<'_, ()>, reason: MarkReason) {
        let card = self.card();
        let (mark, clock) = {
            let shared = self.shared.lock();
            // Another caller may have passed a later one meanwhile; it is always the last that is passed.
            let Some(mark) = shared.mark_pending(reason == MarkReason::Again) else { return };
            (mark, shared.device_clock(self.endpoint.limits.clock_hz))
        };
        if card.mark(self.lease.stream(), mark, clock, reason == MarkReason::Late) {
            self.shared.lock().marked = Some(mark);
        }
    }
}

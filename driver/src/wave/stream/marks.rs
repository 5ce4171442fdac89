//! Telling the card which packets are valid. DATASHEET 5.3, 7.4.

use nt::mutex::MutexGuard;

use super::Stream;

/// What a mark is told for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Telling {
    /// It is new, if it is: one that the card has heard is not told.
    New,
    /// The mark page may have lost it: also one that the card has heard.
    Again,
    /// Its packet is being played. The card is to see it now, for the client is likely to write the next one
    /// at once, and a mark that the card sees first passes the late one over (DATASHEET 5.4): all its rest
    /// would be silent.
    Late,
}

impl Stream {
    /// Tells the card the last mark. What it can't hear now (in STOP, without power) it is told before the
    /// next RUN. PASSIVE_LEVEL, no spin lock held.
    pub(super) fn tell_mark(&self, telling: Telling) {
        self.tell_mark_held(&self.telling.lock(), telling);
    }

    /// The same by who has taken `telling` already, for what must not happen between two marks.
    pub(super) fn tell_mark_held(&self, _held: &MutexGuard<'_, ()>, telling: Telling) {
        let card = self.card();
        let (mark, clock) = {
            let shared = self.shared.lock();
            // Another caller may have told a later one meanwhile; the last is always what is told.
            let Some(mark) = shared.untold(telling == Telling::Again) else { return };
            (mark, shared.device_clock(self.endpoint.limits.clock_hz))
        };
        if card.mark(self.lease.stream(), mark, clock, telling == Telling::Late) {
            self.shared.lock().told = Some(mark);
        }
    }
}

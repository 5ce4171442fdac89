//! Telling the card which packets are valid. DATASHEET 5.3, 7.4.

use super::Stream;

impl Stream {
    /// Tells the card the last mark, unless it has heard it. What it can't hear now (in STOP, without power)
    /// it is told before the next RUN. `again`: also one that it has heard, so that the mark page holds it
    /// after D0. PASSIVE_LEVEL, no spin lock held.
    pub(super) fn tell_mark(&self, again: bool) {
        let _telling = self.telling.lock();
        let card = self.card();
        let (mark, clock) = {
            let shared = self.shared.lock();
            // Another caller may have told a later one meanwhile; the last is always what is told.
            let Some(mark) = shared.untold(again) else { return };
            (mark, shared.device_clock(card.limits().clock_hz))
        };
        if card.mark(self.claim.stream(), mark, clock) {
            self.shared.lock().told = Some(mark);
        }
    }
}

//! How the card puts what happens into the trace: with its lock held, so in the order in which it happens, and never waiting for a file.

use super::{Card, State};
use crate::serve::interrupts::Delivered;
use ringwave_trace::Event;

/// Whether there is a trace, and what it knows.
#[derive(Debug)]
pub struct Tracing {
    /// Somebody wants it.
    wanted: bool,
    /// It knows of the present client.
    client: bool,
    /// The desk looks at it in a moment, unasked.
    pub desk_looks: bool,
}

impl Tracing {
    pub(super) const fn new(wanted: bool) -> Self {
        Self { wanted, client: false, desk_looks: false }
    }

    /// The next message is the next client's first.
    pub(super) fn client_left(&mut self) {
        self.client = false;
    }
}

impl State {
    /// Puts a message of the client into the trace, if there is one.
    pub(super) fn trace_message(&mut self, card: &Card, event: impl FnOnce() -> Event) {
        if self.tracing.wanted && !std::mem::replace(&mut self.tracing.client, true) {
            self.trace(card, || Event::Connected);
        }
        self.trace(card, event);
    }

    /// Puts an event into the trace, if there is one.
    pub(super) fn trace(&mut self, card: &Card, event: impl FnOnce() -> Event) {
        if self.tracing.wanted {
            // Whoever put something there before has woken the desk.
            let wake = self.outbox.is_empty() && !self.tracing.desk_looks;
            self.outbox.record(card.clock.real_now(), event());
            if wake {
                card.work.notify_one();
            }
        }
    }

    /// Puts a change of INTx's level into the trace.
    pub(super) fn trace_level(&mut self, card: &Card, level: Option<bool>) {
        if let Some(level) = level {
            self.trace(card, || Event::IntxLevel(level));
        }
    }

    /// Puts what reached the client into the trace.
    pub(super) fn trace_interrupts(&mut self, card: &Card) {
        let Delivered { mut msi, intx } = self.interrupts.take_delivered();
        while msi != 0 {
            self.trace(card, || Event::Msi(msi.trailing_zeros()));
            msi &= msi - 1;
        }
        if intx {
            self.trace(card, || Event::IntxRaised);
        }
    }

    /// The time of what the controller has just done.
    pub(super) fn trace_time(&self, card: &Card) -> u64 {
        if self.effects.trace.is_empty() { 0 } else { card.clock.real_now() }
    }

    /// Whether some of the trace waits for the desk, and the desk does not know.
    pub(super) fn trace_waits(&self) -> bool {
        !self.outbox.trace.is_empty() && !self.tracing.desk_looks
    }

    /// Nobody wants the trace any more.
    pub fn end_trace(&mut self) {
        self.tracing.wanted = false;
        self.effects.untraced = true;
    }
}

#[cfg(test)]
mod tests {
    use super::super::CardConfig;
    use super::*;
    use crate::controller::Config;
    use crate::host::clock::Speed;
    use crate::pci::Identity;

    /// A card whose registers were read, and a write of which was refused; nobody empties its outbox.
    fn card(trace: bool) -> Card {
        let (controller, identity) = (Config::default(), Identity::default());
        let card = Card::new(CardConfig { controller, identity, speed: Speed::REAL, trace }).unwrap();
        card.read_registers(0, &mut [0; 4]);
        card.write_registers(0xFF0, &[0; 4]);
        card
    }

    #[test]
    fn nothing_is_kept_when_nobody_wants_it() {
        let card = card(false);
        let state = card.lock();
        assert_eq!(state.outbox.trace.capacity(), 0);
        assert_eq!(state.effects.trace.capacity(), 0, "nor made");
    }

    #[test]
    fn nothing_more_is_kept_when_the_file_has_failed() {
        let card = card(true);
        let mut state = card.lock();
        let before = state.outbox.trace.len();
        assert!(before > 3);
        state.end_trace();
        drop(state);
        card.write_registers(0xFF0, &[0; 4]);
        assert_eq!(card.lock().outbox.trace.len(), before);
    }
}

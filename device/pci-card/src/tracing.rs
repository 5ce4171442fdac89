//! How the card puts what happens into the trace: with its lock held, so in the order in which it happens,
//! and never waiting for a file.

use ringwave_guest_memory::guest_ram::{MapError, MapRequest};
use ringwave_pci::{Delivered, Request};
use ringwave_regs::pci::REGISTERS_BAR;
use ringwave_vfio_user::{IrqAction, IrqChange as Change};

use super::State;
use super::backend::CardBackend;
use crate::records::is_urgent;
use ringwave_trace::{Event, IrqChange, IrqKind, Region};

/// Whether there is a trace, and what it knows.
#[derive(Debug)]
pub struct Tracing {
    /// Somebody wants it.
    wanted: bool,
    /// It knows of the present client.
    client: bool,
    /// The I/O worker looks at it in a moment, unasked.
    pub worker_looks: bool,
}

impl Tracing {
    pub(super) const fn new(wanted: bool) -> Self {
        Self { wanted, client: false, worker_looks: false }
    }

    /// The next message is the next client's first.
    pub(super) fn client_left(&mut self) {
        self.client = false;
    }
}

impl CardBackend<'_> {
    /// Puts a request that has come into the trace: all but those whose result is part of the event.
    pub(super) fn trace_request(&mut self, request: &Request<'_>) {
        if !self.tracing.wanted {
            return;
        }
        match *request {
            Request::Write { region, offset, data } => {
                self.trace_message(|| Event::write(traced(region), offset, data));
            }
            Request::Unmap { address, bytes } => self.trace_message(|| Event::DmaUnmap { address, bytes }),
            Request::UnmapAll => self.trace_message(|| Event::DmaUnmapAll),
            Request::SetIrqs { kind: ringwave_pci::IrqKind::Other, .. } => {
                self.trace_message(|| Event::SetOtherIrqs);
            }
            Request::SetIrqs { kind, ref change } => {
                let kind = match kind {
                    ringwave_pci::IrqKind::Msi => IrqKind::Msi,
                    _ => IrqKind::Intx,
                };
                each_change(change, |change| self.trace_message(|| Event::SetIrqs { kind, change }));
            }
            Request::Reset => self.trace_message(|| Event::DeviceReset),
            Request::FunctionLevelReset => self.trace(|| Event::FunctionLevelReset),
            Request::Map(ref map) => self.with_file = map.file.is_some(),
            // The card's own event tells of the power state.
            Request::Read { .. } | Request::Power(_) => {}
        }
    }

    /// Puts a request that is done into the trace, if its result is part of the event.
    pub(super) fn trace_done(&mut self, request: &Request<'_>, result: Result<(), MapError>) {
        match *request {
            Request::Read { region, offset, ref data } => {
                self.trace_message(|| Event::read(traced(region), offset, data));
            }
            Request::Map(MapRequest { address, bytes, readable: read, writable: write, .. }) => {
                let (fd, taken) = (self.with_file, result.is_ok());
                self.trace_message(|| Event::DmaMap { address, bytes, read, write, fd, taken });
            }
            _ => {}
        }
    }

    /// Puts a message of the client into the trace, if there is one.
    fn trace_message(&mut self, event: impl FnOnce() -> Event) {
        if self.tracing.wanted && !std::mem::replace(&mut self.tracing.client, true) {
            self.trace(|| Event::Connected);
        }
        self.trace(event);
    }

    /// Puts an event into the trace, if there is one.
    pub(super) fn trace(&mut self, event: impl FnOnce() -> Event) {
        if self.tracing.wanted {
            // Whoever put something there before has woken the worker.
            let wake = self.queue.records.card.trace.is_empty()
                && !is_urgent(self.queue)
                && !self.tracing.worker_looks;
            self.queue.records.card.record(self.card.clock.real_now(), event());
            if wake {
                self.card.wakers.io.wake();
            }
        }
    }

    /// Puts a change of INTx's level, and what reached the client, into the trace.
    pub(super) fn trace_signals(&mut self, level: Option<bool>, delivered: Delivered) {
        if let Some(level) = level {
            self.trace(|| Event::IntxLevel(level));
        }
        let Delivered { mut msi, intx } = delivered;
        while msi != 0 {
            self.trace(|| Event::Msi(msi.trailing_zeros()));
            msi &= msi - 1;
        }
        if intx {
            self.trace(|| Event::IntxRaised);
        }
    }

    /// The time of what the card does in the next call; `None` = nobody wants it.
    pub(super) fn trace_time(&self) -> Option<u64> {
        self.tracing.wanted.then(|| self.card.clock.real_now())
    }

    /// Whether some of the trace waits for the worker, and the worker does not know.
    pub(super) fn trace_waits(&self) -> bool {
        !self.queue.records.card.trace.is_empty() && !self.tracing.worker_looks
    }
}

/// The trace's name of a region.
const fn traced(region: ringwave_pci::Region) -> Region {
    match region {
        ringwave_pci::Region::Bar(REGISTERS_BAR) => Region::Registers,
        ringwave_pci::Region::Bar(_) => Region::Pages,
        ringwave_pci::Region::Config => Region::Config,
    }
}

/// What the trace says of a change: one line for each number that is acted on.
fn each_change(change: &Change<'_>, mut line: impl FnMut(IrqChange)) {
    match change {
        Change::Disable => line(IrqChange::Disconnect),
        Change::Assign { start, fds, .. } => {
            let count = u32::try_from(fds.len()).unwrap_or(u32::MAX);
            line(IrqChange::Connect { start: *start, count, fds: count });
        }
        Change::Deassign { vectors, .. } => {
            line(IrqChange::Connect { start: vectors.start(), count: vectors.count(), fds: 0 });
        }
        Change::Act { action, vectors } => {
            for start in vectors.iter() {
                line(match action {
                    IrqAction::Trigger => IrqChange::Trigger { start, count: 1 },
                    IrqAction::Mask => IrqChange::Mask,
                    IrqAction::Unmask => IrqChange::Unmask,
                });
            }
        }
    }
}

impl State {
    /// Nobody wants the trace any more.
    pub fn end_trace(&mut self) {
        self.tracing.wanted = false;
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Card, CardConfig};
    use super::*;
    use ringwave_card::controller::Config;
    use ringwave_card::pci::Identity;
    use ringwave_engine::clock::Speed;
    use ringwave_pci::client::Requests;

    /// A card whose registers were read, and a write of which was refused; nobody drains it.
    fn card(trace: bool) -> Card {
        let (controller, identity) = (Config::default(), Identity::default());
        let card = Card::new(CardConfig { controller, identity, speed: Speed::REAL, trace }).unwrap();
        let region = ringwave_pci::Region::Bar(REGISTERS_BAR);
        card.request(Request::Read { region, offset: 0, data: &mut [0; 4] }).unwrap();
        refused(&card);
        card
    }

    fn refused(card: &Card) {
        let region = ringwave_pci::Region::Bar(REGISTERS_BAR);
        card.request(Request::Write { region, offset: 0xFF0, data: &[0; 4] }).unwrap();
    }

    #[test]
    fn nothing_is_kept_when_nobody_wants_it() {
        let card = card(false);
        let state = card.lock();
        assert_eq!(state.queue.records.card.trace.capacity(), 0, "nor made");
    }

    #[test]
    fn nothing_more_is_kept_when_the_file_has_failed() {
        let card = card(true);
        let mut state = card.lock();
        let before = state.queue.records.card.trace.len();
        assert!(before > 3);
        state.end_trace();
        drop(state);
        refused(&card);
        assert_eq!(card.lock().queue.records.card.trace.len(), before);
    }
}

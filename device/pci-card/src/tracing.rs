//! How the card puts what happens into the trace: with its lock held, so in the order in which it happens,
//! and never waiting for a file.

use ringwave_guest_memory::guest_ram::{MapError, MapRequest};
use ringwave_pci::{Delivered, IrqAction, IrqChange as Change, Request};

use crate::backend::CardBackend;
use crate::{SoundCard, State};
use ringwave_served::records::is_urgent;
use ringwave_trace::{Event, IrqChange, IrqKind, Region};

/// Whether there is a trace, and what it knows.
#[derive(Debug)]
pub struct Tracing {
    /// Somebody wants it.
    wanted: bool,
    /// It knows of the present client.
    client: bool,
    /// The I/O worker looks at it in a moment, unasked.
    pub worker_polls: bool,
}

impl Tracing {
    pub(crate) const fn new(wanted: bool) -> Self {
        Self { wanted, client: false, worker_polls: false }
    }

    /// The next message is the next client's first.
    pub(crate) fn client_left(&mut self) {
        self.client = false;
    }
}

impl<C: SoundCard> CardBackend<'_, C> {
    /// Puts a request that has come into the trace: all but those whose result is part of the event.
    pub(crate) fn trace_request(&mut self, request: &Request<'_>) {
        if !self.tracing.wanted {
            return;
        }
        match *request {
            Request::Write { region, offset, data } => {
                let traced = self.traced(region);
                self.trace_message(|| Event::write(traced, offset, data));
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
    pub(crate) fn trace_done(&mut self, request: &Request<'_>, result: Result<(), MapError>) {
        match *request {
            Request::Read { region, offset, ref data } => {
                let traced = self.traced(region);
                self.trace_message(|| Event::read(traced, offset, data));
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
    pub(crate) fn trace(&mut self, event: impl FnOnce() -> Event) {
        if self.tracing.wanted {
            // Whoever put something there before has woken the worker.
            let wake = self.queue.records.card.trace.is_empty()
                && !is_urgent(self.queue)
                && !self.tracing.worker_polls;
            self.queue.records.card.record(self.shared.clock.real_now(), event());
            if wake {
                self.shared.wakers.io.wake_unlocked();
            }
        }
    }

    /// Puts a change of INTx's level, and what reached the client, into the trace.
    pub(crate) fn trace_signals(&mut self, level: Option<bool>, delivered: Delivered) {
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

    /// The trace's name of a region.
    fn traced(&self, region: ringwave_pci::Region) -> Region {
        match region {
            ringwave_pci::Region::Bar(bar) => match &self.shared.mapped {
                Some((mapped, _)) if *mapped == bar => Region::Pages,
                _ => Region::Registers,
            },
            ringwave_pci::Region::Config => Region::Config,
        }
    }

    /// The time of what the card does in the next call; `None` = nobody wants it.
    pub(crate) fn trace_time(&self) -> Option<u64> {
        self.tracing.wanted.then(|| self.shared.clock.real_now())
    }

    /// Whether some of the trace waits for the worker, and the worker does not know.
    pub(crate) fn trace_waits(&self) -> bool {
        !self.queue.records.card.trace.is_empty() && !self.tracing.worker_polls
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

impl<C: SoundCard> State<C> {
    /// Nobody wants the trace any more.
    pub fn end_trace(&mut self) {
        self.tracing.wanted = false;
    }
}

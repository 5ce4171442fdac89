//! A sound card on PCI, whatever card: what every one of ours has around its registers and streams.
//!
//! A card implements [`SoundCard`]. [`PciCard`] puts it behind one lock with its PCI function, guest memory
//! and interrupts, gives it its time, writes its trace, counts what its client does, and answers the host.
//!
//! Three threads come here: the one that handles the client's messages, the engine thread, which gives the
//! card its time, and the I/O worker, which does what the host is to do (`device`). What a message brings
//! about for the guest (pages, interrupts) is done before its answer, with the lock held: after a write of
//! PAUSE has returned no event may come, and one that was raised late, outside of the lock, could. What it
//! brings about for the host (files, log) goes to an [`IoQueue`]; the worker does it without the lock. So
//! neither a message nor the card's time ever waits for a disk.

mod backend;
mod device;
mod host_requests;
mod reset_watch;
mod sound_card;
mod tracing;

use std::sync::{Arc, Mutex, PoisonError, mpsc};

use backend::CardBackend;
use host_requests::Session;
use ringwave_engine::clock::HostClock;
use ringwave_engine::io_queue::IoQueue;
use ringwave_engine::sources::Sources;
use ringwave_engine::stream::stats::StreamStats;
use ringwave_engine::timeline::ClockMode;
use ringwave_engine::wake::{Locked, Wakers};
use ringwave_guest_memory::guest_ram::MapError;
use ringwave_pci::client::{Bar, Requests, VfioFunction};
use ringwave_pci::config::FunctionSpec;
use ringwave_pci::{Bus, Function, MappedBar, Request};
use ringwave_report::{Client, Messages, SessionReport};
use ringwave_served::records::Records;
use ringwave_trace::Event;
pub use sound_card::{CardEnv, SoundCard};
use tracing::Tracing;

/// The card as the vfio-user server wants it.
pub type ServedFunction<C> = VfioFunction<Arc<PciCard<C>>>;

/// What a card is put behind its function with.
pub struct CardOptions {
    /// What the function shows of itself in configuration space.
    pub spec: FunctionSpec,
    /// The clock that the card goes by.
    pub clock: HostClock,
    /// Whether that clock waits for packets: for the trace and the statistics.
    pub clock_mode: ClockMode,
    /// What its capture streams capture.
    pub sources: Box<dyn Sources + Send>,
    /// Whether somebody wants the trace.
    pub trace: bool,
}

/// A sound card behind its PCI function.
pub struct PciCard<C: SoundCard> {
    state: Mutex<State<C>>,
    wakers: Wakers,
    /// The BAR that is memory, with its index.
    mapped: Option<(u32, Arc<MappedBar>)>,
    clock: HostClock,
    clock_mode: ClockMode,
    /// Bytes of each BAR.
    bars: [u32; 6],
    messages: u32,
}

/// What the lock guards.
struct State<C: SoundCard> {
    function: Function,
    card: C,
    sources: Box<dyn Sources + Send>,
    /// What waits for the I/O worker.
    queue: IoQueue<Records<C::Error>>,
    counted: Messages,
    session: Session,
    tracing: Tracing,
}

impl<C: SoundCard> PciCard<C> {
    /// The card after power-on.
    pub fn new(card: C, options: CardOptions) -> Self {
        let CardOptions { spec, clock, clock_mode, sources, trace } = options;
        let mapped = card.mapped_bar();
        let state = State {
            function: Function::new(&spec),
            card,
            sources,
            queue: IoQueue::default(),
            counted: Messages::default(),
            session: Session::default(),
            tracing: Tracing::new(trace),
        };
        let card = Self {
            state: Mutex::new(state),
            wakers: Wakers::default(),
            mapped,
            clock,
            clock_mode,
            bars: spec.bars,
            messages: spec.messages,
        };
        card.lock().reset(&card);
        card
    }

    /// The client has left: everything is reset, and when this returns its files are finished. Gives `false`
    /// for a client that never said anything (somebody who only looked whether the socket is alive).
    pub fn client_left(&self) -> bool {
        let (done, finished) = mpsc::channel();
        {
            let mut state = self.lock();
            // A client that said nothing may have mapped the BAR all the same, and stored to it.
            let shown = self.mapped.as_ref().is_some_and(|(_, bar)| bar.take_shown());
            if state.counted == Messages::default() {
                if shown {
                    self.wipe();
                    state.reset(self);
                }
                return false;
            }
            // What is due was played, out of memory that is still there.
            state.advance(self);
            state.split(self).1.trace(|| Event::Left);
            state.tracing.client_left();
            let (function, mut behind) = state.split(self);
            function.disconnect(&mut behind);
            let mut report = state.report(self);
            report.client = Client::Left;
            state.counted = Messages::default();
            state.new_session(self);
            state.function.take_raised();
            state.card.clear_stats();
            state.sources.clear_stats();
            self.wipe();
            // Fills in the pages again.
            state.reset(self);
            state.queue.records.left = Some((report, done));
        }
        self.wakers.io.wake();
        // The I/O worker drops the sender when it is done, or has ended.
        let _ = finished.recv();
        true
    }

    fn wipe(&self) {
        if let Some((_, bar)) = &self.mapped {
            bar.wipe();
        }
    }

    /// What the card has counted of the present client.
    pub fn report(&self) -> SessionReport {
        self.lock().report(self)
    }

    /// Totals of every stream, in the order of their numbers.
    pub fn stream_stats(&self) -> Vec<StreamStats> {
        self.lock().card.stats().collect()
    }

    fn lock(&self) -> Locked<'_, State<C>> {
        // A message that panicked was this client's last, and a reset follows.
        self.wakers.locked(self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The clock that the card goes by.
    pub fn clock(&self) -> &HostClock {
        &self.clock
    }

    /// Wakes the engine if there is something to wait for.
    fn wake_engine(&self, state: &State<C>) {
        if state.card.next_deadline().is_some() {
            self.wakers.engine.wake_unlocked();
        }
    }
}

impl<C: SoundCard> Requests for PciCard<C> {
    fn bar(&self, index: u32) -> Option<Bar<'_>> {
        let bytes = self.bars.get(index as usize).copied().filter(|bytes| *bytes != 0)?;
        let mapped = self.mapped.as_ref().filter(|(mapped, _)| *mapped == index);
        Some(Bar { bytes, mapped: mapped.map(|(_, bar)| bar.show()) })
    }

    fn messages(&self) -> u32 {
        self.messages
    }

    /// What the guest sees of it is done when this returns.
    fn request(&self, request: Request<'_>) -> Result<(), MapError> {
        let mut state = self.lock();
        let before = state.card.next_deadline();
        // The reset watch has a deadline whether or not a stream has one.
        let reset = matches!(request, Request::Reset);
        let (function, mut behind) = state.split(self);
        let result = function.handle(request, &mut behind);
        if reset || state.card.next_deadline() != before {
            self.wakers.engine.wake_unlocked();
        }
        if state.function.has_lost() {
            self.wakers.io.wake_unlocked();
        }
        result
    }
}

impl<C: SoundCard> State<C> {
    /// The function, and what is behind it.
    fn split<'a>(&'a mut self, shared: &'a PciCard<C>) -> (&'a mut Function, CardBackend<'a, C>) {
        let Self { function, card, sources, queue, counted, session, tracing } = self;
        let (running, with_file) = (false, false);
        let sources = &mut **sources;
        let behind =
            CardBackend { shared, card, sources, queue, counted, session, tracing, running, with_file };
        (function, behind)
    }

    /// Calls the card, and does at once what the guest must see of it.
    fn with_card<R>(
        &mut self,
        shared: &PciCard<C>,
        call: impl FnOnce(&mut C, &mut CardEnv<'_, C::Error>) -> R,
    ) -> R {
        let (function, mut behind) = self.split(shared);
        function.call(&mut behind, |behind, bus: &mut Bus<'_>| behind.call(bus, call))
    }

    /// Handles what has become due.
    fn advance(&mut self, shared: &PciCard<C>) {
        self.with_card(shared, C::advance);
    }

    /// Resets the function.
    fn reset(&mut self, shared: &PciCard<C>) {
        let (function, mut behind) = self.split(shared);
        function.reset(&mut behind);
    }
}

#[cfg(test)]
mod tests;

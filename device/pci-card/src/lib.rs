//! The whole function behind one lock: controller, configuration space, guest memory, interrupts.
//!
//! Three threads come here: the one that handles the client's messages, the engine thread, which gives the
//! card its time, and the I/O worker, which does what the host is to do (`device`). What a message brings
//! about for the guest (pages, interrupts) is done before its answer, with the lock held: after a write of
//! PAUSE has returned no event may come, and one that was raised late, outside of the lock, could. What it
//! brings about for the host (files, log) goes to an [`IoQueue`]; the worker does it without the lock. So
//! neither a message nor the card's time ever waits for a disk.

mod asking;
mod backend;
mod device;
pub(crate) mod reset_watch;
mod tracing;

use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, SystemTime};

use crate::records::Records;
pub use asking::AskError;
use asking::Session;
use backend::CardBackend;
use ringwave_card::controller::{Config, Controller};
use ringwave_card::env::{ClockMode, Env};
use ringwave_card::page_bar::PageBar;
use ringwave_card::pci::{Identity, spec};
use ringwave_engine::clock::{HostClock, Speed};
use ringwave_engine::io_queue::IoQueue;
use ringwave_engine::wake::Wakers;
use ringwave_guest_memory::guest_ram::MapError;
use ringwave_host::source::Inputs;
use ringwave_pci::client::{Bar, Requests};
use ringwave_pci::{Function, Request};
use ringwave_regs::pci::{PAGES_BAR, PAGES_BYTES, REGISTERS_BAR, REGISTERS_BYTES};
use ringwave_report::{Client, Messages};
use ringwave_trace::{Event, Header};
use tracing::Tracing;

/// What a card is made with.
#[derive(Clone, Copy, Debug)]
pub struct CardConfig {
    /// What the controller is made with.
    pub controller: Config,
    /// Who the function says it is.
    pub identity: Identity,
    /// How fast its clock goes.
    pub speed: Speed,
    /// Whether somebody wants the trace.
    pub trace: bool,
}

/// A sound card.
pub struct Card {
    state: Mutex<State>,
    wakers: Wakers,
    pages: PageBar,
    clock: HostClock,
    clock_mode: ClockMode,
    messages: u32,
}

/// What the lock guards.
pub(crate) struct State {
    function: Function,
    pub controller: Controller,
    inputs: Inputs,
    /// What waits for the I/O worker.
    queue: IoQueue<Records>,
    counted: Messages,
    pub session: Session,
    pub tracing: Tracing,
}

impl Card {
    /// A card after power-on.
    pub fn new(config: CardConfig) -> std::io::Result<Self> {
        Self::with_inputs(config, Inputs::default())
    }

    /// A card after power-on whose capture streams hear `inputs`.
    pub fn with_inputs(config: CardConfig, inputs: Inputs) -> std::io::Result<Self> {
        Self::made_of(config, HostClock::start(config.speed), inputs)
    }

    /// A card after power-on that goes by `clock`, whatever the speed in `config` is.
    pub fn with_clock(config: CardConfig, clock: HostClock) -> std::io::Result<Self> {
        Self::made_of(config, clock, Inputs::default())
    }

    fn made_of(config: CardConfig, clock: HostClock, inputs: Inputs) -> std::io::Result<Self> {
        let controller = Controller::new(config.controller);
        let messages = controller.messages();
        let state = State {
            function: Function::new(&spec(config.identity, messages)),
            controller,
            inputs,
            queue: IoQueue::default(),
            counted: Messages::default(),
            session: Session::default(),
            tracing: Tracing::new(config.trace),
        };
        let card = Self {
            state: Mutex::new(state),
            wakers: Wakers::default(),
            pages: PageBar::new()?,
            clock,
            clock_mode: config.controller.clock,
            messages,
        };
        card.lock().reset(&card);
        Ok(card)
    }

    /// The client has left: everything is reset, and when this returns its files are finished. Gives `false`
    /// for a client that never said anything (somebody who only looked whether the socket is alive).
    pub fn client_left(&self) -> bool {
        let (done, finished) = mpsc::channel();
        {
            let mut state = self.lock();
            if state.counted == Messages::default() {
                // It may have mapped the pages all the same, and stored to them.
                if self.pages.take_shown() {
                    self.pages.wipe();
                    state.reset(self);
                }
                return false;
            }
            self.pages.take_shown();
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
            state.controller.clear_stats();
            self.pages.wipe();
            // Fills in the pages again.
            state.reset(self);
            state.queue.records.left = Some((report, done));
        }
        self.wakers.io.wake();
        // The I/O worker drops the sender when it is done, or has ended.
        let _ = finished.recv();
        true
    }

    /// The first line of this card's trace.
    pub(crate) fn trace_header(&self) -> Header {
        let age = Duration::from_nanos(self.clock.real_now());
        let now = SystemTime::now();
        let started = now.checked_sub(age).unwrap_or(now);
        Header { clock: self.clock_mode.name(), speed: self.clock.speed().to_string(), started }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // A message that panicked was this client's last, and a reset follows.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The clock that the card goes by.
    pub fn clock(&self) -> &HostClock {
        &self.clock
    }

    /// Wakes the engine if there is something to wait for.
    fn tell_engine(&self, state: &State) {
        if state.controller.next_deadline().is_some() {
            self.wakers.engine.wake();
        }
    }
}

impl Requests for Card {
    fn bar(&self, index: u32) -> Option<Bar<'_>> {
        match index {
            REGISTERS_BAR => Some(Bar { bytes: REGISTERS_BYTES, mapped: None }),
            PAGES_BAR => Some(Bar { bytes: PAGES_BYTES, mapped: Some(self.pages.show()) }),
            _ => None,
        }
    }

    fn messages(&self) -> u32 {
        self.messages
    }

    /// What the guest sees of it is done when this returns.
    fn request(&self, request: Request<'_>) -> Result<(), MapError> {
        let mut state = self.lock();
        let before = state.controller.next_deadline();
        // It has a time to look whether or not a stream has one.
        let reset = matches!(request, Request::Reset);
        let (function, mut behind) = state.split(self);
        let result = function.handle(request, &mut behind);
        if reset || state.controller.next_deadline() != before {
            self.wakers.engine.wake();
        }
        if state.function.has_lost() {
            self.wakers.io.wake();
        }
        result
    }
}

impl State {
    /// The function, and what is behind it.
    fn split<'a>(&'a mut self, card: &'a Card) -> (&'a mut Function, CardBackend<'a>) {
        let Self { function, controller, inputs, queue, counted, session, tracing, .. } = self;
        let (running, with_file) = (false, false);
        let behind =
            CardBackend { card, controller, inputs, queue, counted, session, tracing, running, with_file };
        (function, behind)
    }

    /// Calls the controller, and does at once what the guest must see of it.
    pub fn with_controller<R>(
        &mut self,
        card: &Card,
        call: impl FnOnce(&mut Controller, &mut Env<'_>) -> R,
    ) -> R {
        let (function, mut behind) = self.split(card);
        function.call(&mut behind, |behind, bus| behind.call(bus, call))
    }

    /// Handles what has become due.
    pub fn advance(&mut self, card: &Card) {
        self.with_controller(card, Controller::advance);
    }

    /// Resets the function.
    fn reset(&mut self, card: &Card) {
        let (function, mut behind) = self.split(card);
        function.reset(&mut behind);
    }
}

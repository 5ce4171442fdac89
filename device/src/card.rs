//! The whole function behind one lock: controller, configuration space, guest memory, interrupts.
//!
//! Three threads come here: the one that handles the client's messages (the methods of [`Card`]), the engine ([`crate::engine`]), which
//! gives the card its time, and the desk ([`crate::desk`]), which does what the host is to do. What a message brings about for the guest (pages, interrupts) is done before its answer, with the lock held: after
//! a write of PAUSE has returned no event may come, and one that was raised late, outside of the lock, could. What it brings about for the
//! host (files, log) goes to the [`Outbox`]; the desk does it without the lock. So neither a message nor the card's time ever waits for a
//! disk.

mod asking;
mod behind;
pub(crate) mod reset_watch;
mod tracing;

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, SystemTime};

use crate::controller::{Config, Controller};
use crate::outbox::Outbox;
use crate::page_bar::PageBar;
use crate::pci::{Identity, spec};
use crate::ports::{ClockMode, Effects, Env};
pub use asking::AskError;
use asking::Session;
use behind::Behind;
use ringwave_engine::audio_queue::AudioQueue;
use ringwave_engine::clock::{HostClock, Speed};
use ringwave_guest_memory::guest_ram::{Lost, MapError};
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
    /// The engine's deadline may have changed.
    wake: Condvar,
    /// There is something for the desk to do.
    work: Condvar,
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
    audio: AudioQueue,
    effects: Effects,
    pub outbox: Outbox,
    counted: Messages,
    pub session: Session,
    pub tracing: Tracing,
    /// The process ends: the engine handles what is due and stops.
    pub ending: bool,
    /// The engine has stopped: the desk does what is left and stops.
    pub ended: bool,
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
        let mut state = State {
            function: Function::new(&spec(config.identity, messages)),
            controller,
            inputs,
            audio: AudioQueue::default(),
            effects: Effects::default(),
            outbox: Outbox::default(),
            counted: Messages::default(),
            session: Session::default(),
            tracing: Tracing::new(config.trace),
            ending: false,
            ended: false,
        };
        state.effects.untraced = !config.trace;
        let card = Self {
            state: Mutex::new(state),
            wake: Condvar::new(),
            work: Condvar::new(),
            pages: PageBar::new()?,
            clock,
            clock_mode: config.controller.clock,
            messages,
        };
        card.lock().reset(&card);
        Ok(card)
    }

    /// The client has left: everything is reset, and when this returns its files are finished. Gives `false` for a client that never said
    /// anything (somebody who only looked whether the socket is alive).
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
            state.outbox.left = Some((report, done));
        }
        self.work.notify_one();
        // The desk drops the sender when it is done, or has ended.
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

    /// The engine waits until its deadline may have changed, but no longer than `time`.
    pub(crate) fn wait_engine<'a>(
        &self,
        state: MutexGuard<'a, State>,
        time: Option<Duration>,
    ) -> MutexGuard<'a, State> {
        wait(&self.wake, state, time)
    }

    /// The desk waits until there is something to do, but no longer than `time`.
    pub(crate) fn wait_desk<'a>(
        &self,
        state: MutexGuard<'a, State>,
        time: Option<Duration>,
    ) -> MutexGuard<'a, State> {
        wait(&self.work, state, time)
    }

    /// The clock that the card goes by.
    pub fn clock(&self) -> &HostClock {
        &self.clock
    }

    /// Asks the engine, and then the desk, to do what is left and to stop.
    pub fn end(&self) {
        self.lock().ending = true;
        self.wake.notify_one();
    }

    /// The engine has stopped.
    pub(crate) fn engine_ended(&self, mut state: MutexGuard<'_, State>) {
        state.ended = true;
        self.work.notify_one();
    }

    /// Wakes the engine if there is something to wait for.
    fn tell_engine(&self, state: &State) {
        if state.controller.next_deadline().is_some() {
            self.wake.notify_one();
        }
    }
}

fn wait<'a>(
    condition: &Condvar,
    state: MutexGuard<'a, State>,
    time: Option<Duration>,
) -> MutexGuard<'a, State> {
    match time {
        None => condition.wait(state).unwrap_or_else(PoisonError::into_inner),
        Some(time) => condition.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0,
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
            self.wake.notify_one();
        }
        if state.function.has_lost() {
            self.work.notify_one();
        }
        result
    }
}

impl State {
    /// The function, and what is behind it.
    fn split<'a>(&'a mut self, card: &'a Card) -> (&'a mut Function, Behind<'a>) {
        let Self { function, controller, inputs, audio, effects, outbox, counted, session, tracing, .. } =
            self;
        let (running, with_file) = (false, false);
        let behind = Behind {
            card,
            controller,
            inputs,
            audio,
            effects,
            outbox,
            counted,
            session,
            tracing,
            running,
            with_file,
        };
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

    /// What the sources have to say since the last call, for the log.
    pub fn take_warnings(&mut self) -> Vec<String> {
        self.inputs.take_warnings()
    }

    /// Maps that were lost since the last call, for the log.
    pub fn take_lost(&self) -> Vec<Lost> {
        self.function.take_lost()
    }
}

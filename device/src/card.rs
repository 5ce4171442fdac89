//! The whole function behind one lock: controller, configuration space, guest memory, interrupts.
//!
//! Three threads come here: the one that handles the client's messages (the methods of [`Card`]), the engine ([`crate::engine`]), which
//! gives the card its time, and the desk ([`crate::desk`]), which does what the host is to do. What a message brings about for the guest (pages, interrupts) is done before its answer, with the lock held: after
//! a write of PAUSE has returned no event may come, and one that was raised late, outside of the lock, could. What it brings about for the
//! host (files, log) goes to the [`Outbox`]; the desk does it without the lock. So neither a message nor the card's time ever waits for a
//! disk.

mod asking;
pub(crate) mod reset_watch;
mod tracing;

use std::os::fd::RawFd;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, SystemTime};

use crate::controller::{Config, Controller};
use crate::host::clock::{HostClock, Speed};
use crate::host::source::Inputs;
use crate::outbox::Outbox;
use crate::pci::{ConfigSpace, Identity};
use crate::ports::{ClockMode, Effects, Env};
use crate::serve::eventfd;
use crate::serve::interrupts::{Interrupts, LineRequest};
use crate::serve::page_bar::PageBar;
use crate::stats::{Client, Messages, clock_name};
pub use asking::AskError;
use asking::Session;
use ringwave_engine::audio_queue::AudioQueue;
use ringwave_guest_memory::guest_ram::{GuestRam, Lost, MapError, MapRequest};
use ringwave_trace::{Event, Header, IrqKind, Region};
use ringwave_vfio_user::pci::Controls;
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
    pub controller: Controller,
    config: ConfigSpace,
    ram: GuestRam,
    interrupts: Interrupts,
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
        // Asked now: in the sandbox it is too late.
        eventfd::never_blocks();
        let controller = Controller::new(config.controller);
        let messages = controller.messages();
        let mut state = State {
            config: ConfigSpace::new(config.identity, messages),
            controller,
            ram: GuestRam::default(),
            interrupts: Interrupts::default(),
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

    /// MSI messages that the function offers.
    pub fn msi_messages(&self) -> u32 {
        self.messages
    }

    /// The descriptor behind the page BAR.
    pub fn pages_fd(&self) -> RawFd {
        self.pages.fd()
    }

    /// A read of BAR 0.
    pub fn read_registers(&self, offset: u64, data: &mut [u8]) {
        let mut state = self.lock();
        let running = state.controller.running();
        state.counted.read(running);
        state.with_controller(self, |controller, env| controller.read(offset, data, env));
        state.trace_message(self, || Event::read(Region::Registers, offset, data));
        self.tell_engine(&state);
    }

    /// A write of BAR 0.
    pub fn write_registers(&self, offset: u64, data: &[u8]) {
        let mut state = self.lock();
        let before = state.controller.running();
        state.trace_message(self, || Event::write(Region::Registers, offset, data));
        state.with_controller(self, |controller, env| controller.write(offset, data, env));
        let after = state.controller.running();
        state.counted.write_register(offset, before, after);
        self.tell_engine(&state);
    }

    /// A read of BAR 2 that came as a message.
    pub fn read_pages(&self, offset: u64, data: &mut [u8]) {
        let mut state = self.lock();
        let running = state.controller.running();
        state.counted.read(running);
        self.pages.read(offset, data);
        state.trace_message(self, || Event::read(Region::Pages, offset, data));
    }

    /// A store to BAR 2 that came as a message.
    pub fn write_pages(&self, offset: u64, data: &[u8]) {
        let mut state = self.lock();
        let running = state.controller.running();
        state.counted.write(running);
        state.trace_message(self, || Event::write(Region::Pages, offset, data));
        self.pages.write(offset, data);
        let bytes = data.len() as u64;
        state.with_controller(self, |controller, env| controller.pages_stored(offset, bytes, env));
        self.tell_engine(&state);
    }

    /// A read of configuration space.
    pub fn read_config(&self, offset: u64, data: &mut [u8]) {
        let mut state = self.lock();
        let running = state.controller.running();
        state.counted.read(running);
        // Time may have raised the INTx that Status shows.
        state.advance(self);
        state.config.read(offset, data);
        state.trace_message(self, || Event::read(Region::Config, offset, data));
        self.tell_engine(&state);
    }

    /// A write of configuration space. What it asks of the function besides comes as [`Card::function_level_reset`] or
    /// [`Card::set_d3hot`], after it and before it is answered.
    pub fn write_config(&self, offset: u64, data: &[u8]) {
        let mut state = self.lock();
        let running = state.controller.running();
        state.counted.write(running);
        state.trace_message(self, || Event::write(Region::Config, offset, data));
        state.config.write(offset, data);
        state.session.reset_watch.config_written(offset, data);
        state.follow_config(self);
        self.tell_engine(&state);
    }

    /// A function-level reset, with configuration space.
    pub fn function_level_reset(&self) {
        let mut state = self.lock();
        state.trace(self, || Event::FunctionLevelReset);
        state.reset(self);
        self.tell_engine(&state);
    }

    /// The function goes to D3hot, or back to D0.
    pub fn set_d3hot(&self, d3hot: bool) {
        let mut state = self.lock();
        state.config.set_d3hot(d3hot);
        state.follow_config(self);
        self.tell_engine(&state);
    }

    /// Where writes of configuration space ask for a function-level reset or a power state.
    pub fn pci_controls(&self) -> Controls {
        self.lock().config.controls()
    }

    /// `DEVICE_RESET`.
    pub fn reset(&self) {
        let mut state = self.lock();
        state.counted.total += 1;
        state.trace_message(self, || Event::DeviceReset);
        state.reset(self);
        state.session.reset_watch.reset(self.clock.real_now());
        // It has a time to look whether or not a stream has one.
        self.wake.notify_one();
    }

    /// `DMA_MAP`.
    pub fn map(&self, request: MapRequest) -> Result<(), MapError> {
        let mut state = self.lock();
        state.counted.total += 1;
        let MapRequest { address, bytes, readable: read, writable: write, .. } = request;
        let fd = request.file.is_some();
        let result = state.ram.map(request);
        let taken = result.is_ok();
        if state.ram.has_lost() {
            self.work.notify_one();
        }
        state.trace_message(self, || Event::DmaMap { address, bytes, read, write, fd, taken });
        result
    }

    /// `DMA_UNMAP` of a range. When it returns the card does not touch the range any more.
    pub fn unmap(&self, address: u64, bytes: u64) {
        let mut state = self.lock();
        state.counted.total += 1;
        state.trace_message(self, || Event::DmaUnmap { address, bytes });
        state.ram.unmap(address, bytes);
    }

    /// `DMA_UNMAP` of everything.
    pub fn unmap_all(&self) {
        let mut state = self.lock();
        state.counted.total += 1;
        state.trace_message(self, || Event::DmaUnmapAll);
        state.ram.unmap_all();
    }

    /// `SET_IRQS` for MSI.
    pub fn set_msi(&self, request: LineRequest) {
        let mut state = self.lock();
        state.counted.total += 1;
        state.trace_message(self, || Event::SetIrqs { kind: IrqKind::Msi, change: request.change() });
        state.interrupts.set_msi(request);
        state.trace_interrupts(self);
        state.follow_config(self);
        self.tell_engine(&state);
    }

    /// `SET_IRQS` for INTx.
    pub fn set_intx(&self, request: LineRequest) {
        let mut state = self.lock();
        state.counted.total += 1;
        state.trace_message(self, || Event::SetIrqs { kind: IrqKind::Intx, change: request.change() });
        state.interrupts.set_intx(request);
        state.trace_interrupts(self);
    }

    /// `SET_IRQS` for an interrupt of the transport (errors), which the card never raises.
    pub fn set_other_interrupt(&self) {
        let mut state = self.lock();
        state.counted.total += 1;
        state.trace_message(self, || Event::SetOtherIrqs);
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
            state.trace(self, || Event::Left);
            state.tracing.client_left();
            // Its line goes with it.
            let level = state.interrupts.asserted().then_some(false);
            state.trace_level(self, level);
            state.interrupts.disconnect_all();
            state.reset(self);
            state.ram.unmap_all();
            let mut report = state.report(self);
            report.client = Client::Left;
            state.counted = Messages::default();
            state.new_session(self);
            state.interrupts.take_raised();
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
        Header { clock: clock_name(self.clock_mode), speed: self.clock.speed().to_string(), started }
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

    /// Wakes the engine if there is anything to wait for.
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

impl State {
    /// Calls the controller, and does at once what the guest must see of it.
    pub fn with_controller<R>(
        &mut self,
        card: &Card,
        call: impl FnOnce(&mut Controller, &mut Env<'_>) -> R,
    ) -> R {
        let mut env = Env {
            now: card.clock.now(),
            memory: &self.ram,
            pages: &card.pages,
            sources: &mut self.inputs,
            audio: &mut self.audio,
            effects: &mut self.effects,
        };
        let result = call(&mut self.controller, &mut env);
        self.interrupts.send(self.effects.messages);
        let level = self.drive_intx();
        let time = self.trace_time(card);
        let mut full = self.outbox.take(&mut self.effects, &mut self.audio, time);
        self.trace_level(card, level);
        self.trace_interrupts(card);
        while full != 0 {
            let stream = full.trailing_zeros();
            full &= full - 1;
            let mut env = Env {
                now: card.clock.now(),
                memory: &self.ram,
                pages: &card.pages,
                sources: &mut self.inputs,
                audio: &mut self.audio,
                effects: &mut self.effects,
            };
            self.controller.host_failed(stream, &mut env);
            self.interrupts.send(self.effects.messages);
            let level = self.drive_intx();
            let time = self.trace_time(card);
            self.outbox.take(&mut self.effects, &mut self.audio, time);
            self.trace_level(card, level);
            self.trace_interrupts(card);
        }
        if self.outbox.is_urgent()
            || self.trace_waits()
            || self.ram.has_lost()
            || self.inputs.has_warnings()
            || self.controller.stalls().next().is_some()
        {
            card.work.notify_one();
        }
        result
    }

    /// Handles what has become due.
    pub fn advance(&mut self, card: &Card) {
        self.with_controller(card, Controller::advance);
    }

    /// Drives INTx to where it has to be; gives the level if it has changed.
    fn drive_intx(&mut self) -> Option<bool> {
        let pending = self.controller.intx();
        self.config.show_interrupt(pending);
        let (before, level) = (self.interrupts.asserted(), pending && !self.config.interrupt_disable());
        self.interrupts.drive_intx(level);
        (level != before).then_some(level)
    }

    /// Resets the function with its configuration space, and what a guest stored to the pages at offsets that are not the card's.
    fn reset(&mut self, card: &Card) {
        card.pages.wipe_unused(self.controller.streams());
        self.config.reset();
        self.with_controller(card, Controller::reset);
        self.follow_config(card);
    }

    /// Tells the controller what configuration space says.
    fn follow_config(&mut self, card: &Card) {
        let (bus_master, msi, d3hot) =
            (self.config.bus_master(), self.config.msi_granted(), self.config.d3hot());
        // A client that connected fewer messages than the guest was granted gets all of them on those (DATASHEET 2.1).
        let msi = msi.map(|granted| granted.min(self.interrupts.msi_connected().max(1)));
        self.with_controller(card, |controller, env| {
            // Ends that have passed belong to what was configured before.
            controller.advance(env);
            controller.set_bus_master(bus_master);
            controller.set_msi(msi);
            controller.set_d3hot(d3hot, env);
        });
    }

    /// What the sources have to say since the last call, for the log.
    pub fn take_warnings(&mut self) -> Vec<String> {
        self.inputs.take_warnings()
    }

    /// Maps that were lost since the last call, for the log.
    pub fn take_lost(&self) -> Vec<Lost> {
        self.ram.take_lost()
    }
}

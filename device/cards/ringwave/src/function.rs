//! The card behind its PCI function: the controller with the page BAR, as a [`SoundCard`].

use std::io;
use std::sync::Arc;

use ringwave_engine::clock::{HostClock, Speed};
use ringwave_engine::sources::{NoSources, Sources};
use ringwave_engine::stream::stats::{Stall, StreamStats};
use ringwave_pci::config::Settings;
use ringwave_pci::{MappedBar, PowerState};
use ringwave_pci_card::{CardEnv, CardOptions, PciCard, ServedFunction, SoundCard};
use ringwave_regs::error::Error;
use ringwave_regs::pci::{PAGES_BAR, REGISTERS_BAR};
use ringwave_regs::stream;

use crate::controller::{Config, Controller};
use crate::env::{Env, Interrupts};
use crate::page_bar::PageBar;
use crate::pci::{Identity, spec};

/// The card, behind its lock.
pub type Card = PciCard<Ringwave>;
/// The card as the vfio-user server wants it.
pub type Function = ServedFunction<Ringwave>;

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

impl CardConfig {
    /// The card after power-on; nobody has anything for its capture streams.
    ///
    /// # Errors
    /// The page BAR cannot be made.
    pub fn power_on(self) -> io::Result<Card> {
        self.power_on_with(HostClock::start(self.speed), Box::new(NoSources))
    }

    /// The card after power-on: it goes by `clock`, and its capture streams capture `sources`.
    ///
    /// # Errors
    /// The page BAR cannot be made.
    pub fn power_on_with(self, clock: HostClock, sources: Box<dyn Sources + Send>) -> io::Result<Card> {
        let Self { controller, identity, trace, .. } = self;
        let clock_mode = controller.clock;
        let card = Ringwave { controller: Controller::new(controller), pages: PageBar::new()? };
        let spec = spec(identity, card.controller.messages());
        Ok(PciCard::new(card, CardOptions { spec, clock, clock_mode, sources, trace }))
    }
}

/// The controller and its page BAR.
pub struct Ringwave {
    controller: Controller,
    pages: PageBar,
}

impl Ringwave {
    /// Calls the controller.
    fn call<R>(
        &mut self,
        env: &mut CardEnv<'_, Error>,
        call: impl FnOnce(&mut Controller, &mut Env<'_>) -> R,
    ) -> R {
        let mut interrupts = Interrupts::default();
        let mut env_of_call = Env {
            now: env.now,
            memory: env.memory,
            pages: &self.pages,
            sources: &mut *env.sources,
            audio: &mut *env.audio,
            interrupts: &mut interrupts,
            log: env.log.reborrow(),
        };
        let result = call(&mut self.controller, &mut env_of_call);
        *env.messages |= interrupts.messages;
        result
    }
}

impl SoundCard for Ringwave {
    type Error = Error;
    const NAME: &'static str = "ringwave";

    fn mapped_bar(&self) -> Option<(u32, Arc<MappedBar>)> {
        Some((PAGES_BAR, self.pages.shared()))
    }

    fn register_name(&self, bar: u32, offset: u64) -> Option<&'static str> {
        if bar == REGISTERS_BAR { stream::name(offset) } else { None }
    }

    fn read(&mut self, bar: u32, offset: u64, data: &mut [u8], env: &mut CardEnv<'_, Error>) {
        match bar {
            REGISTERS_BAR => self.call(env, |controller, env| controller.read(offset, data, env)),
            _ => self.pages.read(offset, data),
        }
    }

    fn write(&mut self, bar: u32, offset: u64, data: &[u8], env: &mut CardEnv<'_, Error>) {
        if bar == REGISTERS_BAR {
            self.call(env, |controller, env| controller.write(offset, data, env));
        } else {
            self.pages.write(offset, data);
            let bytes = data.len() as u64;
            self.call(env, |controller, env| controller.pages_stored(offset, bytes, env));
        }
    }

    fn advance(&mut self, env: &mut CardEnv<'_, Error>) {
        self.call(env, Controller::advance);
    }

    fn configure(&mut self, settings: &Settings, env: &mut CardEnv<'_, Error>) {
        self.call(env, |controller, env| {
            // Ends that have passed belong to what was configured before.
            controller.advance(env);
            controller.set_bus_master(settings.bus_master);
            controller.set_msi(settings.msi);
            controller.set_d3hot(settings.power == PowerState::D3hot, env);
        });
    }

    /// With what a guest stored to the pages at offsets that are not the card's.
    fn reset(&mut self, env: &mut CardEnv<'_, Error>) {
        self.pages.wipe_unused(self.controller.streams());
        self.call(env, Controller::reset);
    }

    fn intx(&self) -> bool {
        self.controller.intx()
    }

    fn next_deadline(&self) -> Option<u64> {
        self.controller.next_deadline()
    }

    fn host_failed(&mut self, stream: u32, env: &mut CardEnv<'_, Error>) {
        self.call(env, |controller, env| controller.host_failed(stream, env));
    }

    fn set_rate_den(&mut self, stream: u32, rate_den: u32) {
        self.controller.set_rate_den(stream, rate_den);
    }

    fn set_jack(&mut self, stream: u32, plugged: bool, env: &mut CardEnv<'_, Error>) {
        self.call(env, |controller, env| controller.set_jack(stream, plugged, env));
    }

    fn jack(&self, stream: u32) -> Option<bool> {
        self.controller.jack(stream)
    }

    fn streams(&self) -> u32 {
        self.controller.streams()
    }

    fn running(&self) -> bool {
        self.controller.running()
    }

    fn moving(&self) -> u32 {
        self.controller.moving()
    }

    fn stalls(&self) -> impl Iterator<Item = Stall> {
        self.controller.stalls()
    }

    fn stats(&self) -> impl Iterator<Item = StreamStats> {
        self.controller.stats()
    }

    fn clear_stats(&mut self) {
        self.controller.clear_stats();
    }
}

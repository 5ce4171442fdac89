//! The card behind its PCI function: the controller as a [`SoundCard`]. HDA.md 1.

use std::sync::Arc;

use ringwave_engine::clock::HostClock;
use ringwave_engine::sources::Sources;
use ringwave_engine::stream::stats::{Stall, StreamStats};
use ringwave_engine::timeline::ClockMode;
use ringwave_pci::MappedBar;
use ringwave_pci::config::{FunctionSpec, OwnByte, Settings};
use ringwave_pci_card::{CardEnv, CardOptions, PciCard, ServedFunction, SoundCard};

use crate::controller::{Config, Controller};
use crate::dma::Error;
use crate::regs::BAR_BYTES;

/// The card, behind its lock.
pub type HdaCard = PciCard<Hda>;
/// The card as the vfio-user server wants it.
pub type HdaFunction = ServedFunction<Hda>;

/// Vendor and device id: Intel's ICH9, by which Linux knows what to do.
pub const PCI_ID: (u16, u16) = (0x8086, 0x293E);

/// Where the power management capability is: 40h is HDCTL, and MSI is where the ICH9 has this one.
const POWER_MANAGEMENT: u8 = 0x60;

/// What a card is made with.
#[derive(Clone, Debug)]
pub struct CardConfig {
    /// What the controller is made with.
    pub controller: Config,
    /// Vendor and device id.
    pub pci_id: (u16, u16),
    /// It has D3hot.
    pub power_management: bool,
    /// Whether somebody wants the trace.
    pub trace: bool,
}

impl CardConfig {
    /// The card after power-on: it goes by `clock`, and its capture endpoints capture `sources`.
    pub fn power_on(self, clock: HostClock, sources: Box<dyn Sources + Send>) -> HdaCard {
        let Self { controller, pci_id, power_management, trace } = self;
        let card = Hda { controller: Controller::new(controller) };
        let clock_mode = ClockMode::Realtime;
        PciCard::new(
            card,
            CardOptions { spec: spec(pci_id, power_management), clock, clock_mode, sources, trace },
        )
    }
}

/// What the function shows of itself.
pub fn spec((vendor, device): (u16, u16), power_management: bool) -> FunctionSpec {
    FunctionSpec {
        vendor,
        device,
        subsystem_vendor: 0x1AF4,
        subsystem: 0x1100,
        revision: 3,
        class: 0x04_0300,
        bars: [BAR_BYTES, 0, 0, 0, 0, 0],
        messages: 1,
        power_management: power_management.then_some(POWER_MANAGEMENT),
        own_bytes: &[
            OwnByte { offset: 0x40, reset: 1, writable: 0 },
            OwnByte { offset: 0x44, reset: 0, writable: 7 },
        ],
    }
}

/// The controller and its codec.
#[derive(Debug)]
pub struct Hda {
    controller: Controller,
}

impl SoundCard for Hda {
    type Error = Error;
    const NAME: &'static str = "hda";

    fn mapped_bar(&self) -> Option<(u32, Arc<MappedBar>)> {
        None
    }

    fn register_name(&self, _bar: u32, _offset: u64) -> Option<&'static str> {
        None
    }

    fn read(&mut self, _bar: u32, offset: u64, data: &mut [u8], env: &mut CardEnv<'_, Error>) {
        self.controller.read(offset, data, env);
    }

    fn write(&mut self, _bar: u32, offset: u64, data: &[u8], env: &mut CardEnv<'_, Error>) {
        self.controller.write(offset, data, env);
    }

    fn advance(&mut self, env: &mut CardEnv<'_, Error>) {
        self.controller.advance(env);
    }

    fn configure(&mut self, settings: &Settings, env: &mut CardEnv<'_, Error>) {
        self.controller.configure(settings, env);
    }

    fn reset(&mut self, env: &mut CardEnv<'_, Error>) {
        self.controller.reset(env);
    }

    fn intx(&self) -> bool {
        self.controller.intx()
    }

    fn next_deadline(&self) -> Option<u64> {
        self.controller.next_deadline()
    }

    /// There is no register for it: the log and the exit code tell.
    fn host_failed(&mut self, _stream: u32, _env: &mut CardEnv<'_, Error>) {}

    /// The position of this card never follows a sink or a source (HDA.md 3).
    fn set_rate_den(&mut self, _stream: u32, _rate_den: u32) {}

    fn set_jack(&mut self, stream: u32, plugged: bool, env: &mut CardEnv<'_, Error>) {
        self.controller.set_jack(stream, plugged, env);
    }

    fn jack(&self, stream: u32) -> Option<bool> {
        self.controller.jack(stream)
    }

    fn streams(&self) -> u32 {
        self.controller.endpoints()
    }

    fn running(&self) -> bool {
        self.controller.running()
    }

    fn moving(&self) -> u32 {
        self.controller.moving()
    }

    fn stalls(&self) -> impl Iterator<Item = Stall> {
        std::iter::empty()
    }

    fn stats(&self) -> impl Iterator<Item = StreamStats> {
        self.controller.stats()
    }

    fn clear_stats(&mut self) {
        self.controller.clear_stats();
    }
}

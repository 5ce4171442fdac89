//! The function itself: configuration space, guest RAM and interrupts, and the requests that act on them and
//! on the card.

use ringwave_guest_memory::guest_ram::{GuestRam, Lost, MapError, MapRequest};
use ringwave_vfio_user::IrqChange;
use ringwave_vfio_user::pci::{ControlRequest, PowerState};

use crate::config::{ConfigSpace, ConfigWrite, FunctionSpec, Settings};
use crate::interrupts::{Delivered, Interrupts};

/// A region of the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    /// A Base Address Register's.
    Bar(u32),
    /// Configuration space.
    Config,
}

/// A kind of interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IrqKind {
    /// Messages.
    Msi,
    /// The line.
    Intx,
    /// One that the function never raises (errors of the transport).
    Other,
}

/// What is asked of the function. A client's message is one of them; [`Request::FunctionLevelReset`] and
/// [`Request::Power`] are what a write of configuration space asked.
#[derive(Debug)]
pub enum Request<'a> {
    /// A read of a region: `data` is filled completely.
    Read {
        /// Where.
        region: Region,
        /// Offset in it in bytes.
        offset: u64,
        /// The answer.
        data: &'a mut [u8],
    },
    /// A write of a region.
    Write {
        /// Where.
        region: Region,
        /// Offset in it in bytes.
        offset: u64,
        /// What is written.
        data: &'a [u8],
    },
    /// `DMA_MAP`. Its file is taken out when it is done.
    Map(MapRequest),
    /// `DMA_UNMAP` of a range. When it is done the function does not touch the range any more.
    Unmap {
        /// First address.
        address: u64,
        /// Length in bytes.
        bytes: u64,
    },
    /// `DMA_UNMAP` of everything.
    UnmapAll,
    /// `SET_IRQS`.
    SetIrqs {
        /// Which.
        kind: IrqKind,
        /// What is asked of them.
        change: IrqChange<'a>,
    },
    /// `DEVICE_RESET`.
    Reset,
    /// A function-level reset, with configuration space.
    FunctionLevelReset,
    /// The function goes to this power state.
    Power(PowerState),
}

/// The card's way out, during a call.
pub struct Bus<'a> {
    /// Guest RAM. Bus Master Enable is the card's to honour ([`Settings::bus_master`]).
    pub memory: &'a GuestRam,
    /// MSI messages to send when the call returns: bit n = message n.
    pub messages: u32,
}

/// What is behind a function: the card's own part. Every call is made with the function's lock held, and a
/// client may wait for it.
pub trait Backend {
    /// A read of a BAR that came as a message: fills `data`.
    fn read(&mut self, bar: u32, offset: u64, data: &mut [u8], bus: &mut Bus<'_>);
    /// A write of a BAR that came as a message.
    fn write(&mut self, bar: u32, offset: u64, data: &[u8], bus: &mut Bus<'_>);
    /// Does what has become due.
    fn advance(&mut self, bus: &mut Bus<'_>);
    /// Settings of configuration space, some of which may be new, from now on: what is due belongs to the old
    /// ones. `msi` is not above what the client has connected.
    fn configure(&mut self, settings: &Settings, bus: &mut Bus<'_>);
    /// A reset of any kind. [`Backend::configure`] follows.
    fn reset(&mut self, bus: &mut Bus<'_>);
    /// The level of INTx before Interrupt Disable.
    fn intx(&self) -> bool;

    /// A request begins: to be counted, and traced.
    fn begin(&mut self, request: &Request<'_>) {
        let _ = request;
    }
    /// The request is done; a read has its data now.
    fn end(&mut self, request: &Request<'_>, result: Result<(), MapError>) {
        let _ = (request, result);
    }
    /// Configuration space was written, and that is what it meant.
    fn config_written(&mut self, write: &ConfigWrite) {
        let _ = write;
    }
    /// Interrupts have reached the client, or the level of INTx has changed to `level`.
    fn signalled(&mut self, level: Option<bool>, delivered: Delivered) {
        let _ = (level, delivered);
    }
}

/// A PCI function.
pub struct Function {
    config: ConfigSpace,
    ram: GuestRam,
    interrupts: Interrupts,
}

impl Function {
    /// A function after power-on. The card behind it is told so with [`Request::Reset`] or
    /// [`Function::reset`].
    pub fn new(spec: &FunctionSpec) -> Self {
        // Asked now: in a sandbox it would be too late.
        ringwave_eventfd::never_blocks();
        Self { config: ConfigSpace::new(spec), ram: GuestRam::default(), interrupts: Interrupts::default() }
    }

    /// Does what is asked, with everything that a guest sees of it (memory, interrupts) before it returns.
    /// Only [`Request::Map`] can fail.
    pub fn handle<B: Backend>(&mut self, mut request: Request<'_>, backend: &mut B) -> Result<(), MapError> {
        backend.begin(&request);
        let result = self.act(&mut request, backend);
        backend.end(&request, result);
        result
    }

    fn act<B: Backend>(&mut self, request: &mut Request<'_>, backend: &mut B) -> Result<(), MapError> {
        match request {
            Request::Read { region: Region::Bar(bar), offset, data } => {
                self.call(backend, |backend, bus| backend.read(*bar, *offset, data, bus));
            }
            Request::Read { region: Region::Config, offset, data } => {
                // Time may have raised the INTx that Status shows.
                self.call(backend, B::advance);
                self.config.read(*offset, data);
            }
            Request::Write { region: Region::Bar(bar), offset, data } => {
                self.call(backend, |backend, bus| backend.write(*bar, *offset, data, bus));
            }
            Request::Write { region: Region::Config, offset, data } => {
                self.write_config(*offset, data, backend);
            }
            Request::Map(map) => {
                let MapRequest { address, bytes, readable, writable, ref mut file } = *map;
                return self.ram.map(MapRequest { address, bytes, readable, writable, file: file.take() });
            }
            Request::Unmap { address, bytes } => self.ram.unmap(*address, *bytes),
            Request::UnmapAll => self.ram.unmap_all(),
            Request::SetIrqs { kind, change } => {
                // The descriptors stay here.
                let change = std::mem::replace(change, IrqChange::Disable);
                self.set_irqs(*kind, change, backend);
            }
            Request::Reset | Request::FunctionLevelReset => self.reset(backend),
            Request::Power(state) => {
                self.config.set_power(*state);
                self.configure(backend);
            }
        }
        Ok(())
    }

    fn write_config<B: Backend>(&mut self, offset: u64, data: &[u8], backend: &mut B) {
        let write = self.config.write(offset, data);
        backend.config_written(&write);
        match write.settings {
            Some(_) => self.configure(backend),
            None => self.call(backend, B::advance),
        }
        let request = match write.request {
            Some(ControlRequest::FunctionLevelReset) => Request::FunctionLevelReset,
            Some(ControlRequest::Power(state)) => Request::Power(state),
            None => return,
        };
        // Only a map can fail.
        let _ = self.handle(request, backend);
    }

    fn set_irqs<B: Backend>(&mut self, kind: IrqKind, change: IrqChange<'_>, backend: &mut B) {
        match kind {
            IrqKind::Msi => self.interrupts.set_msi(change),
            IrqKind::Intx => self.interrupts.set_intx(change),
            IrqKind::Other => return,
        }
        backend.signalled(None, self.interrupts.take_delivered());
        if kind == IrqKind::Msi {
            // The client may have connected another number of them.
            self.configure(backend);
        }
    }

    /// Resets the function with its configuration space. Maps and eventfds stay.
    pub fn reset<B: Backend>(&mut self, backend: &mut B) {
        self.config.reset();
        self.call(backend, B::reset);
        self.configure(backend);
    }

    /// The client has left: its line goes with it, it is reset, and what it mapped is gone.
    pub fn disconnect<B: Backend>(&mut self, backend: &mut B) {
        let level = self.interrupts.asserted().then_some(false);
        backend.signalled(level, Delivered::default());
        self.interrupts.disconnect_all();
        self.reset(backend);
        self.ram.unmap_all();
    }

    /// Tells the card what configuration space says.
    fn configure<B: Backend>(&mut self, backend: &mut B) {
        let mut settings = self.config.settings();
        // A client that connected fewer messages than the guest was granted gets all of them on those.
        let connected = self.interrupts.msi_connected().max(1);
        settings.msi = settings.msi.map(|granted| granted.min(connected));
        self.call(backend, |backend, bus| backend.configure(&settings, bus));
    }

    /// Lets the card do something, and sends the interrupts that come of it before it returns.
    pub fn call<B: Backend, R>(
        &mut self,
        backend: &mut B,
        call: impl FnOnce(&mut B, &mut Bus<'_>) -> R,
    ) -> R {
        let mut bus = Bus { memory: &self.ram, messages: 0 };
        let result = call(backend, &mut bus);
        self.interrupts.send(bus.messages);
        let pending = backend.intx();
        self.config.show_interrupt(pending);
        let level = pending && !self.config.settings().interrupt_disable;
        let before = self.interrupts.asserted();
        self.interrupts.drive_intx(level);
        backend.signalled((level != before).then_some(level), self.interrupts.take_delivered());
        result
    }

    /// How many interrupts were raised since [`Function::take_raised`].
    pub fn raised(&self) -> u64 {
        self.interrupts.raised()
    }

    /// How many interrupts were raised since the last call.
    pub fn take_raised(&mut self) -> u64 {
        self.interrupts.take_raised()
    }

    /// Maps that were lost since the last call, for the log.
    pub fn take_lost(&self) -> Vec<Lost> {
        self.ram.take_lost()
    }

    /// Whether [`Function::take_lost`] has something.
    pub fn has_lost(&self) -> bool {
        self.ram.has_lost()
    }
}

#[cfg(test)]
mod tests;

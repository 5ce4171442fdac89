//! The PCI function's configuration space: identity, BARs, power management, MSI and function-level reset.
//!
//! Pure: bytes in, bytes out. QEMU emulates parts of it (BARs, MSI) itself and passes every write on; another
//! client may not. [`ConfigSpace::write`] returns what the write meant.

pub mod layout;
#[cfg(test)]
mod tests;

use layout::{BARS, BARS_END, CONFIG_BYTES, Layout};
use ringwave_vfio_user::pci::{ControlRequest, Controls, PowerState};

/// The most MSI messages that a function can have.
pub const MSI_MESSAGES_MAX: u32 = 32;

/// What differs between functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionSpec {
    /// Vendor id.
    pub vendor: u16,
    /// Device id.
    pub device: u16,
    /// Subsystem vendor id.
    pub subsystem_vendor: u16,
    /// Subsystem id.
    pub subsystem: u16,
    /// Revision id.
    pub revision: u8,
    /// Class code: base class, subclass, programming interface, 24 bits.
    pub class: u32,
    /// The size of each BAR in bytes, a power of two from 16 on; 0 = not there. All are 32-bit memory, not
    /// prefetchable.
    pub bars: [u32; 6],
    /// MSI messages that it offers, a power of two, 1 to [`MSI_MESSAGES_MAX`].
    pub messages: u32,
    /// Where it has the power management capability. Without it there is D0 alone.
    pub power_management: Option<u8>,
    /// Bytes of its own, between the header and the capabilities that it has.
    pub own_bytes: &'static [OwnByte],
}

/// A byte of configuration space that is the function's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnByte {
    /// Where.
    pub offset: u8,
    /// After reset.
    pub reset: u8,
    /// Bits that keep what is written. Nothing comes of it.
    pub writable: u8,
}

/// What configuration space says to the function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Memory Space Enable. The client gates accesses by it; the function does not.
    pub memory_space: bool,
    /// Bus Master Enable: the function may do DMA and send messages.
    pub bus_master: bool,
    /// Interrupt Disable: the function must hold back `INTx`.
    pub interrupt_disable: bool,
    /// MSI messages that are granted; `None` while MSI is disabled.
    pub msi: Option<u32>,
    /// The power state, D0 or D3hot.
    pub power: PowerState,
}

/// What a write of configuration space meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConfigWrite {
    /// The settings, if the write changed one.
    pub settings: Option<Settings>,
    /// A BAR was given an address.
    pub addressed: bool,
    /// What it asks besides: a function-level reset, or another power state than the present one. Nothing of
    /// it is done yet.
    pub request: Option<ControlRequest>,
}

/// Configuration space of the function.
pub struct ConfigSpace {
    layout: Layout,
    bytes: Box<[u8; CONFIG_BYTES]>,
    controls: Controls,
    messages: u32,
    power_management: Option<u8>,
}

impl ConfigSpace {
    /// The function's, as after power-on.
    pub fn new(spec: &FunctionSpec) -> Self {
        let layout = layout::layout(spec);
        let bytes = layout.reset.clone();
        let controls = Controls::find(&bytes[..]);
        let FunctionSpec { messages, power_management, .. } = *spec;
        Self { layout, bytes, controls, messages, power_management }
    }

    /// Function-level reset and everything stronger.
    pub fn reset(&mut self) {
        self.bytes.clone_from(&self.layout.reset);
    }

    /// Reads `data.len()` bytes from `offset` on. What is beyond the end reads as all ones.
    pub fn read(&self, offset: u64, data: &mut [u8]) {
        data.fill(0xFF);
        let from = usize::try_from(offset).ok().and_then(|offset| self.bytes.get(offset..));
        for (to, byte) in data.iter_mut().zip(from.unwrap_or_default()) {
            *to = *byte;
        }
    }

    /// Writes `data` from `offset` on: any length, any alignment. What is beyond the end, and bits that
    /// cannot be written, are ignored. Gives what the write meant.
    pub fn write(&mut self, offset: u64, data: &[u8]) -> ConfigWrite {
        let Ok(first) = usize::try_from(offset) else { return ConfigWrite::default() };
        let before = self.settings();
        let mut addressed = false;
        for (at, &byte) in (first..CONFIG_BYTES).zip(data) {
            self.write_byte(at, byte);
            addressed |= (BARS..BARS_END).contains(&at) && self.byte(at) != 0;
        }
        let settings = Some(self.settings()).filter(|after| *after != before);
        let request = match self.controls.request(offset, data) {
            Some(ControlRequest::Power(state)) if state == before.power => None,
            request => request,
        };
        ConfigWrite { settings, addressed, request }
    }

    fn write_byte(&mut self, at: usize, byte: u8) {
        let (Some(old), Some(writable), Some(clears)) =
            (self.bytes.get_mut(at), self.layout.writable.get(at), self.layout.write_1_clears.get(at))
        else {
            return;
        };
        *old = (*old & !writable | byte & writable) & !(byte & clears);
    }

    fn byte(&self, offset: usize) -> u8 {
        self.bytes.get(offset).copied().unwrap_or(0)
    }

    fn word(&self, offset: usize) -> u16 {
        u16::from_le_bytes([self.byte(offset), self.byte(offset + 1)])
    }

    /// Shows a power state in PMCSR: a write does not, for the function has to go there first.
    pub fn set_power(&mut self, state: PowerState) {
        let d3hot = if state == PowerState::D3hot { layout::D3HOT } else { 0 };
        if let Some(at) = self.power_management
            && let Some(byte) = self.bytes.get_mut(usize::from(at) + layout::PMCSR_OFFSET)
        {
            *byte = *byte & !layout::PMCSR_STATE | d3hot;
        }
    }

    /// What it says to the function now.
    pub fn settings(&self) -> Settings {
        let command = self.word(layout::COMMAND);
        let control = self.word(layout::MSI_CONTROL);
        let granted = 1 << (control >> layout::MSI_GRANTED_SHIFT & 0b111);
        let d3hot = self.power_management.is_some_and(|at| {
            self.byte(usize::from(at) + layout::PMCSR_OFFSET) & layout::PMCSR_STATE == layout::D3HOT
        });
        Settings {
            memory_space: command & layout::COMMAND_MEMORY != 0,
            bus_master: command & layout::COMMAND_BUS_MASTER != 0,
            interrupt_disable: command & layout::COMMAND_INTERRUPT_DISABLE != 0,
            msi: (control & layout::MSI_ENABLE != 0).then_some(self.messages.min(granted)),
            power: if d3hot { PowerState::D3hot } else { PowerState::D0 },
        }
    }

    /// How many MSI messages the function offers.
    pub fn msi_offered(&self) -> u32 {
        self.messages
    }

    /// Shows in Status whether an `INTx` is pending.
    pub fn show_interrupt(&mut self, pending: bool) {
        let bit = layout::STATUS_INTERRUPT.to_le_bytes()[0];
        if let Some(byte) = self.bytes.get_mut(layout::STATUS) {
            *byte = *byte & !bit | if pending { bit } else { 0 };
        }
    }
}

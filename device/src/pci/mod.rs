//! The PCI function's configuration space: identity, BARs, power management, MSI and function-level reset. DATASHEET section 2.
//!
//! Pure: bytes in, bytes out. QEMU emulates parts of it (BARs, MSI) itself and passes every write on; another client may not.
//! What a write means for the card (bus mastering, interrupts) is read from the accessors after it. Whether it asked for a function-level
//! reset or another power state is not decided here: `ringwave-vfio-user` recognises both, and [`ConfigSpace::controls`] tells it where.

pub mod layout;
#[cfg(test)]
mod tests;

use layout::{CONFIG_BYTES, Layout};
use ringwave_vfio_user::pci::Controls;

/// Who the function says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Vendor id.
    pub vendor: u16,
    /// Device id.
    pub device: u16,
}

impl Default for Identity {
    fn default() -> Self {
        Self { vendor: ringwave_regs::pci::VENDOR, device: ringwave_regs::pci::DEVICE }
    }
}

/// Configuration space of the function.
pub struct ConfigSpace {
    layout: Layout,
    bytes: Box<[u8; CONFIG_BYTES]>,
    messages: u32,
}

impl ConfigSpace {
    /// A function with this identity that offers this many MSI messages (a power of two, 1 to 16), as after power-on.
    pub fn new(identity: Identity, messages: u32) -> Self {
        let layout = layout::layout(identity, messages);
        let bytes = layout.reset.clone();
        Self { layout, bytes, messages }
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

    /// Writes `data` from `offset` on: any length, any alignment. What is beyond the end, and bits that cannot be written, are
    /// ignored.
    pub fn write(&mut self, offset: u64, data: &[u8]) {
        let Ok(offset) = usize::try_from(offset) else { return };
        for (place, &byte) in (offset..CONFIG_BYTES).zip(data) {
            self.write_byte(place, byte);
        }
    }

    /// Where function-level reset and power state are, for whoever recognises writes to them.
    pub fn controls(&self) -> Controls {
        Controls::find(&self.bytes[..])
    }

    fn write_byte(&mut self, place: usize, byte: u8) {
        let (Some(old), Some(writable), Some(clears)) = (
            self.bytes.get_mut(place),
            self.layout.writable.get(place),
            self.layout.write_1_clears.get(place),
        ) else {
            return;
        };
        *old = (*old & !writable | byte & writable) & !(byte & clears);
    }

    fn word(&self, offset: usize) -> u16 {
        let byte = |offset| self.bytes.get(offset).copied().unwrap_or(0);
        u16::from_le_bytes([byte(offset), byte(offset + 1)])
    }

    /// Shows in PMCSR that the function is in D3hot, or in D0.
    pub fn set_d3hot(&mut self, d3hot: bool) {
        if let Some(byte) = self.bytes.get_mut(layout::PMCSR) {
            *byte = *byte & !layout::PMCSR_STATE | if d3hot { layout::D3HOT } else { 0 };
        }
    }

    /// Bus Master Enable: the card may do DMA and send messages.
    pub fn bus_master(&self) -> bool {
        self.word(layout::COMMAND) & layout::COMMAND_BUS_MASTER != 0
    }

    /// Interrupt Disable: the card must hold back `INTx`.
    pub fn interrupt_disable(&self) -> bool {
        self.word(layout::COMMAND) & layout::COMMAND_INTERRUPT_DISABLE != 0
    }

    /// The function is in D3hot.
    pub fn d3hot(&self) -> bool {
        self.word(layout::PMCSR).to_le_bytes()[0] & layout::PMCSR_STATE == layout::D3HOT
    }

    /// How many MSI messages were granted; `None` while MSI is disabled.
    pub fn msi_granted(&self) -> Option<u32> {
        let control = self.word(layout::MSI_CONTROL);
        let granted = 1 << (control >> layout::MSI_GRANTED_SHIFT & 0b111);
        (control & layout::MSI_ENABLE != 0).then_some(self.messages.min(granted))
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

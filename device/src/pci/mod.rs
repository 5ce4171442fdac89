//! The PCI function's configuration space: identity, BARs, power management, MSI and function-level reset. DATASHEET section 2.
//!
//! Pure: bytes in, bytes out. QEMU emulates parts of it (BARs, MSI) itself and passes every write on; another client may not.
//! What a write means for the card (bus mastering, power, interrupts) is read from the accessors after it.

pub mod layout;
#[cfg(test)]
mod tests;

use layout::{CONFIG_BYTES, Layout};

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

/// What a write to configuration space asks of the card, beyond what the accessors of [`ConfigSpace`] say afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Written {
    /// Nothing.
    Plain,
    /// A function-level reset. Configuration space has been reset; the card must follow before the write is answered.
    FunctionLevelReset,
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
    pub fn write(&mut self, offset: u64, data: &[u8]) -> Written {
        let Ok(offset) = usize::try_from(offset) else { return Written::Plain };
        let power_before = self.power_state();
        let mut reset = false;
        for (place, &byte) in (offset..CONFIG_BYTES).zip(data) {
            reset |=
                place == layout::DEVICE_CONTROL + 1 && u16::from(byte) << 8 & layout::DEVICE_CONTROL_FLR != 0;
            self.write_byte(place, byte);
        }
        if reset {
            self.reset();
            return Written::FunctionLevelReset;
        }
        // D1 and D2 are not supported: such a write leaves the state as it is (PCI PM 1.2, 3.2.4).
        if !matches!(self.power_state(), 0 | layout::D3HOT) {
            self.set_power_state(power_before);
        }
        Written::Plain
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

    fn power_state(&self) -> u8 {
        self.word(layout::PMCSR).to_le_bytes()[0] & layout::PMCSR_STATE
    }

    fn set_power_state(&mut self, state: u8) {
        if let Some(byte) = self.bytes.get_mut(layout::PMCSR) {
            *byte = *byte & !layout::PMCSR_STATE | state & layout::PMCSR_STATE;
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
        self.power_state() == layout::D3HOT
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

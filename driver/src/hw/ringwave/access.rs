//! Registers and pages of the card as words in mapped device memory.

use nt::mmio::MappedIo;

use super::status_page::Words;

/// What a register reads when no device answers.
pub(super) const NO_DEVICE: u32 = u32::MAX;

/// One status page in the page BAR.
pub(super) struct Page<'a> {
    pub(super) io: &'a MappedIo,
    pub(super) base: u32,
}

impl Words for Page<'_> {
    fn word(&self, offset: u32) -> u32 {
        self.io.read32(self.base.saturating_add(offset) as usize)
    }
}

/// Reads a register.
pub(super) fn read(io: &MappedIo, offset: u32) -> u32 {
    io.read32(offset as usize)
}

/// Writes a register.
pub(super) fn write(io: &MappedIo, offset: u32, value: u32) {
    io.write32(offset as usize, value);
}

/// Bits 31:0.
pub(super) const fn low(value: u64) -> u32 {
    (value & 0xFFFF_FFFF) as u32
}

/// Bits 63:32.
pub(super) const fn high(value: u64) -> u32 {
    (value >> 32) as u32
}

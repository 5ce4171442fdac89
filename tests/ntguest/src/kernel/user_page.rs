//! The page of a device register in the client's own address space, as the port maps it for
//! `KSPROPERTY_RTAUDIO_POSITIONREGISTER`: a whole page, which is why nothing else may be on it. Read only
//! here: what a client could do by storing is not the driver's affair.

use super::page_map::PAGE;
use super::paging::{self, Region, bits};
use super::{cards, memory};

/// A mapping that goes when it is dropped.
pub struct UserPage {
    va: u64,
    /// The card's BAR, by its first register.
    pub bar: u8,
    /// Where in the BAR the page begins.
    pub offset: u64,
}

impl UserPage {
    /// Maps the page that the driver's `register` is on; the error says why that can't be.
    pub fn map(register: usize) -> Result<Self, &'static str> {
        let (pa, flags) = memory::device_page(register as u64)
            .ok_or("is not in device memory that the driver has mapped")?;
        let page = pa & !(PAGE - 1);
        let bars = cards::with_memory_at(page, PAGE).map(|card| card.bars.as_slice()).unwrap_or_default();
        let bar = bars.iter().find(|b| !b.is_io && page >= b.base && page + PAGE <= b.base + b.len);
        let bar = bar.ok_or("shares its page with what is not the card's")?;
        let va = paging::reserve(Region::Views, 1);
        paging::map(va, page, flags & !bits::WRITE);
        Ok(Self { va, bar: bar.index, offset: page - bar.base })
    }

    /// The 32 bits at `at`, a multiple of 4 below 4096.
    pub fn read32(&self, at: u64) -> u32 {
        // SAFETY: inside the page, which is mapped as long as `self` is, and aligned.
        unsafe { ((self.va + at % PAGE / 4 * 4) as *const u32).read_volatile() }
    }

    /// The 64 bits at `at`, a multiple of 8 below 4096.
    pub fn read64(&self, at: u64) -> u64 {
        // SAFETY: as above.
        unsafe { ((self.va + at % PAGE / 8 * 8) as *const u64).read_volatile() }
    }
}

impl Drop for UserPage {
    fn drop(&mut self) {
        paging::unmap(self.va);
    }
}

//! The DMA controller: what of guest memory a stream may touch, and in which order. DATASHEET section 6.
//!
//! [`Bus`] is the only way from the card to guest memory. [`Ring`] is the snapshot of a cyclic buffer that is
//! taken at every RUN.

use crate::env::Env;
use ringwave_guest_memory::GuestMemory;
use ringwave_guest_memory::list::{self, BusMaster, Entry, ListError};
use ringwave_regs::dma::{ENTRIES_MAX, SLOT_BYTES, SLOT_LINK, Slot};
use ringwave_regs::error::Error;
use ringwave_trace::{CardEvent, CardLog, Dma};

pub use ringwave_guest_memory::list::ScatterGatherList as Ring;

const _: () = assert!(SLOT_BYTES == list::ENTRY_BYTES && ENTRIES_MAX == list::ENTRIES_MAX);

/// The card's way to guest memory: Bus Master Enable, the address width, and the trace of what was touched.
pub struct Bus<'a> {
    /// Guest RAM.
    pub memory: &'a dyn GuestMemory,
    /// Where the trace goes.
    pub log: CardLog<'a, Error>,
    /// For whom this transfer is.
    pub who: Dma,
    /// What the card's PCI side allows.
    pub limits: Limits,
}

/// What the card's PCI side allows a transfer.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bus Master Enable.
    pub bus_master: bool,
    /// Bits of an address that the card drives.
    pub dma_bits: u32,
}

impl<'a> Bus<'a> {
    /// The bus as `who` sees it during this call.
    pub fn new<'b>(env: &'a mut Env<'b>, who: Dma, limits: Limits) -> Self
    where
        'b: 'a,
    {
        Self { memory: env.memory, log: env.log.reborrow(), who, limits }
    }

    /// Bus Master Enable is on and the card has enough address lines for the range.
    #[inline]
    fn drives(&self, address: u64, bytes: u64) -> Result<(), Error> {
        self.enabled()?;
        let last = address.checked_add(bytes.saturating_sub(1)).ok_or(Error::DmaUnmapped)?;
        // A shift by 64 is `None`: every address fits.
        match last.checked_shr(self.limits.dma_bits) {
            Some(above) if above != 0 => Err(Error::DmaUnmapped),
            _ => Ok(()),
        }
    }
}

impl BusMaster for Bus<'_> {
    type Error = Error;

    fn refuse(error: ListError) -> Error {
        match error {
            ListError::Count => Error::SgCount,
            ListError::Entry => Error::SgEntry,
            ListError::Link => Error::SgLink,
            ListError::Length => Error::SgLength,
            ListError::Range => Error::DmaUnmapped,
        }
    }

    #[inline]
    fn enabled(&self) -> Result<(), Error> {
        if self.limits.bus_master { Ok(()) } else { Err(Error::BusMasterOff) }
    }

    #[inline]
    fn check(&self, address: u64, bytes: u64, write: bool) -> Result<(), Error> {
        self.drives(address, bytes)?;
        self.memory.check(address, bytes, write).map_err(|_| Error::DmaUnmapped)
    }

    #[inline]
    fn read(&mut self, address: u64, into: &mut [u8]) -> Result<(), Error> {
        let bytes = into.len() as u64;
        self.drives(address, bytes)?;
        self.memory.read(address, into).map_err(|_| Error::DmaUnmapped)?;
        self.log.record(CardEvent::Read { who: self.who, address, bytes });
        Ok(())
    }

    #[inline]
    fn write(&mut self, address: u64, from: &[u8]) -> Result<(), Error> {
        let bytes = from.len() as u64;
        self.drives(address, bytes)?;
        self.memory.write(address, from).map_err(|_| Error::DmaUnmapped)?;
        self.log.record(CardEvent::Write { who: self.who, address, bytes });
        Ok(())
    }

    fn read_entry(&mut self, address: u64) -> Result<Entry, Error> {
        if !address.is_multiple_of(u64::from(SLOT_BYTES)) {
            return Err(Error::SgLink);
        }
        self.drives(address, u64::from(SLOT_BYTES))?;
        let mut bytes = [0; SLOT_BYTES as usize];
        self.memory.read(address, &mut bytes).map_err(|_| Error::DmaUnmapped)?;
        self.log.record_slot(self.who, address, SLOT_BYTES);
        let Slot { address, length, flags } = Slot::from_bytes(bytes);
        Ok(Entry { address, bytes: length, link: flags & SLOT_LINK != 0, reserved: flags & !SLOT_LINK != 0 })
    }
}

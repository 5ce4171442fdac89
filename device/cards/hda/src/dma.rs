//! The card's way to guest memory.

use ringwave_guest_memory::GuestMemory;
use ringwave_guest_memory::list::{BusMaster, Entry, ListError};
use ringwave_trace::{CardEvent, CardLog, Dma};

/// What can go wrong with a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// SDFMT is a format that the card does not have.
    #[error("the format is none of the card's")]
    Format,
    /// The buffer descriptor list does not describe the buffer.
    #[error("the buffer descriptor list and SDCBL do not fit")]
    List,
    /// There is no memory.
    #[error("there is no memory of the guest")]
    Unreachable,
    /// Bus Master Enable is off.
    #[error("Bus Master Enable is off")]
    BusMasterOff,
}

impl Error {
    /// Its name in a trace.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Format => "FORMAT",
            Self::List => "BDL",
            Self::Unreachable => "UNREACHABLE",
            Self::BusMasterOff => "BUS_MASTER_OFF",
        }
    }
}

/// The way to guest memory for a stream, the rings or the position buffer, with its trace.
pub struct Bus<'a> {
    pub memory: &'a dyn GuestMemory,
    pub log: CardLog<'a, Error>,
    pub who: Dma,
    pub enabled: bool,
}

/// An entry of a buffer descriptor list (specification 3.6.2).
pub struct ListEntry {
    pub address: u64,
    pub bytes: u32,
    /// IOC: the guest wants to be told of its end.
    pub completion: bool,
}

impl Bus<'_> {
    /// Reads the entry at `address`.
    pub fn list_entry(&mut self, address: u64) -> Result<ListEntry, Error> {
        self.enabled()?;
        let mut bytes = [0; 16];
        self.memory.read(address, &mut bytes).map_err(|_| Error::Unreachable)?;
        self.log.record_slot(self.who, address, 16);
        let [a0, a1, a2, a3, a4, a5, a6, a7, l0, l1, l2, l3, flags, ..] = bytes;
        Ok(ListEntry {
            address: u64::from_le_bytes([a0, a1, a2, a3, a4, a5, a6, a7]),
            bytes: u32::from_le_bytes([l0, l1, l2, l3]),
            completion: flags & 1 != 0,
        })
    }
}

impl BusMaster for Bus<'_> {
    type Error = Error;

    fn refuse(_: ListError) -> Error {
        Error::List
    }

    fn enabled(&self) -> Result<(), Error> {
        if self.enabled { Ok(()) } else { Err(Error::BusMasterOff) }
    }

    fn check(&self, address: u64, bytes: u64, write: bool) -> Result<(), Error> {
        self.enabled()?;
        self.memory.check(address, bytes, write).map_err(|_| Error::Unreachable)
    }

    fn read(&mut self, address: u64, into: &mut [u8]) -> Result<(), Error> {
        self.enabled()?;
        let bytes = into.len() as u64;
        self.memory.read(address, into).map_err(|_| Error::Unreachable)?;
        self.log.record(CardEvent::Read { who: self.who, address, bytes });
        Ok(())
    }

    fn write(&mut self, address: u64, from: &[u8]) -> Result<(), Error> {
        self.enabled()?;
        let bytes = from.len() as u64;
        self.memory.write(address, from).map_err(|_| Error::Unreachable)?;
        self.log.record(CardEvent::Write { who: self.who, address, bytes });
        Ok(())
    }

    fn read_entry(&mut self, address: u64) -> Result<Entry, Error> {
        let ListEntry { address, bytes, .. } = self.list_entry(address)?;
        Ok(Entry { address, bytes, link: false, reserved: false })
    }
}

//! Guest RAM as the client shares it: the table of `DMA_MAP`s, and the memory behind their file descriptors.
//!
//! What QEMU does (tried with 11.1): maps without a descriptor are normal (ROMs, the device's own BAR) and
//! are remembered as not accessible; with a vIOMMU maps come one page at a time, so one mapping per file is
//! kept and shared by them; an unmap may be huge, match nothing, reach exactly 2^64, or mean everything.
//!
//! A client can take the memory away behind a map's back (it truncates the file). The transfer that finds out
//! fails, and the map is *lost*: it is said once, and the card does not touch it again, even if the memory
//! comes back, until the range is mapped anew.

mod table;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Weak};

use crate::shared_file::{FileId, SharedFile, host_overcommits};
use crate::{GuestMemory, MemoryFault};
use table::{Span, Table};

/// The most maps a client may have: what vfio's own `dma_entry_limit` allows.
const MAPS_MAX: usize = 65_535;
/// Lost maps that are named in the log, between two times that everything is unmapped. A client can lose as
/// many as it has.
const LOST_NAMED_MAX: u32 = 16;

/// What one `DMA_MAP`, or what unmaps left of it, has at its addresses.
#[derive(Clone)]
struct Map {
    readable: bool,
    writable: bool,
    /// The memory, and where in the file the map's first byte is; `None` = not accessible.
    memory: Option<(Arc<SharedFile>, u64)>,
    /// The memory was not there when it was last touched.
    lost: Cell<bool>,
}

/// A map whose memory cannot be used, or went away: for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// First and last address.
    addresses: (u64, u64),
    reason: Reason,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Reason {
    /// It went away; the file's name, quoted.
    Gone(String),
    /// It never could be used, because of this.
    Unusable(String),
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = self.addresses;
        write!(f, "guest RAM at {first:#x} to {last:#x} ")?;
        match &self.reason {
            Reason::Gone(file) => write!(
                f,
                "is lost: its file {file} was cut short, or has no pages left; the card leaves it alone until the client maps it anew \
                 (restart QEMU; huge pages: reserve enough)"
            ),
            Reason::Unusable(error) => write!(f, "cannot be reached: {error}"),
        }
    }
}

/// What a client says about a range that it maps.
#[derive(Debug)]
pub struct MapRequest {
    /// First guest physical address.
    pub address: u64,
    /// Length in bytes, not 0.
    pub bytes: u64,
    /// The card may read it.
    pub readable: bool,
    /// The card may store to it.
    pub writable: bool,
    /// The memory: a file, and the offset of the first byte in it.
    pub file: Option<(File, u64)>,
}

/// Reason a map was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    /// Length 0, or beyond 2^64.
    #[error("the range is empty or goes beyond 2^64")]
    Range,
    /// Part of it is mapped already.
    #[error("the range is mapped already")]
    Overlap,
    /// Too many maps.
    #[error("more than {MAPS_MAX} maps")]
    TooMany,
}

/// All of the guest's memory that the card can reach.
pub struct GuestRam {
    maps: Table<Map>,
    /// One mapping of each file, as long as some map uses it.
    files: HashMap<FileId, Weak<SharedFile>>,
    /// Maps that were lost and not reported yet.
    lost: RefCell<Vec<Lost>>,
    /// How many were.
    named: Cell<u32>,
    /// See [`host_overcommits`].
    overcommits: bool,
}

impl Default for GuestRam {
    fn default() -> Self {
        Self {
            maps: Table::default(),
            files: HashMap::new(),
            lost: RefCell::default(),
            named: Cell::default(),
            overcommits: host_overcommits(),
        }
    }
}

impl GuestRam {
    /// Adds a map. Memory that cannot be used (no descriptor, not a file, shorter than said) is remembered as
    /// not accessible and said in the log: for the client the map is done.
    pub fn map(&mut self, request: MapRequest) -> Result<(), MapError> {
        let MapRequest { address, bytes, readable, writable, file } = request;
        let last = bytes.checked_sub(1).and_then(|rest| address.checked_add(rest)).ok_or(MapError::Range)?;
        if self.maps.overlaps(address, last) {
            return Err(MapError::Overlap);
        }
        if self.maps.len() >= MAPS_MAX {
            return Err(MapError::TooMany);
        }
        let memory = file.and_then(|(file, offset)| {
            let shared = self.shared(file, offset, bytes);
            let shared = shared.inspect_err(|error| {
                self.report((address, last), Reason::Unusable(error.to_string()));
            });
            Some((shared.ok()?, offset))
        });
        let writable = writable && memory.as_ref().is_none_or(|(file, _)| file.writable());
        let value = Map { readable, writable, memory, lost: Cell::new(false) };
        self.maps.insert(Span { first: address, last, value });
        Ok(())
    }

    /// The mapping of `file`, which must have `bytes` bytes from `offset` on.
    fn shared(&mut self, file: File, offset: u64, bytes: u64) -> std::io::Result<Arc<SharedFile>> {
        let id = FileId::of(&file)?;
        let end = offset.checked_add(bytes).filter(|end| *end <= id.length());
        let end = end.ok_or_else(|| std::io::Error::other("the file is shorter than the map"))?;
        if let Some(shared) = self.files.get(&id).and_then(Weak::upgrade)
            && shared.length() >= end
        {
            return Ok(shared);
        }
        let shared = Arc::new(SharedFile::new(file, id.length(), self.overcommits)?);
        self.files.retain(|_, other| other.strong_count() != 0);
        self.files.insert(id, Arc::downgrade(&shared));
        Ok(shared)
    }

    /// Takes back every address from `address` on for `bytes` bytes, as much of it as is mapped. When it
    /// returns the card does not reach them any more. What a map has outside of the range stays.
    pub fn unmap(&mut self, address: u64, bytes: u64) {
        let Some(rest) = bytes.checked_sub(1) else { return };
        let last = address.saturating_add(rest);
        for Span { first, last: end, value } in self.maps.take(address, last) {
            if end > last {
                let memory = value.memory.clone().map(|(file, offset)| (file, offset + (last + 1 - first)));
                self.maps.insert(Span { first: last + 1, last: end, value: Map { memory, ..value.clone() } });
            }
            if first < address {
                self.maps.insert(Span { first, last: address - 1, value });
            }
        }
    }

    /// Takes back everything.
    pub fn unmap_all(&mut self) {
        self.maps.clear();
        self.files.clear();
        self.named.set(0);
    }

    /// Maps that were lost, or could not be used, since the last call, for the log; of many, the first ones.
    pub fn take_lost(&self) -> Vec<Lost> {
        self.lost.take()
    }

    /// Whether [`GuestRam::take_lost`] has something.
    pub fn has_lost(&self) -> bool {
        !self.lost.borrow().is_empty()
    }

    /// A transfer to this map failed: if its memory is gone, the map is lost.
    #[cold]
    fn failed(&self, span: &Span<Map>, error: &io::Error) -> MemoryFault {
        let map = &span.value;
        if error.kind() == ErrorKind::UnexpectedEof && !map.lost.replace(true) {
            let file = map.memory.as_ref().map(|(file, _)| file.name().to_owned()).unwrap_or_default();
            self.report((span.first, span.last), Reason::Gone(file));
        }
        MemoryFault
    }

    /// Keeps a line for the log, if there were not too many: who calls holds the card's lock and must not
    /// wait for a log.
    fn report(&self, addresses: (u64, u64), reason: Reason) {
        self.named.set(self.named.get().saturating_add(1));
        if self.named.get() <= LOST_NAMED_MAX {
            self.lost.borrow_mut().push(Lost { addresses, reason });
        }
    }

    /// How many maps there are.
    pub fn len(&self) -> usize {
        self.maps.len()
    }

    /// Whether nothing is mapped.
    pub fn is_empty(&self) -> bool {
        self.maps.len() == 0
    }

    /// The map that has `address`, and how many of `bytes` bytes from there on are in it (at least 1).
    fn at(&self, address: u64, bytes: u64) -> Result<(&Span<Map>, u64), MemoryFault> {
        let span = self.maps.find(address).ok_or(MemoryFault)?;
        // `find` has looked that the map ends there or later.
        Ok((span, bytes.min((span.last - address).saturating_add(1))))
    }
}

impl Span<Map> {
    /// The memory at `address`, which is in the map, and where in the file that is.
    fn file(&self, address: u64) -> Result<(&SharedFile, u64), MemoryFault> {
        let (file, begin) =
            self.value.memory.as_ref().filter(|_| !self.value.lost.get()).ok_or(MemoryFault)?;
        Ok((file, begin.checked_add(address - self.first).ok_or(MemoryFault)?))
    }

    /// Whether the card may reach it at all, and store to it. A map that can only be written is of no use to
    /// a card that reads.
    fn permits(&self, write: bool) -> Result<(), MemoryFault> {
        if self.value.readable && (!write || self.value.writable) { Ok(()) } else { Err(MemoryFault) }
    }
}

impl GuestMemory for GuestRam {
    fn read(&self, mut address: u64, mut into: &mut [u8]) -> Result<(), MemoryFault> {
        while !into.is_empty() {
            let (map, bytes) = self.at(address, into.len() as u64)?;
            map.permits(false)?;
            let (file, offset) = map.file(address)?;
            let (now, rest) = into.split_at_mut(usize::try_from(bytes).map_err(|_| MemoryFault)?);
            file.read(offset, now).map_err(|error| self.failed(map, &error))?;
            into = rest;
            address = address.wrapping_add(bytes);
        }
        Ok(())
    }

    fn write(&self, mut address: u64, mut from: &[u8]) -> Result<(), MemoryFault> {
        let mut checked = false;
        while !from.is_empty() {
            let (map, bytes) = self.at(address, from.len() as u64)?;
            // All of it or nothing. What lies in one map, as nearly everything does, needs no second look.
            if !checked && bytes < from.len() as u64 {
                self.check(address, from.len() as u64, true)?;
            }
            checked = true;
            map.permits(true)?;
            let (file, offset) = map.file(address)?;
            let (now, rest) = from.split_at(usize::try_from(bytes).map_err(|_| MemoryFault)?);
            file.write(offset, now).map_err(|error| self.failed(map, &error))?;
            from = rest;
            address = address.wrapping_add(bytes);
        }
        Ok(())
    }

    fn check(&self, mut address: u64, mut bytes: u64, write: bool) -> Result<(), MemoryFault> {
        while bytes != 0 {
            let (map, now) = self.at(address, bytes)?;
            map.permits(write)?;
            map.file(address)?;
            bytes -= now;
            // Past the last address there is nothing: a range that goes on there is not mapped.
            address = match address.checked_add(now) {
                Some(next) => next,
                None if bytes == 0 => return Ok(()),
                None => return Err(MemoryFault),
            };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

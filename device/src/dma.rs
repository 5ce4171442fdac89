//! The DMA controller: what of guest memory a stream may touch, and in which order. DATASHEET section 6.
//!
//! [`Bus`] is the only way from the card to guest memory. [`Ring`] is the snapshot of a cyclic buffer that is taken at every RUN: the
//! scatter-gather table is read once, each slot once, and never looked at again, so that a guest that changes it meanwhile
//! changes nothing.

use crate::ports::{Dma, Effects, Env, Trace};
use ringwave_guest_memory::GuestMemory;
use ringwave_regs::dma::{ENTRIES_MAX, SLOT_BYTES, SLOT_LINK, Slot};
use ringwave_regs::error::Error;

/// The card's way to guest memory: Bus Master Enable, the address width, and the trace of what was touched.
pub struct Bus<'a> {
    /// Guest RAM.
    pub memory: &'a dyn GuestMemory,
    /// Where the trace goes.
    pub effects: &'a mut Effects,
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
        Self { memory: env.memory, effects: env.effects, who, limits }
    }

    /// Whether the card could transfer `bytes` (not 0) at `address` right now.
    pub fn check(&self, address: u64, bytes: u64, write: bool) -> Result<(), Error> {
        self.drives(address, bytes)?;
        self.memory.check(address, bytes, write).map_err(|_| Error::DmaUnmapped)
    }

    /// Reads data.
    pub fn read(&mut self, address: u64, into: &mut [u8]) -> Result<(), Error> {
        let bytes = into.len() as u64;
        self.drives(address, bytes)?;
        self.memory.read(address, into).map_err(|_| Error::DmaUnmapped)?;
        self.effects.record(Trace::Read { who: self.who, address, bytes });
        Ok(())
    }

    /// Stores data.
    pub fn write(&mut self, address: u64, from: &[u8]) -> Result<(), Error> {
        let bytes = from.len() as u64;
        self.drives(address, bytes)?;
        self.memory.write(address, from).map_err(|_| Error::DmaUnmapped)?;
        self.effects.record(Trace::Write { who: self.who, address, bytes });
        Ok(())
    }

    /// Reads one slot of a table.
    fn slot(&mut self, address: u64) -> Result<Slot, Error> {
        if !address.is_multiple_of(u64::from(SLOT_BYTES)) {
            return Err(Error::SgLink);
        }
        self.drives(address, u64::from(SLOT_BYTES))?;
        let mut bytes = [0; SLOT_BYTES as usize];
        self.memory.read(address, &mut bytes).map_err(|_| Error::DmaUnmapped)?;
        self.trace_slot(address);
        Ok(Slot::from_bytes(bytes))
    }

    /// Neighbouring slots are one line in the trace.
    fn trace_slot(&mut self, slot: u64) {
        let who = self.who;
        match self.effects.trace.last_mut() {
            Some(Trace::Table { who: last, address, bytes })
                if *last == who && address.checked_add(*bytes) == Some(slot) =>
            {
                *bytes += u64::from(SLOT_BYTES);
            }
            _ => self.effects.record(Trace::Table { who, address: slot, bytes: u64::from(SLOT_BYTES) }),
        }
    }

    /// Bus Master Enable is on and the card has enough address lines for the range.
    fn drives(&self, address: u64, bytes: u64) -> Result<(), Error> {
        if !self.limits.bus_master {
            return Err(Error::BusMasterOff);
        }
        let last = address.checked_add(bytes.saturating_sub(1)).ok_or(Error::DmaUnmapped)?;
        // A shift by 64 is `None`: every address fits.
        match last.checked_shr(self.limits.dma_bits) {
            Some(above) if above != 0 => Err(Error::DmaUnmapped),
            _ => Ok(()),
        }
    }
}

/// One stretch of the cyclic buffer that lies in one piece in guest memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    /// Offset in the cyclic buffer of its first byte.
    start: u32,
    /// Guest physical address of its first byte.
    address: u64,
    /// Length in bytes, not 0.
    bytes: u32,
}

impl Segment {
    /// The address of its byte `inside`, and how many bytes lie in one piece from there; an error if it does not have that byte.
    fn from(&self, inside: u32) -> Result<(u64, usize), Error> {
        if inside >= self.bytes {
            return Err(Error::DmaUnmapped);
        }
        let address = self.address.checked_add(inside.into()).ok_or(Error::DmaUnmapped)?;
        Ok((address, (self.bytes - inside) as usize))
    }
}

/// The snapshot of a buffer: where each of its bytes lies in guest memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    /// In the order of the buffer, without gaps.
    segments: Vec<Segment>,
    /// Length of the buffer in bytes.
    bytes: u32,
}

impl Ring {
    /// A buffer in one range. With `write` the card must be able to store to it.
    pub fn contiguous(bus: &Bus<'_>, address: u64, bytes: u32, write: bool) -> Result<Self, Error> {
        bus.check(address, u64::from(bytes), write)?;
        Ok(Self { segments: vec![Segment { start: 0, address, bytes }], bytes })
    }

    /// A buffer by a scatter-gather table of `entries` data entries (1 to `entries_max`) whose first slot is at `table`. Reads each slot
    /// once, in order, and tells the first error of the table; then it looks whether the memory can be reached.
    pub fn scatter_gather(
        bus: &mut Bus<'_>,
        table: u64,
        entries: u32,
        entries_max: u32,
        bytes: u32,
        write: bool,
    ) -> Result<Self, Error> {
        if !bus.limits.bus_master {
            return Err(Error::BusMasterOff);
        }
        if entries == 0 || entries > entries_max.min(ENTRIES_MAX) {
            return Err(Error::SgCount);
        }
        let mut segments = Vec::with_capacity(entries as usize);
        let mut next = Some(table);
        let mut start = 0_u32;
        for _ in 0..entries {
            // A table that runs over the end of the address space is out of reach, not misaligned.
            let mut at = next.ok_or(Error::DmaUnmapped)?;
            let mut slot = bus.slot(at)?;
            check_slot(slot)?;
            if slot.flags & SLOT_LINK != 0 {
                at = slot.address;
                slot = bus.slot(at)?;
                if slot.flags & SLOT_LINK != 0 {
                    return Err(Error::SgLink);
                }
                check_slot(slot)?;
            }
            let end = start.checked_add(slot.length).filter(|&end| end <= bytes).ok_or(Error::SgLength)?;
            segments.push(Segment { start, address: slot.address, bytes: slot.length });
            start = end;
            next = at.checked_add(u64::from(SLOT_BYTES));
        }
        if start != bytes {
            return Err(Error::SgLength);
        }
        for segment in &segments {
            bus.check(segment.address, u64::from(segment.bytes), write)?;
        }
        Ok(Self { segments, bytes })
    }

    /// Data entries in the snapshot.
    pub fn entries(&self) -> u32 {
        u32::try_from(self.segments.len()).unwrap_or(u32::MAX)
    }

    /// Copies the buffer's bytes from `offset` on into `into`. The range must not go beyond the buffer's end (a piece ends with its
    /// packet, so it never wraps); if it does, that is `DmaUnmapped` too.
    pub fn read(&self, bus: &mut Bus<'_>, offset: u32, into: &mut [u8]) -> Result<(), Error> {
        let mut rest = into;
        let (segments, mut inside) = self.from(offset);
        for segment in segments {
            if rest.is_empty() {
                break;
            }
            let (address, bytes) = segment.from(inside)?;
            let (now, later) = rest.split_at_mut(bytes.min(rest.len()));
            bus.read(address, now)?;
            (rest, inside) = (later, 0);
        }
        if rest.is_empty() { Ok(()) } else { Err(Error::DmaUnmapped) }
    }

    /// Copies `from` into the buffer from `offset` on, like [`Self::read`].
    pub fn write(&self, bus: &mut Bus<'_>, offset: u32, from: &[u8]) -> Result<(), Error> {
        let mut rest = from;
        let (segments, mut inside) = self.from(offset);
        for segment in segments {
            if rest.is_empty() {
                break;
            }
            let (address, bytes) = segment.from(inside)?;
            let (now, later) = rest.split_at(bytes.min(rest.len()));
            bus.write(address, now)?;
            (rest, inside) = (later, 0);
        }
        if rest.is_empty() { Ok(()) } else { Err(Error::DmaUnmapped) }
    }

    /// The segment that has the buffer's byte `offset` and those behind it, and where in the first of them that byte is. Only that one is
    /// searched for: each is the next one's neighbour.
    fn from(&self, offset: u32) -> (&[Segment], u32) {
        let index = self.segments.partition_point(|segment| segment.start <= offset).saturating_sub(1);
        let segments = self.segments.get(index..).unwrap_or_default();
        (segments, segments.first().map_or(0, |first| offset.saturating_sub(first.start)))
    }
}

/// A slot on its own: what can be wrong with it wherever it stands.
fn check_slot(slot: Slot) -> Result<(), Error> {
    if slot.flags & !SLOT_LINK != 0 {
        return Err(Error::SgEntry);
    }
    match (slot.flags & SLOT_LINK != 0, slot.length) {
        (true, 0) | (false, 1..) => Ok(()),
        (true, _) => Err(Error::SgLink),
        (false, 0) => Err(Error::SgEntry),
    }
}

//! The buffer descriptor list: which bytes of guest memory are the cyclic buffer, and at which of its ends
//! the guest wants to be told. HDA.md 3; specification 3.6.2.

use ringwave_guest_memory::list::ScatterGatherList;

use crate::dma::{Bus, Error};

/// The largest cyclic buffer in bytes.
const BUFFER_BYTES_MAX: u32 = 64 << 20;
/// Bytes of an entry.
const ENTRY_BYTES: u64 = 16;

/// The list as it was when RUN was set.
#[derive(Debug)]
pub struct BufferList {
    buffer: ScatterGatherList,
    /// Where entries with IOC end: bytes from the start of the buffer, ascending, each 1 to `bytes`.
    completions: Vec<u32>,
    bytes: u32,
}

impl BufferList {
    /// Reads entries 0 to `last` of the list at `address`, for a buffer of `bytes` bytes.
    pub(crate) fn read(
        bus: &mut Bus<'_>,
        address: u64,
        last: u8,
        bytes: u32,
        write: bool,
    ) -> Result<Self, Error> {
        if bytes == 0 || bytes > BUFFER_BYTES_MAX {
            return Err(Error::List);
        }
        let mut ranges = Vec::with_capacity(usize::from(last) + 1);
        let mut completions = Vec::new();
        let mut end = 0_u32;
        for index in 0..=u64::from(last) {
            let at = address.checked_add(index * ENTRY_BYTES).ok_or(Error::Unreachable)?;
            let entry = bus.list_entry(at)?;
            if entry.bytes == 0 {
                return Err(Error::List);
            }
            ranges.push((entry.address, entry.bytes));
            let begins = end;
            end = end.saturating_add(entry.bytes).min(bytes);
            if entry.completion && end > begins {
                completions.push(end);
            }
        }
        let buffer = ScatterGatherList::of_ranges(bus, ranges, bytes, write)?;
        Ok(Self { buffer, completions, bytes })
    }

    /// Length of the buffer in bytes.
    pub fn bytes(&self) -> u32 {
        self.bytes
    }

    /// Entries that are used.
    pub fn entries(&self) -> u32 {
        self.buffer.entries()
    }

    /// Where in the buffer a byte is that is counted over its turns.
    pub fn offset(&self, byte: u64) -> u32 {
        u32::try_from(byte.checked_rem(u64::from(self.bytes)).unwrap_or(0)).unwrap_or(0)
    }

    /// The end of an entry with IOC that comes after `byte`, both counted over the turns of the buffer.
    pub fn next_completion(&self, byte: u64) -> Option<u64> {
        let inside = self.offset(byte);
        let turn = byte.saturating_sub(u64::from(inside));
        let index = self.completions.partition_point(|&end| end <= inside);
        let in_this_turn = self.completions.get(index).map(|&end| turn.saturating_add(u64::from(end)));
        let in_the_next = || {
            let first = *self.completions.first()?;
            Some(turn.saturating_add(u64::from(self.bytes)).saturating_add(u64::from(first)))
        };
        in_this_turn.or_else(in_the_next)
    }

    /// Copies the bytes from `byte` on into `into`, around the end of the buffer.
    pub(crate) fn fetch(&self, bus: &mut Bus<'_>, byte: u64, into: &mut [u8]) -> Result<(), Error> {
        let (mut byte, mut rest) = (byte, into);
        while !rest.is_empty() {
            let offset = self.offset(byte);
            let now = rest.len().min(self.bytes.saturating_sub(offset) as usize);
            let (part, later) = rest.split_at_mut(now);
            self.buffer.read(bus, offset, part)?;
            byte = byte.saturating_add(now as u64);
            rest = later;
        }
        Ok(())
    }

    /// Copies `from` into the buffer from `byte` on, like [`Self::fetch`].
    pub(crate) fn store(&self, bus: &mut Bus<'_>, byte: u64, from: &[u8]) -> Result<(), Error> {
        let (mut byte, mut rest) = (byte, from);
        while !rest.is_empty() {
            let offset = self.offset(byte);
            let now = rest.len().min(self.bytes.saturating_sub(offset) as usize);
            let (part, later) = rest.split_at(now);
            self.buffer.write(bus, offset, part)?;
            byte = byte.saturating_add(now as u64);
            rest = later;
        }
        Ok(())
    }
}

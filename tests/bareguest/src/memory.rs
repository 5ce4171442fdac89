//! A cyclic buffer in guest memory, in one segment or in many, and the scatter-gather table that says where
//! they are.

use ringwave_regs::dma::{SLOT_BYTES, Slot};

use crate::machine::uefi::{Firmware, PAGE};
use crate::verdict::Step;
use crate::{say, wrong};

/// The most segments of a buffer.
const SEGMENTS_MAX: usize = 256;
/// Length of a segment: not a whole number of frames, so that frames straddle segments.
const SEGMENT_BYTES: u32 = 1022;

/// How a buffer lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// In one segment.
    Contiguous,
    /// In segments, each on a page of its own, with a table over two pages.
    ScatterGather,
}

/// A table that scenarios write themselves: two pages in a row, slot by slot.
#[derive(Clone, Copy)]
pub struct Table(u64);

impl Table {
    /// Address of slot `index`.
    pub fn slot(self, index: u32) -> u64 {
        assert!(u64::from(index * SLOT_BYTES) < 2 * PAGE, "slot {index} is not in the table");
        self.0 + u64::from(index * SLOT_BYTES)
    }

    /// Writes a slot.
    pub fn put(self, index: u32, slot: Slot) {
        store(self.slot(index), &slot.to_bytes());
    }

    /// Memory for a table.
    pub fn new(firmware: &Firmware) -> Step<Self> {
        allocate(firmware, 2 * PAGE, true).map(Self)
    }
}

/// A cyclic buffer.
pub struct Buffer {
    segments: [(u64, u32); SEGMENTS_MAX],
    count: usize,
    bytes: u32,
    layout: Layout,
    table: Option<Table>,
}

impl Buffer {
    /// Memory for `bytes` bytes. Every second segment is above 4 GiB if there is memory, the others are
    /// below; a buffer in one segment is above.
    pub fn new(firmware: &Firmware, bytes: u32, layout: Layout) -> Step<Self> {
        let mut buffer = Self { segments: [(0, 0); SEGMENTS_MAX], count: 0, bytes, layout, table: None };
        if layout == Layout::Contiguous {
            buffer.add(allocate(firmware, u64::from(bytes), false)?, bytes)?;
            return Ok(buffer);
        }
        let mut rest = bytes;
        while rest > 0 {
            let length = rest.min(SEGMENT_BYTES);
            let page = allocate(firmware, PAGE, buffer.count.is_multiple_of(2))?;
            // Not at the page's start: data may start anywhere.
            buffer.add(page + 6, length)?;
            rest -= length;
        }
        let table = Table::new(firmware)?;
        buffer.write_table(table);
        buffer.table = Some(table);
        Ok(buffer)
    }

    fn add(&mut self, address: u64, length: u32) -> Step {
        let Some(segment) = self.segments.get_mut(self.count) else {
            return Err(wrong!("a buffer of too many segments"));
        };
        *segment = (address, length);
        self.count += 1;
        Ok(())
    }

    /// The first two entries, a link to the second page, the others there.
    fn write_table(&self, table: Table) {
        const FIRST: u32 = 2;
        let second_page = PAGE as u32 / SLOT_BYTES;
        for (index, (address, length)) in (0..).zip(self.segments()) {
            let slot = if index < FIRST { index } else { second_page + index - FIRST };
            table.put(slot, Slot::data(address, length));
        }
        table.put(FIRST, Slot::link(table.slot(second_page)));
    }

    fn segments(&self) -> impl Iterator<Item = (u64, u32)> {
        self.segments.iter().take(self.count).copied()
    }

    /// How it lies in memory.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// What belongs into `DMA_ADDR`.
    pub fn dma_address(&self) -> u64 {
        self.table
            .map_or_else(|| self.segments().next().map_or(0, |(address, _)| address), |table| table.slot(0))
    }

    /// What belongs into `SG_ENTRIES`.
    pub fn entries(&self) -> u32 {
        if self.layout == Layout::ScatterGather { self.count as u32 } else { 0 }
    }

    /// Puts `bytes` at `offset`. What is beyond the buffer's end is left out.
    pub fn put(&self, offset: u32, bytes: &[u8]) {
        for (at, byte) in (offset..).zip(bytes) {
            if let Some(address) = self.find(at) {
                store(address, &[*byte]);
            }
        }
    }

    /// The frame of 4 bytes at `offset`; what is beyond the buffer's end is 0.
    pub fn frame(&self, offset: u32) -> [u8; 4] {
        let load = |at| self.find(offset + at).map_or(0, load8);
        [0, 1, 2, 3].map(load)
    }

    fn find(&self, offset: u32) -> Option<u64> {
        // All segments but the last are of one length.
        let (_, length) = self.segments[0];
        let (address, _) = self.segments[..self.count].get((offset / length) as usize)?;
        Some(address + u64::from(offset % length))
    }

    /// Says where it is.
    pub fn describe(&self) {
        let above = self.segments().filter(|(address, _)| *address >= 1 << 32).count();
        say!("buffer layout={:?} bytes={} pieces={} above_4g={above}", self.layout, self.bytes, self.count);
    }
}

/// Pages of the firmware's.
pub fn allocate(firmware: &Firmware, bytes: u64, below_4g: bool) -> Step<u64> {
    firmware.allocate(bytes, below_4g).ok_or_else(|| wrong!("no memory for {bytes} bytes"))
}

/// Stores bytes to memory that the card reads.
pub fn store(address: u64, bytes: &[u8]) {
    for (at, byte) in (address..).zip(bytes) {
        // SAFETY: only called with memory from `allocate`, mapped one to one, to which there is no reference.
        unsafe { core::ptr::write_volatile(at as *mut u8, *byte) };
    }
}

/// Loads 32 bits of memory that the card writes; `address` is a multiple of 4.
pub fn load32(address: u64) -> u32 {
    // SAFETY: see `store`; aligned by contract.
    unsafe { core::ptr::read_volatile(address as *const u32) }
}

/// Loads a byte of memory that the card writes.
pub fn load8(address: u64) -> u8 {
    // SAFETY: see `store`.
    unsafe { core::ptr::read_volatile(address as *const u8) }
}

//! The cyclic buffer of a stream: pages from the port, and the scatter-gather table that tells the card where
//! they are.
//!
//! Both come from `IPortWaveRTStream`, so that PortCls can map the buffer into the audio engine. The driver
//! itself never looks into the buffer; it maps buffer and table only while it clears and fills them, so that
//! nothing can change the table later and nothing is left to unmap when the stream goes. House decision 3.
//!
//! Nothing is believed of the pages but what was looked at: AllocateContiguousPagesForMdl's page promises one
//! piece and AllocatePagesForMdl's promises zeroes, and a port was seen that keeps neither. A gap would make
//! the card play, or record over, memory of somebody else; what was in the pages before would be heard, and
//! seen by the client.

use nt::NtResult;
use nt::status::STATUS_INSUFFICIENT_RESOURCES;
use nt::sys::MDL;
use portcls_sys::ComRef;
use portcls_sys::calls::{AudioPages, Cache, MappedPages};
use portcls_sys::interfaces::IPortWaveRTStream;
use ringwave_regs::dma::{SLOT_BYTES, Slot};

use crate::hw::geometry::Ring;
use crate::hw::ringwave::table::{Entries, Layout, PAGE_BYTES, TableError, table_pages};
use crate::hw::{Dma, Limits};

/// PCI DMA sees the processor's caches: cached memory is right, and fast for the client.
pub const CACHE: Cache = Cache::Cached;

/// A cyclic buffer that a card can reach. Dropping it frees it; the card must have been stopped before.
pub struct Buffer {
    table: Option<AudioPages>,
    pages: AudioPages,
    /// Its shape.
    pub ring: Ring,
    /// Where it is.
    pub dma: Dma,
}

impl Buffer {
    /// Allocates a buffer of the shape `ring`: contiguous if `contiguous` asks for it and it is to be had,
    /// else scatter-gather. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// `STATUS_INSUFFICIENT_RESOURCES`; nothing is left allocated.
    pub fn try_new(
        port: &ComRef<IPortWaveRTStream>,
        ring: Ring,
        limits: &Limits,
        contiguous: bool,
    ) -> NtResult<Self> {
        let wanted = (contiguous || !limits.scatter_gather) && limits.contiguous;
        if wanted {
            match Self::contiguous(port, ring, limits) {
                Ok(buffer) => return Ok(buffer),
                Err(status) if !limits.scatter_gather => return Err(status),
                Err(_) => log::warn!(
                    "no contiguous memory for a cyclic buffer of {} bytes: scatter-gather instead",
                    ring.bytes
                ),
            }
        }
        Self::scattered(port, ring, limits)
    }

    fn contiguous(port: &ComRef<IPortWaveRTStream>, ring: Ring, limits: &Limits) -> NtResult<Self> {
        let pages = port.allocate_contiguous(0, limits.dma_highest, ring.bytes as usize)?;
        let address = first_of_one_piece(&pages, ring.bytes)?;
        pages.map(CACHE)?.clear();
        Ok(Self { table: None, pages, ring, dma: Dma::Contiguous { address } })
    }

    fn scattered(port: &ComRef<IPortWaveRTStream>, ring: Ring, limits: &Limits) -> NtResult<Self> {
        let pages = port.allocate_pages(limits.dma_highest, ring.bytes as usize)?;
        // Counted before the table is allocated, for neighbours are merged.
        let mut entries = 0_u32;
        for entry in Entries::new(addresses(&pages), ring.bytes) {
            entry.map_err(failed)?;
            entries = entries.saturating_add(1);
        }
        if entries > limits.entries_max {
            log::error!("{entries} scatter-gather entries, the card takes {}", limits.entries_max);
            return Err(STATUS_INSUFFICIENT_RESOURCES);
        }
        pages.map(CACHE)?.clear();
        let table = allocate_table(port, entries, limits.dma_highest)?;
        let dma = fill_table(&table, Entries::new(addresses(&pages), ring.bytes))?;
        Ok(Self { table: Some(table), pages, ring, dma })
    }

    /// The MDL that the port maps into the audio engine.
    pub fn mdl(&self) -> *mut MDL {
        self.pages.as_mdl()
    }

    /// Pages of the table; 0 for a contiguous buffer.
    pub fn table_pages(&self) -> u32 {
        self.table.as_ref().map_or(0, AudioPages::page_count)
    }
}

/// The address of pages that hold `bytes` without a gap, every page looked at.
fn first_of_one_piece(pages: &AudioPages, bytes: u32) -> NtResult<u64> {
    match Entries::new(addresses(pages), bytes).next() {
        Some(Ok(whole)) if whole.length == bytes => Ok(whole.address),
        _ => {
            log::error!("the port's contiguous pages have a gap");
            Err(STATUS_INSUFFICIENT_RESOURCES)
        }
    }
}

/// The physical addresses of pages, in order.
fn addresses(pages: &AudioPages) -> impl Iterator<Item = u64> {
    (0..pages.page_count()).map_while(|index| pages.page_address(index))
}

/// Pages for a table of `entries` data entries. One page is one piece by itself, and some ports refuse to
/// give a single page by the contiguous method; more are asked for in one piece, then no link is needed; else
/// any pages, and links.
fn allocate_table(port: &ComRef<IPortWaveRTStream>, entries: u32, highest: u64) -> NtResult<AudioPages> {
    let bytes = table_pages(entries).saturating_mul(PAGE_BYTES);
    if bytes <= PAGE_BYTES {
        return port.allocate_pages(highest, bytes as usize);
    }
    let bytes = bytes as usize;
    port.allocate_contiguous(0, highest, bytes).or_else(|_| port.allocate_pages(highest, bytes))
}

/// Writes the table. The mapping is gone when this returns.
fn fill_table(table: &AudioPages, entries: Entries<impl Iterator<Item = u64>>) -> NtResult<Dma> {
    let first = table.page_address(0).ok_or(STATUS_INSUFFICIENT_RESOURCES)?;
    let mut mapping = table.map(CACHE)?;
    mapping.clear();
    let mut written = Ok(());
    let count = Layout::new(|index| table.page_address(index))
        .place(entries, |index, slot| {
            if written.is_ok() {
                written = put(&mut mapping, index, slot);
            }
        })
        .map_err(failed)?;
    written?;
    Ok(Dma::ScatterGather { table: first, entries: count })
}

/// Writes one slot at its place in the mapping.
fn put(mapping: &mut MappedPages<'_>, index: u32, slot: Slot) -> NtResult {
    mapping.write((index as usize).saturating_mul(SLOT_BYTES as usize), &slot.to_bytes())
}

fn failed(error: TableError) -> nt::NTSTATUS {
    log::error!("scatter-gather table: {error:?}");
    STATUS_INSUFFICIENT_RESOURCES
}

#[cfg(test)]
#[path = "buffer_tests.rs"]
mod tests;

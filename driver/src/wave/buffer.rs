//! The cyclic buffer of a stream: pages from the port.
//!
//! They come from `IPortWaveRTStream`, so that PortCls can map the buffer into the audio engine. The driver
//! itself never looks into the buffer; it maps it only to clear it, so that nothing is left to unmap when the
//! stream goes.
//!
//! Nothing is believed of the pages but what was looked at: AllocateContiguousPagesForMdl's page promises one
//! piece and AllocatePagesForMdl's promises zeroes, and a port was seen that keeps neither. A gap would make
//! the card play, or record over, other memory ([`Segments`](crate::hw::segments::Segments) finds
//! it); what was in the pages before would be heard, and seen by the client.

use nt::NtResult;
use nt::sys::MDL;
use portcls_sys::ComRef;
use portcls_sys::calls::{AudioPages, Cache};
use portcls_sys::interfaces::IPortWaveRTStream;

use crate::hw::Limits;
use crate::hw::geometry::BufferGeometry;
use crate::hw::segments::PageList;

/// PCI DMA sees the processor's caches: cached memory is right, and fast for the client.
pub const CACHE: Cache = Cache::Cached;

/// A cyclic buffer. Dropping it frees its pages: no card may reach them any more.
pub struct Buffer {
    pages: AudioPages,
    /// Its shape.
    pub geometry: BufferGeometry,
}

impl Buffer {
    /// Allocates a buffer, cleared: contiguous if `contiguous` asks for it or the card takes nothing else. If
    /// contiguous memory is not to be had, pages from anywhere, if the card takes them. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// `STATUS_INSUFFICIENT_RESOURCES`; nothing is left allocated.
    pub fn try_new(
        port: &ComRef<IPortWaveRTStream>,
        geometry: BufferGeometry,
        limits: &Limits,
        contiguous: bool,
    ) -> NtResult<Self> {
        let (bytes, highest) = (geometry.bytes as usize, limits.dma_highest);
        let in_pieces = limits.segments_max > 1;
        let pages = if contiguous || !in_pieces {
            match port.allocate_contiguous(0, highest, bytes) {
                Err(_) if in_pieces => {
                    log::warn!(
                        "no contiguous memory for a cyclic buffer of {bytes} bytes: scattered instead"
                    );
                    port.allocate_pages(highest, bytes)?
                }
                allocated => allocated?,
            }
        } else {
            port.allocate_pages(highest, bytes)?
        };
        pages.clear(CACHE)?;
        Ok(Self { pages, geometry })
    }

    /// The MDL that the port maps into the audio engine.
    pub fn mdl(&self) -> *mut MDL {
        self.pages.as_mdl()
    }
}

impl PageList for Buffer {
    fn address(&self, index: u32) -> Option<u64> {
        self.pages.page_address(index)
    }
}

#[cfg(test)]
mod tests;

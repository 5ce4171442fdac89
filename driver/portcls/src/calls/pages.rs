//! Pages of the cyclic buffer, from the port's side of the stream (WAVERT.md 3). PASSIVE_LEVEL throughout.
//!
//! The order that the rules ask for is in the types: pages are mapped only while they are cleared, and they
//! hold a reference to the port stream, so that it outlives them.
use crate::ComRef;
use crate::interfaces::IPortWaveRTStream;
use core::ptr::NonNull;
use core::sync::atomic::{Ordering, fence};
use nt::NtResult;
use nt::status::{STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER};
use nt::sys::{_MEMORY_CACHING_TYPE, MDL, MEMORY_CACHING_TYPE, MmGetMdlByteCount};

/// Bytes of a page.
pub const PAGE_BYTES: usize = 4096;

/// How a buffer is mapped, for the kernel and for the client alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// Right for a device whose DMA sees the caches (PCI).
    Cached,
    /// For a device that does not snoop.
    WriteCombined,
}

impl Cache {
    /// The value that the buffer methods report.
    pub fn to_raw(self) -> MEMORY_CACHING_TYPE {
        match self {
            Self::Cached => _MEMORY_CACHING_TYPE::MmCached,
            Self::WriteCombined => _MEMORY_CACHING_TYPE::MmWriteCombined,
        }
    }
}

/// Locked pages described by an MDL, freed with this.
pub struct AudioPages {
    stream: ComRef<IPortWaveRTStream>,
    mdl: NonNull<MDL>,
}

// SAFETY: an MDL of locked pages belongs to no thread; the port stream's methods may be called from any.
unsafe impl Send for AudioPages {}
// SAFETY: as above, and all methods by shared reference only read the MDL.
unsafe impl Sync for AudioPages {}

impl ComRef<IPortWaveRTStream> {
    /// Pages anywhere up to and including `highest`, not mapped, with whatever content
    /// ([`AudioPages::clear`]): `bytes` of them or STATUS_INSUFFICIENT_RESOURCES (the port may hand out
    /// fewer; those are given back).
    pub fn allocate_pages(&self, highest: u64, bytes: usize) -> NtResult<AudioPages> {
        // SAFETY: no pointers. More than 2^63 cannot be said; no machine has it.
        let mdl = unsafe { self.allocate_pages_for_mdl(i64::try_from(highest).unwrap_or(i64::MAX), bytes) };
        self.own(mdl, bytes)
    }

    /// The same, and the port is asked for one piece, from `lowest` to `highest`: whether it is one is for
    /// the caller to look at. Expect it to fail on a system that has run for long.
    pub fn allocate_contiguous(&self, lowest: u64, highest: u64, bytes: usize) -> NtResult<AudioPages> {
        let lowest = i64::try_from(lowest).map_err(|_| STATUS_INVALID_PARAMETER)?;
        // SAFETY: no pointers.
        let mdl = unsafe {
            self.allocate_contiguous_pages_for_mdl(lowest, i64::try_from(highest).unwrap_or(i64::MAX), bytes)
        };
        self.own(mdl, bytes)
    }

    fn own(&self, mdl: *mut MDL, bytes: usize) -> NtResult<AudioPages> {
        let mdl = NonNull::new(mdl).ok_or(STATUS_INSUFFICIENT_RESOURCES)?;
        let pages = AudioPages { stream: self.clone(), mdl };
        // Dropping short pages frees them.
        if pages.bytes() < bytes { Err(STATUS_INSUFFICIENT_RESOURCES) } else { Ok(pages) }
    }
}

impl AudioPages {
    /// What the buffer methods report, and PortCls maps into the client. Still owned by this.
    pub fn as_mdl(&self) -> *mut MDL {
        self.mdl.as_ptr()
    }

    /// Bytes described.
    pub fn bytes(&self) -> usize {
        // SAFETY: a live MDL.
        unsafe { MmGetMdlByteCount(self.mdl.as_ptr()) as usize }
    }

    /// Pages.
    pub fn page_count(&self) -> u32 {
        // SAFETY: a live MDL of this stream.
        unsafe { self.stream.get_physical_pages_count(self.mdl.as_ptr()) }
    }

    /// Physical address of page `index`; `None` beyond the last.
    pub fn page_address(&self, index: u32) -> Option<u64> {
        if index >= self.page_count() {
            return None;
        }
        let mut address = 0_i64;
        // SAFETY: a live MDL of this stream, an index in range, and room for the result. The return value is
        // a pointer to that room; only the room is looked at.
        unsafe { self.stream.get_physical_page_address(&raw mut address, self.mdl.as_ptr(), index) };
        Some(address.cast_unsigned())
    }

    /// Maps them for the kernel, for a driver that makes or takes the sound itself. The cache type must be what
    /// is reported for the buffer.
    ///
    /// # Errors
    /// `STATUS_INSUFFICIENT_RESOURCES` if they can't be mapped; they are freed then.
    pub fn map(self, cache: Cache) -> NtResult<MappedPages> {
        // SAFETY: a live MDL of this stream.
        let base = unsafe { self.stream.map_allocated_pages(self.mdl.as_ptr(), cache.to_raw()) };
        let base: NonNull<u8> = NonNull::new(base.cast()).ok_or(STATUS_INSUFFICIENT_RESOURCES)?;
        Ok(MappedPages { base, pages: self })
    }

    /// Makes all of them zero, to the end of the last page: pages are given to the device and to clients
    /// whole, and whatever the port's documentation promises, they may hold what another owner left there.
    /// Seen by the device before any register write that follows. The cache type must be what is reported for
    /// the buffer.
    ///
    /// # Errors
    /// `STATUS_INSUFFICIENT_RESOURCES` if they can't be mapped.
    pub fn clear(&self, cache: Cache) -> NtResult {
        // SAFETY: a live MDL of this stream.
        let base = unsafe { self.stream.map_allocated_pages(self.mdl.as_ptr(), cache.to_raw()) };
        let base: NonNull<u8> = NonNull::new(base.cast()).ok_or(STATUS_INSUFFICIENT_RESOURCES)?;
        // A mapping is made of whole pages; one that begins inside of a page is cleared as far as the MDL
        // describes it.
        let whole = base.addr().get().is_multiple_of(PAGE_BYTES);
        let bytes = self.bytes().checked_next_multiple_of(PAGE_BYTES).filter(|_| whole);
        // SAFETY: inside the mapping, which ends with a page. Plain stores: the device does not read the
        // pages before it is asked to, by a register write after the fence. Unmapped once, before the pages
        // are freed.
        unsafe {
            base.as_ptr().write_bytes(0, bytes.unwrap_or_else(|| self.bytes()));
            fence(Ordering::SeqCst);
            self.stream.unmap_allocated_pages(base.as_ptr().cast(), self.mdl.as_ptr());
        }
        Ok(())
    }
}

impl Drop for AudioPages {
    fn drop(&mut self) {
        // SAFETY: a live MDL of this stream, freed once; `clear` leaves no mapping.
        unsafe { self.stream.free_pages_from_mdl(self.mdl.as_ptr()) };
    }
}

/// Pages that the kernel sees too. Dropping this takes the mapping away and frees them. PASSIVE_LEVEL.
pub struct MappedPages {
    base: NonNull<u8>,
    pages: AudioPages,
}

// SAFETY: the mapping is the kernel's, the same in every thread; it is written by exclusive reference only.
unsafe impl Send for MappedPages {}

impl MappedPages {
    /// The pages.
    pub fn pages(&self) -> &AudioPages {
        &self.pages
    }

    /// Copies `bytes` to offset `at`; false, and nothing is copied, if they do not fit. Any level: the pages
    /// are locked. A client that has mapped them may look on.
    pub fn write(&mut self, at: usize, bytes: &[u8]) -> bool {
        let fits = at.checked_add(bytes.len()).is_some_and(|end| end <= self.pages.bytes());
        if fits {
            // SAFETY: inside the mapping, which lives as long as this; what is read lies elsewhere.
            unsafe { self.base.as_ptr().add(at).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        }
        fits
    }
}

impl Drop for MappedPages {
    fn drop(&mut self) {
        // SAFETY: mapped by `map`, unmapped once, before the pages are freed.
        unsafe {
            self.pages.stream.unmap_allocated_pages(self.base.as_ptr().cast(), self.pages.mdl.as_ptr())
        };
    }
}

#[cfg(test)]
mod tests;

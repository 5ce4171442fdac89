//! Physically contiguous memory that a card may read and write: small things of the driver's own (the DMA
//! self-test's page, the pages of a scatter-gather table, a queue). A stream's cyclic buffer never comes from
//! here but from IPortWaveRTStream.
use crate::status::{NtResult, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER};
use crate::sys::LargeInteger as _;
use crate::sys::{self, MM_ANY_NODE_OK, PAGE_READWRITE, PHYSICAL_ADDRESS};
use core::ptr::NonNull;
use core::sync::atomic::{Ordering, fence};

/// Numbers that are read and written in one access.
pub trait Number: Copy + Default {}
impl Number for u16 {}
impl Number for u32 {}
impl Number for u64 {}

/// Zeroed, cached, not executable, contiguous memory; page aligned.
pub struct ContiguousMemory {
    base: NonNull<u8>,
    bytes: usize,
}

// SAFETY: plain memory in system space; all access is volatile and by value, as a device may change it at any
// time.
unsafe impl Send for ContiguousMemory {}
// SAFETY: as above.
unsafe impl Sync for ContiguousMemory {}

impl ContiguousMemory {
    /// Allocates `bytes` at physical addresses up to and including `highest`. PASSIVE_LEVEL.
    pub fn try_new(bytes: usize, highest: u64) -> NtResult<Self> {
        if bytes == 0 {
            return Err(STATUS_INVALID_PARAMETER);
        }
        let (none, highest) = (PHYSICAL_ADDRESS::from_u64(0), PHYSICAL_ADDRESS::from_u64(highest));
        // Not executable, as HVCI wants it. SAFETY: no requirement but the level.
        let base = unsafe {
            sys::MmAllocateContiguousNodeMemory(bytes, none, highest, none, PAGE_READWRITE, MM_ANY_NODE_OK)
        };
        let base = NonNull::new(base.cast::<u8>()).ok_or(STATUS_INSUFFICIENT_RESOURCES)?;
        // SAFETY: fresh memory of that size.
        unsafe { base.as_ptr().write_bytes(0, bytes) };
        Ok(Self { base, bytes })
    }

    /// Bytes of it.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Physical address of the first byte.
    pub fn physical(&self) -> u64 {
        // SAFETY: non-paged memory that lives as long as `self`.
        unsafe { sys::MmGetPhysicalAddress(self.base.as_ptr().cast()) }.as_u64()
    }

    /// Reads one byte as it is now; `None` outside.
    pub fn read(&self, offset: usize) -> Option<u8> {
        // SAFETY: inside the allocation.
        (offset < self.bytes).then(|| unsafe { self.base.as_ptr().add(offset).read_volatile() })
    }

    /// Reads a number that a device may change at any time, in one access; 0 outside, and at an offset that
    /// is no multiple of its size (debug builds stop, for it is our own mistake).
    pub fn load<N: Number>(&self, offset: usize) -> N {
        // SAFETY: `at` answers aligned places inside the allocation, and any bits make a number.
        self.at::<N>(offset).map_or_else(N::default, |place| unsafe { place.read_volatile() })
    }

    /// Writes a number in one access; lost where [`load`](Self::load) reads 0. In order with other accesses
    /// of this processor only as the processor keeps them: fences are the caller's.
    pub fn store<N: Number>(&self, offset: usize, value: N) {
        if let Some(place) = self.at::<N>(offset) {
            // SAFETY: `at` answers aligned places inside the allocation.
            unsafe { place.write_volatile(value) }
        }
    }

    fn at<N>(&self, offset: usize) -> Option<*mut N> {
        let fits = offset.checked_add(size_of::<N>()).is_some_and(|end| end <= self.bytes);
        let good = fits && offset.is_multiple_of(align_of::<N>());
        debug_assert!(good, "access at {offset:#x} of {:#x}", self.bytes);
        // SAFETY: the offset is inside the allocation, which begins at a page.
        good.then(|| unsafe { self.base.as_ptr().add(offset).cast() })
    }

    /// Zeroes all of it.
    pub fn clear(&self) {
        // SAFETY: memory of that size. Not volatile: nobody is told of the memory while it is cleared.
        unsafe { self.base.as_ptr().write_bytes(0, self.bytes) };
    }

    /// Writes as many of the bytes as fit from `offset` on, and answers how many; visible to the device
    /// before any later register write.
    pub fn write(&self, offset: usize, bytes: &[u8]) -> usize {
        let room = self.bytes.saturating_sub(offset);
        let count = bytes.len().min(room);
        for (index, byte) in bytes.iter().take(count).enumerate() {
            // SAFETY: `offset + index < self.bytes`, since `index < room`.
            unsafe { self.base.as_ptr().add(offset + index).write_volatile(*byte) };
        }
        fence(Ordering::SeqCst);
        count
    }
}

impl Drop for ContiguousMemory {
    fn drop(&mut self) {
        // SAFETY: allocated by `try_new`, freed once.
        unsafe { sys::MmFreeContiguousMemory(self.base.as_ptr().cast()) }
    }
}

#[cfg(test)]
#[cfg(not(windows))]
mod tests {
    use super::*;

    #[test]
    fn is_zeroed_bounded_and_has_an_address() {
        let memory = ContiguousMemory::try_new(4096, u64::MAX >> 1).unwrap();
        assert!((0..4096).all(|offset| memory.read(offset) == Some(0)));
        assert_eq!(memory.write(4094, &[1, 2, 3]), 2);
        assert_eq!((memory.read(4095), memory.read(4096)), (Some(2), None));
        memory.store(8, 0x1122_3344_5566_7788_u64);
        assert_eq!((memory.load::<u16>(10), memory.load::<u32>(12)), (0x5566, 0x1122_3344));
        memory.clear();
        assert_eq!(memory.load::<u64>(8), 0);
        assert_eq!(memory.physical() % 4096, 0);
        assert_eq!(ContiguousMemory::try_new(0, u64::MAX).err(), Some(STATUS_INVALID_PARAMETER));
    }
}

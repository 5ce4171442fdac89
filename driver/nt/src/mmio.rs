//! Device memory: registers and pages of a BAR.
use crate::status::{NtResult, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER};
use crate::sys::LargeInteger as _;
use crate::sys::{self, PAGE_NOCACHE, PAGE_READWRITE, PHYSICAL_ADDRESS};
use core::ptr::NonNull;

/// A range of device memory, mapped uncached for as long as this lives.
///
/// Accesses are volatile, naturally aligned and inside the range. An access that is not behaves like one to a
/// PCI address where nobody answers, in release builds: reads give all ones, writes are lost. Debug builds
/// stop, for it is our own mistake.
pub struct MappedIo {
    base: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the mapping is in system space, valid on every processor; accesses are single volatile loads and
// stores.
unsafe impl Send for MappedIo {}
// SAFETY: as above.
unsafe impl Sync for MappedIo {}

impl MappedIo {
    /// Maps `bytes` of device memory at a physical address of a translated memory resource. PASSIVE_LEVEL.
    ///
    /// # Safety
    /// The range belongs to the device of this driver, and to nobody else's cached mapping.
    pub unsafe fn map(physical: u64, bytes: usize) -> NtResult<Self> {
        if bytes == 0 || physical.checked_add(bytes as u64).is_none() {
            return Err(STATUS_INVALID_PARAMETER);
        }
        let address = PHYSICAL_ADDRESS::from_u64(physical);
        // SAFETY: by contract the range is the device's.
        let base = unsafe { sys::MmMapIoSpaceEx(address, bytes, PAGE_READWRITE | PAGE_NOCACHE) };
        let base = NonNull::new(base.cast()).ok_or(STATUS_INSUFFICIENT_RESOURCES)?;
        Ok(Self { base, bytes })
    }

    /// Bytes mapped.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// First byte mapped.
    pub fn as_ptr(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// Reads 32 bits at a byte offset that is a multiple of 4.
    pub fn read32(&self, offset: usize) -> u32 {
        self.at::<u32>(offset).map_or(u32::MAX, |place| {
            #[cfg(not(windows))]
            crate::host::reading(place as usize);
            // SAFETY: `at` answers aligned places inside the mapping.
            unsafe { place.read_volatile() }
        })
    }

    /// Reads 64 bits at a byte offset that is a multiple of 8, in one access.
    pub fn read64(&self, offset: usize) -> u64 {
        self.at::<u64>(offset).map_or(u64::MAX, |place| {
            #[cfg(not(windows))]
            crate::host::reading(place as usize);
            // SAFETY: `at` answers aligned places inside the mapping.
            unsafe { place.read_volatile() }
        })
    }

    /// Writes 32 bits at a byte offset that is a multiple of 4.
    pub fn write32(&self, offset: usize, value: u32) {
        if let Some(place) = self.at::<u32>(offset) {
            // SAFETY: `at` answers aligned places inside the mapping.
            unsafe { place.write_volatile(value) }
            #[cfg(not(windows))]
            crate::host::wrote(place, value);
        }
    }

    /// Writes 64 bits at a byte offset that is a multiple of 8, in one access.
    pub fn write64(&self, offset: usize, value: u64) {
        if let Some(place) = self.at::<u64>(offset) {
            // SAFETY: `at` answers aligned places inside the mapping.
            unsafe { place.write_volatile(value) }
        }
    }

    fn at<T>(&self, offset: usize) -> Option<*mut T> {
        let fits = offset.checked_add(size_of::<T>()).is_some_and(|end| end <= self.bytes);
        debug_assert!(
            fits && offset.is_multiple_of(align_of::<T>()),
            "access at {offset:#x} of {:#x}",
            self.bytes
        );
        // SAFETY: the offset is inside the mapping.
        (fits && offset.is_multiple_of(align_of::<T>()))
            .then(|| unsafe { self.base.as_ptr().add(offset).cast() })
    }
}

impl Drop for MappedIo {
    fn drop(&mut self) {
        // SAFETY: mapped by `map` with this size, and unmapped once.
        unsafe { sys::MmUnmapIoSpace(self.base.as_ptr().cast(), self.bytes as sys::SIZE_T) }
    }
}

#[cfg(test)]
#[cfg(not(windows))]
mod tests {
    use super::*;
    use crate::host;

    #[test]
    fn reads_and_writes_the_range_and_nothing_else() {
        let memory = host::add_io_space(0x1_0000_0000, 0x1000);
        // SAFETY: fake device memory.
        let io = unsafe { MappedIo::map(0x1_0000_0000, 0x1000) }.unwrap();
        assert_eq!(host::io_mappings(), 1);
        io.write32(0xFFC, 0x1122_3344);
        // SAFETY: inside the fake.
        assert_eq!(unsafe { memory.add(0xFFC).cast::<u32>().read_unaligned() }, 0x1122_3344);
        assert_eq!(io.read64(0xFF8), 0x1122_3344_0000_0000);
        assert_eq!(io.read32(0), 0);
        io.write64(8, 0x5566_7788_99AA_BBCC);
        assert_eq!((io.read32(8), io.read32(12)), (0x99AA_BBCC, 0x5566_7788));
        drop(io);
        assert_eq!(host::io_mappings(), 0, "the mapping leaked");
        // SAFETY: refused, nothing is mapped.
        unsafe {
            assert_eq!(MappedIo::map(0x2_0000_0000, 0x1000).err(), Some(STATUS_INSUFFICIENT_RESOURCES));
            assert_eq!(MappedIo::map(u64::MAX, 0x1000).err(), Some(STATUS_INVALID_PARAMETER));
        }
    }

    #[test]
    #[cfg_attr(debug_assertions, should_panic(expected = "access at"))]
    fn outside_nobody_answers() {
        host::add_io_space(0x3_0000_0000, 0x10);
        // SAFETY: fake device memory.
        let io = unsafe { MappedIo::map(0x3_0000_0000, 0x10) }.unwrap();
        io.write32(0x10, 1);
        assert_eq!((io.read32(0x10), io.read32(2), io.read32(usize::MAX)), (u32::MAX, u32::MAX, u32::MAX));
    }
}

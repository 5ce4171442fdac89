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

    /// Reads 8 bits.
    pub fn read8(&self, offset: usize) -> u8 {
        self.read(offset).unwrap_or(u8::MAX)
    }

    /// Reads 16 bits at a byte offset that is a multiple of 2.
    pub fn read16(&self, offset: usize) -> u16 {
        self.read(offset).unwrap_or(u16::MAX)
    }

    /// Reads 32 bits at a byte offset that is a multiple of 4.
    pub fn read32(&self, offset: usize) -> u32 {
        self.read(offset).unwrap_or(u32::MAX)
    }

    /// Reads 64 bits at a byte offset that is a multiple of 8, in one access.
    pub fn read64(&self, offset: usize) -> u64 {
        self.read(offset).unwrap_or(u64::MAX)
    }

    /// Writes 8 bits.
    pub fn write8(&self, offset: usize, value: u8) {
        self.write(offset, value);
    }

    /// Writes 16 bits at a byte offset that is a multiple of 2.
    pub fn write16(&self, offset: usize, value: u16) {
        self.write(offset, value);
    }

    /// Writes 32 bits at a byte offset that is a multiple of 4.
    pub fn write32(&self, offset: usize, value: u32) {
        self.write(offset, value);
    }

    /// One access; `None` outside.
    fn read<T>(&self, offset: usize) -> Option<T> {
        self.at::<T>(offset).map(|place| {
            #[cfg(not(windows))]
            crate::host::reading(place as usize);
            // SAFETY: `at` answers aligned places inside the mapping; the callers read numbers.
            unsafe { place.read_volatile() }
        })
    }

    /// One access of at most 32 bits; lost outside.
    fn write<T: Copy + Into<u32>>(&self, offset: usize, value: T) {
        if let Some(place) = self.at::<T>(offset) {
            // SAFETY: `at` answers aligned places inside the mapping.
            unsafe { place.write_volatile(value) }
            #[cfg(not(windows))]
            crate::host::wrote(place as usize, value.into());
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
        io.write16(10, 0x1234);
        io.write8(9, 0x56);
        assert_eq!((io.read32(8), io.read16(10), io.read8(9)), (0x1234_56CC, 0x1234, 0x56));
        drop(io);
        assert_eq!(host::io_mappings(), 0, "the mapping leaked");
        // SAFETY: refused, nothing is mapped.
        unsafe {
            assert!(MappedIo::map(0x1_0000_0800, 0x800).is_ok(), "a part of it");
            assert_eq!(MappedIo::map(0x1_0000_0800, 0x801).err(), Some(STATUS_INSUFFICIENT_RESOURCES));
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

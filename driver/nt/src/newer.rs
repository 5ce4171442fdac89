//! Kernel calls that are newer than Windows 7: found by name when they are needed, with the older call where there is none, so
//! that the image also loads on systems that never had them. PASSIVE_LEVEL.
use crate::sys::{MM_ANY_NODE_OK, PAGE_NOCACHE, PAGE_READWRITE, PHYSICAL_ADDRESS, PVOID};
use crate::text::system_routine;
use crate::wide;
use core::ptr::{NonNull, null_mut};

/// `MmMapIoSpaceEx`: Windows 10. Address, bytes, `PAGE_...` protection.
type MapIoSpaceEx = unsafe extern "C" fn(PHYSICAL_ADDRESS, usize, u32) -> PVOID;
/// `MmMapIoSpace`: every Windows. Address, bytes, caching type; its mapping is executable.
type MapIoSpace = unsafe extern "C" fn(PHYSICAL_ADDRESS, usize, i32) -> PVOID;
/// `MmAllocateContiguousNodeMemory`: Windows 8. Bytes, lowest, highest, boundary, `PAGE_...` protection, node.
type AllocateContiguousNodeMemory =
    unsafe extern "C" fn(usize, PHYSICAL_ADDRESS, PHYSICAL_ADDRESS, PHYSICAL_ADDRESS, u32, u32) -> PVOID;
/// `MmAllocateContiguousMemory`: every Windows. Bytes, highest; its memory is executable, which HVCI refuses.
type AllocateContiguousMemory = unsafe extern "C" fn(usize, PHYSICAL_ADDRESS) -> PVOID;

/// `MmNonCached`.
const NON_CACHED: i32 = 0;

/// Maps device memory uncached, not executable where the kernel can do that; `None` on failure. Unmapped by MmUnmapIoSpace.
///
/// # Safety
/// The range belongs to the device of this driver, and to nobody else's cached mapping.
pub(crate) unsafe fn map_io_space(address: PHYSICAL_ADDRESS, bytes: usize) -> Option<NonNull<u8>> {
    let base = if let Some(routine) = system_routine(wide!("MmMapIoSpaceEx")) {
        // SAFETY: the kernel's routine of that name has this type.
        let map = unsafe { core::mem::transmute::<NonNull<_>, MapIoSpaceEx>(routine) };
        // SAFETY: by contract.
        unsafe { map(address, bytes, PAGE_READWRITE | PAGE_NOCACHE) }
    } else if let Some(routine) = system_routine(wide!("MmMapIoSpace")) {
        // SAFETY: as above.
        let map = unsafe { core::mem::transmute::<NonNull<_>, MapIoSpace>(routine) };
        // SAFETY: by contract.
        unsafe { map(address, bytes, NON_CACHED) }
    } else {
        null_mut()
    };
    NonNull::new(base.cast())
}

/// Contiguous non-paged memory up to and including `highest`, not zeroed, not executable where the kernel can do that; `None` on
/// failure. Freed by MmFreeContiguousMemory.
pub(crate) fn allocate_contiguous(bytes: usize, highest: PHYSICAL_ADDRESS) -> Option<NonNull<u8>> {
    let none = PHYSICAL_ADDRESS::from_u64(0);
    let base = if let Some(routine) = system_routine(wide!("MmAllocateContiguousNodeMemory")) {
        // SAFETY: the kernel's routine of that name has this type.
        let allocate = unsafe { core::mem::transmute::<NonNull<_>, AllocateContiguousNodeMemory>(routine) };
        // SAFETY: no requirement but the level; 0 as boundary means none.
        unsafe { allocate(bytes, none, highest, none, PAGE_READWRITE, MM_ANY_NODE_OK) }
    } else if let Some(routine) = system_routine(wide!("MmAllocateContiguousMemory")) {
        // SAFETY: as above.
        let allocate = unsafe { core::mem::transmute::<NonNull<_>, AllocateContiguousMemory>(routine) };
        // SAFETY: no requirement but the level.
        unsafe { allocate(bytes, highest) }
    } else {
        null_mut()
    };
    NonNull::new(base.cast())
}

#[cfg(test)]
#[cfg(not(windows))]
mod tests {
    use super::*;
    use crate::host::only_old_calls;
    use crate::sys;

    #[test]
    fn old_kernels_are_asked_for_what_they_have() {
        only_old_calls(true);
        let memory = allocate_contiguous(4096, PHYSICAL_ADDRESS::from_u64(u64::MAX >> 1)).expect("memory");
        // SAFETY: allocated just now.
        unsafe { sys::MmFreeContiguousMemory(memory.as_ptr().cast()) };
        // SAFETY: no device has this range, so nothing is mapped.
        assert!(unsafe { map_io_space(PHYSICAL_ADDRESS::from_u64(0xDEAD_0000), 4096) }.is_none());
        only_old_calls(false);
        let memory = allocate_contiguous(4096, PHYSICAL_ADDRESS::from_u64(u64::MAX >> 1)).expect("memory");
        // SAFETY: as above.
        unsafe { sys::MmFreeContiguousMemory(memory.as_ptr().cast()) };
    }
}

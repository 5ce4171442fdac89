//! Memory from the non-paged pool, and allocation that can fail.
//!
//! A driver must not die because memory is short: Driver Verifier's low-resources simulation fails
//! allocations on purpose. So the driver uses [`try_box`] and [`try_vec`] (or `Vec::try_reserve`), never
//! `Box::new`, and every failure becomes STATUS_INSUFFICIENT_RESOURCES.
use crate::status::{NtResult, STATUS_INSUFFICIENT_RESOURCES};
use crate::sys::{self, _POOL_TYPE::NonPagedPoolNx};
use alloc::{boxed::Box, vec::Vec};
use core::alloc::{GlobalAlloc, Layout};

/// The tag of all our pool memory, as `!poolused` and Driver Verifier show it: `Rwav`.
pub const TAG: u32 = u32::from_le_bytes(*b"Rwav");

/// What the pool aligns every block to on x64, bytes.
const POOL_ALIGNMENT: usize = 16;

/// The driver's global allocator: non-paged, not executable, at most DISPATCH_LEVEL. Answers null when the
/// pool does, and for alignments above 16 bytes, which nothing of ours asks for.
///
/// ```ignore
/// #[cfg(windows)]
/// #[global_allocator]
/// static POOL: nt::pool::Pool = nt::pool::Pool;
/// ```
pub struct Pool;

// SAFETY: blocks come from ExAllocatePoolWithTag, which gives exclusive memory of at least that size, aligned
// to 16 bytes; a greater alignment is refused with null; every block is freed with the tag it was allocated
// with.
unsafe impl GlobalAlloc for Pool {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > POOL_ALIGNMENT {
            return core::ptr::null_mut();
        }
        // SAFETY: non-paged pool may be allocated at <= DISPATCH_LEVEL; the size is not 0 by GlobalAlloc's
        // contract.
        unsafe { sys::ExAllocatePoolWithTag(NonPagedPoolNx, layout.size(), TAG).cast() }
    }

    unsafe fn dealloc(&self, block: *mut u8, _layout: Layout) {
        // SAFETY: `block` came from `alloc` above, by GlobalAlloc's contract.
        unsafe { sys::ExFreePoolWithTag(block.cast(), TAG) }
    }
}

/// Moves a value to the heap, or says STATUS_INSUFFICIENT_RESOURCES (the value is dropped then).
pub fn try_box<T>(value: T) -> NtResult<Box<T>> {
    let layout = Layout::new::<T>();
    if layout.size() == 0 {
        return Ok(Box::new(value)); // allocates nothing
    }
    // SAFETY: the size is not 0.
    let block: *mut T = unsafe { alloc::alloc::alloc(layout) }.cast();
    if block.is_null() {
        return Err(STATUS_INSUFFICIENT_RESOURCES);
    }
    // SAFETY: `block` is fresh memory of T's layout from the global allocator, which is what a Box frees it
    // with.
    unsafe {
        block.write(value);
        Ok(Box::from_raw(block))
    }
}

/// A vector of `len` copies, or STATUS_INSUFFICIENT_RESOURCES.
pub fn try_vec<T: Clone>(value: T, len: usize) -> NtResult<Vec<T>> {
    let mut vec = Vec::new();
    vec.try_reserve_exact(len).map_err(|_| STATUS_INSUFFICIENT_RESOURCES)?;
    vec.resize(len, value); // stays within what was reserved
    Ok(vec)
}

/// Adds to a vector, or says STATUS_INSUFFICIENT_RESOURCES (the value is dropped then). `Vec::push` would
/// panic instead, and bring that panic's text and path into the image.
pub fn try_push<T>(vec: &mut Vec<T>, value: T) -> NtResult {
    vec.try_reserve(1).map_err(|_| STATUS_INSUFFICIENT_RESOURCES)?;
    if let Some(place) = vec.spare_capacity_mut().first_mut() {
        place.write(value);
        let len = vec.len();
        // SAFETY: there was room for one more, and it was written just now.
        unsafe { vec.set_len(len + 1) };
    }
    Ok(())
}

#[cfg(test)]
#[cfg(not(windows))]
mod tests {
    use super::*;
    use crate::host;

    #[test]
    fn pool_gives_memory_back_and_null_when_short() {
        let layout = Layout::from_size_align(100, 16).unwrap();
        let before = host::pool_blocks();
        // SAFETY: allocated and freed with one layout.
        unsafe {
            let block = Pool.alloc(layout);
            assert!(!block.is_null());
            assert_eq!(host::pool_blocks(), before + 1);
            Pool.dealloc(block, layout);
        }
        assert_eq!(host::pool_blocks(), before, "a block was not given back");
        host::fail_pool(true);
        // SAFETY: as above; null is an allowed answer.
        assert!(unsafe { Pool.alloc(layout) }.is_null());
        host::fail_pool(false);
        // SAFETY: as above.
        let block = unsafe { Pool.alloc(Layout::from_size_align(64, 64).unwrap()) };
        assert!(block.is_null(), "the pool cannot promise that alignment");
    }

    #[test]
    fn boxes_and_vectors() {
        assert_eq!(*try_box([7_u8; 3]).unwrap(), [7; 3]);
        assert_eq!(try_vec(5_u16, 3).unwrap(), [5, 5, 5]);
        let mut grown = Vec::new();
        for n in 0..100 {
            try_push(&mut grown, Box::new(n)).unwrap();
        }
        assert!(grown.iter().enumerate().all(|(place, n)| place == **n), "{grown:?}");
        assert_eq!(try_vec(0_u8, usize::MAX), Err(STATUS_INSUFFICIENT_RESOURCES));
    }
}

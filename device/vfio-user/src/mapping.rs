//! A region's memory, mapped: what a guest's loads and stores of a mapped BAR are.

use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// Shared memory of a server, readable and writable. The server may change it at any time, so it is only ever
/// read and written in aligned words of 32 or 64 bits, as a guest does; there is no reference into it.
///
/// A server that truncates its file ends this process with SIGBUS: map regions of servers that seal theirs.
#[derive(Debug)]
pub struct Mapping {
    base: NonNull<AtomicU32>,
    bytes: usize,
}

// SAFETY: the pages stay mapped for as long as the value lives, belong to no thread, and are only accessed
// with atomic operations.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `bytes` bytes of `fd` from `offset`, a multiple of the page size, on.
    pub fn new(fd: impl AsFd, offset: u64, bytes: usize) -> Result<Self, Errno> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the kernel chooses the address, so that no memory of ours is touched.
        let base = unsafe { mmap(std::ptr::null_mut(), bytes, protection, MapFlags::SHARED, fd, offset) }?;
        let base = NonNull::new(base.cast()).ok_or(Errno::FAULT)?;
        Ok(Self { base, bytes })
    }

    /// The word at `offset` bytes, or `None` if it is not aligned or outside.
    pub fn read(&self, offset: usize) -> Option<u32> {
        Some(self.word(offset)?.load(Ordering::Acquire))
    }

    /// Stores the word at `offset` bytes; `None` if it is not aligned or outside.
    pub fn write(&self, offset: usize, value: u32) -> Option<()> {
        self.word(offset)?.store(value, Ordering::Release);
        Some(())
    }

    /// Stores the 64 bits at `offset` bytes in one access; `None` if they are not aligned or not inside.
    pub fn write_wide(&self, offset: usize, value: u64) -> Option<()> {
        let inside = offset.checked_add(size_of::<u64>()).is_some_and(|end| end <= self.bytes);
        if !inside || !offset.is_multiple_of(align_of::<AtomicU64>()) {
            return None;
        }
        // SAFETY: as in `word`.
        let wide: &AtomicU64 = unsafe { self.base.byte_add(offset).cast().as_ref() };
        wide.store(value, Ordering::Release);
        Some(())
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Never: an empty mapping cannot be made.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    fn word(&self, offset: usize) -> Option<&AtomicU32> {
        let inside = offset.checked_add(size_of::<u32>()).is_some_and(|end| end <= self.bytes);
        if !inside || !offset.is_multiple_of(align_of::<AtomicU32>()) {
            return None;
        }
        // SAFETY: the word is inside of the mapping and aligned (the base is a page's), the mapping lives as
        // long as `self`, and other processes' accesses to it are like other threads': all of ours are
        // atomic.
        Some(unsafe { self.base.byte_add(offset).as_ref() })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what `mmap` gave, and nothing borrows from `self` any more.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}

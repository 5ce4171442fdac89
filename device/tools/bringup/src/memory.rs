//! Memory that is shared with the card: the tool fills it and looks at it, the card reaches it by DMA.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// A shared mapping. Somebody else may change it at any time, so it is only accessed in whole words, each
/// atomic; there is no reference into it but to such words.
#[derive(Debug)]
pub struct Mapped {
    base: NonNull<AtomicU32>,
    bytes: usize,
}

// SAFETY: the pages stay mapped as long as the value lives, belong to no thread, and are only accessed with
// atomic operations.
unsafe impl Send for Mapped {}

impl Mapped {
    /// Maps `bytes` bytes of `file` from `offset` on, readable and writable. Both are multiples of the page
    /// size.
    pub fn new(file: BorrowedFd<'_>, offset: u64, bytes: usize) -> io::Result<Self> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping where the kernel chooses, so no memory of ours is touched.
        let base = unsafe { mmap(std::ptr::null_mut(), bytes, access, MapFlags::SHARED, file, offset) }?;
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { base, bytes })
    }

    /// Where it lies in this process.
    pub fn address(&self) -> *mut u8 {
        self.base.as_ptr().cast()
    }

    /// The aligned word at `offset` bytes; `None` outside.
    pub fn word(&self, offset: usize) -> Option<&AtomicU32> {
        let end = offset.checked_add(size_of::<u32>())?;
        if end > self.bytes || !offset.is_multiple_of(align_of::<AtomicU32>()) {
            return None;
        }
        // SAFETY: inside of the mapping and aligned (the base is a page's); the mapping lives as long as
        // `self`; all accesses are atomic.
        Some(unsafe { self.base.byte_add(offset).as_ref() })
    }

    /// The aligned word of 64 bits at `offset` bytes; `None` outside.
    pub fn wide(&self, offset: usize) -> Option<&AtomicU64> {
        let end = offset.checked_add(size_of::<u64>())?;
        if end > self.bytes || !offset.is_multiple_of(align_of::<AtomicU64>()) {
            return None;
        }
        // SAFETY: as for `word`.
        Some(unsafe { self.base.byte_add(offset).cast().as_ref() })
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: exactly what mmap gave; nothing borrows from `self` any more.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}

/// Anonymous memory of the tool's own, zeroed, with a descriptor to share it by.
#[derive(Debug)]
pub struct Memory {
    file: File,
    mapped: Mapped,
}

impl Memory {
    /// `bytes` bytes, a multiple of the page size. The length cannot be changed any more.
    pub fn new(bytes: usize) -> io::Result<Self> {
        let file =
            File::from(memfd_create(c"ringwave bringup", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
        file.set_len(bytes as u64)?;
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        let mapped = Mapped::new(file.as_fd(), 0, bytes)?;
        Ok(Self { file, mapped })
    }

    /// The descriptor behind it.
    pub fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Where the bytes from `offset` on lie in this process, if there are so many.
    pub fn at(&self, offset: usize, bytes: usize) -> Option<*mut u8> {
        let inside = offset.checked_add(bytes).is_some_and(|end| end <= self.mapped.bytes);
        inside.then(|| self.mapped.address().wrapping_add(offset))
    }

    /// The word at `offset`. What lies outside, or is not aligned, reads 0: the bring-up chooses its offsets
    /// itself.
    pub fn load(&self, offset: usize) -> u32 {
        self.mapped.word(offset).map_or(0, |word| u32::from_le(word.load(Ordering::Acquire)))
    }

    /// Stores the word at `offset`.
    pub fn store(&self, offset: usize, value: u32) {
        if let Some(word) = self.mapped.word(offset) {
            word.store(value.to_le(), Ordering::Release);
        }
    }

    /// Fills whole words from `offset` on with these bytes; a last word that is not whole is filled up with
    /// zeroes.
    pub fn fill(&self, offset: usize, bytes: &[u8]) {
        for (number, chunk) in bytes.chunks(4).enumerate() {
            let mut word = [0; 4];
            for (to, from) in word.iter_mut().zip(chunk) {
                *to = *from;
            }
            self.store(offset.saturating_add(number.saturating_mul(4)), u32::from_le_bytes(word));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_where_they_were_put_and_nowhere_else() {
        let memory = Memory::new(4096).unwrap();
        memory.fill(4088, &[1, 2, 3, 4, 5, 6]);
        memory.store(4096, 7);
        assert_eq!((memory.load(4088), memory.load(4092)), (0x0403_0201, 0x0605));
        assert_eq!((memory.load(4096), memory.load(2), memory.load(usize::MAX - 2)), (0, 0, 0));
        assert!(
            memory.at(4096, 0).is_some()
                && memory.at(4096, 1).is_none()
                && memory.at(usize::MAX, 2).is_none()
        );
        let again = Mapped::new(memory.file(), 0, 4096).unwrap();
        assert_eq!(again.word(4088).unwrap().load(Ordering::Relaxed), 0x0403_0201, "it is shared");
    }
}

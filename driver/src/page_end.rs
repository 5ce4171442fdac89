//! For tests: memory that ends where a page ends, with nothing mapped behind it. Who reads a byte too much
//! ends the test's process.

use std::ptr::null_mut;

/// Bytes of a page.
const PAGE: usize = 4096;

/// Some bytes at the end of a page.
pub struct AtPageEnd {
    pages: *mut libc::c_void,
    start: *mut u8,
}

impl AtPageEnd {
    /// Puts `bytes` (at most a page of them) there.
    pub fn new(bytes: &[u8]) -> Self {
        assert!(bytes.len() <= PAGE);
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: fresh pages of our own, the second of which is taken away; the bytes fit into the first.
        unsafe {
            let pages = libc::mmap(null_mut(), 2 * PAGE, access, kind, -1, 0);
            assert_ne!(pages, libc::MAP_FAILED);
            let end = pages.cast::<u8>().add(PAGE);
            assert_eq!(libc::mprotect(end.cast(), PAGE, libc::PROT_NONE), 0);
            let start = end.sub(bytes.len());
            start.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            Self { pages, start }
        }
    }

    /// Where they begin.
    pub const fn as_ptr<T>(&self) -> *const T {
        self.start.cast_const().cast()
    }
}

impl Drop for AtPageEnd {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and nobody has the pointer any more.
        unsafe { libc::munmap(self.pages, 2 * PAGE) };
    }
}

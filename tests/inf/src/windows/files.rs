//! Whole files.

use crate::runtime::wide;
use crate::sys;
use alloc::vec::Vec;
use core::ptr::null_mut;

/// An open file; it is closed with this value.
struct File(sys::HANDLE);

impl File {
    fn open(path: &str, access: u32, how: u32) -> Option<Self> {
        let path = wide(path);
        // SAFETY: a name that ends in NUL.
        let handle = unsafe {
            sys::CreateFileW(path.as_ptr(), access, sys::FILE_SHARE_READ_WRITE, 0, how, 0, null_mut())
        };
        (handle != sys::INVALID_HANDLE_VALUE).then_some(Self(handle))
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: our own handle.
        unsafe { sys::CloseHandle(self.0) };
    }
}

/// What is in a file; `None` if it can't be read.
pub fn read(path: &str) -> Option<Vec<u8>> {
    let file = File::open(path, sys::GENERIC_READ, sys::OPEN_EXISTING)?;
    rest(file.0)
}

/// What comes from standard input.
pub fn input() -> Vec<u8> {
    // SAFETY: asks for this process's own handle.
    rest(unsafe { sys::GetStdHandle(u32::MAX - 9) }).unwrap_or_default()
}

/// Everything up to the end of a file, or of a pipe, which ends with an error.
fn rest(file: sys::HANDLE) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let (mut piece, mut got) = ([0; 4096], 0);
        // SAFETY: the size is the buffer's.
        let done = unsafe { sys::ReadFile(file, piece.as_mut_ptr(), 4096, &raw mut got, 0) };
        if done == 0 {
            return (!all.is_empty()).then_some(all);
        }
        match piece.get(..got as usize) {
            Some([]) | None => return Some(all),
            Some(piece) => all.extend_from_slice(piece),
        }
    }
}

/// Adds to the end of a file.
pub fn append(path: &str, text: &str) {
    let Some(file) = File::open(path, sys::FILE_APPEND_DATA, sys::OPEN_ALWAYS) else { return };
    let (mut written, size) = (0, u32::try_from(text.len()).unwrap_or(0));
    // SAFETY: the buffer is as long as its size says.
    unsafe { sys::WriteFile(file.0, text.as_ptr(), size, &raw mut written, 0) };
}

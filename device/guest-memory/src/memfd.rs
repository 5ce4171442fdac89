//! Anonymous memory with a descriptor that can be handed to a client.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};

/// Memory of `bytes` bytes, zeroed. With `sealed` nobody, not even its owner, can change its length any more:
/// a client that was given the descriptor cannot turn our accesses into signals.
pub fn memfd(name: &CStr, bytes: u64, sealed: bool) -> io::Result<File> {
    // SAFETY: `name` ends with a zero byte; the flags are those of memfd_create(2).
    let fd = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just made and belongs to nobody else.
    let file = unsafe { File::from_raw_fd(fd) };
    file.set_len(bytes)?;
    if sealed {
        let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
        // SAFETY: F_ADD_SEALS takes one int and the descriptor is open.
        if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(file)
}

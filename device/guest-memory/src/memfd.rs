//! Anonymous memory with a descriptor that can be handed to a client.

use std::ffi::CStr;
use std::fs::File;
use std::io;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

/// Memory of `bytes` bytes, zeroed. With `sealed` nobody, not even its owner, can change its length any more:
/// a client that was given the descriptor cannot turn our accesses into signals.
pub fn memfd(name: &CStr, bytes: u64, sealed: bool) -> io::Result<File> {
    let file = File::from(memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    file.set_len(bytes)?;
    if sealed {
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    }
    Ok(file)
}

//! Capabilities: what an administrator's process may do beyond what files and owners allow. Serving needs
//! none.
//!
//! They belong to a thread and are inherited by those that it starts, so they are dropped before there is a
//! second one. A process that was started by root then writes only where root is the owner, or where
//! everybody may.

use std::io;

/// `_LINUX_CAPABILITY_VERSION_3`
const VERSION_3: u32 = 0x2008_0522;

/// `struct __user_cap_header_struct`
#[repr(C)]
struct Header {
    version: u32,
    /// 0 = this thread.
    pid: i32,
}

/// `struct __user_cap_data_struct`: the capabilities from 0 to 31, or from 32 on.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Drops all of this thread, for good: effective, permitted, inheritable, and with these the ambient ones.
pub fn drop_all() -> io::Result<()> {
    let header = Header { version: VERSION_3, pid: 0 };
    let none = [Data::default(); 2];
    // SAFETY: a header and two sets, as version 3 has them, which are only read (the header is written only
    // when the version is wrong).
    match unsafe { libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

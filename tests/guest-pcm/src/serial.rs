//! The serial line as it is: no echo, no line discipline that changes bytes.

use std::{
    fs::{File, OpenOptions},
    io,
    mem::MaybeUninit,
    os::fd::AsRawFd,
};

use crate::Failure;

/// Opens a serial port.
pub fn open(path: &str) -> Result<File, Failure> {
    let said = |error: io::Error| format!("{path}: {error}");
    let port = OpenOptions::new().read(true).write(true).open(path).map_err(said)?;
    let mut settings = MaybeUninit::<libc::termios>::uninit();
    // SAFETY: an open descriptor, and memory of the right size that is read only where the call succeeded.
    if unsafe { libc::tcgetattr(port.as_raw_fd(), settings.as_mut_ptr()) } != 0 {
        return Err(said(io::Error::last_os_error()));
    }
    // SAFETY: the call above has filled it; both calls take a pointer that lives through them.
    let set = unsafe {
        let mut settings = settings.assume_init();
        libc::cfmakeraw(&raw mut settings);
        libc::tcsetattr(port.as_raw_fd(), libc::TCSANOW, &raw const settings)
    };
    if set == 0 { Ok(port) } else { Err(said(io::Error::last_os_error())) }
}

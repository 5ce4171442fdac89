//! The tool: what it says goes to the second serial port, byte for byte.

use std::{
    fs::{File, OpenOptions},
    io,
    os::fd::AsRawFd,
    process::{Command, ExitStatus, Stdio},
};

use crate::Failure;

/// The second serial port; the first is the console.
const OUTPUT: &str = "/dev/ttyS1";

/// Runs `ringwave bringup --vfio ADDRESS ARGUMENTS`.
pub fn run(address: &str, arguments: &[String]) -> Result<ExitStatus, Failure> {
    let said = |what: &str, error: &io::Error| format!("{what}: {error}");
    let mut port =
        OpenOptions::new().write(true).read(true).open(OUTPUT).map_err(|error| said(OUTPUT, &error))?;
    as_it_is(&port).map_err(|error| said(OUTPUT, &error))?;
    // A pipe, not the port itself: the tool must not take it for a terminal. Both of its outputs, in their
    // order.
    let (mut reader, writer) = io::pipe().map_err(|error| said("pipe", &error))?;
    let both = writer.try_clone().map_err(|error| said("pipe", &error))?;
    let mut command = Command::new("/ringwave");
    command.args(["bringup", "--vfio", address]).args(arguments);
    command.stdin(Stdio::null()).stdout(writer).stderr(both);
    let mut child = command.spawn().map_err(|error| said("/ringwave", &error))?;
    // It holds the pipe's write ends, and the copy would never come to an end.
    drop(command);
    io::copy(&mut reader, &mut port).map_err(|error| said(OUTPUT, &error))?;
    let status = child.wait().map_err(|error| said("/ringwave", &error))?;
    // SAFETY: an open descriptor; what was written leaves before the machine ends.
    unsafe { libc::tcdrain(port.as_raw_fd()) };
    Ok(status)
}

/// Bytes leave the port as they are: no carriage returns are put in.
fn as_it_is(port: &File) -> io::Result<()> {
    // SAFETY: all-zero bytes are a valid termios, and tcgetattr fills it in.
    let mut mode: libc::termios = unsafe { std::mem::zeroed() };
    // SAFETY: an open descriptor and a termios of our own.
    if unsafe { libc::tcgetattr(port.as_raw_fd(), &raw mut mode) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: changes flags in a termios of our own.
    unsafe { libc::cfmakeraw(&raw mut mode) };
    // SAFETY: an open descriptor and a termios of our own.
    match unsafe { libc::tcsetattr(port.as_raw_fd(), libc::TCSANOW, &raw const mode) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

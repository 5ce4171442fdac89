//! The few things only a first process asks of the kernel: mounts, modules, the machine's end.

use std::{
    ffi::{CStr, CString},
    fs::{self, File},
    io,
    os::fd::AsRawFd,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use crate::Failure;

/// The machine's exit value, as `ringwave_runner::machine::Outcome` reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Verdict {
    /// The tool is content.
    Ok = 16,
    /// The tool found something wrong.
    Failed = 17,
    /// The tool could not use its arguments, or could not reach the card.
    BadInput = 19,
    /// The tool was ended by a signal, or the guest did not come so far.
    Crashed = 18,
}

impl Verdict {
    /// The worse of two.
    pub fn worst(self, other: Self) -> Self {
        let rank = |verdict| match verdict {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::BadInput => 2,
            Self::Crashed => 3,
        };
        if rank(other) > rank(self) { other } else { self }
    }
}

/// Mounts what the tool and this program look into.
pub fn mount_all() -> Result<(), Failure> {
    for (kind, folder) in
        [(c"proc", c"/proc"), (c"sysfs", c"/sys"), (c"devtmpfs", c"/dev"), (c"tmpfs", c"/tmp")]
    {
        mount(kind, folder).map_err(|error| format!("mount {}: {error}", folder.to_string_lossy()))?;
    }
    Ok(())
}

fn mount(kind: &CStr, folder: &CStr) -> io::Result<()> {
    // SAFETY: three C strings that live through the call; no flags, and no data for these file systems.
    match unsafe { libc::mount(kind.as_ptr(), folder.as_ptr(), kind.as_ptr(), 0, std::ptr::null()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// `MODULE_INIT_COMPRESSED_FILE` of linux/module.h: the kernel decompresses (Linux 5.17 and newer,
/// `CONFIG_MODULE_DECOMPRESS`).
const COMPRESSED: libc::c_int = 4;

/// Loads one module: `line` is its file and its parameters, separated by spaces.
pub fn load_module(line: &str) -> Result<(), Failure> {
    let (path, parameters) = line.split_once(' ').unwrap_or((line, ""));
    let flags = if Path::new(path).extension().is_some_and(|end| end == "ko") { 0 } else { COMPRESSED };
    let said = |error: &dyn std::fmt::Display| format!("module {path}: {error}");
    let file = File::open(path).map_err(|error| said(&error))?;
    let parameters = CString::new(parameters).map_err(|error| said(&error))?;
    // SAFETY: an open file, a C string that lives through the call, and flags; glibc has no wrapper for it.
    let result =
        unsafe { libc::syscall(libc::SYS_finit_module, file.as_raw_fd(), parameters.as_ptr(), flags) };
    match (result, io::Error::last_os_error()) {
        (0, _) => Ok(()),
        (_, error) if error.raw_os_error() == Some(libc::ENOENT) => {
            Err(said(&"it needs another module before it (the kernel's line above names the symbol)"))
        }
        (_, error) => Err(said(&error)),
    }
}

/// Waits until the kernel drives an IOMMU, and names it.
pub fn wait_for_iommu(limit: Duration) -> Result<String, Failure> {
    let first = || fs::read_dir("/sys/class/iommu").ok()?.find_map(Result::ok);
    wait_until(limit, || first().map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .ok_or_else(|| "the kernel found no IOMMU (/sys/class/iommu is empty)".to_owned())
}

/// Asks `question` every 50 ms until it has an answer or `limit` has passed.
pub fn wait_until<T>(limit: Duration, mut question: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        let answer = question();
        if answer.is_some() || start.elapsed() > limit {
            return answer;
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// The port of QEMU's isa-debug-exit, as the host sets it up.
const EXIT_PORT: u16 = 0x501;

/// Ends the machine. QEMU exits with `2 * verdict + 1`.
pub fn end_machine(verdict: Verdict) -> ! {
    // The console's last lines leave first: its driver works behind our back.
    // SAFETY: a descriptor number; a console that is gone is an error we can do nothing about.
    unsafe { libc::tcdrain(libc::STDOUT_FILENO) };
    // SAFETY: asks for four ports for this process, which is all it does with them.
    if unsafe { libc::ioperm(libc::c_ulong::from(EXIT_PORT), 4, 1) } == 0 {
        // SAFETY: the port is ours since ioperm; QEMU ends at this instruction. No memory is touched.
        unsafe {
            core::arch::asm!("out dx, eax", in("dx") EXIT_PORT, in("eax") verdict as u32, options(nomem, nostack));
        };
    }
    // SAFETY: takes a number. Not reached in the machine this is written for.
    unsafe { libc::reboot(libc::RB_POWER_OFF) };
    loop {
        thread::park();
    }
}

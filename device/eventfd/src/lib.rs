//! A client's eventfds, signalled and read in a way that cannot block, whatever the client does to them.
//!
//! A card raises events with its lock held, and a function of PCI before the write that caused them is
//! answered, so a signal must not wait. `write` to an eventfd may: its counter can be full, and `O_NONBLOCK`
//! belongs to the open file, which the client shares and whose flag it can clear at any time, also between a
//! look of ours and the write. `RWF_NOWAIT` would be the answer, but an eventfd's `write` takes no such flag
//! (`fs/eventfd.c` has no `write_iter`: EOPNOTSUPP).
//!
//! What never waits is the kernel's own `eventfd_signal`, by which VFIO raises interrupts: where the counter
//! is full it stays full. A process reaches it through asynchronous I/O: an operation with `IOCB_FLAG_RESFD`
//! signals that eventfd when it is complete, and a read of no bytes from a memfd of ours is complete before
//! `io_submit` returns. That is 2.4 us beside 0.5 for `write`; a stream has a hundred events in a second. It
//! also refuses what is no eventfd.
//!
//! Where a kernel, or a container, has no asynchronous I/O the flag is set before each write and the counter
//! looked at. A client can win that race, with intent, and then holds the card until it leaves: the log says
//! so at the start, and `--sandbox=on` does not serve.

use std::fs::File;
use std::io::{self, IoSliceMut, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::OnceLock;

use ringwave_guest_memory::memfd::memfd;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

/// Completions that wait to be taken off; when there is no room for another one they are.
const COMPLETIONS: usize = 64;
/// `IOCB_CMD_PREAD`
const PREAD: u16 = 0;
/// `IOCB_FLAG_RESFD`
const RESFD: u32 = 1;

/// `struct iocb` of `<linux/aio_abi.h>`. The kernel writes into `key`.
#[repr(C)]
#[derive(Default)]
struct Iocb {
    data: u64,
    /// `aio_key` and `aio_rw_flags`, whose order depends on the machine; both are 0.
    key: [u32; 2],
    operation: u16,
    priority: i16,
    file: u32,
    buffer: u64,
    bytes: u64,
    offset: i64,
    reserved: u64,
    flags: u32,
    event: u32,
}

/// `struct io_event`
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Completion([u64; 4]);

/// Takes the signals off an eventfd that nobody has seen. Gives whether there was one.
///
/// An eventfd takes `RWF_NOWAIT` here (since Linux 5.8). Before, it is looked at first, and a client that
/// reads it between the look and our read, with intent, holds us until it signals.
pub fn take_back(fd: impl AsFd) -> bool {
    let mut counter = [0; 8];
    let mut into = [IoSliceMut::new(&mut counter)];
    // -1: where the file is, for an eventfd has no places.
    match preadv2(&fd, &mut into, u64::MAX, ReadWriteFlags::NOWAIT) {
        Err(Errno::OPNOTSUPP) => is_ready(&fd, PollFlags::IN) && rustix::io::read(&fd, &mut counter) == Ok(8),
        read => read == Ok(8),
    }
}

/// Whether a descriptor is an eventfd. Where there is no /proc to ask, one that can be signalled is: it then
/// was, once.
pub fn is_eventfd(file: &File) -> bool {
    match std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())) {
        Ok(kind) => kind.as_os_str() == "anon_inode:[eventfd]",
        Err(_) => signaller().is_some_and(|signaller| signaller.signal(file).is_ok()),
    }
}

/// Whether a descriptor is ready, without waiting.
fn is_ready(fd: impl AsFd, events: PollFlags) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(&fd, events)], Some(&now)).is_ok_and(|ready| ready != 0)
}

/// How eventfds of this process are signalled: one for all cards, as it lives as long as the process.
struct Signaller {
    /// `aio_context_t`
    context: libc::c_ulong,
    /// What is read from: nothing.
    empty: File,
}

/// Whether signals cannot block. Asks the kernel for what that takes, once: call it before system calls are
/// given up.
pub fn never_blocks() -> bool {
    signaller().is_some()
}

/// Adds 1 to the eventfd, or leaves it full. Gives whether it was signalled.
pub fn signal(fd: &File) -> bool {
    match signaller() {
        Some(signaller) => signaller.signal(fd).is_ok(),
        None => write(fd),
    }
}

fn signaller() -> Option<&'static Signaller> {
    static SIGNALLER: OnceLock<Option<Signaller>> = OnceLock::new();
    SIGNALLER
        .get_or_init(|| Signaller::new().inspect_err(|error| log::debug!("io_setup: {error}")).ok())
        .as_ref()
}

impl Signaller {
    fn new() -> io::Result<Self> {
        let empty = memfd(c"ringwave signals", 0, true)?;
        let mut context: libc::c_ulong = 0;
        // SAFETY: the kernel writes the context, which is 0 as it has to be, and maps memory that it alone
        // uses.
        if unsafe { libc::syscall(libc::SYS_io_setup, COMPLETIONS, &raw mut context) } < 0 {
            return Err(io::Error::last_os_error());
        }
        let new = Self { context, empty };
        // That it works is seen now, not when an interrupt is lost.
        let event = rustix::event::eventfd(0, rustix::event::EventfdFlags::NONBLOCK)?;
        new.signal(&event)?;
        Ok(new)
    }

    fn signal(&self, fd: &impl AsRawFd) -> io::Result<()> {
        loop {
            match self.submit(fd.as_raw_fd()) {
                Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => self.take_completions()?,
                result => return result,
            }
        }
    }

    /// Reads nothing and signals the eventfd.
    fn submit(&self, event: i32) -> io::Result<()> {
        let number = |fd: i32| u32::try_from(fd).map_err(io::Error::other);
        let mut request = Iocb {
            operation: PREAD,
            file: number(self.empty.as_raw_fd())?,
            flags: RESFD,
            event: number(event)?,
            ..Iocb::default()
        };
        let mut requests = [&raw mut request];
        // SAFETY: one request, which is read (and its key written) before the call returns; it names no
        // buffer, for it reads no byte.
        match unsafe { libc::syscall(libc::SYS_io_submit, self.context, 1_usize, requests.as_mut_ptr()) } {
            1 => Ok(()),
            -1 => Err(io::Error::last_os_error()),
            _ => Err(io::Error::other("not submitted")),
        }
    }

    /// Makes room. Everything submitted is complete, so it does not wait.
    fn take_completions(&self) -> io::Result<()> {
        let mut taken = [Completion::default(); COMPLETIONS];
        let (none, nowhere) = (0_usize, std::ptr::null_mut::<libc::timespec>());
        // SAFETY: the kernel writes at most as many completions as there is room for; the least number is 0,
        // so that it does not wait.
        let count = unsafe {
            libc::syscall(
                libc::SYS_io_getevents,
                self.context,
                none,
                COMPLETIONS,
                taken.as_mut_ptr(),
                nowhere,
            )
        };
        match count {
            -1 => Err(io::Error::last_os_error()),
            // Another thread was faster, or there is a defect in here: trying again for ever would be worse
            // than a lost interrupt.
            0 => Err(io::Error::other("no room for another completion")),
            _ => Ok(()),
        }
    }
}

/// The second best: a write that blocks only if the client fills the counter and clears the flag between two
/// calls of ours. A counter that is full is signalled already.
fn write(mut fd: &File) -> bool {
    if let Ok(flags) = fcntl_getfl(fd) {
        let _ = fcntl_setfl(fd, flags | OFlags::NONBLOCK);
    }
    is_ready(fd, PollFlags::OUT) && fd.write_all(&1_u64.to_ne_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::OwnedFd;
    use std::sync::mpsc;
    use std::time::Duration;
    use vmm_sys_util::eventfd::EventFd;

    fn both(event: &EventFd) -> File {
        use std::os::fd::{FromRawFd, IntoRawFd};
        // SAFETY: the descriptor was just given up by its EventFd.
        unsafe { File::from_raw_fd(event.try_clone().unwrap().into_raw_fd()) }
    }

    #[test]
    fn each_signal_counts_before_the_call_returns_however_many() {
        let event = EventFd::new(libc::EFD_NONBLOCK).unwrap();
        let file = both(&event);
        for _ in 0..5 * COMPLETIONS {
            assert!(signal(&file));
            assert_eq!(event.read().unwrap(), 1);
        }
        assert!(write(&file));
        assert_eq!(event.read().unwrap(), 1);
    }

    #[test]
    fn full_counter_that_would_block_does_not() {
        assert!(never_blocks(), "this kernel has asynchronous I/O");
        let event = EventFd::new(0).unwrap();
        event.write(u64::MAX - 1).unwrap();
        let file = both(&event);
        let (done, waits) = mpsc::channel();
        std::thread::spawn(move || {
            for _ in 0..3 {
                signal(&file);
            }
            // And the second best sees that there is no room.
            assert!(!write(&file));
            done.send(()).unwrap();
        });
        waits.recv_timeout(Duration::from_secs(10)).unwrap();
    }

    #[test]
    fn what_is_no_eventfd_is_known_and_not_signalled() {
        let (reader, writer) = io::pipe().unwrap();
        let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let files =
            [OwnedFd::from(reader), writer.into(), socket.into(), memfd(c"no", 8, true).unwrap().into()];
        for file in files.map(File::from) {
            assert!(!is_eventfd(&file) && !signal(&file), "{file:?}");
        }
        assert!(is_eventfd(&both(&EventFd::new(0).unwrap())));
    }

    #[test]
    fn reading_takes_all_that_was_signalled_and_never_waits() {
        let event = EventFd::new(0).unwrap();
        let file = both(&event);
        assert!(!take_back(&file), "it would block");
        event.write(3).unwrap();
        assert!(take_back(&file) && !take_back(&file));
    }
}

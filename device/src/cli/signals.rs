//! The signals that a serving process takes, one at a time, by a thread that waits for them: those that end
//! it, and SIGUSR1, which asks for the figures.
//!
//! No handler runs anywhere: the signals are blocked before the first other thread is started (which inherits
//! that), and stay pending until they are asked for. SIGTERM and SIGINT are always taken, also where a shell
//! has set them to be ignored for what it runs in the background. SIGHUP is taken, too, because a terminal
//! that is closed ends its programs; not under `nohup`, whose word is that it does not.

use std::io;
use std::mem::MaybeUninit;
use std::ptr;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalKind {
    /// The figures of the moment.
    Stats,
    /// The end.
    End,
}

/// The signals that are taken.
pub struct Signals(libc::sigset_t);

impl Signals {
    /// Blocks them for this thread and those that it starts from now on.
    pub fn block() -> io::Result<Self> {
        let mut set = MaybeUninit::uninit();
        // SAFETY: sigemptyset initialises what it is given.
        let mut set = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            set.assume_init()
        };
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGUSR1] {
            if signal != libc::SIGHUP || !ignored(signal)? {
                // SAFETY: the set is initialised and the number is a signal's.
                unsafe { libc::sigaddset(&raw mut set, signal) };
            }
        }
        // SAFETY: the set is initialised; nobody wants the old one.
        match unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut()) } {
            0 => Ok(Self(set)),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }

    /// Waits for the next one.
    pub fn wait(&self) -> io::Result<SignalKind> {
        let mut signal = 0;
        // SAFETY: the set is initialised, and `signal` is written to.
        match unsafe { libc::sigwait(&raw const self.0, &raw mut signal) } {
            0 if signal == libc::SIGUSR1 => Ok(SignalKind::Stats),
            0 => Ok(SignalKind::End),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }
}

/// A file that grows beyond the limit of its size (`RLIMIT_FSIZE`) is an error of that file (EFBIG), as a
/// full disk is, and not the end of the process.
pub fn ignore_size_limit() {
    // SAFETY: no handler is installed; the disposition is the process's and nobody else sets it.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

fn ignored(signal: libc::c_int) -> io::Result<bool> {
    let mut now = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: nothing is changed, and `now` has room for what is told.
    if unsafe { libc::sigaction(signal, ptr::null(), now.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: sigaction filled it in.
    Ok(unsafe { now.assume_init() }.sa_sigaction == libc::SIG_IGN)
}

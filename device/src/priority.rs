//! The priority of the process: a busy host must not let the card's time wait behind other programs.
//!
//! The engine sleeps nearly all the time and has microseconds of work at the end of a packet. With the
//! ordinary policy Linux lets it wait until a busy program has used up its slice, which is milliseconds,
//! longer than a short packet; neither a nice value nor a short slice helps where the kernel groups programs
//! by session (`sched_autogroup`). So the process asks for `SCHED_FIFO` with the lowest real-time priority
//! (`sched(7)`), which takes `CAP_SYS_NICE` or an `RLIMIT_RTPRIO` of 1 or more.
//!
//! Threads inherit it. The engine and the thread that does its input and output share a lock, so both have
//! it: an ordinary thread that is put aside with the lock held would let the engine wait after all. Then the
//! main thread [gives it up](give_up), so that the thread that answers the client never has it: how much that
//! works is the client's to say, and a client must not take a processor from the host.

use std::fmt;
use std::io;

/// The lowest real-time priority: before every ordinary thread, behind every other real-time thread.
const LOWEST: libc::c_int = 1;

/// `--priority`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// Real time, if this process may have it
    Auto,
    /// Real time, or end with an error
    Realtime,
    /// What the process was started with
    Ordinary,
}

/// What is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// `SCHED_FIFO`.
    RealTime,
    /// It was asked for, and this process may not have it.
    Refused,
    /// It was not asked for.
    AsStarted,
}

/// How a process gets the right.
const NEXT_STEP: &str = "ulimit -r 1, LimitRTPRIO=1 in a systemd unit, or CAP_SYS_NICE";

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RealTime => f.write_str("real time"),
            Self::Refused => write!(f, "ordinary, and late on a busy host (real time takes {NEXT_STEP})"),
            Self::AsStarted => f.write_str("ordinary"),
        }
    }
}

/// Why the process has no real-time priority although it was asked for.
#[derive(Debug, thiserror::Error)]
#[error("no real-time priority: {0}; it takes {NEXT_STEP}; or use --priority auto")]
pub struct PriorityError(io::Error);

/// Gives the calling thread, and those that it starts, their priority. Call it before the capabilities are
/// dropped and before there are threads.
///
/// # Errors
/// Only in [`Mode::Realtime`], when the process may not have it.
pub fn take(mode: Mode) -> Result<Priority, PriorityError> {
    if mode == Mode::Ordinary {
        return Ok(Priority::AsStarted);
    }
    match set(libc::SCHED_FIFO, LOWEST) {
        Ok(()) => Ok(Priority::RealTime),
        Err(error) if mode == Mode::Realtime => Err(PriorityError(error)),
        Err(_) => Ok(Priority::Refused),
    }
}

/// Makes the calling thread an ordinary one, which every thread may do.
pub fn give_up() {
    if let Err(error) = set(libc::SCHED_OTHER, 0) {
        log::warn!("the priority of a thread stays as it is: {error}");
    }
}

/// Of the calling thread.
fn set(policy: libc::c_int, priority: libc::c_int) -> io::Result<()> {
    let parameter = libc::sched_param { sched_priority: priority };
    // SAFETY: 0 is the calling thread, and the parameter is only read.
    match unsafe { libc::sched_setscheduler(0, policy, &raw const parameter) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

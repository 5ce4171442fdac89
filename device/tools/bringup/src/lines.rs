//! The tool's ends of the interrupts: eventfds, and waiting for them with a limit.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

/// One eventfd per interrupt.
pub struct Lines(Vec<EventFd>);

impl Lines {
    /// So many.
    pub fn new(count: u32) -> io::Result<Self> {
        (0..count).map(|_| EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC)).collect::<io::Result<_>>().map(Self)
    }

    /// All of them.
    pub fn events(&self) -> Vec<&EventFd> {
        self.0.iter().collect()
    }

    /// How often each was raised since it was last asked.
    pub fn take(&self) -> Vec<u64> {
        self.0.iter().map(|event| event.read().unwrap_or(0)).collect()
    }

    /// Waits until any is raised, or `time` has passed.
    pub fn wait(&self, time: Duration) {
        let end = Instant::now() + time;
        // SAFETY: the descriptors are open as long as `self.0`, which is borrowed.
        let fd = |event: &EventFd| unsafe { BorrowedFd::borrow_raw(event.as_raw_fd()) };
        let mut polled: Vec<PollFd<'_>> =
            self.0.iter().map(|event| PollFd::from_borrowed_fd(fd(event), PollFlags::IN)).collect();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            // A time that has no end is none.
            let limit = Timespec::try_from(left).ok();
            let interrupted = poll(&mut polled, limit.as_ref()) == Err(Errno::INTR);
            if !interrupted || left.is_zero() {
                return;
            }
        }
    }
}

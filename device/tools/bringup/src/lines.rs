//! The tool's ends of the interrupts: eventfds, and waiting for them with a limit.

use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

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
        let mut polled: Vec<libc::pollfd> = self
            .0
            .iter()
            .map(|event| libc::pollfd { fd: event.as_raw_fd(), events: libc::POLLIN, revents: 0 })
            .collect();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            // Rounded up, so that a short rest is not spun away.
            let millis = libc::c_int::try_from(left.as_micros().div_ceil(1000)).unwrap_or(libc::c_int::MAX);
            // SAFETY: `polled` is a vector of so many pollfds.
            let raised = unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, millis) };
            let interrupted = raised < 0 && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted;
            if !interrupted || left.is_zero() {
                return;
            }
        }
    }
}

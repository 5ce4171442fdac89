//! The guest's end of an interrupt.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use ringwave_pci::{IrqAction, IrqChange};
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::PATIENCE;
use crate::BenchError;

/// An eventfd, and a thread that sleeps on it.
pub struct Interrupt {
    event: EventFd,
    epoll: Epoll,
}

impl Interrupt {
    /// A new eventfd.
    pub fn new() -> io::Result<Self> {
        let event = EventFd::new(EFD_NONBLOCK)?;
        let epoll = Epoll::new()?;
        epoll.ctl(ControlOperation::Add, event.as_raw_fd(), EpollEvent::new(EventSet::IN, 0))?;
        Ok(Self { event, epoll })
    }

    /// Another descriptor of it, for the side that raises it.
    pub fn raiser(&self) -> io::Result<EventFd> {
        self.event.try_clone()
    }

    /// The same for who wants a file.
    pub fn file(&self) -> io::Result<File> {
        self.descriptor().map(File::from)
    }

    /// The first MSI message of a function raises it.
    pub fn connect(&self) -> io::Result<IrqChange<'static>> {
        let fds = vec![self.descriptor()?];
        Ok(IrqChange::Assign { action: IrqAction::Trigger, start: 0, fds })
    }

    fn descriptor(&self) -> io::Result<OwnedFd> {
        // SAFETY: the descriptor is open as long as `self.event`, which is borrowed.
        unsafe { BorrowedFd::borrow_raw(self.event.as_raw_fd()) }.try_clone_to_owned()
    }

    /// Sleeps until it was raised; an error if it never is.
    pub fn wait(&self) -> Result<(), BenchError> {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            let mut events = [EpollEvent::default()];
            match self.epoll.wait(100, &mut events) {
                Ok(1..) if self.event.read().is_ok() => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(BenchError::Card("no interrupt comes".to_owned()))
    }
}

//! The client's ends of the interrupts: eventfds for MSI messages, and the INTx line with its mask.

use std::fs::File;

use ringwave_vfio_user::{IrqAction, IrqChange};

use crate::config::MSI_MESSAGES_MAX;
use ringwave_eventfd::{signal, take_back};

/// What reached the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// MSI messages: bit n = message n.
    pub msi: u32,
    /// INTx was signalled.
    pub intx: bool,
}

/// All interrupts of the function.
#[derive(Default)]
pub struct Interrupts {
    msi: [Option<File>; MSI_MESSAGES_MAX as usize],
    intx: Option<File>,
    /// The level, after Interrupt Disable.
    asserted: bool,
    /// By the client, or because it was raised: an INTx masks itself until the client unmasks it.
    masked: bool,
    raised: u64,
    /// Since the last [`Interrupts::take_delivered`].
    delivered: Delivered,
}

impl Interrupts {
    /// What the client asks of MSI. Numbers of messages that no function has are ignored.
    pub fn set_msi(&mut self, change: IrqChange<'_>) {
        match change {
            IrqChange::Disable => self.msi = Default::default(),
            IrqChange::Assign { action: IrqAction::Trigger, start, fds } => {
                for (line, fd) in self.msi.iter_mut().skip(start as usize).zip(fds) {
                    *line = Some(fd.into());
                }
            }
            IrqChange::Deassign { action: IrqAction::Trigger, vectors } => {
                for number in vectors.iter() {
                    if let Some(line) = self.msi.get_mut(number as usize) {
                        *line = None;
                    }
                }
            }
            IrqChange::Act { action: IrqAction::Trigger, vectors } => {
                for number in vectors.iter() {
                    self.send(1_u32.checked_shl(number).unwrap_or(0));
                }
            }
            IrqChange::Assign { .. } | IrqChange::Deassign { .. } | IrqChange::Act { .. } => {}
        }
    }

    /// How many MSI messages, from number 0 on, reach the client.
    pub fn msi_connected(&self) -> u32 {
        let connected = self.msi.iter().take_while(|line| line.is_some()).count();
        u32::try_from(connected).unwrap_or(MSI_MESSAGES_MAX)
    }

    /// What the client asks of INTx.
    pub fn set_intx(&mut self, change: IrqChange<'_>) {
        match change {
            IrqChange::Disable => self.intx = None,
            IrqChange::Deassign { action: IrqAction::Trigger, .. } => {
                self.intx = None;
                self.masked = false;
            }
            IrqChange::Assign { action: IrqAction::Trigger, fds, .. } => {
                self.intx = fds.into_iter().next().map(File::from);
                self.masked = false;
            }
            IrqChange::Act { action, vectors } if vectors.iter().next().is_some() => match action {
                IrqAction::Trigger => self.raise_intx(),
                IrqAction::Mask => self.masked = true,
                IrqAction::Unmask => self.masked = false,
            },
            IrqChange::Assign { .. } | IrqChange::Deassign { .. } | IrqChange::Act { .. } => {}
        }
        self.update_intx();
    }

    /// Sends MSI messages: bit n = message n. A message that nobody listens to is lost, as on a bus.
    pub fn send(&mut self, messages: u32) {
        for (number, line) in self.msi.iter().enumerate() {
            if messages >> number & 1 != 0
                && let Some(line) = line
            {
                let signalled = signal(line);
                self.raised += u64::from(signalled);
                self.delivered.msi |= u32::from(signalled) << number;
            }
        }
    }

    /// Drives INTx to this level.
    ///
    /// A line that falls before its client has seen it rise never rose. QEMU is told of it by another thread
    /// than that of the guest's access which acknowledges it: told after, it would assert a line that nothing
    /// asserts until the guest's next access, and the service routine of a guest that has put the function
    /// into D3 makes none.
    pub fn drive_intx(&mut self, asserted: bool) {
        let falls = self.asserted && !asserted;
        self.asserted = asserted;
        if falls && self.masked && self.intx.as_ref().is_some_and(take_back) {
            self.masked = false;
        }
        self.update_intx();
    }

    fn update_intx(&mut self) {
        if self.asserted && !self.masked {
            self.raise_intx();
        }
    }

    fn raise_intx(&mut self) {
        if let Some(line) = &self.intx {
            self.masked = true;
            let signalled = signal(line);
            self.raised += u64::from(signalled);
            self.delivered.intx |= signalled;
        }
    }

    /// The client has left: nobody listens, nothing is masked.
    pub fn disconnect_all(&mut self) {
        *self = Self { raised: self.raised, ..Self::default() };
    }

    /// What reached the client since the last call.
    pub fn take_delivered(&mut self) -> Delivered {
        std::mem::take(&mut self.delivered)
    }

    /// The level of INTx, after Interrupt Disable.
    pub fn asserted(&self) -> bool {
        self.asserted
    }

    /// How many interrupts were raised since the last call.
    pub fn take_raised(&mut self) -> u64 {
        std::mem::take(&mut self.raised)
    }

    /// How many interrupts were raised since [`Interrupts::take_raised`].
    pub fn raised(&self) -> u64 {
        self.raised
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringwave_vfio_user::Vectors;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};
    use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

    const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

    fn line() -> (EventFd, OwnedFd) {
        let event = EventFd::new(EFD_NONBLOCK).unwrap();
        let theirs = event.try_clone().unwrap().into_raw_fd();
        // SAFETY: the descriptor was just given up by its EventFd.
        (event, unsafe { OwnedFd::from_raw_fd(theirs) })
    }

    fn connect(start: u32, fds: Vec<OwnedFd>) -> IrqChange<'static> {
        IrqChange::Assign { action: IrqAction::Trigger, start, fds }
    }

    fn act(action: IrqAction, start: u32, count: u32) -> IrqChange<'static> {
        IrqChange::Act { action, vectors: Vectors::range(start, count) }
    }

    #[test]
    fn messages_go_to_their_eventfds() {
        let mut lines = Interrupts::default();
        let ((a, a_fd), (b, b_fd)) = (line(), line());
        lines.set_msi(connect(0, vec![a_fd, b_fd]));
        lines.send(0b10);
        lines.send(0b110);
        assert_eq!(lines.take_delivered(), Delivered { msi: 0b10, intx: false });
        assert!(a.read().is_err());
        assert_eq!(b.read().unwrap(), 2);
        assert_eq!(lines.take_raised(), 2, "message 2 has no listener");
        assert_eq!(lines.msi_connected(), 2);
        lines.set_msi(act(IrqAction::Trigger, 0, 100));
        assert_eq!((a.read().unwrap(), b.read().unwrap()), (1, 1));
        let vectors = Vectors::range(1, 1);
        lines.set_msi(IrqChange::Deassign { action: IrqAction::Trigger, vectors });
        lines.send(0b11);
        assert!(b.read().is_err());
        lines.set_msi(IrqChange::Disable);
        lines.send(0b11);
        assert_eq!(a.read().unwrap(), 1);
        lines.set_msi(connect(u32::MAX, vec![line().1]));
    }

    #[test]
    fn intx_masks_itself_and_comes_again_while_the_level_is_high() {
        let mut lines = Interrupts::default();
        let (event, fd) = line();
        lines.set_intx(connect(0, vec![fd]));
        lines.drive_intx(true);
        lines.drive_intx(true);
        assert_eq!(event.read().unwrap(), 1, "once until it is unmasked");
        lines.set_intx(act(IrqAction::Unmask, 0, 1));
        assert_eq!(event.read().unwrap(), 1, "the level is still high");
        lines.drive_intx(false);
        lines.set_intx(act(IrqAction::Unmask, 0, 1));
        assert!(event.read().is_err());
        lines.set_intx(act(IrqAction::Mask, 0, 1));
        lines.drive_intx(true);
        assert!(event.read().is_err());
        lines.set_intx(act(IrqAction::Unmask, 0, 1));
        assert_eq!(event.read().unwrap(), 1);
    }

    #[test]
    fn intx_that_falls_before_the_client_has_seen_it_never_rose() {
        // A client may share a descriptor that blocks.
        for flags in [EFD_NONBLOCK, 0] {
            let event = EventFd::new(flags).unwrap();
            let fd = event.try_clone().unwrap().into_raw_fd();
            // SAFETY: the descriptor was just given up by its EventFd.
            let fd = unsafe { OwnedFd::from_raw_fd(fd) };
            let theirs = fd.try_clone().unwrap();
            let mut lines = Interrupts::default();
            lines.set_intx(connect(0, vec![fd]));
            let pending = || poll(&mut [PollFd::new(&theirs, PollFlags::IN)], Some(&NOW)).unwrap();
            lines.drive_intx(true);
            lines.drive_intx(false);
            assert_eq!(pending(), 0, "the client is told of nothing");
            lines.drive_intx(true);
            assert_eq!(event.read().unwrap(), 1, "and of the next without unmasking");
            lines.drive_intx(false);
            lines.drive_intx(true);
            assert_eq!(pending(), 0, "what it has seen it unmasks");
            lines.set_intx(act(IrqAction::Unmask, 0, 1));
            lines.set_intx(act(IrqAction::Mask, 0, 1));
            lines.drive_intx(false);
            assert_eq!(pending(), 0);
        }
    }

    #[test]
    fn level_that_was_high_before_a_listener_came_is_signalled() {
        let mut lines = Interrupts::default();
        lines.drive_intx(true);
        let (event, fd) = line();
        lines.set_intx(connect(0, vec![fd]));
        assert_eq!(event.read().unwrap(), 1);
    }

    #[test]
    fn full_eventfd_does_not_block() {
        let event = EventFd::new(0).unwrap();
        event.write(u64::MAX - 1).unwrap();
        let fd = event.try_clone().unwrap().into_raw_fd();
        let mut lines = Interrupts::default();
        // SAFETY: the descriptor was just given up by its EventFd.
        lines.set_msi(connect(0, vec![unsafe { OwnedFd::from_raw_fd(fd) }]));
        lines.send(1);
    }
}

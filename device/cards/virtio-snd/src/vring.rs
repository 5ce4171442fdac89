//! A queue as vhost-user-backend keeps it, but for the client's descriptors: a client that means harm gives
//! what is no eventfd, or an eventfd that it empties or fills itself, and a read or write of ours would wait
//! for it with the card's lock held. An error of a read would end the thread of the queues.
//!
//! So only eventfds are taken, and they are read and signalled by [`ringwave_eventfd`], which never waits.
//!
//! A client may also give another kick descriptor while the queue runs. vhost-user-backend 0.24 then closes
//! the old one, which its epoll goes on to watch as long as the client has it open: signalled, it would keep
//! a processor busy. And the new one is watched only once the queue is enabled again. So the old one stays
//! open here and is read with the others, and the queue is begun anew.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ringwave_eventfd::{is_eventfd, signal, take_back};
use vhost_user_backend::{VringMutex, VringState, VringStateGuard, VringStateMutGuard, VringT};
use virtio_queue::{Error, QueueT};
use vm_memory::{GuestMemoryAtomic, GuestMemoryMmap};

type Memory = GuestMemoryAtomic<GuestMemoryMmap>;

/// Kick descriptors that a client may leave behind in one queue: one that gives more means harm.
const OLD_KICKS_MAX: usize = 8;

/// A queue of the present client.
#[derive(Clone)]
pub struct Vring {
    queue: VringMutex,
    call: Arc<Mutex<Call>>,
    /// Kick descriptors that are watched although the client has given others.
    old_kicks: Arc<Mutex<Vec<OwnedFd>>>,
}

/// How the client wants to be called.
#[derive(Default)]
struct Call {
    eventfd: Option<File>,
    /// There was none when the client was to be called: it is called when it gives one. QEMU gives it when
    /// all queues of a machine that goes on have started, and the driver may wait for this one call.
    owed: bool,
    /// It was said that a descriptor is no eventfd: once for each queue, or a client could fill the log.
    told: bool,
}

impl Vring {
    fn call(&self) -> MutexGuard<'_, Call> {
        self.call.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room for another kick descriptor: the present one stays open if it is watched, and
    /// vhost-user-backend watches the next one (if there is one: `follows`), as it does when a queue begins.
    /// `false`: there is no room.
    fn keep_watched_kick(&self, follows: bool) -> bool {
        let mut state = self.queue.get_mut();
        let watched = state.is_enabled() && state.get_queue().ready();
        if !watched {
            return true;
        }
        if !self.keeps_present_kick(&state) {
            return false;
        }
        // Until the queue is begun anew, a moment later in the same message, what the other threads complete is
        // dropped: a client that does this while it waits for them loses it.
        if follows {
            state.get_queue_mut().set_ready(false);
        }
        true
    }

    /// Keeps the present kick descriptor open, if there is one. `false`: it cannot be kept.
    fn keeps_present_kick(&self, state: &VringState) -> bool {
        let Some(kick) = state.get_kick() else { return true };
        let mut old = self.old_kicks.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the descriptor is open as long as `state`, which owns it, is locked.
        let kick = unsafe { BorrowedFd::borrow_raw(kick.as_raw_fd()) };
        if old.len() >= OLD_KICKS_MAX {
            return false;
        }
        match kick.try_clone_to_owned() {
            Ok(kept) => old.push(kept),
            Err(error) => {
                log::warn!("a queue's new kick descriptor is not used: {error}");
                return false;
            }
        }
        if old.len() == OLD_KICKS_MAX {
            log::warn!(
                "the client gives a queue that runs one kick descriptor after the other: no more are used"
            );
        }
        true
    }

    /// The descriptor, if it is an eventfd.
    fn eventfd(&self, file: Option<File>, what: &str) -> Option<File> {
        let file = file?;
        if is_eventfd(&file) {
            return Some(file);
        }
        if !std::mem::replace(&mut self.call().told, true) {
            log::warn!("the client's {what} descriptor of a queue is no eventfd, and is not used");
        }
        None
    }
}

impl<'a> VringStateGuard<'a, Memory> for Vring {
    type G = MutexGuard<'a, VringState>;
}

impl<'a> VringStateMutGuard<'a, Memory> for Vring {
    type G = MutexGuard<'a, VringState>;
}

impl VringT<Memory> for Vring {
    fn new(memory: Memory, max_queue_size: u16) -> Result<Self, Error> {
        let queue = VringMutex::new(memory, max_queue_size)?;
        Ok(Self { queue, call: Arc::default(), old_kicks: Arc::default() })
    }

    fn set_kick(&self, file: Option<File>) {
        let kick = self.eventfd(file, "kick");
        if self.keep_watched_kick(kick.is_some()) {
            self.queue.set_kick(kick);
        }
    }

    /// Whether the queue is enabled; what was kicked is taken.
    fn read_kick(&self) -> io::Result<bool> {
        for old in &*self.old_kicks.lock().unwrap_or_else(PoisonError::into_inner) {
            take_back(old);
        }
        let state = self.queue.get_ref();
        if let Some(kick) = state.get_kick() {
            // SAFETY: the descriptor is open as long as `state`, which owns it, is locked.
            take_back(unsafe { BorrowedFd::borrow_raw(kick.as_raw_fd()) });
        }
        Ok(state.is_enabled())
    }

    fn set_call(&self, file: Option<File>) {
        let eventfd = self.eventfd(file, "call");
        let mut call = self.call();
        if let Some(eventfd) = &eventfd
            && std::mem::take(&mut call.owed)
        {
            signal(eventfd);
        }
        call.eventfd = eventfd;
    }

    /// An error if nobody is called.
    fn signal_used_queue(&self) -> io::Result<()> {
        let mut call = self.call();
        match &call.eventfd {
            Some(call) if signal(call) => return Ok(()),
            Some(_) => {}
            None => call.owed = true,
        }
        Err(io::ErrorKind::NotConnected.into())
    }

    /// Never signalled: errors of a queue are answered in the queue.
    fn set_err(&self, _file: Option<File>) {}

    fn get_ref(&self) -> MutexGuard<'_, VringState> {
        self.queue.get_ref()
    }

    fn get_mut(&self) -> MutexGuard<'_, VringState> {
        self.queue.get_mut()
    }

    fn add_used(&self, head: u16, bytes: u32) -> Result<(), Error> {
        self.queue.add_used(head, bytes)
    }

    fn enable_notification(&self) -> Result<bool, Error> {
        self.queue.enable_notification()
    }

    fn disable_notification(&self) -> Result<(), Error> {
        self.queue.disable_notification()
    }

    fn needs_notification(&self) -> Result<bool, Error> {
        self.queue.needs_notification()
    }

    fn set_enabled(&self, enabled: bool) {
        self.queue.set_enabled(enabled);
    }

    fn set_queue_info(&self, descriptors: u64, available: u64, used: u64) -> Result<(), Error> {
        self.queue.set_queue_info(descriptors, available, used)
    }

    fn queue_next_avail(&self) -> u16 {
        self.queue.queue_next_avail()
    }

    fn set_queue_next_avail(&self, index: u16) {
        self.queue.set_queue_next_avail(index);
    }

    fn set_queue_next_used(&self, index: u16) {
        self.queue.set_queue_next_used(index);
    }

    fn queue_used_idx(&self) -> Result<u16, Error> {
        self.queue.queue_used_idx()
    }

    fn set_queue_size(&self, size: u16) {
        self.queue.set_queue_size(size);
    }

    fn set_queue_event_idx(&self, enabled: bool) {
        self.queue.set_queue_event_idx(enabled);
    }

    fn set_queue_ready(&self, ready: bool) {
        self.queue.set_queue_ready(ready);
    }
}

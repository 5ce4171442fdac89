//! Events of the client: real KEVENTs that do not move and know when they must not be signalled any more.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::c_void;

use super::layout::{DispatcherHeader, KEvent, ListEntry};
use super::sync::IrqLock;
use super::{host_time, wait};

/// How an event is left by a wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventKind {
    /// Stays signalled until cleared.
    Notification,
    /// Releases one waiter.
    Synchronization,
}

/// Signals per client event: (address, count).
static COUNTS: IrqLock<Vec<(usize, u64)>> = IrqLock::new(Vec::new());

/// Events that the port has a reference to, and whether their client has let go of them meanwhile.
static HELD: IrqLock<Vec<(usize, bool)>> = IrqLock::new(Vec::new());

/// The port takes a reference to a client's event, as it does to register it with a stream.
pub fn hold(event: usize) {
    HELD.lock().push((event, false));
}

/// The port gives it back: what nobody else has is poisoned.
pub fn let_go(event: usize) {
    let poisoned = {
        let mut held = HELD.lock();
        let at = held.iter().position(|(at, _)| *at == event);
        at.map(|at| held.swap_remove(at)).is_some_and(|(_, due)| due)
    };
    if poisoned {
        poison(event as *mut KEvent);
    }
}

fn poison(event: *mut KEvent) {
    // SAFETY: our own leaked allocation.
    unsafe { (&raw mut (*event).header.kind).write_volatile(wait::POISONED) }
}

/// Fills in a KEVENT, as KeInitializeEvent does.
///
/// # Safety
/// `event` is 24 writable bytes.
pub unsafe fn initialize(event: *mut KEvent, kind: u8, signalled: bool) {
    // SAFETY: by the contract above.
    unsafe {
        let list = (&raw mut (*event).header.wait_list).cast::<ListEntry>();
        event.write(KEvent {
            header: DispatcherHeader {
                kind,
                signalling: 0,
                size: 6,
                reserved: 0,
                signal_state: i32::from(signalled),
                wait_list: ListEntry { flink: list, blink: list },
            },
        });
    }
}

/// Counts a signal of a client's event.
pub fn count(event: usize) {
    if let Some((_, n)) = COUNTS.lock().iter_mut().find(|(e, _)| *e == event) {
        *n += 1;
    }
}

/// An event. Its memory is never used again, so that a late signal is always recognised.
pub struct Event(*mut KEvent);

// SAFETY: the event is only touched through the kernel's services, which hold the scheduler's lock.
unsafe impl Send for Event {}
// SAFETY: see above.
unsafe impl Sync for Event {}

impl Event {
    /// Makes an event.
    pub fn new(kind: EventKind, signalled: bool) -> Self {
        let kind = match kind {
            EventKind::Notification => wait::NOTIFICATION_EVENT,
            EventKind::Synchronization => wait::SYNCHRONIZATION_EVENT,
        };
        let event: *mut KEvent = Box::leak(Box::<KEvent>::new_uninit()).as_mut_ptr();
        // SAFETY: just allocated, of this size.
        unsafe { initialize(event, kind, signalled) };
        COUNTS.lock().push((event as usize, 0));
        Self(event)
    }

    /// The KEVENT, to be given to the driver.
    pub fn as_ptr(&self) -> *mut c_void {
        self.0.cast()
    }

    /// From now on the driver must not touch it (rule `event-after-unregister`); while the port has a reference,
    /// from the moment that it gives it back.
    pub fn poison(&self) {
        let held = HELD.lock().iter_mut().find(|(at, _)| *at == self.0 as usize).map(|(_, due)| *due = true);
        if held.is_none() {
            poison(self.0);
        }
    }

    /// Makes it not signalled.
    pub fn clear(&self) {
        // SAFETY: our own leaked allocation.
        unsafe { (&raw mut (*self.0).header.signal_state).write_volatile(0) }
    }

    /// Signals it as a driver would; it is not counted.
    pub fn signal(&self) {
        wait::signal(self.0.cast(), 1);
    }

    /// How often the driver signalled it.
    pub fn signals(&self) -> u64 {
        COUNTS.lock().iter().find(|(e, _)| *e == self.0 as usize).map_or(0, |(_, n)| *n)
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        self.poison();
    }
}

/// Waits for an event; false when the time was up, in which what the host took does not count.
pub fn wait(event: &Event, timeout_ms: u32) -> bool {
    let timeout = u64::from(timeout_ms) * 10_000;
    let mark = host_time::Mark::now();
    let mut left = timeout;
    loop {
        let until = 0_i64.saturating_sub_unsigned(left);
        if wait::wait("the client's wait", &[event.0 as usize], false, &raw const until)
            == wait::STATUS_SUCCESS
        {
            return true;
        }
        // Each clock interrupt, however late, brings it nearer by a millisecond.
        left = timeout.saturating_sub(mark.left_100ns());
        if timeout == 0 || left == 0 {
            return false;
        }
    }
}

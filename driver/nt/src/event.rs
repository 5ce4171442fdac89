//! Kernel events: our own to wait on, and the client's to signal.
use crate::pool::try_box;
use crate::status::{NtResult, STATUS_TIMEOUT};
use crate::sys::LargeInteger as _;
use crate::sys::{self, BOOLEAN, KEVENT, LARGE_INTEGER};
use alloc::boxed::Box;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

/// An event of ours, in non-paged memory for as long as it lives. Nobody may wait on it when it is dropped.
pub struct Event {
    event: Box<UnsafeCell<MaybeUninit<KEVENT>>>,
}

// SAFETY: a kernel event is made to be used from several threads at once; all access goes through the
// kernel's routines.
unsafe impl Send for Event {}
// SAFETY: as above.
unsafe impl Sync for Event {}

/// What takes an event's signal away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only [`Event::clear`].
    Notification,
    /// The first waiter that it wakes.
    Synchronization,
}

impl Event {
    /// Not signalled.
    pub fn try_new(kind: Kind) -> NtResult<Self> {
        let event = Self { event: try_box(UnsafeCell::new(MaybeUninit::uninit()))? };
        let kind = match kind {
            Kind::Notification => sys::_EVENT_TYPE::NotificationEvent,
            Kind::Synchronization => sys::_EVENT_TYPE::SynchronizationEvent,
        };
        // SAFETY: room for a KEVENT that does not move.
        unsafe { sys::KeInitializeEvent(event.as_ptr(), kind, BOOLEAN::from(false)) };
        Ok(event)
    }

    /// The kernel's structure.
    pub fn as_ptr(&self) -> *mut KEVENT {
        self.event.get().cast()
    }

    /// Signals it. At most DISPATCH_LEVEL.
    pub fn set(&self) {
        // SAFETY: initialised by `try_new`; Wait is FALSE.
        unsafe { sys::KeSetEvent(self.as_ptr(), 0, BOOLEAN::from(false)) };
    }

    /// Takes the signal away. At most DISPATCH_LEVEL.
    pub fn clear(&self) {
        // SAFETY: initialised by `try_new`.
        unsafe { sys::KeClearEvent(self.as_ptr()) };
    }

    /// Waits at most that long (in 100 ns, up to about 29,000 years); `true` if it was signalled. At most
    /// APC_LEVEL; with 0 it only looks, which is allowed at DISPATCH_LEVEL too.
    pub fn wait_100ns(&self, timeout: u64) -> bool {
        // Negative is relative to now.
        let mut timeout =
            LARGE_INTEGER::from_i64(i64::try_from(timeout).map_or(-i64::MAX, i64::wrapping_neg));
        // SAFETY: initialised by `try_new`; the timeout outlives the call.
        let status = unsafe {
            sys::KeWaitForSingleObject(
                self.as_ptr().cast(),
                sys::_KWAIT_REASON::Executive,
                sys::KernelMode,
                BOOLEAN::from(false),
                &raw mut timeout,
            )
        };
        status != STATUS_TIMEOUT
    }
}

/// An event of the client's, as `RegisterNotificationEvent` hands it over: PortCls keeps it alive until
/// `UnregisterNotificationEvent` returns, and after that it must never be touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientEvent(NonNull<KEVENT>);

// SAFETY: a kernel event may be signalled from any thread; how long it lives is the contract of `from_raw`.
unsafe impl Send for ClientEvent {}
// SAFETY: as above.
unsafe impl Sync for ClientEvent {}

impl ClientEvent {
    /// `None` for NULL.
    ///
    /// # Safety
    /// The event stays alive until the last [`signal`](Self::signal) of this value and its copies has
    /// returned.
    pub unsafe fn from_raw(event: *mut KEVENT) -> Option<Self> {
        NonNull::new(event).map(Self)
    }

    /// Signals it. At most DISPATCH_LEVEL.
    pub fn signal(self) {
        // SAFETY: alive by the contract of `from_raw`; Wait is FALSE.
        unsafe { sys::KeSetEvent(self.0.as_ptr(), 0, BOOLEAN::from(false)) };
    }
}

#[cfg(test)]
#[cfg(not(windows))]
mod tests {
    use super::*;

    #[test]
    fn kinds_differ_in_who_takes_the_signal_away() {
        let auto = Event::try_new(Kind::Synchronization).unwrap();
        assert!(!auto.wait_100ns(0), "born signalled");
        auto.set();
        assert!(auto.wait_100ns(0));
        assert!(!auto.wait_100ns(0), "a synchronization event wakes one waiter only");
        let manual = Event::try_new(Kind::Notification).unwrap();
        manual.set();
        assert!(manual.wait_100ns(0) && manual.wait_100ns(0));
        manual.clear();
        let before = crate::clock::now();
        assert!(!manual.wait_100ns(20_000));
        assert!(crate::clock::now() - before >= 20_000, "waited less than 2 ms");
    }

    #[test]
    fn a_client_event_is_signalled_from_another_thread() {
        let event = Event::try_new(Kind::Synchronization).unwrap();
        // SAFETY: `event` outlives the thread.
        let client = unsafe { ClientEvent::from_raw(event.as_ptr()) }.unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || client.signal());
            assert!(event.wait_100ns(50_000_000), "the signal did not arrive in 5 s");
        });
        // SAFETY: NULL is refused.
        assert!(unsafe { ClientEvent::from_raw(core::ptr::null_mut()) }.is_none());
    }
}

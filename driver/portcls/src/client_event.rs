//! The events of a client of a stream (`RegisterNotificationEvent`), without `unsafe` in the miniport.
//! WAVERT.md 4.5.
//!
//! PortCls keeps an event alive until `UnregisterNotificationEvent` has returned, and not longer. So it is
//! not the miniport that unregisters one: all events of the driver stand in one list under one spin lock,
//! each with its object and with the [`ClientEvents`] that signals it. The table of
//! [`IMiniportWaveRTStreamNotification`] puts them there and takes them out, whatever the miniport does, and
//! signals go through the lock.
//!
//! [`IMiniportWaveRTStreamNotification`]: crate::interfaces::IMiniportWaveRTStreamNotification

use crate::interfaces::MiniportWaveRTStream;
use alloc::boxed::Box;
use core::sync::atomic::{AtomicU64, Ordering};
use nt::NtResult;
use nt::event::ClientEvent;
use nt::pool::try_box;
use nt::spinlock::SpinLock;
use nt::status::{STATUS_INVALID_PARAMETER, STATUS_NOT_FOUND, STATUS_UNSUCCESSFUL};
use nt::sys::KEVENT;

/// Most events of one object. A client registers one; the bound keeps the work under the spin lock bounded.
pub const EVENTS_MAX: usize = 32;

/// What a stream signals: the events that clients have registered with it.
///
/// Several may be a part of one object, or none: the object says with
/// [`client_events`](StreamWithEvents::client_events) which one an event is for.
pub struct ClientEvents {
    number: u64,
}

/// What a stream with `IMiniportWaveRTStreamNotification` says of its events.
pub trait StreamWithEvents: MiniportWaveRTStream {
    /// Those that a client's event is put to.
    fn client_events(&self) -> &ClientEvents;

    /// Whether a client may register one now: it may not without a buffer with notifications. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// The status that the client gets, `STATUS_UNSUCCESSFUL` by the method's page.
    fn may_register_event(&self) -> NtResult;
}

/// A registered event.
struct Node {
    event: ClientEvent,
    /// The object that it was registered with, by its address.
    object: usize,
    /// The [`ClientEvents`] that signals it.
    events: u64,
    next: Option<Box<Node>>,
}

/// Every event of this driver.
static LIST: SpinLock<List> = SpinLock::new(List { first: None });

struct List {
    first: Option<Box<Node>>,
}

impl List {
    fn iter(&self) -> impl Iterator<Item = &Node> {
        core::iter::successors(self.first.as_deref(), |node| node.next.as_deref())
    }

    /// Takes a node out, for the caller to free; `None` if there is none.
    fn take(&mut self, is_meant: impl Fn(&Node) -> bool) -> Option<Box<Node>> {
        let mut link = &mut self.first;
        while link.as_ref().is_some_and(|node| !is_meant(node)) {
            link = &mut link.as_mut()?.next;
        }
        let mut node = link.take()?;
        *link = node.next.take();
        Some(node)
    }
}

impl ClientEvents {
    /// None yet.
    #[expect(clippy::new_without_default, reason = "each is another one")]
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { number: NEXT.fetch_add(1, Ordering::Relaxed) }
    }

    /// Signals them all. At most DISPATCH_LEVEL.
    pub fn signal(&self) {
        LIST.lock().iter().filter(|node| node.events == self.number).for_each(|node| node.event.signal());
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        LIST.lock().iter().filter(|node| node.events == self.number).count()
    }
}

impl Drop for ClientEvents {
    /// Of a client that went without a word nothing is unregistered.
    fn drop(&mut self) {
        loop {
            let left = LIST.lock().take(|node| node.events == self.number);
            if left.is_none() {
                break;
            }
        }
    }
}

/// `RegisterNotificationEvent`. Refused for NULL, when the object does, for an event that is registered with
/// it already, and beyond [`EVENTS_MAX`]. PASSIVE_LEVEL.
///
/// # Errors
/// `STATUS_INVALID_PARAMETER`, the object's own, `STATUS_INSUFFICIENT_RESOURCES`, `STATUS_UNSUCCESSFUL`.
///
/// # Safety
/// The event is NULL, or stays alive until [`unregister`] of the object has returned, where the object stays
/// too.
pub unsafe fn register<T: StreamWithEvents>(object: &T, event: *mut KEVENT) -> NtResult {
    // SAFETY: signalled under the lock only, and `unregister` takes it out under the lock.
    let event = unsafe { ClientEvent::from_raw(event) }.ok_or(STATUS_INVALID_PARAMETER)?;
    object.may_register_event()?;
    let events = object.client_events().number;
    let object = core::ptr::from_ref(object).addr();
    // Made before the lock is taken, and freed after it was given back.
    let mut node = try_box(Node { event, object, events, next: None })?;
    let mut list = LIST.lock();
    let own = || list.iter().filter(|other| other.object == object);
    if own().count() >= EVENTS_MAX || own().any(|other| other.event == event) {
        drop(list);
        return Err(STATUS_UNSUCCESSFUL);
    }
    node.next = list.first.take();
    list.first = Some(node);
    Ok(())
}

/// `UnregisterNotificationEvent`: when this returns the event is not touched any more. PASSIVE_LEVEL.
///
/// # Errors
/// `STATUS_NOT_FOUND` if the object does not have it.
///
/// # Safety
/// The event is as for [`register`]. (It is compared, and not looked into.)
pub unsafe fn unregister<T: StreamWithEvents>(object: &T, event: *mut KEVENT) -> NtResult {
    // SAFETY: only compared.
    let event = unsafe { ClientEvent::from_raw(event) }.ok_or(STATUS_NOT_FOUND)?;
    let object = core::ptr::from_ref(object).addr();
    let node = LIST.lock().take(|node| node.event == event && node.object == object);
    node.map(drop).ok_or(STATUS_NOT_FOUND)
}

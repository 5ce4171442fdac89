//! Event requests as PortCls hands them to a filter's handlers, without `unsafe` in the miniport. WAVERT.md 5.7.
//!
//! A client enables an event; KS makes an entry for it, PortCls asks the miniport whether the entry may be
//! added, and the miniport puts it into the list that its port keeps ([`IPortEvents`]). When something
//! happens the miniport names the event and where it is, and the port signals the entries. The calls as in
//! Microsoft's sysvad (bthhfptopo.cpp, micarraytopo.cpp).

use crate::interfaces::IPortEvents;
use crate::pc::{PCEVENT_ITEM, PCEVENT_REQUEST, PCEVENT_VERB_ADD, PCEVENT_VERB_REMOVE, PCEVENT_VERB_SUPPORT};
use crate::{Com, ComClass, ComRef, GUID};
use core::ffi::c_void;
use core::marker::PhantomData;
use core::ptr::NonNull;
use nt::NTSTATUS;
use nt::status::{STATUS_INVALID_PARAMETER, STATUS_NOT_SUPPORTED, STATUS_SUCCESS, STATUS_UNSUCCESSFUL};

/// A client's entry, that of the request which a miniport answers. It is the port's as soon as it is in its
/// list, and nobody's when the request is refused: it can't be kept.
pub struct EventEntry<'a>(NonNull<c_void>, PhantomData<&'a mut c_void>);

impl EventEntry<'_> {
    fn into_raw(self) -> *mut c_void {
        self.0.as_ptr()
    }
}

/// Where something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventSource {
    /// At a pin.
    Pin(u32),
    /// At a node.
    Node(u32),
}

impl ComRef<IPortEvents> {
    /// Puts a client's entry into the list. PASSIVE_LEVEL, as every request to add one.
    pub fn add(&self, entry: EventEntry<'_>) {
        // SAFETY: the entry of a request to add it, once; an entry lives no longer than its request, which
        // comes at PASSIVE_LEVEL.
        unsafe { self.add_event_to_event_list(entry.into_raw()) };
    }

    /// Signals the clients of an event at its source. Any level: up to DISPATCH_LEVEL at once, above it by a
    /// DPC that remembers one call only.
    pub fn signal(&self, set: &'static GUID, id: u32, source: EventSource) {
        let (by_pin, pin, by_node, node) = match source {
            EventSource::Pin(pin) => (1, pin, 0, u32::MAX),
            EventSource::Node(node) => (0, u32::MAX, 1, node),
        };
        // SAFETY: a GUID that stays; GenerateEventList may be called at any level.
        unsafe { self.generate_event_list(set, id, by_pin, pin, by_node, node) };
    }
}

/// Answers the requests for events of a filter or of one of its nodes. That a client has gone is not told:
/// its entry is the port's, which takes it out with the list locked, perhaps at DISPATCH_LEVEL.
pub trait EventHandler {
    /// Whose filter it is.
    type Miniport: ComClass;

    /// Whether there is such an event. PASSIVE_LEVEL.
    fn is_supported(miniport: &Self::Miniport) -> bool;

    /// A client wants to be told: puts `entry` into the port's list ([`ComRef::add`]); false if it can't.
    /// PASSIVE_LEVEL.
    fn add(miniport: &Self::Miniport, entry: EventEntry<'_>) -> bool;
}

impl PCEVENT_ITEM {
    /// An event of these kinds (`KSEVENT_TYPE_...`), whose requests `H` answers. A request about a miniport
    /// of another class than its own is STATUS_INVALID_PARAMETER.
    pub const fn answered_by<H: EventHandler>(set: &'static GUID, id: u32, kinds: u32) -> Self {
        Self { Set: set, Id: id, Flags: kinds, Handler: Some(answer::<H>) }
    }
}

/// The handler that PortCls calls.
///
/// # Safety
/// `request` is NULL or a request from PortCls: its major target is NULL or a live object, the miniport as it
/// was given to IPort::Init; its entry is NULL or, with PCEVENT_VERB_ADD, one that the port's list is meant
/// for. PASSIVE_LEVEL, but for PCEVENT_VERB_REMOVE.
unsafe extern "system" fn answer<H: EventHandler>(request: *mut PCEVENT_REQUEST) -> NTSTATUS {
    if request.is_null() {
        return STATUS_INVALID_PARAMETER;
    }
    // SAFETY: by contract, and not NULL.
    let (target, verb, entry) = unsafe { ((*request).MajorTarget, (*request).Verb, (*request).EventEntry) };
    // Nothing is touched here: not even the object is asked for its class.
    if verb == PCEVENT_VERB_REMOVE {
        return STATUS_SUCCESS;
    }
    // SAFETY: by contract.
    let Some(miniport) = (unsafe { Com::<H::Miniport>::of_class(target) }) else {
        return STATUS_INVALID_PARAMETER;
    };
    let done = match verb {
        PCEVENT_VERB_SUPPORT => H::is_supported(&miniport),
        PCEVENT_VERB_ADD => match NonNull::new(entry) {
            Some(entry) => H::add(&miniport, EventEntry(entry, PhantomData)),
            None => return STATUS_UNSUCCESSFUL,
        },
        _ => return STATUS_INVALID_PARAMETER,
    };
    if done { STATUS_SUCCESS } else { STATUS_NOT_SUPPORTED }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guid::{KSEVENTSETID_AudioControlChange, KSEVENTSETID_PinCapsChange};
    use crate::interfaces::PortEvents;
    use crate::{IUnknown, com_class};
    use std::sync::{Arc, Mutex};

    /// A call of the port: an entry, or a signal with what was signalled.
    #[derive(Debug, PartialEq, Eq)]
    enum Call {
        Entry(usize),
        Signal(GUID, u32, (i32, u32), (i32, u32)),
    }

    /// A port's list, and what came there.
    struct List(Arc<Mutex<Vec<Call>>>);
    com_class! { List { 0 => IPortEvents } }
    impl PortEvents for List {
        fn add_event_to_event_list(&self, entry: *mut c_void) {
            self.0.lock().unwrap().push(Call::Entry(entry.addr()));
        }
        fn generate_event_list(
            &self,
            set: *const GUID,
            id: u32,
            is_pin: i32,
            pin: u32,
            is_node: i32,
            node: u32,
        ) {
            // SAFETY: a static.
            self.0.lock().unwrap().push(Call::Signal(unsafe { *set }, id, (is_pin, pin), (is_node, node)));
        }
    }

    /// A miniport with a list, or without.
    struct Filter(Option<ComRef<IPortEvents>>);
    com_class! { Filter { 0 => IUnknown } }

    struct Requests;
    impl EventHandler for Requests {
        type Miniport = Filter;
        fn is_supported(miniport: &Filter) -> bool {
            miniport.0.is_some()
        }
        fn add(miniport: &Filter, entry: EventEntry<'_>) -> bool {
            miniport.0.as_ref().map(|list| list.add(entry)).is_some()
        }
    }

    static ITEM: PCEVENT_ITEM =
        PCEVENT_ITEM::answered_by::<Requests>(&KSEVENTSETID_AudioControlChange, 0, 0x201);

    fn request(target: *mut IUnknown, verb: u32, entry: usize) -> NTSTATUS {
        // SAFETY: numbers and pointers, for which zero is a value.
        let mut request: PCEVENT_REQUEST = unsafe { core::mem::zeroed() };
        (request.MajorTarget, request.Verb) = (target, verb);
        request.EventEntry = core::ptr::without_provenance_mut(entry);
        // SAFETY: a request as PortCls makes it; nobody looks into the entry.
        unsafe { ITEM.Handler.unwrap()(&raw mut request) }
    }

    #[test]
    fn requests_reach_the_miniport_and_entries_the_list() {
        let calls = Arc::<Mutex<Vec<Call>>>::default();
        let list: ComRef<IPortEvents> = Com::try_new(List(Arc::clone(&calls))).unwrap().into_interface();
        for (has_list, expected) in [(true, STATUS_SUCCESS), (false, STATUS_NOT_SUPPORTED)] {
            let filter = Com::try_new(Filter(has_list.then(|| list.clone()))).unwrap().to_unknown();
            let ask = |verb, entry| request(filter.as_raw(), verb, entry);
            assert_eq!(ask(PCEVENT_VERB_SUPPORT, 0), expected);
            assert_eq!(ask(PCEVENT_VERB_ADD, 0x1000), expected);
            assert_eq!(ask(PCEVENT_VERB_ADD, 0), STATUS_UNSUCCESSFUL);
            assert_eq!(
                (ask(0, 0x1000), ask(8, 0x1000)),
                (STATUS_INVALID_PARAMETER, STATUS_INVALID_PARAMETER)
            );
        }
        assert_eq!(*calls.lock().unwrap(), [Call::Entry(0x1000)]);
    }

    #[test]
    fn a_client_that_goes_is_nobodys_business() {
        // Not even the target is looked at.
        let nowhere = core::ptr::without_provenance_mut(8);
        assert_eq!(request(nowhere, PCEVENT_VERB_REMOVE, 0x1000), STATUS_SUCCESS);
    }

    #[test]
    fn requests_for_others_are_refused() {
        let list = Com::try_new(List(Arc::default())).unwrap().to_unknown();
        let null = core::ptr::null_mut();
        for target in [list.as_raw(), null] {
            assert_eq!(request(target, PCEVENT_VERB_ADD, 0x1000), STATUS_INVALID_PARAMETER);
        }
        // SAFETY: NULL is refused.
        assert_eq!(unsafe { ITEM.Handler.unwrap()(core::ptr::null_mut()) }, STATUS_INVALID_PARAMETER);
    }

    #[test]
    fn a_signal_names_its_pin_or_its_node() {
        let calls = Arc::<Mutex<Vec<Call>>>::default();
        let list: ComRef<IPortEvents> = Com::try_new(List(Arc::clone(&calls))).unwrap().into_interface();
        list.signal(&KSEVENTSETID_PinCapsChange, 1, EventSource::Pin(3));
        list.signal(&KSEVENTSETID_AudioControlChange, 0, EventSource::Node(2));
        let expected = [
            Call::Signal(KSEVENTSETID_PinCapsChange, 1, (1, 3), (0, u32::MAX)),
            Call::Signal(KSEVENTSETID_AudioControlChange, 0, (0, u32::MAX), (1, 2)),
        ];
        assert_eq!(*calls.lock().unwrap(), expected);
    }
}

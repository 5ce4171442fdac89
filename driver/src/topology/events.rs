//! Events of the topology filter: clients ask to be told, the port keeps the list of them (IPortEvents), and this tells it when there is something to tell.
//! WAVERT.md 2.2, 5.7; the items and the handler are as in Microsoft's sysvad (bthhfptopo.cpp, micarraytopo.cpp).
//!
//! | event | at | when |
//! |---|---|---|
//! | KSEVENT_CONTROL_CHANGE | node | a client has set another volume or mute |
//! | KSEVENT_PINCAPS_JACKINFOCHANGE | pin | something was plugged or unplugged, or was while the card slept |
//!
//! The reference to the port is a circle (the port has one to the miniport), so it is given back when the filter is taken away, not when the
//! miniport goes: [`Events::close`]. Until then clients and the DPC reach the port without a lock, because AddEventToEventList wants PASSIVE_LEVEL.

use nt::NTSTATUS;
use nt::rundown::Rundown;
use nt::status::{STATUS_INVALID_PARAMETER, STATUS_NOT_SUPPORTED, STATUS_SUCCESS, STATUS_UNSUCCESSFUL};
use portcls_sys::guid::{KSEVENTSETID_AudioControlChange, KSEVENTSETID_PinCapsChange};
use portcls_sys::interfaces::{IPortEvents, IPortTopology};
use portcls_sys::ks::{
    KSEVENT_CONTROL_CHANGE, KSEVENT_PINCAPS_JACKINFOCHANGE, KSEVENT_TYPE_BASICSUPPORT, KSEVENT_TYPE_ENABLE,
};
use portcls_sys::pc::{
    PCEVENT_ITEM, PCEVENT_REQUEST, PCEVENT_VERB_ADD, PCEVENT_VERB_REMOVE, PCEVENT_VERB_SUPPORT,
};
use portcls_sys::{ComObject, ComRef, GUID};

use super::TopologyMiniport;

/// Kinds of events that can be had.
const KINDS: u32 = KSEVENT_TYPE_ENABLE | KSEVENT_TYPE_BASICSUPPORT;

/// Of each node.
pub static CONTROL_CHANGE: [PCEVENT_ITEM; 1] = [PCEVENT_ITEM {
    Set: &raw const KSEVENTSETID_AudioControlChange,
    Id: KSEVENT_CONTROL_CHANGE,
    Flags: KINDS,
    Handler: Some(on_event),
}];

/// Of the filter, though the documentation counts it among the events of pins: bridge pins have no instances, and all samples have it here.
pub static JACK_CHANGE: [PCEVENT_ITEM; 1] = [PCEVENT_ITEM {
    Set: &raw const KSEVENTSETID_PinCapsChange,
    Id: KSEVENT_PINCAPS_JACKINFOCHANGE,
    Flags: KINDS,
    Handler: Some(on_event),
}];

/// The port's list of those who want to know.
#[derive(Default)]
pub struct Events(Rundown<ComRef<IPortEvents>>);

impl Events {
    /// Finds the list. A port without one is no failure: nobody is told, then. PASSIVE_LEVEL.
    pub fn open(&self, port: &ComRef<IPortTopology>) {
        match port.query::<IPortEvents>() {
            // A second Init of one miniport would change nothing; its reference goes with the value that comes back.
            Ok(events) => drop(self.0.open(events)),
            Err(status) => log::info!("the port has no events: {status:#010x}"),
        }
    }

    /// Tells nobody any more, and gives the reference to the port back. PASSIVE_LEVEL.
    pub fn close(&self) {
        drop(self.0.close());
    }

    /// The control of a node has another value. At most DISPATCH_LEVEL.
    pub fn control_changed(&self, node: u32) {
        self.tell(&KSEVENTSETID_AudioControlChange, KSEVENT_CONTROL_CHANGE, None, Some(node));
    }

    /// Something was plugged or unplugged at a pin. At most DISPATCH_LEVEL.
    pub fn jack_changed(&self, pin: u32) {
        self.tell(&KSEVENTSETID_PinCapsChange, KSEVENT_PINCAPS_JACKINFOCHANGE, Some(pin), None);
    }

    /// Tells those who want to know of an event of this pin, or node. Called up to DISPATCH_LEVEL, where the port tells them at once.
    fn tell(&self, set: &'static GUID, id: u32, pin: Option<u32>, node: Option<u32>) {
        self.0.with(|port| {
            let of = |it: Option<u32>| (i32::from(it.is_some()), it.unwrap_or(u32::MAX));
            let ((by_pin, pin), (by_node, node)) = (of(pin), of(node));
            // SAFETY: a static GUID; GenerateEventList may be called at any level.
            unsafe { port.generate_event_list(set, id, by_pin, pin, by_node, node) };
        });
    }
}

/// The handler of all events.
///
/// # Safety
/// `request` is NULL or a request from PortCls, whose major target is NULL or a topology miniport. PASSIVE_LEVEL for adding.
unsafe extern "system" fn on_event(request: *mut PCEVENT_REQUEST) -> NTSTATUS {
    if request.is_null() {
        return STATUS_INVALID_PARAMETER;
    }
    // SAFETY: by contract, and not NULL.
    let (target, verb, entry) = unsafe { ((*request).MajorTarget, (*request).Verb, (*request).EventEntry) };
    // The port has taken, or takes, the entry out of its list. KS calls for that with the list locked, perhaps at DISPATCH_LEVEL: nothing is touched here.
    if verb == PCEVENT_VERB_REMOVE {
        return STATUS_SUCCESS;
    }
    // SAFETY: PortCls hands the miniport as it was given to IPort::Init, by its primary pointer, and keeps it alive.
    let Some(miniport) = (unsafe { ComObject::<TopologyMiniport>::from_unknown(target) }) else {
        return STATUS_INVALID_PARAMETER;
    };
    let done = match verb {
        PCEVENT_VERB_SUPPORT => miniport.events().0.with(|_| ()),
        PCEVENT_VERB_ADD if entry.is_null() => return STATUS_UNSUCCESSFUL,
        // SAFETY: the entry that came with the request, which the port's list is meant for; PASSIVE_LEVEL by contract.
        PCEVENT_VERB_ADD => miniport.events().0.with(|port| unsafe { port.add_event_to_event_list(entry) }),
        _ => return STATUS_INVALID_PARAMETER,
    };
    if done.is_some() { STATUS_SUCCESS } else { STATUS_NOT_SUPPORTED }
}

//! Event requests of clients of the topology filter: whether there is an event, and to be put into the port's
//! list ([`super::events`]). The items and the handler are as in Microsoft's sysvad (bthhfptopo.cpp,
//! micarraytopo.cpp).

use nt::NTSTATUS;
use nt::status::{STATUS_INVALID_PARAMETER, STATUS_NOT_SUPPORTED, STATUS_SUCCESS, STATUS_UNSUCCESSFUL};
use portcls_sys::Com;
use portcls_sys::guid::{KSEVENTSETID_AudioControlChange, KSEVENTSETID_PinCapsChange};
use portcls_sys::ks::{
    KSEVENT_CONTROL_CHANGE, KSEVENT_PINCAPS_JACKINFOCHANGE, KSEVENT_TYPE_BASICSUPPORT, KSEVENT_TYPE_ENABLE,
};
use portcls_sys::pc::{
    PCEVENT_ITEM, PCEVENT_REQUEST, PCEVENT_VERB_ADD, PCEVENT_VERB_REMOVE, PCEVENT_VERB_SUPPORT,
};

use super::miniport::TopologyMiniport;

/// Kinds of events that can be had.
const KINDS: u32 = KSEVENT_TYPE_ENABLE | KSEVENT_TYPE_BASICSUPPORT;

/// Of each node.
pub static CONTROL_CHANGE: [PCEVENT_ITEM; 1] = [PCEVENT_ITEM {
    Set: &raw const KSEVENTSETID_AudioControlChange,
    Id: KSEVENT_CONTROL_CHANGE,
    Flags: KINDS,
    Handler: Some(on_event),
}];

/// Of the filter, though the documentation counts it among the events of pins: bridge pins have no instances,
/// and all samples have it here.
pub static JACK_CHANGE: [PCEVENT_ITEM; 1] = [PCEVENT_ITEM {
    Set: &raw const KSEVENTSETID_PinCapsChange,
    Id: KSEVENT_PINCAPS_JACKINFOCHANGE,
    Flags: KINDS,
    Handler: Some(on_event),
}];

/// The handler of all events.
///
/// # Safety
/// `request` is NULL or a request from PortCls, whose major target is NULL or a topology miniport.
/// PASSIVE_LEVEL for adding.
unsafe extern "system" fn on_event(request: *mut PCEVENT_REQUEST) -> NTSTATUS {
    if request.is_null() {
        return STATUS_INVALID_PARAMETER;
    }
    // SAFETY: by contract, and not NULL.
    let (target, verb, entry) = unsafe { ((*request).MajorTarget, (*request).Verb, (*request).EventEntry) };
    // The port has taken, or takes, the entry out of its list. KS calls for that with the list locked,
    // perhaps at DISPATCH_LEVEL: nothing is touched here.
    if verb == PCEVENT_VERB_REMOVE {
        return STATUS_SUCCESS;
    }
    // SAFETY: PortCls hands the miniport as it was given to IPort::Init, and keeps it alive.
    let Some(miniport) = (unsafe { Com::<TopologyMiniport>::of_class(target) }) else {
        return STATUS_INVALID_PARAMETER;
    };
    let done = match verb {
        PCEVENT_VERB_SUPPORT => miniport.events().exist(),
        PCEVENT_VERB_ADD if entry.is_null() => return STATUS_UNSUCCESSFUL,
        // SAFETY: the entry that came with the request, which the port's list is meant for; PASSIVE_LEVEL by
        // contract.
        PCEVENT_VERB_ADD => unsafe { miniport.events().add(entry) },
        _ => return STATUS_INVALID_PARAMETER,
    };
    if done { STATUS_SUCCESS } else { STATUS_NOT_SUPPORTED }
}

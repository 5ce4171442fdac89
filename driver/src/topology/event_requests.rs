//! Event requests of clients of the topology filter: whether there is an event, and to be put into the port's
//! list ([`super::events`]). The items are as in Microsoft's sysvad (bthhfptopo.cpp, micarraytopo.cpp).

use portcls_sys::event::{EventEntry, EventHandler};
use portcls_sys::guid::{KSEVENTSETID_AudioControlChange, KSEVENTSETID_PinCapsChange};
use portcls_sys::ks::{
    KSEVENT_CONTROL_CHANGE, KSEVENT_PINCAPS_JACKINFOCHANGE, KSEVENT_TYPE_BASICSUPPORT, KSEVENT_TYPE_ENABLE,
};
use portcls_sys::pc::PCEVENT_ITEM;

use super::miniport::TopologyMiniport;

/// Kinds of events that can be had.
const KINDS: u32 = KSEVENT_TYPE_ENABLE | KSEVENT_TYPE_BASICSUPPORT;

/// Of each node.
pub static CONTROL_CHANGE: [PCEVENT_ITEM; 1] =
    [PCEVENT_ITEM::answered_by::<Requests>(&KSEVENTSETID_AudioControlChange, KSEVENT_CONTROL_CHANGE, KINDS)];

/// Of the filter, though the documentation counts it among the events of pins: bridge pins have no instances,
/// and all samples have it here.
pub static JACK_CHANGE: [PCEVENT_ITEM; 1] = [PCEVENT_ITEM::answered_by::<Requests>(
    &KSEVENTSETID_PinCapsChange,
    KSEVENT_PINCAPS_JACKINFOCHANGE,
    KINDS,
)];

/// The handler of all events.
struct Requests;

impl EventHandler for Requests {
    type Miniport = TopologyMiniport;

    fn is_supported(miniport: &TopologyMiniport) -> bool {
        miniport.events().exist()
    }

    fn add(miniport: &TopologyMiniport, entry: EventEntry<'_>) -> bool {
        miniport.events().add(entry)
    }
}

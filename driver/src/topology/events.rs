//! Events of the topology filter: clients subscribe, the port keeps the list of them (IPortEvents), and
//! this tells it when there is something to tell. WAVERT.md 2.2, 5.7.
//!
//! | event | at | when |
//! |---|---|---|
//! | KSEVENT_CONTROL_CHANGE | node | a client has set another volume or mute |
//! | KSEVENT_PINCAPS_JACKINFOCHANGE | pin | something was plugged or unplugged, or was while the card slept |
//!
//! The reference to the port is a circle (the port has one to the miniport), so it is given back when the
//! filter is taken away, not when the miniport goes: [`Events::close`]. Until then clients and the DPC reach
//! the port without a lock, because AddEventToEventList wants PASSIVE_LEVEL.

use nt::rundown::Rundown;
use portcls_sys::event::{EventEntry, EventSource};
use portcls_sys::guid::{KSEVENTSETID_AudioControlChange, KSEVENTSETID_PinCapsChange};
use portcls_sys::interfaces::{IPortEvents, IPortTopology};
use portcls_sys::ks::{KSEVENT_CONTROL_CHANGE, KSEVENT_PINCAPS_JACKINFOCHANGE};
use portcls_sys::{ComRef, GUID};

/// The port's list of subscribed clients.
#[derive(Default)]
pub struct Events(Rundown<ComRef<IPortEvents>>);

impl Events {
    /// Finds the list. A port without one is no failure: no client is notified, then. PASSIVE_LEVEL.
    pub fn open(&self, port: &ComRef<IPortTopology>) {
        match port.query::<IPortEvents>() {
            // A second Init of one miniport would change nothing; its reference goes with the value that
            // comes back.
            Ok(events) => drop(self.0.open(events)),
            Err(status) => log::info!("the port has no events: {status:#010x}"),
        }
    }

    /// Notifies no client any more, and gives the reference to the port back. PASSIVE_LEVEL.
    pub fn close(&self) {
        drop(self.0.close());
    }

    /// Whether there is a list.
    pub fn exist(&self) -> bool {
        self.0.with(|_| ()).is_some()
    }

    /// Puts a client's entry into the list; `false` if there is none. PASSIVE_LEVEL.
    pub fn add(&self, entry: EventEntry<'_>) -> bool {
        self.0.with(|port| port.add(entry)).is_some()
    }

    /// The control of a node has another value. At most DISPATCH_LEVEL.
    pub fn control_changed(&self, node: u32) {
        self.signal(&KSEVENTSETID_AudioControlChange, KSEVENT_CONTROL_CHANGE, EventSource::Node(node));
    }

    /// Something was plugged or unplugged at a pin. At most DISPATCH_LEVEL.
    pub fn jack_changed(&self, pin: u32) {
        self.signal(&KSEVENTSETID_PinCapsChange, KSEVENT_PINCAPS_JACKINFOCHANGE, EventSource::Pin(pin));
    }

    /// Signals an event. At most DISPATCH_LEVEL, where the port does it at once.
    fn signal(&self, set: &'static GUID, id: u32, source: EventSource) {
        self.0.with(|port| port.signal(set, id, source));
    }
}

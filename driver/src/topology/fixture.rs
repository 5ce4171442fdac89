//! For the tests of the topology filter: a miniport with its card, bound to a port that keeps account of its
//! list of events.

use std::ffi::c_void;
use std::sync::{Arc, Mutex};

use nt::NTSTATUS;
use nt::sys::DISPATCH_LEVEL;
use portcls_sys::guid::{KSEVENTSETID_AudioControlChange, KSEVENTSETID_PinCapsChange};
use portcls_sys::host::{FakeKey, Numbers};
use portcls_sys::interfaces::{
    IPortEvents, IPortTopology, Miniport, MiniportTopology, PortEvents, PortTopology,
};
use portcls_sys::pc::{PCAUTOMATION_TABLE, PCEVENT_REQUEST, PCFILTER_DESCRIPTOR};
use portcls_sys::{Com, ComIn, ComRef, GUID, Out, com_class, unbound_port};

use super::{Listening, TopologyMiniport};
use crate::adapter::Adapter;
use crate::asking::ask;
use crate::hw::fake::FakeCard;

/// A call of the driver about events that reached the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortEvent {
    /// An entry for its list.
    Entry(usize),
    /// The control of a node changed.
    Control(u32),
    /// The jack at a pin changed.
    Jack(u32),
}

/// A topology port, with a list of events or without.
pub struct FakePort {
    events: bool,
    key: Com<FakeKey>,
    heard: Arc<Mutex<Vec<PortEvent>>>,
}
com_class! {
    FakePort {
        0 => IPortTopology,
        1 => IPortEvents if |port| port.events,
    }
}

unbound_port!(FakePort, |port| Some(&port.key));
impl PortTopology for FakePort {}

impl PortEvents for FakePort {
    fn add_event_to_event_list(&self, entry: *mut c_void) {
        assert_eq!(nt::irql::current(), 0, "its page wants PASSIVE_LEVEL");
        self.heard.lock().unwrap().push(PortEvent::Entry(entry.addr()));
    }
    fn generate_event_list(
        &self,
        set: *const GUID,
        id: u32,
        pin_event: i32,
        pin: u32,
        node_event: i32,
        node: u32,
    ) {
        assert!(nt::irql::current() <= DISPATCH_LEVEL);
        // SAFETY: the caller's static.
        let set = unsafe { *set };
        let heard = match (set, id) {
            (set, 0) if set == KSEVENTSETID_AudioControlChange => {
                assert_eq!((pin_event, node_event), (0, 1));
                PortEvent::Control(node)
            }
            (set, 1) if set == KSEVENTSETID_PinCapsChange => {
                assert_eq!((pin_event, node_event), (1, 0));
                PortEvent::Jack(pin)
            }
            _ => panic!("{set} {id} is no event of ours"),
        };
        self.heard.lock().unwrap().push(heard);
    }
}

/// A miniport and all around it.
pub struct Fixture {
    /// The miniport.
    pub miniport: Com<TopologyMiniport>,
    /// Its registration; `None` = taken away.
    pub listening: Option<Listening>,
    /// Its adapter.
    pub adapter: Com<Adapter>,
    /// Its card.
    pub card: FakeCard,
    /// The port's, for as long as it is registered.
    pub port: Option<ComRef<IPortTopology>>,
    heard: Arc<Mutex<Vec<PortEvent>>>,
}

impl Fixture {
    /// The miniport of stream `stream` (0 renders, 1 captures) of `card`, started; the port has events, or
    /// not.
    pub fn with(card: FakeCard, stream: u32, events: bool) -> Self {
        Self::configured(card, stream, events, &[])
    }

    /// The same, where the device's hardware key has values.
    pub fn configured(card: FakeCard, stream: u32, events: bool, numbers: Numbers) -> Self {
        let adapter = Adapter::try_new(core::ptr::null_mut(), Box::new(card.clone())).unwrap();
        let endpoint = adapter.card().endpoint(stream).unwrap();
        let miniport = super::new_miniport(adapter.clone(), endpoint, 0).unwrap();
        let listening = Listening::new(adapter.clone(), miniport.clone());
        let heard = Arc::<Mutex<Vec<PortEvent>>>::default();
        let key = Com::try_new(FakeKey::of_numbers(numbers)).unwrap();
        let port = FakePort { events, key, heard: Arc::clone(&heard) };
        let port: ComRef<IPortTopology> = Com::try_new(port).unwrap().into_interface();
        miniport.init(ComIn::none(), ComIn::none(), ComIn::new(&port)).unwrap();
        listening.start();
        nt::host::run_dpcs();
        card.take_calls();
        Self { miniport, listening: Some(listening), adapter, card, port: Some(port), heard }
    }

    /// The miniport of a stream of a card that has everything.
    pub fn new(stream: u32) -> Self {
        Self::with(FakeCard::default(), stream, true)
    }

    /// The events that the port got since the last time.
    pub fn take_events(&self) -> Vec<PortEvent> {
        std::mem::take(&mut self.heard.lock().unwrap())
    }

    /// References to what the port writes down: the test's own, and the port's while it lives.
    pub fn port_lives(&self) -> bool {
        Arc::strong_count(&self.heard) > 1
    }

    /// The filter that PortCls is given.
    pub fn filter(&self) -> PCFILTER_DESCRIPTOR {
        let mut description = core::ptr::null();
        self.miniport.get_description(Out::new(&mut description)).unwrap();
        // SAFETY: alive as long as the miniport.
        unsafe { *description }
    }

    /// The automation table of a node.
    pub fn node(&self, node: usize) -> PCAUTOMATION_TABLE {
        let filter = self.filter();
        assert!(node < filter.NodeCount as usize);
        // SAFETY: that many nodes, alive as long as the miniport.
        unsafe { *(*filter.Nodes.add(node)).AutomationTable }
    }

    /// The automation table of the filter.
    pub fn of_filter(&self) -> PCAUTOMATION_TABLE {
        // SAFETY: static.
        unsafe { *self.filter().AutomationTable }
    }

    /// Asks for property `index` of a table as PortCls does: status, size and value afterwards.
    pub fn ask(
        &self,
        table: PCAUTOMATION_TABLE,
        index: usize,
        verb: u32,
        instance: &[u8],
        value: &[u8],
    ) -> (NTSTATUS, u32, Vec<u8>) {
        ask(&self.miniport.to_unknown(), table, (index, verb), instance, value)
    }

    /// Sends an event request for event 0 of a table.
    pub fn event(&self, table: PCAUTOMATION_TABLE, verb: u32, entry: usize) -> NTSTATUS {
        assert!(table.EventCount > 0);
        let target = self.miniport.to_unknown();
        // SAFETY: numbers and pointers, for which zero is a value.
        let mut request: PCEVENT_REQUEST = unsafe { core::mem::zeroed() };
        request.MajorTarget = target.as_raw();
        request.Verb = verb;
        request.EventEntry = core::ptr::without_provenance_mut(entry);
        // SAFETY: the table that PortCls is given.
        unsafe { (*table.Events).Handler.unwrap()(&raw mut request) }
    }
}

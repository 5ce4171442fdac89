//! The ports' event lists: what `IPortEvents` keeps, and how a client gets into one (WAVERT.md 2.2, 5.7).
//!
//! A client enables an event; PortCls makes an entry and asks the miniport's handler, which adds the entry to
//! the port's list by `AddEventToEventList`. `GenerateEventList` then signals every entry that fits. When the
//! client disables it, or closes, the handler is told and the entry is gone: rules `event-entry`,
//! `event-generate`.

use super::automation::Item;
use super::controls_layout::{EventHandler, PcEventRequest, event};
use super::fault::{self, Fault};
use super::guid::{Guid, IID_PORT_EVENTS, Named};
use super::object::{self, Interface, Object};
use super::port::Port;
use super::status::Status;
use super::vtable::{This, Unknown};
use super::{device_lock, idle, property};
use crate::kernel::call::driver_call;
use crate::kernel::event::Event;
use crate::kernel::pool::Guarded;
use crate::kernel::sync::IrqLock;
use crate::kernel::{self, irql};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ffi::c_void;
use core::ptr;

/// Room for a `KSEVENT_ENTRY`, which is opaque to drivers.
const ENTRY_BYTES: usize = 0x60;

/// An entry, from the request to enable it to its removal.
struct Entry {
    port: &'static Object,
    key: usize,
    set: Guid,
    id: u32,
    pin: Option<u32>,
    node: Option<u32>,
    event: Arc<Event>,
    /// The handler's ADD is under way: now it may be put into the list.
    wanted: bool,
    listed: bool,
    signals: u64,
}

static ENTRIES: IrqLock<Vec<Entry>> = IrqLock::new(Vec::new());

/// An event of a filter or of one of its nodes.
#[derive(Clone, Copy)]
pub struct Source {
    /// The port of the filter.
    pub port: &'static Object,
    /// The node, or the filter itself.
    pub node: Option<u32>,
    /// The pin that the client names (`KSE_PIN`).
    pub pin: Option<u32>,
    /// Event set.
    pub set: Guid,
    /// Number in the set.
    pub id: u32,
}

impl Source {
    fn item(&self) -> Option<Item> {
        property::table(self.port, self.node, |table| table.event(&self.set, self.id))?
    }

    /// Whether the automation table has it.
    pub fn exists(&self) -> bool {
        self.item().is_some()
    }

    /// One request to the handler; `NOT_FOUND` when the table has no such item.
    pub fn call(&self, verb: u32, entry: *mut c_void) -> Status {
        let Some(item) = self.item() else { return Status::NOT_FOUND };
        let irp = property::client_irp();
        let request = Guarded::new(size_of::<PcEventRequest>());
        let at = request.as_mut_ptr().cast::<PcEventRequest>();
        // SAFETY: the memory was just made for it.
        unsafe {
            at.write(PcEventRequest {
                major_target: self.port.body::<Port>().and_then(Port::miniport).unwrap_or(ptr::null_mut()),
                minor_target: ptr::null_mut(),
                node: self.node.unwrap_or(u32::MAX),
                event_item: item.source,
                event_entry: entry,
                verb,
                irp: irp.as_mut_ptr().cast(),
            });
        }
        // SAFETY: the item's handler is a routine of the driver (`automation::check_handlers`).
        let handler = unsafe { core::mem::transmute::<usize, EventHandler>(item.handler) };
        let _used = idle::begin_use();
        let status = device_lock::with("an event", || {
            driver_call("an event handler", irql::PASSIVE, || {
                // SAFETY: a handler of the driver and a request for it.
                Status(unsafe { handler(at) })
            })
        });
        if status == Status::PENDING {
            kernel::violation("event-entry", format_args!("{self}: the handler returned PENDING"));
        }
        status
    }

    /// Enables the event: from now on `event` is signalled when it happens.
    pub fn enable(self, event: Arc<Event>) -> Result<Subscription, Status> {
        let memory = Guarded::new(ENTRY_BYTES);
        let key = memory.as_mut_ptr();
        let Self { port, node, pin, set, id } = self;
        let entry = Entry {
            port,
            key: key.addr(),
            set,
            id,
            pin,
            node,
            event,
            wanted: true,
            listed: false,
            signals: 0,
        };
        ENTRIES.lock().push(entry);
        let status = self.call(event::ADD, key.cast());
        let listed = with_entry(key.addr(), |entry| {
            entry.wanted = false;
            entry.listed
        });
        let subscription = Subscription { source: self, memory };
        if listed != Some(status.is_success()) {
            kernel::violation(
                "event-entry",
                format_args!("{self}: ADD returned {status}; the entry is in the list: {listed:?}"),
            );
        }
        if status.is_success() {
            return Ok(subscription);
        }
        subscription.forget();
        Err(status)
    }
}

impl core::fmt::Display for Source {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} {}", Named(self.set), self.id)?;
        self.node.map_or(Ok(()), |node| write!(f, " of node {node}"))
    }
}

fn with_entry<R>(key: usize, f: impl FnOnce(&mut Entry) -> R) -> Option<R> {
    ENTRIES.lock().iter_mut().find(|entry| entry.key == key).map(f)
}

/// An enabled event; dropping it disables it, as closing the handle does.
pub struct Subscription {
    source: Source,
    /// The entry: unmapped when the subscription is gone, so that a driver that keeps it faults.
    memory: Guarded,
}

impl Subscription {
    /// How often it was signalled.
    pub fn signals(&self) -> u64 {
        with_entry(self.memory.as_mut_ptr().addr(), |entry| entry.signals).unwrap_or(0)
    }

    /// Takes the entry out of the list without a word to the driver.
    fn forget(self) {
        remove(self.memory.as_mut_ptr().addr());
    }
}

fn remove(key: usize) {
    let removed = {
        let mut entries = ENTRIES.lock();
        let found = entries.iter().position(|entry| entry.key == key);
        found.map(|at| entries.remove(at))
    };
    drop(removed);
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let key = self.memory.as_mut_ptr();
        // Gone already when it was forgotten.
        if with_entry(key.addr(), |_| ()).is_some() {
            // PortCls takes no notice of what the handler says to this.
            let _ = self.source.call(event::REMOVE, key.cast());
            remove(key.addr());
        }
    }
}

#[repr(C)]
struct Vtable {
    unknown: Unknown,
    add_event: unsafe extern "win64" fn(This, *mut c_void),
    generate: unsafe extern "win64" fn(This, *const Guid, u32, i32, u32, i32, u32),
}

static VTABLE: Vtable = Vtable { unknown: object::UNKNOWN, add_event, generate: generate_event_list };

/// `IPortEvents`, for a new port.
pub fn interface() -> Interface {
    Interface { iids: &[IID_PORT_EVENTS], vtable: (&raw const VTABLE).cast() }
}

unsafe extern "win64" fn add_event(this: This, entry: *mut c_void) {
    const METHOD: &str = "IPortEvents::AddEventToEventList";
    irql::require(METHOD, irql::PASSIVE);
    if let Some((port, _)) = object::find_body::<Port>(this, METHOD) {
        add(port, entry);
    }
}

/// Documentation lets it be called at any level, but above DISPATCH_LEVEL calls may be lost: no driver can
/// want that.
unsafe extern "win64" fn generate_event_list(
    this: This,
    set: *const Guid,
    id: u32,
    pin_event: i32,
    pin: u32,
    node_event: i32,
    node: u32,
) {
    const METHOD: &str = "IPortEvents::GenerateEventList";
    irql::require(METHOD, irql::DISPATCH);
    let Some((port, _)) = object::find_body::<Port>(this, METHOD) else { return };
    // SAFETY: null, which stands for every set, or the driver's GUID; a bad or paged one faults and is named.
    let set = (!set.is_null()).then(|| unsafe { set.read_unaligned() });
    let given = |is: i32, number: u32| (is != 0).then_some(number);
    generate(port, set, id, given(pin_event, pin), given(node_event, node));
}

/// `IPortEvents::AddEventToEventList`.
pub fn add(port: &'static Object, entry: *mut c_void) {
    if fault::wanted(Fault::EntryTwice) && with_entry(entry.addr(), |entry| entry.listed) == Some(false) {
        fault::made();
        add_once(port, entry);
    }
    add_once(port, entry);
}

fn add_once(port: &'static Object, entry: *mut c_void) {
    let added = with_entry(entry.addr(), |entry| {
        let right = entry.wanted && !entry.listed && ptr::eq(entry.port, port);
        entry.listed |= right;
        right
    });
    let why = match added {
        Some(true) => return,
        Some(false) => "is not asked for, is in the list already, or is another port's",
        None => "is none of PortCls'",
    };
    kernel::violation(
        "event-entry",
        format_args!("AddEventToEventList: the entry {entry:p} {why}, {}", object::lately()),
    );
}

/// `IPortEvents::GenerateEventList`: `None` matches everything.
pub fn generate(port: &'static Object, set: Option<Guid>, id: u32, pin: Option<u32>, node: Option<u32>) {
    let seen = if fault::make(Fault::StrayEvent) { id.wrapping_add(99) } else { id };
    check_declared(port, set, seen, pin, node);
    if fault::make(Fault::LostEvent) {
        return;
    }
    let fits = |entry: &&mut Entry| {
        entry.listed
            && ptr::eq(entry.port, port)
            && set.is_none_or(|set| set == entry.set)
            && entry.id == id
            && (pin.is_none() || pin == entry.pin)
            && (node.is_none() || node == entry.node)
    };
    for entry in ENTRIES.lock().iter_mut().filter(fits) {
        entry.signals += 1;
        entry.event.signal();
    }
}

/// An event that no table of the filter has, or of a pin or node it has not, reaches nobody on Windows
/// either.
fn check_declared(port: &Object, set: Option<Guid>, id: u32, pin: Option<u32>, node: Option<u32>) {
    let Some(filter) = port.body::<Port>().and_then(Port::filter) else { return };
    let nodes = filter.nodes.iter().map(|node| &node.automation);
    let pins = filter.pins.iter().map(|pin| &pin.automation);
    let mut tables = core::iter::once(&filter.automation).chain(nodes).chain(pins);
    let fits = |item: &Item| item.id == id && set.is_none_or(|set| set == item.set);
    let declared = tables.any(|table| table.events.iter().any(fits));
    let beyond = |number: Option<u32>, count: usize| number.is_some_and(|number| number as usize >= count);
    if !declared || beyond(pin, filter.pins.len()) || beyond(node, filter.nodes.len()) {
        kernel::violation(
            "event-generate",
            format_args!("GenerateEventList of event {id}, pin {pin:?}, node {node:?}: the filter has none"),
        );
    }
}

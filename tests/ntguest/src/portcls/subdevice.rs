//! Subdevices and the physical connections between them: what `PcRegisterSubdevice` and
//! `PcRegisterPhysicalConnection` build, with what must hold for each (WAVERT.md 1.2). What endpoints they
//! make is `endpoint`'s business.

use super::descriptor::{FLOW_IN, FLOW_OUT, Pin, Role};
use super::fault::{self, Fault};
use super::object::{self, Object};
use super::port::Port;
use super::status::Status;
use crate::kernel::sync::IrqLock;
use crate::kernel::{self, cards};
use alloc::string::String;
use alloc::vec::Vec;

/// Longest name that is read.
const NAME_UNITS: usize = 128;

/// A registered subdevice. PortCls keeps the pointer to its name, not a copy: so does this.
struct Subdevice {
    /// Of which device.
    device: usize,
    name_at: *const u16,
    name: Vec<u16>,
    port: &'static Object,
    /// The device was stopped since it was registered, and PortCls keeps it.
    stopped: bool,
}

/// One end of a physical connection.
#[derive(Clone, Copy)]
pub enum End {
    /// A pin of a port of this adapter.
    Port(&'static Object, u32),
    /// Some other adapter's filter.
    External(u32),
}

impl End {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Port(a, pin), Self::Port(b, other)) => core::ptr::eq(*a, *b) && pin == other,
            (Self::External(pin), Self::External(other)) => pin == other,
            _ => false,
        }
    }
}

struct Tables {
    subdevices: Vec<Subdevice>,
    connections: Vec<(End, End)>,
}

static TABLES: IrqLock<Tables> = IrqLock::new(Tables { subdevices: Vec::new(), connections: Vec::new() });

/// Reads a terminated name.
///
/// # Safety
/// `name` is null or points to UTF-16 with a terminator.
unsafe fn read_name(name: *const u16) -> Option<Vec<u16>> {
    if name.is_null() {
        return None;
    }
    // SAFETY: units up to the terminator are readable by the contract; no unit after it is read.
    let units: Vec<u16> = (0..NAME_UNITS)
        .map_while(|i| Some(unsafe { name.add(i).read_unaligned() }).filter(|unit| *unit != 0))
        .collect();
    (1..NAME_UNITS).contains(&units.len()).then_some(units)
}

fn folded(name: &[u16]) -> String {
    String::from_utf16_lossy(name).to_lowercase()
}

/// `PcRegisterSubdevice`.
///
/// # Safety
/// `name` is null or points to UTF-16 with a terminator.
pub unsafe fn register(
    device: usize,
    name_at: *const u16,
    port: &'static Object,
    max_objects: u32,
) -> Status {
    const SERVICE: &str = "PcRegisterSubdevice";
    // SAFETY: as promised.
    let Some(name) = (unsafe { read_name(name_at) }) else {
        kernel::violation(
            "subdevice-name",
            format_args!("{SERVICE}: the name is NULL, empty or endless, {}", object::lately()),
        );
        return Status::INVALID_PARAMETER;
    };
    let Some(body) = port.body::<Port>() else {
        kernel::violation(
            "object-unknown",
            format_args!("{SERVICE} of something that is no port, {}", object::lately()),
        );
        return Status::INVALID_PARAMETER;
    };
    if body.filter().is_none() {
        kernel::violation(
            "port-not-initialised",
            format_args!("{SERVICE} before IPort::Init succeeded, {}", object::lately()),
        );
        return Status::INVALID_DEVICE_STATE;
    }
    let (used, taken, stale, twice) = {
        let tables = TABLES.lock();
        // Two devices of a driver have subdevices of the same names: KS objects of two FDOs.
        let own = || tables.subdevices.iter().filter(|subdevice| subdevice.device == device);
        let same = own().find(|subdevice| folded(&subdevice.name) == folded(&name));
        let twice = tables.subdevices.iter().any(|subdevice| core::ptr::eq(subdevice.port, port));
        let twice = twice || body.device() != device;
        (own().count(), same.is_some(), same.is_some_and(|same| same.stopped), twice)
    };
    if stale {
        // A START after STOP with the subdevice still registered. Doubt what PortCls says: KS has an object
        // of that name already.
        return Status::OBJECT_NAME_COLLISION;
    }
    if taken || twice {
        kernel::violation(
            "subdevice-name",
            format_args!(
                "{SERVICE}: \"{}\" or its port is registered already",
                String::from_utf16_lossy(&name)
            ),
        );
        return Status::OBJECT_NAME_COLLISION;
    }
    let max_objects = if fault::make(Fault::FewObjects) { 1 } else { max_objects };
    if used >= max_objects as usize {
        kernel::violation(
            "max-objects",
            format_args!("{SERVICE}: PcAddAdapterDevice announced {max_objects} subdevice(s)"),
        );
        // Seen on Windows 11.
        return Status::ALLOTTED_SPACE_EXCEEDED;
    }
    crate::kprintln!("subdevice \"{}\" registered", String::from_utf16_lossy(&name));
    port.add_ref();
    TABLES.lock().subdevices.push(Subdevice { device, name_at, name, port, stopped: false });
    Status::SUCCESS
}

/// `IUnregisterSubdevice::UnregisterSubdevice`: physical connections must be gone before.
pub fn unregister(port: &'static Object) -> Status {
    let (removed, connected) = {
        let mut tables = TABLES.lock();
        let found = tables.subdevices.iter().position(|subdevice| core::ptr::eq(subdevice.port, port));
        let touches = |end: &End| matches!(end, End::Port(object, _) if core::ptr::eq(*object, port));
        let connected = tables.connections.iter().any(|(from, to)| touches(from) || touches(to));
        (found.map(|at| tables.subdevices.remove(at)), connected)
    };
    let Some(subdevice) = removed else {
        kernel::violation(
            "subdevice-unknown",
            format_args!("UnregisterSubdevice of a port that is not registered, {}", object::lately()),
        );
        return Status::NOT_FOUND;
    };
    if connected {
        kernel::violation(
            "subdevice-connected",
            format_args!("UnregisterSubdevice before its physical connections were taken back"),
        );
    }
    check_name(&subdevice);
    give_up(subdevice.port);
    Status::SUCCESS
}

/// PortCls' own reference to a port, and the port's to its miniport.
fn give_up(port: &Object) {
    if let Some(body) = port.body::<Port>() {
        body.let_go();
    }
    port.release();
}

fn check_name(subdevice: &Subdevice) {
    // SAFETY: the name must live as long as the subdevice; that it does is what is checked (a page that is
    // gone faults and is named).
    let now = unsafe { read_name(subdevice.name_at) };
    if now.as_ref() != Some(&subdevice.name) {
        kernel::violation(
            "subdevice-name",
            format_args!(
                "the storage of the name \"{}\" did not outlive its subdevice",
                String::from_utf16_lossy(&subdevice.name)
            ),
        );
    }
}

fn pin_of(end: &End) -> Option<Pin> {
    let End::Port(port, pin) = end else { return None };
    port.body::<Port>()?.filter()?.pins.get(*pin as usize).cloned()
}

/// `PcRegisterPhysicalConnection` and its two external forms: from a bridge pin that leads out to one that
/// leads in.
pub fn connect(from: End, to: End) -> Status {
    for (end, flow, word) in [(&from, FLOW_OUT, "from"), (&to, FLOW_IN, "to")] {
        let End::Port(port, id) = end else { continue };
        let registered =
            TABLES.lock().subdevices.iter().any(|subdevice| core::ptr::eq(subdevice.port, *port));
        let fits = pin_of(end).is_some_and(|pin| pin.is_bridge() && pin.flow == flow);
        if !registered || !fits {
            kernel::violation(
                "physical-connection",
                format_args!(
                    "{word} pin {id}: no bridge pin with that direction on a registered subdevice, {}",
                    object::lately()
                ),
            );
            return Status::INVALID_PARAMETER;
        }
    }
    // A bridge pin has one connection: a second one, to whatever pin, is a wire with two ends on one side.
    let known = TABLES.lock().connections.iter().any(|(a, b)| match (&from, &to) {
        (End::Port(..), End::Port(..)) => a.is(&from) || b.is(&to),
        _ => a.is(&from) && b.is(&to),
    });
    if known {
        kernel::violation(
            "physical-connection",
            format_args!("a pin is connected twice, {}", object::lately()),
        );
        return Status::INVALID_PARAMETER;
    }
    let of_capture =
        matches!(from, End::Port(port, _) if port.body::<Port>().is_some_and(|b| b.role() == Role::Topology));
    if of_capture && fault::make(Fault::LoseConnection) {
        return Status::SUCCESS;
    }
    each_port(&from, &to, Object::add_ref);
    TABLES.lock().connections.push((from, to));
    if fault::wanted(Fault::ConnectTwice) {
        fault::made();
        return connect_again(from, to);
    }
    Status::SUCCESS
}

/// What a driver does that connects its pins twice; it is told that all is well, so that it goes on.
fn connect_again(from: End, to: End) -> Status {
    let _ = connect(from, to);
    Status::SUCCESS
}

/// `IUnregisterPhysicalConnection`.
pub fn disconnect(from: End, to: End) -> Status {
    let removed = {
        let mut tables = TABLES.lock();
        let found = tables.connections.iter().position(|(a, b)| a.is(&from) && b.is(&to));
        found.map(|at| tables.connections.remove(at))
    };
    let Some((from, to)) = removed else {
        kernel::violation(
            "physical-connection",
            format_args!("an unknown one is taken back, {}", object::lately()),
        );
        return Status::NOT_FOUND;
    };
    each_port(&from, &to, Object::release);
    Status::SUCCESS
}

fn each_port(from: &End, to: &End, change: impl Fn(&Object) -> u32) {
    for end in [from, to] {
        if let End::Port(port, _) = end {
            change(port);
        }
    }
}

/// What is left of a device goes when it is removed.
pub fn remove_all_of(device: usize) {
    let is_its = |end: &End| matches!(end, End::Port(port, _) if port.body::<Port>().is_some_and(|port| port.device() == device));
    let (connections, subdevices): (Vec<_>, Vec<_>) = {
        let mut tables = TABLES.lock();
        let connections =
            tables.connections.extract_if(.., |(from, to)| is_its(from) || is_its(to)).collect();
        (connections, tables.subdevices.extract_if(.., |subdevice| subdevice.device == device).collect())
    };
    for (from, to) in &connections {
        each_port(from, to, Object::release);
    }
    for subdevice in &subdevices {
        check_name(subdevice);
        give_up(subdevice.port);
    }
}

/// After a device's STOP what the driver did not unregister stays.
pub fn keep_over_stop(device: usize) {
    for subdevice in TABLES.lock().subdevices.iter_mut().filter(|subdevice| subdevice.device == device) {
        subdevice.stopped = true;
    }
}

/// How many subdevices and physical connections are registered.
pub fn held() -> (usize, usize) {
    let tables = TABLES.lock();
    (tables.subdevices.len(), tables.connections.len())
}

/// Names and ports of the subdevices of all devices, device by device, in the order they were registered.
pub fn registered() -> Vec<(String, &'static Object)> {
    (0..cards::MOST).flat_map(registered_of).collect()
}

/// Those of one device.
pub fn registered_of(device: usize) -> Vec<(String, &'static Object)> {
    let tables = TABLES.lock();
    let own = tables.subdevices.iter().filter(|subdevice| subdevice.device == device);
    own.map(|subdevice| (String::from_utf16_lossy(&subdevice.name), subdevice.port)).collect()
}

/// The pin that a pin is physically connected to: where its sound goes, or with `upstream` where it comes
/// from.
pub fn neighbour(port: &'static Object, pin: u32, upstream: bool) -> Option<(&'static Object, u32)> {
    let here = End::Port(port, pin);
    let tables = TABLES.lock();
    let mut ends = tables.connections.iter().map(|(from, to)| if upstream { (to, from) } else { (from, to) });
    match ends.find(|(end, _)| end.is(&here))?.1 {
        End::Port(port, pin) => Some((port, *pin)),
        End::External(_) => None,
    }
}

/// Names are read again while the device works, as PortCls does.
pub fn check_names() {
    let subdevices: Vec<Subdevice> = TABLES
        .lock()
        .subdevices
        .iter()
        .map(|subdevice| Subdevice {
            device: subdevice.device,
            name_at: subdevice.name_at,
            name: subdevice.name.clone(),
            port: subdevice.port,
            stopped: subdevice.stopped,
        })
        .collect();
    subdevices.iter().for_each(check_name);
}

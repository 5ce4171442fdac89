//! Device interfaces and their properties: what a driver calls to tell the audio engine which packet sizes it
//! can do (WAVERT.md 4.9, 1.2 step 4), judged when all subdevices are there (rules `device-interface`,
//! `packet-constraints`).
//!
//! The INF registers the interfaces at installation, so that here as on Windows each is there already:
//! `OBJECT_NAME_EXISTS`, a success.

use super::constraints::{self, Constraints};
use super::descriptor::{Filter, Role};
use super::fault::{self, Fault};
use super::guid::{Guid, KSCATEGORY_AUDIO, Named};
use super::layout::DeviceObject;
use super::object::Object;
use super::port::Port;
use super::registry::read_string;
use super::report::{Report, Violations};
use super::status::Status;
use super::{adapter, modes, subdevice};
use crate::kernel::harsh::harsh_violation;
use crate::kernel::layout::UnicodeString;
use crate::kernel::sync::IrqLock;
use crate::kernel::{self, caller, inject, pool};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ptr;

/// Tag of the names that drivers get and give back.
const TAG: u32 = u32::from_le_bytes(*b"IoIn");
/// `PLUGPLAY_PROPERTY_PERSISTENT`
const PERSISTENT: u32 = 1;
/// Longest property that is read.
const MOST_BYTES: u32 = 4096;

/// `DEVPROPKEY`
#[repr(C)]
#[derive(Clone, Copy)]
pub struct DevPropKey {
    format: Guid,
    number: u32,
}
const _: () = assert!(size_of::<DevPropKey>() == 20);

/// An interface that the driver asked for.
struct Interface {
    /// Whose it is.
    device: usize,
    link: String,
    class: Guid,
    reference: String,
    constraints: Option<Constraints>,
    /// By `IoSetDeviceInterfaceState`; PortCls enables those of a subdevice by itself.
    enabled: bool,
}

static INTERFACES: IrqLock<Vec<Interface>> = IrqLock::new(Vec::new());

fn refuse(what: core::fmt::Arguments<'_>) -> i32 {
    kernel::violation("device-interface", format_args!("{what}, {}", caller()));
    Status::INVALID_DEVICE_REQUEST.0
}

/// The text of a counted string of the driver; `None` when it is none.
fn text(string: *const UnicodeString) -> Option<String> {
    // SAFETY: a counted string of the driver by the contract of the services, or null.
    unsafe { read_string(string) }.map(|units| String::from_utf16_lossy(&units))
}

/// IoRegisterDeviceInterface(PDO, class, reference string or null, out link) -> NTSTATUS
pub extern "win64" fn register(
    pdo: *mut DeviceObject,
    class: *const Guid,
    reference: *const UnicodeString,
    out: *mut UnicodeString,
) -> i32 {
    const SERVICE: &str = "IoRegisterDeviceInterface";
    let device = adapter::device_of_pdo(pdo).filter(|_| !class.is_null() && !out.is_null());
    let Some(device) = device else {
        return refuse(format_args!("{SERVICE}: not the PDO, no class, or no room for the link"));
    };
    if fault::make(Fault::NoInterface) {
        return Status::INVALID_DEVICE_REQUEST.0;
    }
    if let Some(status) = inject::REGISTER_INTERFACE.fails() {
        return status.0;
    }
    // SAFETY: not null, the driver's GUID.
    let class = unsafe { class.read_unaligned() };
    let reference = if reference.is_null() { Some(String::new()) } else { text(reference) };
    let Some(reference) = reference.filter(|name| !name.contains(['/', '\\'])) else {
        return refuse(format_args!("{SERVICE}: the reference string is none or has a separator"));
    };
    // Drivers must not look into it.
    let link = format!("\\??\\RINGWAVE#UNDER#TEST&{device}#{{{class}}}\\{reference}");
    let units: Vec<u16> = link.encode_utf16().collect();
    let bytes = units.len() * 2;
    let Some(buffer) = pool::allocate(bytes + 2, TAG, true, true) else {
        return Status::INSUFFICIENT_RESOURCES.0;
    };
    let length = u16::try_from(bytes).unwrap_or(0);
    let name = UnicodeString { length, maximum_length: length + 2, buffer: buffer.cast() };
    // SAFETY: the block has room for the units and a terminator; `out` is not null and the driver's.
    unsafe {
        buffer.cast::<u16>().copy_from_nonoverlapping(units.as_ptr(), units.len());
        out.write_unaligned(name);
    }
    let mut interfaces = INTERFACES.lock();
    if !interfaces.iter().any(|known| known.link == link) {
        interfaces.push(Interface { device, link, class, reference, constraints: None, enabled: false });
    }
    Status::OBJECT_NAME_EXISTS.0
}

/// RtlFreeUnicodeString(string): of a string that a service made.
pub extern "win64" fn free_unicode_string(string: *mut UnicodeString) {
    if string.is_null() {
        refuse(format_args!("RtlFreeUnicodeString of NULL"));
        return;
    }
    // SAFETY: not null, the driver's.
    let held = unsafe { string.read_unaligned() };
    if !held.buffer.is_null() {
        pool::free(held.buffer.addr(), 0);
    }
    // SAFETY: as above.
    unsafe {
        string.write_unaligned(UnicodeString { length: 0, maximum_length: 0, buffer: ptr::null_mut() });
    };
}

/// IoSetDeviceInterfacePropertyData(link, key, language, flags, type, size, data) -> NTSTATUS
pub extern "win64" fn set_property(
    link: *const UnicodeString,
    key: *const DevPropKey,
    language: u32,
    flags: u32,
    kind: u32,
    size: u32,
    data: *const u8,
) -> i32 {
    const SERVICE: &str = "IoSetDeviceInterfacePropertyData";
    let known = text(link).filter(|link| INTERFACES.lock().iter().any(|known| known.link == *link));
    let Some(link) = known else {
        return refuse(format_args!("{SERVICE}: the link is none that a service gave"));
    };
    if key.is_null() || language != 0 || flags & !PERSISTENT != 0 || size > MOST_BYTES {
        return refuse(format_args!("{SERVICE}: language {language:#x}, flags {flags:#x}, {size} bytes"));
    }
    if let Some(status) = inject::INTERFACE_PROPERTY.fails() {
        return status.0;
    }
    // SAFETY: not null, the driver's key.
    let key = unsafe { key.read_unaligned() };
    let mut bytes = Vec::new();
    if !data.is_null() {
        bytes.resize(size as usize, 0);
        // SAFETY: the driver's data of that size; a bad address is a named fault.
        unsafe { bytes.as_mut_ptr().copy_from(data, bytes.len()) };
    }
    if !constraints::is_key(&key.format, key.number) {
        crate::kprintln!("{SERVICE}: property {} {} is not judged", key.format, key.number);
        return Status::SUCCESS.0;
    }
    let mut report =
        Violations { rule: "packet-constraints", about: format_args!("\"{link}\", {}", caller()) };
    let read = constraints::parse(&key.format, kind, &bytes, &mut report);
    let reference = {
        let mut interfaces = INTERFACES.lock();
        let found = interfaces.iter_mut().find(|known| known.link == link);
        found.map(|interface| {
            interface.constraints = read.or(interface.constraints.take());
            (interface.device, interface.reference.clone())
        })
    };
    if let Some((device, name)) = reference {
        expect_not_enabled(device, &name);
    }
    Status::SUCCESS.0
}

/// Constraints are there before the interface is enabled, so that nobody finds it without them.
fn expect_not_enabled(device: usize, name: &str) {
    if subdevice_of(device, name).is_some() {
        kernel::violation(
            "packet-constraints",
            format_args!(
                "IoSetDeviceInterfacePropertyData after PcRegisterSubdevice enabled \"{name}\", {}",
                caller()
            ),
        );
    }
}

/// IoSetDeviceInterfaceState(link, BOOLEAN enable) -> NTSTATUS
pub extern "win64" fn set_state(link: *const UnicodeString, enable: u8) -> i32 {
    const SERVICE: &str = "IoSetDeviceInterfaceState";
    let enable = enable != 0;
    let Some(link) = text(link) else {
        return refuse(format_args!("{SERVICE}: the link is no UNICODE_STRING"));
    };
    let before = {
        let mut interfaces = INTERFACES.lock();
        let found = interfaces.iter_mut().find(|known| known.link == link);
        found.map(|interface| core::mem::replace(&mut interface.enabled, enable))
    };
    match before {
        None => refuse(format_args!("{SERVICE}: the link is none that a service gave")),
        Some(before) if before != enable => Status::SUCCESS.0,
        // Its page: what is enabled already is a success, what is not enabled cannot be disabled.
        Some(true) => Status::OBJECT_NAME_EXISTS.0,
        Some(false) => Status::OBJECT_NAME_NOT_FOUND.0,
    }
}

/// The filter of a device's registered subdevice, by its name.
fn subdevice_of(device: usize, name: &str) -> Option<(&'static Object, Role, alloc::sync::Arc<Filter>)> {
    let named = |other: &str| other.to_lowercase() == name.to_lowercase();
    let (_, object) = subdevice::registered_of(device).into_iter().find(|(other, _)| named(other))?;
    let port = object.body::<Port>()?;
    Some((object, port.role(), port.filter()?))
}

/// Bytes of 10 ms of the largest format a filter announces.
fn bytes_in_10_ms(filter: &Filter) -> u32 {
    let ranges = filter.pins.iter().flat_map(|pin| &pin.ranges).filter_map(|range| range.audio);
    let bytes = ranges.map(|audio| {
        let frame = u64::from(audio.maximum_channels) * u64::from(audio.maximum_bits_per_sample / 8);
        u64::from(audio.maximum_sample_frequency) * frame / 100
    });
    u32::try_from(bytes.max().unwrap_or(0)).unwrap_or(u32::MAX)
}

/// When all subdevices are there: each interface belongs to one, and constraints fit its pins.
pub fn check_all() {
    let interfaces: Vec<(usize, Guid, String, Option<Constraints>)> = {
        let interfaces = INTERFACES.lock();
        interfaces.iter().map(|i| (i.device, i.class, i.reference.clone(), i.constraints.clone())).collect()
    };
    let (mut count, mut shortest) = (0, 0);
    for (device, class, reference, constraints) in interfaces {
        // A driver may have interfaces of its own, which no filter stands behind.
        let Some((port, role, filter)) = subdevice_of(device, &reference) else {
            harsh_violation("device-interface", format_args!("\"{reference}\" is the name of no subdevice"));
            continue;
        };
        if !filter.categories.contains(&class) {
            harsh_violation(
                "device-interface",
                format_args!("\"{reference}\" has no interface of {}", Named(class)),
            );
        }
        let Some(constraints) = constraints else { continue };
        if fault::make(Fault::LateConstraints) {
            expect_not_enabled(device, &reference);
        }
        let mut report = Violations { rule: "packet-constraints", about: format_args!("\"{reference}\"") };
        if role != Role::Wave || class != KSCATEGORY_AUDIO {
            report.found(format_args!("the engine looks at the AUDIO interface of a wave filter only"));
        }
        let listed = modes::listed(port);
        constraints::check(&constraints, bytes_in_10_ms(&filter), &listed, &mut report);
        count += 1;
        shortest = constraints.min_period;
    }
    crate::kresult!("packet_constraints={count} packet_min_period_hns={shortest}");
}

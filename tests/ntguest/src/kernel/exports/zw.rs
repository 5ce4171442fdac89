//! Registry keys by handle: `Zw*Key`, and the I/O manager's functions that open a driver's, a device's or an
//! interface's key.
//!
//! All at PASSIVE level. Sizes follow the protocol of the pages: BUFFER_TOO_SMALL below the fixed part,
//! BUFFER_OVERFLOW below the whole, ResultLength always set.

use alloc::format;
use alloc::string::String;
use core::ffi::c_void;

use super::rtl::{text, units};
use crate::kernel::handle::{self, Object};
use crate::kernel::layout::{DriverObject, UnicodeString};
use crate::kernel::pci::Card;
use crate::kernel::registry::{self, CONTROL_SET, Registry};
use crate::kernel::sync::IrqLock;
use crate::kernel::{caller, cards, cfg, harsh_violation, image, stale, violation};
use crate::portcls::adapter;
use crate::portcls::key_value::{self, REG_DWORD, Value};
use crate::portcls::status::Status;

/// The class key of sound cards.
const MEDIA_CLASS: &str = "{4d36e96c-e325-11ce-bfc1-08002be10318}";
const OBJECT_PATH_SYNTAX_BAD: Status = Status(0xc000_003b_u32.cast_signed());
const INVALID_HANDLE: Status = Status(0xc000_0008_u32.cast_signed());

static REGISTRY: IrqLock<Option<Registry>> = IrqLock::new(None);

/// Runs `f` on the registry, which is filled at the first use.
pub fn with<R>(f: impl FnOnce(&mut Registry) -> R) -> R {
    let filled = REGISTRY.lock().is_some();
    if !filled {
        let registry = fill();
        *REGISTRY.lock() = Some(registry);
    }
    f(REGISTRY.lock().get_or_insert_with(Registry::new))
}

/// The service's key.
pub fn service_key() -> String {
    format!("{CONTROL_SET}\\Services\\{}", image::service_name())
}
fn software_key(device: usize) -> String {
    format!("{CONTROL_SET}\\Control\\Class\\{MEDIA_CLASS}\\{device:04}")
}
fn device_key(card: &Card) -> String {
    if card.root {
        return format!("{CONTROL_SET}\\Enum\\ROOT\\MEDIA\\0000\\Device Parameters");
    }
    format!(
        "{CONTROL_SET}\\Enum\\PCI\\VEN_{:04X}&DEV_{:04X}\\{}\\Device Parameters",
        card.vendor, card.device, card.number
    )
}

fn dword(name: &str, number: u32) -> Value {
    Value { name: name.encode_utf16().collect(), kind: REG_DWORD, data: number.to_le_bytes().to_vec() }
}

fn fill() -> Registry {
    let mut registry = Registry::new();
    registry.create_all("\\Registry\\Machine\\Software\\Microsoft\\Windows NT\\CurrentVersion");
    registry.create_all("\\Registry\\User");
    registry.create_all("\\Registry\\Machine\\Hardware\\DeviceMap");
    let service = registry.create_all(&service_key());
    // SERVICE_KERNEL_DRIVER, started on demand, an error is normal.
    for (name, number) in [("Type", 1), ("Start", 3), ("ErrorControl", 1)] {
        let _ = registry.set_value(&service, dword(name, number));
    }
    configured(&mut registry, &format!("{}\\Parameters", service_key()));
    for card in cards::all() {
        configured(&mut registry, &software_key(card.number));
        configured(&mut registry, &device_key(card));
    }
    registry
}

/// A key with the values of `ntguest.cfg`, made when it is not there; its path.
fn configured(registry: &mut Registry, place: &str) -> String {
    if let Ok(known) = registry.open(place) {
        return known;
    }
    let key = registry.create_all(place);
    for (name, text) in cfg::with_prefix("reg.") {
        let number = cfg::number(text).and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
        let _ = registry.set_value(&key, dword(name, number));
    }
    key
}

/// OBJECT_ATTRIBUTES.
#[repr(C)]
pub struct ObjectAttributes {
    length: u32,
    root: usize,
    name: *const UnicodeString,
    attributes: u32,
    security: [usize; 2],
}
const _: () = assert!(size_of::<ObjectAttributes>() == 48);

/// The path that OBJECT_ATTRIBUTES name, and their flags.
fn path_of(service: &str, attributes: *const ObjectAttributes) -> Result<(String, u32), Status> {
    // SAFETY: the driver's attributes; a bad address is a named fault.
    let attributes = unsafe { &*attributes };
    if attributes.length != 48 || attributes.name.is_null() {
        violation("object-attributes", format_args!("{service}: Length {}, {}", attributes.length, caller()));
        return Err(Status::INVALID_PARAMETER);
    }
    if attributes.attributes & handle::KERNEL_HANDLE == 0 {
        // A rule where the thread is any process's: elsewhere the handle is just visible to user mode.
        harsh_violation("kernel-handle", format_args!("{service} without OBJ_KERNEL_HANDLE, {}", caller()));
    }
    let name = text(attributes.name);
    if attributes.root == 0 {
        return if name.starts_with('\\') {
            Ok((name, attributes.attributes))
        } else {
            Err(OBJECT_PATH_SYNTAX_BAD)
        };
    }
    let root = key_of(service, attributes.root)?;
    Ok((if name.is_empty() { root } else { format!("{root}\\{name}") }, attributes.attributes))
}

fn key_of(service: &str, handle: usize) -> Result<String, Status> {
    match handle::get(service, handle) {
        Some(Object::Key(path)) => Ok(path),
        Some(Object::Thread(_)) => Err(Status(0xc000_0024_u32.cast_signed())),
        None => Err(INVALID_HANDLE),
    }
}

/// Hands out a handle of a key that is there.
fn hand_out(out: *mut usize, path: Result<String, Status>, attributes: u32) -> i32 {
    match path {
        Ok(path) => {
            // SAFETY: the driver's variable for the handle.
            unsafe { out.write_unaligned(handle::new(Object::Key(path), attributes)) };
            0
        }
        Err(status) => status.0,
    }
}

fn result(outcome: Result<(), Status>) -> i32 {
    outcome.map_or_else(|status| status.0, |()| 0)
}

/// ZwOpenKey(out handle, access, attributes)
pub extern "win64" fn open_key(out: *mut usize, _access: u32, attributes: *const ObjectAttributes) -> i32 {
    let (path, flags) = match path_of("ZwOpenKey", attributes) {
        Ok(found) => found,
        Err(status) => return status.0,
    };
    hand_out(out, with(|registry| registry.open(&path)), flags)
}

/// ZwCreateKey(out handle, access, attributes, title index, class, options, out disposition)
pub extern "win64" fn create_key(
    out: *mut usize,
    _access: u32,
    attributes: *const ObjectAttributes,
    _title: u32,
    _class: *const UnicodeString,
    _options: u32,
    disposition: *mut u32,
) -> i32 {
    let (path, flags) = match path_of("ZwCreateKey", attributes) {
        Ok(found) => found,
        Err(status) => return status.0,
    };
    let made = with(|registry| registry.create(&path));
    if let (Ok((_, created)), false) = (&made, disposition.is_null()) {
        // SAFETY: not null; REG_CREATED_NEW_KEY 1, REG_OPENED_EXISTING_KEY 2.
        unsafe { disposition.write_unaligned(if *created { 1 } else { 2 }) };
    }
    hand_out(out, made.map(|(path, _)| path), flags)
}

/// ZwClose(handle)
pub extern "win64" fn close(handle: usize) -> i32 {
    if handle::close("ZwClose", handle) { 0 } else { INVALID_HANDLE.0 }
}

/// ZwDeleteKey(handle)
pub extern "win64" fn delete_key(handle: usize) -> i32 {
    result(key_of("ZwDeleteKey", handle).and_then(|path| with(|registry| registry.delete(&path))))
}

/// ZwFlushKey(handle)
pub extern "win64" fn flush_key(handle: usize) -> i32 {
    result(key_of("ZwFlushKey", handle).map(drop))
}

/// Writes what fits into the caller's buffer, and how much there would be.
fn deliver(bytes: &[u8], fixed: usize, buffer: *mut u8, length: u32, needed: *mut u32) -> i32 {
    let room = if buffer.is_null() { 0 } else { length as usize };
    let (status, written) = key_value::answer(bytes.len(), fixed, room);
    if needed.is_null() {
        violation("null-argument", format_args!("a registry query without a ResultLength, {}", caller()));
        return Status::INVALID_PARAMETER.0;
    }
    // SAFETY: the driver's variable and buffer; `written` is at most its length.
    unsafe {
        needed.write_unaligned(bytes.len() as u32);
        buffer.copy_from(bytes.as_ptr(), written);
    }
    status.0
}

fn deliver_value(
    value: Result<Value, Status>,
    class: u32,
    buffer: *mut u8,
    length: u32,
    needed: *mut u32,
) -> i32 {
    let value = match value {
        Ok(value) => value,
        Err(status) => return status.0,
    };
    match key_value::information(&value, class) {
        Some((bytes, fixed)) => deliver(&bytes, fixed, buffer, length, needed),
        None => Status::INVALID_PARAMETER.0,
    }
}

/// ZwQueryValueKey(handle, name, class, buffer, length, out needed)
pub extern "win64" fn query_value_key(
    handle: usize,
    name: *const UnicodeString,
    class: u32,
    buffer: *mut u8,
    length: u32,
    needed: *mut u32,
) -> i32 {
    let name = units(name);
    let path = key_of("ZwQueryValueKey", handle);
    let value = path.and_then(|path| with(|registry| registry.value(&path, &name).cloned()));
    deliver_value(value, class, buffer, length, needed)
}

/// ZwEnumerateValueKey(handle, index, class, buffer, length, out needed)
pub extern "win64" fn enumerate_value_key(
    handle: usize,
    index: u32,
    class: u32,
    buffer: *mut u8,
    length: u32,
    needed: *mut u32,
) -> i32 {
    let path = key_of("ZwEnumerateValueKey", handle);
    let nth = |registry: &mut Registry, path: &str| {
        registry
            .values(path)
            .and_then(|values| values.get(index as usize).cloned())
            .ok_or(Status::NO_MORE_ENTRIES)
    };
    deliver_value(path.and_then(|path| with(|registry| nth(registry, &path))), class, buffer, length, needed)
}

/// ZwSetValueKey(handle, name, title index, type, data, size)
pub extern "win64" fn set_value_key(
    handle: usize,
    name: *const UnicodeString,
    _title: u32,
    kind: u32,
    data: *const u8,
    size: u32,
) -> i32 {
    let mut bytes = alloc::vec![0; size as usize];
    // SAFETY: the driver's data of that size; a bad address is a named fault.
    unsafe { bytes.as_mut_ptr().copy_from(data, bytes.len()) };
    // The registry keeps it for programs to read; of what was there before nothing is known.
    let blank = alloc::vec![0; bytes.len()];
    if let Some((at, what)) = stale::find(&blank, &bytes) {
        violation("uninitialised", format_args!("ZwSetValueKey: the word at {at} of the value is {what}"));
    }
    let value = Value { name: units(name), kind, data: bytes };
    result(key_of("ZwSetValueKey", handle).and_then(|path| with(|registry| registry.set_value(&path, value))))
}

/// ZwDeleteValueKey(handle, name)
pub extern "win64" fn delete_value_key(handle: usize, name: *const UnicodeString) -> i32 {
    let name = units(name);
    result(
        key_of("ZwDeleteValueKey", handle)
            .and_then(|path| with(|registry| registry.delete_value(&path, &name))),
    )
}

fn key_information(path: &str, class: u32, buffer: *mut u8, length: u32, needed: *mut u32) -> i32 {
    match with(|registry| registry::key_information(registry, path, class)) {
        Some((bytes, fixed)) => deliver(&bytes, fixed, buffer, length, needed),
        None => Status::INVALID_PARAMETER.0,
    }
}

/// ZwQueryKey(handle, class, buffer, length, out needed)
pub extern "win64" fn query_key(
    handle: usize,
    class: u32,
    buffer: *mut u8,
    length: u32,
    needed: *mut u32,
) -> i32 {
    match key_of("ZwQueryKey", handle) {
        Ok(path) => key_information(&path, class, buffer, length, needed),
        Err(status) => status.0,
    }
}

/// ZwEnumerateKey(handle, index, class, buffer, length, out needed)
pub extern "win64" fn enumerate_key(
    handle: usize,
    index: u32,
    class: u32,
    buffer: *mut u8,
    length: u32,
    needed: *mut u32,
) -> i32 {
    let path = match key_of("ZwEnumerateKey", handle) {
        Ok(path) => path,
        Err(status) => return status.0,
    };
    let Some(name) = with(|registry| registry.sub_keys(&path).get(index as usize).cloned()) else {
        return Status::NO_MORE_ENTRIES.0;
    };
    key_information(&format!("{path}\\{}", name.to_lowercase()), class, buffer, length, needed)
}

/// IoOpenDriverRegistryKey(driver object, type, access, flags, out handle): Parameters 0, persistent state 1
/// and shared state 2
pub extern "win64" fn open_driver_key(
    driver: *mut DriverObject,
    kind: u32,
    _access: u32,
    flags: u32,
    out: *mut usize,
) -> i32 {
    if !image::is_driver_object(driver) || flags != 0 || kind > 2 {
        violation(
            "registry-key",
            format_args!("IoOpenDriverRegistryKey: {driver:p}, type {kind}, flags {flags:#x}, {}", caller()),
        );
        return Status::INVALID_PARAMETER.0;
    }
    let place = ["Parameters", "PersistentState", "SharedPersistentState"][kind as usize];
    let path = with(|registry| registry.create_all(&format!("{}\\{place}", service_key())));
    hand_out(out, Ok(path), handle::KERNEL_HANDLE)
}

/// IoOpenDeviceRegistryKey(PDO, type, access, out handle): PLUGPLAY_REGKEY_DEVICE 1, _DRIVER 2
pub extern "win64" fn open_device_key(pdo: *mut c_void, kind: u32, _access: u32, out: *mut usize) -> i32 {
    let Some(card) = adapter::device_of_pdo(pdo.cast()).and_then(cards::get) else {
        violation(
            "registry-key",
            format_args!("IoOpenDeviceRegistryKey: {pdo:p} is not the PDO, {}", caller()),
        );
        return Status::INVALID_DEVICE_REQUEST.0;
    };
    let path = match kind {
        1 => device_key(card),
        2 => software_key(card.number),
        _ => return Status::INVALID_PARAMETER.0,
    };
    hand_out(out, with(|registry| registry.open(&path)), handle::KERNEL_HANDLE)
}

/// IoOpenDeviceInterfaceRegistryKey(link, access, out handle)
pub extern "win64" fn open_interface_key(link: *const UnicodeString, _access: u32, out: *mut usize) -> i32 {
    let link = text(link);
    if !link.starts_with("\\??\\") {
        violation("registry-key", format_args!("IoOpenDeviceInterfaceRegistryKey: no link, {}", caller()));
        return Status::OBJECT_NAME_NOT_FOUND.0;
    }
    let name = link.replace('\\', "#");
    let path = format!("{CONTROL_SET}\\Control\\DeviceClasses\\{name}\\Device Parameters");
    hand_out(out, Ok(with(|registry| configured(registry, &path))), handle::KERNEL_HANDLE)
}

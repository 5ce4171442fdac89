//! `IRegistryKey`: the device's and the driver's key, whose values are the `reg.<name>=<dword>` lines of
//! ntguest.cfg.
//!
//! Reading values works; what would change the registry or walk sub keys answers `NOT_IMPLEMENTED` and says
//! so in the log.

use super::guid::IID_REGISTRY_KEY;
use super::key_value::{self, REG_DWORD, Value};
use super::object::{self, Body, Interface, Object};
use super::status::Status;
use super::vtable::{This, Unknown};
use crate::kernel::layout::UnicodeString;
use crate::kernel::{self, cfg, inject, irql};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::c_void;

/// `DeviceRegistryKey`, `DriverRegistryKey` and `DeviceInterfaceRegistryKey`.
const OFFERED: [(u32, &str); 3] = [(1, "device"), (2, "driver"), (4, "device interface")];

type Buffer = *mut c_void;

#[repr(C)]
struct Vtable {
    unknown: Unknown,
    query_key: unsafe extern "win64" fn(This, u32, Buffer, u32, *mut u32) -> i32,
    enumerate_key: unsafe extern "win64" fn(This, u32, u32, Buffer, u32, *mut u32) -> i32,
    query_value_key: unsafe extern "win64" fn(This, *const UnicodeString, u32, Buffer, u32, *mut u32) -> i32,
    enumerate_value_key: unsafe extern "win64" fn(This, u32, u32, Buffer, u32, *mut u32) -> i32,
    set_value_key: unsafe extern "win64" fn(This, *const UnicodeString, u32, Buffer, u32) -> i32,
    query_registry_values: unsafe extern "win64" fn(This, *mut c_void, *mut c_void) -> i32,
    new_sub_key:
        unsafe extern "win64" fn(This, *mut This, This, u32, *const UnicodeString, u32, *mut u32) -> i32,
    delete_key: unsafe extern "win64" fn(This) -> i32,
}

static VTABLE: Vtable = Vtable {
    unknown: object::UNKNOWN,
    query_key,
    enumerate_key,
    query_value_key,
    enumerate_value_key,
    set_value_key,
    query_registry_values,
    new_sub_key,
    delete_key,
};

struct RegistryKey {
    values: Vec<Value>,
}

impl Body for RegistryKey {}

/// Opens a key by its type (`IPort::NewRegistryKey`); the object has one reference.
pub fn open(key_type: u32) -> Result<&'static Object, Status> {
    let Some((_, name)) = OFFERED.iter().find(|(number, _)| *number == key_type) else {
        crate::kprintln!("registry key type {key_type} is not offered");
        return Err(Status::NOT_IMPLEMENTED);
    };
    let values = cfg::with_prefix("reg.").into_iter().map(value).collect();
    crate::kprintln!("the {name} registry key is opened");
    let interface = Interface { iids: &[IID_REGISTRY_KEY], vtable: (&raw const VTABLE).cast() };
    Ok(object::create("IRegistryKey", Box::new(RegistryKey { values }), &[interface]))
}

fn value((name, text): (&str, &str)) -> Value {
    let number = cfg::number(text).and_then(|number| u32::try_from(number).ok());
    let number = number
        .unwrap_or_else(|| kernel::bad_input(format_args!("ntguest.cfg: reg.{name}={text} is not a DWORD")));
    Value { name: name.encode_utf16().collect(), kind: REG_DWORD, data: number.to_le_bytes().to_vec() }
}

fn lower(unit: u16) -> u16 {
    u8::try_from(unit).map_or(unit, |byte| u16::from(byte.to_ascii_lowercase()))
}

/// The text of a counted string.
///
/// # Safety
/// `string` is null or a UNICODE_STRING whose buffer holds `length` bytes.
pub unsafe fn read_string(string: *const UnicodeString) -> Option<Vec<u16>> {
    if string.is_null() {
        return None;
    }
    // SAFETY: not null, a UNICODE_STRING by the contract.
    let string = unsafe { string.read() };
    if string.length == 0 {
        return Some(Vec::new());
    }
    if string.buffer.is_null() || string.length % 2 != 0 || string.length > string.maximum_length {
        return None;
    }
    let units = usize::from(string.length / 2);
    // SAFETY: the buffer holds that many units by the contract.
    Some((0..units).map(|i| unsafe { string.buffer.add(i).read_unaligned() }).collect())
}

unsafe extern "win64" fn query_value_key(
    this: This,
    name: *const UnicodeString,
    class: u32,
    buffer: Buffer,
    length: u32,
    result: *mut u32,
) -> i32 {
    const METHOD: &str = "IRegistryKey::QueryValueKey";
    irql::require(METHOD, irql::PASSIVE);
    let Some((_, key)) = object::find_body::<RegistryKey>(this, METHOD) else {
        return Status::INVALID_PARAMETER.0;
    };
    // SAFETY: a counted string of the driver by the contract of the method.
    let Some(name) = (unsafe { read_string(name) }) else {
        kernel::violation(
            "null-argument",
            format_args!("{METHOD}: the name is no UNICODE_STRING, {}", object::lately()),
        );
        return Status::INVALID_PARAMETER.0;
    };
    if let Some(status) = inject::QUERY_VALUE.fails() {
        return status.0;
    }
    let same = |value: &&Value| {
        value.name.len() == name.len() && value.name.iter().zip(&name).all(|(a, b)| lower(*a) == lower(*b))
    };
    let Some(value) = key.values.iter().find(same) else { return Status::OBJECT_NAME_NOT_FOUND.0 };
    // SAFETY: the caller's buffer and result, as the method wants them.
    unsafe { deliver(value, class, buffer, length, result).0 }
}

unsafe extern "win64" fn enumerate_value_key(
    this: This,
    index: u32,
    class: u32,
    buffer: Buffer,
    length: u32,
    result: *mut u32,
) -> i32 {
    const METHOD: &str = "IRegistryKey::EnumerateValueKey";
    irql::require(METHOD, irql::PASSIVE);
    let Some((_, key)) = object::find_body::<RegistryKey>(this, METHOD) else {
        return Status::INVALID_PARAMETER.0;
    };
    let Some(value) = key.values.get(index as usize) else { return Status::NO_MORE_ENTRIES.0 };
    // SAFETY: the caller's buffer and result, as the method wants them.
    unsafe { deliver(value, class, buffer, length, result).0 }
}

/// Writes what fits and how much there would be.
///
/// # Safety
/// `buffer` has `length` bytes and `result` is the caller's, or either is null.
unsafe fn deliver(value: &Value, class: u32, buffer: Buffer, length: u32, result: *mut u32) -> Status {
    let Some((bytes, fixed)) = key_value::information(value, class) else { return Status::INVALID_PARAMETER };
    let room = if buffer.is_null() { 0 } else { length as usize };
    let (status, written) = key_value::answer(bytes.len(), fixed, room);
    if result.is_null() {
        kernel::violation(
            "null-argument",
            format_args!("a registry value is queried without a ResultLength, {}", object::lately()),
        );
    } else {
        // SAFETY: not null, the caller's by the contract.
        unsafe { result.write(u32::try_from(bytes.len()).unwrap_or(u32::MAX)) };
    }
    // SAFETY: `written` is at most `length`, and zero when the buffer is null.
    unsafe { buffer.cast::<u8>().copy_from(bytes.as_ptr(), written) };
    status
}

fn refuse(this: This, method: &'static str) -> i32 {
    irql::require(method, irql::PASSIVE);
    if object::find_body::<RegistryKey>(this, method).is_some() {
        crate::kprintln!("{method} is not implemented here");
    }
    Status::NOT_IMPLEMENTED.0
}

unsafe extern "win64" fn query_key(
    this: This,
    _class: u32,
    _buffer: Buffer,
    _length: u32,
    _result: *mut u32,
) -> i32 {
    refuse(this, "IRegistryKey::QueryKey")
}

unsafe extern "win64" fn enumerate_key(
    this: This,
    _index: u32,
    _class: u32,
    _buffer: Buffer,
    _length: u32,
    _result: *mut u32,
) -> i32 {
    refuse(this, "IRegistryKey::EnumerateKey")
}

unsafe extern "win64" fn set_value_key(
    this: This,
    _name: *const UnicodeString,
    _kind: u32,
    _data: Buffer,
    _size: u32,
) -> i32 {
    refuse(this, "IRegistryKey::SetValueKey")
}

unsafe extern "win64" fn query_registry_values(
    this: This,
    _table: *mut c_void,
    _context: *mut c_void,
) -> i32 {
    refuse(this, "IRegistryKey::QueryRegistryValues")
}

unsafe extern "win64" fn new_sub_key(
    this: This,
    out: *mut This,
    _outer: This,
    _access: u32,
    _name: *const UnicodeString,
    _options: u32,
    _disposition: *mut u32,
) -> i32 {
    if !out.is_null() {
        // SAFETY: the caller's slot for the answer, not null.
        unsafe { out.write(core::ptr::null_mut()) };
    }
    refuse(this, "IRegistryKey::NewSubKey")
}

unsafe extern "win64" fn delete_key(this: This) -> i32 {
    refuse(this, "IRegistryKey::DeleteKey")
}

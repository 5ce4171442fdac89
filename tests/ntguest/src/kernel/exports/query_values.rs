//! RtlQueryRegistryValues and the other `Rtl*Registry*` functions, which take a path and no handle.
//!
//! Source: the public page of RtlQueryRegistryValues. Variables of REG_EXPAND_SZ are not expanded: there is
//! no environment here.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::c_void;

use super::rtl;
use super::zw;
use crate::kernel::handle::{self, Object};
use crate::kernel::layout::UnicodeString;
use crate::kernel::registry::CONTROL_SET;
use crate::kernel::{caller, harsh_violation, pool, violation};
use crate::portcls::key_value::Value;
use crate::portcls::status::Status;

const TAG: u32 = u32::from_le_bytes(*b"RtlQ");
const RELATIVE_HANDLE: u32 = 0x4000_0000;
const RELATIVE_OPTIONAL: u32 = 0x8000_0000;

/// RTL_QUERY_REGISTRY_*.
mod flag {
    pub const SUBKEY: u32 = 1;
    pub const TOPKEY: u32 = 2;
    pub const REQUIRED: u32 = 4;
    pub const NOVALUE: u32 = 8;
    pub const NOEXPAND: u32 = 0x10;
    pub const DIRECT: u32 = 0x20;
    pub const DELETE: u32 = 0x40;
    pub const TYPECHECK: u32 = 0x100;
}

const REG_NONE: u32 = 0;
const REG_SZ: u32 = 1;
const REG_EXPAND_SZ: u32 = 2;
const REG_MULTI_SZ: u32 = 7;
const OBJECT_TYPE_MISMATCH: Status = Status(0xc000_0024_u32.cast_signed());

/// RTL_QUERY_REGISTRY_ROUTINE(name, type, data, length, context, entry context).
type Routine = unsafe extern "win64" fn(*const u16, u32, *const u8, u32, *mut c_void, *mut c_void) -> i32;

/// RTL_QUERY_REGISTRY_TABLE.
#[repr(C)]
#[derive(Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "the header's names")]
pub struct Entry {
    routine: Option<Routine>,
    flags: u32,
    name: *const u16,
    entry_context: *mut c_void,
    default_type: u32,
    default_data: *const u8,
    default_length: u32,
}
const _: () = assert!(size_of::<Entry>() == 56);

fn terminated(source: *const u16) -> Vec<u16> {
    let mut string = UnicodeString { length: 0, maximum_length: 0, buffer: core::ptr::null_mut() };
    rtl::init_unicode_string(&raw mut string, source.cast_mut());
    rtl::units(&raw const string)
}

/// The path that `relative` and `path` name.
fn path_of(service: &str, relative: u32, path: *const u16) -> Result<String, Status> {
    if relative & RELATIVE_HANDLE != 0 {
        return match handle::get(service, path as usize) {
            Some(Object::Key(path)) => Ok(path),
            _ => Err(Status(0xc000_0008_u32.cast_signed())),
        };
    }
    let below = String::from_utf16_lossy(&terminated(path));
    let root = match relative & !RELATIVE_OPTIONAL {
        0 => String::new(),
        1 => format!("{CONTROL_SET}\\Services\\"),
        2 => format!("{CONTROL_SET}\\Control\\"),
        3 => String::from("\\Registry\\Machine\\Software\\Microsoft\\Windows NT\\CurrentVersion\\"),
        4 => String::from("\\Registry\\Machine\\Hardware\\DeviceMap\\"),
        5 => String::from("\\Registry\\User\\"),
        other => {
            violation("registry-key", format_args!("{service} relative to {other}, {}", caller()));
            return Err(Status::INVALID_PARAMETER);
        }
    };
    let whole = format!("{root}{below}");
    Ok(whole.strip_suffix('\\').map_or(whole.clone(), String::from))
}

/// Values as the table asks for them.
struct Query {
    context: *mut c_void,
}

impl Query {
    /// Delivers one value to the entry: to its routine, or straight into its buffer.
    fn deliver(&self, entry: &Entry, name: &[u16], kind: u32, data: &[u8]) -> Status {
        if entry.flags & flag::DIRECT != 0 {
            return direct(entry, kind, data);
        }
        let Some(routine) = entry.routine else { return Status::SUCCESS };
        if kind == REG_MULTI_SZ && entry.flags & flag::NOEXPAND == 0 {
            return self.each_string(entry, routine, name, data);
        }
        self.call(entry, routine, name, kind, data)
    }

    fn call(&self, entry: &Entry, routine: Routine, name: &[u16], kind: u32, data: &[u8]) -> Status {
        let name: Vec<u16> = name.iter().copied().chain([0]).collect();
        // SAFETY: the driver's routine; name and data are ours for the time of the call.
        let status = unsafe {
            routine(name.as_ptr(), kind, data.as_ptr(), data.len() as u32, self.context, entry.entry_context)
        };
        // A routine that calls its buffer too small is not asked again here: there is nothing to grow.
        Status(status)
    }

    fn each_string(&self, entry: &Entry, routine: Routine, name: &[u16], data: &[u8]) -> Status {
        let units: Vec<u16> =
            data.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
        for text in units.split(|unit| *unit == 0).filter(|text| !text.is_empty()) {
            let bytes: Vec<u8> = text.iter().chain([&0]).flat_map(|unit| unit.to_le_bytes()).collect();
            let status = self.call(entry, routine, name, REG_SZ, &bytes);
            if !status.is_success() {
                return status;
            }
        }
        Status::SUCCESS
    }
}

/// RTL_QUERY_REGISTRY_DIRECT: strings into a UNICODE_STRING, small data as it is, larger data as the first
/// word of the buffer says.
fn direct(entry: &Entry, kind: u32, data: &[u8]) -> Status {
    let wanted = entry.default_type >> 24;
    if entry.flags & flag::TYPECHECK == 0 {
        harsh_violation(
            "registry-typecheck",
            format_args!("RTL_QUERY_REGISTRY_DIRECT without RTL_QUERY_REGISTRY_TYPECHECK, {}", caller()),
        );
    } else if wanted != kind {
        return OBJECT_TYPE_MISMATCH;
    }
    let buffer = entry.entry_context.cast::<u8>();
    if kind == REG_SZ || kind == REG_EXPAND_SZ || kind == REG_MULTI_SZ {
        return direct_string(entry.entry_context.cast(), data);
    }
    if data.len() <= 4 {
        // SAFETY: the driver's buffer of at least a ULONG.
        unsafe { buffer.copy_from(data.as_ptr(), data.len()) };
        return Status::SUCCESS;
    }
    // SAFETY: the page: the first LONG says how large the buffer is, negative for the bare data.
    let size = unsafe { buffer.cast::<i32>().read_unaligned() };
    let (at, room) =
        if size < 0 { (0, size.unsigned_abs() as usize) } else { (8, (size as usize).saturating_sub(8)) };
    if data.len() > room {
        return Status::BUFFER_TOO_SMALL;
    }
    // SAFETY: the driver's buffer is as large as it says.
    unsafe {
        if at == 8 {
            buffer.cast::<u32>().write_unaligned(data.len() as u32);
            buffer.cast::<u32>().add(1).write_unaligned(kind);
        }
        buffer.add(at).copy_from(data.as_ptr(), data.len());
    }
    Status::SUCCESS
}

fn direct_string(string: *mut UnicodeString, data: &[u8]) -> Status {
    // SAFETY: the driver's UNICODE_STRING.
    let target = unsafe { &mut *string };
    if target.buffer.is_null() {
        let Some(buffer) = pool::allocate(data.len().max(2), TAG, true, true) else {
            return Status::INSUFFICIENT_RESOURCES;
        };
        (target.buffer, target.maximum_length) = (buffer.cast(), data.len().max(2) as u16);
    }
    if data.len() > usize::from(target.maximum_length) {
        return Status::BUFFER_TOO_SMALL;
    }
    // SAFETY: the buffer holds MaximumLength bytes.
    unsafe { target.buffer.cast::<u8>().copy_from(data.as_ptr(), data.len()) };
    let terminated = data.len() >= 2 && data.ends_with(&[0, 0]);
    target.length = (data.len() - if terminated { 2 } else { 0 }) as u16;
    Status::SUCCESS
}

/// The default of an entry whose value is not there.
fn default_of(query: &Query, entry: &Entry, name: &[u16]) -> Status {
    let kind = entry.default_type & 0x00ff_ffff;
    if kind == REG_NONE {
        return if entry.flags & flag::REQUIRED != 0 {
            Status::OBJECT_NAME_NOT_FOUND
        } else {
            Status::SUCCESS
        };
    }
    let is_text = kind == REG_SZ || kind == REG_EXPAND_SZ;
    let length = if is_text && entry.default_length == 0 {
        terminated(entry.default_data.cast()).len() * 2 + 2
    } else {
        entry.default_length as usize
    };
    let mut data = alloc::vec![0; length];
    // SAFETY: the driver's default data of that length.
    unsafe { data.as_mut_ptr().copy_from(entry.default_data, length) };
    query.deliver(entry, name, kind, &data)
}

fn one(query: &Query, path: &str, entry: &Entry) -> Status {
    if entry.name.is_null() {
        if entry.flags & flag::NOVALUE != 0 {
            let Some(routine) = entry.routine else { return Status::SUCCESS };
            return query.call(entry, routine, &[], REG_NONE, &[]);
        }
        let all: Vec<Value> =
            zw::with(|registry| registry.values(path).map(<[Value]>::to_vec)).unwrap_or_default();
        if all.is_empty() && entry.flags & flag::REQUIRED != 0 {
            return Status::OBJECT_NAME_NOT_FOUND;
        }
        let mut handed = all.iter().map(|value| query.deliver(entry, &value.name, value.kind, &value.data));
        return handed.find(|status| !status.is_success()).unwrap_or(Status::SUCCESS);
    }
    let name = terminated(entry.name);
    let Ok(value) = zw::with(|registry| registry.value(path, &name).cloned()) else {
        return default_of(query, entry, &name);
    };
    let status = query.deliver(entry, &name, value.kind, &value.data);
    if status.is_success() && entry.flags & flag::DELETE != 0 {
        let _ = zw::with(|registry| registry.delete_value(path, &name));
    }
    status
}

/// RtlQueryRegistryValues(relative to, path or handle, table, context, environment)
pub extern "win64" fn query(
    relative: u32,
    path: *const u16,
    table: *const Entry,
    context: *mut c_void,
    _environment: *mut c_void,
) -> i32 {
    const SERVICE: &str = "RtlQueryRegistryValues";
    let opened = path_of(SERVICE, relative, path).and_then(|path| zw::with(|registry| registry.open(&path)));
    let top = match opened {
        Ok(path) => path,
        Err(status) => return status.0,
    };
    let query = Query { context };
    let mut at = top.clone();
    for index in 0.. {
        // SAFETY: the driver's table, which ends with an entry without routine and name.
        let entry = unsafe { table.add(index).read_unaligned() };
        let direct = entry.flags & (flag::DIRECT | flag::SUBKEY) != 0;
        if entry.routine.is_none() && (entry.name.is_null() || !direct) {
            break;
        }
        if entry.flags & (flag::SUBKEY | flag::TOPKEY) != 0 {
            at.clone_from(&top);
        }
        let status = if entry.flags & flag::SUBKEY != 0 {
            let below = String::from_utf16_lossy(&terminated(entry.name));
            match zw::with(|registry| registry.open(&format!("{top}\\{below}"))) {
                Ok(found) => {
                    at = found;
                    let all = Entry { name: core::ptr::null(), ..entry };
                    if entry.routine.is_some() { one(&query, &at, &all) } else { Status::SUCCESS }
                }
                Err(status) if entry.flags & flag::REQUIRED != 0 => status,
                Err(_) => Status::SUCCESS,
            }
        } else {
            one(&query, &at, &entry)
        };
        if !status.is_success() {
            return status.0;
        }
    }
    0
}

/// RtlWriteRegistryValue(relative to, path or handle, name, type, data, length)
pub extern "win64" fn write(
    relative: u32,
    path: *const u16,
    name: *const u16,
    kind: u32,
    data: *const u8,
    length: u32,
) -> i32 {
    let mut bytes = alloc::vec![0; length as usize];
    // SAFETY: the driver's data of that length.
    unsafe { bytes.as_mut_ptr().copy_from(data, bytes.len()) };
    let value = Value { name: terminated(name), kind, data: bytes };
    let path = path_of("RtlWriteRegistryValue", relative, path);
    let outcome = path.and_then(|path| {
        zw::with(|registry| {
            let key = registry.create_all(&path);
            registry.set_value(&key, value)
        })
    });
    outcome.map_or_else(|status| status.0, |()| 0)
}

/// RtlDeleteRegistryValue(relative to, path or handle, name)
pub extern "win64" fn delete(relative: u32, path: *const u16, name: *const u16) -> i32 {
    let name = terminated(name);
    let path = path_of("RtlDeleteRegistryValue", relative, path);
    let outcome = path.and_then(|path| {
        zw::with(|registry| registry.open(&path).and_then(|key| registry.delete_value(&key, &name)))
    });
    outcome.map_or_else(|status| status.0, |()| 0)
}

/// RtlCheckRegistryKey(relative to, path)
pub extern "win64" fn check(relative: u32, path: *const u16) -> i32 {
    let path = path_of("RtlCheckRegistryKey", relative, path);
    path.and_then(|path| zw::with(|registry| registry.open(&path))).map_or_else(|status| status.0, |_| 0)
}

/// RtlCreateRegistryKey(relative to, path)
pub extern "win64" fn create(relative: u32, path: *const u16) -> i32 {
    let path = path_of("RtlCreateRegistryKey", relative, path);
    path.map(|path| zw::with(|registry| registry.create_all(&path))).map_or_else(|status| status.0, |_| 0)
}

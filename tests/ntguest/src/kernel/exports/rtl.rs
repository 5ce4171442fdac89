//! The run-time library: counted strings, GUIDs as text, memory, versions.
//!
//! Sources: the public pages of `wdm.h` and `ntifs.h` for each function. A text that does not fit is never
//! cut but refused, with the one exception that its page names, RtlCopyUnicodeString.

use alloc::string::String;
use alloc::vec::Vec;

use crate::kernel::layout::UnicodeString;
use crate::kernel::{caller, pool, violation};
use crate::portcls::guid::Guid;
use crate::portcls::status::Status;

/// Tag of the buffers that RtlAnsiStringToUnicodeString and its kind allocate.
const TAG: u32 = u32::from_le_bytes(*b"RtlS");

/// A UNICODE_STRING's units.
pub fn units(string: *const UnicodeString) -> Vec<u16> {
    // SAFETY: the caller's string; a bad address is a named fault.
    let (buffer, count) = unsafe { ((*string).buffer.cast_const(), usize::from((*string).length / 2)) };
    if buffer.is_null() {
        return Vec::new();
    }
    // SAFETY: as above; the units may lie anywhere.
    (0..count).map(|i| unsafe { buffer.add(i).read_unaligned() }).collect()
}

/// A UNICODE_STRING as text.
pub fn text(string: *const UnicodeString) -> String {
    String::from_utf16_lossy(&units(string))
}

/// The units of a zero-terminated string; none for null.
fn terminated(source: *const u16) -> Vec<u16> {
    let count = if source.is_null() { 0 } else { super::crt::wcslen(source) };
    // SAFETY: the driver's string up to its end.
    (0..count).map(|i| unsafe { source.add(i).read_unaligned() }).collect()
}

/// The bytes of an ANSI_STRING, which is laid out as a UNICODE_STRING is.
fn ansi(string: *const UnicodeString) -> Vec<u8> {
    // SAFETY: the caller's string; a bad address is a named fault.
    let (buffer, count) = unsafe { ((*string).buffer.cast::<u8>(), usize::from((*string).length)) };
    // SAFETY: as above.
    (0..count).map(|i| unsafe { buffer.add(i).read() }).collect()
}

/// Writes `units` at unit `start` of the string's buffer and sets its length, with a terminator where there
/// is room for one.
fn store(string: *mut UnicodeString, start: usize, units: &[u16]) -> Status {
    // SAFETY: the driver's own string.
    let target = unsafe { &mut *string };
    let end = start + units.len();
    if end * 2 > usize::from(target.maximum_length) {
        return Status::BUFFER_TOO_SMALL;
    }
    for (i, unit) in units.iter().enumerate() {
        // SAFETY: inside the buffer by its MaximumLength.
        unsafe { target.buffer.add(start + i).write_unaligned(*unit) };
    }
    target.length = (end * 2) as u16;
    if (end + 1) * 2 <= usize::from(target.maximum_length) {
        // SAFETY: as above.
        unsafe { target.buffer.add(end).write_unaligned(0) };
    }
    Status::SUCCESS
}

/// Gives `string` a buffer of its own that holds `units`; RtlFreeUnicodeString gives it back.
fn allocate(string: *mut UnicodeString, units: &[u16]) -> Status {
    let bytes = units.len() * 2 + 2;
    let (Some(buffer), Ok(maximum_length)) = (pool::allocate(bytes, TAG, true, true), u16::try_from(bytes))
    else {
        return Status::INSUFFICIENT_RESOURCES;
    };
    // SAFETY: the driver's own string.
    unsafe { string.write_unaligned(UnicodeString { length: 0, maximum_length, buffer: buffer.cast() }) };
    store(string, 0, units)
}

/// One unit in upper case; a unit whose upper case is longer stays as it is.
pub fn upcase(unit: u16) -> u16 {
    let mut upper = char::from_u32(u32::from(unit)).into_iter().flat_map(char::to_uppercase);
    match (upper.next(), upper.next()) {
        (Some(c), None) => u16::try_from(c as u32).unwrap_or(unit),
        _ => unit,
    }
}

fn compare(a: &[u16], b: &[u16], insensitive: bool) -> i32 {
    let map = |unit: &u16| if insensitive { upcase(*unit) } else { *unit };
    match a.iter().map(map).cmp(b.iter().map(map)) {
        core::cmp::Ordering::Less => -1,
        core::cmp::Ordering::Equal => 0,
        core::cmp::Ordering::Greater => 1,
    }
}

/// RtlInitUnicodeString(string, zero-terminated source or null)
pub extern "win64" fn init_unicode_string(string: *mut UnicodeString, source: *mut u16) {
    let length = if source.is_null() { 0 } else { super::crt::wcslen(source).min(0x7ffe) as u16 * 2 };
    let maximum_length = if source.is_null() { 0 } else { length + 2 };
    // SAFETY: the driver's own UNICODE_STRING.
    unsafe { string.write(UnicodeString { length, maximum_length, buffer: source }) }
}
/// RtlInitUnicodeStringEx(string, source) -> NTSTATUS
pub extern "win64" fn init_unicode_string_ex(string: *mut UnicodeString, source: *mut u16) -> i32 {
    if !source.is_null() && super::crt::wcslen(source) > 0x7ffe {
        // STATUS_NAME_TOO_LONG
        return 0xc000_0106_u32 as i32;
    }
    init_unicode_string(string, source);
    0
}
/// RtlInitAnsiString(string, source), RtlInitString
pub extern "win64" fn init_ansi_string(string: *mut UnicodeString, source: *mut u8) {
    let length = if source.is_null() { 0 } else { super::crt::strlen(source).min(0xfffe) as u16 };
    let maximum_length = if source.is_null() { 0 } else { length + 1 };
    // SAFETY: the driver's own ANSI_STRING.
    unsafe { string.write(UnicodeString { length, maximum_length, buffer: source.cast() }) }
}
/// RtlCopyUnicodeString(to, from or null): as much as fits
pub extern "win64" fn copy_unicode_string(to: *mut UnicodeString, from: *const UnicodeString) {
    let units = if from.is_null() { Vec::new() } else { units(from) };
    // SAFETY: the driver's own string.
    let room = unsafe { usize::from((*to).maximum_length / 2) };
    store(to, 0, &units[..units.len().min(room)]);
}
/// RtlAppendUnicodeToString(to, zero-terminated source) -> NTSTATUS
pub extern "win64" fn append_unicode_to_string(to: *mut UnicodeString, source: *const u16) -> i32 {
    store(to, units(to).len(), &terminated(source)).0
}
/// RtlAppendUnicodeStringToString(to, from) -> NTSTATUS
pub extern "win64" fn append_unicode_string_to_string(
    to: *mut UnicodeString,
    from: *const UnicodeString,
) -> i32 {
    store(to, units(to).len(), &units(from)).0
}
/// RtlCompareUnicodeString(a, b, case-insensitive) -> less, equal, greater than 0
pub extern "win64" fn compare_unicode_string(
    a: *const UnicodeString,
    b: *const UnicodeString,
    insensitive: u8,
) -> i32 {
    compare(&units(a), &units(b), insensitive != 0)
}
/// RtlEqualUnicodeString(a, b, case-insensitive) -> BOOLEAN
pub extern "win64" fn equal_unicode_string(
    a: *const UnicodeString,
    b: *const UnicodeString,
    insensitive: u8,
) -> u8 {
    u8::from(compare_unicode_string(a, b, insensitive) == 0)
}
/// RtlPrefixUnicodeString(prefix, string, case-insensitive) -> BOOLEAN
pub extern "win64" fn prefix_unicode_string(
    prefix: *const UnicodeString,
    string: *const UnicodeString,
    insensitive: u8,
) -> u8 {
    let (prefix, string) = (units(prefix), units(string));
    u8::from(string.get(..prefix.len()).is_some_and(|start| compare(&prefix, start, insensitive != 0) == 0))
}
/// RtlUpcaseUnicodeChar(unit)
pub extern "win64" fn upcase_unicode_char(unit: u16) -> u16 {
    upcase(unit)
}
/// RtlUpcaseUnicodeString(to, from, allocate) -> NTSTATUS
pub extern "win64" fn upcase_unicode_string(
    to: *mut UnicodeString,
    from: *const UnicodeString,
    make: u8,
) -> i32 {
    let units: Vec<u16> = units(from).into_iter().map(upcase).collect();
    if make != 0 { allocate(to, &units).0 } else { overflow(store(to, 0, &units)) }
}

/// Conversions say STATUS_BUFFER_OVERFLOW where copies say BUFFER_TOO_SMALL.
fn overflow(status: Status) -> i32 {
    if status == Status::BUFFER_TOO_SMALL { Status::BUFFER_OVERFLOW.0 } else { status.0 }
}

/// RtlAnsiStringToUnicodeString(to, from, allocate) -> NTSTATUS
pub extern "win64" fn ansi_to_unicode(to: *mut UnicodeString, from: *const UnicodeString, make: u8) -> i32 {
    let units: Vec<u16> = ansi(from).into_iter().map(u16::from).collect();
    if make != 0 { allocate(to, &units).0 } else { overflow(store(to, 0, &units)) }
}
/// RtlUnicodeStringToAnsiString(to, from, allocate) -> NTSTATUS
pub extern "win64" fn unicode_to_ansi(to: *mut UnicodeString, from: *const UnicodeString, make: u8) -> i32 {
    let bytes: Vec<u8> = units(from).into_iter().map(|unit| u8::try_from(unit).unwrap_or(b'?')).collect();
    // SAFETY: the driver's own ANSI_STRING.
    let target = unsafe { &mut *to };
    if make != 0 {
        let Some(buffer) = pool::allocate(bytes.len() + 1, TAG, true, true) else {
            return Status::INSUFFICIENT_RESOURCES.0;
        };
        (target.buffer, target.maximum_length) = (buffer.cast(), (bytes.len() + 1) as u16);
    } else if bytes.len() >= usize::from(target.maximum_length) {
        return Status::BUFFER_OVERFLOW.0;
    }
    target.length = bytes.len() as u16;
    for (i, byte) in bytes.iter().chain([&0]).enumerate() {
        // SAFETY: below the length of the buffer, checked or just allocated.
        unsafe { target.buffer.cast::<u8>().add(i).write(*byte) };
    }
    0
}
/// RtlIntegerToUnicodeString(value, base, to) -> NTSTATUS; base 0 is 10
pub extern "win64" fn integer_to_unicode(value: u32, base: u32, to: *mut UnicodeString) -> i32 {
    let base = if base == 0 { 10 } else { base };
    if ![2, 8, 10, 16].contains(&base) {
        return Status::INVALID_PARAMETER.0;
    }
    let mut digits = Vec::new();
    let mut rest = value;
    while rest > 0 || digits.is_empty() {
        let digit = char::from_digit(rest % base, base).unwrap_or('0').to_ascii_uppercase();
        digits.insert(0, digit as u16);
        rest /= base;
    }
    overflow(store(to, 0, &digits))
}
/// RtlUnicodeStringToInteger(string, base, out) -> NTSTATUS; base 0: as 0x, 0o and 0b say
pub extern "win64" fn unicode_to_integer(string: *const UnicodeString, base: u32, out: *mut u32) -> i32 {
    let text = text(string);
    let text = text.trim_start();
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let text = text.strip_prefix('+').unwrap_or(text);
    let prefixed =
        [("0x", 16), ("0o", 8), ("0b", 2)].into_iter().find(|(prefix, _)| text.starts_with(prefix));
    let (base, text) = match (base, prefixed) {
        (0, Some((prefix, base))) => (base, &text[prefix.len()..]),
        (0, None) => (10, text),
        (base, _) => (base, text),
    };
    if ![2, 8, 10, 16].contains(&base) {
        return Status::INVALID_PARAMETER.0;
    }
    let digits = text.chars().map_while(|c| c.to_digit(base));
    let value = digits.fold(0u32, |value, digit| value.wrapping_mul(base).wrapping_add(digit));
    // SAFETY: the driver's ULONG.
    unsafe { out.write_unaligned(if negative { value.wrapping_neg() } else { value }) };
    0
}

/// A GUID from its text without braces.
fn guid(text: &str) -> Option<Guid> {
    let digits: String = text.split('-').collect();
    let lengths = text.split('-').map(str::len);
    if !lengths.eq([8, 4, 4, 4, 12]) || !digits.bytes().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    let value = u128::from_str_radix(&digits, 16).ok()?;
    Some(Guid {
        data1: (value >> 96) as u32,
        data2: (value >> 80) as u16,
        data3: (value >> 64) as u16,
        data4: (value as u64).to_be_bytes(),
    })
}

/// RtlStringFromGUID(guid, to) -> NTSTATUS; RtlFreeUnicodeString gives the text back
pub extern "win64" fn string_from_guid(guid: *const Guid, to: *mut UnicodeString) -> i32 {
    // SAFETY: the driver's GUID.
    let guid = unsafe { guid.read_unaligned() };
    let text: Vec<u16> = alloc::format!("{{{guid}}}").encode_utf16().collect();
    allocate(to, &text).0
}
/// RtlGUIDFromString(string, out) -> NTSTATUS
pub extern "win64" fn guid_from_string(string: *const UnicodeString, out: *mut Guid) -> i32 {
    let text = text(string);
    let Some(guid) = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).and_then(guid) else {
        return Status::INVALID_PARAMETER.0;
    };
    // SAFETY: the driver's GUID.
    unsafe { out.write_unaligned(guid) };
    0
}

/// RtlCompareMemory(a, b, bytes) -> number of equal bytes
pub extern "win64" fn compare_memory(a: *const u8, b: *const u8, bytes: usize) -> usize {
    // SAFETY: the driver's buffers; a bad address is a named fault.
    (0..bytes).find(|i| unsafe { *a.add(*i) != *b.add(*i) }).unwrap_or(bytes)
}

/// RTL_OSVERSIONINFOW without and with its `EX` part.
const VERSION_BYTES: [u32; 2] = [276, 284];

/// RtlGetVersion(information) -> NTSTATUS
pub extern "win64" fn get_version(information: *mut u32) -> i32 {
    // SAFETY: the driver's structure, which begins with its size.
    let size = unsafe { information.read_unaligned() };
    if !VERSION_BYTES.contains(&size) {
        violation(
            "version-size",
            format_args!("RtlGetVersion with a structure of {size} bytes, {}", caller()),
        );
        return Status::INVALID_PARAMETER.0;
    }
    let known = [
        size,
        crate::kernel::user_data::MAJOR,
        crate::kernel::user_data::MINOR,
        crate::kernel::user_data::BUILD,
        2,
    ];
    for i in 0..size as usize / 4 {
        // SAFETY: inside the structure by its size.
        unsafe { information.add(i).write_unaligned(known.get(i).copied().unwrap_or(0)) };
    }
    0
}

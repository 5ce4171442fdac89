//! The run-time library, and the helpers the compiler calls.

use alloc::string::String;
use core::arch::{asm, naked_asm};

use crate::kernel::layout::UnicodeString;

/// A UNICODE_STRING as text.
pub fn text(string: *const UnicodeString) -> String {
    // SAFETY: the caller's string; a bad address is a named fault.
    let units = unsafe {
        let s = &*string;
        if s.buffer.is_null() {
            &[]
        } else {
            core::slice::from_raw_parts(s.buffer, usize::from(s.length / 2))
        }
    };
    String::from_utf16_lossy(units)
}

/// RtlInitUnicodeString(string, zero-terminated source or null)
pub extern "win64" fn init_unicode_string(string: *mut UnicodeString, source: *mut u16) {
    let length = if source.is_null() { 0 } else { wcslen(source).min(0x7ffe) as u16 * 2 };
    let maximum_length = if source.is_null() { 0 } else { length + 2 };
    // SAFETY: the driver's own UNICODE_STRING.
    unsafe { string.write(UnicodeString { length, maximum_length, buffer: source }) }
}

/// RtlCompareMemory(a, b, bytes) -> number of equal bytes
pub extern "win64" fn compare_memory(a: *const u8, b: *const u8, bytes: usize) -> usize {
    // SAFETY: the driver's buffers; a bad address is a named fault.
    (0..bytes).find(|i| unsafe { *a.add(*i) != *b.add(*i) }).unwrap_or(bytes)
}

/// RtlEqualUnicodeString(a, b, case-insensitive) -> BOOLEAN
pub extern "win64" fn equal_unicode_string(
    a: *const UnicodeString,
    b: *const UnicodeString,
    insensitive: u8,
) -> u8 {
    let (a, b) = (text(a), text(b));
    u8::from(if insensitive != 0 { a.to_uppercase() == b.to_uppercase() } else { a == b })
}

/// __chkstk: rax = bytes about to be taken from the stack, all registers kept. Touches page by page, so
/// that an overflow meets the guard page.
#[unsafe(naked)]
pub unsafe extern "win64" fn chkstk() {
    naked_asm!(
        "push rcx",
        "push rax",
        "lea rcx, [rsp + 24]",
        "2:",
        "cmp rax, 4096",
        "jb 3f",
        "sub rcx, 4096",
        "test byte ptr [rcx], 0",
        "sub rax, 4096",
        "jmp 2b",
        "3:",
        "sub rcx, rax",
        "test byte ptr [rcx], 0",
        "pop rax",
        "pop rcx",
        "ret"
    )
}

/// memcpy: copies forwards.
pub extern "win64" fn memcpy(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8 {
    // SAFETY: the driver's buffers.
    unsafe {
        asm!("cld", "rep movsb", inout("rdi") to => _, inout("rsi") from => _, inout("rcx") bytes => _, options(nostack));
    }
    to
}

/// memmove
pub extern "win64" fn memmove(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8 {
    if (to as usize).wrapping_sub(from as usize) >= bytes {
        return memcpy(to, from, bytes);
    }
    // SAFETY: the driver's buffers; backwards, for they overlap.
    unsafe {
        asm!("std", "rep movsb", "cld", inout("rdi") to.add(bytes).wrapping_sub(1) => _,
             inout("rsi") from.add(bytes).wrapping_sub(1) => _, inout("rcx") bytes => _, options(nostack));
    }
    to
}

/// memset
pub extern "win64" fn memset(to: *mut u8, value: i32, bytes: usize) -> *mut u8 {
    // SAFETY: the driver's buffer.
    unsafe {
        asm!("cld", "rep stosb", inout("rdi") to => _, in("al") value as u8, inout("rcx") bytes => _, options(nostack));
    }
    to
}

/// memcmp
pub extern "win64" fn memcmp(a: *const u8, b: *const u8, bytes: usize) -> i32 {
    let at = compare_memory(a, b, bytes);
    if at == bytes {
        return 0;
    }
    // SAFETY: `at` is inside both buffers.
    unsafe { i32::from(*a.add(at)) - i32::from(*b.add(at)) }
}

/// strlen
pub extern "win64" fn strlen(text: *const u8) -> usize {
    let mut length = 0;
    // SAFETY: the driver's zero-terminated string; one without an end is a named fault.
    while unsafe { *text.add(length) } != 0 {
        length += 1;
    }
    length
}

/// wcslen
pub extern "win64" fn wcslen(text: *const u16) -> usize {
    let mut length = 0;
    // SAFETY: the driver's zero-terminated string; one without an end is a named fault.
    while unsafe { *text.add(length) } != 0 {
        length += 1;
    }
    length
}

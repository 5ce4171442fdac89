//! The kernel's printf family: what `ntstrsafe.h`'s inline functions import, and the plain ones.
//!
//! Counts are in characters. `_vsnprintf` and its kind return the number of characters, or -1 when the text
//! did not fit; the buffer is then full and has no terminator, and neither has one that the text fills
//! exactly (the CRT's pages of `_vsnprintf`). The `_s` functions always terminate; too small a buffer there
//! is an invalid parameter, which is the end of a kernel.

use core::arch::naked_asm;
use core::fmt::{self, Write};

use super::debug::VaList;
use crate::kernel::{caller, fatal, format};

/// `_TRUNCATE`
const TRUNCATE: usize = usize::MAX;

/// Characters on their way into the driver's buffer: what does not fit is counted only.
struct Bounded<T> {
    at: *mut T,
    room: usize,
    written: usize,
}

trait Unit: Copy {
    const ZERO: Self;
    fn put(out: &mut Bounded<Self>, c: char);
}

impl Unit for u8 {
    const ZERO: Self = 0;
    fn put(out: &mut Bounded<Self>, c: char) {
        out.push(u8::try_from(c as u32).unwrap_or(b'?'));
    }
}

impl Unit for u16 {
    const ZERO: Self = 0;
    fn put(out: &mut Bounded<Self>, c: char) {
        for unit in c.encode_utf16(&mut [0; 2]) {
            out.push(*unit);
        }
    }
}

impl<T: Unit> Bounded<T> {
    fn push(&mut self, unit: T) {
        if self.written < self.room {
            // SAFETY: below the room that the driver says its buffer has; a lie is a named fault or a guard
            // pattern that is spoiled.
            unsafe { self.at.add(self.written).write_unaligned(unit) };
        }
        self.written = self.written.saturating_add(1);
    }
}

impl<T: Unit> Write for Bounded<T> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().for_each(|c| T::put(self, c));
        Ok(())
    }
}

/// Prints into `buffer` of `room` characters; the number of characters there would be.
fn print<T: Unit>(buffer: *mut T, room: usize, print: impl FnOnce(&mut Bounded<T>)) -> usize {
    let mut out = Bounded { at: buffer, room, written: 0 };
    print(&mut out);
    if out.written < room {
        // SAFETY: inside the room.
        unsafe { buffer.add(out.written).write_unaligned(T::ZERO) };
    }
    out.written
}

fn narrow(buffer: *mut u8, room: usize, text: *const u8, list: *const u64) -> usize {
    print(buffer, room, |out| format::print(out, super::debug::text(text), &mut VaList::unlimited(list)))
}

fn wide(buffer: *mut u16, room: usize, text: *const u16, list: *const u64) -> usize {
    // SAFETY: the driver's zero-terminated format; a bad address is a named fault.
    let text = unsafe { core::slice::from_raw_parts(text, super::crt::wcslen(text)) };
    print(buffer, room, |out| format::print_wide(out, text, &mut VaList::unlimited(list)))
}

fn counted(written: usize, room: usize) -> i32 {
    if written > room { -1 } else { i32::try_from(written).unwrap_or(-1) }
}

/// What the `_s` functions do: `size` is the buffer's, `count` the most characters of the text (`_TRUNCATE` =
/// as many as fit).
fn secure<T: Unit>(
    buffer: *mut T,
    size: usize,
    count: usize,
    print: impl FnOnce(*mut T, usize) -> usize,
) -> i32 {
    if buffer.is_null() || size == 0 {
        fatal("invalid-parameter", format_args!("a printf_s without a buffer, {}", caller()));
    }
    // Room for the text alone; the terminator has a place of its own.
    let room = (size - 1).min(count);
    let written = print(buffer, room);
    if written > room && count != TRUNCATE && count >= size {
        fatal(
            "invalid-parameter",
            format_args!("a printf_s of {written} characters into {size}, {}", caller()),
        );
    }
    // SAFETY: `room` is below the size of the driver's buffer.
    unsafe { buffer.add(written.min(room)).write_unaligned(T::ZERO) };
    counted(written, room)
}

/// _vsnprintf(buffer, count, format, va_list)
pub extern "win64" fn vsnprintf(buffer: *mut u8, count: usize, text: *const u8, list: *const u64) -> i32 {
    counted(narrow(buffer, count, text, list), count)
}
/// _vsnwprintf(buffer, count, format, va_list)
pub extern "win64" fn vsnwprintf(buffer: *mut u16, count: usize, text: *const u16, list: *const u64) -> i32 {
    counted(wide(buffer, count, text, list), count)
}
/// vsprintf(buffer, format, va_list)
pub extern "win64" fn vsprintf(buffer: *mut u8, text: *const u8, list: *const u64) -> i32 {
    vsnprintf(buffer, usize::MAX, text, list)
}
/// vswprintf(buffer, format, va_list), without a count as in ntoskrnl
pub extern "win64" fn vswprintf(buffer: *mut u16, text: *const u16, list: *const u64) -> i32 {
    vsnwprintf(buffer, usize::MAX, text, list)
}
/// vsprintf_s(buffer, size, format, va_list)
pub extern "win64" fn vsprintf_s(buffer: *mut u8, size: usize, text: *const u8, list: *const u64) -> i32 {
    secure(buffer, size, size, |at, room| narrow(at, room, text, list))
}
/// vswprintf_s(buffer, size, format, va_list)
pub extern "win64" fn vswprintf_s(buffer: *mut u16, size: usize, text: *const u16, list: *const u64) -> i32 {
    secure(buffer, size, size, |at, room| wide(at, room, text, list))
}
/// _vsnprintf_s(buffer, size, count, format, va_list)
pub extern "win64" fn vsnprintf_s(
    buffer: *mut u8,
    size: usize,
    count: usize,
    text: *const u8,
    list: *const u64,
) -> i32 {
    secure(buffer, size, count, |at, room| narrow(at, room, text, list))
}
/// _vsnwprintf_s(buffer, size, count, format, va_list)
pub extern "win64" fn vsnwprintf_s(
    buffer: *mut u16,
    size: usize,
    count: usize,
    text: *const u16,
    list: *const u64,
) -> i32 {
    secure(buffer, size, count, |at, room| wide(at, room, text, list))
}

/// A function with a variable list: the registers go to their home area, and the address of the first
/// variable argument is the last argument of `$to`, which is register `$register`.
macro_rules! variadic {
    ($($(#[$doc:meta])* $name:ident => $to:ident, $register:literal, $offset:literal;)*) => {
        $($(#[$doc])*
        #[unsafe(naked)]
        pub unsafe extern "win64" fn $name() {
            naked_asm!(
                "mov [rsp + 8], rcx", "mov [rsp + 16], rdx", "mov [rsp + 24], r8", "mov [rsp + 32], r9",
                concat!("lea ", $register, ", [rsp + ", $offset, "]"),
                "sub rsp, 56", "mov [rsp + 32], rax", "call {to}", "add rsp, 56", "ret",
                to = sym $to,
            )
        })*
    };
}

variadic! {
    /// sprintf(buffer, format, ...)
    sprintf => vsprintf, "r8", "24";
    /// swprintf(buffer, format, ...), without a count as in ntoskrnl
    swprintf => vswprintf, "r8", "24";
    /// _snprintf(buffer, count, format, ...)
    snprintf => vsnprintf, "r9", "32";
    /// _snwprintf(buffer, count, format, ...)
    snwprintf => vsnwprintf, "r9", "32";
    /// sprintf_s(buffer, size, format, ...)
    sprintf_s => vsprintf_s, "r9", "32";
    /// swprintf_s(buffer, size, format, ...)
    swprintf_s => vswprintf_s, "r9", "32";
    /// _snprintf_s(buffer, size, count, format, ...)
    snprintf_s => vsnprintf_s, "rax", "40";
    /// _snwprintf_s(buffer, size, count, format, ...)
    snwprintf_s => vsnwprintf_s, "rax", "40";
}

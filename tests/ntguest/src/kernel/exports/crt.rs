//! The C run-time library as ntoskrnl.exe exports it: the compiler's helpers, memory and strings.
//!
//! The strings are the driver's and end with a zero: one without an end, or a bad address, is a named fault.
//! Functions for both widths are written once: `strcmp` is `compare::<u8>`, `wcscmp` is `compare::<u16>`.

use core::arch::{asm, naked_asm};
use core::ptr::null;

use super::rtl::{compare_memory, upcase};
use crate::kernel::{caller, fatal};

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

/// A unit of a string: a byte or a UTF-16 unit.
pub trait Unit: Copy + PartialEq + Default + Into<u32> + From<u8> {
    /// In upper case.
    fn upper(self) -> Self;
    /// In lower case.
    fn lower(self) -> Self;
}
impl Unit for u8 {
    fn upper(self) -> Self {
        self.to_ascii_uppercase()
    }
    fn lower(self) -> Self {
        self.to_ascii_lowercase()
    }
}
impl Unit for u16 {
    fn upper(self) -> Self {
        upcase(self)
    }
    fn lower(self) -> Self {
        let mut lower = char::from_u32(u32::from(self)).into_iter().flat_map(char::to_lowercase);
        lower.next().and_then(|c| Self::try_from(c as u32).ok()).unwrap_or(self)
    }
}

fn at<T: Unit>(text: *const T, index: usize) -> T {
    // SAFETY: see the head of the file.
    unsafe { text.add(index).read_unaligned() }
}
fn put<T: Unit>(text: *mut T, index: usize, unit: T) {
    // SAFETY: see the head of the file.
    unsafe { text.add(index).write_unaligned(unit) }
}
fn length<T: Unit>(text: *const T) -> usize {
    bounded_length(text, usize::MAX)
}
fn order<T: Unit>(a: *const T, b: *const T, most: usize, map: fn(T) -> T) -> i32 {
    for i in 0..most {
        let (x, y) = (map(at(a, i)), map(at(b, i)));
        if x != y {
            return if x.into() < y.into() { -1 } else { 1 };
        }
        if x == T::default() {
            break;
        }
    }
    0
}
/// The end of a kernel: a `_s` function whose buffer is too small.
fn require_room(needed: usize, size: usize) {
    if needed >= size {
        fatal("invalid-parameter", format_args!("{needed} characters into a buffer of {size}, {}", caller()));
    }
}

/// strcmp, wcscmp
pub extern "win64" fn compare<T: Unit>(a: *const T, b: *const T) -> i32 {
    order(a, b, usize::MAX, |unit| unit)
}
/// strncmp, wcsncmp
pub extern "win64" fn compare_counted<T: Unit>(a: *const T, b: *const T, most: usize) -> i32 {
    order(a, b, most, |unit| unit)
}
/// _stricmp, _wcsicmp
pub extern "win64" fn compare_insensitive<T: Unit>(a: *const T, b: *const T) -> i32 {
    order(a, b, usize::MAX, T::lower)
}
/// _strnicmp, _wcsnicmp
pub extern "win64" fn compare_insensitive_counted<T: Unit>(a: *const T, b: *const T, most: usize) -> i32 {
    order(a, b, most, T::lower)
}
/// strcpy, wcscpy
pub extern "win64" fn copy<T: Unit>(to: *mut T, from: *const T) -> *mut T {
    let length = length(from);
    (0..=length).for_each(|i| put(to, i, at(from, i)));
    to
}
/// strncpy, wcsncpy: what is missing is filled with zeroes.
pub extern "win64" fn copy_counted<T: Unit>(to: *mut T, from: *const T, most: usize) -> *mut T {
    let mut ended = false;
    for i in 0..most {
        let unit = if ended { T::default() } else { at(from, i) };
        ended |= unit == T::default();
        put(to, i, unit);
    }
    to
}
/// strcat, wcscat
pub extern "win64" fn append<T: Unit>(to: *mut T, from: *const T) -> *mut T {
    append_counted(to, from, usize::MAX)
}
/// strncat, wcsncat
pub extern "win64" fn append_counted<T: Unit>(to: *mut T, from: *const T, most: usize) -> *mut T {
    let start = length(to.cast_const());
    let count = bounded_length(from, most);
    (0..count).for_each(|i| put(to, start + i, at(from, i)));
    put(to, start + count, T::default());
    to
}
/// strcpy_s, wcscpy_s
pub extern "win64" fn copy_secure<T: Unit>(to: *mut T, size: usize, from: *const T) -> i32 {
    require_room(length(from), size);
    copy(to, from);
    0
}
/// strcat_s, wcscat_s
pub extern "win64" fn append_secure<T: Unit>(to: *mut T, size: usize, from: *const T) -> i32 {
    require_room(bounded_length(to, size) + length(from), size);
    append(to, from);
    0
}
/// strnlen, wcsnlen
pub extern "win64" fn bounded_length<T: Unit>(text: *const T, most: usize) -> usize {
    (0..most).find(|i| at(text, *i) == T::default()).unwrap_or(most)
}
/// strchr, wcschr
pub extern "win64" fn find<T: Unit>(text: *const T, unit: T) -> *const T {
    let length = length(text);
    (0..=length).find(|i| at(text, *i) == unit).map_or(null(), |i| text.wrapping_add(i))
}
/// strrchr, wcsrchr
pub extern "win64" fn find_last<T: Unit>(text: *const T, unit: T) -> *const T {
    let length = length(text);
    (0..=length).rev().find(|i| at(text, *i) == unit).map_or(null(), |i| text.wrapping_add(i))
}
/// strstr, wcsstr
pub extern "win64" fn find_text<T: Unit>(text: *const T, part: *const T) -> *const T {
    let (length, wanted) = (length(text), length(part));
    let here = |start: &usize| (0..wanted).all(|i| at(text, start + i) == at(part, i));
    let last = length.checked_sub(wanted);
    last.and_then(|last| (0..=last).find(here)).map_or(null(), |i| text.wrapping_add(i))
}
/// _strupr, _wcsupr
pub extern "win64" fn to_upper<T: Unit>(text: *mut T) -> *mut T {
    (0..length(text.cast_const())).for_each(|i| put(text, i, at(text.cast_const(), i).upper()));
    text
}
/// _strlwr, _wcslwr
pub extern "win64" fn to_lower<T: Unit>(text: *mut T) -> *mut T {
    (0..length(text.cast_const())).for_each(|i| put(text, i, at(text.cast_const(), i).lower()));
    text
}
/// atoi and atol, _wtoi and _wtol
pub extern "win64" fn to_number<T: Unit>(text: *const T) -> i32 {
    let digit = |i| at(text, i).into();
    let blanks = (0..usize::MAX).take_while(|i| isspace(digit(*i) as i32) != 0).count();
    let sign = digit(blanks);
    let start = blanks + usize::from(sign == u32::from(b'-') || sign == u32::from(b'+'));
    let digits = (start..).map(digit).map_while(|c| char::from_u32(c)?.to_digit(10));
    let value = digits.fold(0i32, |value, digit| value.wrapping_mul(10).wrapping_add(digit as i32));
    if sign == u32::from(b'-') { value.wrapping_neg() } else { value }
}

/// memchr
pub extern "win64" fn memchr(memory: *const u8, byte: i32, bytes: usize) -> *const u8 {
    (0..bytes).find(|i| at(memory, *i) == byte as u8).map_or(null(), |i| memory.wrapping_add(i))
}
/// memcpy_s, memmove_s
pub extern "win64" fn move_secure(to: *mut u8, size: usize, from: *const u8, bytes: usize) -> i32 {
    if bytes > size {
        require_room(bytes, size);
    }
    memmove(to, from, bytes);
    0
}

fn byte(c: i32) -> u8 {
    u8::try_from(c).unwrap_or(0)
}
/// tolower, as the narrow functions of ntoskrnl do it: ASCII
pub extern "win64" fn tolower(c: i32) -> i32 {
    if c == i32::from(byte(c)) { i32::from(byte(c).to_ascii_lowercase()) } else { c }
}
/// toupper
pub extern "win64" fn toupper(c: i32) -> i32 {
    if c == i32::from(byte(c)) { i32::from(byte(c).to_ascii_uppercase()) } else { c }
}
/// towlower
pub extern "win64" fn towlower(c: u16) -> u16 {
    c.lower()
}
/// isdigit
pub extern "win64" fn isdigit(c: i32) -> i32 {
    i32::from(byte(c).is_ascii_digit())
}
/// isxdigit
pub extern "win64" fn isxdigit(c: i32) -> i32 {
    i32::from(byte(c).is_ascii_hexdigit())
}
/// isspace
pub extern "win64" fn isspace(c: i32) -> i32 {
    i32::from([0x20, 9, 10, 11, 12, 13].contains(&c))
}
/// isprint
pub extern "win64" fn isprint(c: i32) -> i32 {
    i32::from((0x20..0x7f).contains(&c))
}

type Order = unsafe extern "win64" fn(*const u8, *const u8) -> i32;

fn swap(a: *mut u8, b: *mut u8, width: usize) {
    for i in 0..width {
        let (x, y) = (at(a.cast_const(), i), at(b.cast_const(), i));
        put(a, i, y);
        put(b, i, x);
    }
}
/// qsort(base, count, width, order): by selection, for a driver's lists are short and its stack is
pub extern "win64" fn qsort(base: *mut u8, count: usize, width: usize, order: Order) {
    let element = |i: usize| base.wrapping_add(i * width);
    for first in 0..count {
        for other in first + 1..count {
            // SAFETY: two elements of the driver's array and its own function.
            if unsafe { order(element(other), element(first)) } < 0 {
                swap(element(first), element(other), width);
            }
        }
    }
}
/// bsearch(key, base, count, width, order)
pub extern "win64" fn bsearch(
    key: *const u8,
    base: *const u8,
    count: usize,
    width: usize,
    order: Order,
) -> *const u8 {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low.midpoint(high);
        let element = base.wrapping_add(middle * width);
        // SAFETY: the driver's key, an element of its array, and its own function.
        match unsafe { order(key, element) } {
            0 => return element,
            n if n < 0 => high = middle,
            _ => low = middle + 1,
        }
    }
    null()
}

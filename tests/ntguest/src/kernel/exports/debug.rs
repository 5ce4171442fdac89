//! Debugger output and bug checks.

use core::arch::naked_asm;
use core::ffi::c_void;
use core::fmt::{self, Write};

use crate::kernel::format::{self, Arguments};
use crate::kernel::sync::IrqLock;
use crate::kernel::{caller, fatal, irql, log, violation};

/// Text of the driver that has no line end yet.
struct Pending {
    bytes: [u8; 400],
    used: usize,
}

static PENDING: IrqLock<Pending> = IrqLock::new(Pending { bytes: [0; 400], used: 0 });

impl Pending {
    fn flush(&mut self) {
        let text = core::str::from_utf8(&self.bytes[..self.used]).unwrap_or("(no text)");
        log::line("driver: ", format_args!("{text}"));
        self.used = 0;
    }
}

impl Write for Pending {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if c == '\n' || self.used + 4 > self.bytes.len() {
                self.flush();
            }
            if c != '\n' && c != '\r' {
                self.used += c.encode_utf8(&mut self.bytes[self.used..]).len();
            }
        }
        Ok(())
    }
}

/// Prints what has no line end yet, at the end of the run.
pub fn flush() {
    let mut pending = PENDING.lock();
    if pending.used > 0 {
        pending.flush();
    }
}

/// The driver's arguments, as they lie in memory.
pub struct VaList {
    next: *const u64,
    longest: usize,
}

impl VaList {
    /// For a buffer of the driver's, which has no limit but its own.
    pub fn unlimited(next: *const u64) -> Self {
        Self { next, longest: 1 << 20 }
    }
}

impl Arguments for VaList {
    fn longest(&self) -> usize {
        self.longest
    }
    fn next(&mut self) -> u64 {
        // SAFETY: the driver passed as many arguments as its format names; a wrong format reads its stack.
        unsafe {
            let value = self.next.read();
            self.next = self.next.add(1);
            value
        }
    }
    fn byte(&self, address: u64, index: usize) -> u8 {
        // SAFETY: the driver's string; a bad address is a named fault.
        unsafe { (address as *const u8).add(index).read() }
    }
    fn wide(&self, address: u64, index: usize) -> u16 {
        unicode_level();
        // SAFETY: see `byte`.
        unsafe { (address as *const u16).add(index).read_unaligned() }
    }
    fn counted(&self, address: u64) -> (u64, usize) {
        // SAFETY: ANSI_STRING and UNICODE_STRING are laid out alike.
        unsafe { ((address as *const u64).add(1).read(), usize::from((address as *const u16).read())) }
    }
}

/// Unicode conversions need pageable tables: PASSIVE only (DbgPrint's remarks).
fn unicode_level() {
    if irql::current() > irql::PASSIVE {
        violation(
            "irql",
            format_args!("DbgPrint with a Unicode format at IRQL {}, {}", irql::current(), caller()),
        );
    }
}

/// The driver's zero-terminated text.
pub fn text<'a>(address: *const u8) -> &'a [u8] {
    // SAFETY: the driver's zero-terminated string; a bad address is a named fault.
    unsafe { core::ffi::CStr::from_ptr(address.cast()).to_bytes() }
}

fn print(prefix: &[u8], format_text: *const u8, arguments: *const u64) -> i32 {
    let mut pending = PENDING.lock();
    for byte in prefix {
        let _ = pending.write_char(*byte as char);
    }
    format::print(&mut *pending, text(format_text), &mut VaList { next: arguments, longest: 512 });
    0
}

/// DbgPrint(format, ...)
#[unsafe(naked)]
pub unsafe extern "win64" fn dbg_print() {
    naked_asm!(
        "mov [rsp + 8], rcx", "mov [rsp + 16], rdx", "mov [rsp + 24], r8", "mov [rsp + 32], r9",
        "lea rdx, [rsp + 16]", "sub rsp, 40", "call {print}", "add rsp, 40", "ret",
        print = sym print_one,
    )
}
extern "win64" fn print_one(format_text: *const u8, arguments: *const u64) -> i32 {
    print(b"", format_text, arguments)
}

/// DbgPrintEx(component, level, format, ...)
#[unsafe(naked)]
pub unsafe extern "win64" fn dbg_print_ex() {
    naked_asm!(
        "mov [rsp + 8], rcx", "mov [rsp + 16], rdx", "mov [rsp + 24], r8", "mov [rsp + 32], r9",
        "mov rcx, r8", "lea rdx, [rsp + 32]", "sub rsp, 40", "call {print}", "add rsp, 40", "ret",
        print = sym print_one,
    )
}

/// vDbgPrintEx(component, level, format, va_list)
pub extern "win64" fn v_dbg_print_ex(
    _component: u32,
    _level: u32,
    format_text: *const u8,
    list: *const u64,
) -> i32 {
    print(b"", format_text, list)
}

/// vDbgPrintExWithPrefix(prefix, component, level, format, va_list)
pub extern "win64" fn v_dbg_print_ex_with_prefix(
    prefix: *const u8,
    _component: u32,
    _level: u32,
    format_text: *const u8,
    list: *const u64,
) -> i32 {
    print(text(prefix), format_text, list)
}

/// KeBugCheck(code)
pub extern "win64" fn bug_check(code: u32) -> ! {
    bug_check_ex(code, 0, 0, 0, 0)
}

/// KeBugCheckEx(code, p1, p2, p3, p4)
pub extern "win64" fn bug_check_ex(code: u32, p1: usize, p2: usize, p3: usize, p4: usize) -> ! {
    fatal(
        "bugcheck",
        format_args!("code {code:#010x} parameters {p1:#x} {p2:#x} {p3:#x} {p4:#x}, {}", caller()),
    )
}

/// RtlRaiseException(record), ExRaiseStatus(status): nobody catches it here, as nobody would in a driver
/// without __try.
pub extern "win64" fn raise_exception(record: *const u32) -> ! {
    // SAFETY: the driver's EXCEPTION_RECORD, which begins with the code.
    let code = unsafe { record.read_unaligned() };
    fatal("exception", format_args!("RtlRaiseException of {code:#010x}, {}", caller()))
}
/// ExRaiseStatus(status)
pub extern "win64" fn raise_status(status: u32) -> ! {
    fatal("exception", format_args!("ExRaiseStatus of {status:#010x}, {}", caller()))
}
/// ExRaiseAccessViolation()
pub extern "win64" fn raise_access_violation() -> ! {
    raise_status(0xc000_0005)
}
/// RtlAssert(assertion, file, line, message): the debugger would be asked; nobody is there.
pub extern "win64" fn assert(assertion: *const u8, file: *const u8, line: u32, _message: *const u8) {
    let name = |address| core::str::from_utf8(text(address)).unwrap_or("?");
    violation("assertion", format_args!("{} at {}:{line}, {}", name(assertion), name(file), caller()));
}
/// DbgBreakPoint(): without a debugger the end.
pub extern "win64" fn break_point() -> ! {
    fatal("breakpoint", format_args!("DbgBreakPoint without a debugger, {}", caller()))
}
/// A function of C++ that has no body was called.
pub extern "win64" fn pure_call() -> ! {
    fatal("pure-call", format_args!("a pure virtual function was called, {}", caller()))
}

/// __C_specific_handler: nothing raises exceptions here, so nobody may unwind.
pub extern "win64" fn c_specific_handler(
    _: *mut c_void,
    _: *mut c_void,
    _: *mut c_void,
    _: *mut c_void,
) -> i32 {
    fatal("exception-handler", format_args!("__C_specific_handler was called, {}", caller()))
}

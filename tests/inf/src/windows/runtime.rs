//! What a program without a runtime library needs once: memory, arguments, output, an end.

use crate::sys;
use alloc::string::String;
use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};

struct Heap;

// SAFETY: the process heap gives blocks of at least the size, aligned to 16; more is refused.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > 16 {
            return core::ptr::null_mut();
        }
        // SAFETY: the process heap always exists.
        unsafe { sys::HeapAlloc(sys::GetProcessHeap(), 0, layout.size()) }
    }

    unsafe fn dealloc(&self, block: *mut u8, _layout: Layout) {
        // SAFETY: allocated above, by contract.
        unsafe { sys::HeapFree(sys::GetProcessHeap(), 0, block) };
    }
}

#[global_allocator]
static HEAP: Heap = Heap;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit(3)
}

/// Floating point is linked: a symbol that the compiler refers to.
#[unsafe(no_mangle)]
pub static _fltused: i32 = 0;

/// What core's unwind tables name, for a panic that is caught; here a panic ends the program.
#[unsafe(no_mangle)]
pub extern "C" fn __CxxFrameHandler3() {}

/// Ends the program.
pub fn exit(code: u32) -> ! {
    // SAFETY: ends this process only.
    unsafe { sys::ExitProcess(code) }
}

/// Writes a line to standard output.
pub fn say(line: &str) {
    let mut text = String::from(line);
    text.push('\n');
    let (mut written, size) = (0, u32::try_from(text.len()).unwrap_or(0));
    // SAFETY: the buffer is as long as its size says.
    unsafe { sys::WriteFile(sys::GetStdHandle(u32::MAX - 10), text.as_ptr(), size, &raw mut written, 0) };
}

/// The command line at its spaces; a quoted part is one argument.
pub fn arguments() -> Vec<String> {
    // SAFETY: Windows' own command line, ended by NUL.
    let line = unsafe { text_at(sys::GetCommandLineW()) };
    let (mut found, mut argument, mut quoted, mut begun) = (Vec::new(), String::new(), false, false);
    for character in line.chars().chain([' ']) {
        match character {
            ' ' if !quoted => {
                if core::mem::take(&mut begun) {
                    found.push(core::mem::take(&mut argument));
                }
            }
            // Two quotes are an argument, too.
            '"' => (quoted, begun) = (!quoted, true),
            other => {
                begun = true;
                argument.push(other);
            }
        }
    }
    found
}

/// A variable of the environment; `None` if it is not set, or longer than 8,191 characters.
#[allow(dead_code, reason = "the stand-in's part")]
pub fn variable(name: &str) -> Option<String> {
    let (name, mut value) = (wide(name), [0_u16; 8192]);
    // SAFETY: a name that ends in NUL; the size is the buffer's.
    let length = unsafe { sys::GetEnvironmentVariableW(name.as_ptr(), value.as_mut_ptr(), 8192) };
    (length > 0 && length < 8192).then(|| text(&value))
}

/// Text for Windows: UTF-16 with a NUL.
pub fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

/// The text in a buffer, up to its NUL.
pub fn text(buffer: &[u16]) -> String {
    char::decode_utf16(buffer.iter().copied().take_while(|&unit| unit != 0))
        .map(|character| character.unwrap_or('?'))
        .collect()
}

/// The text at an address.
///
/// # Safety
/// It ends in NUL.
unsafe fn text_at(start: *const u16) -> String {
    let mut length = 0;
    // SAFETY: by contract nothing behind the NUL is read.
    let buffer = unsafe {
        while *start.add(length) != 0 {
            length += 1;
        }
        core::slice::from_raw_parts(start, length)
    };
    text(buffer)
}

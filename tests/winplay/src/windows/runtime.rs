//! What a program without a runtime library needs once: memory, what the compiler calls by itself, an end.

use core::alloc::{GlobalAlloc, Layout};
use windows::Win32::System::Memory::{GetProcessHeap, HEAP_FLAGS, HeapAlloc, HeapFree, HeapReAlloc};
use windows::Win32::System::Threading::ExitProcess;

struct Heap;

/// Blocks of the process heap are aligned to this on x64.
const ALIGNMENT: usize = 16;

// SAFETY: the process heap gives blocks of at least the size, aligned to 16; more is refused.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > ALIGNMENT {
            return core::ptr::null_mut();
        }
        // SAFETY: the process heap always exists.
        unsafe {
            let Ok(heap) = GetProcessHeap() else { return core::ptr::null_mut() };
            HeapAlloc(heap, HEAP_FLAGS(0), layout.size()).cast()
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, _layout: Layout) {
        // SAFETY: allocated above, by contract. One that is not freed is lost until the program ends.
        unsafe {
            if let Ok(heap) = GetProcessHeap() {
                let _ = HeapFree(heap, HEAP_FLAGS(0), Some(block.cast_const().cast()));
            }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let _ = layout;
        // SAFETY: allocated above, by contract, with an alignment that every block has.
        unsafe {
            let Ok(heap) = GetProcessHeap() else { return core::ptr::null_mut() };
            HeapReAlloc(heap, HEAP_FLAGS(0), Some(block.cast_const().cast()), size).cast()
        }
    }
}

#[global_allocator]
static HEAP: Heap = Heap;

/// Floating point is linked: a symbol that the compiler refers to.
#[unsafe(no_mangle)]
pub static _fltused: i32 = 0;

/// What core's unwind tables name, for a panic that is caught; here a panic ends the program.
#[unsafe(no_mangle)]
pub extern "C" fn __CxxFrameHandler3() {}

// What the compiler calls by itself; no line of ours does.
#[allow(dead_code)]
#[link(name = "ntdll.dll", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "C" {
    fn memcpy(to: *mut u8, from: *const u8, size: usize) -> *mut u8;
    fn memmove(to: *mut u8, from: *const u8, size: usize) -> *mut u8;
    fn memset(to: *mut u8, value: i32, size: usize) -> *mut u8;
    fn memcmp(a: *const u8, b: *const u8, size: usize) -> i32;
    fn strlen(text: *const u8) -> usize;
    fn wcslen(text: *const u16) -> usize;
    fn __chkstk();
}

/// Standard error, for a program whose memory may be broken.
struct Complaints;

impl core::fmt::Write for Complaints {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        crate::files::complain(text);
        Ok(())
    }
}

#[panic_handler]
fn panic(fault: &core::panic::PanicInfo<'_>) -> ! {
    let _ = core::fmt::Write::write_fmt(&mut Complaints, format_args!("winplay: {fault}\n"));
    exit(7)
}

/// Ends the program.
pub fn exit(code: u32) -> ! {
    // SAFETY: ends this process only.
    unsafe { ExitProcess(code) }
}

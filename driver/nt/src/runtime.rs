//! What a driver image needs once and no library brings: the panic handler, the floating-point marker, the
//! personality symbol, and the memory functions that compiled code calls by itself.
//!
//! With feature `runtime`, on Windows, never in tests. The driver binary turns it on.
use crate::{klog, pool, sys};
use core::panic::PanicInfo;

/// The stop code of a panic: MANUALLY_INITIATED_CRASH1. Windows keeps no range for drivers; the first
/// parameter says who it was.
const BUGCHECK: u32 = 0xE2;

/// A panic is a bug in the driver and the kernel's state is unknown: say where, stop the machine.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    klog::emergency(format_args!("{info}"));
    let (file, line) =
        info.location().map_or((0, 0), |place| (place.file().as_ptr() as usize, place.line() as usize));
    // SAFETY: no requirements. Parameters: our tag, the file's name in the image, the line.
    unsafe {
        sys::KeBugCheckEx(
            BUGCHECK,
            pool::TAG as sys::ULONG_PTR,
            file as sys::ULONG_PTR,
            line as sys::ULONG_PTR,
            0,
        )
    }
}

/// The linker looks for it when floating point is used.
#[unsafe(no_mangle)]
pub static _fltused: i32 = 0;

/// `core` built to unwind names it; the driver aborts instead, so it is never called.
#[unsafe(no_mangle)]
pub extern "C" fn __CxxFrameHandler3() {}

// What compiled code calls by itself. All but `__chkstk` are in mingw-w64's libntoskrnl.a; mingw's compiler
// has a probe of its own under another name, so its list leaves `__chkstk` out; 64-bit kernels export it
// (drivers built by MSVC import it from there).
#[link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")]
#[allow(dead_code)]
unsafe extern "C" {
    fn memcpy(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8;
    fn memmove(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8;
    fn memset(to: *mut u8, byte: i32, bytes: usize) -> *mut u8;
    fn memcmp(a: *const u8, b: *const u8, bytes: usize) -> i32;
    fn strlen(text: *const u8) -> usize;
    fn __chkstk();
}

//! The smallest program that proves a target: it needs core, alloc and the linker. Set-up compiles it; the
//! UEFI one is also booted, and ends QEMU through the debug-exit device at port 0x501 with status
//! `(21 << 1) | 1` = 43.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::alloc::{GlobalAlloc, Layout};

struct Nothing;

// SAFETY: it never hands memory out, which a GlobalAlloc may say with null.
unsafe impl GlobalAlloc for Nothing {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        core::ptr::null_mut()
    }
    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: Nothing = Nothing;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

/// An image with no relocations at all is refused by some loaders; this pointer is one.
#[used]
static RELOCATED: &u32 = &21;

#[cfg(target_os = "uefi")]
#[unsafe(no_mangle)]
extern "efiapi" fn efi_main(_image: usize, _system_table: usize) -> usize {
    // SAFETY: this reads an initialised static; `volatile` keeps the relocation.
    let code = unsafe { *core::ptr::read_volatile(&raw const RELOCATED) };
    // SAFETY: a write to the port of QEMU's debug-exit device ends the machine and touches no memory.
    unsafe { core::arch::asm!("out dx, eax", in("dx") 0x501_u16, in("eax") code, options(nomem, nostack)) };
    0
}

#[cfg(windows)]
#[unsafe(no_mangle)]
extern "system" fn DriverEntry(_driver: usize, _path: usize) -> u32 {
    0
}

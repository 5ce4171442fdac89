//! I/O ports of a PC, and QEMU's isa-debug-exit behind one of them: the ground that the UEFI guests share.
//! They share nothing else, so that no mistake about the card or the driver is made in both.
#![no_std]
#![cfg(target_arch = "x86_64")]

use core::arch::asm;

/// Writes a byte to an I/O port.
pub fn outb(port: u16, value: u8) {
    // SAFETY: a guest owns its machine; a port access touches no memory that Rust knows. So for all in this
    // file but `outsb`.
    unsafe { asm!("out dx, al", in("dx") port, in("al") value, options(nostack, preserves_flags)) }
}

/// Writes 16 bits to an I/O port.
pub fn outw(port: u16, value: u16) {
    // SAFETY: see `outb`.
    unsafe { asm!("out dx, ax", in("dx") port, in("ax") value, options(nostack, preserves_flags)) }
}

/// Writes 32 bits to an I/O port.
pub fn outl(port: u16, value: u32) {
    // SAFETY: see `outb`.
    unsafe { asm!("out dx, eax", in("dx") port, in("eax") value, options(nostack, preserves_flags)) }
}

/// Reads a byte from an I/O port.
pub fn inb(port: u16) -> u8 {
    let value;
    // SAFETY: see `outb`.
    unsafe { asm!("in al, dx", in("dx") port, out("al") value, options(nostack, preserves_flags)) }
    value
}

/// Reads 16 bits from an I/O port.
pub fn inw(port: u16) -> u16 {
    let value;
    // SAFETY: see `outb`.
    unsafe { asm!("in ax, dx", in("dx") port, out("ax") value, options(nostack, preserves_flags)) }
    value
}

/// Reads 32 bits from an I/O port.
pub fn inl(port: u16) -> u32 {
    let value;
    // SAFETY: see `outb`.
    unsafe { asm!("in eax, dx", in("dx") port, out("eax") value, options(nostack, preserves_flags)) }
    value
}

/// Writes a string of bytes to an I/O port.
pub fn outsb(port: u16, bytes: &[u8]) {
    // SAFETY: reads exactly the slice.
    unsafe {
        asm!("cld", "rep outsb", in("dx") port, inout("rsi") bytes.as_ptr() => _,
             inout("rcx") bytes.len() => _, options(nostack, readonly));
    }
}

/// Ends QEMU through isa-debug-exit at 0x501; its exit status is `code * 2 + 1`.
pub fn exit(code: u32) -> ! {
    outl(0x501, code);
    halt()
}

/// Stands still for ever.
pub fn halt() -> ! {
    loop {
        // SAFETY: there is nothing left to do.
        unsafe { asm!("cli", "hlt") }
    }
}

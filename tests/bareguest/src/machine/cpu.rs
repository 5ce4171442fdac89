//! Port instructions, and what a PC has behind a few ports.

use core::arch::asm;

/// Writes a byte to an I/O port.
pub fn outb(port: u16, value: u8) {
    // SAFETY: this program owns the machine; a port access touches no memory that Rust knows. So for all in this file.
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

/// Reads 32 bits from an I/O port.
pub fn inl(port: u16) -> u32 {
    let value;
    // SAFETY: see `outb`.
    unsafe { asm!("in eax, dx", in("dx") port, out("eax") value, options(nostack, preserves_flags)) }
    value
}

/// Orders every store before it before every load after it, as the other side of shared memory sees them. A locked instruction would do on a
/// processor, but not in QEMU's TCG with one processor (DATASHEET 7.4).
pub fn mfence() {
    // SAFETY: it changes nothing. It is no `nomem`, so that the compiler moves no access over it.
    unsafe { asm!("mfence", options(nostack, preserves_flags)) }
}

/// Ends QEMU through isa-debug-exit at 0x501; its exit status is `code * 2 + 1`.
pub fn exit(code: u32) -> ! {
    outl(0x501, code);
    halt()
}

/// Resets the whole machine through the chipset's reset control register (ICH9, 0xCF9: a hard reset).
pub fn reset_machine() -> ! {
    outb(0xCF9, 0x02);
    outb(0xCF9, 0x06);
    halt()
}

fn halt() -> ! {
    loop {
        // SAFETY: there is nothing left to do.
        unsafe { asm!("cli", "hlt") }
    }
}

/// A byte of the battery-backed memory of the clock chip that neither OVMF nor QEMU uses. It survives a reset of the machine, and QEMU
/// starts with 0 in it.
const NOTE: u8 = 0x72;

/// The byte that was noted before the reset.
pub fn noted() -> u8 {
    outb(0x70, NOTE);
    inb(0x71)
}

/// Notes a byte for after the reset.
pub fn note(value: u8) {
    outb(0x70, NOTE);
    outb(0x71, value);
}

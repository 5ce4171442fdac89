//! Port instructions and a fence, and what a PC has behind a few ports.

use core::arch::asm;

use guest_ports::halt;
pub use guest_ports::{exit, inb, inl, outb, outl, outw};

/// Orders every store before it before every load after it, as the other side of shared memory sees them. A
/// locked instruction would do on a processor, but not in QEMU's TCG with one processor (DATASHEET 7.4).
pub fn mfence() {
    // SAFETY: it changes nothing. It is no `nomem`, so that the compiler moves no access over it.
    unsafe { asm!("mfence", options(nostack, preserves_flags)) }
}

/// Sleeps until the next interrupt.
pub fn pause_until_interrupt() {
    // SAFETY: it changes nothing; what interrupts may store to memory, so it is no `nomem`.
    unsafe { asm!("hlt", options(nostack, preserves_flags)) }
}

/// Resets the whole machine through the chipset's reset control register (ICH9, 0xCF9: a hard reset).
pub fn reset_machine() -> ! {
    outb(0xCF9, 0x02);
    outb(0xCF9, 0x06);
    halt()
}

/// A byte of the battery-backed memory of the clock chip that neither OVMF nor QEMU uses. It survives a reset
/// of the machine, and QEMU starts with 0 in it.
const CMOS_BYTE: u8 = 0x72;

/// The byte that was kept over the reset.
pub fn kept_byte() -> u8 {
    outb(0x70, CMOS_BYTE);
    inb(0x71)
}

/// Keeps a byte over the reset.
pub fn keep_byte(value: u8) {
    outb(0x70, CMOS_BYTE);
    outb(0x71, value);
}

//! The instructions that Rust has no words for: ports, control registers, interrupt flag.

use core::arch::asm;

pub use guest_ports::{exit, inb, inl, inw, outb, outl, outsb, outw};

/// The stack pointer, about: that of the caller, or of this.
pub fn stack_pointer() -> u64 {
    let pointer: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, rsp", out(reg) pointer, options(nomem, nostack, preserves_flags)) }
    pointer
}

/// Turns interrupts off; says whether they were on.
pub fn interrupts_off() -> bool {
    let flags: u64;
    // SAFETY: pushes and pops one word; the memory clobber keeps shared data inside the section.
    unsafe { asm!("pushfq", "pop {}", "cli", out(reg) flags) }
    flags & (1 << 9) != 0
}

/// Turns interrupts on again if they were on before [`interrupts_off`].
pub fn interrupts_restore(were_on: bool) {
    if were_on {
        // SAFETY: gives back the state found before.
        unsafe { asm!("sti") }
    }
}

/// Turns interrupts on.
pub fn sti() {
    // SAFETY: the interrupt table is loaded before the first caller comes here.
    unsafe { asm!("sti") }
}

/// Waits for the next interrupt with interrupts on (the pair is atomic: no wake-up is lost).
pub fn sti_hlt() {
    // SAFETY: see `sti`.
    unsafe { asm!("sti", "hlt") }
}

/// The task priority register: Windows' IRQL.
pub fn read_cr8() -> u8 {
    let value: u64;
    // SAFETY: reads a control register.
    unsafe { asm!("mov {}, cr8", out(reg) value, options(nostack, preserves_flags)) }
    value as u8
}

/// Sets the task priority register; a pending interrupt above it is taken at once.
pub fn write_cr8(value: u8) {
    // SAFETY: interrupt priorities only; the memory clobber orders it against shared data.
    unsafe { asm!("mov cr8, {}", in(reg) u64::from(value & 15), options(nostack)) }
}

/// The address of the last page fault.
pub fn read_cr2() -> u64 {
    let value;
    // SAFETY: reads a control register.
    unsafe { asm!("mov {}, cr2", out(reg) value, options(nostack, preserves_flags)) }
    value
}

/// Forgets the translation of one page.
pub fn invlpg(va: u64) {
    // SAFETY: only the TLB changes.
    unsafe { asm!("invlpg [{}]", in(reg) va, options(nostack)) }
}

/// Forgets the translations of all pages.
pub fn flush_translations() {
    // SAFETY: only the TLB changes: no page is global.
    unsafe { asm!("mov {t}, cr3", "mov cr3, {t}", t = out(reg) _, options(nostack, preserves_flags)) }
}

/// Whether interrupts are on.
pub fn interrupts_on() -> bool {
    let flags: u64;
    // SAFETY: pushes and pops one word.
    unsafe { asm!("pushfq", "pop {}", out(reg) flags) }
    flags & (1 << 9) != 0
}

/// The time-stamp counter.
pub fn rdtsc() -> u64 {
    // SAFETY: reads a counter.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Reads a model-specific register.
pub fn rdmsr(index: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: only called for registers that every x86-64 processor has.
    unsafe { asm!("rdmsr", in("ecx") index, out("eax") low, out("edx") high, options(nostack)) }
    u64::from(high) << 32 | u64::from(low)
}

/// Writes a model-specific register.
pub fn wrmsr(index: u32, value: u64) {
    // SAFETY: only called with values that keep ntguest running.
    unsafe {
        asm!("wrmsr", in("ecx") index, in("eax") value as u32, in("edx") (value >> 32) as u32, options(nostack));
    }
}

//! The local APIC: interrupt priorities, end of interrupt, the clock, and the request for DISPATCH.

use super::{cpu, paging, processor, time};

/// Vector of the dispatch interrupt: priority class 2 = DISPATCH_LEVEL, so CR8 holds it off by itself.
pub const DISPATCH_VECTOR: u8 = 0x2f;
/// Vector of the clock: class 13 = CLOCK_LEVEL.
pub const CLOCK_VECTOR: u8 = 0xd1;
/// Vector of the interrupts between processors: class 14 = IPI_LEVEL.
pub const IPI_VECTOR: u8 = 0xe1;
/// Vector of spurious interrupts; needs no end of interrupt.
pub const SPURIOUS_VECTOR: u8 = 0xff;

const APIC_BASE_MSR: u32 = 0x1b;
const X2APIC_ENABLED: u64 = 1 << 10;
const ID: u32 = 0x20;
const EOI: u32 = 0xb0;
const SPURIOUS: u32 = 0xf0;
const ICR_LOW: u32 = 0x300;
const ICR_HIGH: u32 = 0x310;
const LVT_TIMER: u32 = 0x320;
const LVT_FIRST_MASKED: [u32; 4] = [0x330, 0x340, 0x350, 0x360];
const TIMER_INITIAL: u32 = 0x380;
const TIMER_CURRENT: u32 = 0x390;
const TIMER_DIVIDE: u32 = 0x3e0;
const DIVIDE_BY_1: u32 = 0b1011;
const MASKED: u32 = 1 << 16;
const PERIODIC: u32 = 1 << 17;
const SELF: u32 = 0b01 << 18;
const INIT: u32 = 0b101 << 8;
const STARTUP: u32 = 0b110 << 8;
const ASSERT: u32 = 1 << 14;

fn x2apic() -> bool {
    cpu::rdmsr(APIC_BASE_MSR) & X2APIC_ENABLED != 0
}

fn register(offset: u32) -> *mut u32 {
    paging::phys_ptr((cpu::rdmsr(APIC_BASE_MSR) & 0x000f_ffff_ffff_f000) + u64::from(offset)).cast()
}

fn read(offset: u32) -> u32 {
    if x2apic() {
        cpu::rdmsr(0x800 + (offset >> 4)) as u32
    } else {
        // SAFETY: the local APIC's page is in the direct map.
        unsafe { register(offset).read_volatile() }
    }
}

fn write(offset: u32, value: u32) {
    if x2apic() {
        cpu::wrmsr(0x800 + (offset >> 4), u64::from(value));
    } else {
        // SAFETY: see `read`.
        unsafe { register(offset).write_volatile(value) }
    }
}

/// Number of this local APIC, for message addresses.
pub fn id() -> u32 {
    if x2apic() { read(ID) } else { read(ID) >> 24 }
}

/// Enables the APIC with everything local masked, and the 8259s silent.
pub fn init() {
    cpu::outb(0x21, 0xff);
    cpu::outb(0xa1, 0xff);
    init_local();
}

/// This processor's part of it.
pub fn init_local() {
    for lvt in LVT_FIRST_MASKED {
        write(lvt, MASKED);
    }
    write(LVT_TIMER, MASKED);
    write(SPURIOUS, 0x100 | u32::from(SPURIOUS_VECTOR));
}

/// Starts the timer counting down without interrupts, for calibration.
pub fn timer_free_run() {
    write(TIMER_DIVIDE, DIVIDE_BY_1);
    write(LVT_TIMER, MASKED | u32::from(CLOCK_VECTOR));
    write(TIMER_INITIAL, u32::MAX);
}

/// Ticks since [`timer_free_run`].
pub fn timer_elapsed() -> u32 {
    u32::MAX - read(TIMER_CURRENT)
}

/// Starts this processor's 1 kHz clock. A reset, and the start of a further processor, leave a division by
/// two.
pub fn start_clock() {
    write(TIMER_DIVIDE, DIVIDE_BY_1);
    write(LVT_TIMER, PERIODIC | u32::from(CLOCK_VECTOR));
    write(TIMER_INITIAL, time::apic_ticks_per_ms());
}

/// End of interrupt.
pub fn eoi() {
    write(EOI, 0);
}

/// Sends a command to one local APIC.
fn send(id: u32, command: u32) {
    if x2apic() {
        cpu::wrmsr(0x830, u64::from(id) << 32 | u64::from(command));
        return;
    }
    let were_on = cpu::interrupts_off();
    write(ICR_HIGH, id << 24);
    write(ICR_LOW, command);
    cpu::interrupts_restore(were_on);
}

/// Asks for the dispatch interrupt on this processor: taken as soon as the IRQL is below DISPATCH.
pub fn request_dispatch() {
    if x2apic() {
        cpu::wrmsr(0x830, u64::from(SELF | u32::from(DISPATCH_VECTOR)));
    } else {
        write(ICR_LOW, SELF | u32::from(DISPATCH_VECTOR));
    }
}

/// Asks for it on processor `number`.
pub fn request_dispatch_on(number: usize) {
    send(processor::apic_id(number), ASSERT | u32::from(DISPATCH_VECTOR));
}

/// Interrupts processor `number` at IPI_LEVEL.
pub fn interrupt_processor(number: usize) {
    send(processor::apic_id(number), ASSERT | u32::from(IPI_VECTOR));
}

/// INIT to the processor of this local APIC.
pub fn init_processor(id: u32) {
    send(id, INIT | ASSERT);
}

/// STARTUP at `page` times 4096.
pub fn start_processor(id: u32, page: u8) {
    send(id, STARTUP | ASSERT | u32::from(page));
}

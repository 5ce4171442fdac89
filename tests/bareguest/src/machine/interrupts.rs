//! Interrupts of a function, taken by the processor: by the line, through the pair of 8259A that every PC has
//! (PCI Firmware Specification: Interrupt Line holds the input that firmware has routed the line to), or by
//! MSI to the local APIC (Intel SDM volume 3A, 11.11). The firmware's interrupt descriptor table stays but
//! for the gates of this file, in a copy; its timer is replaced by a tick of this file's, so that `hlt` ends.

use core::arch::{asm, global_asm};
use core::ptr::{read_volatile, write_volatile};
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicUsize, Ordering};

use super::cpu::{outb, pause_until_interrupt};
use super::pci::{self, Function};
use super::uefi::{Firmware, PAGE};
use crate::verdict::Step;
use crate::wrong;

/// Vectors: the tick, the message, and 16 inputs of the interrupt controllers.
const TICK: u8 = 0x60;
const MESSAGE: u8 = 0x61;
const INPUTS: u8 = 0x70;
/// A gate of the interrupt descriptor table, and a present interrupt gate.
const GATE_BYTES: usize = 16;
const INTERRUPT_GATE: u16 = 0x8E00;

/// Local APIC, by its page; of x2APIC, by model-specific registers `0x800 + offset / 16`.
const APIC: u64 = 0xFEE0_0000;
const ID: u32 = 0x20;
const END_OF_INTERRUPT: u32 = 0xB0;
const SPURIOUS: u32 = 0xF0;
const LVT_TIMER: u32 = 0x320;
const LVT_LINT0: u32 = 0x350;
const INITIAL_COUNT: u32 = 0x380;
const DIVIDE: u32 = 0x3E0;
const APIC_ENABLED: u32 = 1 << 8;
const PERIODIC: u32 = 1 << 17;
const EXT_INT: u32 = 7 << 8;
/// `IA32_APIC_BASE` and its bit that says x2APIC.
const APIC_BASE: u32 = 0x1B;
const X2APIC: u64 = 1 << 10;
/// Bus cycles of a tick: 1 ms of a timer of 1 GHz divided by 16, QEMU's. Only a wait depends on it.
const TICK_COUNT: u32 = 62_500;

/// MSI capability with 64-bit addresses (PCI Local Bus Specification 3.0, 6.8.1).
const MSI_CONTROL: u8 = 0x02;
const MSI_ADDRESS: u8 = 0x04;
const MSI_DATA_64: u8 = 0x0C;
const MSI_ENABLE: u16 = 1;
const MSI_64: u16 = 1 << 7;
/// Configuration space: which input the line is routed to, and which pin the function has.
const INTERRUPT_LINE: u8 = 0x3C;

/// What is called in the service routine.
static SERVICE: AtomicUsize = AtomicUsize::new(0);
static LINE: AtomicU8 = AtomicU8::new(0);
static SPURIOUS_INPUTS: AtomicU32 = AtomicU32::new(0);
static TICKS: AtomicU32 = AtomicU32::new(0);

global_asm!(
    // Each gate: registers of the caller's that a Rust function may use, a call with the stack aligned.
    ".macro bare_gate name target",
    ".global \\name",
    "\\name:",
    "push rax; push rcx; push rdx; push rsi; push rdi; push r8; push r9; push r10; push r11; push rbp",
    "mov rbp, rsp; and rsp, -16; cld",
    "call \\target",
    "mov rsp, rbp",
    "pop rbp; pop r11; pop r10; pop r9; pop r8; pop rdi; pop rsi; pop rdx; pop rcx; pop rax",
    "iretq",
    ".endm",
    "bare_gate bare_tick_gate, {tick}",
    "bare_gate bare_message_gate, {message}",
    "bare_gate bare_line_gate, {line}",
    "bare_gate bare_spurious_gate, {spurious}",
    tick = sym on_tick,
    message = sym on_message,
    line = sym on_line,
    spurious = sym on_spurious,
);
unsafe extern "C" {
    fn bare_tick_gate();
    fn bare_message_gate();
    fn bare_line_gate();
    fn bare_spurious_gate();
}

extern "sysv64" fn on_tick() {
    TICKS.fetch_add(1, Ordering::Relaxed);
    apic_write(END_OF_INTERRUPT, 0);
}

extern "sysv64" fn on_message() {
    serve();
    apic_write(END_OF_INTERRUPT, 0);
}

extern "sysv64" fn on_line() {
    serve();
    // "Specific end of interrupt", to the second controller and its input of the first.
    let line = LINE.load(Ordering::Relaxed);
    if line >= 8 {
        outb(0xA0, 0x60 | (line & 7));
        outb(0x20, 0x62);
    } else {
        outb(0x20, 0x60 | line);
    }
}

/// The line fell before the processor asked the second controller what it was: input 7 of that, which is not
/// in service, and input 2 of the first, which is (Intel 231468, "spurious"). QEMU's vfio takes the line down
/// at any access to the BAR, also one that was under way when the line rose, so this does occur.
extern "sysv64" fn on_spurious() {
    SPURIOUS_INPUTS.fetch_add(1, Ordering::Relaxed);
    outb(0x20, 0x62);
}

/// How often the line fell before it was served.
pub fn spurious() -> u32 {
    SPURIOUS_INPUTS.load(Ordering::Relaxed)
}

fn serve() {
    let service = SERVICE.load(Ordering::Relaxed);
    if service != 0 {
        // SAFETY: only `take` stores there, a function of this type.
        unsafe { core::mem::transmute::<usize, fn()>(service)() };
    }
}

/// How a function interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// INTx.
    Line,
    /// MSI.
    Message,
}

/// Takes over the processor's interrupts, and has `service` called for those of `function`.
pub fn take(firmware: &Firmware, function: Function, kind: Kind, service: fn()) -> Step {
    disable();
    SERVICE.store(service as usize, Ordering::Relaxed);
    let Some(table) = firmware.allocate(PAGE, true) else { return Err(wrong!("no memory for gates")) };
    copy_table(table);
    set_gate(table, TICK, bare_tick_gate);
    set_gate(table, MESSAGE, bare_message_gate);
    controllers(INPUTS, 0xFF, 0xFF);
    apic_write(SPURIOUS, apic_read(SPURIOUS) | APIC_ENABLED);
    apic_write(LVT_TIMER, PERIODIC | u32::from(TICK));
    apic_write(DIVIDE, 3);
    apic_write(INITIAL_COUNT, TICK_COUNT);
    match kind {
        Kind::Line => {
            let line = function.read32(INTERRUPT_LINE) as u8;
            if !(3..16).contains(&line) {
                return Err(wrong!("Interrupt Line {line:#x}: the firmware has routed no line"));
            }
            LINE.store(line, Ordering::Relaxed);
            set_gate(table, INPUTS + 7, bare_spurious_gate);
            set_gate(table, INPUTS + 15, bare_spurious_gate);
            set_gate(table, INPUTS + line, bare_line_gate);
            // A PCI line is level-triggered (edge/level control registers 0x4D0 and 0x4D1 of the chipset).
            let (port, bit) = (0x4D0 + u16::from(line / 8), 1 << (line % 8));
            outb(port, super::cpu::inb(port) | bit);
            let mask = !(1u16 << line | 1 << 2);
            controllers(INPUTS, mask as u8, (mask >> 8) as u8);
            apic_write(LVT_LINT0, EXT_INT);
        }
        Kind::Message => enable_message(function)?,
    }
    // SAFETY: the gates are there, and so is every one that the firmware had.
    unsafe { asm!("sti", options(nomem, nostack)) };
    Ok(())
}

/// No interrupts any more.
pub fn disable() {
    // SAFETY: it touches no memory.
    unsafe { asm!("cli", options(nomem, nostack)) };
}

/// Sleeps until `done`, at most so many milliseconds; gives whether it was.
pub fn wait(millis: u32, mut done: impl FnMut() -> bool) -> bool {
    let since = TICKS.load(Ordering::Relaxed);
    while !done() {
        if TICKS.load(Ordering::Relaxed).wrapping_sub(since) > millis {
            return false;
        }
        // An interrupt since `done` was asked: the next tick ends the sleep.
        pause_until_interrupt();
    }
    true
}

fn enable_message(function: Function) -> Step {
    let Some(msi) = function.capability(pci::MSI) else { return Err(wrong!("no MSI capability")) };
    let control = function.read16(msi + MSI_CONTROL);
    if control & MSI_64 == 0 {
        return Err(wrong!("MSI without 64-bit addresses: control {control:#x}"));
    }
    // All bytes of the address but those that name the processor are fixed.
    let id = if x2apic() { apic_read(ID) } else { apic_read(ID) >> 24 };
    function.write32(msi + MSI_ADDRESS, APIC as u32 | id << 12);
    function.write32(msi + MSI_ADDRESS + 4, 0);
    function.write16(msi + MSI_DATA_64, u16::from(MESSAGE));
    function.write16(msi + MSI_CONTROL, control & !(7 << 4) | MSI_ENABLE);
    function.disable_intx();
    Ok(())
}

/// Initialises both 8259A (Intel 231468): 16 inputs from `vector` on, the second on input 2 of the first.
fn controllers(vector: u8, first_mask: u8, second_mask: u8) {
    for (port, vector, cascade, mask) in
        [(0x20, vector, 1 << 2, first_mask), (0xA0, vector + 8, 2, second_mask)]
    {
        outb(port, 0x11);
        for word in [vector, cascade, 1, mask] {
            outb(port + 1, word);
        }
    }
}

/// Copies the firmware's gates and has the processor use the copy.
fn copy_table(table: u64) {
    let mut register = [0u16; 5];
    // SAFETY: `sidt` stores 10 bytes: the limit and the address of the table, which is mapped and which this
    // program only reads; the copy in a page of its own has 256 gates, and stays.
    unsafe {
        asm!("sidt [{}]", in(reg) register.as_mut_ptr(), options(nostack, preserves_flags));
        let address = (1..5).rev().fold(0, |all, at| all << 16 | u64::from(register[at]));
        let bytes = (usize::from(register[0]) + 1).min(PAGE as usize);
        core::ptr::copy_nonoverlapping(address as *const u8, table as *mut u8, bytes);
        register[0] = PAGE as u16 - 1;
        (1..5).for_each(|at| register[at] = (table >> (16 * (at - 1))) as u16);
        asm!("lidt [{}]", in(reg) register.as_ptr(), options(nostack, preserves_flags));
    }
}

fn set_gate(table: u64, vector: u8, to: unsafe extern "C" fn()) {
    let code: u16;
    // SAFETY: reads a segment register.
    unsafe { asm!("mov {:x}, cs", out(reg) code, options(nomem, nostack, preserves_flags)) };
    let to = to as usize as u64;
    let low = to & 0xFFFF | u64::from(code) << 16 | u64::from(INTERRUPT_GATE) << 32 | to >> 16 << 48;
    let at = (table as usize + GATE_BYTES * usize::from(vector)) as *mut u64;
    // SAFETY: gate `vector` of the table's 256, which is this file's page.
    unsafe {
        write_volatile(at, low);
        write_volatile(at.add(1), to >> 32);
    }
}

fn x2apic() -> bool {
    read_msr(APIC_BASE) & X2APIC != 0
}

fn apic_read(register: u32) -> u32 {
    if x2apic() {
        return read_msr(0x800 + register / 16) as u32;
    }
    // SAFETY: a register of the local APIC, which firmware maps.
    unsafe { read_volatile((APIC + u64::from(register)) as *const u32) }
}

fn apic_write(register: u32, value: u32) {
    if x2apic() {
        // SAFETY: a register of the local APIC; nothing but interrupts depends on those that are written.
        unsafe {
            asm!("wrmsr", in("ecx") 0x800 + register / 16, in("eax") value, in("edx") 0, options(nostack));
        }
        return;
    }
    // SAFETY: see `apic_read`.
    unsafe { write_volatile((APIC + u64::from(register)) as *mut u32, value) }
}

fn read_msr(register: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads registers that every processor in 64-bit mode with this APIC has.
    unsafe {
        asm!("rdmsr", in("ecx") register, out("eax") low, out("edx") high, options(nomem, nostack));
    }
    u64::from(high) << 32 | u64::from(low)
}

//! The machine sleeps (ACPI S3) and comes back: memory keeps its power, and everything else is reset.
//!
//! The way down: other processors are stopped where they are (an interrupt of IPI_LEVEL), the real-time clock
//! gets an alarm, the FACS the waking vector, and PM1a_CNT the sleep. The way up: the firmware finds that it
//! was S3 and jumps, on the first processor and in real mode, to the waking vector, which is the trampoline
//! of other processors ([`processor`]); descriptor tables, the processor's own region, control registers and
//! local APIC are set up again; the other processors are started as at boot, and each goes on in the midst of
//! what it was stopped in. Then whoever let the machine sleep restores bridges and the I/O APIC. The card is
//! the bus driver's business ([`super::d3`]).
//!
//! Sources: ACPI 6.5, sections 4.8.3 (PM1), 7.4.2.4 (S3: who saves what), 16.1.3 and 16.3.2 (waking);
//! MC146818 (alarm).
//!
//! What QEMU 11.1.3 does, as seen here (q35, TCG, OVMF of edk2 without SMM): SLP_TYP 1 with SLP_EN suspends
//! the machine, the alarm resets every device of it and OVMF calls the vector, without a look at the
//! configuration space of cards. It takes no host to wake it. A device over vfio-user stays connected, and
//! gets when the machine wakes: INTx or MSI disabled, 0 in its command register, D0 in PMCSR, DEVICE_RESET,
//! and 0 in every BAR; its map of the guest's RAM stays. *Doubt*: KVM, where the TSC may begin anew
//! ([`time::go_on`]), was not tried.

use alloc::vec::Vec;
use core::arch::{asm, naked_asm};
use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use super::acpi::{self, Problem, SleepRegisters};
use super::processor::{self, MOST};
use super::{apic, cards, cpu, idt, paging, pci, time, user_data};

/// PM1_STS: the system is awake again; PM1_EN: the clock's alarm wakes it.
const WAKE_STATUS: u16 = 1 << 15;
const CLOCK_ALARM: u16 = 1 << 10;
/// PM1_CNT.
const SLEEP_TYPE: u16 = 10;
const SLEEP_TYPE_MASK: u16 = 7 << SLEEP_TYPE;
const SLEEP_ENABLE: u16 = 1 << 13;
/// How long the machine may take to fall asleep, and a processor to stop, milliseconds.
const PATIENCE_MS: u64 = 10_000;
/// The alarm is so many seconds of the clock ahead: 1 to 2 s. Missed, it comes a minute later.
const AHEAD: u8 = 2;
/// ACPI's tables are below 4 GiB, where the direct map has everything.
const FOUR_GIB: u64 = 1 << 32;

/// Where the firmware's tables begin.
static ROOT: AtomicU64 = AtomicU64::new(0);
/// Processors are to stop where they are.
static STOP: AtomicBool = AtomicBool::new(false);
/// The processors that have: bit by bit.
static STOPPED: AtomicU32 = AtomicU32::new(0);
/// What [`suspend`] left on each processor's stack, and its CR4.
static STACK: [AtomicU64; MOST] = [const { AtomicU64::new(0) }; MOST];
static CR4: [AtomicU64; MOST] = [const { AtomicU64::new(0) }; MOST];

/// Keeps where the RSDP is.
pub fn keep_root(rsdp: u64) {
    ROOT.store(rsdp, Ordering::Relaxed);
}

/// Lets the machine sleep until the alarm. At PASSIVE_LEVEL, with every device in D3; nothing of ntguest may
/// need a device below the bridges until it returns.
pub fn to_s3() -> Result<(), Problem> {
    if cards::wanted() > 1 {
        return Err("a machine with cards=2 does not sleep: the second card stays in D0");
    }
    let registers = acpi::find(ROOT.load(Ordering::Relaxed), &read_memory)?;
    let bridges = pci::save_bridges(pci::card());
    processor::prepare_to_wake(woken)?;
    let (were_on, level) = (cpu::interrupts_off(), cpu::read_cr8());
    let result = stop_others().and_then(|()| sleep(registers));
    STOP.store(false, Ordering::Release);
    cpu::write_cr8(level);
    pci::restore_bridges(&bridges);
    pci::route_lines_again();
    let kept = pci::has_addresses(pci::card());
    cpu::interrupts_restore(were_on);
    match result {
        Ok(()) if kept => Err("the machine has slept and the card still has its addresses"),
        result => result,
    }
}

/// With interrupts off, alone.
fn sleep(registers: SleepRegisters) -> Result<(), Problem> {
    write_vector(registers.waking_vector, processor::waking_vector());
    for half in [0, 4] {
        write_vector(registers.x_waking_vector + half, 0);
    }
    processor::aim_trampoline(0, wake_stack(0));
    cpu::outw(registers.status, u16::MAX);
    cpu::outw(registers.enable, CLOCK_ALARM);
    set_alarm();
    time::stand_still();
    let slept = suspend_here(fall_asleep, (&raw const registers).cast_mut().cast());
    time::go_on();
    clear_alarm();
    let status = cpu::inw(registers.status);
    cpu::outw(registers.enable, 0);
    match (slept, status & WAKE_STATUS) {
        (false, _) => Err("the machine does not fall asleep: S3 is disabled"),
        (true, 0) => Err("the machine is awake and PM1_STS does not say so"),
        (true, _) => Ok(()),
    }
}

/// Writes PM1a_CNT and waits; returns only if nothing comes of it.
extern "win64" fn fall_asleep(registers: *mut c_void) {
    // SAFETY: `sleep` keeps it until it has come back.
    let registers = unsafe { &*registers.cast::<SleepRegisters>() };
    let control = cpu::inw(registers.control) & !(SLEEP_TYPE_MASK | SLEEP_ENABLE);
    let control = control | registers.sleep_type << SLEEP_TYPE;
    cpu::outw(registers.control, control);
    cpu::outw(registers.control, control | SLEEP_ENABLE);
    let deadline = cpu::rdtsc() + time::tsc_per_ms() * PATIENCE_MS;
    while cpu::rdtsc() < deadline {
        core::hint::spin_loop();
    }
}

/// Stops the other processors, whatever they are at: what they have locked stays so.
fn stop_others() -> Result<(), Problem> {
    let me = processor::current();
    STOPPED.store(1 << me, Ordering::Release);
    STOP.store(true, Ordering::Release);
    for number in (0..processor::count()).filter(|number| *number != me) {
        apic::interrupt_processor(number);
        let deadline = time::ms() + PATIENCE_MS;
        while STOPPED.load(Ordering::Acquire) & 1 << number == 0 {
            if time::ms() > deadline {
                return Err("another processor does not stop");
            }
            core::hint::spin_loop();
        }
    }
    Ok(())
}

/// In the interrupt of IPI_LEVEL: stops, if the machine is about to sleep, until it is awake again.
pub fn stop_if_asked() {
    if STOP.load(Ordering::Acquire) {
        suspend_here(stand, core::ptr::null_mut());
    }
}

extern "win64" fn stand(_: *mut c_void) {
    STOPPED.fetch_or(1 << processor::current(), Ordering::AcqRel);
    while STOP.load(Ordering::Acquire) {
        core::hint::spin_loop();
    }
}

/// Calls `f`; true when the machine has slept meanwhile, and this processor goes on after its reset.
fn suspend_here(f: extern "win64" fn(*mut c_void), argument: *mut c_void) -> bool {
    let me = processor::current();
    let cr4: u64;
    // SAFETY: reads a control register.
    unsafe { asm!("mov {}, cr4", out(reg) cr4, options(nomem, nostack, preserves_flags)) }
    CR4[me].store(cr4, Ordering::Relaxed);
    // SAFETY: interrupts are off, so that this stays the processor whose place it is; the place is a
    // static's.
    unsafe { suspend(STACK[me].as_ptr(), f, argument) != 0 }
}

/// Leaves what a function must keep on the stack, the stack's pointer at `place`, and calls `f(argument)`. 0
/// when that returns; 1 when [`resume`] was called with the pointer instead.
#[unsafe(naked)]
unsafe extern "win64" fn suspend(
    place: *mut u64,
    f: extern "win64" fn(*mut c_void),
    argument: *mut c_void,
) -> u64 {
    naked_asm!(
        "push rbx",
        "push rbp",
        "push rdi",
        "push rsi",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "pushfq",
        "sub rsp, 512",
        "fxsave64 [rsp]",
        "mov [rcx], rsp",
        "mov rcx, r8",
        "sub rsp, 32",
        "call rdx",
        "lea rcx, [rsp + 32]",
        "xor eax, eax",
        "jmp {end}",
        end = sym suspend_end,
    )
}

/// Goes on where `suspend` was called that left this pointer.
#[unsafe(naked)]
unsafe extern "win64" fn resume(stack: u64) -> ! {
    naked_asm!("mov eax, 1", "jmp {end}", end = sym suspend_end)
}

/// The end of both: RCX is the stack's pointer, RAX the result.
#[unsafe(naked)]
unsafe extern "win64" fn suspend_end() {
    naked_asm!(
        "mov rsp, rcx",
        "fxrstor64 [rsp]",
        "add rsp, 512",
        "popfq",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rsi",
        "pop rdi",
        "pop rbp",
        "pop rbx",
        "ret"
    )
}

const WAKE_STACK: usize = 16384;
#[repr(C, align(4096))]
struct WakeStack([u8; WAKE_STACK]);
/// Stacks for the time from the reset to [`resume`]: every other one may be in use by what was stopped.
static mut WAKE_STACKS: [WakeStack; MOST] = [const { WakeStack([0; WAKE_STACK]) }; MOST];

/// The end of one, aligned as a call finds it.
fn wake_stack(number: usize) -> u64 {
    // SAFETY: an address is computed; there are at most as many processors.
    let stack = unsafe { (&raw const WAKE_STACKS).cast::<WakeStack>().add(number) };
    stack as u64 + WAKE_STACK as u64 - 32
}

/// Where a processor comes out of the trampoline after the reset: on its own page tables, interrupts off.
extern "win64" fn woken(number: usize) -> ! {
    idt::init(number);
    user_data::init_processor(number);
    // SAFETY: the value that this processor had, which everything here ran with.
    unsafe {
        asm!("mov cr4, {}", in(reg) CR4[number].load(Ordering::Relaxed), options(nostack, preserves_flags));
    }
    if number == 0 {
        apic::init();
        time::go_on();
        wake_others();
    } else {
        apic::init_local();
    }
    apic::start_clock();
    STOPPED.fetch_and(!(1 << number), Ordering::AcqRel);
    // SAFETY: this processor left it there before the reset, and that stack was not used since: it is of the
    // code that goes on now, and this one runs on a stack of its own.
    unsafe { resume(STACK[number].load(Ordering::Acquire)) }
}

/// Starts the other processors, one after another, for they share the trampoline.
fn wake_others() {
    for number in 1..processor::count() {
        processor::aim_trampoline(number, wake_stack(number));
        processor::start(number, || STOPPED.load(Ordering::Acquire) & 1 << number == 0);
    }
}

fn read_memory(at: u64, length: usize) -> Option<Vec<u8>> {
    let end = at.checked_add(length as u64)?;
    if at == 0 || end > FOUR_GIB {
        return None;
    }
    // SAFETY: below 4 GiB the direct map has everything; the firmware's tables are in memory that nobody else
    // uses.
    Some((0..length as u64).map(|i| unsafe { paging::phys_ptr(at + i).read_volatile() }).collect())
}

fn write_vector(at: u64, value: u32) {
    // SAFETY: a word of the FACS, which is aligned to 64 bytes and is there for the operating system to
    // write.
    unsafe { paging::phys_ptr(at).cast::<u32>().write_volatile(value) }
}

// The real-time clock.
const SECONDS: u8 = 0;
const ALARM: [u8; 3] = [1, 3, 5];
const REGISTER_A: u8 = 0x0a;
const UPDATE_IN_PROGRESS: u8 = 1 << 7;
const REGISTER_B: u8 = 0x0b;
const ALARM_INTERRUPT: u8 = 1 << 5;
const BINARY: u8 = 1 << 2;
const REGISTER_C: u8 = 0x0c;
/// Of a minute or hour of the alarm: any.
const ANY: u8 = 0xff;

fn clock_read(register: u8) -> u8 {
    cpu::outb(0x70, register);
    cpu::inb(0x71)
}

fn clock_write(register: u8, value: u8) {
    cpu::outb(0x70, register);
    cpu::outb(0x71, value);
}

/// The clock's alarm, [`AHEAD`] seconds from now.
fn set_alarm() {
    while clock_read(REGISTER_A) & UPDATE_IN_PROGRESS != 0 {
        core::hint::spin_loop();
    }
    let (now, control) = (clock_read(SECONDS), clock_read(REGISTER_B));
    let binary = control & BINARY != 0;
    let now = if binary { now } else { (now >> 4) * 10 + (now & 15) };
    let then = (now + AHEAD) % 60;
    let then = if binary { then } else { (then / 10) << 4 | (then % 10) };
    for (register, value) in ALARM.into_iter().zip([then, ANY, ANY]) {
        clock_write(register, value);
    }
    clock_read(REGISTER_C);
    clock_write(REGISTER_B, control | ALARM_INTERRUPT);
}

fn clear_alarm() {
    clock_write(REGISTER_B, clock_read(REGISTER_B) & !ALARM_INTERRUPT);
    clock_read(REGISTER_C);
}

//! What inline functions of the kernel's headers read without a call: the processor's control region behind
//! GS (`KeGetCurrentThread`, `KeGetCurrentProcessorNumber`) and KUSER_SHARED_DATA (`KeQueryInterruptTime`,
//! `KeQuerySystemTime`, `KeQueryTickCount`).
//!
//! Offsets: `wdm.h` and `ntddk.h` (SharedInterruptTime, SharedSystemTime, SharedTickCount,
//! KUSER_SHARED_DATA); gs:[0x18] is the region itself, gs:[0x20] its PRCB at 0x180, of which +8 is the thread
//! and +0x24 the processor's number.

use core::sync::atomic::{AtomicU64, Ordering};

use super::page_map::PAGE;
use super::paging::{self, bits};
use super::{cpu, phys, processor, time, timer};

/// Windows 10.
pub const MAJOR: u32 = 10;
/// Its minor version.
pub const MINOR: u32 = 0;
/// Windows 11 24H2.
pub const BUILD: u32 = 26100;

/// Address of KUSER_SHARED_DATA in kernel mode: read only, as Windows maps it since 20H1.
const SHARED: u64 = 0xffff_f780_0000_0000;
/// Its place in the direct map, where we write.
static SHARED_WRITABLE: AtomicU64 = AtomicU64::new(0);

/// IA32_GS_BASE.
const GS_BASE: u32 = 0xc000_0101;
const PRCB: usize = 0x180;
/// The PRCB's number of the processor.
const NUMBER: usize = PRCB + 0x24;

/// KPCR with the beginning of its KPRCB.
#[repr(C, align(4096))]
struct Kpcr([u64; 512]);
static mut KPCRS: [Kpcr; processor::MOST] = [const { Kpcr([0; 512]) }; processor::MOST];

/// Sets one field of the region of processor `number`.
///
/// # Safety
/// Interrupts off, on that processor; the offset lies in the region.
unsafe fn set(number: usize, offset: usize, value: u64) {
    // SAFETY: by the contract; the region is ours and page-aligned.
    unsafe {
        let region = (&raw mut KPCRS).cast::<Kpcr>().add(number).cast::<u8>();
        region.add(offset).cast::<u64>().write_volatile(value);
    }
}

/// Sets the region of this processor up, which is number `number`. After its descriptor tables.
pub fn init_processor(number: usize) {
    // SAFETY: an address is computed; there are at most as many processors.
    let base = unsafe { (&raw const KPCRS).cast::<Kpcr>().add(number) } as u64;
    // SAFETY: at the processor's start; all of these lie in the region.
    unsafe {
        set(number, 0x18, base);
        set(number, 0x20, base + PRCB as u64);
        set(number, 0x30, base);
        set(number, NUMBER & !7, (number as u64) << 32);
    }
    cpu::wrmsr(GS_BASE, base);
}

/// The number of this processor, from its region.
pub fn processor_number() -> usize {
    let number: u32;
    // SAFETY: reads the region that GS points to since `init_processor`.
    unsafe {
        core::arch::asm!("mov {:e}, gs:[{at}]", out(reg) number, at = const NUMBER,
                         options(nostack, readonly, preserves_flags));
    }
    number as usize
}

/// Sets both up. Once, after the descriptor tables.
pub fn init() {
    init_processor(0);
    let pa = phys::alloc_kernel();
    paging::map(SHARED, pa, bits::PRESENT | bits::NX);
    SHARED_WRITABLE.store(paging::phys_ptr(pa) as u64, Ordering::Relaxed);
    // SystemRoot, NtMajorVersion, NtMinorVersion, NtBuildNumber, NativeProcessorArchitecture AMD64, product
    // type workstation, valid, and what turns ticks into milliseconds: 2^24 * 15.625.
    for (i, unit) in "C:\\Windows".encode_utf16().enumerate() {
        write(0x30 + i * 2, unit);
    }
    write(0x26c, MAJOR);
    write(0x270, MINOR);
    write(0x260, BUILD);
    write(0x26a, 9u16);
    write(0x264, 1u32);
    write(0x268, 1u8);
    write(0x004, (u64::from(timer::TIME_INCREMENT) * (1 << 24) / 10_000) as u32);
    write(0x300, time::qpc_frequency());
    write(0x3c0, 1u32);
    tick();
}

fn write<T: Copy>(offset: usize, value: T) {
    let page = SHARED_WRITABLE.load(Ordering::Relaxed) as *mut u8;
    debug_assert!(offset + size_of::<T>() <= PAGE as usize);
    // SAFETY: the page is ours, and every offset is a constant below its size, aligned to the field.
    unsafe { page.add(offset).cast::<T>().write_volatile(value) }
}

/// KSYSTEM_TIME: readers take High1Time, LowPart, High2Time and compare the two.
fn write_time(offset: usize, value: u64) {
    write(offset + 8, (value >> 32) as u32);
    write(offset, value as u32);
    write(offset + 4, (value >> 32) as u32);
}

/// The clock ticked: these times move in steps of KeQueryTimeIncrement, as with a timer resolution that
/// nobody raised.
pub fn tick() {
    if SHARED_WRITABLE.load(Ordering::Relaxed) == 0 {
        return;
    }
    let ticks = time::interrupt_time_100ns() / u64::from(timer::TIME_INCREMENT);
    let now = ticks * u64::from(timer::TIME_INCREMENT);
    write_time(0x008, now);
    write_time(0x014, time::SYSTEM_TIME_AT_BOOT + now);
    write_time(0x320, ticks);
}

/// The running thread changed. Interrupts off.
pub fn set_current_thread(object: u64) {
    // SAFETY: interrupts are off; the field is the PRCB's CurrentThread.
    unsafe { set(processor::current(), PRCB + 8, object) }
}

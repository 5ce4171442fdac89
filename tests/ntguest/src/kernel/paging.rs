//! Our page tables: everything the driver gets has an address of its own that is taken away again.
//!
//! * low addresses: only ntguest's own image, heap and files, where the firmware put them. A driver that
//!   takes a physical address for a pointer therefore faults.
//! * [`DIRECT`]: all RAM and the device window below 4 GiB, for ntguest's own use
//! * the other regions are handed out page by page and never used twice, with unmapped pages between
//!
//! Each processor has tables of its own for the regions in which pages are taken away from one processor and
//! not from the others ([`hide`]): pageable memory at DISPATCH_LEVEL, registers under a spin lock. All other
//! tables are shared. What is unmapped is forgotten by the other processors when they next come by
//! ([`catch_up`]), or at once ([`shoot_down`]).

use core::sync::atomic::{AtomicU64, Ordering};

use super::page_map::PAGE;
use super::processor::{self, MOST};
use super::sync::{self, IrqLock};
use super::{apic, cpu, phys};

/// Physical address 0 in the direct map.
pub const DIRECT: u64 = 0xffff_8000_0000_0000;

/// Page table bits.
pub mod bits {
    /// Present.
    pub const PRESENT: u64 = 1;
    /// Writable.
    pub const WRITE: u64 = 1 << 1;
    /// Write-through.
    pub const WRITE_THROUGH: u64 = 1 << 3;
    /// Not cached.
    pub const NO_CACHE: u64 = 1 << 4;
    /// A 2 MiB page.
    pub const LARGE: u64 = 1 << 7;
    /// Not executable.
    pub const NX: u64 = 1 << 63;
    /// Data: readable, writable, not executable.
    pub const DATA: u64 = PRESENT | WRITE | NX;
    /// Code: readable and executable.
    pub const CODE: u64 = PRESENT;
    /// Device registers.
    pub const DEVICE: u64 = DATA | NO_CACHE | WRITE_THROUGH;
}
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// A part of the address space from which ranges are taken and never given out again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Region {
    /// Memory of ntguest that ends at an unmapped page.
    Guarded,
    /// Thread stacks.
    Stacks,
    /// The driver's pool.
    Pool,
    /// Device memory mapped by the driver.
    Io,
    /// Mappings of MDLs and contiguous memory.
    Maps,
    /// The client's own views of buffers.
    Views,
    /// Import thunks.
    Thunks,
    /// Driver images.
    Images,
}
const REGIONS: [(Region, u64); 8] = [
    (Region::Guarded, 0xffff_8800_0000_0000),
    (Region::Stacks, 0xffff_9000_0000_0000),
    (Region::Pool, 0xffff_a000_0000_0000),
    (Region::Io, 0xffff_b000_0000_0000),
    (Region::Maps, 0xffff_c000_0000_0000),
    (Region::Views, 0xffff_d000_0000_0000),
    (Region::Thunks, 0xffff_e000_0000_0000),
    (Region::Images, 0xffff_f800_1230_0000),
];

/// Regions whose tables each processor has for itself.
const OWN: [Region; 3] = [Region::Pool, Region::Io, Region::Images];

struct Space {
    /// The top table of each processor; the first `count` are there.
    roots: [u64; MOST],
    count: usize,
    direct: u64,
    next: [u64; REGIONS.len()],
}

static SPACE: IrqLock<Space> =
    IrqLock::new(Space { roots: [0; MOST], count: 1, direct: 0, next: [0; REGIONS.len()] });

/// Where physical address `pa` (RAM, or the device window below 4 GiB) is readable and writable for us.
pub fn phys_ptr(pa: u64) -> *mut u8 {
    // Single word, set once: reading it without the lock is fine, and the lock's owner comes here.
    // SAFETY: `direct` is written only in `activate`, before any second thread exists.
    (unsafe { DIRECT_BASE } + pa) as *mut u8
}
/// 0 while the firmware's identity map is still in use.
static mut DIRECT_BASE: u64 = 0;

fn entry(table: u64, index: u64) -> *mut u64 {
    phys_ptr(table + index * 8).cast()
}

/// The page table entry of `va`; tables on the way are made when `create`.
fn walk(root: u64, va: u64, create: bool) -> Option<*mut u64> {
    let mut table = root;
    for shift in [39, 30, 21] {
        let slot = entry(table, va >> shift & 511);
        // SAFETY: `slot` lies in a page table of ours.
        let mut value = unsafe { *slot };
        if value & bits::PRESENT == 0 {
            if !create {
                return None;
            }
            value = phys::alloc_kernel() | bits::PRESENT | bits::WRITE;
            // SAFETY: see above.
            unsafe { *slot = value };
        }
        if value & bits::LARGE != 0 {
            return None;
        }
        table = value & ADDRESS;
    }
    Some(entry(table, va >> 12 & 511))
}

/// Begins the new tables: direct map of `top` bytes (at least 4 GiB). Runs on the firmware's tables.
pub fn build(top: u64) {
    let root = phys::alloc_kernel();
    let mut pa = 0;
    while pa < top.max(1 << 32) {
        let va = DIRECT + pa;
        let mut table = root;
        for shift in [39, 30] {
            let slot = entry(table, va >> shift & 511);
            // SAFETY: `slot` lies in a page table of ours.
            unsafe {
                if *slot & bits::PRESENT == 0 {
                    *slot = phys::alloc_kernel() | bits::PRESENT | bits::WRITE;
                }
                table = *slot & ADDRESS;
            }
        }
        // SAFETY: see above.
        unsafe { *entry(table, va >> 21 & 511) = pa | bits::DATA | bits::LARGE };
        pa += 2 << 20;
    }
    let mut space = SPACE.lock();
    space.roots[0] = root;
    for (slot, (_, base)) in space.next.iter_mut().zip(REGIONS) {
        *slot = base;
    }
}

/// Address of the first processor's top page table, for CR3.
pub fn root() -> u64 {
    SPACE.lock().roots[0]
}

/// The same of processor `number`.
pub fn root_of(number: usize) -> u64 {
    SPACE.lock().roots[number]
}

/// Makes the top page table of processor `number`, the next one. Before anything is mapped in the regions
/// that each has for itself.
pub fn add_processor(number: usize) -> u64 {
    let mut space = SPACE.lock();
    let first = space.roots[0];
    let own = |(region, _): &&(Region, u64)| OWN.contains(region);
    // What is shared is shared from the top: its tables must be there before they are copied.
    for (_, base) in REGIONS.iter().filter(|region| !own(region)) {
        walk(first, *base, true);
    }
    let root = phys::alloc_kernel();
    for index in 0..512 {
        let private = REGIONS.iter().filter(own).any(|(_, base)| base >> 39 & 511 == index);
        // SAFETY: both slots lie in page tables of ours.
        unsafe {
            let value = *entry(first, index);
            assert!(
                !private || value & bits::PRESENT == 0,
                "processors are started before a driver is there"
            );
            *entry(root, index) = value;
        }
    }
    space.roots[number] = root;
    space.count = number + 1;
    root
}

/// Says that the new tables are in use.
///
/// # Safety
/// CR3 holds [`root`].
pub unsafe fn activated() {
    // SAFETY: no other processor yet, interrupts off, no other thread.
    unsafe { DIRECT_BASE = DIRECT };
    SPACE.lock().direct = DIRECT;
}

/// Pages that were unmapped lately, for the other processors.
const REMEMBERED: u64 = 256;
static UNMAPPED: [AtomicU64; REMEMBERED as usize] = [const { AtomicU64::new(0) }; REMEMBERED as usize];
/// How many there were ever, and how many of them each processor has forgotten.
static GENERATION: AtomicU64 = AtomicU64::new(0);
static SEEN: [AtomicU64; MOST] = [const { AtomicU64::new(0) }; MOST];

/// Forgets the translation of one page, here and, when they come by, on the other processors. Under the lock.
fn forget(va: u64) {
    cpu::invlpg(va);
    let generation = GENERATION.load(Ordering::Relaxed);
    UNMAPPED[(generation % REMEMBERED) as usize].store(va, Ordering::Relaxed);
    GENERATION.store(generation + 1, Ordering::Release);
}

/// Forgets what other processors have unmapped.
pub fn catch_up() {
    if processor::count() == 1 {
        return;
    }
    let were_on = cpu::interrupts_off();
    let seen = &SEEN[processor::current()];
    if GENERATION.load(Ordering::Acquire) != seen.load(Ordering::Relaxed) {
        sync::exclusive(|| {
            let (from, to) = (seen.load(Ordering::Relaxed), GENERATION.load(Ordering::Relaxed));
            if to - from > REMEMBERED {
                cpu::flush_translations();
            } else {
                let page = |i: u64| UNMAPPED[(i % REMEMBERED) as usize].load(Ordering::Relaxed);
                (from..to).for_each(|i| cpu::invlpg(page(i)));
            }
            seen.store(to, Ordering::Release);
        });
    }
    cpu::interrupts_restore(were_on);
}

/// Interrupts the other processors and waits until they have forgotten what is unmapped by now, as Windows
/// does when memory is freed. Where waiting could be for ever (under ntguest's lock) they are not waited for.
pub fn shoot_down() {
    let generation = GENERATION.load(Ordering::Acquire);
    let old = cpu::read_cr8();
    // Nobody moves: this processor is not waited for.
    cpu::write_cr8(old.max(super::irql::DISPATCH));
    catch_up();
    let behind = |number: &usize| SEEN[*number].load(Ordering::Acquire) < generation;
    let me = processor::current();
    for number in (0..processor::count()).filter(|number| *number != me).filter(behind) {
        apic::interrupt_processor(number);
        while behind(&number) && cpu::interrupts_on() && !sync::is_mine() {
            core::hint::spin_loop();
        }
    }
    cpu::write_cr8(old);
}

/// Writes the entry of one page for every processor.
fn set_all(space: &Space, va: u64, value: u64) {
    for root in &space.roots[..space.count] {
        let slot = walk(*root, va, true).expect("no large page is ever split");
        // SAFETY: `slot` lies in a page table of ours.
        unsafe { *slot = value };
    }
    forget(va);
}

/// Maps one page. Replaces what was there.
pub fn map(va: u64, pa: u64, flags: u64) {
    set_all(&SPACE.lock(), va, pa & ADDRESS | flags);
}

/// Takes one page away from every processor; returns what was mapped on one of them.
pub fn unmap(va: u64) -> Option<u64> {
    let space = SPACE.lock();
    let mut old = None;
    for root in &space.roots[..space.count] {
        let Some(slot) = walk(*root, va, false) else { continue };
        // SAFETY: `slot` lies in a page table of ours.
        let value = unsafe { slot.replace(0) };
        old = old.or((value & bits::PRESENT != 0).then_some(value & ADDRESS));
    }
    forget(va);
    old
}

/// Takes a page of a region that each processor has for itself away from processor `number` alone.
pub fn hide(number: usize, va: u64) {
    set_one(number, va, 0);
}

/// Gives it back.
pub fn show(number: usize, va: u64, pa: u64, flags: u64) {
    set_one(number, va, pa & ADDRESS | flags);
}

fn set_one(number: usize, va: u64, value: u64) {
    let space = SPACE.lock();
    debug_assert!(region_of(va).is_some_and(|region| OWN.contains(&region)));
    if let Some(slot) = walk(space.roots[number], va, true) {
        // SAFETY: `slot` lies in a page table of ours.
        unsafe { *slot = value };
    }
    if number == processor::current() {
        cpu::invlpg(va);
    } else {
        forget(va);
    }
}

/// Physical address behind `va` in the regions that are mapped page by page.
pub fn physical(va: u64) -> Option<u64> {
    let space = SPACE.lock();
    // SAFETY: the entry lies in a page table of ours.
    let value = unsafe { *walk(space.roots[processor::current()], va, false)? };
    (value & bits::PRESENT != 0).then_some((value & ADDRESS) + va % PAGE)
}

/// A fresh range of `pages` pages, with an unmapped page before it and one behind it.
pub fn reserve(region: Region, pages: u64) -> u64 {
    let mut space = SPACE.lock();
    let slot = &mut space.next[region as usize];
    let va = *slot + PAGE;
    *slot = va + pages * PAGE;
    va
}

/// The region an address lies in, if any of them.
pub fn region_of(va: u64) -> Option<Region> {
    REGIONS.iter().rev().find(|(_, base)| va >= *base && va < *base + (1 << 44)).map(|(r, _)| *r)
}

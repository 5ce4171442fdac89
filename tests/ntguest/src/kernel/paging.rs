//! Our page tables: everything the driver gets has an address of its own that is taken away again.
//!
//! * low addresses: only ntguest's own image, heap and files, where the firmware put them. A driver that
//!   takes a physical address for a pointer therefore faults.
//! * [`DIRECT`]: all RAM and the device window below 4 GiB, for ntguest's own use
//! * the other regions are handed out page by page and never used twice, with unmapped pages between

use super::cpu;
use super::page_map::PAGE;
use super::phys;
use super::sync::IrqLock;

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

struct Space {
    root: u64,
    direct: u64,
    next: [u64; REGIONS.len()],
}

static SPACE: IrqLock<Space> = IrqLock::new(Space { root: 0, direct: 0, next: [0; REGIONS.len()] });

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
    space.root = root;
    for (slot, (_, base)) in space.next.iter_mut().zip(REGIONS) {
        *slot = base;
    }
}

/// Address of the top page table, for CR3.
pub fn root() -> u64 {
    SPACE.lock().root
}

/// Says that the new tables are in use.
///
/// # Safety
/// CR3 holds [`root`].
pub unsafe fn activated() {
    // SAFETY: one processor, interrupts off, no other thread yet.
    unsafe { DIRECT_BASE = DIRECT };
    SPACE.lock().direct = DIRECT;
}

/// Maps one page. Replaces what was there.
pub fn map(va: u64, pa: u64, flags: u64) {
    let space = SPACE.lock();
    let slot = walk(space.root, va, true).expect("no large page is ever split");
    // SAFETY: `slot` lies in a page table of ours.
    unsafe { *slot = pa & ADDRESS | flags };
    cpu::invlpg(va);
}

/// Takes one page away; returns what was mapped.
pub fn unmap(va: u64) -> Option<u64> {
    let space = SPACE.lock();
    let slot = walk(space.root, va, false)?;
    // SAFETY: `slot` lies in a page table of ours.
    let old = unsafe { *slot };
    // SAFETY: see above.
    unsafe { *slot = 0 };
    cpu::invlpg(va);
    (old & bits::PRESENT != 0).then_some(old & ADDRESS)
}

/// Physical address behind `va` in the regions that are mapped page by page.
pub fn physical(va: u64) -> Option<u64> {
    let space = SPACE.lock();
    // SAFETY: the entry lies in a page table of ours.
    let value = unsafe { *walk(space.root, va, false)? };
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

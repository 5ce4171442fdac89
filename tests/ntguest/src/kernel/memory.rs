//! Memory services of `Mm*`: device memory inside the card's BARs, and contiguous memory.

use alloc::vec::Vec;
use core::ptr::null_mut;

use super::page_map::{Owner, PAGE};
use super::paging::{self, Region, bits};
use super::sync::IrqLock;
use super::{caller, cards, dma, inject, lock_watch, phys, violation};

/// PAGE_READONLY.
const PAGE_READONLY: u32 = 0x02;
/// PAGE_READWRITE.
const PAGE_READWRITE: u32 = 0x04;
/// PAGE_NOCACHE.
const PAGE_NOCACHE: u32 = 0x200;
/// PAGE_WRITECOMBINE.
const PAGE_WRITECOMBINE: u32 = 0x400;

struct IoMap {
    va: u64,
    pa: u64,
    bytes: u64,
    flags: u64,
    /// Whose BAR it is.
    card: usize,
}
static IO_MAPS: IrqLock<Vec<IoMap>> = IrqLock::new(Vec::new());

struct Contiguous {
    va: u64,
    bytes: usize,
    pages: Vec<u64>,
}
static CONTIGUOUS: IrqLock<Vec<Contiguous>> = IrqLock::new(Vec::new());

/// Maps part of a BAR; null when it is none.
fn map_io(service: &str, pa: u64, bytes: usize, flags: u64) -> *mut u8 {
    let card = cards::with_memory_at(pa, bytes as u64).filter(|_| bytes > 0);
    let Some(card) = card else {
        violation(
            "mmio-outside-bar",
            format_args!("{service}({pa:#x}, {bytes:#x}) is not inside a BAR of the card, {}", caller()),
        );
        return null_mut();
    };
    if inject::MAP_IO.fails().is_some() {
        return null_mut();
    }
    let mut maps = IO_MAPS.lock();
    if maps.iter().any(|m| pa < m.pa + m.bytes && m.pa < pa + bytes as u64 && m.flags != flags) {
        drop(maps);
        violation(
            "mmio-cache-type",
            format_args!("{service}({pa:#x}): mapped with another cache type already, {}", caller()),
        );
        return null_mut();
    }
    let first = pa & !(PAGE - 1);
    let pages = (pa + bytes as u64 - first).div_ceil(PAGE);
    let va = paging::reserve(Region::Io, pages);
    let registers = card.bars.iter().find(|b| b.index == 0 && !b.is_io);
    for page in 0..pages {
        let at = first + page * PAGE;
        paging::map(va + page * PAGE, at, flags);
        let is_register = registers.is_some_and(|bar| at >= bar.base && at < bar.base + bar.len);
        lock_watch::add(va + page * PAGE, at, flags, is_register, card.number);
    }
    let va = va + pa % PAGE;
    maps.push(IoMap { va, pa, bytes: bytes as u64, flags, card: card.number });
    va as *mut u8
}

/// MmMapIoSpace(physical, bytes, cache type)
pub extern "win64" fn map_io_space(pa: u64, bytes: usize, cache: u32) -> *mut u8 {
    let flags = if cache == 1 { bits::DATA } else { bits::DEVICE };
    map_io("MmMapIoSpace", pa, bytes, flags)
}

/// MmMapIoSpaceEx(physical, bytes, protection)
pub extern "win64" fn map_io_space_ex(pa: u64, bytes: usize, protect: u32) -> *mut u8 {
    let known = protect & !(PAGE_NOCACHE | PAGE_WRITECOMBINE);
    if known != PAGE_READONLY && known != PAGE_READWRITE
        || protect & (PAGE_NOCACHE | PAGE_WRITECOMBINE) == PAGE_NOCACHE | PAGE_WRITECOMBINE
    {
        violation(
            "mmio-protection",
            format_args!("MmMapIoSpaceEx with protection {protect:#x}, {}", caller()),
        );
        return null_mut();
    }
    let mut flags = if protect & (PAGE_NOCACHE | PAGE_WRITECOMBINE) == 0 { bits::DATA } else { bits::DEVICE };
    if known == PAGE_READONLY {
        flags &= !bits::WRITE;
    }
    map_io("MmMapIoSpaceEx", pa, bytes, flags)
}

/// MmUnmapIoSpace(address, bytes)
pub extern "win64" fn unmap_io_space(va: *mut u8, bytes: usize) {
    let mut maps = IO_MAPS.lock();
    let Some(at) = maps.iter().position(|m| m.va == va as u64) else {
        drop(maps);
        violation(
            "mmio-unmap-mismatch",
            format_args!("MmUnmapIoSpace({va:p}) was never mapped, {}", caller()),
        );
        return;
    };
    let map = maps.swap_remove(at);
    drop(maps);
    if map.bytes != bytes as u64 {
        violation(
            "mmio-unmap-mismatch",
            format_args!("mapped {:#x} bytes, unmapped {bytes:#x}, {}", map.bytes, caller()),
        );
    }
    let first = map.va & !(PAGE - 1);
    for page in 0..(map.va + map.bytes - first).div_ceil(PAGE) {
        lock_watch::remove(first + page * PAGE);
        paging::unmap(first + page * PAGE);
    }
    paging::shoot_down();
}

/// How many mappings of a card's memory the driver has.
pub fn io_mappings_of(card: usize) -> usize {
    IO_MAPS.lock().iter().filter(|map| map.card == card).count()
}

/// Physical address and page table bits of what the driver has mapped at `va`.
pub fn device_page(va: u64) -> Option<(u64, u64)> {
    let maps = IO_MAPS.lock();
    let map = maps.iter().find(|m| va >= m.va && va < m.va + m.bytes)?;
    Some((map.pa + (va - map.va), map.flags))
}

/// Contiguous memory in `low..=high` that does not cross a multiple of `boundary` (0 = any).
fn allocate(bytes: usize, low: u64, high: u64, boundary: u64) -> *mut u8 {
    let count = bytes.div_ceil(PAGE as usize);
    if inject::CONTIGUOUS.fails().is_some() {
        return null_mut();
    }
    let mut wrong = Vec::new();
    let mut found = None;
    // Places are random: a few tries are enough for a boundary of any sensible size.
    for _ in 0..64 {
        let Some(base) = phys::alloc_run(low, high, count, Owner::Contiguous) else { break };
        if boundary == 0 || base / boundary == (base + (bytes as u64).max(1) - 1) / boundary {
            found = Some(base);
            break;
        }
        wrong.push(base);
    }
    for base in wrong {
        (0..count as u64).for_each(|i| phys::free(base + i * PAGE, Owner::Contiguous));
    }
    let Some(base) = found else { return null_mut() };
    let pages: Vec<u64> = (0..count as u64).map(|i| base + i * PAGE).collect();
    let va = paging::reserve(Region::Maps, count as u64);
    for (i, pa) in pages.iter().enumerate() {
        // Contents are not promised: a driver that counts on zeroes shall see.
        phys::fill(*pa, 0xcd);
        paging::map(va + i as u64 * PAGE, *pa, bits::DATA);
    }
    dma::given(&pages);
    CONTIGUOUS.lock().push(Contiguous { va, bytes, pages });
    va as *mut u8
}

/// MmAllocateContiguousMemory(bytes, highest)
pub extern "win64" fn allocate_contiguous(bytes: usize, high: u64) -> *mut u8 {
    allocate(bytes, 0, high, 0)
}
/// MmAllocateContiguousMemorySpecifyCache(bytes, lowest, highest, boundary, cache type)
pub extern "win64" fn allocate_contiguous_cache(
    bytes: usize,
    low: u64,
    high: u64,
    boundary: u64,
    _cache: u32,
) -> *mut u8 {
    allocate(bytes, low, high, boundary)
}
/// MmAllocateContiguousNodeMemory(bytes, lowest, highest, boundary, protection, node)
pub extern "win64" fn allocate_contiguous_node(
    bytes: usize,
    low: u64,
    high: u64,
    boundary: u64,
    _protect: u32,
    _node: u32,
) -> *mut u8 {
    allocate(bytes, low, high, boundary)
}

/// MmFreeContiguousMemory(address)
pub extern "win64" fn free_contiguous(va: *mut u8) {
    free_contiguous_cache(va, usize::MAX, 0);
}
/// MmFreeContiguousMemorySpecifyCache(address, bytes, cache type)
pub extern "win64" fn free_contiguous_cache(va: *mut u8, bytes: usize, _cache: u32) {
    let mut list = CONTIGUOUS.lock();
    let Some(at) = list.iter().position(|c| c.va == va as u64) else {
        drop(list);
        violation("contiguous-unknown-free", format_args!("{va:p} is no contiguous memory, {}", caller()));
        return;
    };
    let memory = list.swap_remove(at);
    drop(list);
    if bytes != usize::MAX && bytes != memory.bytes {
        violation(
            "contiguous-size",
            format_args!("allocated {} bytes, freed {bytes}, {}", memory.bytes, caller()),
        );
    }
    for i in 0..memory.pages.len() as u64 {
        paging::unmap(memory.va + i * PAGE);
    }
    paging::shoot_down();
    dma::taken(&memory.pages);
    for pa in &memory.pages {
        phys::free(*pa, Owner::Contiguous);
    }
}

/// MmGetPhysicalAddress(address) -> PHYSICAL_ADDRESS
pub extern "win64" fn physical_address(va: *mut u8) -> u64 {
    paging::physical(va as u64).unwrap_or_else(|| {
        violation(
            "physical-address",
            format_args!("MmGetPhysicalAddress({va:p}): nothing is mapped there, {}", caller()),
        );
        0
    })
}

/// Ranges of device memory that are mapped, and pieces of contiguous memory that are allocated.
pub fn held() -> (usize, usize) {
    (IO_MAPS.lock().len(), CONTIGUOUS.lock().len())
}

/// Reports what the driver left behind.
pub fn report_leaks() {
    for map in IO_MAPS.lock().drain(..).collect::<Vec<_>>() {
        violation(
            "mmio-leak",
            format_args!("{:#x} bytes of device memory at {:#x} are still mapped", map.bytes, map.pa),
        );
    }
    for memory in CONTIGUOUS.lock().drain(..).collect::<Vec<_>>() {
        violation(
            "contiguous-leak",
            format_args!("{} bytes of contiguous memory at {:#x}", memory.bytes, memory.va),
        );
    }
}

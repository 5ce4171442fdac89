//! Physical memory: the machine's one page map, and bytes of pages reached through the direct map.

use alloc::vec::Vec;

use super::page_map::{Owner, PAGE, PageMap};
use super::paging;
use super::sync::IrqLock;

static MAP: IrqLock<Option<PageMap>> = IrqLock::new(None);

/// What a freed page is filled with.
const POISON: u8 = 0xdd;

/// Installs the page map.
pub fn init(map: PageMap) {
    *MAP.lock() = Some(map);
}

fn with<R>(f: impl FnOnce(&mut PageMap) -> R) -> R {
    f(MAP.lock().as_mut().expect("physical memory is set up first"))
}

/// Adds RAM that has become free.
pub fn add_free(start: u64, end: u64) {
    with(|m| m.add_free(start, end));
}

/// Free bytes.
pub fn free_bytes() -> u64 {
    with(|m| m.free_pages() as u64 * PAGE)
}

/// Free bytes above 4 GiB.
pub fn free_above_4g() -> u64 {
    with(|m| m.free_above(1 << 32))
}

/// Fills a page.
pub fn fill(pa: u64, byte: u8) {
    // SAFETY: `pa` is a RAM page, which the direct map covers.
    unsafe { core::ptr::write_bytes(paging::phys_ptr(pa), byte, PAGE as usize) }
}

/// One zeroed page for ntguest itself.
pub fn alloc_kernel() -> u64 {
    let pa = with(|m| m.alloc_top(Owner::Kernel))
        .unwrap_or_else(|| super::fatal("out-of-memory", format_args!("no page left for ntguest itself")));
    fill(pa, 0);
    pa
}

/// One page of pool, filled by the caller.
pub fn alloc_pool() -> Option<u64> {
    with(|m| m.alloc_top(Owner::Pool))
}

/// See [`PageMap::alloc_shuffled`]; zero-filled.
pub fn alloc_shuffled(low: u64, high: u64, count: usize, owner: Owner) -> Vec<u64> {
    let pages = with(|m| m.alloc_shuffled(low, high, count, owner));
    for pa in &pages {
        fill(*pa, 0);
    }
    pages
}

/// See [`PageMap::alloc_run`]; zero-filled.
pub fn alloc_run(low: u64, high: u64, count: usize, owner: Owner) -> Option<u64> {
    let base = with(|m| m.alloc_run(low, high, count, owner))?;
    (0..count as u64).for_each(|i| fill(base + i * PAGE, 0));
    Some(base)
}

/// Poisons a page and gives it back.
pub fn free(pa: u64, owner: Owner) {
    fill(pa, POISON);
    assert!(with(|m| m.free(pa, owner)), "page {pa:#x} is freed twice by ntguest itself");
}

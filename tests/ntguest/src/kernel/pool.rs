//! The driver's pool: every block ends at an unmapped page and is unmapped when it is freed, as with
//! Driver Verifier's special pool, so that overruns and uses after free fault where they happen.
//!
//! Blocks below a page end at the page's end (16-byte aligned, as on x64 Windows); the bytes around them
//! hold a pattern that is checked at free. Blocks of a page or more begin at a page.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use super::page_map::{Owner, PAGE};
use super::paging::{self, Region, bits};
use super::sync::IrqLock;
use super::{caller, dpc, image, irql, lock_order, paged, phys, timer, violation, wait};

/// Contents of a block nobody asked to be zeroed.
const FRESH: u8 = super::stale::POOL;
/// What surrounds a block.
const GUARD: u8 = 0xf9;
/// Freed blocks that are remembered for the fault report.
const REMEMBERED: usize = 4096;

struct Block {
    bytes: usize,
    tag: u32,
    by: usize,
    base: u64,
    pages: u64,
    paged: bool,
}

struct Pool {
    live: BTreeMap<usize, Block>,
    freed: VecDeque<(usize, usize, u32)>,
}

static POOL: IrqLock<Pool> = IrqLock::new(Pool { live: BTreeMap::new(), freed: VecDeque::new() });

/// A pool tag as its four letters.
pub struct Tag(pub u32);
impl core::fmt::Display for Tag {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.to_le_bytes().iter().try_for_each(|b| {
            let c = if b.is_ascii_graphic() || *b == b' ' { *b as char } else { '.' };
            write!(f, "{c}")
        })
    }
}

/// Where a block of `bytes` lies: (pages, offset of the block in them).
fn layout_of(bytes: usize) -> (u64, usize) {
    let page = PAGE as usize;
    let pages = bytes.div_ceil(page).max(1);
    if bytes >= page { (pages as u64, 0) } else { (1, page - bytes.max(1).next_multiple_of(16)) }
}

/// Allocates; `None` when memory is out. IRQL and arguments are the caller's business.
pub fn allocate(bytes: usize, tag: u32, zeroed: bool, paged: bool) -> Option<*mut u8> {
    let (pages, offset) = layout_of(bytes);
    let base = paging::reserve(Region::Pool, pages);
    for page in 0..pages {
        let Some(pa) = phys::alloc_pool() else {
            for done in 0..page {
                if let Some(pa) = paging::unmap(base + done * PAGE) {
                    phys::free(pa, Owner::Pool);
                }
            }
            return None;
        };
        phys::fill(pa, GUARD);
        paging::map(base + page * PAGE, pa, bits::DATA);
        if paged {
            paged::add(base + page * PAGE, pa, bits::DATA);
        }
    }
    let start = base as usize + offset;
    // SAFETY: the pages were just mapped and hold at least `offset + bytes` bytes.
    unsafe { core::ptr::write_bytes(start as *mut u8, if zeroed { 0 } else { FRESH }, bytes) };
    let block = Block { bytes, tag, by: image::last_call().0, base, pages, paged };
    POOL.lock().live.insert(start, block);
    Some(start as *mut u8)
}

/// First byte of `range` that is not the guard pattern.
fn spoiled(range: core::ops::Range<usize>) -> Option<usize> {
    // SAFETY: the range lies in the block's own pages, still mapped.
    range.into_iter().find(|at| unsafe { (*at as *const u8).read_volatile() } != GUARD)
}

/// Frees; `tag` 0 = any.
pub fn free(start: usize, tag: u32) {
    let Some(block) = POOL.lock().live.remove(&start) else {
        let pool = POOL.lock();
        let before = pool.freed.iter().find(|(s, _, _)| *s == start).map(|(_, n, t)| (*n, *t));
        drop(pool);
        match before {
            Some((bytes, tag)) => {
                violation(
                    "pool-double-free",
                    format_args!(
                        "{start:#x} (tag {}, {bytes} bytes) was freed before, {}",
                        Tag(tag),
                        caller()
                    ),
                );
            }
            None => violation("pool-unknown-free", format_args!("{start:#x} is no pool block, {}", caller())),
        }
        return;
    };
    if tag != 0 && tag != block.tag {
        violation(
            "pool-tag",
            format_args!("block of tag {} freed with tag {}, {}", Tag(block.tag), Tag(tag), caller()),
        );
    }
    let end = start + block.bytes;
    irql::require("freeing pool", if block.paged { irql::APC } else { irql::DISPATCH });
    if let Some(at) = spoiled(end..(block.base + block.pages * PAGE) as usize) {
        violation(
            "pool-overrun",
            format_args!(
                "byte {} behind a block of {} bytes (tag {}) was written, {}",
                at - end,
                block.bytes,
                Tag(block.tag),
                caller()
            ),
        );
    }
    if let Some(at) = spoiled(block.base as usize..start) {
        violation(
            "pool-underrun",
            format_args!(
                "byte {} before a block of {} bytes (tag {}) was written, {}",
                start - at,
                block.bytes,
                Tag(block.tag),
                caller()
            ),
        );
    }
    live_objects(start, end, &block);
    lock_order::forget(start, end);
    paged::remove(block.base, block.base + block.pages * PAGE);
    let pages: Vec<u64> = (0..block.pages).filter_map(|i| paging::unmap(block.base + i * PAGE)).collect();
    // No processor reaches a page that somebody else may have next.
    paging::shoot_down();
    for pa in pages {
        phys::free(pa, Owner::Pool);
    }
    let mut pool = POOL.lock();
    if pool.freed.len() == REMEMBERED {
        pool.freed.pop_front();
    }
    pool.freed.push_back((start, block.bytes, block.tag));
}

/// Nothing the kernel still holds on to may be freed.
fn live_objects(start: usize, end: usize, block: &Block) {
    let what = if let Some(dpc) = dpc::queued_within(start, end) {
        dpc::remove(dpc as *mut _);
        "a queued DPC"
    } else if let Some(set) = timer::set_within(start, end) {
        timer::cancel(set as *mut _);
        "a timer that is set"
    } else if wait::waited_on_within(start, end) {
        "an object that is waited on"
    } else {
        return;
    };
    violation(
        "pool-free-live-object",
        format_args!("block of tag {} holds {what}, {}", Tag(block.tag), caller()),
    );
}

/// The rule a fault at `va` in the pool region breaks.
pub fn fault_rule(va: usize) -> &'static str {
    let pool = POOL.lock();
    if let Some((start, bytes, tag)) =
        pool.freed.iter().find(|(s, n, _)| (*s..*s + (*n).max(1)).contains(&va) || (va >> 12 == *s >> 12))
    {
        crate::kprintln!("{va:#x} lies in a freed block: {start:#x}, {bytes} bytes, tag {}", Tag(*tag));
        return "use-after-free";
    }
    if let Some((start, block)) = pool.live.range(..=va).next_back()
        && va < start + block.bytes.next_multiple_of(PAGE as usize) + 2 * PAGE as usize
    {
        crate::kprintln!(
            "{va:#x} lies {} bytes into a block of {} bytes, tag {}",
            va - start,
            block.bytes,
            Tag(block.tag)
        );
        return if block.paged && va < start + block.bytes { "paged-pool" } else { "pool-overrun" };
    }
    "pool-wild"
}

/// What the driver holds: blocks and their bytes.
pub fn held() -> (usize, usize) {
    let pool = POOL.lock();
    (pool.live.len(), pool.live.values().map(|block| block.bytes).sum())
}

/// Blocks the driver has not freed.
pub fn report_leaks() {
    let leaks: Vec<(usize, usize, u32, usize)> =
        POOL.lock().live.iter().map(|(s, b)| (*s, b.bytes, b.tag, b.by)).collect();
    for (start, bytes, tag, by) in leaks {
        violation(
            "pool-leak",
            format_args!(
                "{bytes} bytes at {start:#x}, tag {}, allocated by {}",
                Tag(tag),
                image::describe(by)
            ),
        );
    }
}

/// Memory of ntguest's own that ends at an unmapped page: to give a driver structures it must not read
/// past. Zeroed; unmapped when dropped.
pub struct Guarded {
    base: u64,
    pages: u64,
    start: usize,
}

impl Guarded {
    /// `bytes` bytes whose end is the end of a page.
    pub fn new(bytes: usize) -> Self {
        let pages = (bytes as u64).div_ceil(PAGE).max(1);
        let base = paging::reserve(Region::Guarded, pages);
        for page in 0..pages {
            paging::map(base + page * PAGE, phys::alloc_kernel(), bits::DATA);
        }
        Self { base, pages, start: (base + pages * PAGE) as usize - bytes }
    }

    /// Its first byte.
    pub fn as_mut_ptr(&self) -> *mut u8 {
        self.start as *mut u8
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        for page in 0..self.pages {
            if let Some(pa) = paging::unmap(self.base + page * PAGE) {
                phys::free(pa, Owner::Kernel);
            }
        }
    }
}

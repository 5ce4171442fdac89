//! Physical pages for the driver, described by MDLs: given out in shuffled order, mapped at addresses of
//! their own, and watched until they come back.

use alloc::vec::Vec;
use core::mem::size_of;
use core::ptr::null_mut;

use super::layout::{MDL_MAPPED_TO_SYSTEM_VA, MDL_PAGES_LOCKED, Mdl};
use super::page_map::{Owner, PAGE};
use super::paging::{self, Region, bits};
use super::sync::IrqLock;
use super::{caller, dma, phys, violation};

/// MmNonCached, MmCached, MmWriteCombined.
const CACHE_TYPES: u32 = 3;

struct Entry {
    mdl: usize,
    pages: Vec<u64>,
    bytes: usize,
    owner: &'static str,
    kind: Owner,
    /// Driver's mapping: address and cache type.
    mapped: Option<(u64, u32)>,
    /// The cache type of its first mapping: pages must never be mapped with another one.
    cache: Option<u32>,
    view: Option<u64>,
    live: bool,
}

static ENTRIES: IrqLock<Vec<Entry>> = IrqLock::new(Vec::new());

/// An MDL that was not freed.
pub struct LiveMdl {
    /// The MDL.
    pub mdl: *mut Mdl,
    /// ByteCount.
    pub bytes: usize,
    /// Pages.
    pub pages: usize,
    /// Who asked for it.
    pub owner: &'static str,
    /// Whether the driver's mapping still stands.
    pub mapped: bool,
}

fn new_mdl(pages: Vec<u64>, bytes: usize, owner: &'static str, kind: Owner) -> *mut Mdl {
    // The MDL has a page of its own: a driver that reads past the page numbers reads 0, and a stale
    // pointer to a freed one faults.
    let size = size_of::<Mdl>() + pages.len() * 8;
    let va = paging::reserve(Region::Maps, (size as u64).div_ceil(PAGE));
    for page in 0..(size as u64).div_ceil(PAGE) {
        paging::map(va + page * PAGE, phys::alloc_kernel(), bits::DATA);
    }
    let mdl = va as *mut Mdl;
    // SAFETY: the pages were just mapped and hold `size` bytes.
    unsafe {
        mdl.write(Mdl {
            next: null_mut(),
            size: size.min(i16::MAX as usize) as i16,
            flags: MDL_PAGES_LOCKED,
            process: null_mut(),
            mapped_system_va: null_mut(),
            start_va: null_mut(),
            byte_count: bytes as u32,
            byte_offset: 0,
        });
        for (i, pa) in pages.iter().enumerate() {
            mdl.add(1).cast::<u64>().add(i).write(pa / PAGE);
        }
    }
    dma::given(&pages);
    ENTRIES.lock().push(Entry {
        mdl: mdl as usize,
        pages,
        bytes,
        owner,
        kind,
        mapped: None,
        cache: None,
        view: None,
        live: true,
    });
    mdl
}

/// Pages from `low..=high` in random order, zero-filled; fewer than asked when memory is short, null when
/// there are none. ByteCount says how much it is.
pub fn alloc_pages(low: u64, high: u64, bytes: usize, owner: &'static str) -> *mut Mdl {
    let count = bytes.div_ceil(PAGE as usize);
    if count == 0 || bytes > u32::MAX as usize {
        return null_mut();
    }
    let pages = phys::alloc_shuffled(low, high, count, Owner::Mdl);
    if pages.is_empty() {
        return null_mut();
    }
    let bytes = bytes.min(pages.len() * PAGE as usize);
    new_mdl(pages, bytes, owner, Owner::Mdl)
}

/// Physically contiguous pages from `low..=high`, zero-filled; all or null.
pub fn alloc_contiguous(low: u64, high: u64, bytes: usize, owner: &'static str) -> *mut Mdl {
    let count = bytes.div_ceil(PAGE as usize);
    if count == 0 || bytes > u32::MAX as usize {
        return null_mut();
    }
    let Some(base) = phys::alloc_run(low, high, count, Owner::Contiguous) else { return null_mut() };
    let pages = (0..count as u64).map(|i| base + i * PAGE).collect();
    new_mdl(pages, bytes, owner, Owner::Contiguous)
}

/// Runs `f` on the entry of a live MDL; reports an unknown or freed one.
fn with<R>(service: &str, mdl: *const Mdl, f: impl FnOnce(&mut Entry) -> R) -> Option<R> {
    let mut entries = ENTRIES.lock();
    let at = entries.iter().rposition(|e| e.mdl == mdl as usize);
    match at {
        Some(at) if entries[at].live => Some(f(&mut entries[at])),
        found => {
            drop(entries);
            let rule = if found.is_some() { "mdl-freed" } else { "mdl-unknown" };
            violation(rule, format_args!("{service} with MDL {mdl:p}, {}", caller()));
            None
        }
    }
}

/// Cache bits of a mapping; with one machine type memory stays coherent, the bits are as Windows sets them.
fn flags(cache: u32) -> u64 {
    if cache == 1 { bits::DATA } else { bits::DATA | bits::NO_CACHE }
}

fn map_range(region: Region, pages: &[u64], flags: u64) -> u64 {
    let va = paging::reserve(region, pages.len() as u64);
    for (i, pa) in pages.iter().enumerate() {
        paging::map(va + i as u64 * PAGE, *pa, flags);
    }
    va
}

fn unmap_range(va: u64, pages: usize) {
    for i in 0..pages as u64 {
        paging::unmap(va + i * PAGE);
    }
    paging::shoot_down();
}

/// Maps the pages for the driver; null when it must not be.
pub fn map(mdl: *mut Mdl, cache: u32) -> *mut u8 {
    if cache >= CACHE_TYPES {
        violation("mdl-cache-type", format_args!("cache type {cache} does not exist, {}", caller()));
        return null_mut();
    }
    let Some((pages, mapped, first)) = with("mapping", mdl, |e| (e.pages.clone(), e.mapped, e.cache)) else {
        return null_mut();
    };
    if mapped.is_some() {
        violation("mdl-mapped-twice", format_args!("MDL {mdl:p} is mapped already, {}", caller()));
        return null_mut();
    }
    if first.is_some_and(|first| first != cache) {
        violation(
            "mdl-cache-type",
            format_args!(
                "MDL {mdl:p} was mapped with cache type {first:?} before, now {cache}, {}",
                caller()
            ),
        );
        return null_mut();
    }
    let va = map_range(Region::Maps, &pages, flags(cache));
    with("mapping", mdl, |e| {
        e.mapped = Some((va, cache));
        e.cache = Some(cache);
    });
    // SAFETY: live, checked above.
    unsafe {
        (*mdl).mapped_system_va = va as *mut _;
        (*mdl).flags |= MDL_MAPPED_TO_SYSTEM_VA;
    }
    va as *mut u8
}

/// Takes the driver's mapping away: from now on an access to it is a named fault.
pub fn unmap(base: *mut u8, mdl: *mut Mdl) {
    let Some((count, mapped)) = with("unmapping", mdl, |e| (e.pages.len(), e.mapped)) else { return };
    match mapped {
        Some((va, _)) if va == base as u64 => {
            unmap_range(va, count);
            with("unmapping", mdl, |e| e.mapped = None);
            // SAFETY: live, checked above.
            unsafe {
                (*mdl).mapped_system_va = null_mut();
                (*mdl).flags &= !MDL_MAPPED_TO_SYSTEM_VA;
            }
        }
        other => violation(
            "mdl-unmap-mismatch",
            format_args!(
                "unmapping {base:p} of MDL {mdl:p}, which is mapped at {:#x}, {}",
                other.map_or(0, |m| m.0),
                caller()
            ),
        ),
    }
}

/// Poisons the pages and takes them back, the MDL with them.
pub fn free(mdl: *mut Mdl) {
    let mut entries = ENTRIES.lock();
    let Some(at) = entries.iter().rposition(|e| e.mdl == mdl as usize) else {
        drop(entries);
        violation("mdl-unknown", format_args!("freeing MDL {mdl:p}, {}", caller()));
        return;
    };
    if !entries[at].live {
        drop(entries);
        violation("mdl-double-free", format_args!("MDL {mdl:p} was freed before, {}", caller()));
        return;
    }
    let (pages, mapped, view, kind) = {
        let e = &mut entries[at];
        e.live = false;
        (e.pages.clone(), e.mapped.take(), e.view.take(), e.kind)
    };
    drop(entries);
    if let Some((va, _)) = mapped {
        violation(
            "mdl-freed-while-mapped",
            format_args!("MDL {mdl:p} is still mapped at {va:#x}, {}", caller()),
        );
        unmap_range(va, pages.len());
    }
    if let Some(va) = view {
        unmap_range(va, pages.len());
    }
    dma::taken(&pages);
    for pa in &pages {
        phys::free(*pa, kind);
    }
    let size = (size_of::<Mdl>() + pages.len() * 8) as u64;
    for page in 0..size.div_ceil(PAGE) {
        if let Some(pa) = paging::unmap(mdl as u64 + page * PAGE) {
            phys::free(pa, Owner::Kernel);
        }
    }
    paging::shoot_down();
}

/// Whether this is an MDL that was given out and not yet taken back.
pub fn is_live(mdl: *const Mdl) -> bool {
    ENTRIES.lock().iter().any(|e| e.live && e.mdl == mdl as usize)
}

/// Number of pages; 0 for what is no live MDL.
pub fn page_count(mdl: *const Mdl) -> u32 {
    with("asking for the pages", mdl, |e| e.pages.len() as u32).unwrap_or(0)
}

/// Physical address of page `i`; 0 when there is no such page.
pub fn page_address(mdl: *const Mdl, i: u32) -> u64 {
    let address = with("asking for a page", mdl, |e| e.pages.get(i as usize).copied());
    match address {
        Some(Some(pa)) => pa,
        Some(None) => {
            violation("mdl-page-index", format_args!("page {i} of MDL {mdl:p} does not exist, {}", caller()));
            0
        }
        None => 0,
    }
}

/// ByteCount; 0 for what is no live MDL.
pub fn byte_count(mdl: *const Mdl) -> u32 {
    with("asking for the length", mdl, |e| e.bytes as u32).unwrap_or(0)
}

/// Cache type of the driver's live mapping.
pub fn mapping_cache(mdl: *const Mdl) -> Option<u32> {
    with("asking for the mapping", mdl, |e| e.mapped.map(|m| m.1)).flatten()
}

/// The client's own mapping of the pages, made once.
pub fn user_view(mdl: *mut Mdl) -> *mut u8 {
    let Some((pages, view)) = with("viewing", mdl, |e| (e.pages.clone(), e.view)) else { return null_mut() };
    if let Some(view) = view {
        return view as *mut u8;
    }
    let va = map_range(Region::Views, &pages, bits::DATA);
    with("viewing", mdl, |e| e.view = Some(va));
    va as *mut u8
}

/// MDLs that were not freed.
pub fn live_mdls() -> Vec<LiveMdl> {
    let entries = ENTRIES.lock();
    let live = entries.iter().filter(|e| e.live);
    live.map(|e| LiveMdl {
        mdl: e.mdl as *mut Mdl,
        bytes: e.bytes,
        pages: e.pages.len(),
        owner: e.owner,
        mapped: e.mapped.is_some(),
    })
    .collect()
}

/// The rule a fault at `va` in the mapping regions breaks.
pub fn fault_rule(va: u64) -> &'static str {
    crate::kprintln!("{va:#x} lies in the region of MDLs and their mappings");
    "use-after-unmap"
}

/// Reports what the driver left behind.
pub fn report_leaks() {
    for mdl in live_mdls() {
        violation(
            "mdl-leak",
            format_args!("MDL {:p} of {} pages, {} bytes, from {}", mdl.mdl, mdl.pages, mdl.bytes, mdl.owner),
        );
        if mdl.mapped {
            violation("mapping-leak", format_args!("MDL {:p} is still mapped", mdl.mdl));
        }
    }
    super::memory::report_leaks();
}

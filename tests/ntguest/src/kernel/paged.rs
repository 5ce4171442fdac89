//! Pageable memory: PAGE sections of the driver and its paged pool are taken away while the IRQL is at
//! DISPATCH or above, and given back below it, as Driver Verifier's forced IRQL checking does.

use alloc::vec::Vec;

use super::paging;
use super::sync::IrqLock;

/// (address, physical page, rights).
static PAGES: IrqLock<Vec<(u64, u64, u64)>> = IrqLock::new(Vec::new());

/// Makes a page pageable. At APC or below.
pub fn add(va: u64, pa: u64, rights: u64) {
    PAGES.lock().push((va, pa, rights));
}

/// Pages in `start..end` are pageable no more (they are about to be unmapped).
pub fn remove(start: u64, end: u64) {
    PAGES.lock().retain(|(va, _, _)| !(start..end).contains(va));
}

/// Called whenever the IRQL crosses DISPATCH.
pub fn present(present: bool) {
    for (va, pa, rights) in PAGES.lock().iter() {
        if present {
            paging::map(*va, *pa, *rights);
        } else {
            paging::unmap(*va);
        }
    }
}

//! Pageable memory: PAGE sections of the driver and its paged pool are taken away while the IRQL is at
//! DISPATCH or above, and given back below it, as Driver Verifier's forced IRQL checking does. Each processor
//! has its own view of them.

use alloc::vec::Vec;

use super::sync::IrqLock;
use super::{paging, processor};

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

/// Called whenever the IRQL of this processor crosses DISPATCH, at DISPATCH or above.
pub fn present(present: bool) {
    let pages = PAGES.lock();
    let here = processor::current();
    for (va, pa, rights) in pages.iter() {
        if present {
            paging::show(here, *va, *pa, *rights);
        } else {
            paging::hide(here, *va);
        }
    }
}

//! The page BAR as a strict reader: inside, aligned, only under an odd sequence counter, and never in a mark
//! page.

use std::cell::{Cell, RefCell};

use ringwave_card::env::{MarkWords, Pages};
use ringwave_regs::pages::{mark, status};
use ringwave_regs::{pages, pci};

/// The page BAR.
pub struct Bar {
    bytes: RefCell<Vec<u8>>,
    /// Stores since this was last taken.
    pub stores: Cell<u64>,
}

impl Default for Bar {
    fn default() -> Self {
        Self { bytes: RefCell::new(vec![0; pci::PAGES_BYTES as usize]), stores: Cell::new(0) }
    }
}

impl Bar {
    /// The field at `offset`.
    pub fn u32(&self, offset: u32) -> u32 {
        let at = offset as usize;
        u32::from_le_bytes(self.bytes.borrow()[at..at + 4].try_into().expect("four bytes"))
    }

    /// The field at `offset`.
    pub fn u64(&self, offset: u32) -> u64 {
        let at = offset as usize;
        u64::from_le_bytes(self.bytes.borrow()[at..at + 8].try_into().expect("eight bytes"))
    }

    /// What a guest stores, to harm the card.
    pub fn scribble(&self, offset: u32, value: u8) {
        let at = offset as usize % self.bytes.borrow().len();
        self.bytes.borrow_mut()[at] = value;
    }

    /// What a guest stores.
    pub fn poke(&self, offset: u32, bytes: &[u8]) {
        let at = offset as usize;
        self.bytes.borrow_mut()[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn store(&self, offset: u32, bytes: &[u8]) {
        let length = bytes.len() as u32;
        assert!(offset.is_multiple_of(length) && offset + length <= pci::PAGES_BYTES, "store at {offset:#x}");
        let page = offset / pages::PAGE_BYTES * pages::PAGE_BYTES;
        assert!(page < pages::MARK_BASE, "{offset:#x} is the guest's");
        // WAITING is not under the counter.
        let waiting = page >= pages::STATUS_BASE && offset - page == status::WAITING;
        if page < pages::POSITION_BASE && offset != page && !waiting {
            assert_eq!(self.u32(page) % 2, 1, "{offset:#x} was stored under an even sequence counter");
        }
        let at = offset as usize;
        self.bytes.borrow_mut()[at..at + bytes.len()].copy_from_slice(bytes);
        self.stores.set(self.stores.get() + 1);
    }
}

impl Pages for Bar {
    fn load_mark(&self, stream: u32) -> MarkWords {
        let page = pages::mark_page(stream).expect("a stream");
        MarkWords { mark: self.u64(page + mark::MARK), clock: self.u64(page + mark::MARK_CLOCK) }
    }
    fn store_u32(&self, offset: u32, value: u32) {
        self.store(offset, &value.to_le_bytes());
    }
    fn store_u64(&self, offset: u32, value: u64) {
        self.store(offset, &value.to_le_bytes());
    }
}

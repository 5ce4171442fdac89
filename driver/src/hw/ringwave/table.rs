//! The scatter-gather table as the card wants it, made from the pages the kernel gives.
//!
//! Pure: no memory is touched here, so the host's tests can try every page layout. [`Entries`] turns page addresses into data
//! entries (neighbours merged, the last one cut to the cyclic buffer's length); [`Layout`] puts them into table pages that need
//! not be adjacent, with a link where the next page is elsewhere. DATASHEET section 6.2.

use ringwave_regs::dma::{SLOT_BYTES, Slot};

/// Size of a page of guest memory in bytes.
pub const PAGE_BYTES: u32 = 4096;
/// Slots in a page of the table.
const SLOTS_PER_PAGE: u32 = PAGE_BYTES / SLOT_BYTES;

/// Why a table can't be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableError {
    /// The pages end before the cyclic buffer does.
    PagesShort,
    /// The table's own pages end before its entries do.
    TableShort,
    /// The address of a table page is not a multiple of a slot.
    Misaligned,
}

/// The data entries of a cyclic buffer: an iterator over merged ranges.
pub struct Entries<P> {
    pages: P,
    /// Bytes of the cyclic buffer that no entry covers yet.
    remaining: u32,
    /// The range that may still grow.
    open: Option<Slot>,
    failed: bool,
}

impl<P: Iterator<Item = u64>> Entries<P> {
    /// The entries for `ring_bytes` bytes that start at the first of `pages` (page-aligned physical addresses, in the order of
    /// the MDL).
    pub fn new(pages: P, ring_bytes: u32) -> Self {
        Self { pages, remaining: ring_bytes, open: None, failed: false }
    }
}

impl<P: Iterator<Item = u64>> Iterator for Entries<P> {
    type Item = Result<Slot, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        // Bounded by the number of pages: every turn takes one, or returns.
        while self.remaining > 0 {
            let Some(address) = self.pages.next() else {
                self.failed = true;
                return Some(Err(TableError::PagesShort));
            };
            let length = self.remaining.min(PAGE_BYTES);
            self.remaining = self.remaining.saturating_sub(length);
            match self.open {
                Some(open) if open.address.checked_add(u64::from(open.length)) == Some(address) => {
                    self.open = Some(Slot::data(open.address, open.length.saturating_add(length)));
                }
                Some(complete) => {
                    self.open = Some(Slot::data(address, length));
                    return Some(Ok(complete));
                }
                None => self.open = Some(Slot::data(address, length)),
            }
        }
        self.open.take().map(Ok)
    }
}

/// How many table pages hold `entries` data entries, even if no two of the pages are adjacent: each page but the last gives up
/// one slot for its link. At least 1.
pub const fn table_pages(entries: u32) -> u32 {
    match entries.checked_sub(1) {
        Some(others) if others > 0 => others.div_ceil(SLOTS_PER_PAGE - 1),
        _ => 1,
    }
}

/// Walks the slots of a table page by page and decides where links go.
pub struct Layout<A> {
    page_address: A,
    page: u32,
    slot: u32,
}

impl<A: Fn(u32) -> Option<u64>> Layout<A> {
    /// A table in the pages whose physical addresses `page_address` tells (by index; `None` behind the last one).
    pub fn new(page_address: A) -> Self {
        Self { page_address, page: 0, slot: 0 }
    }

    /// Places every entry. `write(index, slot)` gets the slot's index in the table's virtual mapping, in ascending order.
    /// Returns the number of data entries.
    pub fn place(
        mut self,
        entries: impl Iterator<Item = Result<Slot, TableError>>,
        mut write: impl FnMut(u32, Slot),
    ) -> Result<u32, TableError> {
        let mut entries = entries.peekable();
        let mut count = 0_u32;
        while let Some(entry) = entries.next() {
            let entry = entry?;
            self.check_page()?;
            let more = entries.peek().is_some();
            if more && self.slot == SLOTS_PER_PAGE - 1 {
                self.link_if_elsewhere(&mut write)?;
            }
            write(self.index(), entry);
            self.advance();
            count = count.saturating_add(1);
        }
        Ok(count)
    }

    /// At the last slot of a page with more than one entry to come: a link, unless the next page is the neighbour.
    fn link_if_elsewhere(&mut self, write: &mut impl FnMut(u32, Slot)) -> Result<(), TableError> {
        let here = (self.page_address)(self.page).ok_or(TableError::TableShort)?;
        let next = self.page.checked_add(1).and_then(&self.page_address).ok_or(TableError::TableShort)?;
        if here.checked_add(u64::from(PAGE_BYTES)) == Some(next) {
            return Ok(());
        }
        write(self.index(), Slot::link(next));
        self.advance();
        self.check_page()
    }

    fn check_page(&self) -> Result<(), TableError> {
        let address = (self.page_address)(self.page).ok_or(TableError::TableShort)?;
        if address % u64::from(SLOT_BYTES) == 0 { Ok(()) } else { Err(TableError::Misaligned) }
    }

    const fn index(&self) -> u32 {
        self.page.saturating_mul(SLOTS_PER_PAGE).saturating_add(self.slot)
    }

    const fn advance(&mut self) {
        self.slot += 1;
        if self.slot == SLOTS_PER_PAGE {
            self.slot = 0;
            self.page = self.page.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    /// Reads a table as the DATASHEET tells a card to: follows links, stops after `count` data entries.
    fn walk(memory: &HashMap<u64, Slot>, first: u64, count: u32) -> Vec<Slot> {
        let (mut at, mut data, mut after_link) = (first, Vec::new(), false);
        while data.len() < count as usize {
            let slot = memory[&at];
            if slot.flags & ringwave_regs::dma::SLOT_LINK != 0 {
                assert!(!after_link, "a link leads to a link");
                assert_eq!(slot.length, 0);
                at = slot.address;
                after_link = true;
            } else {
                assert_ne!(slot.length, 0);
                data.push(slot);
                at += 16;
                after_link = false;
            }
        }
        data
    }

    /// Makes the table of a buffer on `pages` in `table`, reads it back, and returns the bytes' addresses in order.
    fn round_trip(pages: &[u64], ring_bytes: u32, table: &[u64]) -> (Vec<Slot>, u32) {
        let mut memory = HashMap::new();
        let count = Layout::new(|i| table.get(i as usize).copied())
            .place(Entries::new(pages.iter().copied(), ring_bytes), |index, slot| {
                let address = table[(index / 256) as usize] + u64::from(index % 256) * 16;
                assert!(memory.insert(address, slot).is_none(), "a slot written twice");
            })
            .unwrap();
        (walk(&memory, table[0], count), count)
    }

    fn expand(entries: &[Slot]) -> Vec<u64> {
        entries.iter().flat_map(|e| (0..u64::from(e.length)).step_by(4).map(|b| e.address + b)).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Whatever the page layout, the entries cover exactly the ring, in order.
        #[test]
        fn covers_exactly_the_ring_in_order(
            pages in prop::collection::vec(0_u64..2000, 1..600),
            cut in 0_u32..1024,
            table_seed in prop::collection::vec(0_u64..64, 4),
        ) {
            let pages: Vec<u64> = pages.iter().map(|p| p * 4096).collect();
            let ring_bytes = u32::try_from(pages.len()).unwrap() * 4096 - cut * 4;
            // Distinct table pages, some adjacent, in any order.
            let table: Vec<u64> = table_seed.iter().enumerate()
                .map(|(i, s)| 0x1_0000_0000 + (s * 8 + i as u64) * 4096).collect();
            let (entries, count) = round_trip(&pages, ring_bytes, &table);
            prop_assert_eq!(entries.len(), count as usize);
            let expected: Vec<u64> = pages.iter().flat_map(|p| (0..4096).step_by(4).map(move |b| p + b))
                .take(ring_bytes as usize / 4).collect();
            prop_assert_eq!(expand(&entries), expected);
            // Merged: no entry ends where the next begins.
            for pair in entries.windows(2) {
                prop_assert_ne!(pair[0].address + u64::from(pair[0].length), pair[1].address);
            }
        }
    }

    /// Page addresses of which no two neighbours in the list are adjacent.
    fn scattered(count: u64) -> Vec<u64> {
        (0..count).map(|i| (1 + 2 * i) * 4096).collect()
    }

    #[test]
    fn a_contiguous_buffer_is_one_entry() {
        let pages: Vec<u64> = (0..16).map(|i| 0x20_0000 + i * 4096).collect();
        assert_eq!(round_trip(&pages, 60_000, &[0x1000]), (vec![Slot::data(0x20_0000, 60_000)], 1));
    }

    #[test]
    fn a_full_page_of_entries_needs_no_link() {
        let (entries, count) = round_trip(&scattered(256), 256 * 4096, &[0x1000]);
        assert_eq!((entries.len(), count), (256, 256));
    }

    #[test]
    fn the_most_entries_of_a_card_fit_the_pages_that_were_computed() {
        for count in [1, 2, 255, 256, 257, 510, 511, 512, 4096] {
            let table: Vec<u64> =
                (0..u64::from(table_pages(count))).map(|i| (100_000 - 2 * i) * 4096).collect();
            let (entries, placed) = round_trip(&scattered(u64::from(count)), count * 4096, &table);
            assert_eq!((entries.len(), placed), (count as usize, count));
        }
        assert_eq!(table_pages(256), 1);
        assert_eq!(table_pages(257), 2);
    }

    #[test]
    fn adjacent_table_pages_are_used_to_the_last_slot() {
        let mut highest = 0;
        Layout::new(|i| Some(0x10_0000 + u64::from(i) * 4096))
            .place(Entries::new(scattered(512).into_iter(), 512 * 4096), |index, slot| {
                assert_eq!(slot.flags, 0);
                highest = index;
            })
            .unwrap();
        assert_eq!(highest, 511);
    }

    #[test]
    fn short_memory_is_told() {
        let place = |pages: Vec<u64>, bytes, table: u32| {
            Layout::new(move |i| (i < table).then_some(u64::from(i) * 8192))
                .place(Entries::new(pages.into_iter(), bytes), |_, _| ())
        };
        assert_eq!(place(scattered(2), 3 * 4096, 1), Err(TableError::PagesShort));
        assert_eq!(place(scattered(300), 300 * 4096, 1), Err(TableError::TableShort));
        assert_eq!(place(scattered(1), 1, 0), Err(TableError::TableShort));
        let misaligned = Layout::new(|_| Some(8)).place(Entries::new([0].into_iter(), 4), |_, _| ());
        assert_eq!(misaligned, Err(TableError::Misaligned));
    }
}

//! How a Ringwave card reaches a cyclic buffer: by its address if it is one piece, else by a scatter-gather
//! table in memory of the driver's own. DATASHEET 6.

use alloc::vec::Vec;

use nt::NtResult;
use nt::contiguous::ContiguousMemory;
use nt::pool::try_push;
use nt::status::STATUS_INSUFFICIENT_RESOURCES;
use ringwave_regs::dma::{SLOT_BYTES, Slot};

use crate::hw::segments::{PAGE_BYTES, PageList, PagesShort, Segment, Segments};

/// Slots in a page of a table.
const SLOTS: u32 = PAGE_BYTES / SLOT_BYTES;
/// Data entries in a page that another one follows: the last slot is the link.
const ENTRIES: u32 = SLOTS - 1;

/// A cyclic buffer as the card reaches it.
pub(super) enum Attached {
    /// In one piece, from this physical address on.
    Contiguous(u64),
    /// By a table.
    ScatterGather(Table),
}

impl Attached {
    /// A buffer of `bytes` bytes on `pages`. `contiguous`: the card takes a buffer in one piece by its
    /// address; otherwise, and if it is in more, it gets a table of at most `entries_max` entries below
    /// `highest`.
    pub(super) fn try_new(
        pages: &dyn PageList,
        bytes: u32,
        contiguous: bool,
        entries_max: u32,
        highest: u64,
    ) -> NtResult<Self> {
        let mut segments = Segments::new(pages, bytes);
        if let (true, Some(Ok(whole))) = (contiguous, segments.next())
            && whole.bytes == bytes
        {
            return Ok(Self::Contiguous(whole.address));
        }
        Table::try_new(pages, bytes, entries_max, highest).map(Self::ScatterGather)
    }
}

/// A scatter-gather table. Its pages are allocated one by one, for one page is to be had when many in one
/// piece are not, and linked.
pub(super) struct Table {
    pages: Vec<ContiguousMemory>,
    entries: u32,
}

impl Table {
    fn try_new(pages: &dyn PageList, bytes: u32, entries_max: u32, highest: u64) -> NtResult<Self> {
        // Counted first: neighbours are merged.
        let mut entries = 0_u32;
        for segment in Segments::new(pages, bytes) {
            segment.map_err(short)?;
            entries = entries.saturating_add(1);
        }
        if entries > entries_max {
            log::error!("{entries} scatter-gather entries, the card takes {entries_max}");
            return Err(STATUS_INSUFFICIENT_RESOURCES);
        }
        let mut table = Self { pages: Vec::new(), entries };
        for _ in 0..table_pages(entries) {
            try_push(&mut table.pages, ContiguousMemory::try_new(PAGE_BYTES as usize, highest)?)?;
        }
        table.link()?;
        for (index, segment) in (0..entries).zip(Segments::new(pages, bytes)) {
            let Segment { address, bytes } = segment.map_err(short)?;
            let page = (index / ENTRIES).min(table_pages(entries) - 1);
            table.put(page, index - page * ENTRIES, Slot::data(address, bytes))?;
        }
        Ok(table)
    }

    /// Puts into the last slot of each page but the last the address of the next.
    fn link(&self) -> NtResult {
        for (page, next) in (0..).zip(self.pages.iter().skip(1)) {
            self.put(page, ENTRIES, Slot::link(next.physical()))?;
        }
        Ok(())
    }

    fn put(&self, page: u32, slot: u32, value: Slot) -> NtResult {
        let memory = self.pages.get(page as usize).ok_or(STATUS_INSUFFICIENT_RESOURCES)?;
        memory.write((slot * SLOT_BYTES) as usize, &value.to_bytes());
        Ok(())
    }

    /// Physical address of the first slot.
    pub(super) fn address(&self) -> u64 {
        self.pages.first().map_or(0, ContiguousMemory::physical)
    }

    /// Data entries.
    pub(super) const fn entries(&self) -> u32 {
        self.entries
    }

    /// Pages of the table itself.
    pub(super) fn page_count(&self) -> usize {
        self.pages.len()
    }
}

fn short(PagesShort: PagesShort) -> nt::NTSTATUS {
    log::error!("the pages end before the cyclic buffer does");
    STATUS_INSUFFICIENT_RESOURCES
}

/// Pages of a table of so many data entries, at least 1.
const fn table_pages(entries: u32) -> u32 {
    match entries.checked_sub(1) {
        Some(others) if others > 0 => others.div_ceil(ENTRIES),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use ringwave_regs::dma::SLOT_LINK;

    use super::*;

    /// Reads a table as the DATASHEET tells a card to: follows links, stops after as many data entries as it
    /// was told of. On a host a physical address is the address.
    fn walk(table: &Table) -> Vec<Slot> {
        let (mut at, mut data, mut after_link) = (table.address(), Vec::new(), false);
        while data.len() < table.entries() as usize {
            let memory: *const [u8; 16] = core::ptr::with_exposed_provenance(usize::try_from(at).unwrap());
            // SAFETY: inside of a page of the table, which is alive.
            let slot = Slot::from_bytes(unsafe { memory.read_volatile() });
            if slot.flags == SLOT_LINK {
                assert!(!after_link, "a link leads to a link");
                assert_eq!(slot.length, 0);
                at = slot.address;
            } else {
                assert_ne!(slot.length, 0);
                data.push(slot);
                at += 16;
            }
            after_link = slot.flags == SLOT_LINK;
        }
        data
    }

    /// Page addresses of which no two neighbours in the list are adjacent.
    fn scattered(count: u32) -> Vec<u64> {
        (0..u64::from(count)).map(|index| (1 + 2 * index) * 4096).collect()
    }

    fn attach(pages: &[u64], bytes: u32, contiguous: bool, entries_max: u32) -> NtResult<Attached> {
        Attached::try_new(&pages, bytes, contiguous, entries_max, u64::MAX >> 1)
    }

    #[test]
    fn a_table_leads_to_every_byte_of_the_buffer_however_long_it_is() {
        for count in [1, 2, 255, 256, 257, 510, 511, 512, 4096] {
            let pages = scattered(count);
            let Ok(Attached::ScatterGather(table)) = attach(&pages, count * PAGE_BYTES - 4, false, 4096)
            else {
                panic!("{count} entries")
            };
            let mut expected: Vec<Slot> = pages.iter().map(|page| Slot::data(*page, PAGE_BYTES)).collect();
            expected.last_mut().unwrap().length -= 4;
            assert_eq!(walk(&table), expected);
            assert_eq!(table.page_count(), table_pages(count) as usize);
        }
        assert_eq!((table_pages(256), table_pages(257), table_pages(511)), (1, 2, 2));
    }

    #[test]
    fn one_piece_needs_no_table_if_the_card_takes_it_so() {
        let pages: Vec<u64> = (0..16).map(|index| 0x20_0000 + index * 4096).collect();
        assert!(matches!(attach(&pages, 60_000, true, 1), Ok(Attached::Contiguous(0x20_0000))));
        let Ok(Attached::ScatterGather(table)) = attach(&pages, 60_000, false, 1) else { panic!() };
        assert_eq!(walk(&table), [Slot::data(0x20_0000, 60_000)]);
    }

    #[test]
    fn more_pieces_than_the_card_takes_are_refused() {
        for gap_before in 1..4 {
            let pages: Vec<u64> =
                (0..4).map(|page| page * 4096 + u64::from(page >= gap_before) * 4096).collect();
            let refused = attach(&pages, 4 * PAGE_BYTES, true, 1).err();
            assert_eq!(
                refused,
                Some(STATUS_INSUFFICIENT_RESOURCES),
                "a card that would be sent over the gap"
            );
            assert!(matches!(attach(&pages, 4 * PAGE_BYTES, true, 2), Ok(Attached::ScatterGather(_))));
        }
        assert_eq!(attach(&[], 4, true, 9).err(), Some(STATUS_INSUFFICIENT_RESOURCES), "no page at all");
    }
}

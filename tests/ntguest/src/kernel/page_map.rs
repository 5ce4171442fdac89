//! Which physical page belongs to whom: one byte a page, and the order in which pages are given out.
//!
//! Pages for MDLs are taken at random places (a small generator with a seed from `ntguest.cfg`), so that
//! a driver that takes its buffer for contiguous is caught at once.

use alloc::vec::Vec;

/// Bytes of a page.
pub const PAGE: u64 = 4096;

/// Up to so many pages are picked one by one.
const FEW: usize = 256;
/// Places that are tried at random before memory is searched in order.
const TRIES: usize = 128;

/// What a physical page is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Owner {
    /// Not RAM, or the firmware's for good.
    Absent = 0,
    /// Free.
    Free = 1,
    /// ntguest itself: image, heap, page tables, stacks, the WAV file.
    Kernel = 2,
    /// Behind an MDL of the driver.
    Mdl = 3,
    /// Contiguous memory of the driver.
    Contiguous = 4,
    /// The driver's pool.
    Pool = 5,
}

/// The physical pages of the machine.
pub struct PageMap {
    owner: &'static mut [u8],
    free: usize,
    state: u64,
    /// No page at or above this one is free: where the search for the topmost free page begins.
    top: usize,
}

impl PageMap {
    /// A map over `owner.len()` pages from address 0, none of them RAM yet. `seed` decides the order.
    pub fn new(owner: &'static mut [u8], seed: u64) -> Self {
        owner.fill(Owner::Absent as u8);
        // A generator of this kind must not start at zero.
        Self { owner, free: 0, state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, top: 0 }
    }

    /// Makes the pages that lie wholly in `start..end` free RAM.
    pub fn add_free(&mut self, start: u64, end: u64) {
        let (first, last) = (start.div_ceil(PAGE) as usize, (end / PAGE) as usize);
        for page in first..last.min(self.owner.len()) {
            if self.owner[page] == Owner::Absent as u8 {
                self.owner[page] = Owner::Free as u8;
                self.free += 1;
                self.top = self.top.max(page + 1);
            }
        }
    }

    /// Free pages.
    pub fn free_pages(&self) -> usize {
        self.free
    }

    /// Free bytes at or above `address`.
    pub fn free_above(&self, address: u64) -> u64 {
        let first = ((address / PAGE) as usize).min(self.owner.len());
        self.owner[first..].iter().map(|o| u64::from(*o == Owner::Free as u8)).sum::<u64>() * PAGE
    }

    /// Whether a page belongs to `owner`.
    pub fn is(&self, pa: u64, owner: Owner) -> bool {
        self.owner.get((pa / PAGE) as usize) == Some(&(owner as u8))
    }

    /// xorshift64*: enough to shuffle, the same everywhere.
    fn random(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// The pages that lie wholly in `low..=high`, as a range of page numbers.
    fn window(&self, low: u64, high: u64) -> (usize, usize) {
        let first = low.div_ceil(PAGE) as usize;
        let last = (high.saturating_add(1) / PAGE).min(self.owner.len() as u64) as usize;
        (first, last)
    }

    fn take(&mut self, page: usize, owner: Owner) -> u64 {
        self.owner[page] = owner as u8;
        self.free -= 1;
        page as u64 * PAGE
    }

    /// Up to `count` pages from `low..=high` in random order; fewer when there are no more.
    pub fn alloc_shuffled(&mut self, low: u64, high: u64, count: usize, owner: Owner) -> Vec<u64> {
        let (first, last) = self.window(low, high);
        if count > FEW {
            return self.alloc_many(first, last, count, owner);
        }
        let mut pages = Vec::with_capacity(count);
        while pages.len() < count {
            let Some(page) = self.random_page(first, last) else { break };
            pages.push(self.take(page, owner));
        }
        pages
    }

    /// Many pages at once: a shuffle (Fisher and Yates) of all that are free.
    fn alloc_many(&mut self, first: usize, last: usize, count: usize, owner: Owner) -> Vec<u64> {
        let all = (first..last).filter(|p| self.owner[*p] == Owner::Free as u8);
        let mut free: Vec<u32> = all.map(|p| p as u32).collect();
        let count = count.min(free.len());
        for done in 0..count {
            let pick = done + (self.random() % (free.len() - done) as u64) as usize;
            free.swap(done, pick);
        }
        free.truncate(count);
        free.into_iter().map(|page| self.take(page as usize, owner)).collect()
    }

    /// A free page at random: by trying, and by counting when memory is nearly full.
    fn random_page(&mut self, first: usize, last: usize) -> Option<usize> {
        if first >= last {
            return None;
        }
        for _ in 0..TRIES {
            let page = first + (self.random() % (last - first) as u64) as usize;
            if self.owner[page] == Owner::Free as u8 {
                return Some(page);
            }
        }
        let start = first + (self.random() % (last - first) as u64) as usize;
        (start..last).chain(first..start).find(|p| self.owner[*p] == Owner::Free as u8)
    }

    /// Whether `count` pages from `start` on are free.
    fn is_free_run(&self, start: usize, count: usize) -> bool {
        self.owner.get(start..start + count).is_some_and(|r| r.iter().all(|o| *o == Owner::Free as u8))
    }

    /// `count` neighbouring pages inside `low..=high`, at a random one of the places that fit, or at the
    /// first when random places do not.
    pub fn alloc_run(&mut self, low: u64, high: u64, count: usize, owner: Owner) -> Option<u64> {
        let (first, last) = self.window(low, high);
        let room = last.checked_sub(first)?.checked_sub(count).filter(|_| count > 0)? + 1;
        let tried = (0..TRIES).map(|_| first + (self.random() % room as u64) as usize).collect::<Vec<_>>();
        let start = tried
            .into_iter()
            .find(|s| self.is_free_run(*s, count))
            .or_else(|| self.first_run(first, last, count))?;
        for page in start..start + count {
            self.take(page, owner);
        }
        Some(start as u64 * PAGE)
    }

    fn first_run(&self, first: usize, last: usize, count: usize) -> Option<usize> {
        let mut run = 0;
        for page in first..last {
            run = if self.owner[page] == Owner::Free as u8 { run + 1 } else { 0 };
            if run == count {
                return Some(page + 1 - count);
            }
        }
        None
    }

    /// One page for `owner`, from the top of memory.
    pub fn alloc_top(&mut self, owner: Owner) -> Option<u64> {
        let page = self.owner[..self.top].iter().rposition(|o| *o == Owner::Free as u8)?;
        self.top = page;
        Some(self.take(page, owner))
    }

    /// Gives a page back; false when it does not belong to `owner`.
    #[must_use]
    pub fn free(&mut self, pa: u64, owner: Owner) -> bool {
        if !self.is(pa, owner) {
            return false;
        }
        let page = (pa / PAGE) as usize;
        self.owner[page] = Owner::Free as u8;
        self.free += 1;
        self.top = self.top.max(page + 1);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{Owner, PAGE, PageMap};

    const HIGH_RAM: u64 = 64 * PAGE;

    fn map(seed: u64) -> PageMap {
        let mut map = PageMap::new(alloc::vec![0u8; 128].leak(), seed);
        map.add_free(0x100, 33 * PAGE);
        map.add_free(HIGH_RAM, 96 * PAGE);
        map
    }

    #[test]
    fn shuffled_pages_are_distinct_in_the_window_and_out_of_order() {
        let mut map = map(7);
        assert_eq!(map.free_pages(), 64);
        let pages = map.alloc_shuffled(PAGE, 20 * PAGE - 1, 16, Owner::Mdl);
        assert_eq!(pages.len(), 16);
        assert!(pages.iter().all(|p| (PAGE..20 * PAGE).contains(p)));
        assert!(!pages.is_sorted());
        let mut sorted = pages.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), 16);
        assert_eq!(map.free_pages(), 48);
    }

    #[test]
    fn both_sides_of_the_hole_are_used_and_the_seed_decides() {
        let pages = map(1).alloc_shuffled(0, u64::MAX, 32, Owner::Mdl);
        assert!(pages.iter().any(|p| *p >= HIGH_RAM) && pages.iter().any(|p| *p < HIGH_RAM));
        assert_eq!(pages, map(1).alloc_shuffled(0, u64::MAX, 32, Owner::Mdl));
        assert_ne!(pages, map(2).alloc_shuffled(0, u64::MAX, 32, Owner::Mdl));
    }

    #[test]
    fn a_run_is_contiguous_and_never_crosses_the_hole() {
        let mut map = map(3);
        let run = map.alloc_run(0, u64::MAX, 32, Owner::Contiguous).unwrap();
        assert!(run == PAGE || run == HIGH_RAM);
        assert!(map.alloc_run(0, u64::MAX, 33, Owner::Contiguous).is_none());
    }

    #[test]
    fn many_pages_are_shuffled_too_and_end_when_memory_ends() {
        let mut map = PageMap::new(alloc::vec![0u8; 1000].leak(), 9);
        map.add_free(0, 600 * PAGE);
        let pages = map.alloc_shuffled(0, u64::MAX, 5000, Owner::Mdl);
        assert_eq!((pages.len(), map.free_pages()), (600, 0));
        assert!(!pages.is_sorted());
        assert!(map.alloc_shuffled(0, u64::MAX, 1, Owner::Mdl).is_empty());
        assert!(map.alloc_run(0, u64::MAX, 1, Owner::Mdl).is_none());
    }

    #[test]
    fn single_pages_come_from_the_top_and_again_when_freed() {
        let mut map = map(1);
        assert_eq!(map.alloc_top(Owner::Pool), Some(95 * PAGE));
        assert_eq!(map.alloc_top(Owner::Pool), Some(94 * PAGE));
        assert!(map.free(95 * PAGE, Owner::Pool));
        assert_eq!(map.alloc_top(Owner::Kernel), Some(95 * PAGE));
        assert_eq!(map.alloc_top(Owner::Kernel), Some(93 * PAGE));
    }

    #[test]
    fn short_when_memory_is_short_and_free_gives_back_once() {
        let mut map = map(3);
        let pages = map.alloc_shuffled(0, 5 * PAGE - 1, 100, Owner::Mdl);
        assert_eq!(pages.len(), 4);
        assert!(map.free(pages[0], Owner::Mdl));
        assert!(!map.free(pages[0], Owner::Mdl));
        assert!(!map.free(pages[1], Owner::Contiguous));
    }
}

//! The maps by guest physical address, and which of them have been of use lately.
//!
//! A transfer looks a map up for every scatter-gather entry, and behind a vIOMMU for every page: in a search
//! tree that is half of what an entry costs the card. A page remembers the map it was last found in, as in a
//! processor's TLB. What is remembered is a guess: the map it names is asked for the address before it is
//! believed, so that nothing has to be forgotten when maps come and go.

use std::cell::Cell;
use std::collections::BTreeMap;

use slab::Slab;

/// Pages of 4 KiB that are remembered, each in the one place that its address gives it. A mebibyte is more
/// than a stream has under way.
const REMEMBERED: usize = 256;

/// What is mapped, and where. Never empty.
pub struct Span<T> {
    /// First address.
    pub first: u64,
    /// Last address, inclusive, so that a map may end at 2^64.
    pub last: u64,
    /// What is there.
    pub value: T,
}

impl<T> Span<T> {
    fn has(&self, address: u64) -> bool {
        (self.first..=self.last).contains(&address)
    }
}

/// Spans that do not overlap.
pub struct Table<T> {
    spans: Slab<Span<T>>,
    /// First address -> key in `spans`.
    by_first: BTreeMap<u64, usize>,
    /// By page: key in `spans`, perhaps.
    recent: [Cell<usize>; REMEMBERED],
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { spans: Slab::new(), by_first: BTreeMap::new(), recent: [const { Cell::new(0) }; REMEMBERED] }
    }
}

impl<T> Table<T> {
    /// Adds a span; the caller has seen to it that nothing is there ([`Table::overlaps`]).
    pub fn insert(&mut self, span: Span<T>) {
        let first = span.first;
        let key = self.spans.insert(span);
        self.by_first.insert(first, key);
    }

    /// Whether a span has one of these addresses.
    pub fn overlaps(&self, first: u64, last: u64) -> bool {
        // Spans do not overlap, so of those that begin before `last` the last one reaches furthest.
        self.before(last).is_some_and(|(_, span)| span.last >= first)
    }

    /// Takes out all spans that have one of these addresses.
    pub fn take(&mut self, first: u64, last: u64) -> Vec<Span<T>> {
        let mut taken = Vec::new();
        while let Some((key, span)) = self.before(last)
            && span.last >= first
        {
            let first = span.first;
            self.by_first.remove(&first);
            taken.extend(self.spans.try_remove(key));
        }
        taken
    }

    /// The span that has `address`.
    #[inline]
    pub fn find(&self, address: u64) -> Option<&Span<T>> {
        let slot = self.recent.get(usize::try_from((address >> 12) % REMEMBERED as u64).ok()?)?;
        if let Some(span) = self.spans.get(slot.get())
            && span.has(address)
        {
            return Some(span);
        }
        self.search(address, slot)
    }

    #[cold]
    fn search(&self, address: u64, slot: &Cell<usize>) -> Option<&Span<T>> {
        let (key, span) = self.before(address).filter(|(_, span)| span.has(address))?;
        slot.set(key);
        Some(span)
    }

    /// Of the spans that begin at `address` or before, the last one.
    fn before(&self, address: u64) -> Option<(usize, &Span<T>)> {
        let (_, &key) = self.by_first.range(..=address).next_back()?;
        Some((key, self.spans.get(key)?))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Takes out all.
    pub fn clear(&mut self) {
        self.spans = Slab::new();
        self.by_first.clear();
    }
}

//! The pages of a cyclic buffer as the pieces of contiguous memory that they make: neighbours are merged, the
//! last piece is cut to the buffer's length. Pure: no memory is touched here, so the host's tests try every
//! layout of pages.

/// Size of a page of guest memory in bytes.
pub const PAGE_BYTES: u32 = 4096;

/// The pages of a cyclic buffer, in their order.
pub trait PageList {
    /// Physical address of page `index` (0 the first), a multiple of [`PAGE_BYTES`]; `None` behind the last.
    fn address(&self, index: u32) -> Option<u64>;
}

/// A piece of contiguous memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Physical address of its first byte.
    pub address: u64,
    /// Its length in bytes, not 0.
    pub bytes: u32,
}

/// The pages end before the cyclic buffer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PagesShort;

/// The segments of a cyclic buffer, in order.
pub struct Segments<'a> {
    pages: &'a dyn PageList,
    page: u32,
    /// Bytes of the cyclic buffer that no segment covers yet.
    remaining: u32,
    /// The segment that may still grow.
    open: Option<Segment>,
}

impl<'a> Segments<'a> {
    /// The segments for `bytes` bytes from the first byte of the first page on.
    pub const fn new(pages: &'a dyn PageList, bytes: u32) -> Self {
        Self { pages, page: 0, remaining: bytes, open: None }
    }
}

impl Iterator for Segments<'_> {
    type Item = Result<Segment, PagesShort>;

    fn next(&mut self) -> Option<Self::Item> {
        // Bounded by the buffer's length: every turn takes a page of it, or returns.
        while self.remaining > 0 {
            let Some(address) = self.pages.address(self.page) else {
                // The last item.
                (self.remaining, self.open) = (0, None);
                return Some(Err(PagesShort));
            };
            self.page = self.page.saturating_add(1);
            let bytes = self.remaining.min(PAGE_BYTES);
            self.remaining = self.remaining.saturating_sub(bytes);
            match &mut self.open {
                Some(open) if open.address.checked_add(u64::from(open.bytes)) == Some(address) => {
                    open.bytes = open.bytes.saturating_add(bytes);
                }
                open => {
                    if let Some(complete) = open.replace(Segment { address, bytes }) {
                        return Some(Ok(complete));
                    }
                }
            }
        }
        self.open.take().map(Ok)
    }
}

#[cfg(test)]
impl PageList for &[u64] {
    fn address(&self, index: u32) -> Option<u64> {
        self.get(index as usize).copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Whatever the layout of the pages, the segments cover exactly the buffer, in order.
        #[test]
        fn segments_cover_exactly_the_buffer_in_order(
            pages in prop::collection::vec(0_u64..2000, 1..600),
            cut in 0_u32..1024,
        ) {
            let pages: Vec<u64> = pages.iter().map(|page| page * 4096).collect();
            let bytes = u32::try_from(pages.len()).unwrap() * PAGE_BYTES - cut * 4;
            let segments: Vec<Segment> =
                Segments::new(&pages.as_slice(), bytes).collect::<Result<_, _>>().unwrap();
            let found = segments
                .iter()
                .flat_map(|segment| (0..u64::from(segment.bytes)).step_by(4).map(|byte| segment.address + byte));
            let expected = pages
                .iter()
                .flat_map(|page| (0..4096).step_by(4).map(move |byte| page + byte))
                .take(bytes as usize / 4);
            prop_assert!(found.eq(expected));
            // Merged: no segment ends where the next begins.
            for pair in segments.windows(2) {
                prop_assert_ne!(pair[0].address + u64::from(pair[0].bytes), pair[1].address);
            }
        }
    }

    #[test]
    fn pages_that_end_too_early_are_noticed() {
        let pages = [0x1000, 0x9000];
        let pages = pages.as_slice();
        let mut segments = Segments::new(&pages, 3 * PAGE_BYTES);
        assert_eq!(segments.next(), Some(Ok(Segment { address: 0x1000, bytes: PAGE_BYTES })));
        assert_eq!((segments.next(), segments.next()), (Some(Err(PagesShort)), None));
    }
}

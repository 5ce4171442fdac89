//! The cyclic buffer as the device reaches it: where any part of it is, also one that goes over its end.

use alloc::vec::Vec;

use nt::NtResult;
use nt::pool::try_push;
use nt::status::STATUS_INSUFFICIENT_RESOURCES;

use super::queue::Descriptor;
use crate::hw::segments::{PageList, Segment, Segments};

/// A piece of contiguous memory, and where in the buffer it begins.
#[derive(Clone, Copy, Debug)]
struct Place {
    offset: u64,
    segment: Segment,
}

/// The pages of a cyclic buffer.
pub struct RingMemory {
    places: Vec<Place>,
    bytes: u64,
}

impl RingMemory {
    /// A buffer of `bytes` bytes on `pages`. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// `STATUS_INSUFFICIENT_RESOURCES`: pages that end too early, or no memory.
    pub fn try_new(pages: &dyn PageList, bytes: u32) -> NtResult<Self> {
        let (mut places, mut offset) = (Vec::new(), 0_u64);
        for segment in Segments::new(pages, bytes) {
            let segment = segment.map_err(|_| {
                log::error!("the pages end before the cyclic buffer does");
                STATUS_INSUFFICIENT_RESOURCES
            })?;
            try_push(&mut places, Place { offset, segment })?;
            offset = offset.saturating_add(segment.bytes.into());
        }
        Ok(Self { places, bytes: bytes.into() })
    }

    /// In how many pieces of contiguous memory it is.
    pub fn segments(&self) -> usize {
        self.places.len()
    }

    /// Hands out what `bytes` bytes from `offset` on are made of, in their order; over the buffer's end they
    /// go on at its begin. `false` if `take` does not want a piece, or there is no such part.
    pub fn describe(
        &self,
        (offset, bytes): (u64, u32),
        writable: bool,
        mut take: impl FnMut(Descriptor) -> bool,
    ) -> bool {
        if u64::from(bytes) > self.bytes || offset >= self.bytes {
            return false;
        }
        let (mut at, mut left) = (offset, bytes);
        // Bounded: each turn takes one of the segments, and none more than twice.
        for _ in 0..self.places.len().saturating_add(2) {
            if left == 0 {
                return true;
            }
            let next = self.places.partition_point(|place| place.offset <= at);
            let Some(Place { offset, segment }) =
                next.checked_sub(1).and_then(|index| self.places.get(index))
            else {
                return false;
            };
            let inside = at.saturating_sub(*offset);
            let room = u64::from(segment.bytes).saturating_sub(inside);
            let length = u32::try_from(room).unwrap_or(u32::MAX).min(left);
            let address = segment.address.saturating_add(inside);
            if length == 0 || !take(Descriptor { address, bytes: length, writable }) {
                return false;
            }
            left = left.saturating_sub(length);
            at = at.saturating_add(length.into());
            if at >= self.bytes {
                at = 0;
            }
        }
        left == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_part_is_found_whole_and_in_order(
            pages in prop::collection::vec(1_u64..40, 1..12),
            cut in 0_u32..1000,
            from in 0_u64..50_000,
            length in 0_u32..50_000,
        ) {
            let pages: Vec<u64> = pages.iter().map(|page| page * 4096).collect();
            let bytes = u32::try_from(pages.len()).unwrap() * 4096 - cut;
            let memory = RingMemory::try_new(&pages.as_slice(), bytes).unwrap();
            let mut found = vec![];
            let described = memory.describe((from, length), true, |piece| {
                found.extend((0..u64::from(piece.bytes)).map(|byte| piece.address + byte));
                piece.writable
            });
            if from >= bytes.into() || length > bytes {
                prop_assert!(!described);
            } else {
                prop_assert!(described);
                let address = |at: u64| pages[usize::try_from(at / 4096).unwrap()] + at % 4096;
                let expected = (0..u64::from(length)).map(|at| address((from + at) % u64::from(bytes)));
                prop_assert!(found.into_iter().eq(expected));
            }
        }
    }

    #[test]
    fn pages_that_end_too_early_are_refused() {
        assert!(RingMemory::try_new(&[4096].as_slice(), 4097).is_err());
    }
}

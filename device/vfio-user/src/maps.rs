//! Which addresses the client has mapped: enough to refuse what the kernel would refuse. What the memory is,
//! the device knows.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::refusal::Refusal;
use crate::wire::{DMA_MAPS_MAX, PAGE_BYTES};

/// Every map, first address to last; inclusive, so that one may end at 2^64.
#[derive(Debug, Default)]
pub struct Maps(BTreeMap<u64, u64>);

/// The addresses of a range of whole pages that is not empty and does not go beyond 2^64 (`vfio_dma_do_map`,
/// `vfio_dma_do_unmap`).
pub fn addresses(address: u64, size: u64) -> Result<RangeInclusive<u64>, Refusal> {
    let last = size.checked_sub(1).and_then(|rest| address.checked_add(rest)).ok_or(Refusal::DmaRange)?;
    if !address.is_multiple_of(PAGE_BYTES) || !size.is_multiple_of(PAGE_BYTES) {
        return Err(Refusal::DmaRange);
    }
    Ok(address..=last)
}

impl Maps {
    /// Whether a map of `range` would be taken.
    pub fn check(&self, range: &RangeInclusive<u64>) -> Result<(), Refusal> {
        if self.0.range(..=range.end()).next_back().is_some_and(|(_, last)| last >= range.start()) {
            return Err(Refusal::DmaExists);
        }
        if self.0.len() >= DMA_MAPS_MAX {
            return Err(Refusal::DmaTooMany);
        }
        Ok(())
    }

    /// Adds a map that [`Maps::check`] took.
    pub fn insert(&mut self, range: &RangeInclusive<u64>) {
        self.0.insert(*range.start(), *range.end());
    }

    /// Takes every map in `range`. Gives how many there were; a range that cuts one in two takes none.
    pub fn remove(&mut self, range: &RangeInclusive<u64>) -> Result<usize, Refusal> {
        let before = self.0.range(..range.start()).next_back();
        if before.is_some_and(|(_, last)| last >= range.start()) {
            return Err(Refusal::DmaBisects);
        }
        if self.0.range(range.clone()).next_back().is_some_and(|(_, last)| last > range.end()) {
            return Err(Refusal::DmaBisects);
        }
        let all = self.0.len();
        // One by one, not by going over all of them: a client may send many unmaps while there are many maps.
        while let Some(first) = self.0.range(range.clone()).next().map(|(first, _)| *first) {
            self.0.remove(&first);
        }
        Ok(all - self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlaps_in_every_way_are_refused_and_neighbours_are_not() {
        let mut maps = Maps::default();
        maps.insert(&(0x2000..=0x4FFF));
        for range in [0x2000..=0x4FFF, 0x3000..=0x3FFF, 0x1000..=0x2FFF, 0x4000..=0x5FFF, 0..=u64::MAX] {
            assert_eq!(maps.check(&range), Err(Refusal::DmaExists), "{range:x?}");
        }
        assert_eq!(maps.check(&(0x1000..=0x1FFF)), Ok(()));
        assert_eq!(maps.check(&(0x5000..=u64::MAX)), Ok(()));
    }

    #[test]
    fn unmap_takes_whole_maps_only() {
        let mut maps = Maps::default();
        for first in [0x1000, 0x2000, 0x8000] {
            maps.insert(&(first..=first + 0xFFF));
        }
        maps.insert(&(0x1_0000..=0x1_3FFF));
        assert_eq!(maps.remove(&(0x1_1000..=0x1_1FFF)), Err(Refusal::DmaBisects));
        assert_eq!(
            maps.remove(&(0x8000..=0x1_0FFF)),
            Err(Refusal::DmaBisects),
            "and takes none of the others"
        );
        assert_eq!(maps.remove(&(0x3000..=0x7FFF)), Ok(0));
        assert_eq!(maps.remove(&(0..=0x2FFF)), Ok(2));
        assert_eq!(maps.remove(&(0..=u64::MAX)), Ok(2));
    }

    #[test]
    fn range_may_end_at_2_to_the_64_and_not_beyond() {
        assert_eq!(addresses(u64::MAX - 0xFFF, 0x1000), Ok(u64::MAX - 0xFFF..=u64::MAX));
        for (address, size) in [(u64::MAX - 0xFFF, 0x2000), (0, 0), (1, 0x1000), (0, 1), (u64::MAX, u64::MAX)]
        {
            assert_eq!(addresses(address, size), Err(Refusal::DmaRange), "{address:#x} {size:#x}");
        }
    }

    #[test]
    fn number_of_maps_is_bounded() {
        let mut maps = Maps::default();
        for page in 0..DMA_MAPS_MAX as u64 {
            maps.insert(&(page * 0x2000..=page * 0x2000 + 0xFFF));
        }
        assert_eq!(maps.check(&(0x1000..=0x1FFF)), Err(Refusal::DmaTooMany));
    }
}

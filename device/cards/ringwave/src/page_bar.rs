//! BAR 2: the pages. DATASHEET section 7.

use std::io;
use std::ops::Deref;
use std::sync::Arc;

use ringwave_pci::MappedBar;
use ringwave_regs::Named;
use ringwave_regs::pages::{self, mark, mark_page};
use ringwave_regs::pci::PAGES_BYTES;

use crate::env::{MarkWords, Pages};

/// The page BAR. The guest can store anything to it at any time; nothing here decides by what stands in it,
/// and nothing of it is read but the two words of a mark page.
pub struct PageBar(Arc<MappedBar>);

impl PageBar {
    /// A BAR of [`PAGES_BYTES`] zero bytes.
    pub fn new() -> io::Result<Self> {
        MappedBar::new(c"ringwave pages", PAGES_BYTES).map(|bar| Self(Arc::new(bar)))
    }

    /// The memory, for whom the client gets it from.
    pub fn shared(&self) -> Arc<MappedBar> {
        Arc::clone(&self.0)
    }

    /// Zeroes every byte that the card itself does not store: what a guest left at offsets that have no
    /// meaning, in the pages of streams that a card with so many `streams` does not have, and in the mark
    /// pages. Fields of the card are never 0 in between, so that who reads them meanwhile (a driver that does
    /// not know of the reset) sees nothing that was not published.
    pub fn wipe_unused(&self, streams: u32) {
        const BYTES: u32 = pages::PAGE_BYTES;
        /// No field is beyond: a table of them is small.
        const FIELDS_END: u32 = 0x100;
        for page in (0..PAGES_BYTES).step_by(BYTES as usize) {
            let (index, there) = (page % pages::STATUS_BASE / BYTES, |index| index < streams);
            let fields: &[Named] = match page - page % pages::STATUS_BASE {
                pages::CLOCK_PAGE if index == 0 => pages::clock::FIELDS,
                pages::STATUS_BASE if there(index) => pages::status::FIELDS,
                pages::POSITION_BASE if there(index) => pages::position::FIELDS,
                _ => &[],
            };
            let ours =
                |at: u32| fields.iter().any(|field| (field.offset..field.offset + field.bytes).contains(&at));
            for at in (0..FIELDS_END).step_by(4).filter(|at| !ours(*at)) {
                self.store_u32(page + at, 0);
            }
            self.write(u64::from(page + FIELDS_END), &[0; (BYTES - FIELDS_END) as usize]);
        }
    }
}

impl Deref for PageBar {
    type Target = MappedBar;

    fn deref(&self) -> &MappedBar {
        &self.0
    }
}

impl Pages for PageBar {
    fn load_mark(&self, stream: u32) -> MarkWords {
        let Some(base) = mark_page(stream) else { return MarkWords::default() };
        MarkWords { mark: self.load_u64(base + mark::MARK), clock: self.load_u64(base + mark::MARK_CLOCK) }
    }

    fn store_u32(&self, offset: u32, value: u32) {
        self.0.store_u32(offset, value);
    }

    fn store_u64(&self, offset: u32, value: u64) {
        self.0.store_u64(offset, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_card_does_not_store_is_wiped() {
        let bar = PageBar::new().unwrap();
        for offset in (0..PAGES_BYTES).step_by(4) {
            bar.store_u32(offset, 0x5555_5555);
        }
        bar.wipe_unused(2);
        let left = |offset: u32| {
            let mut word = [0; 4];
            bar.read(offset.into(), &mut word);
            u32::from_le_bytes(word) != 0
        };
        let kept: Vec<u32> = (0..PAGES_BYTES).step_by(4).filter(|offset| left(*offset)).collect();
        let words = |base: u32, fields: &[Named]| -> Vec<u32> {
            fields
                .iter()
                .flat_map(|field| (field.offset..field.offset + field.bytes).step_by(4))
                .map(|at| base + at)
                .collect()
        };
        let status = pages::status::FIELDS;
        let position = pages::position::FIELDS;
        let expected = [
            words(0, pages::clock::FIELDS),
            words(0x1_0000, status),
            words(0x1_1000, status),
            words(0x2_0000, position),
            words(0x2_1000, position),
        ];
        assert_eq!(kept, expected.concat());
    }
}

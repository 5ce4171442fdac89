//! BAR 2: a sealed memfd that the card writes and the client maps into the guest. DATASHEET section 7.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use ringwave_regs::Named;
use ringwave_regs::pages::{self, mark, mark_page};
use ringwave_regs::pci::PAGES_BYTES;
use vm_memory::{Bytes, FileOffset, MmapRegion, VolatileMemory};

use crate::ports::{MarkWords, Pages};
use ringwave_guest_memory::memfd::memfd;

/// The page BAR. The guest can store anything to it at any time; nothing here decides by what stands in it, and nothing of it is read but
/// the two words of a mark page.
///
/// A client cannot cut it short, but it can punch holes into it. A store of ours fills them again, which only a host with strict accounting
/// (`vm.overcommit_memory` = 2) and no memory left can refuse: with a SIGBUS, which ends this process. That is left as it is. A
/// client that has left may still have it mapped, and see and change what the next one reads: successive clients of one process are taken
/// to be of one owner.
pub struct PageBar {
    region: MmapRegion,
    file: File,
    /// A client was given the descriptor.
    shown: AtomicBool,
}

impl PageBar {
    /// A BAR of [`PAGES_BYTES`] zero bytes.
    pub fn new() -> io::Result<Self> {
        let file = memfd(c"ringwave pages", u64::from(PAGES_BYTES), true)?;
        let offset = FileOffset::new(file.try_clone()?, 0);
        let region = MmapRegion::from_file(offset, PAGES_BYTES as usize).map_err(io::Error::other)?;
        Ok(Self { region, file, shown: AtomicBool::new(false) })
    }

    /// The descriptor that the client maps. From now on it may store to the pages without a message.
    pub fn fd(&self) -> RawFd {
        self.shown.store(true, Ordering::Relaxed);
        self.file.as_raw_fd()
    }

    /// Whether a client was given the descriptor since the last call.
    pub fn take_shown(&self) -> bool {
        self.shown.swap(false, Ordering::Relaxed)
    }

    /// Zeroes everything, so that no client finds what an earlier one stored.
    pub fn wipe(&self) {
        for page in 0..PAGES_BYTES / ringwave_regs::pages::PAGE_BYTES {
            let offset = page * ringwave_regs::pages::PAGE_BYTES;
            self.write(u64::from(offset), &[0; ringwave_regs::pages::PAGE_BYTES as usize]);
        }
    }

    /// Zeroes every byte that the card itself does not store: what a guest left at offsets that have no meaning, in the pages of streams
    /// that a card with so many `streams` does not have, and in the mark pages. Fields of the card are never 0 in between, so that who reads
    /// them meanwhile (a driver that does not know of the reset) sees nothing that was not published.
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

    /// A read that came as a message, as QEMU sends it while the BAR is not mapped. Beyond the end: all ones.
    pub fn read(&self, offset: u64, data: &mut [u8]) {
        data.fill(0xFF);
        let Ok(offset) = usize::try_from(offset) else { return };
        // Part of it may be beyond the end; what `read` could not copy stays as it is.
        let _ = self.region.as_volatile_slice().read(data, offset);
    }

    /// A store that came as a message. Beyond the end: nothing.
    pub fn write(&self, offset: u64, data: &[u8]) {
        let Ok(offset) = usize::try_from(offset) else { return };
        let _ = self.region.as_volatile_slice().write(data, offset);
    }
}

impl Pages for PageBar {
    fn load_mark(&self, stream: u32) -> MarkWords {
        let Some(base) = mark_page(stream) else { return MarkWords::default() };
        let load = |field: u32| -> u64 {
            let word = self.region.as_volatile_slice().load((base + field) as usize, Ordering::Acquire);
            debug_assert!(word.is_ok(), "a mark page is inside the BAR, aligned");
            u64::from_le(word.unwrap_or(0))
        };
        MarkWords { mark: load(mark::MARK), clock: load(mark::MARK_CLOCK) }
    }

    fn store_u32(&self, offset: u32, value: u32) {
        let stored = self.region.as_volatile_slice().store(value.to_le(), offset as usize, Ordering::Release);
        debug_assert!(stored.is_ok(), "the controller stores inside the BAR, aligned");
    }

    fn store_u64(&self, offset: u32, value: u64) {
        let stored = self.region.as_volatile_slice().store(value.to_le(), offset as usize, Ordering::Release);
        debug_assert!(stored.is_ok(), "the controller stores inside the BAR, aligned");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_card_stores_is_seen_through_the_descriptor() {
        use std::os::unix::fs::FileExt;
        let bar = PageBar::new().unwrap();
        bar.store_u32(0x1_0004, 0x0403_0201);
        bar.store_u64(0x1_0020, 0x1122_3344_5566_7788);
        let mut bytes = [0; 8];
        bar.file.read_exact_at(&mut bytes[..4], 0x1_0004).unwrap();
        assert_eq!(bytes[..4], [1, 2, 3, 4]);
        bar.file.read_exact_at(&mut bytes, 0x1_0020).unwrap();
        assert_eq!(u64::from_le_bytes(bytes), 0x1122_3344_5566_7788);
        bar.wipe();
        bar.read(0x1_0004, &mut bytes[..4]);
        assert_eq!(bytes[..4], [0; 4]);
    }

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

    #[test]
    fn length_cannot_be_changed_by_who_has_the_descriptor() {
        let bar = PageBar::new().unwrap();
        assert!(bar.file.set_len(0).is_err());
        assert!(bar.file.set_len(1 << 20).is_err());
    }

    #[test]
    fn messages_beyond_the_end_read_ones() {
        let bar = PageBar::new().unwrap();
        let mut bytes = [0x55; 8];
        bar.read(u64::from(PAGES_BYTES) - 4, &mut bytes);
        assert_eq!(bytes, [0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]);
        bar.write(u64::MAX, &bytes);
        bar.read(u64::MAX, &mut bytes);
        assert_eq!(bytes, [0xFF; 8]);
    }
}

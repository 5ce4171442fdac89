//! A BAR that is memory: a sealed memfd that the function writes and the client maps into the guest.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use ringwave_guest_memory::memfd::memfd;
use vm_memory::{Bytes, FileOffset, MmapRegion, VolatileMemory};

/// Bytes that [`MappedBar::wipe`] stores at once.
const CHUNK: usize = 4096;

/// The memory of a BAR. The guest can store anything to it at any time.
///
/// A client cannot cut it short, but it can punch holes into it. A store of ours fills them again, which only
/// a host with strict accounting (`vm.overcommit_memory` = 2) and no memory left can refuse: with a SIGBUS,
/// which ends this process. That is left as it is. A client that has left may still have it mapped, and see
/// and change what the next one reads: successive clients of one process are taken to be of one owner.
pub struct MappedBar {
    region: MmapRegion,
    file: File,
    /// A client was given the descriptor.
    shown: AtomicBool,
}

impl MappedBar {
    /// A BAR of `bytes` zero bytes.
    pub fn new(name: &CStr, bytes: u32) -> io::Result<Self> {
        let file = memfd(name, u64::from(bytes), true)?;
        let offset = FileOffset::new(file.try_clone()?, 0);
        let region = MmapRegion::from_file(offset, bytes as usize).map_err(io::Error::other)?;
        Ok(Self { region, file, shown: AtomicBool::new(false) })
    }

    /// The descriptor that the client maps. From now on it may store to the BAR without a message.
    pub fn show(&self) -> BorrowedFd<'_> {
        self.shown.store(true, Ordering::Relaxed);
        self.file.as_fd()
    }

    /// Whether a client was given the descriptor since the last call.
    pub fn take_shown(&self) -> bool {
        self.shown.swap(false, Ordering::Relaxed)
    }

    /// Zeroes everything, so that no client finds what an earlier one stored.
    pub fn wipe(&self) {
        for offset in (0..self.region.size()).step_by(CHUNK) {
            self.write(offset as u64, &[0; CHUNK]);
        }
    }

    /// A read that came as a message, as QEMU sends it while the BAR is not mapped. Beyond the end: all ones.
    pub fn read(&self, offset: u64, data: &mut [u8]) {
        data.fill(0xFF);
        let Ok(offset) = usize::try_from(offset) else { return };
        // Part of it may be beyond the end; what `read` could not copy stays as it is.
        let _ = self.region.as_volatile_slice().read(data, offset);
    }

    /// A store that came as a message, or one of the card's own that nobody looks at meanwhile. Beyond the
    /// end: nothing.
    pub fn write(&self, offset: u64, data: &[u8]) {
        let Ok(offset) = usize::try_from(offset) else { return };
        let _ = self.region.as_volatile_slice().write(data, offset);
    }

    /// Loads an aligned little-endian word with *acquire* ordering. Whatever stands there may be the guest's.
    pub fn load_u64(&self, offset: u32) -> u64 {
        let word = self.region.as_volatile_slice().load(offset as usize, Ordering::Acquire);
        debug_assert!(word.is_ok(), "the card loads inside the BAR, aligned");
        u64::from_le(word.unwrap_or(0))
    }

    /// Stores an aligned little-endian word in one access with *release* ordering.
    pub fn store_u32(&self, offset: u32, value: u32) {
        let stored = self.region.as_volatile_slice().store(value.to_le(), offset as usize, Ordering::Release);
        debug_assert!(stored.is_ok(), "the card stores inside the BAR, aligned");
    }

    /// Stores an aligned little-endian word in one access with *release* ordering.
    pub fn store_u64(&self, offset: u32, value: u64) {
        let stored = self.region.as_volatile_slice().store(value.to_le(), offset as usize, Ordering::Release);
        debug_assert!(stored.is_ok(), "the card stores inside the BAR, aligned");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: u32 = 0x2_0000;

    fn bar() -> MappedBar {
        MappedBar::new(c"test bar", BYTES).unwrap()
    }

    #[test]
    fn what_the_card_stores_is_seen_through_the_descriptor() {
        use std::os::unix::fs::FileExt;
        let bar = bar();
        bar.store_u32(0x1_0004, 0x0403_0201);
        bar.store_u64(0x1_0020, 0x1122_3344_5566_7788);
        let mut bytes = [0; 8];
        bar.file.read_exact_at(&mut bytes[..4], 0x1_0004).unwrap();
        assert_eq!(bytes[..4], [1, 2, 3, 4]);
        bar.file.read_exact_at(&mut bytes, 0x1_0020).unwrap();
        assert_eq!(u64::from_le_bytes(bytes), 0x1122_3344_5566_7788);
        assert_eq!(bar.load_u64(0x1_0020), 0x1122_3344_5566_7788);
        bar.wipe();
        bar.read(0x1_0004, &mut bytes[..4]);
        assert_eq!(bytes[..4], [0; 4]);
    }

    #[test]
    fn length_cannot_be_changed_by_who_has_the_descriptor() {
        let bar = bar();
        assert!(bar.file.set_len(0).is_err());
        assert!(bar.file.set_len(1 << 20).is_err());
    }

    #[test]
    fn messages_beyond_the_end_read_ones() {
        let bar = bar();
        let mut bytes = [0x55; 8];
        bar.read(u64::from(BYTES) - 4, &mut bytes);
        assert_eq!(bytes, [0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]);
        bar.write(u64::MAX, &bytes);
        bar.read(u64::MAX, &mut bytes);
        assert_eq!(bytes, [0xFF; 8]);
    }
}

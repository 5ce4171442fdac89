//! Reading a status page: plain memory that the card changes while the guest reads. DATASHEET 7 and 7.2.

use ringwave_regs::pages::{READ_TRIES, status};

use crate::wave::position::Anchor;

/// 32-bit words at byte offsets of a page.
pub trait Words {
    /// The word at `offset`; all ones if there is none.
    fn word(&self, offset: u32) -> u32;
}

/// What a status page says, consistent in itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// `STATE_*`.
    pub state: u32,
    /// Error code; 0 = none.
    pub error: u32,
    /// `FLAG_*` bits.
    pub flags: u32,
    /// Packets completed since STOP.
    pub packet_count: u32,
    /// The packet the card waits for, while it is stalled.
    pub stalled_packet: u32,
    /// Where the position is.
    pub anchor: Anchor,
    /// Device clock at which the last packet was complete; 0 before.
    pub packet_clock: u64,
    /// Device clock at which that packet's first frame began to move; 0 before.
    pub packet_start_clock: u64,
    /// Failed transfers since reset.
    pub dma_faults: u32,
    /// Packets played as silence because they were not marked, since reset.
    pub underruns: u32,
}

impl Status {
    /// Reads a page: at most [`READ_TRIES`] times, `None` if it changed under every try (or is gone: all ones are odd).
    pub fn read(page: &impl Words) -> Option<Self> {
        (0..READ_TRIES).find_map(|_| {
            let before = page.word(status::SEQ);
            let read = Self::read_once(page);
            let after = page.word(status::SEQ);
            (before == after && before.is_multiple_of(2)).then_some(read)
        })
    }

    fn read_once(page: &impl Words) -> Self {
        let wide =
            |offset| u64::from(page.word(offset)) | u64::from(page.word(offset.saturating_add(4))) << 32;
        Self {
            state: page.word(status::STATE),
            error: page.word(status::ERROR),
            flags: page.word(status::FLAGS),
            packet_count: page.word(status::PACKET_COUNT),
            stalled_packet: page.word(status::STALLED_PACKET),
            anchor: Anchor {
                clock: wide(status::ANCHOR_CLOCK),
                frame: wide(status::ANCHOR_FRAME),
                rate_num: page.word(status::RATE_NUM),
                rate_den: page.word(status::RATE_DEN),
            },
            packet_clock: wide(status::PACKET_CLOCK),
            packet_start_clock: wide(status::PACKET_START_CLOCK),
            dma_faults: page.word(status::DMA_FAULTS),
            underruns: page.word(status::UNDERRUNS),
        }
    }

    /// The packet the card stands still before, because it was not written.
    pub fn stalled_on(&self) -> Option<u32> {
        (self.flags & status::FLAG_STALLED != 0).then_some(self.stalled_packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};

    /// A page whose sequence counter runs through a script.
    struct Page {
        seqs: RefCell<Vec<u32>>,
        reads: Cell<u32>,
    }
    impl Words for Page {
        fn word(&self, offset: u32) -> u32 {
            if offset == status::SEQ {
                self.reads.set(self.reads.get() + 1);
                let mut seqs = self.seqs.borrow_mut();
                if seqs.len() > 1 { seqs.remove(0) } else { seqs[0] }
            } else {
                offset
            }
        }
    }
    fn read(seqs: &[u32]) -> (Option<Status>, u32) {
        let page = Page { seqs: RefCell::new(seqs.to_vec()), reads: Cell::new(0) };
        (Status::read(&page), page.reads.get())
    }

    #[test]
    fn every_field_comes_from_its_place() {
        let status = read(&[4]).0.unwrap();
        assert_eq!(status.packet_count, 0x10);
        assert_eq!(
            status.anchor,
            Anchor { clock: 0x24_0000_0020, frame: 0x2C_0000_0028, rate_num: 0x30, rate_den: 0x34 }
        );
        assert_eq!(status.packet_clock, 0x3C_0000_0038);
        assert_eq!(status.packet_start_clock, 0x5C_0000_0058);
        assert_eq!((status.state, status.flags, status.stalled_packet), (4, 0xC, 0x14));
        assert_eq!(status.underruns, 0x48);
    }

    #[test]
    fn a_torn_page_is_read_again() {
        assert!(read(&[1, 2, 2, 4, 4, 4]).0.is_some());
    }

    #[test]
    fn gives_up_after_eight_tries() {
        let mut changing: Vec<u32> = (0..100).map(|n| n * 2).collect();
        assert_eq!(read(&changing), (None, 16));
        changing = vec![u32::MAX];
        assert_eq!(read(&changing), (None, 16));
    }

    #[test]
    fn stalled_only_if_the_flag_says_so() {
        let mut status = read(&[0]).0.unwrap();
        status.flags = status::FLAG_LOCKSTEP;
        assert_eq!(status.stalled_on(), None);
        status.flags = status::FLAG_STALLED;
        assert_eq!(status.stalled_on(), Some(0x14));
    }
}

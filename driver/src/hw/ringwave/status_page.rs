//! Reading a status page: plain memory that the card changes while the guest reads. DATASHEET 7 and 7.2.

use ringwave_regs::error::Error;
use ringwave_regs::pages::{READ_TRIES, status};

use crate::hw::{Anchor, Status};

/// 32-bit words at byte offsets of a page.
pub trait Words {
    /// The word at `offset`; all ones if there is none.
    fn word(&self, offset: u32) -> u32;
}

/// Reads a page: at most [`READ_TRIES`] times, `None` if it changed under every try (or is gone: all ones are
/// odd).
pub fn read(page: &impl Words) -> Option<Status> {
    (0..READ_TRIES).find_map(|_| {
        let before = page.word(status::SEQ);
        let read = read_once(page);
        let after = page.word(status::SEQ);
        (before == after && before.is_multiple_of(2)).then_some(read)
    })
}

fn read_once(page: &impl Words) -> Status {
    let wide = |offset| u64::from(page.word(offset)) | u64::from(page.word(offset.saturating_add(4))) << 32;
    let (error, flags) = (page.word(status::ERROR), page.word(status::FLAGS));
    Status {
        error: (error != 0).then(|| error_name(error)),
        dma_faults: page.word(status::DMA_FAULTS),
        lockstep: flags & status::FLAG_LOCKSTEP != 0,
        stalled_on: (flags & status::FLAG_STALLED != 0).then(|| page.word(status::STALLED_PACKET)),
        packet_count: page.word(status::PACKET_COUNT),
        anchor: Anchor {
            clock: wide(status::ANCHOR_CLOCK),
            frame: wide(status::ANCHOR_FRAME),
            rate_num: page.word(status::RATE_NUM),
            rate_den: page.word(status::RATE_DEN),
        },
        packet_clock: wide(status::PACKET_CLOCK),
        packet_start_clock: wide(status::PACKET_START_CLOCK),
        underruns: page.word(status::UNDERRUNS),
    }
}

/// The name of an error code.
pub(super) fn error_name(code: u32) -> &'static str {
    Error::from_code(code).map_or("unknown error", Error::name)
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    /// A page whose sequence counter runs through a script, and whose other words are their offsets.
    struct Page {
        seqs: RefCell<Vec<u32>>,
        reads: Cell<u32>,
        flags: u32,
    }
    impl Words for Page {
        fn word(&self, offset: u32) -> u32 {
            match offset {
                status::SEQ => {
                    self.reads.set(self.reads.get() + 1);
                    let mut seqs = self.seqs.borrow_mut();
                    if seqs.len() > 1 { seqs.remove(0) } else { seqs[0] }
                }
                status::FLAGS => self.flags,
                _ => offset,
            }
        }
    }
    fn read(seqs: &[u32], flags: u32) -> (Option<Status>, u32) {
        let page = Page { seqs: RefCell::new(seqs.to_vec()), reads: Cell::new(0), flags };
        (super::read(&page), page.reads.get())
    }

    #[test]
    fn every_field_comes_from_its_place() {
        let status = read(&[4], 0).0.unwrap();
        assert_eq!(status.packet_count, 0x10);
        assert_eq!(
            status.anchor,
            Anchor { clock: 0x24_0000_0020, frame: 0x2C_0000_0028, rate_num: 0x30, rate_den: 0x34 }
        );
        assert_eq!(status.packet_clock, 0x3C_0000_0038);
        assert_eq!(status.packet_start_clock, 0x5C_0000_0058);
        assert_eq!((status.lockstep, status.stalled_on), (false, None));
        assert_eq!((status.underruns, status.error), (0x48, Some(error_name(8))));
    }

    #[test]
    fn a_torn_page_is_read_again() {
        assert!(read(&[1, 2, 2, 4, 4, 4], 0).0.is_some());
    }

    #[test]
    fn gives_up_after_eight_tries() {
        let mut changing: Vec<u32> = (0..100).map(|n| n * 2).collect();
        assert_eq!(read(&changing, 0), (None, 16));
        changing = vec![u32::MAX];
        assert_eq!(read(&changing, 0), (None, 16));
    }

    #[test]
    fn stalled_only_if_the_flag_says_so() {
        let status = read(&[0], status::FLAG_LOCKSTEP).0.unwrap();
        assert_eq!((status.lockstep, status.stalled_on), (true, None));
        assert_eq!(read(&[0], status::FLAG_STALLED).0.unwrap().stalled_on, Some(0x14));
    }

    /// A page as loom lets the two sides see it: SEQ and two fields that belong together change, in the order
    /// that x86 keeps, in which no store passes a store and no load a load.
    #[derive(Default)]
    struct Changing {
        seq: loom::sync::atomic::AtomicU32,
        count: loom::sync::atomic::AtomicU32,
        frame: loom::sync::atomic::AtomicU32,
    }

    impl Words for Changing {
        fn word(&self, offset: u32) -> u32 {
            let word = match offset {
                status::SEQ => &self.seq,
                status::PACKET_COUNT => &self.count,
                status::ANCHOR_FRAME => &self.frame,
                _ => return 0,
            };
            word.load(loom::sync::atomic::Ordering::Acquire)
        }
    }

    /// In every order of the card's stores and the driver's loads: what is read is of one moment.
    #[test]
    fn what_is_read_is_of_one_moment() {
        use loom::sync::atomic::Ordering::Release;
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(2);
        model.check(|| {
            let page = loom::sync::Arc::new(Changing::default());
            let card = {
                let page = page.clone();
                loom::thread::spawn(move || {
                    // DATASHEET 7: odd, the fields, even again.
                    for (word, value) in
                        [(&page.seq, 1), (&page.count, 5), (&page.frame, 2400), (&page.seq, 2)]
                    {
                        word.store(value, Release);
                    }
                })
            };
            if let Some(read) = super::read(&*page) {
                assert_eq!(u64::from(read.packet_count) * 480, read.anchor.frame, "of two moments");
            }
            card.join().unwrap();
        });
    }
}

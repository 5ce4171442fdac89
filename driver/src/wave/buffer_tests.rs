//! Where the card is sent, and what it and the client find there, whatever the port does.

use std::cell::RefCell;
use std::rc::Rc;

use super::*;
use crate::hw::Card;
use crate::hw::fake::FakeCard;
use crate::wave::fake_port::{Account, FakePort};

const PAGE: u32 = 4096;

fn ring(bytes: u32) -> Ring {
    Ring { bytes, packets: 2, frame_bytes: 4 }
}

fn allocate(
    bytes: u32,
    contiguous: bool,
    scatter_gather: bool,
    prepare: impl FnOnce(&mut Account),
) -> (NtResult<Buffer>, Rc<RefCell<Account>>) {
    let (port, account) = FakePort::make();
    prepare(&mut account.borrow_mut());
    let limits = Limits { scatter_gather, ..FakeCard::default().limits() };
    (Buffer::try_new(&port, ring(bytes), &limits, contiguous), account)
}

#[test]
fn contiguous_pages_with_a_gap_are_scatter_gather_or_nothing() {
    for gap_before in [1, 2, 3] {
        let (buffer, account) = allocate(4 * PAGE, true, true, |account| account.gap_before = gap_before);
        let buffer = buffer.unwrap();
        let Dma::ScatterGather { table, entries } = buffer.dma else {
            panic!("a gap before page {gap_before} and the card is sent over it: {:?}", buffer.dma)
        };
        let account = account.borrow();
        let slots: Vec<u64> =
            (0..u64::from(entries)).map(|index| account.slot(table + 16 * index).address).collect();
        assert_eq!(slots, account.live[&buffer.mdl().addr()].pages);
        assert_eq!(account.live.len(), 2, "buffer and table; the pages with the gap were given back");
        drop(account);
        let (refused, account) = allocate(4 * PAGE, true, false, |account| account.gap_before = gap_before);
        assert_eq!(refused.err(), Some(STATUS_INSUFFICIENT_RESOURCES), "a card without scatter-gather");
        assert!(account.borrow().live.is_empty());
    }
    // Behind the buffer there may be what will.
    let (buffer, _account) = allocate(4 * PAGE, true, true, |account| account.gap_before = 4);
    assert!(matches!(buffer.unwrap().dma, Dma::Contiguous { .. }));
}

#[test]
fn what_the_pages_held_before_is_neither_heard_nor_seen() {
    for contiguous in [true, false] {
        // The client maps whole pages: the rest of the last one is cleared too.
        let (buffer, account) = allocate(2 * PAGE + 400, contiguous, true, |_| ());
        let buffer = buffer.unwrap();
        let account = account.borrow();
        let words: Vec<u64> = account.live[&buffer.mdl().addr()].words().collect();
        assert_eq!(words, [0; 3 * 512]);
        if let Dma::ScatterGather { table, entries } = buffer.dma {
            assert_eq!(entries, 3);
            let rest = (u64::from(entries)..256).map(|index| account.slot(table + 16 * index));
            assert!(
                rest.into_iter().all(|slot| slot == Slot::from_bytes([0; 16])),
                "stale slots in the table"
            );
        }
    }
}

#[test]
fn a_table_of_one_page_is_one_piece_by_itself() {
    // A port that refuses the contiguous method: 256 entries fit one page, which is not asked for so.
    let (buffer, account) = allocate(256 * PAGE, false, true, |account| account.refuse_contiguous = 1);
    assert_eq!(buffer.unwrap().table_pages(), 1);
    assert_eq!(account.borrow().refuse_contiguous, 1, "the contiguous method was called");
    let (buffer, account) = allocate(257 * PAGE, false, true, |account| account.refuse_contiguous = 1);
    assert_eq!(buffer.unwrap().table_pages(), 2);
    assert_eq!(account.borrow().refuse_contiguous, 0);
}

#[test]
fn a_buffer_that_cannot_be_cleared_is_not_given_out() {
    for contiguous in [true, false] {
        let (buffer, account) = allocate(2 * PAGE, contiguous, true, |account| account.refuse_map = true);
        assert_eq!(buffer.err(), Some(STATUS_INSUFFICIENT_RESOURCES));
        assert!(account.borrow().live.is_empty());
    }
}

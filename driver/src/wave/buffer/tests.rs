//! What pages the card and the client are given, whatever the port does.

use std::cell::RefCell;
use std::rc::Rc;

use nt::status::STATUS_INSUFFICIENT_RESOURCES;

use super::*;
use crate::hw::fake::LIMITS;
use crate::hw::segments::{PAGE_BYTES, Segment, Segments};
use crate::wave::fake_port::{Account, FakePort};

fn allocate(
    bytes: u32,
    contiguous: bool,
    segments_max: u32,
    prepare: impl FnOnce(&mut Account),
) -> (NtResult<Buffer>, Rc<RefCell<Account>>) {
    let (port, account) = FakePort::make();
    prepare(&mut account.borrow_mut());
    let geometry = BufferGeometry { bytes, packets: 2, frame_bytes: 4 };
    let limits = Limits { segments_max, ..LIMITS };
    (Buffer::try_new(&port, geometry, &limits, contiguous), account)
}

fn segments(buffer: &Buffer) -> Vec<Segment> {
    Segments::new(buffer, buffer.geometry.bytes).collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_gap_in_contiguous_pages_is_seen() {
    for gap_before in [1, 2, 3, 4] {
        let (buffer, account) = allocate(4 * PAGE_BYTES, true, 9, |account| account.gap_before = gap_before);
        let buffer = buffer.unwrap();
        let account = account.borrow();
        let pages = &account.live[&buffer.mdl().addr()].pages;
        // Behind the buffer there may be what will.
        let expected = if gap_before < 4 { 2 } else { 1 };
        assert_eq!(segments(&buffer).len(), expected, "a gap before page {gap_before}");
        assert_eq!((buffer.address(0), buffer.address(3)), (Some(pages[0]), Some(pages[3])));
        assert_eq!(buffer.address(4), None);
    }
}

#[test]
fn contiguous_memory_is_used_where_it_is_asked_for_or_nothing_else_will_do() {
    let pieces = |contiguous, segments_max, refuse| {
        let refuse = |account: &mut Account| account.refuse_contiguous = refuse;
        allocate(4 * PAGE_BYTES, contiguous, segments_max, refuse).0.map(|buffer| segments(&buffer).len())
    };
    assert_eq!(pieces(false, 9, 0), Ok(4), "the fake port's pages are no neighbours");
    assert_eq!((pieces(true, 9, 0), pieces(false, 1, 0)), (Ok(1), Ok(1)));
    assert_eq!(pieces(true, 9, 1), Ok(4), "not to be had");
    assert_eq!(pieces(true, 1, 1), Err(STATUS_INSUFFICIENT_RESOURCES), "and the card takes no pieces");
}

#[test]
fn what_the_pages_held_before_is_neither_heard_nor_seen() {
    for contiguous in [true, false] {
        // The client maps whole pages: the rest of the last one is cleared too.
        let (buffer, account) = allocate(2 * PAGE_BYTES + 400, contiguous, 9, |_| ());
        let buffer = buffer.unwrap();
        let words: Vec<u64> = account.borrow().live[&buffer.mdl().addr()].words().collect();
        assert_eq!(words, [0; 3 * 512]);
    }
}

#[test]
fn a_buffer_that_cannot_be_cleared_is_not_given_out() {
    for contiguous in [true, false] {
        let (buffer, account) = allocate(2 * PAGE_BYTES, contiguous, 9, |account| account.refuse_map = true);
        assert_eq!(buffer.err(), Some(STATUS_INSUFFICIENT_RESOURCES));
        assert!(account.borrow().live.is_empty());
    }
}

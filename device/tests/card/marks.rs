//! The mark page: what counts, when the card looks, and the handshake of a stall. DATASHEET 5.3 and 7.4. What
//! a late mark costs is in `late.rs`.
#![allow(
    clippy::cast_possible_truncation,
    clippy::decimal_bitwise_operands,
    clippy::precedence,
    reason = "test code"
)]

use crate::support::song::{PACKET, RATE, clock_of, fill_packet, lockstep};
use crate::support::{SECOND, TestCard, signal};
use ringwave_card::controller::{Config, Controller};
use ringwave_card::env::ClockMode;
use ringwave_regs::error::Error;
use ringwave_regs::pages::status::{FLAG_ENDED, FLAG_STALLED, FLAG_WRITTEN};
use ringwave_regs::pages::{self, mark};
use ringwave_regs::stream::{EOS, EOS_ARM, LOOK, STATE_ACQUIRE, STATE_PAUSE, STATE_RUN, STATE_STOP, WRITTEN};
use ringwave_trace::CardEvent;

const MARK: u32 = pages::MARK_BASE + mark::MARK;
/// 5 ms.
const LOOK_AGAIN: u64 = SECOND / 200;

/// The stream is stalled before packet 1.
fn stalled() -> TestCard {
    let mut dut = lockstep();
    dut.mark(0);
    dut.state(STATE_RUN);
    dut.run_for(SECOND / 20);
    assert_eq!((dut.status().flags & FLAG_STALLED, dut.status().waiting), (FLAG_STALLED, 1));
    dut
}

fn seen(dut: &TestCard) -> Vec<u32> {
    let mark =
        |line: &CardEvent| if let CardEvent::MarkSeen { packet, .. } = *line { Some(packet) } else { None };
    dut.trace.iter().filter_map(mark).collect()
}

fn polled(dut: &TestCard) -> u64 {
    dut.card.stats().next().unwrap().marks.polled
}

#[test]
fn a_song_is_heard_bit_for_bit_by_marks_and_looks() {
    let mut dut = lockstep();
    fill_packet(&dut, 0);
    dut.mark_and_write_look(0);
    dut.state(STATE_RUN);
    for packet in 1..50 {
        // In time, or late by 80 ms: the card waits.
        dut.run_for(if packet % 3 == 0 { SECOND / 10 } else { SECOND / 50 });
        while dut.status().packet_count < packet {
            dut.run_for(SECOND / 1000);
        }
        fill_packet(&dut, packet.into());
        if packet == 49 {
            dut.write(EOS, EOS_ARM | 4 * 123);
            dut.write(WRITTEN, 49);
        } else {
            dut.mark_and_write_look(packet);
        }
    }
    dut.run_for(SECOND);
    assert!(dut.heard == signal(0, 49 * u64::from(PACKET) + 123));
    let told = dut.card.stats().next().unwrap();
    assert_eq!((told.underruns, told.marks.polled, told.marks.seen), (Some(0), 0, 49));
    assert_eq!(seen(&dut), (0..49).collect::<Vec<_>>());
    assert!(told.stalls >= 16, "{} stalls", told.stalls);
}

#[test]
fn a_mark_in_time_needs_no_message_and_no_more_than_the_store() {
    let mut dut = lockstep();
    dut.mark(0);
    dut.state(STATE_RUN);
    let start = dut.now;
    for packet in 1..20 {
        dut.run_to(clock_of(start, u64::from(packet) * 1000) - SECOND / 1000);
        assert_eq!(dut.status().waiting, 0);
        dut.mark(packet);
    }
    dut.run_to(clock_of(start, 19_500));
    let told = dut.card.stats().next().unwrap();
    assert_eq!((dut.status().packet_count, told.stalls, told.marks.seen), (19, 0, 20));
}

#[test]
fn only_the_tag_of_the_day_counts_and_it_changes_with_stop_and_reset() {
    let mut dut = lockstep();
    let first = dut.status().mark_tag;
    assert_ne!(first, 0);
    for word in [0, u64::from(u32::MAX), mark::word(0, first - 1), mark::word(0, first + 1), mark::word(0, 0)]
    {
        dut.pages.poke(MARK, word);
        dut.write(LOOK, 0);
        assert_eq!(dut.status().flags & FLAG_WRITTEN, 0, "{word:#x}");
    }
    dut.mark(7);
    assert_eq!((dut.read(WRITTEN), dut.status().flags & FLAG_WRITTEN), (7, FLAG_WRITTEN));
    dut.state(STATE_ACQUIRE);
    dut.state(STATE_PAUSE);
    assert_eq!(dut.status().mark_tag, first);
    dut.state(STATE_STOP);
    let second = dut.status().mark_tag;
    assert!(second != first && second != 0);
    dut.state(STATE_STOP);
    assert_eq!(dut.status().mark_tag, second, "it is there already");
    dut.state(STATE_ACQUIRE);
    dut.state(STATE_PAUSE);
    assert_eq!(dut.read(WRITTEN), 0, "the mark from before STOP is nothing");
    dut.mark(3);
    dut.call(Controller::reset);
    assert_ne!(dut.status().mark_tag, second);
    dut.ready(RATE, PACKET, 2);
    assert_eq!(dut.read(WRITTEN), 0, "nor is that from before a reset");
    assert_eq!(dut.pages.u64(MARK), mark::word(3, second), "the page is the guest's");
}

#[test]
fn what_was_stored_in_stop_counts_from_acquire_on() {
    let mut dut = lockstep();
    dut.state(STATE_STOP);
    dut.mark(4);
    dut.write(LOOK, 0);
    assert_eq!((dut.read(WRITTEN), dut.status().flags), (0, 0), "not in STOP");
    dut.state(STATE_ACQUIRE);
    assert_eq!(dut.status().flags & FLAG_WRITTEN, FLAG_WRITTEN);
    assert_eq!(dut.read(WRITTEN), 4);
}

#[test]
fn the_further_of_page_and_register_counts() {
    let mut dut = lockstep();
    dut.mark(5);
    dut.write(LOOK, 0);
    dut.mark(3);
    assert_eq!(dut.read(WRITTEN), 5, "a mark never lowers the one before");
    assert_eq!(dut.refused(WRITTEN, 4), Error::BadPacket.code());
    dut.mark(6);
    assert_eq!(dut.refused(WRITTEN, 5), Error::BadPacket.code(), "it looks first");
    dut.write(WRITTEN, 8);
    assert_eq!((dut.read(WRITTEN), dut.status().error), (8, Error::BadPacket.code()));
    assert_eq!(seen(&dut), [5, 6]);
    // Over 2^32, too.
    dut.write(WRITTEN, 0x7000_0000);
    dut.mark(0xE000_0000);
    dut.write(LOOK, 0);
    dut.mark(2);
    assert_eq!(dut.read(WRITTEN), 2);
}

#[test]
fn the_card_looks_at_the_end_of_a_piece_before_it_decides() {
    let mut dut = lockstep();
    fill_packet(&dut, 0);
    fill_packet(&dut, 1);
    dut.mark(0);
    dut.state(STATE_RUN);
    let start = dut.now;
    dut.run_to(clock_of(start, 1000) - 1);
    dut.mark(1);
    dut.run_to(clock_of(start, 1500));
    assert_eq!((dut.position(), dut.card.stats().next().unwrap().stalls), (1500, 0));
}

#[test]
fn a_mark_that_is_stored_while_the_card_makes_up_its_mind_is_seen() {
    let mut dut = lockstep();
    dut.mark(0);
    dut.state(STATE_RUN);
    let start = dut.now;
    dut.run_to(clock_of(start, 1000) - 1);
    // After the look at the end of the packet, and before the one with WAITING set.
    let (looks, fences) = (dut.pages.looks.get(), dut.pages.fences.get());
    dut.pages.mark_at.set(Some((looks + 2, mark::word(1, dut.status().mark_tag))));
    dut.run_to(clock_of(start, 1000));
    assert_eq!((dut.pages.looks.get(), dut.pages.fences.get()), (looks + 2, fences + 1));
    let status = dut.status();
    assert_eq!((status.flags & FLAG_STALLED, status.waiting, status.rate), (0, 0, RATE));
    assert_eq!((seen(&dut), dut.card.stats().next().unwrap().stalls), (vec![0, 1], 0));
}

#[test]
fn waiting_stands_before_the_last_look_and_goes_with_the_stall() {
    let mut dut = stalled();
    assert!(dut.pages.fences.get() > 0);
    dut.mark_and_write_look(1);
    assert_eq!((dut.status().flags & FLAG_STALLED, dut.status().waiting), (0, 0));
    for end in [STATE_PAUSE, STATE_STOP] {
        let mut dut = stalled();
        dut.state(end);
        assert_eq!(dut.status().waiting, 0);
    }
    let mut dut = stalled();
    dut.call(Controller::reset);
    assert_eq!(dut.status().waiting, 0);
    let mut dut = stalled();
    dut.call(|card, env| card.set_d3hot(true, env));
    assert_eq!(dut.status().waiting, 0);
    let mut dut = TestCard::new(ClockMode::Realtime);
    dut.ready(RATE, PACKET, 2);
    dut.write(WRITTEN, u32::MAX);
    dut.state(STATE_RUN);
    dut.run_for(SECOND / 10);
    assert_eq!(dut.status().waiting, 0, "realtime never waits");
}

#[test]
fn what_a_guest_does_not_tell_is_found_within_5_ms_and_counted() {
    let mut dut = stalled();
    dut.mark(1);
    dut.run_for(LOOK_AGAIN + 1);
    assert_eq!(dut.status().flags & FLAG_STALLED, 0);
    assert_eq!(polled(&dut), 0, "LOOK may still be on its way");
    dut.mark(2);
    dut.run_for(SECOND / 10);
    assert_eq!((polled(&dut), seen(&dut)), (1, vec![0, 1, 2]), "it did not come");
    dut.mark(3);
    dut.run_for(LOOK_AGAIN + 1);
    dut.state(STATE_STOP);
    assert_eq!(polled(&dut), 2, "nor for this one");
}

#[test]
fn a_look_that_comes_after_the_card_has_looked_by_itself_is_no_broken_rule() {
    let mut dut = stalled();
    dut.mark(1);
    dut.run_for(LOOK_AGAIN + 1);
    dut.write(LOOK, 0);
    dut.mark(2);
    dut.run_for(SECOND / 10);
    dut.state(STATE_STOP);
    assert_eq!(polled(&dut), 0);
}

#[test]
fn a_guest_that_is_held_up_between_its_store_and_its_load_breaks_no_rule() {
    let mut dut = stalled();
    dut.mark(1);
    // Here another has its processor, for longer than the card waits until it looks unasked.
    dut.run_for(LOOK_AGAIN + 1);
    assert_eq!((dut.status().flags & FLAG_STALLED, dut.status().waiting), (0, 1), "it must be told to LOOK");
    dut.write(LOOK, 0);
    assert_eq!(dut.status().waiting, 0);
    dut.mark_and_write_look(2);
    dut.run_for(SECOND / 10);
    dut.state(STATE_STOP);
    assert_eq!((polled(&dut), dut.status().waiting), (0, 0));
}

#[test]
fn a_stalled_stream_wakes_every_5_ms_and_others_do_not_for_it() {
    let mut dut = stalled();
    let first = dut.card.next_deadline().unwrap();
    assert!(first <= dut.now + LOOK_AGAIN);
    dut.run_to(first);
    assert_eq!(dut.card.next_deadline(), Some(first + LOOK_AGAIN));
    dut.state(STATE_PAUSE);
    assert_eq!(dut.card.next_deadline(), None);
}

#[test]
fn a_store_that_comes_as_a_message_counts_at_once_whole_or_in_halves() {
    let stored = |dut: &mut TestCard, offset: u32, bytes: u64| {
        dut.call(|card, env| card.pages_stored(offset.into(), bytes, env));
    };
    let mut dut = stalled();
    dut.mark(1);
    // Beside it, and of another stream.
    for offset in [MARK - 8, MARK + 8, MARK + pages::PAGE_BYTES, 0] {
        stored(&mut dut, offset, 8);
        assert_eq!(dut.status().flags & FLAG_STALLED, FLAG_STALLED, "{offset:#x}");
    }
    stored(&mut dut, MARK, 8);
    assert_eq!(dut.status().flags & FLAG_STALLED, 0);
    // A client that splits the store: the low half is the packet, and the tag is there already.
    dut.run_for(SECOND / 20);
    dut.pages.scribble(MARK, 2);
    stored(&mut dut, MARK, 4);
    assert_eq!((seen(&dut), polled(&dut)), (vec![0, 1, 2], 0));
    // With another tag half a word is nothing, until the other half is there.
    dut.run_for(SECOND / 20);
    let tag = dut.status().mark_tag;
    dut.pages.scribble(MARK + 4, tag + 1);
    dut.pages.scribble(MARK, 3);
    stored(&mut dut, MARK, 4);
    assert_eq!(dut.status().flags & FLAG_STALLED, FLAG_STALLED);
    dut.pages.scribble(MARK + 4, tag);
    stored(&mut dut, MARK + 4, 4);
    assert_eq!((dut.status().flags & FLAG_STALLED, dut.read(WRITTEN)), (0, 3));
}

#[test]
fn in_d3hot_nothing_is_looked_at_and_after_d0_it_counts() {
    let mut dut = stalled();
    dut.call(|card, env| card.set_d3hot(true, env));
    dut.mark(1);
    dut.call(|card, env| card.pages_stored(MARK.into(), 8, env));
    dut.write(LOOK, 0);
    assert_eq!(seen(&dut), [0]);
    dut.call(|card, env| card.set_d3hot(false, env));
    dut.state(STATE_RUN);
    assert_eq!((seen(&dut), dut.status().flags & FLAG_STALLED), (vec![0, 1], 0));
}

#[test]
fn the_mark_page_ends_no_stream_and_is_not_read_after_its_end() {
    let mut dut = lockstep();
    dut.write(EOS, EOS_ARM | 4 * 100);
    dut.mark(0);
    dut.state(STATE_RUN);
    dut.run_for(SECOND / 20);
    assert_eq!((dut.position(), dut.status().flags & FLAG_ENDED), (1000, 0), "EOS waits for the register");
    dut.write(WRITTEN, 1);
    let looks = dut.pages.looks.get();
    dut.mark(9);
    dut.run_for(SECOND / 20);
    dut.write(LOOK, 0);
    assert_eq!(dut.read(WRITTEN), 1);
    assert_eq!((dut.position(), dut.status().flags & FLAG_ENDED), (1100, FLAG_ENDED));
    assert_eq!(dut.pages.looks.get(), looks);
}

#[test]
fn a_recorder_takes_packets_by_marks() {
    let mut dut =
        TestCard::with(Config { render: 0, capture: 1, clock: ClockMode::Lockstep, ..Config::default() });
    dut.ready(RATE, PACKET, 2);
    dut.state(STATE_RUN);
    for number in 0..20_u32 {
        dut.run_for(SECOND / 10);
        let status = dut.status();
        assert_eq!((status.stalled_packet, status.waiting), (number + 2, 1));
        dut.mark_and_write_look(number);
        assert_eq!(dut.status().waiting, 0);
    }
    let told = dut.card.stats().next().unwrap();
    assert_eq!((told.underruns, told.marks.seen, told.marks.polled), (Some(0), 20, 0));
}

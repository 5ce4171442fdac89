//! The mark page: what counts, when the card looks, and the handshake of a stall. DATASHEET 5.3 and 7.4. What
//! a late mark costs is in `late.rs`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::decimal_bitwise_operands,
    clippy::precedence,
    reason = "test code"
)]

mod support;

use ringwave_card::controller::{Config, Controller};
use ringwave_card::env::ClockMode;
use ringwave_regs::error::Error;
use ringwave_regs::pages::status::{FLAG_ENDED, FLAG_STALLED, FLAG_WRITTEN};
use ringwave_regs::pages::{self, mark};
use ringwave_regs::stream::{EOS, EOS_ARM, LOOK, STATE_ACQUIRE, STATE_PAUSE, STATE_RUN, STATE_STOP, WRITTEN};
use ringwave_trace::CardEvent;
use support::song::{PACKET, RATE, clock_of, fill_packet, lockstep};
use support::{Rig, SECOND, signal};

const MARK: u32 = pages::MARK_BASE + mark::MARK;
/// 5 ms.
const LOOK_AGAIN: u64 = SECOND / 200;

/// The stream is stalled before packet 1.
fn stalled() -> Rig {
    let mut rig = lockstep();
    rig.mark(0);
    rig.state(STATE_RUN);
    rig.run_for(SECOND / 20);
    assert_eq!((rig.status().flags & FLAG_STALLED, rig.status().waiting), (FLAG_STALLED, 1));
    rig
}

fn seen(rig: &Rig) -> Vec<u32> {
    let mark =
        |line: &CardEvent| if let CardEvent::MarkSeen { packet, .. } = *line { Some(packet) } else { None };
    rig.trace.iter().filter_map(mark).collect()
}

fn polled(rig: &Rig) -> u64 {
    rig.card.stats().next().unwrap().marks.polled
}

#[test]
fn a_song_is_heard_bit_for_bit_by_marks_and_looks() {
    let mut rig = lockstep();
    fill_packet(&rig, 0);
    rig.mark_and_look(0);
    rig.state(STATE_RUN);
    for packet in 1..50 {
        // In time, or late by 80 ms: the card waits.
        rig.run_for(if packet % 3 == 0 { SECOND / 10 } else { SECOND / 50 });
        while rig.status().packet_count < packet {
            rig.run_for(SECOND / 1000);
        }
        fill_packet(&rig, packet.into());
        if packet == 49 {
            rig.write(EOS, EOS_ARM | 4 * 123);
            rig.write(WRITTEN, 49);
        } else {
            rig.mark_and_look(packet);
        }
    }
    rig.run_for(SECOND);
    assert!(rig.heard == signal(0, 49 * u64::from(PACKET) + 123));
    let told = rig.card.stats().next().unwrap();
    assert_eq!((told.underruns, told.marks.polled, told.marks.seen), (Some(0), 0, 49));
    assert_eq!(seen(&rig), (0..49).collect::<Vec<_>>());
    assert!(told.stalls >= 16, "{} stalls", told.stalls);
}

#[test]
fn a_mark_in_time_needs_no_message_and_no_more_than_the_store() {
    let mut rig = lockstep();
    rig.mark(0);
    rig.state(STATE_RUN);
    let start = rig.now;
    for packet in 1..20 {
        rig.run_to(clock_of(start, u64::from(packet) * 1000) - SECOND / 1000);
        assert_eq!(rig.status().waiting, 0);
        rig.mark(packet);
    }
    rig.run_to(clock_of(start, 19_500));
    let told = rig.card.stats().next().unwrap();
    assert_eq!((rig.status().packet_count, told.stalls, told.marks.seen), (19, 0, 20));
}

#[test]
fn only_the_tag_of_the_day_counts_and_it_changes_with_stop_and_reset() {
    let mut rig = lockstep();
    let first = rig.status().mark_tag;
    assert_ne!(first, 0);
    for word in [0, u64::from(u32::MAX), mark::word(0, first - 1), mark::word(0, first + 1), mark::word(0, 0)]
    {
        rig.pages.poke(MARK, word);
        rig.write(LOOK, 0);
        assert_eq!(rig.status().flags & FLAG_WRITTEN, 0, "{word:#x}");
    }
    rig.mark(7);
    assert_eq!((rig.read(WRITTEN), rig.status().flags & FLAG_WRITTEN), (7, FLAG_WRITTEN));
    rig.state(STATE_ACQUIRE);
    rig.state(STATE_PAUSE);
    assert_eq!(rig.status().mark_tag, first);
    rig.state(STATE_STOP);
    let second = rig.status().mark_tag;
    assert!(second != first && second != 0);
    rig.state(STATE_STOP);
    assert_eq!(rig.status().mark_tag, second, "it is there already");
    rig.state(STATE_ACQUIRE);
    rig.state(STATE_PAUSE);
    assert_eq!(rig.read(WRITTEN), 0, "the mark from before STOP is nothing");
    rig.mark(3);
    rig.call(Controller::reset);
    assert_ne!(rig.status().mark_tag, second);
    rig.ready(RATE, PACKET, 2);
    assert_eq!(rig.read(WRITTEN), 0, "nor is that from before a reset");
    assert_eq!(rig.pages.u64(MARK), mark::word(3, second), "the page is the guest's");
}

#[test]
fn what_was_stored_in_stop_counts_from_acquire_on() {
    let mut rig = lockstep();
    rig.state(STATE_STOP);
    rig.mark(4);
    rig.write(LOOK, 0);
    assert_eq!((rig.read(WRITTEN), rig.status().flags), (0, 0), "not in STOP");
    rig.state(STATE_ACQUIRE);
    assert_eq!(rig.status().flags & FLAG_WRITTEN, FLAG_WRITTEN);
    assert_eq!(rig.read(WRITTEN), 4);
}

#[test]
fn the_further_of_page_and_register_counts() {
    let mut rig = lockstep();
    rig.mark(5);
    rig.write(LOOK, 0);
    rig.mark(3);
    assert_eq!(rig.read(WRITTEN), 5, "a mark never lowers the one before");
    assert_eq!(rig.refused(WRITTEN, 4), Error::BadPacket.code());
    rig.mark(6);
    assert_eq!(rig.refused(WRITTEN, 5), Error::BadPacket.code(), "it looks first");
    rig.write(WRITTEN, 8);
    assert_eq!((rig.read(WRITTEN), rig.status().error), (8, Error::BadPacket.code()));
    assert_eq!(seen(&rig), [5, 6]);
    // Over 2^32, too.
    rig.write(WRITTEN, 0x7000_0000);
    rig.mark(0xE000_0000);
    rig.write(LOOK, 0);
    rig.mark(2);
    assert_eq!(rig.read(WRITTEN), 2);
}

#[test]
fn the_card_looks_at_the_end_of_a_piece_before_it_decides() {
    let mut rig = lockstep();
    fill_packet(&rig, 0);
    fill_packet(&rig, 1);
    rig.mark(0);
    rig.state(STATE_RUN);
    let start = rig.now;
    rig.run_to(clock_of(start, 1000) - 1);
    rig.mark(1);
    rig.run_to(clock_of(start, 1500));
    assert_eq!((rig.position(), rig.card.stats().next().unwrap().stalls), (1500, 0));
}

#[test]
fn a_mark_that_is_stored_while_the_card_makes_up_its_mind_is_seen() {
    let mut rig = lockstep();
    rig.mark(0);
    rig.state(STATE_RUN);
    let start = rig.now;
    rig.run_to(clock_of(start, 1000) - 1);
    // After the look at the end of the packet, and before the one with WAITING set.
    let (looks, fences) = (rig.pages.looks.get(), rig.pages.fences.get());
    rig.pages.mark_at.set(Some((looks + 2, mark::word(1, rig.status().mark_tag))));
    rig.run_to(clock_of(start, 1000));
    assert_eq!((rig.pages.looks.get(), rig.pages.fences.get()), (looks + 2, fences + 1));
    let status = rig.status();
    assert_eq!((status.flags & FLAG_STALLED, status.waiting, status.rate), (0, 0, RATE));
    assert_eq!((seen(&rig), rig.card.stats().next().unwrap().stalls), (vec![0, 1], 0));
}

#[test]
fn waiting_stands_before_the_last_look_and_goes_with_the_stall() {
    let mut rig = stalled();
    assert!(rig.pages.fences.get() > 0);
    rig.mark_and_look(1);
    assert_eq!((rig.status().flags & FLAG_STALLED, rig.status().waiting), (0, 0));
    for end in [STATE_PAUSE, STATE_STOP] {
        let mut rig = stalled();
        rig.state(end);
        assert_eq!(rig.status().waiting, 0);
    }
    let mut rig = stalled();
    rig.call(Controller::reset);
    assert_eq!(rig.status().waiting, 0);
    let mut rig = stalled();
    rig.call(|card, env| card.set_d3hot(true, env));
    assert_eq!(rig.status().waiting, 0);
    let mut rig = Rig::new(ClockMode::Realtime);
    rig.ready(RATE, PACKET, 2);
    rig.write(WRITTEN, u32::MAX);
    rig.state(STATE_RUN);
    rig.run_for(SECOND / 10);
    assert_eq!((rig.status().waiting, rig.pages.fences.get()), (0, 0), "realtime never waits");
}

#[test]
fn what_a_guest_does_not_tell_is_found_within_5_ms_and_counted() {
    let mut rig = stalled();
    rig.mark(1);
    rig.run_for(LOOK_AGAIN + 1);
    assert_eq!(rig.status().flags & FLAG_STALLED, 0);
    assert_eq!(polled(&rig), 0, "LOOK may still be on its way");
    rig.mark(2);
    rig.run_for(SECOND / 10);
    assert_eq!((polled(&rig), seen(&rig)), (1, vec![0, 1, 2]), "it did not come");
    rig.mark(3);
    rig.run_for(LOOK_AGAIN + 1);
    rig.state(STATE_STOP);
    assert_eq!(polled(&rig), 2, "nor for this one");
}

#[test]
fn a_look_that_comes_after_the_card_has_looked_by_itself_is_no_broken_rule() {
    let mut rig = stalled();
    rig.mark(1);
    rig.run_for(LOOK_AGAIN + 1);
    rig.write(LOOK, 0);
    rig.mark(2);
    rig.run_for(SECOND / 10);
    rig.state(STATE_STOP);
    assert_eq!(polled(&rig), 0);
}

#[test]
fn a_guest_that_is_held_up_between_its_store_and_its_load_breaks_no_rule() {
    let mut rig = stalled();
    rig.mark(1);
    // Here another has its processor, for longer than the card waits until it looks unasked.
    rig.run_for(LOOK_AGAIN + 1);
    assert_eq!((rig.status().flags & FLAG_STALLED, rig.status().waiting), (0, 1), "it must be told to LOOK");
    rig.write(LOOK, 0);
    assert_eq!(rig.status().waiting, 0);
    rig.mark_and_look(2);
    rig.run_for(SECOND / 10);
    rig.state(STATE_STOP);
    assert_eq!((polled(&rig), rig.status().waiting), (0, 0));
}

#[test]
fn a_stalled_stream_wakes_every_5_ms_and_others_do_not_for_it() {
    let mut rig = stalled();
    let first = rig.card.next_deadline().unwrap();
    assert!(first <= rig.now + LOOK_AGAIN);
    rig.run_to(first);
    assert_eq!(rig.card.next_deadline(), Some(first + LOOK_AGAIN));
    rig.state(STATE_PAUSE);
    assert_eq!(rig.card.next_deadline(), None);
}

#[test]
fn a_store_that_comes_as_a_message_counts_at_once_whole_or_in_halves() {
    let stored = |rig: &mut Rig, offset: u32, bytes: u64| {
        rig.call(|card, env| card.pages_stored(offset.into(), bytes, env));
    };
    let mut rig = stalled();
    rig.mark(1);
    // Beside it, and of another stream.
    for offset in [MARK - 8, MARK + 8, MARK + pages::PAGE_BYTES, 0] {
        stored(&mut rig, offset, 8);
        assert_eq!(rig.status().flags & FLAG_STALLED, FLAG_STALLED, "{offset:#x}");
    }
    stored(&mut rig, MARK, 8);
    assert_eq!(rig.status().flags & FLAG_STALLED, 0);
    // A client that splits the store: the low half is the packet, and the tag is there already.
    rig.run_for(SECOND / 20);
    rig.pages.scribble(MARK, 2);
    stored(&mut rig, MARK, 4);
    assert_eq!((seen(&rig), polled(&rig)), (vec![0, 1, 2], 0));
    // With another tag half a word is nothing, until the other half is there.
    rig.run_for(SECOND / 20);
    let tag = rig.status().mark_tag;
    rig.pages.scribble(MARK + 4, tag + 1);
    rig.pages.scribble(MARK, 3);
    stored(&mut rig, MARK, 4);
    assert_eq!(rig.status().flags & FLAG_STALLED, FLAG_STALLED);
    rig.pages.scribble(MARK + 4, tag);
    stored(&mut rig, MARK + 4, 4);
    assert_eq!((rig.status().flags & FLAG_STALLED, rig.read(WRITTEN)), (0, 3));
}

#[test]
fn in_d3hot_nothing_is_looked_at_and_after_d0_it_counts() {
    let mut rig = stalled();
    rig.call(|card, env| card.set_d3hot(true, env));
    rig.mark(1);
    rig.call(|card, env| card.pages_stored(MARK.into(), 8, env));
    rig.write(LOOK, 0);
    assert_eq!(seen(&rig), [0]);
    rig.call(|card, env| card.set_d3hot(false, env));
    rig.state(STATE_RUN);
    assert_eq!((seen(&rig), rig.status().flags & FLAG_STALLED), (vec![0, 1], 0));
}

#[test]
fn the_mark_page_ends_no_stream_and_is_not_read_after_its_end() {
    let mut rig = lockstep();
    rig.write(EOS, EOS_ARM | 4 * 100);
    rig.mark(0);
    rig.state(STATE_RUN);
    rig.run_for(SECOND / 20);
    assert_eq!((rig.position(), rig.status().flags & FLAG_ENDED), (1000, 0), "EOS waits for the register");
    rig.write(WRITTEN, 1);
    let looks = rig.pages.looks.get();
    rig.mark(9);
    rig.run_for(SECOND / 20);
    rig.write(LOOK, 0);
    assert_eq!(rig.read(WRITTEN), 1);
    assert_eq!((rig.position(), rig.status().flags & FLAG_ENDED), (1100, FLAG_ENDED));
    assert_eq!(rig.pages.looks.get(), looks);
}

#[test]
fn a_recorder_takes_packets_by_marks() {
    let mut rig =
        Rig::with(Config { render: 0, capture: 1, clock: ClockMode::Lockstep, ..Config::default() });
    rig.ready(RATE, PACKET, 2);
    rig.state(STATE_RUN);
    for number in 0..20_u32 {
        rig.run_for(SECOND / 10);
        let status = rig.status();
        assert_eq!((status.stalled_packet, status.waiting), (number + 2, 1));
        rig.mark_and_look(number);
        assert_eq!(rig.status().waiting, 0);
    }
    let told = rig.card.stats().next().unwrap();
    assert_eq!((told.underruns, told.marks.seen, told.marks.polled), (Some(0), 20, 0));
}

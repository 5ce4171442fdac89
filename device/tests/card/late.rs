//! What a late mark costs, and how early marks are said to have come. DATASHEET 5.2 and 5.4.
#![allow(
    clippy::cast_possible_truncation,
    clippy::decimal_bitwise_operands,
    clippy::precedence,
    reason = "test code"
)]

use crate::support::song::{PACKET, RATE, clock_of, fill_packet};
use crate::support::{RAM, SECOND, TestCard, signal};
use ringwave_card::controller::Config;
use ringwave_card::env::ClockMode;
use ringwave_engine::stream::stats::MarkStats;
use ringwave_regs::pages::{self, mark};
use ringwave_regs::stream::{EOS, EOS_ARM, FIFO_FRAMES, STATE_PAUSE, STATE_RUN, WRITTEN};
use ringwave_trace::{CardEvent, Diagnostic};

/// A millisecond at 44.1 kHz, in frames.
const MS: u64 = 44;

fn realtime() -> TestCard {
    let mut dut = TestCard::new(ClockMode::Realtime);
    dut.ready(RATE, PACKET, 2);
    fill_packet(&dut, 0);
    fill_packet(&dut, 1);
    dut
}

/// Lengths of the transfers, in frames.
fn reads(dut: &TestCard) -> Vec<u64> {
    let read =
        |line: &CardEvent| if let CardEvent::Read { bytes, .. } = *line { Some(bytes / 4) } else { None };
    dut.trace.iter().filter_map(read).collect()
}

fn marks(dut: &TestCard) -> MarkStats {
    dut.card.stats().next().unwrap().marks.clone()
}

#[test]
fn half_a_packet_late_is_half_a_packet_of_silence_within_a_millisecond() {
    for late in [0, 1, 10, 44, 45, 250, 499, 500, 501, 900, 999] {
        for by_page in [true, false] {
            let mut dut = realtime();
            dut.mark(0);
            dut.state(STATE_RUN);
            let start = dut.now;
            dut.run_to(clock_of(start, 1000 + late) + 1);
            if by_page {
                dut.mark(1);
            } else {
                dut.write(WRITTEN, 1);
            }
            dut.run_to(clock_of(start, 2000) - 1);
            dut.state(STATE_PAUSE);
            let silence = dut.status().silence_frames;
            assert!((late..=late + MS).contains(&silence), "{silence} for {late}");
            assert_eq!(
                silence,
                ((late / MS + 1) * MS).min(999),
                "to the end of the millisecond in which it came"
            );
            assert!(dut.heard[4000..].iter().take(4 * silence as usize).all(|byte| *byte == 0));
            let rest = signal(1000 + silence, 999 - silence);
            assert!(dut.heard[4 * (1000 + silence as usize)..] == rest, "the rest is heard in its place");
            assert_eq!(dut.status().underruns, 1);
            assert_eq!(dut.notes, [Diagnostic::Underrun { stream: 0, packet: 1 }], "told once");
            assert_eq!((marks(&dut).late, dut.messages), (1, 0));
        }
    }
}

/// A guest that stores its mark and then reads a count that does not say that the packet has begun is in
/// time, however long the card was held up between its look and its page.
#[test]
fn a_packet_is_late_only_for_a_guest_that_could_see_that_it_had_begun() {
    for look in 1..=3 {
        let mut dut = realtime();
        dut.mark(0);
        dut.state(STATE_RUN);
        let start = dut.now;
        dut.run_to(clock_of(start, 1000) - 1);
        let looks = dut.pages.looks.get();
        dut.pages.mark_at.set(Some((looks + look, mark::word(1, dut.status().mark_tag))));
        dut.run_to(clock_of(start, 1500));
        let begun = dut.pages.count_at_mark.get() == 1;
        let silence = dut.status().silence_frames;
        assert_eq!((begun, silence), [(false, 0), (true, 0), (true, MS)][look as usize - 1], "look {look}");
    }
}

#[test]
fn a_packet_that_never_comes_is_silent_to_its_end_and_the_next_is_whole() {
    let mut dut = realtime();
    dut.mark(0);
    dut.state(STATE_RUN);
    let start = dut.now;
    dut.run_to(clock_of(start, 1990));
    fill_packet(&dut, 2);
    // Packet 2 is marked while packet 1 is late: 1 is marked with it, and its last frames are silent already.
    dut.mark(2);
    dut.run_to(clock_of(start, 3000));
    let status = dut.status();
    assert_eq!((status.silence_frames, status.underruns, status.packet_count), (1000, 2, 3));
    assert!(dut.heard[8000..] == signal(2000, 1000));
}

#[test]
fn a_late_packet_that_is_passed_over_plays_nothing_that_is_older() {
    for by_page in [true, false] {
        let mut dut = realtime();
        dut.mark(1);
        dut.state(STATE_RUN);
        let start = dut.now;
        dut.run_to(clock_of(start, 2200));
        // Packet 2 is late, frame 0 and on stand in its place; the client goes on with 3.
        fill_packet(&dut, 3);
        if by_page {
            dut.mark(3);
        } else {
            dut.write(WRITTEN, 3);
        }
        dut.run_to(clock_of(start, 3999));
        dut.state(STATE_PAUSE);
        let status = dut.status();
        assert_eq!((status.silence_frames, status.underruns), (1000, 1));
        assert!(dut.heard[..8000] == signal(0, 2000));
        assert!(dut.heard[8000..12_000].iter().all(|byte| *byte == 0), "not packet 0 again");
        assert!(dut.heard[12_000..] == signal(3000, 999));
        assert_eq!(marks(&dut).late, 0, "it was never marked");
    }
}

#[test]
fn the_last_packet_may_be_one_that_was_passed_over() {
    let mut dut = realtime();
    dut.mark(0);
    dut.state(STATE_RUN);
    let start = dut.now;
    dut.run_to(clock_of(start, 1060));
    dut.mark(2);
    dut.run_to(clock_of(start, 1100));
    dut.write(EOS, EOS_ARM | 4 * 900);
    dut.write(WRITTEN, 1);
    dut.run_for(SECOND);
    assert_eq!(dut.position(), 1900);
    assert!(dut.status().silence_frames < 900, "what is valid of it is heard from the next burst on");
}

#[test]
fn each_late_packet_is_one_underrun() {
    let mut dut = realtime();
    dut.mark(u32::MAX);
    dut.state(STATE_RUN);
    let start = dut.now;
    dut.run_to(clock_of(start, 4500));
    assert_eq!(dut.status().underruns, 5);
    assert!(reads(&dut).is_empty(), "nothing is fetched that was not promised");
    dut.mark(4);
    dut.run_to(clock_of(start, 4999));
    assert_eq!((dut.status().underruns, marks(&dut).late), (5, 1));
}

#[test]
fn pieces_are_as_long_as_what_is_known_of_their_packet() {
    // 10 ms of a packet that is WRITTEN, and its rest.
    let mut dut = realtime();
    dut.mark(0);
    dut.state(STATE_RUN);
    let start = dut.now;
    dut.run_to(clock_of(start, 999));
    assert_eq!(reads(&dut), [441, 441, 118]);
    // A packet of up to 10 ms whole: one wake.
    let mut dut = TestCard::new(ClockMode::Realtime);
    dut.ready(48_000, 480, 2);
    dut.mark(0);
    dut.state(STATE_RUN);
    assert_eq!(dut.card.next_deadline(), Some(dut.now + SECOND / 100));
    assert_eq!(dut.read(FIFO_FRAMES), 96, "of an unmarked stream");
    // Unmarked: 2 ms, and what is stored behind the burst is heard.
    let mut dut = realtime();
    dut.memory.poke(RAM, &[0; 4000]);
    dut.state(STATE_RUN);
    let start = dut.now;
    dut.run_to(clock_of(start, 100));
    dut.fill(RAM, 0, 1000);
    dut.run_to(clock_of(start, 264));
    assert!(reads(&dut)[..3] == [88, 88, 88]);
    assert!(dut.heard[4 * 176..] == signal(176, 88));
    // The burst in which it is first marked is played to its end; then nothing is known of its packet but
    // that it was not promised.
    dut.mark(u32::MAX);
    dut.run_to(clock_of(start, 352));
    assert_eq!(dut.status().underruns, 1);
    assert_eq!(dut.card.next_deadline(), Some(clock_of(start, 352 + MS)));
    assert!(dut.heard[4 * 264..] == signal(264, 88));
}

#[test]
fn a_late_last_packet_ends_at_its_last_valid_frame() {
    let mut dut = realtime();
    dut.mark(0);
    dut.state(STATE_RUN);
    let start = dut.now;
    dut.run_to(clock_of(start, 1060));
    dut.write(EOS, EOS_ARM | 4 * 70);
    dut.write(WRITTEN, 1);
    dut.run_for(SECOND);
    // The second burst of silence, 44 to 88, is cut.
    assert_eq!((dut.position(), dut.status().silence_frames, dut.status().underruns), (1070, 70, 1));
}

/// Runs a packet at a time; the mark of packet n is stored `early` frames before it begins, with its clock or
/// without.
fn early(dut: &mut TestCard, early: &[u64], told: bool) {
    dut.mark(0);
    dut.state(STATE_RUN);
    let start = dut.now;
    for (packet, &frames) in (1..).zip(early) {
        dut.now = clock_of(start, u64::from(packet) * 1000 - frames);
        let clock = if told { dut.now } else { 0 };
        dut.pages.poke(pages::MARK_BASE + mark::MARK_CLOCK, clock);
        dut.mark(packet);
        dut.run_to(clock_of(start, u64::from(packet) * 1000));
    }
}

#[test]
fn margins_are_from_the_mark_to_the_moment_its_packet_begins() {
    let mut dut = realtime();
    // 20.4, 9.1, 2.3 and 0.09 ms.
    early(&mut dut, &[900, 401, 101, 4], true);
    let marks = marks(&dut);
    assert_eq!((marks.seen, marks.late, marks.polled), (5, 0, 0));
    assert_eq!(marks.margins, [1, 0, 0, 0, 1, 1, 0, 1], "of packet 0 nothing was told");
    assert!((90_000..91_000).contains(&marks.least.unwrap()), "{marks:?}");
}

#[test]
fn a_mark_clock_is_bounded_by_the_cards_own_looks() {
    let mut dut = realtime();
    dut.mark(0);
    dut.state(STATE_RUN);
    let start = dut.now;
    // Long ago, and in the future: between the look at 882 and the one at 1000 it was.
    for (packet, clock) in [(1, 1), (2, u64::MAX)] {
        dut.run_to(clock_of(start, u64::from(packet) * 1000 - 50));
        dut.pages.poke(pages::MARK_BASE + mark::MARK_CLOCK, clock);
        dut.mark(packet);
        dut.run_to(clock_of(start, u64::from(packet) * 1000));
    }
    let marks = marks(&dut);
    assert_eq!(marks.margins[4], 1, "118 frames, 2.7 ms: {marks:?}");
    assert_eq!(marks.least, Some(0));
}

#[test]
fn marks_without_a_clock_are_not_guessed_at_and_late_ones_are_negative() {
    let mut dut = realtime();
    early(&mut dut, &[900, 100], false);
    assert_eq!(marks(&dut).margins[1..], [0; 7], "{:?}", marks(&dut));
    // WRITTEN says itself when it was.
    let start = dut.now - clock_of(0, 2000);
    dut.run_to(clock_of(start, 3500));
    dut.write(WRITTEN, 3);
    let marks = marks(&dut);
    let late = (SECOND * 500 / u64::from(RATE)).cast_signed();
    assert_eq!(marks.late, 1);
    assert!(marks.least.unwrap().abs_diff(-late) < 2, "{marks:?}");
}

#[test]
fn a_recorder_that_takes_too_late_is_told_as_lost_and_by_how_much() {
    let config = Config { render: 0, capture: 1, clock: ClockMode::Realtime, ..Config::default() };
    let mut dut = TestCard::with(config);
    dut.ready(RATE, PACKET, 2);
    dut.mark(u32::MAX);
    dut.state(STATE_RUN);
    let start = dut.now;
    dut.run_to(clock_of(start, 2500));
    dut.mark(0);
    dut.run_to(clock_of(start, 2999));
    let told = dut.card.stats().next().unwrap().clone();
    assert_eq!((told.underruns, told.silence_frames, told.marks.late), (Some(1), 1000, 1));
}

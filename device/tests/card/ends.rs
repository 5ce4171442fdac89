//! How a stream ends and starts: end of stream, START, power, reset, and a host that fails. DATASHEET 5.5,
//! 5.6, 2.
#![allow(
    clippy::cast_possible_truncation,
    clippy::decimal_bitwise_operands,
    clippy::precedence,
    reason = "test code"
)]

use crate::support;
use crate::support::song::{PACKET, RATE, clock_of, fill_packet, lockstep};
use crate::support::{RAM, SECOND, TestCard, signal};
use ringwave_card::env::ClockMode;
use ringwave_regs::error::Error;
use ringwave_regs::pages::status::{FLAG_ENDED, FLAG_STALLED};
use ringwave_regs::stream::{
    EOS, EOS_ARM, PACKET_COUNT, START_FRAME_HI, START_FRAME_LO, START_PACKET, STATE, STATE_ACQUIRE,
    STATE_PAUSE, STATE_RUN, STATE_STOP, WRITTEN,
};
use ringwave_trace::CardEvent;

#[test]
fn end_of_stream_in_the_middle_fetches_nothing_behind_the_last_valid_frame() {
    let mut dut = lockstep();
    fill_packet(&dut, 0);
    dut.write(EOS, EOS_ARM | 4 * 500);
    dut.write(WRITTEN, 0);
    assert_eq!(dut.refused(WRITTEN, 1), Error::BadState.code());
    assert_eq!(dut.refused(EOS, EOS_ARM), Error::BadState.code());
    dut.state(STATE_RUN);
    let start = dut.now;
    dut.run_for(SECOND);
    let status = dut.status();
    assert_eq!(dut.heard, signal(0, 500));
    assert_eq!((status.packet_count, status.packet_end), (1, (clock_of(start, 500), 500)));
    assert_eq!((status.anchor, status.rate), ((clock_of(start, 500), 500), 0));
    assert_eq!(status.flags & FLAG_ENDED, FLAG_ENDED);
    let furthest = dut.trace.iter().filter_map(|line| {
        if let CardEvent::Read { address, bytes, .. } = line { Some(address + bytes) } else { None }
    });
    assert_eq!(furthest.max(), Some(RAM + 2000));
    // It stays so until STOP.
    dut.state(STATE_PAUSE);
    dut.state(STATE_RUN);
    dut.run_for(SECOND);
    assert_eq!((dut.position(), dut.status().flags & FLAG_ENDED), (500, FLAG_ENDED));
    dut.state(STATE_STOP);
    assert_eq!((dut.read(EOS), dut.status().flags), (0, 0));
}

#[test]
fn end_of_stream_of_length_zero_is_complete_when_its_turn_comes() {
    let mut dut = lockstep();
    fill_packet(&dut, 0);
    dut.write(WRITTEN, 0);
    dut.state(STATE_RUN);
    dut.write(EOS, EOS_ARM);
    dut.write(WRITTEN, 1);
    let start = dut.now;
    dut.run_for(SECOND);
    assert_eq!(dut.heard, signal(0, 1000));
    let status = dut.status();
    assert_eq!((status.packet_count, status.events), (2, 2));
    assert_eq!((status.flags & FLAG_ENDED, status.anchor), (FLAG_ENDED, (clock_of(start, 1000), 1000)));
}

#[test]
fn end_of_stream_of_a_full_packet_completes_it_once() {
    let mut dut = lockstep();
    dut.write(EOS, EOS_ARM | 4000);
    dut.write(WRITTEN, 0);
    dut.state(STATE_RUN);
    dut.run_for(SECOND);
    let status = dut.status();
    assert_eq!((status.packet_count, status.events, dut.heard.len()), (1, 1, 4000));
    assert_eq!(status.flags & (FLAG_ENDED | FLAG_STALLED), FLAG_ENDED);
}

#[test]
fn a_late_end_of_stream_ends_at_its_frame_or_at_once() {
    for (at, valid, heard, count) in
        [(300, 400, 400, 1), (300, 200, 300, 1), (300, 0, 300, 1), (1200, 500, 1200, 1)]
    {
        let mut dut = TestCard::new(ClockMode::Realtime);
        dut.ready(RATE, PACKET, 2);
        dut.state(STATE_RUN);
        let start = dut.now;
        dut.run_to(clock_of(start, at));
        dut.write(EOS, EOS_ARM | 4 * valid);
        dut.write(WRITTEN, 0);
        dut.run_for(SECOND);
        let status = dut.status();
        assert_eq!(dut.heard.len(), heard * 4, "EOS {valid} at {at}");
        assert_eq!((status.packet_count, status.flags & FLAG_ENDED, status.rate), (count, FLAG_ENDED, 0));
        assert_eq!(dut.position(), heard as u64);
    }
}

#[test]
fn start_frame_resumes_in_the_middle_of_a_packet() {
    let mut dut = lockstep();
    fill_packet(&dut, 7);
    dut.write(START_FRAME_LO, 7300);
    dut.write(START_PACKET, 6);
    dut.write(WRITTEN, 7);
    assert_eq!(dut.state_refused(STATE_RUN), Error::BadStart.code());
    dut.write(START_PACKET, 7);
    dut.state(STATE_RUN);
    assert_eq!((dut.position(), dut.read(PACKET_COUNT)), (7300, 7));
    assert_eq!((dut.read(START_FRAME_LO), dut.read(START_PACKET)), (0, 0), "taken once");
    assert_eq!(dut.status().anchor, (dut.now, 7300));
    dut.run_for(SECOND);
    assert_eq!(dut.heard, signal(7300, 700));
    assert_eq!((dut.status().packet_count, dut.status().stalled_packet), (8, 8));
    // A second RUN goes on from where it stands.
    dut.state(STATE_PAUSE);
    dut.state(STATE_RUN);
    assert_eq!(dut.position(), 8000);
}

#[test]
fn start_frame_far_away_wraps_the_packet_number() {
    let mut dut = lockstep();
    let packet = (1_u64 << 32) + 3;
    let frame = packet * 1000;
    dut.write(START_FRAME_LO, (frame & 0xFFFF_FFFF) as u32);
    dut.write(START_FRAME_HI, (frame >> 32) as u32);
    dut.write(START_PACKET, 3);
    dut.write(WRITTEN, 4);
    dut.state(STATE_RUN);
    dut.run_for(SECOND);
    assert_eq!((dut.position(), dut.status().stalled_packet), (frame + 2000, 5));
    assert_eq!(dut.read(PACKET_COUNT), 5);
    dut.state(STATE_STOP);
    dut.state(STATE_ACQUIRE);
    dut.write(START_FRAME_HI, u32::MAX);
    dut.state(STATE_PAUSE);
    assert_eq!(dut.state_refused(STATE_RUN), Error::BadStart.code(), "beyond what a position can hold");
}

#[test]
fn d3hot_pauses_and_keeps_everything() {
    let mut dut = lockstep();
    fill_packet(&dut, 0);
    dut.write(WRITTEN, 0);
    dut.state(STATE_RUN);
    let start = dut.now;
    dut.now = clock_of(start, 300);
    dut.call(|card, env| card.set_d3hot(true, env));
    assert_eq!(dut.read(STATE), u32::MAX);
    dut.write(STATE, STATE_STOP);
    dut.run_for(SECOND);
    dut.call(|card, env| card.set_d3hot(false, env));
    assert_eq!((dut.read(STATE), dut.position(), dut.read(WRITTEN)), (STATE_PAUSE, 300, 0));
    assert_eq!(dut.heard, signal(0, 300));
    dut.state(STATE_RUN);
    dut.run_for(SECOND);
    assert_eq!(dut.heard, signal(0, 1000));
}

#[test]
fn reset_in_run_leaves_nothing_behind_but_the_epoch() {
    let mut dut = lockstep();
    dut.write(WRITTEN, 5);
    dut.state(STATE_RUN);
    dut.run_for(SECOND / 20);
    let before = dut.status();
    dut.set(ringwave_regs::global::CONTROL, ringwave_regs::global::CONTROL_RESET);
    let status = dut.status();
    assert_eq!(status.epoch, before.epoch + 1);
    assert_eq!(
        status,
        support::Status {
            epoch: status.epoch,
            rate_den: 1_000_000_000,
            mark_tag: before.mark_tag + 1,
            ..support::Status::default()
        }
    );
    assert_eq!(dut.get(ringwave_regs::global::INT_STATUS), 0);
    assert_eq!((dut.read(ringwave_regs::stream::RATE), dut.read(STATE)), (0, 0));
    assert_eq!(dut.stops, 1);
    dut.run_for(SECOND);
    assert_eq!((dut.messages, dut.card.next_deadline()), (0, None));
}

#[test]
fn a_failing_host_is_an_error_and_not_a_stop() {
    let mut dut = lockstep();
    dut.write(WRITTEN, 5);
    dut.state(STATE_RUN);
    dut.call(|card, env| card.host_failed(0, env));
    assert_eq!((dut.messages, dut.status().error, dut.status().events), (1, Error::Host.code(), 1));
    assert_eq!(dut.read(STATE), STATE_RUN);
    dut.call(|card, env| card.host_failed(99, env));
}

#[test]
fn what_was_played_before_a_reset_is_heard() {
    let mut dut = lockstep();
    fill_packet(&dut, 0);
    dut.write(WRITTEN, 0);
    dut.state(STATE_RUN);
    let start = dut.now;
    dut.now = clock_of(start, 700);
    dut.set(ringwave_regs::global::CONTROL, ringwave_regs::global::CONTROL_RESET);
    assert_eq!(dut.heard, signal(0, 700));
}

#[test]
fn stop_clears_the_clocks_of_the_last_packet() {
    let mut dut = lockstep();
    dut.write(WRITTEN, 0);
    dut.state(STATE_RUN);
    dut.run_for(SECOND);
    assert_ne!(dut.status().packet_end, (0, 0));
    dut.state(STATE_STOP);
    assert_eq!((dut.status().packet_end, dut.status().packet_start), ((0, 0), 0));
}

#[test]
fn a_failing_host_is_told_once_until_stop() {
    let mut dut = lockstep();
    for round in 1..=2 {
        dut.write(WRITTEN, 5);
        dut.state(STATE_RUN);
        for _ in 0..3 {
            dut.call(|card, env| card.host_failed(0, env));
        }
        assert_eq!(dut.status().events, round);
        dut.state(STATE_STOP);
        dut.state(STATE_ACQUIRE);
        dut.state(STATE_PAUSE);
    }
}

#[test]
fn start_into_a_packet_that_was_silent_decides_anew() {
    let mut dut = TestCard::new(ClockMode::Realtime);
    dut.ready(RATE, PACKET, 2);
    fill_packet(&dut, 0);
    dut.write(WRITTEN, u32::MAX);
    dut.state(STATE_RUN);
    dut.run_for(SECOND / 100);
    dut.state(STATE_PAUSE);
    assert_eq!((dut.silence, dut.status().underruns), (441, 1));
    dut.write(WRITTEN, 0);
    dut.write(START_FRAME_LO, 100);
    dut.heard.clear();
    dut.state(STATE_RUN);
    dut.run_for(SECOND / 100);
    dut.state(STATE_PAUSE);
    assert_eq!(dut.heard, signal(100, 441));
}

#[test]
fn run_looks_at_bus_master_enable_first_then_at_start() {
    let mut dut = lockstep();
    dut.write(START_PACKET, 9);
    dut.card.set_bus_master(false);
    assert_eq!(dut.state_refused(STATE_RUN), Error::BusMasterOff.code());
    dut.card.set_bus_master(true);
    dut.memory.unmap(RAM);
    assert_eq!(dut.state_refused(STATE_RUN), Error::BadStart.code());
    dut.write(START_PACKET, 0);
    assert_eq!(dut.state_refused(STATE_RUN), Error::DmaUnmapped.code());
}

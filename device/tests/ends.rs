//! How a stream ends and starts: end of stream, START, power, reset, and a host that fails. DATASHEET 5.5,
//! 5.6, 2.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::decimal_bitwise_operands,
    clippy::precedence,
    reason = "test code"
)]

mod support;

use ringwave_card::env::ClockMode;
use ringwave_regs::error::Error;
use ringwave_regs::pages::status::{FLAG_ENDED, FLAG_STALLED};
use ringwave_regs::stream::{
    EOS, EOS_ARM, PACKET_COUNT, START_FRAME_HI, START_FRAME_LO, START_PACKET, STATE, STATE_ACQUIRE,
    STATE_PAUSE, STATE_RUN, STATE_STOP, WRITTEN,
};
use ringwave_trace::CardEvent;
use support::song::{PACKET, RATE, clock_of, fill_packet, lockstep};
use support::{RAM, Rig, SECOND, signal};

#[test]
fn end_of_stream_in_the_middle_fetches_nothing_behind_the_last_valid_frame() {
    let mut rig = lockstep();
    fill_packet(&rig, 0);
    rig.write(EOS, EOS_ARM | 4 * 500);
    rig.write(WRITTEN, 0);
    assert_eq!(rig.refused(WRITTEN, 1), Error::BadState.code());
    assert_eq!(rig.refused(EOS, EOS_ARM), Error::BadState.code());
    rig.state(STATE_RUN);
    let start = rig.now;
    rig.run_for(SECOND);
    let status = rig.status();
    assert_eq!(rig.heard, signal(0, 500));
    assert_eq!((status.packet_count, status.packet_end), (1, (clock_of(start, 500), 500)));
    assert_eq!((status.anchor, status.rate), ((clock_of(start, 500), 500), 0));
    assert_eq!(status.flags & FLAG_ENDED, FLAG_ENDED);
    let furthest = rig.trace.iter().filter_map(|line| {
        if let CardEvent::Read { address, bytes, .. } = line { Some(address + bytes) } else { None }
    });
    assert_eq!(furthest.max(), Some(RAM + 2000));
    // It stays so until STOP.
    rig.state(STATE_PAUSE);
    rig.state(STATE_RUN);
    rig.run_for(SECOND);
    assert_eq!((rig.position(), rig.status().flags & FLAG_ENDED), (500, FLAG_ENDED));
    rig.state(STATE_STOP);
    assert_eq!((rig.read(EOS), rig.status().flags), (0, 0));
}

#[test]
fn end_of_stream_of_length_zero_is_complete_when_its_turn_comes() {
    let mut rig = lockstep();
    fill_packet(&rig, 0);
    rig.write(WRITTEN, 0);
    rig.state(STATE_RUN);
    rig.write(EOS, EOS_ARM);
    rig.write(WRITTEN, 1);
    let start = rig.now;
    rig.run_for(SECOND);
    assert_eq!(rig.heard, signal(0, 1000));
    let status = rig.status();
    assert_eq!((status.packet_count, status.events), (2, 2));
    assert_eq!((status.flags & FLAG_ENDED, status.anchor), (FLAG_ENDED, (clock_of(start, 1000), 1000)));
}

#[test]
fn end_of_stream_of_a_full_packet_completes_it_once() {
    let mut rig = lockstep();
    rig.write(EOS, EOS_ARM | 4000);
    rig.write(WRITTEN, 0);
    rig.state(STATE_RUN);
    rig.run_for(SECOND);
    let status = rig.status();
    assert_eq!((status.packet_count, status.events, rig.heard.len()), (1, 1, 4000));
    assert_eq!(status.flags & (FLAG_ENDED | FLAG_STALLED), FLAG_ENDED);
}

#[test]
fn a_late_end_of_stream_ends_at_its_frame_or_at_once() {
    for (at, valid, heard, count) in
        [(300, 400, 400, 1), (300, 200, 300, 1), (300, 0, 300, 1), (1200, 500, 1200, 1)]
    {
        let mut rig = Rig::new(ClockMode::Realtime);
        rig.ready(RATE, PACKET, 2);
        rig.state(STATE_RUN);
        let start = rig.now;
        rig.run_to(clock_of(start, at));
        rig.write(EOS, EOS_ARM | 4 * valid);
        rig.write(WRITTEN, 0);
        rig.run_for(SECOND);
        let status = rig.status();
        assert_eq!(rig.heard.len(), heard * 4, "EOS {valid} at {at}");
        assert_eq!((status.packet_count, status.flags & FLAG_ENDED, status.rate), (count, FLAG_ENDED, 0));
        assert_eq!(rig.position(), heard as u64);
    }
}

#[test]
fn start_frame_resumes_in_the_middle_of_a_packet() {
    let mut rig = lockstep();
    fill_packet(&rig, 7);
    rig.write(START_FRAME_LO, 7300);
    rig.write(START_PACKET, 6);
    rig.write(WRITTEN, 7);
    assert_eq!(rig.state_refused(STATE_RUN), Error::BadStart.code());
    rig.write(START_PACKET, 7);
    rig.state(STATE_RUN);
    assert_eq!((rig.position(), rig.read(PACKET_COUNT)), (7300, 7));
    assert_eq!((rig.read(START_FRAME_LO), rig.read(START_PACKET)), (0, 0), "taken once");
    assert_eq!(rig.status().anchor, (rig.now, 7300));
    rig.run_for(SECOND);
    assert_eq!(rig.heard, signal(7300, 700));
    assert_eq!((rig.status().packet_count, rig.status().stalled_packet), (8, 8));
    // A second RUN goes on from where it stands.
    rig.state(STATE_PAUSE);
    rig.state(STATE_RUN);
    assert_eq!(rig.position(), 8000);
}

#[test]
fn start_frame_far_away_wraps_the_packet_number() {
    let mut rig = lockstep();
    let packet = (1_u64 << 32) + 3;
    let frame = packet * 1000;
    rig.write(START_FRAME_LO, (frame & 0xFFFF_FFFF) as u32);
    rig.write(START_FRAME_HI, (frame >> 32) as u32);
    rig.write(START_PACKET, 3);
    rig.write(WRITTEN, 4);
    rig.state(STATE_RUN);
    rig.run_for(SECOND);
    assert_eq!((rig.position(), rig.status().stalled_packet), (frame + 2000, 5));
    assert_eq!(rig.read(PACKET_COUNT), 5);
    rig.state(STATE_STOP);
    rig.state(STATE_ACQUIRE);
    rig.write(START_FRAME_HI, u32::MAX);
    rig.state(STATE_PAUSE);
    assert_eq!(rig.state_refused(STATE_RUN), Error::BadStart.code(), "beyond what a position can hold");
}

#[test]
fn d3hot_pauses_and_keeps_everything() {
    let mut rig = lockstep();
    fill_packet(&rig, 0);
    rig.write(WRITTEN, 0);
    rig.state(STATE_RUN);
    let start = rig.now;
    rig.now = clock_of(start, 300);
    rig.call(|card, env| card.set_d3hot(true, env));
    assert_eq!(rig.read(STATE), u32::MAX);
    rig.write(STATE, STATE_STOP);
    rig.run_for(SECOND);
    rig.call(|card, env| card.set_d3hot(false, env));
    assert_eq!((rig.read(STATE), rig.position(), rig.read(WRITTEN)), (STATE_PAUSE, 300, 0));
    assert_eq!(rig.heard, signal(0, 300));
    rig.state(STATE_RUN);
    rig.run_for(SECOND);
    assert_eq!(rig.heard, signal(0, 1000));
}

#[test]
fn reset_in_run_leaves_nothing_behind_but_the_epoch() {
    let mut rig = lockstep();
    rig.write(WRITTEN, 5);
    rig.state(STATE_RUN);
    rig.run_for(SECOND / 20);
    let before = rig.status();
    rig.set(ringwave_regs::global::CONTROL, ringwave_regs::global::CONTROL_RESET);
    let status = rig.status();
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
    assert_eq!(rig.get(ringwave_regs::global::INT_STATUS), 0);
    assert_eq!((rig.read(ringwave_regs::stream::RATE), rig.read(STATE)), (0, 0));
    assert_eq!(rig.stops, 1);
    rig.run_for(SECOND);
    assert_eq!((rig.messages, rig.card.next_deadline()), (0, None));
}

#[test]
fn a_failing_host_is_an_error_and_not_a_stop() {
    let mut rig = lockstep();
    rig.write(WRITTEN, 5);
    rig.state(STATE_RUN);
    rig.call(|card, env| card.host_failed(0, env));
    assert_eq!((rig.messages, rig.status().error, rig.status().events), (1, Error::Host.code(), 1));
    assert_eq!(rig.read(STATE), STATE_RUN);
    rig.call(|card, env| card.host_failed(99, env));
}

#[test]
fn what_was_played_before_a_reset_is_heard() {
    let mut rig = lockstep();
    fill_packet(&rig, 0);
    rig.write(WRITTEN, 0);
    rig.state(STATE_RUN);
    let start = rig.now;
    rig.now = clock_of(start, 700);
    rig.set(ringwave_regs::global::CONTROL, ringwave_regs::global::CONTROL_RESET);
    assert_eq!(rig.heard, signal(0, 700));
}

#[test]
fn stop_clears_the_clocks_of_the_last_packet() {
    let mut rig = lockstep();
    rig.write(WRITTEN, 0);
    rig.state(STATE_RUN);
    rig.run_for(SECOND);
    assert_ne!(rig.status().packet_end, (0, 0));
    rig.state(STATE_STOP);
    assert_eq!((rig.status().packet_end, rig.status().packet_start), ((0, 0), 0));
}

#[test]
fn a_failing_host_is_told_once_until_stop() {
    let mut rig = lockstep();
    for round in 1..=2 {
        rig.write(WRITTEN, 5);
        rig.state(STATE_RUN);
        for _ in 0..3 {
            rig.call(|card, env| card.host_failed(0, env));
        }
        assert_eq!(rig.status().events, round);
        rig.state(STATE_STOP);
        rig.state(STATE_ACQUIRE);
        rig.state(STATE_PAUSE);
    }
}

#[test]
fn start_into_a_packet_that_was_silent_decides_anew() {
    let mut rig = Rig::new(ClockMode::Realtime);
    rig.ready(RATE, PACKET, 2);
    fill_packet(&rig, 0);
    rig.write(WRITTEN, u32::MAX);
    rig.state(STATE_RUN);
    rig.run_for(SECOND / 100);
    rig.state(STATE_PAUSE);
    assert_eq!((rig.silence, rig.status().underruns), (441, 1));
    rig.write(WRITTEN, 0);
    rig.write(START_FRAME_LO, 100);
    rig.heard.clear();
    rig.state(STATE_RUN);
    rig.run_for(SECOND / 100);
    rig.state(STATE_PAUSE);
    assert_eq!(rig.heard, signal(100, 441));
}

#[test]
fn run_looks_at_bus_master_enable_first_then_at_start() {
    let mut rig = lockstep();
    rig.write(START_PACKET, 9);
    rig.card.set_bus_master(false);
    assert_eq!(rig.state_refused(STATE_RUN), Error::BusMasterOff.code());
    rig.card.set_bus_master(true);
    rig.memory.unmap(RAM);
    assert_eq!(rig.state_refused(STATE_RUN), Error::BadStart.code());
    rig.write(START_PACKET, 0);
    assert_eq!(rig.state_refused(STATE_RUN), Error::DmaUnmapped.code());
}

//! Sentences of the DATASHEET about streams (5.1 to 5.7, 2.1) that the other tests do not reach: the edges of
//! numbers, of the end of stream and of START, and a PCI side that changes in RUN.
#![allow(
    clippy::cast_possible_truncation,
    clippy::decimal_bitwise_operands,
    clippy::precedence,
    reason = "test code"
)]

use crate::support::song::{PACKET, RATE, clock_of, fill_packet, lockstep};
use crate::support::{RAM, RAM_BYTES, SECOND, TestCard, signal};
use ringwave_card::env::ClockMode;
use ringwave_regs::dma::Slot;
use ringwave_regs::error::Error;
use ringwave_regs::pages::status::{FLAG_ENDED, FLAG_LOCKSTEP, FLAG_STALLED};
use ringwave_regs::stream::{
    DMA_ADDR_HI, DMA_ADDR_LO, DMA_MODE, DMA_MODE_SCATTER_GATHER, EOS, EOS_ARM, ERROR, PACKET_COUNT, PACKETS,
    POSITION_HI, POSITION_LO, RING_BYTES, SG_ENTRIES, START_FRAME_HI, START_FRAME_LIMIT, START_FRAME_LO,
    START_PACKET, STATE_ACQUIRE, STATE_PAUSE, STATE_RUN, STATE_STOP, WRITTEN,
};
use ringwave_regs::{global, stream};

/// A realtime card with its stream in PAUSE.
fn realtime() -> TestCard {
    let mut dut = TestCard::new(ClockMode::Realtime);
    dut.ready(RATE, PACKET, 2);
    dut
}

fn start_at(dut: &mut TestCard, frame: u64, packet: u32) {
    dut.write(START_FRAME_LO, (frame & 0xFFFF_FFFF) as u32);
    dut.write(START_FRAME_HI, (frame >> 32) as u32);
    dut.write(START_PACKET, packet);
}

#[test]
fn end_of_stream_may_be_any_packet_from_the_present_one_on_also_one_below_written() {
    let mut dut = lockstep();
    fill_packet(&dut, 0);
    fill_packet(&dut, 1);
    dut.write(WRITTEN, 9);
    dut.state(STATE_RUN);
    let start = dut.now;
    dut.run_to(clock_of(start, 1200));
    dut.write(EOS, EOS_ARM | 4 * 700);
    assert_eq!(dut.refused(WRITTEN, 0), Error::BadPacket.code(), "complete already");
    assert_eq!(dut.read(EOS), EOS_ARM | 4 * 700, "a refused WRITTEN leaves it armed");
    dut.write(WRITTEN, 1);
    dut.run_for(SECOND);
    assert_eq!(dut.heard, signal(0, 1700));
    let status = dut.status();
    assert_eq!((status.packet_count, status.flags & FLAG_ENDED), (2, FLAG_ENDED));
}

#[test]
fn disarmed_end_of_stream_ends_nothing() {
    let mut dut = lockstep();
    dut.write(EOS, EOS_ARM | 4 * 10);
    dut.write(EOS, 0);
    dut.write(WRITTEN, 0);
    dut.state(STATE_RUN);
    dut.run_for(SECOND);
    assert_eq!((dut.position(), dut.status().flags & FLAG_ENDED), (1000, 0));
}

#[test]
fn run_ends_at_once_when_the_valid_frames_have_passed_in_pause() {
    for (valid, count) in [(0, 1), (300, 1), (301, 0)] {
        let mut dut = lockstep();
        dut.write(WRITTEN, 5);
        dut.state(STATE_RUN);
        let start = dut.now;
        dut.run_to(clock_of(start, 300));
        dut.state(STATE_PAUSE);
        dut.write(EOS, EOS_ARM | 4 * valid);
        dut.write(WRITTEN, 0);
        assert_eq!(dut.status().flags & FLAG_ENDED, 0, "only RUN ends it");
        let before = dut.status();
        dut.write(stream::STATE, STATE_RUN);
        let (messages, status) = (dut.messages, dut.status());
        assert_eq!((messages, status.packet_count), (count, count), "valid {valid}");
        assert_eq!(status.epoch, before.epoch + 1);
        dut.run_for(SECOND);
        assert_eq!(dut.position(), u64::from(valid.max(300)));
        assert_eq!((dut.status().packet_count, dut.status().flags & FLAG_ENDED), (1, FLAG_ENDED));
        // RUN of an ended stream leaves its anchor.
        dut.state(STATE_PAUSE);
        let ended = dut.status();
        dut.now += SECOND;
        dut.state(STATE_RUN);
        assert_eq!((dut.status().epoch, dut.status().anchor), (ended.epoch, ended.anchor));
    }
}

#[test]
fn a_start_frame_is_below_2_to_the_48_and_a_refused_run_leaves_it_armed() {
    let mut dut = lockstep();
    let last = START_FRAME_LIMIT - 1;
    let packet = (last / 1000) as u32;
    start_at(&mut dut, START_FRAME_LIMIT, (START_FRAME_LIMIT / 1000) as u32);
    dut.write(WRITTEN, packet.wrapping_add(1));
    assert_eq!(dut.state_refused(STATE_RUN), Error::BadStart.code());
    start_at(&mut dut, last, packet);
    dut.card.set_bus_master(false);
    assert_eq!(dut.state_refused(STATE_RUN), Error::BusMasterOff.code());
    assert_eq!(dut.read(START_PACKET), packet, "still armed");
    dut.card.set_bus_master(true);
    dut.state(STATE_RUN);
    assert_eq!(dut.refused(START_PACKET, 0), Error::BadState.code());
    assert_eq!(dut.position(), last);
    dut.run_for(SECOND);
    // To the end of the packet after it, beyond 2^48; then lockstep waits.
    let end = (last / 1000 + 2) * 1000;
    assert_eq!((dut.position(), dut.status().anchor.1), (end, end));
    assert_eq!(dut.heard.len() as u64, 4 * (end - last));
    assert_eq!(dut.read(PACKET_COUNT), packet.wrapping_add(2));
    dut.state(STATE_STOP);
    assert_eq!(dut.refused(START_FRAME_LO, 0), Error::BadState.code());
}

#[test]
fn stop_disarms_start() {
    let mut dut = lockstep();
    start_at(&mut dut, 7300, 7);
    dut.state(STATE_STOP);
    dut.state(STATE_ACQUIRE);
    dut.state(STATE_PAUSE);
    assert_eq!((dut.read(START_PACKET), dut.read(START_FRAME_LO)), (0, 0));
    dut.write(WRITTEN, 0);
    dut.state(STATE_RUN);
    assert_eq!(dut.position(), 0);
}

#[test]
fn packets_are_counted_on_over_2_to_the_32() {
    let mut dut = lockstep();
    let packet = u64::from(u32::MAX);
    start_at(&mut dut, packet * 1000, u32::MAX);
    dut.write(WRITTEN, u32::MAX - 1);
    dut.state(STATE_RUN);
    let status = dut.status();
    assert_eq!((status.flags & FLAG_STALLED, status.stalled_packet), (FLAG_STALLED, u32::MAX));
    // Odd packets are the second one in the buffer, on either side of the wrap.
    dut.fill(RAM + 4000, 5000, 1000);
    dut.fill(RAM, 6000, 1000);
    dut.write(WRITTEN, u32::MAX);
    dut.write(WRITTEN, 0);
    assert_eq!(dut.refused(WRITTEN, u32::MAX), Error::BadPacket.code());
    dut.run_for(SECOND);
    assert_eq!(dut.heard, signal(5000, 2000));
    let status = dut.status();
    assert_eq!((status.packet_count, status.stalled_packet, status.events), (1, 1, 2));
    dut.write(EOS, EOS_ARM | 400);
    dut.write(WRITTEN, 1);
    dut.run_for(SECOND);
    assert_eq!((dut.position(), dut.read(PACKET_COUNT)), ((packet + 2) * 1000 + 100, 2));
}

#[test]
fn minus_one_marks_a_stream_and_promises_nothing() {
    let mut dut = lockstep();
    dut.write(WRITTEN, u32::MAX);
    dut.state(STATE_RUN);
    let status = dut.status();
    assert_eq!(status.flags & (FLAG_LOCKSTEP | FLAG_STALLED), FLAG_LOCKSTEP | FLAG_STALLED);
    assert_eq!((status.stalled_packet, status.rate), (0, 0));
}

#[test]
fn a_piece_of_silence_keeps_its_end_over_pause_and_the_packet_is_one_underrun() {
    let mut dut = realtime();
    dut.write(WRITTEN, u32::MAX);
    dut.state(STATE_RUN);
    let start = dut.now;
    dut.run_to(clock_of(start, 500));
    dut.state(STATE_PAUSE);
    assert_eq!((dut.status().underruns, dut.status().silence_frames), (1, 500), "up to the frozen position");
    fill_packet(&dut, 0);
    fill_packet(&dut, 1);
    dut.write(WRITTEN, 0);
    dut.write(WRITTEN, 1);
    dut.state(STATE_RUN);
    let again = dut.now;
    dut.run_to(clock_of(again, 1400));
    let status = dut.status();
    // Pieces of 44 frames: the twelfth, in which it was paused, ends at 528.
    assert_eq!((status.underruns, status.silence_frames), (1, 528));
    let heard = dut.heard.clone();
    assert!(heard.iter().take(4 * 528).all(|&byte| byte == 0));
    assert!(signal(528, 1472).starts_with(heard.get(4 * 528..).unwrap()) && heard.len() > 4000);
    // The totals are since reset, not since STOP.
    dut.state(STATE_STOP);
    assert_eq!((dut.status().underruns, dut.status().silence_frames), (1, 528));
}

#[test]
fn bus_master_enable_off_in_run_is_silence_without_a_message_until_it_is_on_again() {
    let mut dut = realtime();
    for packet in 0..2 {
        fill_packet(&dut, packet);
    }
    dut.write(WRITTEN, 9);
    dut.state(STATE_RUN);
    let start = dut.now;
    dut.now = clock_of(start, 100);
    dut.wake();
    dut.card.set_bus_master(false);
    dut.run_to(clock_of(start, 1200));
    let status = dut.status();
    // The first burst was in the FIFO; those at 441, 882 and 1000 failed.
    assert_eq!((status.dma_faults, status.error), (3, Error::BusMasterOff.code()));
    assert_eq!((status.state, status.packet_count, dut.messages), (STATE_RUN, 1, 0));
    assert_eq!(dut.heard.get(..4 * 441), Some(&signal(0, 441)[..]));
    dut.card.set_bus_master(true);
    dut.run_to(clock_of(start, 2000));
    assert_eq!(dut.messages, 1, "what was held back is not sent later, but the next is");
    assert_eq!(dut.heard.get(4 * 1441..4 * 1882), Some(&signal(1441, 441)[..]));
    assert_eq!(dut.status().silence_frames, 1000);
}

#[test]
fn msi_that_is_switched_in_run_is_followed() {
    let mut dut = realtime();
    dut.state(STATE_RUN);
    let start = dut.now;
    dut.card.set_msi(None);
    dut.run_to(clock_of(start, 1000));
    assert_eq!((dut.messages, dut.card.intx(), dut.get(global::INT_STATUS)), (0, true, 1));
    dut.card.set_msi(Some(1));
    assert!(!dut.card.intx());
    dut.run_to(clock_of(start, 1500));
    assert_eq!(dut.messages, 0, "what was held back is not sent later");
    dut.run_to(clock_of(start, 2000));
    assert_eq!((dut.messages, dut.status().packet_count), (1, 2));
}

#[test]
fn reset_by_register_leaves_bus_master_and_msi_and_a_stalled_stream_nothing() {
    let mut dut = lockstep();
    dut.write(WRITTEN, u32::MAX);
    dut.state(STATE_RUN);
    dut.set(global::CONTROL, global::CONTROL_RESET);
    assert_eq!((dut.card.stalls().count(), dut.status().flags), (0, 0));
    dut.ready(RATE, PACKET, 2);
    dut.write(WRITTEN, 0);
    dut.state(STATE_RUN);
    dut.run_for(SECOND);
    assert_eq!((dut.messages, dut.position()), (1, 1000), "configuration space was left as it is");
}

#[test]
fn d3hot_ends_a_stall_and_sends_nothing() {
    let mut dut = lockstep();
    dut.write(WRITTEN, u32::MAX);
    dut.state(STATE_RUN);
    dut.call(|card, env| card.set_d3hot(true, env));
    let status = dut.status();
    assert_eq!((status.state, status.flags & FLAG_STALLED, status.stalled_packet), (STATE_PAUSE, 0, 0));
    dut.write(WRITTEN, 0);
    dut.set(global::INT_RAISE, 0);
    assert_eq!(dut.messages, 0);
    dut.call(|card, env| card.set_d3hot(false, env));
    assert_eq!(
        (dut.read(WRITTEN), dut.read(ERROR), dut.get(global::ERROR)),
        (u32::MAX, 0, 0),
        "all was ignored"
    );
}

#[test]
fn the_longest_buffer_is_16_mib() {
    let mut dut = TestCard::new(ClockMode::Lockstep);
    let most = global::RING_BYTES_MAX_VALUE;
    dut.set_up(RATE, most / 4, 1);
    dut.write(RING_BYTES, most + 4);
    assert_eq!(dut.state_refused(STATE_ACQUIRE), Error::BadRing.code());
    dut.write(RING_BYTES, u32::MAX);
    assert_eq!(dut.state_refused(STATE_ACQUIRE), Error::BadRing.code());
    dut.write(RING_BYTES, most);
    dut.state(STATE_ACQUIRE);
    dut.state(STATE_PAUSE);
    assert_eq!(dut.state_refused(STATE_RUN), Error::DmaUnmapped.code(), "the dut has 1 MiB");
    dut.memory.map(RAM + RAM_BYTES as u64, most as usize, false);
    dut.fill(RAM + u64::from(most) - 4 * 441, 1, 441);
    start_at(&mut dut, u64::from(most / 4) - 441, 0);
    dut.write(WRITTEN, 0);
    dut.state(STATE_RUN);
    dut.run_for(SECOND);
    assert_eq!(dut.heard, signal(1, 441), "its very last frames");
}

#[test]
fn a_table_that_runs_over_the_end_of_the_address_space_is_out_of_reach() {
    let mut dut = TestCard::new(ClockMode::Lockstep);
    dut.set_up(RATE, PACKET, 2);
    dut.memory.map(u64::MAX - 4095, 4096, true);
    // The very last slot that there can be, and one more is wanted.
    let last = u64::MAX - 15;
    dut.memory.slots(last, &[Slot::data(RAM, 4000)]);
    dut.write(DMA_MODE, DMA_MODE_SCATTER_GATHER);
    dut.write(SG_ENTRIES, 2);
    dut.write(DMA_ADDR_LO, last as u32);
    dut.write(DMA_ADDR_HI, (last >> 32) as u32);
    dut.write(PACKETS, 2);
    dut.state(STATE_ACQUIRE);
    dut.state(STATE_PAUSE);
    assert_eq!(dut.state_refused(STATE_RUN), Error::DmaUnmapped.code());
}

#[test]
fn the_high_half_of_a_position_is_nothing_before_the_low_one_was_read() {
    let mut dut = lockstep();
    let frame = (1_u64 << 32) * 1000;
    start_at(&mut dut, frame, 0);
    dut.write(WRITTEN, 0);
    dut.state(STATE_RUN);
    assert_eq!(dut.read(POSITION_HI), 0);
    assert_eq!(dut.read(POSITION_LO), 0);
    assert_eq!(dut.read(POSITION_HI), 1000);
}

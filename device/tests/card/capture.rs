//! Capture streams: what the guest finds in its buffer, what is counted, loopback, and the position page that
//! ticks. DATASHEET 5 and 7.3.
#![allow(clippy::cast_possible_truncation, reason = "test code")]

use crate::support;
use crate::support::song::{PACKET, RATE, clock_of};
use crate::support::{RAM, SECOND, TestCard, signal};
use ringwave_card::controller::Config;
use ringwave_card::env::ClockMode;
use ringwave_regs::error::Error;
use ringwave_regs::pages::status::{FLAG_LOCKSTEP, FLAG_STALLED, FLAG_WRITTEN};
use ringwave_regs::stream::{self as regs, EOS, EOS_ARM, STATE_PAUSE, STATE_RUN, STATE_STOP, WRITTEN};
use ringwave_regs::{format, global, pages};
use ringwave_trace::Diagnostic;

/// 2 ms at 44.1 kHz.
const FIFO: u32 = 88;

/// A card whose stream 0 captures, in PAUSE.
fn microphone(clock: ClockMode) -> TestCard {
    let mut dut = TestCard::with(Config { render: 0, capture: 1, clock, ..Config::default() });
    dut.ready(RATE, PACKET, 2);
    dut
}

/// What stands in the place of a packet.
fn packet(dut: &TestCard, number: u64) -> Vec<u8> {
    dut.memory.peek(RAM + number % 2 * u64::from(PACKET) * 4, PACKET as usize * 4)
}

fn recorded(number: u64) -> Vec<u8> {
    signal(number * u64::from(PACKET), PACKET.into())
}

#[test]
fn every_frame_is_recorded_bit_for_bit_in_lockstep() {
    let mut dut = microphone(ClockMode::Lockstep);
    dut.write(WRITTEN, u32::MAX);
    dut.state(STATE_RUN);
    for number in 0..50_u32 {
        // The guest is late by 100 ms each time: the card waits once its buffer is full.
        dut.run_for(SECOND / 10);
        let status = dut.status();
        assert_eq!(status.packet_count, if number == 0 { 2 } else { number + 2 });
        assert_eq!(status.flags, FLAG_LOCKSTEP | FLAG_STALLED | FLAG_WRITTEN);
        assert_eq!(status.stalled_packet, number + 2, "its place is packet {number}'s, which was not taken");
        assert_eq!(packet(&dut, number.into()), recorded(number.into()), "packet {number}");
        dut.write(WRITTEN, number);
    }
    let told = dut.card.stats().next().unwrap();
    assert_eq!((told.underruns, told.silence_frames, told.transport_faults), (Some(0), 0, 0));
    assert!(told.capture && dut.heard.is_empty());
}

/// Starts where a stream has stopped.
fn start_at(dut: &mut TestCard, frame: u64) {
    dut.write(regs::START_FRAME_LO, (frame & 0xFFFF_FFFF) as u32);
    dut.write(regs::START_FRAME_HI, (frame >> 32) as u32);
    dut.write(regs::START_PACKET, (frame / u64::from(PACKET)) as u32);
}

#[test]
fn what_was_not_taken_is_not_recorded_over_after_a_reset_either() {
    // Where the stream stood, what was taken, and the packet before which it waits then.
    for (frame, taken, waits) in [
        (1500_u64, None, 2_u32),
        (2000, None, 2),
        (2000, Some(u32::MAX), 2),
        (2000, Some(0), 3),
        (3999, Some(1), 4),
        (7300, Some(5), 8),
        (7300, Some(6), 9),
        (u64::from(u32::MAX) * 1000, Some(u32::MAX - 3), u32::MAX),
        (u64::from(u32::MAX) * 1000, Some(u32::MAX - 2), 0),
        (u64::from(u32::MAX) * 1000, Some(u32::MAX - 1), 1),
    ] {
        let mut dut = microphone(ClockMode::Lockstep);
        dut.state(STATE_RUN);
        dut.run_for(SECOND / 10);
        dut.set(global::CONTROL, global::CONTROL_RESET);
        dut.memory.poke(RAM, &[0; 2 * PACKET as usize * 4]);
        dut.ready(RATE, PACKET, 2);
        start_at(&mut dut, frame);
        if let Some(taken) = taken {
            dut.write(WRITTEN, taken);
        }
        dut.state(STATE_RUN);
        dut.run_for(SECOND);
        let status = dut.status();
        let seen = (status.flags & FLAG_STALLED, status.stalled_packet, status.packet_count);
        assert_eq!(seen, (FLAG_STALLED, waits, waits), "from frame {frame}, {taken:?} taken");
        // And what it recorded goes on with the frame that it was told.
        let packet = u64::from(PACKET);
        let stands = (frame / packet + u64::from(waits.wrapping_sub((frame / packet) as u32))) * packet;
        let begin = stands.saturating_sub(packet).max(frame);
        let at = RAM + begin % (2 * packet) * 4;
        let there = dut.memory.peek(at, (stands - begin) as usize * 4);
        assert_eq!(there, signal(begin, stands - begin), "from frame {frame}, {taken:?} taken");
    }
}

#[test]
fn realtime_stores_over_what_was_not_taken_and_counts_it() {
    let mut dut = microphone(ClockMode::Realtime);
    dut.write(WRITTEN, u32::MAX);
    dut.state(STATE_RUN);
    let start = dut.now;
    dut.run_to(clock_of(start, 2000));
    assert_eq!(
        (dut.status().packet_count, dut.status().underruns),
        (2, 1),
        "packet 2 begins in the place of 0"
    );
    dut.write(WRITTEN, 1);
    dut.run_to(clock_of(start, 4000));
    assert_eq!((dut.status().underruns, dut.status().silence_frames), (2, 2 * u64::from(PACKET)));
    assert_eq!(packet(&dut, 2), recorded(2));
    assert_eq!(packet(&dut, 3), recorded(3));
    assert!(dut.notes.contains(&Diagnostic::Overrun { stream: 0, packet: 0 }));
    assert!(dut.notes.contains(&Diagnostic::Overrun { stream: 0, packet: 2 }));
}

#[test]
fn nobody_who_takes_no_packets_is_told_of_underruns() {
    let mut dut = microphone(ClockMode::Lockstep);
    dut.write(regs::LOCKSTEP, 0);
    dut.state(STATE_RUN);
    dut.run_for(SECOND / 10);
    assert_eq!((dut.status().flags, dut.status().underruns), (0, 0), "goes by realtime");
    assert_eq!(dut.card.stats().next().unwrap().underruns, None);
    assert_eq!(packet(&dut, 3), recorded(3));
}

#[test]
fn a_piece_is_stored_when_it_ends_and_pause_stores_what_has_passed() {
    let mut dut = microphone(ClockMode::Realtime);
    dut.state(STATE_RUN);
    let start = dut.now;
    assert_eq!(dut.read(regs::FIFO_FRAMES), FIFO, "2 ms");
    dut.run_to(clock_of(start, FIFO.into()) - 1);
    assert_eq!(packet(&dut, 0)[..8], [0; 8], "nothing before the end of the first burst");
    dut.run_to(clock_of(start, FIFO.into()));
    assert_eq!(packet(&dut, 0)[..FIFO as usize * 4], signal(0, FIFO.into()));
    // While it runs everything before the position less a FIFO is there; so a driver reports it.
    for frames in (100..490).step_by(7) {
        dut.run_to(clock_of(start, frames));
        let there = (dut.position() - u64::from(FIFO)) as usize * 4;
        assert_eq!(packet(&dut, 0)[..there], signal(0, frames)[..there], "at frame {frames}");
    }
    dut.now = clock_of(start, 500);
    dut.state(STATE_PAUSE);
    assert_eq!(packet(&dut, 0)[..500 * 4], signal(0, 500));
    assert_eq!(packet(&dut, 0)[500 * 4..501 * 4], [0; 4]);
    dut.now += SECOND;
    dut.state(STATE_RUN);
    let start = dut.now - (clock_of(0, 500));
    dut.run_to(clock_of(start, 2000) + 1);
    assert_eq!(packet(&dut, 0), recorded(0), "no frame twice, none left out");
    dut.state(STATE_STOP);
    dut.now += SECOND;
    dut.wake();
    assert_eq!(packet(&dut, 0), recorded(0), "nothing is stored after STOP");
}

#[test]
fn only_memory_that_may_be_written_is_recorded_to() {
    let mut dut = microphone(ClockMode::Realtime);
    dut.memory.map(0x900_0000, 0x4000, false);
    dut.state(STATE_STOP);
    dut.write(regs::DMA_ADDR_LO, 0x900_0000);
    dut.state(regs::STATE_ACQUIRE);
    dut.state(STATE_PAUSE);
    assert_eq!(dut.state_refused(STATE_RUN), Error::DmaUnmapped.code());
}

#[test]
fn memory_that_goes_away_is_a_fault_and_the_stream_goes_on() {
    let mut dut = microphone(ClockMode::Realtime);
    dut.state(STATE_RUN);
    dut.memory.unmap(RAM);
    dut.run_for(SECOND / 500);
    let status = dut.status();
    assert_eq!((status.error, status.dma_faults), (Error::DmaUnmapped.code(), 1));
    assert_eq!((status.silence_frames, status.state), (FIFO.into(), STATE_RUN));
}

#[test]
fn there_is_no_end_of_a_microphone() {
    let mut dut = microphone(ClockMode::Realtime);
    assert_eq!(dut.refused(EOS, EOS_ARM | 4), Error::NotSupported.code());
}

#[test]
fn a_source_that_has_nothing_is_silence_and_counted() {
    let mut dut = microphone(ClockMode::Realtime);
    dut.source.end = Some(300);
    dut.state(STATE_RUN);
    dut.run_for(SECOND / 100);
    // Five bursts have ended.
    assert_eq!(packet(&dut, 0)[..440 * 4], [signal(0, 300), vec![0; 140 * 4]].concat());
    assert_eq!(dut.card.stats().next().unwrap().source_silence_frames, 140);
}

/// Stream 0 plays, stream 1 captures what it plays.
fn loopback(clock: ClockMode) -> TestCard {
    let mut config = Config { clock, ..Config::default() };
    config.loopback[0] = Some(0);
    let mut dut = TestCard::with(config);
    dut.ready(RATE, PACKET, 2);
    for (register, value) in [
        (regs::FORMAT, format::pack(format::S16, 2)),
        (regs::RATE, RATE),
        (regs::RING_BYTES, 0x8_0000),
        (regs::PACKETS, 2),
        (regs::DMA_ADDR_LO, RECORDED as u32),
        (regs::STATE, regs::STATE_ACQUIRE),
        (regs::STATE, regs::STATE_PAUSE),
    ] {
        dut.set(regs::BLOCK_BASE + regs::BLOCK_STRIDE + register, value);
    }
    dut
}

/// Where stream 1 of [`loopback`] records to.
const RECORDED: u64 = RAM + 0x8_0000;

fn other(dut: &mut TestCard, register: u32, value: u32) {
    dut.set(regs::BLOCK_BASE + regs::BLOCK_STRIDE + register, value);
}

#[test]
fn loopback_is_what_was_played_sample_for_sample() {
    let mut dut = loopback(ClockMode::Lockstep);
    other(&mut dut, regs::STATE, STATE_RUN);
    dut.run_for(12_345_678);
    support::song::fill_packet(&dut, 0);
    support::song::fill_packet(&dut, 1);
    dut.write(WRITTEN, 0);
    dut.state(STATE_RUN);
    dut.run_for(SECOND / 200);
    for number in 1..60_u32 {
        if number > 1 {
            // Packet number - 2 is done: the guest is in time, so there is no stall.
            dut.run_for(SECOND * u64::from(PACKET) / u64::from(RATE));
            support::song::fill_packet(&dut, number.into());
        }
        if number == 59 {
            dut.write(EOS, EOS_ARM | (4 * 123));
        }
        dut.write(WRITTEN, number);
    }
    dut.run_for(SECOND / 10);
    other(&mut dut, regs::STATE, STATE_PAUSE);
    let heard = dut.heard.clone();
    assert_eq!(heard, signal(0, 59 * u64::from(PACKET) + 123));
    let recorded = dut.memory.peek(RECORDED, 0x8_0000);
    let first = recorded.iter().position(|byte| *byte != 0).unwrap() / 4 * 4;
    // Frame 0 is not silence in this signal.
    assert_eq!(recorded[first..first + heard.len()], heard[..], "without a gap, from frame {}", first / 4);
    assert!(recorded[first + heard.len()..].iter().all(|byte| *byte == 0));
    let began = (u64::from(RATE) * 12_345_678 / SECOND) as usize;
    assert!((first / 4).abs_diff(began) <= 2, "at its moment: {} and {began}", first / 4);
}

#[test]
fn the_position_page_ticks_only_when_asked_and_then_in_every_state_but_d3hot() {
    let mut dut = microphone(ClockMode::Realtime);
    let frames = |dut: &TestCard| dut.pages.u64(pages::POSITION_BASE + pages::position::FRAMES);
    dut.state(STATE_RUN);
    dut.run_for(SECOND / 200);
    assert_eq!(frames(&dut), 0, "nobody asked");
    dut.write(regs::POSITION_CONTROL, regs::POSITION_TICK);
    assert_eq!(dut.read(regs::POSITION_CONTROL), regs::POSITION_TICK);
    let start = dut.now;
    for tick in 1..30 {
        let due = dut.card.next_deadline().unwrap();
        assert!(due <= start + tick * SECOND / 1000, "at least every millisecond");
        dut.run_to(start + tick * SECOND / 1000);
        let behind = dut.position() - frames(&dut);
        assert!(behind <= 45, "{behind} frames");
    }
    dut.state(STATE_PAUSE);
    let (stands, clock) =
        (dut.position(), |dut: &TestCard| dut.pages.u64(pages::POSITION_BASE + pages::position::CLOCK));
    let before = clock(&dut);
    dut.run_for(SECOND / 100);
    assert_eq!(frames(&dut), stands);
    assert!(clock(&dut) - before >= SECOND / 100 - SECOND / 1000, "a clock goes on in PAUSE");
    dut.call(|card, env| card.set_d3hot(true, env));
    assert_eq!(dut.card.next_deadline(), None, "asleep");
    dut.call(|card, env| card.set_d3hot(false, env));
    assert!(dut.card.next_deadline().is_some());
    dut.set(global::CONTROL, global::CONTROL_RESET);
    assert_eq!(dut.read(regs::POSITION_CONTROL), 0);
}

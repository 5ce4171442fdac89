//! Capture streams: what the guest finds in its buffer, what is counted, loopback, and the position page that
//! ticks. DATASHEET 5 and 7.3.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "test code"
)]

mod support;

use ringwave_card::controller::Config;
use ringwave_card::env::ClockMode;
use ringwave_regs::error::Error;
use ringwave_regs::pages::status::{FLAG_LOCKSTEP, FLAG_STALLED, FLAG_WRITTEN};
use ringwave_regs::stream::{self as regs, EOS, EOS_ARM, STATE_PAUSE, STATE_RUN, STATE_STOP, WRITTEN};
use ringwave_regs::{format, global, pages};
use ringwave_trace::Diagnostic;
use support::song::{PACKET, RATE, clock_of};
use support::{RAM, Rig, SECOND, signal};

/// 2 ms at 44.1 kHz.
const FIFO: u32 = 88;

/// A card whose stream 0 captures, in PAUSE.
fn microphone(clock: ClockMode) -> Rig {
    let mut rig = Rig::with(Config { render: 0, capture: 1, clock, ..Config::default() });
    rig.ready(RATE, PACKET, 2);
    rig
}

/// What stands in the place of a packet.
fn packet(rig: &Rig, number: u64) -> Vec<u8> {
    rig.memory.peek(RAM + number % 2 * u64::from(PACKET) * 4, PACKET as usize * 4)
}

fn recorded(number: u64) -> Vec<u8> {
    signal(number * u64::from(PACKET), PACKET.into())
}

#[test]
fn every_frame_is_recorded_bit_for_bit_in_lockstep() {
    let mut rig = microphone(ClockMode::Lockstep);
    rig.write(WRITTEN, u32::MAX);
    rig.state(STATE_RUN);
    for number in 0..50_u32 {
        // The guest is late by 100 ms each time: the card waits once its buffer is full.
        rig.run_for(SECOND / 10);
        let status = rig.status();
        assert_eq!(status.packet_count, if number == 0 { 2 } else { number + 2 });
        assert_eq!(status.flags, FLAG_LOCKSTEP | FLAG_STALLED | FLAG_WRITTEN);
        assert_eq!(status.stalled_packet, number + 2, "its place is packet {number}'s, which was not taken");
        assert_eq!(packet(&rig, number.into()), recorded(number.into()), "packet {number}");
        rig.write(WRITTEN, number);
    }
    let told = rig.card.stats().next().unwrap();
    assert_eq!((told.underruns, told.silence_frames, told.transport_faults), (Some(0), 0, 0));
    assert!(told.capture && rig.heard.is_empty());
}

#[test]
fn realtime_stores_over_what_was_not_taken_and_counts_it() {
    let mut rig = microphone(ClockMode::Realtime);
    rig.write(WRITTEN, u32::MAX);
    rig.state(STATE_RUN);
    let start = rig.now;
    rig.run_to(clock_of(start, 2000));
    assert_eq!(
        (rig.status().packet_count, rig.status().underruns),
        (2, 1),
        "packet 2 begins in the place of 0"
    );
    rig.write(WRITTEN, 1);
    rig.run_to(clock_of(start, 4000));
    assert_eq!((rig.status().underruns, rig.status().silence_frames), (2, 2 * u64::from(PACKET)));
    assert_eq!(packet(&rig, 2), recorded(2));
    assert_eq!(packet(&rig, 3), recorded(3));
    assert!(rig.notes.contains(&Diagnostic::Overrun { stream: 0, packet: 0 }));
    assert!(rig.notes.contains(&Diagnostic::Overrun { stream: 0, packet: 2 }));
}

#[test]
fn nobody_who_takes_no_packets_is_told_of_underruns() {
    let mut rig = microphone(ClockMode::Lockstep);
    rig.write(regs::LOCKSTEP, 0);
    rig.state(STATE_RUN);
    rig.run_for(SECOND / 10);
    assert_eq!((rig.status().flags, rig.status().underruns), (0, 0), "goes by realtime");
    assert_eq!(rig.card.stats().next().unwrap().underruns, None);
    assert_eq!(packet(&rig, 3), recorded(3));
}

#[test]
fn a_piece_is_stored_when_it_ends_and_pause_stores_what_has_passed() {
    let mut rig = microphone(ClockMode::Realtime);
    rig.state(STATE_RUN);
    let start = rig.now;
    assert_eq!(rig.read(regs::FIFO_FRAMES), FIFO, "2 ms");
    rig.run_to(clock_of(start, FIFO.into()) - 1);
    assert_eq!(packet(&rig, 0)[..8], [0; 8], "nothing before the end of the first piece");
    rig.run_to(clock_of(start, FIFO.into()));
    assert_eq!(packet(&rig, 0)[..FIFO as usize * 4], signal(0, FIFO.into()));
    // While it runs everything before the position less a FIFO is there; so a driver reports it.
    for frames in (100..490).step_by(7) {
        rig.run_to(clock_of(start, frames));
        let there = (rig.position() - u64::from(FIFO)) as usize * 4;
        assert_eq!(packet(&rig, 0)[..there], signal(0, frames)[..there], "at frame {frames}");
    }
    rig.now = clock_of(start, 500);
    rig.state(STATE_PAUSE);
    assert_eq!(packet(&rig, 0)[..500 * 4], signal(0, 500));
    assert_eq!(packet(&rig, 0)[500 * 4..501 * 4], [0; 4]);
    rig.now += SECOND;
    rig.state(STATE_RUN);
    let start = rig.now - (clock_of(0, 500));
    rig.run_to(clock_of(start, 2000) + 1);
    assert_eq!(packet(&rig, 0), recorded(0), "no frame twice, none left out");
    rig.state(STATE_STOP);
    rig.now += SECOND;
    rig.wake();
    assert_eq!(packet(&rig, 0), recorded(0), "nothing is stored after STOP");
}

#[test]
fn only_memory_that_may_be_written_is_recorded_to() {
    let mut rig = microphone(ClockMode::Realtime);
    rig.memory.map(0x900_0000, 0x4000, false);
    rig.state(STATE_STOP);
    rig.write(regs::DMA_ADDR_LO, 0x900_0000);
    rig.state(regs::STATE_ACQUIRE);
    rig.state(STATE_PAUSE);
    assert_eq!(rig.state_refused(STATE_RUN), Error::DmaUnmapped.code());
}

#[test]
fn memory_that_goes_away_is_a_fault_and_the_stream_goes_on() {
    let mut rig = microphone(ClockMode::Realtime);
    rig.state(STATE_RUN);
    rig.memory.unmap(RAM);
    rig.run_for(SECOND / 500);
    let status = rig.status();
    assert_eq!((status.error, status.dma_faults), (Error::DmaUnmapped.code(), 1));
    assert_eq!((status.silence_frames, status.state), (FIFO.into(), STATE_RUN));
}

#[test]
fn there_is_no_end_of_a_microphone() {
    let mut rig = microphone(ClockMode::Realtime);
    assert_eq!(rig.refused(EOS, EOS_ARM | 4), Error::NotSupported.code());
}

#[test]
fn a_source_that_has_nothing_is_silence_and_counted() {
    let mut rig = microphone(ClockMode::Realtime);
    rig.source.end = Some(300);
    rig.state(STATE_RUN);
    rig.run_for(SECOND / 100);
    // Five pieces have ended.
    assert_eq!(packet(&rig, 0)[..440 * 4], [signal(0, 300), vec![0; 140 * 4]].concat());
    assert_eq!(rig.card.stats().next().unwrap().source_silence_frames, 140);
}

/// Stream 0 plays, stream 1 captures what it plays.
fn loopback(clock: ClockMode) -> Rig {
    let mut config = Config { clock, ..Config::default() };
    config.loopback[0] = Some(0);
    let mut rig = Rig::with(config);
    rig.ready(RATE, PACKET, 2);
    for (register, value) in [
        (regs::FORMAT, format::pack(format::S16, 2)),
        (regs::RATE, RATE),
        (regs::RING_BYTES, 0x8_0000),
        (regs::PACKETS, 2),
        (regs::DMA_ADDR_LO, RECORDED as u32),
        (regs::STATE, regs::STATE_ACQUIRE),
        (regs::STATE, regs::STATE_PAUSE),
    ] {
        rig.set(regs::BLOCK_BASE + regs::BLOCK_STRIDE + register, value);
    }
    rig
}

/// Where stream 1 of [`loopback`] records to.
const RECORDED: u64 = RAM + 0x8_0000;

fn other(rig: &mut Rig, register: u32, value: u32) {
    rig.set(regs::BLOCK_BASE + regs::BLOCK_STRIDE + register, value);
}

#[test]
fn loopback_is_what_was_played_sample_for_sample() {
    let mut rig = loopback(ClockMode::Lockstep);
    other(&mut rig, regs::STATE, STATE_RUN);
    rig.run_for(12_345_678);
    support::song::fill_packet(&rig, 0);
    support::song::fill_packet(&rig, 1);
    rig.write(WRITTEN, 0);
    rig.state(STATE_RUN);
    rig.run_for(SECOND / 200);
    for number in 1..60_u32 {
        if number > 1 {
            // Packet number - 2 is done: the guest is in time, so there is no stall.
            rig.run_for(SECOND * u64::from(PACKET) / u64::from(RATE));
            support::song::fill_packet(&rig, number.into());
        }
        if number == 59 {
            rig.write(EOS, EOS_ARM | (4 * 123));
        }
        rig.write(WRITTEN, number);
    }
    rig.run_for(SECOND / 10);
    other(&mut rig, regs::STATE, STATE_PAUSE);
    let heard = rig.heard.clone();
    assert_eq!(heard, signal(0, 59 * u64::from(PACKET) + 123));
    let recorded = rig.memory.peek(RECORDED, 0x8_0000);
    let first = recorded.iter().position(|byte| *byte != 0).unwrap() / 4 * 4;
    // Frame 0 is not silence in this signal.
    assert_eq!(recorded[first..first + heard.len()], heard[..], "without a gap, from frame {}", first / 4);
    assert!(recorded[first + heard.len()..].iter().all(|byte| *byte == 0));
    let began = (u64::from(RATE) * 12_345_678 / SECOND) as usize;
    assert!((first / 4).abs_diff(began) <= 2, "at its moment: {} and {began}", first / 4);
}

#[test]
fn the_position_page_ticks_only_when_asked_and_then_in_every_state_but_d3hot() {
    let mut rig = microphone(ClockMode::Realtime);
    let frames = |rig: &Rig| rig.pages.u64(pages::POSITION_BASE + pages::position::FRAMES);
    rig.state(STATE_RUN);
    rig.run_for(SECOND / 200);
    assert_eq!(frames(&rig), 0, "nobody asked");
    rig.write(regs::POSITION_CONTROL, regs::POSITION_TICK);
    assert_eq!(rig.read(regs::POSITION_CONTROL), regs::POSITION_TICK);
    let start = rig.now;
    for tick in 1..30 {
        let due = rig.card.next_deadline().unwrap();
        assert!(due <= start + tick * SECOND / 1000, "at least every millisecond");
        rig.run_to(start + tick * SECOND / 1000);
        let behind = rig.position() - frames(&rig);
        assert!(behind <= 45, "{behind} frames");
    }
    rig.state(STATE_PAUSE);
    let (stands, clock) =
        (rig.position(), |rig: &Rig| rig.pages.u64(pages::POSITION_BASE + pages::position::CLOCK));
    let before = clock(&rig);
    rig.run_for(SECOND / 100);
    assert_eq!(frames(&rig), stands);
    assert!(clock(&rig) - before >= SECOND / 100 - SECOND / 1000, "a clock goes on in PAUSE");
    rig.call(|card, env| card.set_d3hot(true, env));
    assert_eq!(rig.card.next_deadline(), None, "asleep");
    rig.call(|card, env| card.set_d3hot(false, env));
    assert!(rig.card.next_deadline().is_some());
    rig.set(global::CONTROL, global::CONTROL_RESET);
    assert_eq!(rig.read(regs::POSITION_CONTROL), 0);
}

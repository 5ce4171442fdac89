//! Streams as a driver runs them: what is heard, what is counted, what the status page says, line by line of
//! DATASHEET 5.7. Ends, starts, power and reset are in `ends.rs`.
#![allow(
    clippy::cast_possible_truncation,
    clippy::decimal_bitwise_operands,
    clippy::precedence,
    reason = "test code"
)]

use crate::support::song::{PACKET, RATE, clock_of, fill_packet, lockstep};
use crate::support::{NoPages, RAM, SECOND, TestCard, signal};
use ringwave_card::controller::Controller;
use ringwave_card::env::{ClockMode, Env, Interrupts};
use ringwave_engine::audio_queue::AudioQueue;
use ringwave_engine::sources::NoSources;
use ringwave_regs::error::Error;
use ringwave_regs::pages::status::{FLAG_ENDED, FLAG_LOCKSTEP, FLAG_STALLED, FLAG_WRITTEN};
use ringwave_regs::stream::{
    EOS, EOS_ARM, ERROR, FIFO_FRAMES, LOCKSTEP, PACKET_COUNT, STATE, STATE_ACQUIRE, STATE_PAUSE, STATE_RUN,
    STATE_STOP, WRITTEN,
};
use ringwave_trace::{CardEvent, CardRecords, Diagnostic, StreamState};

#[test]
fn a_song_is_heard_bit_for_bit_in_lockstep() {
    let mut dut = lockstep();
    fill_packet(&dut, 0);
    dut.write(WRITTEN, 0);
    dut.state(STATE_RUN);
    for packet in 1..50 {
        // The guest is late by 100 ms each time: the card waits.
        dut.run_for(SECOND / 10);
        assert_eq!(dut.messages, 1);
        assert_eq!(dut.status().packet_count, packet);
        fill_packet(&dut, u64::from(packet));
        if packet == 49 {
            dut.write(EOS, EOS_ARM | 4 * 123);
        }
        dut.write(WRITTEN, packet);
    }
    dut.run_for(SECOND);
    let status = dut.status();
    assert_eq!(dut.heard, signal(0, 49 * u64::from(PACKET) + 123));
    assert_eq!((status.packet_count, status.events, status.underruns), (50, 50, 0));
    assert_eq!(status.flags, FLAG_LOCKSTEP | FLAG_ENDED | FLAG_WRITTEN);
    assert_eq!(status.rate, 0);
    assert_eq!(dut.position(), 49_123);
    let told = dut.card.stats().next().unwrap();
    assert_eq!((told.frames, told.packets_completed, told.stalls), (49_123, 50, 49));
    assert_eq!((told.underruns, told.events, told.entries), (Some(0), 50, 1));
}

#[test]
fn a_stall_stops_time_and_written_starts_it_again() {
    let mut dut = lockstep();
    dut.write(WRITTEN, 0);
    dut.state(STATE_RUN);
    let start = dut.now;
    let epoch = dut.status().epoch;
    dut.run_for(SECOND);
    let end = clock_of(start, 1000);
    let status = dut.status();
    assert_eq!(status.flags, FLAG_LOCKSTEP | FLAG_STALLED | FLAG_WRITTEN);
    assert_eq!((status.stalled_packet, status.packet_count), (1, 1));
    assert_eq!((status.anchor, status.rate), ((end, 1000), 0));
    assert_eq!(status.packet_end, (end, 1000));
    assert_eq!(status.epoch, epoch + 1);
    let stall = dut.card.stalls().next().unwrap();
    assert_eq!((stall.stream, stall.packet, stall.since), (0, 1, end));
    assert!(dut.card.next_deadline().is_some_and(|look| look > dut.now && look <= dut.now + SECOND / 200));
    dut.write(WRITTEN, 1);
    let status = dut.status();
    assert_eq!((status.anchor, status.rate), ((dut.now, 1000), RATE));
    assert_eq!((status.flags, status.epoch), (FLAG_LOCKSTEP | FLAG_WRITTEN, epoch + 2));
    assert_eq!(dut.card.next_deadline(), Some(clock_of(dut.now, 441)));
}

#[test]
fn a_written_that_comes_in_time_never_stalls() {
    let mut dut = lockstep();
    dut.write(WRITTEN, 1);
    dut.state(STATE_RUN);
    let epoch = dut.status().epoch;
    let start = dut.now;
    for packet in 2..20 {
        dut.run_to(clock_of(start, u64::from(packet - 1) * 1000));
        assert_eq!(dut.status().packet_count, packet - 1);
        dut.write(WRITTEN, packet);
    }
    let status = dut.status();
    assert_eq!((status.epoch, status.rate), (epoch, RATE), "the line was only renewed");
    assert_eq!(dut.card.stats().next().unwrap().stalls, 0);
}

#[test]
fn the_anchor_is_renewed_at_every_end_of_a_piece() {
    let mut dut = lockstep();
    dut.write(WRITTEN, 1);
    dut.state(STATE_RUN);
    let start = dut.now;
    for frame in [441, 882, 1000, 1441, 1882, 2000] {
        let due = dut.card.next_deadline().unwrap();
        assert_eq!(due, clock_of(start, frame));
        dut.run_to(due);
        assert_eq!(dut.status().anchor, (due, frame));
        assert_eq!(dut.position(), frame);
    }
}

#[test]
fn a_late_wake_handles_every_end_at_its_own_clock() {
    let mut dut = TestCard::new(ClockMode::Realtime);
    dut.ready(RATE, PACKET, 2);
    dut.write(WRITTEN, 9);
    dut.state(STATE_RUN);
    let start = dut.now;
    dut.now += SECOND / 10;
    dut.wake();
    let status = dut.status();
    assert_eq!((status.packet_count, status.events), (4, 4), "each end counts");
    assert_eq!(status.packet_end, (clock_of(start, 4000), 4000));
    assert_eq!(dut.messages, 1);
    assert_eq!(dut.position(), 4410);
}

#[test]
fn after_a_long_sleep_time_starts_again_where_it_was() {
    let mut dut = TestCard::new(ClockMode::Realtime);
    dut.ready(RATE, PACKET, 2);
    dut.write(WRITTEN, 1_000_000);
    dut.state(STATE_RUN);
    let (start, epoch) = (dut.now, dut.status().epoch);
    dut.run_to(clock_of(start, 882));
    // The next end is at 1000; 100 ms after it is not late yet ...
    dut.now = clock_of(start, 1000) + SECOND / 10;
    dut.wake();
    assert_eq!((dut.position(), dut.status().epoch), (1000 + 4410, epoch));
    // ... and one tick more than 100 ms after the next is.
    dut.now = dut.card.next_deadline().unwrap() + SECOND / 10 + 1;
    let before = dut.heard.len();
    dut.wake();
    let status = dut.status();
    assert_eq!((status.epoch, status.rate), (epoch + 1, RATE));
    assert!(status.anchor.0 == dut.now && dut.position() == status.anchor.1, "{status:?}");
    assert!(dut.heard.len() - before <= 441 * 4, "only the burst that was in the FIFO was played");
    assert_eq!(dut.heard.len() as u64, dut.position() * 4);
    assert_eq!(u64::from(status.packet_count), dut.position() / 1000);
}

#[test]
fn a_day_at_44100_has_no_drift() {
    let mut dut = TestCard::new(ClockMode::Realtime);
    dut.ready(RATE, 22_057, 2);
    // Nothing can be read, so a day's silence is played: only time matters here.
    dut.write(WRITTEN, i32::MAX.cast_unsigned());
    dut.state(STATE_RUN);
    dut.card.set_bus_master(false);
    let start = dut.now;
    let day = 24 * 3600;
    // The engine wakes when it likes, here every 80 ms.
    let (mut audio, mut interrupts) = (AudioQueue::default(), Interrupts::default());
    let mut records = CardRecords::default();
    for wake in 1..=day * 100 / 8 {
        dut.now = start + wake * 8 * SECOND / 100;
        let mut env = Env {
            now: dut.now,
            memory: &dut.memory,
            pages: &NoPages,
            sources: &mut NoSources,
            audio: &mut audio,
            interrupts: &mut interrupts,
            log: records.log(None),
        };
        dut.card.advance(&mut env);
        records.clear();
        audio.clear();
    }
    dut.wake();
    assert_eq!(dut.now, start + day * SECOND);
    assert_eq!(dut.position(), day * u64::from(RATE));
    assert_eq!(dut.read(PACKET_COUNT), u32::try_from(day * u64::from(RATE) / 22_057).unwrap());
    assert_eq!(clock_of(start, day * u64::from(RATE)), start + day * SECOND);
}

#[test]
fn pause_is_exact_and_the_rest_of_the_fifo_is_heard_after_run() {
    let mut dut = lockstep();
    fill_packet(&dut, 0);
    dut.write(WRITTEN, 0);
    dut.state(STATE_RUN);
    let start = dut.now;
    dut.run_to(clock_of(start, 700));
    dut.write(STATE, STATE_PAUSE);
    assert_eq!(dut.heard, signal(0, 700));
    assert_eq!(dut.status().anchor, (dut.now, 700));
    assert_eq!(dut.status().rate, 0);
    // What is in the FIFO (441..882) stays, whatever becomes of the buffer; time in PAUSE does not count.
    dut.memory.poke(RAM, &vec![0xEE; 4000]);
    dut.run_for(SECOND);
    assert_eq!((dut.position(), dut.heard.len()), (700, 2800));
    dut.state(STATE_ACQUIRE);
    dut.state(STATE_PAUSE);
    dut.state(STATE_RUN);
    assert_eq!(dut.card.next_deadline(), Some(clock_of(dut.now, 182)));
    dut.run_for(SECOND);
    assert_eq!(dut.heard[..4 * 882], signal(0, 882));
    assert_eq!(dut.heard[4 * 882..], vec![0xEE; 4 * 118]);
    assert_eq!(dut.status().packet_count, 1);
}

#[test]
fn stop_drops_what_was_not_played_and_sets_the_counters_to_zero() {
    let mut dut = lockstep();
    fill_packet(&dut, 0);
    dut.write(WRITTEN, 1);
    dut.state(STATE_RUN);
    let start = dut.now;
    dut.run_to(clock_of(start, 1500));
    let before = dut.status();
    dut.write(STATE, STATE_STOP);
    assert_eq!(dut.heard.len(), 1500 * 4, "what has passed was played, the rest of the FIFO is gone");
    assert_eq!(dut.heard[..4000], signal(0, 1000));
    let status = dut.status();
    assert_eq!((status.state, status.flags, status.packet_count), (STATE_STOP, 0, 0));
    assert_eq!((status.anchor, status.rate), ((dut.now, 0), 0));
    assert_eq!((status.epoch, status.events), (before.epoch + 1, before.events), "totals stay");
    assert_eq!((dut.position(), dut.read(WRITTEN), dut.read(FIFO_FRAMES)), (0, 0, 88));
    assert_eq!(dut.card.next_deadline(), None);
    dut.run_for(SECOND);
    assert_eq!((dut.heard.len(), dut.stops, dut.events), (6000, 1, 0));
    assert_eq!(dut.trace.last(), Some(&CardEvent::State { stream: 0, state: StreamState::Stop }));
}

#[test]
fn pause_ends_a_stall_and_run_stalls_again() {
    let mut dut = lockstep();
    dut.write(WRITTEN, 0);
    dut.state(STATE_RUN);
    dut.run_for(SECOND);
    dut.state(STATE_PAUSE);
    let status = dut.status();
    assert_eq!((status.flags, status.stalled_packet), (FLAG_LOCKSTEP | FLAG_WRITTEN, 0));
    assert_eq!(dut.card.stalls().count(), 0);
    dut.state(STATE_RUN);
    let status = dut.status();
    assert_eq!((status.flags & FLAG_STALLED, status.stalled_packet, status.rate), (FLAG_STALLED, 1, 0));
    assert_eq!((status.anchor, status.packet_count), ((dut.now, 1000), 1));
    // WRITTEN in PAUSE is as good.
    dut.state(STATE_PAUSE);
    dut.write(WRITTEN, 1);
    dut.state(STATE_RUN);
    assert_eq!(dut.status().rate, RATE);
}

#[test]
fn run_before_packet_0_is_written_stalls_at_once_if_marked_later_packets_only() {
    // Marked with "-1": nothing is WRITTEN yet, but the stream goes by lockstep.
    let mut dut = lockstep();
    dut.write(WRITTEN, u32::MAX);
    dut.state(STATE_RUN);
    let status = dut.status();
    assert_eq!((status.flags & FLAG_STALLED, status.stalled_packet), (FLAG_STALLED, 0));
    assert!(!dut.trace.iter().any(|line| matches!(line, CardEvent::Read { .. })), "nothing is fetched");
}

#[test]
fn a_stream_that_does_not_ask_for_lockstep_goes_by_realtime_and_the_log_says_so() {
    let mut dut = lockstep();
    dut.write(LOCKSTEP, 0);
    fill_packet(&dut, 0);
    fill_packet(&dut, 1);
    dut.state(STATE_RUN);
    assert!(dut.notes.contains(&Diagnostic::NotLockstep { stream: 0 }));
    let start = dut.now;
    dut.run_to(clock_of(start, 3500));
    assert_eq!(dut.status().flags, 0);
    assert_eq!((dut.status().packet_count, dut.status().underruns), (3, 0));
    let mut twice = signal(0, 2000);
    twice.extend(signal(0, 1000));
    // Pieces of 2 ms, 88 frames, end at 3440.
    twice.extend(signal(1000, 440));
    assert_eq!(dut.heard, twice, "what is in the buffer");
    assert_eq!(dut.card.stats().next().unwrap().underruns, None, "unknown, not 0");
}

#[test]
fn lockstep_is_asked_for_before_run_and_granted_by_the_card() {
    for (card, asks, granted) in [
        (ClockMode::Lockstep, 1, true),
        (ClockMode::Lockstep, 0, false),
        (ClockMode::Realtime, 1, false),
        (ClockMode::Realtime, 0, false),
    ] {
        let mut dut = TestCard::new(card);
        dut.ready(RATE, PACKET, 2);
        dut.write(LOCKSTEP, asks);
        // Marked or not makes no difference.
        if asks == 0 {
            dut.write(WRITTEN, u32::MAX);
        }
        dut.state(STATE_RUN);
        assert_eq!(dut.status().flags & FLAG_LOCKSTEP != 0, granted, "{card:?}, asked {asks}");
        dut.run_for(SECOND / 10);
        assert_eq!(dut.status().packet_count == 0, granted, "{card:?}, asked {asks}");
        assert_eq!(dut.refused(LOCKSTEP, 0), Error::BadState.code(), "in RUN");
        assert_eq!(dut.read(LOCKSTEP), asks);
        // It holds until STOP, and the register stays.
        dut.state(STATE_PAUSE);
        dut.write(LOCKSTEP, 1 - asks);
        dut.state(STATE_RUN);
        assert_eq!(dut.status().flags & FLAG_LOCKSTEP != 0, granted);
        dut.state(STATE_STOP);
        assert_eq!(dut.read(LOCKSTEP), 1 - asks);
        dut.call(Controller::reset);
        assert_eq!(dut.read(LOCKSTEP), 0);
    }
}

#[test]
fn realtime_plays_silence_of_the_exact_length_for_as_long_as_a_packet_is_late() {
    let mut dut = TestCard::new(ClockMode::Realtime);
    dut.ready(RATE, PACKET, 2);
    fill_packet(&dut, 0);
    dut.write(WRITTEN, 0);
    dut.state(STATE_RUN);
    let start = dut.now;
    // Packet 1 is WRITTEN a tick too late, packet 2 in time.
    dut.run_to(clock_of(start, 1000) + 1);
    fill_packet(&dut, 1);
    dut.write(WRITTEN, 1);
    fill_packet(&dut, 2);
    dut.write(WRITTEN, 2);
    dut.run_to(clock_of(start, 3000));
    let mut expected = signal(0, 1000);
    // A millisecond, floor(44.1) frames; the rest of the packet is heard.
    expected.extend(vec![0; 44 * 4]);
    expected.extend(signal(1044, 1956));
    assert!(dut.heard == expected);
    let status = dut.status();
    assert_eq!((status.underruns, status.silence_frames), (2, 44), "packet 3 has just begun");
    assert_eq!((status.packet_count, status.flags), (3, FLAG_WRITTEN));
    assert_eq!(dut.card.stats().next().unwrap().underruns, Some(2));
    assert!(dut.notes.contains(&Diagnostic::Underrun { stream: 0, packet: 1 }));
}

#[test]
fn a_byte_is_fetched_when_the_position_reaches_its_piece_and_not_before() {
    let mut dut = lockstep();
    dut.write(WRITTEN, 1);
    dut.state(STATE_RUN);
    let reads = |dut: &TestCard| -> Vec<(u64, u64)> {
        let lines = dut.trace.iter();
        lines
            .filter_map(|line| {
                if let CardEvent::Read { address, bytes, .. } = *line { Some((address, bytes)) } else { None }
            })
            .collect()
    };
    assert_eq!(reads(&dut), [(RAM, 441 * 4)]);
    let start = dut.now;
    dut.run_to(clock_of(start, 1000) - 1);
    let expected = [(RAM, 441 * 4), (RAM + 441 * 4, 441 * 4), (RAM + 882 * 4, 118 * 4)];
    assert_eq!(reads(&dut), expected, "nothing of packet 1 before packet 0 is complete");
    dut.run_to(clock_of(start, 1000));
    assert_eq!(reads(&dut).last(), Some(&(RAM + 4000, 441 * 4)));
}

#[test]
fn a_transfer_that_fails_plays_silence_for_the_piece_and_tells() {
    let mut dut = lockstep();
    fill_packet(&dut, 0);
    dut.write(WRITTEN, 1);
    dut.state(STATE_RUN);
    let start = dut.now;
    dut.card.set_bus_master(false);
    dut.run_to(clock_of(start, 441));
    assert_eq!(dut.read(ERROR), Error::BusMasterOff.code());
    assert_eq!(
        (dut.status().dma_faults, dut.events),
        (1, 0),
        "the event came with the deadline, not with the read"
    );
    dut.card.set_bus_master(true);
    dut.run_to(clock_of(start, 1000));
    let mut expected = signal(0, 441);
    expected.extend(vec![0; 441 * 4]);
    expected.extend(signal(882, 118));
    assert_eq!(dut.heard, expected);
    let status = dut.status();
    assert_eq!(
        (status.error, status.dma_faults, status.silence_frames),
        (Error::BusMasterOff.code(), 1, 441)
    );
    assert_eq!(status.events, 2, "an error and a packet");
    // Memory that goes away in the middle of a run.
    dut.memory.unmap(RAM);
    dut.run_to(clock_of(start, 1500));
    assert_eq!((dut.status().error, dut.status().dma_faults), (Error::DmaUnmapped.code(), 2));
    dut.write(STATE, STATE_STOP);
    assert_eq!(dut.read(ERROR), Error::DmaUnmapped.code(), "STOP does not clear it");
}

#[test]
fn the_start_of_a_packet_has_its_clock() {
    let mut dut = lockstep();
    dut.write(WRITTEN, 0);
    dut.state(STATE_RUN);
    let start = dut.now;
    dut.run_for(SECOND);
    assert_eq!(dut.status().packet_start, start);
    dut.write(EOS, EOS_ARM | 4 * 10);
    dut.write(WRITTEN, 1);
    let start = dut.now;
    dut.run_for(SECOND);
    assert_eq!(dut.status().packet_start, start, "after the stall, not at the end of the packet before");
    assert_eq!(dut.status().packet_end, (clock_of(start, 10), 1010));
}

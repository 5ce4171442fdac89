//! A stream that follows the clock of the host's sound card: the pace changes at ends of bursts, exactly, and
//! only where it may. DATASHEET 5.2, 5.4 and 5.7.
#![allow(clippy::cast_possible_truncation, reason = "test code")]

use crate::support;
use crate::support::song::{PACKET, RATE};
use crate::support::{RAM, SECOND, TestCard, signal};
use proptest::prelude::*;
use ringwave_card::controller::{Config, Controller};
use ringwave_card::env::ClockMode;
use ringwave_regs::stream::{self as regs, STATE_PAUSE, STATE_RUN, STATE_STOP, WRITTEN};
use ringwave_regs::{format, global};

const NOMINAL: u32 = 1_000_000_000;
/// 10 ms at 44.1 kHz.
const FIFO: u64 = 441;

/// Ticks in which so many frames pass.
fn ticks(frames: u64, den: u32) -> u64 {
    (frames * u64::from(den)).div_ceil(u64::from(RATE))
}

fn realtime() -> TestCard {
    let mut dut = TestCard::new(ClockMode::Realtime);
    dut.ready(RATE, PACKET, 2);
    // Everything is there already: bursts are as long as they get.
    dut.write(WRITTEN, i32::MAX.cast_unsigned());
    dut
}

#[test]
fn pace_changes_at_the_end_of_a_piece_with_a_new_base() {
    let mut dut = realtime();
    dut.state(STATE_RUN);
    let start = dut.now;
    let first = dut.status();
    dut.run_for(1_234_567);
    let slow = NOMINAL + 83_000;
    dut.card.set_rate_den(0, slow);
    dut.wake();
    assert_eq!(dut.status(), first, "not before the end of the burst");
    let end = start + ticks(FIFO, NOMINAL);
    assert_eq!(dut.card.next_deadline(), Some(end));
    dut.run_to(end - 1);
    assert_eq!((dut.position(), dut.status().rate_den), (FIFO - 1, NOMINAL));
    dut.run_to(end);
    let status = dut.status();
    assert_eq!((status.anchor, status.rate, status.rate_den), ((end, FIFO), RATE, slow));
    assert_eq!((status.epoch, dut.position()), (first.epoch + 1, FIFO));
    // The second burst, then the rest of the packet: on the same line.
    assert_eq!(dut.card.next_deadline(), Some(end + ticks(FIFO, slow)));
    dut.run_to(end + ticks(FIFO, slow));
    let packet = end + ticks(u64::from(PACKET) - FIFO, slow);
    assert_eq!(dut.card.next_deadline(), Some(packet), "derived from the base, not from the anchor");
    dut.run_to(packet);
    let status = dut.status();
    assert_eq!((status.packet_end, status.packet_count), ((packet, u64::from(PACKET)), 1));
    assert_eq!((status.epoch, status.rate_den), (first.epoch + 1, slow), "the same pace is no new base");
    dut.card.set_rate_den(0, slow);
    dut.run_for(SECOND / 10);
    assert_eq!(dut.status().epoch, first.epoch + 1);
}

#[test]
fn only_a_stream_in_run_by_realtime_has_a_pace_and_stop_ends_it() {
    let mut dut = realtime();
    dut.card.set_rate_den(0, NOMINAL + 500);
    dut.card.set_rate_den(7, NOMINAL + 500);
    dut.state(STATE_RUN);
    dut.run_for(SECOND / 20);
    assert_eq!(dut.status().rate_den, NOMINAL, "set in PAUSE is not set");
    for (wanted, taken) in
        [(0, NOMINAL - 1_000_000), (u32::MAX, NOMINAL + 1_000_000), (NOMINAL - 7, NOMINAL - 7)]
    {
        dut.card.set_rate_den(0, wanted);
        dut.run_for(SECOND / 20);
        assert_eq!(dut.status().rate_den, taken);
    }
    dut.state(STATE_PAUSE);
    let frozen = dut.status();
    assert_eq!((frozen.rate, frozen.rate_den), (0, NOMINAL - 7));
    dut.run_for(SECOND / 20);
    dut.state(STATE_RUN);
    assert_eq!(dut.status().rate_den, NOMINAL - 7, "PAUSE keeps it");
    dut.card.set_rate_den(0, NOMINAL + 9);
    dut.state(STATE_STOP);
    assert_eq!(dut.status().rate_den, NOMINAL);
    dut.state(regs::STATE_ACQUIRE);
    dut.state(STATE_PAUSE);
    dut.state(STATE_RUN);
    dut.run_for(SECOND / 20);
    assert_eq!(dut.status().rate_den, NOMINAL, "what was wanted before STOP is forgotten");
    dut.card.set_rate_den(0, NOMINAL + 9);
    dut.run_for(SECOND / 20);
    dut.call(Controller::reset);
    assert_eq!(dut.status().rate_den, NOMINAL);

    let mut dut = support::song::lockstep();
    dut.write(WRITTEN, 9);
    dut.state(STATE_RUN);
    dut.card.set_rate_den(0, NOMINAL + 500);
    dut.run_for(SECOND / 20);
    assert_eq!(dut.status().rate_den, NOMINAL, "lockstep has the card's own clock");
}

/// A model of the position: a base, and the pace from it on.
struct Base {
    frame: u64,
    clock: u64,
    den: u32,
}

impl Base {
    fn clock_at(&self, frame: u64) -> u64 {
        self.clock + ticks(frame - self.frame, self.den)
    }
    fn frame_at(&self, clock: u64) -> u64 {
        let passed = u128::from(clock - self.clock) * u128::from(RATE) / u128::from(self.den);
        self.frame + u64::try_from(passed).unwrap()
    }
}

/// The end of the burst that begins at `frame`.
fn burst_end(frame: u64) -> u64 {
    let packet_end = (frame / u64::from(PACKET) + 1) * u64::from(PACKET);
    (frame + FIFO).min(packet_end)
}

/// Runs a card from burst to burst, each with the pace that `paces` gives for it, beside the model.
fn follow(paces: impl Iterator<Item = u32>) {
    let mut dut = realtime();
    dut.state(STATE_RUN);
    let mut base = Base { frame: 0, clock: dut.now, den: NOMINAL };
    let (mut burst, mut epoch, mut last) = (0, dut.status().epoch, 0);
    for den in paces {
        let end = burst_end(burst);
        let due = base.clock_at(end);
        assert_eq!(dut.card.next_deadline(), Some(due), "the burst up to frame {end}");
        dut.card.set_rate_den(0, den);
        for moment in [dut.now + (due - dut.now) / 3, due - 1, due] {
            dut.run_to(moment);
            let position = dut.position();
            assert!(position >= last, "back from {last} to {position}");
            assert_eq!(position, base.frame_at(moment));
            last = position;
        }
        assert_eq!(last, end, "the frame at the base is exact");
        if den != base.den {
            base = Base { frame: end, clock: due, den };
            epoch += 1;
        }
        let status = dut.status();
        assert_eq!((status.anchor, status.rate_den, status.epoch), ((due, end), base.den, epoch));
        assert_eq!(u64::from(status.packet_count), end / u64::from(PACKET));
        burst = end;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_sequence_of_paces_loses_or_repeats_a_frame(
        paces in prop::collection::vec(
            prop_oneof![3 => NOMINAL - 1_000_000..=NOMINAL + 1_000_000, 1 => Just(NOMINAL)], 1..100),
    ) {
        follow(paces.into_iter());
    }
}

#[test]
fn minute_of_a_clock_that_wanders_ends_at_the_frame_that_the_pieces_say() {
    // Around +83 ppm, another one after each burst.
    follow((0..6_600_u32).map(|n| NOMINAL + 83_000 + n.wrapping_mul(7_919) % 4_000));
}

/// Where a second stream captures to.
const RECORDED: u64 = RAM + 0x8_0000;

#[test]
fn loopback_goes_at_the_pace_of_what_it_hears() {
    let mut config = Config { clock: ClockMode::Realtime, ..Config::default() };
    config.loopback[0] = Some(0);
    let mut dut = TestCard::with(config);
    // The whole song in one buffer.
    let frames = 0x8_0000 / 4;
    dut.ready(RATE, frames as u32 / 2, 2);
    dut.fill(RAM, 0, frames);
    let block = regs::BLOCK_BASE + regs::BLOCK_STRIDE;
    for (register, value) in [
        (regs::FORMAT, format::pack(format::S16, 2)),
        (regs::RATE, RATE),
        (regs::RING_BYTES, 0x8_0000),
        (regs::PACKETS, 2),
        (regs::DMA_ADDR_LO, RECORDED as u32),
        (regs::STATE, regs::STATE_ACQUIRE),
        (regs::STATE, STATE_PAUSE),
        (regs::STATE, STATE_RUN),
    ] {
        dut.set(block + register, value);
    }
    dut.run_for(SECOND / 300);
    dut.state(STATE_RUN);
    for den in [NOMINAL + 900_000, NOMINAL - 900_000, NOMINAL + 83_000, NOMINAL - 999_999, NOMINAL + 999_999]
    {
        dut.card.set_rate_den(0, den);
        dut.run_for(SECOND * 11 / 20);
    }
    dut.set(block + regs::STATE, STATE_PAUSE);
    dut.state(STATE_PAUSE);
    let recorded = dut.memory.peek(RECORDED, 0x8_0000);
    let first = recorded.iter().position(|byte| *byte != 0).unwrap() / 4 * 4;
    let heard = signal(0, dut.heard.len() as u64 / 4);
    assert!(dut.heard == heard);
    let gap = recorded[first..].chunks(4).zip(heard.chunks(4)).position(|(seen, sent)| seen != sent);
    let all = heard.len() / 4;
    assert!(gap.is_none_or(|gap| all - gap <= 3), "a gap at frame {gap:?} of {all}");
    assert_eq!(dut.get(global::ERROR), 0);
}

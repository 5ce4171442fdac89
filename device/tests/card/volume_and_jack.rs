//! Volume, mute and jack: what is heard from which frame on, what stays, and what a guest is told. DATASHEET
//! 5.8 and 5.9.
#![allow(clippy::cast_possible_truncation, reason = "test code")]

use crate::support;
use crate::support::song::{PACKET, RATE, clock_of, fill_packet};
use crate::support::{RAM, SECOND, TestCard, signal};
use ringwave_card::controller::{Config, Controller};
use ringwave_card::env::ClockMode;
use ringwave_regs::pages::status::FLAG_UNPLUGGED;
use ringwave_regs::stream::{self as regs, MUTE, STATE_PAUSE, STATE_RUN, STATE_STOP, VOLUME_0, VOLUME_1};
use ringwave_regs::{format, global};

/// -6 dB in the registers' units, and the factor that it is: `round(2^30 * 10^(-6 / 20))`.
const SIX_DOWN: u32 = (-6_i32 * 65_536).cast_unsigned();
const SIX_FACTOR: i64 = 538_145_694;
const UNTOUCHED: i64 = 1 << 30;

/// Frames `first..first + frames` of the signal, each channel times its factor. DATASHEET 5.8.
fn scaled(first: u64, frames: u64, factors: [i64; 2]) -> Vec<u8> {
    let samples = signal(first, frames);
    let samples = samples.as_chunks().0.iter().zip([0, 1].into_iter().cycle());
    samples
        .flat_map(|(sample, channel)| {
            let product = i64::from(i16::from_le_bytes(*sample)) * factors[channel];
            (((product + (1 << 29)) >> 30) as i16).to_le_bytes()
        })
        .collect()
}

/// A realtime card, in PAUSE, whose first two packets are the signal.
fn player() -> TestCard {
    let mut dut = TestCard::new(ClockMode::Realtime);
    dut.ready(RATE, PACKET, 2);
    fill_packet(&dut, 0);
    fill_packet(&dut, 1);
    dut
}

/// What `player` or `microphone` is told while frames 0 to 2000 pass, and what these are then.
fn turn_the_knobs(dut: &mut TestCard) -> Vec<u8> {
    dut.state(STATE_RUN);
    let start = dut.now;
    let at = |dut: &mut TestCard, frame: u64, register: u32, value: u32| {
        dut.run_to(clock_of(start, frame));
        let before = dut.status();
        dut.write(register, value);
        assert_eq!((dut.read(register), dut.status()), (value, before), "nothing but the sound is another");
        assert_eq!((dut.events, dut.read(regs::ERROR)), (0, 0));
    };
    at(dut, 300, VOLUME_0, SIX_DOWN);
    at(dut, 301, VOLUME_1, SIX_DOWN);
    at(dut, 700, MUTE, 0b10);
    at(dut, 1000, MUTE, 0b01);
    at(dut, 1200, VOLUME_1, 0);
    at(dut, 1700, MUTE, 0);
    at(dut, 1900, VOLUME_0, 0);
    dut.run_to(clock_of(start, 1950));
    dut.state(STATE_PAUSE);
    // What is in the FIFO now is heard otherwise, too.
    dut.now += SECOND;
    dut.write(VOLUME_0, regs::VOLUME_MIN.cast_unsigned());
    dut.state(STATE_RUN);
    dut.run_for(clock_of(0, 50));
    dut.state(STATE_STOP);
    [
        scaled(0, 300, [UNTOUCHED, UNTOUCHED]),
        scaled(300, 1, [SIX_FACTOR, UNTOUCHED]),
        scaled(301, 399, [SIX_FACTOR, SIX_FACTOR]),
        scaled(700, 300, [SIX_FACTOR, 0]),
        scaled(1000, 200, [0, SIX_FACTOR]),
        scaled(1200, 500, [0, UNTOUCHED]),
        scaled(1700, 200, [SIX_FACTOR, UNTOUCHED]),
        scaled(1900, 50, [UNTOUCHED, UNTOUCHED]),
        scaled(1950, 50, [17_018, UNTOUCHED]),
    ]
    .concat()
}

/// Compares frames of 4 bytes, and names the first that is wrong.
fn assert_frames(seen: &[u8], expected: &[u8]) {
    assert_eq!(seen.len(), expected.len());
    let wrong = seen.chunks(4).zip(expected.chunks(4)).position(|(seen, expected)| seen != expected);
    assert_eq!(wrong, None, "the first frame that is wrong");
}

#[test]
fn every_change_is_heard_from_its_frame_on() {
    let mut dut = player();
    let expected = turn_the_knobs(&mut dut);
    assert_frames(&dut.heard, &expected);
    assert_eq!(dut.silence, 0, "muted is no silence for want of data");
}

#[test]
fn every_change_is_captured_from_its_frame_on() {
    let mut dut = TestCard::with(Config { render: 0, clock: ClockMode::Realtime, ..Config::default() });
    dut.ready(RATE, PACKET, 2);
    let expected = turn_the_knobs(&mut dut);
    assert_frames(&dut.memory.peek(RAM, 2000 * 4), &expected);
}

#[test]
fn change_stores_what_has_passed_of_a_captured_piece_and_nothing_twice() {
    let mut dut = TestCard::with(Config { render: 0, clock: ClockMode::Realtime, ..Config::default() });
    dut.ready(RATE, PACKET, 2);
    dut.state(STATE_RUN);
    let start = dut.now;
    dut.now = clock_of(start, 50);
    dut.write(MUTE, 3);
    assert_frames(&dut.memory.peek(RAM, 51 * 4), &[signal(0, 50), vec![0; 4]].concat());
    dut.run_to(clock_of(start, 88));
    assert_eq!(dut.source.next, 88, "the source was asked for each frame once");
    assert_eq!(dut.memory.peek(RAM + 50 * 4, 38 * 4), [0; 38 * 4]);
    assert_eq!(dut.card.stats().next().unwrap().frames, 88);
}

/// Plays these bytes, as many as a buffer of two packets of 480 frames has, and gives what was heard.
fn heard_as(dut: &mut TestCard, code: u32, bytes: &[u8]) -> Vec<u8> {
    dut.set_up(48_000, 480, 2);
    dut.write(regs::FORMAT, format::pack(code, 2));
    dut.write(regs::RING_BYTES, bytes.len() as u32);
    dut.memory.poke(RAM, bytes);
    dut.state(regs::STATE_ACQUIRE);
    dut.state(STATE_PAUSE);
    dut.state(STATE_RUN);
    dut.run_for(SECOND / 50);
    dut.state(STATE_STOP);
    std::mem::take(&mut dut.heard)
}

#[test]
fn zero_decibels_are_bit_for_bit_what_was_sent() {
    let mut dut = TestCard::new(ClockMode::Realtime);
    let mut noise = 0x1234_5678_u32;
    let mut bytes: Vec<u8> = std::iter::repeat_with(|| {
        noise = noise.wrapping_mul(0x0019_660D).wrapping_add(0x3C6E_F35F);
        (noise >> 24) as u8
    })
    .take(960 * 8)
    .collect();
    // What is no number keeps every bit, a signalling one too, and so does -0.
    bytes[..16].copy_from_slice(&[1, 0, 0xA0, 0x7F, 0, 0, 0, 0x80, 0, 0, 0xC0, 0xFF, 1, 0, 0, 0]);
    // A volume that was another in between, and channels that this format has not.
    dut.write(VOLUME_0, SIX_DOWN);
    dut.write(VOLUME_0, 0);
    dut.write(regs::VOLUME_2, SIX_DOWN);
    dut.write(MUTE, 0b1111_1100);
    for code in [format::S24_32, format::S32, format::F32] {
        assert!(heard_as(&mut dut, code, &bytes) == bytes, "sample format {code}");
    }
    assert!(heard_as(&mut dut, format::S16, &bytes[..960 * 4]) == bytes[..960 * 4]);
    dut.write(VOLUME_1, SIX_DOWN);
    let heard = heard_as(&mut dut, format::F32, &bytes);
    let unlike = |channel: usize| {
        heard
            .chunks(4)
            .zip(bytes.chunks(4))
            .skip(channel)
            .step_by(2)
            .filter(|(heard, sent)| heard != sent)
            .count()
    };
    assert_eq!(unlike(0), 0, "the other channel is not touched");
    assert!(unlike(1) > 900);
}

#[test]
fn volumes_stay_over_stop_and_sleep_and_end_with_reset() {
    let mut dut = player();
    let all = |dut: &mut TestCard| (0..8).map(|channel| dut.read(VOLUME_0 + 4 * channel)).collect::<Vec<_>>();
    for channel in 0..8 {
        dut.write(VOLUME_0 + 4 * channel, SIX_DOWN.wrapping_sub(channel));
    }
    dut.write(MUTE, u32::MAX);
    let volumes = (0..8).map(|channel| SIX_DOWN - channel).collect::<Vec<_>>();
    dut.state(STATE_RUN);
    dut.state(STATE_STOP);
    dut.call(|card, env| card.set_d3hot(true, env));
    dut.write(MUTE, 0);
    dut.call(|card, env| card.set_d3hot(false, env));
    assert_eq!((dut.read(MUTE), all(&mut dut)), (0xFF, volumes.clone()), "reserved bits read 0");
    dut.write(MUTE, 0b10);
    dut.state(regs::STATE_ACQUIRE);
    dut.state(STATE_PAUSE);
    dut.state(STATE_RUN);
    dut.run_for(clock_of(0, 200));
    dut.state(STATE_STOP);
    assert_frames(&dut.heard, &scaled(0, 200, [SIX_FACTOR, 0]));
    assert_eq!((dut.read(MUTE), all(&mut dut)), (0b10, volumes));
    dut.set(global::CONTROL, global::CONTROL_RESET);
    assert_eq!((dut.read(MUTE), all(&mut dut)), (0, vec![0; 8]));
    dut.heard.clear();
    dut.ready(RATE, PACKET, 2);
    dut.state(STATE_RUN);
    dut.run_for(clock_of(0, 200));
    dut.state(STATE_STOP);
    assert_frames(&dut.heard, &signal(0, 200));
}

/// Where a second stream captures to, and how much.
const RECORDED: u64 = RAM + 0x8_0000;
const RECORDED_BYTES: u32 = 0x8_0000;

#[test]
fn loopback_hears_what_the_host_hears() {
    let mut config = Config { clock: ClockMode::Realtime, ..Config::default() };
    config.loopback[0] = Some(0);
    let mut dut = TestCard::with(config);
    dut.ready(RATE, PACKET, 2);
    fill_packet(&dut, 0);
    fill_packet(&dut, 1);
    for (register, value) in [
        (regs::FORMAT, format::pack(format::S16, 2)),
        (regs::RATE, RATE),
        (regs::RING_BYTES, RECORDED_BYTES),
        (regs::PACKETS, 2),
        (regs::DMA_ADDR_LO, RECORDED as u32),
        (regs::STATE, regs::STATE_ACQUIRE),
        (regs::STATE, STATE_PAUSE),
        (regs::STATE, STATE_RUN),
    ] {
        dut.set(regs::BLOCK_BASE + regs::BLOCK_STRIDE + register, value);
    }
    let expected = turn_the_knobs(&mut dut);
    dut.run_for(SECOND / 50);
    let recorded = dut.memory.peek(RECORDED, RECORDED_BYTES as usize);
    let sound = |from: usize| from + recorded[from..].iter().position(|byte| *byte != 0).unwrap() / 4 * 4;
    let (before_pause, after_pause) = expected.split_at(1950 * 4);
    let first = sound(0);
    assert_frames(&recorded[first..first + before_pause.len()], before_pause);
    let second = sound(first + before_pause.len());
    assert_frames(&recorded[second..second + after_pause.len()], after_pause);
    assert!(recorded[second + after_pause.len()..].iter().all(|byte| *byte == 0));
}

#[test]
fn jack_is_told_in_the_page_and_by_an_event() {
    let mut dut = player();
    dut.write(regs::INT_ENABLE, u32::MAX);
    assert_eq!((dut.card.jack(0), dut.card.jack(1), dut.card.jack(2)), (Some(true), Some(true), None));
    for state in [STATE_STOP, regs::STATE_ACQUIRE, STATE_PAUSE, STATE_RUN] {
        dut.state(STATE_STOP);
        for next in regs::STATE_ACQUIRE..=state {
            dut.state(next);
        }
        for plugged in [false, true, true, false, false, true] {
            let before = dut.status();
            let changes = u32::from(dut.card.jack(0) != Some(plugged));
            dut.call(|card, env| card.set_jack(0, plugged, env));
            let status = dut.status();
            assert_eq!(status.flags & FLAG_UNPLUGGED != 0, !plugged, "in state {state}");
            assert_eq!((dut.messages, dut.events), (changes, changes), "only a change is an event");
            assert_eq!(status.events, before.events + changes);
            // The stream does not care.
            let flags = before.flags & !FLAG_UNPLUGGED | status.flags & FLAG_UNPLUGGED;
            assert_eq!(status, support::Status { flags, events: status.events, ..before });
        }
    }
    dut.write(regs::INT_ENABLE, regs::INT_PACKET | regs::INT_ERROR);
    dut.call(|card, env| card.set_jack(0, false, env));
    assert_eq!((dut.messages, dut.events, dut.status().flags), (0, 0, FLAG_UNPLUGGED), "told, but no event");
    dut.call(|card, env| card.set_jack(2, false, env));
    assert_eq!(dut.card.jack(2), None, "no such stream");
}

#[test]
fn sound_goes_on_while_nothing_is_plugged_in() {
    let mut dut = player();
    dut.state(STATE_RUN);
    let start = dut.now;
    dut.run_to(clock_of(start, 123));
    dut.call(|card, env| card.set_jack(0, false, env));
    dut.run_to(clock_of(start, 2000));
    dut.state(STATE_STOP);
    assert_frames(&dut.heard, &signal(0, 2000));
    assert_eq!(dut.status().flags, FLAG_UNPLUGGED, "over STOP");
}

#[test]
fn jack_is_as_it_is_over_reset_and_sleep() {
    let mut dut = player();
    let flag = |dut: &TestCard| dut.status().flags & FLAG_UNPLUGGED != 0;
    dut.write(regs::INT_ENABLE, regs::INT_JACK);
    assert_eq!(dut.read(regs::INT_ENABLE), regs::INT_JACK);
    dut.call(|card, env| card.set_jack(0, false, env));
    dut.set(global::CONTROL, global::CONTROL_RESET);
    assert!(flag(&dut), "over CONTROL.RESET");
    dut.call(Controller::reset);
    assert!(flag(&dut) && dut.card.jack(0) == Some(false), "over a reset from outside");
    assert_eq!((dut.read(regs::INT_ENABLE), dut.status().events), (0, 0));
    dut.set(global::CONTROL, global::CONTROL_INT_ENABLE);
    dut.write(regs::INT_ENABLE, regs::INT_JACK);
    dut.call(|card, env| card.set_d3hot(true, env));
    dut.call(|card, env| card.set_jack(0, true, env));
    assert_eq!((dut.messages, dut.events, flag(&dut)), (0, 1, false), "no message out of D3hot");
    dut.call(|card, env| card.set_d3hot(false, env));
    assert_eq!(dut.messages, 0, "and none later");
    assert_eq!((dut.get(global::INT_STATUS), dut.status().events), (1, 1));
}

//! What is heard: for each render endpoint which frames of which line, and what may lie in them.

use std::collections::VecDeque;

use ringwave_audio::StreamFormat;

use super::codec::{Gains, UNCHANGED};
use super::stream::Line;

/// What lay in the memory of outputs, and when the card could not get at it.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Since when a version is there; the last one is.
    versions: Vec<(u64, u8)>,
    /// Neither bus master nor a host that was on time: from, to, and perhaps to.
    outages: Vec<(u64, u64, u64)>,
}

/// A byte of the memory of outputs. Never 0: silence is none of it.
pub fn pattern(version: u8, address: u64) -> u8 {
    let mut mixed = (address + 1) ^ u64::from(version) << 40;
    for _ in 0..2 {
        mixed = (mixed ^ mixed >> 31).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
    ((mixed >> 32) % 255) as u8 + 1
}

impl Memory {
    pub fn store(&mut self, version: u8, now: u64) {
        self.versions.push((now, version));
    }

    pub fn version(&self) -> u8 {
        self.versions.last().map_or(0, |(_, version)| *version)
    }

    /// Bus Master Enable is off from now on.
    pub fn outage(&mut self, from: u64) {
        self.outages.push((from, u64::MAX, u64::MAX));
    }

    pub fn outage_ends(&mut self, now: u64) {
        if let Some((_, to @ u64::MAX, perhaps)) = self.outages.last_mut() {
            (*to, *perhaps) = (now, now);
        }
    }

    /// The host was late. The burst that is under way when it is back may be whole.
    pub fn late(&mut self, from: u64, now: u64, burst: u64) {
        self.outages.push((from, now - burst, now));
    }

    /// Whether some moment of that time was, or was not, an outage.
    pub fn outage_within(&self, from: u64, to: u64) -> (bool, bool) {
        let touched = self.outages.iter().any(|(begin, _, end)| *begin <= to && from <= *end);
        let whole = self.outages.iter().any(|(begin, end, _)| *begin < from && to < *end);
        (touched, !whole)
    }

    /// Whether frame `frame` of a line may be these bytes, behind the amplifiers: of any version that was
    /// there while it could be fetched, at the begin of a burst that it is in.
    fn fits(&self, line: &Line, frame: u64, bytes: &[u8], gains: &Gains) -> bool {
        let ring = &line.ring;
        let to = line.time_of(frame);
        let from = to.saturating_sub(ring.burst_time() + 1).max(line.begin);
        let (silence, sound) = self.outage_within(from, to);
        if silence && bytes.iter().all(|byte| *byte == 0) {
            return true;
        }
        let begin = line.base + frame * ring.frame();
        sound
            && self.versions.iter().enumerate().rev().any(|(number, (since, version))| {
                let until = self.versions.get(number + 1).map_or(u64::MAX, |(next, _)| *next);
                let there = *since <= to && from <= until;
                let byte = |at: u64| pattern(*version, ring.address(at % ring.bytes));
                there && {
                    let sent: Vec<u8> = (begin..begin + ring.frame()).map(byte).collect();
                    are_amplified(&sent, bytes, ring.format, gains)
                }
            })
    }
}

/// Mute, in the payload of the amplifier's verb.
pub const MUTE: u32 = 0x80;

/// Whether the samples of a frame are those that were sent, each behind the amplifier of its channel: to the
/// bit at 0 dB, silence if it is muted, and else to a thousandth and one and a half of the last place of 16
/// or 24 bits.
fn are_amplified(sent: &[u8], heard: &[u8], format: StreamFormat, gains: &Gains) -> bool {
    let bytes = format.sample.bytes() as usize;
    let value = |sample: &[u8]| match *sample {
        [low, high] => f64::from(i16::from_le_bytes([low, high])),
        [a, b, c, d] => f64::from(i32::from_le_bytes([a, b, c, d])),
        _ => unreachable!("samples of 2 or 4 bytes"),
    };
    let last_place = if bytes == 2 { 1.0 } else { 256.0 };
    sent.chunks(bytes).zip(heard.chunks(bytes)).zip(gains).all(|((sent, heard), gain)| match gain {
        0x4A => sent == heard,
        gain if gain & MUTE != 0 => heard.iter().all(|byte| *byte == 0),
        gain => {
            let decibels = f64::from(*gain) - f64::from(0x4A);
            let expected = value(sent) * 10_f64.powf(decibels / 20.0);
            (value(heard) - expected).abs() <= 1.5 * last_place + expected.abs() / 1000.0
        }
    })
}

/// What the amplifiers of an endpoint did, and since when.
#[derive(Debug, Default)]
pub struct GainHistory(Vec<(u64, Gains)>);

impl GainHistory {
    pub fn set(&mut self, now: u64, gains: Gains) {
        if self.0.last().is_none_or(|(_, last)| *last != gains) {
            self.0.push((now, gains));
        }
    }

    /// For a frame of a line: from the frame on at which the verb came.
    pub fn of(&self, line: &Line, frame: u64) -> Gains {
        let in_force = |(since, _): &&(u64, Gains)| line.passed((*since).max(line.begin)) <= frame;
        self.0.iter().rev().find(in_force).map_or(UNCHANGED, |(_, gains)| *gains)
    }
}

/// A line that an endpoint listens to.
#[derive(Debug)]
pub struct Listening {
    pub descriptor: usize,
    pub line: Line,
    /// The frame that is heard next.
    next: u64,
    /// How many frames were heard in the end.
    closed: Option<u64>,
}

/// An endpoint's ears.
#[derive(Debug, Default)]
pub struct Endpoint {
    pub listens: VecDeque<Listening>,
}

impl Endpoint {
    pub fn current(&self) -> Option<&Listening> {
        self.listens.back().filter(|listening| listening.closed.is_none())
    }

    /// The line is heard from now on: from the frame on at which the verb came, or what else connected it.
    pub fn open(&mut self, descriptor: usize, line: &Line, now: u64) {
        let next = line.passed(now);
        self.listens.push_back(Listening { descriptor, line: line.clone(), next, closed: None });
    }

    /// Ends what is heard now: the line has ended, or another is listened to.
    pub fn close(&mut self, now: u64) {
        let Some(listening) = self.listens.back_mut() else { return };
        listening.closed = Some(listening.line.passed(now));
    }

    /// Takes frames that were heard.
    pub fn take(&mut self, bytes: &[u8], format: StreamFormat, (memory, gains): (&Memory, &GainHistory)) {
        for frame in bytes.chunks_exact(format.frame_bytes() as usize) {
            while self.listens.front().is_some_and(|listening| listening.closed == Some(listening.next)) {
                self.listens.pop_front();
            }
            let Some(listening) = self.listens.front_mut() else { panic!("heard without a stream") };
            let Listening { line, next, .. } = &*listening;
            let now = gains.of(line, *next);
            assert!(
                line.ring.format == format && memory.fits(line, *next, frame, &now),
                "frame {next} of {listening:?}, {now:x?}, is not {frame:x?} ({format:?})"
            );
            listening.next += 1;
        }
    }

    /// Whether everything has been heard that should have been.
    pub fn check(&mut self, now: u64) {
        while let Some(listening) = self.listens.front() {
            let next = listening.next;
            let Some(frames) = listening.closed else {
                let passed = listening.line.passed(now);
                assert!(next <= passed, "heard before it was");
                assert!(
                    next + listening.line.ring.burst >= passed,
                    "heard {next} of {passed} frames: {listening:?}"
                );
                return;
            };
            assert_eq!(next, frames, "heard so many frames: {listening:?}");
            self.listens.pop_front();
        }
    }
}

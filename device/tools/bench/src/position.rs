//! How far the position that a guest computes from the status page is from the one that the card tells when
//! it is asked by a register.
//!
//! The page is read first, as memory, then the register, between two looks at the clock. The error is what
//! the register's answer lies outside of what the page says for those two moments, so time that passes during
//! the read is no error. The device clock is read directly: a guest adds the error of its own calibration.
//! What is seen is the rule that nobody extrapolates further than a packet beyond the anchor: at a packet's
//! end the page stands still until the engine, late by the host's scheduler, renews it.

use std::time::{Duration, Instant};

use ringwave_regs::stream;

use super::cards::ringwave::{RingwaveCard, Status, block};
use super::cards::{Marks, PlayingCard};
use super::row::quantile;
use super::{BenchError, Options, ROUNDS, Row, Spread};

/// Packets, in microseconds.
const PACKETS: [u32; 2] = [10_000, 1_000];
/// Between two reads; no divisor of a packet, so that they fall everywhere in it.
const APART: Duration = Duration::from_micros(1_370);

/// Measures either packet.
pub fn measure(options: Options) -> Result<Vec<Row>, BenchError> {
    let mut rows = Vec::new();
    for packet in PACKETS {
        let rounds = (0..ROUNDS).map(|_| errors(packet, options.sound));
        let rounds = rounds.collect::<Result<Vec<Errors>, _>>()?;
        let row = |name: &str, value: Spread, unit| Row {
            figure: "position",
            case: format!("{name}, {} ms packets", packet / 1000),
            value,
            unit,
            ratio: None,
            of: "a register read of the same moment",
            ceiling: None,
        };
        for (name, percent) in [("median", 50), ("99 %", 99), ("worst", 100)] {
            let value = Spread::of(rounds.iter().map(|round| quantile(&round.frames, percent)));
            rows.push(row(&format!("{name} error"), value, "frames"));
        }
        let reads = Spread::of(rounds.iter().map(|round| quantile(&round.micros, 50)));
        rows.push(row("length of the read", reads, "us"));
    }
    Ok(rows)
}

/// Sorted.
struct Errors {
    frames: Vec<f64>,
    micros: Vec<f64>,
}

fn errors(packet_micros: u32, sound: Duration) -> Result<Errors, BenchError> {
    let mut card = RingwaveCard::new(1, packet_micros, Marks::None)?;
    card.run(0)?;
    let begin = Instant::now();
    let (mut frames, mut micros) = (Vec::new(), Vec::new());
    while begin.elapsed() < sound {
        std::thread::sleep(APART);
        let status = card.status()?;
        let before = card.now();
        // The low half is enough: 2^32 frames are a day.
        let answer = u64::from(card.read(block(0) + stream::POSITION_LO));
        let after = card.now();
        let (least, most) = (extrapolate(&card, status, before), extrapolate(&card, status, after));
        frames.push(outside(answer, least, most) as f64);
        micros.push(after.saturating_sub(before) as f64 / 1000.0);
    }
    card.packets_played()?;
    frames.sort_by(f64::total_cmp);
    micros.sort_by(f64::total_cmp);
    Ok(Errors { frames, micros })
}

/// How far `answer` is from the range that the page says.
fn outside(answer: u64, least: u64, most: u64) -> u64 {
    least.saturating_sub(answer).max(answer.saturating_sub(most))
}

/// As a driver does: along the anchor's line, and never further than a packet.
fn extrapolate(card: &RingwaveCard, status: Status, now: u64) -> u64 {
    status.line.frame_at(now).min(status.line.frame.saturating_add(card.packet_frames()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_is_what_lies_outside_of_the_two_moments_on_either_side() {
        for (answer, error) in [(90, 10), (99, 1), (100, 0), (105, 0), (110, 0), (111, 1), (200, 90)] {
            assert_eq!(outside(answer, 100, 110), error, "{answer}");
        }
    }

    #[test]
    fn extrapolation_stops_a_packet_beyond_the_anchor() {
        let mut card = RingwaveCard::new(1, 10_000, Marks::None).unwrap();
        card.run(0).unwrap();
        let status = card.status().unwrap();
        let begin = extrapolate(&card, status, status.line.clock);
        assert_eq!(begin, status.line.frame);
        assert_eq!(extrapolate(&card, status, status.line.clock + 5_000_000), begin + 240);
        assert_eq!(extrapolate(&card, status, status.line.clock + 500_000_000), begin + 480);
    }
}

//! Judges what a position register and a clock register show to user mode (WAVERT.md 4.6, DATASHEET 7.3): in
//! range, on a frame, never backwards, often enough, and at the frequency that was told.

use super::position::{Finding as PositionFinding, PositionChecker};
use crate::portcls::layout::KsAudioPosition;
use alloc::vec::Vec;
use core::fmt;

/// Two reads so far apart must differ while the stream runs, 100-ns units: the card ticks every millisecond,
/// and one is for the reader.
const TICK: u64 = 20_000;
/// A clock's lag is taken over so long, 100-ns units: its least is free of a reader or a card that was held
/// up.
const WINDOW: u64 = 2_500_000;
/// So many windows are remembered.
const WINDOWS: usize = 1024;
/// What the clock may be fast or slow, in millionths.
const CLOCK_PPM: u64 = 10_000;

/// What is wrong with a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The position.
    Position(PositionFinding),
    /// More than half of the reads that must differ did not: (those that did not, all).
    Stands(u32, u32),
    /// The clock went back: (before, now).
    ClockBackwards(u64, u64),
    /// The clock is fast or slow by so many millionths.
    ClockRate(i64),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Position(finding) => finding.fmt(f),
            Self::Stands(stood, all) => {
                write!(f, "stands still between {stood} of {all} reads that are 2 ms or more apart")
            }
            Self::ClockBackwards(before, now) => {
                write!(f, "the clock register went back from {before} to {now}")
            }
            Self::ClockRate(ppm) => {
                write!(f, "the clock register is {ppm} millionths off the frequency that was told")
            }
        }
    }
}

/// Follows a position register of one run.
pub struct PositionRegisterChecker {
    checker: PositionChecker,
    /// Steps back that may be turns of the buffer while the machine's clock stood: it is stopped once in a run.
    turns: u32,
    last: Option<(u64, u64)>,
    pairs: u32,
    stood: u32,
    /// When its value was first seen, and the longest that a value stood.
    since: Option<u64>,
    worst: u64,
}

impl PositionRegisterChecker {
    /// With the judge of the stream's positions.
    pub fn new(checker: PositionChecker) -> Self {
        Self {
            turns: u32::from(checker.is_by_presented()),
            checker,
            last: None,
            pairs: 0,
            stood: 0,
            since: None,
            worst: 0,
        }
    }

    /// A value that was read not before `begun` and not after `done` (100-ns units), while the stream ran.
    pub fn observe(&mut self, value: u64, begun: u64, done: u64) -> Result<(), Finding> {
        if let Some((before, then)) = self.last.replace((value, done)) {
            let far = begun.saturating_sub(then) >= TICK;
            self.pairs += u32::from(far);
            self.stood += u32::from(far && value == before);
            if value != before {
                self.worst = self.worst.max(self.since.map_or(0, |since| begun.saturating_sub(since)));
                self.since = Some(done);
            }
        } else {
            self.since = Some(done);
        }
        let position = KsAudioPosition { play_offset: value, write_offset: value };
        match self.checker.check(position, begun, done) {
            Err(PositionFinding::Backwards(_)) if self.turns > 0 => {
                self.turns -= 1;
                Ok(())
            }
            judged => judged.map_err(Finding::Position),
        }
    }

    /// After the run: whether it ticked. Not for a stream that may stand still, as in lockstep.
    pub fn expect_ticks(&self) -> Result<(), Finding> {
        if self.stood * 2 > self.pairs { Err(Finding::Stands(self.stood, self.pairs)) } else { Ok(()) }
    }

    /// Reads that had to differ, and those that did not.
    pub fn reads(&self) -> (u32, u32) {
        (self.pairs, self.stood)
    }

    /// The longest that a value stood, microseconds, as the reader saw it.
    pub fn worst_us(&self) -> u64 {
        self.worst / 10
    }
}

/// Follows a clock register.
pub struct ClockRegisterChecker {
    numerator: u128,
    denominator: u128,
    last: Option<u64>,
    first: Option<(u64, u64)>,
    /// Time at which a window began, and the least lag of the clock in it, 100-ns units.
    windows: Vec<(u64, i64)>,
}

impl ClockRegisterChecker {
    /// For a frequency of `numerator / denominator` Hz, neither 0.
    pub fn new(numerator: u64, denominator: u64) -> Self {
        let (numerator, denominator) = (u128::from(numerator.max(1)), u128::from(denominator.max(1)));
        Self { numerator, denominator, last: None, first: None, windows: Vec::new() }
    }

    /// A value that was read at `now` (100-ns units).
    pub fn observe(&mut self, value: u64, now: u64) -> Result<(), Finding> {
        if let Some(before) = self.last.replace(value)
            && value < before
        {
            return Err(Finding::ClockBackwards(before, value));
        }
        let (zero, start) = *self.first.get_or_insert((value, now));
        let by_clock = u128::from(value - zero.min(value)) * 10_000_000 * self.denominator / self.numerator;
        let lag = i64::try_from(now.saturating_sub(start)).unwrap_or(i64::MAX)
            - i64::try_from(by_clock).unwrap_or(i64::MAX);
        let full = self.windows.len() >= WINDOWS;
        match self.windows.last_mut() {
            Some((begun, least)) if now.saturating_sub(*begun) < WINDOW => *least = lag.min(*least),
            _ if full => {}
            _ => self.windows.push((now, lag)),
        }
        Ok(())
    }

    /// How fast (positive) or slow it goes, in millionths; none if it was not watched for half a second. The
    /// last window, which may be short, does not count.
    pub fn ppm(&self) -> Option<i64> {
        let (_, whole) = self.windows.split_last()?;
        let ((began, first), (ended, last)) = (whole.first()?, whole.last()?);
        let span = i64::try_from(ended - began).ok().filter(|span| *span >= 2 * WINDOW.cast_signed())?;
        Some((first - last).saturating_mul(1_000_000) / span)
    }

    /// Whether the frequency is the one that was told, within 1 %.
    pub fn expect_rate(&self) -> Result<(), Finding> {
        match self.ppm() {
            Some(ppm) if ppm.unsigned_abs() > CLOCK_PPM => Err(Finding::ClockRate(ppm)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 20 ms of 48 kHz stereo, 192 bytes a millisecond.
    fn position() -> PositionRegisterChecker {
        PositionRegisterChecker::new(PositionChecker::new(3840, 4, 48_000))
    }

    #[test]
    fn a_register_that_ticks_every_millisecond_is_fine() {
        let mut checker = position();
        for ms in 0..100 {
            assert_eq!(checker.observe(ms * 192 % 3840, ms * 10_000, ms * 10_000), Ok(()));
        }
        assert_eq!(checker.expect_ticks(), Ok(()));
        assert_eq!(checker.worst_us(), 1000);
    }

    #[test]
    fn a_register_that_ticks_with_the_packets_only_stands_too_long() {
        let mut checker = position();
        for step in 0..50 {
            // Read every 2 ms, moved every 10 ms.
            assert_eq!(checker.observe(step / 5 * 1920 % 3840, step * 20_000, step * 20_000), Ok(()));
        }
        assert_eq!(checker.expect_ticks(), Err(Finding::Stands(40, 49)));
        assert_eq!(checker.worst_us(), 10_000);
    }

    #[test]
    fn a_late_reader_is_no_late_register() {
        let mut checker = position();
        for step in 0..20 {
            assert_eq!(checker.observe(step * 960 % 3840, step * 50_000, step * 50_000), Ok(()));
        }
        assert_eq!(checker.reads(), (19, 0));
    }

    #[test]
    fn a_turn_while_the_clock_stands_is_no_step_back_and_two_are() {
        let checker = PositionChecker::new(3840, 4, 48_000).with_a_clock_that_stops();
        let mut checker = PositionRegisterChecker::new(checker);
        for (value, now) in [(1920, 0), (1908, 10_000), (2100, 20_000)] {
            assert_eq!(checker.observe(value, now, now), Ok(()));
        }
        let back = Finding::Position(PositionFinding::Backwards(12));
        assert_eq!(checker.observe(2088, 30_000, 30_000), Err(back));
    }

    #[test]
    fn range_frame_and_direction_are_judged_as_positions() {
        assert!(matches!(
            position().observe(3840, 0, 0),
            Err(Finding::Position(PositionFinding::OutOfRange(_)))
        ));
        assert!(matches!(
            position().observe(2, 0, 0),
            Err(Finding::Position(PositionFinding::NotOnFrame(_)))
        ));
        let mut checker = position();
        checker.observe(960, 0, 0).unwrap();
        let back = Finding::Position(PositionFinding::Backwards(192));
        assert_eq!(checker.observe(768, 10_000, 10_000), Err(back));
    }

    /// A clock of 24 MHz that goes `ppm` fast, read every 2 ms for two seconds by a reader that is late now
    /// and then.
    fn clock(ppm: i64) -> ClockRegisterChecker {
        let mut checker = ClockRegisterChecker::new(48_000_000, 2);
        for step in 0..1000u64 {
            let now = step * 20_000;
            let late = if step % 3 == 0 { 90_000 } else { 0 };
            let ticks = i128::from(now) * 24 * (1_000_000 + i128::from(ppm)) / 10_000_000;
            assert_eq!(checker.observe(ticks as u64 + 77, now + late), Ok(()));
        }
        checker
    }

    #[test]
    fn the_clock_is_held_to_its_frequency() {
        for ppm in [0, 5_000, -5_000] {
            assert_eq!(clock(ppm).expect_rate(), Ok(()), "{ppm}");
            assert!(clock(ppm).ppm().unwrap().abs_diff(ppm) < 100, "{ppm}");
        }
        for ppm in [15_000, -15_000, 500_000] {
            assert!(matches!(clock(ppm).expect_rate(), Err(Finding::ClockRate(_))), "{ppm}");
        }
    }

    #[test]
    fn a_clock_that_goes_back_is_seen_and_a_short_look_says_nothing() {
        let mut checker = ClockRegisterChecker::new(1_000, 1);
        checker.observe(5, 0).unwrap();
        assert_eq!(checker.observe(4, 10_000), Err(Finding::ClockBackwards(5, 4)));
        assert_eq!(checker.ppm(), None);
    }
}

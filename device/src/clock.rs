//! Frames from time, without drift. DATASHEET 5.2.
//!
//! A [`Line`] (the *base* of the DATASHEET) is drawn once, when a stream starts to move, and every position and every deadline is computed from it by an
//! exact rational in 128 bits. Nothing is added up, so nothing adds up to an error: after a day at 44.1 kHz the position is the frame
//! that arithmetic says.

use ringwave_regs::global::CLOCK_HZ_VALUE;

/// The position as a straight line over the device clock; horizontal while it is frozen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Device clock of the point through which the line goes, in ticks of [`CLOCK_HZ_VALUE`].
    pub clock: u64,
    /// Frames since STOP at that point.
    pub frame: u64,
    /// Frames per second; 0 = frozen.
    pub rate: u32,
}

impl Line {
    /// A position that moves from `frame` on at `clock` with `rate` frames per second.
    pub const fn moving(clock: u64, frame: u64, rate: u32) -> Self {
        Self { clock, frame, rate }
    }

    /// A position that stands still.
    pub const fn frozen(clock: u64, frame: u64) -> Self {
        Self { clock, frame, rate: 0 }
    }

    /// The position at `now`: the frames whose time has passed completely. Before the line's point: the point.
    pub fn frame_at(self, now: u64) -> u64 {
        let ticks = now.saturating_sub(self.clock);
        let frames = u128::from(ticks) * u128::from(self.rate) / u128::from(CLOCK_HZ_VALUE);
        self.frame.saturating_add(u64::try_from(frames).unwrap_or(u64::MAX))
    }

    /// The first tick of the device clock at which the position is `frame` or beyond (rounded up, so that `frame_at` of it has reached
    /// the frame). `None` while frozen short of it, and past the end of the clock.
    pub fn clock_at(self, frame: u64) -> Option<u64> {
        let Some(frames) = frame.checked_sub(self.frame) else { return Some(self.clock) };
        if frames == 0 {
            return Some(self.clock);
        }
        let ticks = (u128::from(frames) * u128::from(CLOCK_HZ_VALUE)).checked_div(u128::from(self.rate))?;
        let exact =
            ticks.checked_mul(u128::from(self.rate))? == u128::from(frames) * u128::from(CLOCK_HZ_VALUE);
        self.clock.checked_add(u64::try_from(ticks.checked_add(u128::from(!exact))?).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: u64 = 24 * 3600;
    const SECOND: u64 = CLOCK_HZ_VALUE as u64;

    #[test]
    fn a_day_at_44100_drifts_by_nothing() {
        let start = 123_456_789_012_345;
        let line = Line::moving(start, 7, 44_100);
        assert_eq!(line.frame_at(start + DAY * SECOND), 7 + DAY * 44_100);
        assert_eq!(line.frame_at(start + DAY * SECOND - 1), 7 + DAY * 44_100 - 1);
        assert_eq!(line.clock_at(7 + DAY * 44_100), Some(start + DAY * SECOND));
    }

    #[test]
    fn frozen_never_moves_and_never_ends() {
        let line = Line::frozen(10, 5);
        assert_eq!(line.frame_at(u64::MAX), 5);
        assert_eq!(line.clock_at(6), None);
        assert_eq!(line.clock_at(5), Some(10));
    }

    proptest! {
        #[test]
        fn a_deadline_is_the_first_tick_that_has_reached_its_frame(
            clock in 0..=u64::MAX / 4, frame in 0..=1_u64 << 48, rate in 1..=384_000_u32, ahead in 0..=1_u64 << 40,
        ) {
            let line = Line::moving(clock, frame, rate);
            if let Some(at) = line.clock_at(frame + ahead) {
                prop_assert_eq!(line.frame_at(at), frame + ahead);
                if ahead > 0 {
                    prop_assert_eq!(line.frame_at(at - 1), frame + ahead - 1);
                }
            }
        }
    }
}

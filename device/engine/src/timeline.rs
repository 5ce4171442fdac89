//! Frames from time, without drift. DATASHEET 5.2.
//!
//! A [`Timeline`] (the *base* of the DATASHEET) is drawn when a stream starts to move, and every position and
//! every deadline is computed from it by an exact rational in 128 bits. Nothing is added up, so nothing adds
//! up to an error: after a day at 44.1 kHz the position is the frame that arithmetic says. Where the host
//! side has a clock of its own its *pace* changes the denominator: a new line, from an end of a piece on.

/// Ticks of the device clock in a second: nanoseconds.
pub const CLOCK_HZ: u32 = 1_000_000_000;

/// `RATE_DEN` of a stream that follows no other clock than the card's.
pub const NOMINAL: u32 = CLOCK_HZ;

/// How far `RATE_DEN` may be from [`NOMINAL`]: a thousandth. DATASHEET 5.4.
pub const RATE_LIMIT: u32 = NOMINAL / 1_000;

/// What a stream goes by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClockMode {
    /// The time of a stream that asks for it stands still while it waits for a packet.
    Lockstep,
    /// Time never waits.
    #[default]
    Realtime,
}

impl ClockMode {
    /// Its name on the command line and in a report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lockstep => "lockstep",
            Self::Realtime => "realtime",
        }
    }
}

/// The position as a straight line over the device clock; horizontal while it is frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// Device clock of the point through which the line goes, in ticks of [`CLOCK_HZ`].
    pub clock: u64,
    /// Frames since STOP at that point.
    pub frame: u64,
    /// Frames per `den` ticks; 0 = frozen.
    pub num: u32,
    /// Ticks in which the position moves by `num` frames. Never 0.
    den: u32,
}

impl Default for Timeline {
    fn default() -> Self {
        Self::frozen(0, 0)
    }
}

impl Timeline {
    /// A position that moves from `frame` on at `clock` with `rate` frames in `den` ticks. `den` is brought
    /// to within [`RATE_LIMIT`] of [`NOMINAL`], with which `rate` is in frames per second.
    pub fn moving(clock: u64, frame: u64, rate: u32, den: u32) -> Self {
        Self { clock, frame, num: rate, den: clamp_rate_den(den) }
    }

    /// A position that stands still.
    pub const fn frozen(clock: u64, frame: u64) -> Self {
        Self { clock, frame, num: 0, den: NOMINAL }
    }

    /// A position that stands still at `frame` and keeps its pace for when it moves again.
    #[must_use]
    pub const fn stopped(self, clock: u64, frame: u64) -> Self {
        Self { clock, frame, num: 0, den: self.den }
    }

    /// A line as steep as this one through another point.
    #[must_use]
    pub const fn through(self, clock: u64, frame: u64) -> Self {
        Self { clock, frame, num: self.num, den: self.den }
    }

    /// Ticks in which the position moves by `num` frames: `RATE_DEN`.
    pub const fn den(self) -> u32 {
        self.den
    }

    /// The position at `now`: the frames whose time has passed completely. Before the line's point: the
    /// point.
    pub fn frame_at(self, now: u64) -> u64 {
        let ticks = now.saturating_sub(self.clock);
        let frames =
            (u128::from(ticks) * u128::from(self.num)).checked_div(u128::from(self.den)).unwrap_or(0);
        self.frame.saturating_add(u64::try_from(frames).unwrap_or(u64::MAX))
    }

    /// The first tick of the device clock at which the position is `frame` or beyond (rounded up, so that
    /// `frame_at` of it has reached the frame). `None` while frozen short of it, and past the end of the
    /// clock.
    pub fn clock_at(self, frame: u64) -> Option<u64> {
        let Some(frames) = frame.checked_sub(self.frame) else { return Some(self.clock) };
        if frames == 0 {
            return Some(self.clock);
        }
        let scaled = u128::from(frames) * u128::from(self.den);
        let ticks = scaled.checked_div(u128::from(self.num))?;
        let exact = ticks.checked_mul(u128::from(self.num))? == scaled;
        self.clock.checked_add(u64::try_from(ticks.checked_add(u128::from(!exact))?).ok()?)
    }
}

/// `den`, or what is nearest to it of what a card may announce.
pub fn clamp_rate_den(den: u32) -> u32 {
    den.clamp(NOMINAL - RATE_LIMIT, NOMINAL + RATE_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: u64 = 24 * 3600;
    const SECOND: u64 = CLOCK_HZ as u64;

    #[test]
    fn a_day_at_44100_drifts_by_nothing() {
        let start = 123_456_789_012_345;
        let line = Timeline::moving(start, 7, 44_100, NOMINAL);
        assert_eq!(line.frame_at(start + DAY * SECOND), 7 + DAY * 44_100);
        assert_eq!(line.frame_at(start + DAY * SECOND - 1), 7 + DAY * 44_100 - 1);
        assert_eq!(line.clock_at(7 + DAY * 44_100), Some(start + DAY * SECOND));
    }

    #[test]
    fn frozen_never_moves_and_never_ends() {
        let line = Timeline::frozen(10, 5);
        assert_eq!(line.frame_at(u64::MAX), 5);
        assert_eq!(line.clock_at(6), None);
        assert_eq!(line.clock_at(5), Some(10));
    }

    /// A day of a clock that wanders around +83 ppm, with a new line each second: the frame is the one that
    /// the sum of the pieces says.
    #[test]
    fn a_day_of_changing_paces_ends_at_the_frame_that_its_pieces_say() {
        const RATE: u32 = 44_100;
        let start = 987_654_321;
        let mut line = Timeline::moving(start, 0, RATE, NOMINAL + 83_000);
        let (mut clock, mut frames, mut pieces) = (start, 0_u64, Vec::new());
        for second in 0..24 * 3_600_u32 {
            let ahead = u64::from(44_000 + second * 31 % 201);
            frames += ahead;
            let at = line.clock_at(frames).unwrap();
            assert_eq!((line.frame_at(at), line.frame_at(at - 1)), (frames, frames - 1));
            pieces.push((ahead, line.den()));
            clock = at;
            line = Timeline::moving(at, frames, RATE, NOMINAL + 83_000 + second * 7_919 % 2_001 - 1_000);
            assert_eq!(line.frame_at(clock), frames, "the frame at a base is exact");
        }
        // Each piece took its frames' time, rounded up to a tick once: no more was added to it.
        let exact = pieces.iter().map(|&(frames, den)| u128::from(frames) * u128::from(den)).sum::<u128>();
        let late = u128::from(clock - start) * u128::from(RATE) - exact;
        assert!(late < pieces.len() as u128 * u128::from(RATE), "{late}");
        let nominal = u128::from(clock - start) * u128::from(RATE) / u128::from(NOMINAL);
        let behind = nominal - u128::from(frames);
        assert!((310_000..324_000).contains(&behind), "83 ppm of a day: {behind} frames");
        assert_eq!(frames, pieces.iter().map(|(frames, _)| frames).sum::<u64>());
    }

    #[test]
    fn pace_is_held_to_a_thousandth() {
        for (wanted, got) in [(0, 999_000_000), (u32::MAX, 1_001_000_000), (1_000_083_000, 1_000_083_000)] {
            assert_eq!(Timeline::moving(0, 0, 48_000, wanted).den(), got);
        }
        let line = Timeline::moving(5, 6, 48_000, 1_000_083_000).stopped(7, 8);
        assert_eq!((line.frame_at(u64::MAX), line.den()), (8, 1_000_083_000), "it keeps its pace");
    }

    proptest! {
        #[test]
        fn a_deadline_is_the_first_tick_that_has_reached_its_frame(
            clock in 0..=u64::MAX / 4, frame in 0..=1_u64 << 48, rate in 1..=384_000_u32, ahead in 0..=1_u64 << 40,
            den in NOMINAL - RATE_LIMIT..=NOMINAL + RATE_LIMIT,
        ) {
            let line = Timeline::moving(clock, frame, rate, den);
            if let Some(at) = line.clock_at(frame + ahead) {
                prop_assert_eq!(line.frame_at(at), frame + ahead);
                if ahead > 0 {
                    prop_assert_eq!(line.frame_at(at - 1), frame + ahead - 1);
                }
            }
        }
    }
}

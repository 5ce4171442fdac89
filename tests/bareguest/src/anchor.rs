//! A stream's line in time, as DATASHEET 7.2 has it.

/// A point of a stream's line in time, as its status page has it.
#[derive(Clone, Copy)]
pub struct Anchor {
    /// Grows when the line is a new one.
    pub epoch: u32,
    /// Device clock.
    pub clock: u64,
    /// Frames since STOP.
    pub frame: u64,
    /// 0: frozen.
    pub num: u32,
    /// Never 0.
    pub den: u32,
}

impl Anchor {
    /// Frames since STOP at this device clock.
    pub fn at(self, now: u64) -> u64 {
        self.frame + now.saturating_sub(self.clock) * u64::from(self.num) / u64::from(self.den)
    }

    /// Where this stream stands, in millionths of a frame, when the other one, which runs, stands at `frame`;
    /// below 0 before it began.
    pub fn when(self, other: Self, frame: u64) -> i128 {
        let back = (i128::from(other.frame) - i128::from(frame)) * i128::from(other.den)
            / i128::from(other.num.max(1));
        let ticks = i128::from(other.clock) - back - i128::from(self.clock);
        let moved = (ticks * i128::from(self.num) * 1_000_000).div_euclid(i128::from(self.den));
        i128::from(self.frame) * 1_000_000 + moved
    }
}

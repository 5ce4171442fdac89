//! The axis of time that all pictures of a sound share, in columns: however long a sound is, a picture has as
//! many.

use std::ops::Range;

/// Columns of a picture: what a screen shows.
pub const COLUMNS: usize = 1000;

/// A stretch of time, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Axis {
    /// Where it begins.
    pub begin: f64,
    /// Where it ends, later than it begins.
    pub end: f64,
}

impl Axis {
    /// From `begin` to `end`, and a millisecond long at least.
    pub fn new(begin: f64, end: f64) -> Self {
        Self { begin, end: end.max(begin + 0.001) }
    }

    /// Seconds of a column.
    #[allow(clippy::cast_precision_loss, reason = "a thousand columns")]
    pub fn step(self) -> f64 {
        (self.end - self.begin) / COLUMNS as f64
    }

    /// When a column begins.
    #[allow(clippy::cast_precision_loss, reason = "a thousand columns")]
    pub fn seconds(self, column: usize) -> f64 {
        self.begin + self.step() * column as f64
    }

    /// The frames of a sound with this rate that are in a column, if its frame 0 is at `shift` seconds.
    pub fn frames(self, column: usize, rate: u32, shift: f64) -> Range<u64> {
        let frame = |seconds: f64| {
            let frame = ((seconds - shift) * f64::from(rate)).round().max(0.0);
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "not negative; it saturates"
            )]
            let frame = frame as u64;
            frame
        };
        frame(self.seconds(column))..frame(self.seconds(column + 1))
    }
}

//! What a stream's clock says, read after read.

use alloc::vec::Vec;

use crate::json::Object;

/// Follows the position of a stream from its start.
#[derive(Default)]
pub struct Tracker {
    reads: u64,
    backwards: u32,
    /// The last read: frames, and when.
    last: Option<(u64, u64)>,
    /// When the position last changed.
    changed: u64,
    longest_still: u64,
    /// The first and the last that count for the rate.
    first: Option<(u64, u64)>,
    /// Frames that are waited for, and when the position passed them.
    marks: Vec<(u64, Option<u64>)>,
}

impl Tracker {
    /// At the start of a stream. Times are in microseconds.
    pub fn new(now: u64, marks: impl IntoIterator<Item = u64>) -> Self {
        let marks = marks.into_iter().map(|mark| (mark, None)).collect();
        Self { changed: now, marks, ..Self::default() }
    }

    /// A read.
    pub fn read(&mut self, frames: u64, now: u64) {
        self.reads += 1;
        let (before, then) = self.last.unwrap_or((0, self.changed));
        self.last = Some((frames, now));
        if frames < before {
            self.backwards += 1;
        }
        self.longest_still = self.longest_still.max(now.saturating_sub(self.changed));
        if frames == before {
            return;
        }
        self.changed = now;
        if self.first.is_none() {
            self.first = Some((frames, now));
        }
        for (mark, passed) in &mut self.marks {
            if *mark > before && *mark <= frames && passed.is_none() {
                *passed = between((before, then), (frames, now), *mark);
            }
        }
    }

    /// For how long the position has not changed.
    pub fn still(&self, now: u64) -> u64 {
        now.saturating_sub(self.changed)
    }

    /// The last position.
    pub fn frames(&self) -> u64 {
        self.last.map_or(0, |(frames, _)| frames)
    }

    /// How often it went back.
    pub fn backwards(&self) -> u32 {
        self.backwards
    }

    /// When each mark was passed.
    pub fn passed(&self) -> impl Iterator<Item = Option<u64>> + '_ {
        self.marks.iter().map(|(_, passed)| *passed)
    }

    /// Frames per second, between the first change and the last.
    pub fn rate(&self) -> Option<f64> {
        let ((from, begin), (to, _)) = (self.first?, self.last?);
        let time = self.changed.checked_sub(begin).filter(|time| *time > 0)?;
        #[allow(clippy::cast_precision_loss, reason = "hours of frames fit")]
        let rate = to.checked_sub(from)? as f64 * 1e6 / time as f64;
        Some(rate)
    }

    /// As in the lines.
    pub fn object(&self) -> Object {
        let mut object = Object::new();
        object.set("reads", self.reads).set("last", self.last.map(|(frames, _)| frames));
        object.set("backwards", self.backwards).set("still_ms", self.longest_still / 1000);
        object.set("rate", self.rate());
        object
    }
}

/// When a frame between two reads passed.
fn between((from, begin): (u64, u64), (to, end): (u64, u64), frame: u64) -> Option<u64> {
    let part = u128::from(frame.checked_sub(from)?) * u128::from(end.checked_sub(begin)?);
    let part = part.checked_div(u128::from(to.checked_sub(from)?))?;
    begin.checked_add(u64::try_from(part).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_clock() {
        let mut tracker = Tracker::new(1_000_000, [4800, 9600, 1_000_000]);
        for read in 0..=30_u64 {
            tracker.read(read * 480, 1_000_000 + read * 10_000);
        }
        assert_eq!((tracker.backwards(), tracker.frames()), (0, 14_400));
        assert!((tracker.rate().expect("it moved") - 48_000.0).abs() < 0.1);
        let passed: Vec<_> = tracker.passed().collect();
        assert_eq!(passed, [Some(1_100_000), Some(1_200_000), None]);
        assert_eq!(tracker.still(1_350_000), 50_000);
    }

    #[test]
    fn a_clock_that_stands_still_and_goes_back() {
        let mut tracker = Tracker::new(0, []);
        tracker.read(0, 400_000);
        tracker.read(480, 500_000);
        tracker.read(470, 510_000);
        let object: serde_json::Value = serde_json::from_str(&tracker.object().text()).expect("JSON");
        assert_eq!(object["backwards"], 1);
        assert_eq!(object["still_ms"], 500);
        assert!(object["rate"].is_null(), "no rate from a clock that went back");
    }
}

//! Where a stream is between two messages that came back: what was completed, carried on with time. In ticks
//! of the performance counter.
//!
//! Messages come back late by the guest's own delays, and some devices complete several at once (QEMU's card
//! on a timer of 10 ms, 20 ms of sound at the first tick). So the line is what the earliest of them say: one
//! that is ahead of the line moves it forward, and one that is behind pulls it back by a part of the
//! difference, so that a device that is slower than the counter is followed within a few messages. Where a
//! burst must not be seen (a packet that is told as played may be written over, and its client waits for one
//! event of each) the line stays behind what was completed, by no more than a given reserve.

/// Which part of the difference a late message pulls the line of a stream that plays back.
pub const PULL_PLAYED: u64 = 4;
/// And of one that records: less, for it tells when each packet began, and a message of it is late with the
/// guest more often than with the device.
pub const PULL_RECORDED: u64 = 16;

/// A point in time and the frame that is heard then; from it on frames pass at the stream's rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// The moment.
    pub clock: u64,
    /// The frame at that moment.
    pub frame: u64,
    /// Frames per second.
    pub rate: u32,
    /// Ticks per second.
    pub clock_hz: u32,
    /// [`PULL_PLAYED`] or [`PULL_RECORDED`].
    pub pull: u64,
}

impl Line {
    /// The frame at a moment; one before the line's point counts as that.
    pub fn at(&self, now: u64) -> u64 {
        let ticks = u128::from(now.saturating_sub(self.clock));
        let frames = ticks.saturating_mul(self.rate.into()).checked_div(self.clock_hz.into()).unwrap_or(0);
        self.frame.saturating_add(u64::try_from(frames).unwrap_or(u64::MAX))
    }

    /// The moment at which `frame` is reached, or was.
    pub fn when(&self, frame: u64) -> u64 {
        let ticks = |frames: u64| {
            let ticks = u128::from(frames).saturating_mul(self.clock_hz.into()).checked_div(self.rate.into());
            u64::try_from(ticks.unwrap_or(0)).unwrap_or(u64::MAX)
        };
        if frame >= self.frame {
            self.clock.saturating_add(ticks(frame.saturating_sub(self.frame)))
        } else {
            self.clock.saturating_sub(ticks(self.frame.saturating_sub(frame)))
        }
    }

    /// From a moment on it goes on at `frame`.
    pub fn restart(&mut self, now: u64, frame: u64) {
        (self.clock, self.frame) = (now, frame);
    }

    /// Everything before `frame` was complete at a moment. The line was not above `limit`, and may be behind
    /// by `reserve`.
    pub fn completed(&mut self, now: u64, frame: u64, limit: u64, reserve: u64) {
        let line = self.at(now).min(limit);
        let behind = line.saturating_sub(frame);
        let least = frame.saturating_sub(reserve);
        if behind == 0 && line >= least && self.at(now) <= limit {
            // Nothing is news. A line that is restarted loses a part of a frame each time.
            return;
        }
        let part = behind.checked_div(self.pull).unwrap_or(behind);
        self.restart(now, least.max(line.saturating_sub(part)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 10_000;
    fn line() -> Line {
        Line { clock: 500 * MS, frame: 0, rate: 48_000, clock_hz: 10_000_000, pull: PULL_PLAYED }
    }

    #[test]
    fn frames_pass_with_time() {
        let line = line();
        assert_eq!((line.at(0), line.at(510 * MS), line.at(1500 * MS)), (0, 480, 48_000));
        assert_eq!((line.when(480), line.when(0)), (510 * MS, 500 * MS));
        assert_eq!(Line { frame: 960, ..line }.when(480), 490 * MS);
    }

    /// A device that completes 10 ms each 10 ms but for its first tick: after that the line is smooth.
    #[test]
    fn bursts_are_smoothed() {
        let mut line = line();
        for tick in 1..100_u64 {
            let now = (500 + 10 * tick) * MS;
            let before = line.at(now);
            line.completed(now, (tick + 1) * 480, u64::MAX, 0);
            let jump = line.at(now) - before;
            assert!(jump <= if tick == 1 { 480 } else { 1 }, "{jump} at tick {tick}");
        }
    }

    /// The same device, with a reserve of what it takes at its first tick more than is due: nothing jumps, and
    /// one whose clock is faster is followed all the same.
    #[test]
    fn with_a_reserve_a_burst_is_not_seen() {
        for tick in [10 * MS, 9 * MS] {
            let mut line = line();
            for n in 1..1000_u64 {
                let now = 500 * MS + n * tick;
                let (before, completed) = (line.at(now), (n + 1) * 480);
                line.completed(now, completed, u64::MAX, 480);
                assert!(line.at(now) - before <= 48 + 1, "it jumps at tick {n}");
                assert!((completed - 480..=completed).contains(&line.at(now)), "at tick {n}");
            }
        }
    }

    /// A device whose clock is slower by 1 %: the line stays within a millisecond of it, or two.
    #[test]
    fn a_slower_device_is_followed() {
        for (pull, most) in [(PULL_PLAYED, 48), (PULL_RECORDED, 96)] {
            let mut line = Line { pull, ..line() };
            for n in 1..1000_u64 {
                let now = 500 * MS + n * 10 * MS * 101 / 100;
                line.completed(now, n * 480, u64::MAX, 0);
                assert!(line.at(now) - n * 480 <= most, "{} frames ahead", line.at(now) - n * 480);
            }
        }
    }

    #[test]
    fn a_late_message_moves_it_by_a_part() {
        let mut line = line();
        line.completed(515 * MS, 480, u64::MAX, 0);
        assert_eq!(line.at(515 * MS), 720 - 60);
        line.completed(515 * MS, 480, 500, 0);
        assert_eq!(line.at(515 * MS), 495, "it was held at its limit");
    }
}

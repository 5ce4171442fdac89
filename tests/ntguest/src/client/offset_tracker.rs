//! How far an offset in a cyclic buffer has gone in all, for clients that have nothing but a timer and
//! `GetPosition`.

/// Follows an offset. A look that comes so late that the buffer went round shows in the time, to the nearest
/// whole turn.
#[derive(Clone, Copy, Debug)]
pub struct OffsetTracker {
    size: u64,
    bytes_per_second: u64,
    bytes: u64,
    then: u64,
}

impl OffsetTracker {
    /// For a buffer of `size` bytes, from 0 at RUN, which was called at `run` (100-ns units).
    pub fn new(size: u64, bytes_per_second: u64, run: u64) -> Self {
        Self { size: size.max(1), bytes_per_second, bytes: 0, then: run }
    }

    /// The offset was seen at `now`: bytes since RUN.
    pub fn observe(&mut self, offset: u64, now: u64) -> u64 {
        let forward = (offset + self.size - self.bytes % self.size) % self.size;
        let elapsed = now.saturating_sub(self.then).saturating_mul(self.bytes_per_second) / 10_000_000;
        let wraps = (elapsed.saturating_sub(forward) + self.size / 2) / self.size;
        self.then = now;
        self.bytes += forward + wraps * self.size;
        self.bytes
    }

    /// The stream stood still until `now`.
    pub fn stood(&mut self, now: u64) {
        self.then = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1000 bytes a second in a buffer of 100.
    fn tracker() -> OffsetTracker {
        OffsetTracker::new(100, 1000, 0)
    }

    #[test]
    fn what_wraps_is_added_up() {
        let mut tracker = tracker();
        for step in 1..50 {
            assert_eq!(tracker.observe(step * 30 % 100, step * 300_000), step * 30);
        }
    }

    #[test]
    fn turns_that_nobody_saw_show_in_the_time() {
        let mut tracker = tracker();
        assert_eq!(tracker.observe(10, 100_000), 10);
        // 350 bytes later, give or take what the clocks differ.
        assert_eq!(tracker.observe(60, 3_600_000), 360);
        assert_eq!(tracker.observe(55, 13_590_000), 1355);
    }

    #[test]
    fn a_pause_is_no_turn() {
        let mut tracker = tracker();
        assert_eq!(tracker.observe(40, 400_000), 40);
        tracker.stood(90_000_000);
        assert_eq!(tracker.observe(50, 90_100_000), 50);
    }
}

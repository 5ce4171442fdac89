//! The device clock, made of the host's monotonic clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How fast the device clock goes, in thousandths of real time. For tests: it changes when, never what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speed(u32);

impl Speed {
    /// As fast as real time.
    pub const REAL: Self = Self(1000);
}

impl std::str::FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let speed: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
        if !(0.01..=1000.0).contains(&speed) {
            return Err("from 0.01 to 1000".to_owned());
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "10 to 1,000,000")]
        Ok(Self((speed * 1000.0).round() as u32))
    }
}

impl std::fmt::Display for Speed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", f64::from(self.0) / 1000.0)
    }
}

/// Nanoseconds since the card was made, times the speed.
pub struct HostClock {
    start: Instant,
    speed: Speed,
    /// Where the hands are, if somebody turns them.
    by_hand: Option<AtomicU64>,
}

impl HostClock {
    /// A clock that stands at 0 now.
    pub fn start(speed: Speed) -> Self {
        Self { start: Instant::now(), speed, by_hand: None }
    }

    /// A clock that stands at 0 until it is turned with [`HostClock::turn`]: for tests that are to go the
    /// same way every time.
    pub fn by_hand() -> Self {
        Self { by_hand: Some(AtomicU64::new(0)), ..Self::start(Speed::REAL) }
    }

    /// Turns a clock that is [`HostClock::by_hand`] on by `ticks` nanoseconds. Another goes on by itself.
    pub fn turn(&self, ticks: u64) {
        if let Some(hand) = &self.by_hand {
            hand.fetch_add(ticks, Ordering::Relaxed);
        }
    }

    /// The device clock in nanoseconds.
    pub fn now(&self) -> u64 {
        if let Some(hand) = &self.by_hand {
            return hand.load(Ordering::Relaxed);
        }
        let ticks = self.start.elapsed().as_nanos() * u128::from(self.speed.0) / 1000;
        u64::try_from(ticks).unwrap_or(u64::MAX)
    }

    /// Nanoseconds of real time since the clock was made.
    pub fn real_now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// How fast it goes.
    pub fn speed(&self) -> Speed {
        self.speed
    }

    /// The real time in which `ticks` nanoseconds of the device clock pass, rounded up.
    pub fn real_time(&self, ticks: u64) -> Duration {
        let nanos = (u128::from(ticks) * 1000).div_ceil(u128::from(self.speed.0));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The real time until the device clock stands at `deadline`.
    pub fn until(&self, deadline: u64) -> Duration {
        self.real_time(deadline.saturating_sub(self.now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speed_is_read_and_bounded() {
        assert_eq!("1".parse(), Ok(Speed::REAL));
        assert_eq!("2.5".parse(), Ok(Speed(2500)));
        for bad in ["0", "-1", "nan", "inf", "1001", "fast"] {
            assert!(bad.parse::<Speed>().is_err(), "{bad}");
        }
    }

    #[test]
    fn deadline_has_passed_after_the_time_it_says() {
        let clock = HostClock::start("20".parse().unwrap());
        let deadline = clock.now() + 100_000_003;
        let wait = clock.until(deadline);
        assert!(wait <= Duration::from_millis(6), "{wait:?}");
        std::thread::sleep(wait);
        assert!(clock.now() >= deadline);
    }
}

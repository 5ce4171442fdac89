//! Figures that certification tests limit (WAVERT.md 4.5 and 4.6), as `result` lines: they measure, they do
//! not judge, because an emulated processor is late as it pleases. Only what no lateness explains is a
//! violation (rule `impossible-timing`).

use super::position::Travel;

/// When notification events came.
#[derive(Clone, Copy, Debug)]
pub struct EventTimes {
    run: u64,
    packet: u64,
    first: Option<u64>,
    last: u64,
    worst: u64,
}

impl EventTimes {
    /// RUN was called at `run`; a packet takes `packet` (100-ns units, on the client's clock).
    pub fn new(run: u64, packet: u64) -> Self {
        Self { run, packet: packet.max(1), first: None, last: run, worst: 0 }
    }

    /// An event was seen.
    pub fn observe(&mut self, now: u64) {
        if self.first.is_some() {
            self.worst = self.worst.max(now.saturating_sub(self.last));
        }
        self.first.get_or_insert(now);
        self.last = now;
    }

    /// From RUN to the first event, in hundredths of a packet; the limit is 250.
    pub fn first_x100(&self) -> u64 {
        self.first.map_or(0, |first| first.saturating_sub(self.run) * 100 / self.packet)
    }

    /// The longest time between two events, in hundredths of a packet; the limit is 150.
    pub fn worst_x100(&self) -> u64 {
        self.worst * 100 / self.packet
    }

    /// A first event before half a packet's time is none of a packet's end.
    pub fn is_impossible(&self) -> bool {
        self.first.is_some() && self.first_x100() < 50
    }
}

/// How `GetPosition` did.
#[derive(Clone, Copy, Debug, Default)]
pub struct PositionStats {
    run: u64,
    bytes_per_second: u64,
    first: Option<u64>,
    reads: u64,
    in_calls: u64,
    samples: i64,
    sum: i128,
    squares: i128,
    least: i64,
    most: i64,
    /// First and last sample: time and bytes.
    ends: Option<[(u64, u64); 2]>,
}

impl PositionStats {
    /// RUN was called at `run` (100-ns units) for a stream of so many bytes a second on the client's clock.
    pub fn new(run: u64, bytes_per_second: u64) -> Self {
        Self {
            run,
            bytes_per_second: bytes_per_second.max(1),
            least: i64::MAX,
            most: i64::MIN,
            ..Self::default()
        }
    }

    /// A read that began and ended at these times; the position has gone so far since RUN.
    pub fn observe(&mut self, begun: u64, done: u64, travel: Travel) {
        self.reads += 1;
        self.in_calls += done.saturating_sub(begun);
        if travel.bytes == 0 {
            return;
        }
        self.first.get_or_insert(done);
        let by_position =
            i64::try_from(u128::from(travel.bytes) * 10_000_000 / u128::from(self.bytes_per_second));
        let by_clock = i64::try_from((begun / 2 + done / 2).saturating_sub(self.run));
        if let (Ok(by_position), Ok(by_clock)) = (by_position, by_clock) {
            let error = by_position - by_clock;
            self.samples += 1;
            let here = (begun / 2 + done / 2, travel.bytes);
            self.ends.get_or_insert([here, here])[1] = here;
            self.sum += i128::from(error);
            self.squares += i128::from(error) * i128::from(error);
            (self.least, self.most) = (self.least.min(error), self.most.max(error));
        }
    }

    /// From RUN to the first position that was not zero, microseconds; the limit is 15,000.
    pub fn first_us(&self) -> u64 {
        self.first.map_or(0, |first| first.saturating_sub(self.run) / 10)
    }

    /// Mean time of a call, nanoseconds; the limit is 1,000,000.
    pub fn read_ns(&self) -> u64 {
        self.in_calls * 100 / self.reads.max(1)
    }

    /// How fast the position goes, in millionths of the format's rate; the limits are 990,000 and 1,010,000.
    pub fn rate_ppm(&self) -> u64 {
        let Some([(began, from), (ended, to)]) = self.ends else { return 0 };
        let due = u128::from(ended.saturating_sub(began)) * u128::from(self.bytes_per_second) / 10_000_000;
        let ppm = u128::from(to.saturating_sub(from)) * 1_000_000 / due.max(1);
        u64::try_from(ppm).unwrap_or(u64::MAX)
    }

    /// Standard deviation and greatest deviation of position from clock, microseconds, after their mean
    /// difference is taken off; the limits are 1,000 and 4,000. A stream that stalls, as in lockstep, shows
    /// its stalls here.
    pub fn jitter_us(&self) -> (u64, u64) {
        if self.samples == 0 {
            return (0, 0);
        }
        let (n, mean) = (i128::from(self.samples), self.sum / i128::from(self.samples));
        let variance = u128::try_from(self.squares / n - mean * mean).unwrap_or(0);
        let most = (i128::from(self.most) - mean).max(mean - i128::from(self.least));
        let us = |value: u128| u64::try_from(value / 10).unwrap_or(u64::MAX);
        (us(variance.isqrt()), us(u128::try_from(most).unwrap_or(0)))
    }
}

/// A figure beyond what certification allows (WAVERT.md 4.5 and 4.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Miss {
    /// Its result key, without a label.
    pub figure: &'static str,
    /// What it is.
    pub value: u64,
    /// What it may be: at most, or between.
    pub limit: (u64, u64),
}

impl PositionStats {
    /// What is beyond the limits, of the five figures of a stream that was watched.
    pub fn misses(&self) -> impl Iterator<Item = Miss> {
        let (deviation, most) = self.jitter_us();
        let mut stats = [
            ("first_position_us", self.first_us(), (0, 15_000)),
            ("jitter_std_us", deviation, (0, 1_000)),
            ("jitter_max_us", most, (0, 4_000)),
            ("get_position_ns", self.read_ns(), (0, 1_000_000)),
            ("position_rate_ppm", self.rate_ppm(), (990_000, 1_010_000)),
        ];
        if self.samples == 0 {
            // It never moved: that is said by others.
            for (_, value, limit) in &mut stats {
                *value = limit.0;
            }
        }
        let miss = |(figure, value, limit)| Miss { figure, value, limit };
        stats.into_iter().map(miss).filter(|miss| !(miss.limit.0..=miss.limit.1).contains(&miss.value))
    }
}

impl EventTimes {
    /// What is beyond the limits.
    pub fn misses(&self) -> impl Iterator<Item = Miss> {
        [
            ("first_event_packets_x100", self.first_x100(), (0, 250)),
            ("worst_event_packets_x100", self.worst_x100(), (0, 150)),
        ]
        .into_iter()
        .map(|(figure, value, limit)| Miss { figure, value, limit })
        .filter(|miss| miss.value > miss.limit.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_told_in_packets() {
        let mut times = EventTimes::new(1_000, 100);
        assert!(!times.is_impossible());
        for now in [1_110, 1_200, 1_350] {
            times.observe(now);
        }
        assert_eq!((times.first_x100(), times.worst_x100(), times.is_impossible()), (110, 150, false));
        let mut early = EventTimes::new(1_000, 100);
        early.observe(1_049);
        assert!(early.is_impossible());
    }

    fn at(bytes: u64) -> Travel {
        Travel { bytes, complete: true }
    }

    #[test]
    fn a_steady_position_has_no_jitter_whatever_it_lags() {
        // 1 byte per 100 ns, 7 units behind.
        let mut stats = PositionStats::new(1_000, 10_000_000);
        stats.observe(1_000, 1_000, at(0));
        for step in 1..10 {
            stats.observe(1_000 + step * 50, 1_000 + step * 50, at(step * 50 - 7));
        }
        assert_eq!((stats.jitter_us(), stats.first_us(), stats.read_ns()), ((0, 0), 5, 0));
        assert_eq!(stats.rate_ppm(), 1_000_000);
    }

    #[test]
    fn one_late_position_is_the_greatest_deviation() {
        let mut stats = PositionStats::new(0, 10_000_000);
        for step in 1..=99 {
            stats.observe(step * 1_000, step * 1_000 + 20, at(step * 1_000 + 10));
        }
        stats.observe(100_000, 100_020, at(100_010 - 20_000));
        let (deviation, most) = stats.jitter_us();
        assert_eq!(most, 1_980);
        assert!((190..210).contains(&deviation), "{deviation}");
        assert_eq!(stats.read_ns(), 2_000);
    }

    #[test]
    fn a_figure_beyond_its_limit_is_told_and_no_other() {
        let travel = |bytes| Travel { bytes, complete: true };
        // 192 bytes a millisecond, read every 5 ms, once 6 ms behind.
        let mut stats = PositionStats::new(0, 192_000);
        for step in 1..=40u64 {
            let behind = if step == 20 { 6 * 192 } else { 0 };
            stats.observe(step * 50_000, step * 50_000, travel(step * 960 - behind));
        }
        let missed: alloc::vec::Vec<_> = stats.misses().map(|miss| miss.figure).collect();
        assert_eq!(missed, ["jitter_max_us"]);
        assert_eq!(PositionStats::new(0, 192_000).misses().count(), 0, "a stream that nobody watched");
        let mut events = EventTimes::new(0, 100_000);
        events.observe(260_000);
        events.observe(390_000);
        let missed: alloc::vec::Vec<_> = events.misses().map(|miss| miss.figure).collect();
        assert_eq!(missed, ["first_event_packets_x100"]);
    }
}

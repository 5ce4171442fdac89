//! The rate of a stream that follows the clock of a device on the host: which `RATE_DEN` keeps the queue
//! between the two where it should be.
//!
//! The card's clock and the crystal of a sound card are some 10 to 200 millionths apart. Without this the
//! queue between them would run dry or over within minutes. Two things are measured, and neither is what it
//! seems at a single moment:
//!
//! * how fast the device is: it takes its frames in blocks, at moments that are milliseconds early or late. A
//!   delay-locked loop (F. Adriaensen, "Using a DLL to filter time", 2005) lays a smooth line through them;
//!   its bandwidth gets narrow with the line's age.
//! * how much waits: what was given minus what the *line* says was taken, looked at when a burst was just
//!   given. So neither blocks nor bursts are seen in it.
//!
//! The rate is the device's, and a little more or less until the queue is at its target. Of a device that
//! records all is the other way round: it gives in blocks, and what waits for the stream is what the line
//! says was given minus what was captured. Pure: no clock, no device.

use std::f64::consts::{SQRT_2, TAU};

use ringwave_engine::timeline::{CLOCK_HZ, RATE_LIMIT};

/// Bandwidth of the loop in Hz: at first, and at last.
const WIDE: f64 = 0.1;
const NARROW: f64 = 0.01;
/// A queue that is off its target comes back with this time constant, in seconds.
const RETURN: f64 = 10.0;
/// What waits is smoothed over as many seconds: far less than [`RETURN`], or it would swing.
const SMOOTH: f64 = 2.0;
/// The device is this far beside its line, in seconds: it stood still, or jumped.
const ASTRAY: f64 = 0.1;
/// ... or further than two blocks so many times in a row.
const STRAYS: u32 = 50;
/// While the line is younger, in seconds, one block is enough: a device that starts fills its own buffer
/// first.
const YOUNG: f64 = 0.5;
/// The drift is known when the line is as old, in seconds.
const KNOWN_AFTER: f64 = 10.0;
/// A new rate is a new base of the stream: not more often than this, in nanoseconds, and not for less than a
/// millionth.
const RATE_EVERY: u64 = 250_000_000;
const RATE_STEP: u32 = CLOCK_HZ / 1_000_000;

/// The estimator. Times are nanoseconds of the card's clock, counts are frames since the device was started.
#[derive(Clone, Debug)]
pub struct ClockFollower {
    /// Frames per second of the stream, nominally.
    rate: f64,
    /// Frames that the device takes at once.
    block: f64,
    target: f64,
    /// 1 for a device that plays, -1 for one that records.
    sign: f64,
    line: Option<TakenLine>,
    queue: Option<Queue>,
    rate_den: u32,
    /// When it was changed.
    changed: u64,
}

/// What the device has taken, as a line.
#[derive(Clone, Copy, Debug)]
struct TakenLine {
    since: u64,
    time: u64,
    frames: f64,
    /// Frames per second.
    rate: f64,
    strays: u32,
}

/// What waits, smoothed.
#[derive(Clone, Copy, Debug)]
struct Queue {
    time: u64,
    frames: f64,
}

impl ClockFollower {
    /// For a stream of `rate` frames per second, a device that takes `block` frames at once, and `target`
    /// frames that are to wait when a burst was just given.
    pub fn new(rate: u32, block: u32, target: u32) -> Self {
        Self {
            rate: rate.max(1).into(),
            block: block.max(1).into(),
            target: target.into(),
            sign: 1.0,
            line: None,
            queue: None,
            rate_den: CLOCK_HZ,
            changed: 0,
        }
    }

    /// As [`ClockFollower::new`], for a device that records, and `target` frames that are to wait when a
    /// burst was just captured.
    pub fn of_recorder(rate: u32, block: u32, target: u32) -> Self {
        Self { sign: -1.0, ..Self::new(rate, block, target) }
    }

    /// The device has taken (or given) `frames` frames in all, silence of its own included, when it came for
    /// the last block at `now`.
    pub fn taken(&mut self, now: u64, frames: u64) {
        let frames = as_float(frames);
        let Some(line) = &mut self.line else {
            self.line = Some(TakenLine { since: now, time: now, frames, rate: self.rate, strays: 0 });
            return;
        };
        let passed = seconds(now.saturating_sub(line.time));
        // A device that comes twice in a row (it fills its own buffer) is looked at once.
        if passed * self.rate < self.block / 2.0 {
            return;
        }
        let expected = line.frames + line.rate * passed;
        let beside = frames - expected;
        let far = beside.abs() > 2.0 * self.block;
        line.strays = if far { line.strays + 1 } else { 0 };
        let age = seconds(now.saturating_sub(line.since)).max(passed);
        let reach = if age < YOUNG { self.block } else { (ASTRAY * self.rate).max(4.0 * self.block) };
        if beside.abs() > reach || line.strays > STRAYS {
            // It was elsewhere; its crystal is still the same.
            *line = TakenLine { since: now, time: now, frames, strays: 0, ..*line };
            self.queue = None;
            return;
        }
        let beside = beside.clamp(-2.0 * self.block, 2.0 * self.block);
        let omega = (TAU * (1.0 / age).clamp(NARROW, WIDE) * passed).min(0.5);
        line.frames = expected + SQRT_2 * omega * beside;
        line.rate = limit(line.rate + omega * omega / passed * beside, self.rate);
        line.time = now;
    }

    /// A burst was just given (or captured) at `now`; `given` frames in all, silence of the device's own
    /// included.
    pub fn given(&mut self, now: u64, given: u64) {
        let Some(line) = &self.line else { return };
        let passed = seconds(now.saturating_sub(line.time));
        // It stands still: nothing is known of it, and nothing changes.
        if passed > (ASTRAY + 4.0 * self.block / self.rate) {
            self.queue = None;
            return;
        }
        let waiting = self.sign * (as_float(given) - (line.frames + line.rate * passed));
        let queue = self.queue.get_or_insert(Queue { time: now, frames: waiting });
        let since = seconds(now.saturating_sub(queue.time));
        queue.frames += (waiting - queue.frames) * (since / SMOOTH).min(1.0);
        queue.time = now;
        let wanted = limit(line.rate - self.sign * (queue.frames - self.target) / RETURN, self.rate);
        self.change_rate(now, wanted);
    }

    /// As many frames are to wait from now on.
    pub fn set_target(&mut self, frames: u32) {
        self.target = frames.into();
    }

    /// What the device takes has no meaning for the queue any more (it had nothing to take): what waits is
    /// measured anew.
    pub fn forget_queue(&mut self) {
        self.queue = None;
    }

    fn change_rate(&mut self, now: u64, wanted: f64) {
        let nominal = f64::from(CLOCK_HZ);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a thousandth around nominal"
        )]
        let rate_den = (nominal * self.rate / wanted).round() as u32;
        let rate_den = rate_den.clamp(CLOCK_HZ - RATE_LIMIT, CLOCK_HZ + RATE_LIMIT);
        if now.saturating_sub(self.changed) >= RATE_EVERY && rate_den.abs_diff(self.rate_den) >= RATE_STEP {
            self.rate_den = rate_den;
            self.changed = now;
        }
    }

    /// The `RATE_DEN` wanted: nominal (`CLOCK_HZ`) at first, at most a thousandth off.
    pub fn rate_den(&self) -> u32 {
        self.rate_den
    }

    /// How much faster than the card's clock the device's goes, in millionths; `None` before it is known.
    pub fn drift_ppm(&self) -> Option<f64> {
        let line = self.line.filter(|line| seconds(line.time.saturating_sub(line.since)) >= KNOWN_AFTER)?;
        Some((line.rate / self.rate - 1.0) * 1e6)
    }

    /// Frames that wait, smoothed; `None` while it is not known.
    #[cfg(test)]
    fn waiting(&self) -> Option<f64> {
        self.queue.map(|queue| queue.frames)
    }
}

/// A rate that is at most a thousandth from nominal.
fn limit(rate: f64, nominal: f64) -> f64 {
    rate.clamp(nominal * 0.999, nominal * 1.001)
}

#[allow(clippy::cast_precision_loss, reason = "below 2^53 for a thousand years of frames")]
fn as_float(frames: u64) -> f64 {
    frames as f64
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a difference of times, below 2^53 nanoseconds for a hundred days"
)]
fn seconds(nanos: u64) -> f64 {
    nanos as f64 * 1e-9
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    const SECOND: u64 = 1_000_000_000;
    const RATE: u32 = 48_000;

    /// A card, a queue and a device with a crystal of its own.
    struct World {
        follow: ClockFollower,
        block: u64,
        burst: u64,
        /// The device's crystal, in millionths too fast.
        ppm: f64,
        /// How late the device and the I/O worker can be, in nanoseconds.
        jitter: u64,
        random: u64,
        target: u64,
        room: u64,
        /// Ideal times of the next block and the next burst.
        next_block: f64,
        next_burst: f64,
        given: u64,
        taken: u64,
        silence: u64,
        dry: u64,
        over: u64,
        playing: bool,
        lowest: u64,
        highest: u64,
        now: u64,
    }

    impl World {
        fn new(block: u64, ppm: f64, jitter: u64, seed: u64) -> Self {
            let (burst, target) = (480, 2 * block + 480);
            Self {
                follow: ClockFollower::new(
                    RATE,
                    u32::try_from(block).unwrap(),
                    u32::try_from(target).unwrap(),
                ),
                block,
                burst,
                ppm,
                jitter,
                random: seed | 1,
                target,
                room: target + u64::from(RATE) / 2,
                next_block: 1e9,
                next_burst: 1e9,
                given: 0,
                taken: 0,
                silence: 0,
                dry: 0,
                over: 0,
                playing: false,
                lowest: u64::MAX,
                highest: 0,
                now: 0,
            }
        }

        fn late(&mut self, most: u64) -> f64 {
            self.random ^= self.random << 13;
            self.random ^= self.random >> 7;
            self.random ^= self.random << 17;
            as_float(self.random % most.max(1))
        }

        fn waiting(&self) -> u64 {
            self.given + self.silence - self.taken
        }

        /// The device comes for a block.
        fn pull(&mut self, now: u64) {
            if !self.playing && self.waiting() >= self.target {
                self.playing = true;
                self.follow.forget_queue();
            }
            let got = if self.playing { self.waiting().min(self.block) } else { 0 };
            if self.playing {
                self.lowest = self.lowest.min(self.waiting());
                if got < self.block {
                    self.dry += 1;
                    self.playing = false;
                }
            }
            self.silence += self.block - got;
            self.taken += self.block;
            self.follow.taken(now, self.taken);
        }

        /// The card gives a burst.
        fn give(&mut self, now: u64) {
            if self.waiting() + self.burst > self.room {
                self.over += 1;
            } else {
                self.given += self.burst;
            }
            if self.playing {
                self.highest = self.highest.max(self.waiting());
                self.follow.given(now, self.given + self.silence);
            }
        }

        /// Lets time pass to `end`.
        fn run(&mut self, end: u64) {
            // What is late is never later than what comes after it.
            let (mut block_at, mut burst_at) = (0.0_f64, 0.0_f64);
            let rate = f64::from(RATE);
            let mut pull = (self.next_block + self.late(self.jitter), true);
            let mut give = (self.next_burst + self.late(self.jitter / 4), true);
            while pull.0.min(give.0) < as_float(end) {
                if pull.0 <= give.0 {
                    block_at = block_at.max(pull.0);
                    self.pull(nanos(block_at));
                    self.next_block += as_float(self.block) / rate / (1.0 + self.ppm * 1e-6) * 1e9;
                    pull.0 = self.next_block + self.late(self.jitter);
                } else {
                    burst_at = burst_at.max(give.0);
                    self.give(nanos(burst_at));
                    let den = f64::from(self.follow.rate_den());
                    self.next_burst += as_float(self.burst) * den / rate;
                    give.0 = self.next_burst + self.late(self.jitter / 4);
                }
            }
            self.now = end;
        }

        /// What was played has no hole and nothing was thrown away.
        fn without_loss(&self) -> bool {
            self.dry == 0 && self.over == 0
        }
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "times of a test")]
    fn nanos(time: f64) -> u64 {
        time as u64
    }

    #[test]
    fn day_at_200_millionths_neither_runs_dry_nor_over() {
        let mut world = World::new(1024, 200.0, 8_000_000, 1);
        world.run(24 * 3600 * SECOND);
        assert!(world.without_loss(), "dry {} over {}", world.dry, world.over);
        let drift = world.follow.drift_ppm().unwrap();
        assert!((drift - 200.0).abs() < 15.0, "{drift}");
        assert!(world.highest < 2 * world.target, "what waits stays small: {}", world.highest);
    }

    #[test]
    fn without_following_the_same_day_would_not_last_an_hour() {
        let mut world = World::new(1024, 200.0, 8_000_000, 1);
        // A target that is never left: the rate stays nominal.
        world.follow = ClockFollower { changed: u64::MAX, ..world.follow };
        world.run(3600 * SECOND);
        assert!(!world.without_loss(), "the world is too kind to tell anything");
    }

    #[test]
    fn rate_settles_at_the_devices_and_does_not_swing() {
        for ppm in [-200.0, -37.0, 0.0, 83.0, 200.0] {
            let mut world = World::new(480, ppm, 4_000_000, 7);
            world.run(180 * SECOND);
            let mut worst = 0.0_f64;
            for step in 1..=600 {
                world.run((180 + step) * SECOND);
                let speed = f64::from(CLOCK_HZ) / f64::from(world.follow.rate_den());
                worst = worst.max(((speed - 1.0) * 1e6 - ppm).abs());
            }
            assert!(world.without_loss(), "{ppm}");
            assert!(worst < 60.0, "{ppm}: {worst} millionths beside it");
            let drift = world.follow.drift_ppm().unwrap();
            assert!((drift - ppm).abs() < 15.0, "{ppm}: {drift}");
        }
    }

    #[test]
    fn device_that_stands_still_for_seconds_is_taken_up_again() {
        let mut world = World::new(1024, 120.0, 4_000_000, 3);
        world.run(60 * SECOND);
        assert!(world.without_loss());
        world.next_block += 3e9;
        world.run(70 * SECOND);
        assert!(world.over > 0, "three seconds do not fit");
        let (dry, over) = (world.dry, world.over);
        world.run(1200 * SECOND);
        assert_eq!((world.dry, world.over), (dry, over), "whole again");
        let waiting = world.follow.waiting().unwrap();
        assert!((waiting - as_float(world.target)).abs() < 300.0, "{waiting} of {}", world.target);
    }

    #[test]
    fn start_like_that_of_a_sound_server_is_no_drift() {
        // As measured: three blocks at once, nothing for two seconds, then block after block.
        let mut follow = ClockFollower::new(RATE, 640, 1760);
        for (time, taken) in [(2_000_000, 640), (2_100_000, 1280), (2_400_000, 1920)] {
            follow.taken(time, taken);
            follow.given(time, 480);
        }
        for (pause, blocks) in [(2 * SECOND, 4500), (0, 1500)] {
            // The second time it has stood still for no longer than a block.
            let mut follow = follow.clone();
            for block in 0..blocks {
                let time = pause + block * 640 * SECOND / u64::from(RATE) + 13_000_000;
                follow.taken(time, 1920 + 640 * (block + 1));
                follow.given(time, 1920 + 640 * (block + 1) + 1760);
                let off = follow.rate_den().abs_diff(CLOCK_HZ);
                assert!(off < 20_000, "after {block} blocks {off}");
            }
            let drift = follow.drift_ppm().unwrap();
            assert!(drift.abs() < 1.0, "{drift}");
        }
    }

    /// Lateness is drawn: by chance a run of it may empty any queue. So the cases are the same in every run,
    /// but where `RINGWAVE_RANDOM_SEEDS` is in the environment (`qemu-scripts/test --long`).
    fn statistical_cases() -> ProptestConfig {
        let usual = ProptestConfig::with_cases(24);
        match std::env::var_os("RINGWAVE_RANDOM_SEEDS") {
            Some(_) => usual,
            None => ProptestConfig { rng_seed: RngSeed::Fixed(14), failure_persistence: None, ..usual },
        }
    }

    proptest! {
        #![proptest_config(statistical_cases())]

        #[test]
        fn any_crystal_block_and_jitter_plays_whole(
            ppm in -200.0..200.0_f64, block in prop::sample::select(vec![240_u64, 441, 480, 640, 1024, 2048]),
            lateness in 0.0..0.8_f64, seed in any::<u64>(),
        ) {
            // As late as 0.8 of a block.
            let jitter = nanos(as_float(block) / f64::from(RATE) * lateness * 1e9);
            let mut world = World::new(block, ppm, jitter, seed);
            world.run(900 * SECOND);
            prop_assert!(world.without_loss(), "dry {} over {}", world.dry, world.over);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn rate_is_never_more_than_a_thousandth_off(
            calls in prop::collection::vec((0..10_000_000_000_u64, any::<u32>(), any::<bool>()), 0..200),
        ) {
            let mut follow = ClockFollower::new(RATE, 480, 1440);
            let mut now = 0;
            for (passed, frames, gives) in calls {
                now += passed;
                if gives { follow.given(now, frames.into()) } else { follow.taken(now, frames.into()) }
                prop_assert!(follow.rate_den().abs_diff(CLOCK_HZ) <= RATE_LIMIT);
                prop_assert!(follow.drift_ppm().is_none_or(|ppm| ppm.abs() <= 1000.1));
            }
        }
    }
}

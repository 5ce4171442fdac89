//! Position without messages: the card's anchor, carried on with the guest's performance counter.
//!
//! The status page says "at device clock C the position was frame F, and it moves by so many frames per
//! tick". What the guest does not know is what the device clock says *now*. It learns that from the pages
//! too: every clock value that it reads there lies in the past, so `device clock - local clock` is never
//! above the true offset, and the shortest delay that was seen (the greatest difference) is the best
//! estimate. The estimate is therefore late, never early, by the shortest delay. It is that of a second or
//! two: a local clock that has jumped forwards by a little, as it can in a virtual machine, can't leave it
//! too high for longer; and in that time it decays slowly, for the clocks do not run at quite the same rate.
//!
//! What is reported never goes back, never passes the limit the caller knows (one packet beyond the anchor,
//! the end of the stream, what was written), and before the first anchor of a RUN it is the frame where the
//! stream stood. DATASHEET 7.2. (The window that it suggests is kept as the best of this second and of the
//! one before.)

use crate::hw::Anchor;

/// How fast the estimated offset sinks: one tick in this many. Clocks of one machine differ by less than 100
/// ppm.
const DECAY: u64 = 10_000;

/// How far the estimate may lie above what two looks at a page allow before it is taken for wrong, in ticks:
/// 100 ms. A card writes its page late by milliseconds; a local clock that jumps with a paused machine does
/// so by more.
const JUMP: i128 = 100_000_000;

/// How long an estimate is kept beside those of the present window, in ticks: a second. Windows begin with
/// news, for a stream that stands still tells nothing that could replace the estimate.
const WINDOW: u64 = 1_000_000_000;

/// What has been reported, and how the two clocks lie to each other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Position {
    /// The last reported frame.
    last: u64,
    /// The estimate: the better one of both windows.
    offset: Option<Offset>,
    /// The estimate of before the last RUN, perhaps of another clock.
    before: Option<Offset>,
    /// The best of the present window, and of the one before.
    windows: [Option<Offset>; 2],
    /// Local clock at which the present window has begun.
    window_since: u64,
    seen: Option<Observation>,
}

/// The last look at a page.
#[derive(Clone, Copy, Debug)]
struct Observation {
    device_clock: u64,
    /// Local clock of the look.
    at: u64,
}

/// Estimate of `device clock - local clock`.
#[derive(Clone, Copy, Debug)]
struct Offset {
    ticks: i128,
    /// Local clock up to which it has sunk.
    since: u64,
}

impl Offset {
    /// What is left of it at the local clock `now`.
    fn sunk(self, now: u64) -> Self {
        let ticks = now.saturating_sub(self.since) / DECAY;
        // The rest of the division stays for the next time: a client that asks often must not keep the
        // estimate from sinking.
        let since = self.since.saturating_add(ticks.saturating_mul(DECAY));
        Self { ticks: self.ticks - i128::from(ticks), since }
    }
}

impl Position {
    /// STOP: everything is 0 again.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// A RUN begins: the card may have another clock than before (after resume, or another process), so
    /// calibrate anew.
    pub fn recalibrate(&mut self) {
        self.before = self.offset.or(self.before);
        (self.offset, self.windows, self.seen) = (None, [None; 2], None);
    }

    /// The local clock, as far as is known, at which the device clock stood at `clock`; `None` before the
    /// first observation. In a RUN in which nothing was seen yet `clock` is of the time before it.
    pub fn local(&self, clock: u64) -> Option<u64> {
        u64::try_from(i128::from(clock) - self.offset.or(self.before)?.ticks).ok()
    }

    /// The device clock, as far as is known, at the local clock `now`: late, never early. `None` before the
    /// first observation.
    pub fn device(&self, now: u64) -> Option<u64> {
        u64::try_from(i128::from(now) + self.offset?.ticks).ok()
    }

    /// The last reported frame.
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// A device clock value was read from a page at the local clock `now` (both in ticks of the device
    /// clock's rate).
    ///
    /// A value that the look before did not show was written after that look, so that the offset is at most
    /// its difference to it. An estimate far above that is of before the local clock jumped forwards, as it
    /// can when a virtual machine goes on after a pause, and would be wrong for as long as it sinks.
    pub fn observe(&mut self, device_clock: u64, now: u64) {
        let seen = i128::from(device_clock) - i128::from(now);
        let previous = self.seen.replace(Observation { device_clock, at: now });
        let news = previous.filter(|before| before.device_clock != device_clock);
        let bound = news.map(|before| i128::from(device_clock) - i128::from(before.at) + JUMP);
        let holds = |sunk: &Offset| bound.is_none_or(|bound| sunk.ticks <= bound);
        let [mut present, mut before] =
            self.windows.map(|best| best.map(|best| best.sunk(now)).filter(holds));
        // A clock that has jumped back begins the window anew.
        self.window_since = self.window_since.min(now);
        if news.is_some() && now.saturating_sub(self.window_since) >= WINDOW {
            self.window_since = now;
            (present, before) = (None, present);
        }
        let best = present.filter(|best| best.ticks > seen).unwrap_or(Offset { ticks: seen, since: now });
        self.windows = [Some(best), before];
        self.offset = before.filter(|before| before.ticks > best.ticks).or(Some(best));
    }

    /// The frame at the local clock `now`, from `anchor`: not above `limit` (but the anchor itself counts),
    /// and not before what was reported.
    pub fn at(&mut self, anchor: Anchor, now: u64, limit: u64) -> u64 {
        let moved = self.ticks_since(anchor.clock, now).map_or(0, |ticks| {
            let frames = u128::from(ticks)
                .saturating_mul(u128::from(anchor.rate_num))
                .checked_div(u128::from(anchor.rate_den))
                .unwrap_or(0);
            u64::try_from(frames).unwrap_or(u64::MAX)
        });
        let frame = anchor.frame.saturating_add(moved).min(limit.max(anchor.frame));
        self.last = self.last.max(frame);
        self.last
    }

    /// Ticks of the device clock between `clock` and now; `None` before the first observation or if the
    /// anchor seems to be in the future.
    fn ticks_since(&self, clock: u64, now: u64) -> Option<u64> {
        let device_now = i128::from(now) + self.offset?.ticks;
        u64::try_from(device_now - i128::from(clock)).ok()
    }
}

/// Ticks of a clock of `to_hz` in `counter` ticks of a clock of `from_hz` (0 is taken as 1). Exact, rounded
/// down.
pub fn scale(counter: u64, from_hz: u64, to_hz: u64) -> u64 {
    let ticks = u128::from(counter) * u128::from(to_hz) / u128::from(from_hz.max(1));
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    const SECOND: u64 = 1_000_000_000;
    /// Device clock minus local clock in these tests.
    const AHEAD: u64 = 77 * SECOND;
    /// An anchor at frame `frame` of a stream at 48 kHz.
    fn anchor(clock: u64, frame: u64) -> Anchor {
        Anchor { clock, frame, rate_num: 3, rate_den: 62_500 }
    }

    #[test]
    fn moves_with_the_clock_and_is_late_by_the_shortest_delay_only() {
        let mut position = Position::default();
        // The anchor of device time 1 s is read 500 us late, one of 1.1 s 20 us late.
        position.observe(AHEAD + SECOND, SECOND + 500_000);
        position.observe(AHEAD + SECOND + 100_000_000, SECOND + 100_020_000);
        let frame = position.at(anchor(AHEAD + SECOND + 100_000_000, 4800), SECOND + 105_000_000, 5280);
        // 5 ms at 48 kHz are 240 frames; 20 us (and a little decay) are 1.
        assert!((238..=240).contains(&(frame - 4800)), "{frame}");
    }

    #[test]
    fn a_local_clock_that_jumps_is_noticed_with_the_second_news() {
        const MINUTES: u64 = 600 * SECOND;
        let packet = SECOND / 100;
        let mut position = Position::default();
        for n in 0..10 {
            position.observe(AHEAD + n * packet, n * packet + 20_000);
        }
        // The machine goes on ten minutes of its own clock later; the card has done two packets more.
        for n in 10..12 {
            position.observe(AHEAD + n * packet, MINUTES + n * packet + 20_000);
        }
        let local = position.local(AHEAD + 12 * packet).unwrap();
        assert!((0..=1_000_000).contains(&(local - MINUTES - 12 * packet)), "{local}");
        // A pause without a jump, however long: one late look, and the estimate is as good as before.
        position.observe(AHEAD + 5 * MINUTES, 6 * MINUTES + 400_000_000);
        position.observe(AHEAD + 5 * MINUTES + packet, 6 * MINUTES + packet + 20_000);
        let local = position.local(AHEAD + 5 * MINUTES).unwrap();
        assert!(local.abs_diff(6 * MINUTES) <= 100_000_000, "{local}");
    }

    #[test]
    fn a_local_clock_that_jumps_by_a_little_is_followed_within_two_seconds() {
        let packet = SECOND / 100;
        for jump in [5_000_000, 60_000_000, 99_000_000] {
            let mut position = Position::default();
            for n in 0..500 {
                position.observe(AHEAD + n * packet, n * packet + 20_000);
            }
            for n in 500..750 {
                position.observe(AHEAD + n * packet, jump + n * packet + 20_000);
            }
            let late = position.local(AHEAD + 750 * packet).unwrap() - jump - 750 * packet;
            assert!(late <= 300_000, "a jump of {jump}: {late}");
        }
    }

    #[test]
    fn a_local_clock_that_stood_still_is_followed_at_once() {
        let packet = SECOND / 100;
        let mut position = Position::default();
        position.observe(AHEAD, 0);
        assert_eq!(position.at(anchor(AHEAD, 0), packet / 2, 480), 240);
        // The machine was stopped for two seconds, of which its clock knows nothing; the card has played what
        // it had, and stands.
        let stands = Anchor { clock: AHEAD + 2 * SECOND, frame: 960, rate_num: 0, rate_den: 1 };
        position.observe(stands.clock, packet / 2 + 1_000);
        assert_eq!(position.at(stands, packet / 2 + 1_000, 960), 960);
        // It goes on, from there and with the time.
        let goes_on = anchor(AHEAD + 2 * SECOND + 1_000_000, 960);
        position.observe(goes_on.clock, packet / 2 + 1_001_000);
        assert_eq!(position.at(goes_on, packet / 2 + 6_001_000, 1440), 960 + 240);
    }

    #[test]
    fn a_stream_that_stands_still_keeps_its_estimate() {
        let mut position = Position::default();
        for n in 0..200 {
            position.observe(AHEAD + n * 10_000_000, n * 10_000_000 + 20_000);
        }
        // A stall of ten seconds, in which the same anchor is read again and again.
        for local in (2 * SECOND..12 * SECOND).step_by(5_000_000) {
            position.observe(AHEAD + 1_990_000_000, local);
        }
        let behind = 12 * SECOND + AHEAD - position.device(12 * SECOND).unwrap();
        assert!(behind < 2_000_000, "{behind}");
    }

    #[test]
    fn starts_at_the_start_frame_before_the_first_anchor() {
        let mut position = Position::default();
        assert_eq!(position.at(anchor(AHEAD, 0), SECOND, 480), 0);
        let frozen = Anchor { rate_num: 0, ..anchor(0, 960) };
        assert_eq!(position.at(frozen, SECOND, 480), 960);
    }

    #[test]
    fn never_goes_back() {
        let mut position = Position::default();
        position.observe(AHEAD, 0);
        let ahead = position.at(anchor(AHEAD, 0), 8_000_000, 480);
        assert_eq!(ahead, 384);
        // Paused at an earlier frame than the extrapolated one: stays.
        let frozen = Anchor { clock: AHEAD + 7_000_000, frame: 336, rate_num: 0, rate_den: 1 };
        assert_eq!(position.at(frozen, 9_000_000, 480), 384);
        assert_eq!(position.at(frozen, 1, 480), 384);
        // And goes on from there.
        assert_eq!(position.at(anchor(AHEAD + 7_000_000, 336), 10_000_000, 816), 336 + 144);
    }

    #[test]
    fn never_passes_the_limit_unless_the_card_did() {
        let mut position = Position::default();
        position.observe(AHEAD, 0);
        assert_eq!(position.at(anchor(AHEAD, 1000), 3600 * SECOND, 1480), 1480);
        assert_eq!(position.at(anchor(AHEAD + 3600 * SECOND, 1500), 3600 * SECOND, 1480), 1500);
    }

    #[test]
    fn a_fast_local_clock_does_not_run_away() {
        // The local clock is 50 ppm fast; anchors every 10 ms, each read 30 us late.
        let mut position = Position::default();
        for tick in 0..60_000_u64 {
            let device = tick * 10_000_000;
            let local = device + device / 20_000 + 30_000;
            position.observe(AHEAD + device, local);
            // Half a FIFO later: 5 ms are 240 frames.
            let frame = position.at(anchor(AHEAD + device, tick * 480), local + 5_000_000, (tick + 1) * 480);
            assert!((236..=242).contains(&(frame - tick * 480)), "tick {tick}: {}", frame - tick * 480);
        }
    }

    #[test]
    fn asking_often_does_not_keep_the_estimate_from_sinking() {
        let mut position = Position::default();
        position.observe(AHEAD, 0);
        // A second of questions every 5 us; every clock value is 3 ms old.
        for local in (0..SECOND).step_by(5_000) {
            position.observe(AHEAD + local.saturating_sub(3_000_000), local);
        }
        // 100 us have been forgotten: 4.8 frames.
        let frame = position.at(anchor(AHEAD + SECOND, 0), SECOND + 10_000_000, 480);
        assert!((474..=476).contains(&frame), "{frame}");
    }

    #[test]
    fn scribbled_pages_do_no_harm() {
        let mut position = Position::default();
        position.observe(u64::MAX, 0);
        position.observe(0, u64::MAX);
        let wild = Anchor { clock: 0, frame: u64::MAX, rate_num: u32::MAX, rate_den: 0 };
        assert_eq!(position.at(wild, u64::MAX, 480), u64::MAX);
    }

    #[test]
    fn stop_is_zero_again() {
        let mut position = Position::default();
        position.at(anchor(0, 5000), 0, 480);
        position.reset();
        assert_eq!(position.last(), 0);
        assert_eq!(position.at(anchor(0, 0), 0, 480), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(5), ..ProptestConfig::default() })]

        /// A client asks at any time in twelve years and the counter jumps as it likes: the position never
        /// goes back, never passes what is known to be fetched, and is right again two seconds after a
        /// jump, but where what was reported before it is further.
        #[test]
        fn never_back_and_never_past_the_bound_whatever_the_counter_does(
            packets_before in 0_u64..40_000_000_000,
            counter in 0_u64..1 << 61,
            steps in prop::collection::vec((1_000_u64..30_000_000, 0_u64..150, -50_i64..500), 1..600),
        ) {
            let mut position = Position::default();
            let (mut time, mut local, mut last, mut calm) = (0_u64, counter, 0, 0);
            for (pass, dice, jump) in steps {
                time += pass;
                calm += pass;
                local += pass;
                if dice == 0 {
                    local = local.saturating_add_signed(jump * 1_000_000);
                    calm = 0;
                }
                // Packets of 10 ms, whose anchors are read when the client asks.
                let packet = packets_before + time / 10_000_000;
                let anchor = anchor(AHEAD + packet * 10_000_000, packet * 480);
                position.observe(anchor.clock, local);
                let limit = anchor.frame + 480;
                let frame = position.at(anchor, local, limit);
                prop_assert!(frame >= last && frame >= anchor.frame && (frame <= limit || frame == last));
                let exact = anchor.frame + time % 10_000_000 * 48 / 1_000_000;
                if calm > 3 * SECOND && last <= exact {
                    prop_assert!(frame <= exact, "{} ahead", frame - exact);
                }
                last = frame;
            }
        }
    }

    #[test]
    fn scales_exactly() {
        assert_eq!(scale(10_000_000, 10_000_000, SECOND), SECOND);
        assert_eq!(scale(u64::MAX, 1, SECOND), u64::MAX);
        assert_eq!(scale(7, 0, 3), 21);
    }
}

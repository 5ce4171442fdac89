//! Position without messages: the card's anchor, carried on with the guest's performance counter.
//!
//! The status page says "at device clock C the position was frame F, and it moves by so many frames per
//! tick". What the guest does not know is what the device clock says *now*. It learns that from the pages
//! too: every clock value that it reads there lies in the past, so `device clock - local clock` is never
//! above the true offset, and the shortest delay ever seen (the greatest difference) is the best estimate.
//! The estimate is therefore late, never early, by the shortest delay. It decays slowly, so that a local
//! clock that runs fast can't leave it too high for long.
//!
//! What is reported never goes back, never passes the limit the caller knows (one packet beyond the anchor,
//! the end of the stream, what was written), and before the first anchor of a RUN it is the frame where the
//! stream stood. DATASHEET 7.2. (The DATASHEET suggests a window of 64 reads; a slow decay forgets as surely
//! and keeps no history.)

use crate::hw::Anchor;

/// How fast the estimated offset sinks: one tick in this many. Clocks of one machine differ by less than 100
/// ppm.
const DECAY: u64 = 10_000;

/// How far the estimate may lie above what two looks at a page allow before it is taken for wrong, in ticks:
/// 100 ms. A card writes its page late by milliseconds; a local clock that jumps with a paused machine does
/// so by more.
const JUMP: i128 = 100_000_000;

/// What has been reported, and how the two clocks lie to each other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Position {
    /// The last reported frame.
    last: u64,
    offset: Option<Offset>,
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

impl Position {
    /// STOP: everything is 0 again.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// A RUN begins: the card may have another clock than before (after resume, or another process), so
    /// calibrate anew.
    pub fn recalibrate(&mut self) {
        (self.offset, self.seen) = (None, None);
    }

    /// The local clock, as far as is known, at which the device clock stood at `clock`; `None` before the
    /// first observation.
    pub fn local(&self, clock: u64) -> Option<u64> {
        u64::try_from(i128::from(clock) - self.offset?.ticks).ok()
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
        let bound = previous
            .filter(|before| before.device_clock != device_clock)
            .map(|before| i128::from(device_clock) - i128::from(before.at) + JUMP);
        let sunk = self.offset.map(|offset| {
            let ticks = now.saturating_sub(offset.since) / DECAY;
            // The rest of the division stays for the next time: a client that asks often must not keep the
            // estimate from sinking.
            let since = offset.since.saturating_add(ticks.saturating_mul(DECAY));
            Offset { ticks: offset.ticks - i128::from(ticks), since }
        });
        let holds = |sunk: &Offset| sunk.ticks > seen && bound.is_none_or(|bound| sunk.ticks <= bound);
        self.offset = Some(sunk.filter(holds).unwrap_or(Offset { ticks: seen, since: now }));
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

    #[test]
    fn scales_exactly() {
        assert_eq!(scale(10_000_000, 10_000_000, SECOND), SECOND);
        assert_eq!(scale(u64::MAX, 1, SECOND), u64::MAX);
        assert_eq!(scale(7, 0, 3), 21);
    }
}

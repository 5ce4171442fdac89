//! Clicks to play, and clicks that are heard: how long they took.

use alloc::vec::Vec;

use crate::json::Object;

/// How many are played.
pub const COUNT: u32 = 5;
/// From the start to the first, and from one to the next: the longest time that can be told.
const INTERVAL_MS: u64 = 500;
/// How long one lasts, so that a resampler between leaves something of it.
const LENGTH_MS: u64 = 1;
const LEVEL: f64 = 0.5;
/// What counts as heard.
const THRESHOLD: f64 = 0.1;

/// The frame in which a click begins.
pub fn first_frame(click: u32, rate: u32) -> u64 {
    (u64::from(click) + 1) * INTERVAL_MS * u64::from(rate) / 1000
}

/// Frames of all of it.
pub fn frames(rate: u32) -> u64 {
    first_frame(COUNT, rate)
}

/// The level of a frame.
pub fn level(frame: u64, rate: u32) -> f64 {
    let interval = INTERVAL_MS * u64::from(rate) / 1000;
    let within = frame.checked_rem(interval).unwrap_or(0);
    let sounds = frame >= interval && frame < frames(rate) && within < LENGTH_MS * u64::from(rate) / 1000 + 1;
    if sounds { LEVEL } else { 0.0 }
}

/// Listens for clicks.
#[derive(Default)]
pub struct Listener {
    heard: Vec<u64>,
}

impl Listener {
    /// A sample, and its time in microseconds.
    pub fn sample(&mut self, level: f64, now: u64) {
        let level = if level < 0.0 { -level } else { level };
        // What rings on is not the next one.
        let rings = self.heard.last().is_some_and(|last| now < last + INTERVAL_MS * 1000 / 2);
        if level > THRESHOLD && !rings && self.heard.len() < 1000 {
            self.heard.push(now);
        }
    }

    /// How long each click took that was heard, in microseconds, sorted. Windows' times may be a little off:
    /// a click may seem to be heard before it was played, by less than a quarter of the time between two.
    pub fn latencies(&self, played: impl IntoIterator<Item = Option<u64>>) -> Vec<i64> {
        let early = INTERVAL_MS * 1000 / 4;
        let mut found: Vec<i64> = played
            .into_iter()
            .flatten()
            .filter_map(|played| {
                let window = played.saturating_sub(early)..played + 3 * early;
                self.heard.iter().find(|heard| window.contains(heard))?.checked_signed_diff(played)
            })
            .collect();
        found.sort_unstable();
        found
    }
}

/// As in the lines.
pub fn write(latencies: &[i64], to: &mut Object) {
    to.set("clicks", COUNT).set("heard", u64::try_from(latencies.len()).unwrap_or(0));
    to.set("minimum_us", latencies.first().copied());
    to.set("median_us", latencies.get(latencies.len() / 2).copied());
    to.set("maximum_us", latencies.last().copied());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clicks_that_come_back_are_timed() {
        let rate = 48_000;
        let mut listener = Listener::default();
        for frame in 0..frames(rate) {
            // 30 ms late, and the third one is lost.
            let level = if frame / 24_000 == 3 { 0.0 } else { level(frame, rate) };
            listener.sample(-level, 5_030_000 + frame * 1_000_000 / u64::from(rate));
        }
        let played =
            (0..COUNT).map(|click| Some(5_000_000 + first_frame(click, rate) * 1_000_000 / u64::from(rate)));
        assert_eq!(listener.latencies(played), [30_000; 4]);
        let mut object = Object::new();
        write(&[1, 2, 9], &mut object);
        assert_eq!(object.text(), r#"{"clicks":5,"heard":3,"minimum_us":1,"median_us":2,"maximum_us":9}"#);
    }

    #[test]
    fn a_click_that_seems_early_is_not_taken_for_the_next_one() {
        let mut listener = Listener::default();
        for now in [1_000_000, 1_470_000, 2_000_000] {
            listener.sample(0.5, now);
        }
        let played = [Some(1_000_000), Some(1_500_000), Some(2_000_000), None];
        assert_eq!(listener.latencies(played), [-30_000, 0, 0]);
    }

    #[test]
    fn silence_holds_no_click() {
        let mut listener = Listener::default();
        (0..100).for_each(|now| listener.sample(0.01, now));
        assert!(listener.latencies([Some(0)]).is_empty());
    }
}

//! How far the two are from one another where they lie upon each other.

use super::levels::Planar;

/// Of a heard channel.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Differences {
    pub(super) worst: f64,
    /// The heard frame of it.
    pub(super) worst_at: Option<u64>,
    /// Energy of what is expected, and of what differs.
    sound: f64,
    noise: f64,
}

impl Differences {
    /// RMS of what differs, if it does so within so many frames.
    pub(super) fn rms_of(&self, frames: f64) -> f64 {
        (self.noise / frames.max(1.0)).sqrt()
    }

    /// The sound above what differs; `None` for no difference, or no sound.
    pub(super) fn snr_db(&self) -> Option<f64> {
        let both = self.noise > 0.0 && self.sound > 0.0;
        both.then(|| 10.0 * (self.sound / self.noise).log10())
    }
}

/// Adds the first `upto` frames of a block that begins at heard frame `at`.
pub(super) fn count_differences(
    into: &mut [Differences],
    expected: &Planar,
    heard: &Planar,
    upto: usize,
    at: i64,
) {
    for ((into, expected), heard) in into.iter_mut().zip(expected).zip(heard) {
        for (frame, (expected, heard)) in expected.iter().zip(heard).take(upto).enumerate() {
            let difference = heard - expected;
            into.sound += expected * expected;
            into.noise += difference * difference;
            if difference.abs() > into.worst {
                (into.worst, into.worst_at) = (difference.abs(), Some(at as u64 + frame as u64));
            }
        }
    }
}

//! Sums over samples, in lanes: the compiler keeps the order of a plain sum, and waits for each addition.

use super::levels::Planar;

/// Sums that are made beside one another.
const LANES: usize = 8;

/// The sum of the products, of as many as both have.
#[inline]
pub(super) fn dot(one: &[f64], other: &[f64]) -> f64 {
    let count = one.len().min(other.len());
    let (one, other) = (&one[..count], &other[..count]);
    let (ones, others) = (one.chunks_exact(LANES), other.chunks_exact(LANES));
    let rest: f64 = ones.remainder().iter().zip(others.remainder()).map(|(a, b)| a * b).sum();
    let mut sums = [0.0; LANES];
    for (one, other) in ones.zip(others) {
        for lane in 0..LANES {
            sums[lane] += one[lane] * other[lane];
        }
    }
    sums.iter().sum::<f64>() + rest
}

pub(super) fn sum(levels: &[f64]) -> f64 {
    let chunks = levels.chunks_exact(LANES);
    let rest: f64 = chunks.remainder().iter().sum();
    let mut sums = [0.0; LANES];
    for chunk in chunks {
        for lane in 0..LANES {
            sums[lane] += chunk[lane];
        }
    }
    sums.iter().sum::<f64>() + rest
}

pub(super) fn energy(levels: &[f64]) -> f64 {
    dot(levels, levels)
}

pub(super) fn mean(levels: &[f64]) -> f64 {
    sum(levels) / levels.len().max(1) as f64
}

/// Energies of two stretches and their product, without what is constant in either.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moments {
    pub(super) xx: f64,
    pub(super) yy: f64,
    pub(super) xy: f64,
}

impl Moments {
    pub(super) fn of(x: &[f64], y: &[f64]) -> Self {
        let count = x.len().min(y.len()) as f64;
        if count == 0.0 {
            return Self::default();
        }
        let (mean_x, mean_y) = (sum(x) / count, sum(y) / count);
        // What rounding leaves of a constant is nothing.
        let rid = |all: f64, constant: f64| if all - constant > all * 1e-13 { all - constant } else { 0.0 };
        Self {
            xx: rid(energy(x), count * mean_x * mean_x),
            yy: rid(energy(y), count * mean_y * mean_y),
            xy: dot(x, y) - count * mean_x * mean_y,
        }
    }

    /// How alike they are, from -1 to 1.
    pub(super) fn alike(self) -> f64 {
        let energies = (self.xx * self.yy).sqrt();
        if energies > 0.0 { (self.xy / energies).clamp(-1.0, 1.0) } else { 0.0 }
    }
}

/// The part of the heard energy that is left when the expected sound is taken away as well as its level
/// allows, of the channels that count; `None` if these are silent.
pub(super) fn left_of(expected: &Planar, heard: &Planar, counts: impl Fn(&Moments) -> bool) -> Option<f64> {
    let channels = expected.iter().zip(heard).map(|(expected, heard)| Moments::of(expected, heard));
    let (mut left, mut all) = (0.0, 0.0);
    for moments in channels.filter(counts) {
        // What has the other sign is another place.
        left += moments.yy * (1.0 - moments.alike().max(0.0).powi(2));
        all += moments.yy;
    }
    (all > 0.0).then(|| left / all)
}

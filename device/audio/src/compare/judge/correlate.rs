//! Where a stretch of sound is found again in another, by correlation.

use std::cell::RefCell;
use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

use super::levels::Planar;
use super::sums::{dot, energy};

thread_local! {
    /// Keeps what the transforms of each length need.
    static PLANNER: RefCell<RealFftPlanner<f64>> = RefCell::new(RealFftPlanner::new());
}

/// The transform of so many levels.
pub(super) fn forward(size: usize) -> Arc<dyn RealToComplex<f64>> {
    PLANNER.with_borrow_mut(|planner| planner.plan_fft_forward(size))
}

fn inverse(size: usize) -> Arc<dyn ComplexToReal<f64>> {
    PLANNER.with_borrow_mut(|planner| planner.plan_fft_inverse(size))
}

/// A length of so many frames or more whose transform is quick.
fn quick(length: usize) -> usize {
    let power = length.next_power_of_two();
    [power / 8 * 5, power / 4 * 3].into_iter().find(|size| *size >= length && size % 16 == 0).unwrap_or(power)
}

/// Where something was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Found {
    /// First frame of the region that it is like.
    pub(super) lag: usize,
    /// How like it is, from -1 (the other sign) to 1.
    pub(super) score: f64,
    /// The next best score that is not right beside it.
    pub(super) second: f64,
}

impl Found {
    /// Whether it stands out.
    pub(super) fn is_clear(self, probe: usize) -> bool {
        let chance = 8.0 / (probe as f64).sqrt();
        self.score.abs() > chance.max(0.15) && self.score.abs() > 1.2 * self.second
    }
}

/// Correlates.
pub(super) struct Finder {
    /// A stretch of less than this part of the energy of the loudest counts as if it had that: where it is
    /// silent but for its end, few frames would decide.
    floor: f64,
}

impl Default for Finder {
    fn default() -> Self {
        Self { floor: 0.02 }
    }
}

/// What is so like with the other sign has it.
const SURELY_INVERTED: f64 = 0.97;
/// Frames around the best lag that are not the second best: what is smooth is like itself nearby.
const BESIDE: usize = 24;

impl Finder {
    /// For a whole sound, in which silence is as likely as anything.
    pub(super) fn for_any_place() -> Self {
        Self { floor: 0.1 }
    }

    /// For what may be as soft as it likes.
    pub(super) fn for_any_level() -> Self {
        Self { floor: 1e-9 }
    }

    /// Finds `probe` in `region`, all channels together, each with its own, by what differs from frame to
    /// frame. `None` if one of them is silent, or the region is shorter.
    pub(super) fn find(&mut self, probe: &[&[f64]], region: &[&[f64]]) -> Option<Found> {
        self.find_as(probe, region, true, None)
    }

    /// As [`Finder::find`]; of places that are as good, the one nearest to this lag.
    pub(super) fn find_near(&mut self, probe: &[&[f64]], region: &[&[f64]], near: usize) -> Option<Found> {
        self.find_as(probe, region, true, Some(near))
    }

    /// As [`Finder::find`], by the levels themselves: less precise, and right under noise.
    pub(super) fn find_plain(&mut self, probe: &[&[f64]], region: &[&[f64]]) -> Option<Found> {
        self.find_as(probe, region, false, None)
    }

    fn find_as(
        &mut self,
        probe: &[&[f64]],
        region: &[&[f64]],
        sharp: bool,
        near: Option<usize>,
    ) -> Option<Found> {
        let of = |levels: &[f64]| if sharp { sharpened(levels) } else { levels.to_vec() };
        // The differences are one fewer than the levels.
        let less = usize::from(sharp);
        let count = probe.first()?.len().saturating_sub(less);
        let length = region.first()?.len().saturating_sub(less);
        if count < 2 || length < count {
            return None;
        }
        let size = quick(length);
        let (forward, inverse) = (forward(size), inverse(size));
        let mut sum = forward.make_output_vec();
        let (mut of_probe, mut of_region) = (forward.make_output_vec(), forward.make_output_vec());
        let (mut padded, mut scratch) = (forward.make_input_vec(), forward.make_scratch_vec());
        let mut transform = |levels: &[f64], into: &mut [Complex<f64>]| {
            let (there, rest) = padded.split_at_mut(levels.len());
            there.copy_from_slice(levels);
            rest.fill(0.0);
            forward.process_with_scratch(&mut padded, into, &mut scratch).ok()
        };
        let mut energy = vec![0.0; length + 1];
        let mut probe_energy = 0.0;
        for (probe, region) in probe.iter().zip(region) {
            let (probe, region) = (of(probe), of(region));
            probe_energy += self::energy(&probe);
            let mut total = 0.0;
            for (into, level) in energy.iter_mut().skip(1).zip(&region) {
                total += level * level;
                *into += total;
            }
            transform(&probe, &mut of_probe)?;
            transform(&region, &mut of_region)?;
            for ((sum, probe), region) in sum.iter_mut().zip(&of_probe).zip(&of_region) {
                *sum += probe.conj() * region;
            }
        }
        if probe_energy <= 0.0 {
            return None;
        }
        // The transform of a real signal is real at both ends; rounding leaves a trace.
        for end in [0, size / 2] {
            if let Some(value) = sum.get_mut(end) {
                value.im = 0.0;
            }
        }
        let mut correlation = inverse.make_output_vec();
        inverse.process(&mut sum, &mut correlation).ok()?;
        let there = |lag: usize| energy[lag + count] - energy[lag];
        let loudest = (0..=length - count).map(there).fold(0.0, f64::max);
        let least = (loudest * self.floor).max(f64::MIN_POSITIVE);
        let score =
            |lag: usize| correlation[lag] / size as f64 / (there(lag).max(least) * probe_energy).sqrt();
        let scores: Vec<f64> = (0..=length - count).map(score).collect();
        let (mut lag, mut score) = best(scores.iter().copied().enumerate())?;
        if score < 0.0 && score > -SURELY_INVERTED {
            // A sweep, or a tone, is nearly as like itself with the other sign half a period away.
            let upright = best(scores.iter().map(|score| score.max(0.0)).enumerate());
            (lag, score) = upright.filter(|(_, other)| *other > -0.9 * score).unwrap_or((lag, score));
        }
        if let Some(near) = near {
            // Rounding decides between places that are the same, also between them and those of the other sign.
            let as_good = |(_, other): &(usize, f64)| other.abs() >= score.abs() - 1e-10;
            let all = scores.iter().copied().enumerate().filter(as_good);
            let nearest = all.min_by_key(|(lag, score)| (*score < 0.0, lag.abs_diff(near)));
            (lag, score) = nearest.unwrap_or((lag, score));
        }
        let others = scores.iter().copied().enumerate().filter(|(other, _)| other.abs_diff(lag) > BESIDE);
        let second = best(others).map_or(0.0, |(_, score)| score.abs());
        Some(Found { lag, score, second })
    }
}

fn best(scores: impl Iterator<Item = (usize, f64)>) -> Option<(usize, f64)> {
    scores.reduce(|best, other| if other.1.abs() > best.1.abs() { other } else { best })
}

/// How alike two stretches are that lie upon each other, all channels together, by what differs from frame to
/// frame: as [`Finder::find`] would say of that place.
pub(super) fn alike_there(one: &Planar, other: &Planar) -> f64 {
    let (mut product, mut energies) = (0.0, (0.0, 0.0));
    for (one, other) in one.iter().zip(other) {
        let (one, other) = (sharpened(one), sharpened(other));
        product += dot(&one, &other);
        energies = (energies.0 + energy(&one), energies.1 + energy(&other));
    }
    let energies = (energies.0 * energies.1).sqrt();
    if energies > 0.0 { product / energies } else { 0.0 }
}

/// The difference of neighbours: what is low and smooth is like itself everywhere.
fn sharpened(levels: &[f64]) -> Vec<f64> {
    levels.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

/// As [`Finder::find`] takes it.
pub(super) fn slices(planar: &Planar) -> Vec<&[f64]> {
    planar.iter().map(Vec::as_slice).collect()
}

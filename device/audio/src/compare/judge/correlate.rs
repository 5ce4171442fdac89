//! Where a stretch of sound is found again in another, by correlation.

use realfft::RealFftPlanner;

use super::levels::Planar;

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

/// Correlates; keeps what the transforms need.
pub(super) struct Finder {
    planner: RealFftPlanner<f64>,
    /// A stretch of less than this part of the energy of the loudest counts as if it had that: where it is
    /// silent but for its end, few frames would decide.
    floor: f64,
}

impl Default for Finder {
    fn default() -> Self {
        Self { planner: RealFftPlanner::new(), floor: 0.02 }
    }
}

/// Frames around the best lag that are not the second best: what is smooth is like itself nearby.
const BESIDE: usize = 24;

impl Finder {
    /// For a whole sound, in which silence is as likely as anything.
    pub(super) fn for_any_place() -> Self {
        Self { floor: 0.1, ..Self::default() }
    }

    /// Finds `probe` in `region`, all channels together, each with its own, by what differs from frame to
    /// frame. `None` if one of them is silent, or the region is shorter.
    pub(super) fn find(&mut self, probe: &[&[f64]], region: &[&[f64]]) -> Option<Found> {
        self.find_as(probe, region, true)
    }

    /// As [`Finder::find`], by the levels themselves: less precise, and right under noise.
    pub(super) fn find_plain(&mut self, probe: &[&[f64]], region: &[&[f64]]) -> Option<Found> {
        self.find_as(probe, region, false)
    }

    fn find_as(&mut self, probe: &[&[f64]], region: &[&[f64]], sharp: bool) -> Option<Found> {
        let of = |levels: &[f64]| if sharp { sharpened(levels) } else { levels.to_vec() };
        let count = probe.first()?.len();
        let length = region.first()?.len();
        if count < 2 || length < count {
            return None;
        }
        let size = length.next_power_of_two();
        let forward = self.planner.plan_fft_forward(size);
        let inverse = self.planner.plan_fft_inverse(size);
        let mut sum = forward.make_output_vec();
        let (mut of_probe, mut of_region) = (forward.make_output_vec(), forward.make_output_vec());
        let mut energy = vec![0.0; length + 1];
        let mut probe_energy = 0.0;
        for (probe, region) in probe.iter().zip(region) {
            let (probe, region) = (of(probe), of(region));
            probe_energy += probe.iter().map(|level| level * level).sum::<f64>();
            let mut total = 0.0;
            for (into, level) in energy.iter_mut().skip(1).zip(&region) {
                total += level * level;
                *into += total;
            }
            let mut padded = forward.make_input_vec();
            padded.iter_mut().zip(&probe).for_each(|(into, level)| *into = *level);
            forward.process(&mut padded, &mut of_probe).ok()?;
            padded.fill(0.0);
            padded.iter_mut().zip(&region).for_each(|(into, level)| *into = *level);
            forward.process(&mut padded, &mut of_region).ok()?;
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
        let (lag, score) = best(scores.iter().copied().enumerate())?;
        let others = scores.iter().copied().enumerate().filter(|(other, _)| other.abs_diff(lag) > BESIDE);
        let second = best(others).map_or(0.0, |(_, score)| score.abs());
        Some(Found { lag, score, second })
    }
}

fn best(scores: impl Iterator<Item = (usize, f64)>) -> Option<(usize, f64)> {
    scores.reduce(|best, other| if other.1.abs() > best.1.abs() { other } else { best })
}

/// The difference of neighbours: what is low and smooth is like itself everywhere.
fn sharpened(levels: &[f64]) -> Vec<f64> {
    let mut sharp: Vec<f64> = levels.windows(2).map(|pair| pair[1] - pair[0]).collect();
    sharp.push(0.0);
    sharp
}

/// As [`Finder::find`] takes it.
pub(super) fn slices(planar: &Planar) -> Vec<&[f64]> {
    planar.iter().map(Vec::as_slice).collect()
}

/// How alike two stretches are that lie upon each other, from -1 to 1.
pub(super) fn alike(one: &[f64], other: &[f64]) -> f64 {
    let product: f64 = one.iter().zip(other).map(|(a, b)| a * b).sum();
    let energy = |levels: &[f64]| levels.iter().map(|level| level * level).sum::<f64>();
    let energies = (energy(one) * energy(other)).sqrt();
    if energies > 0.0 { product / energies } else { 0.0 }
}

//! Whether a filter explains what is wrong: spectra of both sounds and of what they share.

use realfft::num_complex::Complex;

use super::correlate::forward;

/// Frames of one transform.
pub(super) const SIZE: usize = 1024;

/// Sums over many stretches of one channel.
pub(super) struct Spectrum {
    expected: Vec<f64>,
    heard: Vec<f64>,
    shared: Vec<Complex<f64>>,
    stretches: u32,
}

impl Spectrum {
    pub(super) fn new() -> Self {
        let bins = SIZE / 2 + 1;
        Self {
            expected: vec![0.0; bins],
            heard: vec![0.0; bins],
            shared: vec![Complex::default(); bins],
            stretches: 0,
        }
    }

    /// A stretch of both that lies upon each other.
    pub(super) fn add(&mut self, expected: &[f64], heard: &[f64]) {
        let transform = forward(SIZE);
        let of = |levels: &[f64]| {
            let mut input = transform.make_input_vec();
            let window = |index: usize| (std::f64::consts::PI * index as f64 / SIZE as f64).sin().powi(2);
            input
                .iter_mut()
                .zip(levels)
                .enumerate()
                .for_each(|(index, (into, level))| *into = level * window(index));
            let mut output = transform.make_output_vec();
            transform.process(&mut input, &mut output).ok().map(|()| output)
        };
        for (expected, heard) in expected.chunks_exact(SIZE).zip(heard.chunks_exact(SIZE)) {
            let (Some(one), Some(other)) = (of(expected), of(heard)) else { continue };
            self.stretches += 1;
            for (index, (one, other)) in one.iter().zip(&other).enumerate() {
                self.expected[index] += one.norm_sqr();
                self.heard[index] += other.norm_sqr();
                self.shared[index] += one.conj() * other;
            }
        }
    }

    /// The part of the heard energy that no filter makes out of the expected sound; 1 if there are too few
    /// stretches to say.
    pub(super) fn unexplained(&self) -> f64 {
        if self.stretches < 8 {
            return 1.0;
        }
        let bins = self.expected.iter().zip(&self.shared).filter(|(expected, _)| **expected > 0.0);
        let explained: f64 = bins.map(|(expected, shared)| shared.norm_sqr() / expected).sum();
        let heard: f64 = self.heard.iter().sum();
        // A mean of few stretches explains a little of anything.
        let chance = 1.0 / f64::from(self.stretches);
        if heard > 0.0 { ((1.0 - explained / heard) / (1.0 - chance)).max(0.0) } else { 1.0 }
    }
}

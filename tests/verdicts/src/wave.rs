//! Samples as levels: a channel is a list of numbers, full scale is 1.

use std::f64::consts::PI;
use std::sync::OnceLock;

use ringwave_audio::wav::Sound;
use ringwave_audio::{SampleFormat, StreamFormat};

/// The samples of one sound, a list for each channel; all lists have the same length.
pub type Channels = Vec<Vec<f64>>;

/// How many frames there are.
pub fn frames(channels: &[Vec<f64>]) -> usize {
    channels.first().map_or(0, Vec::len)
}

/// The step between two neighbouring values; a float counts as 24 bits (COMPARE.md, `--tolerance`).
pub fn lsb(format: SampleFormat) -> f64 {
    let bits = if format.is_float() { 24 } else { format.valid_bits() };
    1.0 / (1_u64 << (bits - 1)) as f64
}

/// The nearest value that a sample of this format can have.
pub fn quantized(format: SampleFormat, level: f64) -> f64 {
    if format.is_float() { f64::from(level as f32) } else { rounded(level, lsb(format), 1.0 / lsb(format)) }
}

/// Rounds to steps, both powers of two, within full scale.
fn rounded(level: f64, step: f64, steps: f64) -> f64 {
    // Adding this leaves no bits for fractions: all levels are below 2^31 steps.
    const WHOLE: f64 = (3_u64 << 51) as f64;
    ((level * steps + WHOLE - WHOLE) * step).clamp(-1.0, 1.0 - step)
}

/// All samples as values of this format.
pub fn quantize(format: SampleFormat, channels: &mut [Vec<f64>]) {
    let (step, steps) = (lsb(format), 1.0 / lsb(format));
    for channel in channels {
        if format.is_float() {
            channel.iter_mut().for_each(|level| *level = f64::from(*level as f32));
        } else {
            channel.iter_mut().for_each(|level| *level = rounded(*level, step, steps));
        }
    }
}

/// The sound in this format. Each level must be a value of it.
pub fn sound(channels: &[Vec<f64>], sample: SampleFormat, rate: u32) -> Sound {
    let scale = 1.0 / lsb(sample);
    let value = move |level: f64| (level * scale) as i32;
    let frames = match sample {
        SampleFormat::U8 => interleaved(channels, |level| [(value(level) + 128) as u8]),
        SampleFormat::S16 => interleaved(channels, |level| (value(level) as i16).to_le_bytes()),
        SampleFormat::S24 => interleaved(channels, |level| {
            let [a, b, c, _] = value(level).to_le_bytes();
            [a, b, c]
        }),
        SampleFormat::S24In32 => interleaved(channels, |level| (value(level) << 8).to_le_bytes()),
        SampleFormat::S32 => interleaved(channels, |level| value(level).to_le_bytes()),
        SampleFormat::F32 => interleaved(channels, |level| (level as f32).to_le_bytes()),
    };
    Sound { format: StreamFormat { sample, channels: channels.len() as u32, rate }, frames }
}

/// The samples of a frame one after the other, each as these bytes.
fn interleaved<const N: usize>(channels: &[Vec<f64>], bytes: impl Fn(f64) -> [u8; N]) -> Vec<u8> {
    let mut all = vec![0; frames(channels) * channels.len() * N];
    for (index, channel) in channels.iter().enumerate() {
        let places = all.chunks_exact_mut(N).skip(index).step_by(channels.len());
        for (place, level) in places.zip(channel) {
            place.copy_from_slice(&bytes(*level));
        }
    }
    all
}

/// The root of the mean square; 0 for no samples.
pub fn rms(samples: &[f64]) -> f64 {
    let sum: f64 = samples.iter().map(|level| level * level).sum();
    if samples.is_empty() { 0.0 } else { (sum / samples.len() as f64).sqrt() }
}

/// The highest level.
pub fn peak(samples: &[f64]) -> f64 {
    samples.iter().fold(0.0, |most, level| level.abs().max(most))
}

/// A ratio of levels in dB.
pub fn db(ratio: f64) -> f64 {
    20.0 * ratio.log10()
}

/// A level of so many dB.
pub fn level(db: f64) -> f64 {
    (db / 20.0 * std::f64::consts::LN_10).exp()
}

/// How alike two channels are, in sign and shape: -1 to 1.
pub fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let product: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() / a.len().max(1) as f64;
    let scale = rms(a) * rms(b);
    if scale > 0.0 { product / scale } else { 0.0 }
}

/// A list of zeros for each channel.
pub fn silence(channels: usize, frames: usize) -> Channels {
    vec![vec![0.0; frames]; channels]
}

/// One after the other.
pub fn joined(parts: &[&Channels]) -> Channels {
    let channels = parts.first().map_or(0, |part| part.len());
    let of = |channel: usize| parts.iter().flat_map(|part| part[channel].iter().copied()).collect();
    (0..channels).map(of).collect()
}

/// The frames of this range.
pub fn part(channels: &[Vec<f64>], range: std::ops::Range<usize>) -> Channels {
    channels.iter().map(|channel| channel[range.clone()].to_vec()).collect()
}

/// Whether every sample of a frame is no louder than this.
pub fn is_silent(channels: &[Vec<f64>], frame: usize, limit: f64) -> bool {
    channels.iter().all(|channel| channel[frame].abs() <= limit)
}

/// From the first frame that is not silent to the last: the range without silence at its ends.
pub fn sounding(channels: &[Vec<f64>], limit: f64) -> std::ops::Range<usize> {
    let count = frames(channels);
    let first = (0..count).find(|&frame| !is_silent(channels, frame, limit));
    let last = (0..count).rev().find(|&frame| !is_silent(channels, frame, limit));
    first.zip(last).map_or(0..0, |(first, last)| first..last + 1)
}

/// Half the length of the resampler's kernel.
const REACH: usize = 48;
/// Positions between two samples for which the kernel is tabled; those between are interpolated.
const PHASES: usize = 1024;

/// The kernel at every phase: a sinc under a Kaiser window (beta 12: 118 dB).
fn kernel() -> &'static [[f64; 2 * REACH]] {
    static KERNEL: OnceLock<Vec<[f64; 2 * REACH]>> = OnceLock::new();
    KERNEL.get_or_init(|| {
        let tap = |phase: usize, tap: usize| {
            let x = phase as f64 / PHASES as f64 - (tap as f64 - (REACH as f64 - 1.0));
            sinc(x) * kaiser(x / REACH as f64, 12.0)
        };
        (0..=PHASES).map(|phase| std::array::from_fn(|index| tap(phase, index))).collect()
    })
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) }
}

/// The Kaiser window at `x` of -1 to 1.
fn kaiser(x: f64, beta: f64) -> f64 {
    let bessel = |x: f64| {
        let (mut sum, mut term) = (1.0, 1.0);
        for n in 1..40 {
            term *= (x / 2.0 / f64::from(n)).powi(2);
            sum += term;
        }
        sum
    };
    if x.abs() > 1.0 { 0.0 } else { bessel(beta * (1.0 - x * x).sqrt()) / bessel(beta) }
}

/// The value of a band-limited sound at `start`, `start + step`, ...: it must hold nothing above 0.9 of half
/// the rate, of both rates.
pub fn resampled(samples: &[f64], start: f64, step: f64, count: usize) -> Vec<f64> {
    let kernel = kernel();
    let mut padded = vec![0.0; samples.len() + 4 * REACH];
    padded[2 * REACH..2 * REACH + samples.len()].copy_from_slice(samples);
    let at = |index: usize| {
        let position = start + index as f64 * step;
        let whole = position.floor();
        let phase = (position - whole) * PHASES as f64;
        let low = (phase as usize).min(PHASES - 1);
        let share = phase - low as f64;
        // Of a tap t: the sample at whole + t - (REACH - 1).
        let first = whole as i64 + REACH as i64 + 1;
        let Some(window) = usize::try_from(first).ok().and_then(|first| padded.get(first..first + 2 * REACH))
        else {
            return 0.0;
        };
        let (mut a, mut b) = ([0.0; 4], [0.0; 4]);
        for tap in (0..2 * REACH).step_by(4) {
            for lane in 0..4 {
                a[lane] += window[tap + lane] * kernel[low][tap + lane];
                b[lane] += window[tap + lane] * kernel[low + 1][tap + lane];
            }
        }
        a.iter().sum::<f64>() * (1.0 - share) + b.iter().sum::<f64>() * share
    };
    (0..count).map(at).collect()
}

/// Nothing above this part of half the rate is left (192 taps; the slope is 0.07 wide, 100 dB).
pub fn low_passed(samples: &[f64], cutoff: f64) -> Vec<f64> {
    const TAPS: usize = 192;
    let taps: Vec<f64> = (0..TAPS)
        .map(|tap| {
            let x = tap as f64 - (TAPS as f64 - 1.0) / 2.0;
            cutoff * sinc(cutoff * x) * kaiser(x / (TAPS as f64 / 2.0), 10.0)
        })
        .collect();
    let mut padded = vec![0.0; samples.len() + TAPS];
    padded[TAPS / 2..TAPS / 2 + samples.len()].copy_from_slice(samples);
    let at = |index: usize| {
        let mut sum = [0.0; 4];
        for (window, taps) in padded[index..index + TAPS].chunks_exact(4).zip(taps.chunks_exact(4)) {
            for lane in 0..4 {
                sum[lane] += window[lane] * taps[lane];
            }
        }
        sum.iter().sum()
    };
    (0..samples.len()).map(at).collect()
}

/// A filter of second order.
pub struct Biquad {
    b: [f64; 3],
    a: [f64; 2],
}

impl Biquad {
    /// Low-pass, high-pass or a bell of `gain` dB at `frequency` (a part of the rate), by the formulas of
    /// Robert Bristow-Johnson's cookbook.
    pub fn new(shape: Shape, frequency: f64, q: f64) -> Self {
        let (sin, cos) = (2.0 * PI * frequency).sin_cos();
        let alpha = sin / (2.0 * q);
        let (b, a) = match shape {
            Shape::LowPass => {
                ([(1.0 - cos) / 2.0, 1.0 - cos, (1.0 - cos) / 2.0], [1.0 + alpha, -2.0 * cos, 1.0 - alpha])
            }
            Shape::HighPass => {
                let half = f64::midpoint(1.0, cos);
                ([half, -1.0 - cos, half], [1.0 + alpha, -2.0 * cos, 1.0 - alpha])
            }
            Shape::Bell(gain) => {
                let a = level(gain / 2.0);
                (
                    [1.0 + alpha * a, -2.0 * cos, 1.0 - alpha * a],
                    [1.0 + alpha / a, -2.0 * cos, 1.0 - alpha / a],
                )
            }
            Shape::Resonance => ([alpha, 0.0, -alpha], [1.0 + alpha, -2.0 * cos, 1.0 - alpha]),
        };
        Self { b: b.map(|b| b / a[0]), a: [a[1] / a[0], a[2] / a[0]] }
    }

    /// Filters from silence on.
    pub fn run(&self, samples: &mut [f64]) {
        let (mut s1, mut s2) = (0.0, 0.0);
        for level in samples {
            let out = self.b[0] * *level + s1;
            s1 = self.b[1] * *level - self.a[0] * out + s2;
            s2 = self.b[2] * *level - self.a[1] * out;
            *level = out;
        }
    }
}

/// What a [`Biquad`] does.
#[derive(Clone, Copy)]
pub enum Shape {
    /// Keeps what is below.
    LowPass,
    /// Keeps what is above.
    HighPass,
    /// So many dB more or less around the frequency.
    Bell(f64),
    /// Keeps what is around the frequency.
    Resonance,
}

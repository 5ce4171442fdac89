//! The sounds that are damaged.

use std::f64::consts::TAU;

use fastrand::Rng;

use crate::wave::{self, Biquad, Channels, Shape};

/// What a sound is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Notes with harmonics that fade, over a little noise.
    Music,
    /// A voice: pulses and noise through resonances, syllables, pauses.
    Speech,
    /// White, or less of the high frequencies.
    Noise,
    /// A tone that rises.
    Sweep,
}

impl Kind {
    /// Those that never repeat themselves.
    pub const ALL: [Self; 4] = [Self::Music, Self::Speech, Self::Noise, Self::Sweep];

    /// Any of them.
    pub fn any(rng: &mut Rng) -> Self {
        Self::ALL[rng.usize(..Self::ALL.len())]
    }
}

/// A number of mean 0 and variance 1, bell-shaped, of at most 3.5: the sum of four.
pub fn gaussian(rng: &mut Rng) -> f64 {
    let bits = rng.u64(..);
    let sum = (bits & 0xFFFF) + (bits >> 16 & 0xFFFF) + (bits >> 32 & 0xFFFF) + (bits >> 48);
    (sum as f64 / 65535.0 - 2.0) * 3.0_f64.sqrt()
}

/// Evenly between two numbers.
pub fn between(rng: &mut Rng, low: f64, high: f64) -> f64 {
    low + (high - low) * rng.f64()
}

/// Evenly between two numbers, in the logarithm.
pub fn between_log(rng: &mut Rng, low: f64, high: f64) -> f64 {
    between(rng, low.ln(), high.ln()).exp()
}

/// A whole number between two, both included, evenly in the logarithm.
pub fn count(rng: &mut Rng, low: usize, high: usize) -> usize {
    (between_log(rng, low as f64, high as f64 + 0.99) as usize).clamp(low, high)
}

/// A sound whose channels have peaks of `peak`; further channels are up to 6 dB softer, and at least 0.011
/// (-39 dBFS) loud. Their correlation is below 0.85.
pub fn make(rng: &mut Rng, kind: Kind, rate: u32, channels: usize, frames: usize, peak: f64) -> Channels {
    let shares_something = channels > 1 && rng.bool();
    let common = if shares_something { one(rng, kind, rate, frames, 0) } else { Vec::new() };
    let mut all = Channels::new();
    for channel in 0..channels {
        let mut own = one(rng, kind, rate, frames, channel);
        if shares_something {
            // In power, at most 0.6 of each channel is common to all.
            let share = between(rng, 0.1, 0.6);
            let (own_rms, common_rms) = (wave::rms(&own).max(1e-9), wave::rms(&common).max(1e-9));
            for (own, common) in own.iter_mut().zip(&common) {
                *own = *own / own_rms * (1.0 - share).sqrt() + common / common_rms * share.sqrt();
            }
        }
        let wanted = if channel == 0 { peak } else { (peak * between(rng, 0.5, 1.0)).max(0.011) };
        scale_to(&mut own, wanted);
        all.push(own);
    }
    let alike = |a: usize, b: usize| wave::correlation(&all[a], &all[b]).abs() > 0.85;
    if (0..channels).any(|a| (0..a).any(|b| alike(a, b))) {
        return make(rng, kind, rate, channels, frames, peak);
    }
    all
}

/// A sound with hardly anything above 0.85 of half the rate, that fades in and out in 400 frames: it can be
/// resampled.
pub fn make_smooth(
    rng: &mut Rng,
    kind: Kind,
    rate: u32,
    channels: usize,
    frames: usize,
    peak: f64,
) -> Channels {
    let mut sound = make(rng, kind, rate, channels, frames, peak);
    for channel in &mut sound {
        for (index, level) in channel.iter_mut().enumerate() {
            let share = (index.min(frames - 1 - index) as f64 / 400.0).min(1.0);
            *level *= 0.5 - 0.5 * (share * TAU / 2.0).cos();
        }
        *channel = wave::low_passed(channel, 0.75);
        scale_to(channel, peak);
    }
    sound
}

/// Scales to this peak.
pub fn scale_to(samples: &mut [f64], peak: f64) {
    let scale = peak / wave::peak(samples).max(1e-12);
    samples.iter_mut().for_each(|level| *level *= scale);
}

fn one(rng: &mut Rng, kind: Kind, rate: u32, frames: usize, channel: usize) -> Vec<f64> {
    match kind {
        Kind::Music => music(rng, rate, frames),
        Kind::Speech => speech(rng, rate, frames),
        Kind::Noise => noise(rng, frames),
        Kind::Sweep => sweep(rng, frames, channel),
    }
}

fn noise(rng: &mut Rng, frames: usize) -> Vec<f64> {
    let keep = if rng.bool() { 0.0 } else { between(rng, 0.2, 0.9) };
    let mut last = 0.0;
    let next = || {
        last = last * keep + gaussian(rng) * (1.0 - keep);
        last
    };
    std::iter::repeat_with(next).take(frames).collect()
}

/// Rises over the whole length, from 0.003 or more of the rate to 0.4 or less of it.
fn sweep(rng: &mut Rng, frames: usize, channel: usize) -> Vec<f64> {
    let from = between(rng, 0.003, 0.03) * (1.0 + 0.3 * channel as f64);
    let to = between(rng, 0.2, 0.4);
    let logarithmic = rng.bool();
    let (times, plus) = if logarithmic {
        ((to / from).powf(1.0 / frames as f64), 0.0)
    } else {
        (1.0, (to - from) / frames as f64)
    };
    let (mut phase, mut frequency) = (rng.f64(), from);
    let next = || {
        phase += frequency;
        frequency = frequency * times + plus;
        (phase * TAU).sin()
    };
    std::iter::repeat_with(next).take(frames).collect()
}

fn music(rng: &mut Rng, rate: u32, frames: usize) -> Vec<f64> {
    let rate = f64::from(rate);
    let floor = level_of_noise(rng);
    let mut samples: Vec<f64> = std::iter::repeat_with(|| (rng.f64() - 0.5) * floor).take(frames).collect();
    // The first note begins before the sound, so that it does not begin with silence.
    let mut begin = 0;
    while begin < frames {
        for _ in 0..rng.usize(2..4) {
            note(rng, rate, &mut samples[begin..]);
        }
        begin += (between(rng, 0.05, 0.2) * rate.min(24_000.0)) as usize;
    }
    samples
}

fn level_of_noise(rng: &mut Rng) -> f64 {
    between_log(rng, 0.003, 0.03)
}

/// A note with harmonics, each a little off, that fades.
fn note(rng: &mut Rng, rate: f64, into: &mut [f64]) {
    let pitch = between_log(rng, 80.0, 1200.0).min(rate / 8.0) / rate;
    let fade = (-between(rng, 3.0, 12.0) / rate.min(24_000.0)).exp();
    let last = into.len().min((rate.min(24_000.0) * 0.2) as usize);
    // All harmonics at once: each turns, and fades.
    let (mut re, mut im, mut turn_re, mut turn_im) = ([0.0; 4], [0.0; 4], [0.0; 4], [0.0; 4]);
    for harmonic in 0..rng.usize(2..5) {
        let frequency = pitch * (harmonic + 1) as f64 * between(rng, 0.995, 1.005);
        if frequency > 0.4 {
            break;
        }
        let amplitude = between(rng, 0.3, 1.0) / (harmonic + 1) as f64;
        let (sin, cos) = (frequency * TAU).sin_cos();
        (turn_re[harmonic], turn_im[harmonic]) = (cos * fade, sin * fade);
        let (sin, cos) = (rng.f64() * TAU).sin_cos();
        (re[harmonic], im[harmonic]) = (cos * amplitude, sin * amplitude);
    }
    for level in into.iter_mut().take(last) {
        *level += im.iter().sum::<f64>();
        for lane in 0..4 {
            (re[lane], im[lane]) = (
                re[lane] * turn_re[lane] - im[lane] * turn_im[lane],
                re[lane] * turn_im[lane] + im[lane] * turn_re[lane],
            );
        }
    }
}

fn speech(rng: &mut Rng, rate: u32, frames: usize) -> Vec<f64> {
    let rate = f64::from(rate).min(24_000.0);
    let mut samples = Vec::with_capacity(frames);
    let pauses_are_silent = rng.bool();
    while samples.len() < frames {
        let length = (between(rng, 0.08, 0.25) * rate) as usize;
        let mut syllable = if rng.u8(..4) == 0 { hiss(rng, length) } else { voice(rng, rate, length) };
        let (rise, fall) = (length as f64 * 0.1, length as f64 * 0.3);
        let loud = between(rng, 0.4, 1.0) / wave::peak(&syllable).max(1e-9);
        for (index, level) in syllable.iter_mut().enumerate() {
            let envelope = (index as f64 / rise).min((length - index) as f64 / fall).min(1.0);
            *level = *level * envelope * loud + gaussian(rng) * 0.0005;
        }
        samples.append(&mut syllable);
        if rng.u8(..4) == 0 {
            let pause = (between(rng, 0.02, 0.1) * rate) as usize;
            let quiet = if pauses_are_silent { 0.0 } else { 0.0005 };
            samples.extend(std::iter::repeat_with(|| gaussian(rng) * quiet).take(pause));
        }
    }
    samples.truncate(frames);
    samples
}

fn hiss(rng: &mut Rng, length: usize) -> Vec<f64> {
    let mut samples: Vec<f64> = std::iter::repeat_with(|| gaussian(rng)).take(length).collect();
    Biquad::new(Shape::HighPass, 0.15, 0.7).run(&mut samples);
    samples
}

/// Pulses of a pitch that wavers, through three resonances.
fn voice(rng: &mut Rng, rate: f64, length: usize) -> Vec<f64> {
    let pitch = between(rng, 90.0, 250.0) / rate;
    let mut pulses = vec![0.0; length];
    let mut phase = rng.f64();
    for level in &mut pulses {
        phase += pitch * (1.0 + gaussian(rng) * 0.1);
        if phase >= 1.0 {
            phase -= 1.0;
            *level = between(rng, 0.8, 1.2);
        }
        *level += gaussian(rng) * 0.01;
    }
    let mut samples = vec![0.0; length];
    for (low, high) in [(300.0, 900.0), (900.0, 2200.0), (2200.0, 3300.0)] {
        let mut part = pulses.clone();
        Biquad::new(Shape::Resonance, between(rng, low, high) / rate, between(rng, 4.0, 9.0)).run(&mut part);
        samples.iter_mut().zip(part).for_each(|(level, part)| *level += part);
    }
    samples
}

/// A sound that repeats itself every `period` frames over its whole length: a tone, a square wave or any
/// shape.
pub fn periodic(rng: &mut Rng, channels: usize, frames: usize, period: usize, peak: f64) -> Channels {
    let shape = rng.u8(..3);
    let cycles = rng.usize(1..=(period / 8).max(1));
    let one = |_| {
        let phase = rng.f64();
        let random: Vec<f64> = (0..period).map(|_| gaussian(rng)).collect();
        let at = |frame: usize| {
            let turn = ((frame % period * cycles) % period) as f64 / period as f64 + phase;
            match shape {
                0 => (turn * TAU).sin(),
                1 => {
                    if turn.fract() < 0.5 {
                        1.0
                    } else {
                        -1.0
                    }
                }
                _ => random[frame % period],
            }
        };
        let mut samples: Vec<f64> = (0..frames).map(at).collect();
        scale_to(&mut samples, peak);
        samples
    };
    (0..channels).map(one).collect()
}

/// Single samples far from each other in silence, in every channel at its own places.
pub fn clicks(rng: &mut Rng, channels: usize, frames: usize, peak: f64) -> Channels {
    let one = |_| {
        let mut samples = vec![0.0; frames];
        let mut at = rng.usize(..200);
        while at < frames {
            samples[at] = between(rng, 0.2, 1.0) * peak * if rng.bool() { 1.0 } else { -1.0 };
            at += rng.usize(500..4000);
        }
        samples
    };
    (0..channels).map(one).collect()
}

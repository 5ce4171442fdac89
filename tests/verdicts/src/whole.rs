//! Damage to the whole sound.

use std::f64::consts::{PI, TAU};

use fastrand::Rng;
use ringwave_audio::SampleFormat;

use crate::answer::{self, Pattern};
use crate::sounds::{between, between_log, gaussian};
use crate::wave::{self, Biquad, Channels, Shape};

/// A kind of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Level,
    LevelVaries,
    Offset,
    Drift,
    /// Shifted by a part of a frame: a drift of 0.
    Shift,
    Limiter,
    Dither,
    Noise,
    Filtered,
    Coded,
}

/// What it is done to, and how much of it.
pub struct Setting<'a> {
    pub rng: &'a mut Rng,
    pub rate: u32,
    /// The format of the heard file.
    pub heard: SampleFormat,
    /// An LSB of the coarser of the two formats.
    pub unit: f64,
    /// Whether it is done to every channel.
    pub everywhere: bool,
    /// Whether another kind comes with it: then the limits of the second column hold.
    pub together: bool,
    /// Whether a kind at a place comes with it: then what is left is 45 dB below the sound.
    pub with_place: bool,
}

/// The damaged sound, in values of the heard format.
pub struct Damaged {
    pub channels: Channels,
    pub required: Vec<Pattern>,
    pub allowed: Vec<Pattern>,
    /// Frames of the heard sound for one of the expected.
    pub scale: f64,
    /// By how much the first frame comes later, at most one.
    pub later: f64,
    /// A level that is added to each channel, before and after the sound too.
    pub offsets: Vec<f64>,
    /// Of a limiter, in dBFS.
    pub threshold: Option<f64>,
    /// For people.
    pub text: String,
}

/// Does it. None if this sound cannot be damaged like this within the limits.
pub fn apply(kind: Kind, sound: &Channels, mut setting: Setting<'_>) -> Option<Damaged> {
    let mut damaged = Damaged {
        channels: sound.clone(),
        required: Vec::new(),
        allowed: Vec::new(),
        scale: 1.0,
        later: 0.0,
        offsets: vec![0.0; sound.len()],
        threshold: None,
        text: String::new(),
    };
    if matches!(kind, Kind::Drift | Kind::Shift) {
        drift(kind, sound, &mut setting, &mut damaged)?;
    } else {
        // Each channel for itself, but at least one.
        let first = setting.rng.usize(..sound.len());
        for channel in 0..sound.len() {
            let silent = wave::peak(&sound[channel]) == 0.0;
            if !silent && (channel == first || setting.everywhere || setting.rng.u8(..4) != 0) {
                one(kind, channel, &mut setting, &mut damaged)?;
            }
        }
    }
    (!damaged.required.is_empty()).then_some(damaged)
}

fn one(kind: Kind, channel: usize, setting: &mut Setting<'_>, damaged: &mut Damaged) -> Option<()> {
    match kind {
        Kind::Level => level(channel, setting, damaged),
        Kind::LevelVaries => level_varies(channel, setting, damaged),
        Kind::Offset => offset(channel, setting, damaged),
        Kind::Limiter => limiter(channel, setting, damaged),
        Kind::Dither => dither(channel, setting, damaged),
        Kind::Noise => noise(channel, setting, damaged),
        Kind::Filtered => filtered(channel, setting, damaged),
        Kind::Coded => coded(channel, setting, damaged),
        Kind::Drift | Kind::Shift => None,
    }
}

fn round(setting: &Setting<'_>, samples: &mut [f64]) {
    for level in samples {
        *level = wave::quantized(setting.heard, *level);
    }
}

/// Whether rounding to the heard format is this far below a channel.
fn is_far_above_rounding(setting: &Setting<'_>, samples: &[f64]) -> bool {
    let rounding = wave::lsb(setting.heard) * 0.29;
    !setting.with_place || wave::rms(samples) > rounding * wave::level(45.0)
}

fn level(channel: usize, setting: &mut Setting<'_>, damaged: &mut Damaged) -> Option<()> {
    let samples = &mut damaged.channels[channel];
    let peak = wave::peak(samples);
    // Not so loud that it is cut, not so soft that the heard sound is below the limit, too.
    let (most, least) = (wave::db(0.999 / peak).min(40.0), wave::db(0.0101 / peak).max(-40.0));
    let smallest = if setting.together { 0.1 } else { 0.05 };
    let (up, down) = (most > smallest, least < -smallest);
    let db = match (up, down) {
        (true, true) if setting.rng.bool() => between_log(setting.rng, smallest, most),
        (_, true) => -between_log(setting.rng, smallest, -least),
        (true, false) => between_log(setting.rng, smallest, most),
        (false, false) => return None,
    };
    samples.iter_mut().for_each(|level| *level *= wave::level(db));
    round(setting, samples);
    if !is_far_above_rounding(setting, samples) {
        return None;
    }
    damaged.required.push(answer::level(channel, db, if setting.together { 0.1 } else { 0.02 }));
    // The louder or softer sound is rounded again.
    damaged.allowed.push(answer::dither(channel, None));
    damaged.text += &format!("level of {channel} by {db:.4} dB; ");
    Some(())
}

/// A gain that wanders, slowly.
fn level_varies(channel: usize, setting: &mut Setting<'_>, damaged: &mut Damaged) -> Option<()> {
    let samples = &mut damaged.channels[channel];
    let span = between(setting.rng, 4.0, 10.0);
    // A cycle is longer than 16,000 frames.
    let cycles = between(setting.rng, 0.5, 1.0);
    let phase = setting.rng.f64();
    let count = samples.len() as f64;
    let gain = |index: usize| span / 2.0 * ((index as f64 / count * cycles + phase) * TAU).sin();
    if wave::peak(samples) * wave::level(span / 2.0) > 0.99 {
        return None;
    }
    let (mut min, mut max) = (0.0_f64, 0.0_f64);
    for (index, level) in samples.iter_mut().enumerate() {
        let db = gain(index);
        (min, max) = (min.min(db), max.max(db));
        *level *= wave::level(db);
    }
    round(setting, samples);
    damaged.required.push(answer::level_varies(channel, min, max, 2.0));
    damaged.text += &format!("level of {channel} wanders from {min:.2} to {max:.2} dB; ");
    Some(())
}

fn offset(channel: usize, setting: &mut Setting<'_>, damaged: &mut Damaged) -> Option<()> {
    let samples = &mut damaged.channels[channel];
    let room = (0.999 - wave::peak(samples)).min(0.2);
    let step = setting.unit.max(wave::lsb(setting.heard));
    let least = if setting.together { 4.0 } else { 2.0 };
    if room < step * (least + 1.0) {
        return None;
    }
    let sign = if setting.rng.bool() { 1.0 } else { -1.0 };
    let added = (between_log(setting.rng, least, room / step)).floor() * step * sign;
    samples.iter_mut().for_each(|level| *level += added);
    round(setting, samples);
    damaged.offsets[channel] = added;
    let give = if setting.together { 1.5 * setting.unit } else { 0.5 * setting.unit };
    damaged.required.push(answer::offset(channel, added, give));
    if setting.heard.is_float() {
        damaged.allowed.push(answer::dither(channel, None));
    }
    damaged.text += &format!("{:.1} LSB added to {channel}; ", added / setting.unit);
    Some(())
}

/// The sound must hold nothing above 0.9 of half the rate.
fn drift(kind: Kind, sound: &Channels, setting: &mut Setting<'_>, damaged: &mut Damaged) -> Option<()> {
    let count = wave::frames(sound);
    let per_frame = 1e6 / count as f64;
    let least = if setting.together { 0.53 } else { 0.26 } * per_frame;
    let sign = if setting.rng.bool() { 1.0 } else { -1.0 };
    let (ppm, later) = match kind {
        Kind::Drift => (between_log(setting.rng, least, 500.0) * sign, 0.0),
        _ => (0.0, between(setting.rng, 0.25, 0.75)),
    };
    let scale = 1.0 + ppm * 1e-6;
    let heard = (count as f64 * scale + later).ceil() as usize;
    for channel in &mut damaged.channels {
        *channel = wave::resampled(channel, -later / scale, 1.0 / scale, heard);
        // Between its frames a loud sound may be louder than the format holds: cut, it is wrong there, too.
        if wave::peak(channel) > 0.999 {
            return None;
        }
        round(setting, channel);
    }
    damaged.scale = scale;
    damaged.later = later;
    let give = if setting.together { 0.2 } else { 0.05 } * per_frame;
    damaged.required.push(answer::drift(ppm, give));
    damaged.text += &format!("drift of {ppm:.3} ppm, {later:.2} frames later; ");
    Some(())
}

fn limiter(channel: usize, setting: &mut Setting<'_>, damaged: &mut Damaged) -> Option<()> {
    let samples = &mut damaged.channels[channel];
    let mut sorted: Vec<f64> = samples.iter().map(|level| level.abs()).collect();
    let share = between_log(setting.rng, 0.0015, 0.1);
    let index = ((1.0 - share) * sorted.len() as f64) as usize;
    sorted.sort_unstable_by(f64::total_cmp);
    let threshold = sorted[index].min(wave::peak(samples) * wave::level(-1.1));
    if threshold < 16.0 * setting.unit || sorted[index] == 0.0 {
        return None;
    }
    // Cut, or only pressed.
    let slope = if setting.rng.bool() { 0.0 } else { between(setting.rng, 0.05, 0.3) };
    for level in samples.iter_mut().filter(|level| level.abs() > threshold) {
        let over = (level.abs() - threshold) * slope;
        *level = (threshold + over) * level.signum();
    }
    round(setting, samples);
    damaged.threshold = Some(wave::db(threshold));
    damaged.required.push(answer::limiter(channel, vec![wave::db(threshold)]));
    damaged.text += &format!("limited {channel} to {:.2} dBFS, slope {slope:.2}; ", wave::db(threshold));
    Some(())
}

fn dither(channel: usize, setting: &mut Setting<'_>, damaged: &mut Damaged) -> Option<()> {
    let before = damaged.channels[channel].clone();
    let samples = &mut damaged.channels[channel];
    let kind = setting.rng.u8(..3);
    let unit = setting.unit;
    for level in samples.iter_mut() {
        let random = setting.rng.f64();
        let added = match kind {
            // One in eight or more is off by one.
            0 => {
                if random < 0.1 {
                    -1.0
                } else if random > 0.9 {
                    1.0
                } else {
                    0.0
                }
            }
            // Triangular, as it is done before rounding.
            1 => random + setting.rng.f64() - 1.0,
            _ => random - 0.5,
        };
        // Rounded in steps of the coarser format.
        *level = ((*level / unit + added).round() * unit).clamp(-1.0, 1.0 - unit);
    }
    round(setting, samples);
    let differences: Vec<f64> = samples.iter().zip(&before).map(|(a, b)| (a - b) / unit).collect();
    let differing = differences.iter().filter(|difference| **difference != 0.0).count();
    if differing * 8 < before.len() || wave::peak(&differences) > 2.0 {
        return None;
    }
    let numbers = (wave::rms(&differences), wave::peak(&differences));
    damaged.required.push(answer::dither(channel, (!setting.together).then_some(numbers)));
    damaged.text += &format!("dither on {channel}, rms {:.3} LSB, worst {:.3}; ", numbers.0, numbers.1);
    Some(())
}

fn noise(channel: usize, setting: &mut Setting<'_>, damaged: &mut Damaged) -> Option<()> {
    let samples = &mut damaged.channels[channel];
    let count = samples.len();
    let loud = wave::rms(&samples[wave::sounding(std::slice::from_ref(samples), 0.0)]);
    let most = wave::db(loud / (1.5 * setting.unit)).min(79.5);
    let least = if setting.with_place { 50.0 } else { 10.5 };
    if most < least + 1.0 {
        return None;
    }
    let snr = between(setting.rng, least, most);
    let kind = setting.rng.u8(..4);
    let mut added: Vec<f64> = match kind {
        // Hum of the mains, with a harmonic.
        0 => {
            let frequency = if setting.rng.bool() { 50.0 } else { 60.0 } / f64::from(setting.rate);
            let phase = setting.rng.f64();
            (0..count)
                .map(|index| {
                    let turn = (index as f64 * frequency + phase) * TAU;
                    turn.sin() + 0.4 * (3.0 * turn).sin()
                })
                .collect()
        }
        // Another sound, that is always as loud: one that is not may happen to follow this one.
        1 => {
            let tones: [(f64, f64); 5] =
                std::array::from_fn(|_| (between_log(setting.rng, 0.002, 0.3), setting.rng.f64()));
            let at = |index: usize| {
                tones.iter().map(|(pitch, phase)| ((index as f64 * pitch + phase) * TAU).sin()).sum()
            };
            (0..count).map(at).collect()
        }
        _ => std::iter::repeat_with(|| gaussian(setting.rng)).take(count).collect(),
    };
    // Nothing of it is a constant, or the sound itself.
    let mean = |samples: &[f64]| samples.iter().sum::<f64>() / count as f64;
    let (added_mean, sound_mean) = (mean(&added), mean(samples));
    let pairs = added.iter().zip(&*samples).map(|(a, b)| (a - added_mean) * (b - sound_mean));
    let power = samples.iter().map(|level| (level - sound_mean).powi(2)).sum::<f64>();
    let share = pairs.sum::<f64>() / power;
    added
        .iter_mut()
        .zip(&*samples)
        .for_each(|(added, level)| *added -= added_mean + share * (level - sound_mean));
    let scale = loud * wave::level(-snr) / wave::rms(&added);
    let before = samples.clone();
    samples.iter_mut().zip(&added).for_each(|(level, added)| *level += added * scale);
    if wave::peak(samples) > 0.999 {
        return None;
    }
    round(setting, samples);
    let differences: Vec<f64> = samples.iter().zip(&before).map(|(a, b)| a - b).collect();
    if wave::peak(&differences) < 2.5 * setting.unit {
        return None;
    }
    let snr = wave::db(loud / wave::rms(&differences));
    // Where something is missing the rest may be louder, or softer.
    if setting.with_place {
        // Nor is the mean of a part of it nothing.
        damaged.allowed.push(answer::offset(channel, 0.0, wave::rms(&differences) / 10.0));
    }
    damaged.required.push(answer::noise(channel, snr, if setting.with_place { 3.0 } else { 1.0 }));
    damaged.text += &format!(
        "{} on {channel}, {snr:.2} dB below; ",
        ["hum", "a chord", "noise", "noise"][usize::from(kind)]
    );
    Some(())
}

/// How far below the sound the difference is, when the level is taken away: -10 log (1 - correlation²).
fn residue(before: &[f64], after: &[f64]) -> f64 {
    -10.0 * (1.0 - wave::correlation(before, after).powi(2)).max(1e-12).log10()
}

fn filtered(channel: usize, setting: &mut Setting<'_>, damaged: &mut Damaged) -> Option<()> {
    let before = damaged.channels[channel].clone();
    for _ in 0..6 {
        let samples = &mut damaged.channels[channel];
        samples.clone_from(&before);
        let rng = &mut *setting.rng;
        let (name, filter) = match rng.u8(..3) {
            0 => ("low-pass", Biquad::new(Shape::LowPass, between_log(rng, 0.03, 0.3), 0.7)),
            1 => ("high-pass", Biquad::new(Shape::HighPass, between_log(rng, 0.003, 0.1), 0.7)),
            _ => {
                let gain = between(rng, 5.0, 14.0) * if rng.bool() { 1.0 } else { -1.0 };
                ("bell", Biquad::new(Shape::Bell(gain), between_log(rng, 0.01, 0.2), between(rng, 0.5, 2.0)))
            }
        };
        filter.run(samples);
        let no_phase = rng.bool();
        if no_phase {
            samples.reverse();
            filter.run(samples);
            samples.reverse();
        }
        let left = residue(&before, samples);
        // A filter that turns the phase may be nothing but a delay to a sound of few frequencies.
        let most = if no_phase { 40.0 } else { 15.0 };
        if wave::peak(samples) > 0.999 || !(4.0..most).contains(&left) {
            continue;
        }
        round(setting, samples);
        damaged.required.push(answer::coded_or_filtered(channel));
        damaged.allowed.push(Pattern::of_kinds(&["level"]));
        damaged.allowed.push(Pattern::of_kinds(&["offset"]));
        if !no_phase && damaged.text.is_empty() {
            damaged.allowed.push(answer::drift(0.0, 0.5e6 / before.len() as f64));
        }
        damaged.text += &format!("{name} on {channel}, {left:.1} dB below; ");
        return Some(());
    }
    None
}

/// How much louder the loudest twentieth of a sound is than the softest, in dB, by blocks of 512 frames.
fn dynamics(samples: &[f64]) -> f64 {
    let mut blocks: Vec<f64> = samples.chunks_exact(512).map(wave::rms).collect();
    blocks.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| blocks.get((blocks.len() as f64 * share) as usize).copied().unwrap_or(0.0);
    wave::db(at(0.95) / at(0.05).max(1e-9))
}

fn coded(channel: usize, setting: &mut Setting<'_>, damaged: &mut Damaged) -> Option<()> {
    let samples = &mut damaged.channels[channel];
    let before = samples.clone();
    // In a sound that is always as loud, what follows it cannot be told from noise.
    if dynamics(&before) < 12.0 {
        return None;
    }
    let name = if setting.rng.u8(..4) == 0 {
        mu_law(samples);
        "8 bits by mu-law"
    } else {
        transform_codec(setting.rng, samples);
        "a transform codec"
    };
    round(setting, samples);
    let left = residue(&before, samples);
    if !(4.0..44.0).contains(&left) || wave::peak(samples) > 0.999 {
        return None;
    }
    damaged.required.push(answer::coded_or_filtered(channel));
    damaged.allowed.push(Pattern::of_kinds(&["level"]));
    damaged.allowed.push(Pattern::of_kinds(&["offset"]));
    damaged.text += &format!("{name} on {channel}, {left:.1} dB below; ");
    Some(())
}

/// To 8 bits on a logarithmic scale and back, relative to the peak.
fn mu_law(samples: &mut [f64]) {
    let peak = wave::peak(samples);
    for level in samples {
        let code = ((1.0 + 255.0 * level.abs() / peak).ln() / 256.0_f64.ln() * 127.0).round();
        *level = ((code / 127.0 * 256.0_f64.ln()).exp() - 1.0) / 255.0 * peak * level.signum();
    }
}

/// Blocks of 64, their spectrum (MDCT) in steps that follow each band's own level, the highest bands left
/// out.
fn transform_codec(rng: &mut Rng, samples: &mut [f64]) {
    const BLOCK: usize = 64;
    const BAND: usize = 8;
    let step = between_log(rng, 0.1, 1.5);
    let kept = rng.usize(5..=8) * BAND;
    let window: Vec<f64> =
        (0..2 * BLOCK).map(|n| ((n as f64 + 0.5) * PI / (2 * BLOCK) as f64).sin()).collect();
    let cosine: Vec<f64> = (0..8 * BLOCK).map(|n| (n as f64 * PI / (4 * BLOCK) as f64).cos()).collect();
    // cos(pi / N (n + 0.5 + N / 2)(k + 0.5)), by its argument in quarters.
    let turn = |n: usize, k: usize| cosine[(2 * n + 1 + BLOCK) * (2 * k + 1) % (8 * BLOCK)];
    let mut table = vec![0.0; 2 * BLOCK * BLOCK];
    for k in 0..BLOCK {
        for n in 0..2 * BLOCK {
            table[k * 2 * BLOCK + n] = turn(n, k) * window[n];
        }
    }
    let mut padded = vec![0.0; samples.len() + 3 * BLOCK];
    padded[BLOCK..BLOCK + samples.len()].copy_from_slice(samples);
    let mut out = vec![0.0; padded.len()];
    for begin in (0..=padded.len() - 2 * BLOCK).step_by(BLOCK) {
        let block = &padded[begin..begin + 2 * BLOCK];
        let dot = |row: &[f64]| {
            let mut sum = [0.0; 4];
            for (row, block) in row.chunks_exact(4).zip(block.chunks_exact(4)) {
                for lane in 0..4 {
                    sum[lane] += row[lane] * block[lane];
                }
            }
            sum.iter().sum::<f64>()
        };
        let mut spectrum: Vec<f64> = table.chunks_exact(2 * BLOCK).take(kept).map(dot).collect();
        for band in spectrum.chunks_mut(BAND) {
            let step = step * wave::rms(band).max(1e-9);
            band.iter_mut().for_each(|line| *line = (*line / step).round() * step);
        }
        let out = &mut out[begin..begin + 2 * BLOCK];
        for (row, line) in table.chunks_exact(2 * BLOCK).zip(&spectrum) {
            let line = line * 2.0 / BLOCK as f64;
            out.iter_mut().zip(row).for_each(|(out, row)| *out += row * line);
        }
    }
    samples.copy_from_slice(&out[BLOCK..BLOCK + samples.len()]);
}

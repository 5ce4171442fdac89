//! What is drawn of a sound: its lowest and highest level in each column, and its spectrum. It is read once
//! from the beginning to the end, in blocks; memory does not grow with its length.

use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};
use ringwave_audio::wav::Samples;

use super::axis::{Axis, COLUMNS};
use super::numbers::f64_of;

/// Bytes that are read at once.
const BLOCK_BYTES: u64 = 256 << 10;
/// Rows of a spectrogram.
pub const ROWS: usize = 160;
/// The lowest frequency of a spectrogram, in Hz.
pub const LOWEST_HZ: f64 = 40.0;
/// The level that is the darkest in a spectrogram; full scale is the brightest.
pub const FLOOR_DB: f64 = -110.0;
/// Channels that a spectrum looks at.
const CHANNELS_MAX: usize = 8;
/// Of a sound with more channels there is no spectrogram: whole frames are read, and those would be too long.
const FRAME_CHANNELS_MAX: usize = 64;
/// Looks at a column that is longer than one.
const LOOKS: u32 = 2;

/// Of one sound.
#[derive(Clone, Debug)]
pub struct Survey {
    /// The lowest and the highest level of all channels in each column; `None`: there is no frame.
    pub levels: Vec<Option<(f32, f32)>>,
    /// Of each row, from the highest frequency down, its columns: 0 is `FLOOR_DB` and less, 255 full scale.
    pub spectrogram: Vec<u8>,
    /// The highest level.
    pub peak: f64,
    /// Samples that are infinite or no numbers; they are drawn as silence.
    pub not_finite: u64,
}

/// Looks at a sound whose frame 0 is at `shift` seconds of the axis; a spectrogram goes up to `highest` Hz.
pub fn survey(samples: &Samples<'_>, axis: Axis, shift: f64, highest: f64) -> Survey {
    let mut survey = Survey {
        levels: vec![None; COLUMNS],
        spectrogram: vec![0; COLUMNS * ROWS],
        peak: 0.0,
        not_finite: 0,
    };
    let rate = samples.format().rate;
    let mut spectrum = Spectrum::new(samples, highest);
    for column in 0..COLUMNS {
        let range = axis.frames(column, rate, shift);
        let range = range.start.min(samples.len())..range.end.min(samples.len());
        survey.add_levels(samples, column, range.clone());
        // A column of less than a frame shows the sound around it.
        let middle = axis.seconds(column) + axis.step() / 2.0 - shift;
        let length = f64_of(samples.len()) / f64::from(rate.max(1));
        if (0.0..length).contains(&middle) {
            let bins = spectrum.of(samples, middle, axis.step());
            for (row, level) in bins.into_iter().enumerate() {
                if let Some(cell) = survey.spectrogram.get_mut(row * COLUMNS + column) {
                    *cell = level;
                }
            }
        }
    }
    survey
}

impl Survey {
    fn add_levels(&mut self, samples: &Samples<'_>, column: usize, range: std::ops::Range<u64>) {
        let (format, mut at) = (samples.format(), range.start);
        let size = u64::from(format.frame_bytes().max(1));
        let (mut low, mut high, mut bad) = (f64::INFINITY, f64::NEG_INFINITY, 0);
        while at < range.end {
            let count = (BLOCK_BYTES / size).max(1).min(range.end - at);
            let bytes = read(samples, at, count);
            format.sample.decode(&bytes, |level| {
                let finite = level.is_finite();
                bad += u64::from(!finite);
                let level = if finite { level } else { 0.0 };
                low = low.min(level);
                high = high.max(level);
            });
            at += count;
        }
        self.not_finite += bad;
        if low <= high {
            self.peak = self.peak.max(high).max(-low);
            #[allow(clippy::cast_possible_truncation, reason = "a picture of 100 pixels")]
            let levels = (low as f32, high as f32);
            if let Some(column) = self.levels.get_mut(column) {
                *column = Some(levels);
            }
        }
    }
}

/// Whole frames of a sound; what is not there is silence.
pub fn read(samples: &Samples<'_>, at: u64, count: u64) -> Vec<u8> {
    let size = u64::from(samples.format().frame_bytes().max(1));
    let mut bytes = vec![0; usize::try_from(count.saturating_mul(size)).unwrap_or(0)];
    let there = samples.len().saturating_sub(at).min(count).saturating_mul(size);
    let silence = samples.format().sample.silence();
    if let Some(there) = usize::try_from(there).ok().and_then(|there| bytes.get_mut(..there)) {
        samples.read(at.saturating_mul(size), there);
    }
    if let Some(rest) = usize::try_from(there).ok().and_then(|there| bytes.get_mut(there..)) {
        rest.fill(silence);
    }
    bytes
}

/// Spectra of short stretches.
struct Spectrum {
    transform: Arc<dyn RealToComplex<f64>>,
    window: Vec<f64>,
    input: Vec<f64>,
    output: Vec<Complex<f64>>,
    /// The bins of each row, from the highest frequency down.
    rows: Vec<std::ops::Range<usize>>,
}

impl Spectrum {
    /// About 40 ms, at any rate.
    fn new(samples: &Samples<'_>, highest: f64) -> Self {
        let rate = samples.format().rate.max(1);
        let size = usize::try_from(rate / 24).unwrap_or(1).next_power_of_two().clamp(256, 1 << 14);
        let transform = RealFftPlanner::new().plan_fft_forward(size);
        let hann =
            |index: usize| (std::f64::consts::PI * f64_of(index as u64) / f64_of(size as u64)).sin().powi(2);
        Self {
            window: (0..size).map(hann).collect(),
            input: transform.make_input_vec(),
            output: transform.make_output_vec(),
            rows: rows(size, rate, highest),
            transform,
        }
    }

    /// The rows of a stretch of so many seconds around this one.
    fn of(&mut self, samples: &Samples<'_>, middle: f64, seconds: f64) -> Vec<u8> {
        let rate = f64::from(samples.format().rate);
        let size = f64_of(self.window.len() as u64);
        let looks = if seconds * rate > size { LOOKS } else { 1 };
        let mut power = vec![0.0_f64; self.output.len()];
        for look in 0..looks {
            let part = (f64::from(look) + 0.5) / f64::from(looks) - 0.5;
            let begin = ((middle + part * seconds) * rate - size / 2.0).max(0.0);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative")]
            let begin = begin as u64;
            self.add(samples, begin, &mut power);
        }
        let scale = 16.0 / (size * size);
        let level = |bins: &std::ops::Range<usize>| {
            let most = power.get(bins.clone()).unwrap_or_default().iter().copied().fold(0.0, f64::max);
            let db = 10.0 * (most * scale).max(1e-20).log10();
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 255")]
            let level = ((db - FLOOR_DB) / -FLOOR_DB * 255.0).round().clamp(0.0, 255.0) as u8;
            level
        };
        self.rows.iter().map(level).collect()
    }

    /// Adds the loudest of all channels in each bin.
    fn add(&mut self, samples: &Samples<'_>, begin: u64, power: &mut [f64]) {
        let channels = samples.format().channels.max(1) as usize;
        if channels > FRAME_CHANNELS_MAX {
            return;
        }
        let bytes = read(samples, begin, self.window.len() as u64);
        let mut levels = Vec::with_capacity(self.window.len().saturating_mul(channels));
        let finite = |level: f64| if level.is_finite() { level } else { 0.0 };
        samples.format().sample.decode(&bytes, |level| levels.push(finite(level)));
        for channel in 0..channels.min(CHANNELS_MAX) {
            let of_channel = levels.iter().skip(channel).step_by(channels);
            for ((into, level), window) in self.input.iter_mut().zip(of_channel).zip(&self.window) {
                *into = level * window;
            }
            // Both have the length that it was planned for.
            if self.transform.process(&mut self.input, &mut self.output).is_ok() {
                for (power, bin) in power.iter_mut().zip(&self.output) {
                    *power = power.max(bin.norm_sqr());
                }
            }
        }
    }
}

/// The bins of each row, one at least; none above half the rate.
fn rows(size: usize, rate: u32, highest: f64) -> Vec<std::ops::Range<usize>> {
    let per_bin = f64::from(rate) / f64_of(size as u64);
    let ratio = highest.max(LOWEST_HZ * 2.0) / LOWEST_HZ;
    let edge = |row: usize| LOWEST_HZ * ratio.powf(f64_of((ROWS - row) as u64) / f64_of(ROWS as u64));
    let row = |row: usize| {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bins of a transform")]
        let [from, to] = [edge(row + 1), edge(row)].map(|hz| (hz / per_bin).round() as usize);
        if edge(row + 1) > f64::from(rate) / 2.0 { 0..0 } else { from..to.max(from + 1).min(size / 2 + 1) }
    };
    (0..ROWS).map(row).collect()
}

//! Samples as levels, channel by channel, at any place.

use std::cell::RefCell;

use crate::wav::Samples;
use crate::{SampleFormat, StreamFormat};

/// Levels of each channel, all as long.
pub(super) type Planar = Vec<Vec<f64>>;

/// One LSB as a level. A float counts as 24 bits.
pub(super) fn lsb(sample: SampleFormat) -> f64 {
    let bits = if sample.is_float() { 24 } else { sample.valid_bits() };
    0.5_f64.powi(i32::from(bits) - 1)
}

/// A sound whose frames are read as levels; full scale is 1.
pub(super) struct Levels<'a> {
    samples: &'a Samples<'a>,
    bytes: RefCell<Vec<u8>>,
    /// Of all channels, as they come.
    interleaved: RefCell<Vec<f64>>,
}

impl<'a> Levels<'a> {
    pub(super) fn new(samples: &'a Samples<'a>) -> Self {
        Self { samples, bytes: RefCell::default(), interleaved: RefCell::default() }
    }

    pub(super) fn samples(&self) -> &Samples<'a> {
        self.samples
    }

    pub(super) fn format(&self) -> StreamFormat {
        self.samples.format()
    }

    pub(super) fn frames(&self) -> u64 {
        self.samples.len()
    }

    pub(super) fn channels(&self) -> usize {
        self.format().channels as usize
    }

    /// `count` frames from `start` on, as they are stored: a level may be infinite or not a number. Zero
    /// where there are none.
    pub(super) fn read_raw(&self, start: i64, count: usize) -> Planar {
        let (channels, sample) = (self.channels(), self.format().sample);
        let frame_bytes = self.format().frame_bytes() as usize;
        let first = start.clamp(0, self.frames() as i64);
        let end = start.saturating_add(count as i64).clamp(first, self.frames() as i64);
        let (there, skip) = ((end - first) as usize, usize::try_from(first - start).unwrap_or(0).min(count));
        let (mut bytes, mut interleaved) = (self.bytes.borrow_mut(), self.interleaved.borrow_mut());
        bytes.resize(there * frame_bytes, 0);
        interleaved.resize(there * channels, 0.0);
        self.samples.read(first as u64 * frame_bytes as u64, &mut bytes);
        sample.decode_into(&bytes, &mut interleaved);
        let of_channel = |channel: usize| {
            let levels = interleaved.chunks_exact(channels).map(move |frame| frame[channel]);
            if there == count {
                return levels.collect();
            }
            let mut padded = vec![0.0; count];
            padded.iter_mut().skip(skip).zip(levels).for_each(|(into, level)| *into = level);
            padded
        };
        (0..channels).map(of_channel).collect()
    }

    /// As [`Levels::read_raw`]; what is not finite is silence.
    pub(super) fn read(&self, start: i64, count: usize) -> Planar {
        let mut planar = self.read_raw(start, count);
        if self.format().sample.is_float() {
            planar.iter_mut().flatten().filter(|level| !level.is_finite()).for_each(|level| *level = 0.0);
        }
        planar
    }
}

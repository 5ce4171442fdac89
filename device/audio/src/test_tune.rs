//! A test tune: what `play` plays when it is given no file.
//!
//! A melody over chords, plucked and left to ring, with a little noise under it. It is made so that faults
//! cannot hide: no two packets are alike, left and right differ, samples use the full 16-bit range, and no
//! stretch is silent. The same numbers always come out.

use std::io;
use std::path::Path;

use crate::StreamFormat;
use crate::wav::WavFile;

/// Samples that are made and written at a time.
const SAMPLES_AT_ONCE: usize = 1 << 14;

/// What to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TestTune {
    /// Length in seconds, 1 to 3600.
    pub seconds: u32,
    /// Its format.
    pub format: StreamFormat,
}

/// Notes of the melody, as semitones above A3, one each quarter of a second.
const MELODY: [i32; 32] = [
    12, 16, 19, 24, 23, 19, 16, 14, 12, 9, 12, 16, 14, 11, 7, 11, 9, 12, 17, 21, 19, 16, 12, 16, 14, 17, 23,
    26, 24, 19, 16, 12,
];
/// Roots of the chords, one each second.
const CHORDS: [[i32; 3]; 8] =
    [[0, 4, 7], [-3, 0, 4], [-4, -1, 3], [-5, -1, 2], [-3, 0, 4], [0, 4, 7], [-5, -1, 2], [0, 4, 7]];
const NOTES_PER_SECOND: f64 = 4.0;
/// How many past notes still ring.
const RINGING: usize = 6;

impl TestTune {
    /// The samples, interleaved; full scale is 1, and the loudest moments go a little beyond.
    fn samples(self) -> impl Iterator<Item = f64> {
        let mut noise = 0x9E37_79B9_u32;
        let frames = u64::from(self.seconds) * u64::from(self.format.rate);
        (0..frames)
            .flat_map(move |frame| {
                #[allow(clippy::cast_precision_loss, reason = "an hour of frames fits")]
                let time = frame as f64 / f64::from(self.format.rate);
                (0..self.format.channels).map(move |channel| voice(time, channel)).collect::<Vec<_>>()
            })
            .map(move |value| {
                noise ^= noise << 13;
                noise ^= noise >> 17;
                noise ^= noise << 5;
                value + (f64::from(noise) / f64::from(u32::MAX) - 0.5) * 0.004
            })
    }

    /// All of its frames.
    pub fn frames(self) -> Vec<u8> {
        self.encoded(self.samples())
    }

    /// Writes it as a WAV file.
    pub fn write(self, path: &Path) -> io::Result<()> {
        let mut file = WavFile::create(path, self.format)?;
        let mut samples = self.samples();
        loop {
            let bytes = self.encoded(samples.by_ref().take(SAMPLES_AT_ONCE));
            if bytes.is_empty() {
                return file.flush();
            }
            file.add(&bytes)?;
        }
    }

    /// Samples as they lie in frames.
    fn encoded(self, samples: impl Iterator<Item = f64>) -> Vec<u8> {
        let levels: Vec<f64> = samples.map(|level| level.clamp(-1.0, 1.0)).collect();
        let mut bytes = vec![0; levels.len() * self.format.sample.bytes() as usize];
        self.format.sample.encode(levels, &mut bytes);
        bytes
    }
}

/// Everything that sounds at `time` (seconds) in a channel, full scale at 1, a little above it at the loudest
/// moments.
fn voice(time: f64, channel: u32) -> f64 {
    let mut sum = 0.0;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an hour of notes fits")]
    let newest = (time * NOTES_PER_SECOND) as usize;
    for number in newest.saturating_sub(RINGING)..=newest {
        #[allow(clippy::cast_precision_loss, reason = "an hour of notes fits")]
        let age = time - number as f64 / NOTES_PER_SECOND;
        let note = MELODY.get(number % MELODY.len()).copied().unwrap_or(0);
        // Notes wander between left and right.
        let side = if (number + channel as usize).is_multiple_of(2) { 1.0 } else { 0.45 };
        sum += 0.55 * side * pluck(frequency(note), age, 3.0);
        if number.is_multiple_of(4) {
            let chord = CHORDS.get(number / 4 % CHORDS.len()).copied().unwrap_or_default();
            for (string, note) in chord.into_iter().enumerate() {
                let detune = 1.0 + 0.003 * f64::from(channel);
                let strum = if string == 0 { 0.0 } else { 0.012 };
                sum += 0.3 * pluck(frequency(note - 12) * detune, age - strum, 1.6);
            }
        }
    }
    sum
}

fn frequency(semitones_above_a3: i32) -> f64 {
    220.0 * 2_f64.powf(f64::from(semitones_above_a3) / 12.0)
}

/// A plucked string: a sharp start, overtones that fade sooner than the fundamental.
fn pluck(frequency: f64, age: f64, decay: f64) -> f64 {
    if age < 0.0 {
        return 0.0;
    }
    let attack = (age * 400.0).min(1.0);
    let partial = |n: f64, level: f64| {
        level * (std::f64::consts::TAU * frequency * n * age).sin() * (-age * decay * n.sqrt()).exp()
    };
    attack * (partial(1.0, 1.0) + partial(2.0, 0.5) + partial(3.0, 0.28) + partial(5.0, 0.12))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SampleFormat;

    #[test]
    fn tune_uses_the_whole_range_and_repeats_nothing() {
        let format = StreamFormat { sample: SampleFormat::S16, channels: 2, rate: 48_000 };
        let tune = TestTune { seconds: 5, format };
        let made = tune.frames();
        let samples: Vec<i16> = made.as_chunks().0.iter().map(|sample| i16::from_le_bytes(*sample)).collect();
        assert_eq!(samples.len(), 5 * 48_000 * 2);
        assert!(samples.contains(&i16::MAX) && samples.contains(&i16::MIN));
        let clipped = samples.iter().filter(|sample| matches!(**sample, i16::MAX | i16::MIN)).count();
        assert!(clipped < samples.len() / 100, "{clipped} samples clip");
        assert!(samples.chunks(2).any(|frame| frame[0] != frame[1]), "stereo");
        let packets: std::collections::HashSet<&[i16]> = samples.chunks(960).collect();
        assert_eq!(packets.len(), samples.len() / 960, "no two stretches of 10 ms are alike");
        assert_eq!(tune.frames(), made, "the same every time");
    }

    #[test]
    fn every_format_and_number_of_channels_can_be_had() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tune.wav");
        for sample in SampleFormat::ALL {
            let format = StreamFormat { sample, channels: 8, rate: 8_000 };
            TestTune { seconds: 1, format }.write(&path).unwrap();
            let read = crate::wav::read(&path).unwrap();
            assert_eq!((read.format.channels, read.format.rate, read.len()), (8, 8_000, 8_000));
            let frames: Vec<&[u8]> = read.frames.chunks(read.format.sample.bytes() as usize).collect();
            let channels = (0..8).map(|channel| frames[8 * 4_000 + channel]);
            assert_eq!(channels.collect::<std::collections::HashSet<_>>().len(), 8, "no two channels alike");
        }
    }
}

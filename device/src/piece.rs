//! A short piece of music to test with: what `play` plays when it is given no file.
//!
//! A melody over chords, plucked and left to ring, with a little noise under it. It is made so that faults cannot hide: no two packets
//! are alike, left and right differ, samples use the full 16-bit range, and no stretch is silent. The same numbers always come out.

use std::path::Path;

/// What to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Length in seconds, 1 to 3600.
    pub seconds: u32,
    /// Frames per second.
    pub rate: u32,
    /// 1 or 2.
    pub channels: u16,
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

impl Piece {
    /// The samples, interleaved.
    pub fn samples(self) -> impl Iterator<Item = i16> {
        let mut noise = 0x9E37_79B9_u32;
        let frames = u64::from(self.seconds) * u64::from(self.rate);
        (0..frames)
            .flat_map(move |frame| {
                #[allow(clippy::cast_precision_loss, reason = "an hour of frames fits")]
                let time = frame as f64 / f64::from(self.rate);
                (0..self.channels).map(move |channel| voice(time, channel)).collect::<Vec<_>>()
            })
            .map(move |value| {
                noise ^= noise << 13;
                noise ^= noise >> 17;
                noise ^= noise << 5;
                to_sample(value + (f64::from(noise) / f64::from(u32::MAX) - 0.5) * 0.004)
            })
    }

    /// Writes it as a WAV file.
    pub fn write(self, path: &Path) -> Result<(), hound::Error> {
        let spec = hound::WavSpec {
            channels: self.channels,
            sample_rate: self.rate,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(path, spec)?;
        for sample in self.samples() {
            writer.write_sample(sample)?;
        }
        writer.finalize()
    }
}

/// Everything that sounds at `time` (seconds) in a channel, full scale at 1, a little above it at the loudest moments.
fn voice(time: f64, channel: u16) -> f64 {
    let mut sum = 0.0;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an hour of notes fits")]
    let newest = (time * NOTES_PER_SECOND) as usize;
    for number in newest.saturating_sub(RINGING)..=newest {
        #[allow(clippy::cast_precision_loss, reason = "an hour of notes fits")]
        let age = time - number as f64 / NOTES_PER_SECOND;
        let note = MELODY.get(number % MELODY.len()).copied().unwrap_or(0);
        // Notes wander between left and right.
        let side = if (number + usize::from(channel)).is_multiple_of(2) { 1.0 } else { 0.45 };
        sum += 0.55 * side * pluck(frequency(note), age, 3.0);
        if number.is_multiple_of(4) {
            let chord = CHORDS.get(number / 4 % CHORDS.len()).copied().unwrap_or_default();
            for (string, note) in chord.into_iter().enumerate() {
                let detune = if channel == 0 { 1.0 } else { 1.003 };
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

#[allow(clippy::cast_possible_truncation, reason = "clamped to the range before")]
fn to_sample(value: f64) -> i16 {
    (value * 32768.0).round().clamp(-32768.0, 32767.0) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn piece_uses_the_whole_range_and_repeats_nothing() {
        let piece = Piece { seconds: 5, rate: 48_000, channels: 2 };
        let samples: Vec<i16> = piece.samples().collect();
        assert_eq!(samples.len(), 5 * 48_000 * 2);
        assert!(samples.contains(&i16::MAX) && samples.contains(&i16::MIN));
        let clipped = samples.iter().filter(|sample| matches!(**sample, i16::MAX | i16::MIN)).count();
        assert!(clipped < samples.len() / 100, "{clipped} samples clip");
        assert!(samples.chunks(2).any(|frame| frame[0] != frame[1]), "stereo");
        let packets: std::collections::HashSet<&[i16]> = samples.chunks(960).collect();
        assert_eq!(packets.len(), samples.len() / 960, "no two stretches of 10 ms are alike");
        assert!(piece.samples().eq(samples), "the same every time");
    }
}

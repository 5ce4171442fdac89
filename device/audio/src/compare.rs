//! Whether two WAV files have the same samples, and if not, where they first differ. Where time does not
//! wait, packets may have been lost or played as silence: then whether all the rest is the same, and as much
//! is missing as was counted.

mod gaps;
pub mod judge;
mod looped;

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::wav::{Samples, Sound, WavError};
use crate::{StreamFormat, Value};

pub use gaps::{Allowed, Gaps};
use gaps::{Found, Frames, find};

/// Something is wrong with one of the files, not between them.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}", path = path.display())]
pub struct CompareError {
    path: PathBuf,
    source: WavError,
}

impl CompareError {
    fn new(path: &Path, source: WavError) -> Self {
        Self { path: path.to_owned(), source }
    }
}

/// What a file's samples are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Format {
    /// Frames per second.
    pub rate: u32,
    /// Samples per frame.
    pub channels: u32,
    /// Valid bits per sample.
    pub bits: u16,
    /// Floating point.
    pub float: bool,
}

impl Format {
    fn of(stream: StreamFormat) -> Self {
        Self {
            rate: stream.rate,
            channels: stream.channels,
            bits: stream.sample.valid_bits(),
            float: stream.sample.is_float(),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let channels = match self.channels {
            1 => "mono".to_owned(),
            2 => "stereo".to_owned(),
            more => format!("{more} channels"),
        };
        let float = if self.float { " float" } else { "" };
        write!(f, "{}-bit{float}, {channels}, {} Hz", self.bits, self.rate)
    }
}

/// Two samples that are not the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Frame of the second file, from 0.
    pub frame: u64,
    /// Channel, from 0.
    pub channel: u32,
    /// Its value in the first file.
    pub a: Value,
    /// Its value in the second.
    pub b: Value,
}

/// What became of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Same format, same samples, and the same length (but for silence around, where that is allowed).
    BitExact,
    /// The same but for silence between or in place of packets, as much as was counted.
    ExceptSilence(Gaps),
    /// The same but for packets that were lost, as many as were counted.
    ExceptLost(Gaps),
    /// The same but for silence or lost packets, and not as many frames of them as were counted.
    Miscounted {
        /// What is missing.
        found: Gaps,
        /// Frames that were counted.
        counted: u64,
    },
    /// The formats differ; samples were not compared.
    FormatsDiffer,
    /// A sample differs.
    Different(Difference),
    /// One file is the beginning of the other.
    LengthsDiffer,
    /// The first file has no frames, and nothing speaks against the second.
    NothingToCompare,
}

/// Everything about two files.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// What became of it.
    pub verdict: Verdict,
    /// Formats of both.
    pub formats: [Format; 2],
    /// Frames of both.
    pub frames: [u64; 2],
    /// Highest magnitude of a sample of the second file, relative to full scale in dB; `None` (JSON null) for
    /// digital silence.
    pub peak_dbfs: Option<f64>,
    /// Root mean square of all samples of the second file, relative to full scale in dB; `None` for digital
    /// silence.
    pub rms_dbfs: Option<f64>,
    /// Samples of both that are infinite or no numbers.
    pub not_finite: [u64; 2],
}

impl Comparison {
    /// Whether the files are the same.
    pub fn bit_exact(&self) -> bool {
        self.verdict == Verdict::BitExact
    }

    /// Whether the files are the same but for what was allowed and counted.
    pub fn accounted_for(&self) -> bool {
        matches!(self.verdict, Verdict::BitExact | Verdict::ExceptSilence(_) | Verdict::ExceptLost(_))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |count: u64, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let frames_and_gaps = |found: &Gaps, what: &str| {
            format!("{} {what} in {}", counted(found.frames, "frame"), counted(found.gaps, "gap"))
        };
        match self {
            Self::BitExact => f.write_str("bit-exact"),
            Self::ExceptSilence(found) => {
                write!(f, "bit-exact apart from {}", frames_and_gaps(found, "of silence"))?;
                match found.lost {
                    0 => {}
                    1 => f.write_str(", for 1 frame that is lost")?,
                    lost => write!(f, ", for {lost} frames that are lost")?,
                }
                match found.again {
                    0 => Ok(()),
                    again => write!(f, "; {} heard twice", counted(again, "frame")),
                }
            }
            Self::ExceptLost(found) => {
                write!(f, "bit-exact apart from {}", frames_and_gaps(found, "lost"))
            }
            Self::Miscounted { found, counted } => {
                let verb = if found.frames == 1 { "is missing" } else { "are missing" };
                let was = if *counted == 1 { "was" } else { "were" };
                write!(f, "{}, {counted} {was} counted", frames_and_gaps(found, verb))
            }
            Self::FormatsDiffer => f.write_str("formats differ"),
            Self::Different(Difference { frame, channel, a, b }) => {
                write!(f, "first difference at frame {frame} channel {channel}: a={a} b={b}")
            }
            Self::LengthsDiffer => f.write_str("lengths differ, the same up to the shorter one's end"),
            Self::NothingToCompare => f.write_str("nothing to compare: no frames were expected"),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b] = self.frames;
        writeln!(f, "frames     {a} and {b}")?;
        let [first, second] = self.formats;
        if first == second {
            writeln!(f, "format     {first}")?;
        } else {
            writeln!(f, "format     {first} and {second}")?;
        }
        match self.verdict {
            Verdict::LengthsDiffer => writeln!(
                f,
                "verdict    lengths differ: {a} and {b} frames after bit-exact prefix of {}",
                a.min(b)
            )?,
            verdict => writeln!(f, "verdict    {verdict}")?,
        }
        let level = |level: Option<f64>| level.map_or("-inf dBFS".to_owned(), |db| format!("{db:.1} dBFS"));
        writeln!(f, "peak       {}", level(self.peak_dbfs))?;
        write!(f, "RMS        {}", level(self.rms_dbfs))?;
        let [a, b] = self.not_finite;
        if a + b > 0 {
            write!(f, "\nnot finite {a} and {b} samples are infinite or no numbers")?;
        }
        Ok(())
    }
}

/// Samples that are infinite or no numbers.
fn not_finite(sound: &Samples<'_>) -> u64 {
    let (mut found, sample) = (0, sound.format().sample);
    if sample.is_float() {
        for block in Frames::new(sound).blocks() {
            sample.decode(&block.bytes(), |level| found += u64::from(!level.is_finite()));
        }
    }
    found
}

/// Peak and RMS of a sound in dB relative to full scale.
fn levels(sound: &Samples<'_>) -> (Option<f64>, Option<f64>) {
    let (mut peak, mut squares, mut samples) = (0.0_f64, 0.0, 0_u64);
    let sample = sound.format().sample;
    for part in Frames::new(sound).blocks() {
        let bytes = part.bytes();
        samples += bytes.len() as u64 / u64::from(sample.bytes());
        if sample.is_silence(&bytes) {
            continue;
        }
        sample.decode(&bytes, |level| {
            let level = if level.is_finite() { level } else { 0.0 };
            peak = peak.max(level.abs());
            squares += level * level;
        });
    }
    let db = |value: f64| (value > 0.0).then(|| 20.0 * value.log10());
    #[allow(clippy::cast_precision_loss, reason = "a level needs no more than 52 bits of count")]
    let mean = squares / samples.max(1) as f64;
    (db(peak), db(mean.sqrt()))
}

/// The first sample that is not the same in two sounds of one format, from these frames on.
fn first_difference(a: &Samples<'_>, b: &Samples<'_>, from: (u64, u64)) -> Option<Difference> {
    let sample = a.format().sample;
    let bytes = sample.bytes() as usize;
    let (first, second) = (Frames::new(a).part(from.0, u64::MAX), Frames::new(b).part(from.1, u64::MAX));
    let mut frame = from.1;
    for (first, second) in first.blocks().zip(second.blocks()) {
        let (one, other) = (first.bytes(), second.bytes());
        let differs = |(_, (one, other)): &(usize, (&[u8], &[u8]))| one != other;
        let mut pairs = one.chunks_exact(bytes).zip(other.chunks_exact(bytes)).enumerate();
        let common = one.len().min(other.len());
        if one.get(..common) != other.get(..common)
            && let Some((index, (one, other))) = pairs.find(differs)
        {
            let (index, channels) = (index as u64, u64::from(a.format().channels.max(1)));
            let channel = u32::try_from(index % channels).unwrap_or(0);
            let (a, b) = (sample.value(one)?, sample.value(other)?);
            return Some(Difference { frame: frame + index / channels, channel, a, b });
        }
        frame += second.len();
    }
    None
}

/// Compares two WAV files, `a` the one that was played and `b` the one that was heard.
pub fn compare(a: &Path, b: &Path) -> Result<Comparison, CompareError> {
    compare_allowing(a, b, Allowed::Nothing)
}

/// As [`compare`], with this between them.
pub fn compare_allowing(a: &Path, b: &Path, allowed: Allowed) -> Result<Comparison, CompareError> {
    let [first, second] = open([a, b])?;
    compare_open([a, b], [&first, &second], allowed)
}

/// Opens two files.
pub fn open(paths: [&Path; 2]) -> Result<[Samples<'static>; 2], CompareError> {
    let open = |path: &Path| Samples::open(path).map_err(|source| CompareError::new(path, source));
    let [a, b] = paths;
    Ok([open(a)?, open(b)?])
}

/// As [`compare_allowing`], of files that are open.
pub fn compare_open(
    paths: [&Path; 2],
    samples: [&Samples<'_>; 2],
    allowed: Allowed,
) -> Result<Comparison, CompareError> {
    let [a, b] = samples;
    let comparison = compare_samples(a, b, allowed);
    match paths.iter().zip(samples).find_map(|(path, samples)| Some((path, samples.take_error()?))) {
        Some((path, error)) => Err(CompareError::new(path, error.into())),
        None => Ok(comparison),
    }
}

/// Compares two sounds, `a` the one that was played and `b` the one that was heard, with `allowed` between
/// them.
pub fn compare_sounds(a: &Sound, b: &Sound, allowed: Allowed) -> Comparison {
    compare_samples(&Samples::of(a), &Samples::of(b), allowed)
}

/// As they are read: neither is in memory as a whole.
fn compare_samples(a: &Samples<'_>, b: &Samples<'_>, allowed: Allowed) -> Comparison {
    let (formats, frames) = ([Format::of(a.format()), Format::of(b.format())], [a.len(), b.len()]);
    let verdict = if a.format() == b.format() { verdict(a, b, allowed) } else { Verdict::FormatsDiffer };
    let (peak_dbfs, rms_dbfs) = levels(b);
    let not_finite = [not_finite(a), not_finite(b)];
    Comparison { verdict, formats, frames, peak_dbfs, rms_dbfs, not_finite }
}

/// Of two sounds of one format.
fn verdict(a: &Samples<'_>, b: &Samples<'_>, allowed: Allowed) -> Verdict {
    let (found, range) = match find(Frames::new(a), Frames::new(b), allowed) {
        Found::Gaps(found, range) => (found, range),
        Found::Short => return Verdict::LengthsDiffer,
        Found::Different(first, second) => {
            return first_difference(a, b, (first, second))
                .map_or(Verdict::LengthsDiffer, Verdict::Different);
        }
    };
    match allowed {
        Allowed::Silence { counted, .. } | Allowed::Lost { counted, .. } if !range.contains(&counted) => {
            Verdict::Miscounted { found, counted }
        }
        _ if a.is_empty() => Verdict::NothingToCompare,
        _ if found.gaps == 0 => Verdict::BitExact,
        Allowed::Loopback { .. } if found.frames == 0 => {
            Verdict::ExceptLost(Gaps { frames: found.lost, ..found })
        }
        Allowed::Lost { .. } => Verdict::ExceptLost(found),
        _ => Verdict::ExceptSilence(found),
    }
}

#[cfg(test)]
mod tests;

//! Whether two WAV files have the same samples, and if not, where they first differ.

use std::fmt;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Why two files could not be compared: something is wrong with one of them, not between them.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// It is not there, or cannot be read.
    #[error("{path}: {source}; give a WAV file that can be read", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not a whole WAV file.
    #[error("{path}: not a whole PCM WAV file ({why}); convert it to PCM WAV first", path = path.display())]
    NotWav {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// It is a WAV file of a kind that is not compared yet.
    #[error("{path}: floating-point samples; convert it to PCM first", path = path.display())]
    Float {
        /// The file.
        path: PathBuf,
    },
}

impl CompareError {
    fn new(path: &Path, error: hound::Error) -> Self {
        let path = path.to_owned();
        match error {
            hound::Error::IoError(source) if source.kind() != std::io::ErrorKind::UnexpectedEof => {
                // hound reports a file that ends too early as an `Other` with a text of its own.
                if source.raw_os_error().is_some() {
                    return Self::Unreadable { path, source };
                }
                Self::NotWav { path, why: source.to_string() }
            }
            other => Self::NotWav { path, why: other.to_string() },
        }
    }
}

/// What a file's samples are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Format {
    /// Frames per second.
    pub rate: u32,
    /// Samples per frame.
    pub channels: u16,
    /// Bits per sample.
    pub bits: u16,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let channels = match self.channels {
            1 => "mono".to_owned(),
            2 => "stereo".to_owned(),
            more => format!("{more} channels"),
        };
        write!(f, "{}-bit, {channels}, {} Hz", self.bits, self.rate)
    }
}

/// Two samples that are not the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Frame, from 0.
    pub frame: u64,
    /// Channel, from 0.
    pub channel: u16,
    /// Its value in the first file.
    pub a: i32,
    /// Its value in the second.
    pub b: i32,
}

/// What became of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Same format, same length, same samples.
    BitExact,
    /// The formats differ; samples were not compared.
    FormatsDiffer,
    /// A sample differs.
    Different(Difference),
    /// One file is the beginning of the other.
    LengthsDiffer,
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
    /// Highest magnitude of a sample of the second file, relative to full scale in dB; `None` (JSON null) for digital silence.
    pub peak_dbfs: Option<f64>,
    /// Root mean square of all samples of the second file, relative to full scale in dB; `None` for digital silence.
    pub rms_dbfs: Option<f64>,
}

impl Comparison {
    /// Whether the files are the same.
    pub fn bit_exact(&self) -> bool {
        self.verdict == Verdict::BitExact
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
        write!(f, "verdict    ")?;
        match self.verdict {
            Verdict::BitExact => writeln!(f, "bit-exact")?,
            Verdict::FormatsDiffer => writeln!(f, "formats differ")?,
            Verdict::Different(Difference { frame, channel, a, b }) => {
                writeln!(f, "first difference at frame {frame} channel {channel}: a={a} b={b}")?;
            }
            Verdict::LengthsDiffer => {
                writeln!(f, "lengths differ: {a} and {b} frames after bit-exact prefix of {}", a.min(b))?;
            }
        }
        let level = |level: Option<f64>| level.map_or("-inf dBFS".to_owned(), |db| format!("{db:.1} dBFS"));
        writeln!(f, "peak       {}", level(self.peak_dbfs))?;
        write!(f, "RMS        {}", level(self.rms_dbfs))
    }
}

/// A file that is being read.
struct Wav {
    path: PathBuf,
    reader: hound::WavReader<BufReader<File>>,
    format: Format,
    frames: u64,
}

impl Wav {
    fn open(path: &Path) -> Result<Self, CompareError> {
        let reader = hound::WavReader::open(path).map_err(|error| CompareError::new(path, error))?;
        let spec = reader.spec();
        if spec.sample_format == hound::SampleFormat::Float {
            return Err(CompareError::Float { path: path.to_owned() });
        }
        let format = Format { rate: spec.sample_rate, channels: spec.channels, bits: spec.bits_per_sample };
        let frames = u64::from(reader.duration());
        Ok(Self { path: path.to_owned(), reader, format, frames })
    }

    /// The next sample; `None` at the end. `samples` is the iterator over `reader`.
    fn next(
        path: &Path,
        samples: &mut hound::WavSamples<'_, BufReader<File>, i32>,
    ) -> Result<Option<i32>, CompareError> {
        samples.next().transpose().map_err(|error| CompareError::new(path, error))
    }
}

/// Peak and energy of the samples seen.
#[derive(Default)]
struct Level {
    peak: u32,
    squares: f64,
    samples: u64,
}

impl Level {
    fn add(&mut self, sample: i32) {
        self.peak = self.peak.max(sample.unsigned_abs());
        self.squares += f64::from(sample) * f64::from(sample);
        self.samples += 1;
    }

    /// Peak and RMS in dB relative to full scale of so many bits.
    fn dbfs(&self, bits: u16) -> (Option<f64>, Option<f64>) {
        let full = 2_f64.powi(i32::from(bits) - 1);
        let db = |value: f64| (value > 0.0).then(|| 20.0 * (value / full).log10());
        #[allow(clippy::cast_precision_loss, reason = "a level needs no more than 52 bits of count")]
        let mean = self.squares / self.samples.max(1) as f64;
        (db(f64::from(self.peak)), db(mean.sqrt()))
    }
}

/// Compares two PCM WAV files, `a` the one that was played and `b` the one that was heard.
pub fn compare(a: &Path, b: &Path) -> Result<Comparison, CompareError> {
    let (mut a, mut b) = (Wav::open(a)?, Wav::open(b)?);
    let (formats, frames) = ([a.format, b.format], [a.frames, b.frames]);
    let channels = u64::from(a.format.channels.max(1));
    let mut level = Level::default();
    let mut difference = None;
    let mut expected = a.reader.samples::<i32>();
    let mut heard = b.reader.samples::<i32>();
    for index in 0_u64.. {
        let from_b = Wav::next(&b.path, &mut heard)?;
        let from_a = Wav::next(&a.path, &mut expected)?;
        if let Some(sample) = from_b {
            level.add(sample);
        }
        match (from_a, from_b) {
            (None, None) => break,
            (Some(a), Some(b)) if a != b && difference.is_none() => {
                let channel = u16::try_from(index % channels).unwrap_or(u16::MAX);
                difference = Some(Difference { frame: index / channels, channel, a, b });
            }
            _ => {}
        }
    }
    let verdict = match difference {
        _ if formats[0] != formats[1] => Verdict::FormatsDiffer,
        Some(difference) => Verdict::Different(difference),
        None if frames[0] != frames[1] => Verdict::LengthsDiffer,
        None => Verdict::BitExact,
    };
    let (peak_dbfs, rms_dbfs) = level.dbfs(formats[1].bits);
    Ok(Comparison { verdict, formats, frames, peak_dbfs, rms_dbfs })
}

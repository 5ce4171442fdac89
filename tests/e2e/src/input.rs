//! The WAV file that goes in: checked before anything is started, so that a mistake costs no boot.

use std::{path::Path, time::Duration};

use crate::error::Error;

/// The largest input in bytes; it must fit the guest's volume and memory.
pub const BYTES_MAX: u64 = 400 << 20;

/// What is known of a WAV file that can be played.
#[derive(Clone, Copy, Debug)]
pub struct Input {
    /// Frames in the file.
    pub frames: u64,
    /// Sample rate in Hz.
    pub rate: u32,
    /// Size of the file in bytes.
    pub file_bytes: u64,
}

impl Input {
    /// Looks at `path`.
    ///
    /// # Errors
    /// [`Error::BadInput`], one line that says what to do, if this card can't play it yet.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let name = path.display();
        let bad = |why: String| Error::BadInput(format!("{name}: {why}"));
        let file_bytes =
            path.metadata().map_err(|e| bad(format!("cannot be read ({e}); name a WAV file")))?.len();
        if file_bytes > BYTES_MAX {
            return Err(bad(format!("longer than {} MiB; cut it", BYTES_MAX >> 20)));
        }
        let reader = hound::WavReader::open(path).map_err(|e| bad(format!("not a PCM WAV file ({e})")))?;
        let spec = reader.spec();
        let next_step = "convert it to 16-bit PCM, mono or stereo, 44.1 or 48 kHz";
        if spec.sample_format != hound::SampleFormat::Int || spec.bits_per_sample != 16 {
            let kind = if spec.sample_format == hound::SampleFormat::Float { "float" } else { "PCM" };
            return Err(bad(format!(
                "{}-bit {kind} is not supported yet; {next_step}",
                spec.bits_per_sample
            )));
        }
        if !(1..=2).contains(&spec.channels) {
            return Err(bad(format!("{} channels are not supported yet; {next_step}", spec.channels)));
        }
        if ![44_100, 48_000].contains(&spec.sample_rate) {
            return Err(bad(format!("{} Hz is not supported yet; {next_step}", spec.sample_rate)));
        }
        if reader.duration() == 0 {
            return Err(bad("has no sound in it".into()));
        }
        Ok(Self { frames: u64::from(reader.duration()), rate: spec.sample_rate, file_bytes })
    }

    /// How long it plays.
    pub fn duration(&self) -> Duration {
        Duration::from_micros(self.frames.saturating_mul(1_000_000) / u64::from(self.rate))
    }
}

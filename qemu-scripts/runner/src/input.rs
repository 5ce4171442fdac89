//! The WAV file that goes in: checked before anything is started, so that a mistake costs no boot.

use std::{path::Path, time::Duration};

use ringwave_audio::wav::{Samples, Sound, WavFile};
use ringwave_audio::{SampleFormat, StreamFormat};
use ringwave_regs::format;

use crate::error::Error;

/// The largest input in bytes; it must fit the guest's volume and memory.
pub const BYTES_MAX: u64 = 400 << 20;

/// What is known of a WAV file that can be played.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its frames, in one of the card's formats.
    pub sound: Sound,
    /// How a sample lies in the file.
    pub stored: SampleFormat,
    /// Frames in the file.
    pub frames: u64,
    /// Sample rate in Hz.
    pub rate: u32,
    /// The speakers of its channels, if it says: no card knows them, so what arrives gets them from here.
    pub speakers: Option<u32>,
    /// Size of the file in bytes.
    pub file_bytes: u64,
}

impl Input {
    /// Looks at `path`.
    ///
    /// # Errors
    /// [`Error::BadInput`], one line that says what to do, if the card can't play it.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let name = path.display();
        let bad = |why: String| Error::BadInput(format!("{name}: {why}"));
        let file_bytes =
            path.metadata().map_err(|e| bad(format!("cannot be read ({e}); name a WAV file")))?.len();
        if file_bytes > BYTES_MAX {
            return Err(bad(format!("longer than {} MiB; cut it", BYTES_MAX >> 20)));
        }
        let samples = Samples::open(path).map_err(|e| bad(e.to_string()))?;
        let (speakers, stored) = (samples.speakers(), samples.stored());
        let sound = samples.sound().map_err(|e| bad(e.to_string()))?;
        let StreamFormat { channels, rate, .. } = sound.format;
        if channels > format::CHANNELS_MAX {
            return Err(bad(format!(
                "{channels} channels; mix it down to {} or fewer",
                format::CHANNELS_MAX
            )));
        }
        if format::rate_bit(rate) == 0 {
            return Err(bad(format!("{rate} Hz is no rate of the card; convert it to 48 kHz")));
        }
        if sound.is_empty() {
            return Err(bad("has no sound in it".into()));
        }
        Ok(Self { stored, frames: sound.len(), rate, file_bytes, sound, speakers })
    }

    /// Writes it as the guest gets it: the same frames, in the card's own format, with a header that says so.
    ///
    /// # Errors
    /// [`Error::Failed`] if the file can't be written.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let written = WavFile::create_for(path, self.sound.format, self.speakers).and_then(|mut file| {
            file.add(&self.sound.frames)?;
            file.flush()
        });
        written.map_err(|e| Error::file("write", path, &e))
    }

    /// How long it plays.
    pub fn duration(&self) -> Duration {
        Duration::from_micros(self.frames.saturating_mul(1_000_000) / u64::from(self.rate))
    }
}

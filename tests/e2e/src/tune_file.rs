//! A second of the test tune in a WAV file, which goes with it.

use std::path::PathBuf;

use ringwave_audio::{SampleFormat, StreamFormat, test_tune::TestTune, wav};
use tempfile::TempDir;

/// The file and its folder.
pub struct TuneFile {
    /// A folder for what a test makes of it.
    pub folder: TempDir,
}

impl TuneFile {
    /// In this format.
    ///
    /// # Panics
    /// If it can't be written.
    pub fn new(sample: SampleFormat, channels: u32, rate: u32) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let format = StreamFormat { sample, channels, rate };
        TestTune { seconds: 1, format }.write(&folder.path().join("in.wav")).expect("a WAV file");
        Self { folder }
    }

    /// 16-bit stereo at 48 kHz.
    pub fn stereo() -> Self {
        Self::new(SampleFormat::S16, 2, 48_000)
    }

    /// The file.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("in.wav")
    }

    /// Its frames.
    ///
    /// # Panics
    /// If it is not there any more.
    pub fn frames(&self) -> Vec<u8> {
        wav::read(&self.path()).expect("the file").frames
    }
}

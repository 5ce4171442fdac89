//! A sink that is a WAV file, valid whatever happens to the process.

use std::path::{Path, PathBuf};

use super::{Sink, SinkError};
use crate::ports::StreamFormat;
use crate::wav::WavFile;

/// The frames of one stream in a WAV file.
pub struct WavSink {
    path: PathBuf,
    file: WavFile,
}

impl WavSink {
    /// Begins the file at `path`, replacing what was there.
    pub fn create(path: &Path, stream: StreamFormat) -> Result<Self, SinkError> {
        let file = WavFile::create(path, stream);
        let file = file.map_err(|source| SinkError::File { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), file })
    }

    fn told(&self, result: std::io::Result<()>) -> Result<(), SinkError> {
        result.map_err(|source| SinkError::File { path: self.path.clone(), source })
    }
}

impl Sink for WavSink {
    fn frames(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        let result = self.file.add(bytes);
        self.told(result)
    }

    fn room(&self) -> u64 {
        self.file.room()
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        let result = self.file.flush();
        self.told(result)
    }

    fn finish(mut self: Box<Self>) -> Result<(), SinkError> {
        self.flush()
    }
}

//! A sink that is a WAV file, valid whatever happens to the process.

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use super::output::Made;
use super::{GATHERED_FOR_FILES, Sink, SinkError};
use ringwave_audio::StreamFormat;
use ringwave_audio::wav::WavFile;

/// The frames of one stream in a WAV file.
pub struct WavSink {
    path: PathBuf,
    file: WavFile,
    made: Made,
}

impl WavSink {
    /// Begins it in `file`.
    pub fn new(made: Made, file: File, stream: StreamFormat) -> Result<Self, SinkError> {
        let path = made.path().to_owned();
        match WavFile::begin_recording(file, stream) {
            Ok(file) => Ok(Self { path, file, made }),
            Err(source) => Err(SinkError::File { path, source }),
        }
    }

    fn sink_result(&self, result: std::io::Result<()>) -> Result<(), SinkError> {
        result.map_err(|source| SinkError::File { path: self.path.clone(), source })
    }
}

impl Sink for WavSink {
    fn frames(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        let result = self.file.add(bytes);
        self.sink_result(result)
    }

    fn room(&self) -> u64 {
        u64::MAX
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        let result = self.file.flush().and_then(|()| self.made.is_there());
        self.sink_result(result)
    }

    fn finish(mut self: Box<Self>) -> Result<(), SinkError> {
        self.flush()
    }

    fn gathered(&self) -> Duration {
        GATHERED_FOR_FILES
    }
}

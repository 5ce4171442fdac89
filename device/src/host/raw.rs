//! Samples without a header, to a file, a FIFO or standard output.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::{Sink, SinkError};

/// The sink.
pub struct RawSink {
    path: PathBuf,
    file: BufWriter<Box<dyn Write + Send>>,
}

impl RawSink {
    /// Begins the file at `path`, replacing what was there; `-` is standard output.
    pub fn create(path: &Path) -> Result<Self, SinkError> {
        let file: Box<dyn Write + Send> = if path == Path::new("-") {
            Box::new(io::stdout())
        } else {
            let failed = |source| SinkError::File { path: path.to_owned(), source };
            Box::new(File::create(path).map_err(failed)?)
        };
        Ok(Self { path: path.to_owned(), file: BufWriter::with_capacity(1 << 16, file) })
    }

    fn told(&self, result: io::Result<()>) -> Result<(), SinkError> {
        result.map_err(|source| SinkError::File { path: self.path.clone(), source })
    }
}

impl Sink for RawSink {
    fn frames(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        let result = self.file.write_all(bytes);
        self.told(result)
    }

    fn room(&self) -> u64 {
        u64::MAX
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        let result = self.file.flush();
        self.told(result)
    }

    fn finish(mut self: Box<Self>) -> Result<(), SinkError> {
        self.flush()
    }
}

//! Samples without a header, to a file, a FIFO or standard output.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::time::Duration;

use super::output::Made;
use super::{GATHERED_FOR_FILES, Sink, SinkError};

/// The sink.
pub struct RawSink {
    path: PathBuf,
    file: BufWriter<Box<dyn Write + Send>>,
    /// `None`: standard output.
    made: Option<Made>,
}

impl RawSink {
    /// Standard output.
    pub fn stdout() -> Self {
        Self::over("-".into(), Box::new(io::stdout()), None)
    }

    /// Begins it in `file`.
    pub fn new(made: Made, file: File) -> Self {
        Self::over(made.path().to_owned(), Box::new(file), Some(made))
    }

    fn over(path: PathBuf, file: Box<dyn Write + Send>, made: Option<Made>) -> Self {
        Self { path, file: BufWriter::with_capacity(1 << 16, file), made }
    }

    fn sink_result(&self, result: io::Result<()>) -> Result<(), SinkError> {
        result.map_err(|source| SinkError::File { path: self.path.clone(), source })
    }
}

impl Sink for RawSink {
    fn frames(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        let result = self.file.write_all(bytes);
        self.sink_result(result)
    }

    fn room(&self) -> u64 {
        u64::MAX
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        let result = self.file.flush().and_then(|()| self.made.as_ref().map_or(Ok(()), Made::is_there));
        self.sink_result(result)
    }

    fn finish(mut self: Box<Self>) -> Result<(), SinkError> {
        self.flush()
    }

    fn gathered(&self) -> Duration {
        GATHERED_FOR_FILES
    }
}

//! A WAV file that is valid after every flush, whatever happens to the process afterwards.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use ringwave_regs::format;

use super::{Sink, SinkError};
use crate::ports::StreamFormat;

/// A WAV file counts its bytes in 32 bits; a little is left for the header.
pub const DATA_BYTES_MAX: u64 = 0xFFFF_0000;

/// 16-bit PCM into a WAV file.
pub struct WavSink {
    path: PathBuf,
    writer: hound::WavWriter<BufWriter<File>>,
    written: u64,
}

impl WavSink {
    /// Begins the file at `path`, replacing what was there.
    pub fn create(path: &Path, stream: StreamFormat) -> Result<Self, SinkError> {
        if stream.code != format::S16 {
            return Err(SinkError::Format);
        }
        let spec = hound::WavSpec {
            channels: u16::try_from(stream.channels).map_err(|_| SinkError::Format)?,
            sample_rate: stream.rate,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let file = File::create(path).map_err(|error| failed(path, error.into()))?;
        let regular = file.metadata().is_ok_and(|metadata| metadata.is_file());
        let writer =
            hound::WavWriter::new(BufWriter::new(file), spec).map_err(|error| failed(path, error))?;
        let mut sink = Self { path: path.to_owned(), writer, written: 0 };
        // Its header is there from the first moment, should the process be killed before the next flush. (A pipe can't be flushed so.)
        if regular {
            sink.flush()?;
        }
        Ok(sink)
    }
}

impl Sink for WavSink {
    fn frames(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        let (samples, _) = bytes.as_chunks::<2>();
        for sample in samples {
            self.writer
                .write_sample(i16::from_le_bytes(*sample))
                .map_err(|error| failed(&self.path, error))?;
        }
        self.written = self.written.saturating_add(bytes.len() as u64);
        Ok(())
    }

    fn room(&self) -> u64 {
        DATA_BYTES_MAX.saturating_sub(self.written)
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.writer.flush().map_err(|error| failed(&self.path, error))
    }

    fn finish(self: Box<Self>) -> Result<(), SinkError> {
        let Self { path, writer, .. } = *self;
        writer.finalize().map_err(|error| failed(&path, error))
    }
}

fn failed(path: &Path, error: hound::Error) -> SinkError {
    let source = match error {
        hound::Error::IoError(error) => error,
        other => std::io::Error::other(other),
    };
    SinkError::File { path: path.to_owned(), source }
}

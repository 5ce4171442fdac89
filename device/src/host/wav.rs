//! A WAV file that is valid after every flush, whatever happens to the process afterwards.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use ringwave_regs::format;

use super::{Sink, SinkError};
use crate::ports::StreamFormat;

/// A WAV file counts its bytes in 32 bits; a little is left for the header.
const DATA_BYTES_MAX: u64 = 0xFFFF_0000;

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
        let writer = hound::WavWriter::create(path, spec).map_err(|error| failed(path, error))?;
        Ok(Self { path: path.to_owned(), writer, written: 0 })
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

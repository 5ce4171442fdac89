//! A WAV file that grows and is valid at every moment, also after `kill -9`: samples are written first, then
//! the lengths in the header, and nothing waits in this process but what came since the last
//! [`WavFile::flush`].

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::Path;

use super::header::{RIFF_BYTES_AT, header, riff_bytes};
use crate::StreamFormat;

/// A WAV file counts its bytes in 32 bits; a little is left for the header.
pub const DATA_BYTES_MAX: u32 = 0xFFFF_0000;
/// How much may wait: what comes between two wakes of a busy card is one write.
const WAITING_BYTES_MAX: usize = 1 << 16;

/// The file.
pub struct WavFile {
    file: File,
    header_bytes: usize,
    data_bytes: u32,
    waiting: Vec<u8>,
    /// A FIFO or a terminal: lengths cannot be written afterwards.
    seekable: bool,
}

impl WavFile {
    /// Begins the file at `path`, replacing what was there: a valid file without a sample.
    pub fn create(path: &Path, format: StreamFormat) -> io::Result<Self> {
        Self::begin(File::create(path)?, header(format, false))
    }

    /// Begins it in an empty file, or a FIFO or device, for what was heard: `super::is_ours` knows it again.
    pub fn begin_recording(file: File, format: StreamFormat) -> io::Result<Self> {
        Self::begin(file, header(format, true))
    }

    fn begin(mut file: File, mut header: Vec<u8>) -> io::Result<Self> {
        let kind = file.metadata()?.file_type();
        let seekable = !kind.is_fifo() && !kind.is_char_device() && !kind.is_socket();
        if !seekable {
            // "As long as it goes", as other programs write into a pipe.
            let length = header.len();
            for at in [usize::from(RIFF_BYTES_AT), length - 4] {
                if let Some(field) = header.get_mut(at..at + 4) {
                    field.fill(0xFF);
                }
            }
        }
        file.write_all(&header)?;
        Ok(Self { file, header_bytes: header.len(), data_bytes: 0, waiting: Vec::new(), seekable })
    }

    /// Adds whole frames.
    pub fn add(&mut self, frames: &[u8]) -> io::Result<()> {
        self.waiting.extend_from_slice(frames);
        if self.waiting.len() >= WAITING_BYTES_MAX { self.flush() } else { Ok(()) }
    }

    /// How many bytes it can still take.
    pub fn room(&self) -> u64 {
        if !self.seekable {
            return u64::MAX;
        }
        let used = u64::from(self.data_bytes) + self.waiting.len() as u64;
        u64::from(DATA_BYTES_MAX).saturating_sub(used)
    }

    /// Makes everything that was added visible to others.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        if !self.seekable {
            self.file.write_all(&self.waiting)?;
            self.waiting.clear();
            return Ok(());
        }
        // By place, so that a write that failed in the middle (a full disk) can be tried again.
        let end = self.header_bytes as u64 + u64::from(self.data_bytes);
        self.file.seek(SeekFrom::Start(end))?;
        self.file.write_all(&self.waiting)?;
        let added = u32::try_from(self.waiting.len()).unwrap_or(u32::MAX);
        self.data_bytes = self.data_bytes.saturating_add(added);
        self.waiting.clear();
        // The data's length first: between the two a reader that believes RIFF more sees a shorter file,
        // never garbage.
        self.file.write_all_at(&self.data_bytes.to_le_bytes(), self.header_bytes as u64 - 4)?;
        let riff = riff_bytes(self.header_bytes, self.data_bytes);
        self.file.write_all_at(&riff.to_le_bytes(), RIFF_BYTES_AT.into())
    }
}

//! A WAV file that grows and is valid at every moment, also after `kill -9`: samples are written first, then
//! the lengths in the header, and nothing waits in this process but what came since the last
//! [`WavFile::flush`].

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::Path;

use super::header::{DS64_AT, Options, RIFF_BYTES_AT, header, riff_bytes};
use crate::StreamFormat;

/// A WAV file counts its bytes in 32 bits; a little is left for the header.
pub const DATA_BYTES_MAX: u32 = 0xFFFF_0000;
/// How much may wait: what comes between two wakes of a busy card is one write.
const WAITING_BYTES_MAX: usize = 1 << 16;

/// The file.
pub struct WavFile {
    file: File,
    header_bytes: usize,
    frame_bytes: u32,
    data_bytes: u64,
    waiting: Vec<u8>,
    /// A FIFO or a terminal: lengths cannot be written afterwards.
    seekable: bool,
    /// What was heard: there is room for lengths of 64 bits.
    recording: bool,
    /// They are in use: it is RF64.
    long: bool,
}

impl WavFile {
    /// Begins the file at `path`, replacing what was there: a valid file without a sample.
    pub fn create(path: &Path, format: StreamFormat) -> io::Result<Self> {
        Self::create_for(path, format, None)
    }

    /// Likewise, with the speakers of its channels (`KSAUDIO_SPEAKER_*`), if they are known.
    pub fn create_for(path: &Path, format: StreamFormat, speakers: Option<u32>) -> io::Result<Self> {
        Self::begin(File::create(path)?, format, Options { speakers, ..Options::default() })
    }

    /// Begins it in an empty file, or a FIFO or device, for what was heard: `super::is_ours` knows it again.
    /// Beyond 4 GiB it becomes RF64 (EBU Tech 3306); until then every reader of WAV files reads it.
    pub fn begin_recording(file: File, format: StreamFormat) -> io::Result<Self> {
        Self::begin(file, format, Options { recording: true, ..Options::default() })
    }

    fn begin(mut file: File, format: StreamFormat, options: Options) -> io::Result<Self> {
        let mut header = header(format, options);
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
        Ok(Self {
            file,
            header_bytes: header.len(),
            frame_bytes: format.frame_bytes().max(1),
            data_bytes: 0,
            waiting: Vec::new(),
            seekable,
            recording: options.recording,
            long: false,
        })
    }

    /// Adds whole frames.
    pub fn add(&mut self, frames: &[u8]) -> io::Result<()> {
        self.waiting.extend_from_slice(frames);
        if self.waiting.len() >= WAITING_BYTES_MAX { self.flush() } else { Ok(()) }
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
        let all = self.data_bytes.saturating_add(self.waiting.len() as u64);
        let short = u32::try_from(all).ok().filter(|bytes| *bytes <= DATA_BYTES_MAX);
        if short.is_none() && !self.recording {
            // What is there stays a valid file.
            self.waiting.clear();
            let why = "a WAV file ends at 4 GiB, and this one has no room for longer lengths";
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
        }
        // By place, so that a write that failed in the middle (a full disk) can be tried again.
        let end = self.header_bytes as u64 + self.data_bytes;
        self.file.seek(SeekFrom::Start(end))?;
        self.file.write_all(&self.waiting)?;
        self.data_bytes = all;
        self.waiting.clear();
        match short {
            Some(data) if !self.long => self.write_lengths(data),
            _ => self.write_long_lengths(),
        }
    }

    fn write_lengths(&self, data: u32) -> io::Result<()> {
        // The data's length first: between the two a reader that believes RIFF more sees a shorter file,
        // never garbage.
        self.file.write_all_at(&data.to_le_bytes(), self.data_length_at())?;
        let riff = riff_bytes(self.header_bytes, data);
        self.file.write_all_at(&riff.to_le_bytes(), RIFF_BYTES_AT.into())
    }

    fn data_length_at(&self) -> u64 {
        (self.header_bytes as u64).saturating_sub(4)
    }

    /// Lengths of 64 bits. Whenever the process ends, what is there is read: first they stand in a chunk that
    /// nobody looks at, then the data goes on to the end of the file, then the file says what it is.
    fn write_long_lengths(&mut self) -> io::Result<()> {
        let riff = (self.header_bytes as u64).saturating_sub(8).saturating_add(self.data_bytes);
        let frames = self.data_bytes / u64::from(self.frame_bytes);
        let lengths: Vec<u8> =
            [riff, self.data_bytes, frames].into_iter().flat_map(u64::to_le_bytes).collect();
        self.file.write_all_at(&lengths, DS64_AT + 8)?;
        if !self.long {
            self.file.write_all_at(b"ds64", DS64_AT)?;
            self.file.write_all_at(&[0xFF; 4], self.data_length_at())?;
            self.file.write_all_at(b"RF64\xFF\xFF\xFF\xFF", 0)?;
            self.long = true;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SampleFormat;
    use crate::wav::{HEADER_BYTES_MAX, Samples, is_ours};

    const FORMAT: StreamFormat = StreamFormat { sample: SampleFormat::S16, channels: 2, rate: 48_000 };

    fn begin(path: &Path, format: StreamFormat) -> (WavFile, Vec<u8>) {
        let mut file = WavFile::begin_recording(File::create(path).unwrap(), format).unwrap();
        file.add(&[1, 2, 3, 4]).unwrap();
        file.flush().unwrap();
        let header = std::fs::read(path).unwrap();
        assert!(is_ours(&header) && header.len() as u64 <= HEADER_BYTES_MAX + 4);
        (file, header)
    }

    #[test]
    fn recording_below_4_gib_is_read_by_a_reader_that_does_not_know_rf64() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wav");
        let (_, header) = begin(&path, FORMAT);
        assert!(header.starts_with(b"RIFF") && header[12..16] == *b"JUNK");
        let samples: Vec<i16> =
            hound::WavReader::open(&path).unwrap().into_samples().map(Result::unwrap).collect();
        assert_eq!(samples, [0x0201, 0x0403]);
    }

    /// The file is sparse: nothing of 4 GiB is written.
    #[test]
    fn recording_beyond_4_gib_goes_on_as_rf64_whatever_moment_it_ends_in() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wav");
        for wide in [FORMAT, StreamFormat { sample: SampleFormat::S32, channels: 1, ..FORMAT }] {
            let (mut file, header) = begin(&path, wide);
            let before = u64::from(DATA_BYTES_MAX) - 4;
            file.file.set_len(header.len() as u64 - 4 + before).unwrap();
            file.data_bytes = before;
            for (count, magic) in [(1, b"RIFF"), (2, b"RF64"), (3, b"RF64")] {
                file.add(&[5, 6, 7, count]).unwrap();
                file.flush().unwrap();
                let samples = Samples::open(&path).unwrap();
                let all = before + 4 * u64::from(count);
                assert_eq!((samples.bytes(), samples.warnings()), (all, &[][..]), "{count}");
                let mut last = [0; 4];
                assert_eq!(samples.read_at(all - 4, &mut last).unwrap(), 4);
                assert_eq!(last, [5, 6, 7, count]);
                let mut begin = vec![0; 256];
                let read = File::open(&path).unwrap().read_at(&mut begin, 0).unwrap();
                assert!(read > 4 && begin.starts_with(magic) && is_ours(&begin));
            }
            // Killed between the steps: the data's length says "to the end", or the old one.
            for half in [&b"RIFF\xFF\xFF\xFF\xFF"[..], b"RIFF\0\0\0\0"] {
                file.file.write_all_at(half, 0).unwrap();
                assert_eq!(Samples::open(&path).unwrap().bytes(), before + 12);
            }
        }
    }

    #[test]
    fn what_is_no_recording_ends_at_4_gib_with_an_error_and_stays_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wav");
        let mut file = WavFile::create(&path, FORMAT).unwrap();
        file.add(&[1, 2, 3, 4]).unwrap();
        file.flush().unwrap();
        let before = u64::from(DATA_BYTES_MAX) / 4 * 4;
        file.file.set_len(file.header_bytes as u64 + before).unwrap();
        file.data_bytes = before - 4;
        file.add(&[5, 6, 7, 8]).unwrap();
        file.flush().unwrap();
        for _ in 0..2 {
            file.add(&[9, 9, 9, 9]).unwrap();
            assert_eq!(file.flush().unwrap_err().kind(), io::ErrorKind::FileTooLarge);
            assert!(file.flush().is_ok(), "said once for what was added");
            let samples = Samples::open(&path).unwrap();
            assert_eq!((samples.bytes(), samples.warnings()), (before, &[][..]));
            let mut last = [0; 4];
            samples.read_at(before - 4, &mut last).unwrap();
            assert_eq!(last, [5, 6, 7, 8]);
        }
    }

    #[test]
    fn speakers_are_those_that_are_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wav");
        let surround = StreamFormat { channels: 6, ..FORMAT };
        for (format, speakers, found) in [
            (surround, Some(0x60F), Some(0x60F)),
            (surround, None, Some(0x3F)),
            (FORMAT, None, None),
            (FORMAT, Some(0x3), None),
            (FORMAT, Some(0x30), Some(0x30)),
        ] {
            drop(WavFile::create_for(&path, format, speakers).unwrap());
            assert_eq!(Samples::open(&path).unwrap().speakers(), found, "{speakers:?}");
        }
    }
}

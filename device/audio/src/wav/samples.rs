//! The samples of a WAV file, read at any position and as they are asked for: a file may be of any length.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::path::Path;

use super::bytes::Bytes;
use super::header::{TAG_FLOAT, TAG_PCM};
use super::read::{FILE_BYTES_MAX, Fmt, Found, Sound, WavError, find_data};
use crate::{SampleFormat, StreamFormat};

/// Bytes of a file that are read at once, and kept.
const BLOCK_BYTES: u64 = 64 << 10;
/// Bytes of samples that are converted at once.
const CONVERTED_BYTES: usize = 32 << 10;

/// The samples of a file.
pub struct Samples<'a> {
    bytes: Bytes<'a>,
    /// Where the first sample is.
    data_at: u64,
    frames: u64,
    format: StreamFormat,
    /// How a sample lies in the file.
    stored: SampleFormat,
    speakers: Option<u32>,
    warnings: Vec<String>,
    /// A block of the file, and where it begins.
    block: RefCell<(u64, Vec<u8>)>,
    /// The first error of [`Samples::read`].
    error: RefCell<Option<io::Error>>,
}

impl Samples<'static> {
    /// Those of the file at `path`, which may be a FIFO.
    pub fn open(path: &Path) -> Result<Self, WavError> {
        Self::new(Bytes::open(path)?)
    }

    /// Those of a regular file that is open.
    pub fn of_file(file: File) -> Result<Self, WavError> {
        let bytes = file.metadata()?.len();
        Self::new(Bytes::File(file, bytes))
    }
}

impl<'a> Samples<'a> {
    /// Those of a WAV file.
    pub(super) fn new(bytes: Bytes<'a>) -> Result<Self, WavError> {
        let Found { fmt, data, warnings } = find_data(&bytes)?;
        let (sample, stored) = sample_formats(&fmt)?;
        let format = StreamFormat { sample, channels: fmt.channels.into(), rate: fmt.rate };
        // Where a pipe ended is no matter of frames.
        let frames = (data.end - data.start) / fmt.frame_bytes() as u64;
        let samples = Self::with(bytes, data.start, frames, format, stored);
        Ok(Self { speakers: fmt.speakers, warnings, ..samples })
    }

    /// Those of a sound in memory.
    pub fn of(sound: &'a Sound) -> Self {
        let bytes = Bytes::Memory(Cow::Borrowed(&sound.frames));
        Self::with(bytes, 0, sound.len(), sound.format, sound.format.sample)
    }

    fn with(bytes: Bytes<'a>, data_at: u64, frames: u64, format: StreamFormat, stored: SampleFormat) -> Self {
        let (block, error) = (RefCell::default(), RefCell::default());
        Self { bytes, data_at, frames, format, stored, speakers: None, warnings: Vec::new(), block, error }
    }

    /// What they are.
    pub fn format(&self) -> StreamFormat {
        self.format
    }

    /// How a sample lies in the file; [`Samples::format`] keeps its value.
    pub fn stored(&self) -> SampleFormat {
        self.stored
    }

    /// The speakers of its channels (`KSAUDIO_SPEAKER_*`), if the file says.
    pub fn speakers(&self) -> Option<u32> {
        self.speakers
    }

    /// What is odd about the file: each a sentence about it.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// How many frames.
    pub fn len(&self) -> u64 {
        self.frames
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.frames == 0
    }

    /// Bytes of all frames in that format.
    pub fn bytes(&self) -> u64 {
        self.frames.saturating_mul(self.format.frame_bytes().into())
    }

    /// Fills `into`, whole samples, from this byte on, that of a sample; gives how many bytes there were,
    /// fewer only at the end.
    pub fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        let there = self.bytes().saturating_sub(at).min(into.len() as u64);
        let into = into.get_mut(..usize::try_from(there).unwrap_or(0)).unwrap_or_default();
        let (stored, given) = (u64::from(self.stored.bytes()), u64::from(self.format.sample.bytes()));
        let mut from = self.data_at.saturating_add(at / given * stored);
        if self.stored == self.format.sample {
            return self.raw_at(from, into);
        }
        let mut done = 0;
        for part in into.chunks_mut(CONVERTED_BYTES) {
            let mut raw = vec![0; usize::try_from(part.len() as u64 / given * stored).unwrap_or(0)];
            let read = self.raw_at(from, &mut raw)?;
            self.stored.convert(raw.get(..read).unwrap_or_default(), self.format.sample, part);
            done += usize::try_from(read as u64 / stored * given).unwrap_or(0);
            if read < raw.len() {
                break;
            }
            from = from.saturating_add(read as u64);
        }
        Ok(done)
    }

    /// As [`Samples::read_at`]; what is not there, or cannot be read, is zero. [`Samples::take_error`] tells
    /// why.
    pub fn read(&self, at: u64, into: &mut [u8]) {
        let read = self.read_at(at, into).unwrap_or_else(|error| {
            self.error.borrow_mut().get_or_insert(error);
            0
        });
        if let Some(rest) = into.get_mut(read..) {
            rest.fill(self.format.sample.silence());
            if !rest.is_empty() {
                let short = || io::Error::new(io::ErrorKind::UnexpectedEof, "it was cut while it was read");
                self.error.borrow_mut().get_or_insert_with(short);
            }
        }
    }

    /// What went wrong first, if anything.
    pub fn take_error(&self) -> Option<io::Error> {
        self.error.borrow_mut().take()
    }

    /// All of them, if they are not too many for memory.
    pub fn sound(&self) -> Result<Sound, WavError> {
        let bytes = self.bytes();
        let fits = usize::try_from(bytes).ok().filter(|_| bytes <= FILE_BYTES_MAX);
        let mut frames = vec![0; fits.ok_or(WavError::TooLong(FILE_BYTES_MAX))?];
        self.read(0, &mut frames);
        self.take_error().map_or(Ok(Sound { format: self.format, frames }), |error| Err(error.into()))
    }

    /// Bytes of the file, by way of the block.
    fn raw_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        if matches!(self.bytes, Bytes::Memory(_)) || into.len() as u64 >= BLOCK_BYTES {
            return self.bytes.read_at(at, into);
        }
        let mut done = 0;
        let (begin, block) = &mut *self.block.borrow_mut();
        while done < into.len() {
            let position = at.saturating_add(done as u64);
            let wanted = position - position % BLOCK_BYTES;
            if *begin != wanted || block.is_empty() {
                *begin = wanted;
                block.resize(usize::try_from(BLOCK_BYTES).unwrap_or(0), 0);
                let read = self.bytes.read_at(wanted, block).inspect_err(|_| block.clear())?;
                block.truncate(read);
            }
            let from = usize::try_from(position - wanted).unwrap_or(usize::MAX);
            let there = block.get(from..).unwrap_or_default();
            let rest = into.get_mut(done..).unwrap_or_default();
            let count = there.len().min(rest.len());
            if count == 0 {
                break;
            }
            if let (Some(rest), Some(there)) = (rest.get_mut(..count), there.get(..count)) {
                rest.copy_from_slice(there);
            }
            done += count;
        }
        Ok(done)
    }
}

/// In which format the samples of a file are given, and in which they lie there. The one keeps every value of
/// the other.
fn sample_formats(fmt: &Fmt) -> Result<(SampleFormat, SampleFormat), WavError> {
    use SampleFormat::{F32, S16, S24, S24In32, S32, U8};
    Ok(match (fmt.tag, fmt.container, fmt.valid) {
        (TAG_PCM, 8, _) => (S16, U8),
        (TAG_PCM, 16, _) => (S16, S16),
        (TAG_PCM, 24, _) => (S24In32, S24),
        (TAG_PCM, 32, 17..=24) => (S24In32, S24In32),
        (TAG_PCM, 32, _) => (S32, S32),
        (TAG_FLOAT, 32, _) => (F32, F32),
        (tag, bits, _) => return Err(WavError::Samples { tag, bits }),
    })
}

//! Finds the samples in a WAV file, and reads it whole. Foreign bytes: every length is checked against what
//! is there.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use super::bytes::Bytes;
use super::header::{SUBTYPE_TAIL, TAG_EXTENSIBLE, TAG_FLOAT, TAG_PCM};
use super::kinds;
use super::samples::Samples;
use crate::StreamFormat;
use crate::next_step;

/// The longest sound that is read whole, bytes.
pub const FILE_BYTES_MAX: u64 = 2 << 30;

/// Frames, and what they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sound {
    /// Their format; a rate and a number of channels that the card cannot play are possible.
    pub format: StreamFormat,
    /// Whole frames.
    pub frames: Vec<u8>,
}

impl Sound {
    /// How many frames.
    pub fn len(&self) -> u64 {
        (self.frames.len() as u64).checked_div(u64::from(self.format.frame_bytes())).unwrap_or(0)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
}

/// Why there is no sound to be had from a file, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum WavError {
    /// It cannot be read.
    #[error("{}", next_step::reading(.0))]
    Io(#[from] std::io::Error),
    /// It has more bytes than these.
    #[error("longer than {} MiB; give a part of it", .0 >> 20)]
    TooLong(u64),
    /// No RIFF header with form WAVE.
    #[error("not a WAV file; give a PCM or float WAV file")]
    NotWave,
    /// It begins as a file of another kind.
    #[error("{0}; convert it to a plain PCM or 32-bit float WAV file")]
    Other(&'static str),
    /// A chunk before the data is longer than the file.
    #[error(
        "its chunk \"{}\" says {said} bytes, and {there} are left in the file; record or copy it again",
        name.escape_debug()
    )]
    LongChunk {
        /// Its name.
        name: String,
        /// What it says.
        said: u64,
        /// What is there.
        there: u64,
    },
    /// The data is longer than the file.
    #[error("cut short: it says {said} bytes of sound and has {there}; record or copy it again")]
    CutShort {
        /// What the header says.
        said: u64,
        /// What is there.
        there: u64,
    },
    /// There is no format before the data, or no data.
    #[error("it has no {0} chunk; give a whole WAV file")]
    Missing(&'static str),
    /// No sound has this format.
    #[error("its fmt chunk {0}; make it again")]
    BadFormat(&'static str),
    /// The data ends in the middle of a frame.
    #[error("its sound ends in the middle of a frame; record or copy it again")]
    PartialFrame,
    /// RF64 or BW64 without its lengths.
    #[error("its ds64 chunk is too short; make it again")]
    BadLengths,
    /// Samples of a kind that the card does not have.
    #[error("{}; convert it to 8-, 16-, 24- or 32-bit PCM or 32-bit float", kinds::samples(*tag, *bits))]
    Samples {
        /// The (sub)format's tag.
        tag: u16,
        /// Bits of a sample's container.
        bits: u16,
    },
}

/// What the format chunk says.
pub(super) struct Fmt {
    pub(super) tag: u16,
    pub(super) channels: u16,
    pub(super) rate: u32,
    /// Bits of a sample's bytes.
    pub(super) container: u16,
    pub(super) valid: u16,
    /// `KSAUDIO_SPEAKER_*`, of an extensible format.
    pub(super) speakers: Option<u32>,
}

impl Fmt {
    /// Bytes of a frame in the file, at least 1.
    pub(super) fn frame_bytes(&self) -> usize {
        (usize::from(self.channels) * usize::from(self.container.div_ceil(8))).max(1)
    }
}

/// Where the samples are, and what is odd about the file.
pub(super) struct Found {
    pub(super) fmt: Fmt,
    pub(super) data: Range<u64>,
    pub(super) warnings: Vec<String>,
}

/// Reads the file at `path`.
pub fn read(path: &Path) -> Result<Sound, WavError> {
    Samples::open(path)?.sound()
}

/// Reads a file that is in memory.
pub fn parse(file: &[u8]) -> Result<Sound, WavError> {
    Samples::new(Bytes::Memory(Cow::Borrowed(file)))?.sound()
}

/// Chunks of a file that are looked at. Each takes a read, and a file of zeros is nothing but empty chunks.
const CHUNKS_MAX: u32 = 4096;
/// No field of a format chunk that matters is further behind.
const FMT_BYTES_MAX: u64 = 40;
/// Lengths that stand for "to the end of the file", when they are longer than that: of programs that write to
/// a pipe (0xFFFFFFFF ffmpeg and this one, 0x7FFFF000 sox), and of such that were ended before they knew. The
/// first does always: no more fits in 32 bits, and a file may be longer.
const PLACEHOLDERS: [u32; 7] =
    [0xFFFF_FFFF, 0x7FFF_F000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_F000, 0x7FFF_FFFE, 0xFFFF_FFFE];

/// A chunk's name and length, and where its content is.
#[derive(Clone, Copy)]
struct Chunk {
    name: [u8; 4],
    said: u32,
    body: u64,
}

impl Chunk {
    fn at(file: &Bytes<'_>, at: u64) -> std::io::Result<Option<Self>> {
        let mut head = [0; 8];
        if file.read_at(at, &mut head)? < head.len() {
            return Ok(None);
        }
        let [a, b, c, d, said @ ..] = head;
        let body = at.saturating_add(8);
        Ok(Some(Self { name: [a, b, c, d], said: u32::from_le_bytes(said), body }))
    }

    /// As it is told.
    fn name(&self) -> String {
        String::from_utf8_lossy(&self.name).trim_end().to_owned()
    }

    /// Whether a file may have a chunk of this name: letters, digits and signs.
    fn is_likely(&self) -> bool {
        self.name.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') && self.name != *b"    "
    }
}

/// Goes through the chunks of a file.
struct Chunks<'a> {
    file: &'a Bytes<'a>,
    /// RF64 and BW64: lengths of 64 bits stand in their chunk `ds64` (EBU Tech 3306, ITU-R BS.2088).
    long: bool,
    /// The length of the data there.
    long_data: Option<u64>,
    fmt: Option<Fmt>,
    warnings: Vec<String>,
}

/// What the samples of a file are, and where.
pub(super) fn find_data(file: &Bytes<'_>) -> Result<Found, WavError> {
    let mut begin = [0; 16];
    let read = file.read_at(0, &mut begin)?;
    let begin = begin.get(..read).unwrap_or_default();
    let long = begin.starts_with(b"RF64") || begin.starts_with(b"BW64");
    if !long && !begin.starts_with(b"RIFF") {
        return Err(kinds::other_file(begin).map_or(WavError::NotWave, WavError::Other));
    }
    if begin.get(8..12) != Some(b"WAVE") {
        return Err(WavError::NotWave);
    }
    let mut chunks = Chunks { file, long, long_data: None, fmt: None, warnings: Vec::new() };
    let mut at = 12_u64;
    for _ in 0..CHUNKS_MAX {
        let Some(chunk) = Chunk::at(file, at)? else { break };
        if &chunk.name == b"data" {
            let data = chunks.data(chunk)?;
            chunks.look_behind(data.end)?;
            let fmt = chunks.fmt.ok_or(WavError::Missing("fmt"))?;
            return Ok(Found { fmt, data, warnings: chunks.warnings });
        }
        let (there, bytes) = (file.len().saturating_sub(chunk.body), u64::from(chunk.said));
        if bytes > there {
            return Err(WavError::LongChunk { name: chunk.name(), said: bytes, there });
        }
        chunks.take(chunk)?;
        at = chunks.behind(chunk.body.saturating_add(bytes), &chunk.name())?;
    }
    Err(WavError::Missing(if chunks.fmt.is_some() { "data" } else { "fmt" }))
}

impl Chunks<'_> {
    /// A chunk before the data, all of which is there.
    fn take(&mut self, chunk: Chunk) -> Result<(), WavError> {
        let mut fields = vec![0; usize::try_from(u64::from(chunk.said).min(FMT_BYTES_MAX)).unwrap_or(0)];
        match &chunk.name {
            b"fmt " => {
                let read = self.file.read_at(chunk.body, &mut fields)?;
                let (fmt, warning) = parse_fmt(fields.get(..read).unwrap_or_default())?;
                self.warnings.extend(warning);
                self.fmt = Some(fmt);
            }
            b"ds64" if self.long => {
                let read = self.file.read_at(chunk.body, &mut fields)?;
                let data = fields.get(..read).and_then(|fields| fields.get(8..16)?.try_into().ok());
                self.long_data = Some(u64::from_le_bytes(data.ok_or(WavError::BadLengths)?));
            }
            _ => {}
        }
        Ok(())
    }

    /// Where the chunk behind one that ends here begins: chunks are padded to an even length, and some
    /// programs forget that.
    fn behind(&mut self, end: u64, name: &str) -> Result<u64, WavError> {
        let padded = end.saturating_add(end % 2);
        if padded == end {
            return Ok(end);
        }
        let likely =
            |at: u64| Ok::<_, WavError>(Chunk::at(self.file, at)?.is_some_and(|chunk| chunk.is_likely()));
        if !likely(padded)? && likely(end)? {
            let name = name.escape_debug();
            self.warnings.push(format!("its chunk \"{name}\" has an odd length and no byte of padding"));
            return Ok(end);
        }
        Ok(padded)
    }

    /// Where the samples are.
    fn data(&mut self, chunk: Chunk) -> Result<Range<u64>, WavError> {
        let fmt = self.fmt.as_ref().ok_or(WavError::Missing("fmt"))?;
        let (frame, there) = (fmt.frame_bytes() as u64, self.file.len().saturating_sub(chunk.body));
        let whole = |bytes: u64| chunk.body..chunk.body.saturating_add(bytes);
        let to_the_end = |warnings: &mut Vec<String>, said: &str| {
            warnings.push(format!("it says {said} of sound; all up to the end of the file is taken"));
            // Where a stream ended is no matter of frames.
            whole(there - there % frame)
        };
        let said = match self.long_data {
            // A program that was ended before it knew.
            Some(0) if chunk.said == u32::MAX && there > 0 => {
                return Ok(to_the_end(&mut self.warnings, "0 bytes"));
            }
            Some(said) if chunk.said == u32::MAX => said,
            _ => chunk.said.into(),
        };
        if said == 0 && there > 0 && !self.has_chunks(chunk.body)? {
            return Ok(to_the_end(&mut self.warnings, "0 bytes"));
        }
        let all = self.long_data.is_none() && chunk.said == u32::MAX;
        if all || said > there {
            if self.long_data.is_none() && PLACEHOLDERS.contains(&chunk.said) {
                return Ok(to_the_end(&mut self.warnings, &format!("{said:#x} bytes")));
            }
            return Err(WavError::CutShort { said, there });
        }
        if said % frame == 0 { Ok(whole(said)) } else { Err(WavError::PartialFrame) }
    }

    /// Whether there is nothing but chunks from here to the end of the file.
    fn has_chunks(&self, mut at: u64) -> Result<bool, WavError> {
        for _ in 0..CHUNKS_MAX {
            let Some(chunk) = Chunk::at(self.file, at)? else { break };
            if !chunk.is_likely() || &chunk.name == b"data" {
                return Ok(false);
            }
            let end = chunk.body.saturating_add(chunk.said.into());
            at = end.saturating_add(end % 2);
            if at >= self.file.len() {
                return Ok(end <= self.file.len());
            }
        }
        Ok(false)
    }

    /// What stands behind the data: another piece of sound would be missed.
    fn look_behind(&mut self, end: u64) -> Result<(), WavError> {
        let mut at = end.saturating_add(end % 2);
        for _ in 0..CHUNKS_MAX {
            let Some(chunk) = Chunk::at(self.file, at)?.filter(Chunk::is_likely) else { break };
            if &chunk.name == b"data" {
                self.warnings.push("it has a second data chunk, which is not taken".to_owned());
                break;
            }
            let end = chunk.body.saturating_add(chunk.said.into());
            at = end.saturating_add(end % 2);
        }
        Ok(())
    }
}

fn parse_fmt(body: &[u8]) -> Result<(Fmt, Option<String>), WavError> {
    let short = |at: usize| body.get(at..at + 2).and_then(|b| Some(u16::from_le_bytes(b.try_into().ok()?)));
    let long = |at: usize| body.get(at..at + 4).and_then(|b| Some(u32::from_le_bytes(b.try_into().ok()?)));
    let field = |value: Option<u16>| value.ok_or(WavError::BadFormat("is too short"));
    let container = field(short(14))?;
    let mut fmt = Fmt {
        tag: field(short(0))?,
        channels: field(short(2))?,
        rate: long(4).ok_or(WavError::BadFormat("is too short"))?,
        container,
        valid: container,
        speakers: None,
    };
    let align = field(short(12))?;
    let mut warning = None;
    if fmt.tag == TAG_EXTENSIBLE {
        fmt.valid = field(short(18))?;
        fmt.speakers = long(20);
        fmt.tag = field(short(24))?;
        if body.get(26..40) != Some(&SUBTYPE_TAIL) {
            return Err(WavError::Samples { tag: TAG_EXTENSIBLE, bits: container });
        }
        let speakers = fmt.speakers.unwrap_or(0);
        if speakers != 0 && speakers.count_ones() != u32::from(fmt.channels) {
            let channels = fmt.channels;
            warning =
                Some(format!("its speakers ({speakers:#x}) are not as many as its channels ({channels})"));
        }
    }
    // What the fields of a compressed format mean is unknown here: that they do not fit those of PCM is no
    // fault of theirs.
    if !matches!(fmt.tag, TAG_PCM | TAG_FLOAT) {
        return Err(WavError::Samples { tag: fmt.tag, bits: container });
    }
    let bytes = u32::from(align).checked_div(fmt.channels.into()).unwrap_or(0);
    // Samples of PCM may have more bytes than bits: then they lie in the upper ones, as in an extensible
    // format.
    if fmt.tag == TAG_PCM
        && (1..=32).contains(&container)
        && (u32::from(container.div_ceil(8))..=4).contains(&bytes)
        && bytes * u32::from(fmt.channels) == u32::from(align)
    {
        fmt.container = u16::try_from(bytes * 8).unwrap_or(container);
        if fmt.container / 8 != container.div_ceil(8) {
            warning =
                Some(format!("its samples have {container} bits in {bytes} bytes; the upper ones are taken"));
        }
    }
    let frame_bytes = u32::from(fmt.channels) * u32::from(fmt.container.div_ceil(8));
    let wrong = match () {
        () if fmt.channels == 0 => "says 0 channels",
        () if container == 0 => "says 0 bits a sample",
        () if fmt.rate == 0 => "says 0 Hz",
        () if u32::from(align) != frame_bytes => "says a frame of other bytes than its channels have",
        () if fmt.valid > fmt.container => "says more valid bits than a sample has",
        () => return Ok((fmt, warning)),
    };
    Err(WavError::BadFormat(wrong))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SampleFormat::{self, F32, S16, S24, S24In32, S32, U8};
    use crate::wav::WavFile;
    use crate::wav::header::{Options, header};
    use proptest::prelude::*;

    #[test]
    fn what_is_written_reads_back_in_every_format_and_at_every_moment() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wav");
        for (sample, channels) in SampleFormat::ALL.into_iter().flat_map(|f| (1..=8).map(move |n| (f, n))) {
            let format = StreamFormat { sample, channels, rate: 96_000 };
            // 8 bits and 24 bits in 3 bytes are given in wider samples.
            let given = match sample {
                U8 => S16,
                S24 => S24In32,
                S16 | S24In32 | S32 | F32 => sample,
            };
            let sound = |bytes: &[u8]| {
                let samples = bytes.len() / sample.bytes() as usize;
                let mut frames = bytes.to_vec();
                if given != sample {
                    frames = vec![0; samples * given.bytes() as usize];
                    sample.convert(bytes, given, &mut frames);
                }
                Sound { format: StreamFormat { sample: given, ..format }, frames }
            };
            let frames: Vec<u8> =
                (0..format.frame_bytes() * 100).map(|n| (n * 7 + n / 256).to_le_bytes()[0]).collect();
            let mut file = WavFile::create(&path, format).unwrap();
            assert_eq!(read(&path).unwrap(), sound(&[]), "before the first sample");
            let (first, rest) = frames.split_at(frames.len() / 2);
            file.add(first).unwrap();
            file.flush().unwrap();
            file.add(rest).unwrap();
            assert_eq!(read(&path).unwrap(), sound(first), "as kill -9 leaves it");
            file.flush().unwrap();
            assert_eq!(read(&path).unwrap(), sound(&frames), "{} {channels}", sample.name());
        }
    }

    #[test]
    fn another_program_reads_it_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wav");
        for (sample, bits) in [(U8, 8), (S16, 16), (S24, 24), (S32, 32), (F32, 32)] {
            for channels in [1, 2, 6] {
                let format = StreamFormat { sample, channels, rate: 48_000 };
                let mut file = WavFile::create(&path, format).unwrap();
                file.add(&vec![0; format.frame_bytes() as usize * 10]).unwrap();
                file.flush().unwrap();
                let reader = hound::WavReader::open(&path).unwrap();
                let spec = reader.spec();
                assert_eq!(
                    (u32::from(spec.channels), spec.sample_rate, spec.bits_per_sample),
                    (channels, 48_000, bits)
                );
                assert_eq!(spec.sample_format == hound::SampleFormat::Float, sample == F32);
                assert_eq!(reader.duration(), 10);
            }
        }
    }

    #[test]
    fn files_of_others_are_read_exactly() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wav");
        let write = |bits, samples: &[i32]| {
            let spec = hound::WavSpec {
                channels: 1,
                sample_rate: 44_100,
                bits_per_sample: bits,
                sample_format: hound::SampleFormat::Int,
            };
            let mut writer = hound::WavWriter::create(&path, spec).unwrap();
            for sample in samples {
                writer.write_sample(*sample).unwrap();
            }
            writer.finalize().unwrap();
            read(&path).unwrap()
        };
        let eight = write(8, &[-128, 0, 127]);
        assert_eq!((eight.format.sample, eight.len()), (S16, 3));
        assert_eq!(eight.frames, [0x00, 0x80, 0, 0, 0, 0x7F]);
        let packed = write(24, &[-1, 0x12_3456]);
        assert_eq!((packed.format.sample, packed.len()), (S24In32, 2));
        assert_eq!(packed.frames, [0, 0xFF, 0xFF, 0xFF, 0, 0x56, 0x34, 0x12]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let good = header(StreamFormat { sample: F32, channels: 2, rate: 8_000 }, Options::default());
        assert!(parse(&good).unwrap().is_empty());
        assert!(matches!(parse(b"RIFX"), Err(WavError::Other(_))));
        assert!(matches!(parse(&good[..12]), Err(WavError::Missing("fmt"))));
        assert!(matches!(parse(&good[..60]), Err(WavError::Missing("data"))));
        let mut long = good.clone();
        let at = long.len() - 4;
        long[at] = 9;
        assert!(matches!(parse(&long), Err(WavError::CutShort { said: 9, there: 0 })));
        let mut other = good.clone();
        other[20 + 24] = 7;
        assert!(matches!(parse(&other), Err(WavError::Samples { tag: 7, bits: 32 })));
    }

    proptest! {
        #[test]
        fn foreign_bytes_do_no_harm(change in proptest::collection::vec((0..80_usize, any::<u8>()), 0..8), cut in 0..90_usize) {
            let mut file = header(StreamFormat { sample: S24In32, channels: 3, rate: 8_000 }, Options::default());
            file.extend([1; 12]);
            for (at, value) in change {
                if let Some(byte) = file.get_mut(at) {
                    *byte = value;
                }
            }
            file.truncate(cut);
            if let Ok(sound) = parse(&file) {
                prop_assert!(sound.frames.len() <= 4 * file.len());
            }
        }
    }
}

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
    /// A chunk is longer than the file.
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
    pub(super) container: u16,
    pub(super) valid: u16,
}

impl Fmt {
    /// Bytes of a frame in the file, at least 1.
    pub(super) fn frame_bytes(&self) -> usize {
        (usize::from(self.channels) * usize::from(self.container.div_ceil(8))).max(1)
    }
}

/// Reads the file at `path`.
pub fn read(path: &Path) -> Result<Sound, WavError> {
    Samples::open(path)?.sound()
}

/// Reads a file that is in memory.
pub fn parse(file: &[u8]) -> Result<Sound, WavError> {
    Samples::new(Bytes::Memory(Cow::Borrowed(file)))?.sound()
}

/// Chunks that may come before the data. Each takes a read, and a file of zeros is nothing but empty chunks.
const CHUNKS_MAX: u32 = 4096;
/// No field of a format chunk that matters is further behind.
const FMT_BYTES_MAX: u64 = 40;

/// What the samples of a file are, and where.
pub(super) fn find_data(file: &Bytes<'_>) -> Result<(Fmt, Range<u64>), WavError> {
    let mut begin = [0; 16];
    let read = file.read_at(0, &mut begin)?;
    let begin = begin.get(..read).unwrap_or_default();
    if !begin.starts_with(b"RIFF") {
        return Err(kinds::other_file(begin).map_or(WavError::NotWave, WavError::Other));
    }
    if begin.get(8..12) != Some(b"WAVE") {
        return Err(WavError::NotWave);
    }
    let (mut fmt, mut at) = (None, 12_u64);
    for _ in 0..CHUNKS_MAX {
        let mut head = [0; 8];
        if file.read_at(at, &mut head)? < head.len() {
            break;
        }
        let [a, b, c, d, length @ ..] = head;
        let (name, said) = ([a, b, c, d], u32::from_le_bytes(length));
        let body = at + 8;
        let (there, bytes) = (file.len().saturating_sub(body), u64::from(said));
        match &name {
            // A file that went through a pipe.
            b"data" if said == u32::MAX => {
                return Ok((fmt.ok_or(WavError::Missing("fmt"))?, body..body + there));
            }
            _ if bytes > there => return Err(WavError::CutShort { said: bytes, there }),
            b"data" => {
                let fmt: Fmt = fmt.ok_or(WavError::Missing("fmt"))?;
                let partial = bytes % fmt.frame_bytes() as u64 != 0;
                return if partial { Err(WavError::PartialFrame) } else { Ok((fmt, body..body + bytes)) };
            }
            b"fmt " => {
                let mut fields = vec![0; usize::try_from(bytes.min(FMT_BYTES_MAX)).unwrap_or(0)];
                let read = file.read_at(body, &mut fields)?;
                fmt = Some(parse_fmt(fields.get(..read).unwrap_or_default())?);
            }
            _ => {}
        }
        // Chunks are padded to an even length.
        at = body + bytes + bytes % 2;
    }
    Err(WavError::Missing(if fmt.is_some() { "data" } else { "fmt" }))
}

fn parse_fmt(body: &[u8]) -> Result<Fmt, WavError> {
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
    };
    let align = field(short(12))?;
    if fmt.tag == TAG_EXTENSIBLE {
        fmt.valid = field(short(18))?;
        fmt.tag = field(short(24))?;
        if body.get(26..40) != Some(&SUBTYPE_TAIL) {
            return Err(WavError::Samples { tag: TAG_EXTENSIBLE, bits: container });
        }
    }
    // What the fields of a compressed format mean is unknown here: that they do not fit those of PCM is no
    // fault of theirs.
    if !matches!(fmt.tag, TAG_PCM | TAG_FLOAT) {
        return Err(WavError::Samples { tag: fmt.tag, bits: container });
    }
    let frame_bytes = u32::from(fmt.channels) * u32::from(container.div_ceil(8));
    let wrong = match () {
        () if fmt.channels == 0 => "says 0 channels",
        () if container == 0 => "says 0 bits a sample",
        () if fmt.rate == 0 => "says 0 Hz",
        () if u32::from(align) != frame_bytes => "says a frame of other bytes than its channels have",
        () if fmt.valid > container => "says more valid bits than a sample has",
        () => return Ok(fmt),
    };
    Err(WavError::BadFormat(wrong))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SampleFormat::{self, F32, S16, S24, S24In32, S32, U8};
    use crate::wav::WavFile;
    use crate::wav::header::header;
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
        let good = header(StreamFormat { sample: F32, channels: 2, rate: 8_000 }, false);
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
            let mut file = header(StreamFormat { sample: S24In32, channels: 3, rate: 8_000 }, false);
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

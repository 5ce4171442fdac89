//! Reads a WAV file whole, into one of the card's formats. Foreign bytes: every length is checked against what is there.

use std::path::Path;

use ringwave_regs::format;

use super::header::{SUBTYPE_TAIL, TAG_EXTENSIBLE, TAG_FLOAT, TAG_PCM};
use super::kinds;
use crate::next_step;
use crate::ports::StreamFormat;

/// The longest file in bytes.
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
    /// It is too long to be read whole.
    #[error("longer than {} MiB; give a part of it", FILE_BYTES_MAX >> 20)]
    TooLong,
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
struct Fmt {
    tag: u16,
    channels: u16,
    rate: u32,
    container: u16,
    valid: u16,
}

impl Fmt {
    /// Bytes of a frame in the file, at least 1.
    fn frame_bytes(&self) -> usize {
        (usize::from(self.channels) * usize::from(self.container.div_ceil(8))).max(1)
    }
}

/// Reads the file at `path`.
pub fn read(path: &Path) -> Result<Sound, WavError> {
    if std::fs::metadata(path)?.len() > FILE_BYTES_MAX {
        return Err(WavError::TooLong);
    }
    parse(&std::fs::read(path)?)
}

/// Reads a file that is in memory.
pub fn parse(file: &[u8]) -> Result<Sound, WavError> {
    let (b"RIFF", rest) = split::<4>(file).ok_or(WavError::NotWave)? else {
        return Err(kinds::other_file(file).map_or(WavError::NotWave, WavError::Other));
    };
    let (_, rest) = split::<4>(rest).ok_or(WavError::NotWave)?;
    let (b"WAVE", mut rest) = split::<4>(rest).ok_or(WavError::NotWave)? else {
        return Err(WavError::NotWave);
    };
    let mut fmt = None;
    while let Some((name, after)) = split::<4>(rest) {
        let Some((bytes, after)) = split::<4>(after) else { break };
        let said = u32::from_le_bytes(*bytes);
        let bytes = usize::try_from(said).unwrap_or(usize::MAX);
        let body = after.get(..bytes);
        match (name, body) {
            (b"fmt ", Some(body)) => fmt = Some(parse_fmt(body)?),
            (b"data", Some(body)) => {
                let fmt = fmt.ok_or(WavError::Missing("fmt"))?;
                let partial = body.len() % fmt.frame_bytes() != 0;
                return if partial { Err(WavError::PartialFrame) } else { sound(&fmt, body) };
            }
            // A file that went through a pipe.
            (b"data", None) if said == u32::MAX => {
                return sound(&fmt.ok_or(WavError::Missing("fmt"))?, after);
            }
            (_, None) => return Err(WavError::CutShort { said: said.into(), there: after.len() as u64 }),
            _ => {}
        }
        // Chunks are padded to an even length.
        rest = after.get(bytes.saturating_add(bytes % 2)..).unwrap_or_default();
    }
    Err(WavError::Missing(if fmt.is_some() { "data" } else { "fmt" }))
}

fn split<const N: usize>(bytes: &[u8]) -> Option<(&[u8; N], &[u8])> {
    bytes.split_first_chunk::<N>()
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
    // What the fields of a compressed format mean is unknown here: that they do not fit those of PCM is no fault of theirs.
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

/// The samples in one of the card's formats: exactly, or not at all.
fn sound(fmt: &Fmt, data: &[u8]) -> Result<Sound, WavError> {
    let wider = |bytes: &[u8], low: usize| -> Vec<u8> {
        bytes.chunks_exact(3).flat_map(|s| std::iter::repeat_n(0, low).chain(s.iter().copied())).collect()
    };
    // Where a pipe ended is no matter of frames.
    let whole = data.len() - data.len() % fmt.frame_bytes();
    let data = data.get(..whole).unwrap_or_default();
    let (code, frames) = match (fmt.tag, fmt.container, fmt.valid) {
        // 8-bit samples are unsigned.
        (TAG_PCM, 8, _) => (format::S16, data.iter().flat_map(|s| [0, s ^ 0x80]).collect()),
        (TAG_PCM, 16, _) => (format::S16, data.to_vec()),
        (TAG_PCM, 24, _) => (format::S24_32, wider(data, 1)),
        (TAG_PCM, 32, 17..=24) => (format::S24_32, data.to_vec()),
        (TAG_PCM, 32, _) => (format::S32, data.to_vec()),
        (TAG_FLOAT, 32, _) => (format::F32, data.to_vec()),
        (tag, bits, _) => return Err(WavError::Samples { tag, bits }),
    };
    Ok(Sound { format: StreamFormat { code, channels: fmt.channels.into(), rate: fmt.rate }, frames })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wav::WavFile;
    use crate::wav::header::header;
    use proptest::prelude::*;

    const CODES: [u32; 4] = [format::S16, format::S24_32, format::S32, format::F32];

    #[test]
    fn what_is_written_reads_back_in_every_format_and_at_every_moment() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wav");
        for (code, channels) in CODES.into_iter().flat_map(|code| (1..=8).map(move |n| (code, n))) {
            let format = StreamFormat { code, channels, rate: 96_000 };
            let frames: Vec<u8> =
                (0..format.frame_bytes() * 100).map(|n| (n * 7 + n / 256).to_le_bytes()[0]).collect();
            let mut file = WavFile::create(&path, format).unwrap();
            assert_eq!(read(&path).unwrap(), Sound { format, frames: vec![] }, "before the first sample");
            let (first, rest) = frames.split_at(frames.len() / 2);
            file.add(first).unwrap();
            file.flush().unwrap();
            file.add(rest).unwrap();
            assert_eq!(
                read(&path).unwrap(),
                Sound { format, frames: first.to_vec() },
                "as kill -9 leaves it"
            );
            file.flush().unwrap();
            assert_eq!(read(&path).unwrap(), Sound { format, frames }, "{code} {channels}");
        }
    }

    #[test]
    fn another_program_reads_it_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wav");
        for (code, bits) in [(format::S16, 16), (format::S32, 32), (format::F32, 32)] {
            for channels in [1, 2, 6] {
                let format = StreamFormat { code, channels, rate: 48_000 };
                let mut file = WavFile::create(&path, format).unwrap();
                file.add(&vec![0; format.frame_bytes() as usize * 10]).unwrap();
                file.flush().unwrap();
                let reader = hound::WavReader::open(&path).unwrap();
                let spec = reader.spec();
                assert_eq!(
                    (u32::from(spec.channels), spec.sample_rate, spec.bits_per_sample),
                    (channels, 48_000, bits)
                );
                assert_eq!(spec.sample_format == hound::SampleFormat::Float, code == format::F32);
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
        assert_eq!((eight.format.code, eight.len()), (format::S16, 3));
        assert_eq!(eight.frames, [0x00, 0x80, 0, 0, 0, 0x7F]);
        let packed = write(24, &[-1, 0x12_3456]);
        assert_eq!((packed.format.code, packed.len()), (format::S24_32, 2));
        assert_eq!(packed.frames, [0, 0xFF, 0xFF, 0xFF, 0, 0x56, 0x34, 0x12]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let good = header(StreamFormat { code: format::F32, channels: 2, rate: 8_000 }, false);
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
            let mut file = header(StreamFormat { code: format::S24_32, channels: 3, rate: 8_000 }, false);
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

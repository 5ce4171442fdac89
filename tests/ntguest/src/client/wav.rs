//! WAV files: a small strict reader, for PCM of 16, 24 and 32 bits and 32-bit float with 1 to 8 channels.
//!
//! The whole file is in memory. Chunks that are not known are skipped with their padding; every length is
//! checked against what is there. Packed 24-bit samples, which no card takes, are widened to 24 bits in 32.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt;
use ringwave_audio::SampleFormat;

/// A file that can be played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wav<'a> {
    /// Frames per second.
    pub rate: u32,
    /// 1 to 8.
    pub channels: u16,
    /// How a sample lies in `data`.
    pub sample: SampleFormat,
    /// The frames, interleaved, little-endian; a whole number of them.
    pub data: Cow<'a, [u8]>,
}

impl Wav<'_> {
    /// Bytes of a frame.
    pub fn block_align(&self) -> usize {
        usize::from(self.channels) * usize::from(self.sample.container_bits() / 8)
    }

    /// Number of frames.
    pub fn frames(&self) -> usize {
        self.data.len() / self.block_align()
    }
}

/// The `fmt` chunk.
#[derive(Clone, Copy)]
struct Format {
    rate: u32,
    channels: u16,
    sample: SampleFormat,
    /// Bytes of a sample in the file: 3 when they are packed.
    bytes: usize,
}

impl Format {
    fn wav(self, data: &[u8]) -> Result<Wav<'_>, WavError> {
        let Self { rate, channels, sample, bytes } = self;
        if !data.len().is_multiple_of(bytes * usize::from(channels)) {
            return Err(WavError::PartialFrame);
        }
        let data = if bytes == 3 { Cow::Owned(widened(data)?) } else { Cow::Borrowed(data) };
        Ok(Wav { rate, channels, sample, data })
    }
}

/// Each packed 24-bit sample in the upper bytes of 32 bits.
fn widened(packed: &[u8]) -> Result<Vec<u8>, WavError> {
    let mut wide = Vec::new();
    wide.try_reserve_exact(packed.len() / 3 * 4).map_err(|_| WavError::TooLarge)?;
    for sample in packed.chunks_exact(3) {
        wide.push(0);
        wide.extend_from_slice(sample);
    }
    Ok(wide)
}

/// Why a file can't be played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WavError {
    /// No RIFF header with form WAVE.
    NotWave,
    /// A chunk is longer than the file.
    Truncated,
    /// No format chunk before the data.
    NoFormat,
    /// No data chunk.
    NoData,
    /// The format chunk contradicts itself.
    BadFormat,
    /// A format that is not played: tag, channels, rate, bits.
    Unsupported(u16, u16, u32, u16),
    /// The data is not a whole number of frames.
    PartialFrame,
    /// Packed 24-bit samples for which there is no memory.
    TooLarge,
}

impl fmt::Display for WavError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotWave => f.write_str("no RIFF WAVE file"),
            Self::Truncated => f.write_str("a chunk is longer than the file"),
            Self::NoFormat => f.write_str("no fmt chunk before the data"),
            Self::NoData => f.write_str("no data chunk"),
            Self::BadFormat => f.write_str("the fmt chunk contradicts itself"),
            Self::Unsupported(tag, channels, rate, bits) => {
                write!(
                    f,
                    "format tag {tag:#x}, {channels} channel(s), {rate} Hz, {bits} bits is not played (PCM of 16, 24 or 32 bits or 32-bit float with 1 to 8 channels and 8 to 384 kHz is)"
                )
            }
            Self::TooLarge => f.write_str("too large to be widened to 32 bits"),
            Self::PartialFrame => f.write_str("the data is not a whole number of frames"),
        }
    }
}

const TAG_PCM: u16 = 1;
const TAG_FLOAT: u16 = 3;
const TAG_EXTENSIBLE: u16 = 0xfffe;
/// A subformat GUID after its first two bytes, which are the tag.
const SUBFORMAT_TAIL: [u8; 14] = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71];

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// Reads a file.
pub fn parse(file: &[u8]) -> Result<Wav<'_>, WavError> {
    if file.get(0..4) != Some(b"RIFF") || file.get(8..12) != Some(b"WAVE") {
        return Err(WavError::NotWave);
    }
    let mut rest = file.get(12..).unwrap_or_default();
    let mut format = None;
    while !rest.is_empty() {
        let (Some(id), Some(length)) = (rest.get(0..4), u32_at(rest, 4)) else { break };
        let length = usize::try_from(length).map_err(|_| WavError::Truncated)?;
        let body = rest.get(8..).and_then(|body| body.get(..length)).ok_or(WavError::Truncated)?;
        match id {
            b"fmt " => format = Some(parse_format(body)?),
            b"data" => return format.ok_or(WavError::NoFormat)?.wav(body),
            _ => {}
        }
        // Chunks begin at even offsets; the last one's padding may be missing.
        rest = rest.get(8 + length + length % 2..).unwrap_or_default();
    }
    Err(if format.is_none() { WavError::NoFormat } else { WavError::NoData })
}

fn parse_format(chunk: &[u8]) -> Result<Format, WavError> {
    let short = |at| u16_at(chunk, at).ok_or(WavError::BadFormat);
    let long = |at| u32_at(chunk, at).ok_or(WavError::BadFormat);
    let (tag, channels, rate, bytes_per_second) = (short(0)?, short(2)?, long(4)?, long(8)?);
    let (block_align, bits) = (short(12)?, short(14)?);
    let unsupported = WavError::Unsupported(tag, channels, rate, bits);
    let (kind, valid) = if tag == TAG_EXTENSIBLE {
        if chunk.get(26..40) != Some(&SUBFORMAT_TAIL[..]) {
            return Err(unsupported);
        }
        (short(24)?, short(18)?)
    } else {
        (tag, bits)
    };
    let sample = match (kind, bits, valid) {
        (TAG_PCM, 16, 16) => SampleFormat::S16,
        (TAG_PCM, 24 | 32, 24) => SampleFormat::S24In32,
        (TAG_PCM, 32, 32) => SampleFormat::S32,
        (TAG_FLOAT, 32, 32) => SampleFormat::F32,
        _ => return Err(unsupported),
    };
    if !(1..=8).contains(&channels) || !(8_000..=384_000).contains(&rate) {
        return Err(unsupported);
    }
    if block_align != channels * (bits / 8)
        || u64::from(bytes_per_second) != u64::from(rate) * u64::from(block_align)
    {
        return Err(WavError::BadFormat);
    }
    Ok(Format { rate, channels, sample, bytes: usize::from(bits / 8) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn chunk(id: &[u8], body: &[u8]) -> Vec<u8> {
        let mut out = id.to_vec();
        out.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
        out.extend(body);
        out.resize(out.len().next_multiple_of(2), 0);
        out
    }

    fn format(tag: u16, channels: u16, rate: u32, bits: u16) -> Vec<u8> {
        let align = channels * bits / 8;
        let mut out = Vec::new();
        for short in [tag, channels] {
            out.extend(short.to_le_bytes());
        }
        out.extend(rate.to_le_bytes());
        out.extend((rate * u32::from(align)).to_le_bytes());
        for short in [align, bits] {
            out.extend(short.to_le_bytes());
        }
        out
    }

    fn file(chunks: &[Vec<u8>]) -> Vec<u8> {
        let mut out = b"RIFF\0\0\0\0WAVE".to_vec();
        out.extend(chunks.concat());
        out
    }

    #[test]
    fn odd_chunks_are_skipped_with_their_padding() {
        let bytes = file(&[
            chunk(b"LIST", b"odd"),
            chunk(b"fmt ", &format(1, 2, 44_100, 16)),
            chunk(b"junk", b"x"),
            chunk(b"data", &[1, 2, 3, 4]),
        ]);
        let data = Cow::Borrowed(&[1, 2, 3, 4][..]);
        assert_eq!(parse(&bytes), Ok(Wav { rate: 44_100, channels: 2, sample: SampleFormat::S16, data }));
    }

    #[test]
    fn no_frames_is_a_file() {
        let bytes = file(&[chunk(b"fmt ", &format(1, 1, 48_000, 16)), chunk(b"data", &[])]);
        assert_eq!(parse(&bytes).unwrap().frames(), 0);
    }

    #[test]
    fn extensible_is_read_by_its_subformat() {
        let mut ext = format(TAG_EXTENSIBLE, 1, 48_000, 16);
        ext.extend([22, 0, 16, 0, 4, 0, 0, 0]);
        ext.extend([1, 0]);
        ext.extend(SUBFORMAT_TAIL);
        let data = chunk(b"data", &[0, 1]);
        assert_eq!(parse(&file(&[chunk(b"fmt ", &ext), data.clone()])).unwrap().frames(), 1);
        ext[24] = 3;
        assert!(matches!(parse(&file(&[chunk(b"fmt ", &ext), data])), Err(WavError::Unsupported(..))));
    }

    #[test]
    fn packed_24_bits_become_the_upper_part_of_32() {
        let bytes =
            file(&[chunk(b"fmt ", &format(1, 2, 96_000, 24)), chunk(b"data", &[1, 2, 3, 0xfd, 0xfe, 0xff])]);
        let wav = parse(&bytes).unwrap();
        assert_eq!((wav.sample, wav.block_align(), wav.frames()), (SampleFormat::S24In32, 8, 1));
        assert_eq!(*wav.data, [0, 1, 2, 3, 0, 0xfd, 0xfe, 0xff]);
    }

    #[test]
    fn each_kind_of_sample_is_known_by_tag_bits_and_valid_bits() {
        let extensible = |kind: u8, bits: u16, valid: u8| {
            let mut ext = format(TAG_EXTENSIBLE, 8, 384_000, bits);
            ext.extend([22, 0, valid, 0, 0x3f, 6, 0, 0, kind, 0]);
            ext.extend(SUBFORMAT_TAIL);
            parse(&file(&[chunk(b"fmt ", &ext), chunk(b"data", &[0; 96])])).map(|wav| wav.sample)
        };
        assert_eq!(extensible(1, 32, 24), Ok(SampleFormat::S24In32));
        assert_eq!(extensible(1, 24, 24), Ok(SampleFormat::S24In32));
        assert_eq!(extensible(1, 32, 32), Ok(SampleFormat::S32));
        assert_eq!(extensible(3, 32, 32), Ok(SampleFormat::F32));
        assert!(extensible(3, 16, 16).is_err() && extensible(1, 16, 12).is_err());
        let float = file(&[chunk(b"fmt ", &format(3, 1, 8_000, 32)), chunk(b"data", &[0; 4])]);
        assert_eq!(parse(&float).map(|wav| wav.sample), Ok(SampleFormat::F32));
    }

    #[test]
    fn each_mistake_has_its_own_word() {
        let fmt = chunk(b"fmt ", &format(1, 2, 48_000, 16));
        let mut long = chunk(b"data", &[0; 8]);
        long[4] = 9;
        assert_eq!(parse(b"RIFX"), Err(WavError::NotWave));
        assert_eq!(parse(&file(&[chunk(b"data", &[0; 4])])), Err(WavError::NoFormat));
        assert_eq!(parse(&file(std::slice::from_ref(&fmt))), Err(WavError::NoData));
        assert_eq!(parse(&file(&[fmt.clone(), long])), Err(WavError::Truncated));
        assert_eq!(parse(&file(&[fmt.clone(), chunk(b"data", &[0; 6])])), Err(WavError::PartialFrame));
        assert_eq!(parse(&file(&[chunk(b"fmt ", &[1, 0])])), Err(WavError::BadFormat));
        assert!(matches!(
            parse(&file(&[chunk(b"fmt ", &format(1, 2, 48_000, 20))])),
            Err(WavError::Unsupported(..))
        ));
    }

    #[test]
    fn any_cut_of_a_file_is_answered_without_a_panic() {
        let bytes = file(&[chunk(b"fmt ", &format(1, 2, 48_000, 16)), chunk(b"data", &[7; 16])]);
        for end in 0..bytes.len() {
            assert!(parse(&bytes[..end]).is_err());
        }
    }
}

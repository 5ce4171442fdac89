//! WAV files: a small strict reader, for 16-bit PCM in mono or stereo.
//!
//! The whole file is in memory. Chunks that are not known are skipped with their padding; every length is checked against what
//! is there.

use core::fmt;

/// A file that can be played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wav<'a> {
    /// Frames per second.
    pub rate: u32,
    /// 1 or 2.
    pub channels: u16,
    /// The frames, interleaved, little-endian; a whole number of them.
    pub data: &'a [u8],
}

impl Wav<'_> {
    /// Bytes of a frame.
    pub fn block_align(&self) -> usize {
        usize::from(self.channels) * 2
    }

    /// Number of frames.
    pub fn frames(&self) -> usize {
        self.data.len() / self.block_align()
    }
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
                    "format tag {tag:#x}, {channels} channel(s), {rate} Hz, {bits} bits is not played (PCM, 1 or 2 channels, 16 bits is)"
                )
            }
            Self::PartialFrame => f.write_str("the data is not a whole number of frames"),
        }
    }
}

const TAG_PCM: u16 = 1;
const TAG_EXTENSIBLE: u16 = 0xfffe;
/// The subformat GUID of PCM as it lies in the file.
const PCM_SUBFORMAT: [u8; 16] = [1, 0, 0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71];

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
            b"data" => {
                let (rate, channels) = format.ok_or(WavError::NoFormat)?;
                let wav = Wav { rate, channels, data: body };
                return if body.len().is_multiple_of(wav.block_align()) {
                    Ok(wav)
                } else {
                    Err(WavError::PartialFrame)
                };
            }
            _ => {}
        }
        // Chunks begin at even offsets; the last one's padding may be missing.
        rest = rest.get(8 + length + length % 2..).unwrap_or_default();
    }
    Err(if format.is_none() { WavError::NoFormat } else { WavError::NoData })
}

fn parse_format(chunk: &[u8]) -> Result<(u32, u16), WavError> {
    let short = |at| u16_at(chunk, at).ok_or(WavError::BadFormat);
    let long = |at| u32_at(chunk, at).ok_or(WavError::BadFormat);
    let (tag, channels, rate, bytes_per_second) = (short(0)?, short(2)?, long(4)?, long(8)?);
    let (block_align, bits) = (short(12)?, short(14)?);
    let pcm = match tag {
        TAG_PCM => true,
        TAG_EXTENSIBLE => chunk.get(24..40) == Some(&PCM_SUBFORMAT[..]) && short(18)? == bits,
        _ => false,
    };
    if !pcm || !(1..=2).contains(&channels) || bits != 16 || !(8_000..=192_000).contains(&rate) {
        return Err(WavError::Unsupported(tag, channels, rate, bits));
    }
    if block_align != channels * 2 || u64::from(bytes_per_second) != u64::from(rate) * u64::from(block_align)
    {
        return Err(WavError::BadFormat);
    }
    Ok((rate, channels))
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
        assert_eq!(parse(&bytes), Ok(Wav { rate: 44_100, channels: 2, data: &[1, 2, 3, 4] }));
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
        ext.extend(PCM_SUBFORMAT);
        let data = chunk(b"data", &[0, 1]);
        assert_eq!(parse(&file(&[chunk(b"fmt ", &ext), data.clone()])).unwrap().frames(), 1);
        ext[24] = 3;
        assert!(matches!(parse(&file(&[chunk(b"fmt ", &ext), data])), Err(WavError::Unsupported(..))));
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
            parse(&file(&[chunk(b"fmt ", &format(1, 2, 48_000, 24))])),
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

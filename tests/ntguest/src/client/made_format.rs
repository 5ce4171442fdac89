//! A format that a driver made, as the answer of an intersection or of PROPOSEDATAFORMAT2: read back and
//! judged (KSDATAFORMAT, WAVEFORMATEX and WAVEFORMATEXTENSIBLE pages).

use crate::portcls::guid::{SPECIFIER_WAVEFORMATEX, TYPE_AUDIO};
use crate::portcls::layout::KsDataRangeAudio;
use core::fmt;

/// `WAVE_FORMAT_EXTENSIBLE`
const TAG_EXTENSIBLE: u16 = 0xfffe;
/// Bytes of a WAVEFORMATEXTENSIBLE behind its WAVEFORMATEX.
const EXTENSION: u16 = 22;

/// The values of a `KSDATAFORMAT_WAVEFORMATEXTENSIBLE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MadeFormat {
    /// Frames per second.
    pub rate: u32,
    /// Channels.
    pub channels: u16,
    /// `wBitsPerSample`: the container.
    pub bits: u16,
    /// `wValidBitsPerSample`.
    pub valid_bits: u16,
    /// `dwChannelMask`.
    pub mask: u32,
}

/// What is wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Shorter than a KSDATAFORMAT_WAVEFORMATEXTENSIBLE, or its FormatSize is not its length.
    Length(usize),
    /// Another format type than audio in a WAVEFORMATEX.
    Kind,
    /// No WAVEFORMATEXTENSIBLE: (wFormatTag, cbSize). Windows makes no endpoint of more than stereo, 96 kHz
    /// or mono without one (seen on Windows 11).
    NotExtensible(u16, u16),
    /// The subformats of KSDATAFORMAT and WAVEFORMATEXTENSIBLE differ.
    SubFormat,
    /// nBlockAlign or nAvgBytesPerSec are not what follows from the rest.
    Derived,
    /// More valid bits than bits, or none.
    ValidBits(u16, u16),
    /// The mask names more or fewer speakers than there are channels.
    Mask(u32, u16),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(bytes) => write!(f, "{bytes} bytes, or another FormatSize than that"),
            Self::Kind => f.write_str("not TYPE_AUDIO and SPECIFIER_WAVEFORMATEX"),
            Self::NotExtensible(tag, more) => {
                write!(f, "no WAVEFORMATEXTENSIBLE: tag {tag:#x}, cbSize {more}")
            }
            Self::SubFormat => f.write_str("two subformats"),
            Self::Derived => f.write_str("nBlockAlign or nAvgBytesPerSec is wrong"),
            Self::ValidBits(valid, bits) => write!(f, "{valid} valid bits of {bits}"),
            Self::Mask(mask, channels) => write!(f, "a mask of {mask:#x} for {channels} channel(s)"),
        }
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn short(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u16::from_le_bytes(*bytes))
}

impl MadeFormat {
    /// Reads the structure, which must be whole and of one mind with itself.
    pub fn read(bytes: &[u8]) -> Result<Self, Finding> {
        if bytes.len() < 82 || word(bytes, 0) as usize != bytes.len() {
            return Err(Finding::Length(bytes.len()));
        }
        let guid = |at: usize| bytes.get(at..at + 16).unwrap_or_default();
        if guid(16) != TYPE_AUDIO.bytes() || guid(48) != SPECIFIER_WAVEFORMATEX.bytes() {
            return Err(Finding::Kind);
        }
        let (tag, more) = (short(bytes, 64), short(bytes, 80));
        if tag != TAG_EXTENSIBLE || more < EXTENSION {
            return Err(Finding::NotExtensible(tag, more));
        }
        if bytes.len() < 104 {
            return Err(Finding::Length(bytes.len()));
        }
        if guid(32) != guid(88) {
            return Err(Finding::SubFormat);
        }
        let (channels, rate, bits) = (short(bytes, 66), word(bytes, 68), short(bytes, 78));
        let block = u32::from(channels) * u32::from(bits) / 8;
        if u32::from(short(bytes, 76)) != block || word(bytes, 72) != rate.wrapping_mul(block) || block == 0 {
            return Err(Finding::Derived);
        }
        let (valid_bits, mask) = (short(bytes, 82), word(bytes, 84));
        if valid_bits == 0 || valid_bits > bits {
            return Err(Finding::ValidBits(valid_bits, bits));
        }
        if mask != 0 && mask.count_ones() != u32::from(channels) {
            return Err(Finding::Mask(mask, channels));
        }
        Ok(Self { rate, channels, bits, valid_bits, mask })
    }

    /// Whether it lies in a client's range. The bits of a KSDATARANGE_AUDIO are valid bits by its page;
    /// clients are known that write those of the container, so either will do.
    pub fn is_in(&self, client: &KsDataRangeAudio) -> bool {
        let bits = client.minimum_bits_per_sample..=client.maximum_bits_per_sample;
        (1..=client.maximum_channels).contains(&u32::from(self.channels))
            && (bits.contains(&u32::from(self.valid_bits)) || bits.contains(&u32::from(self.bits)))
            && (client.minimum_sample_frequency..=client.maximum_sample_frequency).contains(&self.rate)
    }
}

impl fmt::Display for MadeFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}of{}x{}@{}", self.valid_bits, self.bits, self.channels, self.rate)
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::PcmFormat;
    use super::*;
    use alloc::string::ToString;
    use alloc::vec::Vec;
    use ringwave_audio::SampleFormat;

    fn good() -> Vec<u8> {
        PcmFormat::of(SampleFormat::S24In32, 48_000, 2, true).bytes()
    }

    #[test]
    fn a_whole_format_is_read() {
        let made = MadeFormat::read(&good()).unwrap();
        assert_eq!(made, MadeFormat { rate: 48_000, channels: 2, bits: 32, valid_bits: 24, mask: 3 });
        assert_eq!(made.to_string(), "24of32x2@48000");
    }

    #[test]
    fn each_contradiction_is_named() {
        let bent = |at: usize, value: u8| {
            let mut bytes = good();
            bytes[at] = value;
            MadeFormat::read(&bytes)
        };
        assert_eq!(MadeFormat::read(&good()[..103]), Err(Finding::Length(103)));
        assert_eq!(MadeFormat::read(&[]), Err(Finding::Length(0)));
        assert_eq!(bent(48, 0), Err(Finding::Kind));
        assert_eq!(bent(64, 1), Err(Finding::NotExtensible(0xff01, 22)));
        assert_eq!(bent(80, 21), Err(Finding::NotExtensible(0xfffe, 21)));
        assert_eq!(bent(88, 3), Err(Finding::SubFormat));
        assert_eq!(bent(76, 7), Err(Finding::Derived));
        assert_eq!(bent(72, 1), Err(Finding::Derived));
        assert_eq!(bent(82, 33), Err(Finding::ValidBits(33, 32)));
        assert_eq!(bent(84, 7), Err(Finding::Mask(7, 2)));
        let plain = PcmFormat::of(SampleFormat::S16, 48_000, 2, false).bytes();
        assert_eq!(MadeFormat::read(&plain), Err(Finding::NotExtensible(1, 0)));
    }
}

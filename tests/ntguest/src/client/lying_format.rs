//! Formats that lie: a good one with some fields bent, and what is wrong with it (KSDATAFORMAT, WAVEFORMATEX
//! and WAVEFORMATEXTENSIBLE pages).

use super::format::{EXTENSIBLE_BYTES, PLAIN_BYTES, PcmFormat};
use crate::portcls::guid::{Guid, SPECIFIER_WAVEFORMATEX, SUBTYPE_IEEE_FLOAT, SUBTYPE_PCM, TYPE_AUDIO};
use alloc::vec::Vec;

/// Fields that are bent: where, and how many bytes. Of KSDATAFORMAT's Flags only bits that promise nothing
/// behind the format, for KS has looked at what is promised.
const FIELDS: [(usize, usize); 16] = [
    (0, 4),
    (8, 4),
    (12, 4),
    (16, 4),
    (32, 4),
    (48, 4),
    (64, 2),
    (66, 2),
    (68, 4),
    (72, 4),
    (76, 2),
    (78, 2),
    (80, 2),
    (82, 2),
    (84, 4),
    (88, 4),
];
/// What they are bent to.
const VALUES: [u32; 24] = [
    0,
    1,
    2,
    3,
    4,
    6,
    8,
    9,
    16,
    22,
    24,
    32,
    33,
    64,
    82,
    104,
    255,
    0x7fff,
    0x8000,
    0xfffe,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    u32::MAX,
];
/// KS refuses a FormatSize beyond the request, so that no longer one reaches a driver.
const LONGEST: u32 = 4096;

/// Where the fields of the WAVEFORMATEX begin among them: every other time only these are bent.
const WAVE_FIELDS: usize = 6;

/// Bends one or two fields of a good format, as `below` has it: a number below its argument.
pub fn bend(good: &[u8], mut below: impl FnMut(u32) -> u32) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for _ in 0..=below(3) / 2 {
        let fields = &FIELDS[below(2) as usize * WAVE_FIELDS..];
        let (at, width) = fields[below(fields.len() as u32) as usize];
        let value = VALUES[below(VALUES.len() as u32) as usize].to_le_bytes();
        if let Some(field) = bytes.get_mut(at..at + width) {
            field.copy_from_slice(&value[..width]);
        }
    }
    let size = word(&bytes, 0);
    let size = if size > LONGEST { good.len() as u32 } else { size };
    bytes[..4].copy_from_slice(&size.to_le_bytes());
    // As many bytes as it says, but a whole KSDATAFORMAT at least, and nothing behind them.
    bytes.resize((size as usize).max(64), 0);
    bytes
}

/// What contradicts itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lie {
    /// FormatSize holds no WAVEFORMATEX, or not the extension that its tag promises.
    Size,
    /// No audio in a WAVEFORMATEX.
    Kind,
    /// A format tag that is neither PCM, float nor extensible, or another one than the subformat.
    Tag,
    /// cbSize of an extensible format below 22.
    Extension,
    /// nBlockAlign or nAvgBytesPerSec is not what follows from the rest.
    Derived,
    /// No whole bytes, or more valid bits than bits.
    Bits,
}

/// The format, if it does not contradict itself.
pub fn read(bytes: &[u8]) -> Result<PcmFormat, Lie> {
    let size = word(bytes, 0) as usize;
    if size < PLAIN_BYTES || bytes.len() < size {
        return Err(Lie::Size);
    }
    let is = |at: usize, guid: Guid| bytes.get(at..at + 16) == Some(&guid.bytes()[..]);
    if !is(16, TYPE_AUDIO) || !is(48, SPECIFIER_WAVEFORMATEX) {
        return Err(Lie::Kind);
    }
    let (tag, extensible) = (short(bytes, 64), short(bytes, 64) == 0xfffe);
    let at = if extensible { 88 } else { 32 };
    if extensible && (size < EXTENSIBLE_BYTES || short(bytes, 80) < 22) {
        return Err(if size < EXTENSIBLE_BYTES { Lie::Size } else { Lie::Extension });
    }
    let sub_format =
        [SUBTYPE_PCM, SUBTYPE_IEEE_FLOAT].into_iter().find(|guid| is(32, *guid) && is(at, *guid));
    let sub_format = sub_format.ok_or(Lie::Tag)?;
    let float = sub_format == SUBTYPE_IEEE_FLOAT;
    if !extensible && tag != if float { 3 } else { 1 } {
        return Err(Lie::Tag);
    }
    let (channels, rate, bits) = (short(bytes, 66), word(bytes, 68), short(bytes, 78));
    // 0 says nothing of valid bits, which no page makes an error.
    let valid_bits =
        if extensible { Some(short(bytes, 82)).filter(|valid| *valid > 0).unwrap_or(bits) } else { bits };
    if bits == 0 || bits % 8 != 0 || valid_bits > bits {
        return Err(Lie::Bits);
    }
    let block = u64::from(channels) * u64::from(bits) / 8;
    if channels == 0
        || rate == 0
        || u64::from(short(bytes, 76)) != block
        || u64::from(word(bytes, 72)) != block * u64::from(rate)
    {
        return Err(Lie::Derived);
    }
    Ok(PcmFormat { tag, channels, rate, bits, extensible, sub_format, align_error: 0, valid_bits })
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn short(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u16::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringwave_audio::SampleFormat;

    #[test]
    fn good_formats_are_read_as_they_are() {
        for sample in [SampleFormat::S16, SampleFormat::S24In32, SampleFormat::F32] {
            for extensible in [false, true] {
                let format = PcmFormat::of(sample, 96_000, 6, extensible);
                let read = read(&format.bytes()).unwrap();
                assert_eq!((read.sub_format, read.channels), (format.sub_format, 6), "{sample:?}");
                assert_eq!((read.bits, read.valid_bits), (format.bits, format.valid_bits), "{sample:?}");
            }
        }
    }

    #[test]
    fn each_lie_is_named() {
        let good = PcmFormat::of(SampleFormat::S16, 48_000, 2, true).bytes();
        let bent = |at: usize, value: &[u8]| {
            let mut bytes = good.clone();
            bytes[at..at + value.len()].copy_from_slice(value);
            read(&bytes).unwrap_err()
        };
        assert_eq!(bent(0, &[81]), Lie::Size);
        assert_eq!(bent(0, &[82]), Lie::Size);
        assert_eq!(bent(16, &[0]), Lie::Kind);
        assert_eq!(bent(48, &[0]), Lie::Kind);
        assert_eq!(bent(64, &[3, 0]), Lie::Tag);
        assert_eq!(bent(88, &[9]), Lie::Tag);
        assert_eq!(bent(80, &[21]), Lie::Extension);
        for (at, value) in [(66, 0), (68, 0), (72, 1), (76, 5)] {
            assert_eq!(bent(at, &[value]), Lie::Derived, "{at}");
        }
        assert_eq!(bent(78, &[17]), Lie::Bits);
        assert_eq!(bent(82, &[17]), Lie::Bits);
    }

    #[test]
    fn what_is_bent_is_as_long_as_it_says() {
        let good = PcmFormat::of(SampleFormat::S16, 48_000, 2, true).bytes();
        let mut state = 1u32;
        for _ in 0..10_000 {
            let bytes = bend(&good, |end| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) % end
            });
            assert_eq!(bytes.len(), (word(&bytes, 0) as usize).max(64));
            assert!(bytes.len() <= 4096);
        }
    }
}

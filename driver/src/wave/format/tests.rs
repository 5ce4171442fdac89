//! Tests of [`super`]: every field of a format wrong once, every prefix, every meeting of ranges.

use super::*;
use crate::hw::format::{Capabilities, RATES, rate_bit};

const STEREO: AudioFormat = AudioFormat { sample: SampleFormat::S16, channels: 2, rate: 48_000 };
const SAMPLES: [SampleFormat; 4] =
    [SampleFormat::S16, SampleFormat::S24In32, SampleFormat::S32, SampleFormat::F32];
/// A pin that takes everything.
const ALL: Capabilities = Capabilities::ALL;
/// A pin that takes little.
const FEW: Capabilities =
    Capabilities { samples: 1, rates: rate_bit(44_100) | rate_bit(48_000), channels_max: 2 };

/// The format as a short `KSDATAFORMAT_WAVEFORMATEX`, whatever it is.
fn short(format: AudioFormat) -> Vec<u8> {
    let mut bytes = STEREO.to_short_bytes().unwrap().as_slice().to_vec();
    let frame = format.frame_bytes();
    bytes[32..48].copy_from_slice(&guid_bytes(format.sample.subformat()));
    bytes[64..66].copy_from_slice(&if format.sample == SampleFormat::F32 { 3_u16 } else { 1 }.to_le_bytes());
    bytes[66..68].copy_from_slice(&low16(format.channels));
    bytes[68..72].copy_from_slice(&format.rate.to_le_bytes());
    bytes[72..76].copy_from_slice(&(frame * format.rate).to_le_bytes());
    bytes[76..78].copy_from_slice(&low16(frame));
    bytes[78..80].copy_from_slice(&format.sample.bits().to_le_bytes());
    bytes
}

/// A `KSDATAFORMAT_WAVEFORMATEXTENSIBLE` of a 16-bit format.
fn extensible(format: AudioFormat) -> Vec<u8> {
    let mut bytes = short(format)[..82].to_vec();
    bytes[0..4].copy_from_slice(&104_u32.to_le_bytes());
    bytes[64..66].copy_from_slice(&0xFFFE_u16.to_le_bytes());
    bytes[80..82].copy_from_slice(&22_u16.to_le_bytes());
    bytes.extend(format.sample.valid_bits().to_le_bytes());
    bytes.extend(if format.channels == 2 { 3_u32 } else { 4 }.to_le_bytes());
    bytes.extend(guid_bytes(format.sample.subformat()));
    assert_eq!(bytes.len(), 104);
    bytes
}

/// `bytes` with a little-endian value at an offset.
fn with<const N: usize>(bytes: &[u8], offset: usize, value: [u8; N]) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    changed[offset..offset + N].copy_from_slice(&value);
    changed
}

#[test]
fn takes_exactly_what_is_announced() {
    for (sample, channels) in SAMPLES.into_iter().flat_map(|sample| (1..=10).map(move |n| (sample, n))) {
        for rate in [8_000, 22_050, 44_100, 44_101, 48_000, 96_000, 384_000] {
            let format = AudioFormat { sample, channels, rate };
            let there = RATES.contains(&rate) && channels <= 8;
            assert_eq!(ALL.takes(format), there, "{format:?}");
            let few = sample == SampleFormat::S16 && channels <= 2 && [44_100, 48_000].contains(&rate);
            assert_eq!(FEW.takes(format), few, "{format:?}");
            assert_eq!(
                AudioFormat::parse(format.to_bytes().as_slice()),
                Ok(format),
                "what is written is read"
            );
            if sample != SampleFormat::S24In32 {
                // The short form, and the same with bytes behind it.
                assert_eq!(AudioFormat::parse(&short(format)), Ok(format), "{format:?}");
                assert_eq!(AudioFormat::parse(&[short(format), vec![0xEE; 6]].concat()), Ok(format));
            }
        }
    }
    for sample in SAMPLES {
        for channels in [1, 2] {
            let format = AudioFormat { sample, channels, rate: 44_100 };
            assert_eq!(AudioFormat::parse(&extensible(format)), Ok(format));
        }
    }
}

#[test]
fn what_is_written_is_extensible_and_short_where_that_says_all() {
    for (sample, channels) in SAMPLES.into_iter().flat_map(|sample| [1, 2, 3, 8].map(|n| (sample, n))) {
        let format = AudioFormat { sample, channels, rate: 8_000 };
        let whole = format.to_bytes();
        assert_eq!((whole.as_slice().len(), &whole.as_slice()[..2]), (104, &[104, 0][..]));
        assert_eq!(whole.as_slice()[64..66], [0xFE, 0xFF], "WAVE_FORMAT_EXTENSIBLE");
        let short = format.to_short_bytes();
        assert_eq!(short.is_some(), channels <= 2 && sample != SampleFormat::S24In32, "{format:?}");
        if let Some(short) = short {
            assert_eq!((short.as_slice().len(), short.as_slice()[0]), (82, 82));
            assert_eq!(AudioFormat::parse(short.as_slice()), Ok(format));
        }
    }
}

#[test]
fn refuses_fields_that_contradict_each_other() {
    use FormatError::{Malformed, NoMatch};
    let plain = short(STEREO);
    let extended = extensible(STEREO);
    let float = short(AudioFormat { sample: SampleFormat::F32, ..STEREO });
    for (bytes, expected, what) in [
        (with(&plain, 64, 3_u16.to_le_bytes()), NoMatch, "float tag"),
        (with(&float, 64, 1_u16.to_le_bytes()), NoMatch, "PCM tag with a float subformat"),
        (with(&float, 78, 16_u16.to_le_bytes()), NoMatch, "half a float"),
        (with(&plain, 66, 0_u16.to_le_bytes()), NoMatch, "no channel"),
        (with(&plain, 72, 192_001_u32.to_le_bytes()), Malformed, "bytes per second"),
        (with(&plain, 76, 8_u16.to_le_bytes()), Malformed, "frame bytes"),
        (with(&plain, 78, 24_u16.to_le_bytes()), NoMatch, "bits"),
        (with(&plain, 16, [0; 16]), NoMatch, "major format"),
        (with(&plain, 32, [1; 16]), NoMatch, "sub format"),
        (with(&plain, 48, [2; 16]), NoMatch, "specifier"),
        (with(&extended, 80, 0_u16.to_le_bytes()), Malformed, "extra bytes"),
        (with(&extended, 82, 17_u16.to_le_bytes()), Malformed, "more valid bits than bits"),
        (with(&extended, 82, 12_u16.to_le_bytes()), NoMatch, "fewer valid bits"),
        (with(&extended, 88, [3; 16]), NoMatch, "extended sub format"),
    ] {
        assert_eq!(AudioFormat::parse(&bytes), Err(expected), "{what}");
    }
    for mask in [0_u32, 1, 7, 0x63F, 0x8000_0003, u32::MAX] {
        let masked = AudioFormat::parse(&with(&extended, 84, mask.to_le_bytes()));
        assert_eq!(masked, Ok(STEREO), "mask {mask:#x}: bits beyond the channels are ignored");
    }
    assert_eq!(
        AudioFormat::parse(&with(&extended, 82, 0_u16.to_le_bytes())),
        Ok(STEREO),
        "no valid bits named"
    );
}

#[test]
fn every_short_prefix_is_refused() {
    for length in 0..82 {
        assert!(AudioFormat::parse(&short(STEREO)[..length]).is_err(), "{length}");
    }
    for length in 0..104 {
        assert!(AudioFormat::parse(&extensible(STEREO)[..length]).is_err(), "{length}");
    }
}

#[test]
fn a_size_that_is_too_large_leads_no_further_than_the_kind_reaches() {
    let plain = with(&[short(STEREO), vec![0; 2]].concat(), 0, u32::MAX.to_le_bytes());
    let extended = with(&extensible(STEREO), 0, u32::MAX.to_le_bytes());
    // SAFETY: what is read of each is what the test is about: no more than there is.
    let (format, longer, range) = unsafe {
        (
            Prefix::of_format(&In::from_raw(plain[..82].as_ptr().cast())).unwrap(),
            Prefix::of_format(&In::from_raw(extended.as_ptr().cast())).unwrap(),
            Prefix::of_range(&In::from_raw(plain[..84].as_ptr().cast())).unwrap(),
        )
    };
    assert_eq!((format.as_slice(), range.as_slice()), (&plain[..82], &plain[..84]));
    assert_eq!(longer.as_slice(), extended);
    for prefix in [format, longer] {
        assert_eq!(AudioFormat::parse(prefix.as_slice()), Ok(STEREO));
    }
    // And a size that is too small stays that.
    let short = with(&plain, 0, 65_u32.to_le_bytes());
    // SAFETY: as above.
    let short = unsafe { Prefix::of_format(&In::from_raw(short.as_ptr().cast())) }.unwrap();
    assert_eq!(short.as_slice().len(), 65);
}

//! Tests of [`super`]: every field of a format wrong once, every prefix, every meeting of ranges.

use super::*;

const STEREO: AudioFormat = AudioFormat { sample: Sample::S16, channels: 2, rate: 48_000 };
const SAMPLES: [Sample; 4] = [Sample::S16, Sample::S24In32, Sample::S32, Sample::F32];
/// A pin that takes everything.
const ALL: Abilities = Abilities { samples: regs::FORMATS_ALL, rates: regs::RATES_ALL, channels_max: 8 };
/// A pin that takes little.
const FEW: Abilities =
    Abilities { samples: 1, rates: regs::rate_bit(44_100) | regs::rate_bit(48_000), channels_max: 2 };

/// The format as a short `KSDATAFORMAT_WAVEFORMATEX`, whatever it is.
fn short(format: AudioFormat) -> Vec<u8> {
    let mut bytes = STEREO.to_bytes().as_slice().to_vec();
    let frame = format.frame_bytes();
    bytes[32..48].copy_from_slice(&guid_bytes(format.sample.subformat()));
    bytes[64..66].copy_from_slice(&if format.sample == Sample::F32 { 3_u16 } else { 1 }.to_le_bytes());
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

#[test]
fn clients_begin_with_16_bit_stereo_at_48_khz_or_near_it() {
    let preferred = |samples, rates, channels_max| Abilities { samples, rates, channels_max }.preferred();
    assert_eq!(ALL.preferred(), Some(STEREO));
    assert_eq!(FEW.preferred(), Some(STEREO));
    let float = AudioFormat { sample: Sample::F32, channels: 1, rate: 96_000 };
    let rates = regs::rate_bit(96_000) | regs::rate_bit(8_000);
    assert_eq!(preferred(1 << Sample::F32 as u32, rates, 1), Some(float));
    for (samples, rates, channels) in [(0, rates, 2), (1, 0, 2), (1, rates, 0)] {
        assert_eq!(preferred(samples, rates, channels), None);
    }
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
            let there = regs::RATES.contains(&rate) && channels <= 8;
            assert_eq!(ALL.takes(format), there, "{format:?}");
            let few = sample == Sample::S16 && channels <= 2 && [44_100, 48_000].contains(&rate);
            assert_eq!(FEW.takes(format), few, "{format:?}");
            assert_eq!(
                AudioFormat::parse(format.to_bytes().as_slice()),
                Ok(format),
                "what is written is read"
            );
            if sample != Sample::S24In32 {
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
    let lengths =
        [(Sample::S16, 2, 82), (Sample::S16, 3, 104), (Sample::S24In32, 1, 104), (Sample::F32, 2, 104)];
    for (sample, channels, length) in lengths {
        assert_eq!(AudioFormat { sample, channels, rate: 8_000 }.to_bytes().as_slice().len(), length);
    }
}

#[test]
fn refuses_fields_that_contradict_each_other() {
    use FormatError::{Malformed, NoMatch};
    let plain = short(STEREO);
    let extended = extensible(STEREO);
    let float = short(AudioFormat { sample: Sample::F32, ..STEREO });
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
        (with(&extended, 84, 7_u32.to_le_bytes()), NoMatch, "three speakers"),
        (with(&extended, 88, [3; 16]), NoMatch, "extended sub format"),
    ] {
        assert_eq!(AudioFormat::parse(&bytes), Err(expected), "{what}");
    }
    assert_eq!(
        AudioFormat::parse(&with(&extended, 84, 0_u32.to_le_bytes())),
        Ok(STEREO),
        "no speakers named"
    );
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

/// A client's `KSDATARANGE_AUDIO`.
fn range(channels: u32, bits: (u32, u32), rates: (u32, u32)) -> Vec<u8> {
    let mut bytes = short(STEREO)[..64].to_vec();
    bytes[0..4].copy_from_slice(&88_u32.to_le_bytes());
    for value in [channels, bits.0, bits.1, rates.0, rates.1, 0] {
        bytes.extend(value.to_le_bytes());
    }
    bytes
}

/// One of the pin's ranges, for 16-bit PCM.
fn ours(rate: u32) -> Vec<u8> {
    range(2, (16, 16), (rate, rate))
}

#[test]
fn ranges_meet_where_they_overlap() {
    let meet = |bytes: &[u8], rate| AudioFormat::intersect(bytes, &ours(rate), FEW);
    let wide = range(u32::MAX, (8, 32), (1, 384_000));
    assert_eq!(meet(&wide, 48_000), Ok(STEREO));
    assert_eq!(meet(&wide, 44_100), Ok(AudioFormat { rate: 44_100, ..STEREO }));
    assert_eq!(
        meet(&range(1, (16, 16), (44_100, 48_000)), 48_000),
        Ok(AudioFormat { channels: 1, ..STEREO })
    );
    for apart in [
        range(0, (16, 16), (48_000, 48_000)),
        range(2, (24, 32), (48_000, 48_000)),
        range(2, (16, 16), (44_100, 44_100)),
        range(2, (16, 16), (96_000, 192_000)),
        with(&wide, 16, [9; 16]),
        with(&wide, 32, [9; 16]),
        with(&wide, 32, guid_bytes(KSDATAFORMAT_SUBTYPE_IEEE_FLOAT)),
        with(&wide, 48, [9; 16]),
    ] {
        assert_eq!(meet(&apart, 48_000), Err(FormatError::NoMatch));
    }
    for other in [range(2, (24, 24), (48_000, 48_000)), ours(96_000), vec![0; 64], vec![]] {
        assert_eq!(AudioFormat::intersect(&wide, &other, FEW), Err(FormatError::NoMatch), "no range of ours");
    }
}

#[test]
fn wide_samples_are_24_bits_only_where_32_are_not_there() {
    let wide = range(8, (32, 32), (96_000, 96_000));
    let meet = |can| AudioFormat::intersect(&wide, &wide, can).map(|format| format.sample);
    assert_eq!(meet(ALL), Ok(Sample::S32));
    assert_eq!(meet(Abilities { samples: 1 << regs::S24_32, ..ALL }), Ok(Sample::S24In32));
    assert_eq!(meet(Abilities { samples: 1 << regs::F32, ..ALL }), Err(FormatError::NoMatch));
    let float = with(&wide, 32, guid_bytes(KSDATAFORMAT_SUBTYPE_IEEE_FLOAT));
    assert_eq!(AudioFormat::intersect(&float, &float, ALL).map(|format| format.sample), Ok(Sample::F32));
}

#[test]
fn wildcards_match_and_short_ranges_are_refused() {
    let mut wildcard = range(2, (16, 16), (48_000, 48_000));
    for offset in [16, 32, 48] {
        wildcard = with(&wildcard, offset, [0; 16]);
    }
    let meet = |client: &[u8]| AudioFormat::intersect(client, &ours(48_000), FEW);
    assert_eq!(meet(&wildcard), Ok(STEREO));
    assert_eq!(meet(&wildcard[..64]), Ok(STEREO));
    let named = range(2, (16, 16), (48_000, 48_000));
    for length in 0..84 {
        assert_eq!(meet(&named[..length]), Err(FormatError::Malformed), "{length}");
    }
    assert_eq!(meet(&named[..84]), Ok(STEREO));
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

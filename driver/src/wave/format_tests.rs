//! Tests of [`super`]: every field of a format wrong once, every prefix, every meeting of ranges.

use super::*;

const STEREO: AudioFormat = AudioFormat { channels: 2, rate: 48_000 };

/// A `KSDATAFORMAT_WAVEFORMATEXTENSIBLE` of `format`.
fn extensible(format: AudioFormat) -> Vec<u8> {
    let mut bytes = format.to_bytes()[..82].to_vec();
    bytes[0..4].copy_from_slice(&104_u32.to_le_bytes());
    bytes[64..66].copy_from_slice(&0xFFFE_u16.to_le_bytes());
    bytes[80..82].copy_from_slice(&22_u16.to_le_bytes());
    bytes.extend(16_u16.to_le_bytes());
    bytes.extend(if format.channels == 2 { 3_u32 } else { 4 }.to_le_bytes());
    bytes.extend(guid_bytes(KSDATAFORMAT_SUBTYPE_PCM));
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
    for channels in 0..=8 {
        for rate in [8_000, 22_050, 44_100, 44_101, 48_000, 96_000] {
            let format = AudioFormat { channels, rate };
            let announced = (1..=2).contains(&channels) && [44_100, 48_000].contains(&rate);
            let expected = if announced { Ok(format) } else { Err(FormatError::NoMatch) };
            assert_eq!(AudioFormat::parse(&format.to_bytes()), expected, "{format:?}");
            // The same without the padding that C++ puts behind it.
            assert_eq!(AudioFormat::parse(&format.to_bytes()[..82]), expected, "{format:?}");
        }
    }
    for format in [STEREO, AudioFormat { channels: 1, rate: 44_100 }] {
        assert_eq!(AudioFormat::parse(&extensible(format)), Ok(format));
    }
}

#[test]
fn refuses_fields_that_contradict_each_other() {
    use FormatError::{Attributes, Malformed, NoMatch};
    let plain = STEREO.to_bytes();
    let extended = extensible(STEREO);
    for (bytes, expected, what) in [
        (with(&plain, 64, 3_u16.to_le_bytes()), NoMatch, "float tag"),
        (with(&plain, 72, 192_001_u32.to_le_bytes()), Malformed, "bytes per second"),
        (with(&plain, 76, 8_u16.to_le_bytes()), Malformed, "frame bytes"),
        (with(&plain, 78, 24_u16.to_le_bytes()), NoMatch, "bits"),
        (with(&plain, 4, 2_u32.to_le_bytes()), Attributes, "attributes"),
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
        assert!(AudioFormat::parse(&STEREO.to_bytes()[..length]).is_err(), "{length}");
    }
    for length in 0..104 {
        assert!(AudioFormat::parse(&extensible(STEREO)[..length]).is_err(), "{length}");
    }
}

/// A client's `KSDATARANGE_AUDIO`.
fn range(channels: u32, bits: (u32, u32), rates: (u32, u32)) -> Vec<u8> {
    let mut bytes = STEREO.to_bytes()[..64].to_vec();
    bytes[0..4].copy_from_slice(&88_u32.to_le_bytes());
    for value in [channels, bits.0, bits.1, rates.0, rates.1, 0] {
        bytes.extend(value.to_le_bytes());
    }
    bytes
}

#[test]
fn ranges_meet_where_they_overlap() {
    let meet = |bytes: &[u8], rate| AudioFormat::intersect(bytes, rate);
    let wide = range(u32::MAX, (8, 32), (1, 384_000));
    assert_eq!(meet(&wide, 48_000), Ok(STEREO));
    assert_eq!(meet(&wide, 44_100), Ok(AudioFormat { channels: 2, rate: 44_100 }));
    assert_eq!(
        meet(&range(1, (16, 16), (44_100, 48_000)), 48_000),
        Ok(AudioFormat { channels: 1, rate: 48_000 })
    );
    for apart in [
        range(0, (16, 16), (48_000, 48_000)),
        range(2, (24, 32), (48_000, 48_000)),
        range(2, (16, 16), (44_100, 44_100)),
        range(2, (16, 16), (96_000, 192_000)),
        with(&wide, 16, [9; 16]),
        with(&wide, 32, [9; 16]),
        with(&wide, 48, [9; 16]),
    ] {
        assert_eq!(meet(&apart, 48_000), Err(FormatError::NoMatch));
    }
}

#[test]
fn wildcards_match_and_short_ranges_are_refused() {
    let mut wildcard = range(2, (16, 16), (48_000, 48_000));
    for offset in [16, 32, 48] {
        wildcard = with(&wildcard, offset, [0; 16]);
    }
    assert_eq!(AudioFormat::intersect(&wildcard, 48_000), Ok(STEREO));
    assert_eq!(AudioFormat::intersect(&wildcard[..64], 48_000), Ok(STEREO));
    let named = range(2, (16, 16), (48_000, 48_000));
    for length in 0..84 {
        assert_eq!(AudioFormat::intersect(&named[..length], 48_000), Err(FormatError::Malformed), "{length}");
    }
    assert_eq!(AudioFormat::intersect(&named[..84], 48_000), Ok(STEREO));
}

#[test]
fn what_an_intersection_gives_the_pin_takes() {
    for rate in RATES {
        let format = AudioFormat::intersect(&range(2, (16, 16), (rate, rate)), rate).unwrap();
        assert_eq!(AudioFormat::parse(&format.to_bytes()), Ok(format));
    }
}

#[test]
fn a_size_that_is_too_large_leads_no_further_than_the_kind_reaches() {
    let plain = with(&STEREO.to_bytes(), 0, u32::MAX.to_le_bytes());
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

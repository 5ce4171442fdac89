//! Tests of [`super`]: every meeting of ranges.

use super::*;
use crate::default_format::STANDARD;
use crate::hw::Direction;
use crate::hw::format::rate_bit;
use portcls_sys::guid::KSDATAFORMAT_SUBTYPE_IEEE_FLOAT;

/// A pin that takes everything.
const ALL: Capabilities = Capabilities::ALL;
/// A pin that takes little.
const FEW: Capabilities =
    Capabilities { samples: 1, rates: rate_bit(44_100) | rate_bit(48_000), channels_max: 2 };
const STEREO: AudioFormat = AudioFormat { sample: SampleFormat::S16, channels: 2, rate: 48_000 };

/// A range's bytes.
fn bytes(range: &KSDATARANGE_AUDIO) -> Vec<u8> {
    let head = &range.DataRange;
    let mut bytes =
        [head.FormatSize, head.Flags, head.SampleSize, head.Reserved].map(u32::to_le_bytes).concat();
    for guid in [head.MajorFormat, head.SubFormat, head.Specifier] {
        bytes.extend(guid.to_bytes());
    }
    for value in [
        range.MaximumChannels,
        range.MinimumBitsPerSample,
        range.MaximumBitsPerSample,
        range.MinimumSampleFrequency,
        range.MaximumSampleFrequency,
        range.Padding,
    ] {
        bytes.extend(value.to_le_bytes());
    }
    bytes
}

/// A client's range of PCM.
fn client(channels: u32, bits: (u32, u32), rates: (u32, u32)) -> Vec<u8> {
    bytes(&KSDATARANGE_AUDIO {
        MaximumChannels: channels,
        MinimumBitsPerSample: bits.0,
        MaximumBitsPerSample: bits.1,
        MinimumSampleFrequency: rates.0,
        MaximumSampleFrequency: rates.1,
        ..range(SampleFormat::S16, 48_000, 2)
    })
}

/// `bytes` with others at an offset.
fn with<const N: usize>(bytes: &[u8], offset: usize, value: [u8; N]) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    changed[offset..offset + N].copy_from_slice(&value);
    changed
}

/// What KS makes of a client's range: the first of the pin's ranges that meets it.
fn asked(
    client: &[u8],
    can: Capabilities,
    default: &DefaultFormat,
    direction: Direction,
) -> Option<AudioFormat> {
    let ranges = of_pin(can, default).unwrap();
    let channels = default.channels(direction, can);
    let meet = |ours: &KSDATARANGE_AUDIO| intersect(client, &bytes(ours), can, channels);
    ranges.iter().map(meet).find(|made| *made != Err(FormatError::NoMatch)).map(|made| made.unwrap())
}

/// A client's range that leaves everything open, with its limits or without.
fn wildcards() -> [Vec<u8>; 4] {
    let all = client(u32::MAX, (0, u32::MAX), (0, u32::MAX));
    let mut nothing_said = all.clone();
    for offset in [16, 32, 48] {
        nothing_said = with(&nothing_said, offset, [0; 16]);
    }
    let head = nothing_said[..64].to_vec();
    let mut usual = client(8, (1, 64), (1, 1_000_000));
    usual = with(&usual, 32, [0; 16]);
    [all, nothing_said, head, usual]
}

#[test]
fn a_wildcard_gets_the_default_format() {
    let configured = DefaultFormat::from_registry(96_000, 16, 6, 2);
    for (default, direction) in [STANDARD, configured]
        .into_iter()
        .flat_map(|format| [Direction::Render, Direction::Capture].map(|direction| (format, direction)))
    {
        for wildcard in wildcards() {
            let made = asked(&wildcard, ALL, &default, direction);
            assert_eq!(made, default.of(direction, ALL));
            assert_eq!(asked(&wildcard, FEW, &default, direction), default.of(direction, FEW));
        }
    }
}

#[test]
fn a_client_gets_the_best_of_its_range() {
    let get = |channels, bits, rates| {
        asked(&client(channels, bits, rates), ALL, &STANDARD, Direction::Render)
            .map(|made| (made.sample, made.channels, made.rate))
    };
    let (any_bits, any_rate) = ((0, 64), (0, u32::MAX));
    assert_eq!(get(1, any_bits, any_rate), Some((SampleFormat::S24In32, 1, 48_000)));
    assert_eq!(get(2, (16, 16), any_rate), Some((SampleFormat::S16, 2, 48_000)));
    assert_eq!(get(2, (24, 24), any_rate), Some((SampleFormat::S24In32, 2, 48_000)), "valid bits");
    assert_eq!(
        get(2, (32, 32), any_rate),
        Some((SampleFormat::S32, 2, 48_000)),
        "not 24 in 32: there are 32"
    );
    assert_eq!(get(2, (16, 23), any_rate), Some((SampleFormat::S16, 2, 48_000)));
    assert_eq!(get(2, (17, 23), any_rate), None);
    assert_eq!(get(8, any_bits, (8_000, 44_100)), Some((SampleFormat::S24In32, 2, 44_100)));
    assert_eq!(get(8, any_bits, (8_000, 32_000)), Some((SampleFormat::S24In32, 2, 32_000)), "the highest");
    assert_eq!(get(8, any_bits, (64_000, 192_000)), Some((SampleFormat::S24In32, 2, 192_000)));
    assert_eq!(get(8, any_bits, (44_101, 44_199)), None);
    assert_eq!(get(0, any_bits, any_rate), None);
    // Who names the container gets 24 in 32 where the pin has nothing that fills it.
    let narrow = Capabilities { samples: SampleFormat::S24In32.bit(), ..ALL };
    let made = asked(&client(2, (32, 32), any_rate), narrow, &STANDARD, Direction::Render).unwrap();
    assert_eq!(made.sample, SampleFormat::S24In32);
    let float = with(&client(2, any_bits, any_rate), 32, KSDATAFORMAT_SUBTYPE_IEEE_FLOAT.to_bytes());
    assert_eq!(asked(&float, ALL, &STANDARD, Direction::Render).unwrap().sample, SampleFormat::F32);
}

/// The endpoint builder may take the pin's ranges one by one and ask for each.
#[test]
fn a_copy_of_a_range_gets_no_more_channels_than_the_default_format_has() {
    for (direction, channels) in [(Direction::Render, 2), (Direction::Capture, 1)] {
        for ours in of_pin(ALL, &STANDARD).unwrap() {
            let (ours, rate) = (bytes(&ours), ours.MinimumSampleFrequency);
            let made = intersect(&ours, &ours, ALL, STANDARD.channels(direction, ALL)).unwrap();
            assert_eq!((made.channels, made.rate), (channels, rate));
        }
    }
}

#[test]
fn the_ranges_announce_what_is_taken_each_once_and_the_default_first() {
    for (can, default) in
        [(ALL, STANDARD), (FEW, STANDARD), (ALL, DefaultFormat::from_registry(44_100, 16, 0, 0))]
    {
        let ranges = of_pin(can, &default).unwrap();
        let first = default.of(Direction::Render, can).unwrap();
        assert_eq!(
            (ranges[0].MinimumSampleFrequency, ranges[0].MinimumBitsPerSample),
            (first.rate, u32::from(first.sample.valid_bits()))
        );
        assert_eq!(ranges.len(), (can.samples.count_ones() * can.rates.count_ones()) as usize);
        for (at, one) in ranges.iter().enumerate() {
            assert!(ranges[..at].iter().all(|other| bytes(other) != bytes(one)), "twice");
            assert_eq!(one.MinimumBitsPerSample, one.MaximumBitsPerSample);
            let made = best_of(&bytes(one), can, can.channels_max).unwrap();
            assert!(can.takes(made), "{made:?}");
            assert_eq!(u32::from(made.sample.valid_bits()), one.MinimumBitsPerSample, "valid bits");
        }
    }
}

#[test]
fn ranges_that_do_not_meet_are_no_match() {
    let ours = |rate| bytes(&range(SampleFormat::S16, rate, 2));
    let wide = client(u32::MAX, (8, 32), (1, 384_000));
    for apart in [
        client(0, (16, 16), (48_000, 48_000)),
        client(2, (24, 32), (48_000, 48_000)),
        client(2, (16, 16), (44_100, 44_100)),
        client(2, (16, 16), (96_000, 192_000)),
        with(&wide, 16, [9; 16]),
        with(&wide, 32, [9; 16]),
        with(&wide, 32, KSDATAFORMAT_SUBTYPE_IEEE_FLOAT.to_bytes()),
        with(&wide, 48, [9; 16]),
    ] {
        assert_eq!(intersect(&apart, &ours(48_000), FEW, 2), Err(FormatError::NoMatch));
    }
    let foreign =
        bytes(&KSDATARANGE_AUDIO { MaximumBitsPerSample: 20, ..range(SampleFormat::S16, 48_000, 2) });
    for other in [foreign, ours(96_000), vec![0; 64], vec![]] {
        assert_eq!(intersect(&wide, &other, FEW, 2), Err(FormatError::NoMatch), "no range of ours");
    }
}

#[test]
fn short_ranges_are_refused_where_they_are_no_wildcard() {
    let named = client(2, (16, 16), (48_000, 48_000));
    let meet = |client: &[u8]| intersect(client, &bytes(&range(SampleFormat::S16, 48_000, 2)), FEW, 2);
    for length in 0..84 {
        assert_eq!(meet(&named[..length]), Err(FormatError::Malformed), "{length}");
    }
    assert_eq!(meet(&named[..84]), Ok(STEREO));
}

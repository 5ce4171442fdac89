//! The port's default data-intersection handler, which a miniport leaves the work to with
//! STATUS_NOT_IMPLEMENTED (page "Default Data-Intersection Handlers"): PCM, mono or stereo, the highest value
//! of each parameter, and never a WAVEFORMATEXTENSIBLE.
//!
//! Doubt: drivers were seen on Windows 11 whose endpoint had no mix format by it at 96 kHz or in mono;
//! nothing says why, so that ntguest does what the page says.

use super::guid::{Guid, SPECIFIER_WAVEFORMATEX, SUBTYPE_PCM, TYPE_AUDIO};
use super::layout::KsDataRangeAudio;
use alloc::vec::Vec;

/// Bytes of a `KSDATAFORMAT_WAVEFORMATEX`, which is packed.
pub const BYTES: usize = 82;
/// Stereo.
const MOST_CHANNELS: u32 = 2;
/// `GUID_NULL`, which stands for any.
const WILDCARD: Guid = Guid { data1: 0, data2: 0, data3: 0, data4: [0; 8] };

/// The format of two ranges, the client's and the pin's; `None` when there is none that this handler knows.
pub fn intersect(client: &KsDataRangeAudio, mine: &KsDataRangeAudio) -> Option<Vec<u8>> {
    let (theirs, ours) = (&client.range, &mine.range);
    let same = |a: Guid, b: Guid, due: Guid| [a, b].iter().all(|guid| *guid == due || *guid == WILDCARD);
    if !same(theirs.major_format, ours.major_format, TYPE_AUDIO)
        || !same(theirs.sub_format, ours.sub_format, SUBTYPE_PCM)
        || !same(theirs.specifier, ours.specifier, SPECIFIER_WAVEFORMATEX)
    {
        return None;
    }
    let highest = |low: [u32; 2], high: [u32; 2]| {
        let (low, high) = (low[0].max(low[1]), high[0].min(high[1]));
        (low <= high).then_some(high)
    };
    let channels = client.maximum_channels.min(mine.maximum_channels).min(MOST_CHANNELS);
    let bits = highest(
        [client.minimum_bits_per_sample, mine.minimum_bits_per_sample],
        [client.maximum_bits_per_sample, mine.maximum_bits_per_sample],
    )?;
    let rate = highest(
        [client.minimum_sample_frequency, mine.minimum_sample_frequency],
        [client.maximum_sample_frequency, mine.maximum_sample_frequency],
    )?;
    (channels > 0 && bits > 0 && bits <= 32 && rate > 0).then(|| format(channels, bits, rate))?
}

/// A WAVEFORMATEX of PCM behind its KSDATAFORMAT.
fn format(channels: u32, bits: u32, rate: u32) -> Option<Vec<u8>> {
    let block = channels * bits.div_ceil(8);
    let mut bytes = Vec::with_capacity(BYTES);
    for word in [u32::try_from(BYTES).ok()?, 0, block, 0] {
        bytes.extend(word.to_le_bytes());
    }
    for guid in [TYPE_AUDIO, SUBTYPE_PCM, SPECIFIER_WAVEFORMATEX] {
        bytes.extend(guid.bytes());
    }
    let short = |value: u32| u16::try_from(value).map(u16::to_le_bytes).ok();
    bytes.extend(short(1)?);
    bytes.extend(short(channels)?);
    bytes.extend(rate.to_le_bytes());
    bytes.extend(rate.checked_mul(block)?.to_le_bytes());
    bytes.extend(short(block)?);
    bytes.extend(short(bits)?);
    bytes.extend([0, 0]);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::guid::SUBTYPE_IEEE_FLOAT;
    use super::super::layout::KsDataFormat;
    use super::*;

    fn range(channels: u32, bits: (u32, u32), rates: (u32, u32)) -> KsDataRangeAudio {
        KsDataRangeAudio {
            range: KsDataFormat::audio(88, SUBTYPE_PCM, SPECIFIER_WAVEFORMATEX),
            maximum_channels: channels,
            minimum_bits_per_sample: bits.0,
            maximum_bits_per_sample: bits.1,
            minimum_sample_frequency: rates.0,
            maximum_sample_frequency: rates.1,
            padding: 0,
        }
    }

    #[test]
    fn the_highest_of_each_parameter_is_taken_and_two_channels_at_most() {
        let (client, mine) = (range(8, (8, 24), (8_000, 48_000)), range(6, (16, 32), (44_100, 96_000)));
        let made = intersect(&client, &mine).unwrap();
        assert_eq!((made.len(), made[..4].first()), (BYTES, Some(&82)));
        // PCM, stereo, 48 kHz, 288,000 bytes a second, 6 bytes a frame, 24 bits, nothing behind.
        let (channels, rate) = ([1, 0, 2, 0], 48_000u32.to_le_bytes());
        assert_eq!((&made[64..68], &made[68..72]), (&channels[..], &rate[..]));
        assert_eq!(made[72..76], 288_000u32.to_le_bytes());
        assert_eq!(made[76..], [6, 0, 24, 0, 0, 0]);
    }

    #[test]
    fn mono_stays_mono_and_wildcards_fit() {
        let mut client = range(1, (16, 16), (48_000, 48_000));
        (client.range.sub_format, client.range.specifier) = (WILDCARD, WILDCARD);
        let made = intersect(&client, &range(2, (16, 16), (48_000, 48_000))).unwrap();
        assert_eq!(made[66..68], [1, 0]);
    }

    #[test]
    fn what_the_handler_does_not_know_has_no_intersection() {
        let good = range(2, (16, 16), (48_000, 48_000));
        let mut float = good;
        float.range.sub_format = SUBTYPE_IEEE_FLOAT;
        for other in [
            float,
            range(0, (16, 16), (48_000, 48_000)),
            range(2, (24, 32), (48_000, 48_000)),
            range(2, (16, 16), (8_000, 44_100)),
            range(2, (16, 16), (0, 0)),
        ] {
            assert!(intersect(&other, &good).is_none());
        }
    }
}

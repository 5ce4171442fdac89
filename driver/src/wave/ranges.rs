//! The data ranges of a host pin: what they announce, and the format where a client's range and one of them
//! meet. WAVERT.md 5.1, 5.2, 5.5.
//!
//! `Minimum`- and `MaximumBitsPerSample` of a range are *valid* bits, so 24 bits in 32 are a range of their
//! own. The ranges stand in the order in which they are liked, the default format's first: intersection is
//! asked for one of ours after the other, and the first that meets the client's is what it gets.

use alloc::vec::Vec;

use nt::NtResult;
use nt::pool::try_push;
use nt::status::STATUS_INSUFFICIENT_RESOURCES;
use portcls_sys::guid::{GUID_NULL, KSDATAFORMAT_SPECIFIER_WAVEFORMATEX, KSDATAFORMAT_TYPE_AUDIO};
use portcls_sys::ks::{KSDATAFORMAT_ATTRIBUTES, KSDATARANGE, KSDATARANGE_AUDIO};

use super::format::{Fields, FormatError, RANGE_BYTES, is_float};
use crate::default_format::DefaultFormat;
use crate::hw::format::{AudioFormat, Capabilities, RATES, SampleFormat};

/// All ranges of a pin: one for each kind of samples and rate (a range has one span of rates, and the card
/// takes no others within).
///
/// # Errors
/// `STATUS_INSUFFICIENT_RESOURCES`.
pub fn of_pin(can: Capabilities, default: &DefaultFormat) -> NtResult<Vec<KSDATARANGE_AUDIO>> {
    let mut ranges = Vec::new();
    ranges
        .try_reserve_exact(SampleFormat::ALL.len() * RATES.len())
        .map_err(|_| STATUS_INSUFFICIENT_RESOURCES)?;
    for sample in default.samples().filter(|sample| can.has(*sample)) {
        for rate in default.rates().filter(|rate| can.has_rate(*rate)) {
            try_push(&mut ranges, range(sample, rate, can.channels_max))?;
        }
    }
    Ok(ranges)
}

fn range(sample: SampleFormat, rate: u32, channels: u32) -> KSDATARANGE_AUDIO {
    KSDATARANGE_AUDIO {
        DataRange: KSDATARANGE {
            FormatSize: 88,
            // The pin's signal-processing modes are in the entry behind.
            Flags: KSDATAFORMAT_ATTRIBUTES,
            SampleSize: 0,
            Reserved: 0,
            MajorFormat: KSDATAFORMAT_TYPE_AUDIO,
            SubFormat: sample.subformat(),
            Specifier: KSDATAFORMAT_SPECIFIER_WAVEFORMATEX,
        },
        MaximumChannels: channels,
        MinimumBitsPerSample: u32::from(sample.valid_bits()),
        MaximumBitsPerSample: u32::from(sample.valid_bits()),
        MinimumSampleFrequency: rate,
        MaximumSampleFrequency: rate,
        Padding: 0,
    }
}

/// The best format where a client's data range and one of the pin's meet, both
/// [`Prefix`](super::format::Prefix)es. `can` is what the pin takes; no more than `channels` come of it, the
/// default format's: a range has no least number, and the endpoint builder asks with copies of our ranges,
/// whose most are the card's eight.
///
/// # Errors
/// `NoMatch`; `Malformed` for a client's range that is too short for what it says it is.
pub fn intersect(
    client: &[u8],
    ours: &[u8],
    can: Capabilities,
    channels: u32,
) -> Result<AudioFormat, FormatError> {
    use FormatError::{Malformed, NoMatch};
    let ours = best_of(ours, can, channels).ok_or(NoMatch)?;
    let range = Fields(client);
    let matches = |offset, ours| match range.guid(offset) {
        Some(theirs) if theirs == GUID_NULL || theirs == ours => Ok(theirs),
        Some(_) => Err(NoMatch),
        None => Err(Malformed),
    };
    matches(16, KSDATAFORMAT_TYPE_AUDIO)?;
    matches(32, ours.sample.subformat())?;
    let specifier = matches(48, KSDATAFORMAT_SPECIFIER_WAVEFORMATEX)?;
    if client.len() < RANGE_BYTES {
        // Only a wildcard may come without the audio limits: then anything will do.
        return if specifier == GUID_NULL { Ok(ours) } else { Err(Malformed) };
    }
    let field = |offset| range.u32(offset).ok_or(Malformed);
    let (most_channels, bits) = (field(64)?, field(68)?..=field(72)?);
    let rates = field(76)?..=field(80)?;
    // Clients mean valid bits or those of a container. A client that names the container gets samples that
    // fill it, if the pin has them.
    let by_container = bits.contains(&u32::from(ours.sample.bits())) && !can.fills(ours.sample);
    let fits = bits.contains(&u32::from(ours.sample.valid_bits())) || by_container;
    if most_channels == 0 || !fits || !rates.contains(&ours.rate) {
        return Err(NoMatch);
    }
    Ok(AudioFormat { channels: ours.channels.min(most_channels), ..ours })
}

/// The best format of a data range of ours; `None` for another one's, or a bridge's.
fn best_of(range: &[u8], can: Capabilities, channels: u32) -> Option<AudioFormat> {
    let range = Fields(range);
    if range.guid(48)? != KSDATAFORMAT_SPECIFIER_WAVEFORMATEX {
        return None;
    }
    let float = is_float(range.guid(32)?).ok()?;
    let valid_bits = range.u32(72)?;
    let of_range =
        |sample: &SampleFormat| sample.is_float() == float && u32::from(sample.valid_bits()) == valid_bits;
    let sample = SampleFormat::ALL.into_iter().find(of_range)?;
    let format = AudioFormat { sample, channels: channels.min(can.channels_max), rate: range.u32(76)? };
    can.takes(format).then_some(format)
}

#[cfg(test)]
mod tests;

//! Whether the pin offers a format: by its data ranges, and by asking the miniport for the intersection
//! (WAVERT.md 5.5).

use super::format::PcmFormat;
use super::intersection::{Answer, bytes_of, intersection, plain};
use super::made_format::{Finding, MadeFormat};
use crate::kernel;
use crate::portcls::descriptor::Range;
use crate::portcls::endpoint::Endpoint;
use crate::portcls::layout::KsDataRangeAudio;
use alloc::vec::Vec;

/// Whether a range of the pin covers the format, and whether the miniport, if it decides that itself, agrees.
pub fn is_offered(endpoint: &Endpoint, format: &PcmFormat) -> bool {
    let Some(range) = endpoint.descriptor.ranges.iter().find(|range| covers(range, format)) else {
        return false;
    };
    check_intersection(endpoint, range, format);
    true
}

/// The bits of a KSDATARANGE_AUDIO are valid bits (its page): 24 in 32 is a range with 24.
pub fn covers(range: &Range, format: &PcmFormat) -> bool {
    range.audio.is_some_and(|audio| {
        range.format.sub_format == format.sub_format
            && u32::from(format.channels) <= audio.maximum_channels
            && (audio.minimum_bits_per_sample..=audio.maximum_bits_per_sample)
                .contains(&u32::from(format.valid_bits))
            && (audio.minimum_sample_frequency..=audio.maximum_sample_frequency).contains(&format.rate)
    })
}

/// `DataRangeIntersection` with a client range of exactly this format. `NOT_IMPLEMENTED` lets PortCls do it;
/// `NO_MATCH` is allowed where the client's number of channels differs from the pin's (samples do that); any
/// other answer follows the size protocol.
fn check_intersection(endpoint: &Endpoint, range: &Range, format: &PcmFormat) {
    let client = KsDataRangeAudio {
        range: plain(range),
        maximum_channels: u32::from(format.channels),
        minimum_bits_per_sample: u32::from(format.valid_bits),
        maximum_bits_per_sample: u32::from(format.valid_bits),
        minimum_sample_frequency: format.rate,
        maximum_sample_frequency: format.rate,
        padding: 0,
    };
    if let Answer::Format(made) = intersection(endpoint, &bytes_of(&client), range) {
        expect_inside(&made, &client);
    }
}

/// What the miniport makes of one of its ranges when the client takes all of it, or PortCls when that leaves
/// it to it; `None` when it is wrong.
pub fn of_range(endpoint: &Endpoint, range: &Range) -> Option<Vec<u8>> {
    let client = KsDataRangeAudio { range: plain(range), ..range.audio? };
    let nothing = KsDataRangeAudio { minimum_sample_frequency: 1, maximum_sample_frequency: 1, ..client };
    if let Answer::Format(_) = intersection(endpoint, &bytes_of(&nothing), range) {
        kernel::violation(
            "intersection",
            format_args!("a range of 1 Hz has an intersection, NO_MATCH is due"),
        );
    }
    match intersection(endpoint, &bytes_of(&client), range) {
        Answer::ByPortCls(made) => Some(made),
        Answer::Format(made) => expect_inside(&made, &client).then_some(made),
        Answer::NoMatch => {
            kernel::violation("intersection", format_args!("a range has no intersection with itself"));
            None
        }
        Answer::Wrong => None,
    }
}

/// A format that was made is of one mind and lies in the client's range (rule `intersection`).
fn expect_inside(made: &[u8], client: &KsDataRangeAudio) -> bool {
    let made = match MadeFormat::read(made) {
        Ok(made) => made,
        Err(finding) => {
            // A plain WAVEFORMATEX is legal, and was seen to make an endpoint without a mix format.
            let plain = matches!(finding, Finding::NotExtensible(..));
            let report = if plain { kernel::harsh_violation } else { kernel::violation };
            report("intersection", format_args!("the format that was made: {finding}"));
            return plain && !kernel::harsh::on();
        }
    };
    let inside = made.is_in(client);
    if !inside {
        kernel::violation(
            "intersection",
            format_args!(
                "{made} is not in the client's range of up to {} channel(s), {} to {} bits, {} to {} Hz",
                client.maximum_channels,
                client.minimum_bits_per_sample,
                client.maximum_bits_per_sample,
                client.minimum_sample_frequency,
                client.maximum_sample_frequency
            ),
        );
    }
    inside
}

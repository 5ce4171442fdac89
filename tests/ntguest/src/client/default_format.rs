//! The default format of an endpoint: what Windows makes of a pin that it asks without a wish of its own
//! (rule `default-format`).
//!
//! The endpoint builder takes it from the data intersection and keeps it (seen on Windows 11); where
//! PROPOSEDATAFORMAT2 has an answer, Windows uses that and no other for the mode (its page). Two answers, or
//! a volume node with other channels, would be an endpoint of two minds. What the format is, is the driver's
//! choice: it goes to the result lines, and the tests of our own driver compare it.

use super::attributes;
use super::format::SAMPLE_FORMATS;
use super::intersection::{self, Answer, WILDCARD, bytes_of, open_range, resolve};
use super::made_format::{Finding, MadeFormat};
use super::proposals;
use crate::kernel;
use crate::portcls::endpoint::Endpoint;
use crate::portcls::fault::{self, Fault};
use crate::portcls::guid::{Guid, SUBTYPE_IEEE_FLOAT, SUBTYPE_PCM, TYPE_AUDIO};
use crate::portcls::layout::KsDataRangeAudio;
use alloc::vec::Vec;
use core::fmt;

/// The rate of the engine's own mix: whoever may have it wants it.
const USUAL_RATE: u32 = 48_000;

fn wrong(endpoint: &Endpoint, what: fmt::Arguments<'_>) {
    kernel::harsh_violation("default-format", format_args!("\"{}\": {what}", endpoint.name));
}

/// What came of a client's range, read and judged; `None` when PortCls makes it, or when it is wrong.
pub fn made_of(endpoint: &Endpoint, client: &[u8], what: fmt::Arguments<'_>) -> Option<MadeFormat> {
    match resolve(endpoint, client) {
        Answer::Format(mut bytes) => {
            if fault::make(Fault::PlainAnswer) {
                bytes.get_mut(64..66)?.copy_from_slice(&[1, 0]);
            }
            match MadeFormat::read(&bytes) {
                Ok(made) => Some(made),
                Err(finding) => {
                    // A plain WAVEFORMATEX is legal, and was seen to make an endpoint without a mix format.
                    let (rule, plain) = ("intersection", matches!(finding, Finding::NotExtensible(..)));
                    let report = if plain { kernel::harsh_violation } else { kernel::violation };
                    report(rule, format_args!("the answer to {what}: {finding}"));
                    None
                }
            }
        }
        Answer::NoMatch => {
            kernel::violation("intersection", format_args!("{what}: NO_MATCH, a format is due"));
            None
        }
        Answer::ByPortCls(_) | Answer::Wrong => None,
    }
}

/// Every question without a wish, the questions with one wish, and PROPOSEDATAFORMAT2 in every mode; the
/// default format when there is one.
pub fn check(endpoint: &Endpoint, modes: &[Guid]) -> Option<MadeFormat> {
    let open: [(&str, Vec<u8>); 4] = [
        ("a KSDATARANGE of audio", intersection::wildcard(TYPE_AUDIO)),
        ("a KSDATARANGE of anything", intersection::wildcard(WILDCARD)),
        ("a KSDATARANGE_AUDIO of any subformat", bytes_of(&open_range(None))),
        ("a KSDATARANGE_AUDIO of PCM", bytes_of(&open_range(Some(SUBTYPE_PCM)))),
    ];
    let mut default = None;
    for (what, client) in &open {
        let mut made = made_of(endpoint, client, format_args!("{what}"))?;
        if default.is_some() && fault::make(Fault::OtherDefault) {
            made.rate *= 2;
        }
        let first = *default.get_or_insert(made);
        if made != first {
            wrong(endpoint, format_args!("{what} gives {made}, another question {first}"));
        }
    }
    for mode in modes {
        if let Some(proposed) = proposed(endpoint, *mode).filter(|proposed| Some(*proposed) != default) {
            wrong(endpoint, format_args!("PROPOSEDATAFORMAT2 says {proposed}, an intersection {default:?}"));
        }
    }
    limited_ranges(endpoint);
    default
}

/// What PROPOSEDATAFORMAT2 calls the best of a mode, if it has an answer.
fn proposed(endpoint: &Endpoint, mode: Guid) -> Option<MadeFormat> {
    let (format, _) = attributes::split(&proposals::best_of(endpoint, mode)?)?;
    match MadeFormat::read(&format) {
        Ok(made) => Some(made),
        Err(finding) => {
            wrong(endpoint, format_args!("PROPOSEDATAFORMAT2: {finding}"));
            None
        }
    }
}

/// Ranges with one limit each: what is given is the best inside, not what some range of the pin begins or
/// ends with (IMiniport::DataRangeIntersection page: the best of what both ranges have).
fn limited_ranges(endpoint: &Endpoint) {
    let offered =
        |rate: u32| {
            endpoint.descriptor.ranges.iter().filter_map(|range| range.audio).any(|audio| {
                (audio.minimum_sample_frequency..=audio.maximum_sample_frequency).contains(&rate)
            })
        };
    let pcm = open_range(Some(SUBTYPE_PCM));
    let rates = |least: u32, most: u32| KsDataRangeAudio {
        minimum_sample_frequency: least,
        maximum_sample_frequency: most,
        ..pcm
    };
    // (client, the rate that is due)
    for (client, due) in [
        (rates(8_000, 44_100), 44_100),
        (rates(44_100, 44_100), 44_100),
        (rates(8_000, 384_000), USUAL_RATE),
        (rates(96_000, 96_000), 96_000),
    ] {
        if offered(due) {
            let what = format_args!(
                "rates from {} to {}",
                client.minimum_sample_frequency, client.maximum_sample_frequency
            );
            expect(endpoint, &client, what, |made| made.rate == due);
        }
    }
    let one = KsDataRangeAudio { maximum_channels: 1, ..pcm };
    expect(endpoint, &one, format_args!("one channel"), |made| made.channels == 1);
    bits(endpoint, &pcm);
}

/// Valid bits that a range of the pin has, asked for alone: 24 are 24 in 32, and 32 is a container of 32.
fn bits(endpoint: &Endpoint, pcm: &KsDataRangeAudio) {
    for sample in SAMPLE_FORMATS {
        let valid = u32::from(sample.valid_bits());
        let sub_format = if sample.is_float() { SUBTYPE_IEEE_FLOAT } else { SUBTYPE_PCM };
        let has = |least: u32, most: u32| (least..=most).contains(&valid);
        let there = endpoint.descriptor.ranges.iter().any(|range| {
            range.format.sub_format == sub_format
                && range
                    .audio
                    .is_some_and(|audio| has(audio.minimum_bits_per_sample, audio.maximum_bits_per_sample))
        });
        if !there {
            continue;
        }
        let mut client =
            KsDataRangeAudio { minimum_bits_per_sample: valid, maximum_bits_per_sample: valid, ..*pcm };
        client.range.sub_format = sub_format;
        expect(endpoint, &client, format_args!("{sample}"), |made| {
            made.bits == sample.container_bits() && (made.valid_bits == sample.valid_bits() || valid == 32)
        });
    }
}

fn expect(
    endpoint: &Endpoint,
    client: &KsDataRangeAudio,
    what: fmt::Arguments<'_>,
    right: impl FnOnce(&MadeFormat) -> bool,
) {
    let Some(made) = made_of(endpoint, &bytes_of(client), what) else { return };
    if !made.is_in(client) || !right(&made) {
        wrong(endpoint, format_args!("a client that wants {what} gets {made}"));
    }
}

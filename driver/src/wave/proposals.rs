//! KSPROPERTY_PIN_PROPOSEDATAFORMAT and PROPOSEDATAFORMAT2 of the wave filter: before it opens the host pin a
//! client asks whether the pin would take a format, and which one it should begin with. WAVERT.md 5.5, 5.7.
//!
//! What is agreed to here is exactly what NewStream takes: both ask [`AudioFormat::parse`], [`modes`] and
//! [`Capabilities::takes`]. An engine that is promised a format and then refused it tries for ever.
//!
//! [`Capabilities::takes`]: crate::hw::format::Capabilities::takes

mod default_format;

use nt::NTSTATUS;
use nt::status::{STATUS_BUFFER_TOO_SMALL, STATUS_INVALID_PARAMETER, STATUS_NO_MATCH, STATUS_NOT_SUPPORTED};
use portcls_sys::GUID;
use portcls_sys::guid::{
    GUID_NULL, KSDATAFORMAT_SPECIFIER_WAVEFORMATEX, KSDATAFORMAT_TYPE_AUDIO, KSPROPSETID_Pin,
};
use portcls_sys::ks::{
    KSDATAFORMAT_WAVEFORMATEX_BYTES, KSPROPERTY_PIN_PROPOSEDATAFORMAT, KSPROPERTY_PIN_PROPOSEDATAFORMAT2,
    KSPROPERTY_TYPE_BASICSUPPORT, KSPROPERTY_TYPE_GET, KSPROPERTY_TYPE_SET,
};
use portcls_sys::pc::{PCAUTOMATION_TABLE, PCPROPERTY_ITEM};
use portcls_sys::property::{PropertyHandler, Reply, Verb, pin_of};

use super::descriptors::{bridge_pin, host_pin};
use super::format::{Fields, FormatError, HEADER_BYTES};
use super::miniport::WaveMiniport;
use super::modes;
use crate::hw::Endpoint;
use crate::hw::format::{AudioFormat, SampleFormat};

static PROPERTIES: [PCPROPERTY_ITEM; 2] = [
    PCPROPERTY_ITEM::answered_by::<Proposal>(
        &KSPROPSETID_Pin,
        KSPROPERTY_PIN_PROPOSEDATAFORMAT,
        KSPROPERTY_TYPE_SET | KSPROPERTY_TYPE_BASICSUPPORT,
    ),
    PCPROPERTY_ITEM::answered_by::<Proposal2>(
        &KSPROPSETID_Pin,
        KSPROPERTY_PIN_PROPOSEDATAFORMAT2,
        KSPROPERTY_TYPE_GET | KSPROPERTY_TYPE_BASICSUPPORT,
    ),
];

/// The properties of the wave filter.
pub static AUTOMATION: PCAUTOMATION_TABLE = PCAUTOMATION_TABLE::new(&PROPERTIES, &[]);

/// FormatSize of a KSDATAFORMAT that nothing follows.
const HEADER_BYTES_U32: u32 = 64;
const _: () = assert!(HEADER_BYTES_U32 as usize == HEADER_BYTES);

/// KSPROPERTY_PIN_PROPOSEDATAFORMAT.
struct Proposal;

impl PropertyHandler for Proposal {
    type Miniport = WaveMiniport;

    fn answer(miniport: &WaveMiniport, verb: Verb, instance: &[u8], value: &mut [u8]) -> Reply {
        propose(miniport, verb, instance, value)
    }
}

/// KSPROPERTY_PIN_PROPOSEDATAFORMAT2.
struct Proposal2;

impl PropertyHandler for Proposal2 {
    type Miniport = WaveMiniport;

    fn answer(miniport: &WaveMiniport, verb: Verb, instance: &[u8], value: &mut [u8]) -> Reply {
        default_format::propose2(miniport, verb, instance, value)
    }
}

/// The instance names the host pin.
fn on_host_pin(endpoint: &Endpoint, instance: &[u8]) -> Result<(), NTSTATUS> {
    let pin = pin_of(instance)?;
    if pin == host_pin(endpoint.direction) {
        Ok(())
    } else if pin == bridge_pin(endpoint.direction) {
        Err(STATUS_NOT_SUPPORTED)
    } else {
        Err(STATUS_INVALID_PARAMETER)
    }
}

/// PROPOSEDATAFORMAT: whether the pin would take the format in `value`.
fn propose(miniport: &WaveMiniport, verb: Verb, instance: &[u8], value: &mut [u8]) -> Reply {
    if let Err(status) = on_host_pin(miniport.endpoint(), instance) {
        return Reply::refused(status);
    }
    match verb {
        Verb::BasicSupport => return Reply::basic_support(value, KSPROPERTY_TYPE_SET),
        Verb::Get => return Reply::NO_VERB,
        Verb::Set => {}
    }
    if value.is_empty() {
        return Reply::no_room(0, KSDATAFORMAT_WAVEFORMATEX_BYTES);
    }
    let head_only = Fields(value).u32(0) == Some(HEADER_BYTES_U32) && value.len() >= HEADER_BYTES;
    if value.len() < KSDATAFORMAT_WAVEFORMATEX_BYTES && !head_only {
        return Reply::refused(STATUS_BUFFER_TOO_SMALL);
    }
    match if head_only { has_kind(miniport, value) } else { would_take(miniport, value) } {
        Ok(()) => Reply::DONE,
        Err(FormatError::Attributes) => Reply::refused(STATUS_NOT_SUPPORTED),
        Err(FormatError::NoMatch | FormatError::Malformed) => Reply::refused(STATUS_NO_MATCH),
    }
}

/// A KSDATAFORMAT and nothing behind it: whether the pin has formats of that kind at all. The endpoint
/// builder was seen to ask so (WAVERT.md 5.5, one source). Wildcards are as in a data range.
fn has_kind(miniport: &WaveMiniport, value: &[u8]) -> Result<(), FormatError> {
    let can = miniport.endpoint().can;
    let field = |at: usize| Fields(value).guid(at).ok_or(FormatError::Malformed);
    let (major, subformat, specifier) = (field(16)?, field(32)?, field(48)?);
    let any_of = |subformat: GUID| {
        let samples = SampleFormat::ALL.into_iter();
        samples.filter(|sample| can.has(*sample)).any(|sample| sample.subformat() == subformat)
    };
    let is = |guid: GUID, ours: GUID| guid == ours || guid == GUID_NULL;
    let there = is(major, KSDATAFORMAT_TYPE_AUDIO)
        && (subformat == GUID_NULL || any_of(subformat))
        && is(specifier, KSDATAFORMAT_SPECIFIER_WAVEFORMATEX);
    modes::check_behind(value, miniport.modes())?;
    if there { Ok(()) } else { Err(FormatError::NoMatch) }
}

/// A format as long as it says and perhaps an attribute list, both inside of `value`.
fn would_take(miniport: &WaveMiniport, value: &[u8]) -> Result<(), FormatError> {
    let size = Fields(value).u32(0).and_then(|size| usize::try_from(size).ok());
    let format = size.and_then(|size| value.get(..size)).ok_or(FormatError::Malformed)?;
    let format = AudioFormat::parse(format)?;
    modes::check_behind(value, miniport.modes())?;
    if miniport.endpoint().can.takes(format) { Ok(()) } else { Err(FormatError::NoMatch) }
}

#[cfg(test)]
mod tests;

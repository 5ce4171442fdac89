//! KSPROPERTY_PIN_PROPOSEDATAFORMAT2: the format that a client should begin with. WAVERT.md 5.5, 5.7.

use nt::NTSTATUS;
use nt::status::STATUS_NO_MATCH;
use portcls_sys::ks::{KSDATAFORMAT_ATTRIBUTES, KSPROPERTY_TYPE_GET};

use super::on_host_pin;
use crate::wave::miniport::WaveMiniport;
use crate::wave::modes;
use portcls_sys::property::{Reply, Verb};

/// Where the attribute list is in the instance of PROPOSEDATAFORMAT2: behind `PinId` and `Reserved` of
/// KSP_PIN.
const LIST_AT: usize = 8;

/// PROPOSEDATAFORMAT2: the endpoint's default format, which is its shared format for good
/// ([`crate::default_format`]), in the mode that the instance names, followed by what names it.
pub(super) fn propose2(miniport: &WaveMiniport, verb: Verb, instance: &[u8], value: &mut [u8]) -> Reply {
    if let Err(status) = on_host_pin(miniport.endpoint(), instance) {
        return Reply::refused(status);
    }
    match verb {
        Verb::BasicSupport => return Reply::basic_support(value, KSPROPERTY_TYPE_GET),
        Verb::Set => return Reply::NO_VERB,
        Verb::Get => {}
    }
    let list = match mode_list(miniport, instance) {
        Ok(list) => list,
        Err(status) => return Reply::refused(status),
    };
    // The same in every mode: the card has no processing that one could leave out.
    let Some(format) = miniport.default_format() else { return Reply::refused(STATUS_NO_MATCH) };
    let mut format = format.to_bytes();
    if !list.is_empty() {
        format.set_flags(KSDATAFORMAT_ATTRIBUTES);
    }
    // A KSDATAFORMAT_WAVEFORMATEXTENSIBLE is a multiple of 8 long, so that the list may follow at once.
    Reply::parts(value, &[format.as_slice(), list])
}

/// The attribute list in the instance, given back as it came; none is good too. It ends where the instance
/// ends, whatever its `Size` says: the samples (simpleaudiosample, `minwavert.cpp`) go by that alone.
fn mode_list<'a>(miniport: &WaveMiniport, instance: &'a [u8]) -> Result<&'a [u8], NTSTATUS> {
    let list = instance.get(LIST_AT..).unwrap_or_default();
    if list.is_empty() {
        return Ok(list);
    }
    modes::check_bounded(list, miniport.modes())?;
    Ok(list)
}

//! KSPROPERTY_JACK_DESCRIPTION and DESCRIPTION2 of the topology filter: what Windows shows about the place
//! where an endpoint ends, and whether something is plugged in there. Nothing can be seen or touched: the
//! card is a program, and its operator plugs (DATASHEET 5.9). WAVERT.md 5.7.

use nt::status::{STATUS_INVALID_PARAMETER, STATUS_NOT_SUPPORTED};
use portcls_sys::guid::KSPROPSETID_Jack;
use portcls_sys::ks::{
    JACKDESC2_PRESENCE_DETECT_CAPABILITY, KSPROPERTY_JACK_DESCRIPTION, KSPROPERTY_JACK_DESCRIPTION2,
    KSPROPERTY_TYPE_BASICSUPPORT, KSPROPERTY_TYPE_GET,
};
use portcls_sys::pc::{PCAUTOMATION_TABLE, PCPROPERTY_ITEM};
use portcls_sys::property::{PropertyHandler, Reply, Verb, pin_of};

use super::event_requests::JACK_CHANGE;
use super::miniport::TopologyMiniport;
use super::pins::wave_pin;
use crate::hw::Direction;
use crate::wave::format::speakers;

/// `eConnTypeUnknown`, `EPcxConnectionType`.
const CONNECTION_UNKNOWN: u32 = 0;
/// `eGeoLocFront`, `EPcxGeoLocation`. With [`PRIMARY_BOX`] where Microsoft's samples say that their speakers
/// are: a place "not applicable" and a jack that one can plug into contradict each other.
const FRONT: u32 = 2;
/// `eGenLocPrimaryBox`, `EPcxGenLocation`.
const PRIMARY_BOX: u32 = 0;
/// `ePortConnJack`, `EPxcPortConnection` (mingw-w64's ksmedia.h): something can be plugged in.
const PORT_JACK: u32 = 0;
/// `ePortConnIntegratedDevice`: nothing can be, as far as the card knows.
const PORT_INTEGRATED: u32 = 1;

static PROPERTIES: [PCPROPERTY_ITEM; 2] = [
    PCPROPERTY_ITEM::answered_by::<Description>(
        &KSPROPSETID_Jack,
        KSPROPERTY_JACK_DESCRIPTION,
        KSPROPERTY_TYPE_GET | KSPROPERTY_TYPE_BASICSUPPORT,
    ),
    PCPROPERTY_ITEM::answered_by::<Description2>(
        &KSPROPSETID_Jack,
        KSPROPERTY_JACK_DESCRIPTION2,
        KSPROPERTY_TYPE_GET | KSPROPERTY_TYPE_BASICSUPPORT,
    ),
];

/// The properties of the topology filter of a card that does not detect presence.
pub static AUTOMATION: PCAUTOMATION_TABLE = PCAUTOMATION_TABLE::new(&PROPERTIES, &[]);
/// Properties and event of the topology filter of a card that does.
pub static NOTICING: PCAUTOMATION_TABLE = PCAUTOMATION_TABLE::new(&PROPERTIES, &JACK_CHANGE);

/// KSPROPERTY_JACK_DESCRIPTION.
struct Description;

impl PropertyHandler for Description {
    type Miniport = TopologyMiniport;

    fn answer(miniport: &TopologyMiniport, verb: Verb, instance: &[u8], value: &mut [u8]) -> Reply {
        let get = |miniport: &_, value: &mut _| one_item(value, description(miniport).as_flattened());
        on_jack_pin(miniport, (verb, instance, value), get)
    }
}

/// KSPROPERTY_JACK_DESCRIPTION2.
struct Description2;

impl PropertyHandler for Description2 {
    type Miniport = TopologyMiniport;

    fn answer(miniport: &TopologyMiniport, verb: Verb, instance: &[u8], value: &mut [u8]) -> Reply {
        let get = |miniport: &_, value: &mut _| one_item(value, description2(miniport).as_flattened());
        on_jack_pin(miniport, (verb, instance, value), get)
    }
}

/// Answers for the pin that is the jack, with `get` if it is asked for. Other pins have no such property, so
/// that not even basic support is there.
fn on_jack_pin(
    miniport: &TopologyMiniport,
    (verb, instance, value): (Verb, &[u8], &mut [u8]),
    get: impl FnOnce(&TopologyMiniport, &mut [u8]) -> Reply,
) -> Reply {
    match pin_of(instance) {
        Err(status) => Reply::refused(status),
        Ok(pin) if pin == wave_pin(miniport.endpoint().direction) => Reply::refused(STATUS_NOT_SUPPORTED),
        Ok(pin) if pin > 1 => Reply::refused(STATUS_INVALID_PARAMETER),
        Ok(_) => match verb {
            Verb::BasicSupport => Reply::basic_support(value, KSPROPERTY_TYPE_GET),
            Verb::Set => Reply::NO_VERB,
            Verb::Get => get(miniport, value),
        },
    }
}

/// A KSMULTIPLE_ITEM with one item.
fn one_item(value: &mut [u8], item: &[u8]) -> Reply {
    let size = u32::try_from(item.len()).unwrap_or(0).saturating_add(8);
    Reply::parts(value, &[&size.to_le_bytes(), &1_u32.to_le_bytes(), item])
}

/// Whether the card detects presence.
fn notices(miniport: &TopologyMiniport) -> bool {
    miniport.endpoint().limits.jack
}

/// KSJACK_DESCRIPTION: speakers (those of the default format), color (black), kind, place, surroundings,
/// port, connected. A microphone has no speakers.
fn description(miniport: &TopologyMiniport) -> [[u8; 4]; 7] {
    let speakers = match miniport.endpoint().direction {
        Direction::Render => speakers(miniport.channels()),
        Direction::Capture => 0,
    };
    let port = if notices(miniport) { PORT_JACK } else { PORT_INTEGRATED };
    [
        speakers.to_le_bytes(),
        [0; 4],
        CONNECTION_UNKNOWN.to_le_bytes(),
        FRONT.to_le_bytes(),
        PRIMARY_BOX.to_le_bytes(),
        port.to_le_bytes(),
        u32::from(miniport.connected()).to_le_bytes(),
    ]
}

/// KSJACK_DESCRIPTION2: state, capabilities. Its format does not change by itself.
fn description2(miniport: &TopologyMiniport) -> [[u8; 4]; 2] {
    let capabilities = if notices(miniport) { JACKDESC2_PRESENCE_DETECT_CAPABILITY } else { 0 };
    [[0; 4], capabilities.to_le_bytes()]
}

#[cfg(test)]
mod tests;

//! KSPROPERTY_JACK_DESCRIPTION and DESCRIPTION2 of the topology filter: what Windows shows about the place where an endpoint ends. There is no
//! connector to see or to unplug: the card is a program. wavert-facts 5.7.

use nt::NTSTATUS;
use nt::status::{STATUS_INVALID_PARAMETER, STATUS_NOT_SUPPORTED};
use portcls_sys::ComObject;
use portcls_sys::guid::KSPROPSETID_Jack;
use portcls_sys::ks::{
    KSAUDIO_SPEAKER_STEREO, KSPROPERTY_JACK_DESCRIPTION, KSPROPERTY_JACK_DESCRIPTION2,
    KSPROPERTY_TYPE_BASICSUPPORT, KSPROPERTY_TYPE_GET,
};
use portcls_sys::pc::{PCAUTOMATION_TABLE, PCPROPERTY_ITEM, PCPROPERTY_REQUEST};

use super::{TopologyMiniport, wave_pin};
use crate::endpoint::Direction;
use crate::properties::{Reply, Verb, handle, pin_of};

/// `eConnTypeUnknown`, `EPcxConnectionType`.
const CONNECTION_UNKNOWN: u32 = 0;
/// `eGeoLocNotApplicable`, `EPcxGeoLocation` (mingw-w64's ksmedia.h): no jack that one could reach.
const PLACE_NOT_APPLICABLE: u32 = 14;
/// `eGenLocOther`, `EPcxGenLocation`.
const SURROUNDINGS_OTHER: u32 = 3;
/// `ePortConnUnknown`, `EPxcPortConnection`.
const PORT_UNKNOWN: u32 = 3;

static PROPERTIES: [PCPROPERTY_ITEM; 2] = [
    PCPROPERTY_ITEM {
        Set: &raw const KSPROPSETID_Jack,
        Id: KSPROPERTY_JACK_DESCRIPTION,
        Flags: KSPROPERTY_TYPE_GET | KSPROPERTY_TYPE_BASICSUPPORT,
        Handler: Some(on_description),
    },
    PCPROPERTY_ITEM {
        Set: &raw const KSPROPSETID_Jack,
        Id: KSPROPERTY_JACK_DESCRIPTION2,
        Flags: KSPROPERTY_TYPE_GET | KSPROPERTY_TYPE_BASICSUPPORT,
        Handler: Some(on_description2),
    },
];

/// The properties of the topology filter.
pub static AUTOMATION: PCAUTOMATION_TABLE = PCAUTOMATION_TABLE::new(&PROPERTIES, &[]);

/// # Safety
/// As [`handle`]; the major target is NULL or a topology miniport.
unsafe extern "system" fn on_description(request: *mut PCPROPERTY_REQUEST) -> NTSTATUS {
    // SAFETY: by contract.
    unsafe { describe(request, |direction| description(direction).as_flattened()) }
}

/// # Safety
/// As [`on_description`].
unsafe extern "system" fn on_description2(request: *mut PCPROPERTY_REQUEST) -> NTSTATUS {
    // SAFETY: by contract.
    unsafe { describe(request, |_| DESCRIPTION2.as_flattened()) }
}

/// Answers with one item.
///
/// # Safety
/// As [`on_description`].
unsafe fn describe(
    request: *mut PCPROPERTY_REQUEST,
    item: impl FnOnce(Direction) -> &'static [u8],
) -> NTSTATUS {
    if request.is_null() {
        return STATUS_INVALID_PARAMETER;
    }
    // SAFETY: by contract; PortCls hands the miniport as it was given to IPort::Init, by its primary pointer, and keeps it alive.
    let miniport = unsafe { ComObject::<TopologyMiniport>::from_unknown((*request).MajorTarget) };
    let Some(direction) = miniport.map(|miniport| miniport.0) else { return STATUS_INVALID_PARAMETER };
    // SAFETY: by contract.
    unsafe {
        handle(request, |verb, instance, value| answer(direction, verb, instance, value, item(direction)))
    }
}

/// A KSMULTIPLE_ITEM with one item, for the pin that is the jack.
fn answer(direction: Direction, verb: Verb, instance: &[u8], value: &mut [u8], item: &[u8]) -> Reply {
    match verb {
        Verb::BasicSupport => return Reply::basic_support(value, KSPROPERTY_TYPE_GET),
        Verb::Set => return Reply::NO_VERB,
        Verb::Get => {}
    }
    match pin_of(instance) {
        Err(status) => Reply::refused(status),
        Ok(pin) if pin == wave_pin(direction) => Reply::refused(STATUS_NOT_SUPPORTED),
        Ok(pin) if pin > 1 => Reply::refused(STATUS_INVALID_PARAMETER),
        Ok(_) => {
            let size = u32::try_from(item.len()).unwrap_or(0).saturating_add(8);
            Reply::parts(value, &[&size.to_le_bytes(), &1_u32.to_le_bytes(), item])
        }
    }
}

/// KSJACK_DESCRIPTION: speakers, color (black), kind, place, surroundings, port, connected. Always connected, for nothing can be unplugged.
/// A microphone has no speakers.
const fn jack(speakers: u32) -> [[u8; 4]; 7] {
    [
        speakers.to_le_bytes(),
        [0; 4],
        CONNECTION_UNKNOWN.to_le_bytes(),
        PLACE_NOT_APPLICABLE.to_le_bytes(),
        SURROUNDINGS_OTHER.to_le_bytes(),
        PORT_UNKNOWN.to_le_bytes(),
        1_u32.to_le_bytes(),
    ]
}
static SPEAKERS: [[u8; 4]; 7] = jack(KSAUDIO_SPEAKER_STEREO);
static MICROPHONE: [[u8; 4]; 7] = jack(0);
/// KSJACK_DESCRIPTION2: state, capabilities. It does not notice who plugs, nor does its format change by itself.
static DESCRIPTION2: [[u8; 4]; 2] = [[0; 4]; 2];

const fn description(direction: Direction) -> &'static [[u8; 4]; 7] {
    match direction {
        Direction::Render => &SPEAKERS,
        Direction::Capture => &MICROPHONE,
    }
}

#[cfg(test)]
mod tests {
    use nt::status::{
        STATUS_BUFFER_OVERFLOW, STATUS_BUFFER_TOO_SMALL, STATUS_INVALID_DEVICE_REQUEST, STATUS_SUCCESS,
    };
    use portcls_sys::ks::{KSJACK_DESCRIPTION, KSPROPERTY_TYPE_SET};

    use super::*;

    /// Asks as PortCls does: status, size and value afterwards.
    #[allow(clippy::cast_possible_truncation, reason = "a test's sizes")]
    fn ask(direction: Direction, id: usize, verb: u32, pin: &[u8], room: usize) -> (NTSTATUS, u32, Vec<u8>) {
        let miniport = TopologyMiniport::try_new(direction).unwrap();
        let target = miniport.to_unknown();
        let (mut pin, mut value) = (pin.to_vec(), vec![0xEE; room]);
        // SAFETY: numbers and pointers, for which zero is a value.
        let mut request: PCPROPERTY_REQUEST = unsafe { core::mem::zeroed() };
        request.MajorTarget = target.as_raw();
        request.Verb = verb;
        (request.Instance, request.InstanceSize) = (pin.as_mut_ptr().cast(), pin.len() as u32);
        (request.Value, request.ValueSize) = (value.as_mut_ptr().cast(), room as u32);
        // SAFETY: the table that PortCls is given, and a request as long as it says.
        let status = unsafe { (*AUTOMATION.Properties.add(id)).Handler.unwrap()(&raw mut request) };
        (status, request.ValueSize, value)
    }

    #[test]
    fn the_jack_is_described_in_exactly_its_size() {
        for (direction, jack, speakers) in [(Direction::Render, 1, 3), (Direction::Capture, 0, 0)] {
            for (id, needed) in [(0, 36), (1, 16)] {
                for room in 0..64 {
                    let (status, size, value) =
                        ask(direction, id, KSPROPERTY_TYPE_GET, &[jack, 0, 0, 0], room);
                    let expected = match room {
                        0 => (STATUS_BUFFER_OVERFLOW, needed),
                        _ if room < needed => (STATUS_BUFFER_TOO_SMALL, room),
                        _ => (STATUS_SUCCESS, needed),
                    };
                    assert_eq!((status, size as usize), expected, "{room}");
                    let written = if room < needed { 0 } else { needed };
                    assert!(value[written..].iter().all(|byte| *byte == 0xEE), "{room}");
                    if written > 0 {
                        assert_eq!(value[..8], [u8::try_from(needed).unwrap(), 0, 0, 0, 1, 0, 0, 0]);
                    }
                }
            }
            let value = ask(direction, 0, KSPROPERTY_TYPE_GET, &[jack, 0, 0, 0], 36).2;
            // SAFETY: numbers.
            let seen: KSJACK_DESCRIPTION =
                unsafe { value.as_ptr().add(8).cast::<KSJACK_DESCRIPTION>().read_unaligned() };
            assert_eq!((seen.ChannelMapping, seen.GeoLocation, seen.IsConnected), (speakers, 14, 1));
        }
    }

    #[test]
    fn other_pins_and_verbs_are_refused() {
        let get = |pin: &[u8]| ask(Direction::Render, 0, KSPROPERTY_TYPE_GET, pin, 36).0;
        assert_eq!(get(&[0; 4]), STATUS_NOT_SUPPORTED, "the bridge to the wave filter");
        assert_eq!(get(&[2, 0, 0, 0]), STATUS_INVALID_PARAMETER);
        assert_eq!(get(&[1, 0, 0]), STATUS_INVALID_PARAMETER, "no pin");
        let set = ask(Direction::Render, 0, KSPROPERTY_TYPE_SET, &[1, 0, 0, 0], 36).0;
        assert_eq!(set, STATUS_INVALID_DEVICE_REQUEST);
        let (status, size, value) = ask(Direction::Render, 1, KSPROPERTY_TYPE_BASICSUPPORT, &[1, 0, 0, 0], 4);
        assert_eq!((status, size, value), (STATUS_SUCCESS, 4, vec![1, 2, 0, 0]));
    }
}

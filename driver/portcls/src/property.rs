//! Property requests as PortCls hands them to a filter's handlers, turned into slices, and the rules of sizes
//! that all answers keep. WAVERT.md 5.7.
//!
//! A handler is a function of its miniport on byte slices ([`PropertyHandler`]), without `unsafe`: the
//! request's pointers are touched here alone.

use crate::guid::KSPROPTYPESETID_General;
use crate::ks::{
    KSPROPERTY_MEMBER_FLAG_BASICSUPPORT_MULTICHANNEL, KSPROPERTY_MEMBER_STEPPEDRANGES,
    KSPROPERTY_STEPPING_LONG, KSPROPERTY_TYPE_BASICSUPPORT, KSPROPERTY_TYPE_GET, KSPROPERTY_TYPE_SET,
};
use crate::pc::{PCPROPERTY_ITEM, PCPROPERTY_REQUEST};
use crate::{Com, ComClass, GUID};
use nt::NTSTATUS;
use nt::status::{
    STATUS_BUFFER_OVERFLOW, STATUS_BUFFER_TOO_SMALL, STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER,
    STATUS_SUCCESS,
};

/// Bytes of the short answer to basic support: the verbs.
const SHORT_SUPPORT: usize = 4;
/// Bytes of the long answer, a `KSPROPERTY_DESCRIPTION`.
const LONG_SUPPORT: usize = 40;

/// Bytes of a range in the longest answer, a `KSPROPERTY_STEPPING_LONG`, and of the
/// `KSPROPERTY_MEMBERSHEADER` before the first.
const RANGE: usize = 16;
/// The most ranges that are answered.
pub const RANGES_MAX: usize = 8;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// What can be done with it.
    BasicSupport,
    /// Its value.
    Get,
    /// Another value.
    Set,
}

impl Verb {
    /// The verb among the flags of a request. Basic support comes first: its flag may stand beside others.
    pub const fn of(flags: u32) -> Option<Self> {
        if flags & KSPROPERTY_TYPE_BASICSUPPORT != 0 {
            Some(Self::BasicSupport)
        } else if flags & KSPROPERTY_TYPE_GET != 0 {
            Some(Self::Get)
        } else if flags & KSPROPERTY_TYPE_SET != 0 {
            Some(Self::Set)
        } else {
            None
        }
    }
}

/// The answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Success or why not.
    pub status: NTSTATUS,
    /// Bytes written, or needed; `None` leaves the request's size as it is.
    pub bytes: Option<usize>,
}

impl Reply {
    /// Done; nothing is answered.
    pub const DONE: Self = Self { status: STATUS_SUCCESS, bytes: None };
    /// The property does not know the verb.
    pub const NO_VERB: Self = Self::refused(STATUS_INVALID_DEVICE_REQUEST);

    /// Basic support with less room than the verbs need.
    const NO_SUPPORT_ROOM: Self = Self { status: STATUS_BUFFER_TOO_SMALL, bytes: Some(0) };

    /// Refused.
    pub const fn refused(status: NTSTATUS) -> Self {
        Self { status, bytes: None }
    }

    /// `bytes` are needed and `room` is not enough: a room of 0 asks how many.
    pub const fn no_room(room: usize, bytes: usize) -> Self {
        if room == 0 {
            Self { status: STATUS_BUFFER_OVERFLOW, bytes: Some(bytes) }
        } else {
            Self::refused(STATUS_BUFFER_TOO_SMALL)
        }
    }

    /// Answers with the bytes that `parts` make together, if there is room for all of them.
    pub fn parts(value: &mut [u8], parts: &[&[u8]]) -> Self {
        let bytes = parts.iter().fold(0_usize, |sum, part| sum.saturating_add(part.len()));
        let room = value.len();
        let Some(mut rest) = value.get_mut(..bytes) else { return Self::no_room(room, bytes) };
        if room == 0 {
            return Self::no_room(room, bytes);
        }
        for part in parts {
            let Some((place, behind)) = rest.split_at_mut_checked(part.len()) else { break };
            place.copy_from_slice(part);
            rest = behind;
        }
        Self { status: STATUS_SUCCESS, bytes: Some(bytes) }
    }

    /// Answers basic support for a property with these verbs: the long answer where there is room for it,
    /// else the short one. No room is too little, and no question for the size: so Microsoft's samples answer
    /// (`PropertyHandler_BasicSupport` in `kshelper.cpp`).
    pub fn basic_support(value: &mut [u8], verbs: u32) -> Self {
        let verbs = (verbs | KSPROPERTY_TYPE_BASICSUPPORT).to_le_bytes();
        if value.len() < SHORT_SUPPORT {
            return Self::NO_SUPPORT_ROOM;
        }
        if value.len() < LONG_SUPPORT {
            return Self::parts(value, &[&verbs]);
        }
        // KSPROPERTY_DESCRIPTION: verbs, its own size, no type (the value is a structure), no lists of
        // members.
        Self::parts(value, &[&verbs, &40_u32.to_le_bytes(), &[0; LONG_SUPPORT - 8]])
    }

    /// Answers basic support for a number of type `value_type` (`VT_...`) that can be read and written for
    /// each of `channels` channels, all with the same range. With room for it the description is followed by
    /// the ranges; its size says how many bytes they need. As Microsoft's samples answer (simpleaudiosample,
    /// `kshelper.cpp`).
    pub fn channels_support(
        value: &mut [u8],
        value_type: u32,
        range: &KSPROPERTY_STEPPING_LONG,
        channels: u32,
    ) -> Self {
        let count = usize::try_from(channels).unwrap_or(0).min(RANGES_MAX);
        let bytes = LONG_SUPPORT + RANGE + RANGE * count;
        let room = value.len();
        let verbs = (KSPROPERTY_TYPE_GET | KSPROPERTY_TYPE_SET | KSPROPERTY_TYPE_BASICSUPPORT).to_le_bytes();
        if room < SHORT_SUPPORT {
            return Self::NO_SUPPORT_ROOM;
        }
        if room < LONG_SUPPORT {
            return Self::parts(value, &[&verbs]);
        }
        let number = |number: usize| u32::try_from(number).unwrap_or(0).to_le_bytes();
        let set = KSPROPTYPESETID_General.to_bytes();
        // One list of members. The rest of each row is 0.
        let (id, lists) = (value_type.to_le_bytes(), 1_u32.to_le_bytes());
        let description: [&[u8]; 7] = [&verbs, &number(bytes), &set, &id, &[0; 4], &lists, &[0; 4]];
        if room < bytes {
            return Self::parts(value, &description);
        }
        let header = [
            KSPROPERTY_MEMBER_STEPPEDRANGES.to_le_bytes(),
            number(RANGE),
            number(count),
            KSPROPERTY_MEMBER_FLAG_BASICSUPPORT_MULTICHANNEL.to_le_bytes(),
        ];
        let range = [
            range.SteppingDelta.to_le_bytes(),
            [0; 4],
            range.SignedMinimum.to_le_bytes(),
            range.SignedMaximum.to_le_bytes(),
        ];
        let ranges = [range; RANGES_MAX];
        let ranges = ranges.as_flattened().as_flattened().get(..RANGE * count).unwrap_or(&[]);
        let [verbs, size, set, id, flags, lists, reserved] = description;
        Self::parts(value, &[verbs, size, set, id, flags, lists, reserved, header.as_flattened(), ranges])
    }
}

/// The pin that a filter's pin property asks about: the first number of the instance.
///
/// # Errors
/// `STATUS_INVALID_PARAMETER` if the instance is too short.
pub fn pin_of(instance: &[u8]) -> Result<u32, NTSTATUS> {
    instance.first_chunk().map(|bytes| u32::from_le_bytes(*bytes)).ok_or(STATUS_INVALID_PARAMETER)
}

/// Hands a request to `answer` (verb, instance, value) and writes its reply into the request.
///
/// # Safety
/// `request` is NULL or a request from PortCls: instance and value are NULL or as long as it says, and nobody
/// else uses the value meanwhile. Instance and value do not overlap: KS copies the instance (METHOD_NEITHER)
/// in front of where the value is.
unsafe fn handle(
    request: *mut PCPROPERTY_REQUEST,
    answer: impl FnOnce(Verb, &[u8], &mut [u8]) -> Reply,
) -> NTSTATUS {
    if request.is_null() {
        return STATUS_INVALID_PARAMETER;
    }
    // SAFETY: by contract, and not NULL.
    let (flags, instance, value) = unsafe {
        let request = &*request;
        let instance: &[u8] = if request.Instance.is_null() {
            &[]
        } else {
            core::slice::from_raw_parts(request.Instance.cast(), request.InstanceSize as usize)
        };
        let value: &mut [u8] = if request.Value.is_null() {
            &mut []
        } else {
            core::slice::from_raw_parts_mut(request.Value.cast(), request.ValueSize as usize)
        };
        (request.Verb, instance, value)
    };
    let reply = Verb::of(flags).map_or(Reply::NO_VERB, |verb| answer(verb, instance, value));
    if let Some(bytes) = reply.bytes {
        // SAFETY: as above. No answer is longer than a request's sizes are.
        unsafe { (*request).ValueSize = u32::try_from(bytes).unwrap_or(0) };
    }
    reply.status
}

/// Answers the requests for a property of a filter or of one of its nodes.
pub trait PropertyHandler {
    /// Whose filter it is.
    type Miniport: ComClass;

    /// Answers: into `value`, which has the room that the client offers; with SET it holds what the client
    /// gives. `instance` is what follows the KSPROPERTY or KSNODEPROPERTY. PASSIVE_LEVEL, under the device
    /// global lock.
    fn answer(miniport: &Self::Miniport, verb: Verb, instance: &[u8], value: &mut [u8]) -> Reply;
}

impl PCPROPERTY_ITEM {
    /// A property whose requests with the verbs of `flags` (`KSPROPERTY_TYPE_...`) `H` answers. A request
    /// about a miniport of another class than its own is STATUS_INVALID_PARAMETER.
    pub const fn answered_by<H: PropertyHandler>(set: &'static GUID, id: u32, flags: u32) -> Self {
        Self { Set: set, Id: id, Flags: flags, Handler: Some(answer::<H>) }
    }
}

/// The handler that PortCls calls.
///
/// # Safety
/// As [`handle`]; the major target is NULL or a live object. PortCls hands the miniport as it was given to
/// IPort::Init.
unsafe extern "system" fn answer<H: PropertyHandler>(request: *mut PCPROPERTY_REQUEST) -> NTSTATUS {
    if request.is_null() {
        return STATUS_INVALID_PARAMETER;
    }
    // SAFETY: by contract, and not NULL.
    let miniport = unsafe { Com::<H::Miniport>::of_class((*request).MajorTarget) };
    let Some(miniport) = miniport else { return STATUS_INVALID_PARAMETER };
    // SAFETY: by contract.
    unsafe { handle(request, |verb, instance, value| H::answer(&miniport, verb, instance, value)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_fit_their_room_or_are_not_given() {
        let whole = [1, 2, 3, 4, 5];
        for room in 0..8 {
            let mut value = [0xEE; 8];
            let reply = Reply::parts(&mut value[..room], &[&whole[..2], &[], &whole[2..]]);
            match room {
                0 => assert_eq!(reply, Reply { status: STATUS_BUFFER_OVERFLOW, bytes: Some(5) }),
                1..5 => assert_eq!(reply, Reply::refused(STATUS_BUFFER_TOO_SMALL)),
                _ => assert_eq!(reply, Reply { status: STATUS_SUCCESS, bytes: Some(5) }),
            }
            let written = if room < 5 { 0 } else { 5 };
            assert_eq!(value[..written], whole[..written]);
            assert!(value[written..].iter().all(|byte| *byte == 0xEE), "{room}");
        }
    }

    #[test]
    fn basic_support_is_short_or_long() {
        for room in 0..48 {
            let mut value = [0xEE; 48];
            let reply = Reply::basic_support(&mut value[..room], KSPROPERTY_TYPE_SET);
            let (status, bytes) = match room {
                0..4 => (STATUS_BUFFER_TOO_SMALL, Some(0)),
                4..40 => (STATUS_SUCCESS, Some(4)),
                _ => (STATUS_SUCCESS, Some(40)),
            };
            assert_eq!(reply, Reply { status, bytes }, "{room}");
            let written = if room < 4 { 0 } else { bytes.unwrap_or(0) };
            assert!(value[written..].iter().all(|byte| *byte == 0xEE), "{room}");
            if written > 0 {
                assert_eq!(value[..4], 0x202_u32.to_le_bytes());
            }
        }
    }

    #[test]
    fn channels_are_listed_with_their_ranges_where_there_is_room() {
        let range = KSPROPERTY_STEPPING_LONG {
            SteppingDelta: 0x8000,
            Reserved: 7,
            SignedMinimum: -96 << 16,
            SignedMaximum: 0,
        };
        for (channels, whole) in [(1, 72), (2, 88), (8, 184), (9, 184)] {
            for room in 0..192 {
                let mut value = [0xEE; 192];
                let reply = Reply::channels_support(&mut value[..room], 3, &range, channels);
                let (status, bytes) = match room {
                    0..4 => (STATUS_BUFFER_TOO_SMALL, Some(0)),
                    4..40 => (STATUS_SUCCESS, Some(4)),
                    _ if room < whole => (STATUS_SUCCESS, Some(40)),
                    _ => (STATUS_SUCCESS, Some(whole)),
                };
                assert_eq!(reply, Reply { status, bytes }, "{channels} channels, {room} bytes");
                let written = if room < 4 { 0 } else { bytes.unwrap_or(0) };
                assert!(value[written..].iter().all(|byte| *byte == 0xEE), "{room}");
                let word = |at: usize| i32::from_le_bytes(value[at..at + 4].try_into().unwrap());
                if written >= 4 {
                    assert_eq!(word(0), 0x203);
                }
                if written >= 40 {
                    assert_eq!((word(4).cast_unsigned() as usize, word(24), word(28)), (whole, 3, 0));
                    assert_eq!(value[8..24], KSPROPTYPESETID_General.to_bytes());
                    assert_eq!((word(32), word(36)), (1, 0));
                }
                if written > 40 {
                    assert_eq!([40, 44, 48, 52].map(word), [2, 16, channels.min(8).cast_signed(), 2]);
                    for at in (56..whole).step_by(16) {
                        assert_eq!([at, at + 4, at + 8, at + 12].map(word), [0x8000, 0, -96 << 16, 0]);
                    }
                }
            }
        }
    }

    #[test]
    fn requests_without_memory_or_verb_are_refused() {
        // SAFETY: numbers and pointers, for which zero is a value; NULL for all that could be read.
        unsafe {
            assert_eq!(handle(core::ptr::null_mut(), |_, _, _| Reply::DONE), STATUS_INVALID_PARAMETER);
            let mut request: PCPROPERTY_REQUEST = core::mem::zeroed();
            (request.InstanceSize, request.ValueSize) = (9, 9);
            assert_eq!(handle(&raw mut request, |_, _, _| Reply::DONE), STATUS_INVALID_DEVICE_REQUEST);
            request.Verb = KSPROPERTY_TYPE_GET;
            let status = handle(&raw mut request, |verb, instance, value| {
                assert_eq!((verb, instance, value.len()), (Verb::Get, &[][..], 0));
                Reply::no_room(0, 7)
            });
            assert_eq!((status, request.ValueSize), (STATUS_BUFFER_OVERFLOW, 7));
        }
    }
}

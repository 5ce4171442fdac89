//! Tests of [`super`]: what a client is told, with every room from none to more than enough.

use nt::status::{STATUS_BUFFER_OVERFLOW, STATUS_INVALID_DEVICE_REQUEST, STATUS_SUCCESS};
use portcls_sys::{Com, GUID};

use super::*;
use crate::adapter::Adapter;
use crate::hw::fake::FakeCard;
use crate::hw::format::SampleFormat;
use crate::registry::RegistryConfig;
use portcls_sys::guid::{
    AUDIO_SIGNALPROCESSINGMODE_DEFAULT as DEFAULT, AUDIO_SIGNALPROCESSINGMODE_RAW as RAW,
};

const STEREO: AudioFormat = AudioFormat { sample: SampleFormat::S16, channels: 2, rate: 48_000 };

fn miniport(stream: u32) -> Com<WaveMiniport> {
    let adapter = Adapter::try_new(core::ptr::null_mut(), Box::new(FakeCard::default())).unwrap();
    let endpoint = adapter.card().endpoint(stream).unwrap();
    // Both modes are listed.
    crate::wave::new_miniport(
        adapter,
        endpoint,
        RegistryConfig { both_modes: true, ..RegistryConfig::default() },
    )
    .unwrap()
}

fn ask(id: usize, verb: u32, instance: &[u8], value: &[u8]) -> (NTSTATUS, u32, Vec<u8>) {
    crate::asking::ask(&miniport(0).to_unknown(), AUTOMATION, (id, verb), instance, value)
}

fn proposed(pin: u32, value: &[u8]) -> NTSTATUS {
    ask(0, KSPROPERTY_TYPE_SET, &pin.to_le_bytes(), value).0
}

#[test]
fn what_newstream_would_take_is_agreed_to() {
    let format = STEREO.to_bytes().as_slice().to_vec();
    assert_eq!(proposed(0, &format), STATUS_SUCCESS);
    let odd = AudioFormat { rate: 47_999, ..STEREO }.to_bytes();
    assert_eq!(proposed(0, odd.as_slice()), STATUS_NO_MATCH);
    assert_eq!(proposed(0, AudioFormat { channels: 9, ..STEREO }.to_bytes().as_slice()), STATUS_NO_MATCH);
    assert_eq!(proposed(1, &format), STATUS_NOT_SUPPORTED, "the bridge");
    assert_eq!(proposed(2, &format), STATUS_INVALID_PARAMETER, "no such pin");
    assert_eq!(ask(0, KSPROPERTY_TYPE_SET, &[0; 3], &format).0, STATUS_INVALID_PARAMETER, "no pin");
    assert_eq!(ask(0, KSPROPERTY_TYPE_GET, &[0; 4], &format).0, STATUS_INVALID_DEVICE_REQUEST);
    let mut wrong = format.clone();
    wrong[76] = 8;
    assert_eq!(proposed(0, &wrong), STATUS_NO_MATCH, "a format that contradicts itself");
}

#[test]
fn every_short_proposal_is_refused() {
    for format in [STEREO, AudioFormat { sample: SampleFormat::F32, ..STEREO }] {
        let bytes = format.to_bytes().as_slice().to_vec();
        for length in 1..bytes.len() {
            let expected = if length < 82 { STATUS_BUFFER_TOO_SMALL } else { STATUS_NO_MATCH };
            assert_eq!(proposed(0, &bytes[..length]), expected, "{length}");
        }
        assert_eq!(ask(0, KSPROPERTY_TYPE_SET, &[0; 4], &[]).0, STATUS_BUFFER_OVERFLOW);
        assert_eq!(ask(0, KSPROPERTY_TYPE_SET, &[0; 4], &[]).1, 82);
    }
}

#[test]
fn a_proposed_mode_is_looked_at() {
    let with = |modes: &[GUID]| {
        let mut bytes = STEREO.to_bytes().as_slice().to_vec();
        bytes[4] = 2;
        bytes.extend(modes::list(modes));
        bytes
    };
    let good = with(&[DEFAULT, RAW]);
    assert_eq!(proposed(0, &good), STATUS_SUCCESS);
    assert_eq!(proposed(0, &with(&[KSPROPSETID_Pin])), STATUS_NOT_SUPPORTED);
    for length in 104..good.len() {
        assert_eq!(proposed(0, &good[..length]), STATUS_NO_MATCH, "cut at {length}");
    }
}

#[test]
fn the_format_to_begin_with_comes_with_its_mode() {
    let plain = AudioFormat { sample: SampleFormat::S24In32, ..STEREO }.to_bytes();
    for modes in [&[][..], &[DEFAULT], &[RAW]] {
        let list = if modes.is_empty() { vec![] } else { modes::list(modes) };
        let mut instance = vec![0; 8];
        instance.extend(&list);
        let mut expected = plain.as_slice().to_vec();
        expected[4] = if modes.is_empty() { 0 } else { 2 };
        expected.extend(&list);
        let needed = expected.len();
        for room in 0..needed + 8 {
            let (status, size, value) = ask(1, KSPROPERTY_TYPE_GET, &instance, &vec![0xEE; room]);
            let (status_expected, size_expected) = match room {
                0 => (STATUS_BUFFER_OVERFLOW, needed),
                _ if room < needed => (STATUS_BUFFER_TOO_SMALL, room),
                _ => (STATUS_SUCCESS, needed),
            };
            assert_eq!((status, size as usize), (status_expected, size_expected), "{room}");
            let written = if room < needed { 0 } else { needed };
            assert_eq!(value[..written], expected[..written]);
            assert!(value[written..].iter().all(|byte| *byte == 0xEE), "{room}");
        }
        // What is answered can be proposed, and so opened.
        assert_eq!(proposed(0, &expected), STATUS_SUCCESS);
    }
}

#[test]
fn instances_that_lie_are_refused() {
    let room = [0; 256];
    let mut instance = vec![0; 8];
    instance.extend(modes::list(&[DEFAULT, RAW]));
    for length in 0..instance.len() {
        let expected = if (4..=8).contains(&length) { STATUS_SUCCESS } else { STATUS_INVALID_PARAMETER };
        assert_eq!(ask(1, KSPROPERTY_TYPE_GET, &instance[..length], &room).0, expected, "{length}");
    }
    instance[0] = 1;
    assert_eq!(ask(1, KSPROPERTY_TYPE_GET, &instance, &room).0, STATUS_NOT_SUPPORTED, "the bridge");
    instance[0] = 2;
    assert_eq!(ask(1, KSPROPERTY_TYPE_GET, &instance, &room).0, STATUS_INVALID_PARAMETER, "no such pin");
    instance[0] = 0;
    assert_eq!(ask(1, KSPROPERTY_TYPE_SET, &instance, &room).0, STATUS_INVALID_DEVICE_REQUEST);
    // The list's own Size counts for nothing: it ends with the instance.
    for size in [0_u32, 7, 8, 87, 89, u32::MAX] {
        instance[8..12].copy_from_slice(&size.to_le_bytes());
        let (status, written, value) = ask(1, KSPROPERTY_TYPE_GET, &instance, &room);
        assert_eq!((status, written), (STATUS_SUCCESS, 104 + 88), "Size {size}");
        assert_eq!(value[104..192], instance[8..], "given back as it came");
    }
    let other = [vec![0; 8], modes::list(&[KSPROPSETID_Pin])].concat();
    assert_eq!(ask(1, KSPROPERTY_TYPE_GET, &other, &room).0, STATUS_NOT_SUPPORTED, "no such mode");
}

#[test]
fn both_say_what_can_be_done_with_the_pin_that_has_them() {
    for (id, verbs) in [(0, 0x202_u32), (1, 0x201)] {
        for pin in (0..8).chain([u32::MAX]) {
            let (status, size, value) = ask(id, KSPROPERTY_TYPE_BASICSUPPORT, &pin.to_le_bytes(), &[0; 4]);
            let expected = match pin {
                0 => STATUS_SUCCESS,
                1 => STATUS_NOT_SUPPORTED,
                _ => STATUS_INVALID_PARAMETER,
            };
            assert_eq!(status, expected, "pin {pin}");
            if pin == 0 {
                assert_eq!((size, value), (4, verbs.to_le_bytes().to_vec()));
            }
        }
        for room in 0..4 {
            let (status, size, _) = ask(id, KSPROPERTY_TYPE_BASICSUPPORT, &[0; 8], &vec![0; room]);
            assert_eq!((status, size), (STATUS_BUFFER_TOO_SMALL, 0), "{room}");
        }
        assert_eq!(ask(id, KSPROPERTY_TYPE_BASICSUPPORT, &[0; 3], &[0; 4]).0, STATUS_INVALID_PARAMETER);
    }
}

/// As the endpoint builder was seen to ask: a KSDATAFORMAT of 64 bytes and nothing behind it.
#[test]
fn a_head_alone_asks_for_the_kind() {
    let head = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = STEREO.to_bytes().as_slice()[..64].to_vec();
        bytes[0] = 64;
        change(&mut bytes);
        bytes
    };
    assert_eq!(proposed(0, &head(&|_| {})), STATUS_SUCCESS);
    let float = SampleFormat::F32.subformat().to_bytes();
    assert_eq!(proposed(0, &head(&|bytes| bytes[32..48].copy_from_slice(&float))), STATUS_SUCCESS);
    for at in [16, 32, 48] {
        assert_eq!(proposed(0, &head(&|bytes| bytes[at..at + 16].fill(0))), STATUS_SUCCESS, "a wildcard");
        assert_eq!(proposed(0, &head(&|bytes| bytes[at] ^= 0x80)), STATUS_NO_MATCH, "another kind");
    }
    assert_eq!(proposed(0, &[head(&|_| {}), vec![0; 40]].concat()), STATUS_SUCCESS, "in more room");
    for length in 1..64 {
        assert_eq!(proposed(0, &head(&|_| {})[..length]), STATUS_BUFFER_TOO_SMALL, "{length}");
    }
    for size in [0, 1, 63, 65, 81] {
        assert_eq!(
            proposed(0, &head(&|bytes| bytes[0] = size)),
            STATUS_BUFFER_TOO_SMALL,
            "FormatSize {size}"
        );
    }
    let listed = |modes: &[GUID]| [head(&|bytes| bytes[4] = 2), modes::list(modes)].concat();
    assert_eq!(proposed(0, &listed(&[DEFAULT])), STATUS_SUCCESS);
    assert_eq!(proposed(0, &listed(&[KSPROPSETID_Pin])), STATUS_NOT_SUPPORTED);
    assert_eq!(proposed(1, &head(&|_| {})), STATUS_NOT_SUPPORTED, "the bridge");
}

#[test]
fn a_format_in_exactly_its_room_is_taken() {
    for format in [STEREO.to_short_bytes().unwrap(), STEREO.to_bytes()] {
        assert_eq!(proposed(0, format.as_slice()), STATUS_SUCCESS);
    }
}

#[test]
fn a_request_without_a_miniport_is_refused() {
    for property in &PROPERTIES {
        let handler = property.Handler.unwrap();
        // SAFETY: numbers and pointers, for which zero is a value.
        unsafe {
            let mut request: portcls_sys::pc::PCPROPERTY_REQUEST = core::mem::zeroed();
            assert_eq!(handler(&raw mut request), STATUS_INVALID_PARAMETER);
            assert_eq!(handler(core::ptr::null_mut()), STATUS_INVALID_PARAMETER);
        }
    }
}

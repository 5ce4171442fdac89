//! Tests of [`super`]: what a client that asks would notice.

use nt::NTSTATUS;
use nt::status::{
    STATUS_BUFFER_OVERFLOW, STATUS_BUFFER_TOO_SMALL, STATUS_INVALID_DEVICE_REQUEST, STATUS_SUCCESS,
};
use portcls_sys::ks::{KSJACK_DESCRIPTION, KSPROPERTY_TYPE_SET};

use super::*;
use crate::hw::fake::FakeCard;
use crate::topology::fixture::Fixture;

/// Asks for property `id` as PortCls does: status, size and value afterwards.
fn ask(direction: Direction, id: usize, verb: u32, pin: &[u8], room: usize) -> (NTSTATUS, u32, Vec<u8>) {
    let fixture = Fixture::new(u32::from(direction == Direction::Capture));
    fixture.ask(fixture.of_filter(), id, verb, pin, &vec![0xEE; room])
}

#[test]
fn the_jack_is_described_in_exactly_its_size() {
    for (direction, jack, speakers) in [(Direction::Render, 1, 3), (Direction::Capture, 0, 0)] {
        for (id, needed) in [(0, 36), (1, 16)] {
            for room in 0..64 {
                let (status, size, value) = ask(direction, id, KSPROPERTY_TYPE_GET, &[jack, 0, 0, 0], room);
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
        assert_eq!((seen.ChannelMapping, seen.GeoLocation, seen.GenLocation), (speakers, 2, 0));
        assert_eq!((seen.PortConnection, seen.IsConnected), (0, 1));
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
}

#[test]
fn basic_support_is_for_the_pin_that_is_the_jack() {
    for (direction, jack) in [(Direction::Render, 1), (Direction::Capture, 0)] {
        for (id, pin) in [0, 1].into_iter().flat_map(|id| (0..8).chain([u32::MAX]).map(move |pin| (id, pin)))
        {
            let (status, size, value) =
                ask(direction, id, KSPROPERTY_TYPE_BASICSUPPORT, &pin.to_le_bytes(), 4);
            let expected = match pin {
                _ if pin == jack => STATUS_SUCCESS,
                0 | 1 => STATUS_NOT_SUPPORTED,
                _ => STATUS_INVALID_PARAMETER,
            };
            assert_eq!(status, expected, "property {id} of pin {pin}");
            if pin == jack {
                assert_eq!((size, value), (4, vec![1, 2, 0, 0]));
            }
        }
        let small = ask(direction, 0, KSPROPERTY_TYPE_BASICSUPPORT, &jack.to_le_bytes(), 0);
        assert_eq!((small.0, small.1), (STATUS_BUFFER_TOO_SMALL, 0));
    }
}

#[test]
fn the_speakers_are_those_of_the_default_format() {
    for (channels, speakers) in [(1_u32, 0x4_u32), (2, 0x3), (6, 0x3F), (8, 0x63F)] {
        let values: &'static [_] = Box::leak(Box::new([("SpeakerChannels", channels)]));
        for (stream, jack, expected) in [(0, 1_u32, speakers), (1, 0, 0)] {
            let fixture = Fixture::configured(FakeCard::default(), stream, true, values);
            let asked = (KSPROPERTY_TYPE_GET, jack.to_le_bytes());
            let value = fixture.ask(fixture.of_filter(), 0, asked.0, &asked.1, &[0; 36]).2;
            assert_eq!(value[8..12], expected.to_le_bytes());
        }
    }
}

#[test]
fn what_is_plugged_in_is_reported_by_cards_that_notice() {
    // Card notices, unplugged; expected: port, connected, capabilities.
    for (notices, unplugged, expected) in
        [(true, false, (0, 1, 1)), (true, true, (0, 0, 1)), (false, true, (1, 1, 0))]
    {
        let card = FakeCard::default();
        card.change(|inside| (inside.limits.jack, inside.unplugged) = (notices, unplugged));
        let fixture = Fixture::with(card, 0, true);
        let item = |id| fixture.ask(fixture.of_filter(), id, KSPROPERTY_TYPE_GET, &[1, 0, 0, 0], &[0; 36]).2;
        let word = |item: &[u8], at: usize| u32::from_le_bytes(item[at..at + 4].try_into().unwrap());
        let (first, second) = (item(0), item(1));
        assert_eq!((word(&first, 28), word(&first, 32), word(&second, 12)), expected);
        assert_eq!(word(&second, 8), 0);
    }
}

/// The audio engine asks in a loop while it plays (WAVERT.md 5.7).
#[test]
fn asking_costs_no_message_and_no_line_in_the_log_and_is_answered_at_any_time() {
    let card = FakeCard::default();
    let fixture = Fixture::with(card.clone(), 0, true);
    card.take_calls();
    nt::host::take_debug_output();
    let awake = |card: &FakeCard| card.change(|inside| inside.asleep = false);
    let asleep = |card: &FakeCard| card.change(|inside| inside.asleep = true);
    let gone = |card: &FakeCard| card.change(|inside| inside.gone = true);
    for change in [awake, asleep, awake, gone] {
        change(&card);
        for id in [0, 1, 0, 1] {
            let answer = fixture.ask(fixture.of_filter(), id, KSPROPERTY_TYPE_GET, &[1, 0, 0, 0], &[0; 36]);
            assert_eq!(answer.0, STATUS_SUCCESS);
        }
        assert!(card.take_calls().is_empty() && nt::host::take_debug_output().is_empty());
    }
}

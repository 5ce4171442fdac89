//! Tests of [`super`]: what clients that turn volume and mute would notice, and the card.

use nt::NTSTATUS;
use nt::status::{
    STATUS_BUFFER_OVERFLOW, STATUS_BUFFER_TOO_SMALL, STATUS_INVALID_DEVICE_REQUEST, STATUS_SUCCESS,
};
use portcls_sys::pc::PCPROPERTY_REQUEST;

use super::*;
use crate::hw::fake::{FakeCard, RecordedCall};
use crate::topology::fixture::{Fixture, PortEvent};

const GET: u32 = KSPROPERTY_TYPE_GET;
const SET: u32 = KSPROPERTY_TYPE_SET;
const ALL: u32 = ALL_CHANNELS_ID;
const NODES: [(usize, u32); 2] = [(0, NODE_VOLUME), (1, NODE_MUTE)];

/// A fixture whose endpoint's default format has all eight channels of the card.
fn eight(stream: u32) -> Fixture {
    configured(stream, &[("SpeakerChannels", 8), ("MicrophoneChannels", 8)])
}

fn configured(stream: u32, values: portcls_sys::host::Numbers) -> Fixture {
    Fixture::configured(FakeCard::default(), stream, true, values)
}

/// Asks a node about a channel.
fn on_channel(
    fixture: &Fixture,
    node: usize,
    verb: u32,
    channel: u32,
    value: &[u8],
) -> (NTSTATUS, u32, Vec<u8>) {
    // Behind the channel KSNODEPROPERTY_AUDIO_CHANNEL has a reserved word.
    let instance = [channel.to_le_bytes(), [0xEE; 4]];
    fixture.ask(fixture.node(node), 0, verb, instance.as_flattened(), value)
}

fn get(fixture: &Fixture, node: usize, channel: u32) -> i32 {
    let (status, size, value) = on_channel(fixture, node, GET, channel, &[0xEE; 4]);
    assert_eq!((status, size), (STATUS_SUCCESS, 4));
    i32::from_le_bytes(value.try_into().unwrap())
}

fn set(fixture: &Fixture, node: usize, channel: u32, value: i32) -> NTSTATUS {
    on_channel(fixture, node, SET, channel, &value.to_le_bytes()).0
}

#[test]
fn what_is_set_is_got_and_reaches_the_card_and_clients_are_notified() {
    for stream in [0, 1] {
        let fixture = eight(stream);
        assert_eq!((get(&fixture, 0, 3), get(&fixture, 1, 3)), (0, 0), "0 dB and not muted at first");
        // Not a step of half a decibel.
        assert_eq!(set(&fixture, 0, 3, -394_526), STATUS_SUCCESS);
        assert_eq!([2, 3, 4].map(|channel| get(&fixture, 0, channel)), [0, -394_526, 0]);
        assert_eq!(fixture.card.take_calls(), [RecordedCall::Volume(stream, 3, -394_526)]);
        assert_eq!(fixture.take_events(), [PortEvent::Control(0)]);
        assert_eq!(set(&fixture, 1, 5, 7), STATUS_SUCCESS);
        assert_eq!([4, 5, 6].map(|channel| get(&fixture, 1, channel)), [0, 1, 0], "TRUE is 1");
        assert_eq!(fixture.card.take_calls(), [RecordedCall::Mute(stream, 1 << 5)]);
        assert_eq!(fixture.take_events(), [PortEvent::Control(1)]);
        // The same again is no change.
        assert_eq!((set(&fixture, 0, 3, -394_526), set(&fixture, 1, 5, 1)), (STATUS_SUCCESS, STATUS_SUCCESS));
        assert_eq!((fixture.card.take_calls(), fixture.take_events()), (vec![], vec![]));
        assert_eq!((set(&fixture, 1, 5, 0), get(&fixture, 1, 5)), (STATUS_SUCCESS, 0));
        assert_eq!(fixture.card.take_calls(), [RecordedCall::Mute(stream, 0)]);
    }
}

#[test]
fn all_channels_are_the_cards_and_no_more() {
    let fixture = eight(0);
    assert_eq!(set(&fixture, 0, 6, -100), STATUS_SUCCESS);
    fixture.card.take_calls();
    fixture.take_events();
    assert_eq!(set(&fixture, 0, ALL, -100), STATUS_SUCCESS);
    let others = [0, 1, 2, 3, 4, 5, 7].map(|channel| RecordedCall::Volume(0, channel, -100));
    assert_eq!(fixture.card.take_calls(), others);
    assert_eq!((get(&fixture, 0, ALL), fixture.take_events()), (-100, vec![PortEvent::Control(0)]));
    assert_eq!(set(&fixture, 1, ALL, 1), STATUS_SUCCESS);
    assert_eq!(
        (fixture.card.take_calls(), fixture.take_events()),
        (vec![RecordedCall::Mute(0, 0xFF)], vec![PortEvent::Control(1)])
    );
    assert_eq!((get(&fixture, 1, ALL), get(&fixture, 1, 7)), (1, 1));
}

#[test]
fn beyond_the_range_is_its_end() {
    let fixture = eight(0);
    for (asked, becomes) in
        [(i32::MIN, -96 * 65_536), (1, 0), (-96 * 65_536 - 1, -96 * 65_536), (i32::MAX, 0)]
    {
        assert_eq!(set(&fixture, 0, 0, asked), STATUS_SUCCESS);
        assert_eq!(get(&fixture, 0, 0), becomes);
        assert_eq!(fixture.card.take_calls(), [RecordedCall::Volume(0, 0, becomes)]);
    }
}

#[test]
fn channels_that_the_card_has_not_are_refused() {
    let fixture = eight(0);
    for (node, _) in NODES {
        for verb in [GET, SET] {
            for channel in [8, 9, 0x7FFF_FFFF, ALL - 1] {
                let (status, size, value) = on_channel(&fixture, node, verb, channel, &[0xEE; 4]);
                assert_eq!((status, size, value), (STATUS_INVALID_PARAMETER, 4, vec![0xEE; 4]), "{channel}");
            }
            for length in 0..4 {
                let status = fixture.ask(fixture.node(node), 0, verb, &[0; 4][..length], &[0; 4]).0;
                assert_eq!(status, STATUS_INVALID_PARAMETER, "{length} bytes are no channel");
            }
        }
        assert_eq!(on_channel(&fixture, node, 0, 0, &[0; 4]).0, STATUS_INVALID_DEVICE_REQUEST);
    }
    assert_eq!((fixture.card.take_calls(), fixture.take_events()), (vec![], vec![]));
}

#[test]
fn every_size_of_a_value_is_answered_by_the_protocol() {
    let fixture = Fixture::new(0);
    for (node, _) in NODES {
        for room in 0..12 {
            for verb in [GET, SET] {
                let (status, size, value) = on_channel(&fixture, node, verb, 0, &vec![0xEE; room]);
                let expected = match room {
                    0 => (STATUS_BUFFER_OVERFLOW, 4),
                    1..4 => (STATUS_BUFFER_TOO_SMALL, room),
                    // What was set leaves the size as it is.
                    _ => (STATUS_SUCCESS, if verb == SET { room } else { 4 }),
                };
                assert_eq!((status, size as usize), expected, "{room}");
                let written = if verb == GET && room >= 4 { 4 } else { 0 };
                assert!(value[written..].iter().all(|byte| *byte == 0xEE), "{room}");
                if written > 0 {
                    assert_eq!(value[..4], [0; 4]);
                }
            }
            // Whatever was set: back to where it was.
            assert_eq!(set(&fixture, node, ALL, 0), STATUS_SUCCESS);
        }
    }
}

#[test]
fn the_range_is_reported_for_as_many_channels_as_the_card_has() {
    let fixture = eight(0);
    for (node, kind, range) in [(0, 3, [0x8000, 0, -96 << 16, 0]), (1, 11, [1, 0, 0, 1])] {
        let (status, size, value) =
            fixture.ask(fixture.node(node), 0, KSPROPERTY_TYPE_BASICSUPPORT, &[], &[0xEE; 200]);
        assert_eq!((status, size), (STATUS_SUCCESS, 56 + 8 * 16));
        let word = |at: usize| i32::from_le_bytes(value[at..at + 4].try_into().unwrap());
        assert_eq!((word(0), word(24), word(48)), (0x203, kind, 8));
        assert_eq!([168, 172, 176, 180].map(word), range, "of the last channel");
        assert!(value[184..].iter().all(|byte| *byte == 0xEE));
        let short = fixture.ask(fixture.node(node), 0, KSPROPERTY_TYPE_BASICSUPPORT, &[], &[0xEE; 4]);
        assert_eq!(short, (STATUS_SUCCESS, 4, vec![3, 2, 0, 0]));
    }
}

/// So that no control panel shows eight sliders.
#[test]
fn there_is_a_control_for_each_channel_of_the_default_format() {
    let registry: portcls_sys::host::Numbers = &[("SpeakerChannels", 6), ("MicrophoneChannels", 2)];
    for (stream, values, channels) in [(0, &[][..], 2_u32), (1, &[], 1), (0, registry, 6), (1, registry, 2)] {
        let fixture = configured(stream, values);
        assert_eq!(fixture.miniport.channels(), channels);
        for (node, _) in NODES {
            let answer = fixture.ask(fixture.node(node), 0, KSPROPERTY_TYPE_BASICSUPPORT, &[], &[0; 200]);
            assert_eq!((answer.0, answer.1), (STATUS_SUCCESS, 56 + 16 * channels));
            assert_eq!(answer.2[48..52], channels.to_le_bytes());
            assert_eq!(on_channel(&fixture, node, GET, channels - 1, &[0; 4]).0, STATUS_SUCCESS);
            for verb in [GET, SET] {
                let beyond = on_channel(&fixture, node, verb, channels, &[0; 4]).0;
                assert_eq!(beyond, STATUS_INVALID_PARAMETER, "channel {channels} of stream {stream}");
            }
        }
    }
}

/// Who opens eight channels does not hear six of them at 0 dB whatever the two sliders say.
#[test]
fn channels_beyond_the_controls_follow_them() {
    let fixture = Fixture::new(0);
    assert_eq!(
        (set(&fixture, 0, 1, -100), get(&fixture, 0, 0), get(&fixture, 0, 1)),
        (STATUS_SUCCESS, 0, -100)
    );
    assert_eq!(fixture.card.take_calls(), [1, 3, 5, 7].map(|channel| RecordedCall::Volume(0, channel, -100)));
    assert_eq!(fixture.take_events(), [PortEvent::Control(0)], "once");
    assert_eq!(set(&fixture, 1, 0, 1), STATUS_SUCCESS);
    assert_eq!(fixture.card.take_calls().last(), Some(&RecordedCall::Mute(0, 0b0101_0101)));
    assert_eq!((get(&fixture, 1, 0), get(&fixture, 1, 1)), (1, 0));
    assert_eq!(set(&fixture, 1, ALL, 1), STATUS_SUCCESS);
    assert_eq!(fixture.card.take_calls(), [RecordedCall::Mute(0, 0xFF)], "one register for all");
    let microphone = Fixture::new(1);
    assert_eq!(set(&microphone, 0, 0, -7), STATUS_SUCCESS);
    assert_eq!(
        microphone.card.take_calls(),
        [0, 1, 2, 3, 4, 5, 6, 7].map(|channel| RecordedCall::Volume(1, channel, -7))
    );
    assert_eq!(set(&microphone, 1, 0, 1), STATUS_SUCCESS);
    assert_eq!(microphone.card.take_calls(), [RecordedCall::Mute(1, 0xFF)]);
}

#[test]
fn a_request_without_a_target_is_refused() {
    // SAFETY: numbers and pointers, for which zero is a value; the handlers of a static table.
    unsafe {
        let mut request: PCPROPERTY_REQUEST = core::mem::zeroed();
        request.Verb = GET;
        for table in [&VOLUME, &MUTE] {
            let handler = (*table.Properties).Handler.unwrap();
            assert_eq!(handler(core::ptr::null_mut()), STATUS_INVALID_PARAMETER);
            assert_eq!(handler(&raw mut request), STATUS_INVALID_PARAMETER);
        }
    }
}

#[test]
fn two_endpoints_of_a_card_do_not_share_their_volumes() {
    let card = FakeCard::default();
    let (speaker, microphone) = (Fixture::with(card.clone(), 0, true), Fixture::with(card.clone(), 1, true));
    assert_eq!(set(&speaker, 0, 0, -100), STATUS_SUCCESS);
    assert_eq!((get(&microphone, 0, 0), microphone.take_events()), (0, vec![]));
    assert!(card.take_calls().iter().all(|call| matches!(call, RecordedCall::Volume(0, _, -100))));
}

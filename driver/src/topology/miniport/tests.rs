//! Tests of the topology filter: what the endpoint builder, the port and clients would notice.

use nt::host;
use nt::status::{STATUS_INVALID_PARAMETER, STATUS_NOT_SUPPORTED, STATUS_SUCCESS, STATUS_UNSUCCESSFUL};
use portcls_sys::guid::{
    KSAUDFNAME_MASTER_MUTE, KSAUDFNAME_MASTER_VOLUME, KSAUDFNAME_MIC_MUTE, KSAUDFNAME_MIC_VOLUME,
    KSCATEGORY_AUDIO, KSNODETYPE_LINE_CONNECTOR, KSNODETYPE_MICROPHONE, KSNODETYPE_MUTE, KSNODETYPE_SPEAKER,
    KSNODETYPE_VOLUME,
};
use portcls_sys::interfaces::AdapterPowerManagement;
use portcls_sys::ks::{KSPROPERTY_TYPE_GET, KSPROPERTY_TYPE_SET};
use portcls_sys::pc::{
    PCCONNECTION_DESCRIPTOR, PCEVENT_VERB_ADD, PCEVENT_VERB_REMOVE, PCEVENT_VERB_SUPPORT, PCFILTER_NODE,
};

use super::*;
use crate::hw::Direction;
use crate::hw::fake::{FakeCard, RecordedCall};
use crate::names::{IN_THE_INF, MICROPHONE_JACKS, SPEAKER_JACKS};
use crate::topology::fixture::{Fixture, PortEvent};
use crate::topology::{filter, wave_pin};

const OUTER: u32 = PCFILTER_NODE;

/// From node, its pin, to node, its pin.
fn connections(filter: &PCFILTER_DESCRIPTOR) -> Vec<(u32, u32, u32, u32)> {
    // SAFETY: static, as many as it says.
    let all = unsafe { core::slice::from_raw_parts(filter.Connections, filter.ConnectionCount as usize) };
    let words = |it: &PCCONNECTION_DESCRIPTOR| (it.FromNode, it.FromNodePin, it.ToNode, it.ToNodePin);
    all.iter().map(words).collect()
}

#[test]
fn sound_goes_through_volume_and_mute_to_the_jack_or_from_it() {
    let speaker = (&KSNODETYPE_SPEAKER, 1, [KSAUDFNAME_MASTER_VOLUME, KSAUDFNAME_MASTER_MUTE]);
    let microphone = (&KSNODETYPE_MICROPHONE, 0, [KSAUDFNAME_MIC_VOLUME, KSAUDFNAME_MIC_MUTE]);
    for (stream, (category, jack, names)) in [(0, speaker), (1, microphone)] {
        let filter = Fixture::new(stream).filter();
        assert_eq!((filter.PinCount, filter.NodeCount, filter.NodeSize), (2, 2, 32));
        assert_eq!(connections(&filter), [(OUTER, 0, 0, 1), (0, 0, 1, 1), (1, 0, OUTER, 1)]);
        // SAFETY: static, as many as it says.
        let (pins, nodes) = unsafe {
            (core::slice::from_raw_parts(filter.Pins, 2), core::slice::from_raw_parts(filter.Nodes, 2))
        };
        for (at, pin) in pins.iter().enumerate() {
            // SAFETY: a static GUID.
            let is = unsafe { *pin.KsPinDescriptor.Category };
            assert_eq!(is, if at == jack { *category } else { KSCATEGORY_AUDIO });
            assert_eq!((pin.MaxGlobalInstanceCount, pin.KsPinDescriptor.DataFlow as usize), (0, at + 1));
            assert!(pin.KsPinDescriptor.Name.is_null(), "the first of a kind is called as its category");
        }
        // SAFETY: static GUIDs.
        let kinds = nodes.iter().map(|node| unsafe { (*node.Type, *node.Name) });
        assert!(kinds.eq([(KSNODETYPE_VOLUME, names[0]), (KSNODETYPE_MUTE, names[1])]));
    }
}

#[test]
fn a_card_without_volume_has_no_nodes_and_one_without_jack_no_event() {
    let card = FakeCard::default();
    card.change(|inside| (inside.limits.volume_min, inside.limits.jack) = (None, false));
    let fixture = Fixture::with(card, 0, true);
    let filter = fixture.filter();
    assert_eq!((filter.NodeCount, filter.Nodes.is_null()), (0, true));
    assert_eq!(connections(&filter), [(OUTER, 0, OUTER, 1)]);
    assert_eq!((fixture.of_filter().EventCount, fixture.of_filter().PropertyCount), (0, 2));
    fixture.adapter.power_change_state(4);
    fixture.adapter.power_change_state(1);
    assert_eq!(fixture.card.take_calls(), [], "registers that it has not");
}

#[test]
fn further_endpoints_of_a_kind_have_names_of_their_own() {
    let name = |direction: Direction, number| {
        let filter = filter::describe(direction, number, crate::hw::fake::LIMITS);
        // SAFETY: a static pin with a name or without.
        unsafe {
            let pin = &(*filter.Pins.add(jack_pin(direction) as usize)).KsPinDescriptor;
            let bridge = &(*filter.Pins.add(wave_pin(direction) as usize)).KsPinDescriptor;
            assert!(bridge.Name.is_null());
            // Windows calls every speaker "Speakers".
            let category = match direction {
                Direction::Render if number > 0 => KSNODETYPE_LINE_CONNECTOR,
                Direction::Render => KSNODETYPE_SPEAKER,
                Direction::Capture => KSNODETYPE_MICROPHONE,
            };
            assert_eq!(*pin.Category, category);
            pin.Name.as_ref().copied()
        }
    };
    for (direction, names) in [(Direction::Render, SPEAKER_JACKS), (Direction::Capture, MICROPHONE_JACKS)] {
        let expected = [None, Some(names[0]), Some(names[1]), Some(names[2]), None];
        assert_eq!([0, 1, 2, 3, IN_THE_INF].map(|number| name(direction, number)), expected);
    }
}

#[test]
fn clients_are_added_to_the_ports_list() {
    let fixture = Fixture::new(0);
    for table in [fixture.node(0), fixture.node(1), fixture.of_filter()] {
        // SAFETY: a static item.
        assert_eq!(unsafe { (*table.Events).Flags }, 0x201, "to enable, and to ask whether there is one");
        assert_eq!(fixture.event(table, PCEVENT_VERB_SUPPORT, 0), STATUS_SUCCESS);
        assert_eq!(fixture.event(table, PCEVENT_VERB_ADD, 0x1230), STATUS_SUCCESS);
        assert_eq!(fixture.take_events(), [PortEvent::Entry(0x1230)]);
        let removed = host::at_irql(2, || fixture.event(table, PCEVENT_VERB_REMOVE, 0x1230));
        assert_eq!(removed, STATUS_SUCCESS);
        assert_eq!(fixture.event(table, PCEVENT_VERB_ADD, 0), STATUS_UNSUCCESSFUL, "no entry");
        assert_eq!(fixture.event(table, 0, 0x1230), STATUS_INVALID_PARAMETER);
        assert_eq!(fixture.take_events(), []);
    }
}

#[test]
fn without_a_list_there_are_no_events_and_nothing_fails() {
    let fixture = Fixture::with(FakeCard::default(), 0, false);
    assert_eq!(fixture.event(fixture.node(0), PCEVENT_VERB_SUPPORT, 0), STATUS_NOT_SUPPORTED);
    assert_eq!(fixture.event(fixture.node(0), PCEVENT_VERB_ADD, 8), STATUS_NOT_SUPPORTED);
    let set = fixture.ask(fixture.node(0), 0, KSPROPERTY_TYPE_SET, &[0; 4], &[0, 0, 0xFF, 0xFF]);
    assert_eq!((set.0, fixture.take_events()), (STATUS_SUCCESS, vec![]));
}

#[test]
fn the_port_is_let_go_when_the_filter_is_taken_away() {
    let mut fixture = Fixture::new(0);
    fixture.port = None;
    assert!(fixture.port_lives(), "the miniport has its events");
    fixture.listening = None;
    assert!(!fixture.port_lives(), "port and miniport would hold each other for ever");
    // Whoever still has the miniport finds it silent.
    assert_eq!(fixture.event(fixture.node(0), PCEVENT_VERB_ADD, 8), STATUS_NOT_SUPPORTED);
    fixture.card.change(|inside| inside.unplugged = true);
    fixture.adapter.queue_dpc();
    host::run_dpcs();
    fixture.card.change(|inside| inside.asleep = true);
    assert!(fixture.miniport.connected(), "the DPC has looked at a miniport that may be gone");
    fixture.card.change(|inside| inside.asleep = false);
    fixture.miniport.jack_may_have_changed();
    assert_eq!(fixture.take_events(), []);
}

/// Plugs or unplugs, and interrupts.
fn plug(fixture: &Fixture, plugged: bool) {
    fixture.card.change(|inside| inside.unplugged = !plugged);
    fixture.adapter.queue_dpc();
    host::run_dpcs();
}

#[test]
fn clients_are_notified_once_of_each_change_of_the_jack() {
    for (stream, jack) in [(0, 1), (1, 0)] {
        let fixture = Fixture::new(stream);
        assert_eq!(fixture.take_events(), [], "nothing has changed");
        plug(&fixture, true);
        assert_eq!(fixture.take_events(), [], "an interrupt for another reason");
        for plugged in [false, true, false] {
            plug(&fixture, plugged);
            assert_eq!(fixture.take_events(), [PortEvent::Jack(jack)]);
            assert_eq!(fixture.miniport.connected(), plugged);
            plug(&fixture, plugged);
            assert_eq!(fixture.take_events(), []);
        }
    }
}

#[test]
fn what_changed_while_the_card_slept_is_reported_when_it_is_awake() {
    let fixture = Fixture::new(0);
    let on_node = |verb, value: &[u8]| fixture.ask(fixture.node(0), 0, verb, &1_u32.to_le_bytes(), value);
    fixture.adapter.power_change_state(4);
    plug(&fixture, false);
    assert_eq!((fixture.take_events(), fixture.miniport.connected()), (vec![], true), "as it was last seen");
    assert_eq!(on_node(KSPROPERTY_TYPE_SET, &(-500_i32).to_le_bytes()).0, STATUS_SUCCESS);
    assert_eq!(on_node(KSPROPERTY_TYPE_GET, &[0; 4]).2, (-500_i32).to_le_bytes());
    assert_eq!((fixture.take_events(), fixture.card.take_calls()), (vec![PortEvent::Control(0)], vec![]));
    fixture.adapter.power_change_state(1);
    let calls = fixture.card.take_calls();
    for expected in [
        RecordedCall::Volume(0, 1, -500),
        RecordedCall::Volume(0, 0, 0),
        RecordedCall::Mute(1, 0),
        RecordedCall::WatchJack(0),
        RecordedCall::WatchJack(1),
    ] {
        assert!(calls.contains(&expected), "{expected:?} is not among {calls:?}");
    }
    host::run_dpcs();
    assert_eq!((fixture.take_events(), fixture.miniport.connected()), (vec![PortEvent::Jack(1)], false));
}

#[test]
fn what_is_unplugged_from_the_start_is_no_change() {
    let card = FakeCard::default();
    card.change(|inside| inside.unplugged = true);
    let fixture = Fixture::with(card, 0, true);
    assert_eq!((fixture.take_events(), fixture.miniport.connected()), (vec![], false));
}

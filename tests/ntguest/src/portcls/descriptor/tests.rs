//! A filter that is right has no finding; each way of being wrong has one that names it.

use super::super::guid::{SPECIFIER_NONE, SUBTYPE_ANALOG, SUBTYPE_PCM};
use super::super::layout::{KsAttribute, KsPinDescriptor};
use super::*;
use alloc::string::String;
use core::ptr;

/// A wave render filter in memory the test may bend.
struct Sample {
    audio: KsDataRangeAudio,
    analog: KsDataFormat,
    ranges: [*const KsDataFormat; 2],
    bridge_ranges: [*const KsDataFormat; 1],
    attribute: KsAttribute,
    attributes: [*const KsAttribute; 1],
    list: KsAttributeList,
    pins: [PcPinDescriptor; 2],
    connections: [PcConnectionDescriptor; 1],
    categories: [Guid; 3],
    filter: PcFilterDescriptor,
}

fn format(size: u32, flags: u32, sub: Guid, specifier: Guid) -> KsDataFormat {
    KsDataFormat {
        format_size: size,
        flags,
        sample_size: 0,
        reserved: 0,
        major_format: TYPE_AUDIO,
        sub_format: sub,
        specifier,
    }
}

fn pin(count: u32, flow: u32, communication: u32) -> PcPinDescriptor {
    let ks = KsPinDescriptor {
        interfaces_count: 0,
        interfaces: ptr::null(),
        mediums_count: 0,
        mediums: ptr::null(),
        data_ranges_count: 0,
        data_ranges: ptr::null(),
        data_flow: flow,
        communication,
        category: &raw const KSCATEGORY_AUDIO_STORED,
        name: ptr::null(),
        constrained_data_ranges_count: 0,
        constrained_data_ranges: ptr::null(),
    };
    PcPinDescriptor {
        max_global_instance_count: count,
        max_filter_instance_count: count,
        min_filter_instance_count: 0,
        automation_table: ptr::null(),
        pin: ks,
    }
}

static KSCATEGORY_AUDIO_STORED: Guid = KSCATEGORY_AUDIO;

fn sample() -> Sample {
    let audio = KsDataRangeAudio {
        range: format(88, FLAG_ATTRIBUTES, SUBTYPE_PCM, SPECIFIER_WAVEFORMATEX),
        maximum_channels: 2,
        minimum_bits_per_sample: 16,
        maximum_bits_per_sample: 16,
        minimum_sample_frequency: 44_100,
        maximum_sample_frequency: 48_000,
        padding: 0,
    };
    Sample {
        audio,
        analog: format(64, 0, SUBTYPE_ANALOG, SPECIFIER_NONE),
        ranges: [ptr::null(); 2],
        bridge_ranges: [ptr::null(); 1],
        attribute: KsAttribute { size: 24, flags: 0, attribute: SUBTYPE_PCM },
        attributes: [ptr::null()],
        list: KsAttributeList { count: 1, attributes: ptr::null() },
        pins: [pin(1, FLOW_IN, SINK), pin(0, FLOW_OUT, 0)],
        connections: [PcConnectionDescriptor {
            from_node: FILTER_NODE,
            from_node_pin: 0,
            to_node: FILTER_NODE,
            to_node_pin: 1,
        }],
        categories: [KSCATEGORY_AUDIO, KSCATEGORY_RENDER, KSCATEGORY_REALTIME],
        filter: PcFilterDescriptor {
            version: 0,
            automation_table: ptr::null(),
            pin_size: 112,
            pin_count: 2,
            pins: ptr::null(),
            node_size: 0,
            node_count: 0,
            nodes: ptr::null(),
            connection_count: 1,
            connections: ptr::null(),
            category_count: 3,
            categories: ptr::null(),
        },
    }
}

/// Links the parts, lets the test bend them, and returns all findings in one text.
fn findings(bend: impl FnOnce(&mut Sample)) -> String {
    let mut s = sample();
    s.ranges = [ptr::from_ref(&s.audio).cast(), ptr::from_ref(&s.list).cast()];
    s.bridge_ranges = [&raw const s.analog];
    s.attributes = [&raw const s.attribute];
    s.list.attributes = s.attributes.as_ptr();
    (s.pins[0].pin.data_ranges, s.pins[0].pin.data_ranges_count) = (s.ranges.as_ptr(), 2);
    (s.pins[1].pin.data_ranges, s.pins[1].pin.data_ranges_count) = (s.bridge_ranges.as_ptr(), 1);
    s.filter.pins = s.pins.as_ptr();
    s.filter.connections = s.connections.as_ptr();
    s.filter.categories = s.categories.as_ptr();
    bend(&mut s);
    let mut text = String::new();
    // SAFETY: all pointers lead into `s`, which lives.
    unsafe { validate(&raw const s.filter, Role::Wave, &mut text) };
    text
}

#[test]
fn a_proper_filter_has_no_finding() {
    assert_eq!(findings(|_| ()), "");
    // Microsoft's samples list none on their wave filters: the port's own categories.
    assert_eq!(findings(|s| s.filter.category_count = 0), "");
}

#[test]
fn a_path_through_the_filter_is_found() {
    let connections = sample().connections.to_vec();
    let filter = Filter { connections, ..Filter::default() };
    assert_eq!(filter.reachable(0), [1]);
    assert_eq!(filter.reachable(1), []);
}

/// Makes one mistake.
type Bend = fn(&mut Sample);

#[test]
fn each_mistake_is_named() {
    let cases: [(&str, Bend); 14] = [
        ("FormatSize 84, not 88", |s| s.audio.range.format_size = 84),
        ("no list is counted", |s| s.pins[0].pin.data_ranges_count = 1),
        ("slot 1 is NULL", |s| {
            s.audio.range.flags = 0;
            s.ranges[1] = ptr::null();
        }),
        ("instance counts (1,1,0), not (0,0,0)", |s| {
            (s.pins[1].max_global_instance_count, s.pins[1].max_filter_instance_count) = (1, 1);
        }),
        ("opened by clients with instance counts (0,0,0)", |s| {
            (s.pins[0].max_global_instance_count, s.pins[0].max_filter_instance_count) = (0, 0);
        }),
        ("PinSize is 104", |s| s.filter.pin_size = 104),
        ("harsh: Wave filter without all interface categories", |s| s.categories[2] = KSCATEGORY_TOPOLOGY),
        ("without the interface category KSCATEGORY_AUDIO", |s| s.categories[0] = KSCATEGORY_TOPOLOGY),
        ("harsh: connection 0 comes from pin 1", |s| {
            (s.filter.node_count, s.connections[0].from_node, s.connections[0].from_node_pin) = (1, 0, 1);
        }),
        ("runs the wrong way", |s| {
            (s.connections[0].from_node_pin, s.connections[0].to_node_pin) = (1, 0);
        }),
        ("harsh: pin 0 is connected to nothing", |s| s.filter.connection_count = 0),
        ("harsh: pin 0: Category is NULL", |s| s.pins[0].pin.category = ptr::null()),
        ("describes no format", |s| s.audio.maximum_channels = 0),
        ("the attribute list is empty", |s| s.list.count = 0),
    ];
    for (words, bend) in cases {
        let text = findings(bend);
        assert!(text.contains(words), "expected \"{words}\", found \"{text}\"");
    }
}

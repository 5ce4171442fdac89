//! A capture endpoint's filters, right, and with each mistake that hides or mistypes the endpoint.

use super::super::descriptor::Range;
use super::super::guid::{
    Guid, KSCATEGORY_REALTIME, KSCATEGORY_TOPOLOGY, KSNODETYPE_MICROPHONE, KSNODETYPE_SPEAKER,
};
use super::super::layout::{FILTER_NODE, KsDataFormat, PcConnectionDescriptor};
use super::*;
use alloc::string::String;
use alloc::vec;
use core::ptr;

fn range(sub_format: Guid, specifier: Guid, format_size: u32) -> Range {
    let format = KsDataFormat::audio(format_size, sub_format, specifier);
    Range { source: ptr::null(), format, audio: None }
}

fn pin(flow: u32, communication: u32, category: Guid) -> Pin {
    let bridge = communication == 0;
    Pin {
        flow,
        communication,
        max_instances: u32::from(!bridge),
        category: Some(category),
        name: None,
        ranges: vec![if bridge {
            range(SUBTYPE_ANALOG, SPECIFIER_NONE, 64)
        } else {
            range(SUBTYPE_PCM, SPECIFIER_WAVEFORMATEX, 88)
        }],
        ..Pin::default()
    }
}

fn through(from: u32, to: u32) -> PcConnectionDescriptor {
    PcConnectionDescriptor {
        from_node: FILTER_NODE,
        from_node_pin: from,
        to_node: FILTER_NODE,
        to_node_pin: to,
    }
}

fn wave() -> Filter {
    let mut host = pin(FLOW_OUT, 1, KSCATEGORY_AUDIO);
    host.name = Some(KSAUDFNAME_RECORDING_CONTROL);
    Filter {
        pins: vec![pin(FLOW_IN, 0, KSCATEGORY_AUDIO), host],
        connections: vec![through(0, 1)],
        categories: vec![KSCATEGORY_AUDIO, KSCATEGORY_CAPTURE, KSCATEGORY_REALTIME],
        ..Filter::default()
    }
}

fn topology() -> Filter {
    Filter {
        pins: vec![pin(FLOW_IN, 0, KSNODETYPE_MICROPHONE), pin(FLOW_OUT, 0, KSCATEGORY_AUDIO)],
        connections: vec![through(0, 1)],
        categories: vec![KSCATEGORY_AUDIO, KSCATEGORY_TOPOLOGY],
        ..Filter::default()
    }
}

fn findings(mut filter: Filter, role: Role, bend: impl FnOnce(&mut Filter)) -> String {
    bend(&mut filter);
    let mut text = String::new();
    check(&filter, role, &mut text);
    text
}

#[test]
fn proper_capture_filters_have_no_finding() {
    assert_eq!(findings(wave(), Role::Wave, |_| ()), "");
    assert_eq!(findings(topology(), Role::Topology, |_| ()), "");
}

/// Makes one mistake.
type Bend = fn(&mut Filter);

#[test]
fn each_mistake_of_a_wave_filter_is_named() {
    let cases: [(&str, Bend); 8] = [
        ("pin 0 is a bridge with a range that is not analog", |f| {
            f.pins[0].ranges = vec![range(SUBTYPE_PCM, SPECIFIER_WAVEFORMATEX, 88)];
        }),
        ("has no range of PCM", |f| {
            f.pins[1].ranges = vec![range(SUBTYPE_ANALOG, SPECIFIER_WAVEFORMATEX, 88)];
        }),
        ("wave pin 0 has another category", |f| f.pins[0].category = Some(KSNODETYPE_MICROPHONE)),
        ("pin 1 is for capture, the filter's interface categories are not", |f| {
            f.categories[1] = KSCATEGORY_RENDER;
        }),
        ("say render and no pin is for it", |f| f.categories[1] = KSCATEGORY_RENDER),
        ("another name than RECORDING_CONTROL", |f| f.pins[1].name = Some(KSCATEGORY_AUDIO)),
        ("pin 1 leads to 2 pins", |f| {
            f.pins.push(pin(FLOW_IN, 0, KSCATEGORY_AUDIO));
            f.connections.push(through(2, 1));
        }),
        ("is for render, the filter's interface categories are not", |f| f.pins[1].flow = FLOW_IN),
    ];
    for (words, bend) in cases {
        let text = findings(wave(), Role::Wave, bend);
        assert!(text.contains(words), "expected \"{words}\", found \"{text}\"");
    }
}

#[test]
fn each_mistake_of_a_topology_filter_is_named() {
    let cases: [(&str, Bend); 4] = [
        ("topology pin 1 is no bridge", |f| f.pins[1].communication = 1),
        ("topology pin 0 is a jack whose category is of the other direction", |f| {
            f.pins[0].category = Some(KSNODETYPE_SPEAKER);
        }),
        ("topology pin 0 is a jack whose category is of the other direction", |f| {
            (f.pins[0].flow, f.pins[1].flow) = (FLOW_OUT, FLOW_IN);
        }),
        ("no topology pin of category KSCATEGORY_AUDIO", |f| {
            f.pins[1].category = Some(KSNODETYPE_MICROPHONE);
        }),
    ];
    for (words, bend) in cases {
        let text = findings(topology(), Role::Topology, bend);
        assert!(text.contains(words), "expected \"{words}\", found \"{text}\"");
    }
}

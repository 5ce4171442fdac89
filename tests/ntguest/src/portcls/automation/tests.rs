//! A filter with a volume and a mute, right, and with each mistake that takes the control away.

use super::super::descriptor::{FLOW_OUT, Pin};
use super::super::guid::{KSEVENTSETID_AUDIO_CONTROL_CHANGE, KSNODETYPE_SPEAKER};
use super::super::layout::PcConnectionDescriptor;
use super::*;
use alloc::string::String;
use core::ffi::c_void;
use core::ptr;

static AUDIO: Guid = KSPROPSETID_AUDIO;
static CONTROL_CHANGE: Guid = KSEVENTSETID_AUDIO_CONTROL_CHANGE;
static VOLUME: Guid = KSNODETYPE_VOLUME;
static MUTE: Guid = KSNODETYPE_MUTE;

fn item(set: &'static Guid, id: u32, flags: u32) -> PcItem {
    PcItem { set, id, flags, handler: ptr::dangling::<usize>().cast::<c_void>() }
}

/// Two nodes in memory the test may bend.
struct Sample {
    properties: [PcItem; 2],
    events: [PcItem; 1],
    table: PcAutomationTable,
    nodes: [PcNodeDescriptor; 2],
}

/// Links the parts, lets the test bend them, and returns the nodes and all findings in one text.
fn read_sample(bend: impl FnOnce(&mut Sample)) -> (Vec<Node>, String) {
    let empty = PcNodeDescriptor {
        flags: 0,
        automation_table: ptr::null(),
        node_type: &raw const VOLUME,
        name: ptr::null(),
    };
    let mut s = Sample {
        properties: [item(&AUDIO, property::VOLUME_LEVEL, 0x203), item(&AUDIO, property::MUTE, 0x203)],
        events: [item(&CONTROL_CHANGE, 0, 0x201)],
        table: PcAutomationTable {
            property_item_size: 24,
            property_count: 2,
            properties: ptr::null(),
            method_item_size: 0,
            method_count: 0,
            methods: ptr::null(),
            event_item_size: 24,
            event_count: 1,
            events: ptr::null(),
            reserved: 0,
        },
        nodes: [empty, PcNodeDescriptor { node_type: &raw const MUTE, ..empty }],
    };
    bend(&mut s);
    (s.table.properties, s.table.events) = (s.properties.as_ptr(), s.events.as_ptr());
    for node in &mut s.nodes {
        node.automation_table = &raw const s.table;
    }
    let filter = PcFilterDescriptor {
        version: 0,
        automation_table: ptr::null(),
        pin_size: 112,
        pin_count: 0,
        pins: ptr::null(),
        node_size: 32,
        node_count: 2,
        nodes: s.nodes.as_ptr(),
        connection_count: 0,
        connections: ptr::null(),
        category_count: 0,
        categories: ptr::null(),
    };
    let mut text = String::new();
    // SAFETY: all pointers lead into `s`, which lives.
    let nodes = unsafe { read_nodes(&filter, &mut text) };
    (nodes, text)
}

#[test]
fn proper_nodes_have_no_finding_and_their_items_are_found() {
    let (nodes, text) = read_sample(|_| ());
    assert_eq!(text, "");
    assert!(nodes[0].automation.property(&AUDIO, property::VOLUME_LEVEL).is_some());
    assert!(nodes[1].automation.event(&CONTROL_CHANGE, 0).is_some());
    assert!(nodes[0].automation.property(&CONTROL_CHANGE, 0).is_none());
}

/// Makes one mistake.
type Bend<T> = fn(&mut T);

#[test]
fn each_mistake_of_a_table_is_named() {
    let cases: [(&str, Bend<Sample>); 8] = [
        ("node 0 is a KSNODETYPE_VOLUME without the property", |s| s.table.property_count = 0),
        ("GET, SET and BASICSUPPORT are due", |s| s.properties[1].flags = 0x201),
        ("has Flags 0x80000203", |s| s.properties[0].flags = 0x8000_0203),
        ("has Flags 0x200", |s| s.events[0].flags = 0x200),
        ("is listed twice", |s| s.properties[1].id = property::VOLUME_LEVEL),
        ("without set or handler", |s| s.events[0].handler = ptr::null()),
        ("of a type that nothing is known of", |s| s.nodes[0].node_type = &raw const AUDIO),
        ("Reserved 0x1", |s| s.table.reserved = 1),
    ];
    for (words, bend) in cases {
        let (_, text) = read_sample(bend);
        assert!(text.contains(words), "expected \"{words}\", found \"{text}\"");
    }
}

fn wire(from_node: u32, from_node_pin: u32, to_node: u32, to_node_pin: u32) -> PcConnectionDescriptor {
    PcConnectionDescriptor { from_node, from_node_pin, to_node, to_node_pin }
}

fn graph(bend: impl FnOnce(&mut Filter)) -> String {
    let pin = |flow, category| Pin { flow, category: Some(category), ..Pin::default() };
    let node = |kind| Node { node_type: Some(kind), ..Node::default() };
    let mut filter = Filter {
        pins: [pin(FLOW_IN, KSPROPSETID_AUDIO), pin(FLOW_OUT, KSNODETYPE_SPEAKER)].to_vec(),
        nodes: [node(KSNODETYPE_VOLUME), node(KSNODETYPE_MUTE)].to_vec(),
        connections: [wire(FILTER_NODE, 0, 0, 1), wire(0, 0, 1, 1), wire(1, 0, FILTER_NODE, 1)].to_vec(),
        ..Filter::default()
    };
    bend(&mut filter);
    let mut text = String::new();
    check_graph(&filter, &mut text);
    text
}

#[test]
fn a_way_leads_through_the_nodes() {
    assert_eq!(
        graph(|filter| assert_eq!(filter.reachable_nodes_and_pins(0), ([0, 1].to_vec(), [1].to_vec()))),
        ""
    );
}

#[test]
fn each_mistake_of_a_graph_is_named() {
    let cases: [(&str, Bend<Filter>); 5] = [
        ("node 1 lies on no way", |f| f.connections[1] = wire(0, 0, FILTER_NODE, 1)),
        ("node 0 lies on no way", |f| f.connections[0] = wire(FILTER_NODE, 0, 1, 1)),
        ("node 0 has no pin 2", |f| f.connections[0].to_node_pin = 2),
        ("has a second wire", |f| f.connections.push(wire(FILTER_NODE, 0, 1, 1))),
        ("node 1 lies on no way", |f| f.connections.truncate(2)),
    ];
    for (words, bend) in cases {
        let text = graph(bend);
        assert!(text.contains(words), "expected \"{words}\", found \"{text}\"");
    }
}

#[test]
fn a_handler_outside_the_image_is_named() {
    let (nodes, _) = read_sample(|_| ());
    let filter = Filter { nodes, ..Filter::default() };
    let mut text = String::new();
    check_handlers(&filter, |_| true, &mut text);
    assert_eq!(text, "");
    check_handlers(&filter, |_| false, &mut text);
    assert!(text.contains("outside the image"), "{text}");
}

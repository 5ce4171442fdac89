//! Automation tables and nodes of a filter: read into owned form and checked (WAVERT.md 5.1, 5.3, 5.7).
//!
//! Which properties and events a client can reach, and what a control panel makes of a filter, is decided
//! here: real PortCls drops an item it does not understand without a word.

use super::controls_layout::{property, verb};
use super::descriptor::{FLOW_IN, Filter, MANY, read_all, read_guid};
use super::guid::{
    Guid, KSNODETYPE_ADC, KSNODETYPE_DAC, KSNODETYPE_MUTE, KSNODETYPE_SUM, KSNODETYPE_VOLUME,
    KSPROPSETID_AUDIO, Named,
};
use super::layout::{FILTER_NODE, PcAutomationTable, PcFilterDescriptor, PcItem, PcNodeDescriptor};
use super::report::Report;
use alloc::vec::Vec;
use core::fmt;

/// `PCPROPERTY_ITEM_FLAG_*`: GET, SET, BASICSUPPORT, SERIALIZERAW, UNSERIALIZERAW, SERIALIZESIZE,
/// DEFAULTVALUES.
const PROPERTY_FLAGS: u32 = verb::ALL | 0x2000 | 0x4000 | 0x8000 | verb::DEFAULT_VALUES;
/// `PCEVENT_ITEM_FLAG_*`: ENABLE, ONESHOT, BASICSUPPORT.
const EVENT_FLAGS: u32 = 1 | 2 | verb::BASIC_SUPPORT;
/// Types that the endpoint builder finds a meaning in, as far as a card like this has them (WAVERT.md 5.8).
const NODE_TYPES: [Guid; 5] =
    [KSNODETYPE_VOLUME, KSNODETYPE_MUTE, KSNODETYPE_DAC, KSNODETYPE_ADC, KSNODETYPE_SUM];

/// A property or an event that a driver handles.
#[derive(Clone, Copy, Debug)]
pub struct Item {
    /// Where the driver keeps it: handed back with each request.
    pub source: *const PcItem,
    /// Property or event set.
    pub set: Guid,
    /// Number in the set.
    pub id: u32,
    /// Verbs and kinds.
    pub flags: u32,
    /// The driver's routine.
    pub handler: usize,
}

/// What a filter, a pin or a node can be asked.
#[derive(Clone, Default, Debug)]
pub struct Automation {
    /// Properties.
    pub properties: Vec<Item>,
    /// Events.
    pub events: Vec<Item>,
}

fn find(items: &[Item], set: &Guid, id: u32) -> Option<Item> {
    items.iter().find(|item| item.set == *set && item.id == id).copied()
}

impl Automation {
    /// The item of a property.
    pub fn property(&self, set: &Guid, id: u32) -> Option<Item> {
        find(&self.properties, set, id)
    }

    /// The item of an event.
    pub fn event(&self, set: &Guid, id: u32) -> Option<Item> {
        find(&self.events, set, id)
    }
}

/// A node of a filter.
#[derive(Clone, Default, Debug)]
pub struct Node {
    /// What it is.
    pub node_type: Option<Guid>,
    /// What it can be asked.
    pub automation: Automation,
}

/// Reads and checks an automation table.
///
/// # Safety
/// `table` is null or points to a live table, whose arrays are null or as long as it says.
pub unsafe fn read(
    table: *const PcAutomationTable,
    owner: fmt::Arguments<'_>,
    report: &mut dyn Report,
) -> Automation {
    if table.is_null() {
        return Automation::default();
    }
    // SAFETY: not null, a table by the contract.
    let table = unsafe { table.read_unaligned() };
    if table.reserved != 0 {
        report.found(format_args!("{owner}: the automation table has Reserved {:#x}", table.reserved));
    }
    // SAFETY: arrays as the table says; pointer, stride and count are checked before they are read.
    unsafe {
        let (size, count) = (table.property_item_size, table.property_count);
        let properties = read_items((owner, "property"), size, count, table.properties, report);
        read_items((owner, "method"), table.method_item_size, table.method_count, table.methods, report);
        let (size, count) = (table.event_item_size, table.event_count);
        let events = read_items((owner, "event"), size, count, table.events, report);
        check_items((owner, "property"), &properties, PROPERTY_FLAGS, verb::GET | verb::SET, report);
        check_items((owner, "event"), &events, EVENT_FLAGS, 1 | 2, report);
        Automation { properties, events }
    }
}

unsafe fn read_items(
    (owner, what): (fmt::Arguments<'_>, &str),
    size: u32,
    count: u32,
    items: *const PcItem,
    report: &mut dyn Report,
) -> Vec<Item> {
    if count == 0 {
        return Vec::new();
    }
    if items.is_null() || (size as usize) < size_of::<PcItem>() || !size.is_multiple_of(8) || count > MANY {
        report.found(format_args!("{owner}: {count} {what} items of {size} bytes at {items:p}"));
        return Vec::new();
    }
    let mut read = Vec::new();
    // SAFETY: an array of items, its pointer and stride checked.
    for (index, item) in unsafe { read_all(items, count, size as usize) }.iter().enumerate() {
        // SAFETY: null or the GUID of the set, as promised for the whole table.
        let set = unsafe { read_guid(item.set) };
        let (Some(set), false) = (set, item.handler.is_null()) else {
            report.found(format_args!("{owner}: {what} item {} without set or handler", item.id));
            continue;
        };
        let source = items.wrapping_byte_add(index * size as usize);
        read.push(Item { source, set, id: item.id, flags: item.flags, handler: item.handler.addr() });
    }
    read
}

fn check_items(
    (owner, what): (fmt::Arguments<'_>, &str),
    items: &[Item],
    known: u32,
    needed: u32,
    report: &mut dyn Report,
) {
    for (at, item) in items.iter().enumerate() {
        if item.flags & !known != 0 || item.flags & needed == 0 {
            report.harsh(format_args!(
                "{owner}: {what} {} {} has Flags {:#x}",
                Named(item.set),
                item.id,
                item.flags
            ));
        }
        if items[..at].iter().any(|other| other.set == item.set && other.id == item.id) {
            report.harsh(format_args!("{owner}: {what} {} {} is listed twice", Named(item.set), item.id));
        }
    }
}

/// Reads and checks the nodes.
///
/// # Safety
/// The node array is as the descriptor says; pointers in it are null or lead to live static data.
pub unsafe fn read_nodes(filter: &PcFilterDescriptor, report: &mut dyn Report) -> Vec<Node> {
    let stride = filter.node_size as usize;
    if filter.node_count == 0 {
        return Vec::new();
    }
    if filter.nodes.is_null() || stride < size_of::<PcNodeDescriptor>() || !stride.is_multiple_of(8) {
        report
            .found(format_args!("{} nodes at {:p} with NodeSize {stride}", filter.node_count, filter.nodes));
        return Vec::new();
    }
    let mut nodes = Vec::new();
    // SAFETY: the array was checked for null and its stride covers a descriptor.
    for (id, node) in unsafe { read_all(filter.nodes, filter.node_count, stride) }.iter().enumerate() {
        // SAFETY: as promised for the whole descriptor.
        let (node_type, automation) = unsafe {
            (read_guid(node.node_type), read(node.automation_table, format_args!("node {id}"), report))
        };
        if node_type.is_none() || node.flags != 0 {
            report.found(format_args!("node {id}: Type {:p}, Flags {:#x}", node.node_type, node.flags));
        }
        let node = Node { node_type, automation };
        check_node(id, &node, report);
        nodes.push(node);
    }
    nodes
}

fn check_node(id: usize, node: &Node, report: &mut dyn Report) {
    let Some(node_type) = node.node_type else { return };
    if !NODE_TYPES.contains(&node_type) {
        report.harsh(format_args!("node {id} is of a type that nothing is known of: {}", Named(node_type)));
    }
    let control = match node_type {
        KSNODETYPE_VOLUME => property::VOLUME_LEVEL,
        KSNODETYPE_MUTE => property::MUTE,
        _ => return,
    };
    match node.automation.property(&KSPROPSETID_AUDIO, control) {
        Some(item) if item.flags & verb::ALL == verb::ALL => {}
        Some(item) => report.harsh(format_args!(
            "node {id} is a {} whose property has Flags {:#x}; GET, SET and BASICSUPPORT are due",
            Named(node_type),
            item.flags
        )),
        None => {
            report.found(format_args!(
                "node {id} is a {} without the property that moves it",
                Named(node_type)
            ));
        }
    }
}

/// Nodes and connections: a node has input pin 1 and output pin 0 (only a SUM more inputs), one wire goes
/// into each, and each node lies on a way through the filter.
pub fn check_graph(filter: &Filter, report: &mut dyn Report) {
    let connections = &filter.connections;
    for (i, one) in connections.iter().enumerate() {
        let same_end = |other: &&super::layout::PcConnectionDescriptor| {
            (one.to_node, one.to_node_pin) == (other.to_node, other.to_node_pin)
        };
        let into_node = one.to_node != FILTER_NODE;
        if connections[..i].iter().any(|other| {
            same_end(&other)
                && (into_node || (one.from_node, one.from_node_pin) == (other.from_node, other.from_node_pin))
        }) {
            report.found(format_args!(
                "connection {i}: pin {} of node {:#x} has a second wire",
                one.to_node_pin, one.to_node
            ));
        }
        let target = filter.nodes.get(one.to_node as usize).and_then(|node| node.node_type);
        if into_node && one.to_node_pin > 1 && target.is_some_and(|kind| kind != KSNODETYPE_SUM) {
            report.harsh(format_args!("connection {i}: node {} has no pin {}", one.to_node, one.to_node_pin));
        }
    }
    let count = u32::try_from(filter.nodes.len()).unwrap_or(MANY);
    for node in 0..count {
        let reached =
            pins_of(filter, FLOW_IN).any(|pin| filter.reachable_nodes_and_pins(pin).0.contains(&node));
        if !reached || filter.pins_from_node(node).is_empty() {
            report.harsh(format_args!("node {node} lies on no way through the filter"));
        }
    }
}

fn pins_of(filter: &Filter, flow: u32) -> impl Iterator<Item = u32> {
    (0u32..).zip(&filter.pins).filter(move |(_, pin)| pin.flow == flow).map(|(id, _)| id)
}

/// Handlers of a filter that are not where code of the driver is.
pub fn check_handlers(filter: &Filter, is_code: impl Fn(usize) -> bool, report: &mut dyn Report) {
    let nodes = filter.nodes.iter().map(|node| &node.automation);
    let pins = filter.pins.iter().map(|pin| &pin.automation);
    for table in core::iter::once(&filter.automation).chain(nodes).chain(pins) {
        for item in table.properties.iter().chain(&table.events).filter(|item| !is_code(item.handler)) {
            report.found(format_args!(
                "the handler of {} {} is at {:#x}, outside the image",
                Named(item.set),
                item.id,
                item.handler
            ));
        }
    }
}

#[cfg(test)]
mod tests;

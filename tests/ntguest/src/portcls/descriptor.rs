//! Filter descriptors: what `IMiniport::GetDescription` returns, checked and copied into owned form.
//!
//! Real PortCls trusts a descriptor and fails far away from the mistake, or silently makes no endpoint. Here
//! each rule of WAVERT.md 5.1 to 5.4 is a finding with its own words.

use super::automation::{self, Automation, Node};
use super::guid::{
    Guid, KSCATEGORY_AUDIO, KSCATEGORY_CAPTURE, KSCATEGORY_REALTIME, KSCATEGORY_RENDER, KSCATEGORY_TOPOLOGY,
};
use super::guid::{SPECIFIER_WAVEFORMATEX, TYPE_AUDIO};
use super::layout::{
    FILTER_NODE, FLAG_ATTRIBUTES, KsAttributeList, KsDataFormat, KsDataRangeAudio, PcConnectionDescriptor,
    PcFilterDescriptor, PcPinDescriptor,
};
use super::report::Report;
use super::shape;
use alloc::vec::Vec;

/// `KSPIN_DATAFLOW_IN`.
pub const FLOW_IN: u32 = 1;
/// `KSPIN_DATAFLOW_OUT`.
pub const FLOW_OUT: u32 = 2;
/// `KSPIN_COMMUNICATION_SINK`.
pub const SINK: u32 = 1;
/// `KSPIN_COMMUNICATION_BOTH`.
const BOTH: u32 = 3;
/// `KSPIN_COMMUNICATION_BRIDGE`.
const BRIDGE: u32 = 4;
/// More than any audio filter has: bounds what is walked when a count is garbage.
pub const MANY: u32 = 256;
/// `KSDATARANGE_REQUIRED_ATTRIBUTES`.
const FLAG_REQUIRED_ATTRIBUTES: u32 = 4;

/// Which port the filter belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// WaveRT.
    Wave,
    /// Topology.
    Topology,
}

impl Role {
    /// The categories of a filter whose descriptor lists none: the port's own.
    fn default_categories(self) -> &'static [Guid] {
        match self {
            // A WaveRT port registers under REALTIME too (DDI page of KSCATEGORY_REALTIME).
            Self::Wave => &[KSCATEGORY_AUDIO, KSCATEGORY_RENDER, KSCATEGORY_CAPTURE, KSCATEGORY_REALTIME],
            Self::Topology => &[KSCATEGORY_AUDIO, KSCATEGORY_TOPOLOGY],
        }
    }
}

/// One data range of a pin.
#[derive(Clone)]
pub struct Range {
    /// Where the driver keeps it: handed back to `DataRangeIntersection`.
    pub source: *const KsDataFormat,
    /// The common part.
    pub format: KsDataFormat,
    /// The audio part, when the specifier says so.
    pub audio: Option<KsDataRangeAudio>,
}

/// A pin as the port sees it.
#[derive(Clone, Default)]
pub struct Pin {
    /// In or out of the filter.
    pub flow: u32,
    /// Who opens it.
    pub communication: u32,
    /// Instances on one filter.
    pub max_instances: u32,
    /// Its category.
    pub category: Option<Guid>,
    /// Its name.
    pub name: Option<Guid>,
    /// What formats it takes.
    pub ranges: Vec<Range>,
    /// What its instances can be asked.
    pub automation: Automation,
}

impl Pin {
    /// A pin that nobody opens: it leads to another filter or to a jack.
    pub fn is_bridge(&self) -> bool {
        matches!(self.communication, 0 | BRIDGE)
    }

    /// A pin that a client opens.
    pub fn is_host(&self) -> bool {
        matches!(self.communication, SINK | BOTH)
    }
}

/// A filter as the port sees it.
#[derive(Default)]
pub struct Filter {
    /// What it can be asked.
    pub automation: Automation,
    /// Its pins.
    pub pins: Vec<Pin>,
    /// Its nodes.
    pub nodes: Vec<Node>,
    /// Its inner connections.
    pub connections: Vec<PcConnectionDescriptor>,
    /// Interface categories, PortCls' default included when the driver lists none.
    pub categories: Vec<Guid>,
}

// SAFETY: nothing in a filter is changed once it was made, and its pointers lead to the driver's static data.
unsafe impl Send for Filter {}
// SAFETY: as above.
unsafe impl Sync for Filter {}

impl Filter {
    /// Pins that can be reached from `pin` inside the filter, in the direction sound travels.
    pub fn reachable(&self, pin: u32) -> Vec<u32> {
        self.reachable_nodes_and_pins(pin).1
    }

    /// Nodes and pins that can be reached from `pin` inside the filter, in the direction sound travels.
    pub fn reachable_nodes_and_pins(&self, pin: u32) -> (Vec<u32>, Vec<u32>) {
        self.follow(|c| c.from_node == FILTER_NODE && c.from_node_pin == pin)
    }

    /// Pins that can be reached from a node.
    pub fn pins_from_node(&self, node: u32) -> Vec<u32> {
        self.follow(|c| c.from_node == node).1
    }

    fn follow(&self, begins: impl Fn(&&PcConnectionDescriptor) -> bool) -> (Vec<u32>, Vec<u32>) {
        let (mut nodes, mut ends) = (Vec::new(), Vec::new());
        let mut fresh: Vec<PcConnectionDescriptor> =
            self.connections.iter().filter(begins).copied().collect();
        while let Some(connection) = fresh.pop() {
            if connection.to_node == FILTER_NODE {
                ends.push(connection.to_node_pin);
            } else if !nodes.contains(&connection.to_node) {
                nodes.push(connection.to_node);
                fresh.extend(self.connections.iter().filter(|c| c.from_node == connection.to_node));
            }
        }
        (nodes, ends)
    }
}

/// Reads `count` descriptors that lie `stride` bytes apart.
///
/// # Safety
/// `first` points to that many live descriptors.
pub unsafe fn read_all<T: Copy>(first: *const T, count: u32, stride: usize) -> Vec<T> {
    if first.is_null() {
        return Vec::new();
    }
    // SAFETY: each one lies inside the array by the contract; `byte_add` stays in it.
    (0..count.min(MANY)).map(|i| unsafe { first.byte_add(i as usize * stride).read_unaligned() }).collect()
}

/// Reads a GUID the driver points to.
///
/// # Safety
/// `guid` is null or points to a GUID.
pub unsafe fn read_guid(guid: *const Guid) -> Option<Guid> {
    // SAFETY: non-null by the test, a GUID by the contract.
    (!guid.is_null()).then(|| unsafe { guid.read_unaligned() })
}

/// Checks a filter descriptor and copies what the port needs.
///
/// # Safety
/// `filter` is what the driver's `GetDescription` returned: non-null, and pointers in it are null or lead to
/// live static data.
pub unsafe fn validate(filter: *const PcFilterDescriptor, role: Role, report: &mut dyn Report) -> Filter {
    // SAFETY: non-null by contract.
    let filter = unsafe { filter.read_unaligned() };
    if filter.version != 0 {
        report.found(format_args!("Version is {}, not 0", filter.version));
    }
    for (what, count) in [
        ("PinCount", filter.pin_count),
        ("NodeCount", filter.node_count),
        ("ConnectionCount", filter.connection_count),
    ] {
        if count > MANY {
            report.found(format_args!("{what} is {count}"));
        }
    }
    // SAFETY: the tables and arrays are as the descriptor says; sizes and null pointers are checked on the
    // way.
    let (table, pins, nodes) = unsafe {
        let table = automation::read(filter.automation_table, format_args!("filter"), report);
        (table, read_pins(&filter, report), automation::read_nodes(&filter, report))
    };
    // SAFETY: as above.
    let (connections, categories) = unsafe {
        let categories = check_categories(&filter, role, report);
        let bytes = size_of::<PcConnectionDescriptor>();
        (read_all(filter.connections, filter.connection_count, bytes), categories)
    };
    if filter.connection_count > 0 && filter.connections.is_null() {
        report.found(format_args!("ConnectionCount is {} and Connections is NULL", filter.connection_count));
    }
    check_connections(&pins, filter.node_count, &connections, report);
    let filter = Filter { automation: table, pins, nodes, connections, categories };
    automation::check_graph(&filter, report);
    shape::check(&filter, role, report);
    filter
}

unsafe fn read_pins(filter: &PcFilterDescriptor, report: &mut dyn Report) -> Vec<Pin> {
    let stride = filter.pin_size as usize;
    if filter.pin_count == 0 || filter.pins.is_null() {
        report.found(format_args!("the filter has no pins"));
        return Vec::new();
    }
    if stride < size_of::<PcPinDescriptor>() || !stride.is_multiple_of(8) {
        report.found(format_args!(
            "PinSize is {stride}, sizeof(PCPIN_DESCRIPTOR) is {}",
            size_of::<PcPinDescriptor>()
        ));
        return Vec::new();
    }
    // SAFETY: the array was checked for null and its stride covers a descriptor.
    let descriptors = unsafe { read_all(filter.pins, filter.pin_count, stride) };
    // SAFETY: as promised for the whole descriptor.
    descriptors.iter().enumerate().map(|(id, pin)| unsafe { read_pin(id, pin, report) }).collect()
}

unsafe fn read_pin(id: usize, descriptor: &PcPinDescriptor, report: &mut dyn Report) -> Pin {
    let ks = &descriptor.pin;
    // SAFETY: as promised for the whole descriptor.
    let (automation, category, name, ranges) = unsafe {
        let table = automation::read(descriptor.automation_table, format_args!("pin {id}"), report);
        (table, read_guid(ks.category), read_guid(ks.name), read_ranges(id, descriptor, report))
    };
    let pin = Pin {
        flow: ks.data_flow,
        communication: ks.communication,
        max_instances: descriptor.max_filter_instance_count,
        category,
        name,
        ranges,
        automation,
    };
    if pin.flow != FLOW_IN && pin.flow != FLOW_OUT {
        report.found(format_args!("pin {id}: DataFlow is {}", pin.flow));
    }
    if pin.communication > BRIDGE {
        report.found(format_args!("pin {id}: Communication is {}", pin.communication));
    }
    if pin.category.is_none() {
        report.harsh(format_args!("pin {id}: Category is NULL"));
    }
    let (global, filter, least) = (
        descriptor.max_global_instance_count,
        descriptor.max_filter_instance_count,
        descriptor.min_filter_instance_count,
    );
    if pin.is_bridge() && (global, filter, least) != (0, 0, 0) {
        report.found(format_args!(
            "pin {id} is a bridge with instance counts ({global},{filter},{least}), not (0,0,0)"
        ));
    }
    if pin.is_host() && (global == 0 || filter == 0 || least > filter || global < filter) {
        report.found(format_args!(
            "pin {id} is opened by clients with instance counts ({global},{filter},{least})"
        ));
    }
    for (what, count, null) in [
        ("Interfaces", ks.interfaces_count, ks.interfaces.is_null()),
        ("Mediums", ks.mediums_count, ks.mediums.is_null()),
    ] {
        if count > 0 && null {
            report.found(format_args!("pin {id}: {count} {what} and the pointer is NULL"));
        }
    }
    pin
}

unsafe fn read_ranges(id: usize, descriptor: &PcPinDescriptor, report: &mut dyn Report) -> Vec<Range> {
    let ks = &descriptor.pin;
    if ks.data_ranges_count == 0 || ks.data_ranges.is_null() {
        report.found(format_args!("pin {id} has no data range"));
        return Vec::new();
    }
    // SAFETY: an array of pointers, not null; attribute lists are entries of it too.
    let slots = unsafe { read_all(ks.data_ranges, ks.data_ranges_count, size_of::<usize>()) };
    let mut ranges = Vec::new();
    let mut slots = slots.iter().enumerate();
    while let Some((slot, &source)) = slots.next() {
        if source.is_null() {
            report.found(format_args!("pin {id}: data range slot {slot} is NULL"));
            continue;
        }
        // SAFETY: a data range by its place in the array, which begins with the common part.
        let format = unsafe { source.read_unaligned() };
        if format.flags & !(FLAG_ATTRIBUTES | FLAG_REQUIRED_ATTRIBUTES) != 0 || format.reserved != 0 {
            report.found(format_args!(
                "pin {id}: data range slot {slot} has Flags {:#x}, Reserved {}",
                format.flags, format.reserved
            ));
        }
        // SAFETY: as above; the audio part is read only when its size and specifier announce it.
        let audio = unsafe { read_audio(id, slot, source, &format, report) };
        if format.flags & FLAG_ATTRIBUTES != 0 {
            match slots.next() {
                // SAFETY: the flag says that this slot holds an attribute list.
                Some((_, list)) => unsafe { check_attributes(id, list.cast(), report) },
                None => report.found(format_args!(
                    "pin {id}: slot {slot} has KSDATARANGE_ATTRIBUTES and no list is counted after it"
                )),
            }
        }
        ranges.push(Range { source, format, audio });
    }
    ranges
}

unsafe fn read_audio(
    id: usize,
    slot: usize,
    source: *const KsDataFormat,
    format: &KsDataFormat,
    report: &mut dyn Report,
) -> Option<KsDataRangeAudio> {
    let size = format.format_size as usize;
    if format.major_format != TYPE_AUDIO || format.specifier != SPECIFIER_WAVEFORMATEX {
        if size < size_of::<KsDataFormat>() {
            report
                .found(format_args!("pin {id}: data range slot {slot} has FormatSize {size}, less than 64"));
        }
        return None;
    }
    if size != size_of::<KsDataRangeAudio>() {
        report.found(format_args!("pin {id}: KSDATARANGE_AUDIO slot {slot} has FormatSize {size}, not 88"));
    }
    if size < 84 {
        return None;
    }
    // SAFETY: it says that it is a KSDATARANGE_AUDIO, whose five values end at 84; padding is part of the
    // static object.
    let audio = unsafe { source.cast::<KsDataRangeAudio>().read_unaligned() };
    let values_fit = audio.maximum_channels > 0
        && audio.minimum_bits_per_sample <= audio.maximum_bits_per_sample
        && audio.minimum_sample_frequency <= audio.maximum_sample_frequency
        && audio.minimum_bits_per_sample > 0
        && audio.minimum_sample_frequency > 0;
    if !values_fit {
        report.found(format_args!("pin {id}: data range slot {slot} describes no format at all"));
    }
    Some(audio)
}

unsafe fn check_attributes(id: usize, list: *const KsAttributeList, report: &mut dyn Report) {
    if list.is_null() {
        report.found(format_args!("pin {id}: the attribute list is NULL"));
        return;
    }
    // SAFETY: not null, an attribute list by the contract.
    let list = unsafe { list.read_unaligned() };
    if list.count == 0 || list.attributes.is_null() {
        report.found(format_args!("pin {id}: the attribute list is empty"));
        return;
    }
    // SAFETY: an array of `count` pointers.
    for attribute in unsafe { read_all(list.attributes, list.count, size_of::<usize>()) } {
        // SAFETY: a pointer to an attribute, checked for null first.
        let size = (!attribute.is_null()).then(|| unsafe { attribute.read_unaligned().size });
        if size.is_none_or(|size| size < 24) {
            report.found(format_args!("pin {id}: an attribute is NULL or smaller than KSATTRIBUTE"));
        }
    }
}

unsafe fn check_categories(filter: &PcFilterDescriptor, role: Role, report: &mut dyn Report) -> Vec<Guid> {
    let listed = filter.category_count > 0;
    if listed && filter.categories.is_null() {
        report.found(format_args!("{} categories and the pointer is NULL", filter.category_count));
        return Vec::new();
    }
    let listed = if listed {
        // SAFETY: an array of GUIDs, not null.
        unsafe { read_all(filter.categories, filter.category_count, size_of::<Guid>()) }
    } else {
        Vec::new()
    };
    if listed.is_empty() {
        return role.default_categories().to_vec();
    }
    let has = |category: &Guid| listed.contains(category);
    let complete = match role {
        Role::Wave => has(&KSCATEGORY_RENDER) || has(&KSCATEGORY_CAPTURE),
        Role::Topology => has(&KSCATEGORY_TOPOLOGY),
    };
    // The endpoint builder starts from AUDIO; by the others only some programs look.
    if !has(&KSCATEGORY_AUDIO) {
        report.found(format_args!("{role:?} filter without the interface category KSCATEGORY_AUDIO"));
    } else if !complete || (role == Role::Wave && !has(&KSCATEGORY_REALTIME)) {
        report.harsh(format_args!("{role:?} filter without all interface categories of its kind"));
    }
    listed
}

fn check_connections(
    pins: &[Pin],
    nodes: u32,
    connections: &[PcConnectionDescriptor],
    report: &mut dyn Report,
) {
    let flow = |pin: u32| pins.get(pin as usize).map(|pin| pin.flow);
    for (i, c) in connections.iter().enumerate() {
        let from = if c.from_node == FILTER_NODE {
            flow(c.from_node_pin) == Some(FLOW_IN)
        } else {
            c.from_node < nodes
        };
        let to =
            if c.to_node == FILTER_NODE { flow(c.to_node_pin) == Some(FLOW_OUT) } else { c.to_node < nodes };
        // The samples' numbering: a node with more outputs than one (an audio engine's) has others.
        if (c.from_node != FILTER_NODE && c.from_node_pin != 0)
            || (c.to_node != FILTER_NODE && c.to_node_pin == 0)
        {
            report.harsh(format_args!(
                "connection {i} comes from pin {} and goes to pin {}; a node's output is pin 0, its input pin 1",
                c.from_node_pin, c.to_node_pin
            ));
        }
        if !from || !to {
            report.found(format_args!(
                "connection {i} ({:#x},{} -> {:#x},{}) names a pin or node that is missing or runs the wrong way",
                c.from_node, c.from_node_pin, c.to_node, c.to_node_pin
            ));
        }
    }
    for (id, pin) in pins.iter().enumerate() {
        let used = connections.iter().any(|c| {
            (c.from_node == FILTER_NODE && c.from_node_pin as usize == id && pin.flow == FLOW_IN)
                || (c.to_node == FILTER_NODE && c.to_node_pin as usize == id && pin.flow == FLOW_OUT)
        });
        if !used {
            report.harsh(format_args!("pin {id} is connected to nothing inside the filter"));
        }
    }
    for node in 0..nodes.min(MANY) {
        if !connections.iter().any(|c| c.from_node == node) || !connections.iter().any(|c| c.to_node == node)
        {
            report.harsh(format_args!("node {node} has no input or no output"));
        }
    }
}

#[cfg(test)]
mod tests;

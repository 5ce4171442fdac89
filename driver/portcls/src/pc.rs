//! PortCls' structures: descriptors of filters, automation tables and requests (WAVERT.md 5.1).
//!
//! Descriptors are statics: PortCls keeps their addresses for the life of the miniport and reads them from
//! any thread, and possibly at DISPATCH_LEVEL; a driver image's data is not paged unless its section is.
use crate::com::IUnknown;
use crate::guid::GUID;
use crate::ks::{KSATTRIBUTE_LIST, KSDATARANGE, KSDATARANGE_AUDIO, KSIDENTIFIER};
use crate::layout;
use core::ffi::c_void;
use core::ptr::null;
use nt::NTSTATUS;
use nt::sys::IRP;

/// In a connection: the filter itself, whose pin numbers are the filter's.
pub const PCFILTER_NODE: u32 = u32::MAX;
/// KSPIN_DATAFLOW: into the filter.
pub const KSPIN_DATAFLOW_IN: u32 = 1;
/// KSPIN_DATAFLOW: out of the filter.
pub const KSPIN_DATAFLOW_OUT: u32 = 2;
/// KSPIN_COMMUNICATION: a bridge pin of an audio filter.
pub const KSPIN_COMMUNICATION_NONE: u32 = 0;
/// KSPIN_COMMUNICATION: a pin that a client opens.
pub const KSPIN_COMMUNICATION_SINK: u32 = 1;
/// KSPIN_COMMUNICATION: a pin that opens another filter's.
pub const KSPIN_COMMUNICATION_SOURCE: u32 = 2;
/// KSPIN_COMMUNICATION: either.
pub const KSPIN_COMMUNICATION_BOTH: u32 = 3;
/// KSPIN_COMMUNICATION: a bridge pin to what is outside of kernel streaming.
pub const KSPIN_COMMUNICATION_BRIDGE: u32 = 4;

/// One entry of a pin's array of data ranges: a range, or the attribute list of the range before it.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct DataRangeEntry(*const KSDATARANGE);
// SAFETY: points to statics that nobody writes.
unsafe impl Sync for DataRangeEntry {}
impl DataRangeEntry {
    /// A plain range (bridge pins).
    pub const fn range(range: &'static KSDATARANGE) -> Self {
        Self(range)
    }

    /// An audio range.
    pub const fn audio(range: &'static KSDATARANGE_AUDIO) -> Self {
        Self(&raw const range.DataRange)
    }

    /// The attributes of the entry before, whose range has the flag KSDATAFORMAT_ATTRIBUTES. Counts as an
    /// entry.
    pub const fn attributes(list: &'static KSATTRIBUTE_LIST) -> Self {
        Self(core::ptr::from_ref(list).cast())
    }
}

/// Describes a pin to kernel streaming.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KSPIN_DESCRIPTOR {
    /// 0: PortCls' defaults.
    pub InterfacesCount: u32,
    /// NULL.
    pub Interfaces: *const KSIDENTIFIER,
    /// 0: PortCls' defaults.
    pub MediumsCount: u32,
    /// NULL.
    pub Mediums: *const KSIDENTIFIER,
    /// Entries, attribute lists included.
    pub DataRangesCount: u32,
    /// The entries.
    pub DataRanges: *const DataRangeEntry,
    /// [`KSPIN_DATAFLOW_IN`] ...
    pub DataFlow: u32,
    /// [`KSPIN_COMMUNICATION_SINK`] ...
    pub Communication: u32,
    /// What it is.
    pub Category: *const GUID,
    /// Its name, or NULL.
    pub Name: *const GUID,
    /// 0 (or the count of constrained ranges).
    pub Reserved: i64,
    /// C has a union here and a pointer for constrained ranges; NULL.
    pub ConstrainedDataRanges: *const DataRangeEntry,
}
layout!(KSPIN_DESCRIPTOR, 88, Interfaces @ 8, MediumsCount @ 16, Mediums @ 24, DataRangesCount @ 32, DataRanges @ 40, DataFlow @ 48, Communication @ 52, Category @ 56, Name @ 64, Reserved @ 72, ConstrainedDataRanges @ 80);

impl KSPIN_DESCRIPTOR {
    /// A pin with PortCls' default interfaces and mediums and no name.
    pub const fn new(
        data_flow: u32,
        communication: u32,
        category: &'static GUID,
        data_ranges: &'static [DataRangeEntry],
    ) -> Self {
        Self {
            InterfacesCount: 0,
            Interfaces: null(),
            MediumsCount: 0,
            Mediums: null(),
            DataRangesCount: count(data_ranges),
            DataRanges: data_ranges.as_ptr(),
            DataFlow: data_flow,
            Communication: communication,
            Category: category,
            Name: null(),
            Reserved: 0,
            ConstrainedDataRanges: null(),
        }
    }

    /// The same pin with a name.
    #[must_use]
    pub const fn named(mut self, name: &'static GUID) -> Self {
        self.Name = name;
        self
    }
}

/// Describes a pin to PortCls.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PCPIN_DESCRIPTOR {
    /// Instances, over all filters.
    pub MaxGlobalInstanceCount: u32,
    /// Instances, per filter.
    pub MaxFilterInstanceCount: u32,
    /// Instances needed.
    pub MinFilterInstanceCount: u32,
    /// Properties of the pin, or NULL.
    pub AutomationTable: *const PCAUTOMATION_TABLE,
    /// The rest.
    pub KsPinDescriptor: KSPIN_DESCRIPTOR,
}
layout!(PCPIN_DESCRIPTOR, 112, MaxFilterInstanceCount @ 4, MinFilterInstanceCount @ 8, AutomationTable @ 16, KsPinDescriptor @ 24);
// SAFETY: points to statics that nobody writes.
unsafe impl Sync for PCPIN_DESCRIPTOR {}

impl PCPIN_DESCRIPTOR {
    /// A pin that clients open, `instances` at most; 0 for a bridge pin, whose counts must all be 0
    /// (WAVERT.md 5.4).
    pub const fn new(instances: u32, pin: KSPIN_DESCRIPTOR) -> Self {
        Self {
            MaxGlobalInstanceCount: instances,
            MaxFilterInstanceCount: instances,
            MinFilterInstanceCount: 0,
            AutomationTable: null(),
            KsPinDescriptor: pin,
        }
    }

    /// The same pin with properties.
    #[must_use]
    pub const fn automated(mut self, table: &'static PCAUTOMATION_TABLE) -> Self {
        self.AutomationTable = table;
        self
    }
}

/// Describes a node.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PCNODE_DESCRIPTOR {
    /// 0.
    pub Flags: u32,
    /// Properties of the node, or NULL.
    pub AutomationTable: *const PCAUTOMATION_TABLE,
    /// What it is.
    pub Type: *const GUID,
    /// Its name, or NULL.
    pub Name: *const GUID,
}
layout!(PCNODE_DESCRIPTOR, 32, AutomationTable @ 8, Type @ 16, Name @ 24);
// SAFETY: points to statics that nobody writes.
unsafe impl Sync for PCNODE_DESCRIPTOR {}

impl PCNODE_DESCRIPTOR {
    /// A node with properties and a name.
    pub const fn new(kind: &'static GUID, name: &'static GUID, table: &'static PCAUTOMATION_TABLE) -> Self {
        Self { Flags: 0, AutomationTable: table, Type: kind, Name: name }
    }

    /// A node that has neither.
    pub const fn plain(kind: &'static GUID) -> Self {
        Self { Flags: 0, AutomationTable: null(), Type: kind, Name: null() }
    }
}

/// A connection inside a filter. A node's input is its pin 1, its output pin 0.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PCCONNECTION_DESCRIPTOR {
    /// Node, or [`PCFILTER_NODE`].
    pub FromNode: u32,
    /// Its pin.
    pub FromNodePin: u32,
    /// Node, or [`PCFILTER_NODE`].
    pub ToNode: u32,
    /// Its pin.
    pub ToNodePin: u32,
}
layout!(PCCONNECTION_DESCRIPTOR, 16, FromNodePin @ 4, ToNode @ 8, ToNodePin @ 12);

/// Describes a filter; what GetDescription answers.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PCFILTER_DESCRIPTOR {
    /// 0.
    pub Version: u32,
    /// Properties of the filter, or NULL.
    pub AutomationTable: *const PCAUTOMATION_TABLE,
    /// Bytes of one pin descriptor: 112.
    pub PinSize: u32,
    /// Pins.
    pub PinCount: u32,
    /// Pins.
    pub Pins: *const PCPIN_DESCRIPTOR,
    /// Bytes of one node descriptor: 32.
    pub NodeSize: u32,
    /// Nodes.
    pub NodeCount: u32,
    /// Nodes.
    pub Nodes: *const PCNODE_DESCRIPTOR,
    /// Connections.
    pub ConnectionCount: u32,
    /// Connections.
    pub Connections: *const PCCONNECTION_DESCRIPTOR,
    /// Categories; 0: audio, render, capture.
    pub CategoryCount: u32,
    /// Categories.
    pub Categories: *const GUID,
}
layout!(PCFILTER_DESCRIPTOR, 80, AutomationTable @ 8, PinSize @ 16, PinCount @ 20, Pins @ 24, NodeSize @ 32, NodeCount @ 36, Nodes @ 40, ConnectionCount @ 48, Connections @ 56, CategoryCount @ 64, Categories @ 72);
// SAFETY: points to statics that nobody writes.
unsafe impl Sync for PCFILTER_DESCRIPTOR {}
// SAFETY: as above.
unsafe impl Send for PCFILTER_DESCRIPTOR {}

impl PCFILTER_DESCRIPTOR {
    /// A filter without properties of its own.
    pub const fn new(
        pins: &'static [PCPIN_DESCRIPTOR],
        nodes: &'static [PCNODE_DESCRIPTOR],
        connections: &'static [PCCONNECTION_DESCRIPTOR],
        categories: &'static [GUID],
    ) -> Self {
        Self {
            Version: 0,
            AutomationTable: null(),
            PinSize: size::<PCPIN_DESCRIPTOR>(),
            PinCount: count(pins),
            Pins: array(pins),
            NodeSize: size::<PCNODE_DESCRIPTOR>(),
            NodeCount: count(nodes),
            Nodes: array(nodes),
            ConnectionCount: count(connections),
            Connections: array(connections),
            CategoryCount: count(categories),
            Categories: array(categories),
        }
    }

    /// The same filter with properties.
    #[must_use]
    pub const fn automated(mut self, table: &'static PCAUTOMATION_TABLE) -> Self {
        self.AutomationTable = table;
        self
    }
}

/// Handles a property request. PASSIVE_LEVEL, the device's lock held.
pub type PCPFNPROPERTY_HANDLER = Option<unsafe extern "system" fn(*mut PCPROPERTY_REQUEST) -> NTSTATUS>;
/// Handles a method request.
pub type PCPFNMETHOD_HANDLER = Option<unsafe extern "system" fn(*mut PCMETHOD_REQUEST) -> NTSTATUS>;
/// Handles an event request.
pub type PCPFNEVENT_HANDLER = Option<unsafe extern "system" fn(*mut PCEVENT_REQUEST) -> NTSTATUS>;

/// A property that a miniport handles.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PCPROPERTY_ITEM {
    /// The set.
    pub Set: *const GUID,
    /// Which of the set.
    pub Id: u32,
    /// Verbs handled (KSPROPERTY_TYPE_...).
    pub Flags: u32,
    /// What handles it.
    pub Handler: PCPFNPROPERTY_HANDLER,
}
layout!(PCPROPERTY_ITEM, 24, Id @ 8, Flags @ 12, Handler @ 16);
// SAFETY: points to statics that nobody writes.
unsafe impl Sync for PCPROPERTY_ITEM {}

/// A method's kind: needs nothing.
pub const PCMETHOD_ITEM_FLAG_NONE: u32 = 0;
/// A method's kind: reads.
pub const PCMETHOD_ITEM_FLAG_READ: u32 = 1;
/// A method's kind: writes.
pub const PCMETHOD_ITEM_FLAG_WRITE: u32 = 2;
/// A method's kind: both.
pub const PCMETHOD_ITEM_FLAG_MODIFY: u32 = 3;

/// A method that a miniport handles. No audio set of methods is documented; PortCls carries them for others.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PCMETHOD_ITEM {
    /// The set.
    pub Set: *const GUID,
    /// Which of the set.
    pub Id: u32,
    /// Its kind.
    pub Flags: u32,
    /// What handles it.
    pub Handler: PCPFNMETHOD_HANDLER,
}
layout!(PCMETHOD_ITEM, 24, Id @ 8, Flags @ 12, Handler @ 16);
// SAFETY: points to statics that nobody writes.
unsafe impl Sync for PCMETHOD_ITEM {}

/// An event that a miniport handles.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PCEVENT_ITEM {
    /// The set.
    pub Set: *const GUID,
    /// Which of the set.
    pub Id: u32,
    /// Kinds handled.
    pub Flags: u32,
    /// What handles it.
    pub Handler: PCPFNEVENT_HANDLER,
}
layout!(PCEVENT_ITEM, 24, Id @ 8, Flags @ 12, Handler @ 16);
// SAFETY: points to statics that nobody writes.
unsafe impl Sync for PCEVENT_ITEM {}

/// What a filter, pin or node handles.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PCAUTOMATION_TABLE {
    /// Bytes of one item; a multiple of 8.
    pub PropertyItemSize: u32,
    /// Properties.
    pub PropertyCount: u32,
    /// Properties.
    pub Properties: *const PCPROPERTY_ITEM,
    /// Bytes of one item; a multiple of 8.
    pub MethodItemSize: u32,
    /// Methods: none.
    pub MethodCount: u32,
    /// Methods.
    pub Methods: *const PCMETHOD_ITEM,
    /// Bytes of one item; a multiple of 8.
    pub EventItemSize: u32,
    /// Events.
    pub EventCount: u32,
    /// Events.
    pub Events: *const PCEVENT_ITEM,
    /// 0.
    pub Reserved: u32,
}
layout!(PCAUTOMATION_TABLE, 56, PropertyCount @ 4, Properties @ 8, MethodItemSize @ 16, MethodCount @ 20, Methods @ 24, EventItemSize @ 32, EventCount @ 36, Events @ 40, Reserved @ 48);
// SAFETY: points to statics that nobody writes.
unsafe impl Sync for PCAUTOMATION_TABLE {}

impl PCAUTOMATION_TABLE {
    /// Properties and events, no methods.
    pub const fn new(properties: &'static [PCPROPERTY_ITEM], events: &'static [PCEVENT_ITEM]) -> Self {
        Self {
            PropertyItemSize: size::<PCPROPERTY_ITEM>(),
            PropertyCount: count(properties),
            Properties: array(properties),
            MethodItemSize: size::<PCMETHOD_ITEM>(),
            MethodCount: 0,
            Methods: null(),
            EventItemSize: size::<PCEVENT_ITEM>(),
            EventCount: count(events),
            Events: array(events),
            Reserved: 0,
        }
    }
}

/// A property request for a miniport. The property's own head is stripped: `Instance` is what follows it (pin
/// or channel number).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PCPROPERTY_REQUEST {
    /// The miniport, as it was given to the port (see
    /// [`Com::of_class`](crate::Com::of_class)).
    pub MajorTarget: *mut IUnknown,
    /// The stream, or NULL.
    pub MinorTarget: *mut IUnknown,
    /// The node, or 0xFFFFFFFF.
    pub Node: u32,
    /// The item of the table.
    pub PropertyItem: *const PCPROPERTY_ITEM,
    /// What to do (KSPROPERTY_TYPE_...).
    pub Verb: u32,
    /// Bytes of the instance.
    pub InstanceSize: u32,
    /// The instance.
    pub Instance: *mut c_void,
    /// In: bytes of room; out: bytes written, or bytes needed.
    pub ValueSize: u32,
    /// The value.
    pub Value: *mut c_void,
    /// The request's IRP.
    pub Irp: *mut IRP,
}
layout!(PCPROPERTY_REQUEST, 72, MinorTarget @ 8, Node @ 16, PropertyItem @ 24, Verb @ 32, InstanceSize @ 36, Instance @ 40, ValueSize @ 48, Value @ 56, Irp @ 64);

/// A method request for a miniport. (The header's structure ends with the verb: the method's parameters are
/// in the IRP, of which it does not speak.)
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PCMETHOD_REQUEST {
    /// The miniport.
    pub MajorTarget: *mut IUnknown,
    /// The stream, or NULL.
    pub MinorTarget: *mut IUnknown,
    /// The node, or 0xFFFFFFFF.
    pub Node: u32,
    /// The item of the table.
    pub MethodItem: *const PCMETHOD_ITEM,
    /// What to do.
    pub Verb: u32,
}
layout!(PCMETHOD_REQUEST, 40, MinorTarget @ 8, Node @ 16, MethodItem @ 24, Verb @ 32);

/// An event request's verb: none.
pub const PCEVENT_VERB_NONE: u32 = 0;
/// An event request's verb: adds the entry to the port's list.
pub const PCEVENT_VERB_ADD: u32 = 1;
/// An event request's verb: the entry is taken out of the list, by the port.
pub const PCEVENT_VERB_REMOVE: u32 = 2;
/// An event request's verb: whether the event is supported.
pub const PCEVENT_VERB_SUPPORT: u32 = 4;

/// An event request for a miniport.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PCEVENT_REQUEST {
    /// The miniport.
    pub MajorTarget: *mut IUnknown,
    /// The stream, or NULL.
    pub MinorTarget: *mut IUnknown,
    /// The node, or 0xFFFFFFFF.
    pub Node: u32,
    /// The item of the table.
    pub EventItem: *const PCEVENT_ITEM,
    /// KS' entry.
    pub EventEntry: *mut c_void,
    /// [`PCEVENT_VERB_ADD`] ...
    pub Verb: u32,
    /// The request's IRP.
    pub Irp: *mut IRP,
}
layout!(PCEVENT_REQUEST, 56, MinorTarget @ 8, Node @ 16, EventItem @ 24, EventEntry @ 32, Verb @ 40, Irp @ 48);

/// Length of an array in a descriptor; a descriptor with 2^32 entries does not compile.
#[allow(clippy::cast_possible_truncation)] // asserted
const fn count<T>(array: &[T]) -> u32 {
    assert!(array.len() < u32::MAX as usize);
    array.len() as u32
}

#[allow(clippy::cast_possible_truncation)] // structures of a few hundred bytes
const fn size<T>() -> u32 {
    assert!(size_of::<T>().is_multiple_of(8));
    size_of::<T>() as u32
}

/// An array in a descriptor; NULL when there is nothing.
const fn array<T>(array: &'static [T]) -> *const T {
    if array.is_empty() { null() } else { array.as_ptr() }
}

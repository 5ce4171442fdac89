//! Structures that PortCls and a WaveRT driver hand each other, as the x64 ABI lays them out.
//!
//! Written from WAVERT.md 4.1, 5.1, 5.9 and 7 and asserted against the sizes and offsets measured there; the
//! driver's own declarations are never looked at. Pointers into driver memory stay raw pointers: `descriptor`
//! reads them.

use super::guid::Guid;
use core::ffi::c_void;
use core::mem::offset_of;

/// Asserts a size and some field offsets at compile time.
macro_rules! layout {
    ($type:ty, $size:expr $(, $field:ident @ $offset:expr)* $(,)?) => {
        const _: () = {
            assert!(size_of::<$type>() == $size);
            $(assert!(offset_of!($type, $field) == $offset);)*
        };
    };
}

/// `PCFILTER_DESCRIPTOR`: what `IMiniport::GetDescription` returns.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PcFilterDescriptor {
    /// Zero.
    pub version: u32,
    /// Properties of the filter itself, or null.
    pub automation_table: *const PcAutomationTable,
    /// Bytes from one pin descriptor to the next.
    pub pin_size: u32,
    /// Number of pins.
    pub pin_count: u32,
    /// First pin descriptor.
    pub pins: *const PcPinDescriptor,
    /// Bytes from one node descriptor to the next.
    pub node_size: u32,
    /// Number of nodes.
    pub node_count: u32,
    /// First node descriptor.
    pub nodes: *const PcNodeDescriptor,
    /// Number of connections inside the filter.
    pub connection_count: u32,
    /// First connection.
    pub connections: *const PcConnectionDescriptor,
    /// Number of interface categories; zero means the port's default.
    pub category_count: u32,
    /// First category.
    pub categories: *const Guid,
}
layout!(PcFilterDescriptor, 80, automation_table @ 8, pin_size @ 16, pin_count @ 20, pins @ 24, node_size @ 32, node_count @ 36,
    nodes @ 40, connection_count @ 48, connections @ 56, category_count @ 64, categories @ 72);

/// `PCPIN_DESCRIPTOR`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PcPinDescriptor {
    /// Instances over all filters.
    pub max_global_instance_count: u32,
    /// Instances on one filter.
    pub max_filter_instance_count: u32,
    /// Instances that must exist.
    pub min_filter_instance_count: u32,
    /// Properties of the pin, or null.
    pub automation_table: *const PcAutomationTable,
    /// The pin as kernel streaming sees it.
    pub pin: KsPinDescriptor,
}
layout!(PcPinDescriptor, 112, max_filter_instance_count @ 4, min_filter_instance_count @ 8, automation_table @ 16, pin @ 24);

/// `KSPIN_DESCRIPTOR`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KsPinDescriptor {
    /// Zero lets PortCls supply the standard interfaces.
    pub interfaces_count: u32,
    /// Interfaces, or null.
    pub interfaces: *const c_void,
    /// Zero lets PortCls supply the standard medium.
    pub mediums_count: u32,
    /// Mediums, or null.
    pub mediums: *const c_void,
    /// Entries of `data_ranges`; an attribute list counts as one.
    pub data_ranges_count: u32,
    /// Array of pointers to data ranges and attribute lists.
    pub data_ranges: *const *const KsDataFormat,
    /// 1 in, 2 out.
    pub data_flow: u32,
    /// 0 none, 1 sink, 2 source, 3 both, 4 bridge.
    pub communication: u32,
    /// Category of the pin.
    pub category: *const Guid,
    /// Name of the pin, or null.
    pub name: *const Guid,
    /// Entries of `constrained_data_ranges`.
    pub constrained_data_ranges_count: u64,
    /// Further ranges, or null.
    pub constrained_data_ranges: *const *const KsDataFormat,
}
layout!(KsPinDescriptor, 88, interfaces @ 8, mediums_count @ 16, mediums @ 24, data_ranges_count @ 32, data_ranges @ 40,
    data_flow @ 48, communication @ 52, category @ 56, name @ 64, constrained_data_ranges_count @ 72, constrained_data_ranges @ 80);

/// `PCNODE_DESCRIPTOR`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PcNodeDescriptor {
    /// Zero.
    pub flags: u32,
    /// Properties of the node, or null.
    pub automation_table: *const PcAutomationTable,
    /// What the node is.
    pub node_type: *const Guid,
    /// Its name, or null.
    pub name: *const Guid,
}
layout!(PcNodeDescriptor, 32, automation_table @ 8, node_type @ 16, name @ 24);

/// `PCCONNECTION_DESCRIPTOR`: from one pin of a node or of the filter to another.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PcConnectionDescriptor {
    /// Node, or [`FILTER_NODE`].
    pub from_node: u32,
    /// Pin of that node.
    pub from_node_pin: u32,
    /// Node, or [`FILTER_NODE`].
    pub to_node: u32,
    /// Pin of that node.
    pub to_node_pin: u32,
}
layout!(PcConnectionDescriptor, 16, from_node_pin @ 4, to_node @ 8, to_node_pin @ 12);

/// `PCFILTER_NODE`: the filter itself in a connection.
pub const FILTER_NODE: u32 = u32::MAX;

/// `PCAUTOMATION_TABLE`: properties, methods and events.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PcAutomationTable {
    /// Bytes from one property item to the next, a multiple of 8.
    pub property_item_size: u32,
    /// Number of property items.
    pub property_count: u32,
    /// First property item.
    pub properties: *const PcItem,
    /// Bytes from one method item to the next, a multiple of 8.
    pub method_item_size: u32,
    /// Number of method items.
    pub method_count: u32,
    /// First method item.
    pub methods: *const PcItem,
    /// Bytes from one event item to the next, a multiple of 8.
    pub event_item_size: u32,
    /// Number of event items.
    pub event_count: u32,
    /// First event item.
    pub events: *const PcItem,
    /// Zero.
    pub reserved: u32,
}
layout!(PcAutomationTable, 56, property_count @ 4, properties @ 8, method_item_size @ 16, methods @ 24, event_item_size @ 32,
    events @ 40, reserved @ 48);

/// `PCPROPERTY_ITEM`, `PCMETHOD_ITEM` and `PCEVENT_ITEM` have one shape.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PcItem {
    /// Property, method or event set.
    pub set: *const Guid,
    /// Identifier in the set.
    pub id: u32,
    /// Verbs and kinds supported.
    pub flags: u32,
    /// Handler in the driver.
    pub handler: *const c_void,
}
layout!(PcItem, 24, id @ 8, flags @ 12, handler @ 16);

/// `KSDATAFORMAT` and `KSDATARANGE`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KsDataFormat {
    /// Bytes of the whole structure with what follows it.
    pub format_size: u32,
    /// See [`FLAG_ATTRIBUTES`].
    pub flags: u32,
    /// Bytes of a frame, or zero in a range.
    pub sample_size: u32,
    /// Zero.
    pub reserved: u32,
    /// Major format.
    pub major_format: Guid,
    /// Subformat.
    pub sub_format: Guid,
    /// What follows this structure.
    pub specifier: Guid,
}
layout!(KsDataFormat, 64, flags @ 4, sample_size @ 8, reserved @ 12, major_format @ 16, sub_format @ 32, specifier @ 48);

impl KsDataFormat {
    /// Of audio, for a structure of so many bytes in all; without a sample size, as ranges have it.
    pub const fn audio(format_size: u32, sub_format: Guid, specifier: Guid) -> Self {
        Self {
            format_size,
            flags: 0,
            sample_size: 0,
            reserved: 0,
            major_format: super::guid::TYPE_AUDIO,
            sub_format,
            specifier,
        }
    }
}

/// `KSDATARANGE_ATTRIBUTES` and `KSDATAFORMAT_ATTRIBUTES`: an attribute list follows.
pub const FLAG_ATTRIBUTES: u32 = 2;

/// `KSDATARANGE_AUDIO`. Its `FormatSize` is 88, padding included.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KsDataRangeAudio {
    /// The common part.
    pub range: KsDataFormat,
    /// Most channels.
    pub maximum_channels: u32,
    /// Fewest bits per sample.
    pub minimum_bits_per_sample: u32,
    /// Most bits per sample.
    pub maximum_bits_per_sample: u32,
    /// Lowest rate, Hz.
    pub minimum_sample_frequency: u32,
    /// Highest rate, Hz.
    pub maximum_sample_frequency: u32,
    /// Makes the size a multiple of 8, as in the header.
    pub padding: u32,
}
layout!(KsDataRangeAudio, 88, maximum_channels @ 64, minimum_bits_per_sample @ 68, maximum_bits_per_sample @ 72,
    minimum_sample_frequency @ 76, maximum_sample_frequency @ 80);

/// `KSATTRIBUTE_LIST`: what a data range with [`FLAG_ATTRIBUTES`] is followed by in the array of pointers.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KsAttributeList {
    /// Number of attributes.
    pub count: u32,
    /// Array of pointers to attributes.
    pub attributes: *const *const KsAttribute,
}
layout!(KsAttributeList, 16, attributes @ 8);

/// `KSATTRIBUTE`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KsAttribute {
    /// Bytes of this attribute.
    pub size: u32,
    /// 1 when required.
    pub flags: u32,
    /// Which attribute.
    pub attribute: Guid,
}
layout!(KsAttribute, 24, flags @ 4, attribute @ 8);

/// `KSAUDIO_POSITION`: byte offsets in the cyclic buffer.
#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct KsAudioPosition {
    /// Next byte to be played.
    pub play_offset: u64,
    /// Next byte to be fetched.
    pub write_offset: u64,
}
layout!(KsAudioPosition, 16, write_offset @ 8);

/// `KSAUDIO_PRESENTATION_POSITION`.
#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct KsAudioPresentationPosition {
    /// Frames that left the speaker since the stream started.
    pub position_in_blocks: u64,
    /// Raw performance counter for that position.
    pub qpc_position: u64,
}
layout!(KsAudioPresentationPosition, 16, qpc_position @ 8);

/// `KSRTAUDIO_HWREGISTER`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct KsRtAudioHwRegister {
    /// Kernel address of the register.
    pub register: usize,
    /// Bits: 32 or 64.
    pub width: u32,
    /// Of the frequency.
    pub numerator: u64,
    /// Of the frequency.
    pub denominator: u64,
    /// Bytes of error for a position register.
    pub accuracy: u32,
}
layout!(KsRtAudioHwRegister, 40, width @ 8, numerator @ 16, denominator @ 24, accuracy @ 32);

/// `DRMRIGHTS`; BOOLs of 32 bits.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct DrmRights {
    /// The content may not be stored.
    pub copy_protect: i32,
    /// 0.
    pub reserved: u32,
    /// The content may not leave through a digital output.
    pub digital_output_disable: i32,
}
layout!(DrmRights, 12, reserved @ 4, digital_output_disable @ 8);

/// `KSRTAUDIO_HWLATENCY`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct KsRtAudioHwLatency {
    /// Bytes between DMA and output.
    pub fifo_size: u32,
    /// 100-ns units.
    pub chipset_delay: u32,
    /// 100-ns units.
    pub codec_delay: u32,
}
layout!(KsRtAudioHwLatency, 12, chipset_delay @ 4, codec_delay @ 8);

/// `CM_PARTIAL_RESOURCE_DESCRIPTOR`, packed to 4: the union is three 32-bit pairs wide.
#[repr(C, packed(4))]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CmPartialResourceDescriptor {
    /// One of the `RESOURCE_*` numbers.
    pub resource_type: u8,
    /// 1 exclusive, 3 shared.
    pub share_disposition: u8,
    /// By type.
    pub flags: u16,
    /// By type; `resources` builds it.
    pub u: [u32; 4],
}
layout!(CmPartialResourceDescriptor, 20, share_disposition @ 1, flags @ 2, u @ 4);

/// `DEVICE_OBJECT` as far as a PortCls adapter uses it.
#[repr(C, align(16))]
pub struct DeviceObject {
    /// 3.
    pub object_type: i16,
    /// Bytes with the extension.
    pub size: u16,
    /// References.
    pub reference_count: i32,
    /// The driver.
    pub driver_object: *mut c_void,
    /// Next device of the driver.
    pub next_device: *mut DeviceObject,
    /// Device stacked on this one.
    pub attached_device: *mut DeviceObject,
    /// Not used here.
    pub current_irp: *mut c_void,
    /// Not used here.
    pub timer: *mut c_void,
    /// `DO_*`.
    pub flags: u32,
    /// `FILE_*`.
    pub characteristics: u32,
    /// Not used here.
    pub vpb: *mut c_void,
    /// PortCls' 512 bytes, then the adapter's own.
    pub device_extension: *mut c_void,
    /// `FILE_DEVICE_*`.
    pub device_type: u32,
    /// IRP stack locations needed.
    pub stack_size: i8,
    /// Queue, DPC, lock and what else the driver must leave alone.
    pub private: [u64; 32],
}
layout!(DeviceObject, 0x150, driver_object @ 8, flags @ 0x30, device_extension @ 0x40, device_type @ 0x48, stack_size @ 0x4c);

/// `IO_STACK_LOCATION`.
#[repr(C)]
pub struct IoStackLocation {
    /// `IRP_MJ_*`.
    pub major_function: u8,
    /// `IRP_MN_*`.
    pub minor_function: u8,
    /// `SL_*`.
    pub flags: u8,
    /// `SL_*` of the I/O manager.
    pub control: u8,
    /// By function; for `START_DEVICE` the raw and the translated resource list.
    pub parameters: [*mut c_void; 4],
    /// The device this location is for.
    pub device_object: *mut DeviceObject,
    /// The file, or null.
    pub file_object: *mut c_void,
    /// Of the level above.
    pub completion_routine: *mut c_void,
    /// Of the level above.
    pub context: *mut c_void,
}
layout!(IoStackLocation, 0x48, parameters @ 8, device_object @ 0x28, file_object @ 0x30, completion_routine @ 0x38, context @ 0x40);

/// `IRP` as far as a PnP dispatch routine looks at it.
#[repr(C)]
#[allow(clippy::struct_field_names)] // the header's names
pub struct Irp {
    /// 6.
    pub object_type: i16,
    /// Bytes with the stack locations.
    pub size: u16,
    /// Not used here.
    pub allocation: u32,
    /// Not used here.
    pub mdl_address: *mut c_void,
    /// Not used here.
    pub flags: u64,
    /// Not used here.
    pub associated_irp: *mut c_void,
    /// Not used here.
    pub thread_list_entry: [*mut c_void; 2],
    /// The status.
    pub status: i32,
    /// Upper half of the union with a pointer.
    pub status_padding: u32,
    /// The information.
    pub information: usize,
    /// 0 kernel.
    pub requestor_mode: i8,
    /// Set when a dispatch routine returned pending.
    pub pending_returned: u8,
    /// Stack locations.
    pub stack_count: i8,
    /// Current one, 1-based from the bottom.
    pub current_location: i8,
    /// Cancellation and APC bytes.
    pub cancel: [u8; 4],
    /// User status, user event, overlay, cancel routine, user buffer.
    pub user: [u64; 6],
    /// Driver context.
    pub driver_context: [*mut c_void; 4],
    /// Issuing thread.
    pub thread: *mut c_void,
    /// Not used here.
    pub auxiliary_buffer: *mut c_void,
    /// Of the current owner.
    pub list_entry: [*mut c_void; 2],
    /// What `IoGetCurrentIrpStackLocation` reads.
    pub current_stack_location: *mut IoStackLocation,
    /// Not used here.
    pub original_file_object: *mut c_void,
    /// Not used here.
    pub irp_extension: *mut c_void,
}
layout!(Irp, 0xd0, mdl_address @ 8, status @ 0x30, information @ 0x38, requestor_mode @ 0x40, stack_count @ 0x42, current_location @ 0x43,
    driver_context @ 0x78, thread @ 0x98, list_entry @ 0xa8, current_stack_location @ 0xb8);

/// Bytes of a `DEVICE_DESCRIPTION` since Windows 8 (WAVERT.md 5.9).
pub const DEVICE_DESCRIPTION_BYTES: usize = 64;

/// `IRP_MJ_PNP`.
pub const IRP_MJ_PNP: usize = 0x1b;
/// `IRP_MJ_POWER`.
pub const IRP_MJ_POWER: usize = 0x16;
/// `IRP_MN_SET_POWER`.
pub const IRP_MN_SET_POWER: u8 = 2;
/// `IRP_MN_QUERY_POWER`.
pub const IRP_MN_QUERY_POWER: u8 = 3;
/// `IRP_MN_START_DEVICE`.
pub const IRP_MN_START_DEVICE: u8 = 0;
/// `IRP_MN_REMOVE_DEVICE`.
pub const IRP_MN_REMOVE_DEVICE: u8 = 2;
/// `IRP_MN_QUERY_REMOVE_DEVICE`.
pub const IRP_MN_QUERY_REMOVE_DEVICE: u8 = 1;
/// `IRP_MN_CANCEL_REMOVE_DEVICE`.
pub const IRP_MN_CANCEL_REMOVE_DEVICE: u8 = 3;
/// `IRP_MN_SURPRISE_REMOVAL`.
pub const IRP_MN_SURPRISE_REMOVAL: u8 = 0x17;
/// `IRP_MN_STOP_DEVICE`.
pub const IRP_MN_STOP_DEVICE: u8 = 4;
/// `IRP_MN_QUERY_STOP_DEVICE`.
pub const IRP_MN_QUERY_STOP_DEVICE: u8 = 5;
/// `IRP_MN_CANCEL_STOP_DEVICE`.
pub const IRP_MN_CANCEL_STOP_DEVICE: u8 = 6;

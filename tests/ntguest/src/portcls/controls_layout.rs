//! Structures of property and event requests and of what they carry, as the x64 ABI lays them out (WAVERT.md
//! 5.1 and 5.7; `ks.h` and `ksmedia.h` by their public pages).

use super::layout::{Irp, PcItem};
use core::ffi::c_void;
use core::mem::offset_of;

/// An interface pointer.
type This = *mut c_void;

/// `PCPROPERTY_REQUEST`: what a property handler gets.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PcPropertyRequest {
    /// The miniport that was given to `IPort::Init`.
    pub major_target: This,
    /// The stream, or null for a filter.
    pub minor_target: This,
    /// Node, or `u32::MAX`.
    pub node: u32,
    /// The item in the automation table.
    pub property_item: *const PcItem,
    /// `KSPROPERTY_TYPE_*`.
    pub verb: u32,
    /// Bytes of `instance`.
    pub instance_size: u32,
    /// What the client sent behind its KSPROPERTY or KSNODEPROPERTY; null when it is nothing.
    pub instance: *mut c_void,
    /// Bytes of `value`; the handler writes how many count.
    pub value_size: u32,
    /// The value.
    pub value: *mut c_void,
    /// The client's IRP.
    pub irp: *mut Irp,
}

/// `PCEVENT_REQUEST`: what an event handler gets.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PcEventRequest {
    /// The miniport that was given to `IPort::Init`.
    pub major_target: This,
    /// The stream, or null for a filter.
    pub minor_target: This,
    /// Node, or `u32::MAX`.
    pub node: u32,
    /// The item in the automation table.
    pub event_item: *const PcItem,
    /// The entry to be added or removed, opaque; null in a query for support.
    pub event_entry: *mut c_void,
    /// `PCEVENT_VERB_*`.
    pub verb: u32,
    /// The client's IRP.
    pub irp: *mut Irp,
}

const _: () = {
    assert!(size_of::<PcPropertyRequest>() == 72 && offset_of!(PcPropertyRequest, property_item) == 24);
    assert!(offset_of!(PcPropertyRequest, instance) == 40 && offset_of!(PcPropertyRequest, value) == 56);
    assert!(size_of::<PcEventRequest>() == 56 && offset_of!(PcEventRequest, event_entry) == 32);
    assert!(offset_of!(PcEventRequest, verb) == 40 && offset_of!(PcEventRequest, irp) == 48);
};

/// `PCPFNPROPERTY_HANDLER`.
pub type PropertyHandler = unsafe extern "win64" fn(*mut PcPropertyRequest) -> i32;
/// `PCPFNEVENT_HANDLER`.
pub type EventHandler = unsafe extern "win64" fn(*mut PcEventRequest) -> i32;

/// `KSPROPERTY_TYPE_*`.
pub mod verb {
    /// Asks for the value.
    pub const GET: u32 = 1;
    /// Changes the value.
    pub const SET: u32 = 2;
    /// Asks what is possible.
    pub const BASIC_SUPPORT: u32 = 0x200;
    /// Asks for the default values.
    pub const DEFAULT_VALUES: u32 = 0x1_0000;
    /// The request is for a node: whether a handler sees this bit isn't documented.
    pub const TOPOLOGY: u32 = 0x1000_0000;
    /// GET, SET and BASICSUPPORT.
    pub const ALL: u32 = GET | SET | BASIC_SUPPORT;
}

/// `KSPROPERTY_AUDIO_*`, `KSPROPERTY_JACK_*`, `KSPROPERTY_PIN_*`.
pub mod property {
    /// LONG, 1/65536 dB, by channel.
    pub const VOLUME_LEVEL: u32 = 4;
    /// BOOL, by channel.
    pub const MUTE: u32 = 13;
    /// ULONG: whether the processor does the work.
    pub const CPU_RESOURCES: u32 = 33;
    /// `KSMULTIPLE_ITEM` and `KSJACK_DESCRIPTION`.
    pub const JACK_DESCRIPTION: u32 = 1;
    /// `KSMULTIPLE_ITEM` and `KSJACK_DESCRIPTION2`.
    pub const JACK_DESCRIPTION2: u32 = 2;
    /// `KSDATAFORMAT`: would it be opened.
    pub const PROPOSE: u32 = 14;
    /// `KSDATAFORMAT`: which one is best, by mode.
    pub const PROPOSE2: u32 = 15;
}

/// `PCEVENT_VERB_*` and event numbers.
pub mod event {
    /// An entry is to be added to the port's list.
    pub const ADD: u32 = 1;
    /// An entry is about to leave it.
    pub const REMOVE: u32 = 2;
    /// Is the event there at all.
    pub const SUPPORT: u32 = 4;
    /// `KSEVENT_CONTROL_CHANGE`
    pub const CONTROL_CHANGE: u32 = 0;
    /// `KSEVENT_PINCAPS_JACKINFOCHANGE`
    pub const JACK_INFO_CHANGE: u32 = 1;
}

/// Channel of a KSNODEPROPERTY_AUDIO_CHANNEL that stands for all.
pub const ALL_CHANNELS: u32 = u32::MAX;

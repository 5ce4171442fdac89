//! Vtables of the interfaces the driver implements and ntguest calls, in slot order (WAVERT.md 2.2).
//!
//! A derived interface begins with its parent's table. The order is that of the genuine header, not the
//! documentation's alphabetical one.

use super::guid::Guid;
use super::layout::{
    DrmRights, KsAudioPosition, KsAudioPresentationPosition, KsDataFormat, KsRtAudioHwLatency,
    KsRtAudioHwRegister, PcFilterDescriptor,
};
use core::ffi::c_void;

/// An interface pointer of either side.
pub type This = *mut c_void;

/// `IUnknown`.
#[repr(C)]
pub struct Unknown {
    /// Slot 0.
    pub query_interface: unsafe extern "win64" fn(This, *const Guid, *mut This) -> i32,
    /// Slot 1.
    pub add_ref: unsafe extern "win64" fn(This) -> u32,
    /// Slot 2.
    pub release: unsafe extern "win64" fn(This) -> u32,
}

/// `IMiniport`.
#[repr(C)]
pub struct Miniport {
    /// Slots 0 to 2.
    pub unknown: Unknown,
    /// Slot 3.
    pub get_description: unsafe extern "win64" fn(This, *mut *const PcFilterDescriptor) -> i32,
    /// Slot 4: pin, the client's range, the pin's range, output length, output, length written.
    pub data_range_intersection: unsafe extern "win64" fn(
        This,
        u32,
        *const KsDataFormat,
        *const KsDataFormat,
        u32,
        *mut c_void,
        *mut u32,
    ) -> i32,
}

/// `IMiniportWaveRT`.
#[repr(C)]
pub struct MiniportWaveRt {
    /// Slots 0 to 4.
    pub miniport: Miniport,
    /// Slot 5: adapter, resource list, port.
    pub init: unsafe extern "win64" fn(This, This, This, This) -> i32,
    /// Slot 6: out stream, port stream, pin, capture, format.
    pub new_stream: unsafe extern "win64" fn(This, *mut This, This, u32, u8, *const KsDataFormat) -> i32,
    /// Slot 7.
    pub get_device_description: unsafe extern "win64" fn(This, *mut c_void) -> i32,
}

/// `IMiniportTopology`.
#[repr(C)]
pub struct MiniportTopology {
    /// Slots 0 to 4.
    pub miniport: Miniport,
    /// Slot 5: adapter, resource list, port.
    pub init: unsafe extern "win64" fn(This, This, This, This) -> i32,
}

/// `IMiniportWaveRTStream`.
#[repr(C)]
pub struct Stream {
    /// Slots 0 to 2.
    pub unknown: Unknown,
    /// Slot 3.
    pub set_format: unsafe extern "win64" fn(This, *const KsDataFormat) -> i32,
    /// Slot 4.
    pub set_state: unsafe extern "win64" fn(This, u32) -> i32,
    /// Slot 5.
    pub get_position: unsafe extern "win64" fn(This, *mut KsAudioPosition) -> i32,
    /// Slot 6: requested size, out MDL, size, offset, cache type.
    pub allocate_audio_buffer:
        unsafe extern "win64" fn(This, u32, *mut *mut c_void, *mut u32, *mut u32, *mut u32) -> i32,
    /// Slot 7.
    pub free_audio_buffer: unsafe extern "win64" fn(This, *mut c_void, u32),
    /// Slot 8.
    pub get_hw_latency: unsafe extern "win64" fn(This, *mut KsRtAudioHwLatency),
    /// Slot 9.
    pub get_position_register: unsafe extern "win64" fn(This, *mut KsRtAudioHwRegister) -> i32,
    /// Slot 10.
    pub get_clock_register: unsafe extern "win64" fn(This, *mut KsRtAudioHwRegister) -> i32,
}

/// `IMiniportWaveRTStreamNotification`.
#[repr(C)]
pub struct StreamNotification {
    /// Slots 0 to 10.
    pub stream: Stream,
    /// Slot 11: notification count, requested size, out MDL, size, offset, cache type.
    pub allocate_buffer:
        unsafe extern "win64" fn(This, u32, u32, *mut *mut c_void, *mut u32, *mut u32, *mut u32) -> i32,
    /// Slot 12.
    pub free_buffer: unsafe extern "win64" fn(This, *mut c_void, u32),
    /// Slot 13.
    pub register_event: unsafe extern "win64" fn(This, *mut c_void) -> i32,
    /// Slot 14.
    pub unregister_event: unsafe extern "win64" fn(This, *mut c_void) -> i32,
}

/// `IMiniportWaveRTOutputStream`.
#[repr(C)]
pub struct OutputStream {
    /// Slots 0 to 2.
    pub unknown: Unknown,
    /// Slot 3: packet number, flags, bytes of the last packet.
    pub set_write_packet: unsafe extern "win64" fn(This, u32, u32, u32) -> i32,
    /// Slot 4.
    pub get_presentation_position: unsafe extern "win64" fn(This, *mut KsAudioPresentationPosition) -> i32,
    /// Slot 5.
    pub get_packet_count: unsafe extern "win64" fn(This, *mut u32) -> i32,
}

/// `IMiniportWaveRTInputStream`.
#[repr(C)]
pub struct InputStream {
    /// Slots 0 to 2.
    pub unknown: Unknown,
    /// Slot 3: packet number, flags, raw performance counter of the packet's first sample, whether there is a
    /// newer packet (`BOOL`).
    pub get_read_packet: unsafe extern "win64" fn(This, *mut u32, *mut u32, *mut u64, *mut i32) -> i32,
}

/// `IDrmAudioStream`.
#[repr(C)]
pub struct DrmAudioStream {
    /// Slots 0 to 2.
    pub unknown: Unknown,
    /// Slot 3: content, its rights.
    pub set_content_id: unsafe extern "win64" fn(This, u32, *const DrmRights) -> i32,
}

/// `IMiniportAudioSignalProcessing`.
#[repr(C)]
pub struct SignalProcessing {
    /// Slots 0 to 2.
    pub unknown: Unknown,
    /// Slot 3: pin, modes or null, room for modes in and their number out.
    pub get_modes: unsafe extern "win64" fn(This, u32, *mut Guid, *mut u32) -> i32,
}

/// `IPinCount`.
#[repr(C)]
pub struct PinCount {
    /// Slots 0 to 2.
    pub unknown: Unknown,
    /// Slot 3: pin, filter necessary, filter current, filter possible, global current, global possible; all
    /// in and out.
    pub pin_count: unsafe extern "win64" fn(This, u32, *mut u32, *mut u32, *mut u32, *mut u32, *mut u32),
}

/// `IMiniportPnpNotify`.
#[repr(C)]
pub struct PnpNotify {
    /// Slots 0 to 2.
    pub unknown: Unknown,
    /// Slot 3.
    pub pnp_stop: unsafe extern "win64" fn(This),
}

/// `IPowerNotify`.
#[repr(C)]
pub struct PowerNotify {
    /// Slots 0 to 2.
    pub unknown: Unknown,
    /// Slot 3: `POWER_STATE`, a union of 32 bits passed by value.
    pub power_change_notify: unsafe extern "win64" fn(This, u32),
}

/// `IAdapterPowerManagement`, `2` and `3`: each begins with the one before.
#[repr(C)]
pub struct AdapterPowerManagement {
    /// Slots 0 to 2.
    pub unknown: Unknown,
    /// Slot 3: `POWER_STATE`.
    pub power_change_state: unsafe extern "win64" fn(This, u32),
    /// Slot 4: `POWER_STATE`.
    pub query_power_change_state: unsafe extern "win64" fn(This, u32) -> i32,
    /// Slot 5: `DEVICE_CAPABILITIES`.
    pub query_device_capabilities: unsafe extern "win64" fn(This, *mut c_void) -> i32,
}

/// `IAdapterPowerManagement2`.
#[repr(C)]
pub struct AdapterPowerManagement2 {
    /// Slots 0 to 5.
    pub first: AdapterPowerManagement,
    /// Slot 6: device state, system state.
    pub power_change_state2: unsafe extern "win64" fn(This, u32, u32),
}

/// `IAdapterPowerManagement3`.
#[repr(C)]
pub struct AdapterPowerManagement3 {
    /// Slots 0 to 6.
    pub second: AdapterPowerManagement2,
    /// Slot 7: device state, system state, acceptable exit latency.
    pub power_change_state3: unsafe extern "win64" fn(This, u32, u32, u32),
    /// Slot 8: exit latency.
    pub d3_exit_latency_changed: unsafe extern "win64" fn(This, u32) -> i32,
}

/// `IAdapterPnpManagement`.
#[repr(C)]
pub struct AdapterPnpManagement {
    /// Slots 0 to 2.
    pub unknown: Unknown,
    /// Slot 3: `PC_REBALANCE_TYPE`, 1 for `PcRebalanceRemoveSubdevices`.
    pub get_supported_rebalance_type: unsafe extern "win64" fn(This) -> u32,
    /// Slot 4.
    pub pnp_query_stop: unsafe extern "win64" fn(This),
    /// Slot 5.
    pub pnp_cancel_stop: unsafe extern "win64" fn(This),
    /// Slot 6.
    pub pnp_stop: unsafe extern "win64" fn(This),
}

const _: () = {
    assert!(size_of::<PinCount>() == 4 * 8 && size_of::<PnpNotify>() == 4 * 8);
    assert!(size_of::<PowerNotify>() == 4 * 8 && size_of::<AdapterPowerManagement3>() == 9 * 8);
    assert!(size_of::<AdapterPnpManagement>() == 7 * 8);
    assert!(size_of::<SignalProcessing>() == 4 * 8);
    assert!(size_of::<InputStream>() == 4 * 8);
    assert!(
        size_of::<Miniport>() == 5 * 8
            && size_of::<MiniportWaveRt>() == 8 * 8
            && size_of::<MiniportTopology>() == 6 * 8
    );
    assert!(
        size_of::<Stream>() == 11 * 8
            && size_of::<StreamNotification>() == 15 * 8
            && size_of::<OutputStream>() == 6 * 8
    );
};

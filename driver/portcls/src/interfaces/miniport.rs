//! What the driver implements for a filter: miniports and what ports ask them for.
use super::answers::{OutFormat, OutModes, OutPinName};
use super::port::{IPortTopology, IPortWaveRT, IPortWaveRTStream};
use super::stream::IMiniportWaveRTStream;
use super::support::IResourceList;
use crate::com::interface::interface;
use crate::com::params::UnknownIn;
use crate::ks::{KSDATAFORMAT, KSDATARANGE, KSP_PIN};
use crate::pc::PCFILTER_DESCRIPTOR;
use crate::{ComClass, ComIn, ComOut, GUID, IUnknown, In, InOut, Out};
use core::ffi::c_void;
use nt::sys::{BOOLEAN, DEVICE_DESCRIPTION, IRP};

interface! {
    /// Any miniport.
    IMiniport: IUnknown, "B4C90A24-5791-11D0-86F9-00A0C911B544", implemented as Miniport: ComClass, table IMiniportVtbl {
        /// The filter's descriptor; it must live and stay the same as long as the miniport.
        3 GetDescription as get_description(description: Out<'_, *const PCFILTER_DESCRIPTOR>) -> status;
        /// The best format in the intersection of a client's range with one of ours. STATUS_NOT_IMPLEMENTED
        /// lets PortCls do it. `length` 0: only the size is asked for, answer STATUS_BUFFER_OVERFLOW; too
        /// little: STATUS_BUFFER_TOO_SMALL ([`OutFormat::write`] does both). No format is in both:
        /// STATUS_NO_MATCH.
        4 DataRangeIntersection as data_range_intersection(
            pin: u32, client: In<'_, KSDATARANGE>, ours: In<'_, KSDATARANGE>, length: u32, format: *mut c_void, format_length: Out<'_, u32>,
        ) taken (
            pin: u32 = pin, client: In<'_, KSDATARANGE> = client, ours: In<'_, KSDATARANGE> = ours,
            // SAFETY: by the interface's contract NULL or `length` bytes of room, for the call.
            format: OutFormat<'_> = unsafe { OutFormat::from_raw(format, length, format_length) },
        ) -> status;
    }

    /// A WaveRT miniport.
    IMiniportWaveRT: IMiniport, "0F9FC4D6-6061-4F3C-B1FC-075E35F7960A", implemented as MiniportWaveRT: Miniport, table IMiniportWaveRTVtbl {
        /// Called by `IPort::Init`. What is kept is kept by a reference of its own.
        5 Init as init(adapter: UnknownIn<'_>, resources: ComIn<'_, IResourceList>, port: ComIn<'_, IPortWaveRT>) -> status;
        /// A client opens a pin: makes a stream in STOP. The format's memory is the caller's. Only called in
        /// D0.
        6 NewStream as new_stream(
            stream: ComOut<'_, IMiniportWaveRTStream>, port_stream: ComIn<'_, IPortWaveRTStream>, pin: u32, capture: BOOLEAN, format: In<'_, KSDATAFORMAT>,
        ) -> status;
        /// Describes the DMA device; must succeed at any time after `Init` (WAVERT.md 5.9).
        7 GetDeviceDescription as get_device_description(description: Out<'_, DEVICE_DESCRIPTION>) -> status;
    }

    /// A topology miniport.
    IMiniportTopology: IMiniport, "B4C90A31-5791-11D0-86F9-00A0C911B544", implemented as MiniportTopology: Miniport, table IMiniportTopologyVtbl {
        /// Called by `IPort::Init`.
        5 Init as init(adapter: UnknownIn<'_>, resources: ComIn<'_, IResourceList>, port: ComIn<'_, IPortTopology>) -> status;
    }

    /// Lets a miniport lower the instance counts its port reports.
    IPinCount: IUnknown, "5DADB7DC-A2CB-4540-A4A8-425EE4AE9051", implemented as PinCount: ComClass, table IPinCountVtbl {
        /// The counts come filled from the descriptor.
        3 PinCount as pin_count(
            pin: u32, filter_necessary: InOut<'_, u32>, filter_current: InOut<'_, u32>, filter_possible: InOut<'_, u32>,
            global_current: InOut<'_, u32>, global_possible: InOut<'_, u32>,
        ) -> void;
    }

    /// Signal-processing modes of a miniport's pins.
    IMiniportAudioSignalProcessing: IUnknown, "B532678C-BE50-472D-9973-8A6F16594989", implemented as MiniportAudioSignalProcessing: ComClass, table IMiniportAudioSignalProcessingVtbl {
        /// `modes` NULL: set the count, succeed. Too small: set the count, STATUS_BUFFER_TOO_SMALL. Bridge
        /// pin: STATUS_NOT_SUPPORTED. No such pin: STATUS_INVALID_PARAMETER.
        /// ([`OutModes::write`] does the sizes.)
        3 GetModes as get_modes(pin: u32, modes: *mut GUID, count: InOut<'_, u32>) taken (
            pin: u32 = pin,
            // SAFETY: by the interface's contract NULL or room for as many modes as the count says.
            modes: OutModes<'_> = unsafe { OutModes::from_raw(modes, count) },
        ) -> status;
    }

    /// Names of pins that change; else the descriptor's. Windows 7.
    IPinName: IUnknown, "29CC9AB1-E89D-413C-B6B2-F6D50005D063", implemented as PinName: ComClass, table IPinNameVtbl {
        /// Answers KSPROPERTY_PIN_NAME with the name and its NUL ([`OutPinName::write`] does the sizes).
        3 GetPinName as get_pin_name(irp: *mut IRP, pin: In<'_, KSP_PIN>, data: *mut c_void) taken (
            pin: In<'_, KSP_PIN> = pin,
            // SAFETY: by the interface's contract a property's request, and the room that it has.
            name: OutPinName<'_> = unsafe { OutPinName::from_raw(irp, data) },
        ) -> status;
    }

    /// Tells a miniport that its device stops for a rebalance.
    IMiniportPnpNotify: IUnknown, "6B735365-9487-464C-93E3-FA2C6391D5A4", implemented as MiniportPnpNotify: ComClass, table IMiniportPnpNotifyVtbl {
        /// With the device's lock held. No hardware access after it.
        3 PnpStop as pnp_stop() -> void;
    }
}

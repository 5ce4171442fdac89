//! What a port offers beside being a port: found by `query` on it, in a PortCls that is new enough. All at
//! PASSIVE_LEVEL unless a row says otherwise (the pages of each method).
//!
//! The exports of portcls.sys with the same names do the same ([`crate::imports`]); the interfaces let an
//! image run on a PortCls that lacks the export.
use crate::com::interface::interface;
use crate::com::params::UnknownIn;
use crate::imports::{PCSTREAMRESOURCE, PCSTREAMRESOURCE_DESCRIPTOR};
use crate::pc::PCPIN_DESCRIPTOR;
use crate::{ComClass, GUID, IUnknown, Out};
use core::ffi::c_void;
use nt::NTSTATUS;
use nt::sys::{BOOLEAN, DEVICE_OBJECT};

/// What IPortClsVersion answers since Windows Vista; older systems answer less.
pub const kVersionWindowsLonghorn: u32 = 14;

/// POOL_TYPE, as a 32-bit number: [`NonPagedPoolNx`](nt::sys::_POOL_TYPE::NonPagedPoolNx) ...
pub type POOL_TYPE = i32;

/// Where AllocNotificationBuffer puts a buffer.
pub type PPCNOTIFICATION_BUFFER = *mut PCNOTIFICATION_BUFFER;

/// The bytes of a notification. C declares one; there are as many as were asked for.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct PCNOTIFICATION_BUFFER {
    /// The first.
    pub NotificationBuffer: [u8; 1],
}
crate::layout!(PCNOTIFICATION_BUFFER, 1);

/// Called by PortCls with a power control code of the power framework. At most DISPATCH_LEVEL (the header's
/// annotation).
pub type PCPFNRUNTIME_POWER_CONTROL_CALLBACK = Option<
    unsafe extern "system" fn(
        *const GUID,
        *mut c_void,
        usize,
        *mut c_void,
        usize,
        *mut usize,
        *mut c_void,
    ) -> NTSTATUS,
>;

interface! {
    /// Which PortCls this is.
    IPortClsVersion: IUnknown, "7D89A7BB-869B-4567-8DBE-1E168CC853DE", implemented as PortClsVersion: ComClass, table IPortClsVersionVtbl {
        /// One of the `kVersion...`.
        3 GetVersion as get_version() -> u32;
    }

    /// Changes a pin's description while the filter is registered. Undocumented beyond the header's comment
    /// that it gives access to what came after PcRegisterSubdevice.
    IPortClsSubdeviceEx: IUnknown, "C3D5E80C-7F55-40C5-88B2-6210D0CB2B59", implemented as PortClsSubdeviceEx: ComClass, table IPortClsSubdeviceExVtbl {
        /// Replaces the description of a pin.
        3 UpdatePinDescriptor as update_pin_descriptor(pin: u32, flags: u32, descriptor: *mut PCPIN_DESCRIPTOR) -> status;
    }

    /// Power of the adapter. Windows 7.
    IPortClsPower: IUnknown, "47BA0351-BC4B-4869-8134-B74FE17852D8", implemented as PortClsPower: ComClass, table IPortClsPowerVtbl {
        /// As PcRegisterAdapterPowerManagement.
        3 RegisterAdapterPowerManagement as register_adapter_power_management(power: UnknownIn<'_>, device: *mut DEVICE_OBJECT) -> status;
        /// As PcUnregisterAdapterPowerManagement.
        4 UnregisterAdapterPowerManagement as unregister_adapter_power_management(device: *mut DEVICE_OBJECT) -> status;
        /// Whether PortCls may put the idle device to sleep.
        5 SetIdlePowerManagement as set_idle_power_management(device: *mut DEVICE_OBJECT, enabled: BOOLEAN) -> status;
    }

    /// Private power control codes between driver and power engine plug-in (systems on a chip). Windows 7.
    IPortClsRuntimePower: IUnknown, "E057C351-0430-4DBC-B172-C711D40A2373", implemented as PortClsRuntimePower: ComClass, table IPortClsRuntimePowerVtbl {
        /// Sends a code and waits for its answer.
        3 SendPowerControl as send_power_control(
            device: *mut DEVICE_OBJECT, code: *const GUID, input: *mut c_void, input_bytes: usize, output: *mut c_void, output_bytes: usize,
            returned: Out<'_, usize>,
        ) -> status;
        /// Who is called with codes for the driver.
        4 RegisterPowerControlCallback as register_power_control_callback(
            device: *mut DEVICE_OBJECT, callback: PCPFNRUNTIME_POWER_CONTROL_CALLBACK, context: *mut c_void,
        ) -> status;
        /// Nobody any more.
        5 UnregisterPowerControlCallback as unregister_power_control_callback(device: *mut DEVICE_OBJECT) -> status;
    }

    /// Rebalance of the adapter's resources: registers an IAdapterPnpManagement. Windows 10, 1511.
    IPortClsPnp: IUnknown, "0485791B-17F5-4B73-902A-20344860B9CA", implemented as PortClsPnp: ComClass, table IPortClsPnpVtbl {
        /// Registers it.
        3 RegisterAdapterPnpManagement as register_adapter_pnp_management(pnp: UnknownIn<'_>, device: *mut DEVICE_OBJECT) -> status;
        /// Takes it back.
        4 UnregisterAdapterPnpManagement as unregister_adapter_pnp_management(device: *mut DEVICE_OBJECT) -> status;
    }

    /// Resources that sound depends on, so that Windows keeps other work away from them. Windows 10. See
    /// [`StreamResource`](crate::imports::StreamResource) for the export's safe face.
    IPortClsStreamResourceManager: IUnknown, "E1CD9915-CAB1-4103-BB2F-7DC09C9BE942", implemented as PortClsStreamResourceManager: ComClass, table IPortClsStreamResourceManagerVtbl {
        /// Registers an interrupt or a thread; `set` is NULL. STATUS_INVALID_PARAMETER.
        3 AddStreamResource as add_stream_resource(
            set: *mut c_void, descriptor: *mut PCSTREAMRESOURCE_DESCRIPTOR, handle: Out<'_, PCSTREAMRESOURCE>,
        ) -> status;
        /// Takes it back, before the resource goes. STATUS_INVALID_PARAMETER.
        4 RemoveStreamResource as remove_stream_resource(handle: PCSTREAMRESOURCE) -> status;
    }

    /// The same with the physical device object of the stack that made the resource. Windows 10, 1511.
    IPortClsStreamResourceManager2: IPortClsStreamResourceManager, "0D500BAE-D565-469D-A0E2-F283760D7148", implemented as PortClsStreamResourceManager2: PortClsStreamResourceManager, table IPortClsStreamResourceManager2Vtbl {
        /// As AddStreamResource.
        5 AddStreamResource2 as add_stream_resource2(
            pdo: *mut DEVICE_OBJECT, set: *mut c_void, descriptor: *mut PCSTREAMRESOURCE_DESCRIPTOR, handle: Out<'_, PCSTREAMRESOURCE>,
        ) -> status;
    }

    /// Notifications to user mode: audio modules
    /// ([`KSNOTIFICATIONID_AudioModule`](crate::guid::KSNOTIFICATIONID_AudioModule)), keyword detectors.
    /// Windows 10, 1703.
    IPortClsNotifications: IUnknown, "1E092CE2-DB25-483B-8446-B0961215258B", implemented as PortClsNotifications: ComClass, table IPortClsNotificationsVtbl {
        /// A buffer of so many bytes. At most DISPATCH_LEVEL, there for pools that are not paged.
        /// STATUS_INVALID_PARAMETER, STATUS_INSUFFICIENT_RESOURCES.
        3 AllocNotificationBuffer as alloc_notification_buffer(pool: POOL_TYPE, bytes: u16, buffer: Out<'_, PPCNOTIFICATION_BUFFER>) -> status;
        /// Frees a buffer that was not sent.
        4 FreeNotificationBuffer as free_notification_buffer(buffer: PPCNOTIFICATION_BUFFER) -> void;
        /// Sends it; it is PortCls' from then on.
        5 SendNotification as send_notification(kind: *const GUID, buffer: PPCNOTIFICATION_BUFFER) -> void;
    }

    /// Event tracing of a miniport by the old interface (WMI). Windows 7.
    IPortWMIRegistration: IUnknown, "D80B18E7-804C-4E1E-82D3-2461EC06E7C7", implemented as PortWMIRegistration: ComClass, table IPortWMIRegistrationVtbl {
        /// Registers a WMILIB_CONTEXT. The header names no parameters; its types are a device object and a
        /// pointer, and the page has them the other way round.
        3 RegisterWMIProvider as register_wmi_provider(device: *mut DEVICE_OBJECT, context: *mut c_void) -> status;
        /// Takes it back.
        4 UnregisterWMIProvider as unregister_wmi_provider(device: *mut DEVICE_OBJECT) -> status;
    }

    /// How far the mixer may write ahead. Found on WavePci port streams; the page says so of no WaveRT one.
    IPreFetchOffset: IUnknown, "7000F480-ED44-4E8B-B38A-412F8D7A504D", implemented as PreFetchOffset: ComClass, table IPreFetchOffsetVtbl {
        /// Bytes between play and write position. Any level.
        3 SetPreFetchOffset as set_pre_fetch_offset(bytes: u32) -> void;
    }
}

//! The exports of portcls.sys that a WaveRT or topology driver calls (WAVERT.md 1.1; the rest of the genuine
//! header but for DMA channels, which WaveRT has no use for), and safe faces of them.
//!
//! Each export has a page of its name in windows-driver-docs-ddi, from which its level and its statuses are;
//! of the DRM functions it is that of the DrmXxx function that each stands for.
//!
//! All are exports of the oldest Windows that the INF names, 10.0.17763 (1809); Driver Verifier looks at
//! imports only, not at what is found at run time. Only what a driver uses is imported by its image. All at
//! PASSIVE_LEVEL unless said. On a host that is not Windows every call answers STATUS_NOT_IMPLEMENTED, so
//! that the driver compiles for its unit tests there.
use crate::interfaces::{
    DRMFORWARD, DRMRIGHTS, IInterruptSync, IMiniport, IPort, IRegistryKey, IResourceList, IServiceGroup,
};
use crate::pc::PCPROPERTY_REQUEST;
use crate::{ComRef, GUID, IUnknown};
use core::ffi::c_void;
use core::ptr::null_mut;
use nt::sys::{
    ACCESS_MASK, CM_RESOURCE_LIST, DEVICE_OBJECT, DEVICE_POWER_STATE, DRIVER_OBJECT, IRP, OBJECT_ATTRIBUTES,
    PDRIVER_ADD_DEVICE, UNICODE_STRING,
};
use nt::{NTSTATUS, NtResult, check};

/// Called when the device starts: FDO, START request, resources (lent).
pub type PCPFNSTARTDEVICE =
    Option<unsafe extern "system" fn(*mut DEVICE_OBJECT, *mut IRP, *mut IResourceList) -> NTSTATUS>;

/// Bytes of PortCls' part of a device extension (PORT_CLASS_DEVICE_EXTENSION_SIZE on x64). A size of 1..512
/// is illegal, 0 means this.
pub const PORT_CLASS_DEVICE_EXTENSION_SIZE: u32 = 64 * 8;

/// The word of PortCls' part of the device extension in which an adapter keeps its pointer: number 5, bytes
/// 40 to 47 on x64.
///
/// Doubt: PcAddAdapterDevice's page gives words 4 to 7 to the adapter, while Microsoft's samples
/// (simpleaudiosample and sysvad, `PortClassDeviceContext`) mark word 4 reserved as well and keep their
/// adapter in word 5. Word 5 is right under both.
pub const ADAPTER_EXTENSION_WORD: usize = 5;

/// Functions of a module of the kernel. On a host that is not Windows each answers STATUS_NOT_IMPLEMENTED.
macro_rules! exports {
    (of $module:literal $($(#[$doc:meta])* fn $name:ident($($arg:ident: $ty:ty),* $(,)?) -> NTSTATUS;)*) => {
        #[cfg(windows)]
        #[link(name = $module, kind = "raw-dylib", modifiers = "+verbatim")]
        unsafe extern "system" {
            $($(#[$doc])* pub fn $name($($arg: $ty),*) -> NTSTATUS;)*
        }
        $(
            $(#[$doc])*
            ///
            /// # Safety
            /// None: this is the host's stand-in.
            #[cfg(not(windows))]
            pub unsafe fn $name($($arg: $ty),*) -> NTSTATUS {
                $(let _ = $arg;)*
                nt::status::STATUS_NOT_IMPLEMENTED
            }
        )*
    };
}
pub(crate) use exports;

exports! {
    of "portcls.sys"
    /// From DriverEntry: makes the driver PortCls' (sets AddDevice, all major functions and DriverUnload).
    fn PcInitializeAdapterDriver(driver: *mut DRIVER_OBJECT, registry_path: *mut UNICODE_STRING, add_device: PDRIVER_ADD_DEVICE) -> NTSTATUS;
    /// Gives PortCls an IRP that the driver intercepted; its status is the driver's answer.
    fn PcDispatchIrp(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS;
    /// From AddDevice: makes the FDO. `max_objects` is at least the number of subdevices; `extension_size` 0
    /// or at least [`PORT_CLASS_DEVICE_EXTENSION_SIZE`].
    fn PcAddAdapterDevice(
        driver: *mut DRIVER_OBJECT, pdo: *mut DEVICE_OBJECT, start_device: PCPFNSTARTDEVICE, max_objects: u32, extension_size: u32,
    ) -> NTSTATUS;
    /// Completes an IRP; nothing happens for STATUS_PENDING. At most DISPATCH_LEVEL.
    fn PcCompleteIrp(device: *mut DEVICE_OBJECT, irp: *mut IRP, status: NTSTATUS) -> NTSTATUS;
    /// Sends a PnP request down and waits; does not complete it.
    fn PcForwardIrpSynchronous(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS;
    /// Makes a port of a class.
    fn PcNewPort(port: *mut *mut IPort, class: *const GUID) -> NTSTATUS;
    /// Registers and enables a subdevice. `name` is the reference string of the INF; PortCls keeps the
    /// pointer.
    fn PcRegisterSubdevice(device: *mut DEVICE_OBJECT, name: *mut u16, port: *mut IUnknown) -> NTSTATUS;
    /// Connects two subdevices: from an output bridge pin to an input bridge pin.
    fn PcRegisterPhysicalConnection(
        device: *mut DEVICE_OBJECT, from: *mut IUnknown, from_pin: u32, to: *mut IUnknown, to_pin: u32,
    ) -> NTSTATUS;
    /// Registers the adapter's power management. The device is the *second* parameter here, as a context.
    fn PcRegisterAdapterPowerManagement(power: *mut IUnknown, device: *mut c_void) -> NTSTATUS;
    /// Takes it back.
    fn PcUnregisterAdapterPowerManagement(device: *mut DEVICE_OBJECT) -> NTSTATUS;
    /// Registers the adapter's part of a rebalance (IAdapterPnpManagement). The device is the second
    /// parameter. Windows 10 1511.
    fn PcRegisterAdapterPnpManagement(management: *mut IUnknown, device: *mut DEVICE_OBJECT) -> NTSTATUS;
    /// Takes it back; only what was registered. Windows 10 1511.
    fn PcUnregisterAdapterPnpManagement(device: *mut DEVICE_OBJECT) -> NTSTATUS;
    /// The physical device object below an adapter's device. Any level. Windows 8.
    fn PcGetPhysicalDeviceObject(device: *mut DEVICE_OBJECT, pdo: *mut *mut DEVICE_OBJECT) -> NTSTATUS;
    /// Registers a resource that sound depends on. `set` is NULL. Windows 10.
    fn PcAddStreamResource(
        pdo: *mut DEVICE_OBJECT, set: *mut c_void, descriptor: *mut PCSTREAMRESOURCE_DESCRIPTOR, handle: *mut PCSTREAMRESOURCE,
    ) -> NTSTATUS;
    /// Takes it back, before the resource goes. Windows 10.
    fn PcRemoveStreamResource(handle: PCSTREAMRESOURCE) -> NTSTATUS;

    /// Connects a subdevice to a bridge pin of another device, by that one's symbolic link.
    fn PcRegisterPhysicalConnectionToExternal(
        device: *mut DEVICE_OBJECT, from: *mut IUnknown, from_pin: u32, to: *mut UNICODE_STRING, to_pin: u32,
    ) -> NTSTATUS;
    /// The reverse.
    fn PcRegisterPhysicalConnectionFromExternal(
        device: *mut DEVICE_OBJECT, from: *mut UNICODE_STRING, from_pin: u32, to: *mut IUnknown, to_pin: u32,
    ) -> NTSTATUS;
    /// Makes a miniport that PortCls brings along (FM synthesis, UART): none for WaveRT or topology.
    fn PcNewMiniport(miniport: *mut *mut IMiniport, class: *const GUID) -> NTSTATUS;
    /// Makes an interrupt object of interrupt `index` of a list. `outer` is NULL, `mode` an
    /// [`InterruptSyncModeNormal`] ... . Plain line interrupts: of messages no page speaks.
    fn PcNewInterruptSync(
        sync: *mut *mut IInterruptSync, outer: *mut IUnknown, resources: *mut IResourceList, index: u32, mode: i32,
    ) -> NTSTATUS;
    /// Makes a list of one's own lists, translated and raw.
    fn PcNewResourceList(
        list: *mut *mut IResourceList, outer: *mut IUnknown, pool: i32, translated: *mut CM_RESOURCE_LIST, raw: *mut CM_RESOURCE_LIST,
    ) -> NTSTATUS;
    /// Makes an empty list with room for `most` entries of `parent`: what one subdevice gets of the adapter's
    /// resources.
    fn PcNewResourceSublist(
        list: *mut *mut IResourceList, outer: *mut IUnknown, pool: i32, parent: *mut IResourceList, most: u32,
    ) -> NTSTATUS;
    /// Makes a service group.
    fn PcNewServiceGroup(group: *mut *mut IServiceGroup, outer: *mut IUnknown) -> NTSTATUS;
    /// Opens a registry key: [`GeneralRegistryKey`] ... . `device` is the adapter's FDO, `subdevice` the port
    /// of an interface's key; `attributes` are those of a general key.
    fn PcNewRegistryKey(
        key: *mut *mut IRegistryKey, outer: *mut IUnknown, kind: u32, access: ACCESS_MASK, device: *mut c_void, subdevice: *mut c_void,
        attributes: *mut OBJECT_ATTRIBUTES, create_options: u32, disposition: *mut u32,
    ) -> NTSTATUS;
    /// Reads a device property (DEVICE_REGISTRY_PROPERTY). STATUS_BUFFER_TOO_SMALL.
    fn PcGetDeviceProperty(
        device: *mut c_void, property: i32, length: u32, buffer: *mut c_void, result_length: *mut u32,
    ) -> NTSTATUS;
    /// Completes a property request whose handler answered STATUS_PENDING. At most DISPATCH_LEVEL. The status
    /// must not be STATUS_PENDING.
    fn PcCompletePendingPropertyRequest(request: *mut PCPROPERTY_REQUEST, status: NTSTATUS) -> NTSTATUS;
    /// Asks the power manager for another state of the device, and waits for it.
    fn PcRequestNewPowerState(device: *mut DEVICE_OBJECT, state: DEVICE_POWER_STATE) -> NTSTATUS;
    /// A routine of the kernel's one-second timer. Deprecated by the header.
    fn PcRegisterIoTimeout(device: *mut DEVICE_OBJECT, routine: PIO_TIMER_ROUTINE, context: *mut c_void) -> NTSTATUS;
    /// Takes it back. STATUS_NOT_FOUND. Deprecated by the header.
    fn PcUnregisterIoTimeout(device: *mut DEVICE_OBJECT, routine: PIO_TIMER_ROUTINE, context: *mut c_void) -> NTSTATUS;
    /// Which components of the power framework the device has (systems on a chip). Before the device starts.
    /// Its page is missing; the header's only.
    fn PcAssignPowerFrameworkSettings(device: *mut DEVICE_OBJECT, settings: *mut PC_POWER_FRAMEWORK_SETTINGS) -> NTSTATUS;

    /// [`IDrmPort2::AddContentHandlers`](crate::interfaces::IDrmPort2).
    fn PcAddContentHandlers(content: u32, handlers: *mut *mut c_void, count: u32) -> NTSTATUS;
    /// [`IDrmPort::CreateContentMixed`](crate::interfaces::IDrmPort).
    fn PcCreateContentMixed(contents: *mut u32, count: u32, mixed: *mut u32) -> NTSTATUS;
    /// [`IDrmPort::DestroyContent`](crate::interfaces::IDrmPort).
    fn PcDestroyContent(content: u32) -> NTSTATUS;
    /// [`IDrmPort2::ForwardContentToDeviceObject`](crate::interfaces::IDrmPort2).
    fn PcForwardContentToDeviceObject(content: u32, reserved: *mut c_void, forward: *const DRMFORWARD) -> NTSTATUS;
    /// [`IDrmPort::ForwardContentToFileObject`](crate::interfaces::IDrmPort). Obsolete.
    fn PcForwardContentToFileObject(content: u32, file: *mut c_void) -> NTSTATUS;
    /// [`IDrmPort::ForwardContentToInterface`](crate::interfaces::IDrmPort).
    fn PcForwardContentToInterface(content: u32, object: *mut IUnknown, methods: u32) -> NTSTATUS;
    /// [`IDrmPort::GetContentRights`](crate::interfaces::IDrmPort).
    fn PcGetContentRights(content: u32, rights: *mut DRMRIGHTS) -> NTSTATUS;
}

#[cfg(windows)]
#[link(name = "portcls.sys", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    /// The system time less `since`, 100 ns. Any level.
    pub fn PcGetTimeInterval(since: u64) -> u64;
}

/// Called every second. DISPATCH_LEVEL.
pub type PIO_TIMER_ROUTINE = Option<unsafe extern "system" fn(*mut DEVICE_OBJECT, *mut c_void)>;

/// INTERRUPTSYNCMODE: the routines in turn until one claims the interrupt.
pub const InterruptSyncModeNormal: i32 = 1;
/// INTERRUPTSYNCMODE: all routines once.
pub const InterruptSyncModeAll: i32 = 2;
/// INTERRUPTSYNCMODE: all routines until none claims it.
pub const InterruptSyncModeRepeat: i32 = 3;

/// [`PcNewRegistryKey`]: any, by its attributes.
pub const GeneralRegistryKey: u32 = 0;
/// [`PcNewRegistryKey`]: the device's hardware key.
pub const DeviceRegistryKey: u32 = 1;
/// [`PcNewRegistryKey`]: the driver's key of the device.
pub const DriverRegistryKey: u32 = 2;
/// [`PcNewRegistryKey`]: of the hardware profile.
pub const HwProfileRegistryKey: u32 = 3;
/// [`PcNewRegistryKey`]: of a subdevice's interface.
pub const DeviceInterfaceRegistryKey: u32 = 4;

/// What PortCls tells the power framework (PoFx) of a device. Called back at PASSIVE_LEVEL around the
/// registration; the component callbacks are the framework's own (wdm.h).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PC_POWER_FRAMEWORK_SETTINGS {
    /// Bytes of this structure.
    pub Size: u32,
    /// After the device was registered, with its POHANDLE.
    pub EvtPcPostPoFxRegisterDevice: Option<unsafe extern "system" fn(*mut c_void, *mut c_void) -> NTSTATUS>,
    /// Before it is taken back.
    pub EvtPcPrePoFxUnregisterDevice: Option<unsafe extern "system" fn(*mut c_void, *mut c_void)>,
    /// PO_FX_COMPONENT: the one component.
    pub Component: *mut c_void,
    /// It must be active.
    pub ComponentActiveConditionCallback: Option<unsafe extern "system" fn(*mut c_void, u32)>,
    /// It may be idle.
    pub ComponentIdleConditionCallback: Option<unsafe extern "system" fn(*mut c_void, u32)>,
    /// It goes to an F-state.
    pub ComponentIdleStateCallback: Option<unsafe extern "system" fn(*mut c_void, u32, u32)>,
    /// A power control code.
    pub PowerControlCallback: PPO_FX_POWER_CONTROL_CALLBACK,
    /// First argument of all.
    pub PoFxDeviceContext: *mut c_void,
}
crate::layout!(PC_POWER_FRAMEWORK_SETTINGS, 72, EvtPcPostPoFxRegisterDevice @ 8, EvtPcPrePoFxUnregisterDevice @ 16, Component @ 24, ComponentActiveConditionCallback @ 32, ComponentIdleConditionCallback @ 40, ComponentIdleStateCallback @ 48, PowerControlCallback @ 56, PoFxDeviceContext @ 64);

/// Context, code, input, output, bytes returned.
pub type PPO_FX_POWER_CONTROL_CALLBACK = Option<
    unsafe extern "system" fn(
        *mut c_void,
        *const GUID,
        *mut c_void,
        usize,
        *mut c_void,
        usize,
        *mut usize,
    ) -> NTSTATUS,
>;

/// Handle of a registered stream resource.
pub type PCSTREAMRESOURCE = *mut c_void;

/// PcStreamResourceType: an interrupt.
pub const ePcStreamResourceInterrupt: i32 = 0;
/// PcStreamResourceType: a thread.
pub const ePcStreamResourceThread: i32 = 1;
/// PcStreamResourceType: a set.
pub const ePcStreamResourceSet: i32 = 2;

/// A resource that sound depends on.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PCSTREAMRESOURCE_DESCRIPTOR {
    /// Bytes of this structure.
    pub Size: u32,
    /// 0.
    pub Flags: u32,
    /// The physical device object of the stack that made the resource.
    pub Pdo: *mut DEVICE_OBJECT,
    /// [`ePcStreamResourceInterrupt`] ...
    pub Type: i32,
    /// By type.
    pub Resource: PCSTREAMRESOURCE_UNION,
}
/// [`PCSTREAMRESOURCE_DESCRIPTOR::Size`].
const PCSTREAMRESOURCE_DESCRIPTOR_BYTES: u32 = 40;
crate::layout!(PCSTREAMRESOURCE_DESCRIPTOR, PCSTREAMRESOURCE_DESCRIPTOR_BYTES as usize, Flags @ 4, Pdo @ 8, Type @ 16, Resource @ 24);

/// `PCSTREAMRESOURCE_DESCRIPTOR::Resource`.
#[repr(C)]
#[derive(Clone, Copy)]
pub union PCSTREAMRESOURCE_UNION {
    /// An interrupt.
    pub Interrupt: PCSTREAMRESOURCE_INTERRUPT,
    /// A PETHREAD: a thread that the driver made.
    pub Thread: *mut c_void,
    /// A set, of which no page speaks.
    pub ResourceSet: *mut c_void,
}

/// `PCSTREAMRESOURCE_DESCRIPTOR::Resource.Interrupt`.
///
/// Doubt: neither the header nor a page says more than the names. They are those of
/// IO_REPORT_INTERRUPT_ACTIVE_STATE_PARAMETERS (Version; ConnectionContext.Generic), and are taken for the
/// same: the version that was granted, and the context it gave.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PCSTREAMRESOURCE_INTERRUPT {
    /// CONNECT_MESSAGE_BASED or CONNECT_LINE_BASED.
    pub Version: u32,
    /// The table of messages, or the interrupt object.
    pub Generic: *mut c_void,
}
crate::layout!(PCSTREAMRESOURCE_INTERRUPT, 16, Generic @ 8);

/// Makes a port: [`CLSID_PortWaveRT`](crate::guid::CLSID_PortWaveRT) or
/// [`CLSID_PortTopology`](crate::guid::CLSID_PortTopology).
pub fn new_port(class: &GUID) -> NtResult<ComRef<IPort>> {
    let mut port = core::ptr::null_mut();
    // SAFETY: both outlive the call.
    check(unsafe { PcNewPort(&raw mut port, class) })?;
    // SAFETY: after success a port with a reference that is ours.
    unsafe { ComRef::from_raw(port) }.ok_or(nt::status::STATUS_UNSUCCESSFUL)
}

/// Registers a subdevice by the name the INF has for it, a NUL-terminated constant ([`nt::wide!`]): PortCls
/// keeps the pointer.
///
/// # Safety
/// `device` is this adapter's FDO, being started.
pub unsafe fn register_subdevice(
    device: *mut DEVICE_OBJECT,
    name: &'static [u16],
    port: &ComRef<IUnknown>,
) -> NtResult {
    if name.last() != Some(&0) {
        return Err(nt::status::STATUS_INVALID_PARAMETER);
    }
    // SAFETY: by contract; the name is static, ends in NUL and is only read.
    check(unsafe { PcRegisterSubdevice(device, name.as_ptr().cast_mut(), port.as_raw()) })
}

/// Connects output bridge pin `from_pin` of a subdevice to input bridge pin `to_pin` of another, by their
/// ports.
///
/// # Safety
/// `device` is this adapter's FDO, and both ports are registered on it.
pub unsafe fn register_physical_connection(
    device: *mut DEVICE_OBJECT,
    from: &ComRef<IUnknown>,
    from_pin: u32,
    to: &ComRef<IUnknown>,
    to_pin: u32,
) -> NtResult {
    // SAFETY: by contract.
    check(unsafe { PcRegisterPhysicalConnection(device, from.as_raw(), from_pin, to.as_raw(), to_pin) })
}

/// Registers the object that manages the adapter's power (IAdapterPowerManagement, 2 or 3).
///
/// # Safety
/// `device` is this adapter's FDO.
pub unsafe fn register_adapter_power_management(
    device: *mut DEVICE_OBJECT,
    power: &ComRef<IUnknown>,
) -> NtResult {
    // SAFETY: by contract; note the order of the export's parameters.
    check(unsafe { PcRegisterAdapterPowerManagement(power.as_raw(), device.cast()) })
}

/// The registration of an adapter's IAdapterPnpManagement. Taken back when dropped. PASSIVE_LEVEL.
pub struct PnpManagement(*mut DEVICE_OBJECT);

// SAFETY: the device object is handed to PortCls only, which takes it from any thread.
unsafe impl Send for PnpManagement {}

impl PnpManagement {
    /// Registers the object that is asked for IAdapterPnpManagement.
    ///
    /// # Safety
    /// `device` is this adapter's FDO, and is still there when the result is dropped.
    pub unsafe fn register(device: *mut DEVICE_OBJECT, management: &ComRef<IUnknown>) -> NtResult<Self> {
        // SAFETY: by contract.
        check(unsafe { PcRegisterAdapterPnpManagement(management.as_raw(), device) })?;
        Ok(Self(device))
    }
}

impl Drop for PnpManagement {
    fn drop(&mut self) {
        // A failure leaves nothing that could be done about it.
        // SAFETY: registered by `register`, taken back once.
        let _ = unsafe { PcUnregisterAdapterPnpManagement(self.0) };
    }
}

/// The physical device object below `device`.
///
/// # Safety
/// `device` is this adapter's FDO.
pub unsafe fn physical_device_object(device: *mut DEVICE_OBJECT) -> NtResult<*mut DEVICE_OBJECT> {
    let mut pdo = null_mut();
    // SAFETY: by contract; the place is ours.
    check(unsafe { PcGetPhysicalDeviceObject(device, &raw mut pdo) })?;
    if pdo.is_null() { Err(nt::status::STATUS_UNSUCCESSFUL) } else { Ok(pdo) }
}

/// A resource that sound depends on and that PortCls knows of, so that Windows keeps other work away from it.
/// Taken back when dropped. PASSIVE_LEVEL.
pub struct StreamResource(PCSTREAMRESOURCE);

// SAFETY: a handle for PcRemoveStreamResource only, which any thread may call.
unsafe impl Send for StreamResource {}

impl StreamResource {
    /// Registers a connected interrupt, by the version and the context that IoConnectInterruptEx gave.
    ///
    /// # Safety
    /// `pdo` is below this driver's device; the interrupt is connected, and is disconnected only after the
    /// result was dropped.
    pub unsafe fn interrupt(pdo: *mut DEVICE_OBJECT, version: u32, context: *mut c_void) -> NtResult<Self> {
        let mut descriptor = PCSTREAMRESOURCE_DESCRIPTOR {
            Size: PCSTREAMRESOURCE_DESCRIPTOR_BYTES,
            Flags: 0,
            Pdo: pdo,
            Type: ePcStreamResourceInterrupt,
            Resource: PCSTREAMRESOURCE_UNION {
                Interrupt: PCSTREAMRESOURCE_INTERRUPT { Version: version, Generic: context },
            },
        };
        let mut handle = null_mut();
        // SAFETY: by contract; the descriptor is only read during the call.
        check(unsafe { PcAddStreamResource(pdo, null_mut(), &raw mut descriptor, &raw mut handle) })?;
        Ok(Self(handle))
    }
}

impl Drop for StreamResource {
    fn drop(&mut self) {
        // A failure leaves nothing that could be done about it.
        // SAFETY: registered by `interrupt`, taken back once.
        let _ = unsafe { PcRemoveStreamResource(self.0) };
    }
}

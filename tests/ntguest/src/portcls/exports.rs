//! What portcls.sys exports to the driver: each checks its IRQL and its arguments, then hands over to the
//! module that does it.

use super::adapter::{self, StartDevice};
use super::descriptor::Role;
use super::device;
use super::drm;
use super::exports_new::{
    add_stream_resource, assign_power_framework_settings, new_dma_channel, new_interrupt_sync, new_miniport,
    new_registry_key, new_resource_list, new_resource_sublist, new_service_group,
    register_adapter_pnp_management, register_io_timeout, remove_stream_resource,
    unregister_adapter_pnp_management, unregister_io_timeout,
};
use super::guid::{CLSID_PORT_TOPOLOGY, CLSID_PORT_WAVE_RT, Guid, Named};
use super::idle;
use super::layout::{DeviceObject, Irp};
use super::object;
use super::pending_request;
use super::pnp;
use super::port::{self, Port};
use super::power;
use super::status::Status;
use super::subdevice::{self, End};
use super::vtable::This;
use crate::kernel::layout::{AddDevice, DriverObject, UnicodeString};
use crate::kernel::{self, inject, irql, time};
use core::ffi::c_void;
use core::ptr;

/// The address of an export; `dll` is lower case. ks.sys offers nothing: a WaveRT driver leaves it to
/// PortCls.
pub fn lookup(dll: &str, name: &str) -> Option<usize> {
    let exports = match dll {
        "portcls.sys" => EXPORTS,
        "drmk.sys" => DRMK_EXPORTS,
        _ => return None,
    };
    exports.iter().find(|(known, _)| *known == name).map(|(_, address)| address())
}

macro_rules! exports {
    ($($name:literal => $function:path;)*) => { &[$(($name, || $function as *const () as usize)),*] };
}

/// Names and how to get at the functions: addresses are no constants.
type Exports = &'static [(&'static str, fn() -> usize)];

/// drmk.sys, whose functions the `Pc*Content*` ones of PortCls call.
const DRMK_EXPORTS: Exports = exports! {
    "DrmAddContentHandlers" => drm::add_content_handlers;
    "DrmCreateContentMixed" => drm::create_content_mixed;
    "DrmDestroyContent" => drm::destroy_content;
    "DrmForwardContentToDeviceObject" => drm::forward_to_device_object;
    "DrmForwardContentToFileObject" => drm::forward_to_file_object;
    "DrmForwardContentToInterface" => drm::forward_to_interface;
    "DrmGetContentRights" => drm::get_content_rights;
};

const EXPORTS: Exports = exports! {
    "PcInitializeAdapterDriver" => initialize_adapter_driver;
    "PcAddAdapterDevice" => add_adapter_device;
    "PcDispatchIrp" => dispatch_irp;
    "PcCompleteIrp" => complete_irp;
    "PcForwardIrpSynchronous" => forward_irp_synchronous;
    "PcNewPort" => new_port;
    "PcRegisterSubdevice" => register_subdevice;
    "PcRegisterPhysicalConnection" => register_physical_connection;
    "PcRegisterPhysicalConnectionToExternal" => register_physical_connection_to_external;
    "PcRegisterPhysicalConnectionFromExternal" => register_physical_connection_from_external;
    "PcRegisterAdapterPowerManagement" => register_adapter_power_management;
    "PcUnregisterAdapterPowerManagement" => unregister_adapter_power_management;
    "PcNewResourceSublist" => new_resource_sublist;
    "PcNewRegistryKey" => new_registry_key;
    "PcGetDeviceProperty" => get_device_property;
    "PcGetPhysicalDeviceObject" => get_physical_device_object;
    "PcGetTimeInterval" => get_time_interval;
    "PcRequestNewPowerState" => request_new_power_state;
    "PcCompletePendingPropertyRequest" => complete_pending_property_request;
    "PcNewMiniport" => new_miniport;
    "PcNewInterruptSync" => new_interrupt_sync;
    "PcNewResourceList" => new_resource_list;
    "PcNewDmaChannel" => new_dma_channel;
    "PcNewServiceGroup" => new_service_group;
    "PcAddStreamResource" => add_stream_resource;
    "PcRemoveStreamResource" => remove_stream_resource;
    "PcRegisterAdapterPnpManagement" => register_adapter_pnp_management;
    "PcUnregisterAdapterPnpManagement" => unregister_adapter_pnp_management;
    "PcAssignPowerFrameworkSettings" => assign_power_framework_settings;
    "PcRegisterIoTimeout" => register_io_timeout;
    "PcUnregisterIoTimeout" => unregister_io_timeout;
    "PcAddContentHandlers" => drm::add_content_handlers;
    "PcCreateContentMixed" => drm::create_content_mixed;
    "PcDestroyContent" => drm::destroy_content;
    "PcForwardContentToDeviceObject" => drm::forward_to_device_object;
    "PcForwardContentToFileObject" => drm::forward_to_file_object;
    "PcForwardContentToInterface" => drm::forward_to_interface;
    "PcGetContentRights" => drm::get_content_rights;
};

fn null(service: &str) -> i32 {
    kernel::violation("null-argument", format_args!("{service}, {}", kernel::caller()));
    Status::INVALID_PARAMETER.0
}

unsafe extern "win64" fn initialize_adapter_driver(
    driver: *mut DriverObject,
    registry_path: *mut UnicodeString,
    add_device: Option<AddDevice>,
) -> i32 {
    irql::require("PcInitializeAdapterDriver", irql::PASSIVE);
    if let Some(status) = inject::INITIALIZE_DRIVER.fails() {
        return status.0;
    }
    // SAFETY: the driver's arguments, compared with those of DriverEntry before they are used.
    unsafe { adapter::initialise(driver, registry_path, add_device).0 }
}

unsafe extern "win64" fn add_adapter_device(
    driver: *mut DriverObject,
    pdo: *mut DeviceObject,
    start_device: Option<StartDevice>,
    max_objects: u32,
    extension_bytes: u32,
) -> i32 {
    irql::require("PcAddAdapterDevice", irql::PASSIVE);
    if let Some(status) = inject::ADD_DEVICE.fails() {
        return status.0;
    }
    adapter::add_device(driver, pdo, start_device, max_objects, extension_bytes).0
}

unsafe extern "win64" fn dispatch_irp(fdo: *mut DeviceObject, irp: *mut Irp) -> i32 {
    // SAFETY: the driver hands on what its dispatch routine got; both are checked.
    unsafe { pnp::dispatch_irp(fdo, irp).0 }
}

unsafe extern "win64" fn complete_irp(fdo: *mut DeviceObject, irp: *mut Irp, status: i32) -> i32 {
    irql::require("PcCompleteIrp", irql::DISPATCH);
    if adapter::is_fdo(fdo, "PcCompleteIrp") && Status(status) != Status::PENDING {
        device::complete_irp(irp, Status(status));
    }
    status
}

unsafe extern "win64" fn forward_irp_synchronous(fdo: *mut DeviceObject, irp: *mut Irp) -> i32 {
    irql::require("PcForwardIrpSynchronous", irql::PASSIVE);
    if !adapter::is_fdo(fdo, "PcForwardIrpSynchronous") || !device::in_flight(irp) {
        return Status::INVALID_PARAMETER.0;
    }
    // The bus below agrees to everything.
    Status::SUCCESS.0
}

unsafe extern "win64" fn new_port(out: *mut This, class: *const Guid) -> i32 {
    irql::require("PcNewPort", irql::PASSIVE);
    if out.is_null() || class.is_null() {
        return null("PcNewPort");
    }
    // SAFETY: both not null, the driver's slot and GUID.
    let (out, class) = unsafe { (&mut *out, class.read_unaligned()) };
    *out = ptr::null_mut();
    if let Some(status) = inject::NEW_PORT.fails() {
        return status.0;
    }
    let role = match class {
        CLSID_PORT_WAVE_RT => Role::Wave,
        CLSID_PORT_TOPOLOGY => Role::Topology,
        other => {
            kernel::violation(
                "port-class",
                format_args!("PcNewPort: {} is no port class that is offered", Named(other)),
            );
            return Status::NOT_SUPPORTED.0;
        }
    };
    *out = port::create(role).this();
    Status::SUCCESS.0
}

unsafe extern "win64" fn register_subdevice(fdo: *mut DeviceObject, name: *const u16, unknown: This) -> i32 {
    const SERVICE: &str = "PcRegisterSubdevice";
    irql::require(SERVICE, irql::PASSIVE);
    let Some(device) = adapter::device_of_fdo(fdo, SERVICE) else { return Status::INVALID_PARAMETER.0 };
    let Some((port, _)) = object::find_body::<Port>(unknown, SERVICE) else {
        return Status::INVALID_PARAMETER.0;
    };
    if let Some(status) = inject::REGISTER_SUBDEVICE.fails() {
        return status.0;
    }
    // SAFETY: a terminated name by the contract of the service, or null.
    unsafe { subdevice::register(device, name, port, adapter::max_objects(device)).0 }
}

fn connect(fdo: *mut DeviceObject, service: &'static str, from: Option<End>, to: Option<End>) -> i32 {
    irql::require(service, irql::PASSIVE);
    match (adapter::is_fdo(fdo, service), from, to) {
        (true, Some(from), Some(to)) => {
            inject::REGISTER_CONNECTION.fails().unwrap_or_else(|| subdevice::connect(from, to)).0
        }
        _ => Status::INVALID_PARAMETER.0,
    }
}

unsafe extern "win64" fn register_physical_connection(
    fdo: *mut DeviceObject,
    from: This,
    from_pin: u32,
    to: This,
    to_pin: u32,
) -> i32 {
    const SERVICE: &str = "PcRegisterPhysicalConnection";
    connect(fdo, SERVICE, port::end(from, from_pin, SERVICE), port::end(to, to_pin, SERVICE))
}

unsafe extern "win64" fn register_physical_connection_to_external(
    fdo: *mut DeviceObject,
    from: This,
    from_pin: u32,
    to: *const UnicodeString,
    to_pin: u32,
) -> i32 {
    const SERVICE: &str = "PcRegisterPhysicalConnectionToExternal";
    if to.is_null() {
        return null(SERVICE);
    }
    connect(fdo, SERVICE, port::end(from, from_pin, SERVICE), Some(End::External(to_pin)))
}

unsafe extern "win64" fn register_physical_connection_from_external(
    fdo: *mut DeviceObject,
    from: *const UnicodeString,
    from_pin: u32,
    to: This,
    to_pin: u32,
) -> i32 {
    const SERVICE: &str = "PcRegisterPhysicalConnectionFromExternal";
    if from.is_null() {
        return null(SERVICE);
    }
    connect(fdo, SERVICE, Some(End::External(from_pin)), port::end(to, to_pin, SERVICE))
}

/// The context comes second here and is the FDO: the one export with this order (WAVERT.md 2.3).
unsafe extern "win64" fn register_adapter_power_management(unknown: This, context: *mut DeviceObject) -> i32 {
    const SERVICE: &str = "PcRegisterAdapterPowerManagement";
    irql::require(SERVICE, irql::PASSIVE);
    let Some(device) = adapter::device_of_fdo(context, SERVICE) else { return Status::INVALID_PARAMETER.0 };
    if let Some(status) = inject::REGISTER_POWER.fails() {
        return status.0;
    }
    // SAFETY: an object of the driver, or null.
    unsafe { adapter::register_power(device, unknown).0 }
}

unsafe extern "win64" fn unregister_adapter_power_management(fdo: *mut DeviceObject) -> i32 {
    const SERVICE: &str = "PcUnregisterAdapterPowerManagement";
    irql::require(SERVICE, irql::PASSIVE);
    let Some(device) = adapter::device_of_fdo(fdo, SERVICE) else { return Status::INVALID_PARAMETER.0 };
    inject::UNREGISTER_POWER.fails().unwrap_or_else(|| adapter::unregister_power(device)).0
}

unsafe extern "win64" fn get_device_property(
    fdo: *mut DeviceObject,
    number: u32,
    length: u32,
    buffer: *mut u8,
    result: *mut u32,
) -> i32 {
    const SERVICE: &str = "PcGetDeviceProperty";
    irql::require(SERVICE, irql::PASSIVE);
    let Some(device) = adapter::device_of_fdo(fdo, SERVICE) else { return Status::INVALID_PARAMETER.0 };
    // SAFETY: the driver's buffer and result, as the service wants them.
    unsafe { device::write_property(device, number, length, buffer, result).0 }
}

unsafe extern "win64" fn get_physical_device_object(
    fdo: *mut DeviceObject,
    out: *mut *mut DeviceObject,
) -> i32 {
    const SERVICE: &str = "PcGetPhysicalDeviceObject";
    let Some(device) = adapter::device_of_fdo(fdo, SERVICE).filter(|_| !out.is_null()) else {
        return null(SERVICE);
    };
    if let Some(status) = inject::PHYSICAL_DEVICE.fails() {
        return status.0;
    }
    // SAFETY: not null, the driver's slot.
    unsafe { out.write(adapter::pdo_of(device)) };
    Status::SUCCESS.0
}

/// Real PortCls counts from the year 1601; ours counts from boot, which differences can't tell.
unsafe extern "win64" fn get_time_interval(since: u64) -> u64 {
    time::interrupt_time_100ns().wrapping_sub(since)
}

unsafe extern "win64" fn request_new_power_state(fdo: *mut DeviceObject, state: u32) -> i32 {
    irql::require("PcRequestNewPowerState", irql::PASSIVE);
    if !adapter::is_fdo(fdo, "PcRequestNewPowerState") {
        return Status::INVALID_PARAMETER.0;
    }
    match state {
        power::D0 | power::D3 => idle::request(state).0,
        // PowerDeviceD1, PowerDeviceD2: no PCI function here has them.
        2 | 3 => Status::NOT_SUPPORTED.0,
        _ => Status::INVALID_PARAMETER.0,
    }
}

extern "win64" fn complete_pending_property_request(request: *mut c_void, status: i32) -> i32 {
    irql::require("PcCompletePendingPropertyRequest", irql::DISPATCH);
    pending_request::complete(request.addr(), Status(status)).0
}

//! Exports of portcls.sys that make an object for the driver, and those that register one.

use super::guid::{Guid, Named};
use super::layout::DeviceObject;
use super::object::{self, Object};
use super::status::Status;
use super::vtable::This;
use super::{adapter, interrupt_sync, port, resources, stream_resource};
use crate::kernel::{self, inject, irql};
use core::ffi::c_void;
use core::ptr;

/// Bytes of a `PC_POWER_FRAMEWORK_SETTINGS`: its size and eight pointers.
const POWER_FRAMEWORK_SETTINGS_BYTES: u32 = 72;

/// Hands a new object out: aggregation is not offered, a null slot is the driver's mistake.
///
/// # Safety
/// `out` is null or the driver's slot for an interface pointer.
unsafe fn hand_out(
    service: &'static str,
    out: *mut This,
    outer: This,
    make: impl FnOnce() -> Result<&'static Object, Status>,
) -> i32 {
    irql::require(service, irql::PASSIVE);
    if out.is_null() {
        kernel::violation("null-argument", format_args!("{service}, {}", kernel::caller()));
        return Status::INVALID_PARAMETER.0;
    }
    if !outer.is_null() {
        crate::kprintln!("{service}: objects are not aggregated here");
        // SAFETY: not null, the driver's slot.
        unsafe { out.write(ptr::null_mut()) };
        return Status::NOT_SUPPORTED.0;
    }
    let (this, status) = match make() {
        Ok(object) => (object.this(), Status::SUCCESS),
        Err(status) => {
            crate::kprintln!("{service}: {status}, {}", kernel::caller());
            (ptr::null_mut(), status)
        }
    };
    // SAFETY: not null, the driver's slot.
    unsafe { out.write(this) };
    status.0
}

/// PcNewMiniport(out miniport, class): of the miniports that live in portcls.sys, which are for synthesizers,
/// none is here.
pub unsafe extern "win64" fn new_miniport(out: *mut This, class: *const Guid) -> i32 {
    // SAFETY: the driver's slot and GUID, or null.
    unsafe {
        hand_out("PcNewMiniport", out, ptr::null_mut(), || {
            if !class.is_null() {
                crate::kprintln!("PcNewMiniport: {} is not offered", Named(class.read_unaligned()));
            }
            Err(Status::INVALID_DEVICE_REQUEST)
        })
    }
}

/// PcNewInterruptSync(out, outer, resource list, index of the interrupt, mode)
pub unsafe extern "win64" fn new_interrupt_sync(
    out: *mut This,
    outer: This,
    list: This,
    index: u32,
    mode: u32,
) -> i32 {
    // SAFETY: the driver's slot, or null.
    unsafe { hand_out("PcNewInterruptSync", out, outer, || interrupt_sync::create(list, index, mode)) }
}

/// PcNewResourceList(out, outer, pool type, translated list, raw list)
pub unsafe extern "win64" fn new_resource_list(
    out: *mut This,
    outer: This,
    _pool: u32,
    translated: *const u32,
    raw: *const u32,
) -> i32 {
    // SAFETY: the driver's slot and lists, or null.
    unsafe {
        hand_out("PcNewResourceList", out, outer, || {
            resources::from_cm(translated, raw).ok_or(Status::INVALID_PARAMETER)
        })
    }
}

/// PcNewResourceSublist(out, outer, pool type, parent list, room)
pub unsafe extern "win64" fn new_resource_sublist(
    out: *mut This,
    outer: This,
    _pool: u32,
    parent: This,
    maximum: u32,
) -> i32 {
    const SERVICE: &str = "PcNewResourceSublist";
    let known = object::find(parent, SERVICE).is_some();
    // SAFETY: the driver's slot, or null.
    unsafe {
        hand_out(SERVICE, out, outer, || {
            if known { Ok(resources::empty(maximum)) } else { Err(Status::INVALID_PARAMETER) }
        })
    }
}

/// PcNewDmaChannel: WaveRT has no use for one.
pub unsafe extern "win64" fn new_dma_channel(
    out: *mut This,
    outer: This,
    _pool: u32,
    _description: *const c_void,
    _fdo: *mut DeviceObject,
) -> i32 {
    // SAFETY: the driver's slot, or null.
    unsafe { hand_out("PcNewDmaChannel", out, outer, || Err(Status::NOT_SUPPORTED)) }
}

/// PcNewServiceGroup: of the older ports; WaveRT has no use for one.
pub unsafe extern "win64" fn new_service_group(out: *mut This, outer: This) -> i32 {
    // SAFETY: the driver's slot, or null.
    unsafe { hand_out("PcNewServiceGroup", out, outer, || Err(Status::NOT_SUPPORTED)) }
}

/// PcNewRegistryKey(out, outer, key type, access, device, subdevice, attributes, options, disposition)
pub unsafe extern "win64" fn new_registry_key(
    out: *mut This,
    outer: This,
    key_type: u32,
    _access: u32,
    device: *mut DeviceObject,
    _subdevice: *mut c_void,
    _attributes: *mut c_void,
    _options: u32,
    _disposition: *mut u32,
) -> i32 {
    const SERVICE: &str = "PcNewRegistryKey";
    irql::require(SERVICE, irql::PASSIVE);
    if key_type != 0 && !adapter::is_fdo(device, SERVICE) {
        return Status::INVALID_PARAMETER.0;
    }
    // SAFETY: the driver's slot for the answer, or null.
    unsafe { port::open_key(SERVICE, out, outer, key_type).0 }
}

/// PcAddStreamResource(PDO, resource set, descriptor, out handle)
pub unsafe extern "win64" fn add_stream_resource(
    pdo: *mut DeviceObject,
    set: *mut c_void,
    descriptor: *const stream_resource::Descriptor,
    out: *mut usize,
) -> i32 {
    // SAFETY: the driver's descriptor and slot, or null.
    unsafe { stream_resource::add_resource("PcAddStreamResource", pdo, set, descriptor, out).0 }
}

/// PcRemoveStreamResource(handle)
pub extern "win64" fn remove_stream_resource(handle: usize) -> i32 {
    stream_resource::remove_resource("PcRemoveStreamResource", handle).0
}

/// PcRegisterAdapterPnpManagement(object, FDO)
pub unsafe extern "win64" fn register_adapter_pnp_management(unknown: This, fdo: *mut DeviceObject) -> i32 {
    const SERVICE: &str = "PcRegisterAdapterPnpManagement";
    irql::require(SERVICE, irql::PASSIVE);
    let Some(device) = adapter::device_of_fdo(fdo, SERVICE) else { return Status::INVALID_PARAMETER.0 };
    if let Some(status) = inject::REGISTER_PNP.fails() {
        return status.0;
    }
    // SAFETY: an object of the driver, or null.
    unsafe { adapter::register_pnp(device, unknown).0 }
}

/// PcUnregisterAdapterPnpManagement(FDO)
pub extern "win64" fn unregister_adapter_pnp_management(fdo: *mut DeviceObject) -> i32 {
    const SERVICE: &str = "PcUnregisterAdapterPnpManagement";
    irql::require(SERVICE, irql::PASSIVE);
    let Some(device) = adapter::device_of_fdo(fdo, SERVICE) else { return Status::INVALID_PARAMETER.0 };
    inject::UNREGISTER_PNP.fails().unwrap_or_else(|| adapter::unregister_pnp(device)).0
}

/// PcAssignPowerFrameworkSettings(FDO, settings): the device never idles here, so that no callback comes.
pub unsafe extern "win64" fn assign_power_framework_settings(
    fdo: *mut DeviceObject,
    settings: *const u32,
) -> i32 {
    const SERVICE: &str = "PcAssignPowerFrameworkSettings";
    irql::require(SERVICE, irql::PASSIVE);
    if !adapter::is_fdo(fdo, SERVICE) || settings.is_null() {
        return Status::INVALID_PARAMETER.0;
    }
    // SAFETY: not null; the structure begins with its size.
    let size = unsafe { settings.read_unaligned() };
    if size == POWER_FRAMEWORK_SETTINGS_BYTES { Status::SUCCESS.0 } else { Status::INVALID_PARAMETER.0 }
}

/// PcRegisterIoTimeout(FDO, routine, context): deprecated; nothing times out here.
pub extern "win64" fn register_io_timeout(fdo: *mut DeviceObject, routine: usize, _: *mut c_void) -> i32 {
    const SERVICE: &str = "PcRegisterIoTimeout";
    irql::require(SERVICE, irql::PASSIVE);
    let good = adapter::is_fdo(fdo, SERVICE) && routine != 0;
    if good { Status::SUCCESS.0 } else { Status::INVALID_PARAMETER.0 }
}

/// PcUnregisterIoTimeout(FDO, routine, context)
pub extern "win64" fn unregister_io_timeout(fdo: *mut DeviceObject, _: usize, _: *mut c_void) -> i32 {
    const SERVICE: &str = "PcUnregisterIoTimeout";
    irql::require(SERVICE, irql::PASSIVE);
    if adapter::is_fdo(fdo, SERVICE) { Status::SUCCESS.0 } else { Status::INVALID_PARAMETER.0 }
}

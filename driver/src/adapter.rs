//! From DriverEntry to the running device, and back: what PortCls and PnP call. wavert-facts 1.
//!
//! | file | what |
//! |---|---|
//! | `adapter.rs` | the driver's entry points: DriverEntry, AddDevice, StartDevice, the PnP hook, DriverUnload |
//! | `constraints.rs` | how short packets may be |
//! | [`device`] | the adapter object: card, interrupt, power, subdevices, and how all of it ends |
//! | [`interrupt`] | the service routine and the DPC |
//! | [`jacks`] | whose jacks the DPC looks at |
//! | [`mixer`] | volume and mute of every stream |
//! | `pdo.rs` | which physical device object is below the device |
//! | [`power`] | IAdapterPowerManagement 1 to 3 |
//! | [`streams`] | which streams of the card are open, for NewStream and the DPC |
//! | [`subdevices`] | the two filters and the connection between them |

mod constraints;
pub mod device;
pub mod interrupt;
pub mod jacks;
pub mod mixer;
mod pdo;
pub mod power;
pub mod streams;
pub mod subdevices;

use core::ffi::c_void;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering};

use nt::spinlock::SpinLock;
use nt::status::{
    STATUS_DEVICE_CONFIGURATION_ERROR, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER,
    STATUS_SUCCESS,
};
use nt::sys::{
    DEVICE_OBJECT, DRIVER_OBJECT, IRP, IRP_MJ_PNP, IRP_MN_REMOVE_DEVICE, IRP_MN_STOP_DEVICE,
    IRP_MN_SURPRISE_REMOVAL, IoGetCurrentIrpStackLocation, PDRIVER_UNLOAD, UNICODE_STRING,
};
use nt::{NTSTATUS, NtResult, nt_success};
use portcls_sys::imports::{
    ADAPTER_EXTENSION_WORD, PcAddAdapterDevice, PcDispatchIrp, PcInitializeAdapterDriver,
};
use portcls_sys::interfaces::IResourceList;
use portcls_sys::{ComObject, ComRef, IUnknown};

pub use device::Adapter;
pub use subdevices::Installation;

/// The most subdevices that are registered: wave and topology of each stream.
const SUBDEVICES: u32 = 2 * ringwave_regs::stream::STREAMS_MAX;

/// The physical device objects that AddDevice was told.
static PDOS: pdo::Pdos = pdo::Pdos::new();

/// The DriverUnload that PortCls set, and that must run.
static PORTCLS_UNLOAD: SpinLock<PDRIVER_UNLOAD> = SpinLock::new(None);

/// DriverEntry: makes the driver PortCls', then hooks PnP and unload in front of it.
///
/// # Safety
/// The arguments are those of a driver's entry point.
pub unsafe fn driver_entry(driver: *mut DRIVER_OBJECT, registry_path: *mut UNICODE_STRING) -> NTSTATUS {
    nt::klog::init(log::LevelFilter::Info);
    // SAFETY: handed on as they came.
    let status = unsafe { PcInitializeAdapterDriver(driver, registry_path, Some(add_device)) };
    if !nt_success(status) {
        return status;
    }
    // SAFETY: a live driver object that only this routine writes before it returns.
    unsafe {
        if let Some(handler) = (*driver).MajorFunction.get_mut(IRP_MJ_PNP as usize) {
            *handler = Some(on_pnp);
        }
        *PORTCLS_UNLOAD.lock() = (*driver).DriverUnload;
        (*driver).DriverUnload = Some(unload);
    }
    log::info!("version {} loaded", env!("CARGO_PKG_VERSION"));
    status
}

/// Everything is gone by now: the last device's REMOVE came before.
unsafe extern "C" fn unload(driver: *mut DRIVER_OBJECT) {
    log::info!("unloaded");
    let portcls = PORTCLS_UNLOAD.lock().take();
    if let Some(portcls) = portcls {
        // SAFETY: PortCls' own routine, with what it expects.
        unsafe { portcls(driver) }
    }
}

/// A device of ours was found. The hardware is not touched before StartDevice.
unsafe extern "C" fn add_device(driver: *mut DRIVER_OBJECT, pdo: *mut DEVICE_OBJECT) -> NTSTATUS {
    if !PDOS.remember(pdo) {
        log::error!("more cards than this driver knows places for");
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    // SAFETY: handed on as they came; extension size 0 is PortCls' own.
    let status = unsafe { PcAddAdapterDevice(driver, pdo, Some(start_device), SUBDEVICES, 0) };
    if !nt_success(status) {
        PDOS.forget(pdo);
    }
    status
}

/// The device has its resources and power.
unsafe extern "system" fn start_device(
    device: *mut DEVICE_OBJECT,
    irp: *mut IRP,
    resources: *mut IResourceList,
) -> NTSTATUS {
    // SAFETY: PortCls' arguments, alive for the call.
    let started = unsafe { start(device, irp, resources) };
    match started {
        Ok(()) => STATUS_SUCCESS,
        Err(status) => {
            log::error!("the device does not start: {status:#010x}");
            status
        }
    }
}

/// # Safety
/// The arguments are those of a StartDevice routine.
unsafe fn start(device: *mut DEVICE_OBJECT, irp: *mut IRP, resources: *mut IResourceList) -> NtResult {
    // SAFETY: lent by PortCls for the call.
    let resources = unsafe { ComRef::from_borrowed(resources) }.ok_or(STATUS_INVALID_PARAMETER)?;
    // SAFETY: this driver's FDO.
    let slot = unsafe { adapter_slot(device) }.ok_or(STATUS_DEVICE_CONFIGURATION_ERROR)?;
    // A device that starts again without having been stopped: not documented, and no reason to leak.
    // SAFETY: as above.
    unsafe { end(device) };
    // SAFETY: PnP starts this device now and removes none.
    let pdo = unsafe { PDOS.below(device) }.ok_or(STATUS_DEVICE_CONFIGURATION_ERROR)?;
    // SAFETY: this driver's FDO, being started.
    let adapter = unsafe { Adapter::start(&Installation { device, pdo, irp, resources: &resources })? };
    slot.store(adapter.to_unknown().into_raw().cast(), Ordering::Release);
    Ok(())
}

/// PnP requests: cleans up before the device stops or goes, then hands every request to PortCls.
unsafe extern "C" fn on_pnp(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
    // SAFETY: the I/O manager's request, which this driver owns until it hands it on.
    let minor = unsafe {
        let location = IoGetCurrentIrpStackLocation(irp);
        if location.is_null() { None } else { Some(u32::from((*location).MinorFunction)) }
    };
    if let Some(IRP_MN_STOP_DEVICE | IRP_MN_SURPRISE_REMOVAL | IRP_MN_REMOVE_DEVICE) = minor {
        // SAFETY: this driver's FDO.
        unsafe { end(device) };
    }
    if minor == Some(IRP_MN_REMOVE_DEVICE) {
        // SAFETY: PnP removes one device after the other; this one's stack still stands.
        if let Some(pdo) = unsafe { PDOS.below(device) } {
            PDOS.forget(pdo);
        }
    }
    // SAFETY: handed on as they came, once.
    unsafe { PcDispatchIrp(device, irp) }
}

/// Stops the adapter if there is one. May be called any number of times.
///
/// # Safety
/// `device` is this driver's FDO.
unsafe fn end(device: *mut DEVICE_OBJECT) {
    // SAFETY: by contract.
    let Some(slot) = (unsafe { adapter_slot(device) }) else { return };
    let stashed = slot.swap(null_mut(), Ordering::Acquire).cast::<IUnknown>();
    // SAFETY: put there by `start` with a reference; the primary pointer of an Adapter.
    let Some(reference) = (unsafe { ComRef::from_raw(stashed) }) else { return };
    // SAFETY: alive by the reference, and an Adapter's primary pointer.
    let adapter = unsafe { ComObject::<Adapter>::from_unknown(reference.as_raw()) };
    if let Some(adapter) = adapter {
        adapter.stop();
    }
}

/// Where the adapter is remembered: the adapter's word of the device extension that PortCls made.
///
/// # Safety
/// `device` is this driver's FDO, which lives as long as the result is used.
unsafe fn adapter_slot<'a>(device: *mut DEVICE_OBJECT) -> Option<&'a AtomicPtr<c_void>> {
    if device.is_null() {
        return None;
    }
    // SAFETY: a live device object.
    let extension = unsafe { (*device).DeviceExtension }.cast::<*mut c_void>();
    if extension.is_null() {
        return None;
    }
    // SAFETY: PortCls' extension has at least 64 words, zeroed by PcAddAdapterDevice; this word is the adapter's alone.
    Some(unsafe { AtomicPtr::from_ptr(extension.add(ADAPTER_EXTENSION_WORD)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_adapter_is_kept_in_word_5_of_the_extension_and_nowhere_else() {
        let mut words = [0_usize; 64];
        // SAFETY: numbers and pointers, for which zero is a value.
        let mut device: DEVICE_OBJECT = unsafe { core::mem::zeroed() };
        device.DeviceExtension = words.as_mut_ptr().cast();
        // SAFETY: a device object with an extension of 64 words, alive for the test.
        let slot = unsafe { adapter_slot(&raw mut device) }.unwrap();
        slot.store(core::ptr::without_provenance_mut(0x5257), Ordering::Relaxed);
        // SAFETY: written through a pointer to it.
        let written = unsafe { core::ptr::read_volatile(&raw const words) };
        let mut expected = [0; 64];
        expected[5] = 0x5257;
        assert_eq!(written, expected);
    }
}

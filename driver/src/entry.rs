//! From DriverEntry to the running device, and back: what PortCls and PnP call. WAVERT.md 1.
//!
//! | file | what |
//! |---|---|
//! | `entry.rs` | the driver's entry points: DriverEntry, AddDevice, StartDevice, the PnP hook, DriverUnload |
//! | [`device`] | a started device: what StartDevice makes, and how all of it ends |
//! | [`subdevices`] | the two filters of each endpoint and the connection between them |
//! | [`constraints`] | how short packets may be |
//! | [`rebalance`] | resources are taken away and given again while the device lives |

pub mod constraints;
pub mod device;
pub mod rebalance;
pub mod subdevices;

use alloc::boxed::Box;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering};

use nt::spinlock::SpinLock;
use nt::status::{STATUS_DEVICE_CONFIGURATION_ERROR, STATUS_INVALID_PARAMETER, STATUS_SUCCESS};
use nt::sys::{
    DEVICE_OBJECT, DRIVER_OBJECT, IRP, IRP_MJ_PNP, IRP_MN_REMOVE_DEVICE, IRP_MN_STOP_DEVICE,
    IRP_MN_SURPRISE_REMOVAL, IoGetCurrentIrpStackLocation, PDRIVER_UNLOAD, UNICODE_STRING,
};
use nt::{NTSTATUS, NtResult, nt_success};
use portcls_sys::ComRef;
use portcls_sys::imports::{
    ADAPTER_EXTENSION_WORD, PcAddAdapterDevice, PcDispatchIrp, PcInitializeAdapterDriver,
    physical_device_object,
};
use portcls_sys::interfaces::IResourceList;

use device::{Before, StartedDevice};
use subdevices::{Installation, Stale};

use crate::hw::STREAMS_MAX;

/// The most subdevices that are registered: wave and topology of each stream.
const SUBDEVICES: u32 = 2 * STREAMS_MAX;

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
    // SAFETY: handed on as they came; extension size 0 is PortCls' own.
    unsafe { PcAddAdapterDevice(driver, pdo, Some(start_device), SUBDEVICES, 0) }
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
    let slot = unsafe { device_slot(device) }.ok_or(STATUS_DEVICE_CONFIGURATION_ERROR)?;
    // A device that was stopped, or that starts again without (not documented, and no reason to leak): what
    // is still registered of it.
    let before = take_device(slot).map(|mut stopped| {
        stopped.stop();
        Before { stale: Stale::from(stopped.subdevices), rebalance: stopped.rebalance }
    });
    // SAFETY: this driver's FDO.
    let pdo = unsafe { physical_device_object(device)? };
    let installation = Installation { device, pdo, irp, resources: &resources };
    // SAFETY: this driver's FDO, being started.
    let started = unsafe { StartedDevice::start(&installation, before.unwrap_or_default())? };
    put_device(slot, started);
    Ok(())
}

/// PnP requests: the hardware stops and our references go before PortCls does its part, then every request is
/// PortCls'. That is the order of the samples' PnpHandler (simpleaudiosample, sysvad).
///
/// QUERY_STOP is PortCls' to answer ([`rebalance`]). At STOP the card is stopped here, before PortCls has
/// brought the streams to STOP and calls PnpStop, and not there alone: that PnpStop comes is PortCls' promise
/// for a rebalance, while a card that is left running when its BARs are taken away writes to memory that is
/// not its own any more.
///
/// **A card that is gone** (it does not answer, or its registers read as ones) is not told to PnP by
/// IoInvalidateDeviceState and PNP_DEVICE_FAILED in QUERY_PNP_DEVICE_STATE, though the page "Handling an
/// IRP_MN_SURPRISE_REMOVAL Request" has that for a device whose bus does not notice:
///
/// * What follows is SURPRISE_REMOVAL, and the device stays failed until somebody starts it again. Here a
///   Ringwave card that is gone, and a virtio device that was not there at D0, is looked for again at each D0
///   and START, for its process can come back behind the same device; streams that are opened until then are
///   refused with STATUS_DEVICE_NOT_READY. Where a card is really unplugged, its root port notices.
/// * The answer is put together on the way through PortCls and the PCI bus driver. What PortCls does with the
///   request is not documented, and the PnpHandlers of simpleaudiosample and sysvad don't handle it; ntguest
///   would only repeat what we believe.
///
/// *Doubt*: a user would see a problem code in Device Manager, and now sees an endpoint that does not open.
unsafe extern "C" fn on_pnp(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
    // SAFETY: the I/O manager's request, which this driver owns until it hands it on.
    let minor = unsafe {
        let location = IoGetCurrentIrpStackLocation(irp);
        if location.is_null() { None } else { Some(u32::from((*location).MinorFunction)) }
    };
    // SAFETY: this driver's FDO.
    let slot = unsafe { device_slot(device) };
    match (minor, slot) {
        (Some(IRP_MN_STOP_DEVICE), Some(slot)) => {
            // It stays, with what it registered, for PnpStop and the START that follows; or for
            // SURPRISE_REMOVAL and REMOVE.
            change_device(slot, StartedDevice::stop);
        }
        (Some(IRP_MN_SURPRISE_REMOVAL | IRP_MN_REMOVE_DEVICE), Some(slot)) => {
            if let Some(mut device) = take_device(slot) {
                device.stop();
                device.rebalance = None;
                device.subdevices.leave_registered();
            }
        }
        _ => {}
    }
    // SAFETY: handed on as they came, once.
    unsafe { PcDispatchIrp(device, irp) }
}

/// Where the started device is remembered: a box, or NULL. Only [`device_slot`] makes one.
#[repr(transparent)]
struct DeviceSlot(AtomicPtr<StartedDevice>);

/// The device that is remembered in `slot`, which is empty after this.
fn take_device(slot: &DeviceSlot) -> Option<Box<StartedDevice>> {
    let stored = slot.0.swap(null_mut(), Ordering::Acquire);
    // SAFETY: not NULL, so it is a box that `put_device` gave away.
    (!stored.is_null()).then(|| unsafe { Box::from_raw(stored) })
}

/// Remembers a device in `slot`, which is empty.
fn put_device(slot: &DeviceSlot, device: Box<StartedDevice>) {
    slot.0.store(Box::into_raw(device), Ordering::Release);
}

/// Changes the device that is remembered in `slot`, if there is one. PnP requests of a device come one at a
/// time, and so do START, PnpStop and the hook that use the slot.
fn change_device(slot: &DeviceSlot, change: impl FnOnce(&mut StartedDevice)) {
    if let Some(mut device) = take_device(slot) {
        change(&mut device);
        put_device(slot, device);
    }
}

/// PortCls has brought the streams to STOP and taken back its requests: the hardware's resources go.
///
/// # Safety
/// `device` is this driver's FDO, being stopped.
unsafe fn pnp_stop(device: *mut DEVICE_OBJECT) {
    // SAFETY: by contract.
    if let Some(slot) = unsafe { device_slot(device) } {
        change_device(slot, StartedDevice::stop_and_unregister);
    }
}

/// Where the device is remembered: the adapter's word of the device extension that PortCls made.
///
/// # Safety
/// `device` is this driver's FDO, which lives as long as the result is used.
unsafe fn device_slot<'a>(device: *mut DEVICE_OBJECT) -> Option<&'a DeviceSlot> {
    if device.is_null() {
        return None;
    }
    // SAFETY: a live device object.
    let extension = unsafe { (*device).DeviceExtension }.cast::<DeviceSlot>();
    if extension.is_null() {
        return None;
    }
    // SAFETY: PortCls' extension has at least 64 words, zeroed by PcAddAdapterDevice; this word is the
    // adapter's alone.
    Some(unsafe { &*extension.add(ADAPTER_EXTENSION_WORD) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_is_kept_in_word_5_of_the_extension_and_nowhere_else() {
        let mut words = [0_usize; 64];
        // SAFETY: numbers and pointers, for which zero is a value.
        let mut device: DEVICE_OBJECT = unsafe { core::mem::zeroed() };
        device.DeviceExtension = words.as_mut_ptr().cast();
        // SAFETY: a device object with an extension of 64 words, alive for the test.
        let slot = unsafe { device_slot(&raw mut device) }.unwrap();
        slot.0.store(core::ptr::without_provenance_mut(0x5257), Ordering::Relaxed);
        // SAFETY: written through a pointer to it.
        let written = unsafe { core::ptr::read_volatile(&raw const words) };
        let mut expected = [0; 64];
        expected[5] = 0x5257;
        assert_eq!(written, expected);
    }
}

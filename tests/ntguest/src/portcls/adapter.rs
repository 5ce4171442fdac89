//! The adapter as PortCls knows it: driver object, device, StartDevice and power management, from DriverEntry to DriverUnload.

use super::com::Com;
use super::device::{self, Device, PORT_CLASS_EXTENSION};
use super::fault::{self, Fault};
use super::guid::{
    IID_ADAPTER_POWER_MANAGEMENT, IID_ADAPTER_POWER_MANAGEMENT2, IID_ADAPTER_POWER_MANAGEMENT3,
};
use super::layout::{DeviceObject, IRP_MJ_PNP, IRP_MN_REMOVE_DEVICE, IRP_MN_START_DEVICE, Irp};
use super::status::Status;
use super::subdevice;
use super::vtable::{This, Unknown};
use super::{object::Object, resources};
use crate::kernel::call::driver_call;
use crate::kernel::harsh::harsh_violation;
use crate::kernel::layout::{AddDevice, DriverObject, UnicodeString};
use crate::kernel::sync::IrqLock;
use crate::kernel::{self, image, irql};
use core::ffi::c_void;
use core::ptr;

/// `StartDevice` of the adapter: FDO, IRP, resource list.
pub type StartDevice = unsafe extern "win64" fn(*mut DeviceObject, *mut Irp, This) -> i32;

struct Adapter {
    driver: *mut DriverObject,
    registry_path: *mut UnicodeString,
    initialised: bool,
    unloaded: bool,
    physical: Option<Device>,
    functional: Option<Device>,
    start_device: Option<StartDevice>,
    resources: Option<&'static Object>,
    max_objects: u32,
    power: Option<Com<Unknown>>,
}

/// The major functions whose routine `PcInitializeAdapterDriver` sets: CREATE, CLOSE, READ, WRITE, FLUSH_BUFFERS, DEVICE_CONTROL,
/// QUERY_SECURITY, SET_SECURITY, POWER, SYSTEM_CONTROL and PNP.
const DISPATCHED: [usize; 11] = [0, 2, 3, 4, 9, 0x0e, 0x14, 0x15, 0x16, 0x17, IRP_MJ_PNP];

static ADAPTER: IrqLock<Adapter> = IrqLock::new(Adapter {
    driver: ptr::null_mut(),
    registry_path: ptr::null_mut(),
    initialised: false,
    unloaded: false,
    physical: None,
    functional: None,
    start_device: None,
    resources: None,
    max_objects: 0,
    power: None,
});

/// Tells PortCls which driver is about to be loaded.
pub fn expect_driver(driver: *mut DriverObject, registry_path: *mut UnicodeString) {
    let mut adapter = ADAPTER.lock();
    (adapter.driver, adapter.registry_path) = (driver, registry_path);
}

/// Whether `fdo` is the live FDO; anything else is reported.
pub fn is_fdo(fdo: *mut DeviceObject, service: &str) -> bool {
    let live = ADAPTER.lock().functional.as_ref().is_some_and(|device| device.object() == fdo);
    if !live {
        kernel::violation(
            "device-object",
            format_args!("{service} with {fdo:p}, which is not the adapter's FDO, {}", kernel::caller()),
        );
    }
    live
}

/// The live FDO.
pub fn fdo() -> Option<*mut DeviceObject> {
    ADAPTER.lock().functional.as_ref().map(Device::object)
}

/// The PDO; it is made at the first call.
pub fn pdo() -> *mut DeviceObject {
    let mut adapter = ADAPTER.lock();
    adapter.physical.get_or_insert_with(|| Device::physical(ptr::null_mut())).object()
}

/// How many subdevices were announced.
pub fn max_objects() -> u32 {
    ADAPTER.lock().max_objects
}

/// `PcInitializeAdapterDriver`.
///
/// # Safety
/// Called from DriverEntry with its two arguments.
pub unsafe fn initialise(
    driver: *mut DriverObject,
    registry_path: *mut UnicodeString,
    add_device: Option<AddDevice>,
) -> Status {
    const SERVICE: &str = "PcInitializeAdapterDriver";
    let (known, twice) = {
        let mut adapter = ADAPTER.lock();
        let known = adapter.driver == driver && adapter.registry_path == registry_path;
        (known, core::mem::replace(&mut adapter.initialised, true))
    };
    let inside = add_device.is_some_and(|add_device| image::image_contains(add_device as usize));
    if !known || twice || !inside {
        kernel::violation(
            "pc-initialize",
            format_args!(
                "{SERVICE}: arguments of DriverEntry {known}, second call {twice}, AddDevice in the image {inside}"
            ),
        );
        return Status::INVALID_PARAMETER;
    }
    // What a driver set before is gone: it hooks a routine after this call, when it can hand on what it does not handle.
    let mut early = None;
    // SAFETY: the live driver object, whose extension belongs to it.
    unsafe {
        (*(*driver).driver_extension).add_device = add_device;
        (*driver).driver_unload = Some(unload);
        for major in DISPATCHED {
            if let Some(routine) = (*driver).major_function.get_mut(major) {
                if routine.is_some() || (major == IRP_MJ_PNP && fault::make(Fault::EarlyDispatch)) {
                    early = Some(major);
                }
                *routine = Some(dispatch);
            }
        }
    }
    if let Some(major) = early {
        harsh_violation(
            "dispatch-overwritten",
            format_args!("{SERVICE} overwrites MajorFunction[{major:#x}], which the driver had set before"),
        );
    }
    Status::SUCCESS
}

/// `PcAddAdapterDevice`.
pub fn add_device(
    driver: *mut DriverObject,
    pdo: *mut DeviceObject,
    start_device: Option<StartDevice>,
    max_objects: u32,
    extension_bytes: u32,
) -> Status {
    const SERVICE: &str = "PcAddAdapterDevice";
    let bytes = extension_bytes as usize;
    if bytes != 0 && bytes < PORT_CLASS_EXTENSION {
        kernel::violation(
            "device-extension",
            format_args!("{SERVICE}: DeviceExtensionSize {bytes} is neither 0 nor at least 512"),
        );
        return Status::INVALID_PARAMETER;
    }
    let start_inside = start_device.is_some_and(|start| image::image_contains(start as usize));
    let mut adapter = ADAPTER.lock();
    let pdo_known = adapter.physical.as_ref().is_some_and(|device| device.object() == pdo);
    let good =
        adapter.driver == driver && adapter.initialised && pdo_known && start_inside && max_objects > 0;
    if !good || adapter.functional.is_some() {
        drop(adapter);
        kernel::violation(
            "pc-add-device",
            format_args!("{SERVICE}: wrong driver, PDO, StartDevice or MaxObjects, or called twice"),
        );
        return Status::INVALID_PARAMETER;
    }
    let device = Device::functional(driver, bytes);
    // SAFETY: two device objects of ours, alive until ntguest ends; the FDO is stacked on the PDO.
    unsafe { (*pdo).attached_device = device.object() };
    adapter.functional = Some(device);
    adapter.start_device = start_device;
    adapter.max_objects = max_objects;
    Status::SUCCESS
}

/// What PortCls puts into every slot of the dispatch table.
unsafe extern "win64" fn dispatch(device: *mut c_void, irp: *mut c_void) -> i32 {
    // SAFETY: the arguments of a dispatch routine.
    unsafe { dispatch_irp(device.cast(), irp.cast()).0 }
}

/// `PcDispatchIrp`: does what the IRP asks for and completes it.
///
/// # Safety
/// The arguments of a dispatch routine.
pub unsafe fn dispatch_irp(fdo: *mut DeviceObject, irp: *mut Irp) -> Status {
    const SERVICE: &str = "PcDispatchIrp";
    irql::require(SERVICE, irql::PASSIVE);
    if !is_fdo(fdo, SERVICE) {
        return Status::INVALID_PARAMETER;
    }
    let Some(minor) = device::take_irp(irp) else {
        kernel::violation(
            "irp-unknown",
            format_args!("{SERVICE}: {irp:p} is not in flight, {}", kernel::caller()),
        );
        return Status::INVALID_PARAMETER;
    };
    let status = match minor {
        IRP_MN_START_DEVICE => start(fdo, irp),
        IRP_MN_REMOVE_DEVICE => {
            remove();
            Status::SUCCESS
        }
        // Surprise removal and the queries: nothing of PortCls stands in the way.
        1 | 3..=6 | 0x17 => Status::SUCCESS,
        // Not for us: the status stays what the PnP manager put there.
        _ => Status::NOT_SUPPORTED,
    };
    device::complete_irp(irp, status);
    status
}

fn start(fdo: *mut DeviceObject, irp: *mut Irp) -> Status {
    let (start_device, list) = {
        let adapter = ADAPTER.lock();
        (adapter.start_device, adapter.resources)
    };
    let (Some(start_device), Some(list)) = (start_device, list) else { return Status::INVALID_DEVICE_STATE };
    // SAFETY: StartDevice of the driver with its FDO, the START IRP and the resource list.
    let status =
        driver_call("StartDevice", irql::PASSIVE, || Status(unsafe { start_device(fdo, irp, list.this()) }));
    if status == Status::PENDING {
        kernel::violation("start-pending", format_args!("StartDevice returned PENDING"));
    }
    check_extension();
    status
}

/// Looked at after StartDevice and at removal: the samples set their word of the extension to null again when they go.
fn check_extension() {
    if let Some(device) = &ADAPTER.lock().functional {
        for (fault, at) in [(Fault::ReservedWord, 4 * size_of::<usize>()), (Fault::PortClassWord, 0)] {
            if fault::make(fault) {
                device.overwrite_extension(at);
            }
        }
        device.check_extension();
    }
}

/// What PortCls gives up when the device goes.
fn remove() {
    subdevice::remove_all();
    let (power, resources, functional) = {
        let mut adapter = ADAPTER.lock();
        (adapter.power.take(), adapter.resources.take(), adapter.functional.take())
    };
    // Releasing calls the driver: outside the lock.
    drop(power);
    if let Some(resources) = resources {
        resources.release();
    }
    if let Some(device) = functional {
        device.check_extension();
    }
}

/// `PcRegisterAdapterPowerManagement`: keeps the object if it is one.
///
/// # Safety
/// `unknown` is null or an object of the driver.
pub unsafe fn register_power(unknown: This) -> Status {
    const SERVICE: &str = "PcRegisterAdapterPowerManagement";
    // SAFETY: as promised; lent for the call.
    let Some(unknown) = (unsafe { Com::<Unknown>::from_lent(unknown) }) else {
        kernel::violation("null-argument", format_args!("{SERVICE}, {}", kernel::caller()));
        return Status::INVALID_PARAMETER;
    };
    let newest_first =
        [IID_ADAPTER_POWER_MANAGEMENT3, IID_ADAPTER_POWER_MANAGEMENT2, IID_ADAPTER_POWER_MANAGEMENT];
    let Some(power) = newest_first.iter().find_map(|iid| unknown.query::<Unknown>(iid).ok()) else {
        kernel::violation(
            "power-interface",
            format_args!("{SERVICE}: the object has none of the power management interfaces"),
        );
        return Status::NOINTERFACE;
    };
    let before = ADAPTER.lock().power.replace(power);
    if before.is_some() {
        kernel::violation("power-interface", format_args!("{SERVICE} called twice"));
    }
    Status::SUCCESS
}

/// `PcUnregisterAdapterPowerManagement`.
pub fn unregister_power() -> Status {
    let power = ADAPTER.lock().power.take();
    if power.is_none() {
        kernel::violation(
            "power-interface",
            format_args!("PcUnregisterAdapterPowerManagement without a registration"),
        );
        return Status::UNSUCCESSFUL;
    }
    Status::SUCCESS
}

/// PortCls' DriverUnload: the driver's own must call it when it puts itself in its place.
unsafe extern "win64" fn unload(driver: *mut DriverObject) {
    irql::require("PortCls' DriverUnload", irql::PASSIVE);
    let (known, device_left) = {
        let mut adapter = ADAPTER.lock();
        adapter.unloaded = true;
        (adapter.driver == driver, adapter.functional.is_some())
    };
    if !known || device_left {
        kernel::violation(
            "portcls-unload",
            format_args!("PortCls' DriverUnload: driver object right {known}, device left {device_left}"),
        );
    }
}

/// AddDevice and START, as the PnP manager does them.
///
/// # Safety
/// DriverEntry succeeded and `driver` is live.
pub unsafe fn bring_up(driver: *mut DriverObject) -> Result<(), Status> {
    let pdo = pdo();
    // SAFETY: the live driver object and its extension.
    let Some(add_device) = (unsafe { (*(*driver).driver_extension).add_device }) else {
        kernel::violation(
            "no-add-device",
            format_args!("DriverEntry did not call PcInitializeAdapterDriver"),
        );
        return Err(Status::UNSUCCESSFUL);
    };
    // SAFETY: AddDevice of the driver with its driver object and a PDO.
    let status =
        driver_call("AddDevice", irql::PASSIVE, || Status(unsafe { add_device(driver, pdo.cast()) }));
    let Some(fdo) = fdo().filter(|_| status.is_success()) else {
        kernel::violation(
            "add-device",
            format_args!("AddDevice returned {status}; FDO made: {}", fdo().is_some()),
        );
        return Err(status);
    };
    let list = resources::of_card();
    ADAPTER.lock().resources = Some(list);
    let (raw, translated) = resources::cm_pointers(list);
    let parameters = [raw.cast_mut().cast(), translated.cast_mut().cast(), ptr::null_mut(), ptr::null_mut()];
    // SAFETY: live driver object and FDO.
    let status = unsafe { device::send_pnp(driver, fdo, IRP_MN_START_DEVICE, parameters) };
    if status.is_success() { Ok(()) } else { Err(status) }
}

/// Queries that are taken back, and a surprise removal: each must reach `PcDispatchIrp` once, whatever the driver's hook does with it.
///
/// # Safety
/// `driver` is live; no stream is open.
pub unsafe fn pester(driver: *mut DriverObject) {
    /// QUERY_PNP_DEVICE_STATE, QUERY_STOP, CANCEL_STOP, QUERY_REMOVE, CANCEL_REMOVE, SURPRISE_REMOVAL.
    const MINORS: [u8; 6] = [0x14, 5, 6, 1, 3, 0x17];
    for minor in MINORS {
        if let Some(fdo) = fdo() {
            // SAFETY: live driver object and FDO. What the status is, PortCls decides; `send_pnp` checks that it comes through.
            let status = unsafe { device::send_pnp(driver, fdo, minor, [ptr::null_mut(); 4]) };
            crate::kprintln!("PnP minor {minor:#x}: {status}");
        }
    }
}

/// REMOVE and DriverUnload.
///
/// # Safety
/// `driver` is live; its image goes afterwards.
pub unsafe fn tear_down(driver: *mut DriverObject) {
    if let Some(fdo) = fdo() {
        // SAFETY: live driver object and FDO.
        let status = unsafe { device::send_pnp(driver, fdo, IRP_MN_REMOVE_DEVICE, [ptr::null_mut(); 4]) };
        if !status.is_success() {
            kernel::violation("remove-failed", format_args!("IRP_MN_REMOVE_DEVICE: {status}"));
        }
    }
    // SAFETY: live.
    match unsafe { (*driver).driver_unload } {
        // SAFETY: DriverUnload of the driver (or PortCls' own) with its driver object.
        Some(unload) => driver_call("DriverUnload", irql::PASSIVE, || unsafe { unload(driver) }),
        None => kernel::violation("no-unload", format_args!("the driver has no DriverUnload")),
    }
    if !ADAPTER.lock().unloaded {
        kernel::violation(
            "portcls-unload",
            format_args!("PortCls' DriverUnload was never called: the driver lost it"),
        );
    }
}

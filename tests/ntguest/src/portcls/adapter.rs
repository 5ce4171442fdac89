//! The adapter as PortCls knows it: driver object, device, StartDevice and power management, from DriverEntry
//! to DriverUnload.

use super::com::Com;
use super::device::{Device, PORT_CLASS_EXTENSION};
use super::fault::{self, Fault};
use super::guid::{
    IID_ADAPTER_PNP_MANAGEMENT, IID_ADAPTER_POWER_MANAGEMENT, IID_ADAPTER_POWER_MANAGEMENT2,
    IID_ADAPTER_POWER_MANAGEMENT3,
};
use super::layout::{DeviceObject, IRP_MJ_PNP, Irp};
use super::status::Status;
use super::vtable::{AdapterPnpManagement, This, Unknown};
use super::{object::Object, pnp};
use crate::kernel::harsh::harsh_violation;
use crate::kernel::layout::{AddDevice, DriverObject, UnicodeString};
use crate::kernel::sync::IrqLock;
use crate::kernel::{self, cfg, image, irql};
use core::ptr;

/// `StartDevice` of the adapter: FDO, IRP, resource list.
pub type StartDevice = unsafe extern "win64" fn(*mut DeviceObject, *mut Irp, This) -> i32;

#[expect(clippy::struct_excessive_bools, reason = "each remembers a call that may come once")]
pub(super) struct Adapter {
    pub(super) driver: *mut DriverObject,
    pub(super) registry_path: *mut UnicodeString,
    pub(super) initialised: bool,
    pub(super) unloaded: bool,
    pub(super) physical: Option<Device>,
    pub(super) functional: Option<Device>,
    pub(super) start_device: Option<StartDevice>,
    pub(super) resources: Option<&'static Object>,
    pub(super) max_objects: u32,
    /// The device was stopped since its power management was registered.
    pub(super) stopped: bool,
    pub(super) power: Option<Com<Unknown>>,
    pub(super) pnp: Option<Com<AdapterPnpManagement>>,
    /// PortCls let go of it by itself.
    pub(super) pnp_dropped: bool,
}

/// The major functions whose routine `PcInitializeAdapterDriver` sets: CREATE, CLOSE, READ, WRITE,
/// FLUSH_BUFFERS, DEVICE_CONTROL, QUERY_SECURITY, SET_SECURITY, POWER, SYSTEM_CONTROL and PNP.
const DISPATCHED: [usize; 11] = [0, 2, 3, 4, 9, 0x0e, 0x14, 0x15, 0x16, 0x17, IRP_MJ_PNP];

pub(super) static ADAPTER: IrqLock<Adapter> = IrqLock::new(Adapter {
    driver: ptr::null_mut(),
    registry_path: ptr::null_mut(),
    initialised: false,
    unloaded: false,
    physical: None,
    functional: None,
    start_device: None,
    resources: None,
    max_objects: 0,
    stopped: false,
    power: None,
    pnp: None,
    pnp_dropped: false,
});

/// Tells PortCls which driver is about to be loaded.
pub fn expect_driver(driver: *mut DriverObject, registry_path: *mut UnicodeString) {
    let mut adapter = ADAPTER.lock();
    (adapter.driver, adapter.registry_path, adapter.initialised) = (driver, registry_path, false);
}

/// The driver was unloaded, and another (or the same) is loaded next.
pub fn forget_driver() {
    let mut adapter = ADAPTER.lock();
    (adapter.initialised, adapter.unloaded, adapter.stopped) = (false, false, false);
    (adapter.start_device, adapter.max_objects) = (None, 0);
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

/// Whether an address is where the driver's code is. A self-test is its own driver.
pub fn is_driver_code(address: usize) -> bool {
    image::image_contains(address) || cfg::get("selftest").is_some()
}

/// A device without a driver, for self-tests.
pub fn add_selftest_device() -> *mut DeviceObject {
    let _ = pdo();
    let mut adapter = ADAPTER.lock();
    (adapter.initialised, adapter.max_objects) = (true, 2);
    adapter.functional.get_or_insert_with(|| Device::functional(ptr::null_mut(), 0)).object()
}

/// How many of power and PnP management are registered.
pub fn managements() -> usize {
    let adapter = ADAPTER.lock();
    usize::from(adapter.power.is_some()) + usize::from(adapter.pnp.is_some())
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
    let inside = add_device.is_some_and(|add_device| is_driver_code(add_device as usize));
    if !known || twice || !inside {
        kernel::violation(
            "pc-initialize",
            format_args!(
                "{SERVICE}: arguments of DriverEntry {known}, second call {twice}, AddDevice in the image {inside}"
            ),
        );
        return Status::INVALID_PARAMETER;
    }
    // What a driver set before is gone: it hooks a routine after this call, when it can hand on what it does
    // not handle.
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
                *routine = Some(pnp::dispatch);
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
    let start_inside = start_device.is_some_and(|start| is_driver_code(start as usize));
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
    let (before, stopped) = {
        let mut adapter = ADAPTER.lock();
        (adapter.power.replace(power), core::mem::take(&mut adapter.stopped))
    };
    // The samples register in every StartDevice and unregister never. Doubt whether PortCls lets go of the
    // first at STOP.
    if before.is_some() && !stopped {
        kernel::violation("power-interface", format_args!("{SERVICE} called twice"));
    }
    Status::SUCCESS
}

/// `PcUnregisterAdapterPowerManagement`.
pub fn unregister_power() -> Status {
    let (power, stopped) = {
        let mut adapter = ADAPTER.lock();
        (adapter.power.take(), adapter.stopped)
    };
    if power.is_none() && !stopped {
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

/// `PcRegisterAdapterPnpManagement`: keeps the object if it is one (rule `pnp-interface`).
///
/// # Safety
/// `unknown` is null or an object of the driver.
pub unsafe fn register_pnp(unknown: This) -> Status {
    const SERVICE: &str = "PcRegisterAdapterPnpManagement";
    // SAFETY: as promised; lent for the call.
    let Some(unknown) = (unsafe { Com::<Unknown>::from_lent(unknown) }) else {
        kernel::violation("null-argument", format_args!("{SERVICE}, {}", kernel::caller()));
        return Status::INVALID_PARAMETER;
    };
    let Ok(management) = unknown.query::<AdapterPnpManagement>(&IID_ADAPTER_PNP_MANAGEMENT) else {
        kernel::violation(
            "pnp-interface",
            format_args!("{SERVICE}: the object has no IAdapterPnpManagement"),
        );
        return Status::NOINTERFACE;
    };
    let before = ADAPTER.lock().pnp.replace(management);
    if before.is_some() {
        kernel::violation("pnp-interface", format_args!("{SERVICE} called twice"));
    }
    Status::SUCCESS
}

/// `PcUnregisterAdapterPnpManagement`.
pub fn unregister_pnp() -> Status {
    let (management, dropped) = {
        let mut adapter = ADAPTER.lock();
        (adapter.pnp.take(), core::mem::take(&mut adapter.pnp_dropped))
    };
    // Doubt whether PortCls lets go of it at STOP, as of power management: a driver that gives back what it
    // registered is right.
    if management.is_none() && !dropped {
        kernel::violation(
            "pnp-interface",
            format_args!("PcUnregisterAdapterPnpManagement without a registration"),
        );
        return Status::UNSUCCESSFUL;
    }
    Status::SUCCESS
}

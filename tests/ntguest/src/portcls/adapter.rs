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
use crate::kernel::{self, cards, cfg, image, irql};
use core::ptr;

/// `StartDevice` of the adapter: FDO, IRP, resource list.
pub type StartDevice = unsafe extern "win64" fn(*mut DeviceObject, *mut Irp, This) -> i32;

/// The driver.
struct Driver {
    object: *mut DriverObject,
    registry_path: *mut UnicodeString,
    initialised: bool,
    unloaded: bool,
}

static DRIVER: IrqLock<Driver> = IrqLock::new(Driver {
    object: ptr::null_mut(),
    registry_path: ptr::null_mut(),
    initialised: false,
    unloaded: false,
});

/// One device of it.
pub(super) struct Adapter {
    physical: Option<Device>,
    pub(super) functional: Option<Device>,
    pub(super) start_device: Option<StartDevice>,
    pub(super) resources: Option<&'static Object>,
    max_objects: u32,
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

static ADAPTERS: [IrqLock<Adapter>; cards::MOST] = [const { IrqLock::new(Adapter::NONE) }; cards::MOST];

impl Adapter {
    const NONE: Self = Self {
        physical: None,
        functional: None,
        start_device: None,
        resources: None,
        max_objects: 0,
        stopped: false,
        power: None,
        pnp: None,
        pnp_dropped: false,
    };
}

/// The adapter of a device, by the number of its card.
pub(super) fn of(number: usize) -> &'static IrqLock<Adapter> {
    &ADAPTERS[number]
}

/// The adapter that PnP and power requests are for.
pub(super) fn target() -> &'static IrqLock<Adapter> {
    of(cards::target())
}

/// The driver object.
pub fn driver() -> *mut DriverObject {
    DRIVER.lock().object
}

/// Whether PortCls' DriverUnload was called.
pub fn is_unloaded() -> bool {
    DRIVER.lock().unloaded
}

/// Tells PortCls which driver is about to be loaded.
pub fn expect_driver(object: *mut DriverObject, registry_path: *mut UnicodeString) {
    let mut driver = DRIVER.lock();
    (driver.object, driver.registry_path, driver.initialised) = (object, registry_path, false);
}

/// The driver was unloaded, and another (or the same) is loaded next.
pub fn forget_driver() {
    {
        let mut driver = DRIVER.lock();
        (driver.initialised, driver.unloaded) = (false, false);
    }
    for adapter in &ADAPTERS {
        let mut adapter = adapter.lock();
        (adapter.stopped, adapter.start_device, adapter.max_objects) = (false, None, 0);
    }
}

/// Whose live FDO `fdo` is; anything else is reported.
pub fn device_of_fdo(fdo: *mut DeviceObject, service: &str) -> Option<usize> {
    let is_its = |adapter: &IrqLock<Adapter>| {
        adapter.lock().functional.as_ref().is_some_and(|device| device.object() == fdo)
    };
    let number = ADAPTERS.iter().position(is_its);
    if number.is_none() {
        kernel::violation(
            "device-object",
            format_args!("{service} with {fdo:p}, which is not the adapter's FDO, {}", kernel::caller()),
        );
    }
    number
}

/// Whose PDO it is.
pub fn device_of_pdo(pdo: *mut DeviceObject) -> Option<usize> {
    let is_its = |adapter: &IrqLock<Adapter>| {
        adapter.lock().physical.as_ref().is_some_and(|device| device.object() == pdo)
    };
    ADAPTERS.iter().position(is_its)
}

/// Whether `fdo` is a live FDO; anything else is reported.
pub fn is_fdo(fdo: *mut DeviceObject, service: &str) -> bool {
    device_of_fdo(fdo, service).is_some()
}

/// Whether an address is where the driver's code is. A self-test is its own driver.
pub fn is_driver_code(address: usize) -> bool {
    image::image_contains(address) || cfg::get("selftest").is_some()
}

/// A device without a driver, for self-tests.
pub fn add_selftest_device() -> *mut DeviceObject {
    let _ = pdo();
    DRIVER.lock().initialised = true;
    let mut adapter = target().lock();
    adapter.max_objects = 2;
    adapter.functional.get_or_insert_with(|| Device::functional(ptr::null_mut(), 0)).object()
}

/// How many of power and PnP management are registered.
pub fn managements() -> usize {
    let of = |adapter: &IrqLock<Adapter>| {
        let adapter = adapter.lock();
        usize::from(adapter.power.is_some()) + usize::from(adapter.pnp.is_some())
    };
    ADAPTERS.iter().map(of).sum()
}

/// The live FDO that PnP and power requests are for.
pub fn fdo() -> Option<*mut DeviceObject> {
    target().lock().functional.as_ref().map(Device::object)
}

/// The PDO below it; it is made at the first call.
pub fn pdo() -> *mut DeviceObject {
    pdo_of(cards::target())
}

/// The PDO of a device; it is made at the first call.
pub fn pdo_of(number: usize) -> *mut DeviceObject {
    let mut adapter = of(number).lock();
    adapter.physical.get_or_insert_with(|| Device::physical(ptr::null_mut())).object()
}

/// The bus has found the device anew: the next PDO is another one.
pub fn forget_pdo(number: usize) {
    of(number).lock().physical = None;
}

/// How many subdevices a device has announced.
pub fn max_objects(number: usize) -> u32 {
    of(number).lock().max_objects
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
        let mut expected = DRIVER.lock();
        let known = expected.object == driver && expected.registry_path == registry_path;
        (known, core::mem::replace(&mut expected.initialised, true))
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
                if major == IRP_MJ_PNP && fault::make(Fault::EarlyDispatch) {
                    *routine = Some(pnp::dispatch);
                }
                if routine.is_some() {
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
    let known = {
        let expected = DRIVER.lock();
        expected.object == driver && expected.initialised
    };
    let number = device_of_pdo(pdo).filter(|number| of(*number).lock().functional.is_none());
    let Some(number) = number.filter(|_| known && start_inside && max_objects > 0) else {
        kernel::violation(
            "pc-add-device",
            format_args!("{SERVICE}: wrong driver, PDO, StartDevice or MaxObjects, or called twice"),
        );
        return Status::INVALID_PARAMETER;
    };
    let device = Device::functional(driver, bytes);
    // SAFETY: two device objects of ours, alive until ntguest ends; the FDO is stacked on the PDO.
    unsafe { (*pdo).attached_device = device.object() };
    let mut adapter = of(number).lock();
    adapter.functional = Some(device);
    adapter.start_device = start_device;
    adapter.max_objects = max_objects;
    Status::SUCCESS
}

/// `PcRegisterAdapterPowerManagement`: keeps the object if it is one.
///
/// # Safety
/// `unknown` is null or an object of the driver.
pub unsafe fn register_power(number: usize, unknown: This) -> Status {
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
        let mut adapter = of(number).lock();
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
pub fn unregister_power(number: usize) -> Status {
    let (power, stopped) = {
        let mut adapter = of(number).lock();
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
        let mut expected = DRIVER.lock();
        expected.unloaded = true;
        (expected.object == driver, ADAPTERS.iter().any(|adapter| adapter.lock().functional.is_some()))
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
pub unsafe fn register_pnp(number: usize, unknown: This) -> Status {
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
    let before = of(number).lock().pnp.replace(management);
    if before.is_some() {
        kernel::violation("pnp-interface", format_args!("{SERVICE} called twice"));
    }
    Status::SUCCESS
}

/// `PcUnregisterAdapterPnpManagement`.
pub fn unregister_pnp(number: usize) -> Status {
    let (management, dropped) = {
        let mut adapter = of(number).lock();
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

//! Drivers that go wrong where the PnP manager calls them: AddDevice, StartDevice, dispatch routines, unload.

use super::driver::{Dispatch, dispatch, driver_object_with};
use super::export;
use crate::kernel::layout::{AddDevice, DriverObject, UnicodeString};
use crate::kernel::selftest::service;
use crate::portcls::layout::{DeviceObject, Irp};
use crate::portcls::status::Status;
use crate::portcls::vtable::This;
use crate::portcls::{adapter, pnp};
use core::ffi::c_void;
use core::ptr;

/// Such a driver, which PortCls takes for the one that is loaded. It has the device of the self-test.
fn expect(dispatch: Option<Dispatch>, add_device: Option<AddDevice>) -> *mut DriverObject {
    let driver = driver_object_with(dispatch, add_device);
    adapter::expect_driver(driver, ptr::null_mut());
    adapter::add_selftest_device();
    driver
}

/// AddDevice and START of a driver.
fn bring_up(driver: *mut DriverObject) {
    // SAFETY: a driver object of `driver_object_with`, alive for ever.
    let _ = unsafe { pnp::bring_up(driver) };
}

/// PcInitializeAdapterDriver with another driver object than DriverEntry's.
pub fn initialise_other() {
    expect(None, None);
    let other = driver_object_with(None, None);
    export!("PcInitializeAdapterDriver" as fn(*mut DriverObject, *mut UnicodeString, AddDevice) -> i32)(
        other,
        ptr::null_mut(),
        refuse_device,
    );
}

/// A DriverEntry that never called PcInitializeAdapterDriver.
pub fn no_add_device() {
    bring_up(expect(None, None));
}

unsafe extern "win64" fn refuse_device(_: *mut DriverObject, _: *mut c_void) -> i32 {
    Status::UNSUCCESSFUL.0
}

/// An AddDevice that fails and leaves its device.
pub fn refused_device() {
    bring_up(expect(None, Some(refuse_device)));
}

type StartDevice = unsafe extern "win64" fn(*mut DeviceObject, *mut Irp, This) -> i32;

unsafe extern "win64" fn start_later(_: *mut DeviceObject, _: *mut Irp, _: This) -> i32 {
    Status::PENDING.0
}

unsafe extern "win64" fn add(driver: *mut DriverObject, pdo: *mut c_void) -> i32 {
    export!("PcAddAdapterDevice" as fn(*mut DriverObject, *mut c_void, StartDevice, u32, u32) -> i32)(
        driver,
        pdo,
        start_later,
        1,
        0,
    )
}

/// A StartDevice that returns PENDING.
pub fn start_pending() {
    let driver = expect(Some(dispatch), Some(add));
    pnp::remove();
    bring_up(driver);
}

/// PcAddAdapterDevice for a PDO that has its device.
pub fn add_twice() {
    let driver = expect(None, None);
    // SAFETY: as AddDevice is called.
    unsafe { add(driver, adapter::pdo().cast()) };
}

/// A driver without a routine for PnP.
pub fn no_dispatch() {
    expect(None, None);
    pnp::send_minor(QUERY_STOP);
}

/// IRP_MN_QUERY_STOP_DEVICE
pub const QUERY_STOP: u8 = 5;

unsafe extern "win64" fn forget(_: *mut c_void, _: *mut c_void) -> i32 {
    Status::NOT_SUPPORTED.0
}

/// A dispatch routine that keeps what it is sent.
pub fn forgotten_irp() {
    expect(Some(forget), None);
    pnp::send_minor(QUERY_STOP);
}

unsafe extern "win64" fn succeed(device: *mut c_void, irp: *mut c_void) -> i32 {
    // SAFETY: the arguments of a dispatch routine.
    unsafe { dispatch(device, irp) };
    Status::SUCCESS.0
}

/// A dispatch routine that returns another status than PortCls' for a refused QUERY_STOP.
pub fn other_status() {
    expect(Some(succeed), None);
    pnp::send_minor(QUERY_STOP);
}

unsafe extern "win64" fn refuse(_: *mut c_void, irp: *mut c_void) -> i32 {
    // SAFETY: the PnP manager's IRP.
    unsafe { (*irp.cast::<Irp>()).status = Status::UNSUCCESSFUL.0 };
    service!("IofCompleteRequest" as fn(*mut c_void, i8))(irp, 0);
    Status::UNSUCCESSFUL.0
}

/// A driver that completes every IRP with a failure and hands none to PortCls.
pub fn refusing() -> *mut DriverObject {
    expect(Some(refuse), None)
}

/// It fails STOP.
pub fn stop_refused() {
    // SAFETY: a driver object that lives for ever; the self-test has no stream.
    unsafe { pnp::restart(refusing(), "restart") };
}

/// It fails REMOVE.
pub fn remove_refused() {
    // SAFETY: as above.
    unsafe { pnp::remove_fdo(refusing()) };
}

/// It fails SURPRISE_REMOVAL.
pub fn surprise_refused() {
    refusing();
    pnp::surprise_removal();
}

/// It fails CANCEL_STOP.
pub fn cancel_refused() {
    refusing();
    pnp::query_and_cancel(false);
}

unsafe extern "win64" fn unload_alone(_: *mut DriverObject) {}

/// The end of a driver whose DriverUnload is this one.
pub fn unload_with(routine: Option<unsafe extern "win64" fn(*mut DriverObject)>) {
    let driver = expect(Some(dispatch), None);
    // SAFETY: a driver object of ours, alive for ever.
    unsafe {
        (*driver).driver_unload = routine;
        pnp::tear_down(driver);
    }
    adapter::forget_driver();
}

/// A driver without DriverUnload.
pub fn no_unload() {
    unload_with(None);
}

/// One that put its own into the place of PortCls', which it does not call.
pub fn unload_lost() {
    unload_with(Some(unload_alone));
}

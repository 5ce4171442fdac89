//! The I/O manager: properties of the device.

use core::ffi::c_void;

use crate::kernel::{caller, violation};
use crate::portcls::layout::DeviceObject;
use crate::portcls::status::Status;
use crate::portcls::{adapter, device};

fn device_of(service: &str, pdo: *mut DeviceObject) -> Option<usize> {
    let device = adapter::device_of_pdo(pdo);
    if device.is_none() {
        violation(
            "device-object",
            format_args!("{service} with {pdo:p}, which is not the PDO, {}", caller()),
        );
    }
    device
}

/// IoGetDeviceProperty(PDO, property, length, buffer, out needed)
pub extern "win64" fn get_device_property(
    pdo: *mut DeviceObject,
    number: u32,
    length: u32,
    buffer: *mut u8,
    needed: *mut u32,
) -> i32 {
    let Some(device) = device_of("IoGetDeviceProperty", pdo) else {
        return Status::INVALID_DEVICE_REQUEST.0;
    };
    // SAFETY: the driver's buffer of that length and its variable.
    unsafe { device::write_property(device, number, length, buffer, needed).0 }
}

/// IoGetDevicePropertyData(PDO, key, language, flags, size, data, out needed, out type): no property of this
/// kind is set
pub extern "win64" fn get_device_property_data(pdo: *mut DeviceObject, _key: *const c_void) -> i32 {
    if device_of("IoGetDevicePropertyData", pdo).is_some() {
        Status::OBJECT_NAME_NOT_FOUND.0
    } else {
        Status::INVALID_DEVICE_REQUEST.0
    }
}

/// IoSetDevicePropertyData(PDO, key, language, flags, type, size, data): taken, and not kept
pub extern "win64" fn set_device_property_data(pdo: *mut DeviceObject, _key: *const c_void) -> i32 {
    match device_of("IoSetDevicePropertyData", pdo) {
        Some(_) => 0,
        None => Status::INVALID_DEVICE_REQUEST.0,
    }
}

/// IoIsWdmVersionAvailable(major, minor): 6.0 is the last there is
pub extern "win64" fn wdm_version_available(major: u8, minor: u8) -> u8 {
    u8::from(major < 6 || (major == 6 && minor == 0))
}

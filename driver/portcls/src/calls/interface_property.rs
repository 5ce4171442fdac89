//! Properties of a device interface: what a filter's clients may know before they open it.
//!
//! All three kernel calls are found by name: IoSetDeviceInterfacePropertyData is newer than Windows 7, and the others are of no use without
//! it.
use crate::GUID;
use core::ffi::c_void;
use core::ptr::{NonNull, null_mut};
use nt::status::{NtResult, STATUS_NOT_SUPPORTED, check};
use nt::sys::{DEVICE_OBJECT, UNICODE_STRING};
use nt::text::{system_routine, unicode_string};
use nt::{NTSTATUS, wide};

/// `IoRegisterDeviceInterface`: PDO, class, reference string, link (out).
type RegisterInterface = unsafe extern "C" fn(
    *mut DEVICE_OBJECT,
    *const GUID,
    *mut UNICODE_STRING,
    *mut UNICODE_STRING,
) -> NTSTATUS;
/// `IoSetDeviceInterfacePropertyData`: link, key, locale, flags, type, size, data. Windows 8.
type SetProperty =
    unsafe extern "C" fn(*mut UNICODE_STRING, *const DEVPROPKEY, u32, u32, u32, u32, *mut c_void) -> NTSTATUS;
/// `RtlFreeUnicodeString`.
type FreeString = unsafe extern "C" fn(*mut UNICODE_STRING);

/// DEVPROP_TYPE_BINARY.
const BINARY: u32 = 0x1003;
/// PLUGPLAY_PROPERTY_PERSISTENT, as in Microsoft's samples: the property outlives the device's start, so that who looks at the interface before the
/// driver has started again finds what it will be.
const PERSISTENT: u32 = 1;

/// Names a property.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DEVPROPKEY {
    /// The set.
    pub fmtid: GUID,
    /// Which of the set.
    pub pid: u32,
}
crate::layout!(DEVPROPKEY, 20, pid @ 16);

/// DEVPKEY_KsAudio_PacketSize_Constraints2 (Windows 10 1607): a KSAUDIO_PACKETSIZE_CONSTRAINTS2.
pub static DEVPKEY_KsAudio_PacketSize_Constraints2: DEVPROPKEY =
    DEVPROPKEY { fmtid: GUID::parse("9404F781-7191-409B-8B0B-80BF6EC229AE"), pid: 2 };

/// Sets a binary property of the interface of class `class` that the device has, or will have, under the reference string `name`. The interface is
/// registered by this if it is not yet (it need not be enabled), and whoever registers it again gets the same one. PASSIVE_LEVEL.
///
/// # Errors
/// `STATUS_NOT_SUPPORTED` on a Windows without such properties; what the kernel says.
///
/// # Safety
/// `pdo` is the physical device object of a device of this driver.
pub unsafe fn set_interface_property(
    pdo: *mut DEVICE_OBJECT,
    class: &GUID,
    name: &'static [u16],
    key: &DEVPROPKEY,
    data: &[u8],
) -> NtResult {
    let found = (
        system_routine(wide!("IoRegisterDeviceInterface")),
        system_routine(wide!("IoSetDeviceInterfacePropertyData")),
        system_routine(wide!("RtlFreeUnicodeString")),
    );
    let (Some(register), Some(set), Some(free)) = found else { return Err(STATUS_NOT_SUPPORTED) };
    // SAFETY: the kernel's routines of these names have these types.
    let (register, set, free) = unsafe {
        (
            core::mem::transmute::<NonNull<c_void>, RegisterInterface>(register),
            core::mem::transmute::<NonNull<c_void>, SetProperty>(set),
            core::mem::transmute::<NonNull<c_void>, FreeString>(free),
        )
    };
    let mut name = unicode_string(name);
    let mut link = UNICODE_STRING { Length: 0, MaximumLength: 0, Buffer: null_mut() };
    let bytes = u32::try_from(data.len()).map_err(|_| STATUS_NOT_SUPPORTED)?;
    // SAFETY: a PDO by contract; the strings, class and key live for the call, and the link's buffer becomes ours to free.
    check(unsafe { register(pdo, class, &raw mut name, &raw mut link) })?;
    // SAFETY: the link was made just now, the data is as long as it is said and only read; freed once.
    unsafe {
        let status = set(&raw mut link, key, 0, PERSISTENT, BINARY, bytes, data.as_ptr().cast_mut().cast());
        free(&raw mut link);
        check(status)
    }
}

//! Properties of a device interface: what a filter's clients may know before they open it.
use crate::GUID;
use core::ffi::c_void;
use core::ptr::null_mut;
use nt::NTSTATUS;
use nt::status::{NtResult, STATUS_INVALID_PARAMETER, check};
use nt::sys::{DEVICE_OBJECT, UNICODE_STRING};
use nt::text::unicode_string;

crate::imports::exports! {
    of "ntoskrnl.exe"
    /// Registers an interface of a class, or finds it; `link` becomes the caller's to free. PASSIVE_LEVEL.
    fn IoRegisterDeviceInterface(
        pdo: *mut DEVICE_OBJECT, class: *const GUID, reference: *mut UNICODE_STRING, link: *mut UNICODE_STRING,
    ) -> NTSTATUS;
    /// Sets a property of an interface. At most APC_LEVEL. Windows 8.
    fn IoSetDeviceInterfacePropertyData(
        link: *mut UNICODE_STRING, key: *const DEVPROPKEY, locale: u32, flags: u32, kind: u32, bytes: u32, data: *mut c_void,
    ) -> NTSTATUS;
}

/// DEVPROP_TYPE_BINARY.
const BINARY: u32 = 0x1003;
/// PLUGPLAY_PROPERTY_PERSISTENT, as in Microsoft's samples: the property outlives the device's start, so that
/// who looks at the interface before the driver has started again finds what it will be.
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

/// Sets a binary property of the interface of class `class` that the device has, or will have, under the
/// reference string `name`. The interface is registered by this if it is not yet (it need not be enabled),
/// and whoever registers it again gets the same one. PASSIVE_LEVEL.
///
/// # Errors
/// What the kernel says.
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
    let mut name = unicode_string(name);
    let mut link = UNICODE_STRING { Length: 0, MaximumLength: 0, Buffer: null_mut() };
    let bytes = u32::try_from(data.len()).map_err(|_| STATUS_INVALID_PARAMETER)?;
    // SAFETY: a PDO by contract; the strings, class and key live for the call, and the link's buffer becomes
    // ours to free.
    check(unsafe { IoRegisterDeviceInterface(pdo, class, &raw mut name, &raw mut link) })?;
    // SAFETY: the link was made just now, the data is as long as it is said and only read; freed once.
    unsafe {
        let data = data.as_ptr().cast_mut().cast();
        let status = IoSetDeviceInterfacePropertyData(&raw mut link, key, 0, PERSISTENT, BINARY, bytes, data);
        nt::sys::RtlFreeUnicodeString(&raw mut link);
        check(status)
    }
}

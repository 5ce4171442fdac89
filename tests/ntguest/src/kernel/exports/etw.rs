//! Event tracing: providers register and write, and nobody listens. A provider that is still registered when
//! the image goes is called by ETW in memory that is gone: rule `etw-leak` (pages of EtwRegister and
//! EtwUnregister).

use alloc::vec::Vec;
use core::ffi::c_void;

use crate::kernel::sync::IrqLock;
use crate::kernel::{caller, violation};
use crate::portcls::status::Status;

static PROVIDERS: IrqLock<Vec<bool>> = IrqLock::new(Vec::new());

/// Providers that are registered, for the report at unload.
pub fn registered() -> usize {
    PROVIDERS.lock().iter().filter(|live| **live).count()
}

fn live(service: &str, handle: u64) -> Option<usize> {
    let index = usize::try_from(handle).ok().and_then(|handle| handle.checked_sub(1));
    let live = index.filter(|index| PROVIDERS.lock().get(*index) == Some(&true));
    if live.is_none() {
        violation("etw-handle", format_args!("{service} with handle {handle:#x}, {}", caller()));
    }
    live
}

/// EtwRegister(provider, callback, context, out handle)
pub extern "win64" fn register(
    _provider: *const c_void,
    _callback: *const c_void,
    _context: *mut c_void,
    out: *mut u64,
) -> i32 {
    let mut providers = PROVIDERS.lock();
    providers.push(true);
    // SAFETY: the driver's REGHANDLE.
    unsafe { out.write_unaligned(providers.len() as u64) };
    0
}
/// EtwUnregister(handle)
pub extern "win64" fn unregister(handle: u64) -> i32 {
    let Some(index) = live("EtwUnregister", handle) else { return Status::INVALID_PARAMETER.0 };
    PROVIDERS.lock()[index] = false;
    0
}
/// EtwWrite, EtwWriteTransfer, EtwSetInformation, EtwWriteString(handle, ...)
pub extern "win64" fn write(handle: u64) -> i32 {
    if handle != 0 && live("EtwWrite", handle).is_none() { Status::INVALID_PARAMETER.0 } else { 0 }
}
/// EtwEventEnabled(handle, descriptor), EtwProviderEnabled: FALSE
pub extern "win64" fn enabled(_handle: u64) -> u8 {
    0
}

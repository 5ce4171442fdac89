//! For tests: the device's hardware key with some REG_DWORD values, as IPort::NewRegistryKey gives it.

use std::ffi::c_void;

use nt::NtResult;
use nt::status::{STATUS_NOT_IMPLEMENTED, STATUS_OBJECT_NAME_NOT_FOUND};
use nt::sys::{REG_DWORD, UNICODE_STRING};
use portcls_sys::interfaces::{IRegistryKey, RegistryKey};
use portcls_sys::{ComIn, ComOut, IUnknown, Out, com_class};

/// Names and values.
pub type Values = &'static [(&'static str, u32)];

/// The key.
pub struct FakeKey(pub Values);
com_class! { FakeKey { 0 => IRegistryKey } }

impl RegistryKey for FakeKey {
    fn query_value_key(
        &self,
        name: *const UNICODE_STRING,
        class: i32,
        buffer: *mut c_void,
        length: u32,
        result: Out<'_, u32>,
    ) -> NtResult {
        assert_eq!((class, length), (2, 16), "KeyValuePartialInformation of a number");
        // SAFETY: the caller's string.
        let units = unsafe { std::slice::from_raw_parts((*name).Buffer, usize::from((*name).Length / 2)) };
        let asked = String::from_utf16_lossy(units);
        let found = self.0.iter().find(|(name, _)| *name == asked);
        let (_, value) = found.ok_or(STATUS_OBJECT_NAME_NOT_FOUND)?;
        // SAFETY: room for 16 bytes.
        unsafe { buffer.cast::<[u32; 4]>().write([0, REG_DWORD, 4, *value]) };
        result.write(16)
    }
    fn query_key(&self, _: i32, _: *mut c_void, _: u32, _: Out<'_, u32>) -> NtResult {
        Err(STATUS_NOT_IMPLEMENTED)
    }
    fn enumerate_key(&self, _: u32, _: i32, _: *mut c_void, _: u32, _: Out<'_, u32>) -> NtResult {
        Err(STATUS_NOT_IMPLEMENTED)
    }
    fn enumerate_value_key(&self, _: u32, _: i32, _: *mut c_void, _: u32, _: Out<'_, u32>) -> NtResult {
        Err(STATUS_NOT_IMPLEMENTED)
    }
    fn set_value_key(&self, _: *const UNICODE_STRING, _: u32, _: *mut c_void, _: u32) -> NtResult {
        Err(STATUS_NOT_IMPLEMENTED)
    }
    fn query_registry_values(&self, _: *mut c_void, _: *mut c_void) -> NtResult {
        Err(STATUS_NOT_IMPLEMENTED)
    }
    fn new_sub_key(
        &self,
        _: ComOut<'_, IRegistryKey>,
        _: ComIn<'_, IUnknown>,
        _: u32,
        _: *const UNICODE_STRING,
        _: u32,
        _: Out<'_, u32>,
    ) -> NtResult {
        Err(STATUS_NOT_IMPLEMENTED)
    }
    fn delete_key(&self) -> NtResult {
        Err(STATUS_NOT_IMPLEMENTED)
    }
}

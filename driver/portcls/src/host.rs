//! Fakes of PortCls' objects for unit tests on a host that is not Windows. **Not for verdicts: ntguest
//! judges.**

use core::ffi::c_void;
use std::string::String;
use std::vec::Vec;

use nt::NtResult;
use nt::status::{STATUS_BUFFER_OVERFLOW, STATUS_NOT_IMPLEMENTED, STATUS_OBJECT_NAME_NOT_FOUND};
use nt::sys::{REG_DWORD, UNICODE_STRING};

use crate::interfaces::{IRegistryKey, RegistryKey};
use crate::{ComIn, ComOut, IUnknown, Out, com_class};

/// A value of a registry key.
#[derive(Clone, Debug)]
pub struct Value {
    /// Its name.
    pub name: &'static str,
    /// `REG_...`.
    pub kind: u32,
    /// Its data.
    pub data: Vec<u8>,
}

/// Names and numbers.
pub type Numbers = &'static [(&'static str, u32)];

/// A registry key, as IPort::NewRegistryKey gives it. Only values can be read.
pub struct FakeKey(pub Vec<Value>);
com_class! { FakeKey { 0 => IRegistryKey } }

impl FakeKey {
    /// A key of `REG_DWORD`s.
    pub fn of_numbers(numbers: Numbers) -> Self {
        let value = |(name, number): &(&'static str, u32)| Value {
            name,
            kind: REG_DWORD,
            data: number.to_le_bytes().to_vec(),
        };
        Self(numbers.iter().map(value).collect())
    }
}

#[allow(clippy::not_unsafe_ptr_arg_deref, reason = "the interface's contract is the trait's")]
impl RegistryKey for FakeKey {
    /// Of class KeyValuePartialInformation.
    fn query_value_key(
        &self,
        name: *const UNICODE_STRING,
        class: i32,
        buffer: *mut c_void,
        length: u32,
        result: Out<'_, u32>,
    ) -> NtResult {
        assert_eq!(class, 2, "KeyValuePartialInformation");
        // SAFETY: the caller's string.
        let units = unsafe { core::slice::from_raw_parts((*name).Buffer, usize::from((*name).Length / 2)) };
        let asked = String::from_utf16_lossy(units);
        let found = self.0.iter().find(|value| value.name == asked);
        let Value { kind, data, .. } = found.ok_or(STATUS_OBJECT_NAME_NOT_FOUND)?;
        let bytes = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let all = [&[0; 4], &kind.to_le_bytes(), &bytes.to_le_bytes(), data.as_slice()].concat();
        result.write(bytes.saturating_add(12))?;
        let fits = all.len().min(length as usize);
        // SAFETY: the caller's room.
        unsafe { buffer.cast::<u8>().copy_from_nonoverlapping(all.as_ptr(), fits) };
        if fits < all.len() { Err(STATUS_BUFFER_OVERFLOW) } else { Ok(()) }
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

/// Implements `Port` for a fake that nobody binds. `$key` gives the registry key of a fake, if it has one.
#[macro_export]
macro_rules! unbound_port {
    ($port:ty, $key:expr) => {
        impl $crate::interfaces::Port for $port {
            fn init(
                &self,
                _: *mut nt::sys::DEVICE_OBJECT,
                _: *mut nt::sys::IRP,
                _: $crate::ComIn<'_, $crate::IUnknown>,
                _: $crate::ComIn<'_, $crate::IUnknown>,
                _: $crate::ComIn<'_, $crate::interfaces::IResourceList>,
            ) -> nt::NtResult {
                unreachable!("nobody binds it")
            }
            fn get_device_property(
                &self,
                _: i32,
                _: u32,
                _: *mut core::ffi::c_void,
                _: $crate::Out<'_, u32>,
            ) -> nt::NtResult {
                unreachable!("nobody asks")
            }
            fn new_registry_key(
                &self,
                place: $crate::ComOut<'_, $crate::interfaces::IRegistryKey>,
                _: $crate::ComIn<'_, $crate::IUnknown>,
                kind: u32,
                _: nt::sys::ACCESS_MASK,
                _: *mut nt::sys::OBJECT_ATTRIBUTES,
                _: u32,
                _: $crate::Out<'_, u32>,
            ) -> nt::NtResult {
                assert_eq!(kind, 1, "the device's hardware key");
                let key: fn(&$port) -> Option<&$crate::Com<$crate::host::FakeKey>> = $key;
                place.set(key(self).expect("nobody asks").to_interface())
            }
        }
    };
}

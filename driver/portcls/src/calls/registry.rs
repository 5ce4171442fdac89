//! Values of the device's registry keys.
use crate::interfaces::{IPort, IRegistryKey};
use crate::{ComIn, ComOut, ComRef, Out};
use nt::NtResult;
use nt::status::{
    STATUS_BUFFER_OVERFLOW, STATUS_BUFFER_TOO_SMALL, STATUS_OBJECT_NAME_NOT_FOUND, STATUS_UNSUCCESSFUL,
};
use nt::sys::{KEY_READ, KEY_VALUE_PARTIAL_INFORMATION, KeyValuePartialInformation, REG_DWORD};
use nt::text::unicode_string;

/// Which key (REGISTRY_KEY_TYPE of `portcls.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum KeyType {
    /// The device's hardware key (`HKR` of an INF's .HW section).
    Device = 1,
    /// The driver's key of the device (`HKR` of an INF's install section).
    Driver = 2,
}

impl ComRef<IPort> {
    /// Opens a key of the device for reading. The port must have been initialised.
    pub fn registry_key(&self, kind: KeyType) -> NtResult<ComRef<IRegistryKey>> {
        let mut key = core::ptr::null_mut();
        // SAFETY: attributes are used by the general type only; the rest outlives the call.
        unsafe {
            self.new_registry_key(
                ComOut::new(&mut key),
                ComIn::none(),
                kind as u32,
                KEY_READ,
                core::ptr::null_mut(),
                0,
                Out::none(),
            )?;
            // SAFETY: after success a key with a reference that is ours.
            ComRef::from_raw(key).ok_or(STATUS_UNSUCCESSFUL)
        }
    }
}

/// Room for the head of KEY_VALUE_PARTIAL_INFORMATION and 4 bytes of data (its `Data` begins at 12), aligned
/// as it wants.
#[repr(C, align(8))]
struct DwordValue([u8; Self::BYTES as usize]);
impl DwordValue {
    const BYTES: u32 = 16;
}
const _: () = assert!(size_of::<DwordValue>() == size_of::<KEY_VALUE_PARTIAL_INFORMATION>());

impl ComRef<IRegistryKey> {
    /// A REG_DWORD value; `None` if there is no value of that name or it is of another type or size.
    pub fn dword(&self, name: &'static [u16]) -> NtResult<Option<u32>> {
        let name = unicode_string(name);
        let mut value = DwordValue([0; _]);
        let mut length = 0;
        // SAFETY: that many bytes of room; all outlive the call.
        let answer = unsafe {
            self.query_value_key(
                &raw const name,
                KeyValuePartialInformation,
                (&raw mut value).cast(),
                DwordValue::BYTES,
                Out::new(&mut length),
            )
        };
        match answer {
            Ok(()) => {}
            // A value that is longer than 4 bytes does not fit: it is no DWORD.
            Err(STATUS_OBJECT_NAME_NOT_FOUND | STATUS_BUFFER_OVERFLOW | STATUS_BUFFER_TOO_SMALL) => {
                return Ok(None);
            }
            Err(status) => return Err(status),
        }
        let word = |at: usize| {
            value.0.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
        };
        let (kind, bytes, data) = (word(4), word(8), word(12));
        Ok((kind == REG_DWORD && bytes == 4).then_some(data))
    }
}

#[cfg(test)]
mod tests {
    use nt::NtResult;

    use crate::Com;
    use crate::host::{FakeKey, Value};
    use crate::interfaces::IRegistryKey;

    fn read(kind: u32, data: &[u8], name: &'static [u16]) -> NtResult<Option<u32>> {
        let value = Value { name: "Contiguous", kind, data: data.to_vec() };
        Com::try_new(FakeKey(vec![value])).unwrap().into_interface::<IRegistryKey>().dword(name)
    }

    #[test]
    fn only_a_dword_of_that_name_is_one() {
        let name = nt::wide!("Contiguous");
        assert_eq!(read(4, &[1, 2, 0, 0], name), Ok(Some(0x201)));
        assert_eq!(read(4, &[1, 2, 0, 0], nt::wide!("Contiguou")), Ok(None));
        assert_eq!(read(1, &[1, 0, 0, 0], name), Ok(None), "a string of four bytes is not a number");
        assert_eq!(read(4, &[1, 2], name), Ok(None), "too short");
        assert_eq!(read(3, &[0; 8], name), Ok(None), "too long");
    }
}

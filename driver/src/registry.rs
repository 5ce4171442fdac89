//! What the device's registry key can ask for.

use portcls_sys::ComRef;
use portcls_sys::calls::KeyType;
use portcls_sys::interfaces::IPort;

use crate::names::{CONTIGUOUS_BUFFER, LOCKSTEP_CAPTURE, POSITION_REGISTER};

/// What the device's hardware key asks for: each a `REG_DWORD` of 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// `ContiguousBuffer`: physically contiguous cyclic buffers.
    pub contiguous: bool,
    /// `LockstepCapture`: a card with a lockstep clock waits until a recorded packet was taken with GetReadPacket. For tests: a client that
    /// does not use packets would wait for ever.
    pub lockstep_capture: bool,
    /// `PositionRegister`: clients may map the position page of their stream.
    pub position_register: bool,
}

impl Wishes {
    /// Reads the key. One that can't be read asks for nothing. PASSIVE_LEVEL.
    pub fn read(port: &ComRef<IPort>) -> Self {
        let key = match port.registry_key(KeyType::Device) {
            Ok(key) => key,
            Err(status) => {
                log::warn!("the device's registry key can't be read: {status:#010x}");
                return Self::default();
            }
        };
        let asks = |name| match key.dword(name) {
            Ok(value) => value == Some(1),
            Err(status) => {
                log::warn!("a value of the device's registry key can't be read: {status:#010x}");
                false
            }
        };
        Self {
            contiguous: asks(CONTIGUOUS_BUFFER),
            lockstep_capture: asks(LOCKSTEP_CAPTURE),
            position_register: asks(POSITION_REGISTER),
        }
    }
}

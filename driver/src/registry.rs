//! What the device's registry key can ask for.

use portcls_sys::ComRef;
use portcls_sys::calls::KeyType;
use portcls_sys::interfaces::IPort;

use crate::names::CONTIGUOUS_BUFFER;

/// Whether the value `ContiguousBuffer` of the device's hardware key is 1. A key that can't be read asks for nothing.
/// PASSIVE_LEVEL.
pub fn wants_contiguous(port: &ComRef<IPort>) -> bool {
    let value = port.registry_key(KeyType::Device).and_then(|key| key.dword(CONTIGUOUS_BUFFER));
    match value {
        Ok(value) => value == Some(1),
        Err(status) => {
            log::warn!("the device's registry key can't be read: {status:#010x}");
            false
        }
    }
}

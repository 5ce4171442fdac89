//! What both sides say of themselves in `VERSION` ("Version"): JSON, at most
//! [`crate::wire::VERSION_BYTES_MAX`] of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::wire::{DATA_BYTES_MAX, MESSAGE_FDS_MAX};

/// What the peer can take. Values it did not say are the specification's defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The most descriptors in one message to it (`max_msg_fds`).
    pub fds: u64,
    /// The most data in one access (`max_data_xfer_size`), bytes.
    pub data_bytes: u64,
    /// It wants, or offers, `REGION_WRITE_MULTI` (`write_multiple`).
    pub write_multiple: bool,
}

impl Default for Peer {
    fn default() -> Self {
        Self { fds: 1, data_bytes: 1 << 20, write_multiple: false }
    }
}

#[derive(Deserialize, Serialize, Default)]
struct Data {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    capabilities: Option<Capabilities>,
}

/// Only what matters here; a capability that is not known is not agreed to, which is all the specification
/// asks for.
#[derive(Deserialize, Serialize, Default)]
struct Capabilities {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_msg_fds: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_data_xfer_size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    write_multiple: Option<bool>,
}

/// Reads version data. Nothing at all is allowed; otherwise it is JSON with a NUL at its end.
///
/// Gives `None` for anything else.
pub fn read(data: &[u8]) -> Option<Peer> {
    let Some((&nul, json)) = data.split_last() else { return Some(Peer::default()) };
    if nul != 0 {
        return None;
    }
    // "A JSON string": an object, with an object of capabilities. Said here because serde takes an array for
    // a struct as well.
    let object: serde_json::Map<String, Value> = serde_json::from_slice(json).ok()?;
    if !object.get("capabilities").is_none_or(Value::is_object) {
        return None;
    }
    let data: Data = serde_json::from_slice(json).ok()?;
    let said = data.capabilities.unwrap_or_default();
    let default = Peer::default();
    Some(Peer {
        fds: said.max_msg_fds.unwrap_or(default.fds),
        data_bytes: said.max_data_xfer_size.unwrap_or(default.data_bytes),
        write_multiple: said.write_multiple.unwrap_or(default.write_multiple),
    })
}

/// Our version data, with its NUL. `write_multiple` only to a peer that proposed it: "the capability list
/// must be a subset of those proposed". The two limits are said to everybody, as libvfio-user does: without
/// them the client would have to assume one descriptor a message. The maps and pages that are taken are the
/// specification's defaults and need no word.
///
/// QEMU has no more room for the reply than its own message took (`vfio_user_validate_version`): what it says
/// of itself is longer.
pub fn write(write_multiple: bool) -> Vec<u8> {
    let capabilities = Capabilities {
        max_msg_fds: Some(MESSAGE_FDS_MAX.into()),
        max_data_xfer_size: Some(DATA_BYTES_MAX.into()),
        write_multiple: write_multiple.then_some(true),
    };
    let mut data = serde_json::to_vec(&Data { capabilities: Some(capabilities) }).unwrap_or_default();
    data.push(0);
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_said_has_the_default_of_the_specification() {
        let default = Some(Peer { fds: 1, data_bytes: 1_048_576, write_multiple: false });
        for data in
            [&b""[..], b"{}\0", b"{\"capabilities\":{}}\0", b"{\"x\":[1],\"capabilities\":{\"new\":{}}}\0"]
        {
            assert_eq!(read(data), default, "{}", String::from_utf8_lossy(data));
        }
        let said = read(
            b"{\"capabilities\":{\"max_msg_fds\":8,\"max_data_xfer_size\":4096,\"write_multiple\":true}}\0",
        );
        assert_eq!(said, Some(Peer { fds: 8, data_bytes: 4096, write_multiple: true }));
    }

    #[test]
    fn malformed_data_is_said_so() {
        let deep = [vec![b'['; 10_000], vec![0]].concat();
        for data in [
            &b"\0"[..],
            b"{}",
            b"{",
            b"[]\0\0",
            b"7\0",
            b"[]\0",
            b"[null]\0",
            b"[{}]\0",
            b"null\0",
            b"\"\"\0",
            b"{\"capabilities\":[]}\0",
            b"{\"capabilities\":[8]}\0",
            b"{\"capabilities\":null}\0",
            b"{}\0\0",
            b"\xFF\xFE\0",
            b"{\"capabilities\":3}\0",
            b"{\"capabilities\":{\"max_msg_fds\":-1}}\0",
            b"{\"capabilities\":{\"max_msg_fds\":\"8\"}}\0",
            b"{\"capabilities\":{\"max_data_xfer_size\":1e99}}\0",
            &deep,
        ] {
            assert_eq!(read(data), None, "{}", String::from_utf8_lossy(data));
        }
    }

    #[test]
    fn what_we_write_is_what_we_read() {
        let peer = read(&write(true));
        assert_eq!(peer, Some(Peer { fds: 8, data_bytes: 1 << 20, write_multiple: true }));
        assert!(!read(&write(false)).unwrap_or_default().write_multiple);
    }
}

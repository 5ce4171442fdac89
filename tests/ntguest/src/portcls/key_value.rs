//! `KEY_VALUE_*_INFORMATION`: how a registry value is written into the caller's buffer, and the size protocol
//! of `ZwQueryValueKey`.

use super::status::Status;
use alloc::vec::Vec;

/// `REG_DWORD`.
pub const REG_DWORD: u32 = 4;

/// A value of a key.
#[derive(Clone, Debug)]
pub struct Value {
    /// Its name, UTF-16 without terminator.
    pub name: Vec<u16>,
    /// Number of the type.
    pub kind: u32,
    /// Its data.
    pub data: Vec<u8>,
}

/// Value information classes.
pub mod class {
    /// `KeyValueBasicInformation`
    pub const BASIC: u32 = 0;
    /// `KeyValueFullInformation`
    pub const FULL: u32 = 1;
    /// `KeyValuePartialInformation`
    pub const PARTIAL: u32 = 2;
}

fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn size(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// The information as bytes, and how many of them are the fixed part; `None` for a class that isn't offered.
pub fn information(value: &Value, class: u32) -> Option<(Vec<u8>, usize)> {
    let name: Vec<u8> = value.name.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    let (mut bytes, fixed) = match class {
        class::BASIC => (words(&[0, value.kind, size(name.len())]), 12),
        class::FULL => {
            // Data begins at the next multiple of 4 after the name.
            let data_offset = (20 + name.len()).next_multiple_of(4);
            (words(&[0, value.kind, size(data_offset), size(value.data.len()), size(name.len())]), 20)
        }
        class::PARTIAL => (words(&[0, value.kind, size(value.data.len())]), 12),
        _ => return None,
    };
    if class != class::PARTIAL {
        bytes.extend(name);
    }
    if class == class::FULL {
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    if class != class::BASIC {
        bytes.extend(&value.data);
    }
    Some((bytes, fixed))
}

/// What a caller with room for `room` bytes gets: status and how many bytes are written.
pub fn answer(total: usize, fixed: usize, room: usize) -> (Status, usize) {
    if room < fixed {
        (Status::BUFFER_TOO_SMALL, 0)
    } else if room < total {
        (Status::BUFFER_OVERFLOW, room)
    } else {
        (Status::SUCCESS, total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value() -> Value {
        Value { name: "Dma".encode_utf16().collect(), kind: REG_DWORD, data: Vec::from([7, 0, 0, 0]) }
    }

    #[test]
    fn partial_information_is_header_and_data() {
        let (bytes, fixed) = information(&value(), class::PARTIAL).unwrap();
        assert_eq!((bytes, fixed), (Vec::from([0, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 7, 0, 0, 0]), 12));
    }

    #[test]
    fn full_information_says_where_its_data_begins() {
        let (bytes, _) = information(&value(), class::FULL).unwrap();
        assert_eq!(bytes[8..12], [28, 0, 0, 0]);
        assert_eq!(bytes[16..26], [6, 0, 0, 0, b'D', 0, b'm', 0, b'a', 0]);
        assert_eq!(bytes[28..], [7, 0, 0, 0]);
        assert!(information(&value(), 9).is_none());
    }

    #[test]
    fn sizes_follow_the_documented_protocol() {
        assert_eq!(answer(16, 12, 0), (Status::BUFFER_TOO_SMALL, 0));
        assert_eq!(answer(16, 12, 12), (Status::BUFFER_OVERFLOW, 12));
        assert_eq!(answer(16, 12, 16), (Status::SUCCESS, 16));
    }
}

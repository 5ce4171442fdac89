//! A scratch key below HKEY_CURRENT_USER, and what is in it.

use crate::runtime::{text, wide};
use crate::sys;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ptr::{null, null_mut};

const NAME: &str = "RingwaveInfProbe";

/// An empty key; it goes with this value.
pub struct Scratch {
    key: sys::HANDLE,
}

impl Scratch {
    /// A new one. What a broken run left is removed first.
    pub fn new() -> Result<Self, String> {
        let (name, mut key) = (wide(NAME), null_mut());
        // SAFETY: valid names and places; the key is below the user's own.
        let status = unsafe {
            sys::RegDeleteTreeW(sys::HKEY_CURRENT_USER, name.as_ptr());
            sys::RegCreateKeyExW(
                sys::HKEY_CURRENT_USER,
                name.as_ptr(),
                0,
                null(),
                0,
                sys::KEY_ALL_ACCESS,
                0,
                &raw mut key,
                null_mut(),
            )
        };
        if status == 0 { Ok(Self { key }) } else { Err(format!("no scratch key: error {status}")) }
    }

    /// For setupapi to write to.
    pub fn handle(&self) -> sys::HANDLE {
        self.key
    }

    /// Every key and value below, one line each, sorted.
    pub fn lines(&self) -> Vec<String> {
        let mut found = Vec::new();
        collect(self.key, "", &mut found);
        found.sort();
        found
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let name = wide(NAME);
        // SAFETY: our own key.
        unsafe {
            sys::RegCloseKey(self.key);
            sys::RegDeleteTreeW(sys::HKEY_CURRENT_USER, name.as_ptr());
        }
    }
}

/// Adds the values of a key and of all keys below. `path` is the key's own, with a backslash at its end.
fn collect(key: sys::HANDLE, path: &str, found: &mut Vec<String>) {
    for index in 0.. {
        let (mut name, mut data) = ([0_u16; 256], [0_u8; 512]);
        let (mut name_size, mut data_size, mut kind) = (256, 512, 0);
        // SAFETY: the sizes are those of the buffers.
        let status = unsafe {
            sys::RegEnumValueW(
                key,
                index,
                name.as_mut_ptr(),
                &raw mut name_size,
                0,
                &raw mut kind,
                data.as_mut_ptr(),
                &raw mut data_size,
            )
        };
        if status != 0 {
            break;
        }
        let data = data.get(..data_size as usize).unwrap_or(&[]);
        found.push(format!("{path}{} = {}", text(&name), value(kind, data)));
    }
    for index in 0.. {
        let (mut name, mut below) = ([0_u16; 256], null_mut());
        // SAFETY: as above; a key that opens is closed.
        unsafe {
            if sys::RegEnumKeyW(key, index, name.as_mut_ptr(), 256) != 0 {
                break;
            }
            if sys::RegOpenKeyExW(key, name.as_ptr(), 0, sys::KEY_ALL_ACCESS, &raw mut below) == 0 {
                let path = format!("{path}{}\\", text(&name));
                found.push(path.clone());
                collect(below, &path, found);
                sys::RegCloseKey(below);
            }
        }
    }
}

/// A value in words: its type, then its data.
fn value(kind: u32, data: &[u8]) -> String {
    match (kind, data) {
        (1, _) => {
            let units: Vec<u16> =
                data.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
            format!("REG_SZ {}", text(&units))
        }
        (4, &[a, b, c, d]) => format!("REG_DWORD {}", u32::from_le_bytes([a, b, c, d])),
        (3, _) => format!("REG_BINARY {data:02x?}"),
        _ => format!("type {kind}: {data:02x?}"),
    }
}

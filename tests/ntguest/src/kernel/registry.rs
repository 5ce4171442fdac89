//! The registry: keys by path and their values, in memory, gone with the run. Names are compared without
//! case, as the registry does.
//!
//! `reg.<name>=<dword>` of `ntguest.cfg` is a value of the device's software key, of its hardware key and of
//! the service's `Parameters` alike, for a driver may look in any of them.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::portcls::key_value::Value;
use crate::portcls::status::Status;

/// `CurrentControlSet` is a link to the control set that was booted.
const CURRENT: &str = "\\registry\\machine\\system\\currentcontrolset";
/// Where it leads.
pub const CONTROL_SET: &str = "\\Registry\\Machine\\System\\ControlSet001";

/// A path as keys are found by: lower case, the link followed.
fn normal(path: &str) -> String {
    let path = path.to_lowercase();
    match path.strip_prefix(CURRENT) {
        Some(rest) if rest.is_empty() || rest.starts_with('\\') => {
            format!("{}{rest}", CONTROL_SET.to_lowercase())
        }
        _ => path,
    }
}

/// A name without case.
pub fn same_name(a: &[u16], b: &[u16]) -> bool {
    String::from_utf16_lossy(a).to_lowercase() == String::from_utf16_lossy(b).to_lowercase()
}

struct Key {
    /// The last part of its path, as it was created.
    name: String,
    values: Vec<Value>,
}

/// All keys.
#[derive(Default)]
pub struct Registry {
    keys: BTreeMap<String, Key>,
}

impl Registry {
    /// An empty one.
    pub const fn new() -> Self {
        Self { keys: BTreeMap::new() }
    }

    /// Creates a key with all above it; returns the path that it is found by.
    pub fn create_all(&mut self, path: &str) -> String {
        let mut at = String::new();
        for part in path.split('\\').filter(|part| !part.is_empty()) {
            at = normal(&format!("{at}\\{part}"));
            self.keys.entry(at.clone()).or_insert_with(|| Key { name: part.to_string(), values: Vec::new() });
        }
        at
    }

    /// Opens a key: the path that it is found by.
    pub fn open(&self, path: &str) -> Result<String, Status> {
        let path = normal(path);
        if self.keys.contains_key(&path) { Ok(path) } else { Err(Status::OBJECT_NAME_NOT_FOUND) }
    }

    /// Opens or creates a key whose parent is there; whether it was created.
    pub fn create(&mut self, path: &str) -> Result<(String, bool), Status> {
        if let Ok(found) = self.open(path) {
            return Ok((found, false));
        }
        let (parent, name) = path.rsplit_once('\\').ok_or(Status::INVALID_PARAMETER)?;
        if name.is_empty() {
            return Err(Status::INVALID_PARAMETER);
        }
        self.open(parent)?;
        let found = normal(path);
        self.keys.insert(found.clone(), Key { name: name.to_string(), values: Vec::new() });
        Ok((found, true))
    }

    /// Deletes a key without keys below it.
    pub fn delete(&mut self, path: &str) -> Result<(), Status> {
        if !self.sub_keys(path).is_empty() {
            // STATUS_CANNOT_DELETE
            return Err(Status(0xc000_0121_u32.cast_signed()));
        }
        self.keys.remove(path).map(drop).ok_or(Status::OBJECT_NAME_NOT_FOUND)
    }

    /// Names of the keys below, in order.
    pub fn sub_keys(&self, path: &str) -> Vec<String> {
        let below = format!("{path}\\");
        let inside = self.keys.range(below.clone()..).take_while(|(other, _)| other.starts_with(&below));
        inside
            .filter(|(other, _)| !other[below.len()..].contains('\\'))
            .map(|(_, key)| key.name.clone())
            .collect()
    }

    /// The values of a key; `None` when it was deleted.
    pub fn values(&self, path: &str) -> Option<&[Value]> {
        self.keys.get(path).map(|key| key.values.as_slice())
    }

    /// The name of a key.
    pub fn name(&self, path: &str) -> Option<&str> {
        self.keys.get(path).map(|key| key.name.as_str())
    }

    /// A value by its name.
    pub fn value(&self, path: &str, name: &[u16]) -> Result<&Value, Status> {
        let values = self.values(path).ok_or(KEY_DELETED)?;
        values.iter().find(|value| same_name(&value.name, name)).ok_or(Status::OBJECT_NAME_NOT_FOUND)
    }

    /// Sets a value.
    pub fn set_value(&mut self, path: &str, value: Value) -> Result<(), Status> {
        let key = self.keys.get_mut(path).ok_or(KEY_DELETED)?;
        match key.values.iter_mut().find(|known| same_name(&known.name, &value.name)) {
            Some(known) => *known = value,
            None => key.values.push(value),
        }
        Ok(())
    }

    /// Deletes a value.
    pub fn delete_value(&mut self, path: &str, name: &[u16]) -> Result<(), Status> {
        let key = self.keys.get_mut(path).ok_or(KEY_DELETED)?;
        let before = key.values.len();
        key.values.retain(|value| !same_name(&value.name, name));
        if key.values.len() == before { Err(Status::OBJECT_NAME_NOT_FOUND) } else { Ok(()) }
    }
}

/// `STATUS_KEY_DELETED`
const KEY_DELETED: Status = Status(0xc000_017c_u32.cast_signed());

fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn bytes(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// `KEY_BASIC_INFORMATION` (0), `KEY_NODE_INFORMATION` (1) or `KEY_FULL_INFORMATION` (2) of a key, and the
/// bytes of its fixed part; `None` for a class that is not offered. LastWriteTime is 0, and no key has a
/// class.
pub fn key_information(registry: &Registry, path: &str, class: u32) -> Option<(Vec<u8>, usize)> {
    const NO_CLASS: u32 = u32::MAX;
    let size = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
    let name = bytes(registry.name(path)?);
    match class {
        0 => Some(([words(&[0, 0, 0, size(name.len())]), name].concat(), 16)),
        1 => Some(([words(&[0, 0, 0, NO_CLASS, 0, size(name.len())]), name].concat(), 24)),
        2 => {
            let (below, values) = (registry.sub_keys(path), registry.values(path)?);
            let longest = below.iter().map(|name| bytes(name).len()).max().unwrap_or(0);
            let longest_value = values.iter().map(|value| value.name.len() * 2).max().unwrap_or(0);
            let most_data = values.iter().map(|value| value.data.len()).max().unwrap_or(0);
            let counts = [below.len(), longest, 0, values.len(), longest_value, most_data].map(size);
            Some(([words(&[0, 0, 0, NO_CLASS, 0]), words(&counts)].concat(), 44))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Registry, key_information};
    use crate::portcls::key_value::{REG_DWORD, Value};
    use crate::portcls::status::Status;

    fn value(name: &str, number: u32) -> Value {
        Value { name: name.encode_utf16().collect(), kind: REG_DWORD, data: number.to_le_bytes().to_vec() }
    }
    fn units(name: &str) -> Vec<u16> {
        name.encode_utf16().collect()
    }

    #[test]
    fn keys_are_found_without_case_and_through_the_link() {
        let mut registry = Registry::new();
        let made =
            registry.create_all("\\Registry\\Machine\\System\\ControlSet001\\Services\\Card\\Parameters");
        let found =
            registry.open("\\registry\\MACHINE\\System\\CurrentControlSet\\services\\card\\parameters");
        assert_eq!(found, Ok(made.clone()));
        assert_eq!(registry.name(&made), Some("Parameters"));
        assert_eq!(registry.open("\\Registry\\Machine\\Nothing"), Err(Status::OBJECT_NAME_NOT_FOUND));
    }

    #[test]
    fn a_key_is_created_below_one_that_is_there_and_deleted_when_empty() {
        let mut registry = Registry::new();
        let root = registry.create_all("\\Registry\\Machine");
        assert_eq!(registry.create("\\Registry\\Machine\\A\\B"), Err(Status::OBJECT_NAME_NOT_FOUND));
        let (a, created) = registry.create("\\Registry\\Machine\\A").unwrap();
        assert!(created && !registry.create("\\Registry\\MACHINE\\a").unwrap().1);
        registry.create("\\Registry\\Machine\\A\\B").unwrap();
        assert_eq!((registry.sub_keys(&root), registry.sub_keys(&a)), (vec!["A".into()], vec!["B".into()]));
        assert!(registry.delete(&a).is_err());
        registry.delete("\\registry\\machine\\a\\b").unwrap();
        registry.delete(&a).unwrap();
        assert!(registry.sub_keys(&root).is_empty() && registry.values(&a).is_none());
    }

    #[test]
    fn values_are_set_replaced_and_deleted() {
        let mut registry = Registry::new();
        let key = registry.create_all("\\Registry\\Machine\\A");
        registry.set_value(&key, value("Mode", 1)).unwrap();
        registry.set_value(&key, value("MODE", 2)).unwrap();
        assert_eq!(registry.values(&key).unwrap().len(), 1);
        assert_eq!(registry.value(&key, &units("mode")).unwrap().data, [2, 0, 0, 0]);
        registry.delete_value(&key, &units("mODE")).unwrap();
        assert_eq!(registry.value(&key, &units("Mode")).unwrap_err(), Status::OBJECT_NAME_NOT_FOUND);
    }

    #[test]
    fn information_lies_as_the_documents_say() {
        let mut registry = Registry::new();
        let key = registry.create_all("\\Registry\\Machine\\AB");
        registry.set_value(&key, value("Mode", 1)).unwrap();
        let (basic, fixed) = key_information(&registry, &key, 0).unwrap();
        assert_eq!((&basic[12..], fixed), (&[4, 0, 0, 0, b'A', 0, b'B', 0][..], 16));
        let (full, fixed) = key_information(&registry, &key, 2).unwrap();
        assert_eq!((full.len(), fixed, full[32], full[36], full[40]), (44, 44, 1, 8, 4));
        assert!(key_information(&registry, &key, 9).is_none());
    }
}

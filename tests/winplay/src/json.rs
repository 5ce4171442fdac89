//! One line of JSON, key by key, in ASCII.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use crate::hresult::{self, Hresult};

/// A value that can stand behind a key.
pub trait Value {
    /// Appends its JSON.
    fn write(&self, to: &mut String);
}

/// An object that grows.
#[derive(Clone, Default)]
pub struct Object {
    members: String,
}

impl Object {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a key.
    #[allow(clippy::needless_pass_by_value, reason = "so that callers need no references to numbers")]
    pub fn set(&mut self, key: &str, value: impl Value) -> &mut Self {
        if !self.members.is_empty() {
            self.members.push(',');
        }
        key.write(&mut self.members);
        self.members.push(':');
        value.write(&mut self.members);
        self
    }

    /// Adds a code under a key, and its name under the key with `_name`.
    pub fn set_hresult(&mut self, key: &str, code: Option<Hresult>) -> &mut Self {
        self.set(key, code.map(hresult::text));
        self.set(&format!("{key}_name"), code.and_then(hresult::name))
    }

    /// Adds all of another.
    pub fn append(&mut self, other: &Self) -> &mut Self {
        if !self.members.is_empty() && !other.members.is_empty() {
            self.members.push(',');
        }
        self.members.push_str(&other.members);
        self
    }

    /// The object's JSON.
    pub fn text(&self) -> String {
        format!("{{{}}}", self.members)
    }
}

impl Value for Object {
    fn write(&self, to: &mut String) {
        to.push('{');
        to.push_str(&self.members);
        to.push('}');
    }
}

impl Value for &str {
    fn write(&self, to: &mut String) {
        to.push('"');
        let mut units = [0; 2];
        for character in self.chars() {
            match character {
                '"' | '\\' => {
                    to.push('\\');
                    to.push(character);
                }
                ' '..='~' => to.push(character),
                other => {
                    for unit in other.encode_utf16(&mut units) {
                        // Writing to a String does not fail.
                        let _ = write!(to, "\\u{unit:04x}");
                    }
                }
            }
        }
        to.push('"');
    }
}

impl Value for String {
    fn write(&self, to: &mut String) {
        self.as_str().write(to);
    }
}

impl Value for bool {
    fn write(&self, to: &mut String) {
        to.push_str(if *self { "true" } else { "false" });
    }
}

impl Value for f64 {
    fn write(&self, to: &mut String) {
        if self.is_finite() {
            let _ = write!(to, "{self:.6}");
        } else {
            to.push_str("null");
        }
    }
}

/// Whole numbers are written as they are.
macro_rules! whole {
    ($($number:ty),*) => {$(
        impl Value for $number {
            fn write(&self, to: &mut String) {
                let _ = write!(to, "{self}");
            }
        }
    )*};
}
whole!(u16, u32, i32, u64, i64);

impl<T: Value> Value for Option<T> {
    fn write(&self, to: &mut String) {
        match self {
            Some(value) => value.write(to),
            None => to.push_str("null"),
        }
    }
}

impl<T: Value> Value for Vec<T> {
    fn write(&self, to: &mut String) {
        to.push('[');
        for (at, value) in self.iter().enumerate() {
            if at > 0 {
                to.push(',');
            }
            value.write(to);
        }
        to.push(']');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value as Read;

    /// Every key in a value, however deep.
    fn keys(value: &Read, into: &mut std::collections::BTreeSet<String>) {
        match value {
            Read::Object(members) => {
                for (key, value) in members {
                    into.insert(key.clone());
                    keys(value, into);
                }
            }
            Read::Array(values) => values.iter().for_each(|value| keys(value, into)),
            _ => {}
        }
    }

    /// The example is what the program wrote in Wine; `tests/winplay/run` holds it to what it writes today.
    #[test]
    fn every_key_that_the_program_writes_is_in_the_readme() {
        let (page, example) = (include_str!("../README.md"), include_str!("../example.jsonl"));
        let mut found = std::collections::BTreeSet::new();
        for (number, line) in example.lines().enumerate() {
            let line: Read = serde_json::from_str(line).expect("each line is JSON");
            assert_eq!((&line["winplay"], &line["seq"]), (&1.into(), &number.into()));
            keys(&line, &mut found);
        }
        assert!(found.len() > 60, "only {} keys", found.len());
        for key in found {
            let told = [format!("`{key}`"), format!("\"{key}\"")].iter().any(|quoted| page.contains(quoted));
            // The names of codes are told of once for all.
            assert!(told || key.ends_with("_name"), "README.md says nothing of the key {key}");
        }
    }

    #[test]
    fn a_reader_of_json_finds_what_was_set() {
        let mut inner = Object::new();
        inner.set("db", -1.5).set("nothing", Option::<u32>::None);
        let mut object = Object::new();
        object.set("name", "L\u{e4}rm \"\u{1d11e}\" \\ \u{7f}\n").set("list", alloc::vec![1_u32, 2]);
        object.set("inner", inner).set("bad", f64::NAN).set_hresult("hresult", Some(Hresult(0x8889_0008)));
        let text = object.text();
        assert!(text.is_ascii() && !text.contains('\n'));
        let read: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(read["name"], "L\u{e4}rm \"\u{1d11e}\" \\ \u{7f}\n");
        assert_eq!(read["list"], serde_json::json!([1, 2]));
        assert_eq!(read["inner"], serde_json::json!({"db": -1.5, "nothing": null}));
        assert!(read["bad"].is_null());
        assert_eq!(read["hresult"], "0x88890008");
        assert_eq!(read["hresult_name"], "AUDCLNT_E_UNSUPPORTED_FORMAT");
    }
}

//! The name of an error. Which errors there are is the card's affair.

use std::fmt;

/// Bytes of the longest name.
const NAME_BYTES: usize = 16;
/// In a trace of registers: no error. It is the name of none.
const NO_ERROR: &str = "NONE";

/// The name of an error as the card's datasheet spells it: capital letters, digits and underscores, at most
/// 16 of them. No heap: it is made with the card's lock held.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ErrorName([u8; NAME_BYTES]);

impl ErrorName {
    /// This name; what is no such name is cut off, or an underscore in it.
    pub fn new(name: &str) -> Self {
        let mut bytes = [0; NAME_BYTES];
        for (to, byte) in bytes.iter_mut().zip(name.bytes()) {
            *to = if is_of_a_name(byte) { byte } else { b'_' };
        }
        Self(bytes)
    }

    /// The name that a word is, if it is one.
    pub fn parse(word: &str) -> Option<Self> {
        let fits = (1..=NAME_BYTES).contains(&word.len()) && word.bytes().all(is_of_a_name);
        (fits && word != NO_ERROR).then(|| Self::new(word))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        let bytes = self.0.split(|byte| *byte == 0).next().unwrap_or_default();
        // ASCII, as it was made.
        str::from_utf8(bytes).unwrap_or_default()
    }
}

fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_'
}

impl fmt::Display for ErrorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ErrorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

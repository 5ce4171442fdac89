//! The operating systems a catalog names: Inf2Cat's `/os` words on one side, the words inside a catalog on
//! the other.
//!
//! `10_X64` and `_v100_X64` are proven to belong together (a catalog of a shipping driver). The other words
//! inside were seen in catalogs made by Microsoft; that each belongs to the Inf2Cat word beside it is our
//! reading of the names, not a documented fact. Windows installs a test-signed package by the member hashes
//! and does not look at these words; the dashboard that grants Microsoft's own signature writes new ones. So
//! `10_X64` alone is right under any reading.

/// The pairs known here: the word of Inf2Cat, the word in the catalog.
pub const KNOWN: &[(&str, &str)] = &[
    ("10_X64", "_v100_X64"),
    ("10_RS5_X64", "_v100_X64_RS5"),
    ("10_19H1_X64", "_v100_X64_19H1"),
    ("10_VB_X64", "_v100_X64_Vb"),
    ("10_CO_X64", "_v100_X64_21H2"),
    ("10_NI_X64", "_v100_X64_22H2"),
    ("10_GE_X64", "_v100_X64_24H2"),
];

/// A word that is none of Inf2Cat's known here, nor one as catalogs have it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown operating system {0:?}; known are {known}, or a word as catalogs have it, such as _v100_X64", known = known())]
pub struct UnknownSystem(String);

fn known() -> String {
    KNOWN.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// The word in a catalog for a word of Inf2Cat; a word that begins with `_v` is taken for one in a catalog
/// already.
///
/// # Errors
/// The word is neither.
pub fn in_catalog(word: &str) -> Result<String, UnknownSystem> {
    if let Some((_, inside)) = KNOWN.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)) {
        return Ok((*inside).to_owned());
    }
    let plain = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if word.starts_with("_v") && plain {
        return Ok(word.to_owned());
    }
    Err(UnknownSystem(word.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_both_kinds_are_understood() {
        assert_eq!(in_catalog("10_x64").unwrap(), "_v100_X64");
        assert_eq!(in_catalog("_v100_ARM64").unwrap(), "_v100_ARM64");
        assert!(
            in_catalog("Vista").unwrap_err().to_string().contains("\"Vista\"; known are 10_X64, 10_RS5_X64")
        );
        assert!(in_catalog("_v100,_v63").is_err());
    }
}

//! The two hashes by which a catalog knows a file.
use crate::authenticode::{self, PeError};
use sha1::{Digest, Sha1};
use sha2::Sha256;

/// How a file is hashed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A program: Authenticode's hash, without checksum and signatures.
    Pe,
    /// Anything else: all its bytes as they are.
    Flat,
}

/// A file's hashes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hashes {
    /// How they were made.
    pub kind: Kind,
    /// SHA-1. Weak by itself; Windows before 8 knew no other, and Inf2Cat still writes it.
    pub sha1: [u8; 20],
    /// SHA-256.
    pub sha256: [u8; 32],
}

/// Hashes a file as Windows does: by what it is, not by what it is called.
///
/// # Errors
/// The file begins with `MZ` but is not a program whose hash is defined. It would be hashed in one way or
/// another by different versions of Windows, so that it has no place in a catalog.
pub fn hashes(file: &[u8]) -> Result<Hashes, PeError> {
    if !file.starts_with(b"MZ") {
        return Ok(of(Kind::Flat, &[file]));
    }
    let parts = authenticode::hashed_parts(file)?;
    Ok(of(Kind::Pe, &parts))
}

fn of(kind: Kind, parts: &[&[u8]]) -> Hashes {
    let (mut sha1, mut sha256) = (Sha1::new(), Sha256::new());
    for part in parts {
        sha1.update(part);
        sha256.update(part);
    }
    Hashes { kind, sha1: sha1.finalize().into(), sha256: sha256.finalize().into() }
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn a_flat_file_is_hashed_as_it_is() {
        // FIPS 180's example "abc".
        let abc = hashes(b"abc").unwrap();
        assert_eq!(abc.kind, Kind::Flat);
        assert_eq!(hex(&abc.sha1), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(hex(&abc.sha256), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn a_line_end_changes_a_flat_hash() {
        assert_ne!(hashes(b"[Version]\r\n").unwrap().sha256, hashes(b"[Version]\n").unwrap().sha256);
    }

    #[test]
    fn a_program_is_known_by_its_contents() {
        assert_eq!(hashes(&sample::driver()).unwrap().kind, Kind::Pe);
        assert!(hashes(b"MZ and no more").is_err());
    }
}

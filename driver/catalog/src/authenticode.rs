//! Which bytes of a program its Authenticode hash covers, and the checksum of its header.
//!
//! Source: Microsoft's "Windows Authenticode Portable Executable Signature Format" (version 1.0),
//! "Calculating the PE image hash", and the PE format specification. All bytes count but three: the checksum,
//! the data directory's entry for the signatures, and the signatures at the end of the file. So a file can be
//! signed after its hash is in a catalog.
//!
//! The format hashes the sections in the order of their place in the file and then what follows; this hashes
//! the file from front to end, which is the same for any file whose sections lie one after the other
//! ([`crate::pe`] checks that of a driver).
use std::ops::Range;

/// Why a file has no Authenticode hash.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PeError {
    /// A header is outside the file or has the wrong mark.
    #[error("it begins like a program (MZ) but has no valid {0}")]
    Header(&'static str),
    /// The signatures' place in the file makes no sense.
    #[error(
        "its signatures (offset {offset:#x}, {size:#x} bytes) are not what ends the file ({file:#x} bytes)"
    )]
    Signatures {
        /// Their offset in the file by the data directory.
        offset: u32,
        /// Their size in bytes.
        size: u32,
        /// The file's size in bytes.
        file: usize,
    },
}

/// Where in a file the bytes lie that do not count.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Layout {
    /// The header's checksum: 4 bytes.
    pub checksum: Range<usize>,
    /// The data directory's entry for the signatures: 8 bytes.
    pub directory_entry: Range<usize>,
    /// The signatures: from here to the end of the file. Its end if there are none.
    pub signatures: usize,
}

/// Zeros to hash behind an unsigned file whose size is no multiple of 8: signing pads with zeros first.
const PADDING: [u8; 8] = [0; 8];

/// Finds the bytes that do not count.
///
/// # Errors
/// The file is not a PE32 or PE32+ image, or something follows its signatures.
pub fn layout(file: &[u8]) -> Result<Layout, PeError> {
    if !file.starts_with(b"MZ") {
        return Err(PeError::Header("DOS header"));
    }
    let pe = read_u32(file, 0x3C).ok_or(PeError::Header("DOS header"))? as usize;
    if file.get(pe..).is_none_or(|rest| !rest.starts_with(b"PE\0\0")) {
        return Err(PeError::Header("PE header"));
    }
    // Behind the mark (4 bytes) and the COFF header (20 bytes). `pe` is below 4 GiB: no overflow on 64 bits.
    let optional = pe + 24;
    let directory = match file.get(optional..optional + 2) {
        Some([0x0B, 0x01]) => optional + 96,
        Some([0x0B, 0x02]) => optional + 112,
        _ => return Err(PeError::Header("optional header")),
    };
    // The signatures are entry 4; the number of entries is the field before the first.
    if read_u32(file, directory - 4).is_none_or(|entries| entries <= 4) {
        return Err(PeError::Header("data directory with an entry for signatures"));
    }
    let entry = directory + 4 * 8;
    let (Some(offset), Some(size)) = (read_u32(file, entry), read_u32(file, entry + 4)) else {
        return Err(PeError::Header("data directory"));
    };
    let signatures = if offset == 0 && size == 0 { file.len() } else { offset as usize };
    let end = signatures.checked_add(size as usize);
    if signatures < entry + 8 || signatures > file.len() || end != Some(file.len()) {
        return Err(PeError::Signatures { offset, size, file: file.len() });
    }
    Ok(Layout { checksum: optional + 64..optional + 68, directory_entry: entry..entry + 8, signatures })
}

/// The bytes that count, in order.
///
/// # Errors
/// As [`layout`].
pub fn hashed_parts(file: &[u8]) -> Result<[&[u8]; 4], PeError> {
    let at = layout(file)?;
    let part = |range: Range<usize>| file.get(range).ok_or(PeError::Header("header"));
    let signed = at.signatures < file.len();
    let missing = if signed { 0 } else { file.len().wrapping_neg() % 8 };
    Ok([
        part(0..at.checksum.start)?,
        part(at.checksum.end..at.directory_entry.start)?,
        part(at.directory_entry.end..at.signatures)?,
        PADDING.get(..missing).unwrap_or_default(),
    ])
}

/// The checksum the header should have: 16-bit words added with end-around carry, the checksum itself as
/// zero, plus the file's size (what `ImageHlp`'s `CheckSumMappedFile` computes). Windows refuses a driver
/// whose checksum is wrong.
///
/// # Errors
/// As [`layout`].
pub fn checksum(file: &[u8]) -> Result<u32, PeError> {
    let field = layout(file)?.checksum;
    let mut sum = 0u64;
    for (index, word) in file.chunks(2).enumerate() {
        let at = |offset: usize| {
            let counts = !field.contains(&(index * 2 + offset));
            u64::from(word.get(offset).copied().filter(|_| counts).unwrap_or(0))
        };
        sum += at(0) | at(1) << 8;
    }
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    // The format has 32 bits for it; a driver of 4 GiB does not exist.
    let size = u32::try_from(file.len()).map_err(|_| PeError::Header("size"))?;
    Ok(u32::try_from(sum).unwrap_or(0).wrapping_add(size))
}

/// A little-endian number in a file, none if it lies outside.
pub(crate) fn read_u32(file: &[u8], at: usize) -> Option<u32> {
    let bytes = file.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{Kind, hashes};
    use crate::sample;
    use proptest::prelude::*;

    /// What signing does to a file: a table at the end, its place in the directory, another checksum.
    fn signed(mut file: Vec<u8>) -> Vec<u8> {
        let at = layout(&file).unwrap();
        file.resize(file.len().next_multiple_of(8), 0);
        let offset = u32::try_from(file.len()).unwrap();
        file.extend_from_slice(&[0x5A; 24]);
        file[at.directory_entry.start..][..4].copy_from_slice(&offset.to_le_bytes());
        file[at.directory_entry.start + 4..][..4].copy_from_slice(&24u32.to_le_bytes());
        let sum = checksum(&file).unwrap();
        file[at.checksum].copy_from_slice(&sum.to_le_bytes());
        file
    }

    #[test]
    fn signing_does_not_change_the_hash() {
        for extra in 0..8 {
            let mut file = sample::driver();
            file.resize(file.len() + extra, 0x11);
            assert_eq!(hashes(&file), hashes(&signed(file.clone())), "{extra} bytes over a multiple of 8");
        }
    }

    #[test]
    fn what_follows_the_signatures_is_refused() {
        let mut file = signed(sample::driver());
        file.push(0);
        assert!(matches!(hashes(&file), Err(PeError::Signatures { .. })));
    }

    #[test]
    fn the_linkers_checksum_is_ours() {
        // The number in this header was computed by hand in the sample, with the definition's other form.
        let file = sample::driver();
        let at = layout(&file).unwrap();
        assert_eq!(read_u32(&file, at.checksum.start), Some(checksum(&file).unwrap()));
    }

    proptest! {
        #[test]
        fn every_byte_that_counts_changes_the_hash(at in any::<prop::sample::Index>(), flip in 1u8..) {
            let file = sample::driver();
            let skipped = layout(&file).unwrap();
            let index = at.index(file.len());
            let mut changed = file.clone();
            changed[index] ^= flip;
            let counts = !skipped.checksum.contains(&index) && !skipped.directory_entry.contains(&index);
            match hashes(&changed) {
                // A header was destroyed; or MZ itself, and the file is no program any more.
                Err(_) => prop_assert!(counts || skipped.directory_entry.contains(&index)),
                Ok(hash) if hash.kind == Kind::Flat => prop_assert!(index < 2),
                Ok(hash) => prop_assert_eq!(hash != hashes(&file).unwrap(), counts),
            }
        }

        #[test]
        fn any_bytes_give_an_answer(mut file in prop::collection::vec(any::<u8>(), 0..700), mz in any::<bool>()) {
            if mz && file.len() > 0x40 {
                file[..2].copy_from_slice(b"MZ");
                file[0x3C..0x40].copy_from_slice(&[0x40, 0, 0, 0]);
            }
            let _ = (hashes(&file), checksum(&file));
        }

        #[test]
        fn a_cut_program_gives_an_answer(length in 0usize..4096) {
            let file = sample::driver();
            let _ = hashes(&file[..length.min(file.len())]);
        }
    }
}

//! What a crash dump of 64-bit Windows says of the crash: the head of `MEMORY.DMP`. Source: QEMU's
//! `win_dump_defs.h`; *doubt*: no dump of Windows was read here.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const STOP_CODE: usize = 0x38;
const PARAMETERS: usize = 0x40;

/// The dump in this folder that tells the most: its name, and where it is.
pub fn largest(folder: &Path) -> Option<(String, PathBuf)> {
    let files = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    let dumps = files.filter(|path| path.extension().is_some_and(|end| end.eq_ignore_ascii_case("dmp")));
    let path = dumps.max_by_key(|path| path.metadata().map_or(0, |metadata| metadata.len()))?;
    Some((path.file_name()?.to_string_lossy().into_owned(), path))
}

/// The stop code and its parameters, if the file is such a dump.
pub fn stop_code(dump: &Path) -> Option<String> {
    let mut head = [0; PARAMETERS + 32];
    File::open(dump).ok()?.read_exact_at(&mut head, 0).ok()?;
    head.starts_with(b"PAGEDU64").then_some(())?;
    let code = u32::from_le_bytes(*head.get(STOP_CODE..)?.first_chunk()?);
    let (parameters, _) = head.get(PARAMETERS..)?.as_chunks::<8>();
    let parameters: Vec<String> =
        parameters.iter().map(|bytes| format!("{:#x}", u64::from_le_bytes(*bytes))).collect();
    Some(format!("stop code {code:#x} ({})", parameters.join(", ")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]
    use super::*;

    #[test]
    fn the_largest_dump_is_named_and_none_where_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(largest(&folder.path().join("dump")), None);
        std::fs::write(folder.path().join("notes.txt"), [0; 99]).unwrap();
        assert_eq!(largest(folder.path()), None);
        for (name, bytes) in [("112826-01.dmp", 10), ("MEMORY.DMP", 20)] {
            std::fs::write(folder.path().join(name), vec![0; bytes]).unwrap();
        }
        assert_eq!(largest(folder.path()).map(|(name, _)| name).as_deref(), Some("MEMORY.DMP"));
    }

    #[test]
    fn head_of_a_dump_is_read_and_another_file_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("MEMORY.DMP");
        let mut dump = vec![0; 8192];
        dump[..8].copy_from_slice(b"PAGEDU64");
        dump[0x38..0x3C].copy_from_slice(&0xD1u32.to_le_bytes());
        dump[0x40..0x48].copy_from_slice(&0xFFFF_8000_0000_0010u64.to_le_bytes());
        dump[0x58..0x60].copy_from_slice(&7u64.to_le_bytes());
        std::fs::write(&path, &dump).unwrap();
        assert_eq!(stop_code(&path).as_deref(), Some("stop code 0xd1 (0xffff800000000010, 0x0, 0x0, 0x7)"));
        std::fs::write(&path, &dump[1..]).unwrap();
        assert_eq!(stop_code(&path), None);
        std::fs::write(&path, b"PAGEDU64").unwrap();
        assert_eq!(stop_code(&path), None);
        assert_eq!(stop_code(folder.path()), None);
    }
}

//! Whether two paths name one file: a command that is told to write both would lose one of them.

use std::fs::{canonicalize, metadata, read_link};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Links that are followed, as the kernel does it.
const LINKS_MAX: u32 = 40;

/// Whether two paths name one file, whatever their spelling, also one that is not there yet.
pub fn is_one_file(one: &Path, other: &Path) -> bool {
    match (metadata(one), metadata(other)) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        (Err(_), Err(_)) => target(one).is_some_and(|name| Some(name) == target(other)),
        _ => false,
    }
}

/// Where a file that is not there yet will be: its folder in its one spelling, and the name in it. A link
/// that leads nowhere yet is followed.
fn target(path: &Path) -> Option<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = canonicalize(folder).ok()?;
        let whole = folder.join(path.file_name()?);
        match read_link(&whole) {
            Ok(to) => path = folder.join(to),
            Err(_) => return Some(whole),
        }
    }
    None
}

//! The guest's initramfs: an archive in cpio's `newc` format, as the kernel's buffer-format document
//! describes it. Each entry is a header of 110 ASCII bytes, the name with a NUL, and the contents, each
//! filled up to a multiple of four bytes.

use std::{fs, os::unix::ffi::OsStrExt, path::Path};

use crate::error::Error;

/// An archive that is being put together.
#[derive(Debug, Default)]
pub struct Initramfs {
    bytes: Vec<u8>,
    entries: u32,
}

/// `c_mode` of a folder, everybody may look into it.
const FOLDER: u32 = 0o040_755;
/// `c_mode` of a file that may be run.
const PROGRAM: u32 = 0o100_755;
/// `c_mode` of a symbolic link, whose contents are where it leads.
const SYMBOLIC_LINK: u32 = 0o120_777;
/// `c_mode` of a character device.
const CHARACTER_DEVICE: u32 = 0o020_600;

impl Initramfs {
    /// An archive with the console, without which the first process would have no voice.
    pub fn new() -> Self {
        let mut archive = Self::default();
        for folder in ["dev", "proc", "sys", "tmp"] {
            archive.entry(folder, FOLDER, (0, 0), &[]);
        }
        archive.entry("dev/console", CHARACTER_DEVICE, (5, 1), &[]);
        archive
    }

    /// Adds an empty folder.
    pub fn add_folder(&mut self, name: &str) {
        self.entry(name, FOLDER, (0, 0), &[]);
    }

    /// Adds what is in the host's folder `from` to the folder `to`, which is there: files, folders, symbolic
    /// links. In the order of their names, so that equal inputs make equal archives.
    ///
    /// # Errors
    /// [`Error::Failed`] if something cannot be read, or its name is not UTF-8.
    pub fn add_tree(&mut self, to: &str, from: &Path) -> Result<(), Error> {
        let unreadable = |e: std::io::Error| Error::file("read", from, &e);
        let mut entries: Vec<_> = fs::read_dir(from).and_then(Iterator::collect).map_err(unreadable)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (path, kind) = (entry.path(), entry.file_type().map_err(unreadable)?);
            let file_name = entry.file_name();
            let name = file_name.to_str();
            let name = name.ok_or_else(|| Error::failed(format!("{}: not UTF-8", path.display())))?;
            let name = if to.is_empty() { name.to_owned() } else { format!("{to}/{name}") };
            if kind.is_dir() {
                self.add_folder(&name);
                self.add_tree(&name, &path)?;
            } else if kind.is_symlink() {
                let target = fs::read_link(&path).map_err(unreadable)?;
                self.entry(&name, SYMBOLIC_LINK, (0, 0), target.as_os_str().as_bytes());
            } else if kind.is_file() {
                self.add_file(&name, &path)?;
            }
        }
        Ok(())
    }

    /// Adds a file `name`, a path without the first slash, whose folder is there.
    pub fn add(&mut self, name: &str, contents: &[u8]) {
        self.entry(name, PROGRAM, (0, 0), contents);
    }

    /// Adds the host's file `from` as `name`.
    ///
    /// # Errors
    /// [`Error::Failed`] if it can't be read or is larger than the format allows (4 GiB).
    pub fn add_file(&mut self, name: &str, from: &Path) -> Result<(), Error> {
        let contents = fs::read(from).map_err(|e| Error::file("read", from, &e))?;
        if u32::try_from(contents.len()).is_err() {
            return Err(Error::Failed(format!("{} is too large for an initramfs", from.display())));
        }
        self.add(name, &contents);
        Ok(())
    }

    /// The archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: u32, device: (u32, u32), contents: &[u8]) {
        self.entries += 1;
        let (ino, links, zero) = (self.entries, 1, 0);
        let size = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        let (major, minor) = device;
        let (file_size, name_size) = (size(contents.len()), size(name.len() + 1));
        // uid, gid, mtime and the check sum are 0, so that equal inputs make equal archives.
        let fields =
            [ino, mode, zero, zero, links, zero, file_size, zero, zero, major, minor, name_size, zero];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.fill_up();
        self.bytes.extend_from_slice(contents);
        self.fill_up();
    }

    fn fill_up(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads an archive back, by the format's description: name, mode, contents.
    fn read(bytes: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let (mut at, mut entries) = (0, Vec::new());
        while at < bytes.len() {
            assert_eq!(&bytes[at..at + 6], b"070701");
            let field = |n: usize| {
                let text = std::str::from_utf8(&bytes[at + 6 + 8 * n..][..8]).expect("ASCII");
                u32::from_str_radix(text, 16).expect("hexadecimal")
            };
            let (mode, file_size, name_size) = (field(1), field(6) as usize, field(11) as usize);
            let name = at + 110;
            let contents = (name + name_size).next_multiple_of(4);
            assert_eq!(bytes[name + name_size - 1], 0, "names end with a NUL");
            let text = String::from_utf8(bytes[name..name + name_size - 1].to_vec()).expect("UTF-8");
            entries.push((text, mode, bytes[contents..contents + file_size].to_vec()));
            at = (contents + file_size).next_multiple_of(4);
        }
        entries
    }

    #[test]
    fn what_goes_in_comes_out() {
        let mut archive = Initramfs::new();
        archive.add("init", b"hello");
        archive.add("empty", b"");
        let entries = read(&archive.finish());
        let names: Vec<&str> = entries.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(names, ["dev", "proc", "sys", "tmp", "dev/console", "init", "empty", "TRAILER!!!"]);
        assert_eq!(entries[5].1, 0o100_755);
        assert_eq!(entries[5].2, b"hello");
    }
}

//! The disk that a run's guest writes to, and what is taken from it: WINDOWS.md, 6 and 11.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;

use super::fat32::{Entry, Volume};
use crate::error::Error;

/// The file by which the guest finds the disk.
pub const MARKER: &str = "ringwave-out.txt";
const BYTES: u64 = 8 << 30;
const SECTOR: u64 = 512;
/// Where the partition begins, in sectors.
const START: u64 = 2048;
/// FAT32, its sectors counted from the disk's start.
const FAT32_LBA: u8 = 0x0C;

/// What is taken at most.
const FILES_MAX: usize = 4_000;
const DEPTH_MAX: usize = 8;
/// Characters of a name.
const NAME_MAX: usize = 120;

/// Makes an empty one at `path`; it takes room as it is written.
///
/// # Errors
/// [`Error::Failed`] with what mtools say.
pub fn make(path: &Path) -> Result<(), Error> {
    let failed = |error| Error::file("write", path, &error);
    let mut disk = File::create_new(path).map_err(failed)?;
    let sectors = BYTES / SECTOR - START;
    let written = disk.set_len(BYTES).and_then(|()| {
        disk.seek(SeekFrom::Start(446))?;
        disk.write_all(&partition_table(sectors))
    });
    written.map_err(failed)?;
    let image: OsString =
        [path.as_os_str(), OsStr::new(&format!("@@{}", START * SECTOR))].into_iter().collect();
    let sectors = sectors.to_string();
    // 32 KiB a cluster: the tables have 1 MiB.
    let geometry =
        ["-F", "-c", "64", "-h", "255", "-s", "63", "-H", "2048", "-v", "RINGWAVE", "-T", &sectors];
    mtools("mformat", &image, &geometry.map(OsStr::new), "::")?;
    let marker = path.with_file_name(MARKER);
    fs::write(&marker, "What the guest writes beside this file is read by the host.\r\n")
        .map_err(|error| Error::file("write", &marker, &error))?;
    mtools("mcopy", &image, &[marker.as_os_str()], &format!("::/{MARKER}"))?;
    fs::remove_file(&marker).map_err(|error| Error::file("remove", &marker, &error))
}

/// One partition, and the end of the sector.
fn partition_table(sectors: u64) -> [u8; 66] {
    let mut table = [0; 66];
    let low = |number: u64| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
    // No cylinders: what reads them finds a place beyond.
    table[..8].copy_from_slice(&[0, 0xFE, 0xFF, 0xFF, FAT32_LBA, 0xFE, 0xFF, 0xFF]);
    table[8..12].copy_from_slice(&low(START));
    table[12..16].copy_from_slice(&low(sectors));
    table[64..].copy_from_slice(&[0x55, 0xAA]);
    table
}

fn mtools(program: &str, image: &OsStr, arguments: &[&OsStr], last: &str) -> Result<(), Error> {
    let mut command = Command::new(program);
    command.arg("-i").arg(image).args(arguments).arg(last).env("MTOOLS_SKIP_CHECK", "1");
    let done = command.output();
    let done = done.map_err(|error| Error::Failed(format!("cannot start {program} of mtools: {error}")))?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    Err(Error::Failed(format!("{program} could not make the guest's disk: {}", said.trim())))
}

/// Copies what the guest wrote into the folder `to`; gives what was left out or is not whole.
///
/// # Errors
/// [`Error::Failed`] if the disk can't be read as one, or a file can't be written.
pub fn take(disk: &Path, to: &Path) -> Result<Vec<String>, Error> {
    let file = File::open(disk).map_err(|error| Error::file("read", disk, &error))?;
    let volume = Volume::open(&file).map_err(|error| {
        Error::Failed(format!("what the guest left on its out disk cannot be read: {error}"))
    })?;
    let mut taking = Taking { volume, files: 0, bytes: BYTES, left_out: Vec::new() };
    if !taking.volume.is_clean() {
        taking
            .left_out
            .push("what Windows had not written to the out disk yet: files may be incomplete".into());
    }
    let root = taking.volume.root().map_err(Error::failed)?;
    let root = root.into_iter().filter(|entry| !is_ours_or_windows(&entry.name)).collect();
    taking.folder(root, to, 0)?;
    Ok(taking.left_out)
}

fn is_ours_or_windows(name: &str) -> bool {
    [MARKER, "System Volume Information", "$RECYCLE.BIN"].iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// A copy on its way.
struct Taking<'a> {
    volume: Volume<'a>,
    files: usize,
    /// How many more may be written: clusters that several files claim would be more than the disk has.
    bytes: u64,
    left_out: Vec<String>,
}

impl Taking<'_> {
    fn folder(&mut self, entries: Vec<Entry>, to: &Path, depth: usize) -> Result<(), Error> {
        let names = host_names(&entries);
        for (entry, name) in entries.into_iter().zip(names) {
            self.files += 1;
            if self.files > FILES_MAX {
                self.leave_out(to, &format!("more than {FILES_MAX} files"));
                break;
            }
            let path = to.join(name);
            if entry.is_folder && depth == DEPTH_MAX {
                self.leave_out(&path, "too deep");
                continue;
            }
            if entry.is_folder {
                let inside = self.volume.list(&entry).map_err(Error::failed)?;
                fs::create_dir_all(&path).map_err(|error| Error::file("create", &path, &error))?;
                self.folder(inside, &path, depth + 1)?;
            } else {
                self.file(&entry, &path)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, entry: &Entry, path: &Path) -> Result<(), Error> {
        let failed = |error| Error::file("write", path, &error);
        let mut file = File::create_new(path).map_err(failed)?;
        let done = self.volume.read(entry, self.bytes, |part| file.write_all(part)).map_err(failed)?;
        self.bytes -= done;
        if done < entry.size {
            self.leave_out(path, &format!("only {done} of {} bytes", entry.size));
        }
        Ok(())
    }

    fn leave_out(&mut self, path: &Path, why: &str) {
        // As many as a person reads; the guest chose the names.
        if self.left_out.len() < 20 {
            self.left_out.push(format!("{}: {why}", path.display()));
        }
    }
}

/// Names that mean nothing to this host, each of them once. What is plain keeps its name, whatever stands
/// before it.
fn host_names(entries: &[Entry]) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let kept: Vec<bool> = entries
        .iter()
        .map(|Entry { name, .. }| plain_name(name) == *name && taken.insert(name.to_lowercase()))
        .collect();
    let name = |(entry, kept): (&Entry, bool)| {
        if kept { entry.name.clone() } else { free_name(&plain_name(&entry.name), &mut taken) }
    };
    entries.iter().zip(kept).map(name).collect()
}

/// The name, or one like it, of characters that mean nothing to a shell or a file system.
fn plain_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._- ".contains(c) { c } else { '_' };
    let name: String = name.chars().take(NAME_MAX).map(plain).collect();
    if name.trim_matches(['.', ' ']).is_empty() { "_".to_owned() } else { name }
}

/// The name with a number before its ending, if it is taken.
fn free_name(name: &str, taken: &mut BTreeSet<String>) -> String {
    let ending = name.rfind('.').filter(|at| *at > 0).unwrap_or(name.len());
    let (stem, ending) = name.split_at_checked(ending).unwrap_or((name, ""));
    let mut free = name.to_owned();
    let mut number = 2;
    while !taken.insert(free.to_lowercase()) {
        free = format!("{stem}-{number}{ending}");
        number += 1;
    }
    free
}

#[cfg(test)]
#[path = "out_disk_tests.rs"]
mod tests;

//! Reads a FAT32 file system that a guest wrote, and believes nothing of it: every number is checked, every
//! walk has an end. Source: Microsoft's *FAT: General Overview of On-Disk Format*, 1.03.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Largest allocation table that is read: 32 MiB are 8 million clusters.
const TABLE_MAX: u64 = 32 << 20;
/// Entries of a folder that are looked at.
const ENTRIES_MAX: usize = 65_536;
const ENTRY: usize = 32;
const FOLDER: u8 = 0x10;
const VOLUME_LABEL: u8 = 0x08;
const LONG_NAME: u8 = 0x0F;
const DELETED: u8 = 0xE5;
/// Pieces of a long name, 13 characters each.
const LONG_MAX: u8 = 20;
/// In the table's second entry: whoever wrote last has written everything.
const CLEAN: u32 = 1 << 27;

/// A file system in a partition.
pub struct Volume<'a> {
    disk: &'a File,
    /// The first cluster's place, in bytes.
    data: u64,
    cluster_bytes: u64,
    table: Vec<u8>,
    root: u32,
}

/// A file or a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// As the guest named it.
    pub name: String,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Bytes of a file.
    pub size: u64,
    first: u32,
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

impl<'a> Volume<'a> {
    /// The one in the first partition of the disk.
    ///
    /// # Errors
    /// What the system says, or what is no FAT32.
    pub fn open(disk: &'a File) -> io::Result<Self> {
        let mut sector = [0; 512];
        disk.read_exact_at(&mut sector, 0)?;
        let start = u32_at(&sector, 0x1C6).filter(|_| sector.ends_with(&[0x55, 0xAA]));
        let start = u64::from(start.ok_or_else(|| bad("no partition table"))?) * 512;
        disk.read_exact_at(&mut sector, start)?;
        Self::from_boot_sector(disk, start, &sector).ok_or_else(|| bad("no FAT32"))?
    }

    fn from_boot_sector(disk: &'a File, start: u64, boot: &[u8; 512]) -> Option<io::Result<Self>> {
        let sector = u64::from(u16_at(boot, 11)?);
        let per_cluster = u64::from(*boot.get(13)?);
        let known = [512, 1024, 2048, 4096].contains(&sector) && per_cluster.is_power_of_two();
        // FAT16 and FAT12 have their table's size here.
        let is_fat32 = boot.ends_with(&[0x55, 0xAA]) && u16_at(boot, 22)? == 0;
        let table_bytes = u64::from(u32_at(boot, 36)?) * sector;
        if !known || !is_fat32 || table_bytes == 0 || table_bytes > TABLE_MAX {
            return None;
        }
        let first_table = start + u64::from(u16_at(boot, 14)?) * sector;
        let mut table = vec![0; usize::try_from(table_bytes).ok()?];
        if let Err(error) = disk.read_exact_at(&mut table, first_table) {
            return Some(Err(error));
        }
        let data = first_table + u64::from(*boot.get(16)?) * table_bytes;
        Some(Ok(Self { disk, data, cluster_bytes: sector * per_cluster, table, root: u32_at(boot, 44)? }))
    }

    /// Whether the guest has written all that it held back.
    pub fn is_clean(&self) -> bool {
        u32_at(&self.table, 4).is_some_and(|entry| entry & CLEAN != 0)
    }

    /// What is in the root.
    ///
    /// # Errors
    /// As [`Volume::list`].
    pub fn root(&self) -> io::Result<Vec<Entry>> {
        self.entries(self.root)
    }

    /// What is in a folder, without `.` and `..`.
    ///
    /// # Errors
    /// What the system says.
    pub fn list(&self, folder: &Entry) -> io::Result<Vec<Entry>> {
        self.entries(folder.first)
    }

    fn entries(&self, first: u32) -> io::Result<Vec<Entry>> {
        let (mut found, mut long) = (Vec::new(), LongName::default());
        let mut cluster = vec![0; usize::try_from(self.cluster_bytes).unwrap_or(0)];
        let most = (ENTRIES_MAX * ENTRY).div_ceil(cluster.len().max(1));
        for place in self.clusters(first).take(most) {
            self.disk.read_exact_at(&mut cluster, place)?;
            for entry in cluster.as_chunks::<ENTRY>().0 {
                match entry {
                    [0, ..] => return Ok(found),
                    [DELETED, ..] => long.clear(),
                    _ if entry[11] & 0x3F == LONG_NAME => long.add(entry),
                    _ => {
                        let name = long.take().unwrap_or_else(|| short_name(entry));
                        found.extend(Entry::read(entry, name));
                    }
                }
            }
        }
        Ok(found)
    }

    /// Places of the clusters from this one on. A chain that comes back to itself ends there.
    fn clusters(&self, first: u32) -> impl Iterator<Item = u64> {
        let mut next = first;
        let mut seen = HashSet::new();
        std::iter::from_fn(move || {
            let cluster = next & 0x0FFF_FFFF;
            let entry = u32_at(&self.table, usize::try_from(cluster).ok()?.checked_mul(4)?)?;
            if cluster < 2 || !seen.insert(cluster) {
                return None;
            }
            next = entry;
            Some(self.data + u64::from(cluster - 2) * self.cluster_bytes)
        })
    }

    /// Gives a file's bytes to `write`, up to `most`; how many those were. Less than its size: the file is
    /// cut off, by `most` or because its clusters end before.
    ///
    /// # Errors
    /// What the system or `write` says.
    pub fn read(
        &self,
        file: &Entry,
        most: u64,
        mut write: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<u64> {
        let mut cluster = vec![0; usize::try_from(self.cluster_bytes).unwrap_or(0)];
        let (wanted, mut done) = (file.size.min(most), 0);
        for place in self.clusters(file.first) {
            let bytes = (wanted - done).min(self.cluster_bytes);
            let part = cluster.get_mut(..usize::try_from(bytes).unwrap_or(0)).unwrap_or_default();
            if part.is_empty() {
                break;
            }
            self.disk.read_exact_at(part, place)?;
            write(part)?;
            done += bytes;
        }
        Ok(done)
    }
}

impl Entry {
    /// An empty file.
    #[cfg(test)]
    pub fn named(name: &str) -> Self {
        Self { name: name.into(), is_folder: false, size: 0, first: 0 }
    }

    /// `None`: a label, or a folder's own entries.
    fn read(entry: &[u8; ENTRY], name: String) -> Option<Self> {
        let kind = entry[11];
        if kind & VOLUME_LABEL != 0 || name == "." || name == ".." {
            return None;
        }
        let first = u32::from(u16_at(entry, 20)?) << 16 | u32::from(u16_at(entry, 26)?);
        Some(Self { name, is_folder: kind & FOLDER != 0, size: u64::from(u32_at(entry, 28)?), first })
    }
}

/// The pieces of a long name, which come before the entry, the last one first.
#[derive(Default)]
struct LongName {
    pieces: Vec<[u16; 13]>,
    /// The number of the next one.
    next: u8,
}

impl LongName {
    fn clear(&mut self) {
        self.pieces.clear();
        self.next = 0;
    }

    fn add(&mut self, entry: &[u8; ENTRY]) {
        let number = entry[0] & 0x3F;
        if entry[0] & 0x40 != 0 {
            self.clear();
            self.next = number;
        }
        if number == 0 || number > LONG_MAX || number != self.next {
            return self.clear();
        }
        let places = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
        self.pieces.push(places.map(|at| u16_at(entry, at).unwrap_or(0)));
        self.next -= 1;
    }

    /// The whole name, if all its pieces came.
    fn take(&mut self) -> Option<String> {
        let whole = self.next == 0 && !self.pieces.is_empty();
        let units: Vec<u16> =
            self.pieces.iter().rev().flatten().copied().take_while(|unit| *unit != 0).collect();
        self.clear();
        whole.then(|| String::from_utf16_lossy(&units))
    }
}

/// `NAME.EXT`, in small letters where Windows' own bits say so.
fn short_name(entry: &[u8; ENTRY]) -> String {
    let part = |bytes: &[u8], small: bool| {
        let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
        let text = text.trim_end().to_owned();
        if small { text.to_lowercase() } else { text }
    };
    let (name, ending) = entry[..11].split_at(8);
    let (name, ending) = (part(name, entry[12] & 0x08 != 0), part(ending, entry[12] & 0x10 != 0));
    if ending.is_empty() { name } else { format!("{name}.{ending}") }
}

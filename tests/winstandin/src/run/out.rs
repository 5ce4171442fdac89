//! The out disk: the volume with `\ringwave-out.txt`, written through the firmware's FAT.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::fat::{self, Damage, Sectors};
use crate::firmware::{Disk, File, Firmware, Status, buffer};

pub const MARKER: &str = "\\ringwave-out.txt";
/// `EFI_VOLUME_FULL`.
const VOLUME_FULL: Status = 1 << (usize::BITS - 1) | 0xB;

/// The volume's root, and the disk that it is on.
pub struct OutDisk {
    root: File,
    disk: Disk,
}

/// The disk could not be written; whether it is full.
#[derive(Clone, Copy, Debug)]
pub struct NotWritten {
    pub status: Status,
}

impl NotWritten {
    pub fn text(self) -> String {
        match self.status {
            VOLUME_FULL => "there is not enough space on the disk".into(),
            status => format!("the out disk takes nothing: EFI status {status:#x}"),
        }
    }
}

impl From<Status> for NotWritten {
    fn from(status: Status) -> Self {
        Self { status }
    }
}

impl OutDisk {
    /// The first one; none if no volume has the marker.
    pub fn find(firmware: &Firmware) -> Option<Self> {
        let (root, port) = firmware.volume_with(MARKER)?;
        let disk = firmware.disks().into_iter().find(|disk| disk.is_writable() && disk.port() == port)?;
        Some(Self { root, disk })
    }

    /// The port of AHCI that it is on.
    pub fn port(&self) -> Option<u16> {
        self.disk.port()
    }

    /// Whether it is partitioned and formatted as the contract has it; else how.
    pub fn check(&self) -> Result<(), String> {
        fat::check(&self.disk)
    }

    /// Adds to a file, and makes it and its folders where they are not there.
    pub fn append(&self, path: &str, data: &[u8]) -> Result<(), NotWritten> {
        Ok(self.file(path)?.append(data)?)
    }

    /// Opens a file to be added to, and makes it and its folders where they are not there.
    pub fn file(&self, path: &str) -> Result<File, NotWritten> {
        for (at, _) in path.match_indices('\\').skip(1) {
            self.folder(path.get(..at).unwrap_or_default())?;
        }
        Ok(self.root.create(path)?)
    }

    /// Makes a folder in one that is there.
    pub fn folder(&self, path: &str) -> Result<(), NotWritten> {
        self.root.create_folder(path)?;
        Ok(())
    }

    /// Does damage below the files.
    pub fn damage(&self, what: Damage) -> bool {
        if what == Damage::Folder && self.folder("\\out").and_then(|()| self.folder("\\out\\ring")).is_err() {
            return false;
        }
        fat::damage(&self.disk, what) && self.disk.flush()
    }
}

impl Sectors for Disk {
    fn count(&self) -> u64 {
        self.blocks()
    }

    fn get(&self, at: u64) -> Option<Vec<u8>> {
        self.block(at)
    }

    fn put(&self, at: u64, sector: &[u8]) -> bool {
        let mut data = buffer(sector.len());
        data.bytes().copy_from_slice(sector);
        self.write(at, data.bytes())
    }
}

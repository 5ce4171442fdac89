//! What a process holds, as `/proc` tells it: for tests that look whether something is left behind.

use std::{fs, path::PathBuf};

use ringwave_runner::error::Error;

/// What a process holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessUsage {
    /// Resident memory that is its own (not the guest's RAM, not files), in KiB.
    pub anonymous_kib: u64,
    /// Resident memory in all, in KiB.
    pub resident_kib: u64,
    /// Open descriptors.
    pub descriptors: usize,
    /// Threads.
    pub threads: usize,
    /// Mappings.
    pub maps: usize,
}

impl ProcessUsage {
    /// Of the process with this id.
    ///
    /// # Errors
    /// [`Error::Failed`] if it is gone.
    pub fn of(id: u32) -> Result<Self, Error> {
        let folder = PathBuf::from(format!("/proc/{id}"));
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path).map_err(|e| Error::file("read", &path, &e))
        };
        let count = |name: &str| {
            let path = folder.join(name);
            fs::read_dir(&path).map(Iterator::count).map_err(|e| Error::file("read", &path, &e))
        };
        let status = read("status")?;
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
        };
        Ok(Self {
            anonymous_kib: kib("RssAnon:"),
            resident_kib: kib("VmRSS:"),
            descriptors: count("fd")?,
            threads: count("task")?,
            maps: read("maps")?.lines().count(),
        })
    }
}

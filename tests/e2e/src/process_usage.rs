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
    /// WAV files among them: a card has one open for each stream that plays at that moment.
    pub sounds: usize,
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
        let descriptors = folder.join("fd");
        let listed = fs::read_dir(&descriptors).map_err(|e| Error::file("read", &descriptors, &e))?;
        // One that is closed meanwhile leads nowhere.
        let descriptors: Vec<PathBuf> =
            listed.flatten().filter_map(|entry| fs::read_link(entry.path()).ok()).collect();
        let status = read("status")?;
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
        };
        Ok(Self {
            anonymous_kib: kib("RssAnon:"),
            resident_kib: kib("VmRSS:"),
            descriptors: descriptors.len(),
            sounds: descriptors.iter().filter(|to| to.extension().is_some_and(|it| it == "wav")).count(),
            threads: count("task")?,
            maps: read("maps")?.lines().count(),
        })
    }
}

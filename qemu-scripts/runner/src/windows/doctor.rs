//! What this host lacks for a Windows guest, and what to do about it: `qemu-scripts/windows doctor`.

use std::fs::{self, OpenOptions};
use std::path::Path;

use crate::{error::Error, process::is_installed};

/// GiB that an installation takes on the disk, with room for its dump and its updates.
const DISK_GIB: u64 = 40;
/// MiB of memory: 4 GiB for Windows, and what the host itself needs.
const MEMORY_MIB: u64 = 5 * 1024;
/// Windows 11 from build 26080 on restarts at its logo without these.
const FEATURES: [&str; 2] = ["sse4_2", "popcnt"];

/// One thing that was looked at.
struct Finding {
    good: bool,
    what: String,
}

/// Tells each finding in a line.
///
/// # Errors
/// [`Error::Failed`] with the number of those that are not as they should be.
pub fn doctor(mut tell: impl FnMut(&str)) -> Result<(), Error> {
    let findings =
        [kvm(), processor(), memory(), disk(), program("7z", "p7zip-full"), program("xorriso", "xorriso")];
    for Finding { good, what } in &findings {
        tell(&format!("{} {what}", if *good { "ok " } else { "bad" }));
    }
    match findings.iter().filter(|finding| !finding.good).count() {
        0 => Ok(()),
        count => Err(Error::Failed(format!("{count} of {} are not as they should be", findings.len()))),
    }
}

fn finding(good: bool, is: &str, else_do: &str) -> Finding {
    let what = if good { is.to_owned() } else { format!("{is}: {else_do}") };
    Finding { good, what }
}

fn kvm() -> Finding {
    let device = Path::new("/dev/kvm");
    if !device.exists() {
        let next = "turn virtualisation on in the firmware, or rent a runner that has it; without it build takes hours, and is not promised";
        return finding(false, "/dev/kvm is not there", next);
    }
    // As env.sh: there are paravirtual ones that run only modified kernels.
    if !["vmx", "svm"].iter().any(|feature| has_feature(feature)) {
        let next = "take a host, or a runner, with nested virtualisation";
        return finding(false, "/dev/kvm is there, and the processor has neither vmx nor svm", next);
    }
    let opens = OpenOptions::new().read(true).write(true).open(device).is_ok();
    finding(opens, "/dev/kvm", "this user may not open it; add it to the group kvm")
}

/// Whether `/proc/cpuinfo` has this flag.
fn has_feature(name: &str) -> bool {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = text.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    flags.split_whitespace().any(|flag| flag == name)
}

fn processor() -> Finding {
    let has = FEATURES.iter().all(|feature| has_feature(feature));
    finding(has, "SSE4.2 and POPCNT", "Windows 11 24H2 does not start on this processor")
}

/// A number of `/proc/meminfo`, in MiB.
fn memory() -> Finding {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:")).unwrap_or_default();
    let mebibytes =
        line.split_whitespace().next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) >> 10;
    finding(
        mebibytes >= MEMORY_MIB,
        &format!("{mebibytes} MiB of memory free"),
        &format!("{MEMORY_MIB} are wanted; end something, or give the machine less with --memory"),
    )
}

fn disk() -> Finding {
    let free = rustix::fs::statvfs(".").map_or(0, |room| room.f_bavail.saturating_mul(room.f_frsize)) >> 30;
    finding(
        free >= DISK_GIB,
        &format!("{free} GiB free in this folder"),
        &format!("an installation takes up to {DISK_GIB}; go to another folder"),
    )
}

fn program(name: &str, package: &str) -> Finding {
    finding(is_installed(name), name, &format!("apt-get install {package}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finding_is_a_line_and_what_is_missing_has_its_next_step() {
        let mut lines = Vec::new();
        let result = doctor(|line| lines.push(line.to_owned()));
        assert_eq!(lines.len(), 6);
        let missing: Vec<&String> = lines.iter().filter(|line| line.starts_with("bad")).collect();
        assert_eq!(result.is_err(), !missing.is_empty());
        assert!(missing.iter().all(|line| line.contains(": ") && line.lines().count() == 1), "{missing:?}");
        assert!(!program("no-such-program-here", "none").good && program("sh", "dash").good);
    }
}

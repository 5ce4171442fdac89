//! What the sound was made on: what a person asks first who is told of a crackling guest.

use std::fs;
use std::path::Path;

use jiff::Timestamp;

/// [`host`], and whether it has KVM: for a page that does not know how a guest was run.
pub fn machine() -> Vec<(String, String)> {
    let mut rows = host();
    rows.push(("KVM on this host".to_owned(), kvm(Path::new("/dev/kvm"))));
    rows
}

/// Names and values: system, processor, memory, load, program, time.
pub fn host() -> Vec<(String, String)> {
    let mut rows = Vec::new();
    let mut row = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            rows.push((name.to_owned(), value));
        }
    };
    row("time", Some(Timestamp::now().strftime("%F %T UTC").to_string()));
    row("ringwave", Some(env!("CARGO_PKG_VERSION").to_owned()));
    row("kernel", line_of("/proc/version"));
    let processor = key_of("/proc/cpuinfo", "model name");
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    row(
        "processor",
        Some(format!("{count} x {}", processor.unwrap_or_else(|| std::env::consts::ARCH.to_owned()))),
    );
    row("memory", key_of("/proc/meminfo", "MemTotal"));
    row("load", line_of("/proc/loadavg"));
    rows
}

/// Whether this process could use KVM; not whether a guest did.
fn kvm(device: &Path) -> String {
    let shown = device.display();
    match fs::OpenOptions::new().read(true).write(true).open(device) {
        Ok(_) => format!("{shown} can be opened"),
        Err(error) => format!("{shown} cannot be opened: {error}"),
    }
}

fn line_of(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.lines().next()?.trim().to_owned())
}

fn key_of(path: &str, key: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.split(':').next().is_some_and(|name| name.trim() == key))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kvm_is_what_can_be_opened_and_why_not() {
        let folder = tempfile::tempdir().unwrap();
        let device = folder.path().join("kvm");
        assert!(kvm(&device).ends_with("kvm cannot be opened: No such file or directory (os error 2)"));
        fs::write(&device, "").unwrap();
        assert!(kvm(&device).ends_with("kvm can be opened"));
        assert!(machine().iter().any(|(name, _)| name == "KVM on this host"));
        assert!(
            !host().iter().any(|(name, _)| name.contains("KVM")),
            "the page of a run names its accelerator"
        );
    }
}

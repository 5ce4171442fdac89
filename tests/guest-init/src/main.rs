//! The first process of the Linux guest that `qemu-scripts/bringup` boots: it makes the card ready for a
//! userspace driver, runs `ringwave bringup --vfio` on it, and ends the machine with the verdict.
//!
//! It does what an engineer would type on a fresh machine: mount, load modules, bind the card to vfio-pci,
//! run the tool. What it does is told on the console, a line `guest: ...` each; what the tool says goes to
//! the second serial port, and nothing else does. It is linked statically, for there is nothing else in the
//! initramfs but the tool and the kernel's modules.

mod card;
mod config;
mod kernel;
mod tool;

use std::{fs, process::ExitStatus, time::Duration};

use config::Config;
use kernel::Verdict;

/// What went wrong, in one line.
type Failure = String;

fn main() {
    // The console may be gone when this process panics; the kernel's panic then ends the machine.
    let verdict = match run() {
        Ok(verdict) => verdict,
        Err(failure) => {
            say(&format!("FAILED: {failure}"));
            Verdict::Crashed
        }
    };
    say(&format!("ends: {verdict:?}"));
    kernel::end_machine(verdict);
}

/// One line on the console.
fn say(line: &str) {
    println!("guest: {line}");
}

fn run() -> Result<Verdict, Failure> {
    kernel::mount_all()?;
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    say(&format!("kernel {}", release.trim()));
    let config = Config::read("/guest.conf")?;
    for module in &config.modules {
        kernel::load_module(module)?;
    }
    say(&format!("iommu {}", kernel::wait_for_iommu(Duration::from_secs(20))?));
    let mut verdict = Verdict::Ok;
    for run in 1..=config.runs {
        let address = card::wait_for(&config.id, Duration::from_mins(1))?;
        let group = card::bind(&address)?;
        say(&format!("run {run}: card {address}, iommu group {group}, bound to vfio-pci"));
        let status = tool::run(&address, &config.arguments)?;
        say(&format!("run {run}: tool ended: {status}"));
        verdict = verdict.worst(of(status));
        if run < config.runs {
            card::watch_it_leave(&address, Duration::from_mins(2))?;
        }
    }
    Ok(verdict)
}

/// The tool's exit codes: 0 all as expected, 1 not, 2 it could not reach the card or its arguments were no
/// good.
fn of(status: ExitStatus) -> Verdict {
    match status.code() {
        Some(0) => Verdict::Ok,
        Some(1) => Verdict::Failed,
        Some(2) => Verdict::BadInput,
        _ => Verdict::Crashed,
    }
}

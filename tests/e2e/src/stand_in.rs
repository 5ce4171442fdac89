//! The machine in which the stand-in for Windows runs.

use std::time::Duration;

use ringwave_runner::{linux::guest::existing_path, windows::machine::Machine};

/// Small, without KVM and without a card; it tells of a panic. Its limits are counted in minutes of `minute`.
///
/// # Panics
/// There is no QEMU: start through a script of qemu-scripts.
pub fn machine(minute: Duration) -> Machine {
    Machine {
        qemu: existing_path("RINGWAVE_QEMU").expect("a QEMU"),
        kvm: false,
        minute,
        memory_mib: 512,
        processors: 1,
        card: None,
        more: ["-device".into(), "pvpanic".into()].into(),
    }
}

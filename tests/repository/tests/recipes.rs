//! Lines of device/README.md for machines that are not run here: a shell takes them in, and what their tool's
//! own splitting into words leaves of them is what QEMU can read.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The words after `-device` in what a recipe hands to `tool`, split once by a shell for the user and once
/// more, as Proxmox VE's `split_args` and Incus do.
fn devices(tool: &str, line: &str) -> Vec<String> {
    let script = format!(
        r#"set -eu
{tool}() {{ words=("$@"); }}
{line}
last=${{words[-1]#raw.qemu=}}
eval "set -- $last"
while [ $# -gt 0 ]; do
    if [ "$1" = -device ]; then printf '%s\n' "$2"; fi
    shift
done"#
    );
    let output = Command::new("bash").args(["-c", &script]).output().expect("bash");
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect()
}

#[test]
fn the_recipes_for_proxmox_and_incus_give_qemu_a_device_that_it_can_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../device/README.md");
    let text = fs::read_to_string(path).expect("device/README.md");
    for (tool, begins) in [("qm", "    qm set "), ("incus", "    incus config set vm1 raw.qemu=")] {
        let line = text.lines().find(|line| line.starts_with(begins)).expect("the recipe");
        let devices = devices(tool, line);
        let [device] = devices.as_slice() else { panic!("{line}: {devices:?}") };
        let device: serde_json::Value = serde_json::from_str(device).expect("JSON");
        assert_eq!(device["driver"], "vfio-user-pci");
        assert_eq!(device["socket"]["path"], "/run/ringwave/card.sock");
    }
}

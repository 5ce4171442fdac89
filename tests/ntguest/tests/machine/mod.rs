//! The machine of these tests: QEMU with OVMF and the volume that ntguest is started from.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What this variable of the environment names.
pub fn part(variable: &str) -> PathBuf {
    let path = env::var_os(variable)
        .unwrap_or_else(|| panic!("{variable} is not set: start through qemu-scripts/test"));
    PathBuf::from(path)
}

/// QEMU with firmware and volume of `folder`, and nothing else.
pub fn qemu(folder: &Path) -> Command {
    let mut qemu = Command::new(part("RINGWAVE_QEMU"));
    let pflash = |rest: String| format!("if=pflash,format=raw,{rest}");
    qemu.args(["-machine", "q35,memory-backend=ram,max-ram-below-4g=256M", "-m", "512M"]);
    // Firmware parks processors with MWAIT, which does not halt one of TCG's.
    qemu.args(["-cpu", "max,monitor=off"]);
    qemu.args(["-object", "memory-backend-memfd,id=ram,size=512M,share=on"]);
    qemu.args(["-accel", "tcg,thread=multi", "-nodefaults", "-display", "none", "-no-reboot"]);
    qemu.args(["-drive", &pflash(format!("readonly=on,file={}", part("RINGWAVE_OVMF_CODE").display()))]);
    qemu.args(["-drive", &pflash(format!("file={}", folder.join("vars.fd").display()))]);
    let volume = folder.join("volume");
    qemu.args(["-drive", &format!("if=none,id=volume,format=raw,file=fat:rw:{}", volume.display())]);
    qemu.args(["-device", "virtio-blk-pci,drive=volume"]);
    qemu.args(["-device", "isa-debug-exit,iobase=0x501,iosize=4"]);
    qemu.stdin(Stdio::null()).stdout(Stdio::null());
    qemu
}

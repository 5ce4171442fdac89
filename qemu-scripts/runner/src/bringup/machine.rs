//! The machine of a bring-up run: QEMU with a Linux kernel, an IOMMU, and the card behind its socket.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use super::{Iommu, Replug, Request, artefacts::Artefacts, initramfs::Initramfs};
use crate::{
    card::socket,
    error::Error,
    machine::{CPU, Outcome},
    process::ChildGuard,
    qmp::{self, escaped},
};

/// A machine that runs.
pub struct Machine {
    process: ChildGuard,
    folder: PathBuf,
}

/// Writes the guest's initramfs into `folder`.
///
/// # Errors
/// [`Error::Failed`] if a part can't be read or the archive can't be written; [`Error::BadInput`] for an
/// argument the guest's configuration has no way to say.
pub fn write_initramfs(artefacts: &Artefacts, folder: &Path, request: &Request) -> Result<(), Error> {
    let modules = artefacts.modules()?;
    let mut archive = Initramfs::new();
    archive.add_file("init", &artefacts.init)?;
    archive.add_file("ringwave", &artefacts.tool)?;
    for name in &modules {
        archive.add_file(name, &artefacts.kernel.join(name))?;
    }
    archive.add("guest.conf", configuration(&modules, request)?.as_bytes());
    let path = folder.join("initramfs");
    fs::write(&path, archive.finish()).map_err(|e| Error::file("write", &path, &e))
}

/// What `tests/guest-init` reads.
fn configuration(modules: &[String], request: &Request) -> Result<String, Error> {
    let mut text = String::new();
    let mut line = |key: &str, value: &str| text.extend([key, "=", value, "\n"]);
    for name in modules {
        // virtio-iommu does not remap interrupts, and vfio wants to be told that this is known.
        let unsafe_interrupts = request.iommu == Iommu::Virtio && name.starts_with("vfio_iommu_type1.");
        let parameters = if unsafe_interrupts { " allow_unsafe_interrupts=1" } else { "" };
        line("module", &format!("/{name}{parameters}"));
    }
    line("id", "1234:5257");
    line("runs", if request.replug.is_some() { "2" } else { "1" });
    for argument in &request.arguments {
        if argument.contains('\n') {
            return Err(Error::BadInput("an argument for the tool may not hold a line break".into()));
        }
        line("argument", argument);
    }
    Ok(text)
}

/// The card as QEMU's `-device` and `device_add` want it.
pub fn card(folder: &Path) -> Value {
    json!({
        "driver": "vfio-user-pci",
        "id": "card",
        // Behind a port, so that it can leave and come back.
        "bus": "root-port",
        "socket": { "type": "unix", "path": socket(folder) },
    })
}

impl Machine {
    /// Boots the initramfs in `folder`.
    ///
    /// # Errors
    /// [`Error::Failed`] if QEMU can't be started.
    pub fn boot(artefacts: &Artefacts, folder: &Path, request: &Request) -> Result<Self, Error> {
        let kvm = artefacts.accel == "kvm";
        let mut command = Command::new(&artefacts.qemu);
        // Interrupt remapping and KVM's own interrupt chip go together only when it is split.
        let chip = if kvm { ",kernel-irqchip=split" } else { "" };
        command.args(["-machine", &format!("q35,memory-backend=ram{chip}"), "-cpu", CPU, "-smp", "1"]);
        command.args(["-accel", if kvm { "kvm" } else { "tcg,thread=multi" }, "-m", "256M"]);
        let share = if request.share { "on" } else { "off" };
        command.args(["-object", &format!("memory-backend-memfd,id=ram,size=256M,share={share}")]);
        command.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
        // The IOMMU first: QEMU wants it there before the devices behind it.
        command.args(match request.iommu {
            Iommu::Intel => ["-device", "intel-iommu,intremap=on,caching-mode=on"],
            // A card that leaves goes back to bypass, for which QEMU maps all memory; when the card's process
            // is dead it cannot, and ends the machine ("vfio: DMA mapping failed, unable to continue", QEMU
            // 11.1).
            Iommu::Virtio if request.replug == Some(Replug::AfterACrash) => {
                ["-device", "virtio-iommu-pci,boot-bypass=off"]
            }
            Iommu::Virtio => ["-device", "virtio-iommu-pci"],
        });
        command.args(["-device", "pcie-root-port,id=root-port,chassis=1,slot=1"]);
        command.arg("-device").arg(card(folder).to_string());
        command
            .arg("-kernel")
            .arg(artefacts.kernel.join("vmlinuz"))
            .arg("-initrd")
            .arg(folder.join("initramfs"));
        // panic=-1 with -no-reboot: a guest whose kernel gives up ends the run at once. no_timer_check: the
        // kernel counts timer ticks against the CPU's speed, and on a busy host without KVM it takes a late
        // tick for a broken interrupt controller ("timer doesn't work through Interrupt-remapped IO-APIC").
        let line =
            "console=ttyS0 loglevel=4 panic=-1 no_timer_check intel_iommu=on mitigations=off rdinit=/init";
        command.args(["-append", line]);
        for log in ["guest.log", "tool.log"] {
            command.arg("-serial").arg(file_chardev(&folder.join(log))?);
        }
        command.args(["-device", "isa-debug-exit,iobase=0x501,iosize=4"]);
        command.args(qmp::option(folder)?);
        let process = ChildGuard::spawn_logged("QEMU", &mut command, &folder.join("qemu.log"))?;
        Ok(Self { process, folder: folder.to_owned() })
    }

    /// How the machine ended, if it did.
    ///
    /// # Errors
    /// [`Error::Failed`] if the system can't tell.
    pub fn try_wait(&mut self) -> Result<Option<Outcome>, Error> {
        Ok(self.process.try_wait()?.map(Outcome::from))
    }

    /// What QEMU said.
    pub fn qemu_log(&self) -> String {
        fs::read_to_string(self.folder.join("qemu.log")).unwrap_or_default().trim().to_owned()
    }
}

fn file_chardev(path: &Path) -> Result<String, Error> {
    Ok(format!("file:{}", escaped(path)?))
}

//! The machine that Windows runs in: WINDOWS.md, 2 and 6.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::error::Error;
use crate::linux::guest::{existing_path, ovmf};
use crate::linux::guest_card;
use crate::machine::{CPU, vfio_user_device};
use crate::qmp::{self, escaped};

/// The name of the disk in the machine's folder.
pub const DISK: &str = "windows.qcow2";
/// What the guest says on COM1, in the machine's folder.
pub const SERIAL: &str = "serial.log";

/// The card in the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum GuestCard {
    /// Ringwave's own
    #[default]
    Ringwave,
    /// virtio-snd
    Virtio,
    /// HD Audio, which Windows has a driver for
    Hda,
}

impl GuestCard {
    /// As `ringwave serve --card` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ringwave => "ringwave",
            Self::Virtio => "virtio",
            Self::Hda => "hda",
        }
    }

    fn qemu_arguments(self, socket: &Path) -> Vec<String> {
        match self {
            Self::Ringwave => ["-device".into(), vfio_user_device(socket).to_string()].into(),
            Self::Virtio => guest_card::GuestCard::Virtio.qemu_arguments(socket, 0),
            Self::Hda => guest_card::GuestCard::Hda.qemu_arguments(socket, 0),
        }
    }
}

/// What a machine is like.
#[derive(Clone, Debug)]
pub struct Machine {
    /// A QEMU with the device `vfio-user-pci`.
    pub qemu: PathBuf,
    /// Whether KVM is used.
    pub kvm: bool,
    /// How long a minute of the limits is: WINDOWS.md, 4.
    pub minute: Duration,
    /// The memory in MiB.
    pub memory_mib: u64,
    /// Processors.
    pub processors: u32,
    /// The card and where it listens.
    pub card: Option<(GuestCard, PathBuf)>,
    /// More arguments for QEMU.
    pub more: Vec<String>,
}

/// What starts first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Firmware {
    /// OVMF, which starts anything.
    #[default]
    Open,
    /// OVMF with Secure Boot: it starts what Microsoft has signed.
    SecureBoot,
}

impl Firmware {
    /// QEMU's arguments, with variables of its own in `folder`.
    pub(super) fn arguments(self, folder: &Path) -> Result<Vec<String>, Error> {
        if self == Self::Open {
            return ovmf(folder).map(Vec::from);
        }
        let (code, vars) = (existing_path("RINGWAVE_OVMF_SECURE_CODE")?, folder.join("vars.fd"));
        let from = existing_path("RINGWAVE_OVMF_SECURE_VARS")?;
        fs::copy(from, &vars).map_err(|error| Error::file("write", &vars, &error))?;
        // Only the firmware itself, in system management mode, may write the variables.
        let mut arguments = vec!["-machine".into(), "smm=on".into()];
        arguments.extend(["-global".into(), "driver=cfi.pflash01,property=secure,value=on".into()]);
        for (unit, more, file) in [(0, ",readonly=on", &code), (1, "", &vars)] {
            let drive = format!("if=pflash,unit={unit},format=raw{more},file={}", escaped(file)?);
            arguments.extend(["-drive".into(), drive]);
        }
        Ok(arguments)
    }
}

/// What is in the drives of a machine.
#[derive(Clone, Copy, Debug)]
pub enum Media<'a> {
    /// An empty disk, Windows' own CD, and the answer CD.
    Installation {
        /// Microsoft's.
        iso: &'a Path,
        /// Ours.
        answer: &'a Path,
    },
    /// A disk with Windows, the run CD, and the out disk. A reset stops the machine.
    Run {
        /// What the agent is on.
        cd: &'a Path,
        /// Where it writes.
        out: &'a Path,
    },
}

impl Machine {
    /// QEMU's command line for a machine whose disk, sockets and logs are in `folder`. `firmware`: from
    /// [`Firmware::arguments`] or [`ovmf`].
    pub(super) fn command(
        &self,
        folder: &Path,
        firmware: &[String],
        media: Media<'_>,
    ) -> Result<Command, Error> {
        let mut command = Command::new(&self.qemu);
        command.args(["-machine", "q35,memory-backend=ram", "-smp", &self.processors.to_string()]);
        command.args(["-accel", if self.kvm { "kvm" } else { "tcg,thread=multi" }, "-cpu", self.processor()]);
        let memory = self.memory_mib;
        command.args(["-m", &format!("{memory}M")]);
        command.args(["-object", &format!("memory-backend-memfd,id=ram,size={memory}M,share=on")]);
        command.args(["-nodefaults", "-no-user-config", "-display", "none", "-vga", "std", "-nic", "none"]);
        command.args(["-rtc", "base=utc", "-no-shutdown", "-action", "panic=none"]);
        command.args(firmware);
        let drive = |options: &str, path: &Path| Ok(format!("{options},file={}", escaped(path)?));
        let disk = drive("if=none,id=disk,format=qcow2,cache=unsafe,discard=unmap", &folder.join(DISK))?;
        command.args(["-drive", &disk, "-device", "ide-hd,drive=disk,bus=ide.0,bootindex=1"]);
        let cds = match media {
            Media::Installation { iso, answer } => {
                vec![("iso", "ide.1,bootindex=2", iso), ("answer", "ide.2", answer)]
            }
            Media::Run { cd, .. } => vec![("run", "ide.1", cd)],
        };
        for (name, bus, path) in cds {
            let cd = drive(&format!("if=none,id={name},media=cdrom,format=raw,readonly=on"), path)?;
            command.args(["-drive", &cd, "-device", &format!("ide-cd,drive={name},bus={bus}")]);
        }
        if let Media::Run { out, .. } = media {
            let out = drive("if=none,id=out,format=raw,cache=unsafe", out)?;
            command.args(["-drive", &out, "-device", "ide-hd,drive=out,bus=ide.2", "-no-reboot"]);
        }
        command.args(["-device", "qemu-xhci", "-device", "usb-tablet"]);
        // Of a run's boots one goes on where the other ended.
        let serial = escaped(&folder.join(SERIAL))?;
        command.args([
            "-chardev",
            &format!("file,id=com1,append=on,path={serial}"),
            "-serial",
            "chardev:com1",
        ]);
        command.args(qmp::option(folder)?);
        if let Some((card, socket)) = &self.card {
            command.args(card.qemu_arguments(socket));
        }
        command.args(&self.more);
        Ok(command)
    }

    /// With KVM what QEMU's documents advise for Windows, and `hv-crash`, which tells the stop code: not run
    /// here, where there is no KVM.
    fn processor(&self) -> &'static str {
        if self.kvm {
            "host,hv-relaxed,hv-vapic,hv-spinlocks=0x1fff,hv-vpindex,hv-runtime,hv-time,hv-synic,hv-stimer,\
             hv-frequencies,hv-tlbflush,hv-ipi,hv-crash"
        } else {
            CPU
        }
    }
}

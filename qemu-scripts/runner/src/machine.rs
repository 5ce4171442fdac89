//! The machine of a run: QEMU with OVMF, the guest's volume, and the card behind its socket.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::Duration,
};

use crate::{artefacts::Artefacts, error::Error, process::ChildGuard, qmp, request::CardKind};

/// The processors of a guest, as QEMU's `-cpu` takes them: all that QEMU emulates but MONITOR and MWAIT.
/// Firmware parks the processors that a guest has not started with them, and TCG's MWAIT does not halt a
/// processor: it would keep one of the host's busy.
pub const CPU: &str = "max,monitor=off";

/// What QEMU's exit status says of the guest (isa-debug-exit gives `2 * value + 1`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The guest is content.
    Ok,
    /// The guest saw violations or its own checks failed.
    Failed,
    /// A fault, bug check or panic ended the guest.
    Crashed,
    /// The guest could not use what it was given.
    BadInput,
    /// QEMU itself failed.
    Qemu(Option<i32>),
}

impl From<ExitStatus> for Outcome {
    fn from(status: ExitStatus) -> Self {
        match status.code() {
            Some(33) => Self::Ok,
            Some(35) => Self::Failed,
            Some(37) => Self::Crashed,
            Some(39) => Self::BadInput,
            other => Self::Qemu(other),
        }
    }
}

/// How the guest's memory is given to the card.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    /// As it must be: the card maps the guest's memory.
    #[default]
    On,
    /// `share=off`: the card is given a file that is not the guest's memory.
    Off,
    /// No memory backend: the card is given no file at all.
    NoBackend,
}

/// What a machine is like.
#[derive(Clone, Copy, Debug)]
pub struct MachineOptions {
    /// The guest's memory in MiB.
    pub ram_mib: u64,
    /// How the card gets at it.
    pub sharing: Sharing,
    /// A reset of the guest is a reset; otherwise it ends QEMU.
    pub reboots: bool,
    /// The guest's processors. With one of them TCG makes plain accesses of locked instructions.
    pub processors: u32,
    /// A virtio card is behind a root port, as libvirt puts it. Only there QEMU gives it what PCI Express
    /// has: power states, and a reset of the function.
    pub root_port: bool,
    /// Where the guest's time comes from.
    pub time: GuestTime,
}

/// Where the guest's time comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum GuestTime {
    /// The host's clock: a busy host is a guest that is late.
    #[default]
    Host,
    /// The instructions that the guest has executed, one processor at a time; while all wait, time goes on to
    /// the next timer at once (`-icount`, TCG alone). A busy host makes nobody late but whoever waits for a
    /// disk. For devices of QEMU's own, which go by the same count; one in another process goes by the host's
    /// clock.
    Instructions,
}

impl Default for MachineOptions {
    /// What a run of ntguest has, without room for music.
    fn default() -> Self {
        Self {
            ram_mib: 512,
            sharing: Sharing::On,
            reboots: false,
            processors: 1,
            root_port: false,
            time: GuestTime::Host,
        }
    }
}

/// Where the guest's low memory ends: half of 512 MiB lies above 4 GiB, so that 64-bit addresses are the
/// rule.
pub const LOW_RAM_END: u64 = 256 << 20;

/// MiB of guest memory with room for a WAV file of `wav_bytes`.
pub fn ram_for(wav_bytes: u64) -> u64 {
    MachineOptions::default().ram_mib + wav_bytes.div_ceil(64 << 20) * 64
}

/// A card over vfio-user at `socket`, as QEMU's `-device` wants it.
pub fn vfio_user_device(socket: &Path) -> serde_json::Value {
    serde_json::json!({ "driver": "vfio-user-pci", "socket": { "type": "unix", "path": socket } })
}

/// A machine that runs.
pub struct Machine {
    process: ChildGuard,
    folder: PathBuf,
}

/// Puts the guest's volume together in `folder/volume`.
///
/// # Errors
/// [`Error::Failed`] if a file can't be written.
pub fn make_volume(artefacts: &Artefacts, folder: &Path, wav: &Path, config: &str) -> Result<(), Error> {
    let volume = folder.join("volume");
    let boot = volume.join("EFI/BOOT");
    fs::create_dir_all(&boot).map_err(|e| Error::file("create", &boot, &e))?;
    let copy = |from: &Path, to: PathBuf| {
        fs::copy(from, &to).map(drop).map_err(|e| Error::file("copy to the guest's volume", from, &e))
    };
    copy(&artefacts.ntguest, boot.join("BOOTX64.EFI"))?;
    copy(&artefacts.driver, volume.join("RINGWAVE.SYS"))?;
    copy(wav, volume.join("MUSIC.WAV"))?;
    copy(&artefacts.ovmf_vars, folder.join("vars.fd"))?;
    let path = volume.join("NTGUEST.CFG");
    fs::write(&path, config).map_err(|e| Error::file("write", &path, &e))
}

impl Machine {
    /// Boots the volume in `folder` with the card at `socket`; `wav_bytes` is added to the guest's memory.
    ///
    /// # Errors
    /// [`Error::Failed`] if QEMU can't be started.
    pub fn boot(
        artefacts: &Artefacts,
        folder: &Path,
        socket: &Path,
        wav_bytes: u64,
        processors: u32,
    ) -> Result<Self, Error> {
        let options = MachineOptions { ram_mib: ram_for(wav_bytes), processors, ..MachineOptions::default() };
        Self::boot_with(artefacts, folder, socket, options)
    }

    /// Boots the volume in `folder` with the card at `socket`.
    ///
    /// # Errors
    /// [`Error::Failed`] if QEMU can't be started.
    pub fn boot_with(
        artefacts: &Artefacts,
        folder: &Path,
        socket: &Path,
        options: MachineOptions,
    ) -> Result<Self, Error> {
        let device = ["-device".into(), vfio_user_device(socket).to_string()];
        Self::boot_device(artefacts, folder, &device, options)
    }

    /// Boots the volume in `folder` with a card of this kind at `socket`.
    ///
    /// # Errors
    /// [`Error::Failed`] if QEMU can't be started.
    pub fn boot_card(
        artefacts: &Artefacts,
        folder: &Path,
        (kind, socket): (CardKind, &Path),
        options: MachineOptions,
    ) -> Result<Self, Error> {
        if kind == CardKind::Ringwave {
            return Self::boot_with(artefacts, folder, socket, options);
        }
        let chardev = format!("socket,id=card,path={}", socket.display());
        let mut device = vec!["-chardev", &chardev, "-device"];
        if options.root_port {
            device.extend(["pcie-root-port,id=root-port,chassis=1", "-device"]);
        }
        device.push(if options.root_port {
            "vhost-user-snd-pci,chardev=card,bus=root-port"
        } else {
            "vhost-user-snd-pci,chardev=card"
        });
        let device: Vec<String> = device.into_iter().map(String::from).collect();
        // Under TCG with one processor kicks are lost (VIRTIO-SND.md); the guest need not start the second.
        let options = MachineOptions { processors: options.processors.max(2), ..options };
        Self::boot_device(artefacts, folder, &device, options)
    }

    /// Boots the volume in `folder` with the device that these arguments give to QEMU.
    ///
    /// # Errors
    /// [`Error::Failed`] if QEMU can't be started.
    pub fn boot_device(
        artefacts: &Artefacts,
        folder: &Path,
        device: &[String],
        options: MachineOptions,
    ) -> Result<Self, Error> {
        let ram_mib = options.ram_mib;
        let path = |name: &str| folder.join(name).display().to_string();
        let mut command = Command::new(&artefacts.qemu);
        let mut machine = format!("q35,max-ram-below-4g={LOW_RAM_END}");
        if options.sharing != Sharing::NoBackend {
            machine.push_str(",memory-backend=ram");
            // share=on: without it the card would be given a copy of the guest's memory.
            let share = if options.sharing == Sharing::On { "on" } else { "off" };
            let backend = format!("memory-backend-memfd,id=ram,size={ram_mib}M,share={share}");
            command.args(["-object", &backend]);
        }
        command.args(["-machine", &machine, "-cpu", CPU, "-smp", &options.processors.to_string()]);
        match options.time {
            GuestTime::Host if artefacts.accel == "kvm" => command.args(["-accel", "kvm"]),
            GuestTime::Host => command.args(["-accel", "tcg,thread=multi"]),
            // 8 ns an instruction, about what TCG executes here: a guest that computes takes the time that it
            // is told.
            GuestTime::Instructions => {
                command.args(["-accel", "tcg,thread=single", "-icount", "shift=3,align=off,sleep=off"])
            }
        };
        command.args(["-m", &format!("{ram_mib}M")]);
        command.args(["-nodefaults", "-no-user-config", "-display", "none"]);
        if !options.reboots {
            command.arg("-no-reboot");
        }
        let code = artefacts.ovmf_code.display();
        command.args(["-drive", &format!("if=pflash,unit=0,format=raw,readonly=on,file={code}")]);
        command.args(["-drive", &format!("if=pflash,unit=1,format=raw,file={}", path("vars.fd"))]);
        command.args(["-drive", &format!("if=none,id=volume,format=raw,file=fat:rw:{}", path("volume"))]);
        command.args(["-device", "virtio-blk-pci,drive=volume,bootindex=0"]);
        command.args(["-debugcon", &format!("file:{}", path("guest.log"))]);
        command.args(["-global", "isa-debugcon.iobase=0x402"]);
        // What a recording client heard, byte by byte.
        command.args(["-chardev", &format!("file,id=recorded,path={}", path("recorded.raw"))]);
        command.args(["-device", "isa-debugcon,iobase=0x404,chardev=recorded"]);
        command.args(["-device", "isa-debug-exit,iobase=0x501,iosize=4"]);
        command.args(qmp::option(folder)?);
        command.args(device);
        let process = ChildGuard::spawn_logged("QEMU", &mut command, &folder.join("qemu.log"))?;
        Ok(Self { process, folder: folder.to_owned() })
    }

    /// Waits for the guest's end; `None` after `limit`.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when the user wants to stop.
    pub fn wait(
        &mut self,
        limit: Duration,
        meanwhile: impl FnMut() -> Result<(), Error>,
    ) -> Result<Option<Outcome>, Error> {
        Ok(self.wait_for_exit(limit, meanwhile)?.map(Outcome::from))
    }

    /// Waits for QEMU's end, and says how it ended; `None` after `limit`.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when the user wants to stop.
    pub fn wait_for_exit(
        &mut self,
        limit: Duration,
        meanwhile: impl FnMut() -> Result<(), Error>,
    ) -> Result<Option<ExitStatus>, Error> {
        self.process.wait(limit, meanwhile)
    }

    /// QEMU's process id.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Kills QEMU (SIGKILL).
    ///
    /// # Errors
    /// [`Error::Failed`] if the system can't.
    pub fn kill(mut self) -> Result<(), Error> {
        self.process.kill()
    }

    /// What a recording client wrote out.
    ///
    /// # Errors
    /// [`Error::Failed`] if it can't be read.
    pub fn recorded(&self) -> Result<Vec<u8>, Error> {
        let path = self.folder.join("recorded.raw");
        fs::read(&path).map_err(|e| Error::file("read", &path, &e))
    }

    /// The guest's debug console so far.
    pub fn guest_log(&self) -> String {
        fs::read(self.folder.join("guest.log"))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// What QEMU said.
    pub fn qemu_log(&self) -> String {
        fs::read_to_string(self.folder.join("qemu.log")).unwrap_or_default()
    }
}

//! The guest: Debian's kernel with its own sound drivers, the root that `qemu-scripts/lib/linux-guest.sh`
//! unpacked, what it is to do, and QEMU around it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{bringup::initramfs::Initramfs, error::Error, machine::CPU, process::ChildGuard};

/// What the guest runs first.
const INIT: &str = include_str!("init.sh");

/// Files and programs of a run.
#[derive(Clone, Debug)]
pub struct Artefacts {
    /// The program `ringwave`. `RINGWAVE_BIN`.
    pub ringwave: PathBuf,
    /// QEMU. `RINGWAVE_QEMU`.
    pub qemu: PathBuf,
    /// The folder with the kernel, its modules and the root. `RINGWAVE_LINUX_GUEST`.
    pub guest: PathBuf,
    /// `kvm` or `tcg`. `RINGWAVE_ACCEL`, default `tcg`.
    pub accel: String,
}

impl Artefacts {
    /// Reads the environment.
    ///
    /// # Errors
    /// [`Error::BadInput`] names the first variable that is missing or that names nothing.
    pub fn from_env() -> Result<Self, Error> {
        Ok(Self {
            ringwave: existing_path("RINGWAVE_BIN")?,
            qemu: existing_path("RINGWAVE_QEMU")?,
            guest: existing_path("RINGWAVE_LINUX_GUEST")?,
            accel: env::var("RINGWAVE_ACCEL").unwrap_or_else(|_| "tcg".into()),
        })
    }
}

/// What `variable` of the environment names.
///
/// # Errors
/// [`Error::BadInput`] if it is not set or names nothing.
pub fn existing_path(variable: &str) -> Result<PathBuf, Error> {
    env::var_os(variable).map(PathBuf::from).filter(|path| path.exists()).ok_or_else(|| {
        let line = "is not set, or names nothing: start through a script of qemu-scripts";
        Error::BadInput(format!("the environment variable {variable} {line}"))
    })
}

/// The start of the guest's archive: its first process, its modules, those of HD Audio too if `hda`, and its
/// steps in the shell of `init.sh`.
///
/// # Errors
/// [`Error::Failed`] if a module can't be read.
pub fn archive(artefacts: &Artefacts, steps: &str, hda: bool) -> Result<Initramfs, Error> {
    let mut archive = Initramfs::new();
    for folder in ["modules", "modules-hda"].into_iter().take(if hda { 2 } else { 1 }) {
        archive.add_folder(folder);
        archive.add_tree(folder, &artefacts.guest.join(folder))?;
    }
    archive.add("init", INIT.as_bytes());
    archive.add("steps", steps.as_bytes());
    Ok(archive)
}

/// Writes the archive where [`boot`] finds it.
///
/// # Errors
/// [`Error::Failed`] if it can't be written.
pub fn write(archive: Initramfs, folder: &Path) -> Result<(), Error> {
    let path = folder.join("initramfs");
    fs::write(&path, archive.finish()).map_err(|e| Error::file("write", &path, &e))
}

/// QEMU's arguments for UEFI firmware (`RINGWAVE_OVMF_CODE`, `RINGWAVE_OVMF_VARS`), with a store of variables
/// in `folder`.
///
/// # Errors
/// [`Error::BadInput`] if it is not set up; [`Error::Failed`] if the store can't be written.
pub fn ovmf(folder: &Path) -> Result<[String; 4], Error> {
    let (code, vars) = (existing_path("RINGWAVE_OVMF_CODE")?, folder.join("vars.fd"));
    fs::copy(existing_path("RINGWAVE_OVMF_VARS")?, &vars).map_err(|e| Error::file("write", &vars, &e))?;
    let drive = |unit, more: &str, file: &Path| {
        format!("if=pflash,unit={unit},format=raw{more},file={}", file.display())
    };
    Ok(["-drive".into(), drive(0, ",readonly=on", &code), "-drive".into(), drive(1, "", &vars)])
}

/// Boots the archive in `folder`, with QEMU's `devices`. The first serial line, the kernel's console, goes to
/// `console.log`; the second, on which the guest speaks, to `speech` as QEMU's `-serial` takes it.
///
/// # Errors
/// [`Error::Failed`] if QEMU can't be started.
pub fn boot(
    artefacts: &Artefacts,
    folder: &Path,
    megabytes: u64,
    speech: &str,
    devices: &[String],
) -> Result<ChildGuard, Error> {
    let mut command = Command::new(&artefacts.qemu);
    // Threads with names: whoever measures tells the guest's processors from the device's.
    command.args(["-name", "guest,debug-threads=on"]);
    command.args(["-machine", "q35,memory-backend=ram", "-cpu", CPU, "-m", &format!("{megabytes}M")]);
    // Under TCG one processor loses kicks (VIRTIO-SND.md says what the card does about it).
    command.args(["-smp", "2", "-accel", if artefacts.accel == "kvm" { "kvm" } else { "tcg,thread=multi" }]);
    command.args(["-object", &format!("memory-backend-memfd,id=ram,size={megabytes}M,share=on")]);
    command.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
    command.args(devices);
    command.arg("-kernel").arg(artefacts.guest.join("vmlinuz")).arg("-initrd").arg(folder.join("initramfs"));
    // As in a bring-up: a kernel that gives up ends the run, and a busy host is no broken interrupt.
    let line = "console=ttyS0 loglevel=4 panic=-1 no_timer_check mitigations=off rdinit=/init";
    command.args(["-append", line]);
    command.arg("-serial").arg(format!("file:{}", folder.join("console.log").display()));
    command.args(["-serial", speech]);
    ChildGuard::spawn_logged("QEMU", &mut command, &folder.join("qemu.log"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::Stdio;

    use super::*;

    /// What `init.sh` takes of these lines of the kernel's log.
    fn taken(log: &str) -> String {
        let grep = INIT.split_once("busybox dmesg | busybox grep ").expect("its grep").1;
        let (flags, grep) = grep.split_once(" '").expect("its flags");
        let (pattern, _) = grep.split_once('\'').expect("its pattern");
        let mut command = Command::new("grep");
        command.args([flags, pattern]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut grep = command.spawn().expect("grep");
        grep.stdin.take().expect("a pipe").write_all(log.as_bytes()).expect("is read");
        String::from_utf8(grep.wait_with_output().expect("grep ends").stdout).expect("text")
    }

    #[test]
    fn of_the_kernels_log_faults_and_sound_are_taken_but_no_debug_line() {
        let faults = "\
[    9.1] virtio_snd virtio0: control message timed out
[    9.2] BUG: kernel NULL pointer dereference, address: 0000000000000008
[    9.3] WARNING: CPU: 0 PID: 7 at sound/core/pcm_lib.c:186
[    9.4] Oops: Oops: 0002 [#1] PREEMPT SMP
[    9.5] snd_hda_intel 0000:00:03.0: no codecs found!
[    9.6] hdaudio hdaudioC0D0: no AFG or MFG node found
";
        let others = "\
[    3.1] PM: suspend debug: Waiting for 5 second(s).
[    3.2] Freezing user space processes completed (elapsed 0.001 seconds)
";
        assert_eq!(taken(&format!("{others}{faults}")), faults);
    }
}

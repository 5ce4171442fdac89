//! The run CD, and the overlay over the image: WINDOWS.md, 6.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::command;
use super::device::DeviceSteps;
use crate::error::Error;
use crate::windows::machine::GuestCard;
use crate::windows::media::{crlf, write_iso};

/// What runs in Windows, by its name in `\ringwave`.
pub const SCRIPTS: [(&str, &str); 5] = [
    ("stage.cmd", include_str!("../cd/stage.cmd")),
    ("run.cmd", include_str!("../cd/run.cmd")),
    ("sound.ps1", include_str!("../cd/sound.ps1")),
    ("sound.cmd", include_str!("../cd/sound.cmd")),
    ("device.cmd", include_str!("../cd/device.cmd")),
];
/// Characters of a name that Joliet, and Windows, have not.
const NOT_IN_A_NAME: &str = "*/:;?\\\"<>|";
/// Characters of a name in Joliet.
const NAME_MAX: usize = 103;
const DEPTH_MAX: usize = 16;

/// What the instance ids of the card's devices begin with.
pub fn card_ids(card: GuestCard) -> &'static str {
    match card {
        GuestCard::Ringwave => r"PCI\VEN_1234&DEV_5257",
        GuestCard::Virtio => r"PCI\VEN_1AF4&DEV_1059",
        // The controller is an ICH9's; the codec is ours (HDA.md).
        GuestCard::Hda => r"PCI\VEN_8086&DEV_293E HDAUDIO\FUNC_01&VEN_1234&DEV_5248",
    }
}

/// What a boot's agent is told.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The boot after a crash: only the dump is wanted.
    pub dump: bool,
    /// Its number in the run, from 1.
    pub boot: u32,
    /// Without KVM: how many times as long Windows takes for anything.
    pub slower: u32,
    /// The card in the machine.
    pub card: GuestCard,
    /// What is asked of its device.
    pub device: DeviceSteps,
    /// The exit code by which the program asks for a restart.
    pub reboot_code: Option<u32>,
}

impl Settings {
    fn lines(&self) -> String {
        let reboot_code = self.reboot_code.map_or(String::new(), |code| code.to_string());
        [
            ("STEP", if self.dump { "dump" } else { "run" }.to_owned()),
            ("BOOT", self.boot.to_string()),
            ("CARD", self.card.name().to_owned()),
            ("CARD_IDS", card_ids(self.card).to_owned()),
            ("REBOOT_CODE", reboot_code),
        ]
        .into_iter()
        .chain(self.device.settings(self.slower))
        .fold(String::new(), |text, (name, value)| text + &format!("set \"{name}={value}\"\n"))
    }
}

/// What goes onto the CD beside the agent.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// A folder whose files are copied.
    pub copy: Option<PathBuf>,
    /// More files, by their names there.
    pub more: Vec<(String, PathBuf)>,
    /// The program and its arguments.
    pub command: Vec<String>,
}

impl Files {
    /// Writes them into `folder`, which is made: the CD's root, but for what differs from boot to boot.
    ///
    /// # Errors
    /// [`Error::BadInput`] if Windows could not have them; [`Error::Failed`] if they can't be written.
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        let ringwave = folder.join("ringwave");
        fs::create_dir_all(&ringwave).map_err(|error| Error::file("create", &ringwave, &error))?;
        for (name, text) in SCRIPTS {
            write(&ringwave.join(name), &crlf(text))?;
        }
        write(&ringwave.join("command.cmd"), &crlf(&command::file(&self.command)?))?;
        let files = ringwave.join("files");
        if let Some(copy) = &self.copy {
            copy_folder(copy, &files, 0)?;
        }
        for (name, from) in &self.more {
            fs::create_dir_all(&files).map_err(|error| Error::file("create", &files, &error))?;
            fs::copy(from, files.join(name)).map_err(|error| Error::file("copy", from, &error))?;
        }
        Ok(())
    }
}

/// Makes the CD of a boot from the folder of [`Files::write`].
///
/// # Errors
/// [`Error::Failed`] if it can't be written.
pub fn write_cd(folder: &Path, settings: &Settings, iso: &Path) -> Result<(), Error> {
    write(&folder.join("ringwave/settings.cmd"), &crlf(&settings.lines()))?;
    // xorriso adds to an ISO that is there.
    let _ = fs::remove_file(iso);
    write_iso(folder, iso)
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(|error| Error::file("write", path, &error))
}

fn copy_folder(from: &Path, to: &Path, depth: usize) -> Result<(), Error> {
    let bad = |path: &Path, why: &str| Err(Error::BadInput(format!("--copy: {}: {why}", path.display())));
    if depth == DEPTH_MAX {
        return bad(from, "too deep");
    }
    fs::create_dir_all(to).map_err(|error| Error::file("create", to, &error))?;
    let entries = fs::read_dir(from)
        .map_err(|error| Error::BadInput(format!("--copy: {}: {error}", from.display())))?;
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if name.chars().count() > NAME_MAX
            || name.chars().any(|c| c.is_control() || NOT_IN_A_NAME.contains(c))
        {
            return bad(&path, "a CD for Windows cannot hold this name; rename it");
        }
        let to = to.join(name.as_ref());
        if path.is_dir() {
            copy_folder(&path, &to, depth + 1)?;
        } else if path.is_file() {
            fs::copy(&path, &to).map_err(|error| Error::file("copy", &path, &error))?;
        } else {
            return bad(&path, "neither a file nor a folder");
        }
    }
    Ok(())
}

/// How many bytes the disk in a qcow2 file has.
///
/// # Errors
/// [`Error::BadInput`] if it is no such file.
pub fn disk_bytes(image: &Path) -> Result<u64, Error> {
    let bad = |why: String| {
        Error::BadInput(format!("{}: {why}; name an image of qemu-scripts/windows build", image.display()))
    };
    let mut head = [0; 32];
    let file = File::open(image).map_err(|error| bad(error.to_string()))?;
    file.read_exact_at(&mut head, 0).map_err(|_| bad("no qcow2 file".into()))?;
    if !head.starts_with(b"QFI\xFB\0\0\0") || !matches!(head[7], 2 | 3) {
        return Err(bad("no qcow2 file".into()));
    }
    let [.., bytes] = head.as_chunks::<8>().0 else { return Err(bad("no qcow2 file".into())) };
    Ok(u64::from_be_bytes(*bytes))
}

#[cfg(test)]
#[path = "media_tests.rs"]
mod tests;

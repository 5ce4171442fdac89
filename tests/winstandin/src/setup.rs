//! Windows Setup's part: the answer CD, the checks before the stage `winpe`, the image to the disk.

use alloc::format;
use alloc::string::{String, ToString};

use crate::answer;
use crate::behaviour::{Behaviour, DISK_FULL, FILE_NOT_FOUND, INVALID_DATA, WRITE_FAULT};
use crate::firmware::{Disk, Firmware, buffer};
use crate::joliet::Volume;
use crate::paths;
use crate::wim;

/// A code and a text for a `problem` line.
pub type Problem = (u32, String);

const ANSWER_FILE: &str = "\\Autounattend.xml";
const FOLDER: &str = "\\ringwave";
const LABEL: &str = "RINGWAVE";
/// The file that is on the CD of a later run, and not on this one.
const LATER: &str = "\\ringwave\\run.cmd";
/// The script that is copied into the image: its own folder is not the CD's.
const COPIED: &str = "\\ringwave\\start.cmd";
/// What `missing-file` does not find.
const MISSED: &str = "\\ringwave\\logon.cmd";
const IMAGE: &str = "\\sources\\disk.img";
const CHUNK: usize = 64 << 10;
const MIB: u64 = 1 << 20;

/// The CD with the answer file in its root.
pub struct AnswerCd {
    disk: Disk,
    volume: Volume,
}

impl AnswerCd {
    /// The first of them.
    pub fn find(firmware: &Firmware) -> Result<Self, Problem> {
        let mut cds = firmware.disks().into_iter().filter(Disk::is_cd);
        let found = cds.find_map(|disk| {
            let volume = Volume::open(&disk)?;
            volume.find(ANSWER_FILE)?;
            Some(Self { disk, volume })
        });
        found.ok_or_else(|| (FILE_NOT_FOUND, format!("no CD with {ANSWER_FILE} in a Joliet root")))
    }

    fn read(&self, path: &str) -> Result<alloc::vec::Vec<u8>, Problem> {
        let read = self.volume.read(&self.disk, path);
        read.ok_or_else(|| (FILE_NOT_FOUND, format!("{path} cannot be read")))
    }

    /// Everything that Setup and the scripts will look for.
    pub fn check(&self, firmware: &Firmware, behaviour: &Behaviour) -> Result<(), Problem> {
        if self.volume.label != LABEL {
            return Err((
                INVALID_DATA,
                format!("the answer CD is labelled {}, not {LABEL}", self.volume.label),
            ));
        }
        let invalid = |what: String| (INVALID_DATA, format!("{ANSWER_FILE}: {what}"));
        let answer = answer::read(&self.read(ANSWER_FILE)?).map_err(invalid)?;
        self.all_there(ANSWER_FILE, &answer.commands, None, behaviour)?;
        let scripts = self.volume.entries.iter().filter(|entry| !entry.folder && is_script(&entry.path));
        for script in scripts.map(|entry| entry.path.as_str()) {
            // A byte that is not ASCII is in no path here.
            let bytes = self.read(script)?;
            let text = String::from_utf8_lossy(&bytes);
            let folder = script.rfind('\\').and_then(|at| script.get(..at));
            self.all_there(
                script,
                &text,
                folder.filter(|_| !script.eq_ignore_ascii_case(COPIED)),
                behaviour,
            )?;
        }
        match answer.image {
            Some((key, value)) => image_is_there(firmware, &key, &value),
            None => Ok(()),
        }
    }

    fn all_there(
        &self,
        file: &str,
        text: &str,
        folder: Option<&str>,
        behaviour: &Behaviour,
    ) -> Result<(), Problem> {
        for name in paths::named(text, folder) {
            let path = name.path;
            if name.drive_letter {
                return Err((INVALID_DATA, format!("{file} names a CD's drive letter before {path}")));
            }
            let missed = *behaviour == Behaviour::MissingFile && path.eq_ignore_ascii_case(MISSED);
            let there = self.volume.find(&path).is_some() || path.eq_ignore_ascii_case(LATER);
            if missed || !there {
                return Err((FILE_NOT_FOUND, format!("{path} is not on the answer CD, and {file} names it")));
            }
        }
        Ok(())
    }
}

fn is_script(path: &str) -> bool {
    let below = path.get(..FOLDER.len()).is_some_and(|start| start.eq_ignore_ascii_case(FOLDER));
    below && path.len() > 4 && path.get(path.len() - 4..).is_some_and(|end| end.eq_ignore_ascii_case(".cmd"))
}

fn image_is_there(firmware: &Firmware, key: &str, value: &str) -> Result<(), Problem> {
    let mut files = ["\\sources\\install.wim", "\\sources\\install.esd"].into_iter();
    let file = files.find_map(|path| firmware.any_file(path));
    let found = file.and_then(|file| {
        let (place, length) = wim::xml_place(&file.read_at(0, wim::HEADER)?)?;
        wim::has_image(&file.read_at(place, length)?, key, value)
    });
    match found {
        Some(true) => Ok(()),
        Some(false) => Err((INVALID_DATA, format!("no images are available: none has {key} {value}"))),
        None => Err((FILE_NOT_FOUND, "sources\\install.wim cannot be read".to_string())),
    }
}

/// Setup's disk 0: the only one that can be written, on AHCI.
pub fn disk(firmware: &Firmware) -> Result<Disk, Problem> {
    let mut disks = firmware.disks().into_iter().filter(Disk::is_writable);
    match (disks.next(), disks.next()) {
        (None, _) => Err((FILE_NOT_FOUND, "there is no disk".to_string())),
        (Some(_), Some(_)) => {
            Err((INVALID_DATA, "there is more than one disk, and which is 0 is not known".to_string()))
        }
        (Some(disk), None) if disk.is_fixed() && disk.is_on_sata() => Ok(disk),
        _ => Err((INVALID_DATA, "the only disk is not a fixed one on AHCI".to_string())),
    }
}

/// Writes the image to the disk, from its first block on.
pub fn write_image(firmware: &Firmware, disk: &Disk, behaviour: &Behaviour) -> Result<(), Problem> {
    let no_file = || (FILE_NOT_FOUND, format!("{IMAGE} cannot be read"));
    let image = firmware.any_file(IMAGE).ok_or_else(no_file)?;
    let (mut data, mut at) = (buffer(CHUNK), 0u64);
    let blocks_of = |bytes: usize| bytes.div_ceil(disk.block_bytes().max(1));
    loop {
        let length = image.read(data.bytes()).ok_or_else(no_file)?;
        if length == 0 {
            break;
        }
        let blocks = blocks_of(length);
        let part = data.bytes().get(..blocks * disk.block_bytes()).unwrap_or_default();
        if !disk.write(at, part) {
            return Err((WRITE_FAULT, format!("the disk cannot be written at block {at}")));
        }
        at += blocks as u64;
    }
    if let Behaviour::FullDisk(mib) = behaviour {
        fill(disk, at, mib.saturating_mul(MIB) / disk.block_bytes().max(1) as u64)?;
    }
    if disk.flush() { Ok(()) } else { Err((WRITE_FAULT, "the disk cannot be flushed".to_string())) }
}

/// Writes so many blocks behind the image, then the last block of the disk and one more.
fn fill(disk: &Disk, from: u64, blocks: u64) -> Result<(), Problem> {
    let mut data = buffer(CHUNK);
    // Not zeros, which an image file need not keep.
    data.bytes().iter_mut().zip((1..=251).cycle()).for_each(|(byte, value)| *byte = value);
    let step = (CHUNK / disk.block_bytes().max(1)).max(1) as u64;
    let last = disk.blocks().saturating_sub(1);
    let until = from.saturating_add(blocks).min(last);
    let mut at = from;
    let full = |at: u64| Err((DISK_FULL, format!("there is not enough space on the disk: block {at}")));
    while at < until {
        if !disk.write(at, data.bytes()) {
            return full(at);
        }
        at += step;
    }
    let both = data.bytes().get(..2 * disk.block_bytes()).unwrap_or_default();
    if disk.write(last, both) { Ok(()) } else { full(last + 1) }
}

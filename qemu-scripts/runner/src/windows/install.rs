//! An installation without a person: from power-on to an image. WINDOWS.md, 1 to 5.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::guest::{Guest, SCREEN, Serial, drive_failed, end_of, stop_code, timed, with_qemu};
use super::machine::{DISK, Firmware, Machine, Media, SERIAL};
use super::progress::{INSTALLATION, Late, Progress, Step};
use crate::error::Error;
use crate::process::check_stop;

/// The answer to "Press any key": WINDOWS.md, 2.
const KEYS: u32 = 6;
const KEY_EVERY: Duration = Duration::from_millis(250);
/// Lines of the log in a message.
const LOG_LINES: usize = 12;

/// Installs from `iso` and `answer` onto a new image at `out`, a disk of so many GiB. The machine has this
/// firmware.
///
/// # Errors
/// [`Error::Failed`] with the reason, and the folder that keeps log, screen and disk.
pub fn install(
    (machine, firmware): (&Machine, Firmware),
    disk_gib: u64,
    [iso, answer, out]: [&Path; 3],
    mut tell: impl FnMut(&str),
) -> Result<(), Error> {
    let beside = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = tempfile::Builder::new().prefix(".windows-").tempdir_in(beside);
    let folder = folder.map_err(|error| Error::file("make a folder in", beside, &error))?;
    let media = Media::Installation { iso, answer };
    let started = Run::start((machine, firmware), disk_gib, folder.path(), media);
    let done = started.and_then(|mut run| run.follow(&mut tell));
    match done {
        Ok(()) => {
            let disk = folder.path().join(DISK);
            fs::rename(&disk, out).map_err(|error| Error::file("move the image to", out, &error))
        }
        Err(Error::Failed(why)) => Err(Error::Failed(explain(&why, folder))),
        Err(other) => Err(other),
    }
}

/// The reason, with the end of the log, and where the rest is.
fn explain(why: &str, folder: TempDir) -> String {
    let folder = folder.keep();
    let said = end_of(&folder.join(SERIAL), LOG_LINES);
    let screen = if folder.join(SCREEN).exists() { ", the last screen (screen.png)" } else { "" };
    format!("{why}\n{said}\nserial.log, qemu.log{screen} and the disk are in {}", folder.display())
}

/// An installation on its way.
struct Run {
    guest: Guest,
    serial: Serial,
    progress: Progress,
    keys: u32,
    next_key: Instant,
}

impl Run {
    fn start(
        (machine, firmware): (&Machine, Firmware),
        disk_gib: u64,
        folder: &Path,
        media: Media<'_>,
    ) -> Result<Self, Error> {
        let disk: PathBuf = folder.join(DISK);
        with_qemu(&machine.qemu, folder, |qmp| qmp.create_disk(&disk, disk_gib << 30))?;
        let mut command = machine.command(folder, &firmware.arguments(folder)?, media)?;
        Ok(Self {
            guest: Guest::start(&mut command, folder)?,
            serial: Serial::new(folder),
            progress: Progress::new(&INSTALLATION, machine.minute, Duration::ZERO),
            keys: 0,
            next_key: Instant::now(),
        })
    }

    /// Follows it until the guest has turned itself off or something is wrong.
    fn follow(&mut self, tell: &mut impl FnMut(&str)) -> Result<(), Error> {
        loop {
            check_stop()?;
            self.listen(tell)?;
            if !self.progress.is_before_first() {
                // Setup runs: a key would be for it.
                self.keys = 0;
            }
            self.press_key()?;
            if let Some(event) = self.guest.next_event()? {
                // What the guest said before it.
                self.listen(tell)?;
                if self.heed(&event, tell)? {
                    return Ok(());
                }
            }
            if let Some(Late::Guest(why)) = self.progress.late(self.guest.running()) {
                return Err(self.give_up(why));
            }
        }
    }

    fn listen(&mut self, tell: &mut impl FnMut(&str)) -> Result<(), Error> {
        let lines = self.serial.more().map_err(|why| self.give_up(why))?;
        for line in lines {
            let step = self.progress.hear(self.guest.running(), line);
            self.act(step, tell)?;
        }
        Ok(())
    }

    fn act(&mut self, step: Step, tell: &mut impl FnMut(&str)) -> Result<(), Error> {
        match step {
            Step::None => Ok(()),
            Step::PressKeys => {
                self.keys = KEYS;
                Ok(())
            }
            Step::Tell(text) => {
                tell(&timed(self.guest.running(), &text));
                Ok(())
            }
            Step::Fail(why) => Err(self.give_up(why)),
        }
    }

    /// What QEMU tells of the machine. `true`: the guest has turned itself off when its work was done.
    fn heed(&mut self, event: &Value, tell: &mut impl FnMut(&str)) -> Result<bool, Error> {
        let stage = self.progress.stage();
        match event["event"].as_str().unwrap_or_default() {
            "RESET" => {
                let step = self.progress.reset();
                self.act(step, tell)?;
            }
            "GUEST_PANICKED" | "GUEST_CRASHLOADED" => {
                let code = stop_code(event).map_or(String::new(), |code| format!(": {code}"));
                return Err(self.give_up(format!("Windows crashed in stage {stage}{code}")));
            }
            "BLOCK_IO_ERROR" => return Err(self.give_up(drive_failed(event, stage))),
            "SHUTDOWN" => {
                self.progress.powered_off().map_err(Error::Failed)?;
                self.guest.quit()?;
                return Ok(true);
            }
            _ => {}
        }
        Ok(false)
    }

    fn press_key(&mut self) -> Result<(), Error> {
        if self.keys == 0 || Instant::now() < self.next_key {
            return Ok(());
        }
        self.keys -= 1;
        self.next_key = Instant::now() + KEY_EVERY;
        let key = json!({ "keys": [{ "type": "qcode", "data": "ret" }] });
        self.guest.qmp().command("send-key", &key).map(drop)
    }

    /// The last screen, for a person; then the machine ends with this value.
    fn give_up(&mut self, why: String) -> Error {
        self.guest.keep_screen();
        Error::Failed(why)
    }
}

/// How many minutes an installation may take at most.
pub fn longest(minute: Duration) -> u64 {
    (minute * INSTALLATION.minutes()).as_secs() / 60
}

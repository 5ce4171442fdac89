//! A machine that runs, as an installation and a run follow it: its lines, its events, its last screen.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::machine::SERIAL;
use super::protocol::{Line, line, printable};
use crate::bringup::log_tail::{LogTail, last_lines};
use crate::error::Error;
use crate::process::ChildGuard;
use crate::qmp::{self, Qmp};

/// The last screen of a machine with which something was wrong.
pub const SCREEN: &str = "screen.png";
/// What QEMU said.
pub const QEMU_LOG: &str = "qemu.log";
/// QEMU writes what it holds back of the disk.
const QUIT: Duration = Duration::from_mins(2);
/// Of what guests say on COM1: a log is some hundred lines.
const SERIAL_MAX: u64 = 64 << 20;
/// Characters of a line for a person.
const LINE_MAX: usize = 160;

/// What a guest said, as a terminal may be given it.
pub fn shown(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(LINE_MAX).collect()
}

/// The last lines of a file that a guest wrote, as a terminal may be given them.
pub fn end_of(path: &Path, lines: usize) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines = last_lines(&text, lines);
    lines.lines().map(|line| shown(&printable(line))).collect::<Vec<_>>().join("\n")
}

/// A machine that runs.
pub struct Guest {
    process: ChildGuard,
    qmp: Qmp,
    folder: PathBuf,
    start: Instant,
}

impl Guest {
    /// Starts QEMU, whose sockets and logs are in `folder`.
    pub(super) fn start(command: &mut Command, folder: &Path) -> Result<Self, Error> {
        let process = ChildGuard::spawn_logged("QEMU", command, &folder.join(QEMU_LOG))?;
        let qmp = Qmp::connect(&qmp::socket(folder)).map_err(|error| match error {
            Error::Failed(why) => Error::Failed(format!("{why}; QEMU: {}", qemu_said(folder))),
            other => other,
        })?;
        Ok(Self { process, qmp, folder: folder.to_owned(), start: Instant::now() })
    }

    /// QEMU's commands.
    pub(super) fn qmp(&mut self) -> &mut Qmp {
        &mut self.qmp
    }

    /// The time since it was switched on.
    pub(super) fn running(&self) -> Duration {
        self.start.elapsed()
    }

    /// The next event of QEMU, or `None` if there is none within 50 ms.
    pub(super) fn next_event(&mut self) -> Result<Option<Value>, Error> {
        self.qmp.next_event().map_err(|error| match self.process.try_wait() {
            Ok(Some(_)) => Error::Failed(format!("QEMU ended: {}", qemu_said(&self.folder))),
            _ => error,
        })
    }

    /// Keeps the last screen, for a person.
    pub(super) fn keep_screen(&mut self) {
        let screen = json!({ "filename": self.folder.join(SCREEN), "format": "png" });
        // A machine that is as good as gone may refuse; the reason is known all the same.
        let _ = self.qmp.command("screendump", &screen);
    }

    /// Ends QEMU in order, so that its disks are whole.
    pub(super) fn quit(&mut self) -> Result<(), Error> {
        self.qmp.command("quit", &json!({}))?;
        match self.process.wait(QUIT, || Ok(()))? {
            Some(_) => {
                // The next machine in this folder listens there.
                let _ = fs::remove_file(qmp::socket(&self.folder));
                Ok(())
            }
            None => Err(Error::Failed("QEMU does not end; the image may not be whole".into())),
        }
    }
}

/// What the guests of a folder say on COM1.
pub struct Serial {
    path: PathBuf,
    tail: LogTail,
}

impl Serial {
    pub(super) fn new(folder: &Path) -> Self {
        let path = folder.join(SERIAL);
        Self { tail: LogTail::new(path.clone()), path }
    }

    /// The lines since the last time; an error if there is no end of them.
    pub(super) fn more(&mut self) -> Result<Vec<Line>, String> {
        if fs::metadata(&self.path).is_ok_and(|file| file.len() > SERIAL_MAX) {
            return Err(format!("the guest said more than {} MiB on COM1", SERIAL_MAX >> 20));
        }
        Ok(self.tail.more().lines().map(line).collect())
    }
}

/// The stop code and its parameters, if QEMU has them (`hv-crash`, with KVM).
pub(super) fn stop_code(event: &Value) -> Option<String> {
    let info = &event["data"]["info"];
    let arguments: Vec<String> = ["arg1", "arg2", "arg3", "arg4", "arg5"]
        .iter()
        .filter_map(|name| Some(format!("{:#x}", info[name].as_u64()?)))
        .collect();
    let (code, parameters) = arguments.split_first()?;
    Some(format!("stop code {code} ({})", parameters.join(", ")))
}

/// A time in a run, for a person who waits.
pub(super) fn timed(time: Duration, text: &str) -> String {
    let seconds = time.as_secs();
    format!("[{:>3}:{:02}] {}", seconds / 60, seconds % 60, shown(text))
}

/// Why a drive failed: QEMU has stopped the machine then.
pub(super) fn drive_failed(event: &Value, stage: &str) -> String {
    let why = event["data"]["reason"].as_str().unwrap_or("no reason given");
    format!("a drive failed in stage {stage}: {why}; is the host's disk full?")
}

fn qemu_said(folder: &Path) -> String {
    let last = end_of(&folder.join(QEMU_LOG), 1);
    if last.is_empty() { "it says nothing".into() } else { last }
}

/// Runs commands on a QEMU without a machine in `folder`: qemu-img is a package of its own.
pub(super) fn with_qemu(
    qemu: &Path,
    folder: &Path,
    commands: impl FnOnce(&mut Qmp) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut command = Command::new(qemu);
    command.args(["-machine", "none", "-nodefaults", "-no-user-config", "-display", "none"]);
    command.args(qmp::option(folder)?);
    let mut guest = Guest::start(&mut command, folder)?;
    commands(guest.qmp())?;
    guest.quit()
}

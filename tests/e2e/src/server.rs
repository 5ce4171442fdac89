//! A card that outlives its clients, can be killed, and is looked at from outside: for the tests of failures. (The card of an ordinary run,
//! which ends with its client, is [`crate::card`].)

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    error::Error,
    parts::Parts,
    process::{Guarded, check_stop},
};

/// How long a line in the log, or the end of the process, is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// A process `ringwave serve` without `--once`.
pub struct Server {
    process: Guarded,
    folder: PathBuf,
    name: String,
}

/// What a process holds, as `/proc` tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Resident memory that is its own (not the guest's RAM, not files), in KiB.
    pub anonymous_kib: u64,
    /// Resident memory in all, in KiB.
    pub resident_kib: u64,
    /// Open descriptors.
    pub descriptors: usize,
    /// Threads.
    pub threads: usize,
    /// Mappings.
    pub maps: usize,
}

impl Server {
    /// Starts a card on `folder/card.sock` and waits until it listens. What it hears goes to `NAME.wav` (a second format or client:
    /// `NAME-2.wav` and so on), what it says to `NAME.log`.
    ///
    /// # Errors
    /// [`Error::Failed`] with what the card said if it ended or does not listen.
    pub fn start(parts: &Parts, folder: &Path, name: &str, speed: f64) -> Result<Self, Error> {
        let log = folder.join(format!("{name}.log"));
        let output = File::create(&log).map_err(|e| Error::file("create", &log, &e))?;
        let mut command = Command::new(&parts.ringwave);
        command.arg("serve").arg("--socket").arg(folder.join("card.sock"));
        command.arg("--sink").arg(format!("wav:{}", folder.join(format!("{name}.wav")).display()));
        command.args(["--clock", "lockstep", "--speed", &speed.to_string()]);
        command.stdin(Stdio::null()).stderr(output);
        let process = Guarded::spawn("ringwave serve", &mut command)?;
        let mut server = Self { process, folder: folder.to_owned(), name: name.to_owned() };
        server.wait_for("listening on", 1)?;
        Ok(server)
    }

    /// Waits until `text` stands in `times` lines of the log.
    ///
    /// # Errors
    /// [`Error::Failed`] with the log if it does not come, or the process ends before.
    pub fn wait_for(&mut self, text: &str, times: usize) -> Result<(), Error> {
        let start = Instant::now();
        loop {
            if self.log().lines().filter(|line| line.contains(text)).count() >= times {
                return Ok(());
            }
            check_stop()?;
            let ended = self.process.ended()?;
            if ended.is_some() || start.elapsed() > PATIENCE {
                let log = self.log();
                return Err(Error::Failed(format!(
                    "the card does not say {text:?} ({ended:?}): {}",
                    log.trim()
                )));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The socket QEMU connects to.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("card.sock")
    }

    /// The file number `number` (from 1) that this card began.
    pub fn heard(&self, number: u32) -> PathBuf {
        let suffix = if number <= 1 { String::new() } else { format!("-{number}") };
        self.folder.join(format!("{}{suffix}.wav", self.name))
    }

    /// What the card said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join(format!("{}.log", self.name))).unwrap_or_default()
    }

    /// Kills it (SIGKILL).
    ///
    /// # Errors
    /// [`Error::Failed`] if the system can't.
    pub fn kill(&mut self) -> Result<(), Error> {
        self.process.kill()
    }

    /// Ends it as a user does (SIGTERM).
    ///
    /// # Errors
    /// [`Error::Failed`] if it does not end in time.
    pub fn end(mut self) -> Result<ExitStatus, Error> {
        self.process.terminate(PATIENCE)
    }

    /// What the process holds now.
    ///
    /// # Errors
    /// [`Error::Failed`] if it is gone.
    pub fn figures(&self) -> Result<Figures, Error> {
        let folder = PathBuf::from(format!("/proc/{}", self.process.id()));
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path).map_err(|e| Error::file("read", &path, &e))
        };
        let count = |name: &str| {
            let path = folder.join(name);
            fs::read_dir(&path).map(Iterator::count).map_err(|e| Error::file("read", &path, &e))
        };
        let status = read("status")?;
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
        };
        Ok(Figures {
            anonymous_kib: kib("RssAnon:"),
            resident_kib: kib("VmRSS:"),
            descriptors: count("fd")?,
            threads: count("task")?,
            maps: read("maps")?.lines().count(),
        })
    }
}

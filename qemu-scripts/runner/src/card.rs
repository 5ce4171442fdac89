//! The card of a run: a process `ringwave serve`, what it wrote, and its statistics. It may end with its
//! first client, outlive its clients, or be killed.

use std::{
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    error::Error,
    process::{ChildGuard, check_stop},
};
use ringwave_report::SessionReport;

/// How long a line in the log, or the end of the process, is waited for.
const TIMEOUT: Duration = Duration::from_mins(1);

/// The trace of a card with [`Card::single_session_options`], in the run's folder.
pub const TRACE: &str = "card.trace";

/// A card that listens.
pub struct Card {
    process: ChildGuard,
    folder: PathBuf,
    name: String,
}

/// Where the cards of a run in `folder` listen, one after the other.
pub fn socket(folder: &Path) -> PathBuf {
    folder.join("card.sock")
}

/// The file number `number` (from 1) that the card `name` of a run in `folder` began: one more for each
/// client and each format.
pub fn session_wav(folder: &Path, name: &str, number: u32) -> PathBuf {
    let suffix = if number <= 1 { String::new() } else { format!("-{number}") };
    folder.join(format!("{name}{suffix}.wav"))
}

impl Card {
    /// Starts `ringwave serve` with these options in `folder` and waits until it listens on [`socket`]. What
    /// it hears goes to `NAME.wav` (a second format or client: `NAME-2.wav` and so on), what it says to
    /// `NAME.log`.
    ///
    /// # Errors
    /// [`Error::Failed`] with what the card said if it ended or does not listen.
    pub fn start(
        ringwave: &Path,
        folder: &Path,
        name: &str,
        options: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Result<Self, Error> {
        let log = folder.join(format!("{name}.log"));
        let output = File::create(&log).map_err(|e| Error::file("create", &log, &e))?;
        let mut command = Command::new(ringwave);
        command.arg("serve").arg("--socket").arg(socket(folder));
        command.arg("--sink").arg(format!("wav:{}", folder.join(format!("{name}.wav")).display()));
        command.args(options);
        command.env("RUST_LOG", "info").stdin(Stdio::null()).stderr(output);
        let process = ChildGuard::spawn("ringwave serve", &mut command)?;
        let mut card = Self { process, folder: folder.to_owned(), name: name.to_owned() };
        card.wait_for("listening on", 1)?;
        Ok(card)
    }

    /// The options of a card that ends with its first client and leaves its statistics and its trace for
    /// [`Card::finish`].
    pub fn single_session_options(folder: &Path) -> Vec<String> {
        let path = |name: &str| folder.join(name).display().to_string();
        ["--once".into(), "--stats".into(), path("stats.json"), "--trace".into(), path(TRACE)].into()
    }

    /// Waits until `text` stands in `times` lines of the log.
    ///
    /// # Errors
    /// [`Error::Failed`] with the log if it does not come, or the process ends before.
    pub fn wait_for(&mut self, text: &str, times: usize) -> Result<(), Error> {
        let start = Instant::now();
        loop {
            // Asked first, so that what it said before its end is read after it.
            let ended = self.process.try_wait()?;
            let log = self.log();
            if log.lines().filter(|line| line.contains(text)).count() >= times {
                return Ok(());
            }
            check_stop()?;
            if ended.is_some() || start.elapsed() > TIMEOUT {
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
        socket(&self.folder)
    }

    /// The file number `number` (from 1) that this card began.
    pub fn session_wav(&self, number: u32) -> PathBuf {
        session_wav(&self.folder, &self.name, number)
    }

    /// What the card said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join(format!("{}.log", self.name))).unwrap_or_default()
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// [`Error::Failed`] if the system can't tell.
    pub fn runs(&mut self) -> Result<bool, Error> {
        Ok(self.process.try_wait()?.is_none())
    }

    /// Kills it (SIGKILL). Its socket stays behind, as after a crash.
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
        self.process.terminate(TIMEOUT)
    }

    /// The id of its process.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Waits until a card with [`Card::single_session_options`] has ended, which it does when its client
    /// leaves; reads its statistics and its trace.
    ///
    /// # Errors
    /// [`Error::Failed`] if it did not end in order or wrote no statistics.
    pub fn finish(self) -> Result<(SessionReport, File), Error> {
        let trace = self.folder.join(TRACE);
        let stats = self.finish_untraced()?;
        Ok((stats, File::open(&trace).map_err(|e| Error::file("read", &trace, &e))?))
    }

    /// As [`Card::finish`], of a card whose trace is not read, or that writes none.
    ///
    /// # Errors
    /// [`Error::Failed`] if it did not end in order or wrote no statistics.
    pub fn finish_untraced(mut self) -> Result<SessionReport, Error> {
        let ended = match self.process.wait(TIMEOUT / 2, || Ok(()))? {
            Some(status) => status,
            None => self.process.terminate(TIMEOUT / 2)?,
        };
        if !ended.success() {
            return Err(Error::Failed(format!("ringwave serve failed ({ended}): {}", self.log().trim())));
        }
        let stats = self.folder.join("stats.json");
        let stats = fs::read_to_string(&stats).map_err(|e| Error::file("read", &stats, &e))?;
        serde_json::from_str(&stats)
            .map_err(|e| Error::Failed(format!("the card's stats.json cannot be read: {e}")))
    }
}

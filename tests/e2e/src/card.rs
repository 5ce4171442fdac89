//! The card of a run: the process `ringwave serve`, what it wrote, and its own account of what it did.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde::Deserialize;

use crate::{
    error::Error,
    parts::Parts,
    process::{Guarded, check_stop},
};

/// A card that listens.
pub struct Card {
    process: Guarded,
    folder: PathBuf,
}

/// The card's account of the last client's session, as `ringwave serve --stats` writes it.
#[derive(Clone, Debug, Deserialize)]
pub struct Stats {
    /// One entry per stream.
    pub streams: Vec<StreamStats>,
    /// Messages by kind.
    pub messages: Messages,
}

/// One stream's counters.
#[derive(Clone, Debug, Deserialize)]
pub struct StreamStats {
    /// `render` or `capture`.
    pub direction: String,
    /// Frames that were played, or recorded.
    pub frames: u64,
    /// `scatter-gather` or `contiguous`.
    pub dma_mode: String,
    /// Data entries of the last scatter-gather table.
    pub sg_entries: u32,
    /// Packets that were completed.
    pub packets_completed: u64,
    /// Packets played as silence; absent = unknown.
    pub underruns: Option<u64>,
    /// Transfers that failed.
    pub dma_faults: u64,
}

/// Messages to the card.
#[derive(Clone, Debug, Deserialize)]
pub struct Messages {
    /// Those while a stream was in RUN.
    pub while_running: RunningMessages,
}

/// Messages while a stream was in RUN.
#[derive(Clone, Debug, Deserialize)]
pub struct RunningMessages {
    /// Register reads.
    pub reads: u64,
    /// Register writes but WRITTEN and EOS.
    pub writes: u64,
    /// Writes of WRITTEN.
    pub written: u64,
    /// Writes of EOS: one at the end of a stream.
    pub eos: u64,
}

impl Card {
    /// Starts the card in `folder` and waits until it listens.
    ///
    /// # Errors
    /// [`Error::Failed`] with what the card said if it ended or does not listen within 10 s.
    pub fn start(
        parts: &Parts,
        folder: &Path,
        clock: &str,
        speed: f64,
        more: &[String],
    ) -> Result<Self, Error> {
        let log = folder.join("card.log");
        let output = File::create(&log).map_err(|e| Error::file("create", &log, &e))?;
        let mut command = Command::new(&parts.ringwave);
        command.arg("serve").arg("--once").arg("--socket").arg(folder.join("card.sock"));
        command.arg("--sink").arg(format!("wav:{}", folder.join("heard.wav").display()));
        command.args(["--clock", clock, "--speed", &speed.to_string()]);
        command.arg("--stats").arg(folder.join("stats.json"));
        command.arg("--trace").arg(folder.join("card.trace"));
        command.args(more);
        command.env("RUST_LOG", "info").stderr(output).stdin(std::process::Stdio::null());
        let process = Guarded::spawn("ringwave serve", &mut command)?;
        let mut card = Self { process, folder: folder.to_owned() };
        card.wait_until_listening()?;
        Ok(card)
    }

    fn wait_until_listening(&mut self) -> Result<(), Error> {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(10) {
            check_stop()?;
            if let Some(status) = self.process.ended()? {
                return Err(Error::Failed(format!(
                    "ringwave serve ended at once ({status}): {}",
                    self.log().trim()
                )));
            }
            if self.log().contains("listening on") {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Err(Error::Failed(format!("ringwave serve does not listen: {}", self.log().trim())))
    }

    /// The socket QEMU connects to.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("card.sock")
    }

    /// Where what was heard is written.
    pub fn heard(&self) -> PathBuf {
        self.folder.join("heard.wav")
    }

    /// What the card said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("card.log")).unwrap_or_default()
    }

    /// Waits until the card has ended after its client left, and reads its account and its trace.
    ///
    /// # Errors
    /// [`Error::Failed`] if it did not end in order or wrote no account.
    pub fn finish(mut self) -> Result<(Stats, String), Error> {
        let ended = match self.process.wait(Duration::from_secs(5), || Ok(()))? {
            Some(status) => status,
            None => self.process.terminate(Duration::from_secs(5))?,
        };
        if !ended.success() {
            return Err(Error::Failed(format!("ringwave serve failed ({ended}): {}", self.log().trim())));
        }
        let read = |name: &str| {
            let path = self.folder.join(name);
            fs::read_to_string(&path).map_err(|e| Error::file("read", &path, &e))
        };
        let stats = serde_json::from_str(&read("stats.json")?)
            .map_err(|e| Error::Failed(format!("the card's stats.json cannot be read: {e}")))?;
        Ok((stats, read("card.trace")?))
    }
}

//! The card's process in a bring-up run: it can be killed, and another takes its place.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::parts::Parts;
use crate::{
    error::Error,
    process::{Guarded, check_stop},
};

/// A card that listens.
pub struct Server {
    process: Guarded,
    log: PathBuf,
}

impl Server {
    /// Starts the `number`th server in `folder`, on the socket that all of them share, and waits until it listens.
    ///
    /// # Errors
    /// [`Error::Failed`] with what it said if it ended or does not listen within 10 s.
    pub fn start(parts: &Parts, folder: &Path, number: u32) -> Result<Self, Error> {
        let log = folder.join(format!("card-{number}.log"));
        let output = File::create(&log).map_err(|e| Error::file("create", &log, &e))?;
        let mut command = Command::new(&parts.ringwave);
        command.arg("serve").arg("--socket").arg(socket(folder));
        command.arg("--sink").arg(format!("wav:{}", folder.join(format!("heard-{number}.wav")).display()));
        command.env("RUST_LOG", "info").stderr(output).stdin(Stdio::null());
        let mut server = Self { process: Guarded::spawn("ringwave serve", &mut command)?, log };
        server.wait_until_listening()?;
        Ok(server)
    }

    fn wait_until_listening(&mut self) -> Result<(), Error> {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(10) {
            check_stop()?;
            if let Some(status) = self.process.ended()? {
                return Err(Error::Failed(format!(
                    "ringwave serve ended at once ({status}): {}",
                    self.said()
                )));
            }
            if self.said().contains("listening on") {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Err(Error::Failed(format!("ringwave serve does not listen: {}", self.said())))
    }

    /// What it said.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default().trim().to_owned()
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// [`Error::Failed`] if the system can't tell.
    pub fn runs(&mut self) -> Result<bool, Error> {
        Ok(self.process.ended()?.is_none())
    }

    /// kill -9. Its socket stays behind, as after a crash.
    ///
    /// # Errors
    /// [`Error::Failed`] if the system can't.
    pub fn kill(&mut self) -> Result<(), Error> {
        self.process.kill()
    }
}

/// Where the cards of a run in `folder` listen, one after the other.
pub fn socket(folder: &Path) -> PathBuf {
    folder.join("card.sock")
}

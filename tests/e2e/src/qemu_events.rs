//! What QEMU says of a machine while a run goes on: its events, by name.

use std::{fs, path::PathBuf};

use ringwave_runner::{error::Error, qmp::Qmp, run::Processes};

/// Where the QEMU with this process id listens for commands.
pub fn qmp_socket(qemu: u32) -> Option<PathBuf> {
    let command = String::from_utf8(fs::read(format!("/proc/{qemu}/cmdline")).ok()?).ok()?;
    let socket = command.split('\0').find_map(|argument| argument.strip_prefix("unix:"))?;
    Some(socket.split(',').next()?.into())
}

/// The events of a machine so far.
#[derive(Default)]
pub struct QemuEvents {
    qmp: Option<Qmp>,
    ended: bool,
    names: Vec<String>,
}

impl QemuEvents {
    /// Takes what has come: to be called all the time.
    ///
    /// # Errors
    /// [`Error::Failed`] if QEMU does not answer at the begin; that it ends is none.
    pub fn take(&mut self, processes: Processes) -> Result<(), Error> {
        if self.ended {
            return Ok(());
        }
        let qmp = match (&mut self.qmp, qmp_socket(processes.qemu)) {
            (Some(qmp), _) => qmp,
            (None, Some(socket)) => self.qmp.insert(Qmp::connect(&socket)?),
            (None, None) => return Ok(()),
        };
        match qmp.next_event() {
            Ok(event) => self.names.extend(event.and_then(|event| event["event"].as_str().map(String::from))),
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(_) => self.ended = true,
        }
        Ok(())
    }

    /// How often one has come.
    pub fn count(&self, name: &str) -> usize {
        self.names.iter().filter(|known| *known == name).count()
    }
}

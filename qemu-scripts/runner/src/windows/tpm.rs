//! A TPM for the machine in which Windows is installed, by swtpm: WINDOWS.md, 2.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::process::{ChildGuard, check_stop};
use crate::qmp::escaped;

/// How long swtpm may take until it listens.
const START: Duration = Duration::from_secs(10);
/// Its socket, its state and its log, in the folder.
const SOCKET: &str = "tpm.sock";
const STATE: &str = "tpm";
const LOG: &str = "swtpm.log";

/// A TPM 2.0 that ends with this value.
#[derive(Debug)]
pub struct Tpm {
    _process: ChildGuard,
    arguments: Vec<String>,
}

impl Tpm {
    /// Starts one whose socket and state are in `folder`.
    ///
    /// # Errors
    /// [`Error::Failed`] with what swtpm says.
    pub fn start(folder: &Path) -> Result<Self, Error> {
        let (socket, state) = (folder.join(SOCKET), folder.join(STATE));
        fs::create_dir(&state).map_err(|error| Error::file("create", &state, &error))?;
        let mut command = Command::new("swtpm");
        // In the folder itself: swtpm's options have no way to write a comma of a path.
        command.current_dir(folder).args(["socket", "--tpm2", "--tpmstate", &format!("dir={STATE}")]);
        command.args(["--ctrl", &format!("type=unixio,path={SOCKET}")]);
        let log = folder.join(LOG);
        let mut process = ChildGuard::spawn_logged("swtpm", &mut command, &log)?;
        let started = Instant::now();
        while !socket.exists() {
            if process.try_wait()?.is_some() || started.elapsed() > START {
                let said = fs::read_to_string(&log).unwrap_or_default();
                return Err(Error::Failed(format!("swtpm does not start: {}", said.trim())));
            }
            check_stop()?;
            thread::sleep(Duration::from_millis(20));
        }
        let chardev = format!("socket,id=tpm,path={}", escaped(&socket)?);
        let arguments =
            ["-chardev", &chardev, "-tpmdev", "emulator,id=tpm,chardev=tpm", "-device", "tpm-tis,tpmdev=tpm"];
        Ok(Self { _process: process, arguments: arguments.map(str::to_owned).into() })
    }

    /// QEMU's arguments for it.
    pub fn qemu_arguments(&self) -> &[String] {
        &self.arguments
    }
}

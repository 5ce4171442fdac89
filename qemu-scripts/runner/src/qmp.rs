//! QEMU's machine protocol, as much as unplugging, plugging, stopping and saving take: JSON, a message a
//! line.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{error::Error, process::check_stop};

/// Where QEMU listens for commands, in a run's folder.
pub fn socket(folder: &Path) -> PathBuf {
    folder.join("qmp.sock")
}

/// QEMU's option that makes it listen there.
///
/// # Errors
/// [`Error::BadInput`] if the folder's name is no UTF-8.
pub fn option(folder: &Path) -> Result<[String; 2], Error> {
    Ok(["-qmp".into(), format!("unix:{},server=on,wait=off", escaped(&socket(folder))?)])
}

/// A path as a part of a QEMU option, where a comma is written twice.
pub(crate) fn escaped(path: &Path) -> Result<String, Error> {
    let text = path.to_str().ok_or_else(|| {
        Error::BadInput(format!(
            "{}: QEMU needs a temporary folder whose name is UTF-8: set TMPDIR",
            path.display()
        ))
    })?;
    Ok(text.replace(',', ",,"))
}

/// A conversation with QEMU.
#[derive(Debug)]
pub struct Qmp {
    reader: BufReader<UnixStream>,
    line: Vec<u8>,
    events: Vec<Value>,
}

/// How long QEMU may take to answer a command.
const ANSWER: Duration = Duration::from_secs(30);

impl Qmp {
    /// Connects to QEMU's socket, which is there a moment after QEMU was started.
    ///
    /// # Errors
    /// [`Error::Failed`] if nobody answers within 30 s.
    pub fn connect(path: &Path) -> Result<Self, Error> {
        let start = Instant::now();
        let stream = loop {
            match UnixStream::connect(path) {
                Ok(stream) => break stream,
                Err(error) if start.elapsed() > ANSWER => {
                    return Err(Error::file("connect to", path, &error));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
            check_stop()?;
        };
        // Short, so that waiting notices its own limit and the user's wish to stop.
        stream.set_read_timeout(Some(Duration::from_millis(50))).map_err(Error::failed)?;
        let mut qmp = Self { reader: BufReader::new(stream), line: Vec::new(), events: Vec::new() };
        qmp.wait_for(ANSWER, "its greeting", |message| message.get("QMP").is_some())?;
        qmp.command("qmp_capabilities", &json!({}))?;
        Ok(qmp)
    }

    /// Gives a command and waits for its answer.
    ///
    /// # Errors
    /// [`Error::Failed`] with QEMU's own words if it refuses.
    pub fn command(&mut self, name: &str, arguments: &Value) -> Result<Value, Error> {
        let mut text = json!({ "execute": name, "arguments": arguments }).to_string();
        text.push('\n');
        self.reader.get_mut().write_all(text.as_bytes()).map_err(Error::failed)?;
        let answer = self.wait_for(ANSWER, name, |message| {
            message.get("return").is_some() || message.get("error").is_some()
        })?;
        match answer.get("error") {
            None => Ok(answer.get("return").cloned().unwrap_or_default()),
            Some(error) => Err(Error::Failed(format!("QEMU refuses {name}: {error}"))),
        }
    }

    /// Gives a command of the human monitor, which says nothing when it has done it (`savevm`, `loadvm`).
    ///
    /// # Errors
    /// [`Error::Failed`] with QEMU's own words.
    pub fn monitor(&mut self, line: &str) -> Result<(), Error> {
        let said = self.command("human-monitor-command", &json!({ "command-line": line }))?;
        match said.as_str().map(str::trim) {
            Some("") => Ok(()),
            said => Err(Error::Failed(format!("QEMU refuses {line}: {}", said.unwrap_or_default()))),
        }
    }

    /// Makes a disk at `path` that snapshots are kept in; the guest does not see it.
    ///
    /// # Errors
    /// [`Error::Failed`] if QEMU can't.
    pub fn make_snapshot_disk(&mut self, path: &Path) -> Result<(), Error> {
        self.create_disk(path, 1 << 30)?;
        self.command(
            "blockdev-add",
            &json!({ "driver": "qcow2", "node-name": "snapshots", "file": "file" }),
        )?;
        Ok(())
    }

    /// Makes an empty qcow2 file at `path`; its file stays open as the node `file`.
    ///
    /// # Errors
    /// [`Error::Failed`] if QEMU can't.
    pub fn create_disk(&mut self, path: &Path, bytes: u64) -> Result<(), Error> {
        self.create(&json!({ "driver": "file", "filename": path, "size": 0 }))?;
        self.command("blockdev-add", &json!({ "driver": "file", "node-name": "file", "filename": path }))?;
        self.create(&json!({ "driver": "qcow2", "file": "file", "size": bytes }))
    }

    /// Makes a qcow2 file at `path` over the qcow2 file `backing`, which is only read and has so many bytes
    /// for a guest.
    ///
    /// # Errors
    /// [`Error::Failed`] if QEMU can't.
    pub fn create_overlay(&mut self, path: &Path, backing: &Path, bytes: u64) -> Result<(), Error> {
        self.create(&json!({ "driver": "file", "filename": path, "size": 0 }))?;
        self.command("blockdev-add", &json!({ "driver": "file", "node-name": "file", "filename": path }))?;
        self.create(&json!({
            "driver": "qcow2", "file": "file", "size": bytes, "backing-file": backing, "backing-fmt": "qcow2"
        }))
    }

    /// The next event, or `None` if none came within 50 ms.
    ///
    /// # Errors
    /// [`Error::Failed`] if QEMU closed the conversation.
    pub fn next_event(&mut self) -> Result<Option<Value>, Error> {
        if self.events.is_empty() { self.read() } else { Ok(Some(self.events.remove(0))) }
    }

    /// `blockdev-create`, a job, to its end.
    fn create(&mut self, options: &Value) -> Result<(), Error> {
        self.command("blockdev-create", &json!({ "job-id": "create", "options": options }))?;
        let start = Instant::now();
        while start.elapsed() < ANSWER {
            check_stop()?;
            let jobs = self.command("query-jobs", &json!({}))?;
            if jobs[0]["status"] == "concluded" {
                self.command("job-dismiss", &json!({ "id": "create" }))?;
                let error = &jobs[0]["error"];
                return error.is_null().then_some(()).ok_or_else(|| Error::Failed(format!("QEMU: {error}")));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(Error::Failed("QEMU makes no disk".into()))
    }

    /// Waits for the event that the device `id` is gone. It may have come during a command.
    ///
    /// # Errors
    /// [`Error::Failed`] if it does not come within `limit`.
    pub fn wait_until_deleted(&mut self, id: &str, limit: Duration) -> Result<(), Error> {
        let is = |message: &Value| message["event"] == "DEVICE_DELETED" && message["data"]["device"] == id;
        match self.events.iter().position(is) {
            Some(index) => drop(self.events.remove(index)),
            None => drop(self.wait_for(limit, "DEVICE_DELETED", is)?),
        }
        Ok(())
    }

    /// Reads messages until one is `wanted`; events on the way are kept.
    fn wait_for(
        &mut self,
        limit: Duration,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value, Error> {
        let start = Instant::now();
        while start.elapsed() < limit {
            check_stop()?;
            let Some(message) = self.read()? else { continue };
            if wanted(&message) {
                return Ok(message);
            }
            self.events.push(message);
        }
        Err(Error::Failed(format!("QEMU does not answer ({what}, {} s)", limit.as_secs())))
    }

    /// One message, or `None` if none came in time.
    fn read(&mut self) -> Result<Option<Value>, Error> {
        use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
        match self.reader.read_until(b'\n', &mut self.line) {
            Ok(0) => Err(Error::Failed("QEMU closed its control socket".into())),
            Ok(_) => {
                let message = serde_json::from_slice(&self.line).map_err(Error::failed)?;
                self.line.clear();
                Ok(Some(message))
            }
            // What came of a line stays in self.line.
            Err(error) if matches!(error.kind(), WouldBlock | TimedOut | Interrupted) => Ok(None),
            Err(error) => Err(Error::failed(error)),
        }
    }
}

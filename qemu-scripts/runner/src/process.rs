//! Child processes that never outlive a run, and the user's wish to stop.

use std::{
    env,
    fs::File,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};

use crate::error::Error;

static STOP: AtomicBool = AtomicBool::new(false);

/// From now on Ctrl-C, SIGTERM and SIGHUP end the run in an orderly way.
///
/// # Errors
/// [`Error::Failed`] if the handler can't be installed.
pub fn stop_on_signals() -> Result<(), Error> {
    ctrlc::set_handler(|| STOP.store(true, Ordering::SeqCst)).map_err(Error::failed)
}

/// Whether the user wants to stop.
///
/// # Errors
/// [`Error::Interrupted`] if so.
pub fn check_stop() -> Result<(), Error> {
    if STOP.load(Ordering::SeqCst) { Err(Error::Interrupted) } else { Ok(()) }
}

/// Whether this host has a program.
pub fn is_installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// A child that is ended when this value goes, and by the kernel when this process is killed.
#[derive(Debug)]
pub struct ChildGuard {
    child: Child,
    name: &'static str,
}

impl ChildGuard {
    /// Starts `command`. Its terminal signals stay with us: it is ended by us, in order.
    ///
    /// # Errors
    /// [`Error::Failed`] with the program's name.
    pub fn spawn(name: &'static str, command: &mut Command) -> Result<Self, Error> {
        command.process_group(0);
        // SAFETY: prctl is async-signal-safe and touches no memory of ours.
        unsafe {
            command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
        }
        let child = command.spawn().map_err(|error| {
            Error::Failed(format!("cannot start {name} ({}): {error}", command.get_program().display()))
        })?;
        Ok(Self { child, name })
    }

    /// Starts `command`, which reads nothing; all that it says goes to `log`.
    ///
    /// # Errors
    /// [`Error::Failed`] with the program's or the file's name.
    pub fn spawn_logged(name: &'static str, command: &mut Command, log: &Path) -> Result<Self, Error> {
        let output = File::create(log).map_err(|error| Error::file("create", log, &error))?;
        let both = output.try_clone().map_err(|error| Error::file("create", log, &error))?;
        Self::spawn(name, command.stdin(Stdio::null()).stdout(both).stderr(output))
    }

    /// Whether it has ended by itself.
    ///
    /// # Errors
    /// [`Error::Failed`] if the system can't tell.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.child.try_wait().map_err(|error| Error::Failed(format!("waiting for {}: {error}", self.name)))
    }

    /// Waits until it ends or `limit` has passed (`None`), doing `meanwhile` every 20 ms.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when the user wants to stop.
    pub fn wait(
        &mut self,
        limit: Duration,
        mut meanwhile: impl FnMut() -> Result<(), Error>,
    ) -> Result<Option<ExitStatus>, Error> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.try_wait()? {
                return Ok(Some(status));
            }
            if start.elapsed() > limit {
                return Ok(None);
            }
            check_stop()?;
            meanwhile()?;
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks it to end (SIGTERM) and waits up to `limit`.
    ///
    /// # Errors
    /// [`Error::Failed`] if it had to be killed.
    pub fn terminate(&mut self, limit: Duration) -> Result<ExitStatus, Error> {
        if let Some(status) = self.try_wait()? {
            return Ok(status);
        }
        self.signal(Signal::TERM);
        let start = Instant::now();
        while start.elapsed() < limit {
            if let Some(status) = self.try_wait()? {
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err(Error::Failed(format!("{} did not end within {} s", self.name, limit.as_secs())))
    }

    /// Kills it (SIGKILL), as a crash would: nothing of it is finished or removed.
    ///
    /// # Errors
    /// [`Error::Failed`] if the system can't.
    pub fn kill(&mut self) -> Result<(), Error> {
        let killed = self.child.kill().and_then(|()| self.child.wait());
        killed.map(drop).map_err(|error| Error::Failed(format!("killing {}: {error}", self.name)))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn signal(&self, signal: Signal) {
        // It has not been waited for, so the number is still its own.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }
}

impl Drop for ChildGuard {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) && self.terminate(Duration::from_secs(2)).is_err() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

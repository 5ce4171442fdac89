//! The sandbox of a serving process: what is left to it once it faces a client.
//!
//! A client is another process's virtual machine, and the code that parses what it sends is the part of the
//! card that would be attacked. So before the first client comes, the process gives up what it does not need
//! any more: every capability that it was started with (`capabilities`), files outside of the folders where
//! it writes and the network (`files`, Landlock), and every system call but those it serves with (`calls`,
//! seccomp). What is open stays open.
//!
//! Both are in force for every thread: Landlock counts for the thread that asks and those it starts, so it
//! comes before the threads; seccomp is told to every thread, so it comes after them, when none is started
//! any more (or, with [`Threads::OfEachClient`], nothing but threads).

mod calls;
mod capabilities;
mod files;

use std::path::{Path, PathBuf};

use files::Restricted;

/// `--sandbox`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// As much of it as the kernel has.
    #[default]
    Auto,
    /// All of it, or the process does not serve.
    On,
    /// None.
    Off,
}

/// Which threads there are when the sandbox is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// All.
    Started,
    /// Each client gets two more, and what these wait with (epoll).
    OfEachClient,
}

/// What the process keeps the right to.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// Files that are written, replaced or made beside these later: the right is to their folders.
    pub written: Vec<PathBuf>,
    /// Files that are read, and no others in their folders.
    pub read: Vec<PathBuf>,
    /// Files among those written that are read back: the right is to their folders, for they are not there
    /// yet.
    pub read_back: Vec<PathBuf>,
    /// The files of sockets, which are removed at the end.
    pub sockets: Vec<PathBuf>,
}

/// Why there is no sandbox although it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// Landlock.
    #[error("no sandbox for files: {0}; use --sandbox=auto")]
    Files(String),
    /// Seccomp.
    #[error("no sandbox for system calls: {0}; use --sandbox=auto")]
    Calls(String),
    /// Capabilities.
    #[error("capabilities cannot be given up: {0}; use --sandbox=auto")]
    Capabilities(String),
}

/// The first half: capabilities, files and network. Call it before any thread is started. Gives what is in
/// force, for the log.
///
/// # Errors
/// Only in [`Mode::On`], when not everything could be put in force.
pub fn close_files(mode: Mode, needs: &Needs) -> Result<String, SandboxError> {
    if mode == Mode::Off {
        return Ok("off".to_owned());
    }
    // A card that is made in the sandbox cannot ask, and would have all its guest's memory copied by the
    // kernel.
    ringwave_guest_memory::host_overcommits();
    let files = match files::restrict(needs) {
        Ok(Restricted { without, .. }) if mode == Mode::On && !without.is_empty() => {
            return Err(SandboxError::Files(no_rules(&without)));
        }
        Ok(Restricted { whole: true, without }) => format!("files and network{}", left_out(&without)),
        Ok(Restricted { without, .. }) if mode == Mode::Auto => {
            format!("files, as far as this kernel's Landlock goes{}", left_out(&without))
        }
        Ok(_) => return Err(SandboxError::Files("this kernel's Landlock is too old for all of it".into())),
        Err(why) if mode == Mode::Auto => {
            log::debug!("no Landlock: {why}");
            "no Landlock here".to_owned()
        }
        Err(why) => return Err(SandboxError::Files(why)),
    };
    // Afterwards: an administrator's process is restricted whether it has said that it gains no rights or
    // not.
    match capabilities::drop_all() {
        Ok(()) => Ok(files),
        Err(why) if mode == Mode::Auto => Ok(format!("{files}, but not without capabilities ({why})")),
        Err(why) => Err(SandboxError::Capabilities(why.to_string())),
    }
}

/// The paths that keep no right, each with the reason.
fn no_rules(without: &[(PathBuf, String)]) -> String {
    let told = without.iter().map(|(path, why)| format!("{}: {why}", path.display()));
    told.collect::<Vec<_>>().join("; ")
}

/// For the log: what is not in force as it should be.
fn left_out(without: &[(PathBuf, String)]) -> String {
    if without.is_empty() { String::new() } else { format!(" (no right left to {})", no_rules(without)) }
}

/// The second half: system calls. Call it when every thread is running but those of `threads`. Gives what is
/// in force, for the log.
///
/// # Errors
/// Only in [`Mode::On`], when the kernel does not take the filters.
pub fn close_calls(mode: Mode, threads: Threads) -> Result<&'static str, SandboxError> {
    if mode == Mode::Off {
        return Ok("off");
    }
    match calls::restrict(threads) {
        Ok(()) => Ok("system calls"),
        Err(why) if mode == Mode::Auto => {
            log::debug!("no seccomp: {why}");
            Ok("no seccomp here")
        }
        Err(why) => Err(SandboxError::Calls(why)),
    }
}

/// The folder of a file, also of one that is named without a folder.
fn folder(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => file,
    }
}

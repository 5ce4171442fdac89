//! The listening socket: made at a path so that nobody else can connect, or handed over by systemd or on the
//! command line.

use std::fs::TryLockError;
use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, fchmod};
use rustix::io::Errno;
use rustix::net::sockopt::{socket_acceptconn, socket_domain, socket_type};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};

/// The longest path in bytes: what `sockaddr_un` takes, without what is appended for a moment while the
/// socket is made.
const PATH_BYTES_MAX: usize = 107 - ".4194304.15".len();
/// Names under which a socket is made: with the largest process id that there is, `PATH_BYTES_MAX` leaves
/// room for them.
const MAKING_MAX: u32 = 16;
/// Clients that may wait to be accepted, as the standard library has it.
const BACKLOG: i32 = 128;
/// Making a socket takes no time: a folder that is locked for longer is not locked by one who makes a socket.
const FOLDER_PATIENCE: Duration = Duration::from_secs(2);
const FOLDER_LOOK_AGAIN: Duration = Duration::from_millis(5);
/// The first descriptor that systemd hands over (`SD_LISTEN_FDS_START`).
const SYSTEMD_FIRST_FD: RawFd = 3;

/// Why there is no listening socket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenerError {
    /// A process answers there.
    #[error("{path}: socket in use; end the process that serves there, or take another path", path = .0.display())]
    InUse(PathBuf),
    /// Something that is not ours to replace.
    #[error("{path}: exists and is not a socket; take another path", path = .0.display())]
    NotASocket(PathBuf),
    /// The kernel takes no such path.
    #[error("{path}: too long for a socket, at most {PATH_BYTES_MAX} bytes; take a shorter path", path = .0.display())]
    TooLong(PathBuf),
    /// Everything else that can go wrong with a path.
    #[error("{path}: cannot make a socket: {}", next_step(source), path = path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A descriptor that was handed over is no listening UNIX stream socket.
    #[error("the descriptor that was handed over is not a listening UNIX stream socket")]
    NotListening,
    /// systemd hands over another number of sockets than one.
    #[error("systemd hands over {0} sockets; this takes one")]
    NotOne(u32),
}

/// Why no socket can be made at a path, in plain words, and what to do.
fn next_step(error: &io::Error) -> String {
    match error.kind() {
        _ if error.get_ref().is_some() => error.to_string(),
        io::ErrorKind::NotFound => "its folder is not there; make it, or take another path".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "permission denied; let this user write to its folder, or take another path".to_owned()
        }
        io::ErrorKind::NotADirectory => {
            "a part of the path is a file, not a folder; take another path".to_owned()
        }
        io::ErrorKind::StorageFull => "the disk is full; make room, or take another path".to_owned(),
        _ => format!("{error}; take another path"),
    }
}

/// A listening socket. Dropping it removes the file, if it made one and the file is still that one.
#[derive(Debug)]
pub struct Listener {
    listener: UnixListener,
    file: Option<File>,
}

#[derive(Debug)]
struct File {
    path: PathBuf,
    /// Device and inode: somebody may have put another socket in its place.
    identity: (u64, u64),
}

impl Listener {
    /// Listens at `path`, for this user only (mode 0600). A socket file whose process is dead is replaced;
    /// one whose process lives, and a file that is not a socket, are left alone.
    pub fn bind(path: &Path) -> Result<Self, ListenerError> {
        let failed = |source| ListenerError::Io { path: path.to_owned(), source };
        if path.as_os_str().as_bytes().len() > PATH_BYTES_MAX {
            return Err(ListenerError::TooLong(path.to_owned()));
        }
        // Whoever begins at the same time waits here, and then finds this one's socket.
        let _alone = alone(path)?;
        match std::fs::symlink_metadata(path) {
            Ok(metadata) if !metadata.file_type().is_socket() => {
                return Err(ListenerError::NotASocket(path.to_owned()));
            }
            Ok(_) => match answers(path) {
                Err(Errno::CONNREFUSED) => {
                    log::info!("{}: nobody answers there, replacing it", path.display());
                    std::fs::remove_file(path).map_err(failed)?;
                }
                // It answers, or its queue is full, or it is not ours to ask: it lives.
                _ => return Err(ListenerError::InUse(path.to_owned())),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        // Made under another name, so that it appears listening and with its mode, or not at all.
        let (listener, making) = make_beside(path).map_err(failed)?;
        let appear = || {
            let metadata = std::fs::symlink_metadata(&making)?;
            // Not a rename: what somebody has put there meanwhile stays.
            std::fs::hard_link(&making, path)?;
            Ok((metadata.dev(), metadata.ino()))
        };
        let appeared = appear();
        let _ = std::fs::remove_file(&making);
        let identity = appeared.map_err(|error: io::Error| match error.kind() {
            io::ErrorKind::AlreadyExists => ListenerError::InUse(path.to_owned()),
            _ => failed(error),
        })?;
        Ok(Self { listener, file: Some(File { path: path.to_owned(), identity }) })
    }

    /// Takes a socket that somebody else made and listens on.
    pub fn from_fd(fd: OwnedFd) -> Result<Self, ListenerError> {
        let listening = socket_domain(&fd) == Ok(AddressFamily::UNIX)
            && socket_type(&fd) == Ok(SocketType::STREAM)
            && socket_acceptconn(&fd) == Ok(true);
        if !listening {
            return Err(ListenerError::NotListening);
        }
        // It came over an exec; children of ours have no use for it.
        let _ = rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC);
        Ok(Self { listener: fd.into(), file: None })
    }

    /// Takes the socket that systemd hands over (`sd_listen_fds(3)`): `LISTEN_PID` is this process,
    /// `LISTEN_FDS` is 1. `None` when nothing was handed over to this process, and when it was taken before.
    pub fn from_systemd() -> Result<Option<Self>, ListenerError> {
        let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u32>().ok());
        if number("LISTEN_PID") != Some(std::process::id()) {
            return Ok(None);
        }
        match number("LISTEN_FDS") {
            None | Some(0) => Ok(None),
            Some(1) => {
                static TAKEN: AtomicBool = AtomicBool::new(false);
                if TAKEN.swap(true, Ordering::SeqCst) {
                    return Ok(None);
                }
                // SAFETY: the variables say that whoever started this process opened descriptor 3 for it, and
                // TAKEN that it is taken once.
                let fd = unsafe { OwnedFd::from_raw_fd(SYSTEMD_FIRST_FD) };
                Self::from_fd(fd).map(Some)
            }
            Some(count) => Err(ListenerError::NotOne(count)),
        }
    }

    /// The socket.
    pub fn socket(&self) -> &UnixListener {
        &self.listener
    }

    /// Removes the file, if there is one and it is still ours. For a process that ends while another thread
    /// still holds the listener.
    pub fn remove(&self) {
        let Some(file) = &self.file else { return };
        let there = std::fs::symlink_metadata(&file.path).map(|now| (now.dev(), now.ino()));
        if there.is_ok_and(|identity| identity == file.identity) {
            let _ = std::fs::remove_file(&file.path);
        }
    }
}

/// Holds the lock of the socket's folder for as long as it lives. A folder that may not be read is not
/// locked: what remains then is that a socket that has just been made is replaced by another process that had
/// found a dead one before it.
fn alone(path: &Path) -> Result<Option<std::fs::File>, ListenerError> {
    let failed = |source| ListenerError::Io { path: path.to_owned(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(folder) = std::fs::File::open(folder) else { return Ok(None) };
    let until = Instant::now() + FOLDER_PATIENCE;
    loop {
        match folder.try_lock() {
            Ok(()) => return Ok(Some(folder)),
            Err(TryLockError::WouldBlock) if Instant::now() < until => std::thread::sleep(FOLDER_LOOK_AGAIN),
            Err(TryLockError::WouldBlock) => {
                return Err(failed(io::Error::other(
                    "another process has locked the folder; end it, or take another path",
                )));
            }
            // A file system without locks.
            Err(TryLockError::Error(_)) => return Ok(None),
        }
    }
}

/// A socket that listens under a name beside `path`, with the mode 0600 from its first moment on. Names that
/// are taken are passed over.
fn make_beside(path: &Path) -> io::Result<(UnixListener, PathBuf)> {
    let mut error = io::Error::from(io::ErrorKind::AddrInUse);
    for attempt in 0..MAKING_MAX {
        let mut making = path.as_os_str().to_owned();
        making.push(format!(".{}.{attempt}", std::process::id()));
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        // The file that bind makes has the mode of the socket (`unix_bind_bsd` in the kernel), less the
        // umask: nobody else can connect, not even for a moment.
        fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
        match bind(&socket, &SocketAddrUnix::new(Path::new(&making))?) {
            Ok(()) => {
                listen(&socket, BACKLOG)?;
                return Ok((socket.into(), making.into()));
            }
            Err(Errno::ADDRINUSE) => error = Errno::ADDRINUSE.into(),
            Err(errno) => return Err(errno.into()),
        }
    }
    Err(error)
}

/// Whether somebody accepts at `path`. Does not wait until there is room in the queue: that may be never.
fn answers(path: &Path) -> Result<(), Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)
}

impl AsFd for Listener {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.remove();
    }
}

//! The socket file: made so that nobody else can connect, replaced when its process is dead, refused when it lives.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// The longest path: what `sockaddr_un` takes, without what is appended for a moment while the socket is made.
const PATH_BYTES_MAX: usize = 107 - SUFFIX_BYTES_MAX;
const SUFFIX_BYTES_MAX: usize = ".4294967295".len();

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// A process answers there.
    #[error("{path}: socket in use; end the process that serves there, or take another path", path = .0.display())]
    InUse(PathBuf),
    /// Something that is not ours to replace.
    #[error("{path}: exists and is not a socket; take another path", path = .0.display())]
    NotASocket(PathBuf),
    /// The kernel takes no such path.
    #[error("{path}: too long for a socket, at most {PATH_BYTES_MAX} bytes; take a shorter path", path = .0.display())]
    TooLong(PathBuf),
    /// Everything else.
    #[error("{path}: cannot make a socket: {source}", path = path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A listening socket. Dropping it removes the file.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    /// Listens at `path`, for this user only (mode 0600). A socket file whose process is dead is replaced.
    pub fn listen(path: &Path) -> Result<Self, SocketError> {
        use std::os::unix::ffi::OsStrExt;
        let failed = |source| SocketError::Io { path: path.to_owned(), source };
        if path.as_os_str().as_bytes().len() > PATH_BYTES_MAX {
            return Err(SocketError::TooLong(path.to_owned()));
        }
        match std::fs::symlink_metadata(path) {
            Ok(metadata) if !metadata.file_type().is_socket() => {
                return Err(SocketError::NotASocket(path.to_owned()));
            }
            Ok(_) if UnixStream::connect(path).is_ok() => return Err(SocketError::InUse(path.to_owned())),
            Ok(_) => log::info!("{}: nobody answers there, replacing it", path.display()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        // Made under another name, so that it appears listening and with its mode, or not at all.
        let mut making = path.as_os_str().to_owned();
        making.push(format!(".{}", std::process::id()));
        let making = PathBuf::from(making);
        let listen = || {
            let listener = UnixListener::bind(&making)?;
            std::fs::set_permissions(&making, std::fs::Permissions::from_mode(0o600))?;
            std::fs::rename(&making, path)?;
            Ok(listener)
        };
        let listener = listen().map_err(|error| {
            let _ = std::fs::remove_file(&making);
            failed(error)
        })?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// The listener.
    pub fn listener(&self) -> &UnixListener {
        &self.listener
    }

    /// Removes the file. For a process that ends while another thread still holds the socket.
    pub fn remove(&self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.remove();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_is_private_and_goes_with_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("card.sock");
        let socket = Socket::listen(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left there");
        assert!(matches!(Socket::listen(&path), Err(SocketError::InUse(_))));
        assert!(path.exists(), "the live socket is left alone");
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn stale_socket_is_replaced_and_other_files_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("card.sock");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a process that died leaves its socket");
        drop(Socket::listen(&path).unwrap());

        std::fs::write(&path, "music").unwrap();
        assert!(matches!(Socket::listen(&path), Err(SocketError::NotASocket(_))));
        assert_eq!(std::fs::read(&path).unwrap(), b"music");
        let long = dir.path().join("x".repeat(200));
        assert!(matches!(Socket::listen(&long), Err(SocketError::TooLong(_))));
        assert!(matches!(Socket::listen(Path::new("/nonexistent/s")), Err(SocketError::Io { .. })));
    }
}

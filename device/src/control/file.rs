//! What a file must be that is given for a stream's sink: the server opens nothing, and what it writes to
//! must neither be somebody's already nor keep it waiting.

use std::fs::File;
use std::os::unix::fs::MetadataExt;

use rustix::fs::{OFlags, fcntl_getfl};

/// Why a file is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// The line wants one, and none came.
    #[error("no file came with the line; use ringwave control, which opens it")]
    None,
    /// More than one came, or the line wants none.
    #[error("more files came than the line has; send one with source STREAM wav or sink STREAM wav|raw")]
    TooMany,
    /// A FIFO, a device, a socket, a folder.
    #[error("no regular file, and whoever reads there may be slow; give a regular file")]
    NotRegular,
    /// Something is in it.
    #[error("not empty; give a new file")]
    NotEmpty,
    /// It was opened otherwise.
    #[error("not opened to be written at any place (O_WRONLY, no O_APPEND); open it so")]
    NotWritable,
    /// It is one of this process's files.
    #[error("this card reads or writes that file already; give another")]
    InUse,
}

/// Looks at a file that is to be a sink. `in_use`: device and inode of the files that the process has anyway.
pub(super) fn check_sink(file: &File, in_use: &[(u64, u64)]) -> Result<(), FileError> {
    let flags = fcntl_getfl(file).map_err(|_| FileError::NotWritable)?;
    let about = file.metadata().map_err(|_| FileError::NotRegular)?;
    if !about.is_file() {
        return Err(FileError::NotRegular);
    }
    let mode = flags & OFlags::ACCMODE;
    let writable = mode == OFlags::WRONLY || mode == OFlags::RDWR;
    if !writable || flags.intersects(OFlags::APPEND | OFlags::PATH) {
        return Err(FileError::NotWritable);
    }
    if in_use.contains(&(about.dev(), about.ino())) {
        return Err(FileError::InUse);
    }
    if about.len() == 0 { Ok(()) } else { Err(FileError::NotEmpty) }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::OpenOptionsExt;

    use super::*;

    #[test]
    fn only_an_empty_regular_file_that_can_be_written_anywhere_is_a_sink() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let empty = File::create(&path).unwrap();
        assert_eq!(check_sink(&empty, &[]), Ok(()));
        let about = empty.metadata().unwrap();
        assert_eq!(check_sink(&empty, &[(about.dev(), about.ino())]), Err(FileError::InUse));
        let append = OpenOptions::new().append(true).open(&path).unwrap();
        let path_only = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(&path).unwrap();
        for file in [append, path_only, File::open(&path).unwrap()] {
            assert_eq!(check_sink(&file, &[]), Err(FileError::NotWritable));
        }
        let (_reader, writer) = std::io::pipe().unwrap();
        let device = OpenOptions::new().write(true).open("/dev/null").unwrap();
        for file in [File::open(dir.path()).unwrap(), OwnedFd::from(writer).into(), device] {
            assert_eq!(check_sink(&file, &[]), Err(FileError::NotRegular));
        }
        std::fs::write(&path, "x").unwrap();
        assert_eq!(check_sink(&empty, &[]), Err(FileError::NotEmpty));
    }
}

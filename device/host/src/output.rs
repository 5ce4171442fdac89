//! Files that the card writes: what may stand at their paths when it starts, who else writes there, and how
//! they are opened.
//!
//! Only what an earlier run of this program left is removed, and that is told by what is in it; a symbolic
//! link is never followed to a file, and a file that this process makes is a new one (`O_EXCL`). So whoever
//! can write to the folder (`/tmp`) cannot turn the card's sound against another file, and a wrong name on
//! the command line costs nobody a file.

use std::ffi::OsString;
use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use ringwave_audio::wav;

/// What a file holds, and so how it is told that this program wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(unpredictable_function_pointer_comparisons, reason = "only tests compare")]
pub enum Content {
    /// WAV, with this program's name in its header.
    Wav,
    /// Samples without a header: nothing tells.
    Raw,
    /// Anything else that tells by its first bytes.
    Other {
        /// How many of them are looked at.
        bytes: u64,
        /// Whether a file that begins so is one that this program wrote.
        is_ours: fn(&[u8]) -> bool,
    },
}

impl Content {
    /// Whether what there is to read is such a file of ours. One without a byte holds nothing that could be
    /// missed.
    fn is_ours(self, file: &File) -> io::Result<bool> {
        if file.metadata()?.len() == 0 {
            return Ok(true);
        }
        let (bytes, is_ours): (u64, fn(&[u8]) -> bool) = match self {
            Self::Raw => return Ok(false),
            Self::Wav => (wav::HEADER_BYTES_MAX, wav::is_ours),
            Self::Other { bytes, is_ours } => (bytes, is_ours),
        };
        let mut begin = Vec::new();
        file.take(bytes).read_to_end(&mut begin)?;
        Ok(is_ours(&begin))
    }
}

/// A path that this process alone writes to, for as long as this lives, and what an earlier run left there.
#[derive(Debug, Default)]
pub struct ReservedFile {
    /// Locked. `None` where there is no regular file to write: a FIFO, a device.
    lock: Option<(PathBuf, File)>,
    /// To be removed when everything else that could go wrong at the start has gone well: path, device and
    /// inode.
    stale: Vec<(PathBuf, Id)>,
}

/// What a file is called that was given over the control socket.
pub(crate) const GIVEN: &str = "the file given by control";

/// Device and inode.
pub(crate) type Id = (u64, u64);

pub(crate) fn id(metadata: &Metadata) -> Id {
    (metadata.dev(), metadata.ino())
}

/// What stands at a path.
enum There {
    Nothing,
    /// A regular file.
    File(Metadata),
    /// What can be written and is no file: a FIFO, a device, a pipe behind `/dev/stdout`.
    Special,
}

fn inspect(path: &Path) -> io::Result<There> {
    let link = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(There::Nothing),
        found => found?,
    };
    let followed = if link.is_symlink() { std::fs::metadata(path).ok() } else { Some(link.clone()) };
    match followed {
        Some(found) if found.is_dir() => Err(ErrorKind::IsADirectory.into()),
        Some(found) if !found.is_file() => Ok(There::Special),
        Some(_) if !link.is_symlink() => Ok(There::File(link)),
        _ => Err(io::Error::other("it is a symbolic link; give the file itself")),
    }
}

impl ReservedFile {
    /// Finds out whether `path` can be written, and keeps others that ask in the same way from writing there.
    /// Removes nothing. `in_use`: files that must not be removed, because this process reads them.
    ///
    /// # Errors
    /// Somebody else's file is there, or another process writes there, or nothing can be written there.
    pub fn new(path: &Path, content: Content, in_use: &[PathBuf]) -> io::Result<Self> {
        if let There::Special = inspect(path)? {
            return open_special(path).map(|_| Self::default());
        }
        let in_use: Vec<Id> =
            in_use.iter().filter_map(|path| std::fs::metadata(path).ok()).map(|found| id(&found)).collect();
        let mut reserved = Self { lock: Some(lock(path)?), stale: Vec::new() };
        // Once more: there may have been a change while another process held the lock.
        if let There::File(found) = inspect(path)? {
            if in_use.contains(&id(&found)) {
                return Err(io::Error::other("it is also a source; take another file"));
            }
            let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(path)?;
            reserved.stale.push((path.to_owned(), left_over(&file, content)?));
        }
        if matches!(content, Content::Wav | Content::Raw) {
            reserved.find_numbered(path, content, &in_use)?;
        }
        Ok(reserved)
    }

    /// The files that an earlier run named after this one. Those that cannot be told to be its are named in
    /// the log.
    fn find_numbered(&mut self, path: &Path, content: Content, in_use: &[Id]) -> io::Result<()> {
        for entry in std::fs::read_dir(folder(path))?.flatten() {
            let other = path.with_file_name(entry.file_name());
            let is_file = entry.metadata().is_ok_and(|found| found.is_file());
            if !is_file || !is_numbered(path, &entry.file_name()) {
                continue;
            }
            let open = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(&other);
            let ours = open
                .and_then(|file| Ok((content.is_ours(&file)? && !is_written(&file)?, id(&file.metadata()?))));
            match ours {
                Ok((_, id)) if in_use.contains(&id) => {
                    let line =
                        format!("{} is named after it, and is a source; take another name", other.display());
                    return Err(io::Error::other(line));
                }
                // Another process may have been given just that name.
                Ok((true, id)) if !is_locked(&other) => self.stale.push((other, id)),
                _ => log::warn!("{} is not of this run, and stays", other.display()),
            }
        }
        Ok(())
    }

    /// Removes what an earlier run left.
    pub fn take_over(&mut self) -> io::Result<()> {
        for (path, was) in self.stale.drain(..) {
            match std::fs::symlink_metadata(&path) {
                Ok(found) if id(&found) == was => std::fs::remove_file(&path)?,
                // Somebody has put something else there meanwhile.
                _ => {}
            }
        }
        Ok(())
    }

    /// Lets others write there. For a process that ends while another thread still has this.
    pub fn release(&self) {
        // Still locked: who finds it there has to find another one before it counts (`lock`).
        if let Some((path, _)) = &self.lock {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Drop for ReservedFile {
    fn drop(&mut self) {
        self.release();
    }
}

/// The id of a file that an earlier run of this program has left, and nobody writes.
fn left_over(file: &File, content: Content) -> io::Result<Id> {
    if !content.is_ours(file)? {
        let line = "it exists, and nothing tells that ringwave wrote it; remove it or take another file";
        return Err(io::Error::other(line));
    }
    if is_written(file)? {
        let line = "another process writes there (it was given to it by ringwave control); end it, or take another file";
        return Err(io::Error::other(line));
    }
    Ok(id(&file.metadata()?))
}

/// Whether a process writes to it to which it was given ([`make_given`]).
fn is_written(file: &File) -> io::Result<bool> {
    match file.try_lock_shared() {
        Ok(()) => file.unlock().map(|()| false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Makes the file at `path` for another process, to which it will be given: as long as that has it, nobody
/// else takes it. What an earlier run left there is removed.
///
/// # Errors
/// As [`ReservedFile::new`], and where no regular file can be made.
pub fn make_given(path: &Path, content: Content) -> io::Result<File> {
    let there = |path: &Path| match inspect(path)? {
        There::Special => Err(io::Error::other(
            "no regular file, and whoever reads there may be slow; name one, or give this to serve --sink",
        )),
        There::Nothing => Ok(false),
        There::File(_) => Ok(true),
    };
    there(path)?;
    // Until the file has its own lock.
    let mut reserved = ReservedFile { lock: Some(lock(path)?), stale: Vec::new() };
    if there(path)? {
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(path)?;
        reserved.stale.push((path.to_owned(), left_over(&file, content)?));
    }
    reserved.take_over()?;
    let file = create_new(path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(io::Error::other("another process has locked it; take another file"))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// `.heard.wav.lock` beside `heard.wav`: the file itself is there only when something was heard.
fn lock_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".lock");
    path.with_file_name(name)
}

fn lock(path: &Path) -> io::Result<(PathBuf, File)> {
    let lock_file = lock_path(path);
    loop {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(&lock_file)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let line = format!(
                    "another process writes there (it holds {}); end it, or take another file",
                    lock_file.display()
                );
                return Err(io::Error::other(line));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // The one who had it before may have removed it between the two.
        let there = std::fs::symlink_metadata(&lock_file).map(|found| id(&found));
        if there.is_ok_and(|there| file.metadata().is_ok_and(|found| id(&found) == there)) {
            return Ok((lock_file, file));
        }
    }
}

/// Whether another process has reserved it.
fn is_locked(path: &Path) -> bool {
    let open = OpenOptions::new()
        .write(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(lock_path(path));
    open.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// The folder of a file, also of one that is named without a folder.
fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether `name` is what [`numbered`] makes of `path` for another stream or a further file.
fn is_numbered(path: &Path, name: &std::ffi::OsStr) -> bool {
    let (Some(name), Some(stem)) = (name.to_str(), path.file_stem().and_then(|stem| stem.to_str())) else {
        return false;
    };
    let extension =
        path.extension().map_or(String::new(), |extension| format!(".{}", extension.to_string_lossy()));
    let Some(middle) = name.strip_prefix(stem).and_then(|rest| rest.strip_suffix(&extension)) else {
        return false;
    };
    let number = |digits: &str| digits.parse::<u32>().ok().filter(|number| number.to_string() == digits);
    let (stream, rest) = match middle.strip_prefix("-stream") {
        Some(rest) => {
            let end = rest.find('-').unwrap_or(rest.len());
            let (digits, rest) = rest.split_at(end);
            (number(digits), rest)
        }
        None => (Some(0), middle),
    };
    let further = rest.strip_prefix('-').map(number);
    match (stream, rest.is_empty(), further) {
        (Some(stream), true, None) => stream != 0,
        (Some(_), false, Some(Some(number))) => number > 1,
        _ => false,
    }
}

/// `heard.wav` for the first file of stream 0, then `heard-2.wav` and so on; `heard-stream1.wav`,
/// `heard-stream1-2.wav` for stream 1.
pub fn numbered(path: &Path, stream: u32, number: u32) -> PathBuf {
    if stream == 0 && number <= 1 {
        return path.to_owned();
    }
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    if stream != 0 {
        name.push(format!("-stream{stream}"));
    }
    if number > 1 {
        name.push(format!("-{number}"));
    }
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

/// Whether what stands at the path is written as it is, and not made: a FIFO, a device.
pub fn is_special(path: &Path) -> bool {
    matches!(inspect(path), Ok(There::Special))
}

/// Makes the file at `path`, which must not be there, nor a link.
pub fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// Opens a FIFO or a device. One that nobody reads is an error, not a wait that no signal ends. The writes
/// that follow do not wait (`O_NONBLOCK`): [`wait`] makes them.
pub fn open_special(path: &Path) -> io::Result<File> {
    let open = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path);
    let file = open.map_err(|error| match error.raw_os_error() {
        Some(libc::ENXIO) => io::Error::other("nobody reads there; start its reader first"),
        _ => error,
    })?;
    if file.metadata()?.is_file() {
        return Err(io::Error::other("it was a FIFO or a device, and is a file now; start again"));
    }
    Ok(file)
}

/// Writes to the file wait again until there is room.
pub fn wait(file: &File) -> io::Result<()> {
    Ok(fcntl_setfl(file, fcntl_getfl(file)?.difference(OFlags::NONBLOCK))?)
}

/// Writes all of `bytes` to a file, or to a FIFO that does not wait ([`open_special`]); gives up when nothing
/// was taken for as long as `patience`.
pub fn write_within(mut file: &File, mut bytes: &[u8], patience: Duration) -> io::Result<()> {
    let mut until = Instant::now() + patience;
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = bytes.get(written..).unwrap_or_default();
                until = Instant::now() + patience;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    let line = format!(
                        "nobody has read there for {} ms; start its reader again",
                        patience.as_millis()
                    );
                    return Err(io::Error::new(ErrorKind::TimedOut, line));
                }
                let left = Timespec::try_from(left).map_err(io::Error::other)?;
                poll(&mut [PollFd::new(file, PollFlags::OUT)], Some(&left))?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes all of `bytes` beside the file and puts that in its place, so that no reader sees half of it. A
/// FIFO or a device gets it as [`write_within`] does.
pub fn replace(path: &Path, bytes: &[u8], patience: Duration) -> io::Result<()> {
    if is_special(path) {
        return write_within(&open_special(path)?, bytes, patience);
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut file = create_new(&beside).or_else(|error| match error.kind() {
        // Of a process that ended in the middle: no symbolic link, and nothing that has another name.
        ErrorKind::AlreadyExists if is_left_over(&beside) => {
            std::fs::remove_file(&beside)?;
            create_new(&beside)
        }
        _ => Err(io::Error::new(error.kind(), format!("{}: {error}", beside.display()))),
    })?;
    file.write_all(bytes)?;
    std::fs::rename(&beside, path)
}

fn is_left_over(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && found.nlink() == 1)
}

/// A file, or a FIFO or a device whose reader may take its time, but not for ever.
#[derive(Debug)]
pub struct PatientFile {
    file: File,
    patience: Duration,
}

impl PatientFile {
    /// Begins it. What an earlier run left is removed before: the file at `path` is a new one, or a FIFO or a
    /// device. A write gives up when nothing was taken for as long as `patience`.
    pub fn create(path: &Path, patience: Duration) -> io::Result<Self> {
        let file = if is_special(path) { open_special(path)? } else { create_new(path)? };
        Ok(Self { file, patience })
    }
}

impl Write for PatientFile {
    /// All of `bytes`. When it returns the system has them: they outlive this process, however it ends.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write_within(&self.file, bytes, self.patience).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file that was made, by its path: somebody may take it away while it is written.
#[derive(Debug)]
pub struct Made {
    path: PathBuf,
    id: Option<Id>,
    /// A file that was given by another process: its path is that one's affair.
    given: Option<File>,
}

impl Made {
    /// Remembers `file`, made at `path`. Of a FIFO or a device nothing is remembered.
    pub fn new(path: &Path, file: &File) -> io::Result<Self> {
        let found = file.metadata()?;
        Ok(Self { path: path.to_owned(), id: found.is_file().then(|| id(&found)), given: None })
    }

    /// Remembers a file that was given.
    pub fn given(file: &File) -> io::Result<Self> {
        let id = Some(id(&file.metadata()?));
        Ok(Self { path: PathBuf::from(GIVEN), id, given: Some(file.try_clone()?) })
    }

    /// Device and inode of a regular file.
    pub(crate) fn id(&self) -> Option<Id> {
        self.id
    }

    /// What it is called.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// An error if the file is not at its path any more: what is written goes nowhere.
    pub fn is_there(&self) -> io::Result<()> {
        if let Some(given) = &self.given {
            return match given.metadata()?.nlink() {
                0 => Err(io::Error::other("it was removed while it was written; give another")),
                _ => Ok(()),
            };
        }
        let Some(was) = self.id else { return Ok(()) };
        match std::fs::symlink_metadata(&self.path) {
            Ok(found) if id(&found) == was => Ok(()),
            Ok(_) => Err(io::Error::other("it was replaced while it was written; start again for a new one")),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(io::Error::other("it was removed while it was written; start again for a new one"))
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_after_a_file_are_known_again_and_no_others() {
        let path = Path::new("/x/heard.wav");
        for (stream, number) in [(0, 2), (0, 17), (1, 1), (15, 1), (3, 2)] {
            let name = numbered(path, stream, number);
            assert!(is_numbered(path, name.file_name().unwrap()), "{}", name.display());
        }
        for other in [
            "heard.wav",
            "heard-1.wav",
            "heard-02.wav",
            "heard-x.wav",
            "heard-.wav",
            "heard-stream0.wav",
            "heard2.wav",
            "heard-stream1-1.wav",
            "heard-stream.wav",
            "heard-2.raw",
            "heard-2-3.wav",
            "sheard-2.wav",
            "heard-+2.wav",
        ] {
            assert!(!is_numbered(path, std::ffi::OsStr::new(other)), "{other}");
        }
    }

    #[test]
    fn a_reserved_file_keeps_others_out_until_it_is_dropped_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("heard.wav");
        let first = ReservedFile::new(&path, Content::Wav, &[]).unwrap();
        assert!(
            ReservedFile::new(&path, Content::Wav, &[]).unwrap_err().to_string().contains("another process")
        );
        assert!(ReservedFile::new(&dir.path().join("heard-2.wav"), Content::Wav, &[]).is_ok());
        drop(first);
        drop(ReservedFile::new(&path, Content::Wav, &[]).unwrap());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn writing_to_somebody_who_does_not_read_ends() {
        let (_reader, writer) = io::pipe().unwrap();
        let writer = File::from(std::os::fd::OwnedFd::from(writer));
        fcntl_setfl(&writer, OFlags::NONBLOCK).unwrap();
        let error = write_within(&writer, &vec![0; 1 << 20], Duration::from_millis(20)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }
}

//! The bytes of a WAV file, read at any place: of a file in blocks, so that its length does not matter; of a
//! pipe what came out of it, in memory as far as it is short, then in a file without a name. Nothing waits
//! for ever: a pipe from which nothing comes is given up.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::read::WavError;

/// Nothing has come from a FIFO for as long: nobody writes there.
const PIPE_PATIENCE: Duration = Duration::from_secs(5);
/// What came out of a pipe and is kept in memory, bytes.
const IN_MEMORY_BYTES: usize = 64 << 20;
/// The most that is taken from a pipe: what the 32 bits of a WAV header can count. It may never end.
const PIPE_BYTES_MAX: u64 = 4 << 30;

/// The bytes.
pub(super) enum Bytes<'a> {
    /// They are in memory.
    Memory(Cow<'a, [u8]>),
    /// They are in a file, which had so many when it was opened.
    File(File, u64),
}

impl Bytes<'static> {
    /// Those of the file at `path`.
    pub(super) fn open(path: &Path) -> Result<Self, WavError> {
        // Without waiting for the other end of a FIFO.
        let file = File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
        let about = file.metadata()?;
        if about.is_file() { Ok(Self::File(file, about.len())) } else { drain(file, PIPE_PATIENCE) }
    }
}

impl Bytes<'_> {
    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(_, bytes) => *bytes,
        }
    }

    /// Fills `into` from this place on; gives how many bytes there were, fewer only at the end.
    pub(super) fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Memory(bytes) => {
                let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
                let count = rest.len().min(into.len());
                if let (Some(into), Some(rest)) = (into.get_mut(..count), rest.get(..count)) {
                    into.copy_from_slice(rest);
                }
                Ok(count)
            }
            Self::File(file, _) => {
                let mut done = 0;
                while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
                    match file.read_at(rest, at.saturating_add(done as u64)) {
                        Ok(0) => break,
                        Ok(read) => done += read,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(done)
            }
        }
    }
}

/// Copies the file at `path`, which may be a FIFO, if it is not longer than `most` bytes.
pub fn copy(path: &Path, into: &mut impl Write, most: u64) -> Result<(), WavError> {
    let bytes = Bytes::open(path)?;
    if bytes.len() > most {
        return Err(WavError::TooLong(most));
    }
    let (mut at, mut block) = (0, vec![0; 1 << 20]);
    while at < bytes.len() {
        let read = bytes.read_at(at, &mut block)?;
        let Some(part) = block.get(..read).filter(|part| !part.is_empty()) else { break };
        into.write_all(part)?;
        at = at.saturating_add(read as u64);
    }
    Ok(())
}

/// Takes all that comes out of a pipe or device; gives up when nothing came for as long as `patience`, more
/// than a WAV file holds, or no RIFF file.
fn drain(mut pipe: File, patience: Duration) -> Result<Bytes<'static>, WavError> {
    let patience = Timespec::try_from(patience).map_err(io::Error::other)?;
    let (mut memory, mut spilled) = (Vec::new(), None::<(File, u64)>);
    let mut chunk = vec![0; 64 << 10];
    loop {
        // A FIFO that nobody has opened to write gives its end at once when it is read, but nothing here.
        match poll(&mut [PollFd::new(&pipe, PollFlags::IN)], Some(&patience)) {
            Ok(0) => {
                let line = format!("nothing has come for {} s; start its writer first", patience.tv_sec);
                return Err(io::Error::new(io::ErrorKind::TimedOut, line).into());
            }
            Ok(_) => {}
            Err(error) if io::Error::from(error).kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(io::Error::from(error).into()),
        }
        let read = match pipe.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => chunk.get(..read).unwrap_or_default(),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if let Some((file, bytes)) = &mut spilled {
            file.write_all(read)?;
            *bytes += read.len() as u64;
            if *bytes > PIPE_BYTES_MAX {
                return Err(WavError::TooLong(PIPE_BYTES_MAX));
            }
            continue;
        }
        memory.extend_from_slice(read);
        // Enough to tell what it is instead.
        if memory.len() >= 16 && ![b"RIFF", b"RF64", b"BW64"].iter().any(|magic| memory.starts_with(*magic)) {
            break;
        }
        if memory.len() > IN_MEMORY_BYTES {
            let mut file = nameless()?;
            file.write_all(&memory)?;
            spilled = Some((file, memory.len() as u64));
            memory = Vec::new();
        }
    }
    Ok(match spilled {
        Some((file, bytes)) => Bytes::File(file, bytes),
        None => Bytes::Memory(memory.into()),
    })
}

/// A file that goes when it is closed.
fn nameless() -> io::Result<File> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("ringwave-pipe-{}-{number}", std::process::id()));
    let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

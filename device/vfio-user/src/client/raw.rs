//! A connection that says anything at all, and hears whole messages.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use zerocopy::FromBytes;

use crate::socket;
use crate::wire::{HEADER_BYTES, Header, MESSAGE_BYTES_MAX};

/// A message that was received.
#[derive(Debug)]
pub struct Frame {
    /// Its header.
    pub header: Header,
    /// What follows.
    pub payload: Vec<u8>,
    /// Descriptors that came with any part of it.
    pub fds: Vec<OwnedFd>,
}

/// A connection without a protocol.
#[derive(Debug)]
pub struct RawClient {
    stream: UnixStream,
    patience: Duration,
}

impl RawClient {
    /// Connects and says nothing.
    pub fn connect(path: &Path, patience: Duration) -> io::Result<Self> {
        Self::over(UnixStream::connect(path)?, patience)
    }

    /// Takes a connection. `patience` is how long a call waits before it fails with
    /// [`io::ErrorKind::TimedOut`].
    pub fn over(stream: UnixStream, patience: Duration) -> io::Result<Self> {
        Ok(Self { stream, patience })
    }

    /// Sends these bytes, with descriptors on the first.
    pub fn send(&mut self, mut bytes: &[u8], mut fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let end = Instant::now() + self.patience;
        while !bytes.is_empty() {
            match socket::send(&self.stream, bytes, fds) {
                Ok(sent) => {
                    bytes = bytes.get(sent..).unwrap_or_default();
                    fds = &[];
                }
                Err(Errno::AGAIN) => self.wait(PollFlags::OUT, end)?,
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// The next message. [`io::ErrorKind::UnexpectedEof`] when there is none because the server has closed.
    pub fn receive(&mut self) -> io::Result<Frame> {
        let mut fds = Vec::new();
        let mut bytes = [0; HEADER_BYTES];
        self.fill(&mut bytes, &mut fds)?;
        let header = Header::read_from_bytes(&bytes).map_err(|_| io::ErrorKind::InvalidData)?;
        let size = header.size.get();
        if size > MESSAGE_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a message longer than any may be"));
        }
        let rest = (size as usize).checked_sub(HEADER_BYTES);
        let mut payload = vec![0; rest.ok_or(io::ErrorKind::InvalidData)?];
        self.fill(&mut payload, &mut fds)?;
        Ok(Frame { header, payload, fds })
    }

    /// Says that nothing more will be sent; replies can still be received.
    pub fn finish(&mut self) -> io::Result<()> {
        self.stream.shutdown(std::net::Shutdown::Write)
    }

    fn fill(&mut self, mut into: &mut [u8], fds: &mut Vec<OwnedFd>) -> io::Result<()> {
        let end = Instant::now() + self.patience;
        while !into.is_empty() {
            match socket::receive(&self.stream, into) {
                Ok(received) if received.bytes == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(received) => {
                    fds.extend(received.fds);
                    into = into.get_mut(received.bytes..).unwrap_or_default();
                }
                Err(Errno::AGAIN) => self.wait(PollFlags::IN, end)?,
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    fn wait(&self, events: PollFlags, end: Instant) -> io::Result<()> {
        let left = end.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut fds = [PollFd::new(&self.stream, events)];
        match poll(&mut fds, Some(&left)) {
            Ok(0) => Err(io::ErrorKind::TimedOut.into()),
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl AsFd for RawClient {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

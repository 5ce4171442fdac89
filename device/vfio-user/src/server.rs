//! The shell around a [`Session`]: one client after the other on a listening socket, and a way to end it from
//! another thread.
//!
//! One client at a time. A second one that connects waits in the socket's queue, unanswered, until the first
//! has left; then it finds a fresh device.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;

use crate::device::Device;
use crate::refusal::CloseReason;
use crate::session::{Reply, Session, Step};
use crate::socket::{Received, receive, send};

/// How much is received at a time, bytes.
const CHUNK_BYTES: usize = 64 << 10;
/// And at least so much is asked for, though the message may end before: an access, a map and an interrupt's
/// set-up are then one read, and not their header and their rest. Not much more: a stop is looked for between
/// two reads.
const AHEAD_BYTES: usize = 128;
/// Between two attempts to accept a client for which there is no descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Ends serving, from any thread and from a signal handler's thread: whoever waits for a client wakes at
/// once.
#[derive(Clone, Debug)]
pub struct Stop(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Looked at before every message: a client that never pauses must not outlast a stop.
    stopped: AtomicBool,
    /// Wakes whoever waits. Signalled once, and never read.
    event: OwnedFd,
}

impl Stop {
    /// Not stopped yet.
    pub fn new() -> io::Result<Self> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self(Arc::new(Inner { stopped: AtomicBool::new(false), event })))
    }

    /// Stops, for good.
    pub fn stop(&self) {
        self.0.stopped.store(true, Ordering::Release);
        // It fails only when it was signalled 2^64 - 2 times already.
        let _ = rustix::io::write(&self.0.event, &1_u64.to_ne_bytes());
    }

    /// Whether it was stopped.
    pub fn is_stopped(&self) -> bool {
        self.0.stopped.load(Ordering::Acquire)
    }

    /// Waits for so long (`true`), or until this is stopped (`false`).
    ///
    /// # Errors
    /// There is no waiting for it.
    pub fn pause(&self, time: Duration) -> io::Result<bool> {
        let time = Timespec::try_from(time).map_err(io::Error::other)?;
        let mut stop = [PollFd::new(&self.0.event, PollFlags::IN)];
        match poll(&mut stop, Some(&time)) {
            Ok(ready) => Ok(ready == 0),
            Err(Errno::INTR) => Ok(true),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Waits until there is something to read or to accept (`true`), or until this is stopped (`false`).
    ///
    /// # Errors
    /// There is no waiting for it.
    pub fn wait_readable(&self, socket: BorrowedFd<'_>) -> io::Result<bool> {
        self.wait(socket, PollFlags::IN)
    }

    /// Waits until this is stopped.
    ///
    /// # Errors
    /// There is no waiting for it.
    pub fn wait_stopped(&self) -> io::Result<()> {
        rustix::io::retry_on_intr(|| poll(&mut [PollFd::new(&self.0.event, PollFlags::IN)], None))?;
        Ok(())
    }

    /// Waits until `socket` has `events` (`true`) or this is stopped (`false`).
    fn wait(&self, socket: BorrowedFd<'_>, events: PollFlags) -> io::Result<bool> {
        loop {
            let mut fds =
                [PollFd::from_borrowed_fd(socket, events), PollFd::new(&self.0.event, PollFlags::IN)];
            match poll(&mut fds, None) {
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno.into()),
                Ok(_) => {}
            }
            let [socket, stop] = &fds;
            if !stop.revents().is_empty() {
                return Ok(false);
            }
            // Errors and hang-ups come unasked for; the next call on the socket will name them.
            if !socket.revents().is_empty() {
                return Ok(true);
            }
        }
    }
}

/// How a client's time ended.
#[derive(Debug, thiserror::Error)]
pub enum ClientEnd {
    /// It left between two messages.
    #[error("the client left")]
    Left,
    /// It left in the middle of a message.
    #[error("the client left in the middle of a message")]
    MidMessage,
    /// It was cut off.
    #[error("the client was cut off: {0}")]
    CutOff(CloseReason),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(io::Error),
    /// Serving was stopped.
    #[error("serving was stopped")]
    Stopped,
}

/// Why serving ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The socket does not give clients any more.
    #[error("the socket does not accept clients: {0}")]
    Accept(#[from] io::Error),
}

/// Serves clients, one after the other, until it is stopped. After each the device hears
/// [`Device::client_left`].
pub fn serve(listener: &UnixListener, device: &mut impl Device, stop: &Stop) -> Result<(), ServeError> {
    while let Some(client) = accept(listener, stop)? {
        let end = serve_client(&client, device, stop);
        log::info!("{end}");
        if matches!(end, ClientEnd::Stopped) {
            break;
        }
    }
    Ok(())
}

/// Waits for the next client; `None` when stopped.
pub fn accept(listener: &UnixListener, stop: &Stop) -> io::Result<Option<UnixStream>> {
    listener.set_nonblocking(true)?;
    let mut told = false;
    while stop.wait(listener.as_fd(), PollFlags::IN)? {
        match listener.accept() {
            Ok((client, _)) => return Ok(Some(client)),
            Err(error) => match error.kind() {
                // It was there, and has gone; or somebody who shares the socket was faster.
                io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => {
                }
                _ if passes(&error) => {
                    if !std::mem::replace(&mut told, true) {
                        log::warn!("clients have to wait: {error}");
                    }
                    // The client stays in the queue, so that the socket would wake us at once.
                    if !stop.pause(ACCEPT_PAUSE)? {
                        return Ok(None);
                    }
                }
                _ => return Err(error),
            },
        }
    }
    Ok(None)
}

/// Whether it is a want of descriptors or memory, of this process or the whole system, which passes.
pub fn passes(error: &io::Error) -> bool {
    let passing = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    passing.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Serves one client until it leaves, in whatever way; then the device hears [`Device::client_left`].
pub fn serve_client(client: &UnixStream, device: &mut impl Device, stop: &Stop) -> ClientEnd {
    let end = converse(client, device, stop).unwrap_or_else(ClientEnd::Broken);
    device.client_left();
    end
}

fn converse(client: &UnixStream, device: &mut impl Device, stop: &Stop) -> io::Result<ClientEnd> {
    let mut session = Session::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut closing = false;
    loop {
        if stop.is_stopped() && !closing {
            // No more is taken, and what was sent is answered. A connection that ends with words of the
            // client unread is a reset to the client, and QEMU 11.1 aborts if that happens while its guest
            // accesses a register.
            closing = true;
            client.shutdown(Shutdown::Read)?;
        }
        // Not only when there was nothing to receive: most clients say nothing more until they were answered.
        if !closing && !stop.wait(client.as_fd(), PollFlags::IN)? {
            continue;
        }
        let wanted = session.wanted().clamp(AHEAD_BYTES, CHUNK_BYTES);
        let into = chunk.get_mut(..wanted).unwrap_or_default();
        let Received { bytes, mut fds, fds_lost } = match receive(client, into) {
            Ok(received) => received,
            // Nothing more, or the client was faster.
            Err(_) if closing => return Ok(ClientEnd::Stopped),
            Err(Errno::AGAIN) => continue,
            Err(errno) => return Err(errno.into()),
        };
        if bytes == 0 {
            if closing {
                return Ok(ClientEnd::Stopped);
            }
            return Ok(if session.mid_message() { ClientEnd::MidMessage } else { ClientEnd::Left });
        }
        let mut bytes = chunk.get(..bytes).unwrap_or_default();
        while !bytes.is_empty() {
            // The kernel ends a read behind what was sent with descriptors: they belong to its last message.
            let is_last = bytes.len() <= session.wanted();
            let own = if is_last { std::mem::take(&mut fds) } else { Vec::new() };
            match session.receive(device, &mut bytes, own, is_last && fds_lost) {
                Step::Continue => {}
                Step::Reply(reply) => match send_all(client, &reply, stop) {
                    Ok(true) => {}
                    Err(error) if !closing => return Err(error),
                    Ok(false) | Err(_) => return Ok(ClientEnd::Stopped),
                },
                Step::Close(reply, reason) => {
                    // The last words are worth a try and no wait.
                    if let Some(reply) = reply {
                        let _ = send(client, &reply.bytes, &[]);
                    }
                    return Ok(ClientEnd::CutOff(reason));
                }
            }
        }
    }
}

/// Sends a reply, however long the client takes to read it; `false` when stopped meanwhile.
fn send_all(client: &UnixStream, reply: &Reply, stop: &Stop) -> io::Result<bool> {
    let fds: Vec<BorrowedFd<'_>> = reply.fds.iter().map(AsFd::as_fd).collect();
    let mut fds = &fds[..];
    let mut rest = &reply.bytes[..];
    while !rest.is_empty() {
        match send(client, rest, fds) {
            Ok(sent) => {
                rest = rest.get(sent..).unwrap_or_default();
                // They went with the first byte.
                fds = &[];
            }
            Err(Errno::AGAIN) => {
                if !stop.wait(client.as_fd(), PollFlags::OUT)? {
                    return Ok(false);
                }
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(true)
}

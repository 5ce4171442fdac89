//! What the host asks of a card while it runs: statistics of the moment, and the jacks, which are the host's
//! to plug.
//!
//! Whoever asks does not wait for the card longer than [`PATIENCE`]: a message that hangs (a client's memory
//! can be made to) holds the lock, and neither a signal nor the control socket may hang with it.

use std::any::Any;
use std::sync::mpsc::Sender;
use std::sync::{Mutex, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use ringwave_engine::wake::{Locked, Wakers};
use ringwave_report::SessionReport;
use ringwave_trace::Header;

/// Longer than any message takes that does not hang.
pub const PATIENCE: Duration = Duration::from_millis(500);
/// How often the lock is tried: it is held for microseconds.
const RETRY_INTERVAL: Duration = Duration::from_micros(500);

/// Why the card does not do what the host asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostRequestError {
    /// There is no such stream.
    #[error("no stream {stream}; the card has {streams}, counted from 0; take one of them")]
    NoStream {
        /// The one that was named.
        stream: u32,
        /// How many there are.
        streams: u32,
    },
    /// A message hangs, or more is asked than is answered.
    #[error(
        "the card does not answer: a message of its client, or its sink, hangs; ask again, then look at its log"
    )]
    Busy,
}

/// A card as the host asks things of it.
pub trait HostRequests: Send + Sync + 'static {
    /// The first line of this card's trace.
    fn trace_header(&self) -> Header;

    /// Asks the I/O worker to put the present client's statistics into the log, and into the file for
    /// statistics if there is one.
    ///
    /// # Errors
    /// [`HostRequestError::Busy`].
    fn log_stats(&self) -> Result<(), HostRequestError>;

    /// Asks the I/O worker to send the present client's statistics. They may come late (the worker does what
    /// was heard first) or never, when the card ends before: then the sender is dropped.
    ///
    /// # Errors
    /// [`HostRequestError::Busy`].
    fn request_stats(&self, answer: Sender<SessionReport>) -> Result<(), HostRequestError>;

    /// Gives the I/O worker something to do that is between it and whoever calls
    /// ([`crate::records::Records::orders`]). It is done after all sound that was played before this call.
    ///
    /// # Errors
    /// [`HostRequestError::Busy`].
    fn request_order(&self, order: Box<dyn Any + Send>) -> Result<(), HostRequestError>;

    /// Plugs something into the jack of a stream, or pulls it out. It stays so over resets and clients.
    ///
    /// # Errors
    /// No such stream, or a card that hangs.
    fn set_jack(&self, stream: u32, plugged: bool) -> Result<(), HostRequestError>;

    /// Whether something is plugged into the jack of a stream.
    ///
    /// # Errors
    /// No such stream, or a card that hangs.
    fn jack(&self, stream: u32) -> Result<bool, HostRequestError>;
}

/// The lock of a card's state, unless it is held for long.
///
/// # Errors
/// [`HostRequestError::Busy`].
pub fn lock_soon<'a, T>(state: &'a Mutex<T>, wakers: &'a Wakers) -> Result<Locked<'a, T>, HostRequestError> {
    let begin = Instant::now();
    loop {
        match state.try_lock() {
            Ok(state) => return Ok(wakers.locked(state)),
            Err(TryLockError::Poisoned(state)) => return Ok(wakers.locked(PoisonError::into_inner(state))),
            Err(TryLockError::WouldBlock) if begin.elapsed() < PATIENCE => {
                std::thread::sleep(RETRY_INTERVAL);
            }
            Err(TryLockError::WouldBlock) => return Err(HostRequestError::Busy),
        }
    }
}

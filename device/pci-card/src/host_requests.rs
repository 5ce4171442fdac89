//! What the host asks of a card while it runs: statistics of the moment, and the jacks, which are the host's
//! to plug.
//!
//! Whoever asks does not wait for the card longer than [`PATIENCE`]: a message that hangs (a client's memory
//! can be made to) holds the lock, and neither a signal nor the control socket may hang with it.

use std::sync::mpsc::Sender;
use std::sync::{MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use crate::records::StatsRequest;
use crate::reset_watch::ResetWatch;
use crate::{PciCard, SoundCard, State, stats};
use ringwave_report::{Client, Messages, SessionReport, micros, seconds};
use ringwave_trace::Event;

/// Longer than any message takes that does not hang.
pub(crate) const PATIENCE: Duration = Duration::from_millis(500);
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

/// What is counted of the present client beside the controller's totals.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Session {
    /// When it came, in nanoseconds of [`ringwave_engine::clock::HostClock::real_now`].
    since: u64,
    /// How often the engine woke.
    pub wakes: u64,
    /// How often the log has named sound that found no room ([`crate::records::loss_to_report`]).
    pub reported_losses: u32,
    /// Whether it sets the card up again after a reset.
    pub reset_watch: ResetWatch,
}

impl<C: SoundCard> PciCard<C> {
    /// A client was accepted.
    pub fn client_came(&self) {
        self.lock().new_session(self);
    }

    /// Asks the I/O worker to put the present client's statistics into the log, and into the file for
    /// statistics if there is one.
    ///
    /// # Errors
    /// [`HostRequestError::Busy`].
    pub fn log_stats(&self) -> Result<(), HostRequestError> {
        self.send_stats_request(StatsRequest::Log)
    }

    /// Asks the I/O worker to send the present client's statistics. They may come late (the worker does what
    /// was heard first) or never, when the card ends before: then the sender is dropped.
    ///
    /// # Errors
    /// [`HostRequestError::Busy`].
    pub fn request_stats(&self, answer: Sender<SessionReport>) -> Result<(), HostRequestError> {
        self.send_stats_request(StatsRequest::Send(answer))
    }

    fn send_stats_request(&self, request: StatsRequest) -> Result<(), HostRequestError> {
        let taken = self.lock_soon()?.queue.records.request(request);
        self.wakers.io.wake();
        if taken { Ok(()) } else { Err(HostRequestError::Busy) }
    }

    /// Plugs something into the jack of a stream, or pulls it out. It stays so over resets and clients.
    ///
    /// # Errors
    /// No such stream, or a card that hangs.
    pub fn set_jack(&self, stream: u32, plugged: bool) -> Result<(), HostRequestError> {
        let mut state = self.lock_soon()?;
        let before = state.jack(stream)?;
        if before != plugged {
            state.split(self).1.trace(|| Event::Jack { stream, plugged });
            state.with_card(self, |card, env| card.set_jack(stream, plugged, env));
            self.wake_engine(&state);
        }
        Ok(())
    }

    /// Whether something is plugged into the jack of a stream.
    ///
    /// # Errors
    /// No such stream, or a card that hangs.
    pub fn jack(&self, stream: u32) -> Result<bool, HostRequestError> {
        self.lock_soon()?.jack(stream)
    }

    /// The lock, unless it is held for long.
    fn lock_soon(&self) -> Result<MutexGuard<'_, State<C>>, HostRequestError> {
        let begin = Instant::now();
        loop {
            match self.state.try_lock() {
                Ok(state) => return Ok(state),
                Err(TryLockError::Poisoned(state)) => return Ok(PoisonError::into_inner(state)),
                Err(TryLockError::WouldBlock) if begin.elapsed() < PATIENCE => {
                    std::thread::sleep(RETRY_INTERVAL);
                }
                Err(TryLockError::WouldBlock) => return Err(HostRequestError::Busy),
            }
        }
    }
}

impl<C: SoundCard> State<C> {
    fn jack(&self, stream: u32) -> Result<bool, HostRequestError> {
        let streams = self.card.streams();
        self.card.jack(stream).ok_or(HostRequestError::NoStream { stream, streams })
    }

    /// From here on it is counted for the next client.
    pub(crate) fn new_session(&mut self, shared: &PciCard<C>) {
        self.session = Session { since: shared.clock.real_now(), ..Session::default() };
    }

    /// Whether the present client has said anything.
    pub fn client_spoke(&self) -> bool {
        self.counted != Messages::default()
    }

    /// The statistics of the present client's session so far.
    pub fn report(&self, shared: &PciCard<C>) -> SessionReport {
        let real = |ticks| shared.clock.real_time(ticks);
        let worst = self.card.stats().map(|stats| stats.late_ticks).max().unwrap_or(0);
        let streams = (0_u32..).zip(self.card.stats()).map(|(stream, stats)| {
            stats::stream_report(stream, &stats, real(stats.late_ticks), self.card.jack(stream))
        });
        let time = shared.clock.real_now().saturating_sub(self.session.since);
        SessionReport {
            version: env!("CARGO_PKG_VERSION").into(),
            clock: shared.clock_mode.name().into(),
            client: if self.client_spoke() { Client::There } else { Client::None },
            seconds: seconds(Duration::from_nanos(time)),
            streams: streams.collect(),
            messages: self.counted,
            interrupts: self.function.raised(),
            wakes: self.session.wakes,
            worst_lateness_us: micros(real(worst)),
        }
    }
}

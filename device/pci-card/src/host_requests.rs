//! What the host asks of a card while it runs: figures of the moment, and the jacks, which are the host's to
//! plug.
//!
//! Whoever asks does not wait for the card longer than [`PATIENCE`]: a message that hangs (a client's memory
//! can be made to) holds the lock, and neither a signal nor the control socket may hang with it.

use std::sync::mpsc::Sender;
use std::sync::{MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use super::reset_watch::ResetWatch;
use super::{Card, State};
use crate::records::StatsRequest;
use crate::stats;
use ringwave_report::{Client, Messages, SessionReport, micros, seconds};
use ringwave_trace::Event;

/// Longer than any message takes that does not hang.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often it is looked whether the lock is free: it is held for microseconds.
const LOOK_AGAIN: Duration = Duration::from_micros(500);

/// Why the card does not do what the host asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
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

impl Card {
    /// A client was accepted.
    pub fn client_came(&self) {
        self.lock().new_session(self);
    }

    /// Asks the I/O worker to put the present client's figures into the log, and into the file for figures if
    /// there is one.
    ///
    /// # Errors
    /// [`AskError::Busy`].
    pub fn log_stats(&self) -> Result<(), AskError> {
        self.ask(StatsRequest::Log)
    }

    /// Asks the I/O worker to send the present client's figures. They may come late (the worker does what was
    /// heard first) or never, when the card ends before: then the sender is dropped.
    ///
    /// # Errors
    /// [`AskError::Busy`].
    pub fn request_stats(&self, answer: Sender<SessionReport>) -> Result<(), AskError> {
        self.ask(StatsRequest::Send(answer))
    }

    fn ask(&self, request: StatsRequest) -> Result<(), AskError> {
        let taken = self.lock_soon()?.queue.records.request(request);
        self.wakers.io.wake();
        if taken { Ok(()) } else { Err(AskError::Busy) }
    }

    /// Plugs something into the jack of a stream, or pulls it out. It stays so over resets and clients.
    ///
    /// # Errors
    /// No such stream, or a card that hangs.
    pub fn set_jack(&self, stream: u32, plugged: bool) -> Result<(), AskError> {
        let mut state = self.lock_soon()?;
        let before = state.jack(stream)?;
        if before != plugged {
            state.split(self).1.trace(|| Event::Jack { stream, plugged });
            state.with_controller(self, |controller, env| controller.set_jack(stream, plugged, env));
            self.tell_engine(&state);
        }
        Ok(())
    }

    /// Whether something is plugged into the jack of a stream.
    ///
    /// # Errors
    /// No such stream, or a card that hangs.
    pub fn jack(&self, stream: u32) -> Result<bool, AskError> {
        self.lock_soon()?.jack(stream)
    }

    /// The lock, unless it is held for long.
    fn lock_soon(&self) -> Result<MutexGuard<'_, State>, AskError> {
        let begin = Instant::now();
        loop {
            match self.state.try_lock() {
                Ok(state) => return Ok(state),
                Err(TryLockError::Poisoned(state)) => return Ok(PoisonError::into_inner(state)),
                Err(TryLockError::WouldBlock) if begin.elapsed() < PATIENCE => {
                    std::thread::sleep(LOOK_AGAIN);
                }
                Err(TryLockError::WouldBlock) => return Err(AskError::Busy),
            }
        }
    }
}

impl State {
    fn jack(&self, stream: u32) -> Result<bool, AskError> {
        let streams = self.controller.streams();
        self.controller.jack(stream).ok_or(AskError::NoStream { stream, streams })
    }

    /// From here on it is counted for the next client.
    pub(super) fn new_session(&mut self, card: &Card) {
        self.session = Session { since: card.clock.real_now(), ..Session::default() };
    }

    /// Whether the present client has said anything.
    pub fn client_spoke(&self) -> bool {
        self.counted != Messages::default()
    }

    /// What the present client's session came to so far.
    pub fn report(&self, card: &Card) -> SessionReport {
        let real = |ticks| card.clock.real_time(ticks);
        let worst = self.controller.stats().map(|stats| stats.late_ticks).max().unwrap_or(0);
        let streams = (0_u32..).zip(self.controller.stats()).map(|(stream, stats)| {
            stats::stream_report(stream, &stats, real(stats.late_ticks), self.controller.jack(stream))
        });
        let time = card.clock.real_now().saturating_sub(self.session.since);
        SessionReport {
            version: env!("CARGO_PKG_VERSION").into(),
            clock: card.clock_mode.name().into(),
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::super::CardConfig;
    use super::*;
    use ringwave_card::controller::Config;
    use ringwave_card::pci::Identity;
    use ringwave_engine::clock::Speed;
    use ringwave_pci::Request;
    use ringwave_pci::client::Requests;

    fn card() -> Card {
        let (controller, identity) = (Config::default(), Identity::default());
        Card::new(CardConfig { controller, identity, speed: Speed::REAL, trace: true }).unwrap()
    }

    #[test]
    fn who_asks_a_card_that_hangs_is_told_so_and_does_not_hang() {
        let card = card();
        let hangs = card.lock();
        let begin = Instant::now();
        assert_eq!(card.log_stats(), Err(AskError::Busy));
        assert_eq!(card.set_jack(0, false), Err(AskError::Busy));
        assert!(begin.elapsed() < 4 * PATIENCE, "{:?}", begin.elapsed());
        drop(hangs);
        assert_eq!((card.jack(0), card.log_stats()), (Ok(true), Ok(())));
    }

    #[test]
    fn worker_that_hangs_is_not_asked_without_end() {
        let card = card();
        let (answer, _answers) = mpsc::channel();
        let taken = (0..1000).take_while(|_| card.request_stats(answer.clone()).is_ok()).count();
        assert!((1..100).contains(&taken), "{taken}");
        for _ in 0..1000 {
            assert_eq!(card.log_stats(), Ok(()), "once is as good as a thousand times");
        }
    }

    #[test]
    fn jacks_are_the_hosts_and_a_change_is_in_the_trace_once() {
        let card = card();
        assert_eq!(card.jack(2), Err(AskError::NoStream { stream: 2, streams: 2 }));
        assert_eq!(card.set_jack(2, false), Err(AskError::NoStream { stream: 2, streams: 2 }));
        for _ in 0..2 {
            card.set_jack(1, false).unwrap();
        }
        card.request(Request::Reset).unwrap();
        assert_eq!((card.jack(0), card.jack(1)), (Ok(true), Ok(false)), "a reset leaves it");
    }
}

//! What the host asks of a card while it runs ([`ringwave_served::host_requests`]).

use std::any::Any;
use std::sync::mpsc::Sender;
use std::time::{Duration, SystemTime};

use crate::reset_watch::ResetWatch;
use crate::{PciCard, SoundCard, State};
use ringwave_report::{Client, Messages, SCHEMA, SessionReport, micros, seconds};
use ringwave_served::records::StatsRequest;
use ringwave_served::{HostRequestError, HostRequests, lock_soon, stats};
use ringwave_trace::{Event, Header};

/// What is counted of the present client beside the controller's totals.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Session {
    /// When it came, in nanoseconds of [`ringwave_engine::clock::HostClock::real_now`].
    since: u64,
    /// How often the engine woke.
    pub wakes: u64,
    /// How often the log has named sound that found no room ([`ringwave_served::records::loss_to_report`]).
    pub reported_losses: u32,
    /// Whether it sets the card up again after a reset.
    pub reset_watch: ResetWatch,
}

impl<C: SoundCard> PciCard<C> {
    /// A client was accepted.
    pub fn client_came(&self) {
        self.lock().new_session(self);
    }

    fn send_stats_request(&self, request: StatsRequest) -> Result<(), HostRequestError> {
        let taken = lock_soon(&self.state, &self.wakers)?.queue.records.request(request);
        self.wakers.io.wake();
        if taken { Ok(()) } else { Err(HostRequestError::Busy) }
    }
}

impl<C: SoundCard> HostRequests for PciCard<C> {
    fn trace_header(&self) -> Header {
        let age = Duration::from_nanos(self.clock.real_now());
        let now = SystemTime::now();
        let started = now.checked_sub(age).unwrap_or(now);
        Header {
            card: C::NAME,
            clock: self.clock_mode.name(),
            speed: self.clock.speed().to_string(),
            started,
        }
    }

    fn log_stats(&self) -> Result<(), HostRequestError> {
        self.send_stats_request(StatsRequest::Log)
    }

    fn request_stats(&self, answer: Sender<SessionReport>) -> Result<(), HostRequestError> {
        self.send_stats_request(StatsRequest::Send(answer))
    }

    fn request_order(&self, order: Box<dyn Any + Send>) -> Result<(), HostRequestError> {
        let taken = lock_soon(&self.state, &self.wakers)?.queue.records.order(order);
        self.wakers.io.wake();
        if taken { Ok(()) } else { Err(HostRequestError::Busy) }
    }

    fn set_jack(&self, stream: u32, plugged: bool) -> Result<(), HostRequestError> {
        let mut state = lock_soon(&self.state, &self.wakers)?;
        let before = state.jack(stream)?;
        if before != plugged {
            state.split(self).1.trace(|| Event::Jack { stream, plugged });
            state.with_card(self, |card, env| card.set_jack(stream, plugged, env));
            self.wake_engine(&state);
        }
        Ok(())
    }

    fn jack(&self, stream: u32) -> Result<bool, HostRequestError> {
        lock_soon(&self.state, &self.wakers)?.jack(stream)
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
            let source = self.sources.stats(stream);
            stats::stream_report(stream, &stats, real(stats.late_ticks), self.card.jack(stream), source)
        });
        let time = shared.clock.real_now().saturating_sub(self.session.since);
        SessionReport {
            schema: SCHEMA,
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

//! The card behind its lock: the queues of the present client, time, trace, statistics.
//!
//! Threads that come here: the one that handles kicks, the one that handles the client's messages (memory,
//! queues that stop), the engine thread and the I/O worker. None waits for a file or a log with the lock
//! held.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use ringwave_engine::clock::HostClock;
use ringwave_engine::device::Device;
use ringwave_engine::io_queue::{Feedback, IoQueue, StreamsNow};
use ringwave_engine::sources::Sources;
use ringwave_engine::timeline::ClockMode;
use ringwave_engine::wake::{Locked, Wakers};
use ringwave_report::{Client, Messages, SCHEMA, SessionReport, micros, seconds};
use ringwave_served::records::{Records, StatsRequest, is_urgent, loss_to_report, report_loss};
use ringwave_served::stats::stream_report;
use ringwave_served::{HostRequestError, HostRequests, lock_soon};
use ringwave_trace::{ErrorName, Event as TraceEvent, Header};
use vm_memory::GuestMemoryMmap;

use crate::chain::Chain;
use crate::controller::{Config, Controller};
use crate::messages::Completion;
use crate::rings::{QUEUE_SIZE_MAX, QueueIndex, Rings};
use crate::stream::{Env, Outbox};
use crate::vring::Vring;
use crate::wire::{EVENT_BYTES, REQUEST_BYTES_MAX, STATUS_BYTES, Status, status_bytes};

/// For how long the last message of a stream is held in lockstep, in real time (VIRTIO-SND.md, *Completion*).
const GRACE: Duration = Duration::from_millis(60);
// ALSA waits for 100 ms at least.
const _: () = assert!(GRACE.as_millis() < 80);
/// A card that waits for a message looks at its queues as often: a kick may be lost (TCG with one processor).
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Chains for events that are kept.
const EVENT_CHAINS_MAX: usize = QUEUE_SIZE_MAX as usize;

/// What a card is made with.
#[derive(Clone, Copy, Debug)]
pub struct CardConfig {
    /// Render streams.
    pub render: u32,
    /// Capture streams.
    pub capture: u32,
    /// For each capture stream: the render stream whose sound it captures.
    pub loopback: [Option<u8>; crate::controller::STREAMS_MAX as usize],
    /// What the streams go by.
    pub clock: ClockMode,
    /// Most channels.
    pub channels_max: u8,
    /// Whether somebody wants the trace.
    pub trace: bool,
}

/// The virtio-snd card.
pub struct VirtioCard {
    state: Mutex<State>,
    wakers: Wakers,
    clock: HostClock,
    clock_mode: ClockMode,
}

/// What the lock guards.
struct State {
    controller: Controller,
    /// The queues of the client, once it has started one.
    rings: Option<Rings>,
    /// No page of it can be missing: the queues and the messages are read as memory.
    memory: Arc<GuestMemoryMmap>,
    /// The client has stopped a queue: nothing moves until it starts the control queue.
    halted: bool,
    /// Chains are left that no kick will come for.
    more: bool,
    /// Room for events.
    event_chains: VecDeque<Chain>,
    out: Outbox,
    sources: Box<dyn Sources + Send>,
    queue: IoQueue<Records<ErrorName>>,
    counted: Messages,
    /// When the client came, in nanoseconds of real time.
    since: u64,
    wakes: u64,
    interrupts: u64,
    reported_losses: u32,
    /// The log says of the client that something could not be handled.
    panic_told: bool,
    tracing: Tracing,
}

/// Who waits for the trace.
struct Tracing {
    /// Somebody wants it.
    wanted: bool,
    /// The I/O worker looks at it in a moment, unasked.
    worker_polls: bool,
}

impl VirtioCard {
    /// The card after power-on: it goes by `clock`, and its capture streams capture `sources`.
    pub fn new(config: CardConfig, clock: HostClock, sources: Box<dyn Sources + Send>) -> Self {
        let CardConfig { render, capture, loopback, clock: clock_mode, channels_max, trace } = config;
        let controller = Controller::new(Config {
            render,
            capture,
            loopback,
            clock: clock_mode,
            grace: ticks(&clock, GRACE),
            channels_max,
        });
        let state = State {
            controller,
            rings: None,
            memory: Arc::default(),
            halted: false,
            more: false,
            event_chains: VecDeque::new(),
            out: Outbox::default(),
            sources,
            queue: IoQueue::default(),
            counted: Messages::default(),
            since: 0,
            wakes: 0,
            interrupts: 0,
            reported_losses: 0,
            panic_told: false,
            tracing: Tracing { wanted: trace, worker_polls: false },
        };
        Self { state: Mutex::new(state), wakers: Wakers::default(), clock, clock_mode }
    }

    fn lock(&self) -> Locked<'_, State> {
        // A handler that panicked has left whole values.
        self.wakers.locked(self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// `virtio_snd_config`.
    pub fn config_space(&self) -> Vec<u8> {
        let mut state = self.lock();
        state.counted.total += 1;
        state.controller.config_space().to_vec()
    }

    /// A client was accepted.
    pub fn client_came(&self) {
        self.lock().begin_session(self);
    }

    /// The client has left, and its files are finished when this returns. `false`: it never said anything.
    pub fn client_left(&self) -> bool {
        let (done, finished) = mpsc::channel();
        {
            let mut state = self.lock();
            let spoke = state.spoke();
            state.call(self, Controller::advance);
            let mut report = state.report(self);
            report.client = Client::Left;
            state.trace(self, TraceEvent::Left);
            state.call(self, Controller::reset);
            state.forget_client();
            if !spoke {
                return false;
            }
            state.controller.clear_stats();
            state.sources.clear_stats();
            state.begin_session(self);
            state.queue.records.left = Some((report, done));
        }
        self.wakers.io.wake();
        // The I/O worker drops the sender when it is done, or has ended.
        let _ = finished.recv();
        true
    }

    /// Guest memory is this from now on. No page of it may be missing, whatever the client does.
    pub fn set_memory(&self, memory: Arc<GuestMemoryMmap>) {
        let mut state = self.lock();
        state.counted.total += 1;
        state.memory = memory;
    }

    /// Something may have come on these queues of the client.
    pub fn kicked(&self, rings: &[Vring]) {
        let mut state = self.lock();
        if state.rings.is_none() {
            state.rings = Some(Rings::new(rings));
            state.trace(self, TraceEvent::Connected);
        }
        let before = (state.next_deadline(), state.looks());
        let handled = state.handle(|state| state.serve_rings(self));
        // A card that begins to wait for a message has no deadline, and is to look at its queues.
        if (state.next_deadline(), state.looks()) != before || state.more {
            self.wakers.engine.wake_unlocked();
        }
        let tell = state.tells_panic(handled);
        drop(state);
        report_panic(tell);
    }

    /// The client stops its queues. When this returns the card leaves them alone.
    pub fn halt(&self) {
        let mut state = self.lock();
        if !std::mem::replace(&mut state.halted, true) {
            state.call(self, |controller, env| controller.set_halted(true, env));
        }
        self.wakers.engine.wake_unlocked();
    }

    /// The clock that the card goes by.
    pub fn clock(&self) -> &HostClock {
        &self.clock
    }

    /// What the card has counted of the present client.
    pub fn report(&self) -> SessionReport {
        self.lock().report(self)
    }
}

/// Ticks of the device clock in so much real time.
fn ticks(clock: &HostClock, time: Duration) -> u64 {
    const TICKS: u64 = 1_000_000;
    let real = clock.real_time(TICKS).as_nanos().max(1);
    let ticks = (time.as_nanos() * u128::from(TICKS)).checked_div(real).unwrap_or(0);
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

/// Says that something could not be handled, without the card's lock.
fn report_panic(tell: bool) {
    if tell {
        log::error!("a message of the guest could not be handled; the card goes on");
    }
}

impl State {
    /// Does what a message of the guest can bring to a panic. `false`: it did.
    fn handle(&mut self, work: impl FnOnce(&mut Self)) -> bool {
        let handled = catch_unwind(AssertUnwindSafe(|| work(self))).is_ok();
        // A queue that was left in the midst asks for no kicks: the engine thread looks at it once more.
        self.more |= !handled;
        handled
    }

    /// Whether the log is to say that something was not handled: once for a client, for it may come every 5
    /// ms.
    fn tells_panic(&mut self, handled: bool) -> bool {
        !handled && !std::mem::replace(&mut self.panic_told, true)
    }

    fn begin_session(&mut self, shared: &VirtioCard) {
        self.since = shared.clock.real_now();
        (self.wakes, self.interrupts) = (0, 0);
        self.reported_losses = 0;
        self.panic_told = false;
        self.counted = Messages::default();
    }

    fn forget_client(&mut self) {
        self.rings = None;
        self.memory = Arc::default();
        self.halted = false;
        self.more = false;
        self.event_chains.clear();
    }

    /// Whether the present client has said anything.
    fn spoke(&self) -> bool {
        self.counted != Messages::default()
    }

    /// Device clock at which there is something to do.
    fn next_deadline(&self) -> Option<u64> {
        self.controller.next_deadline()
    }

    /// Whether the queues have to be looked at unasked.
    fn looks(&self) -> bool {
        let waits = self.controller.stalls().next().is_some() || self.halted;
        self.rings.is_some() && (self.more || waits && self.controller.running())
    }

    /// Calls the controller.
    fn call<R>(&mut self, shared: &VirtioCard, call: impl FnOnce(&mut Controller, &mut Env<'_>) -> R) -> R {
        let before = self.queue.audio.end();
        let time = self.tracing.wanted.then(|| shared.clock.real_now());
        let memory = Arc::clone(&self.memory);
        let mut env = Env {
            now: shared.clock.now(),
            memory: &memory,
            sources: &mut *self.sources,
            audio: &mut self.queue.audio,
            log: self.queue.records.card.log(time),
            out: &mut self.out,
        };
        let result = call(&mut self.controller, &mut env);
        let lost = self.queue.audio.limit(before);
        self.queue.lose(lost);
        let trace_waits = !self.queue.records.card.trace.is_empty() && !self.tracing.worker_polls;
        let next = self.controller.next_deadline();
        if is_urgent(&self.queue)
            || !self.queue.audio.is_empty() && self.queue.audio_is_due(shared.clock.now(), next)
            || trace_waits
            || self.sources.has_warnings()
            || self.controller.stalls().next().is_some()
        {
            shared.wakers.io.wake_unlocked();
        }
        result
    }

    fn trace(&mut self, shared: &VirtioCard, event: TraceEvent) {
        if self.tracing.wanted {
            self.queue.records.card.record(shared.clock.real_now(), event);
            shared.wakers.io.wake_unlocked();
        }
    }

    /// Carries out everything that is on the queues, tx and rx before control: nothing orders them, and what
    /// was queued before START is to be there.
    fn serve_rings(&mut self, shared: &VirtioCard) {
        let Some(rings) = self.rings.clone() else { return };
        if self.starts_again(shared, &rings) {
            self.more = false;
            for (queue, capture) in [(QueueIndex::Tx, false), (QueueIndex::Rx, true)] {
                self.serve_ring(&rings, queue, |state, _, chain| {
                    state.count_message();
                    state.call(shared, |controller, env| controller.io(capture, chain, env));
                });
            }
            self.serve_ring(&rings, QueueIndex::Control, |state, rings, chain| {
                state.count_message();
                state.control(shared, rings, &chain);
            });
            self.signal(&rings, QueueIndex::Control);
            self.serve_ring(&rings, QueueIndex::Event, |state, _, chain| {
                if state.event_chains.len() < EVENT_CHAINS_MAX {
                    state.event_chains.push_back(chain);
                }
            });
            self.flush(&rings);
        }
    }

    fn signal(&mut self, rings: &Rings, queue: QueueIndex) {
        self.interrupts = self.interrupts.saturating_add(rings.signal(queue, &self.memory).into());
    }

    fn count_message(&mut self) {
        self.counted.write(self.controller.running());
    }

    /// Whether the queues may be served. After a stop: the driver begins anew, or the machine goes on.
    fn starts_again(&mut self, shared: &VirtioCard, rings: &Rings) -> bool {
        if !rings.started(QueueIndex::Control) {
            return false;
        }
        if std::mem::take(&mut self.halted) {
            if rings.next_available(QueueIndex::Control) == 0 {
                self.event_chains.clear();
                self.call(shared, Controller::reset);
            } else {
                self.call(shared, |controller, env| controller.set_halted(false, env));
            }
        }
        true
    }

    /// Takes what is on a queue, at most as many chains as the longest queue holds.
    fn serve_ring(
        &mut self,
        rings: &Rings,
        queue: QueueIndex,
        mut serve: impl FnMut(&mut Self, &Rings, Chain),
    ) {
        let mut left = QUEUE_SIZE_MAX;
        loop {
            rings.silence_kicks(queue, &self.memory);
            let before = left;
            while left > 0
                && let Some(chain) = rings.take(queue, &self.memory)
            {
                left -= 1;
                serve(self, rings, chain);
            }
            let come = rings.want_kicks(queue, &self.memory);
            if left == 0 {
                self.more = true;
                return;
            }
            // Nothing was taken although something is there: an index that cannot be.
            if !come || left == before {
                return;
            }
        }
    }

    /// Carries out one request of the control queue.
    fn control(&mut self, shared: &VirtioCard, rings: &Rings, chain: &Chain) {
        let memory = Arc::clone(&self.memory);
        let bytes = usize::try_from(chain.readable.bytes()).unwrap_or(usize::MAX).min(REQUEST_BYTES_MAX);
        let mut request = vec![0; bytes];
        let whole = chain.fault.is_none() && chain.readable.read(&memory, 0, &mut request).is_ok();
        let answer = if whole {
            let room = chain.writable.bytes();
            self.call(shared, |controller, env| controller.control(&request, room, env))
        } else {
            Vec::from((Status::BadMsg as u32).to_le_bytes())
        };
        // I/O messages that the request completes are in the used rings before it is.
        self.flush_completions(rings);
        let written = chain.writable.write(&memory, 0, &answer);
        rings.give_back(
            QueueIndex::Control,
            &memory,
            chain,
            if written.is_ok() { answer.len() as u64 } else { 0 },
        );
    }

    /// Gives back what is complete, and sends events.
    fn flush(&mut self, rings: &Rings) {
        self.flush_completions(rings);
        let memory = Arc::clone(&self.memory);
        let mut sent = false;
        while rings.started(QueueIndex::Event) && !self.out.events.is_empty() {
            let Some(chain) = self.event_chains.pop_front() else { break };
            let fits = chain.fault.is_none() && chain.writable.bytes() >= EVENT_BYTES as u64;
            let event = if fits { self.out.events.pop_front() } else { None };
            let written = event.map(|event| chain.writable.write(&memory, 0, &event.bytes()));
            let bytes = if written == Some(Ok(())) { EVENT_BYTES as u64 } else { 0 };
            sent |= rings.give_back(QueueIndex::Event, &memory, &chain, bytes);
        }
        if sent {
            self.signal(rings, QueueIndex::Event);
        }
    }

    fn flush_completions(&mut self, rings: &Rings) {
        if self.halted || self.out.completions.is_empty() {
            return;
        }
        let memory = Arc::clone(&self.memory);
        for (queue, of_capture) in [(QueueIndex::Tx, false), (QueueIndex::Rx, true)] {
            // Of a machine that goes on the queues start one after the other: what is complete waits for its
            // own.
            if !rings.started(queue) {
                continue;
            }
            let mut sent = false;
            self.out.completions.retain(|(capture, completion)| {
                let this = *capture == of_capture;
                sent |= this && give_back(rings, queue, &memory, completion);
                !this
            });
            if sent {
                self.signal(rings, queue);
            }
        }
    }

    /// Handles what has become due.
    fn advance(&mut self, shared: &VirtioCard) {
        self.call(shared, Controller::advance);
        if self.looks() {
            self.serve_rings(shared);
        } else if let Some(rings) = self.rings.clone() {
            self.flush(&rings);
        }
    }

    fn jack(&self, stream: u32) -> Result<bool, HostRequestError> {
        let streams = self.controller.streams();
        self.controller.jack(stream).ok_or(HostRequestError::NoStream { stream, streams })
    }

    fn report(&self, shared: &VirtioCard) -> SessionReport {
        let real = |ticks| shared.clock.real_time(ticks);
        let worst = self.controller.stats().map(|stats| stats.late_ticks).max().unwrap_or(0);
        let streams = (0_u32..).zip(self.controller.stats()).map(|(stream, stats)| {
            let source = self.sources.stats(stream);
            stream_report(stream, &stats, real(stats.late_ticks), self.controller.jack(stream), source)
        });
        let time = shared.clock.real_now().saturating_sub(self.since);
        SessionReport {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION").into(),
            clock: shared.clock_mode.name().into(),
            client: if self.spoke() { Client::There } else { Client::None },
            seconds: seconds(Duration::from_nanos(time)),
            streams: streams.collect(),
            messages: self.counted,
            interrupts: self.interrupts,
            wakes: self.wakes,
            worst_lateness_us: micros(real(worst)),
        }
    }
}

/// Puts the status of a message at the end of its chain, and the chain into the used ring.
fn give_back(rings: &Rings, queue: QueueIndex, memory: &GuestMemoryMmap, done: &Completion) -> bool {
    let Completion { chain, status, recorded } = done;
    // What was completed was played: there is no latency behind it.
    let status = status_bytes(*status, 0);
    let at = chain.writable.bytes().checked_sub(STATUS_BYTES as u64);
    let written = at.is_some_and(|at| chain.writable.write(memory, at, &status).is_ok());
    let bytes = if written { recorded.saturating_add(STATUS_BYTES as u64) } else { 0 };
    rings.give_back(queue, memory, chain, bytes)
}

impl Device for VirtioCard {
    type Records = Records<ErrorName>;

    fn advance(&self) -> Option<Duration> {
        let mut state = self.lock();
        state.wakes = state.wakes.saturating_add(1);
        let handled = state.handle(|state| state.advance(self));
        for (stream, rate_den) in state.sources.take_rates() {
            state.controller.set_rate_den(stream, rate_den);
        }
        let unreported = std::mem::take(&mut state.queue.unreported_loss);
        let lost = loss_to_report(unreported, &mut state.reported_losses);
        let due = state.next_deadline().map(|deadline| self.clock.until(deadline));
        // What is left while the client has stopped its queues waits for it to start them.
        let at_once = state.more && !state.halted;
        let look = state.looks().then_some(if at_once { Duration::ZERO } else { LOOK_AGAIN });
        let tell = state.tells_panic(handled);
        drop(state);
        report_loss(lost);
        report_panic(tell);
        // What has panicked is due yet, and may do so again.
        if handled { due.into_iter().chain(look).min() } else { Some(LOOK_AGAIN) }
    }

    fn drain(&self, queue: &mut IoQueue<Self::Records>, feedback: &mut Feedback) {
        let mut state = self.lock();
        for (stream, rate_den) in feedback.rates.drain(..) {
            state.controller.set_rate_den(stream, rate_den);
        }
        state.tracing.wanted &= !feedback.trace_failed;
        std::mem::swap(&mut state.queue, queue);
        let records = &mut queue.records;
        state.tracing.worker_polls = !records.card.trace.is_empty();
        records.source_warnings.extend(state.sources.take_warnings());
        records.live = (!records.requests.is_empty()).then(|| state.report(self));
        records.last = (feedback.last && state.spoke()).then(|| state.report(self));
        let lasted = |since| self.clock.real_time(self.clock.now().saturating_sub(since));
        queue.streams = StreamsNow {
            moving: state.controller.moving(),
            stalls: state.controller.stalls().map(|stall| (stall, lasted(stall.since))).collect(),
        };
    }

    fn wakers(&self) -> &Wakers {
        &self.wakers
    }
}

impl HostRequests for VirtioCard {
    fn trace_header(&self) -> Header {
        let age = Duration::from_nanos(self.clock.real_now());
        let now = SystemTime::now();
        let started = now.checked_sub(age).unwrap_or(now);
        Header {
            card: "virtio",
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
        if state.jack(stream)? != plugged {
            state.trace(self, TraceEvent::Jack { stream, plugged });
            state.call(self, |controller, env| controller.set_jack(stream, plugged, env));
            if let Some(rings) = state.rings.clone() {
                state.flush(&rings);
            } else {
                // A driver that comes asks how the jacks stand.
                state.out.events.clear();
            }
        }
        Ok(())
    }

    fn jack(&self, stream: u32) -> Result<bool, HostRequestError> {
        lock_soon(&self.state, &self.wakers)?.jack(stream)
    }
}

impl VirtioCard {
    fn send_stats_request(&self, request: StatsRequest) -> Result<(), HostRequestError> {
        let taken = lock_soon(&self.state, &self.wakers)?.queue.records.request(request);
        self.wakers.io.wake();
        if taken { Ok(()) } else { Err(HostRequestError::Busy) }
    }
}

#[cfg(test)]
mod tests;

//! One PCM stream: its state, the stream of the engine behind it, and its I/O messages as that stream's
//! client.

use ringwave_audio::StreamFormat;
use ringwave_audio::gain::Gain;
use ringwave_engine::audio_queue::AudioQueue;
use ringwave_engine::sources::Sources;
use ringwave_engine::stream::active::{ActiveStream, StreamCtx};
use ringwave_engine::stream::counters::Counters;
use ringwave_engine::stream::params::{Direction, StreamParams};
use ringwave_engine::stream::stats::{Stall, StreamStats};
use ringwave_engine::stream::transport::{FrameTransport, FrontEnd, StreamEvent, TransportError};
use ringwave_engine::stream::validity::{Mark, Refresh, Validity};
use ringwave_engine::timeline::{ClockMode, NOMINAL};
use ringwave_trace::{CardEvent, CardLog, Diagnostic, Dma, ErrorName, StreamState};
use vm_memory::GuestMemoryMmap;

use crate::chain::Chain;
use crate::messages::{Completing, Completion, Messages};
use crate::params::{FEATURE_EVT_XRUNS, stream_params};
use crate::pcm::PcmState;
use crate::wire::{Event, PcmRequest, SetParams, Status};

/// I/O messages of a stream that may wait.
const MESSAGES_MAX: usize = 512;
/// Events that may wait for the guest to make room.
const EVENTS_MAX: usize = 64;

/// What a call into the card is lent, and where it puts what comes of it.
pub struct Env<'a> {
    /// Device clock in nanoseconds.
    pub now: u64,
    /// Guest memory.
    pub memory: &'a GuestMemoryMmap,
    /// Where captured sound comes from.
    pub sources: &'a mut dyn Sources,
    /// Where what is played is put.
    pub audio: &'a mut AudioQueue,
    /// The trace, and what is for the log.
    pub log: CardLog<'a, ErrorName>,
    /// What goes to the guest.
    pub out: &'a mut Outbox,
}

/// What goes to the guest when a call returns.
#[derive(Debug, Default)]
pub struct Outbox {
    /// I/O messages, in order; `true`: of rx.
    pub completions: Vec<(bool, Completion)>,
    /// Events.
    pub events: std::collections::VecDeque<Event>,
}

impl Outbox {
    /// Sends an event, if there is room for it.
    pub fn event(&mut self, event: Event) {
        if self.events.len() < EVENTS_MAX {
            self.events.push_back(event);
        }
    }
}

/// What a stream is made with.
#[derive(Clone, Copy, Debug)]
pub struct StreamConfig {
    /// Its number.
    pub index: u32,
    /// Which way its frames go.
    pub direction: Direction,
    /// Most channels.
    pub channels_max: u8,
    /// What it goes by.
    pub clock: ClockMode,
    /// Ticks for which the last message is held in lockstep.
    pub grace: u64,
}

/// A PCM stream.
#[derive(Debug)]
pub struct Stream {
    config: StreamConfig,
    state: PcmState,
    params: Option<StreamParams>,
    /// `EVT_XRUNS` is selected.
    tells_xruns: bool,
    /// SET_PARAMS came after the last PREPARE.
    fresh: bool,
    active: Option<ActiveStream>,
    counters: Counters,
    messages: Messages,
    /// Xruns that count when the guest goes on.
    pending_xruns: u64,
    /// Frames that the source has given since SET_PARAMS: after an xrun it goes on there.
    source_frame: u64,
    plugged: bool,
}

/// The stream's client during one call of the engine.
struct Client<'a, 'b> {
    stream: u32,
    messages: &'a mut Messages,
    memory: &'a GuestMemoryMmap,
    fetched: u64,
    /// Shortest burst.
    frames_min: u32,
    now: u64,
    log: CardLog<'b, ErrorName>,
    xruns: u64,
}

impl FrameTransport for Client<'_, '_> {
    fn read(&mut self, frame: u64, into: &mut [u8]) -> Result<(), TransportError> {
        let who = Dma::Stream(self.stream);
        self.trace(into.len(), |address, bytes| CardEvent::Read { who, address, bytes });
        self.messages.read(self.memory, frame, into)
    }

    fn write(&mut self, frame: u64, from: &[u8]) -> Result<(), TransportError> {
        let who = Dma::Stream(self.stream);
        self.trace(from.len(), |address, bytes| CardEvent::Write { who, address, bytes });
        self.messages.write(self.memory, frame, from)
    }

    fn boundary(&self, frame: u64) -> Option<u64> {
        self.messages.boundary(frame, self.frames_min)
    }
}

impl Client<'_, '_> {
    /// Puts into the trace where the next bytes are, whether there is memory or not: a fault follows then.
    fn trace(&mut self, bytes: usize, event: impl Fn(u64, u64) -> CardEvent) {
        if self.log.is_traced() {
            let Self { messages, log, .. } = self;
            messages.stretches(bytes as u64, |address, bytes| log.record(event(address, bytes)));
        }
    }
}

impl FrontEnd for Client<'_, '_> {
    fn refresh(&mut self, why: Refresh) -> Option<Mark> {
        let valid = Validity::Frame(self.messages.valid_to(self.fetched));
        Some(Mark { valid, clock: (why == Refresh::Told).then_some(self.now) })
    }

    fn notify(&mut self, event: StreamEvent) {
        let stream = self.stream;
        match event {
            StreamEvent::PacketEnd { count } => self.log.record(CardEvent::Packet { stream, count }),
            StreamEvent::Stall { packet } => self.log.record(CardEvent::Stall { stream, packet }),
            StreamEvent::Underrun { .. } | StreamEvent::Overrun { .. } => self.xruns += 1,
            StreamEvent::Fault(_) => {
                let fault = Diagnostic::DmaFault { stream, error: ErrorName::new("UNREACHABLE") };
                self.log.diagnose_as(fault, |name| name);
            }
            StreamEvent::EndBehind | StreamEvent::Ended | StreamEvent::MarkSeen { .. } => {}
        }
    }
}

impl Stream {
    /// After a reset of the device.
    pub fn new(config: StreamConfig) -> Self {
        let capture = config.direction == Direction::Capture;
        Self {
            config,
            state: PcmState::Reset,
            params: None,
            tells_xruns: false,
            fresh: false,
            active: None,
            counters: Counters::new(capture),
            messages: Messages::new(capture, 1),
            pending_xruns: 0,
            source_frame: 0,
            plugged: true,
        }
    }

    fn captures(&self) -> bool {
        self.config.direction == Direction::Capture
    }

    /// SET_PARAMS.
    ///
    /// # Errors
    /// What to answer.
    pub fn set_params(&mut self, asked: &SetParams, time: u64, env: &mut Env<'_>) -> Result<(), Status> {
        let after = self.state.after(PcmRequest::SetParams).ok_or(Status::BadMsg)?;
        let params = stream_params(asked, self.config.direction, self.config.channels_max)?;
        self.release(time, env);
        self.params = Some(params);
        self.tells_xruns = asked.features & FEATURE_EVT_XRUNS != 0;
        self.fresh = true;
        self.enter(after, env);
        Ok(())
    }

    /// PREPARE, START, STOP or RELEASE.
    ///
    /// # Errors
    /// What to answer.
    pub fn request(&mut self, request: PcmRequest, time: u64, env: &mut Env<'_>) -> Result<(), Status> {
        let after = self.state.after(request).ok_or(Status::BadMsg)?;
        match request {
            PcmRequest::SetParams => return Err(Status::BadMsg),
            PcmRequest::Prepare => self.prepare(time, env)?,
            PcmRequest::Start => {
                self.go_on();
                let clock = self.config.clock;
                self.state = after;
                self.with_active(time, env, |active, ctx| {
                    active.refresh(Refresh::Told, ctx);
                    active.run(None, clock, ctx);
                });
            }
            PcmRequest::Stop => {
                self.state = after;
                self.with_active(time, env, ActiveStream::pause);
            }
            PcmRequest::Release => self.release(time, env),
        }
        self.enter(after, env);
        Ok(())
    }

    fn prepare(&mut self, time: u64, env: &mut Env<'_>) -> Result<(), Status> {
        let params = self.params.ok_or(Status::BadMsg)?;
        self.release(time, env);
        if std::mem::take(&mut self.fresh) {
            self.pending_xruns = 0;
            self.source_frame = 0;
        }
        self.go_on();
        let geometry = params.geometry;
        self.messages = Messages::new(self.captures(), geometry.frame_bytes);
        self.active = Some(ActiveStream::new(params, Gain::default(), time));
        let stats = &mut self.counters.stats;
        stats.format = Some(geometry.format);
        (stats.ring_bytes, stats.packets) = (geometry.ring_bytes, geometry.packets);
        stats.scatter_gather = true;
        if self.captures() {
            env.sources.begin(self.config.index, geometry.format, self.source_frame);
        }
        Ok(())
    }

    /// Completes every message and forgets the sound that is not played.
    fn release(&mut self, time: u64, env: &mut Env<'_>) {
        let captures = self.captures();
        env.out.completions.extend(self.messages.take_all().map(|done| (captures, done)));
        if let Some(active) = self.active.take() {
            self.source_frame = self.source_frame.saturating_add(active.position(time));
            if let Some(format) = self.format().filter(|_| !captures) {
                env.audio.stop(self.config.index, format);
            }
            self.counters.stopped(time);
        }
    }

    fn format(&self) -> Option<StreamFormat> {
        self.params.map(|params| params.geometry.format)
    }

    /// The guest goes on after its queue was dry: now that was an xrun.
    fn go_on(&mut self) {
        let xruns = std::mem::take(&mut self.pending_xruns);
        let counted = &mut self.counters.stats.underruns;
        *counted = counted.map(|counted| counted.saturating_add(xruns));
    }

    fn enter(&mut self, state: PcmState, env: &mut Env<'_>) {
        self.state = state;
        let traced = match state {
            PcmState::Reset => StreamState::Stop,
            PcmState::Parameters => StreamState::Acquire,
            PcmState::Prepared | PcmState::Stopped => StreamState::Pause,
            PcmState::Running => StreamState::Run,
        };
        env.log.record(CardEvent::State { stream: self.config.index, state: traced });
    }

    /// An I/O message has come.
    pub fn io(&mut self, chain: Chain, time: u64, env: &mut Env<'_>) {
        let captures = self.captures();
        let full = self.messages.count() >= MESSAGES_MAX;
        let queued = if self.state.takes_io() && !full {
            self.messages.push(chain)
        } else {
            let status = if chain.fault.is_none() { Status::IoErr } else { Status::BadMsg };
            Err(Completion::refused(chain, status))
        };
        if let Err(refused) = queued {
            env.out.completions.push((captures, refused));
            return;
        }
        if self.state == PcmState::Running {
            self.go_on();
        }
        self.with_active(time, env, |active, ctx| active.refresh(Refresh::Told, ctx));
    }

    /// The end of a burst.
    pub fn on_burst_end(&mut self, time: u64, late: u64, restart: bool, env: &mut Env<'_>) {
        let late_ticks = &mut self.counters.stats.late_ticks;
        *late_ticks = late.max(*late_ticks);
        self.with_active(time, env, |active, ctx| active.on_burst_end(restart, ctx));
    }

    /// What has passed was played: somebody listens to it.
    pub fn emit_now(&mut self, time: u64, env: &mut Env<'_>) {
        self.with_active(time, env, ActiveStream::emit_now);
    }

    /// The machine stands still, or goes on.
    pub fn set_halted(&mut self, halted: bool, time: u64, env: &mut Env<'_>) {
        if self.state != PcmState::Running {
            return;
        }
        let clock = self.config.clock;
        self.with_active(
            time,
            env,
            |active, ctx| {
                if halted { active.pause(ctx) } else { active.run(None, clock, ctx) }
            },
        );
    }

    /// The device was reset: nothing is completed.
    pub fn reset(&mut self, time: u64, env: &mut Env<'_>) {
        self.messages.take_all().for_each(drop);
        self.release(time, env);
        self.params = None;
        self.pending_xruns = 0;
        self.enter(PcmState::Reset, env);
    }

    /// Calls the stream of the engine, and completes what is complete then.
    fn with_active<R>(
        &mut self,
        time: u64,
        env: &mut Env<'_>,
        act: impl FnOnce(&mut ActiveStream, &mut StreamCtx<'_>) -> R,
    ) -> Option<R> {
        let active = self.active.as_mut()?;
        let mut client = Client {
            stream: self.config.index,
            fetched: active.fetched(time),
            frames_min: self.params.map_or(1, |params| params.bursts.late),
            messages: &mut self.messages,
            memory: env.memory,
            now: time,
            log: env.log.reborrow(),
            xruns: 0,
        };
        let mut ctx = StreamCtx {
            stream: self.config.index,
            time,
            front_end: &mut client,
            sources: &mut *env.sources,
            audio: &mut *env.audio,
            counters: &mut self.counters,
        };
        let result = act(active, &mut ctx);
        let xruns = client.xruns;
        self.ran_dry(xruns, true, env);
        self.complete(time, env);
        Some(result)
    }

    /// So many xruns that count if the guest goes on. `counted`: the engine has counted them already.
    fn ran_dry(&mut self, xruns: u64, counted: bool, env: &mut Env<'_>) {
        if xruns == 0 {
            return;
        }
        let stats = &mut self.counters.stats;
        if counted {
            stats.underruns = stats.underruns.map(|underruns| underruns.saturating_sub(xruns));
        }
        self.pending_xruns = self.pending_xruns.saturating_add(xruns);
        if self.tells_xruns {
            env.out.event(Event::PcmXrun(self.config.index));
        }
    }

    /// Completes the messages that are complete.
    pub fn complete(&mut self, time: u64, env: &mut Env<'_>) {
        let Some(position) = self.active.as_ref().map(|active| active.position(time)) else { return };
        let completing = match self.config.clock {
            ClockMode::Realtime => Completing::AtItsEnd,
            ClockMode::Lockstep if self.state == PcmState::Running => {
                Completing::WithGrace(self.config.grace)
            }
            ClockMode::Lockstep => Completing::WithGrace(u64::MAX),
        };
        while let Some((completion, dry)) = self.messages.take_complete(position, time, completing) {
            self.counters.stats.events += 1;
            env.out.completions.push((self.captures(), completion));
            self.ran_dry(dry.into(), false, env);
        }
    }

    /// Device clock at which something is due: the end of a burst.
    pub fn due(&self) -> Option<u64> {
        self.active.as_ref()?.due()
    }

    /// Device clock at which the grace of its last message ends.
    pub fn grace_ends(&self) -> Option<u64> {
        self.messages.grace_ends(self.config.grace).filter(|_| self.state == PcmState::Running)
    }

    /// Whether it is in RUNNING.
    pub fn running(&self) -> bool {
        self.state == PcmState::Running
    }

    /// It runs, and stands still for want of a message.
    pub fn stall(&self) -> Option<Stall> {
        let (packet, since) = self.active.as_ref()?.stalled()?;
        Some(Stall { stream: self.config.index, packet, since })
    }

    /// `RATE_DEN` of the engine's stream.
    pub fn rate_den(&self) -> u32 {
        self.active.as_ref().map_or(NOMINAL, |active| active.timeline().den())
    }

    /// The clock of the stream's host side goes at another rate.
    pub fn set_rate_den(&mut self, rate_den: u32) {
        if let Some(active) = &mut self.active {
            active.set_rate_den(rate_den);
        }
    }

    /// Totals.
    pub fn stats(&self) -> StreamStats {
        self.counters.stats.clone()
    }

    /// Sets the totals to nothing.
    pub fn clear_stats(&mut self) {
        self.counters.stats = StreamStats::new(self.captures());
    }

    /// Whether something is plugged into its jack.
    pub fn plugged(&self) -> bool {
        self.plugged
    }

    /// Plugs something into its jack, or pulls it out: the guest is told.
    pub fn set_plugged(&mut self, plugged: bool, env: &mut Env<'_>) {
        if std::mem::replace(&mut self.plugged, plugged) != plugged {
            let jack = self.config.index;
            env.out.event(if plugged { Event::JackConnected(jack) } else { Event::JackDisconnected(jack) });
        }
    }
}

//! One stream of the card: its registers and its states. DATASHEET sections 4 and 5.
//!
//! `setup` holds what can be written in STOP and makes [`StreamParams`] of it, [`ActiveStream`] is what
//! exists between ACQUIRE and STOP (so STOP is: forget it), [`Counters`] what outlives STOP, and `front_end`
//! how the guest is asked and told.

mod format_register;
mod front_end;
mod marks;
mod registers;
mod setup;
mod volume_registers;

use crate::dma::{Bus, Limits, Ring};
use crate::env::{ClockMode, Diagnose, Env};
use crate::pages::publish_position;
use front_end::{Notices, RegisterFrontEnd};
use ringwave_audio::StreamFormat;
use ringwave_audio::gain::Gain;
use ringwave_engine::stream::active::{ActiveStream, StreamCtx};
use ringwave_engine::stream::counters::Counters;
use ringwave_engine::stream::params::StreamParams;
use ringwave_engine::stream::stats::{Stall, StreamStats};
use ringwave_engine::stream::validity::Refresh;
use ringwave_engine::timeline::NOMINAL;
use ringwave_regs::error::Error;
use ringwave_regs::pages::status;
use ringwave_regs::{dma, global, stream as regs};
use ringwave_trace::{CardEvent, Diagnostic, Dma, StreamState};
pub use setup::Capabilities;
use setup::Setup;

/// What a stream of the card needs to know during one call.
pub struct CardCtx<'a, 'b> {
    /// The world.
    pub env: &'a mut Env<'b>,
    /// The card's own time: every end up to it was handled.
    pub time: u64,
    /// What DMA may do.
    pub limits: Limits,
    /// The card's clock.
    pub clock: ClockMode,
}

/// `START_FRAME` and `START_PACKET`.
#[derive(Clone, Copy, Debug, Default)]
struct Start {
    /// Written since the last RUN.
    armed: bool,
    packet: u32,
    frame: [u32; 2],
}

/// One stream.
#[derive(Debug)]
pub struct Stream {
    caps: Capabilities,
    setup: Setup,
    /// `STATE_*`: STOP exactly while `active` is `None`.
    state: u32,
    active: Option<ActiveStream>,
    /// The snapshot of this RUN; `None` outside RUN.
    ring: Option<Ring>,
    counters: Counters,
    notices: Notices,
    /// The register EOS. Nothing in STOP, as [`Self::start`].
    eos: u32,
    start: Start,
    /// The register LOCKSTEP.
    lockstep: u32,
    /// Volumes and MUTE.
    gain: Gain,
    /// Something is plugged into the jack. Nothing but [`Self::set_jack`] changes it.
    plugged: bool,
    position_latch: u32,
    message: u32,
    /// The host side failed since STOP: told once.
    host_failed: bool,
    /// The position page ticks.
    ticks: bool,
    /// Device clock of its last tick.
    ticked: u64,
}

impl Stream {
    /// Stream number `index`, which raises MSI message `message` when all are granted.
    pub fn new(index: u32, caps: Capabilities, message: u32) -> Self {
        Self {
            caps,
            setup: Setup::default(),
            state: regs::STATE_STOP,
            active: None,
            ring: None,
            counters: Counters::new(caps.capture),
            notices: Notices::new(index),
            eos: 0,
            start: Start::default(),
            lockstep: 0,
            gain: Gain::default(),
            plugged: true,
            position_latch: 0,
            message,
            host_failed: false,
            ticks: false,
            ticked: 0,
        }
    }

    /// Lets the stream that is set up do something; `None` in STOP.
    fn with_active<R>(
        &mut self,
        ctx: &mut CardCtx<'_, '_>,
        act: impl FnOnce(&mut ActiveStream, &mut StreamCtx<'_>) -> R,
    ) -> Option<R> {
        let active = self.active.as_mut()?;
        let env = &mut *ctx.env;
        let stream = self.notices.index;
        let mut front_end = RegisterFrontEnd {
            notices: &mut self.notices,
            geometry: *active.geometry(),
            ring: self.ring.as_ref(),
            memory: env.memory,
            limits: ctx.limits,
            pages: env.pages,
            log: env.log.reborrow(),
            now: env.now.max(ctx.time),
        };
        let mut ctx = StreamCtx {
            stream,
            time: ctx.time,
            front_end: &mut front_end,
            sources: env.sources,
            audio: env.audio,
            counters: &mut self.counters,
        };
        Some(act(active, &mut ctx))
    }

    /// All registers and the pages take their reset values; what has passed was played.
    pub fn reset(&mut self, ctx: &mut CardCtx<'_, '_>) {
        self.freeze(ctx);
        self.forget(ctx);
        self.state = regs::STATE_STOP;
        self.setup = Setup::default();
        self.lockstep = 0;
        self.gain = Gain::default();
        self.position_latch = 0;
        self.ticks = false;
        self.notices.int_enable = 0;
        self.notices.pending = false;
        self.notices.page.reset();
        self.counters.reset();
        self.notices.marks.reset(ctx.env.pages);
        self.publish(ctx.env);
        publish_position(ctx.env.pages, self.notices.index, 0, 0, 0);
    }

    /// D3hot: RUN becomes PAUSE.
    pub fn sleep(&mut self, ctx: &mut CardCtx<'_, '_>) {
        if self.state == regs::STATE_RUN {
            self.lower(regs::STATE_PAUSE, ctx);
            self.publish(ctx.env);
        }
    }

    /// Device clock of the next end; `None` while nothing moves.
    pub fn due(&self) -> Option<u64> {
        self.active.as_ref()?.due()
    }

    /// Handles the end that is due. `ctx.time` is its clock, or with `restart` a later one: time starts again
    /// there.
    pub fn on_burst_end(&mut self, restart: bool, ctx: &mut CardCtx<'_, '_>) {
        if self.with_active(ctx, |active, ctx| active.on_burst_end(restart, ctx)).is_some() {
            self.publish(ctx.env);
            if self.ticks {
                self.publish_position(ctx);
            }
        }
    }

    /// Device clock at which the position page ticks next; `None` while it does not. It ticks in every state,
    /// for its CLOCK is a clock.
    pub fn next_tick(&self) -> Option<u64> {
        const TICK: u64 = regs::POSITION_TICK_MICROS as u64 * (global::CLOCK_HZ_VALUE as u64 / 1_000_000);
        self.ticks.then(|| self.ticked.saturating_add(TICK))
    }

    /// Device clock at which the mark page is looked at next if nothing happens before; `None` unless the
    /// stream is stalled.
    pub fn next_poll(&self) -> Option<u64> {
        self.stall().map(|_| self.notices.marks.next_poll())
    }

    /// The stream has been stalled for long enough to look at its mark page unasked.
    pub fn poll(&mut self, ctx: &mut CardCtx<'_, '_>) {
        self.refresh(Refresh::Poll, ctx);
    }

    /// A register of the stream is about to tell what was marked.
    pub fn refresh_mark(&mut self, ctx: &mut CardCtx<'_, '_>) {
        self.refresh(Refresh::Passing, ctx);
    }

    /// A store to the mark page came as a message.
    pub fn mark_stored(&mut self, ctx: &mut CardCtx<'_, '_>) {
        self.refresh(Refresh::Told, ctx);
    }

    /// Looks at the mark page, but not in STOP: a mark that is found there may end a stall.
    fn refresh(&mut self, why: Refresh, ctx: &mut CardCtx<'_, '_>) {
        if self.with_active(ctx, |active, ctx| active.refresh(why, ctx)) == Some(true) {
            self.publish(ctx.env);
        }
    }

    /// The position page ticks now.
    pub fn tick(&mut self, ctx: &mut CardCtx<'_, '_>) {
        self.publish_position(ctx);
    }

    /// What has passed up to now was played, for somebody who listens to it.
    pub fn emit_now(&mut self, ctx: &mut CardCtx<'_, '_>) {
        if self.state == regs::STATE_RUN {
            self.with_active(ctx, ActiveStream::emit_now);
        }
    }

    /// Something was plugged into the jack or pulled out. Nothing happens if it was so already.
    pub fn set_jack(&mut self, plugged: bool, env: &mut Env<'_>) {
        if core::mem::replace(&mut self.plugged, plugged) != plugged {
            self.notices.event(regs::INT_JACK);
            self.publish(env);
        }
    }

    /// Whether something is plugged into the jack.
    pub fn jack(&self) -> bool {
        self.plugged
    }

    /// The host's clock has another pace: `RATE_DEN` from the next end of a burst on, if the stream runs by
    /// realtime.
    pub fn set_rate_den(&mut self, den: u32) {
        if let Some(active) = &mut self.active {
            active.set_rate_den(den);
        }
    }

    /// The pace it goes at: `RATE_DEN`.
    pub fn rate_den(&self) -> u32 {
        self.active.as_ref().map_or(NOMINAL, |active| active.timeline().den())
    }

    /// The format it was acquired with; `None` in STOP.
    pub fn format(&self) -> Option<StreamFormat> {
        Some(self.active.as_ref()?.geometry().format)
    }

    /// Whether there was an event since the last call of this.
    pub fn take_event(&mut self) -> bool {
        core::mem::take(&mut self.notices.pending)
    }

    /// Whether the stream is in RUN.
    pub fn running(&self) -> bool {
        self.state == regs::STATE_RUN
    }

    /// The stall it is in.
    pub fn stall(&self) -> Option<Stall> {
        let (packet, since) = self.active.as_ref()?.stalled()?;
        Some(Stall { stream: self.notices.index, packet, since })
    }

    /// Totals for the host.
    pub fn stats(&self) -> StreamStats {
        let mut stats = self.counters.stats.clone();
        stats.events = self.notices.events;
        stats.marks.polled = self.notices.polled_marks;
        stats
    }

    /// An end of a burst is handled so many ticks after its time.
    pub fn handled_late(&mut self, ticks: u64) {
        self.counters.stats.late_ticks = self.counters.stats.late_ticks.max(ticks);
    }

    /// Forgets the totals for the host.
    pub fn clear_stats(&mut self) {
        self.counters.stats = StreamStats::new(self.caps.capture);
        self.notices.events = 0;
        self.notices.polled_marks = 0;
    }

    /// The host side failed: an error, told once until STOP.
    pub fn host_failed(&mut self, env: &mut Env<'_>) {
        if core::mem::replace(&mut self.host_failed, true) {
            return;
        }
        if self.running() {
            self.notices.event(regs::INT_ERROR);
        }
        self.refuse(Error::Host, env);
    }

    /// An access was refused: ERROR, in the register and in the status page.
    pub fn refuse(&mut self, error: Error, env: &mut Env<'_>) {
        self.notices.page.error = error.code();
        self.publish(env);
    }

    /// A write of STATE: up one step at a time, down any number.
    fn write_state(&mut self, to: u32, ctx: &mut CardCtx<'_, '_>) -> Result<(), Error> {
        match (self.state, to) {
            (from, to) if from == to => Ok(()),
            (from, to) if to < from => {
                self.lower(to, ctx);
                Ok(())
            }
            (regs::STATE_STOP, regs::STATE_ACQUIRE) => self.acquire(ctx),
            (regs::STATE_ACQUIRE, regs::STATE_PAUSE) => {
                self.enter(regs::STATE_PAUSE, ctx);
                Ok(())
            }
            (regs::STATE_PAUSE, regs::STATE_RUN) => self.run(ctx),
            _ => Err(Error::BadState),
        }
    }

    fn acquire(&mut self, ctx: &mut CardCtx<'_, '_>) -> Result<(), Error> {
        let params = self.setup.params(self.caps)?;
        let StreamParams { geometry, .. } = params;
        // A failure after STOP (the end of a file that could not be written) was that sound's: the next one's
        // is told again.
        self.host_failed = false;
        self.active = Some(ActiveStream::new(params, self.gain, ctx.time));
        if self.caps.capture {
            ctx.env.sources.begin(self.notices.index, geometry.format, 0);
        }
        let stats = &mut self.counters.stats;
        stats.format = Some(geometry.format);
        stats.ring_bytes = geometry.ring_bytes;
        stats.packets = geometry.packets;
        self.enter(regs::STATE_ACQUIRE, ctx);
        // What was stored since STOP counts from here on.
        self.refresh_mark(ctx);
        Ok(())
    }

    fn run(&mut self, ctx: &mut CardCtx<'_, '_>) -> Result<(), Error> {
        let Some(active) = &self.active else { return Err(Error::BadState) };
        if !ctx.limits.bus_master {
            return Err(Error::BusMasterOff);
        }
        let start = self.checked_start(active)?;
        let (has_run, ended) = (active.clock().is_some(), active.has_ended());
        let ring = self.snapshot(ctx)?;
        self.counters.stats.entries = ring.entries();
        self.counters.stats.scatter_gather = self.setup.dma_mode == regs::DMA_MODE_SCATTER_GATHER;
        self.ring = Some(ring);
        let (stream, format) = (self.notices.index, active.geometry().format);
        if let Some(frame) = start.filter(|_| self.caps.capture) {
            ctx.env.sources.begin(stream, format, frame);
        }
        // Lockstep is for a stream that asks for it, on a card that grants it.
        let asks = self.lockstep & regs::LOCKSTEP_ASK != 0;
        if !has_run && ctx.clock == ClockMode::Lockstep && !asks {
            ctx.env.log.diagnose(Diagnostic::NotLockstep { stream });
        }
        ctx.env.log.record(CardEvent::State { stream, state: StreamState::Run });
        let clock = if asks { ctx.clock } else { ClockMode::Realtime };
        self.with_active(ctx, |active, ctx| active.run(start, clock, ctx));
        if !ended {
            self.start = Start::default();
        }
        self.state = regs::STATE_RUN;
        self.publish_position(ctx);
        Ok(())
    }

    /// Where the next RUN starts if START was written since the last: `BadStart` if that is no place to
    /// start.
    fn checked_start(&self, active: &ActiveStream) -> Result<Option<u64>, Error> {
        let Start { armed, packet, frame: [low, high] } = self.start;
        if !armed {
            return Ok(None);
        }
        let frame = u64::from(low) | u64::from(high) << 32;
        let right = frame < regs::START_FRAME_LIMIT && active.geometry().packet(frame) == packet;
        if right { Ok(Some(frame)) } else { Err(Error::BadStart) }
    }

    /// Where the buffer is, read once for this RUN.
    fn snapshot(&self, ctx: &mut CardCtx<'_, '_>) -> Result<Ring, Error> {
        let Setup { dma_mode, sg_entries, ring_bytes, .. } = self.setup;
        let address = self.setup.dma_addr();
        let mut bus = Bus::new(ctx.env, Dma::Stream(self.notices.index), ctx.limits);
        if dma_mode == regs::DMA_MODE_SCATTER_GATHER {
            Ring::scatter_gather(
                &mut bus,
                address,
                sg_entries,
                dma::ENTRIES_MAX,
                ring_bytes,
                self.caps.capture,
            )
        } else {
            Ring::contiguous(&bus, address, ring_bytes, self.caps.capture)
        }
    }

    /// Down to `to`, in one or more steps.
    fn lower(&mut self, to: u32, ctx: &mut CardCtx<'_, '_>) {
        let ran = self.running();
        self.freeze(ctx);
        if to == regs::STATE_STOP {
            self.forget(ctx);
            self.counters.stopped(ctx.time);
            self.notices.page.change_tag();
        } else if let Some(active) = self.active.as_ref().filter(|_| ran) {
            active.publish_anchor(&mut self.counters);
        }
        self.enter(to, ctx);
    }

    /// Ends a RUN at this moment: what has passed was played.
    fn freeze(&mut self, ctx: &mut CardCtx<'_, '_>) {
        if self.state == regs::STATE_RUN {
            self.with_active(ctx, ActiveStream::pause);
            self.ring = None;
        }
    }

    /// What STOP does to the sound: what was not played never is.
    fn forget(&mut self, ctx: &mut CardCtx<'_, '_>) {
        if let Some(active) = self.active.take() {
            ctx.env.audio.stop(self.notices.index, active.geometry().format);
        }
        self.eos = 0;
        self.start = Start::default();
        if self.notices.marks.stopped() {
            self.notices.polled_mark();
        }
        self.host_failed = false;
    }

    fn enter(&mut self, state: u32, ctx: &mut CardCtx<'_, '_>) {
        self.state = state;
        let state = match state {
            regs::STATE_STOP => StreamState::Stop,
            regs::STATE_ACQUIRE => StreamState::Acquire,
            regs::STATE_PAUSE => StreamState::Pause,
            // The register takes no other value.
            _ => StreamState::Run,
        };
        ctx.env.log.record(CardEvent::State { stream: self.notices.index, state });
        self.publish_position(ctx);
    }

    /// Stores the position page: at every change of state, and when it ticks.
    fn publish_position(&mut self, ctx: &CardCtx<'_, '_>) {
        self.ticked = ctx.time;
        let (offset, frames) = self.active.as_ref().map_or((0, 0), |active| {
            let position = active.position(ctx.time);
            (active.geometry().ring_offset(position), position)
        });
        publish_position(ctx.env.pages, self.notices.index, offset, frames, ctx.time);
    }

    /// Stores the status page.
    fn publish(&mut self, env: &mut Env<'_>) {
        let page = &mut self.notices.page;
        page.state = self.state;
        let active = self.active.as_ref();
        page.flags = active.map_or(0, flags) | if self.plugged { 0 } else { status::FLAG_UNPLUGGED };
        page.packet_count = active.map_or(0, ActiveStream::packet_count);
        let stalled = active.and_then(ActiveStream::stalled);
        page.stalled_packet = stalled.map_or(0, |(packet, _)| packet);
        page.publish(env.pages, self.notices.index, &self.counters);
        self.notices.marks.settle(stalled.is_some(), env.pages);
    }
}

/// `FLAG_*` of the status page.
fn flags(active: &ActiveStream) -> u32 {
    let flag = |on: bool, flag: u32| if on { flag } else { 0 };
    flag(active.stalled().is_some(), status::FLAG_STALLED)
        | flag(active.clock() == Some(ClockMode::Lockstep), status::FLAG_LOCKSTEP)
        | flag(active.has_ended(), status::FLAG_ENDED)
        | flag(active.validity().is_marked(), status::FLAG_WRITTEN)
}

/// The low half of a 64-bit value.
pub(crate) const fn low(value: u64) -> u32 {
    (value & 0xFFFF_FFFF) as u32
}

//! One stream: its registers and its states. DATASHEET sections 4 and 5.
//!
//! `setup` holds what can be written in STOP, `active` what exists between ACQUIRE and STOP (so STOP is: forget it), and `Counters`
//! what outlives STOP: the status page with its totals, and the statistics for the host.

mod active;
mod format_register;
mod marks;
mod registers;
mod setup;
pub mod stats;
mod volume_registers;

use crate::dma::{Bus, Limits, Ring};
use crate::pages::{StatusPage, publish_position};
use crate::ports::{CardEvent, ClockMode, Dma, Env};
use crate::timeline::{NOMINAL, Timeline};
use active::ActiveStream;
use marks::{Look, MarkPage};
use ringwave_audio::StreamFormat;
use ringwave_audio::gain::Gain;
use ringwave_regs::error::Error;
use ringwave_regs::pages::status;
use ringwave_regs::{dma, global, stream as regs};
pub use setup::Capabilities;
use setup::Setup;
pub(crate) use setup::low;
use stats::{Stall, StreamStats};

/// What a stream needs to know during one call into the card.
pub struct StreamCtx<'a, 'b> {
    /// The world.
    pub env: &'a mut Env<'b>,
    /// The card's own time: every end up to it was handled.
    pub time: u64,
    /// What DMA may do.
    pub limits: Limits,
    /// The card's clock.
    pub clock: ClockMode,
}

/// What is counted of a stream.
#[derive(Debug)]
struct Counters {
    index: u32,
    page: StatusPage,
    marks: MarkPage,
    stats: StreamStats,
    /// The register `INT_ENABLE`.
    int_enable: u32,
    /// An event that the controller has not collected yet.
    pending: bool,
}

impl Counters {
    /// Something that `INT_ENABLE` knows as `kind` has happened.
    fn event(&mut self, kind: u32) {
        if self.int_enable & kind != 0 {
            self.page.events = self.page.events.wrapping_add(1);
            self.stats.events += 1;
            self.pending = true;
        }
    }

    fn underrun(&mut self) {
        self.page.underruns = self.page.underruns.wrapping_add(1);
        self.stats.underruns = self.stats.underruns.map(|underruns| underruns.saturating_add(1));
    }

    fn silence(&mut self, frames: u64) {
        self.page.silence_frames = self.page.silence_frames.wrapping_add(frames);
        self.stats.silence_frames = self.stats.silence_frames.saturating_add(frames);
    }

    /// A mark was found that the guest did not tell of.
    fn polled_mark(&mut self) {
        self.stats.marks.polled = self.stats.marks.polled.saturating_add(1);
    }

    fn dma_fault(&mut self, error: Error) {
        self.page.dma_faults = self.page.dma_faults.wrapping_add(1);
        self.stats.dma_faults += 1;
        self.page.error = error.code();
        self.event(regs::INT_ERROR);
    }
}

/// One stream.
#[derive(Debug)]
pub struct Stream {
    can: Capabilities,
    setup: Setup,
    /// `STATE_*`: STOP exactly while `active` is `None`.
    state: u32,
    active: Option<ActiveStream>,
    counters: Counters,
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
    pub fn new(index: u32, can: Capabilities, message: u32) -> Self {
        let counters = Counters {
            index,
            page: StatusPage::default(),
            marks: MarkPage::new(index),
            stats: StreamStats::new(can.capture),
            int_enable: 0,
            pending: false,
        };
        Self {
            can,
            setup: Setup::default(),
            state: regs::STATE_STOP,
            active: None,
            counters,
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

    /// All registers and the pages take their reset values; what has passed was played.
    pub fn reset(&mut self, ctx: &mut StreamCtx<'_, '_>) {
        self.freeze(ctx);
        self.forget(ctx);
        self.state = regs::STATE_STOP;
        self.setup = Setup::default();
        self.lockstep = 0;
        self.gain = Gain::default();
        self.position_latch = 0;
        self.ticks = false;
        self.counters.int_enable = 0;
        self.counters.pending = false;
        self.counters.page.reset();
        self.counters.marks.reset(ctx.env);
        self.publish(ctx.env);
        publish_position(ctx.env.pages, self.counters.index, 0, 0, 0);
    }

    /// D3hot: RUN becomes PAUSE.
    pub fn sleep(&mut self, ctx: &mut StreamCtx<'_, '_>) {
        if self.state == regs::STATE_RUN {
            self.lower(regs::STATE_PAUSE, ctx);
            self.publish(ctx.env);
        }
    }

    /// Device clock of the next end; `None` while nothing moves.
    pub fn due(&self) -> Option<u64> {
        self.active.as_ref()?.due()
    }

    /// Handles the end that is due. `ctx.time` is its clock, or with `restart` a later one: time starts again there.
    pub fn on_burst_end(&mut self, restart: bool, ctx: &mut StreamCtx<'_, '_>) {
        if let Some(active) = &mut self.active {
            active.on_burst_end(restart, &mut self.counters, ctx);
            self.publish(ctx.env);
            if self.ticks {
                self.publish_position(ctx);
            }
        }
    }

    /// Device clock at which the position page ticks next; `None` while it does not. It ticks in every state, for its CLOCK is a clock.
    pub fn next_tick(&self) -> Option<u64> {
        const TICK: u64 = regs::POSITION_TICK_MICROS as u64 * (global::CLOCK_HZ_VALUE as u64 / 1_000_000);
        self.ticks.then(|| self.ticked.saturating_add(TICK))
    }

    /// Device clock at which the mark page is looked at next if nothing happens before; `None` unless the stream is stalled.
    pub fn next_look(&self) -> Option<u64> {
        self.stall().map(|_| self.counters.marks.next_look())
    }

    /// The stream has been stalled for long enough to look at its mark page unasked.
    pub fn poll(&mut self, ctx: &mut StreamCtx<'_, '_>) {
        self.look(Look::Poll, ctx);
    }

    /// A register of the stream is about to tell what was marked.
    pub fn look_now(&mut self, ctx: &mut StreamCtx<'_, '_>) {
        self.look(Look::Passing, ctx);
    }

    /// A store to the mark page came as a message.
    pub fn mark_stored(&mut self, ctx: &mut StreamCtx<'_, '_>) {
        self.look(Look::Told, ctx);
    }

    /// Looks at the mark page, but not in STOP: a mark that is found there may end a stall.
    fn look(&mut self, why: Look, ctx: &mut StreamCtx<'_, '_>) {
        if let Some(active) = &mut self.active
            && active.look(why, &mut self.counters, ctx)
        {
            self.publish(ctx.env);
        }
    }

    /// The position page ticks now.
    pub fn tick(&mut self, ctx: &mut StreamCtx<'_, '_>) {
        self.publish_position(ctx);
    }

    /// What has passed up to now was played, for somebody who listens to it.
    pub fn emit_now(&mut self, ctx: &mut StreamCtx<'_, '_>) {
        if self.state == regs::STATE_RUN
            && let Some(active) = &mut self.active
        {
            active.emit_now(&mut self.counters, ctx);
        }
    }

    /// Something was plugged into the jack or pulled out. Nothing happens if it was so already.
    pub fn set_jack(&mut self, plugged: bool, env: &mut Env<'_>) {
        if core::mem::replace(&mut self.plugged, plugged) != plugged {
            self.counters.event(regs::INT_JACK);
            self.publish(env);
        }
    }

    /// Whether something is plugged into the jack.
    pub fn jack(&self) -> bool {
        self.plugged
    }

    /// The host's clock has another pace: `RATE_DEN` from the next end of a burst on, if the stream runs by realtime.
    pub fn set_rate_den(&mut self, den: u32) {
        if let Some(active) = &mut self.active {
            active.set_rate_den(den);
        }
    }

    /// The pace it goes at: `RATE_DEN`.
    pub fn pace(&self) -> u32 {
        self.active.as_ref().map_or(NOMINAL, |active| active.line().den())
    }

    /// The format it was acquired with; `None` in STOP.
    pub fn format(&self) -> Option<StreamFormat> {
        Some(self.active.as_ref()?.geometry.format)
    }

    /// Whether there was an event since the last call of this.
    pub fn take_event(&mut self) -> bool {
        core::mem::take(&mut self.counters.pending)
    }

    /// Whether the stream is in RUN.
    pub fn running(&self) -> bool {
        self.state == regs::STATE_RUN
    }

    /// The stall it is in.
    pub fn stall(&self) -> Option<Stall> {
        let (packet, since) = self.active.as_ref()?.stalled()?;
        Some(Stall { stream: self.counters.index, packet, since })
    }

    /// Totals for the host.
    pub fn stats(&self) -> &StreamStats {
        &self.counters.stats
    }

    /// An end of a burst is handled so many ticks after its time.
    pub fn handled_late(&mut self, ticks: u64) {
        self.counters.stats.late_ticks = self.counters.stats.late_ticks.max(ticks);
    }

    /// Forgets the totals for the host.
    pub fn clear_stats(&mut self) {
        self.counters.stats = StreamStats::new(self.can.capture);
    }

    /// The host side failed: an error, told once until STOP.
    pub fn host_failed(&mut self, env: &mut Env<'_>) {
        if core::mem::replace(&mut self.host_failed, true) {
            return;
        }
        if self.running() {
            self.counters.event(regs::INT_ERROR);
        }
        self.refuse(Error::Host, env);
    }

    /// An access was refused: ERROR, in the register and in the status page.
    pub fn refuse(&mut self, error: Error, env: &mut Env<'_>) {
        self.counters.page.error = error.code();
        self.publish(env);
    }

    /// A write of STATE: up one step at a time, down any number.
    fn write_state(&mut self, to: u32, ctx: &mut StreamCtx<'_, '_>) -> Result<(), Error> {
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

    fn acquire(&mut self, ctx: &mut StreamCtx<'_, '_>) -> Result<(), Error> {
        let geometry = self.setup.geometry(self.can)?;
        // A failure after STOP (the end of a file that could not be written) was that sound's: the next one's is told again.
        self.host_failed = false;
        self.active = Some(ActiveStream::new(geometry, self.can.capture, self.gain, ctx.time));
        if self.can.capture {
            ctx.env.sources.begin(self.counters.index, geometry.format);
        }
        let stats = &mut self.counters.stats;
        stats.format = Some(geometry.format);
        stats.ring_bytes = geometry.ring_bytes;
        stats.packets = geometry.packets;
        self.enter(regs::STATE_ACQUIRE, ctx);
        // What was stored since STOP counts from here on.
        self.look_now(ctx);
        Ok(())
    }

    fn run(&mut self, ctx: &mut StreamCtx<'_, '_>) -> Result<(), Error> {
        let Some(active) = &mut self.active else { return Err(Error::BadState) };
        if !ctx.limits.bus_master {
            return Err(Error::BusMasterOff);
        }
        let start = active.check_start()?;
        let Setup { dma_mode, sg_entries, ring_bytes, .. } = self.setup;
        let address = self.setup.dma_addr();
        let scatter_gather = dma_mode == regs::DMA_MODE_SCATTER_GATHER;
        let mut bus = Bus::new(ctx.env, Dma::Stream(self.counters.index), ctx.limits);
        let ring = if scatter_gather {
            Ring::scatter_gather(
                &mut bus,
                address,
                sg_entries,
                dma::ENTRIES_MAX,
                ring_bytes,
                self.can.capture,
            )?
        } else {
            Ring::contiguous(&bus, address, ring_bytes, self.can.capture)?
        };
        let asks = self.lockstep & regs::LOCKSTEP_ASK != 0;
        active.run(start, ring, asks, &mut self.counters, ctx);
        self.counters.stats.scatter_gather = scatter_gather;
        self.state = regs::STATE_RUN;
        self.publish_position(ctx);
        Ok(())
    }

    /// Down to `to`, in one or more steps.
    fn lower(&mut self, to: u32, ctx: &mut StreamCtx<'_, '_>) {
        let ran = self.running();
        self.freeze(ctx);
        if to == regs::STATE_STOP {
            self.forget(ctx);
            let page = &mut self.counters.page;
            page.packet_end = (0, 0);
            page.packet_start = 0;
            page.anchor(Timeline::frozen(ctx.time, 0));
            page.change_tag();
        } else if let Some(active) = self.active.as_ref().filter(|_| ran) {
            self.counters.page.anchor(active.line());
        }
        self.enter(to, ctx);
    }

    /// Ends a RUN at this moment: what has passed was played.
    fn freeze(&mut self, ctx: &mut StreamCtx<'_, '_>) {
        if let Some(active) = self.active.as_mut().filter(|_| self.state == regs::STATE_RUN) {
            active.pause(&mut self.counters, ctx);
        }
    }

    /// What STOP does to the sound: what was not played never is.
    fn forget(&mut self, ctx: &mut StreamCtx<'_, '_>) {
        if let Some(active) = self.active.take() {
            ctx.env.effects.stop(self.counters.index, active.geometry.format);
        }
        if self.counters.marks.stopped() {
            self.counters.polled_mark();
        }
        self.host_failed = false;
    }

    fn enter(&mut self, state: u32, ctx: &mut StreamCtx<'_, '_>) {
        self.state = state;
        ctx.env.effects.record(CardEvent::State { stream: self.counters.index, state });
        self.publish_position(ctx);
    }

    /// Stores the position page: at every change of state, and when it ticks.
    fn publish_position(&mut self, ctx: &StreamCtx<'_, '_>) {
        self.ticked = ctx.time;
        let (offset, frames) = self.active.as_ref().map_or((0, 0), |active| {
            let position = active.position(ctx.time);
            (active.geometry.ring_offset(position), position)
        });
        publish_position(ctx.env.pages, self.counters.index, offset, frames, ctx.time);
    }

    /// Stores the status page.
    fn publish(&mut self, env: &mut Env<'_>) {
        let page = &mut self.counters.page;
        page.state = self.state;
        let active = self.active.as_ref();
        page.flags =
            active.map_or(0, ActiveStream::flags) | if self.plugged { 0 } else { status::FLAG_UNPLUGGED };
        page.packet_count = active.map_or(0, |active| active.packet_count);
        let stalled = active.and_then(ActiveStream::stalled);
        page.stalled_packet = stalled.map_or(0, |(packet, _)| packet);
        page.publish(env.pages, self.counters.index);
        self.counters.marks.settle(stalled.is_some(), env);
    }
}

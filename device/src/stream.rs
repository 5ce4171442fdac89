//! One stream: its registers and its states. DATASHEET sections 4 and 5.
//!
//! `setup` holds what can be written in STOP, `play` what exists between ACQUIRE and STOP (so STOP is: forget it), and `Ledger`
//! what outlives STOP: the status page with its totals, and the statistics for the host.

mod marks;
mod play;
mod registers;
mod setup;
pub mod stats;

use crate::clock::{Line, NOMINAL};
use crate::dma::{Bus, Limits, Ring};
use crate::pages::{StatusPage, publish_position};
use crate::ports::{ClockMode, Dma, Env, Trace};
use marks::{Look, MarkPage};
use play::Play;
use ringwave_audio::StreamFormat;
use ringwave_audio::gain::Gain;
use ringwave_regs::error::Error;
use ringwave_regs::pages::status;
use ringwave_regs::{dma, global, stream as regs};
pub use setup::Abilities;
use setup::Setup;
pub(crate) use setup::low;
use stats::{Stall, StreamStats};

/// What a stream needs to know during one call into the card.
pub struct Call<'a, 'b> {
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
struct Ledger {
    index: u32,
    page: StatusPage,
    marks: MarkPage,
    stats: StreamStats,
    /// The register `INT_ENABLE`.
    int_enable: u32,
    /// An event that the controller has not collected yet.
    pending: bool,
}

impl Ledger {
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
    can: Abilities,
    setup: Setup,
    /// `STATE_*`: STOP exactly while `play` is `None`.
    state: u32,
    play: Option<Play>,
    ledger: Ledger,
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
    pub fn new(index: u32, can: Abilities, message: u32) -> Self {
        let ledger = Ledger {
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
            play: None,
            ledger,
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
    pub fn reset(&mut self, call: &mut Call<'_, '_>) {
        self.freeze(call);
        self.forget(call);
        self.state = regs::STATE_STOP;
        self.setup = Setup::default();
        self.lockstep = 0;
        self.gain = Gain::default();
        self.position_latch = 0;
        self.ticks = false;
        self.ledger.int_enable = 0;
        self.ledger.pending = false;
        self.ledger.page.reset();
        self.ledger.marks.reset(call.env);
        self.publish(call.env);
        publish_position(call.env.pages, self.ledger.index, 0, 0, 0);
    }

    /// D3hot: RUN becomes PAUSE.
    pub fn sleep(&mut self, call: &mut Call<'_, '_>) {
        if self.state == regs::STATE_RUN {
            self.lower(regs::STATE_PAUSE, call);
            self.publish(call.env);
        }
    }

    /// Device clock of the next end; `None` while nothing moves.
    pub fn due(&self) -> Option<u64> {
        self.play.as_ref()?.due()
    }

    /// Handles the end that is due. `call.time` is its clock, or with `restart` a later one: time starts again there.
    pub fn step(&mut self, restart: bool, call: &mut Call<'_, '_>) {
        if let Some(play) = &mut self.play {
            play.step(restart, &mut self.ledger, call);
            self.publish(call.env);
            if self.ticks {
                self.publish_position(call);
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
        self.stall().map(|_| self.ledger.marks.next_look())
    }

    /// The stream has been stalled for long enough to look at its mark page unasked.
    pub fn poll(&mut self, call: &mut Call<'_, '_>) {
        self.look(Look::Poll, call);
    }

    /// A register of the stream is about to tell what was marked.
    pub fn look_now(&mut self, call: &mut Call<'_, '_>) {
        self.look(Look::Passing, call);
    }

    /// A store to the mark page came as a message.
    pub fn mark_stored(&mut self, call: &mut Call<'_, '_>) {
        self.look(Look::Told, call);
    }

    /// Looks at the mark page, but not in STOP: a mark that is found there may end a stall.
    fn look(&mut self, why: Look, call: &mut Call<'_, '_>) {
        if let Some(play) = &mut self.play
            && play.look(why, &mut self.ledger, call)
        {
            self.publish(call.env);
        }
    }

    /// The position page ticks now.
    pub fn tick(&mut self, call: &mut Call<'_, '_>) {
        self.publish_position(call);
    }

    /// What has passed up to now was played, for somebody who listens to it.
    pub fn hear_now(&mut self, call: &mut Call<'_, '_>) {
        if self.state == regs::STATE_RUN
            && let Some(play) = &mut self.play
        {
            play.hear_now(&mut self.ledger, call);
        }
    }

    /// Something was plugged into the jack or pulled out. Nothing happens if it was so already.
    pub fn set_jack(&mut self, plugged: bool, env: &mut Env<'_>) {
        if core::mem::replace(&mut self.plugged, plugged) != plugged {
            self.ledger.event(regs::INT_JACK);
            self.publish(env);
        }
    }

    /// Whether something is plugged into the jack.
    pub fn jack(&self) -> bool {
        self.plugged
    }

    /// The host's clock has another pace: `RATE_DEN` from the next end of a piece on, if the stream runs by realtime.
    pub fn set_pace(&mut self, den: u32) {
        if let Some(play) = &mut self.play {
            play.set_pace(den);
        }
    }

    /// The pace it goes at: `RATE_DEN`.
    pub fn pace(&self) -> u32 {
        self.play.as_ref().map_or(NOMINAL, |play| play.line().den())
    }

    /// The format it was acquired with; `None` in STOP.
    pub fn format(&self) -> Option<StreamFormat> {
        Some(self.play.as_ref()?.shape.format)
    }

    /// Whether there was an event since the last call of this.
    pub fn take_event(&mut self) -> bool {
        core::mem::take(&mut self.ledger.pending)
    }

    /// Whether the stream is in RUN.
    pub fn running(&self) -> bool {
        self.state == regs::STATE_RUN
    }

    /// The stall it is in.
    pub fn stall(&self) -> Option<Stall> {
        let (packet, since) = self.play.as_ref()?.stalled()?;
        Some(Stall { stream: self.ledger.index, packet, since })
    }

    /// Totals for the host.
    pub fn stats(&self) -> &StreamStats {
        &self.ledger.stats
    }

    /// An end of a piece is handled so many ticks after its time.
    pub fn handled_late(&mut self, ticks: u64) {
        self.ledger.stats.late_ticks = self.ledger.stats.late_ticks.max(ticks);
    }

    /// Forgets the totals for the host.
    pub fn clear_stats(&mut self) {
        self.ledger.stats = StreamStats::new(self.can.capture);
    }

    /// The host side failed: an error, told once until STOP.
    pub fn host_failed(&mut self, env: &mut Env<'_>) {
        if core::mem::replace(&mut self.host_failed, true) {
            return;
        }
        if self.running() {
            self.ledger.event(regs::INT_ERROR);
        }
        self.refuse(Error::Host, env);
    }

    /// An access was refused: ERROR, in the register and in the status page.
    pub fn refuse(&mut self, error: Error, env: &mut Env<'_>) {
        self.ledger.page.error = error.code();
        self.publish(env);
    }

    /// A write of STATE: up one step at a time, down any number.
    fn write_state(&mut self, to: u32, call: &mut Call<'_, '_>) -> Result<(), Error> {
        match (self.state, to) {
            (from, to) if from == to => Ok(()),
            (from, to) if to < from => {
                self.lower(to, call);
                Ok(())
            }
            (regs::STATE_STOP, regs::STATE_ACQUIRE) => self.acquire(call),
            (regs::STATE_ACQUIRE, regs::STATE_PAUSE) => {
                self.enter(regs::STATE_PAUSE, call);
                Ok(())
            }
            (regs::STATE_PAUSE, regs::STATE_RUN) => self.run(call),
            _ => Err(Error::BadState),
        }
    }

    fn acquire(&mut self, call: &mut Call<'_, '_>) -> Result<(), Error> {
        let shape = self.setup.shape(self.can)?;
        // A failure after STOP (the end of a file that could not be written) was that sound's: the next one's is told again.
        self.host_failed = false;
        self.play = Some(Play::new(shape, self.can.capture, self.gain, call.time));
        if self.can.capture {
            call.env.sources.begin(self.ledger.index, shape.format);
        }
        let stats = &mut self.ledger.stats;
        stats.format = Some(shape.format);
        stats.ring_bytes = shape.ring_bytes;
        stats.packets = shape.packets;
        self.enter(regs::STATE_ACQUIRE, call);
        // What was stored since STOP counts from here on.
        self.look_now(call);
        Ok(())
    }

    fn run(&mut self, call: &mut Call<'_, '_>) -> Result<(), Error> {
        let Some(play) = &mut self.play else { return Err(Error::BadState) };
        if !call.limits.bus_master {
            return Err(Error::BusMasterOff);
        }
        let start = play.check_start()?;
        let Setup { dma_mode, sg_entries, ring_bytes, .. } = self.setup;
        let address = self.setup.dma_addr();
        let scatter_gather = dma_mode == regs::DMA_MODE_SCATTER_GATHER;
        let mut bus = Bus::new(call.env, Dma::Stream(self.ledger.index), call.limits);
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
        play.run(start, ring, asks, &mut self.ledger, call);
        self.ledger.stats.scatter_gather = scatter_gather;
        self.state = regs::STATE_RUN;
        self.publish_position(call);
        Ok(())
    }

    /// Down to `to`, in one or more steps.
    fn lower(&mut self, to: u32, call: &mut Call<'_, '_>) {
        let ran = self.running();
        self.freeze(call);
        if to == regs::STATE_STOP {
            self.forget(call);
            let page = &mut self.ledger.page;
            page.packet_end = (0, 0);
            page.packet_start = 0;
            page.anchor(Line::frozen(call.time, 0));
            page.change_tag();
        } else if let Some(play) = self.play.as_ref().filter(|_| ran) {
            self.ledger.page.anchor(play.line());
        }
        self.enter(to, call);
    }

    /// Ends a RUN at this moment: what has passed was played.
    fn freeze(&mut self, call: &mut Call<'_, '_>) {
        if let Some(play) = self.play.as_mut().filter(|_| self.state == regs::STATE_RUN) {
            play.pause(&mut self.ledger, call);
        }
    }

    /// What STOP does to the sound: what was not played never is.
    fn forget(&mut self, call: &mut Call<'_, '_>) {
        if let Some(play) = self.play.take() {
            call.env.effects.stop(self.ledger.index, play.shape.format);
        }
        if self.ledger.marks.stopped() {
            self.ledger.polled_mark();
        }
        self.host_failed = false;
    }

    fn enter(&mut self, state: u32, call: &mut Call<'_, '_>) {
        self.state = state;
        call.env.effects.record(Trace::State { stream: self.ledger.index, state });
        self.publish_position(call);
    }

    /// Stores the position page: at every change of state, and when it ticks.
    fn publish_position(&mut self, call: &Call<'_, '_>) {
        self.ticked = call.time;
        let (offset, frames) = self.play.as_ref().map_or((0, 0), |play| {
            let position = play.position(call.time);
            (play.shape.ring_offset(position), position)
        });
        publish_position(call.env.pages, self.ledger.index, offset, frames, call.time);
    }

    /// Stores the status page.
    fn publish(&mut self, env: &mut Env<'_>) {
        let page = &mut self.ledger.page;
        page.state = self.state;
        let play = self.play.as_ref();
        page.flags = play.map_or(0, Play::flags) | if self.plugged { 0 } else { status::FLAG_UNPLUGGED };
        page.packet_count = play.map_or(0, |play| play.packet_count);
        let stalled = play.and_then(Play::stalled);
        page.stalled_packet = stalled.map_or(0, |(packet, _)| packet);
        page.publish(env.pages, self.ledger.index);
        self.ledger.marks.settle(stalled.is_some(), env);
    }
}

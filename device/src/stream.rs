//! One stream: its registers and its states. DATASHEET sections 4 and 5.
//!
//! `setup` holds what can be written in STOP, `play` what exists between ACQUIRE and STOP (so STOP is: forget it), and `Ledger`
//! what outlives STOP: the status page with its totals, and the statistics for the host.

mod play;
mod setup;
pub mod stats;

use crate::clock::{Line, NOMINAL};
use crate::dma::{Bus, Limits, Ring};
use crate::gain::Gain;
use crate::pages::{StatusPage, publish_position};
use crate::ports::{ClockMode, Dma, Env, StreamFormat, Trace};
use play::Play;
use ringwave_regs::error::{self, Error};
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
        self.gain = Gain::default();
        self.position_latch = 0;
        self.ticks = false;
        self.ledger.int_enable = 0;
        self.ledger.pending = false;
        self.ledger.page.reset();
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

    /// Reads the register at `offset` in the block; latches.
    pub fn read(&mut self, offset: u32, time: u64) -> Result<u32, Error> {
        if let Some(value) = self.setup.read(offset).or_else(|| self.gain.read(offset)) {
            return Ok(value);
        }
        let play = self.play.as_ref();
        let value = match offset {
            regs::CAPS => {
                regs::CAPS_PRESENT
                    | if self.can.capture { regs::CAPS_CAPTURE } else { 0 }
                    | self.can.channels_max << regs::CAPS_CHANNELS_SHIFT
                    | self.can.packets_max << regs::CAPS_PACKETS_SHIFT
            }
            regs::FORMATS => self.can.formats,
            regs::RATES => self.can.rates,
            regs::MESSAGE => self.message,
            regs::STATE => self.state,
            regs::ERROR => self.ledger.page.error,
            regs::INT_ENABLE => self.ledger.int_enable,
            regs::EOS => play.map_or(0, |play| play.eos),
            regs::WRITTEN => play.and_then(|play| play.written).unwrap_or(0),
            regs::START_PACKET => play.map_or(0, |play| play.start.packet),
            regs::START_FRAME_LO => play.map_or(0, |play| play.start.frame[0]),
            regs::START_FRAME_HI => play.map_or(0, |play| play.start.frame[1]),
            regs::FIFO_FRAMES => self.setup.shape(self.can).map_or(0, |shape| shape.fifo_frames),
            regs::PACKET_COUNT => play.map_or(0, |play| play.packet_count),
            regs::POSITION_LO => {
                let position = play.map_or(0, |play| play.position(time));
                self.position_latch = low(position >> 32);
                low(position)
            }
            regs::POSITION_HI => self.position_latch,
            regs::POSITION_CONTROL => u32::from(self.ticks) * regs::POSITION_TICK,
            _ => return Err(Error::BadAccess),
        };
        Ok(value)
    }

    /// Writes the register at `offset` in the block: DATASHEET 4.1 says in what order it is judged. An error was not noted yet: see
    /// [`Self::refuse`].
    pub fn write(&mut self, offset: u32, value: u32, call: &mut Call<'_, '_>) -> Result<(), Error> {
        if !is_register(offset) {
            return Err(Error::BadAccess);
        }
        if !self.can.has_register(offset) {
            return Err(Error::NotSupported);
        }
        match offset {
            regs::STATE => self.write_state(value, call)?,
            regs::ERROR => self.ledger.page.error = error::NONE,
            regs::INT_ENABLE => {
                self.ledger.int_enable = value & (regs::INT_PACKET | regs::INT_ERROR | regs::INT_JACK);
            }
            regs::POSITION_CONTROL => {
                self.ticks = value & regs::POSITION_TICK != 0;
                self.publish_position(call);
            }
            regs::EOS => self.play.as_mut().ok_or(Error::BadState)?.write_eos(value)?,
            regs::WRITTEN => {
                let play = self.play.as_mut().ok_or(Error::BadState)?;
                play.write_written(value, &mut self.ledger, call)?;
            }
            regs::START_PACKET | regs::START_FRAME_LO | regs::START_FRAME_HI => {
                let play = self.play.as_mut().filter(|_| self.state != regs::STATE_RUN);
                play.ok_or(Error::BadState)?.write_start(offset, value)?;
            }
            _ if self.gain.read(offset).is_some() => {
                self.gain = self.gain.written(offset, value)?;
                if let Some(play) = &mut self.play {
                    play.set_gain(self.gain, &mut self.ledger, call);
                }
            }
            _ if self.setup.read(offset).is_some() => {
                if self.state != regs::STATE_STOP {
                    return Err(Error::BadState);
                }
                self.setup.write(offset, value, self.can)?;
            }
            // Read only: ignored.
            _ => {}
        }
        self.publish(call.env);
        Ok(())
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
        play.run(start, ring, &mut self.ledger, call);
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
        page.stalled_packet = play.and_then(Play::stalled).map_or(0, |(packet, _)| packet);
        page.publish(env.pages, self.ledger.index);
    }
}

/// Whether there is a register at `offset` in a stream's block.
fn is_register(offset: u32) -> bool {
    regs::REGISTERS.iter().any(|register| register.offset == offset)
}

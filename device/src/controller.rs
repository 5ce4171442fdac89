//! The card: registers and time in, effects out. Pure: the sockets, threads and clocks are elsewhere.
//!
//! Read it from the top: what is built in ([`Config`]), the calls (reset, PCI state, register accesses, [`Controller::advance`]), the global
//! registers. What a stream does is in [`crate::stream`], in the same manner.
//!
//! **Time.** Every call brings the device clock. Before it does anything else the card handles, in the order of their clock values, all
//! ends of pieces that have passed meanwhile; so whether the engine wakes punctually or a register access comes first,
//! the same happens at the same clock values. That is bounded: a packet is at least a millisecond long, and a stream whose first unhandled end is
//! longer ago than [`stream::LATE_MILLIS`] does not catch up, but starts its time again there. DATASHEET 5.2.

mod selftest;

use crate::dma::{Bus, Limits};
use crate::loopback::Loopback;
use crate::pages::ClockPage;
use crate::ports::{ClockMode, Dma, Env, Note, Trace};
use crate::stream::stats::{Stall, StreamStats};
use crate::stream::{Abilities, Call, Stream, low};
use ringwave_regs::error::{self, Error};
use ringwave_regs::{dma, format, global, pci, stream};
use selftest::SelfTest;

/// [`stream::LATE_MILLIS`] in ticks of the device clock.
const LATE: u64 = stream::LATE_MILLIS as u64 * (global::CLOCK_HZ_VALUE as u64 / 1000);

/// FEATURES of this card, whatever it is made with. DATASHEET section 10.
const FEATURES: u32 = global::FEATURE_CONTIGUOUS
    | global::FEATURE_SCATTER_GATHER
    | global::FEATURE_WRITTEN
    | global::FEATURE_START_FRAME
    | global::FEATURE_POSITION_PAGE;

/// What is built into a card.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Render streams, up to [`stream::STREAMS_MAX`] (clamped).
    pub render: u32,
    /// Capture streams, so that there are up to [`stream::STREAMS_MAX`] in all (clamped).
    pub capture: u32,
    /// For each capture stream, counted from 0: the render stream whose sound it captures, instead of a source's.
    pub loopback: [Option<u8>; stream::STREAMS_MAX as usize],
    /// The card's clock.
    pub clock: ClockMode,
    /// Bits of a DMA address that the card drives, 32 to 64 (clamped).
    pub dma_bits: u32,
    /// Sample formats: bit n = format with code n.
    pub formats: u32,
    /// Rates: bits of [`format::RATES`].
    pub rates: u32,
    /// Most channels, 1 to [`format::CHANNELS_MAX`] (clamped).
    pub channels_max: u32,
}

impl Default for Config {
    /// The card of DATASHEET section 10: one render and one capture stream, every format, lockstep.
    fn default() -> Self {
        Self {
            render: 1,
            capture: 1,
            loopback: [None; stream::STREAMS_MAX as usize],
            clock: ClockMode::Lockstep,
            dma_bits: 64,
            formats: format::FORMATS_ALL,
            rates: format::RATES_ALL,
            channels_max: format::CHANNELS_MAX,
        }
    }
}

/// The card.
#[derive(Debug)]
pub struct Controller {
    clock: ClockMode,
    limits: Limits,
    streams: Vec<Stream>,
    /// How many of them, the first, render.
    render: u32,
    loops: Vec<Loopback>,
    /// The latest device clock that the card was told.
    time: u64,
    clock_page: ClockPage,
    /// MSI messages granted, while MSI is enabled.
    msi: Option<u32>,
    d3hot: bool,
    registers: Registers,
}

/// The global registers that hold something.
#[derive(Debug, Default)]
struct Registers {
    int_enable: bool,
    int_status: u32,
    error: u32,
    clock_latch: u32,
    selftest: SelfTest,
}

/// Where an offset in BAR 0 leads.
enum Place {
    Global(u32),
    /// A register in a stream's block: index of the stream, offset in its block.
    Stream(usize, u32),
    AbsentStream,
    Nowhere,
}

impl Controller {
    /// A card after power-on. Nothing is in the pages before [`Self::reset`].
    pub fn new(config: Config) -> Self {
        let can = Abilities {
            formats: config.formats,
            rates: config.rates,
            channels_max: config.channels_max.clamp(1, format::CHANNELS_MAX),
            packets_max: 2,
            capture: false,
        };
        let render = config.render.min(stream::STREAMS_MAX);
        let capture = config.capture.min(stream::STREAMS_MAX - render);
        // A stream's number is below the number of messages, so that number is also its message.
        let stream = |index| Stream::new(index, Abilities { capture: index >= render, ..can }, index);
        let loops =
            config.loopback.iter().take(capture as usize).enumerate().filter_map(|(capture, from)| {
                let from = from.filter(|from| u32::from(*from) < render)?;
                Some(Loopback::new(from.into(), render as usize + capture))
            });
        Self {
            clock: config.clock,
            limits: Limits { bus_master: false, dma_bits: config.dma_bits.clamp(32, 64) },
            streams: (0..render + capture).map(stream).collect(),
            render,
            loops: loops.collect(),
            time: 0,
            clock_page: ClockPage::default(),
            msi: None,
            d3hot: false,
            registers: Registers::default(),
        }
    }

    /// Number of streams.
    pub fn streams(&self) -> u32 {
        u32::try_from(self.streams.len()).unwrap_or(stream::STREAMS_MAX)
    }

    /// MSI messages that the function offers: the smallest power of two that is not below the number of streams.
    pub fn messages(&self) -> u32 {
        pci::messages(self.streams())
    }

    /// Resets the function (FLR, `DEVICE_RESET`, a client that left; and once before the first client, which fills in the pages).
    /// Configuration space is the caller's: reset it as well and say so with [`Self::set_msi`] and [`Self::set_bus_master`].
    pub fn reset(&mut self, env: &mut Env<'_>) {
        self.catch_up(env);
        for index in 0..self.streams.len() {
            self.with_stream(index, env, Stream::reset);
        }
        self.registers = Registers::default();
        self.d3hot = false;
        self.clock_page.resets = self.clock_page.resets.wrapping_add(1);
        self.clock_page.publish(env.pages, self.time);
        env.effects.messages = 0;
        env.effects.events = 0;
        env.effects.record(Trace::Reset);
    }

    /// Bus Master Enable was written. Off after `new`.
    pub fn set_bus_master(&mut self, on: bool) {
        self.limits.bus_master = on;
    }

    /// MSI was configured: the number of messages granted (1 to 32) while MSI is enabled, else `None`.
    pub fn set_msi(&mut self, granted: Option<u32>) {
        self.msi = granted.filter(|&granted| granted > 0);
    }

    /// The power state was written: `true` = D3hot, `false` = D0.
    pub fn set_d3hot(&mut self, d3hot: bool, env: &mut Env<'_>) {
        self.catch_up(env);
        if d3hot != self.d3hot {
            env.effects.record(Trace::Power { d3hot });
        }
        if d3hot && !self.d3hot {
            for index in 0..self.streams.len() {
                self.with_stream(index, env, Stream::sleep);
            }
        }
        self.d3hot = d3hot;
    }

    /// An access to BAR 0 of any offset and length. `data` is filled completely (all ones where the DATASHEET says so). It latches, may
    /// set ERROR, and handles ends that have passed: drain the effects as after a write.
    pub fn read(&mut self, offset: u64, data: &mut [u8], env: &mut Env<'_>) {
        self.catch_up(env);
        data.fill(0xFF);
        if self.d3hot {
            return;
        }
        match data.len() {
            4 | 8 if offset.is_multiple_of(data.len() as u64) => {
                for (word, at) in data.as_chunks_mut().0.iter_mut().zip((offset..).step_by(4)) {
                    *word = self.read_register(at, env).to_le_bytes();
                }
            }
            _ => data.fill(self.refuse_access(offset, env)),
        }
    }

    /// An access to BAR 0 of any offset and length. Raise the interrupts in the effects *before* the write is answered: no
    /// event may come after a write of PAUSE or STOP has returned.
    pub fn write(&mut self, offset: u64, data: &[u8], env: &mut Env<'_>) {
        self.catch_up(env);
        if self.d3hot {
            return;
        }
        match data.len() {
            4 | 8 if offset.is_multiple_of(data.len() as u64) => {
                for (word, at) in data.as_chunks().0.iter().zip((offset..).step_by(4)) {
                    self.write_register(at, u32::from_le_bytes(*word), env);
                }
            }
            _ => {
                self.refuse_access(offset, env);
            }
        }
    }

    /// Handles everything that has become due at `env.now` and writes the clock page.
    pub fn advance(&mut self, env: &mut Env<'_>) {
        self.catch_up(env);
        self.clock_page.publish(env.pages, self.time);
    }

    /// Device clock at which [`Self::advance`] has something to do next; `None` while nothing moves.
    pub fn next_deadline(&self) -> Option<u64> {
        let ticks = self.streams.iter().filter_map(Stream::next_tick);
        self.next_end().map(|(due, _)| due).into_iter().chain(ticks).min()
    }

    /// Level of INTx before Interrupt Disable: false with MSI enabled and in D3hot. Also what Status.Interrupt Status shows.
    pub fn intx(&self) -> bool {
        self.registers.int_enable && self.registers.int_status != 0 && self.msi.is_none() && !self.d3hot
    }

    /// The host side of a stream failed: ERROR becomes HOST, an event if the guest wants errors and the stream runs.
    pub fn host_failed(&mut self, stream: u32, env: &mut Env<'_>) {
        self.catch_up(env);
        let index = stream as usize;
        if let Some(stream) = self.streams.get_mut(index) {
            stream.host_failed(env);
            self.collect_event(index, env);
        }
    }

    /// Whether a stream is in RUN.
    pub fn running(&self) -> bool {
        self.streams.iter().any(Stream::running)
    }

    /// The streams that are stalled now.
    pub fn stalls(&self) -> impl Iterator<Item = Stall> {
        self.streams.iter().filter_map(Stream::stall)
    }

    /// Totals of every stream, in the order of their numbers.
    pub fn stats(&self) -> impl Iterator<Item = &StreamStats> {
        self.streams.iter().map(Stream::stats)
    }

    /// Sets the totals of all streams to nothing.
    pub fn clear_stats(&mut self) {
        self.streams.iter_mut().for_each(Stream::clear_stats);
    }

    /// Handles the ends that have passed, earliest first, each at its own clock value.
    fn catch_up(&mut self, env: &mut Env<'_>) {
        self.time = self.time.max(env.now);
        while let Some((due, index)) = self.next_end().filter(|&(due, _)| due <= self.time) {
            let late = self.time.saturating_sub(due) > LATE;
            let at = if late { self.time } else { due };
            self.with_stream_at(at, index, env, |stream, call| stream.step(late, call));
        }
        for index in 0..self.streams.len() {
            let due = self.streams.get(index).and_then(Stream::next_tick);
            if due.is_some_and(|due| due <= self.time) {
                self.with_stream(index, env, Stream::tick);
            }
        }
    }

    /// The earliest end of a piece and whose it is.
    fn next_end(&self) -> Option<(u64, usize)> {
        let ends = self.streams.iter().enumerate();
        ends.filter_map(|(index, stream)| Some((stream.due()?, index))).min()
    }

    /// Lets a stream do something now.
    fn with_stream<R>(
        &mut self,
        index: usize,
        env: &mut Env<'_>,
        act: impl FnOnce(&mut Stream, &mut Call<'_, '_>) -> R,
    ) -> Option<R> {
        self.with_stream_at(self.time, index, env, act)
    }

    /// Lets a stream do something at clock value `time`, and passes on the event that may come of it.
    fn with_stream_at<R>(
        &mut self,
        time: u64,
        index: usize,
        env: &mut Env<'_>,
        act: impl FnOnce(&mut Stream, &mut Call<'_, '_>) -> R,
    ) -> Option<R> {
        let result = match self.loops.iter().position(|line| line.capture == index) {
            None => self.act_at(time, index, env, act),
            Some(place) => self.act_in_loop(time, place, env, act),
        };
        self.collect_event(index, env);
        result
    }

    /// Lets a stream do something, and lets those hear it that capture what it plays.
    fn act_at<R>(
        &mut self,
        time: u64,
        index: usize,
        env: &mut Env<'_>,
        act: impl FnOnce(&mut Stream, &mut Call<'_, '_>) -> R,
    ) -> Option<R> {
        let mark = env.effects.sound_mark();
        let stream = self.streams.get_mut(index)?;
        let result = act(stream, &mut Call { env, time, limits: self.limits, clock: self.clock });
        for line in self.loops.iter_mut().filter(|line| line.render == index) {
            if !self.streams.get(line.capture).is_some_and(Stream::running) {
                line.clear();
                continue;
            }
            for (_, format, heard) in env.effects.sounds_from(mark) {
                line.heard(format, heard);
            }
        }
        Some(result)
    }

    /// Lets a stream do something whose source is another stream of the card: that one first tells what it has played up to now.
    fn act_in_loop<R>(
        &mut self,
        time: u64,
        place: usize,
        env: &mut Env<'_>,
        act: impl FnOnce(&mut Stream, &mut Call<'_, '_>) -> R,
    ) -> Option<R> {
        let render = self.loops.get(place)?.render;
        self.act_at(time, render, env, Stream::hear_now);
        self.collect_event(render, env);
        let line = self.loops.get_mut(place)?;
        let stream = self.streams.get_mut(line.capture)?;
        let mut env = Env {
            now: env.now,
            memory: env.memory,
            pages: env.pages,
            sources: line,
            effects: &mut *env.effects,
        };
        let mut call = Call { env: &mut env, time, limits: self.limits, clock: self.clock };
        let result = act(stream, &mut call);
        if !stream.running() {
            line.clear();
        }
        Some(result)
    }

    /// DATASHEET 2.1. The status page is already written.
    fn collect_event(&mut self, index: usize, env: &mut Env<'_>) {
        let Some(stream) = self.streams.get_mut(index) else { return };
        if !stream.take_event() {
            return;
        }
        let bit = 1 << index;
        self.registers.int_status |= bit;
        env.effects.events |= bit;
        env.effects.record(Trace::Event { stream: low(index as u64) });
        // What is held back here is not sent later.
        if self.registers.int_enable
            && let Some(message) = low(index as u64).checked_rem(self.msi.unwrap_or(0))
        {
            self.send(message, env);
        }
    }

    /// Sends an MSI message, which is a DMA write to the outside.
    fn send(&self, message: u32, env: &mut Env<'_>) {
        if self.limits.bus_master && !self.d3hot {
            env.effects.messages |= 1_u32.checked_shl(message).unwrap_or(0);
        }
    }

    fn place(&self, offset: u64) -> Place {
        let Ok(offset) = u32::try_from(offset) else { return Place::Nowhere };
        let Some(in_blocks) = offset.checked_sub(stream::BLOCK_BASE) else { return Place::Global(offset) };
        let index = in_blocks / stream::BLOCK_STRIDE;
        if index >= stream::STREAMS_MAX {
            Place::Nowhere
        } else if index >= self.streams() {
            Place::AbsentStream
        } else {
            Place::Stream(index as usize, in_blocks % stream::BLOCK_STRIDE)
        }
    }

    fn read_register(&mut self, offset: u64, env: &mut Env<'_>) -> u32 {
        let time = self.time;
        let result = match self.place(offset) {
            Place::Global(at) => self.read_global(at),
            Place::Stream(index, at) => {
                self.streams.get_mut(index).map_or(Err(Error::BadAccess), |stream| stream.read(at, time))
            }
            Place::AbsentStream | Place::Nowhere => Err(Error::BadAccess),
        };
        // The only reason to refuse a read.
        result.unwrap_or_else(|_| u32::from_le_bytes([self.refuse_access(offset, env); 4]))
    }

    fn write_register(&mut self, offset: u64, value: u32, env: &mut Env<'_>) {
        let result = match self.place(offset) {
            Place::Global(at) => self.write_global(at, value, env),
            Place::Stream(index, at) => {
                let written = self.with_stream(index, env, |stream, call| stream.write(at, value, call));
                written.unwrap_or(Err(Error::BadAccess))
            }
            Place::AbsentStream | Place::Nowhere => Err(Error::BadAccess),
        };
        if let Err(error) = result {
            self.refuse(offset, Some(value), error, env);
        }
    }

    /// There is no such register, or it can't be accessed this way: returns what each byte of a read is.
    fn refuse_access(&mut self, offset: u64, env: &mut Env<'_>) -> u8 {
        self.refuse(offset, None, Error::BadAccess, env);
        if matches!(self.place(offset), Place::AbsentStream) { 0 } else { 0xFF }
    }

    /// Notes an error in the ERROR of the present stream whose block was hit, else in the global one.
    fn refuse(&mut self, offset: u64, value: Option<u32>, error: Error, env: &mut Env<'_>) {
        let mut note = Note::Refused { stream: None, offset, value, error };
        match self.place(offset) {
            Place::Stream(index, _) => {
                if let Some(stream) = self.streams.get_mut(index) {
                    stream.refuse(error, env);
                }
                note = Note::Refused { stream: Some(low(index as u64)), offset, value, error };
            }
            _ => self.registers.error = error.code(),
        }
        env.effects.note(note);
    }

    fn read_global(&mut self, offset: u32) -> Result<u32, Error> {
        Ok(match offset {
            global::MAGIC => global::MAGIC_VALUE,
            global::VERSION => global::VERSION_VALUE,
            global::FEATURES if self.streams() > self.render => FEATURES | global::FEATURE_CAPTURE,
            global::FEATURES => FEATURES,
            global::STREAMS => self.render | (self.streams() - self.render) << global::STREAMS_CAPTURE_SHIFT,
            global::DMA_BITS => self.limits.dma_bits,
            global::SG_ENTRIES_MAX => dma::ENTRIES_MAX,
            global::RING_BYTES_MAX => global::RING_BYTES_MAX_VALUE,
            global::CLOCK_HZ => global::CLOCK_HZ_VALUE,
            global::CONTROL => u32::from(self.registers.int_enable) * global::CONTROL_INT_ENABLE,
            global::INT_STATUS => self.registers.int_status,
            global::INT_RAISE | global::TRACE_MARK => 0,
            global::MESSAGES => self.messages(),
            global::ERROR => self.registers.error,
            global::CLOCK_LO => {
                self.registers.clock_latch = low(self.time >> 32);
                low(self.time)
            }
            global::CLOCK_HI => self.registers.clock_latch,
            global::CLOCK_MODE => self.clock.code(),
            _ => return self.registers.selftest.read(offset).ok_or(Error::BadAccess),
        })
    }

    fn write_global(&mut self, offset: u32, value: u32, env: &mut Env<'_>) -> Result<(), Error> {
        let registers = &mut self.registers;
        match offset {
            // The other bits of a write that resets are lost with everything else.
            global::CONTROL if value & global::CONTROL_RESET != 0 => self.reset(env),
            global::CONTROL => registers.int_enable = value & global::CONTROL_INT_ENABLE != 0,
            global::INT_STATUS => registers.int_status &= !value,
            global::INT_RAISE => return self.raise(value, env),
            global::SELFTEST_ADDR_LO => registers.selftest.addr[0] = value,
            global::SELFTEST_ADDR_HI => registers.selftest.addr[1] = value,
            global::SELFTEST_BYTES => registers.selftest.bytes = value,
            global::SELFTEST_ENTRIES => registers.selftest.entries = value,
            global::SELFTEST => {
                let mut bus = Bus::new(env, Dma::SelfTest, self.limits);
                if let Err(error) = registers.selftest.run(value, &mut bus) {
                    env.effects.note(Note::SelfTest { error });
                }
            }
            global::ERROR => registers.error = error::NONE,
            global::TRACE_MARK => env.effects.record(Trace::Mark(value)),
            // Read only: ignored, unless there is no such register.
            _ => return read_only(offset),
        }
        Ok(())
    }

    /// `INT_RAISE`: for bring-up, whatever `INT_ENABLE` says.
    fn raise(&mut self, message: u32, env: &mut Env<'_>) -> Result<(), Error> {
        if !self.limits.bus_master {
            return Err(Error::BusMasterOff);
        }
        match self.msi {
            Some(granted) if message >= granted => return Err(Error::BadAccess),
            Some(_) => self.send(message, env),
            None => self.registers.int_status |= 1,
        }
        Ok(())
    }
}

/// A write to a global register that can't be written.
fn read_only(offset: u32) -> Result<(), Error> {
    let known = global::REGISTERS.iter().any(|register| register.offset == offset);
    if known { Ok(()) } else { Err(Error::BadAccess) }
}

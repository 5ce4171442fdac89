//! The card: registers and time in, what comes of it into [`Env`]. Pure: the sockets, threads and clocks are
//! elsewhere.
//!
//! Read it from the top: what is built in ([`Config`]), the calls (reset, PCI state, register accesses,
//! [`Controller::advance`]), and how the streams get their turns. The global registers are in `registers`.
//! What a stream does is in [`crate::stream`], in the same manner.
//!
//! **Time.** Every call brings the device clock. Before it does anything else the card handles, in the order
//! of their clock values, all ends of bursts that have passed meanwhile; so whether the engine wakes
//! punctually or a register access comes first, the same happens at the same clock values. That is bounded: a
//! packet is at least a millisecond long, and a stream whose first unhandled end is longer ago than
//! [`stream::LATE_MILLIS`] does not catch up, but starts its time again there. DATASHEET 5.2.

mod registers;
mod selftest;

use crate::dma::Limits;
use crate::env::{ClockMode, Env, Interrupts};
use crate::pages::ClockPage;
use crate::stream::{Capabilities, CardCtx, Stream, low};
use registers::Registers;
use ringwave_engine::loopback::Loopbacks;
use ringwave_engine::schedule::{self, BurstEnd};
use ringwave_engine::stream::stats::{Stall, StreamStats};
use ringwave_regs::{format, global, pages, pci, stream};
use ringwave_trace::CardEvent;

/// [`stream::LATE_MILLIS`] in ticks of the device clock.
const LATE: u64 = stream::LATE_MILLIS as u64 * (global::CLOCK_HZ_VALUE as u64 / 1000);

/// What is built into a card.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Render streams, up to [`stream::STREAMS_MAX`] (clamped).
    pub render: u32,
    /// Capture streams, so that there are up to [`stream::STREAMS_MAX`] in all (clamped).
    pub capture: u32,
    /// For each capture stream, counted from 0: the render stream whose sound it captures, instead of a
    /// source's.
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
    /// The streams have MUTE and volumes: [`global::FEATURE_VOLUME`].
    pub volume: bool,
    /// What [`global::VERSION`] says. Another than this card's, for tests of drivers, changes nothing else but
    /// the FEATURES bits of a later minor version.
    pub version: u32,
}

impl Default for Config {
    /// The card of DATASHEET section 10: one render and one capture stream, every format, realtime.
    fn default() -> Self {
        Self {
            render: 1,
            capture: 1,
            loopback: [None; stream::STREAMS_MAX as usize],
            clock: ClockMode::Realtime,
            dma_bits: 64,
            formats: format::FORMATS_ALL,
            rates: format::RATES_ALL,
            channels_max: format::CHANNELS_MAX,
            volume: true,
            version: global::VERSION_VALUE,
        }
    }
}

/// The card.
#[derive(Debug)]
pub struct Controller {
    clock: ClockMode,
    limits: Limits,
    /// It has [`global::FEATURE_VOLUME`].
    volume: bool,
    version: u32,
    streams: Vec<Stream>,
    /// How many of them, the first, render.
    render: u32,
    loops: Loopbacks,
    /// The latest device clock that the card was told.
    time: u64,
    clock_page: ClockPage,
    /// MSI messages granted, while MSI is enabled.
    msi: Option<u32>,
    d3hot: bool,
    registers: Registers,
}

impl Controller {
    /// A card after power-on. Nothing is in the pages before [`Self::reset`].
    pub fn new(config: Config) -> Self {
        let can = Capabilities {
            formats: config.formats,
            rates: config.rates,
            channels_max: config.channels_max.clamp(1, format::CHANNELS_MAX),
            packets_max: 2,
            capture: false,
            volume: config.volume,
        };
        let render = config.render.min(stream::STREAMS_MAX);
        let capture = config.capture.min(stream::STREAMS_MAX - render);
        // A stream's number is below the number of messages, so that number is also its message.
        let stream = |index| Stream::new(index, Capabilities { capture: index >= render, ..can }, index);
        let loops = config.loopback.into_iter().take(capture as usize);
        Self {
            clock: config.clock,
            limits: Limits { bus_master: false, dma_bits: config.dma_bits.clamp(32, 64) },
            volume: config.volume,
            version: config.version,
            streams: (0..render + capture).map(stream).collect(),
            render,
            loops: Loopbacks::new(loops, render),
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

    /// MSI messages that the function offers: the smallest power of two that is not below the number of
    /// streams.
    pub fn messages(&self) -> u32 {
        pci::messages(self.streams())
    }

    /// Resets the function (FLR, `DEVICE_RESET`, a client that left; and once before the first client, which
    /// fills in the pages). Configuration space is the caller's: reset it as well and say so with
    /// [`Self::set_msi`] and [`Self::set_bus_master`].
    pub fn reset(&mut self, env: &mut Env<'_>) {
        self.catch_up(env);
        for index in 0..self.streams.len() {
            self.with_stream(index, env, Stream::reset);
        }
        self.registers = Registers::default();
        self.d3hot = false;
        self.clock_page.resets = self.clock_page.resets.wrapping_add(1);
        self.clock_page.publish(env.pages, self.time);
        *env.interrupts = Interrupts::default();
        env.log.record(CardEvent::Reset);
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
            env.log.record(CardEvent::Power { d3hot });
        }
        if d3hot && !self.d3hot {
            for index in 0..self.streams.len() {
                self.with_stream(index, env, Stream::sleep);
            }
        }
        self.d3hot = d3hot;
    }

    /// An access to BAR 0 of any offset and length. `data` is filled completely (all ones where the DATASHEET
    /// says so). It latches, may set ERROR, and handles ends that have passed: send the interrupts as after a
    /// write.
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

    /// An access to BAR 0 of any offset and length. Send the interrupts *before* the write is
    /// answered: no event may come after a write of PAUSE or STOP has returned.
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

    /// `bytes` bytes of BAR 2 were stored to from `offset` on by a message, and are there: a mark among them
    /// is seen now, as a store to memory would be at the next look. In D3hot it waits for that, too.
    pub fn pages_stored(&mut self, offset: u64, bytes: u64, env: &mut Env<'_>) {
        self.catch_up(env);
        if self.d3hot {
            return;
        }
        for index in 0..self.streams.len() {
            let page = u32::try_from(index).ok().and_then(pages::mark_page).map(u64::from);
            let word = page.map(|page| page..page + 8);
            if word.is_some_and(|word| offset < word.end && offset.saturating_add(bytes) > word.start) {
                self.with_stream(index, env, Stream::mark_stored);
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
        let ticks = (0..self.streams.len()).filter_map(|index| self.next_tick(index));
        let polls = self.streams.iter().filter_map(Stream::next_poll);
        self.streams.iter().filter_map(Stream::due).chain(ticks).chain(polls).min()
    }

    /// Device clock at which a stream's position page ticks next: in D3hot none does.
    fn next_tick(&self, index: usize) -> Option<u64> {
        self.streams.get(index).filter(|_| !self.d3hot)?.next_tick()
    }

    /// Level of INTx before Interrupt Disable: false with MSI enabled and in D3hot. Also what
    /// Status.Interrupt Status shows.
    pub fn intx(&self) -> bool {
        self.registers.int_enable && self.registers.int_status != 0 && self.msi.is_none() && !self.d3hot
    }

    /// The host side of a stream failed: ERROR becomes HOST, an event if the guest wants errors and the
    /// stream runs.
    pub fn host_failed(&mut self, stream: u32, env: &mut Env<'_>) {
        self.catch_up(env);
        let index = stream as usize;
        if let Some(stream) = self.streams.get_mut(index) {
            stream.host_failed(env);
            self.collect_event(index, env);
        }
    }

    /// Something was plugged into the jack of a stream or pulled out: a change is told in the status page and
    /// is an event, also in D3hot. DATASHEET 5.9. Nothing happens where there is no such stream.
    pub fn set_jack(&mut self, stream: u32, plugged: bool, env: &mut Env<'_>) {
        self.catch_up(env);
        let index = stream as usize;
        if let Some(stream) = self.streams.get_mut(index) {
            stream.set_jack(plugged, env);
            self.collect_event(index, env);
        }
    }

    /// Whether something is plugged into the jack of a stream; `None` if there is no such stream. A card
    /// begins with everything plugged in.
    pub fn jack(&self, stream: u32) -> Option<bool> {
        self.streams.get(stream as usize).map(Stream::jack)
    }

    /// The clock of the stream's host side runs at another pace: from the next end of a burst on `RATE_DEN`
    /// is `rate_den`, or what is nearest to it within a thousandth of nominal. DATASHEET 5.4. Ignored unless
    /// the stream is in RUN by realtime, and for a loopback, which goes as what it listens to; STOP makes it
    /// nominal.
    pub fn set_rate_den(&mut self, stream: u32, rate_den: u32) {
        if let Some(stream) = self.streams.get_mut(stream as usize) {
            stream.set_rate_den(rate_den);
        }
    }

    /// Whether a stream is in RUN.
    pub fn running(&self) -> bool {
        self.streams.iter().any(Stream::running)
    }

    /// Streams whose time goes on now, as bits: in RUN, not stalled and not ended.
    pub fn moving(&self) -> u32 {
        let moving = self.streams.iter().zip(0..).filter(|(stream, _)| stream.due().is_some());
        moving.fold(0, |bits, (_, number)| bits | 1_u32.checked_shl(number).unwrap_or(0))
    }

    /// The streams that are stalled now.
    pub fn stalls(&self) -> impl Iterator<Item = Stall> {
        self.streams.iter().filter_map(Stream::stall)
    }

    /// Totals of every stream, in the order of their numbers.
    pub fn stats(&self) -> impl Iterator<Item = StreamStats> {
        self.streams.iter().map(Stream::stats)
    }

    /// Sets the totals of all streams to nothing.
    pub fn clear_stats(&mut self) {
        self.streams.iter_mut().for_each(Stream::clear_stats);
    }

    /// Handles the ends that have passed, earliest first, each at its own clock value.
    fn catch_up(&mut self, env: &mut Env<'_>) {
        self.time = self.time.max(env.now);
        let now = self.time;
        schedule::catch_up(&mut StreamsInCall { controller: self, env }, now, LATE);
        for index in 0..self.streams.len() {
            if self.next_tick(index).is_some_and(|due| due <= self.time) {
                self.with_stream(index, env, Stream::tick);
            }
            if self.streams.get(index).and_then(Stream::next_poll).is_some_and(|due| due <= self.time) {
                self.with_stream(index, env, Stream::poll);
            }
        }
    }

    /// Lets a stream do something now.
    fn with_stream<R>(
        &mut self,
        index: usize,
        env: &mut Env<'_>,
        act: impl FnOnce(&mut Stream, &mut CardCtx<'_, '_>) -> R,
    ) -> Option<R> {
        self.with_stream_at(self.time, index, env, act)
    }

    /// Lets a stream do something at clock value `time`, and passes on the event that may come of it.
    fn with_stream_at<R>(
        &mut self,
        time: u64,
        index: usize,
        env: &mut Env<'_>,
        act: impl FnOnce(&mut Stream, &mut CardCtx<'_, '_>) -> R,
    ) -> Option<R> {
        let result = match self.loops.render_of(index) {
            None => self.act_at(time, index, env, act),
            Some(render) => self.act_in_loop(time, (render, index), env, act),
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
        act: impl FnOnce(&mut Stream, &mut CardCtx<'_, '_>) -> R,
    ) -> Option<R> {
        let mark = env.audio.len();
        let stream = self.streams.get_mut(index)?;
        let result = act(stream, &mut CardCtx { env, time, limits: self.limits, clock: self.clock });
        let runs = |capture| self.streams.get(capture).is_some_and(Stream::running);
        self.loops.hear(index, env.audio, mark, runs);
        Some(result)
    }

    /// Lets a stream do something whose source is another stream of the card: that one first tells what it
    /// has played up to now.
    fn act_in_loop<R>(
        &mut self,
        time: u64,
        (render, capture): (usize, usize),
        env: &mut Env<'_>,
        act: impl FnOnce(&mut Stream, &mut CardCtx<'_, '_>) -> R,
    ) -> Option<R> {
        self.act_at(time, render, env, Stream::emit_now);
        self.collect_event(render, env);
        let rate_den = self.streams.get(render).map(Stream::rate_den)?;
        let line = self.loops.to(capture)?;
        let stream = self.streams.get_mut(capture)?;
        // Whoever listens goes at the pace of what he hears, so that no frame is wanting or left over.
        stream.set_rate_den(rate_den);
        let mut env = Env {
            now: env.now,
            memory: env.memory,
            pages: env.pages,
            sources: line,
            audio: &mut *env.audio,
            interrupts: &mut *env.interrupts,
            log: env.log.reborrow(),
        };
        let mut ctx = CardCtx { env: &mut env, time, limits: self.limits, clock: self.clock };
        let result = act(stream, &mut ctx);
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
        env.interrupts.events |= bit;
        env.log.record(CardEvent::Event { stream: low(index as u64) });
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
            env.interrupts.messages |= 1_u32.checked_shl(message).unwrap_or(0);
        }
    }
}

/// The streams during one call, for [`schedule`].
struct StreamsInCall<'a, 'b> {
    controller: &'a mut Controller,
    env: &'a mut Env<'b>,
}

impl schedule::Streams for StreamsInCall<'_, '_> {
    fn next_ends(&self) -> impl Iterator<Item = Option<u64>> {
        self.controller.streams.iter().map(Stream::due)
    }

    fn on_burst_end(&mut self, stream: usize, BurstEnd { at, late, restart }: BurstEnd) {
        if let Some(stream) = self.controller.streams.get_mut(stream) {
            stream.handled_late(late);
        }
        self.controller.with_stream_at(at, stream, self.env, |stream, ctx| stream.on_burst_end(restart, ctx));
    }
}

//! One stream descriptor: its registers, and while it moves the stream of the engine behind it. HDA.md 3;
//! specification 3.3.36 to 3.3.45.
//!
//! [`BufferList`] is there while RUN is 1, `Moving` while SSYNC does not hold the stream besides. Each start
//! is a new stream of the engine, whose frame 0 lies at the byte where the last one stood.

use ringwave_audio::gain::Gain;
use ringwave_audio::{CHANNELS_MAX, SampleFormat, StreamFormat};
use ringwave_engine::audio_queue::AudioQueue;
use ringwave_engine::sources::Sources;
use ringwave_engine::stream::active::{ActiveStream, StreamCtx};
use ringwave_engine::stream::counters::Counters;
use ringwave_engine::stream::params::{BufferGeometry, BurstFrames, Direction, StreamParams};
use ringwave_engine::stream::transport::{FrameTransport, FrontEnd, StreamEvent, TransportError};
use ringwave_engine::stream::validity::{Mark, Refresh, Validity};
use ringwave_engine::timeline::ClockMode;
use ringwave_guest_memory::GuestMemory;
use ringwave_guest_memory::list::BusMaster;
use ringwave_trace::{CardEvent, CardLog, Diagnostic, Dma, ErrorName, StreamState};

use crate::buffer_list::BufferList;
use crate::dma::{Bus, Error};
use crate::regs::{merged, sd};

/// Bursts in a second: each is at most 1 ms.
const BURSTS_PER_SECOND: u32 = 1000;
/// Completions that are told apart are at least so many of a second apart.
const COMPLETIONS_PER_SECOND: u32 = 8000;

/// What a descriptor is lent during a call.
pub struct StreamEnv<'a> {
    /// Device clock of what is done.
    pub time: u64,
    /// Guest memory.
    pub memory: &'a dyn GuestMemory,
    /// Bus Master Enable.
    pub bus_master: bool,
    /// The stream's number for the host: the endpoint that hears it.
    pub stream: u32,
    /// Where captured sound comes from.
    pub sources: &'a mut dyn Sources,
    /// Where what is played is put.
    pub audio: &'a mut AudioQueue,
    /// What is counted of the endpoint.
    pub counters: &'a mut Counters,
    /// What the endpoint's amplifiers do.
    pub gain: Gain,
    /// The trace, and what is for the log.
    pub log: CardLog<'a, Error>,
    /// Where the position is stored, if the guest wants that.
    pub position_buffer: Option<u64>,
}

impl StreamEnv<'_> {
    fn bus(&mut self, who: Dma) -> Bus<'_> {
        Bus { memory: self.memory, log: self.log.reborrow(), who, enabled: self.bus_master }
    }

    fn diagnose(&mut self, error: Error) {
        let diagnostic = Diagnostic::DmaFault { stream: self.stream, error };
        self.log.diagnose_as(diagnostic, |error| ErrorName::new(error.name()));
    }
}

/// A stream descriptor.
#[derive(Debug)]
pub struct StreamDescriptor {
    /// Its index, inputs first.
    index: u32,
    capture: bool,
    control: u32,
    /// BCIS, FIFOE, DESE.
    status: u32,
    cbl: u32,
    lvi: u8,
    format: u16,
    list_address: u64,
    /// LPIB while it does not move.
    position: u32,
    list: Option<BufferList>,
    moving: Option<Moving>,
}

/// A stream that moves.
#[derive(Debug)]
struct Moving {
    active: ActiveStream,
    frames: Frames,
    /// The end of an entry with IOC that comes next, in bytes counted like [`Frames::byte`].
    completion: Option<u64>,
}

/// Where the frames of a start lie: frame 0 at byte `from` of the buffer, and on around it.
#[derive(Clone, Copy, Debug)]
struct Frames {
    from: u64,
    frame_bytes: u32,
    /// Shortest distance of two ends of bursts that are there because of IOC.
    apart: u64,
}

impl Frames {
    fn byte(self, frame: u64) -> u64 {
        self.from.saturating_add(frame.saturating_mul(u64::from(self.frame_bytes)))
    }

    /// The end of an entry with IOC that is told after the one at `told`, when the position is at `byte`. Ends
    /// that follow closely are told together: a guest cannot have more of them than so.
    fn completion_after(self, list: &BufferList, told: u64, byte: u64) -> Option<u64> {
        let apart = self.byte(self.frame_behind(told).saturating_add(self.apart)).saturating_sub(1);
        list.next_completion(byte.max(apart))
    }

    /// The first frame whose start is not before `byte`.
    fn frame_behind(self, byte: u64) -> u64 {
        byte.saturating_sub(self.from).div_ceil(u64::from(self.frame_bytes.max(1)))
    }
}

/// The stream's client during one call of the engine.
struct Client<'a> {
    list: &'a BufferList,
    frames: Frames,
    completion: Option<u64>,
    bus: Bus<'a>,
    fault: Option<Error>,
}

impl FrameTransport for Client<'_> {
    fn read(&mut self, frame: u64, into: &mut [u8]) -> Result<(), TransportError> {
        self.list.fetch(&mut self.bus, self.frames.byte(frame), into).map_err(|error| self.failed(error))
    }

    fn write(&mut self, frame: u64, from: &[u8]) -> Result<(), TransportError> {
        self.list.store(&mut self.bus, self.frames.byte(frame), from).map_err(|error| self.failed(error))
    }

    fn boundary(&self, frame: u64) -> Option<u64> {
        let byte = self.frames.byte(frame);
        // The burst that has just ended may have reached it.
        let next = match self.completion? {
            told if told <= byte => self.frames.completion_after(self.list, told, byte)?,
            next => next,
        };
        Some(self.frames.frame_behind(next).max(frame.saturating_add(1)))
    }
}

impl Client<'_> {
    fn failed(&mut self, error: Error) -> TransportError {
        self.fault = Some(error);
        match error {
            Error::BusMasterOff => TransportError::NotPermitted,
            Error::Format | Error::List | Error::Unreachable => TransportError::Unreachable,
        }
    }
}

impl FrontEnd for Client<'_> {
    fn refresh(&mut self, _why: Refresh) -> Option<Mark> {
        None
    }

    /// Packets are turns of the buffer, which no guest asks for: see [`StreamDescriptor::passed`].
    fn notify(&mut self, _event: StreamEvent) {}
}

impl StreamDescriptor {
    /// Descriptor number `index` after reset.
    pub fn new(index: u32, capture: bool) -> Self {
        Self {
            index,
            capture,
            control: sd::CTL_RESET,
            status: 0,
            cbl: 0,
            lvi: 0,
            format: 0,
            list_address: 0,
            position: 0,
            list: None,
            moving: None,
        }
    }

    /// Its stream tag.
    pub fn tag(&self) -> u8 {
        u8::try_from(self.control >> 20 & 0xF).unwrap_or(0)
    }

    /// Which way it goes.
    pub fn captures(&self) -> bool {
        self.capture
    }

    /// Whether its position moves.
    pub fn moves(&self) -> bool {
        self.moving.is_some()
    }

    /// Device clock of the end of its present burst; `None` while it does not move.
    pub fn due(&self) -> Option<u64> {
        self.moving.as_ref()?.active.due()
    }

    /// Whether it interrupts: its bit of INTSTS.
    pub fn interrupts(&self) -> bool {
        let pairs = [(sd::BCIS, sd::IOCE), (sd::FIFOE, sd::FEIE), (sd::DESE, sd::DEIE)];
        pairs.into_iter().any(|(status, enable)| self.status & status != 0 && self.control & enable != 0)
    }

    /// The dword at `offset` of the descriptor. A read of LPIB of an input stores first what has passed.
    pub fn read(&mut self, offset: u64, env: &mut StreamEnv<'_>) -> u32 {
        match offset {
            sd::CTL => {
                let ready = if self.list.is_some() { sd::FIFORDY } else { 0 };
                self.control | self.status | ready
            }
            sd::LPIB => {
                if self.capture {
                    self.with_active(env, ActiveStream::emit_now);
                }
                self.link_position(env.time)
            }
            sd::CBL => self.cbl,
            sd::LVI => u32::from(self.lvi) | sd::FIFOW_VALUE,
            sd::FIFOS => self.fifo_bytes().saturating_sub(1) & 0xFFFF | u32::from(self.format) << 16,
            sd::BDPL => (self.list_address & 0xFFFF_FFFF) as u32,
            sd::BDPU => (self.list_address >> 32) as u32,
            _ => 0,
        }
    }

    /// Writes the bits `mask` of the dword at `offset` of the descriptor. `held`: SSYNC holds the stream.
    pub fn write(&mut self, offset: u64, value: u32, mask: u32, held: bool, env: &mut StreamEnv<'_>) {
        match offset {
            sd::CTL => self.write_control(value, mask, held, env),
            // What describes the buffer is fixed while it is in use, and in reset.
            _ if self.control & (sd::RUN | sd::SRST) != 0 => {}
            sd::CBL => self.cbl = merged(self.cbl, value, mask, u32::MAX),
            sd::LVI => self.lvi = low_byte(merged(u32::from(self.lvi), value, mask, 0xFF)),
            sd::FIFOS => {
                let format = merged(u32::from(self.format), value >> 16, mask >> 16, 0x7F7F);
                self.format = u16::try_from(format).unwrap_or(0);
            }
            sd::BDPL => {
                let low = merged((self.list_address & 0xFFFF_FFFF) as u32, value, mask, !0x7F);
                self.list_address = self.list_address & !0xFFFF_FFFF | u64::from(low);
            }
            sd::BDPU => {
                let high = merged((self.list_address >> 32) as u32, value, mask, u32::MAX);
                self.list_address = self.list_address & 0xFFFF_FFFF | u64::from(high) << 32;
            }
            _ => {}
        }
    }

    fn write_control(&mut self, value: u32, mask: u32, held: bool, env: &mut StreamEnv<'_>) {
        self.status &= !(value & mask & sd::STS_CLEARS);
        let before = self.control;
        let control = merged(before, value, mask, sd::CTL_WRITABLE);
        if control & sd::SRST != 0 {
            if before & sd::SRST == 0 {
                self.reset(env);
            }
            self.control = sd::CTL_RESET | sd::SRST;
            return;
        }
        self.control = control;
        match (before & sd::RUN != 0, control & sd::RUN != 0) {
            (false, true) => self.run(held, env),
            (true, false) => self.end_run(env),
            _ => {}
        }
    }

    /// Everything as after power-on; what has passed was played.
    pub fn reset(&mut self, env: &mut StreamEnv<'_>) {
        self.end_run(env);
        *self = Self::new(self.index, self.capture);
        env.counters.stopped(env.time);
    }

    /// RUN was set.
    fn run(&mut self, held: bool, env: &mut StreamEnv<'_>) {
        match self.checked(env) {
            Ok(list) => {
                self.position = list.offset(u64::from(self.position));
                self.list = Some(list);
                if !held {
                    self.start(env);
                }
            }
            Err(error) => {
                self.control &= !sd::RUN;
                self.status |= sd::DESE;
                env.diagnose(error);
            }
        }
    }

    /// The buffer, if format, list and length fit.
    fn checked(&self, env: &mut StreamEnv<'_>) -> Result<BufferList, Error> {
        let format = stream_format(self.format).ok_or(Error::Format)?;
        if self.cbl < format.frame_bytes() {
            return Err(Error::List);
        }
        BufferList::read(
            &mut env.bus(Dma::Stream(env.stream)),
            self.list_address,
            self.lvi,
            self.cbl,
            self.capture,
        )
    }

    /// SSYNC holds the stream from now on, or lets it go.
    pub fn hold(&mut self, held: bool, env: &mut StreamEnv<'_>) {
        match (held, self.moving.is_some()) {
            (true, true) => self.stop(env),
            (false, false) if self.list.is_some() => self.start(env),
            _ => {}
        }
    }

    /// The position begins to move.
    fn start(&mut self, env: &mut StreamEnv<'_>) {
        let (Some(list), Some(format)) = (&self.list, stream_format(self.format)) else { return };
        let frame_bytes = format.frame_bytes();
        let apart = u64::from((format.rate / COMPLETIONS_PER_SECOND).max(1));
        let frames = Frames { from: u64::from(self.position), frame_bytes, apart };
        let active = ActiveStream::new(params(format, list.bytes(), self.capture), env.gain, env.time);
        let completion = list.next_completion(frames.from);
        let stats = &mut env.counters.stats;
        (stats.format, stats.ring_bytes, stats.packets) = (Some(format), list.bytes(), 1);
        (stats.entries, stats.scatter_gather) = (list.entries(), true);
        if self.capture {
            env.sources.begin(env.stream, format, stats.frames);
        }
        env.log.record(CardEvent::State { stream: env.stream, state: StreamState::Run });
        self.moving = Some(Moving { active, frames, completion });
        self.with_active(env, |active, ctx| active.run(None, ClockMode::Realtime, ctx));
    }

    /// The position stands still; what has passed was played.
    fn stop(&mut self, env: &mut StreamEnv<'_>) {
        let Some(position) = self.with_active(env, |active, ctx| {
            active.pause(ctx);
            active.position(ctx.time)
        }) else {
            return;
        };
        self.passed(position, env);
        let moving = self.moving.take();
        if let (Some(moving), Some(list)) = (moving, &self.list) {
            self.position = list.offset(moving.frames.byte(position));
            let format = moving.active.geometry().format;
            if !self.capture {
                env.audio.stop(env.stream, format);
            }
        }
        env.log.record(CardEvent::State { stream: env.stream, state: StreamState::Pause });
        self.tell_position(env);
    }

    /// RUN was cleared.
    fn end_run(&mut self, env: &mut StreamEnv<'_>) {
        self.stop(env);
        self.list = None;
    }

    /// The end of its burst has come: `env.time` is its time, or with `late` a much later one: what lies
    /// between is silence, and the position is where time says.
    pub fn on_burst_end(&mut self, late: bool, env: &mut StreamEnv<'_>) {
        if late {
            self.skip(env);
        } else {
            self.with_active(env, |active, ctx| active.on_burst_end(false, ctx));
        }
        if let Some(moving) = &self.moving {
            let position = moving.active.position(env.time);
            self.passed(position, env);
        }
        self.tell_position(env);
    }

    fn skip(&mut self, env: &mut StreamEnv<'_>) {
        self.status |= sd::FIFOE;
        let capture = self.capture;
        self.with_active(env, |active, ctx| {
            let (fetched, position) = (active.fetched(ctx.time), active.position(ctx.time));
            let missed = position.saturating_sub(fetched);
            active.emit_now(ctx);
            if !capture {
                ctx.audio.silence(ctx.stream, active.geometry().format, missed);
            }
            ctx.counters.stats.frames = ctx.counters.stats.frames.saturating_add(missed);
            ctx.counters.stats.silence_frames = ctx.counters.stats.silence_frames.saturating_add(missed);
            active.skip_to(position, ctx);
        });
    }

    /// The position has come to `frame`: BCIS, if an entry with IOC has ended since.
    fn passed(&mut self, frame: u64, env: &mut StreamEnv<'_>) {
        let (Some(moving), Some(list)) = (&mut self.moving, &self.list) else { return };
        let byte = moving.frames.byte(frame);
        let Some(completion) = moving.completion.filter(|&completion| completion <= byte) else { return };
        self.status |= sd::BCIS;
        env.counters.stats.events += 1;
        env.log.record(CardEvent::Event { stream: env.stream });
        moving.completion = moving.frames.completion_after(list, completion, byte);
    }

    /// LPIB at `time`.
    pub fn link_position(&self, time: u64) -> u32 {
        match (&self.moving, &self.list) {
            (Some(moving), Some(list)) => list.offset(moving.frames.byte(moving.active.position(time))),
            _ => self.position,
        }
    }

    /// Stores the position where the guest wants it.
    fn tell_position(&mut self, env: &mut StreamEnv<'_>) {
        if let Some(address) = env.position_buffer {
            let position = self.link_position(env.time);
            // Where there is no memory nobody reads it.
            let _ = env.bus(Dma::Positions).write(address, &position.to_le_bytes());
        }
    }

    /// An end of a burst is handled so many ticks after its time.
    pub fn handled_late(&self, ticks: u64, counters: &mut Counters) {
        counters.stats.late_ticks = counters.stats.late_ticks.max(ticks);
    }

    /// Lets the stream of the engine do something; `None` while the position does not move.
    fn with_active<R>(
        &mut self,
        env: &mut StreamEnv<'_>,
        act: impl FnOnce(&mut ActiveStream, &mut StreamCtx<'_>) -> R,
    ) -> Option<R> {
        let (moving, list) = (self.moving.as_mut()?, self.list.as_ref()?);
        let Moving { active, frames, completion } = moving;
        let who = Dma::Stream(env.stream);
        let bus = Bus { memory: env.memory, log: env.log.reborrow(), who, enabled: env.bus_master };
        let mut client = Client { list, frames: *frames, completion: *completion, bus, fault: None };
        let mut ctx = StreamCtx {
            stream: env.stream,
            time: env.time,
            front_end: &mut client,
            sources: &mut *env.sources,
            audio: &mut *env.audio,
            counters: &mut *env.counters,
        };
        let result = act(active, &mut ctx);
        if let Some(error) = client.fault {
            if self.status & sd::FIFOE == 0 {
                env.diagnose(error);
            }
            self.status |= sd::FIFOE;
        }
        Some(result)
    }

    /// The amplifiers may do something else from now on, or be those of another endpoint.
    pub fn amplify(&mut self, env: &mut StreamEnv<'_>) {
        let gain = env.gain;
        self.with_active(env, |active, ctx| active.set_gain(gain, ctx));
    }

    /// Lets what has passed up to now be played, or be stored.
    pub fn emit_now(&mut self, env: &mut StreamEnv<'_>) {
        self.with_active(env, ActiveStream::emit_now);
    }

    /// Bytes of the FIFO for the present format: the longest burst.
    fn fifo_bytes(&self) -> u32 {
        stream_format(self.format).map_or(32, |format| burst_frames(format.rate) * format.frame_bytes())
    }
}

/// The format that SDFMT says: specification 3.7.1. HDA.md 3 has those that there are.
pub fn stream_format(register: u16) -> Option<StreamFormat> {
    if register & 1 << 15 != 0 {
        return None;
    }
    let base = if register & 1 << 14 != 0 { 44_100 } else { 48_000_u32 };
    let multiple = u32::from(register >> 11 & 7) + 1;
    let divisor = u32::from(register >> 8 & 7) + 1;
    let sample = match register >> 4 & 7 {
        1 => SampleFormat::S16,
        2 | 3 => SampleFormat::S24In32,
        4 => SampleFormat::S32,
        _ => return None,
    };
    let channels = u32::from(register & 0xF) + 1;
    let rate = base * multiple / divisor;
    let known = multiple <= 4 && channels <= CHANNELS_MAX && RATES.contains(&rate);
    known.then_some(StreamFormat { sample, channels, rate })
}

/// Whether a stream can have such samples.
pub fn has_sample(sample: SampleFormat) -> bool {
    matches!(sample, SampleFormat::S16 | SampleFormat::S24In32 | SampleFormat::S32)
}

/// Rates of the codec's parameter 0Ah.
pub const RATES: [u32; 11] =
    [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 88_200, 96_000, 176_400, 192_000];

fn burst_frames(rate: u32) -> u32 {
    (rate / BURSTS_PER_SECOND).max(1)
}

/// The engine's packet is a turn of the buffer, rounded down to frames: nobody asks for its end.
fn params(format: StreamFormat, bytes: u32, capture: bool) -> StreamParams {
    let frame_bytes = format.frame_bytes();
    let packet_frames = bytes.checked_div(frame_bytes).unwrap_or(1).max(1);
    let burst = burst_frames(format.rate).min(packet_frames);
    StreamParams {
        direction: if capture { Direction::Capture } else { Direction::Render },
        geometry: BufferGeometry { format, frame_bytes, ring_bytes: bytes, packets: 1, packet_frames },
        bursts: BurstFrames { unmarked: burst, valid: burst, late: burst },
        validity: Validity::Unmarked,
    }
}

fn low_byte(value: u32) -> u8 {
    let [byte, ..] = value.to_le_bytes();
    byte
}

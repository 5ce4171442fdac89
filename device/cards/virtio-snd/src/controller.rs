//! The card without its queues: requests, I/O messages and time in; answers, completions and events out.
//! Pure: rings, threads and clocks are elsewhere.

use ringwave_engine::loopback::Loopbacks;
use ringwave_engine::schedule::{self, BurstEnd};
use ringwave_engine::stream::params::Direction;
use ringwave_engine::stream::stats::{Stall, StreamStats};
use ringwave_engine::timeline::ClockMode;

use crate::chain::Chain;
use crate::messages::Completion;
use crate::params::{direction_code, pcm_info};
use crate::stream::{Env, Stream, StreamConfig};
use crate::wire::{
    CHMAP_INFO_BYTES, CODE_BYTES, CONFIG_BYTES, JACK_INFO_BYTES, PCM_INFO_BYTES, Query, Request, Status,
    parse,
};

/// Streams of a card at most: the I/O queue names them in 32 bits, the other cards have 16.
pub const STREAMS_MAX: u32 = 16;
/// Most channels of a frame.
pub const CHANNELS_MAX: u8 = 8;
/// Ticks after which a burst that was not handled starts time again.
const LATE: u64 = 100_000_000;

/// What is built into a card.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Render streams.
    pub render: u32,
    /// Capture streams, so that there are [`STREAMS_MAX`] in all at most (clamped).
    pub capture: u32,
    /// For each capture stream, counted from 0: the render stream whose sound it captures.
    pub loopback: [Option<u8>; STREAMS_MAX as usize],
    /// What the streams go by.
    pub clock: ClockMode,
    /// Ticks for which the last message is held in lockstep.
    pub grace: u64,
    /// Most channels, 1 to [`CHANNELS_MAX`] (clamped).
    pub channels_max: u8,
}

/// The card.
#[derive(Debug)]
pub struct Controller {
    streams: Vec<Stream>,
    render: u32,
    loops: Loopbacks,
    channels_max: u8,
    /// The latest device clock that the card was told.
    time: u64,
}

/// Channel maps by their number of channels, in the order of WAV files: `VIRTIO_SND_CHMAP_*`.
const CHMAPS: [&[u8]; 5] = [&[2], &[3, 4], &[3, 4, 5, 6], &[3, 4, 7, 8, 5, 6], &[3, 4, 7, 8, 5, 6, 9, 10]];

impl Controller {
    /// A card after power-on.
    pub fn new(config: Config) -> Self {
        let render = config.render.min(STREAMS_MAX);
        let capture = config.capture.min(STREAMS_MAX - render);
        let channels_max = config.channels_max.clamp(1, CHANNELS_MAX);
        let stream = |index| {
            let direction = if index < render { Direction::Render } else { Direction::Capture };
            let Config { clock, grace, .. } = config;
            Stream::new(StreamConfig { index, direction, channels_max, clock, grace })
        };
        let loops = config.loopback.into_iter().take(capture as usize);
        Self {
            streams: (0..render + capture).map(stream).collect(),
            render,
            loops: Loopbacks::new(loops, render),
            channels_max,
            time: 0,
        }
    }

    /// `virtio_snd_config` without controls.
    pub fn config_space(&self) -> [u8; CONFIG_BYTES] {
        let fields = [self.streams(), self.streams(), self.chmaps()].map(u32::to_le_bytes);
        let mut bytes = [0; CONFIG_BYTES];
        bytes.iter_mut().zip(fields.as_flattened()).for_each(|(to, from)| *to = *from);
        bytes
    }

    /// Number of streams.
    pub fn streams(&self) -> u32 {
        u32::try_from(self.streams.len()).unwrap_or(STREAMS_MAX)
    }

    /// The channel maps that a stream can have.
    fn maps(&self) -> impl Iterator<Item = &'static [u8]> {
        let channels_max = usize::from(self.channels_max);
        CHMAPS.into_iter().filter(move |map| map.len() <= channels_max)
    }

    fn chmaps(&self) -> u32 {
        self.streams().saturating_mul(u32::try_from(self.maps().count()).unwrap_or(0))
    }

    /// Direction of a stream, and its number within it.
    fn place(&self, stream: u32) -> (Direction, u32) {
        match stream.checked_sub(self.render) {
            None => (Direction::Render, stream),
            Some(capture) => (Direction::Capture, capture),
        }
    }

    /// Carries out a request of the control queue, of which the driver has room for `room` bytes of answer.
    /// Gives the answer.
    pub fn control(&mut self, request: &[u8], room: u64, env: &mut Env<'_>) -> Vec<u8> {
        self.advance(env);
        let room = room.saturating_sub(CODE_BYTES as u64);
        let (status, payload) = match self.answer(request, room, env) {
            Ok(payload) => (Status::Ok, payload),
            Err(status) => (status, Vec::new()),
        };
        let mut answer = Vec::from((status as u32).to_le_bytes());
        answer.extend(payload);
        answer
    }

    fn answer(&mut self, request: &[u8], room: u64, env: &mut Env<'_>) -> Result<Vec<u8>, Status> {
        match parse(request)? {
            Request::JackInfo(query) => {
                self.items(query, (self.streams(), JACK_INFO_BYTES), room, Self::jack_info)
            }
            Request::PcmInfo(query) => {
                self.items(query, (self.streams(), PCM_INFO_BYTES), room, |card, index| {
                    let (direction, nid) = card.place(index);
                    pcm_info(nid, direction, card.channels_max).to_vec()
                })
            }
            Request::ChmapInfo(query) => {
                self.items(query, (self.chmaps(), CHMAP_INFO_BYTES), room, Self::chmap_info)
            }
            Request::NotOffered => Err(Status::NotSupp),
            Request::SetParams(stream, params) => {
                let result =
                    self.with_stream(stream, env, |stream, time, env| stream.set_params(&params, time, env));
                result.unwrap_or(Err(Status::BadMsg)).map(|()| Vec::new())
            }
            Request::Pcm(stream, request) => {
                let result =
                    self.with_stream(stream, env, |stream, time, env| stream.request(request, time, env));
                result.unwrap_or(Err(Status::BadMsg)).map(|()| Vec::new())
            }
        }
    }

    /// The items that a query asks for, each in its place.
    fn items(
        &self,
        query: Query,
        (there_are, item_bytes): (u32, u32),
        room: u64,
        item: impl Fn(&Self, u32) -> Vec<u8>,
    ) -> Result<Vec<u8>, Status> {
        let (items, bytes) = query.items(there_are, item_bytes).ok_or(Status::BadMsg)?;
        if bytes as u64 > room {
            return Err(Status::BadMsg);
        }
        let mut payload = vec![0; bytes];
        for (place, index) in payload.chunks_mut(query.size.max(1) as usize).zip(items) {
            place.iter_mut().zip(item(self, index)).for_each(|(to, from)| *to = from);
        }
        Ok(payload)
    }

    /// `virtio_snd_jack_info`. The words of `hda_reg_defconf` and `hda_reg_caps` are HD Audio's (1.0a,
    /// 7.3.3.31 and 7.3.4.9): default device in bits 23:20, presence detect in bit 2, output in 4, input in 5.
    fn jack_info(&self, jack: u32) -> Vec<u8> {
        let (direction, nid) = self.place(jack);
        let (device, caps) = match direction {
            Direction::Render => (0x0 << 20, 1 << 4),
            Direction::Capture => (0xA << 20, 1 << 5),
        };
        let plugged = self.streams.get(jack as usize).is_some_and(Stream::plugged);
        let words: [u32; 4] = [nid, 0, device, caps | 1 << 2];
        let mut info: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
        info.push(plugged.into());
        info
    }

    fn chmap_info(&self, chmap: u32) -> Vec<u8> {
        let maps = u32::try_from(self.maps().count()).unwrap_or(0);
        let stream = chmap.checked_div(maps).unwrap_or(0);
        let map = chmap.checked_rem(maps).and_then(|map| self.maps().nth(map as usize)).unwrap_or(&[]);
        let (direction, nid) = self.place(stream);
        let mut info = Vec::from(nid.to_le_bytes());
        info.extend([direction_code(direction), u8::try_from(map.len()).unwrap_or(0)]);
        info.extend(map);
        info
    }

    /// An I/O message has come on tx, or on rx (`capture`).
    pub fn io(&mut self, capture: bool, chain: Chain, env: &mut Env<'_>) {
        // What has passed before it came has passed without it, also where the engine's thread is late.
        self.advance(env);
        let mut stream = [0; CODE_BYTES];
        let header = chain.readable.read(env.memory, 0, &mut stream);
        let stream = u32::from_le_bytes(stream);
        let fits = header.is_ok()
            && stream < self.streams()
            && (self.place(stream).0 == Direction::Capture) == capture;
        if fits {
            self.with_stream(stream, env, |stream, time, env| stream.io(chain, time, env));
        } else {
            env.out.completions.push((capture, Completion::refused(chain, Status::BadMsg)));
        }
    }

    /// Handles everything that has become due at `env.now`.
    pub fn advance(&mut self, env: &mut Env<'_>) {
        self.time = self.time.max(env.now);
        let now = self.time;
        schedule::catch_up(&mut StreamsInCall { controller: self, env }, now, LATE);
        for stream in &mut self.streams {
            if stream.grace_ends().is_some_and(|ends| ends <= now) {
                stream.complete(now, env);
            }
        }
    }

    /// Device clock at which [`Self::advance`] has something to do next.
    pub fn next_deadline(&self) -> Option<u64> {
        let graces = self.streams.iter().filter_map(Stream::grace_ends);
        self.streams.iter().filter_map(Stream::due).chain(graces).min()
    }

    /// The machine stands still, or goes on.
    pub fn set_halted(&mut self, halted: bool, env: &mut Env<'_>) {
        self.for_each(env, |stream, time, env| stream.set_halted(halted, time, env));
    }

    /// The device was reset, or its client has left.
    pub fn reset(&mut self, env: &mut Env<'_>) {
        self.for_each(env, Stream::reset);
        env.out.completions.clear();
        env.out.events.clear();
    }

    fn for_each(&mut self, env: &mut Env<'_>, act: impl Fn(&mut Stream, u64, &mut Env<'_>)) {
        self.advance(env);
        for stream in 0..self.streams() {
            self.with_stream(stream, env, &act);
        }
    }

    /// Plugs something into the jack of a stream, or pulls it out.
    pub fn set_jack(&mut self, stream: u32, plugged: bool, env: &mut Env<'_>) {
        self.with_stream(stream, env, |stream, _, env| stream.set_plugged(plugged, env));
    }

    /// Whether something is plugged into the jack of a stream; `None` if there is no such stream.
    pub fn jack(&self, stream: u32) -> Option<bool> {
        self.streams.get(stream as usize).map(Stream::plugged)
    }

    /// The clock of a stream's host side goes at another rate: `RATE_DEN` of the stream.
    pub fn set_rate_den(&mut self, stream: u32, rate_den: u32) {
        if let Some(stream) = self.streams.get_mut(stream as usize) {
            stream.set_rate_den(rate_den);
        }
    }

    /// Whether a stream runs.
    pub fn running(&self) -> bool {
        self.streams.iter().any(Stream::running)
    }

    /// Streams whose time goes on now, as bits.
    pub fn moving(&self) -> u32 {
        let moving = self.streams.iter().zip(0..).filter(|(stream, _)| stream.due().is_some());
        moving.fold(0, |bits, (_, number)| bits | 1_u32.checked_shl(number).unwrap_or(0))
    }

    /// The streams that stand still for want of a message.
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

    /// Lets a stream do something now, if there is one of that number.
    fn with_stream<R>(
        &mut self,
        stream: u32,
        env: &mut Env<'_>,
        act: impl FnOnce(&mut Stream, u64, &mut Env<'_>) -> R,
    ) -> Option<R> {
        self.with_stream_at(self.time, stream as usize, env, act)
    }

    fn with_stream_at<R>(
        &mut self,
        time: u64,
        index: usize,
        env: &mut Env<'_>,
        act: impl FnOnce(&mut Stream, u64, &mut Env<'_>) -> R,
    ) -> Option<R> {
        let Some(render) = self.loops.render_of(index) else { return self.act_at(time, index, env, act) };
        // Whoever is listened to first tells what it has played up to now, and gives the pace.
        self.act_at(time, render, env, Stream::emit_now);
        let rate_den = self.streams.get(render).map(Stream::rate_den)?;
        let (line, stream) = (self.loops.to(index)?, self.streams.get_mut(index)?);
        stream.set_rate_den(rate_den);
        let Env { now, memory, .. } = *env;
        let (audio, out, log) = (&mut *env.audio, &mut *env.out, env.log.reborrow());
        let result = act(stream, time, &mut Env { now, memory, sources: line, audio, log, out });
        if !stream.running() {
            self.loops.to(index)?.clear();
        }
        Some(result)
    }

    /// Lets a stream do something, and lets those hear it that capture what it plays.
    fn act_at<R>(
        &mut self,
        time: u64,
        index: usize,
        env: &mut Env<'_>,
        act: impl FnOnce(&mut Stream, u64, &mut Env<'_>) -> R,
    ) -> Option<R> {
        let mark = env.audio.len();
        let result = act(self.streams.get_mut(index)?, time, env);
        let runs = |capture| self.streams.get(capture).is_some_and(Stream::running);
        self.loops.hear(index, env.audio, mark, runs);
        Some(result)
    }
}

/// The streams during one call, for [`schedule`].
struct StreamsInCall<'a, 'b, 'c> {
    controller: &'a mut Controller,
    env: &'b mut Env<'c>,
}

impl schedule::Streams for StreamsInCall<'_, '_, '_> {
    fn next_ends(&self) -> impl Iterator<Item = Option<u64>> {
        self.controller.streams.iter().map(Stream::due)
    }

    fn on_burst_end(&mut self, stream: usize, BurstEnd { at, late, restart }: BurstEnd) {
        self.controller.with_stream_at(at, stream, self.env, |stream, time, env| {
            stream.on_burst_end(time, late, restart, env);
        });
    }
}

#[cfg(test)]
mod tests;

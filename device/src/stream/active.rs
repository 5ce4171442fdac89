//! A stream between ACQUIRE and STOP: the FIFO, the packets, the line that the position goes along. DATASHEET 5.2 to 5.7.
//!
//! Everything happens at *ends of bursts*. [`ActiveStream::due`] says when the next is, [`ActiveStream::step`] handles it: the burst was played, perhaps its
//! packet is complete, and then the next burst is fetched, or the stream stalls or has ended. The registers only do the same things
//! at other moments. Nothing here looks at a clock: `ctx.time` is the moment.

mod burst;
mod marking;

use super::marks::{Look, ahead_of};
use super::setup::BufferGeometry;
use super::{Counters, StreamCtx};
use crate::dma::Ring;
use crate::ports::{CardEvent, ClockMode, Diagnostic};
use crate::timeline::Timeline;
use burst::Burst;
use marking::Begun;
use ringwave_audio::gain::Gain;
use ringwave_regs::error::Error;
use ringwave_regs::pages::status;
use ringwave_regs::stream as regs;

/// An end of stream that was taken with WRITTEN.
#[derive(Clone, Copy, Debug)]
struct EndOfStream {
    packet: u32,
    /// Valid frames of that packet.
    frames: u32,
}

/// How far the position is from the end of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// No end is known, or it is further away than this packet.
    Ahead,
    /// This packet is the last, and so many of its frames are valid.
    InThisPacket(u32),
    /// The last valid frame of this packet was reached.
    Reached,
    /// The last packet is complete already.
    Behind,
}

/// `START_FRAME` and `START_PACKET`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Start {
    /// Written since the last RUN.
    armed: bool,
    pub(super) packet: u32,
    pub(super) frame: [u32; 2],
}

/// Everything that STOP sets to nothing.
#[derive(Debug)]
pub(super) struct ActiveStream {
    pub(super) geometry: BufferGeometry,
    /// It captures: frames go from the source to the buffer.
    capture: bool,
    /// The packet that the stream began with.
    first: u32,
    /// Packets completed since STOP.
    pub(super) packet_count: u32,
    /// The last mark that was accepted; `None` = unmarked.
    pub(super) written: Option<u32>,
    /// The register EOS.
    pub(super) eos: u32,
    pub(super) start: Start,
    /// The exact line of the position (the DATASHEET's base). Drawn anew only when the stream starts or stops moving, or changes its pace.
    line: Timeline,
    /// The pace that it takes up at the next end of a burst, if it is another then.
    wanted_rate_den: Option<u32>,
    /// As deep as the longest burst, allocated once.
    fifo: Vec<u8>,
    /// What the frames are multiplied by between the FIFO and the host.
    gain: Gain,
    burst: Option<Burst>,
    /// The snapshot of this RUN; `None` outside RUN.
    ring: Option<Ring>,
    /// What the stream goes by, chosen at the first RUN.
    clock: Option<ClockMode>,
    end: Option<EndOfStream>,
    ended: bool,
    /// The packet it waits for, and since when.
    stalled: Option<(u32, u64)>,
    /// The packet that has begun last.
    begun: Option<Begun>,
}

impl ActiveStream {
    pub(super) fn new(geometry: BufferGeometry, capture: bool, gain: Gain, time: u64) -> Self {
        let longest = geometry.fifo_frames.max(geometry.piece_frames(regs::WRITTEN_PIECE_MILLIS));
        let fifo = vec![0; longest.saturating_mul(geometry.frame_bytes) as usize];
        Self {
            geometry,
            capture,
            first: 0,
            packet_count: 0,
            written: None,
            eos: 0,
            start: Start::default(),
            line: Timeline::frozen(time, 0),
            wanted_rate_den: None,
            fifo,
            gain,
            burst: None,
            ring: None,
            clock: None,
            end: None,
            ended: false,
            stalled: None,
            begun: None,
        }
    }

    /// The line that the position goes along.
    pub(super) fn line(&self) -> Timeline {
        self.line
    }

    /// The line through `frame` at `clock` with `den` ticks to RATE frames.
    fn moving(&self, clock: u64, frame: u64, den: u32) -> Timeline {
        Timeline::moving(clock, frame, self.geometry.format.rate, den)
    }

    /// The host's clock runs at another pace (see [`crate::timeline::clamp_rate_den`]): taken up at the next end of a burst. Only a stream that moves by
    /// realtime has such a pace.
    pub(super) fn set_rate_den(&mut self, den: u32) {
        if self.ring.is_some() && self.clock == Some(ClockMode::Realtime) {
            self.wanted_rate_den = Some(crate::timeline::clamp_rate_den(den));
        }
    }

    /// Frames since STOP.
    pub(super) fn position(&self, time: u64) -> u64 {
        self.line.frame_at(time)
    }

    /// The packet the stream waits for, and since when.
    pub(super) fn stalled(&self) -> Option<(u32, u64)> {
        self.stalled
    }

    /// `FLAG_*` of the status page.
    pub(super) fn flags(&self) -> u32 {
        let flag = |on: bool, flag: u32| if on { flag } else { 0 };
        flag(self.stalled.is_some(), status::FLAG_STALLED)
            | flag(self.clock == Some(ClockMode::Lockstep), status::FLAG_LOCKSTEP)
            | flag(self.ended, status::FLAG_ENDED)
            | flag(self.written.is_some(), status::FLAG_WRITTEN)
    }

    /// Device clock at which the present burst ends; `None` while the position is frozen.
    pub(super) fn due(&self) -> Option<u64> {
        if self.line.num == 0 { None } else { self.line.clock_at(self.burst?.end) }
    }

    /// The present burst ends now: `ctx.time` is the moment that [`Self::due`] named, or with `restart` a later one, at which time starts
    /// again because the card slept too long.
    pub(super) fn on_burst_end(
        &mut self,
        restart: bool,
        counters: &mut Counters,
        ctx: &mut StreamCtx<'_, '_>,
    ) {
        let Some(burst) = self.burst else { return };
        self.emit_until(burst.end, counters, ctx);
        self.burst = None;
        let drawn = self.line;
        let pace = self.wanted_rate_den.take().unwrap_or(drawn.den());
        if restart || pace != drawn.den() {
            self.line = self.moving(ctx.time, burst.end, pace);
        }
        if self.geometry.in_packet(burst.end) == 0 {
            self.complete(burst.end, counters, ctx);
        }
        self.see(Look::Passing, counters, ctx);
        self.schedule_next(burst.end, counters, ctx);
        if self.line == drawn {
            counters.page.renew(ctx.time, burst.end);
        } else {
            counters.page.anchor(self.line);
        }
    }

    /// PAUSE -> RUN from `start` (see [`Self::check_start`]) with the buffer's snapshot.
    pub(super) fn run(
        &mut self,
        start: Option<u64>,
        ring: Ring,
        asks_lockstep: bool,
        counters: &mut Counters,
        ctx: &mut StreamCtx<'_, '_>,
    ) {
        counters.stats.entries = ring.entries();
        self.ring = Some(ring);
        self.choose_clock(asks_lockstep, counters, ctx);
        ctx.env.effects.record(CardEvent::State { stream: counters.index, state: regs::STATE_RUN });
        if self.ended {
            return;
        }
        if let Some(frame) = start {
            self.packet_count = self.start.packet;
            self.first = self.start.packet;
            self.start = Start::default();
            self.burst = None;
            self.begun = None;
            self.line = self.line.stopped(ctx.time, frame);
        }
        let position = self.line.frame;
        self.line = self.moving(ctx.time, position, self.line.den());
        self.wake_if_behind(position, counters);
        self.schedule_next(position, counters, ctx);
        counters.page.anchor(self.line);
    }

    /// RUN -> PAUSE: what has passed was played, the rest of the burst stays in the FIFO. The caller sees to the anchor.
    pub(super) fn pause(&mut self, counters: &mut Counters, ctx: &mut StreamCtx<'_, '_>) {
        let position = self.position(ctx.time);
        self.emit_until(position, counters, ctx);
        self.line = self.line.stopped(ctx.time, position);
        self.ring = None;
        self.stalled = None;
    }

    /// A write of a `START_*` register.
    pub(super) fn write_start(&mut self, offset: u32, value: u32) -> Result<(), Error> {
        if self.end.is_some() {
            return Err(Error::BadState);
        }
        match offset {
            regs::START_PACKET => self.start.packet = value,
            regs::START_FRAME_LO => self.start.frame[0] = value,
            _ => self.start.frame[1] = value,
        }
        self.start.armed = true;
        Ok(())
    }

    /// The stream is about to end in a packet that is complete already: there is no packet to count, but a guest that waits for an event must
    /// wake up and see ENDED.
    fn wake_if_behind(&self, frame: u64, counters: &mut Counters) {
        if self.to_end(frame) == End::Behind {
            counters.event(regs::INT_PACKET);
        }
    }

    /// The position is `frame` and the stream is in RUN: what comes next? The end of the stream, the rest of the burst in the FIFO, a
    /// stall, or another burst. Freezes `line` where it must.
    fn schedule_next(&mut self, frame: u64, counters: &mut Counters, ctx: &mut StreamCtx<'_, '_>) {
        self.stalled = None;
        let end = self.to_end(frame);
        if matches!(end, End::Reached | End::Behind) {
            if end == End::Reached {
                self.complete(frame, counters, ctx);
            }
            self.burst = None;
            self.ended = true;
            ctx.env.effects.record(CardEvent::Ended { stream: counters.index });
            self.line = self.line.stopped(ctx.time, frame);
            return;
        }
        if self.burst.is_some() {
            return;
        }
        let packet = self.geometry.packet(frame);
        let mut kind = self.decide(packet, counters, ctx);
        if kind.is_none() {
            // The guest may be storing its mark at this moment: one of the two sees the other. DATASHEET 7.4, Stall.
            counters.marks.wait(ctx.env);
            self.see(Look::Passing, counters, ctx);
            kind = self.decide(packet, counters, ctx);
        }
        if let Some(kind) = kind {
            self.fetch(frame, kind, counters, ctx);
        } else {
            self.stalled = Some((packet, ctx.time));
            ctx.env.effects.record(CardEvent::Stall { stream: counters.index, packet });
            counters.stats.stalls += 1;
            self.line = self.line.stopped(ctx.time, frame);
        }
    }

    /// A packet is complete.
    fn complete(&mut self, frame: u64, counters: &mut Counters, ctx: &mut StreamCtx<'_, '_>) {
        let time = ctx.time;
        let begun = self.begun.filter(|begun| begun.packet == self.packet_count);
        // A last packet without valid frames never began to move.
        counters.page.packet_start = begun.map_or(time, |begun| begun.since);
        self.packet_count = self.packet_count.wrapping_add(1);
        counters.page.packet_end = (time, frame);
        counters.stats.packets_completed += 1;
        ctx.env.effects.record(CardEvent::Packet { stream: counters.index, count: self.packet_count });
        counters.event(regs::INT_PACKET);
    }

    fn to_end(&self, frame: u64) -> End {
        let Some(end) = self.end else { return End::Ahead };
        match ahead_of(end.packet, self.geometry.packet(frame)) {
            1.. => End::Ahead,
            0 if self.geometry.in_packet(frame) < end.frames => End::InThisPacket(end.frames),
            0 => End::Reached,
            _ => End::Behind,
        }
    }

    /// The end of the stream became known: if it is within the burst in the FIFO, the burst ends there.
    fn shorten(&mut self, position: u64) {
        let End::InThisPacket(valid) = self.to_end(position) else { return };
        let Some(burst) = &mut self.burst else { return };
        let packet_start = position.saturating_sub(u64::from(self.geometry.in_packet(position)));
        burst.end = burst.end.min(packet_start.saturating_add(u64::from(valid)));
    }

    /// Where the next RUN starts if START was written since the last: `BadStart` if that is no place to start.
    pub(super) fn check_start(&self) -> Result<Option<u64>, Error> {
        let Start { armed, packet, frame: [low, high] } = self.start;
        if !armed {
            return Ok(None);
        }
        let frame = u64::from(low) | u64::from(high) << 32;
        let right = frame < regs::START_FRAME_LIMIT && self.geometry.packet(frame) == packet;
        if right { Ok(Some(frame)) } else { Err(Error::BadStart) }
    }

    /// At the first RUN after STOP: lockstep is for a stream that asks for it, on a card that grants it.
    fn choose_clock(&mut self, asks_lockstep: bool, counters: &Counters, ctx: &mut StreamCtx<'_, '_>) {
        if self.clock.is_some() {
            return;
        }
        if ctx.clock == ClockMode::Lockstep && !asks_lockstep {
            ctx.env.effects.diagnose(Diagnostic::NotLockstep { stream: counters.index });
        }
        self.clock = Some(if asks_lockstep { ctx.clock } else { ClockMode::Realtime });
    }
}

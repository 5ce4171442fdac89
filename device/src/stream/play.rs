//! A stream between ACQUIRE and STOP: the FIFO, the packets, the line that the position goes along. DATASHEET 5.2 to 5.7.
//!
//! Everything happens at *ends of pieces*. [`Play::due`] says when the next is, [`Play::step`] handles it: the piece was played, perhaps its
//! packet is complete, and then the next piece is fetched, or the stream stalls or has ended. The registers only do the same things
//! at other moments. Nothing here looks at a clock: `call.time` is the moment.

use super::setup::Shape;
use super::{Call, Ledger};
use crate::clock::Line;
use crate::dma::{Bus, Ring};
use crate::ports::{ClockMode, Dma, Note, Trace};
use ringwave_regs::error::Error;
use ringwave_regs::pages::status;
use ringwave_regs::stream as regs;

/// What is in the FIFO: frames `start..end`, of which those before `played` were heard.
#[derive(Clone, Copy, Debug)]
struct Piece {
    start: u64,
    played: u64,
    end: u64,
    /// There is nothing in the FIFO for it: silence is played.
    silent: bool,
}

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

/// What was decided about a packet, at the first of its frames that is played.
#[derive(Clone, Copy, Debug)]
struct Decision {
    packet: u32,
    /// It is played as silence.
    silent: bool,
    /// Device clock at which it began to move.
    since: u64,
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
pub(super) struct Play {
    pub(super) shape: Shape,
    /// It captures: frames go from the source to the buffer.
    capture: bool,
    /// The packet that the stream began with.
    first: u32,
    /// Packets completed since STOP.
    pub(super) packet_count: u32,
    /// The last accepted WRITTEN; `None` = unmarked.
    pub(super) written: Option<u32>,
    /// The register EOS.
    pub(super) eos: u32,
    pub(super) start: Start,
    /// The exact line of the position (the DATASHEET's base). Drawn anew only when the stream starts or stops moving.
    line: Line,
    /// One FIFO deep, allocated once.
    fifo: Vec<u8>,
    piece: Option<Piece>,
    /// The snapshot of this RUN; `None` outside RUN.
    ring: Option<Ring>,
    /// What the stream goes by, chosen at the first RUN.
    clock: Option<ClockMode>,
    end: Option<EndOfStream>,
    ended: bool,
    /// The packet it waits for, and since when.
    stalled: Option<(u32, u64)>,
    decided: Option<Decision>,
}

impl Play {
    pub(super) fn new(shape: Shape, capture: bool, time: u64) -> Self {
        let fifo = vec![0; shape.fifo_frames.saturating_mul(shape.frame_bytes) as usize];
        Self {
            shape,
            capture,
            first: 0,
            packet_count: 0,
            written: None,
            eos: 0,
            start: Start::default(),
            line: Line::frozen(time, 0),
            fifo,
            piece: None,
            ring: None,
            clock: None,
            end: None,
            ended: false,
            stalled: None,
            decided: None,
        }
    }

    /// The line that the position goes along.
    pub(super) fn line(&self) -> Line {
        self.line
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

    /// Device clock at which the present piece ends; `None` while the position is frozen.
    pub(super) fn due(&self) -> Option<u64> {
        if self.line.rate == 0 { None } else { self.line.clock_at(self.piece?.end) }
    }

    /// The present piece ends now: `call.time` is the moment that [`Self::due`] named, or with `restart` a later one, at which time starts
    /// again because the card slept too long.
    pub(super) fn step(&mut self, restart: bool, ledger: &mut Ledger, call: &mut Call<'_, '_>) {
        let Some(piece) = self.piece else { return };
        self.hear(piece.end, ledger, call);
        self.piece = None;
        let drawn = self.line;
        if restart {
            self.line = Line::moving(call.time, piece.end, self.shape.format.rate);
        }
        if self.shape.in_packet(piece.end) == 0 {
            self.complete(piece.end, ledger, call);
        }
        self.proceed(piece.end, ledger, call);
        if self.line == drawn {
            ledger.page.renew(call.time, piece.end);
        } else {
            ledger.page.anchor(self.line);
        }
    }

    /// PAUSE -> RUN from `start` (see [`Self::check_start`]) with the buffer's snapshot.
    pub(super) fn run(
        &mut self,
        start: Option<u64>,
        ring: Ring,
        ledger: &mut Ledger,
        call: &mut Call<'_, '_>,
    ) {
        ledger.stats.entries = ring.entries();
        self.ring = Some(ring);
        self.choose_clock(ledger, call);
        call.env.effects.record(Trace::State { stream: ledger.index, state: regs::STATE_RUN });
        if self.ended {
            return;
        }
        if let Some(frame) = start {
            self.packet_count = self.start.packet;
            self.first = self.start.packet;
            self.start = Start::default();
            self.piece = None;
            self.decided = None;
            self.line = Line::frozen(call.time, frame);
        }
        let position = self.line.frame;
        self.line = Line::moving(call.time, position, self.shape.format.rate);
        self.wake_if_behind(position, ledger);
        self.proceed(position, ledger, call);
        ledger.page.anchor(self.line);
    }

    /// RUN -> PAUSE: what has passed was played, the rest of the piece stays in the FIFO. The caller sees to the anchor.
    pub(super) fn pause(&mut self, ledger: &mut Ledger, call: &mut Call<'_, '_>) {
        let position = self.position(call.time);
        self.hear(position, ledger, call);
        self.line = Line::frozen(call.time, position);
        self.ring = None;
        self.stalled = None;
    }

    /// A write of EOS: checked now, taken with the next WRITTEN.
    pub(super) fn write_eos(&mut self, value: u32) -> Result<(), Error> {
        if self.capture {
            return Err(Error::NotSupported);
        }
        if self.end.is_some() {
            return Err(Error::BadState);
        }
        let bytes = value & regs::EOS_BYTES;
        if bytes > self.shape.packet_bytes() || !bytes.is_multiple_of(self.shape.frame_bytes) {
            return Err(Error::BadEos);
        }
        self.eos = value;
        Ok(())
    }

    /// A write of WRITTEN: may end a stall, may take the end of the stream. Numbers don't go back, but the last packet may be any from the
    /// present one on.
    pub(super) fn write_written(
        &mut self,
        packet: u32,
        ledger: &mut Ledger,
        call: &mut Call<'_, '_>,
    ) -> Result<(), Error> {
        if self.end.is_some() {
            return Err(Error::BadState);
        }
        let position = self.position(call.time);
        let last = self.eos & regs::EOS_ARM != 0;
        let goes_back = self.written.is_some_and(|written| ahead_of(packet, written) < 0);
        if goes_back && !(last && ahead_of(packet, self.shape.packet(position)) >= 0) {
            return Err(Error::BadPacket);
        }
        self.written = Some(packet);
        if last {
            let frames = (self.eos & regs::EOS_BYTES).checked_div(self.shape.frame_bytes).unwrap_or(0);
            self.end = Some(EndOfStream { packet, frames });
            self.shorten(position);
        }
        if self.ring.is_some() {
            self.go_on(position, ledger, call);
        }
        Ok(())
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

    /// After WRITTEN in RUN: a stall may be over, and the end of the stream may be where the position already is.
    fn go_on(&mut self, position: u64, ledger: &mut Ledger, call: &mut Call<'_, '_>) {
        let drawn = self.line;
        match self.to_end(position) {
            End::Reached | End::Behind => {
                self.hear(position, ledger, call);
                self.piece = None;
                self.wake_if_behind(position, ledger);
                self.line = Line::frozen(call.time, position);
                self.proceed(position, ledger, call);
            }
            End::Ahead | End::InThisPacket(_) => {
                if !self.stalled.is_some_and(|(packet, _)| self.is_ready(packet)) {
                    return;
                }
                self.line = Line::moving(call.time, position, self.shape.format.rate);
                self.proceed(position, ledger, call);
            }
        }
        if self.line != drawn {
            ledger.page.anchor(self.line);
        }
    }

    /// The stream is about to end in a packet that is complete already: there is no packet to count, but a guest that waits for an event must
    /// wake up and see ENDED.
    fn wake_if_behind(&self, frame: u64, ledger: &mut Ledger) {
        if self.to_end(frame) == End::Behind {
            ledger.event(regs::INT_PACKET);
        }
    }

    /// The position is `frame` and the stream is in RUN: what comes next? The end of the stream, the rest of the piece in the FIFO, a
    /// stall, or another piece. Freezes `line` where it must.
    fn proceed(&mut self, frame: u64, ledger: &mut Ledger, call: &mut Call<'_, '_>) {
        self.stalled = None;
        let end = self.to_end(frame);
        if matches!(end, End::Reached | End::Behind) {
            if end == End::Reached {
                self.complete(frame, ledger, call);
            }
            self.piece = None;
            self.ended = true;
            call.env.effects.record(Trace::Ended { stream: ledger.index });
            self.line = Line::frozen(call.time, frame);
            return;
        }
        if self.piece.is_some() {
            return;
        }
        let packet = self.shape.packet(frame);
        if let Some(silent) = self.decide(packet, ledger, call) {
            self.fetch(frame, silent, ledger, call);
        } else {
            self.stalled = Some((packet, call.time));
            call.env.effects.record(Trace::Stall { stream: ledger.index, packet });
            ledger.stats.stalls += 1;
            self.line = Line::frozen(call.time, frame);
        }
    }

    /// Whether the packet whose frames come now is silent; `None` = not yet, lockstep waits for it. Decided once, at the first of
    /// its frames that is played.
    fn decide(&mut self, packet: u32, ledger: &mut Ledger, call: &mut Call<'_, '_>) -> Option<bool> {
        if let Some(decision) = self.decided.filter(|decided| decided.packet == packet) {
            return Some(decision.silent);
        }
        let late = !self.is_ready(packet);
        if late && self.clock == Some(ClockMode::Lockstep) {
            return None;
        }
        let silent = late && !self.capture;
        if silent {
            ledger.underrun();
            call.env.effects.note(Note::Underrun { stream: ledger.index, packet });
        } else if late {
            ledger.underrun();
            ledger.silence(u64::from(self.shape.packet_frames));
            let packet = packet.wrapping_sub(self.shape.packets);
            call.env.effects.note(Note::Overrun { stream: ledger.index, packet });
        }
        if self.written.is_none() {
            ledger.stats.underruns = None;
        }
        self.decided = Some(Decision { packet, silent, since: call.time });
        Some(silent)
    }

    /// Whether the guest has promised `packet`, or (capture) taken the one whose place it needs; of an unmarked stream nothing is known, so
    /// everything is taken as it is.
    fn is_ready(&self, packet: u32) -> bool {
        let Some(last) = self.written else { return true };
        if !self.capture {
            return ahead_of(packet, last) <= 0;
        }
        let packets = self.shape.packets;
        packet.wrapping_sub(self.first) < packets || ahead_of(packet.wrapping_sub(packets), last) <= 0
    }

    /// Begins the piece at `frame`: fills the FIFO with it (a capture stream does that as time passes).
    fn fetch(&mut self, frame: u64, mut silent: bool, ledger: &mut Ledger, call: &mut Call<'_, '_>) {
        let mut end =
            frame.saturating_add(u64::from(self.shape.fifo_frames)).min(self.shape.packet_end(frame));
        if let End::InThisPacket(valid) = self.to_end(frame) {
            let left = valid.saturating_sub(self.shape.in_packet(frame));
            end = end.min(frame.saturating_add(u64::from(left)));
        }
        if !silent
            && !self.capture
            && let Err(error) = self.transfer(frame, end, ledger.index, call)
        {
            silent = true;
            ledger.dma_fault(error);
            call.env.effects.note(Note::DmaFault { stream: ledger.index, error });
        }
        self.piece = Some(Piece { start: frame, played: frame, end, silent });
    }

    /// Reads frames `start..end` out of the cyclic buffer into the FIFO.
    fn transfer(&mut self, start: u64, end: u64, stream: u32, call: &mut Call<'_, '_>) -> Result<(), Error> {
        let bytes = span(start, end, self.shape.frame_bytes);
        let (Some(ring), Some(into)) = (&self.ring, self.fifo.get_mut(..bytes)) else {
            return Err(Error::DmaUnmapped);
        };
        let mut bus = Bus::new(call.env, Dma::Stream(stream), call.limits);
        ring.read(&mut bus, self.shape.ring_offset(start), into)
    }

    /// What has passed up to now was played, although no piece has ended: somebody listens to it.
    pub(super) fn hear_now(&mut self, ledger: &mut Ledger, call: &mut Call<'_, '_>) {
        let position = self.position(call.time);
        self.hear(position, ledger, call);
    }

    /// Stores frames `start..end`, which have just passed, from the source into the cyclic buffer.
    fn store(&mut self, start: u64, end: u64, ledger: &mut Ledger, call: &mut Call<'_, '_>) {
        let bytes = span(start, end, self.shape.frame_bytes);
        let stored = match (&self.ring, self.fifo.get_mut(..bytes)) {
            (Some(ring), Some(from)) => {
                let sound = call.env.sources.capture(ledger.index, self.shape.format, from);
                let wanting = bytes.saturating_sub(sound).checked_div(self.shape.frame_bytes as usize);
                ledger.stats.source_silence_frames += wanting.unwrap_or(0) as u64;
                let mut bus = Bus::new(call.env, Dma::Stream(ledger.index), call.limits);
                ring.write(&mut bus, self.shape.ring_offset(start), from)
            }
            _ => Err(Error::DmaUnmapped),
        };
        if let Err(error) = stored {
            ledger.silence(end.saturating_sub(start));
            ledger.dma_fault(error);
            call.env.effects.note(Note::DmaFault { stream: ledger.index, error });
        }
    }

    /// The frames of the piece up to `frame` were played, or captured.
    fn hear(&mut self, frame: u64, ledger: &mut Ledger, call: &mut Call<'_, '_>) {
        let Some(piece) = &mut self.piece else { return };
        let frame = frame.min(piece.end);
        let frames = frame.saturating_sub(piece.played);
        if frames == 0 {
            return;
        }
        let format = self.shape.format;
        ledger.stats.frames += frames;
        if self.capture {
            let from = core::mem::replace(&mut piece.played, frame);
            self.store(from, frame, ledger, call);
            return;
        }
        if piece.silent {
            ledger.silence(frames);
            call.env.effects.silence(ledger.index, format, frames);
        } else {
            let from = span(piece.start, piece.played, self.shape.frame_bytes);
            let to = span(piece.start, frame, self.shape.frame_bytes);
            call.env.effects.frames(ledger.index, format, self.fifo.get(from..to).unwrap_or_default());
        }
        piece.played = frame;
    }

    /// A packet is complete.
    fn complete(&mut self, frame: u64, ledger: &mut Ledger, call: &mut Call<'_, '_>) {
        let time = call.time;
        let decided = self.decided.filter(|decided| decided.packet == self.packet_count);
        // A last packet without valid frames never began to move.
        ledger.page.packet_start = decided.map_or(time, |decided| decided.since);
        self.packet_count = self.packet_count.wrapping_add(1);
        ledger.page.packet_end = (time, frame);
        ledger.stats.packets_completed += 1;
        call.env.effects.record(Trace::Packet { stream: ledger.index, count: self.packet_count });
        ledger.event(regs::INT_PACKET);
    }

    fn to_end(&self, frame: u64) -> End {
        let Some(end) = self.end else { return End::Ahead };
        match ahead_of(end.packet, self.shape.packet(frame)) {
            1.. => End::Ahead,
            0 if self.shape.in_packet(frame) < end.frames => End::InThisPacket(end.frames),
            0 => End::Reached,
            _ => End::Behind,
        }
    }

    /// The end of the stream became known: if it is within the piece in the FIFO, the piece ends there.
    fn shorten(&mut self, position: u64) {
        let End::InThisPacket(valid) = self.to_end(position) else { return };
        let Some(piece) = &mut self.piece else { return };
        let packet_start = position.saturating_sub(u64::from(self.shape.in_packet(position)));
        piece.end = piece.end.min(packet_start.saturating_add(u64::from(valid)));
    }

    /// Where the next RUN starts if START was written since the last: `BadStart` if that is no place to start.
    pub(super) fn check_start(&self) -> Result<Option<u64>, Error> {
        let Start { armed, packet, frame: [low, high] } = self.start;
        if !armed {
            return Ok(None);
        }
        let frame = u64::from(low) | u64::from(high) << 32;
        let right = frame < regs::START_FRAME_LIMIT && self.shape.packet(frame) == packet;
        if right { Ok(Some(frame)) } else { Err(Error::BadStart) }
    }

    /// At the first RUN after STOP: a marked stream goes by the card's clock, an unmarked one by realtime.
    fn choose_clock(&mut self, ledger: &Ledger, call: &mut Call<'_, '_>) {
        if self.clock.is_some() {
            return;
        }
        let mode = if self.written.is_some() { call.clock } else { ClockMode::Realtime };
        if mode != call.clock {
            call.env.effects.note(Note::NotWritten { stream: ledger.index });
        }
        self.clock = Some(mode);
    }
}

/// How far packet number `packet` is ahead of `other`, modulo 2^32.
const fn ahead_of(packet: u32, other: u32) -> i32 {
    packet.wrapping_sub(other).cast_signed()
}

/// Bytes of the frames `from..to`, which are at most a FIFO apart.
fn span(from: u64, to: u64, frame_bytes: u32) -> usize {
    usize::try_from(to.saturating_sub(from).saturating_mul(u64::from(frame_bytes))).unwrap_or(usize::MAX)
}

//! A stream that is set up: the FIFO, the packets, the line that the position goes along.
//!
//! Everything happens at *ends of bursts*. [`ActiveStream::due`] says when the next is,
//! [`ActiveStream::on_burst_end`] handles it: the burst was played, perhaps its packet is complete, and then
//! the next burst is fetched, or the stream stalls or has ended. A card does the same things at other
//! moments, when its client asks for them. Nothing here looks at a clock: [`StreamCtx::time`] is the moment.

mod burst;
mod marking;

use super::counters::Counters;
use super::params::{BufferGeometry, Direction, StreamParams};
use super::transport::{FrontEnd, StreamEvent};
use super::validity::{Refresh, Validity, ahead_of};
use crate::audio_queue::AudioQueue;
use crate::sources::Sources;
use crate::timeline::{ClockMode, Timeline, clamp_rate_den};
use burst::Burst;
pub use marking::MarkError;
use marking::PacketBegin;
use ringwave_audio::gain::Gain;

/// What a stream needs during one call.
pub struct StreamCtx<'a> {
    /// Number of the stream on its card.
    pub stream: u32,
    /// Device clock of what is done: every end up to it was handled.
    pub time: u64,
    /// The stream's client.
    pub front_end: &'a mut dyn FrontEnd,
    /// Where captured sound comes from.
    pub sources: &'a mut dyn Sources,
    /// Where played sound goes.
    pub audio: &'a mut AudioQueue,
    /// What is counted.
    pub counters: &'a mut Counters,
}

/// An end of stream that the client has named.
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

/// Everything of a stream that STOP sets to nothing.
#[derive(Debug)]
pub struct ActiveStream {
    params: StreamParams,
    /// Packets completed since STOP.
    packet_count: u32,
    /// What the client has said to be valid.
    validity: Validity,
    /// The exact line of the position. Drawn anew only when the stream starts or stops moving, or changes its
    /// rate.
    timeline: Timeline,
    /// The rate that it takes up at the next end of a burst, if it is another then.
    wanted_rate_den: Option<u32>,
    /// As deep as the longest burst, allocated once.
    fifo: Vec<u8>,
    /// What the frames are multiplied by between the FIFO and the host.
    gain: Gain,
    burst: Option<Burst>,
    /// It is in RUN.
    running: bool,
    /// What the stream goes by, chosen at the first RUN.
    clock: Option<ClockMode>,
    end: Option<EndOfStream>,
    ended: bool,
    /// The packet it waits for, and since when.
    stalled: Option<(u32, u64)>,
    /// The packet that has begun last.
    begun: Option<PacketBegin>,
}

impl ActiveStream {
    /// A stream that stands at frame 0 at `time`.
    pub fn new(params: StreamParams, gain: Gain, time: u64) -> Self {
        let longest = params.bursts.unmarked.max(params.bursts.valid);
        let fifo = vec![0; longest.saturating_mul(params.geometry.frame_bytes) as usize];
        Self {
            params,
            packet_count: 0,
            validity: params.validity,
            timeline: Timeline::frozen(time, 0),
            wanted_rate_den: None,
            fifo,
            gain,
            burst: None,
            running: false,
            clock: None,
            end: None,
            ended: false,
            stalled: None,
            begun: None,
        }
    }

    /// The client's buffer.
    pub fn geometry(&self) -> &BufferGeometry {
        &self.params.geometry
    }

    /// The line that the position goes along.
    pub fn timeline(&self) -> Timeline {
        self.timeline
    }

    /// Frames since STOP.
    pub fn position(&self, time: u64) -> u64 {
        self.timeline.frame_at(time)
    }

    /// The frame up to which the stream has fetched, or (capture) will store: the end of the present burst.
    pub fn fetched(&self, time: u64) -> u64 {
        self.burst.map_or_else(|| self.position(time), |burst| burst.end)
    }

    /// Packets completed since STOP.
    pub fn packet_count(&self) -> u32 {
        self.packet_count
    }

    /// What the client has said to be valid.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// The packet the stream waits for, and since when.
    pub fn stalled(&self) -> Option<(u32, u64)> {
        self.stalled
    }

    /// What the stream goes by; `None` before the first RUN.
    pub fn clock(&self) -> Option<ClockMode> {
        self.clock
    }

    /// The client has named the end of the stream.
    pub fn end_is_known(&self) -> bool {
        self.end.is_some()
    }

    /// The end of the stream was reached.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Device clock at which the present burst ends; `None` while the position is frozen.
    pub fn due(&self) -> Option<u64> {
        if self.timeline.num == 0 { None } else { self.timeline.clock_at(self.burst?.end) }
    }

    /// The host's clock runs at another rate (see [`clamp_rate_den`]): taken up at the next end of a burst.
    /// Only a stream that moves by realtime follows it.
    pub fn set_rate_den(&mut self, den: u32) {
        if self.running && self.clock == Some(ClockMode::Realtime) {
            self.wanted_rate_den = Some(clamp_rate_den(den));
        }
    }

    /// The present burst ends now: `ctx.time` is the moment that [`Self::due`] named, or with `restart` a
    /// later one, at which time starts again because the card slept too long.
    pub fn on_burst_end(&mut self, restart: bool, ctx: &mut StreamCtx<'_>) {
        let Some(burst) = self.burst else { return };
        self.emit_until(burst.end, ctx);
        self.burst = None;
        let before = self.timeline;
        let rate_den = self.wanted_rate_den.take().unwrap_or(before.den());
        if restart || rate_den != before.den() {
            self.timeline = self.moving(ctx.time, burst.end, rate_den);
        }
        let ends_packet = self.geometry().in_packet(burst.end) == 0;
        if ends_packet {
            self.complete(burst.end, ctx);
        }
        self.update_validity(Refresh::Passing, ctx);
        let mut told = before;
        if ends_packet && self.would_be_late(burst.end) {
            // The client may be saying at this moment what is valid: one of the two sees the other.
            self.renew_anchor(before, burst.end, ctx);
            told = self.timeline;
            ctx.front_end.announce_packet(self.packet_count, ctx.counters);
            self.update_validity(Refresh::Passing, ctx);
        }
        self.schedule_next(burst.end, ctx);
        self.renew_anchor(told, burst.end, ctx);
    }

    /// The client is told where the position is, and if its line is another than `before`, that too.
    fn renew_anchor(&self, before: Timeline, frame: u64, ctx: &mut StreamCtx<'_>) {
        if self.timeline == before {
            ctx.counters.renew_anchor(ctx.time, frame);
        } else {
            ctx.counters.set_anchor(self.timeline);
        }
    }

    /// PAUSE -> RUN, with `start` from that frame on. At the first RUN the stream takes `clock` to go by. A
    /// stream that has ended stays where it is.
    pub fn run(&mut self, start: Option<u64>, clock: ClockMode, ctx: &mut StreamCtx<'_>) {
        self.running = true;
        self.clock.get_or_insert(clock);
        if self.ended {
            return;
        }
        if let Some(frame) = start {
            self.packet_count = self.geometry().packet(frame);
            self.burst = None;
            self.begun = None;
            self.timeline = self.timeline.stopped(ctx.time, frame);
        }
        if self.captures() {
            ctx.sources.run(ctx.stream, self.geometry().format);
        }
        let position = self.timeline.frame;
        self.timeline = self.moving(ctx.time, position, self.timeline.den());
        self.wake_if_behind(position, ctx);
        self.schedule_next(position, ctx);
        ctx.counters.set_anchor(self.timeline);
    }

    /// The host was away, and what should have moved until `frame` is lost: on from there, along the same line.
    /// For a card whose position no lateness bends.
    pub fn skip_to(&mut self, frame: u64, ctx: &mut StreamCtx<'_>) {
        self.packet_count = self.geometry().packet(frame);
        self.burst = None;
        self.begun = None;
        self.schedule_next(frame, ctx);
    }

    /// RUN -> PAUSE: what has passed was played, the rest of the burst stays in the FIFO. Whoever goes no
    /// further down publishes the anchor with [`Self::publish_anchor`].
    pub fn pause(&mut self, ctx: &mut StreamCtx<'_>) {
        let position = self.position(ctx.time);
        self.emit_until(position, ctx);
        self.timeline = self.timeline.stopped(ctx.time, position);
        self.running = false;
        self.stalled = None;
    }

    /// The client is told the line of the position as it is now.
    pub fn publish_anchor(&self, counters: &mut Counters) {
        counters.set_anchor(self.timeline);
    }

    /// The line through `frame` at `clock` with `den` ticks to as many frames as there are in a second.
    fn moving(&self, clock: u64, frame: u64, den: u32) -> Timeline {
        Timeline::moving(clock, frame, self.geometry().format.rate, den)
    }

    fn captures(&self) -> bool {
        self.params.direction == Direction::Capture
    }

    /// The stream is about to end in a packet that is complete already: there is no packet to count, but a
    /// client that waits for one must wake up and see the end.
    fn wake_if_behind(&self, frame: u64, ctx: &mut StreamCtx<'_>) {
        if self.to_end(frame) == End::Behind {
            ctx.front_end.notify(StreamEvent::EndBehind);
        }
    }

    /// The position is `frame` and the stream is in RUN: what comes next? The end of the stream, the rest of
    /// the burst in the FIFO, a stall, or another burst. Freezes the timeline where it must.
    fn schedule_next(&mut self, frame: u64, ctx: &mut StreamCtx<'_>) {
        self.stalled = None;
        let end = self.to_end(frame);
        if matches!(end, End::Reached | End::Behind) {
            if end == End::Reached {
                self.complete(frame, ctx);
            }
            self.burst = None;
            self.ended = true;
            ctx.front_end.notify(StreamEvent::Ended);
            self.timeline = self.timeline.stopped(ctx.time, frame);
            return;
        }
        if self.burst.is_some() {
            return;
        }
        let mut next = self.decide(frame, ctx);
        if next.is_none() {
            // The client may be saying at this moment what is valid: one of the two sees the other.
            ctx.front_end.announce_wait();
            self.update_validity(Refresh::Passing, ctx);
            next = self.decide(frame, ctx);
        }
        if let Some(next) = next {
            self.fetch(frame, next, ctx);
        } else {
            let packet = self.geometry().packet(frame);
            self.stalled = Some((packet, ctx.time));
            ctx.front_end.notify(StreamEvent::Stall { packet });
            ctx.counters.stats.stalls += 1;
            self.timeline = self.timeline.stopped(ctx.time, frame);
        }
    }

    /// A packet is complete.
    fn complete(&mut self, frame: u64, ctx: &mut StreamCtx<'_>) {
        let begun = self.begun.filter(|begun| begun.packet == self.packet_count);
        // A last packet without valid frames never began to move.
        ctx.counters.packet_start = begun.map_or(ctx.time, |begun| begun.since);
        self.packet_count = self.packet_count.wrapping_add(1);
        ctx.counters.packet_end = (ctx.time, frame);
        ctx.counters.stats.packets_completed += 1;
        ctx.front_end.notify(StreamEvent::PacketEnd { count: self.packet_count });
    }

    fn to_end(&self, frame: u64) -> End {
        let Some(end) = self.end else { return End::Ahead };
        match ahead_of(end.packet, self.geometry().packet(frame)) {
            1.. => End::Ahead,
            0 if self.geometry().in_packet(frame) < end.frames => End::InThisPacket(end.frames),
            0 => End::Reached,
            _ => End::Behind,
        }
    }

    /// The end of the stream became known: if it is within the burst in the FIFO, the burst ends there.
    fn shorten(&mut self, position: u64) {
        let End::InThisPacket(valid) = self.to_end(position) else { return };
        let packet_start = position.saturating_sub(u64::from(self.geometry().in_packet(position)));
        let Some(burst) = &mut self.burst else { return };
        burst.end = burst.end.min(packet_start.saturating_add(u64::from(valid)));
    }
}

//! Which frames are valid: what the client says, the end of the stream, and what comes of a packet that is
//! not there in time.

use super::{ActiveStream, End, EndOfStream, StreamCtx};
use crate::stream::transport::StreamEvent;
use crate::stream::validity::{Mark, Refresh, Validity, ahead_of};
use crate::timeline::ClockMode;

/// The packet that has begun last.
#[derive(Clone, Copy, Debug)]
pub(super) struct PacketBegin {
    pub(super) packet: u32,
    /// Device clock at which its first frame began to move.
    pub(super) since: u64,
    late: Late,
}

/// Whether a packet began without its mark, and what has come of it since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Late {
    /// It began with its mark, or has it now.
    No,
    /// It was counted as an underrun, and its mark has not come since.
    Unmarked,
    /// A later packet was marked and it was not: the client has given it up, and what stands in its place is
    /// older. It is silent to its end.
    PassedOver,
}

/// What the next burst is.
#[derive(Clone, Copy, Debug)]
pub(super) struct NextBurst {
    /// So long, if its packet does not end before.
    pub(super) frames: u32,
    /// It is silence for want of a mark.
    pub(super) silent: bool,
}

/// Why a mark is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkError {
    /// The end of the stream is known: nothing can be valid behind it.
    AfterEnd,
    /// It promises less than the mark before.
    GoesBack,
}

impl ActiveStream {
    /// Looks what the client has said, and in RUN goes on if that ends a stall. Gives whether there was
    /// something new.
    pub fn refresh(&mut self, why: Refresh, ctx: &mut StreamCtx<'_>) -> bool {
        let new = self.update_validity(why, ctx);
        if new && self.running {
            let position = self.position(ctx.time);
            self.resume(position, ctx);
        }
        new
    }

    /// Looks what the client has said. What is no further than before is nothing, and after the end of the
    /// stream everything is.
    pub(super) fn update_validity(&mut self, why: Refresh, ctx: &mut StreamCtx<'_>) -> bool {
        if self.end.is_some() {
            return false;
        }
        let found = ctx.front_end.refresh(why);
        let Some(mark) = found.filter(|mark| mark.valid.is_further(self.validity)) else { return false };
        ctx.counters.stats.marks.seen += 1;
        ctx.front_end.notify(StreamEvent::MarkSeen { valid: mark.valid, why });
        self.take_mark(mark, ctx);
        true
    }

    fn take_mark(&mut self, mark: Mark, ctx: &mut StreamCtx<'_>) {
        if mark.valid.is_further(self.validity) {
            ctx.counters.marks.remember(mark);
        }
        self.validity = mark.valid;
        let Some(mut begun) = self.begun.filter(|begun| begun.late != Late::No) else { return };
        begun.late = match self.ahead(begun.packet, self.position(ctx.time)) {
            0 => Late::No,
            1.. if self.captures() => Late::No,
            1.. => Late::PassedOver,
            _ => begun.late,
        };
        if begun.late == Late::No {
            ctx.counters.stats.marks.late(begun.since, mark.clock.unwrap_or(ctx.time));
        }
        self.begun = Some(begun);
    }

    /// The client says what is valid, and with `last` that so many frames of the packet that it names are the
    /// stream's last: may end a stall, may end the stream. What it says does not go back, but the last packet
    /// may be any from the present one on.
    ///
    /// # Errors
    /// [`MarkError`]: nothing was changed.
    pub fn mark_written(
        &mut self,
        mark: Mark,
        last: Option<u32>,
        ctx: &mut StreamCtx<'_>,
    ) -> Result<(), MarkError> {
        if self.end.is_some() {
            return Err(MarkError::AfterEnd);
        }
        let position = self.position(ctx.time);
        let last = last.and_then(|frames| match mark.valid {
            Validity::Packet(packet) => Some(EndOfStream { packet, frames }),
            Validity::Unmarked | Validity::Frame(_) => None,
        });
        let may_go_back = last.is_some_and(|end| ahead_of(end.packet, self.geometry().packet(position)) >= 0);
        if mark.valid.goes_back(self.validity) && !may_go_back {
            return Err(MarkError::GoesBack);
        }
        self.take_mark(mark, ctx);
        if last.is_some() {
            self.end = last;
            self.shorten(position);
        }
        if self.running {
            self.resume(position, ctx);
        }
        Ok(())
    }

    /// After a mark in RUN: a stall may be over, and the end of the stream may be where the position already
    /// is.
    fn resume(&mut self, position: u64, ctx: &mut StreamCtx<'_>) {
        let before = self.timeline;
        match self.to_end(position) {
            End::Reached | End::Behind => {
                self.emit_until(position, ctx);
                self.burst = None;
                self.wake_if_behind(position, ctx);
                self.timeline = self.timeline.stopped(ctx.time, position);
                self.schedule_next(position, ctx);
            }
            End::Ahead | End::InThisPacket(_) => {
                if self.stalled.is_none() || !self.is_valid(position) {
                    return;
                }
                self.timeline = self.moving(ctx.time, position, self.timeline.den());
                self.schedule_next(position, ctx);
            }
        }
        if self.timeline != before {
            ctx.counters.set_anchor(self.timeline);
        }
    }

    /// What the burst at `frame` is; `None` = nothing yet: lockstep waits for the data.
    pub(super) fn decide(&mut self, frame: u64, ctx: &mut StreamCtx<'_>) -> Option<NextBurst> {
        let packet = self.geometry().packet(frame);
        let ready = self.is_valid(frame);
        let lockstep = self.clock == Some(ClockMode::Lockstep);
        if !ready && lockstep {
            return None;
        }
        let known = self.begun.filter(|begun| begun.packet == packet);
        let mut begun = known.unwrap_or(PacketBegin { packet, since: ctx.time, late: Late::No });
        let marked = self.validity.is_marked();
        let late = marked && !ready || begun.late == Late::PassedOver;
        if ready && known.is_none() && !lockstep {
            self.count_margin(packet, ctx);
        }
        // A captured packet is lost when the one in its place begins, and not burst by burst.
        if late && begun.late == Late::No && (known.is_none() || !self.captures()) {
            begun.late = Late::Unmarked;
            self.count_late(packet, ctx);
        }
        if !marked && !ready {
            ctx.counters.stats.underruns = None;
        }
        self.begun = Some(begun);
        let bursts = self.params.bursts;
        let frames = match (self.captures() || !marked, ready) {
            (true, _) => bursts.unmarked,
            (false, true) => bursts.valid,
            (false, false) => bursts.late,
        };
        Some(NextBurst { frames, silent: late && !self.captures() })
    }

    /// The packet that begins at `frame` would be late as things stand: time does not wait for the client, which
    /// marks its packets and has not marked what this one needs.
    pub(super) fn would_be_late(&self, frame: u64) -> bool {
        let waits = self.clock == Some(ClockMode::Lockstep);
        !waits && self.end.is_none() && self.validity.is_marked() && !self.is_valid(frame)
    }

    /// The packet whose mark `packet` needs: when capturing, the one that lies in its place.
    fn needs(&self, packet: u32) -> u32 {
        if self.captures() { packet.wrapping_sub(self.geometry().packets) } else { packet }
    }

    /// A packet begins that was marked in time.
    fn count_margin(&self, packet: u32, ctx: &mut StreamCtx<'_>) {
        let counters = &mut *ctx.counters;
        if let Some(marked) = counters.marks.marked_at(self.needs(packet)) {
            counters.stats.marks.early(ctx.time, marked);
        }
    }

    /// A packet is late, for the first time.
    fn count_late(&self, packet: u32, ctx: &mut StreamCtx<'_>) {
        ctx.counters.underrun();
        let event = if self.captures() {
            ctx.counters.silence(u64::from(self.geometry().packet_frames));
            StreamEvent::Overrun { packet: self.needs(packet) }
        } else {
            StreamEvent::Underrun { packet }
        };
        ctx.front_end.notify(event);
    }

    /// Whether the client has promised `frame`, or (capture) has room for it: the first packets of a stream
    /// need no room to be made. Those that a start within the stream begins with do: what was recorded
    /// before stands in their place. Of an unmarked stream nothing is known.
    fn is_valid(&self, frame: u64) -> bool {
        let geometry = self.geometry();
        let queues = matches!(self.validity, Validity::Frame(_));
        let buffer_frames = u64::from(geometry.packets) * u64::from(geometry.packet_frames);
        let needs_none = self.captures() && !queues && frame < buffer_frames;
        needs_none || self.ahead(geometry.packet(frame), frame) >= 0
    }

    /// How many packets the client's promise is ahead of what `packet` needs, in which `frame` is: negative =
    /// not promised.
    fn ahead(&self, packet: u32, frame: u64) -> i32 {
        match self.validity {
            Validity::Unmarked => -1,
            Validity::Packet(valid) => ahead_of(valid, self.needs(packet)),
            Validity::Frame(valid) => i32::from(frame < valid) - 1,
        }
    }
}

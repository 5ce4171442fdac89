//! Which packets are valid: WRITTEN and the mark page, EOS, and what comes of a packet that is not there in time. DATASHEET 5.3 to 5.5.

use super::{ActiveStream, End, EndOfStream};
use crate::ports::{CardEvent, ClockMode, Diagnostic};
use crate::stream::marks::{Found, Look, ahead_of};
use crate::stream::{Counters, StreamCtx};
use ringwave_regs::error::Error;
use ringwave_regs::stream as regs;

/// The packet that has begun last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
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
    /// A later packet was marked and it was not: the guest has given it up, and what stands in its place is older. It is silent to its end.
    PassedOver,
}

/// What the next burst is.
#[derive(Clone, Copy, Debug)]
pub(super) struct BurstKind {
    /// So long, if its packet does not end before.
    pub(super) frames: u32,
    /// It is silence for want of a mark.
    pub(super) silent: bool,
}

impl ActiveStream {
    /// Looks at the mark page, and in RUN goes on if that ends a stall. Gives whether there was a new mark.
    pub(in crate::stream) fn look(
        &mut self,
        why: Look,
        counters: &mut Counters,
        ctx: &mut StreamCtx<'_, '_>,
    ) -> bool {
        let seen = self.see(why, counters, ctx);
        if seen && self.ring.is_some() {
            let position = self.position(ctx.time);
            self.resume(position, counters, ctx);
        }
        seen
    }

    /// Reads the mark page. A word that is no further than the last mark is nothing, and after the end of the stream every word is.
    pub(super) fn see(&mut self, why: Look, counters: &mut Counters, ctx: &mut StreamCtx<'_, '_>) -> bool {
        if self.end.is_some() {
            return false;
        }
        let found = counters.marks.look(counters.page.mark_tag(), why, ctx);
        let Some(mark) = found.filter(|mark| self.is_further(mark.packet)) else { return false };
        if counters.marks.found(why) {
            counters.polled_mark();
        }
        counters.stats.marks.seen += 1;
        ctx.env.effects.record(CardEvent::MarkSeen { stream: counters.index, packet: mark.packet });
        self.mark(mark, counters, ctx);
        true
    }

    /// Takes a mark.
    fn mark(&mut self, mark: Found, counters: &mut Counters, ctx: &StreamCtx<'_, '_>) {
        if self.is_further(mark.packet) {
            counters.marks.remember(mark);
        }
        self.written = Some(mark.packet);
        let Some(mut begun) = self.begun.filter(|begun| begun.late != Late::No) else { return };
        let ahead = ahead_of(mark.packet, self.needs(begun.packet));
        begun.late = match ahead {
            0 => Late::No,
            1.. if self.capture => Late::No,
            1.. => Late::PassedOver,
            _ => begun.late,
        };
        if begun.late == Late::No {
            counters.stats.marks.late(begun.since, mark.clock.unwrap_or(ctx.time));
        }
        self.begun = Some(begun);
    }

    fn is_further(&self, packet: u32) -> bool {
        self.written.is_none_or(|written| ahead_of(packet, written) > 0)
    }

    /// A write of EOS: checked now, taken with the next WRITTEN.
    pub(in crate::stream) fn write_eos(&mut self, value: u32) -> Result<(), Error> {
        if self.end.is_some() {
            return Err(Error::BadState);
        }
        let bytes = value & regs::EOS_BYTES;
        if bytes > self.geometry.packet_bytes() || !bytes.is_multiple_of(self.geometry.frame_bytes) {
            return Err(Error::BadEos);
        }
        self.eos = value;
        Ok(())
    }

    /// A write of WRITTEN: may end a stall, may take the end of the stream. Numbers don't go back, but the last packet may be any from the
    /// present one on.
    pub(in crate::stream) fn write_written(
        &mut self,
        packet: u32,
        counters: &mut Counters,
        ctx: &mut StreamCtx<'_, '_>,
    ) -> Result<(), Error> {
        if self.end.is_some() {
            return Err(Error::BadState);
        }
        let position = self.position(ctx.time);
        let last = self.eos & regs::EOS_ARM != 0;
        let goes_back = self.written.is_some_and(|written| ahead_of(packet, written) < 0);
        if goes_back && !(last && ahead_of(packet, self.geometry.packet(position)) >= 0) {
            return Err(Error::BadPacket);
        }
        self.mark(Found { packet, clock: Some(ctx.time) }, counters, ctx);
        if last {
            let frames = (self.eos & regs::EOS_BYTES).checked_div(self.geometry.frame_bytes).unwrap_or(0);
            self.end = Some(EndOfStream { packet, frames });
            self.shorten(position);
        }
        if self.ring.is_some() {
            self.resume(position, counters, ctx);
        }
        Ok(())
    }

    /// After a mark in RUN: a stall may be over, and the end of the stream may be where the position already is.
    fn resume(&mut self, position: u64, counters: &mut Counters, ctx: &mut StreamCtx<'_, '_>) {
        let drawn = self.line;
        match self.to_end(position) {
            End::Reached | End::Behind => {
                self.emit_until(position, counters, ctx);
                self.burst = None;
                self.wake_if_behind(position, counters);
                self.line = self.line.stopped(ctx.time, position);
                self.schedule_next(position, counters, ctx);
            }
            End::Ahead | End::InThisPacket(_) => {
                if !self.stalled.is_some_and(|(packet, _)| self.is_ready(packet)) {
                    return;
                }
                self.line = self.moving(ctx.time, position, self.line.den());
                self.schedule_next(position, counters, ctx);
            }
        }
        if self.line != drawn {
            counters.page.anchor(self.line);
        }
    }

    /// What the next burst of `packet` is; `None` = nothing yet: lockstep waits for the packet.
    pub(super) fn decide(
        &mut self,
        packet: u32,
        counters: &mut Counters,
        ctx: &mut StreamCtx<'_, '_>,
    ) -> Option<BurstKind> {
        let ready = self.is_ready(packet);
        let lockstep = self.clock == Some(ClockMode::Lockstep);
        if !ready && lockstep {
            return None;
        }
        let known = self.begun.filter(|begun| begun.packet == packet);
        let mut begun = known.unwrap_or(Begun { packet, since: ctx.time, late: Late::No });
        let passed_over = begun.late == Late::PassedOver;
        let late = self.written.is_some() && !ready || passed_over;
        if ready && known.is_none() && !lockstep {
            self.note_margin(packet, counters, ctx.time);
        }
        // A captured packet is lost when the one in its place begins, and not burst by burst.
        if late && begun.late == Late::No && (known.is_none() || !self.capture) {
            begun.late = Late::Unmarked;
            self.note_late(packet, counters, ctx);
        }
        if self.written.is_none() && !ready {
            counters.stats.underruns = None;
        }
        self.begun = Some(begun);
        let frames = match (self.capture, self.written, ready) {
            (true, ..) | (_, None, _) => self.geometry.fifo_frames,
            (false, Some(_), true) => self.geometry.piece_frames(regs::WRITTEN_PIECE_MILLIS),
            (false, Some(_), false) => self.geometry.piece_frames(regs::LATE_PIECE_MILLIS),
        };
        Some(BurstKind { frames, silent: late && !self.capture })
    }

    /// The packet whose mark `packet` needs.
    fn needs(&self, packet: u32) -> u32 {
        if self.capture { packet.wrapping_sub(self.geometry.packets) } else { packet }
    }

    /// A packet begins that was marked in time.
    fn note_margin(&self, packet: u32, counters: &mut Counters, began: u64) {
        if let Some(marked) = counters.marks.marked_at(self.needs(packet)) {
            counters.stats.marks.early(began, marked);
        }
    }

    /// A packet is late, for the first time.
    fn note_late(&self, packet: u32, counters: &mut Counters, ctx: &mut StreamCtx<'_, '_>) {
        let stream = counters.index;
        counters.underrun();
        let note = if self.capture {
            counters.silence(u64::from(self.geometry.packet_frames));
            Diagnostic::Overrun { stream, packet: self.needs(packet) }
        } else {
            Diagnostic::Underrun { stream, packet }
        };
        ctx.env.effects.diagnose(note);
    }

    /// Whether the guest has promised `packet`, or (capture) taken the one whose place it needs: the first packets need none. Of an
    /// unmarked stream nothing is known.
    fn is_ready(&self, packet: u32) -> bool {
        let needs_none = self.capture && packet.wrapping_sub(self.first) < self.geometry.packets;
        needs_none || self.written.is_some_and(|last| ahead_of(last, self.needs(packet)) >= 0)
    }
}

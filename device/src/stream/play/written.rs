//! Which packets are valid: WRITTEN and the mark page, EOS, and what comes of a packet that is not there in time. DATASHEET 5.3 to 5.5.

use super::{End, EndOfStream, Play};
use crate::ports::{ClockMode, Note, Trace};
use crate::stream::marks::{Found, Look, ahead_of};
use crate::stream::{Call, Ledger};
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

/// What the next piece is.
#[derive(Clone, Copy, Debug)]
pub(super) struct PieceKind {
    /// So long, if its packet does not end before.
    pub(super) frames: u32,
    /// It is silence for want of a mark.
    pub(super) silent: bool,
}

impl Play {
    /// Looks at the mark page, and in RUN goes on if that ends a stall. Gives whether there was a new mark.
    pub(in crate::stream) fn look(
        &mut self,
        why: Look,
        ledger: &mut Ledger,
        call: &mut Call<'_, '_>,
    ) -> bool {
        let seen = self.see(why, ledger, call);
        if seen && self.ring.is_some() {
            let position = self.position(call.time);
            self.go_on(position, ledger, call);
        }
        seen
    }

    /// Reads the mark page. A word that is no further than the last mark is nothing, and after the end of the stream every word is.
    pub(super) fn see(&mut self, why: Look, ledger: &mut Ledger, call: &mut Call<'_, '_>) -> bool {
        if self.end.is_some() {
            return false;
        }
        let found = ledger.marks.look(ledger.page.mark_tag(), why, call);
        let Some(mark) = found.filter(|mark| self.is_further(mark.packet)) else { return false };
        if ledger.marks.found(why) {
            ledger.polled_mark();
        }
        ledger.stats.marks.seen += 1;
        call.env.effects.record(Trace::MarkSeen { stream: ledger.index, packet: mark.packet });
        self.mark(mark, ledger, call);
        true
    }

    /// Takes a mark.
    fn mark(&mut self, mark: Found, ledger: &mut Ledger, call: &Call<'_, '_>) {
        if self.is_further(mark.packet) {
            ledger.marks.remember(mark);
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
            ledger.stats.marks.late(begun.since, mark.clock.unwrap_or(call.time));
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
        if bytes > self.shape.packet_bytes() || !bytes.is_multiple_of(self.shape.frame_bytes) {
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
        self.mark(Found { packet, clock: Some(call.time) }, ledger, call);
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

    /// After a mark in RUN: a stall may be over, and the end of the stream may be where the position already is.
    fn go_on(&mut self, position: u64, ledger: &mut Ledger, call: &mut Call<'_, '_>) {
        let drawn = self.line;
        match self.to_end(position) {
            End::Reached | End::Behind => {
                self.hear(position, ledger, call);
                self.piece = None;
                self.wake_if_behind(position, ledger);
                self.line = self.line.stopped(call.time, position);
                self.proceed(position, ledger, call);
            }
            End::Ahead | End::InThisPacket(_) => {
                if !self.stalled.is_some_and(|(packet, _)| self.is_ready(packet)) {
                    return;
                }
                self.line = self.moving(call.time, position, self.line.den());
                self.proceed(position, ledger, call);
            }
        }
        if self.line != drawn {
            ledger.page.anchor(self.line);
        }
    }

    /// What the next piece of `packet` is; `None` = nothing yet: lockstep waits for the packet.
    pub(super) fn decide(
        &mut self,
        packet: u32,
        ledger: &mut Ledger,
        call: &mut Call<'_, '_>,
    ) -> Option<PieceKind> {
        let ready = self.is_ready(packet);
        let lockstep = self.clock == Some(ClockMode::Lockstep);
        if !ready && lockstep {
            return None;
        }
        let known = self.begun.filter(|begun| begun.packet == packet);
        let mut begun = known.unwrap_or(Begun { packet, since: call.time, late: Late::No });
        let passed_over = begun.late == Late::PassedOver;
        let late = self.written.is_some() && !ready || passed_over;
        if ready && known.is_none() && !lockstep {
            self.note_margin(packet, ledger, call.time);
        }
        // A captured packet is lost when the one in its place begins, and not piece by piece.
        if late && begun.late == Late::No && (known.is_none() || !self.capture) {
            begun.late = Late::Unmarked;
            self.note_late(packet, ledger, call);
        }
        if self.written.is_none() && !ready {
            ledger.stats.underruns = None;
        }
        self.begun = Some(begun);
        let frames = match (self.capture, self.written, ready) {
            (true, ..) | (_, None, _) => self.shape.fifo_frames,
            (false, Some(_), true) => self.shape.piece_frames(regs::WRITTEN_PIECE_MILLIS),
            (false, Some(_), false) => self.shape.piece_frames(regs::LATE_PIECE_MILLIS),
        };
        Some(PieceKind { frames, silent: late && !self.capture })
    }

    /// The packet whose mark `packet` needs.
    fn needs(&self, packet: u32) -> u32 {
        if self.capture { packet.wrapping_sub(self.shape.packets) } else { packet }
    }

    /// A packet begins that was marked in time.
    fn note_margin(&self, packet: u32, ledger: &mut Ledger, began: u64) {
        if let Some(marked) = ledger.marks.marked_at(self.needs(packet)) {
            ledger.stats.marks.early(began, marked);
        }
    }

    /// A packet is late, for the first time.
    fn note_late(&self, packet: u32, ledger: &mut Ledger, call: &mut Call<'_, '_>) {
        let stream = ledger.index;
        ledger.underrun();
        let note = if self.capture {
            ledger.silence(u64::from(self.shape.packet_frames));
            Note::Overrun { stream, packet: self.needs(packet) }
        } else {
            Note::Underrun { stream, packet }
        };
        call.env.effects.note(note);
    }

    /// Whether the guest has promised `packet`, or (capture) taken the one whose place it needs: the first packets need none. Of an
    /// unmarked stream nothing is known.
    fn is_ready(&self, packet: u32) -> bool {
        let needs_none = self.capture && packet.wrapping_sub(self.first) < self.shape.packets;
        needs_none || self.written.is_some_and(|last| ahead_of(last, self.needs(packet)) >= 0)
    }
}

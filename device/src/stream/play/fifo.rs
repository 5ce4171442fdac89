//! The way of the frames: cyclic buffer, FIFO, volume, host; the other way round when capturing. DATASHEET 5.2 and 5.8.
//!
//! [`super`] says when. Frames are heard (or captured) not later than the position passes them, so whoever changes the volume lets be heard
//! first what has passed.

use super::written::PieceKind;
use super::{End, Play};
use crate::dma::Bus;
use crate::ports::{Dma, Note};
use crate::stream::{Call, Ledger};
use ringwave_audio::gain::Gain;
use ringwave_regs::error::Error;

/// What is in the FIFO: frames `start..end`, of which those before `played` were heard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) start: u64,
    pub(super) played: u64,
    pub(super) end: u64,
    /// There is nothing in the FIFO for it: silence is played.
    pub(super) silent: bool,
}

impl Play {
    /// Begins the piece at `frame`: fills the FIFO with it (a capture stream does that as time passes).
    pub(super) fn fetch(
        &mut self,
        frame: u64,
        kind: PieceKind,
        ledger: &mut Ledger,
        call: &mut Call<'_, '_>,
    ) {
        let PieceKind { frames, mut silent } = kind;
        let mut end = frame.saturating_add(u64::from(frames)).min(self.shape.packet_end(frame));
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
    pub(in crate::stream) fn hear_now(&mut self, ledger: &mut Ledger, call: &mut Call<'_, '_>) {
        let position = self.position(call.time);
        self.hear(position, ledger, call);
    }

    /// Stores frames `start..end`, which have just passed, from the source into the cyclic buffer.
    fn store(&mut self, start: u64, end: u64, ledger: &mut Ledger, call: &mut Call<'_, '_>) {
        let bytes = span(start, end, self.shape.frame_bytes);
        let stored = match (&self.ring, self.fifo.get_mut(..bytes)) {
            (Some(ring), Some(from)) => {
                let sound = call.env.sources.capture(ledger.index, self.shape.format, from);
                self.gain.apply(self.shape.format, from);
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
    pub(super) fn hear(&mut self, frame: u64, ledger: &mut Ledger, call: &mut Call<'_, '_>) {
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
            let heard =
                call.env.effects.frames(ledger.index, format, self.fifo.get(from..to).unwrap_or_default());
            self.gain.apply(format, heard);
        }
        piece.played = frame;
    }

    /// From this moment on sounds otherwise: what has passed was still played, or captured, as before.
    pub(in crate::stream) fn set_gain(&mut self, gain: Gain, ledger: &mut Ledger, call: &mut Call<'_, '_>) {
        self.hear_now(ledger, call);
        self.gain = gain;
    }
}

/// Bytes of the frames `from..to`, which are at most a piece apart.
fn span(from: u64, to: u64, frame_bytes: u32) -> usize {
    usize::try_from(to.saturating_sub(from).saturating_mul(u64::from(frame_bytes))).unwrap_or(usize::MAX)
}

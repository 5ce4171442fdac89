//! The way of the frames: cyclic buffer, FIFO, volume, host; the other way round when capturing. DATASHEET 5.2 and 5.8.
//!
//! [`super`] says when. Frames are heard (or captured) not later than the position passes them, so whoever changes the volume lets be heard
//! first what has passed.

use super::marking::BurstKind;
use super::{ActiveStream, End};
use crate::dma::Bus;
use crate::ports::{Diagnostic, Dma};
use crate::stream::{Counters, StreamCtx};
use ringwave_audio::gain::Gain;
use ringwave_regs::error::Error;

/// What is in the FIFO: frames `start..end`, of which those before `played` were heard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Burst {
    pub(super) start: u64,
    pub(super) played: u64,
    pub(super) end: u64,
    /// There is nothing in the FIFO for it: silence is played.
    pub(super) silent: bool,
}

impl ActiveStream {
    /// Begins the burst at `frame`: fills the FIFO with it (a capture stream does that as time passes).
    pub(super) fn fetch(
        &mut self,
        frame: u64,
        kind: BurstKind,
        counters: &mut Counters,
        ctx: &mut StreamCtx<'_, '_>,
    ) {
        let BurstKind { frames, mut silent } = kind;
        let mut end = frame.saturating_add(u64::from(frames)).min(self.geometry.packet_end(frame));
        if let End::InThisPacket(valid) = self.to_end(frame) {
            let left = valid.saturating_sub(self.geometry.in_packet(frame));
            end = end.min(frame.saturating_add(u64::from(left)));
        }
        if !silent
            && !self.capture
            && let Err(error) = self.transfer(frame, end, counters.index, ctx)
        {
            silent = true;
            counters.dma_fault(error);
            ctx.env.effects.diagnose(Diagnostic::DmaFault { stream: counters.index, error });
        }
        self.burst = Some(Burst { start: frame, played: frame, end, silent });
    }

    /// Reads frames `start..end` out of the cyclic buffer into the FIFO.
    fn transfer(
        &mut self,
        start: u64,
        end: u64,
        stream: u32,
        ctx: &mut StreamCtx<'_, '_>,
    ) -> Result<(), Error> {
        let bytes = span(start, end, self.geometry.frame_bytes);
        let (Some(ring), Some(into)) = (&self.ring, self.fifo.get_mut(..bytes)) else {
            return Err(Error::DmaUnmapped);
        };
        let mut bus = Bus::new(ctx.env, Dma::Stream(stream), ctx.limits);
        ring.read(&mut bus, self.geometry.ring_offset(start), into)
    }

    /// What has passed up to now was played, although no burst has ended: somebody listens to it.
    pub(in crate::stream) fn emit_now(&mut self, counters: &mut Counters, ctx: &mut StreamCtx<'_, '_>) {
        let position = self.position(ctx.time);
        self.emit_until(position, counters, ctx);
    }

    /// Stores frames `start..end`, which have just passed, from the source into the cyclic buffer.
    fn store(&mut self, start: u64, end: u64, counters: &mut Counters, ctx: &mut StreamCtx<'_, '_>) {
        let bytes = span(start, end, self.geometry.frame_bytes);
        let stored = match (&self.ring, self.fifo.get_mut(..bytes)) {
            (Some(ring), Some(from)) => {
                let sound = ctx.env.sources.capture(counters.index, self.geometry.format, from);
                self.gain.apply(self.geometry.format, from);
                let wanting = bytes.saturating_sub(sound).checked_div(self.geometry.frame_bytes as usize);
                counters.stats.source_silence_frames += wanting.unwrap_or(0) as u64;
                let mut bus = Bus::new(ctx.env, Dma::Stream(counters.index), ctx.limits);
                ring.write(&mut bus, self.geometry.ring_offset(start), from)
            }
            _ => Err(Error::DmaUnmapped),
        };
        if let Err(error) = stored {
            counters.silence(end.saturating_sub(start));
            counters.dma_fault(error);
            ctx.env.effects.diagnose(Diagnostic::DmaFault { stream: counters.index, error });
        }
    }

    /// The frames of the burst up to `frame` were played, or captured.
    pub(super) fn emit_until(&mut self, frame: u64, counters: &mut Counters, ctx: &mut StreamCtx<'_, '_>) {
        let Some(burst) = &mut self.burst else { return };
        let frame = frame.min(burst.end);
        let frames = frame.saturating_sub(burst.played);
        if frames == 0 {
            return;
        }
        let format = self.geometry.format;
        counters.stats.frames += frames;
        if self.capture {
            let from = core::mem::replace(&mut burst.played, frame);
            self.store(from, frame, counters, ctx);
            return;
        }
        if burst.silent {
            counters.silence(frames);
            ctx.env.effects.silence(counters.index, format, frames);
        } else {
            let from = span(burst.start, burst.played, self.geometry.frame_bytes);
            let to = span(burst.start, frame, self.geometry.frame_bytes);
            let heard =
                ctx.env.effects.frames(counters.index, format, self.fifo.get(from..to).unwrap_or_default());
            self.gain.apply(format, heard);
        }
        burst.played = frame;
    }

    /// From this moment on sounds otherwise: what has passed was still played, or captured, as before.
    pub(in crate::stream) fn set_gain(
        &mut self,
        gain: Gain,
        counters: &mut Counters,
        ctx: &mut StreamCtx<'_, '_>,
    ) {
        self.emit_now(counters, ctx);
        self.gain = gain;
    }
}

/// Bytes of the frames `from..to`, which are at most a burst apart.
fn span(from: u64, to: u64, frame_bytes: u32) -> usize {
    usize::try_from(to.saturating_sub(from).saturating_mul(u64::from(frame_bytes))).unwrap_or(usize::MAX)
}

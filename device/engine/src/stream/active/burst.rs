//! The way of the frames: client's buffer, FIFO, gain, host; the other way round when capturing.
//!
//! [`super`] says when. Frames are played (or captured) not later than the position passes them, so whoever
//! changes the gain lets be played first what has passed.

use super::marking::NextBurst;
use super::{ActiveStream, End, StreamCtx};
use crate::stream::transport::{StreamEvent, TransportError};
use crate::stream::validity::Validity;
use ringwave_audio::gain::Gain;

/// What is in the FIFO: frames `start..end`, of which those before `played` were played.
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
    pub(super) fn fetch(&mut self, frame: u64, next: NextBurst, ctx: &mut StreamCtx<'_>) {
        let NextBurst { frames, mut silent } = next;
        let mut end = frame.saturating_add(u64::from(frames)).min(self.geometry().packet_end(frame));
        if let End::InThisPacket(valid) = self.to_end(frame) {
            let left = valid.saturating_sub(self.geometry().in_packet(frame));
            end = end.min(frame.saturating_add(u64::from(left)));
        }
        if let Validity::Frame(valid) = self.validity
            && valid > frame
        {
            end = end.min(valid);
        }
        if let Some(boundary) = ctx.front_end.boundary(frame).filter(|&boundary| boundary > frame) {
            end = end.min(boundary);
        }
        if !silent
            && !self.captures()
            && let Err(error) = self.read_burst(frame, end, ctx)
        {
            silent = true;
            ctx.counters.fault();
            ctx.front_end.notify(StreamEvent::Fault(error));
        }
        self.burst = Some(Burst { start: frame, played: frame, end, silent });
    }

    /// Reads frames `start..end` out of the client's buffer into the FIFO.
    fn read_burst(&mut self, start: u64, end: u64, ctx: &mut StreamCtx<'_>) -> Result<(), TransportError> {
        let bytes = span(start, end, self.geometry().frame_bytes);
        let into = self.fifo.get_mut(..bytes).ok_or(TransportError::Unreachable)?;
        ctx.front_end.read(start, into)
    }

    /// What has passed up to now was played, although no burst has ended: somebody listens to it.
    pub fn emit_now(&mut self, ctx: &mut StreamCtx<'_>) {
        let position = self.position(ctx.time);
        self.emit_until(position, ctx);
    }

    /// Stores frames `start..end`, which have just passed, from the source into the client's buffer.
    fn store(&mut self, start: u64, end: u64, ctx: &mut StreamCtx<'_>) {
        let format = self.geometry().format;
        let frame_bytes = self.geometry().frame_bytes;
        let bytes = span(start, end, frame_bytes);
        let stored = match self.fifo.get_mut(..bytes) {
            Some(from) => {
                let sound = ctx.sources.capture(ctx.stream, format, from);
                self.gain.apply(format, from);
                let wanting = bytes.saturating_sub(sound).checked_div(frame_bytes as usize);
                ctx.counters.stats.source_silence_frames += wanting.unwrap_or(0) as u64;
                ctx.front_end.write(start, from)
            }
            None => Err(TransportError::Unreachable),
        };
        if let Err(error) = stored {
            ctx.counters.silence(end.saturating_sub(start));
            ctx.counters.fault();
            ctx.front_end.notify(StreamEvent::Fault(error));
        }
    }

    /// The frames of the burst up to `frame` were played, or captured.
    pub(super) fn emit_until(&mut self, frame: u64, ctx: &mut StreamCtx<'_>) {
        let (captures, geometry) = (self.captures(), self.params.geometry);
        let Some(burst) = &mut self.burst else { return };
        let frame = frame.min(burst.end);
        let frames = frame.saturating_sub(burst.played);
        if frames == 0 {
            return;
        }
        let from = core::mem::replace(&mut burst.played, frame);
        ctx.counters.stats.frames += frames;
        if captures {
            self.store(from, frame, ctx);
        } else if burst.silent {
            ctx.counters.silence(frames);
            ctx.audio.silence(ctx.stream, geometry.format, frames);
        } else {
            let bytes =
                span(burst.start, from, geometry.frame_bytes)..span(burst.start, frame, geometry.frame_bytes);
            let played = self.fifo.get(bytes).unwrap_or_default();
            let queued = ctx.audio.frames(ctx.stream, geometry.format, played);
            self.gain.apply(geometry.format, queued);
        }
    }

    /// From this moment on sounds otherwise: what has passed was still played, or captured, as before.
    pub fn set_gain(&mut self, gain: Gain, ctx: &mut StreamCtx<'_>) {
        if self.gain != gain {
            self.emit_now(ctx);
            self.gain = gain;
        }
    }
}

/// Bytes of the frames `from..to`, which are at most a burst apart.
fn span(from: u64, to: u64, frame_bytes: u32) -> usize {
    usize::try_from(to.saturating_sub(from).saturating_mul(u64::from(frame_bytes))).unwrap_or(usize::MAX)
}

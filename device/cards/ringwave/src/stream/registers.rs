//! The registers in a stream's block: what a read gives, and what a write does. DATASHEET 4.

use super::volume_registers as volume;
use super::{CardCtx, Stream, low};
use ringwave_engine::stream::active::{ActiveStream, MarkError};
use ringwave_engine::stream::validity::{Mark, Refresh, Validity};
use ringwave_regs::error::{self, Error};
use ringwave_regs::stream as regs;

impl Stream {
    /// Reads the register at `offset` in the block; latches.
    pub fn read(&mut self, offset: u32, time: u64) -> Result<u32, Error> {
        if let Some(value) = self.setup.read(offset).or_else(|| volume::read(&self.gain, offset)) {
            return Ok(value);
        }
        let active = self.active.as_ref();
        let value = match offset {
            regs::CAPS => {
                regs::CAPS_PRESENT
                    | if self.caps.capture { regs::CAPS_CAPTURE } else { 0 }
                    | self.caps.channels_max << regs::CAPS_CHANNELS_SHIFT
                    | self.caps.packets_max << regs::CAPS_PACKETS_SHIFT
            }
            regs::FORMATS => self.caps.formats,
            regs::RATES => self.caps.rates,
            regs::MESSAGE => self.message,
            regs::STATE => self.state,
            regs::ERROR => self.notices.page.error,
            regs::INT_ENABLE => self.notices.int_enable,
            regs::EOS => self.eos,
            regs::WRITTEN => match active.map(ActiveStream::validity) {
                Some(Validity::Packet(packet)) => packet,
                _ => 0,
            },
            regs::START_PACKET => self.start.packet,
            regs::START_FRAME_LO => self.start.frame[0],
            regs::START_FRAME_HI => self.start.frame[1],
            regs::FIFO_FRAMES => self.setup.params(self.caps).map_or(0, |params| params.bursts.unmarked),
            regs::PACKET_COUNT => active.map_or(0, ActiveStream::packet_count),
            regs::POSITION_LO => {
                let position = active.map_or(0, |active| active.position(time));
                self.position_latch = low(position >> 32);
                low(position)
            }
            regs::POSITION_HI => self.position_latch,
            regs::POSITION_CONTROL => u32::from(self.ticks) * regs::POSITION_TICK,
            regs::LOCKSTEP => self.lockstep,
            regs::LOOK => 0,
            _ => return Err(Error::BadAccess),
        };
        Ok(value)
    }

    /// Writes the register at `offset` in the block: DATASHEET 4.1 says in what order it is judged. An error
    /// was not noted yet: see [`Self::refuse`].
    pub fn write(&mut self, offset: u32, value: u32, ctx: &mut CardCtx<'_, '_>) -> Result<(), Error> {
        if !is_register(offset) {
            return Err(Error::BadAccess);
        }
        if !self.caps.has_register(offset) {
            return Err(Error::NotSupported);
        }
        if matches!(offset, regs::STATE | regs::WRITTEN | regs::EOS) {
            self.refresh_mark(ctx);
        }
        match offset {
            regs::STATE => self.write_state(value, ctx)?,
            regs::ERROR => self.notices.page.error = error::NONE,
            regs::INT_ENABLE => {
                self.notices.int_enable = value & (regs::INT_PACKET | regs::INT_ERROR | regs::INT_JACK);
            }
            regs::POSITION_CONTROL => {
                self.ticks = value & regs::POSITION_TICK != 0;
                self.publish_position(ctx);
            }
            regs::LOCKSTEP if self.running() => return Err(Error::BadState),
            regs::LOCKSTEP => self.lockstep = value & regs::LOCKSTEP_ASK,
            regs::LOOK => {
                self.notices.marks.look_written();
                self.refresh(Refresh::Told, ctx);
            }
            regs::EOS => self.write_eos(value)?,
            regs::WRITTEN => self.write_written(value, ctx)?,
            regs::START_PACKET | regs::START_FRAME_LO | regs::START_FRAME_HI => {
                self.write_start(offset, value)?;
            }
            _ if volume::read(&self.gain, offset).is_some() => {
                self.gain = volume::written(self.gain, offset, value)?;
                let gain = self.gain;
                self.with_active(ctx, |active, ctx| active.set_gain(gain, ctx));
            }
            _ if self.setup.read(offset).is_some() => {
                if self.state != regs::STATE_STOP {
                    return Err(Error::BadState);
                }
                self.setup.write(offset, value, self.caps)?;
            }
            // Read only: ignored.
            _ => {}
        }
        self.publish(ctx.env);
        Ok(())
    }

    /// Checked now, taken with the next WRITTEN.
    fn write_eos(&mut self, value: u32) -> Result<(), Error> {
        let active = self.active.as_ref().filter(|active| !active.end_is_known()).ok_or(Error::BadState)?;
        let (bytes, geometry) = (value & regs::EOS_BYTES, active.geometry());
        if bytes > geometry.packet_bytes() || !bytes.is_multiple_of(geometry.frame_bytes) {
            return Err(Error::BadEos);
        }
        self.eos = value;
        Ok(())
    }

    fn write_written(&mut self, packet: u32, ctx: &mut CardCtx<'_, '_>) -> Result<(), Error> {
        let mark = Mark { valid: Validity::Packet(packet), clock: Some(ctx.time) };
        let eos = self.eos;
        let written = self.with_active(ctx, |active, ctx| {
            let frames = (eos & regs::EOS_BYTES).checked_div(active.geometry().frame_bytes).unwrap_or(0);
            active.mark_written(mark, (eos & regs::EOS_ARM != 0).then_some(frames), ctx)
        });
        written.ok_or(Error::BadState)?.map_err(|error| match error {
            MarkError::AfterEnd => Error::BadState,
            MarkError::GoesBack => Error::BadPacket,
        })
    }

    fn write_start(&mut self, offset: u32, value: u32) -> Result<(), Error> {
        let active = self.active.as_ref().filter(|_| self.state != regs::STATE_RUN);
        active.filter(|active| !active.end_is_known()).ok_or(Error::BadState)?;
        match offset {
            regs::START_PACKET => self.start.packet = value,
            regs::START_FRAME_LO => self.start.frame[0] = value,
            _ => self.start.frame[1] = value,
        }
        self.start.armed = true;
        Ok(())
    }
}

/// Whether there is a register at `offset` in a stream's block.
fn is_register(offset: u32) -> bool {
    regs::REGISTERS.iter().any(|register| register.offset == offset)
}

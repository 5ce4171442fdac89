//! The registers in a stream's block: what a read gives, and what a write does. DATASHEET 4.

use super::marks::Look;
use super::volume_registers as volume;
use super::{Stream, StreamCtx, low};
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
                    | if self.can.capture { regs::CAPS_CAPTURE } else { 0 }
                    | self.can.channels_max << regs::CAPS_CHANNELS_SHIFT
                    | self.can.packets_max << regs::CAPS_PACKETS_SHIFT
            }
            regs::FORMATS => self.can.formats,
            regs::RATES => self.can.rates,
            regs::MESSAGE => self.message,
            regs::STATE => self.state,
            regs::ERROR => self.counters.page.error,
            regs::INT_ENABLE => self.counters.int_enable,
            regs::EOS => active.map_or(0, |active| active.eos),
            regs::WRITTEN => active.and_then(|active| active.written).unwrap_or(0),
            regs::START_PACKET => active.map_or(0, |active| active.start.packet),
            regs::START_FRAME_LO => active.map_or(0, |active| active.start.frame[0]),
            regs::START_FRAME_HI => active.map_or(0, |active| active.start.frame[1]),
            regs::FIFO_FRAMES => self.setup.geometry(self.can).map_or(0, |geometry| geometry.fifo_frames),
            regs::PACKET_COUNT => active.map_or(0, |active| active.packet_count),
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

    /// Writes the register at `offset` in the block: DATASHEET 4.1 says in what order it is judged. An error was not noted yet: see
    /// [`Self::refuse`].
    pub fn write(&mut self, offset: u32, value: u32, ctx: &mut StreamCtx<'_, '_>) -> Result<(), Error> {
        if !is_register(offset) {
            return Err(Error::BadAccess);
        }
        if !self.can.has_register(offset) {
            return Err(Error::NotSupported);
        }
        if matches!(offset, regs::STATE | regs::WRITTEN | regs::EOS) {
            self.look_now(ctx);
        }
        match offset {
            regs::STATE => self.write_state(value, ctx)?,
            regs::ERROR => self.counters.page.error = error::NONE,
            regs::INT_ENABLE => {
                self.counters.int_enable = value & (regs::INT_PACKET | regs::INT_ERROR | regs::INT_JACK);
            }
            regs::POSITION_CONTROL => {
                self.ticks = value & regs::POSITION_TICK != 0;
                self.publish_position(ctx);
            }
            regs::LOCKSTEP if self.running() => return Err(Error::BadState),
            regs::LOCKSTEP => self.lockstep = value & regs::LOCKSTEP_ASK,
            regs::LOOK => {
                self.counters.marks.look_came();
                self.look(Look::Told, ctx);
            }
            regs::EOS => self.active.as_mut().ok_or(Error::BadState)?.write_eos(value)?,
            regs::WRITTEN => {
                let active = self.active.as_mut().ok_or(Error::BadState)?;
                active.write_written(value, &mut self.counters, ctx)?;
            }
            regs::START_PACKET | regs::START_FRAME_LO | regs::START_FRAME_HI => {
                let active = self.active.as_mut().filter(|_| self.state != regs::STATE_RUN);
                active.ok_or(Error::BadState)?.write_start(offset, value)?;
            }
            _ if volume::read(&self.gain, offset).is_some() => {
                self.gain = volume::written(self.gain, offset, value)?;
                if let Some(active) = &mut self.active {
                    active.set_gain(self.gain, &mut self.counters, ctx);
                }
            }
            _ if self.setup.read(offset).is_some() => {
                if self.state != regs::STATE_STOP {
                    return Err(Error::BadState);
                }
                self.setup.write(offset, value, self.can)?;
            }
            // Read only: ignored.
            _ => {}
        }
        self.publish(ctx.env);
        Ok(())
    }
}

/// Whether there is a register at `offset` in a stream's block.
fn is_register(offset: u32) -> bool {
    regs::REGISTERS.iter().any(|register| register.offset == offset)
}

//! What an access to BAR 0 comes to: whose register it is, the global ones, and what is refused. DATASHEET
//! 2.2 and 3.

use super::{Controller, selftest::SelfTest};
use crate::dma::Bus;
use crate::env::{ClockMode, Diagnose, Env};
use crate::stream::{Stream, low};
use ringwave_regs::error::{self, Error};
use ringwave_regs::{dma, global, stream};
use ringwave_trace::{CardEvent, Diagnostic, Dma};

/// FEATURES of this card, whatever it is made with. DATASHEET section 10.
const FEATURES: u32 = global::FEATURE_CONTIGUOUS
    | global::FEATURE_SCATTER_GATHER
    | global::FEATURE_WRITTEN
    | global::FEATURE_START_FRAME
    | global::FEATURE_POSITION_PAGE
    | global::FEATURE_JACK
    | global::FEATURE_MARK_PAGE;
/// Every FEATURES bit that a later minor version may add. DATASHEET 3.1.
const LATER_FEATURES: u32 = 0x7FFF_FE00;

/// The global registers that hold something.
#[derive(Debug, Default)]
pub(super) struct Registers {
    pub(super) int_enable: bool,
    pub(super) int_status: u32,
    error: u32,
    clock_latch: u32,
    selftest: SelfTest,
}

/// Where an offset in BAR 0 leads.
enum Target {
    Global(u32),
    /// A register in a stream's block: index of the stream, offset in its block.
    Stream(usize, u32),
    AbsentStream,
    Nowhere,
}

impl Controller {
    fn decode_offset(&self, offset: u64) -> Target {
        let Ok(offset) = u32::try_from(offset) else { return Target::Nowhere };
        let Some(in_blocks) = offset.checked_sub(stream::BLOCK_BASE) else { return Target::Global(offset) };
        let index = in_blocks / stream::BLOCK_STRIDE;
        if index >= stream::STREAMS_MAX {
            Target::Nowhere
        } else if index >= self.streams() {
            Target::AbsentStream
        } else {
            Target::Stream(index as usize, in_blocks % stream::BLOCK_STRIDE)
        }
    }

    pub(super) fn read_register(&mut self, offset: u64, env: &mut Env<'_>) -> u32 {
        let time = self.time;
        let result = match self.decode_offset(offset) {
            Target::Global(at) => self.read_global(at),
            Target::Stream(index, at) => {
                if at == stream::WRITTEN {
                    self.with_stream(index, env, Stream::refresh_mark);
                }
                self.streams.get_mut(index).map_or(Err(Error::BadAccess), |stream| stream.read(at, time))
            }
            Target::AbsentStream | Target::Nowhere => Err(Error::BadAccess),
        };
        // The only reason to refuse a read.
        result.unwrap_or_else(|_| u32::from_le_bytes([self.refuse_access(offset, env); 4]))
    }

    pub(super) fn write_register(&mut self, offset: u64, value: u32, env: &mut Env<'_>) {
        let result = match self.decode_offset(offset) {
            Target::Global(at) => self.write_global(at, value, env),
            Target::Stream(index, at) => {
                let written = self.with_stream(index, env, |stream, ctx| stream.write(at, value, ctx));
                written.unwrap_or(Err(Error::BadAccess))
            }
            Target::AbsentStream | Target::Nowhere => Err(Error::BadAccess),
        };
        if let Err(error) = result {
            self.refuse(offset, Some(value), error, env);
        }
    }

    /// There is no such register, or it can't be accessed this way: returns what each byte of a read is.
    pub(super) fn refuse_access(&mut self, offset: u64, env: &mut Env<'_>) -> u8 {
        self.refuse(offset, None, Error::BadAccess, env);
        if matches!(self.decode_offset(offset), Target::AbsentStream) { 0 } else { 0xFF }
    }

    /// Notes an error in the ERROR of the present stream whose block was hit, else in the global one.
    fn refuse(&mut self, offset: u64, value: Option<u32>, error: Error, env: &mut Env<'_>) {
        let mut note = Diagnostic::Refused { stream: None, offset, value, error };
        match self.decode_offset(offset) {
            Target::Stream(index, _) => {
                if let Some(stream) = self.streams.get_mut(index) {
                    stream.refuse(error, env);
                }
                note = Diagnostic::Refused { stream: Some(low(index as u64)), offset, value, error };
            }
            _ => self.registers.error = error.code(),
        }
        env.log.diagnose(note);
    }

    fn features(&self) -> u32 {
        let capture = if self.streams() > self.render { global::FEATURE_CAPTURE } else { 0 };
        let volume = if self.volume { global::FEATURE_VOLUME } else { 0 };
        let later =
            self.version > global::VERSION_VALUE && self.version >> 16 == u32::from(global::VERSION_MAJOR);
        let later = if later { LATER_FEATURES } else { 0 };
        FEATURES | capture | volume | later
    }

    fn read_global(&mut self, offset: u32) -> Result<u32, Error> {
        Ok(match offset {
            global::MAGIC => global::MAGIC_VALUE,
            global::VERSION => self.version,
            global::FEATURES => self.features(),
            global::STREAMS => self.render | (self.streams() - self.render) << global::STREAMS_CAPTURE_SHIFT,
            global::DMA_BITS => self.limits.dma_bits,
            global::SG_ENTRIES_MAX => dma::ENTRIES_MAX,
            global::RING_BYTES_MAX => global::RING_BYTES_MAX_VALUE,
            global::CLOCK_HZ => global::CLOCK_HZ_VALUE,
            global::CONTROL => u32::from(self.registers.int_enable) * global::CONTROL_INT_ENABLE,
            global::INT_STATUS => self.registers.int_status,
            global::INT_RAISE | global::TRACE_MARK => 0,
            global::MESSAGES => self.messages(),
            global::ERROR => self.registers.error,
            global::CLOCK_LO => {
                self.registers.clock_latch = low(self.time >> 32);
                low(self.time)
            }
            global::CLOCK_HI => self.registers.clock_latch,
            global::CLOCK_MODE => match self.clock {
                ClockMode::Lockstep => global::CLOCK_MODE_LOCKSTEP,
                ClockMode::Realtime => global::CLOCK_MODE_REALTIME,
            },
            _ => return self.registers.selftest.read(offset).ok_or(Error::BadAccess),
        })
    }

    fn write_global(&mut self, offset: u32, value: u32, env: &mut Env<'_>) -> Result<(), Error> {
        let registers = &mut self.registers;
        match offset {
            // The other bits of a write that resets are lost with everything else.
            global::CONTROL if value & global::CONTROL_RESET != 0 => self.reset(env),
            global::CONTROL => registers.int_enable = value & global::CONTROL_INT_ENABLE != 0,
            global::INT_STATUS => registers.int_status &= !value,
            global::INT_RAISE => return self.raise(value, env),
            global::SELFTEST_ADDR_LO => registers.selftest.addr[0] = value,
            global::SELFTEST_ADDR_HI => registers.selftest.addr[1] = value,
            global::SELFTEST_BYTES => registers.selftest.bytes = value,
            global::SELFTEST_ENTRIES => registers.selftest.entries = value,
            global::SELFTEST => {
                let mut bus = Bus::new(env, Dma::SelfTest, self.limits);
                if let Err(error) = registers.selftest.run(value, &mut bus) {
                    env.log.diagnose(Diagnostic::SelfTest { error });
                }
            }
            global::ERROR => registers.error = error::NONE,
            global::TRACE_MARK => env.log.record(CardEvent::Mark(value)),
            // Read only: ignored, unless there is no such register.
            _ => return read_only(offset),
        }
        Ok(())
    }

    /// `INT_RAISE`: for bring-up, whatever `INT_ENABLE` says.
    fn raise(&mut self, message: u32, env: &mut Env<'_>) -> Result<(), Error> {
        if !self.limits.bus_master {
            return Err(Error::BusMasterOff);
        }
        match self.msi {
            Some(granted) if message >= granted => return Err(Error::BadAccess),
            Some(_) => self.send(message, env),
            None => self.registers.int_status |= 1,
        }
        Ok(())
    }
}

/// A write to a global register that can't be written.
fn read_only(offset: u32) -> Result<(), Error> {
    let known = global::REGISTERS.iter().any(|register| register.offset == offset);
    if known { Ok(()) } else { Err(Error::BadAccess) }
}

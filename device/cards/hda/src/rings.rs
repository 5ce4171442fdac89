//! How verbs come to the codec and its responses to the guest: CORB, RIRB and immediate commands. HDA.md 2;
//! specification 3.3.18 to 3.3.35 and 4.4.
//!
//! Everything is done within the guest's write: a write of CORBWP returns when all its commands are answered.

use ringwave_guest_memory::list::BusMaster;
use ringwave_trace::{Diagnostic, ErrorName};

use crate::codec::Codec;
use crate::dma::{Bus, Error};
use crate::regs::{
    CORBCTL, CORBLBASE, CORBUBASE, CORBWP, ICII, ICIS, ICOI, RIRBCTL, RIRBLBASE, RIRBUBASE, RIRBWP, merged,
};

/// The rings have this many entries.
const ENTRIES: u32 = 256;
/// CORBRPRST, RIRBWPRST.
const POINTER_RESET: u32 = 1 << 15;
/// CORBCTL and RIRBCTL: DMA runs.
const DMA_RUN: u32 = 1 << 1;
/// RIRBCTL: an interrupt after RINTCNT responses.
const RESPONSE_INTERRUPT: u32 = 1;
/// RIRBCTL, RIRBSTS: a response found no room.
const OVERRUN: u32 = 1 << 2;
/// CORBSIZE, RIRBSIZE in the third byte of their dword: 256 entries, and nothing else can be.
const SIZE_VALUE: u32 = 0x42 << 16;
/// Bits of a response's second dword: it was not asked for.
const UNSOLICITED: u32 = 1 << 4;
/// ICIS: busy.
const BUSY: u32 = 1;
/// ICIS: there is a response.
const VALID: u32 = 1 << 1;

/// What the rings are lent during a call.
pub struct RingsCtx<'a> {
    /// The way to the rings.
    pub bus: Bus<'a>,
    /// Who answers.
    pub codec: &'a mut Codec,
}

/// The registers from CORBLBASE to ICIS.
#[derive(Debug, Default)]
pub struct Rings {
    corb_base: u64,
    corb_write: u32,
    corb_read: u32,
    /// CORBRPRST, as it was written.
    corb_read_reset: bool,
    corb_control: u32,
    corb_status: u32,
    rirb_base: u64,
    rirb_write: u32,
    rirb_count: u32,
    rirb_control: u32,
    rirb_status: u32,
    /// Responses since the last interrupt.
    responses: u32,
    command: u32,
    response: u32,
    immediate_valid: bool,
    /// It is in the log that the rings cannot be reached: once until the link is reset.
    reported: bool,
}

impl Rings {
    /// The dword at an aligned offset; `None`: it is not of the rings.
    pub fn read(&self, offset: u64) -> Option<u32> {
        Some(match offset {
            CORBLBASE => low(self.corb_base),
            CORBUBASE => high(self.corb_base),
            CORBWP => {
                let reset = if self.corb_read_reset { POINTER_RESET } else { 0 };
                self.corb_write | (self.corb_read | reset) << 16
            }
            CORBCTL => self.corb_control | self.corb_status << 8 | SIZE_VALUE,
            RIRBLBASE => low(self.rirb_base),
            RIRBUBASE => high(self.rirb_base),
            RIRBWP => self.rirb_write | self.rirb_count << 16,
            RIRBCTL => self.rirb_control | self.rirb_status << 8 | SIZE_VALUE,
            ICOI => self.command,
            ICII => self.response,
            ICIS => u32::from(self.immediate_valid) * VALID,
            _ => return None,
        })
    }

    /// Writes the bits `mask` of the dword at an aligned offset.
    pub fn write(&mut self, offset: u64, value: u32, mask: u32, ctx: &mut RingsCtx<'_>) {
        match offset {
            CORBLBASE => set_low(&mut self.corb_base, value, mask),
            CORBUBASE => set_high(&mut self.corb_base, value, mask),
            RIRBLBASE => set_low(&mut self.rirb_base, value, mask),
            RIRBUBASE => set_high(&mut self.rirb_base, value, mask),
            CORBWP => {
                self.corb_write = merged(self.corb_write, value, mask, ENTRIES - 1);
                if mask >> 16 & POINTER_RESET != 0 {
                    self.corb_read_reset = value >> 16 & POINTER_RESET != 0;
                    if self.corb_read_reset {
                        self.corb_read = 0;
                    }
                }
                self.answer(ctx);
            }
            CORBCTL => {
                self.corb_control = merged(self.corb_control, value, mask, DMA_RUN | 1);
                self.corb_status &= !((value & mask) >> 8 & 1);
                self.answer(ctx);
            }
            RIRBWP => {
                if value & mask & POINTER_RESET != 0 {
                    self.rirb_write = 0;
                }
                self.rirb_count = merged(self.rirb_count, value >> 16, mask >> 16, ENTRIES - 1);
            }
            RIRBCTL => {
                self.rirb_control =
                    merged(self.rirb_control, value, mask, RESPONSE_INTERRUPT | DMA_RUN | OVERRUN);
                self.rirb_status &= !((value & mask) >> 8 & (RESPONSE_INTERRUPT | OVERRUN));
            }
            ICOI => self.command = merged(self.command, value, mask, u32::MAX),
            ICIS => {
                if value & mask & VALID != 0 {
                    self.immediate_valid = false;
                }
                if value & mask & BUSY != 0 {
                    self.response = ctx.codec.command(self.command);
                    self.immediate_valid = true;
                }
            }
            _ => {}
        }
    }

    /// Whether the rings interrupt: their part of INTSTS.CIS.
    pub fn interrupts(&self) -> bool {
        self.rirb_status & self.rirb_control & (RESPONSE_INTERRUPT | OVERRUN) != 0
            || self.corb_status & self.corb_control & 1 != 0
    }

    /// Answers every command that waits.
    fn answer(&mut self, ctx: &mut RingsCtx<'_>) {
        if self.corb_control & DMA_RUN == 0 || self.corb_read_reset {
            return;
        }
        let mut answered = false;
        // Read and write pointer are both below 256: at most 255 rounds.
        while self.corb_read != self.corb_write {
            let next = (self.corb_read + 1) % ENTRIES;
            let mut command = [0; 4];
            let at = self.corb_base.checked_add(u64::from(next) * 4);
            let read = at.map_or(Err(Error::Unreachable), |at| ctx.bus.read(at, &mut command));
            if let Err(error) = read {
                // CMEI: there is no command to be had.
                self.corb_status |= 1;
                self.report(error, &mut ctx.bus);
                break;
            }
            self.corb_read = next;
            let command = u32::from_le_bytes(command);
            let response = ctx.codec.command(command);
            // With the address of the codec that was asked, by which a driver knows what it is the answer to.
            self.respond(response, command >> 28, &mut ctx.bus);
            answered = true;
        }
        if answered {
            self.interrupt();
        }
    }

    /// A response that nobody asked for.
    pub fn unsolicited(&mut self, response: u32, bus: &mut Bus<'_>) {
        self.respond(response, UNSOLICITED, bus);
        self.interrupt();
    }

    /// Puts a response into the ring: the entry is there before RIRBWP says so.
    fn respond(&mut self, response: u32, about: u32, bus: &mut Bus<'_>) {
        if self.rirb_control & DMA_RUN == 0 {
            return;
        }
        let next = (self.rirb_write + 1) % ENTRIES;
        let entry = u64::from(response) | u64::from(about) << 32;
        let at = self.rirb_base.checked_add(u64::from(next) * 8);
        let written = at.map_or(Err(Error::Unreachable), |at| bus.write(at, &entry.to_le_bytes()));
        if let Err(error) = written {
            self.rirb_status |= OVERRUN;
            self.report(error, bus);
            return;
        }
        self.rirb_write = next;
        self.responses += 1;
        let count = if self.rirb_count == 0 { ENTRIES } else { self.rirb_count };
        if self.responses >= count {
            self.interrupt();
        }
    }

    /// Puts into the log why a guest gets no answer.
    fn report(&mut self, error: Error, bus: &mut Bus<'_>) {
        if !std::mem::replace(&mut self.reported, true) {
            bus.log.diagnose_as(Diagnostic::Rings { error }, |error| ErrorName::new(error.name()));
        }
    }

    /// RINTFL: RINTCNT responses have come, or no more will.
    fn interrupt(&mut self) {
        if self.responses != 0 {
            self.responses = 0;
            self.rirb_status |= RESPONSE_INTERRUPT;
        }
    }
}

/// The bits below 7 of a base are 0.
fn set_low(base: &mut u64, value: u32, mask: u32) {
    *base = *base & !0xFFFF_FFFF | u64::from(merged(low(*base), value, mask, !0x7F));
}

fn set_high(base: &mut u64, value: u32, mask: u32) {
    *base = *base & 0xFFFF_FFFF | u64::from(merged(high(*base), value, mask, u32::MAX)) << 32;
}

fn low(value: u64) -> u32 {
    (value & 0xFFFF_FFFF) as u32
}

fn high(value: u64) -> u32 {
    (value >> 32) as u32
}

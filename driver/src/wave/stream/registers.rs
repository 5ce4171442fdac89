//! GetPositionRegister and GetClockRegister: a client maps the stream's position page and reads it without a call. Only where the registry
//! value `PositionRegister` allows it, for a page of the device in user mode is not everybody's wish. WAVERT.md 4.6, DATASHEET 7.3.

use core::sync::atomic::Ordering;

use nt::NtResult;
use nt::status::{STATUS_DEVICE_NOT_READY, STATUS_INVALID_PARAMETER, STATUS_NOT_SUPPORTED};
use portcls_sys::Out;
use portcls_sys::ks::KSRTAUDIO_HWREGISTER;
use ringwave_regs::pages::position;
use ringwave_regs::stream::POSITION_TICK_MICROS;

use super::Stream;
use crate::wave::format::AudioFormat;

/// How often a position page ticks at least while it is granted (DATASHEET 7.3).
const TICKS_PER_SECOND: u32 = 1_000_000 / POSITION_TICK_MICROS;

/// A field of the position page as a client is told of it.
pub(super) struct Register {
    /// Its byte offset in the page.
    offset: u32,
    /// Bits.
    width: u32,
    /// Ticks per second: numerator and denominator.
    hz: (u64, u64),
    /// Bytes or ticks by which it may be behind.
    accuracy: u32,
}

impl Register {
    /// Where a stream of this format is in its buffer, in bytes.
    pub(super) const fn position(format: AudioFormat) -> Self {
        let frames = format.rate.div_ceil(TICKS_PER_SECOND);
        let accuracy = frames.saturating_mul(format.frame_bytes());
        // The frequency is not used of a position.
        Self { offset: position::RING_OFFSET, width: 32, hz: (0, 0), accuracy }
    }

    /// The card's clock.
    pub(super) fn clock(hz: u32) -> Self {
        let accuracy = hz.div_ceil(TICKS_PER_SECOND);
        Self { offset: position::CLOCK, width: 64, hz: (u64::from(hz), 1), accuracy }
    }
}

impl Stream {
    /// Grants a field of the position page, if the registry allows it and the card has one; from then on the page ticks. PortCls maps the whole
    /// page to the client: there is nothing else in it (DATASHEET 7.3), and the card never reads it back. A mapping that outlives the card
    /// (surprise removal) is PortCls' to take away.
    pub(super) fn grant(&self, place: Out<'_, KSRTAUDIO_HWREGISTER>, register: &Register) -> NtResult {
        let card = self.card();
        if !self.wishes.position_register || !card.limits().position_page {
            return Err(STATUS_NOT_SUPPORTED);
        }
        if place.is_null() {
            return Err(STATUS_INVALID_PARAMETER);
        }
        let page = card.position_page(self.claim.stream()).ok_or(STATUS_DEVICE_NOT_READY)?;
        place.write(KSRTAUDIO_HWREGISTER {
            Register: page.as_ptr().wrapping_add(register.offset as usize).cast(),
            Width: register.width,
            Numerator: register.hz.0,
            Denominator: register.hz.1,
            Accuracy: register.accuracy,
        })?;
        if !self.ticks.swap(true, Ordering::AcqRel) {
            card.tick_position(self.claim.stream(), true);
        }
        Ok(())
    }
}

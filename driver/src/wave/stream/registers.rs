//! GetPositionRegister and GetClockRegister: a client maps the stream's position page and reads it without a
//! call. Only where the registry value `PositionRegister` allows it, for not everybody wants a page of the
//! device in user mode. WAVERT.md 4.6, DATASHEET 7.3.

use core::ptr::NonNull;
use core::sync::atomic::Ordering;

use nt::NtResult;
use nt::status::{STATUS_DEVICE_NOT_READY, STATUS_INVALID_PARAMETER, STATUS_NOT_SUPPORTED};
use portcls_sys::Out;
use portcls_sys::ks::KSRTAUDIO_HWREGISTER;

use super::Stream;
use crate::hw::PositionRegisters;
use crate::hw::format::AudioFormat;

/// One of the card's registers as KSRTAUDIO_HWREGISTER describes it to a client.
pub(super) struct Register {
    /// Kernel address.
    address: NonNull<u8>,
    /// Bits.
    width: u32,
    /// Ticks per second: numerator and denominator.
    hz: (u64, u64),
    /// Bytes or ticks by which it may be behind.
    accuracy: u32,
}

impl Register {
    /// Where a stream of this format is in its buffer, in bytes.
    pub(super) fn position(registers: PositionRegisters, format: AudioFormat) -> Self {
        let frames = format.rate.div_ceil(registers.updates_per_second.max(1));
        let accuracy = frames.saturating_mul(format.frame_bytes());
        // The frequency is not used of a position.
        Self { address: registers.position, width: 32, hz: (0, 0), accuracy }
    }

    /// The card's clock.
    pub(super) fn clock(registers: PositionRegisters, hz: u32) -> Self {
        let accuracy = hz.div_ceil(registers.updates_per_second.max(1));
        Self { address: registers.clock, width: 64, hz: (u64::from(hz), 1), accuracy }
    }
}

impl Stream {
    /// Grants a register, if the registry allows it and the card has one; from then on the card updates it.
    /// PortCls maps the register's whole page to the client. A mapping that outlives the card (surprise
    /// removal) is PortCls' to take away.
    pub(super) fn grant(
        &self,
        out: Out<'_, KSRTAUDIO_HWREGISTER>,
        register: impl FnOnce(PositionRegisters) -> Register,
    ) -> NtResult {
        let (card, stream) = (self.card(), self.lease.stream());
        if !self.config.position_register || !self.endpoint.limits.position_registers {
            return Err(STATUS_NOT_SUPPORTED);
        }
        if out.is_null() {
            return Err(STATUS_INVALID_PARAMETER);
        }
        let register = register(card.position_registers(stream).ok_or(STATUS_DEVICE_NOT_READY)?);
        out.write(KSRTAUDIO_HWREGISTER {
            Register: register.address.as_ptr().cast(),
            Width: register.width,
            Numerator: register.hz.0,
            Denominator: register.hz.1,
            Accuracy: register.accuracy,
        })?;
        if !self.ticks.swap(true, Ordering::AcqRel) {
            card.update_position_registers(stream, true);
        }
        Ok(())
    }
}

//! Glitches: what the card had to play as silence, reported to Event Tracing for Windows through the port's
//! IPortClsEtwHelper.
//!
//! The event is eMINIPORT_GLITCH_REPORT; its parameters are those on the page of EPcMiniportEngineEvent: the
//! linear position in bytes, the write position in the cyclic buffer (page of
//! KSPROPERTY_AUDIO_WAVERT_CURRENT_WRITE_POSITION: behind the last valid byte, 0 before the first, the
//! buffer's size for a full one), 1 for an underrun, and 0, for the fourth means something beside the code 3
//! only.
//!
//! One event tells of all packets that UNDERRUNS counted since the one before.
//!
//! The page has no code for a recording that was lost, nor for a failed transfer: neither is traced.
//!
//! *Doubt*: the page of MiniportWriteEtwEvent names no IRQL, an older edition of the interface's said
//! PASSIVE_LEVEL, and the samples call it from a DPC and under a spin lock. Here it is called at
//! PASSIVE_LEVEL without a lock, right under each reading; so a glitch is reported by the next SetWritePacket
//! or SetState, and the event's own time is that of the call that was late.

use nt::rundown::Rundown;
use nt::spinlock::SpinLock;
use portcls_sys::interfaces::{GLITCH_UNDERRUN, IPortClsEtwHelper, IPortWaveRT, eMINIPORT_GLITCH_REPORT};
use portcls_sys::{ComIn, ComRef};

use super::Stream;
use crate::hw::Card;
use crate::wave::progress::StreamProgress;

/// Where the port of a filter traces events, from IPort::Init until the filter is taken away.
#[derive(Default)]
pub struct Tracing(Rundown<ComRef<IPortClsEtwHelper>>);

impl Tracing {
    /// Asks the port. One that has no such interface (before Windows 8) is no failure. PASSIVE_LEVEL.
    pub fn open(&self, port: &ComIn<'_, IPortWaveRT>) {
        let Some(port) = port.to_ref() else { return };
        match port.query::<IPortClsEtwHelper>() {
            // After a second Init the first holds; its reference goes with the value that comes back.
            Ok(helper) => drop(self.0.open(helper)),
            Err(status) => log::info!("the port traces no events: {status:#010x}"),
        }
    }

    /// Traces nothing any more, and gives the reference to the port back. PASSIVE_LEVEL.
    pub fn close(&self) {
        drop(self.0.close());
    }

    /// A reference of the caller's own, if there is a port that traces.
    fn helper(&self) -> Option<ComRef<IPortClsEtwHelper>> {
        self.0.with(ComRef::clone)
    }
}

/// Of a render stream: where its glitches are reported, and which were.
pub struct Glitches {
    /// The stream's own reference to its port, which its pin keeps alive as long.
    helper: Rundown<ComRef<IPortClsEtwHelper>>,
    /// The underruns that the card had counted at the last report.
    reported: SpinLock<u32>,
}

impl Glitches {
    /// Nothing is reported yet.
    pub const fn new() -> Self {
        Self { helper: Rundown::new(), reported: SpinLock::new(0) }
    }

    /// Whether the card has counted underruns that were not reported; now they count as reported.
    fn unreported_loss(&self, card: &dyn Card, stream: u32) -> bool {
        let mut reported = self.reported.lock();
        // Read under the lock, so that two callers see the counter go forward only.
        let Some(status) = card.status(stream) else { return false };
        let before = core::mem::replace(&mut *reported, status.underruns);
        // Less than before: the card was reset, and has counted from 0 since.
        if status.underruns < before { status.underruns > 0 } else { status.underruns > before }
    }
}

impl Stream {
    /// From now on its glitches are reported; those of earlier clients of the card are not. PASSIVE_LEVEL.
    pub fn trace_glitches(&self, tracing: &Tracing) {
        let Some(helper) = tracing.helper().filter(|_| !self.endpoint.captures()) else { return };
        let _ = self.glitches.unreported_loss(self.card(), self.lease.stream());
        drop(self.glitches.helper.open(helper));
    }

    /// Reports glitches since the last time. PASSIVE_LEVEL, no spin lock held. Called before a packet is
    /// marked or the state changes, because the event says where the stream stood.
    pub(super) fn report_glitches(&self) {
        self.glitches.helper.with(|helper| {
            if !self.glitches.unreported_loss(self.card(), self.lease.stream()) {
                return;
            }
            let (position, written) = {
                let mut shared = self.shared.lock();
                let _ = shared.refresh(self.card(), &self.endpoint);
                let frame_bytes = u64::from(self.format.frame_bytes());
                (shared.position.last().saturating_mul(frame_bytes), write_position(&shared))
            };
            // SAFETY: a live object of the port.
            let traced = unsafe {
                helper.miniport_write_etw_event(
                    eMINIPORT_GLITCH_REPORT,
                    position,
                    written,
                    GLITCH_UNDERRUN,
                    0,
                )
            };
            if let Err(status) = traced {
                log::info!("a glitch can't be traced: {status:#010x}");
            }
        });
    }
}

/// Bytes from the beginning of the cyclic buffer to behind what the last SetWritePacket made valid.
fn write_position(shared: &StreamProgress) -> u64 {
    let (Some(geometry), Some(mark)) = (shared.geometry, shared.packets.written()) else { return 0 };
    let slot = u64::from(mark.number.checked_rem(geometry.packets).unwrap_or(0));
    let valid = mark.end_of_stream.unwrap_or(geometry.packet_bytes());
    slot.saturating_mul(geometry.packet_bytes().into()).saturating_add(valid.into())
}

#[cfg(test)]
mod tests;

//! The card leaves D0 and comes back, perhaps as another one; and what is left of it when it is removed.

use core::sync::atomic::Ordering;

use nt::contiguous::ContiguousMemory;
use nt::mmio::MappedIo;
use ringwave_regs::{global, stream as regs};

use super::access::write;
use super::selftest;
use super::{Ringwave, probe};

impl Ringwave {
    /// Before the card leaves D0. Its interrupt is switched off and nothing is pending: in the moment that
    /// the card is back in D0, before this driver is called, no driver would claim an INTx, and none would
    /// ever silence it. DATASHEET 2.1.
    pub(super) fn sleep(&self) {
        // Both, in this order, because no thread may wait for a mutex with a spin lock held. When this
        // returns no thread is in registers or pages any more.
        let registers = self.registers.lock();
        if let Some(io) = registers.as_ref().filter(|_| self.powered.load(Ordering::Relaxed)) {
            write(io, global::CONTROL, 0);
            write(io, global::INT_STATUS, u32::MAX);
        }
        let _pages = self.pages.lock();
        self.powered.store(false, Ordering::Relaxed);
    }

    /// The card is in D0 again. Whether it still is the card that was found: after hibernation another
    /// process may serve it, or none, or one that sees other memory. One that is not is gone: nothing touches
    /// it before the next D0.
    pub(super) fn wake(&self) -> bool {
        // Without memory there is no self-test; all else is looked at.
        let memory = ContiguousMemory::try_new(selftest::BYTES as usize, self.limits().dma_highest).ok();
        let registers = self.registers.lock();
        let Some(io) = registers.as_ref() else { return false };
        let known = self.is_known(io, memory.as_ref());
        self.exchanged.store(!known, Ordering::Relaxed);
        {
            // Of one that is not also if it was in D0 before, when D0 is told twice.
            let _pages = self.pages.lock();
            self.powered.store(known, Ordering::Relaxed);
        }
        if known {
            self.stop_streams(io);
        } else {
            log::error!(
                "after power came back the card is not the one that was started: it is taken for gone"
            );
        }
        known
    }

    /// STOP of a stream while the card is without power. It stands in PAUSE, with the addresses of memory that
    /// may be freed now, and has to be stopped when power comes back. The caller holds `registers`.
    pub(super) fn note_stop(&self, stream: u32) {
        self.stop_at_d0.fetch_or(bit(stream), Ordering::Relaxed);
    }

    /// Stops those streams. The caller holds `registers`.
    fn stop_streams(&self, io: &MappedIo) {
        let streams = self.stop_at_d0.swap(0, Ordering::Relaxed);
        for stream in (0..regs::STREAMS_MAX).filter(|stream| streams & bit(*stream) != 0) {
            if let Some(block) = regs::block(stream) {
                write(io, block + regs::STATE, regs::STATE_STOP);
            }
        }
    }

    fn is_known(&self, io: &MappedIo, memory: Option<&ContiguousMemory>) -> bool {
        let identity = probe::check_identity(io).is_ok();
        let same = || {
            probe::read_features(io) == Ok(self.features)
                && probe::endpoints(io, self.features.limits) == self.endpoints
        };
        let sees_memory = |memory| probe::run_selftest(io, memory).is_ok();
        identity && same() && memory.is_none_or(sees_memory)
    }

    /// Takes the page BAR's mapping away, now or when the last client lets go of its position page.
    pub(super) fn retire_pages(&self) {
        let pages = self.pages.lock().take();
        let mut clients = self.clients.lock();
        let unused = if clients.streams == 0 { pages } else { core::mem::replace(&mut clients.pages, pages) };
        drop(clients);
        // Unmapped here, when no lock is held and no thread can reach it any more.
        drop(unused);
    }

    /// The client of `stream` has let go of the position page.
    pub(super) fn forget_client(&self, stream: u32) {
        let mut clients = self.clients.lock();
        clients.streams &= !bit(stream);
        let unused = if clients.streams == 0 { clients.pages.take() } else { None };
        drop(clients);
        drop(unused);
    }
}

/// Whose position page is mapped by a client (by PortCls, into user mode), and the mapping of a card that was
/// removed meanwhile.
#[derive(Default)]
pub(super) struct PageClients {
    /// Bit i: stream i.
    pub(super) streams: u32,
    pages: Option<MappedIo>,
}

/// The bit of a stream.
pub(super) fn bit(stream: u32) -> u32 {
    1_u32.checked_shl(stream).unwrap_or(0)
}

#[cfg(test)]
mod tests;

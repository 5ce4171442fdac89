//! The mark page: packets are marked by a store, and a card that waits for one is woken by a write of LOOK.
//! DATASHEET 7.4.

use core::sync::atomic::Ordering;

use nt::fence;
use ringwave_regs::{
    pages::{self, mark as fields, status},
    stream as regs,
};

use super::Ringwave;
use super::access::write;
use crate::hw::{Card, Endpoint};

/// What became of a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stored {
    /// The card is not there, or without power.
    Absent,
    /// The card finds it when it looks next.
    Unseen,
    /// The card stands still, maybe for this very packet, and reads the page only after a write of LOOK; or
    /// it has begun to play the packet as silence, and is to look before the next mark is stored, which would
    /// pass it over (DATASHEET 5.4).
    Awaited,
}

impl Ringwave {
    /// Marks every packet up to and including `packet` as valid. `clock`: the device clock now, 0 if it is
    /// not known. No message, but one with `look` and to a card that waits. PASSIVE_LEVEL. `false` if the
    /// card was not there to take it.
    pub(super) fn mark_by_page(&self, stream: u32, packet: u32, clock: u64, look: bool) -> bool {
        match self.store_mark(stream, packet, clock) {
            Stored::Absent => false,
            Stored::Unseen if !look => true,
            Stored::Unseen | Stored::Awaited => {
                // Out of the lock again, for this is a register.
                let look = regs::block(stream).map(|block| block + regs::LOOK);
                look.and_then(|look| self.with_registers(|io| write(io, look, 0))).is_some()
            }
        }
    }

    /// The store, the fence and the load, in this order: either the card sees the mark before it stands
    /// still, or WAITING is seen here. Not inlined: `ringwave-catalog check-pe` looks for the three in the
    /// image.
    ///
    /// The caller judged the packet to be in time before, and may have been held up since: whether it has
    /// begun is read here, behind the store. STATE and PACKET_COUNT are aligned words and may be read
    /// alone (DATASHEET 7). A recorded packet that is taken late is passed over by none.
    #[inline(never)]
    fn store_mark(&self, stream: u32, packet: u32, clock: u64) -> Stored {
        let (Some(from), Some(to)) = (pages::status_page(stream), pages::mark_page(stream)) else {
            return Stored::Absent;
        };
        let at = |page: u32, field: u32| page.saturating_add(field) as usize;
        let captures = self.endpoint(stream).is_some_and(Endpoint::captures);
        let pages = self.pages.lock();
        let Some(io) = pages.as_ref().filter(|_| self.powered.load(Ordering::Relaxed)) else {
            return Stored::Absent;
        };
        // One aligned word, which is never torn. It is 0 only where there is no card: a store with it means
        // nothing.
        let tag = io.read32(at(from, status::MARK_TAG));
        if tag == 0 {
            return Stored::Absent;
        }
        io.write64(at(to, fields::MARK_CLOCK), clock);
        io.write64(at(to, fields::MARK), fields::word(packet, tag));
        fence::store_load();
        let waits = io.read32(at(from, status::WAITING)) == 1;
        let plays = io.read32(at(from, status::STATE)) == regs::STATE_RUN && !captures;
        let begun = || packet.wrapping_sub(io.read32(at(from, status::PACKET_COUNT))).cast_signed() <= 0;
        if waits || plays && begun() { Stored::Awaited } else { Stored::Unseen }
    }
}

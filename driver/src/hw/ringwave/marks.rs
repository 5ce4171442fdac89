//! The mark page: packets are marked by a store, and a card that waits for one is woken by a write of LOOK.
//! DATASHEET 7.4.

use core::sync::atomic::Ordering;

use nt::fence;
use nt::mmio::MappedIo;
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

    /// Stores the mark, if the card is there. Not inlined: `ringwave-catalog check-pe` looks for the store,
    /// the fence and the load in the image.
    #[inline(never)]
    fn store_mark(&self, stream: u32, packet: u32, clock: u64) -> Stored {
        let (Some(from), Some(to)) = (pages::status_page(stream), pages::mark_page(stream)) else {
            return Stored::Absent;
        };
        let captures = self.endpoint(stream).is_some_and(Endpoint::captures);
        let pages = self.pages.lock();
        let Some(io) = pages.as_ref().filter(|_| self.powered.load(Ordering::Relaxed)) else {
            return Stored::Absent;
        };
        store(&MappedPages { io, from, to }, packet, clock, captures)
    }
}

/// The two pages that a mark is about.
trait MarkPages {
    /// A word of the status page.
    fn status(&self, field: u32) -> u32;
    /// Stores 64 bits to the mark page.
    fn mark(&self, field: u32, value: u64);
    /// Orders what was stored before what is loaded after.
    fn fence(&self);
}

/// Those of a stream in the page BAR.
struct MappedPages<'a> {
    io: &'a MappedIo,
    from: u32,
    to: u32,
}

impl MarkPages for MappedPages<'_> {
    fn status(&self, field: u32) -> u32 {
        self.io.read32(self.from.saturating_add(field) as usize)
    }

    fn mark(&self, field: u32, value: u64) {
        self.io.write64(self.to.saturating_add(field) as usize, value);
    }

    #[inline(always)]
    #[allow(
        clippy::inline_always,
        reason = "a test of the image looks for it between the store and the load"
    )]
    fn fence(&self) {
        fence::store_load();
    }
}

/// The store, the fence and the load, in this order: either the card sees the mark before it stands still, or
/// WAITING is seen here.
///
/// The caller judged the packet to be in time before, and may have been held up since: whether it has begun is
/// read here, behind the store. STATE and PACKET_COUNT are aligned words and may be read alone (DATASHEET 7).
/// A recorded packet that is taken late is passed over by none.
fn store(pages: &impl MarkPages, packet: u32, clock: u64, captures: bool) -> Stored {
    // One aligned word, which is never torn. It is 0 only where there is no card: a store with it means
    // nothing.
    let tag = pages.status(status::MARK_TAG);
    if tag == 0 {
        return Stored::Absent;
    }
    pages.mark(fields::MARK_CLOCK, clock);
    pages.mark(fields::MARK, fields::word(packet, tag));
    pages.fence();
    let waits = pages.status(status::WAITING) == 1;
    let plays = pages.status(status::STATE) == regs::STATE_RUN && !captures;
    let begun = || packet.wrapping_sub(pages.status(status::PACKET_COUNT)).cast_signed() <= 0;
    if waits || plays && begun() { Stored::Awaited } else { Stored::Unseen }
}

#[cfg(test)]
mod tests {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
    use loom::thread::spawn;

    use super::*;

    /// What changes of the two pages when a card is about to stall, as loom lets the two sides see it. The
    /// order is what x86 keeps: no store is passed by a store, no load by a load.
    struct Pages {
        mark: AtomicU64,
        waiting: AtomicU32,
    }

    impl MarkPages for Pages {
        fn status(&self, field: u32) -> u32 {
            match field {
                status::MARK_TAG => 7,
                status::WAITING => self.waiting.load(Ordering::Acquire),
                _ => 0,
            }
        }
        fn mark(&self, field: u32, value: u64) {
            if field == fields::MARK {
                self.mark.store(value, Ordering::Release);
            }
        }
        fn fence(&self) {
            fence(Ordering::SeqCst);
        }
    }

    /// The card's side of DATASHEET 7.4: WAITING, a full fence, and the word once more. Whether it stalls.
    fn stalls(pages: &Pages, packet: u32) -> bool {
        pages.waiting.store(1, Ordering::Release);
        fence(Ordering::SeqCst);
        fields::packet(pages.mark.load(Ordering::Acquire), 7) != Some(packet)
    }

    /// In every order: a card that stalls before the packet that is being marked is told to look.
    #[test]
    fn a_card_that_stalls_is_told_to_look() {
        loom::model(|| {
            let pages = Arc::new(Pages { mark: AtomicU64::new(0), waiting: AtomicU32::new(0) });
            let card = {
                let pages = pages.clone();
                spawn(move || stalls(&pages, 3))
            };
            let stored = store(&*pages, 3, 0, false);
            let stalled = card.join().unwrap();
            assert!(!stalled || stored == Stored::Awaited, "the card stands still for ever");
        });
    }
}

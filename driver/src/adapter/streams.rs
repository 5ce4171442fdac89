//! Which streams of the card are open: NewStream claims one, the DPC visits all.

use core::ptr::NonNull;

use nt::NtResult;
use nt::spinlock::SpinLock;
use nt::status::STATUS_INSUFFICIENT_RESOURCES;
use portcls_sys::Com;

use super::Adapter;
use crate::hw::Card;
use crate::wave::stream::Stream;

/// The most streams of a card.
const STREAMS: usize = crate::hw::STREAMS_MAX as usize;

/// How long who waits for a visitor sleeps: 1 ms.
const VISIT_100NS: u32 = 10_000;

/// One stream of the card.
#[derive(Clone, Copy, Default)]
struct Slot {
    /// It is somebody's.
    claimed: bool,
    /// Whose, to be told of interrupts and of power.
    stream: Option<NonNull<Stream>>,
    /// Who is at it without the lock, and for whom it stays alive.
    visitors: u32,
}

// SAFETY: a Stream may be used from any thread; that it is alive is the contract of `Claim::activate`.
unsafe impl Send for Slot {}

/// The open streams of an adapter.
pub struct Streams {
    slots: SpinLock<[Slot; STREAMS]>,
}

impl Default for Streams {
    fn default() -> Self {
        Self { slots: SpinLock::new([Slot::default(); STREAMS]) }
    }
}

impl Streams {
    /// From the DPC, at DISPATCH_LEVEL: each of `streams` (bit i is stream i) looks for itself.
    pub fn on_interrupt(&self, streams: u32) {
        let slots = self.slots.lock();
        for (number, slot) in (0..).zip(slots.iter()) {
            if let Some(stream) = slot.stream.filter(|_| streams & 1 << number != 0) {
                // SAFETY: alive while it is in the list (contract of `Claim::activate`), and it can't be taken out while the
                // lock is held.
                unsafe { stream.as_ref() }.on_interrupt();
            }
        }
    }

    /// The card has power again: each stream brings it where it was left to be. PASSIVE_LEVEL.
    pub fn on_power(&self) {
        for index in 0..STREAMS {
            // Messages are not sent with a spin lock held; the stream stays for its visitors.
            let stream = self.change(index, |slot| {
                slot.visitors = slot.visitors.saturating_add(u32::from(slot.stream.is_some()));
                slot.stream
            });
            if let Some(stream) = stream.flatten() {
                // SAFETY: it was in the list when the visit began, and `deactivate` waits for the visit to end.
                unsafe { stream.as_ref() }.on_power();
                self.change(index, |slot| slot.visitors = slot.visitors.saturating_sub(1));
            }
        }
    }

    fn change<R>(&self, stream: usize, change: impl FnOnce(&mut Slot) -> R) -> Option<R> {
        self.slots.lock().get_mut(stream).map(change)
    }

    /// Whether `stream` was free, and is claimed now.
    fn claim(&self, stream: u32) -> bool {
        let free = |slot: &mut Slot| !core::mem::replace(&mut slot.claimed, true);
        self.change(stream as usize, free).unwrap_or(false)
    }
}

/// A stream of the card that is somebody's as long as this lives.
pub struct Claim {
    adapter: Com<Adapter>,
    stream: u32,
}

impl Claim {
    /// Claims a stream.
    ///
    /// # Errors
    /// `STATUS_INSUFFICIENT_RESOURCES` if it is somebody's.
    pub fn try_new(adapter: Com<Adapter>, stream: u32) -> NtResult<Self> {
        if adapter.streams().claim(stream) {
            Ok(Self { adapter, stream })
        } else {
            Err(STATUS_INSUFFICIENT_RESOURCES)
        }
    }

    /// The card.
    pub fn card(&self) -> &dyn Card {
        self.adapter.card()
    }

    /// The number of the card's stream.
    pub const fn stream(&self) -> u32 {
        self.stream
    }

    /// From now on `stream` is told of interrupts.
    ///
    /// # Safety
    /// `stream` stays where it is, alive, until [`deactivate`](Self::deactivate) has returned.
    pub unsafe fn activate(&self, stream: &Stream) {
        let stream = Some(NonNull::from(stream));
        self.adapter.streams().change(self.stream as usize, |slot| slot.stream = stream);
    }

    /// From now on nobody is told; whoever was at it has finished. PASSIVE_LEVEL.
    pub fn deactivate(&self) {
        let leave = |slot: &mut Slot| {
            slot.stream = None;
            slot.visitors
        };
        // Bounded by what a visitor does: a change of state of the card.
        while self.adapter.streams().change(self.stream as usize, leave).is_some_and(|visitors| visitors > 0)
        {
            nt::clock::sleep_100ns(VISIT_100NS);
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.adapter.streams().change(self.stream as usize, |slot| slot.claimed = false);
    }
}

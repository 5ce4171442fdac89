//! Which streams of the card are open: NewStream leases one, the DPC and the power management visit all.

use core::ptr::NonNull;

use nt::NtResult;
use nt::spinlock::SpinLock;
use nt::status::STATUS_INSUFFICIENT_RESOURCES;
use portcls_sys::Com;

use super::Adapter;
use crate::hw::{Card, STREAMS_MAX};

/// The most streams of a card.
const STREAMS: usize = STREAMS_MAX as usize;

/// How long a thread that waits for visitors sleeps at a time: 1 ms.
const VISIT_100NS: u32 = 10_000;

/// An open stream, as the adapter visits it.
pub trait OpenStream: Sync {
    /// An interrupt may be about it. From the DPC, at DISPATCH_LEVEL.
    fn on_interrupt(&self);

    /// The card has power again. PASSIVE_LEVEL.
    fn on_power(&self);
}

/// One stream of the card.
#[derive(Clone, Copy, Default)]
pub struct Slot {
    /// It has a lease.
    leased: bool,
    /// The open stream, to be visited.
    stream: Option<NonNull<dyn OpenStream>>,
    /// How many visit it without the lock; it stays alive for them.
    visitors: u32,
}

// SAFETY: an OpenStream may be used from any thread; that it is alive is the contract of
// `StreamLease::activate`.
unsafe impl Send for Slot {}

/// The streams of a card, by their numbers.
pub type Slots = [Slot; STREAMS];

/// What is behind a lock that one holder at a time has; in a test loom's, which knows every order.
pub trait Locked {
    /// What is behind it.
    type Value;
    /// Does something with it.
    fn with<R>(&self, work: impl FnOnce(&mut Self::Value) -> R) -> R;
    /// Lets others have it for a while.
    fn pause(&self);
}

impl<T> Locked for SpinLock<T> {
    type Value = T;

    fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        work(&mut self.lock())
    }

    fn pause(&self) {
        nt::clock::sleep_100ns(VISIT_100NS);
    }
}

/// The open streams of an adapter.
pub struct Streams<L = SpinLock<Slots>> {
    slots: L,
}

impl Default for Streams {
    fn default() -> Self {
        Self { slots: SpinLock::new([Slot::default(); STREAMS]) }
    }
}

impl<L: Locked<Value = Slots>> Streams<L> {
    /// From the DPC, at DISPATCH_LEVEL: each of `streams` (bit i is stream i) looks for itself.
    pub fn on_interrupt(&self, streams: u32) {
        self.slots.with(|slots| {
            for (number, slot) in (0..).zip(slots.iter()) {
                if let Some(stream) = slot.stream.filter(|_| streams & 1 << number != 0) {
                    // SAFETY: alive while it is in the list (contract of `StreamLease::activate`), and it
                    // can't be taken out while the lock is held.
                    unsafe { stream.as_ref() }.on_interrupt();
                }
            }
        });
    }

    /// The card has power again: each stream brings it where it was left to be. PASSIVE_LEVEL.
    pub fn on_power(&self) {
        for index in 0..STREAMS {
            // The card is not controlled with a spin lock held; the stream stays for its visitors.
            let stream = self.change(index, |slot| {
                slot.visitors = slot.visitors.saturating_add(u32::from(slot.stream.is_some()));
                slot.stream
            });
            if let Some(stream) = stream.flatten() {
                // SAFETY: it was in the list when the visit began, and `deactivate` waits for the visit to
                // end.
                unsafe { stream.as_ref() }.on_power();
                self.change(index, |slot| slot.visitors = slot.visitors.saturating_sub(1));
            }
        }
    }

    fn change<R>(&self, stream: usize, change: impl FnOnce(&mut Slot) -> R) -> Option<R> {
        self.slots.with(|slots| slots.get_mut(stream).map(change))
    }

    /// Has stream number `stream` visited, without a lease.
    #[cfg(test)]
    pub fn visit_always(&self, stream: usize, visited: &'static dyn OpenStream) {
        self.change(stream, |slot| slot.stream = Some(NonNull::from(visited)));
    }

    /// From now on the stream is not visited; every visit has ended. PASSIVE_LEVEL.
    fn withdraw(&self, stream: usize) {
        let leave = |slot: &mut Slot| {
            slot.stream = None;
            slot.visitors
        };
        // Bounded by what a visitor does: a change of state of the card.
        while self.change(stream, leave).is_some_and(|visitors| visitors > 0) {
            self.slots.pause();
        }
    }
}

/// A stream of the card that nobody else gets as long as this lives.
pub struct StreamLease {
    adapter: Com<Adapter>,
    stream: u32,
}

impl StreamLease {
    /// Leases a stream.
    ///
    /// # Errors
    /// `STATUS_INSUFFICIENT_RESOURCES` if it has a lease already, or there is no such stream.
    pub fn try_new(adapter: Com<Adapter>, stream: u32) -> NtResult<Self> {
        let free = |slot: &mut Slot| !core::mem::replace(&mut slot.leased, true);
        if adapter.streams().change(stream as usize, free).unwrap_or(false) {
            Ok(Self { adapter, stream })
        } else {
            Err(STATUS_INSUFFICIENT_RESOURCES)
        }
    }

    /// The card.
    pub fn card(&self) -> &dyn Card {
        self.adapter.card()
    }

    /// The stream has begun to run: from now on something may be due that no interrupt tells of. The DPC sets
    /// the timer, and visits all streams: the timer may have been set for one of them. PASSIVE_LEVEL.
    pub fn has_begun(&self) {
        self.adapter.queue_dpc();
    }

    /// The number of the card's stream.
    pub const fn stream(&self) -> u32 {
        self.stream
    }

    /// From now on `stream` is visited.
    ///
    /// # Safety
    /// `stream` stays where it is, alive, until [`deactivate`](Self::deactivate) has returned.
    pub unsafe fn activate(&self, stream: &(dyn OpenStream + 'static)) {
        let stream = Some(NonNull::from(stream));
        self.adapter.streams().change(self.stream as usize, |slot| slot.stream = stream);
    }

    /// From now on the stream is not visited; every visit has ended. PASSIVE_LEVEL.
    pub fn deactivate(&self) {
        self.adapter.streams().withdraw(self.stream as usize);
    }
}

impl Drop for StreamLease {
    fn drop(&mut self) {
        self.adapter.streams().change(self.stream as usize, |slot| slot.leased = false);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::PoisonError;

    use loom::cell::Cell;
    use loom::sync::{Arc, Mutex};
    use loom::thread::spawn;

    use super::*;

    impl<T> Locked for Mutex<T> {
        type Value = T;

        fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
            work(&mut self.lock().unwrap_or_else(PoisonError::into_inner))
        }

        fn pause(&self) {
            loom::thread::yield_now();
        }
    }

    /// A stream of which loom finds it when somebody is at it while another frees it.
    struct Watched(Cell<u32>);

    // SAFETY: loom ends the test at the first access that meets another; that is what it is for.
    unsafe impl Sync for Watched {}
    // SAFETY: as above.
    unsafe impl Send for Watched {}

    impl OpenStream for Watched {
        fn on_interrupt(&self) {
            assert_eq!(self.0.get(), 1, "it was freed");
        }
        fn on_power(&self) {
            assert_eq!(self.0.get(), 1, "it was freed");
        }
    }

    type Visit = fn(&Streams<Mutex<Slots>>);

    /// A stream is opened and closed while the DPC and the power management visit it, in every order: who
    /// visits it has it whole, and who has closed it has it alone.
    #[test]
    fn who_has_closed_a_stream_has_it_alone() {
        let visits: [(Visit, Visit); 2] = [
            (|streams| streams.on_power(), |streams| streams.on_interrupt(1)),
            (|streams| streams.on_power(), |streams| streams.on_power()),
        ];
        for (first, second) in visits {
            let mut model = loom::model::Builder::new();
            model.preemption_bound = Some(2);
            model.check(move || {
                let stream = Arc::new(Watched(Cell::new(1)));
                let visited: NonNull<dyn OpenStream> = NonNull::from(&*stream);
                let slots = Mutex::new([Slot::default(); STREAMS]);
                let streams = Arc::new(Streams { slots });
                streams.change(0, |slot| slot.stream = Some(visited));
                let visitors = [first, second].map(|visit| {
                    let streams = streams.clone();
                    spawn(move || visit(&streams))
                });
                streams.withdraw(0);
                stream.0.set(2);
                for visitor in visitors {
                    visitor.join().unwrap();
                }
                assert_eq!(streams.change(0, |slot| slot.visitors), Some(0));
            });
        }
    }
}

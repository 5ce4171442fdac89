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
const STREAMS: usize = ringwave_regs::stream::STREAMS_MAX as usize;

/// One stream of the card.
#[derive(Clone, Copy)]
enum Slot {
    Free,
    /// Claimed, and if there is a pointer, to be told of interrupts.
    Claimed(Option<NonNull<Stream>>),
}

// SAFETY: a Stream may be used from any thread; that it is alive is the contract of `Claim::activate`.
unsafe impl Send for Slot {}

/// The open streams of an adapter.
pub struct Streams {
    slots: SpinLock<[Slot; STREAMS]>,
}

impl Default for Streams {
    fn default() -> Self {
        Self { slots: SpinLock::new([Slot::Free; STREAMS]) }
    }
}

impl Streams {
    /// From the DPC, at DISPATCH_LEVEL: each looks for itself.
    pub fn on_interrupt(&self) {
        let slots = self.slots.lock();
        for slot in slots.iter() {
            if let Slot::Claimed(Some(stream)) = slot {
                // SAFETY: alive while it is in the list (contract of `Claim::activate`), and it can't be taken out while the
                // lock is held.
                unsafe { stream.as_ref() }.on_interrupt();
            }
        }
    }

    /// Whether `stream` was free, and is claimed now.
    fn claim(&self, stream: u32) -> bool {
        let mut slots = self.slots.lock();
        let free = slots.get_mut(stream as usize).filter(|slot| matches!(slot, Slot::Free));
        free.map(|slot| *slot = Slot::Claimed(None)).is_some()
    }

    fn set(&self, stream: u32, value: Slot) {
        if let Some(slot) = self.slots.lock().get_mut(stream as usize) {
            *slot = value;
        }
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
        self.adapter.streams().set(self.stream, Slot::Claimed(Some(NonNull::from(stream))));
    }

    /// From now on nobody is told; a DPC that was at it has finished.
    pub fn deactivate(&self) {
        self.adapter.streams().set(self.stream, Slot::Claimed(None));
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.adapter.streams().set(self.stream, Slot::Free);
    }
}

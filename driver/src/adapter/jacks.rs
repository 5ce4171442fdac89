//! Which miniports the DPC calls when a jack may have changed, by the number of the jack's stream.
//!
//! The DPC calls them without a lock, for from there the port is called, which walks its clients. So a
//! listener that stops waits until no DPC can be in it any more.

use core::ptr::NonNull;

use nt::spinlock::SpinLock;

use crate::hw::STREAMS_MAX;

/// A listener of a jack.
pub trait JackListener: Sync {
    /// The jack may have changed. From the DPC, at DISPATCH_LEVEL.
    fn jack_may_have_changed(&self);
}

/// One stream's listener.
type Slot = Option<NonNull<dyn JackListener>>;

/// The listener of each stream's jack.
pub struct Jacks(SpinLock<Slots>);

struct Slots([Slot; STREAMS_MAX as usize]);

// SAFETY: a JackListener may be used from any thread; that it is alive is the contract of `Jacks::listen`.
unsafe impl Send for Slots {}

impl Default for Jacks {
    fn default() -> Self {
        Self(SpinLock::new(Slots([None; STREAMS_MAX as usize])))
    }
}

impl Jacks {
    /// From the DPC, at DISPATCH_LEVEL: the listeners of `streams` (bit i is stream i) look.
    pub fn on_interrupt(&self, streams: u32) {
        for number in (0..STREAMS_MAX).filter(|number| streams & 1 << number != 0) {
            let listener = self.0.lock().0.get(number as usize).copied().flatten();
            if let Some(listener) = listener {
                // SAFETY: alive until no DPC that could have seen it runs any more (contract of `listen`).
                unsafe { listener.as_ref() }.jack_may_have_changed();
            }
        }
    }

    /// From now on the DPC calls `listener` for the jack of `stream`.
    ///
    /// # Safety
    /// It stays where it is, alive, until after [`forget`](Self::forget) of the stream the DPCs that were
    /// queued have run ([`Adapter::flush_dpcs`](super::Adapter::flush_dpcs)).
    pub unsafe fn listen(&self, stream: u32, listener: &(dyn JackListener + 'static)) {
        self.set(stream, Some(NonNull::from(listener)));
    }

    /// From now on only a DPC that runs already calls the listener of the jack of `stream`.
    pub fn forget(&self, stream: u32) {
        self.set(stream, None);
    }

    fn set(&self, stream: u32, listener: Slot) {
        if let Some(slot) = self.0.lock().0.get_mut(stream as usize) {
            *slot = listener;
        }
    }
}

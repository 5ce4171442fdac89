//! Whose jacks the DPC looks at: the topology miniports that listen, by the number of their stream.
//!
//! The DPC calls them without a lock, for from there the port is called, which walks its clients. So who stops listening waits until no DPC
//! can be at it any more.

use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicPtr, Ordering};

use portcls_sys::Com;

use super::Adapter;
use crate::hw::STREAMS_MAX;
use crate::topology::TopologyMiniport;

/// Who listens to each stream's jack.
pub struct Jacks([AtomicPtr<TopologyMiniport>; STREAMS_MAX as usize]);

impl Default for Jacks {
    fn default() -> Self {
        Self([const { AtomicPtr::new(null_mut()) }; STREAMS_MAX as usize])
    }
}

impl Jacks {
    /// From the DPC, at DISPATCH_LEVEL: the jacks of `streams` (bit i is stream i) are looked at.
    pub fn on_interrupt(&self, streams: u32) {
        for (number, slot) in (0..).zip(&self.0) {
            let miniport = NonNull::new(slot.load(Ordering::Acquire)).filter(|_| streams & 1 << number != 0);
            if let Some(miniport) = miniport {
                // SAFETY: put there by `Listening`, which keeps it alive until no DPC that could have seen it runs any more.
                unsafe { miniport.as_ref() }.look_at_jack();
            }
        }
    }

    fn set(&self, stream: u32, miniport: *mut TopologyMiniport) {
        if let Some(slot) = self.0.get(stream as usize) {
            slot.store(miniport, Ordering::Release);
        }
    }
}

/// A topology miniport whose filter is being registered, or is. When it is dropped (PASSIVE_LEVEL) nothing is told any more, and the miniport has given back
/// its reference to the port: the port has one to the miniport, and neither would ever go.
pub struct Listening {
    adapter: Com<Adapter>,
    miniport: Com<TopologyMiniport>,
}

impl Listening {
    /// Not listening yet.
    pub const fn new(adapter: Com<Adapter>, miniport: Com<TopologyMiniport>) -> Self {
        Self { adapter, miniport }
    }

    /// From now on changes of the jack are told.
    pub fn start(&self) {
        let stream = self.miniport.endpoint().stream;
        let miniport: &TopologyMiniport = &self.miniport;
        self.adapter.jacks().set(stream, core::ptr::from_ref(miniport).cast_mut());
        self.adapter.card().watch_jack(stream);
        // What changed before.
        self.adapter.queue_dpc();
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.adapter.jacks().set(self.miniport.endpoint().stream, null_mut());
        // A DPC that found the miniport there has run when this returns.
        self.adapter.flush_dpcs();
        self.miniport.forget_port();
    }
}

//! The four virtqueues as a vhost-user client has set them up: chains out of them, answers into them.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use vhost_user_backend::VringT;
use virtio_queue::{Queue, QueueT};
use vm_memory::GuestMemoryMmap;

use crate::chain::{self, Chain};
use crate::vring::Vring;

/// Queues of the device.
pub const QUEUES: usize = 4;
/// Longest queue.
pub const QUEUE_SIZE_MAX: u16 = 256;

/// Which queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueIndex {
    /// Requests of the driver.
    Control = 0,
    /// Buffers for events.
    Event = 1,
    /// Output.
    Tx = 2,
    /// Input.
    Rx = 3,
}

/// The queues. What they are in is said with each call: a client exchanges its memory.
#[derive(Clone)]
pub struct Rings(Arc<[Vring]>);

impl Rings {
    /// These queues, in the order of [`QueueIndex`].
    pub fn new(rings: &[Vring]) -> Self {
        Self(rings.into())
    }

    /// Whether the client has started the queue and not stopped it: else the card leaves it alone.
    pub fn started(&self, queue: QueueIndex) -> bool {
        self.ring(queue).is_some()
    }

    /// A queue that was started.
    fn ring(&self, queue: QueueIndex) -> Option<&Vring> {
        self.0.get(queue as usize).filter(|ring| {
            let ring = ring.get_ref();
            ring.is_enabled() && ring.get_queue().ready()
        })
    }

    /// Calls a queue that was started. A panic goes on when the queue's lock is given back: a lock that is held
    /// meanwhile is poisoned, and vhost-user-backend then ends its thread at the next kick.
    fn call<R>(&self, queue: QueueIndex, call: impl FnOnce(&mut Queue) -> R) -> Option<R> {
        let mut state = self.ring(queue)?.get_mut();
        let result = catch_unwind(AssertUnwindSafe(|| call(state.get_queue_mut())));
        drop(state);
        Some(result.unwrap_or_else(|panic| resume_unwind(panic)))
    }

    /// Index of the next available entry: 0 for a driver that begins.
    pub fn next_available(&self, queue: QueueIndex) -> u16 {
        self.0.get(queue as usize).map_or(0, VringT::queue_next_avail)
    }

    /// Takes the next chain, if there is one.
    pub fn take(&self, queue: QueueIndex, memory: &GuestMemoryMmap) -> Option<Chain> {
        self.call(queue, |queue| queue.pop_descriptor_chain(memory))?.map(chain::take)
    }

    /// The driver need not kick: the card looks by itself.
    pub fn silence_kicks(&self, queue: QueueIndex, memory: &GuestMemoryMmap) {
        // Memory that is not there: the driver then kicks more than it must.
        let _ = self.call(queue, |queue| queue.disable_notification(memory));
    }

    /// The driver has to kick. `true`: something has come meanwhile.
    pub fn want_kicks(&self, queue: QueueIndex, memory: &GuestMemoryMmap) -> bool {
        self.call(queue, |queue| queue.enable_notification(memory).unwrap_or(false)).unwrap_or(false)
    }

    /// Gives a chain back, with so many bytes written to it. `false`: the queue does not take it.
    pub fn give_back(
        &self,
        queue: QueueIndex,
        memory: &GuestMemoryMmap,
        chain: &Chain,
        written: u64,
    ) -> bool {
        let written = u32::try_from(written).unwrap_or(u32::MAX);
        self.call(queue, |queue| queue.add_used(memory, chain.head, written).is_ok()).unwrap_or(false)
    }

    /// Tells the driver that chains were given back, if it wants to know. `true`: it was told.
    pub fn signal(&self, queue: QueueIndex, memory: &GuestMemoryMmap) -> bool {
        // A queue in memory that is not there: nobody can tell.
        let wanted = self.call(queue, |queue| queue.needs_notification(memory).unwrap_or(false));
        wanted == Some(true) && self.ring(queue).is_some_and(|ring| ring.signal_used_queue().is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Ring;

    #[test]
    fn a_panic_at_a_queue_leaves_its_lock_whole() {
        let vring = Ring::new(16).vring();
        let rings = Rings::new(std::slice::from_ref(&vring));
        let panics = || rings.call(QueueIndex::Control, |_| panic!("a test has the queue panic"));
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err(), "it goes on");
        // What vhost-user-backend asks at each kick.
        assert!(vring.read_kick().unwrap());
    }
}

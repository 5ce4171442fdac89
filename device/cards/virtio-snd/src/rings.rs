//! The four virtqueues as a vhost-user client has set them up: chains out of them, answers into them.

use vhost_user_backend::VringT;
use virtio_queue::QueueT;
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
pub struct Rings(Vec<Vring>);

impl Rings {
    /// These queues, in the order of [`QueueIndex`].
    pub fn new(rings: &[Vring]) -> Self {
        Self(rings.to_vec())
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

    /// Index of the next available entry: 0 for a driver that begins.
    pub fn next_available(&self, queue: QueueIndex) -> u16 {
        self.0.get(queue as usize).map_or(0, VringT::queue_next_avail)
    }

    /// Takes the next chain, if there is one.
    pub fn take(&self, queue: QueueIndex, memory: &GuestMemoryMmap) -> Option<Chain> {
        let chain = self.ring(queue)?.get_mut().get_queue_mut().pop_descriptor_chain(memory);
        chain.map(chain::take)
    }

    /// The driver need not kick: the card looks by itself.
    pub fn silence_kicks(&self, queue: QueueIndex, memory: &GuestMemoryMmap) {
        if let Some(ring) = self.ring(queue) {
            // Memory that is not there: the driver then kicks more than it must.
            let _ = ring.get_mut().get_queue_mut().disable_notification(memory);
        }
    }

    /// The driver has to kick. `true`: something has come meanwhile.
    pub fn want_kicks(&self, queue: QueueIndex, memory: &GuestMemoryMmap) -> bool {
        self.ring(queue)
            .is_some_and(|ring| ring.get_mut().get_queue_mut().enable_notification(memory).unwrap_or(false))
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
        self.ring(queue)
            .is_some_and(|ring| ring.get_mut().get_queue_mut().add_used(memory, chain.head, written).is_ok())
    }

    /// Tells the driver that chains were given back, if it wants to know. `true`: it was told.
    pub fn signal(&self, queue: QueueIndex, memory: &GuestMemoryMmap) -> bool {
        self.ring(queue).is_some_and(|ring| {
            // A queue in memory that is not there: nobody can tell.
            let wanted = ring.get_mut().get_queue_mut().needs_notification(memory).unwrap_or(false);
            wanted && ring.signal_used_queue().is_ok()
        })
    }
}

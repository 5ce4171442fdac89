//! The four virtqueues as a vhost-user client has set them up: chains out of them, answers into them.

use vhost_user_backend::{VringMutex, VringT};
use virtio_queue::QueueT;
use vm_memory::{GuestAddressSpace, GuestMemoryAtomic, GuestMemoryMmap};

use crate::chain::{self, Chain};

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

/// Guest memory as the client may exchange it.
pub type Memory = GuestMemoryAtomic<GuestMemoryMmap>;

/// The queues, with the memory that they are in.
#[derive(Clone)]
pub struct Rings {
    rings: Vec<VringMutex>,
    memory: Memory,
}

impl Rings {
    /// These queues, in the order of [`QueueIndex`].
    pub fn new(rings: &[VringMutex], memory: Memory) -> Self {
        Self { rings: rings.to_vec(), memory }
    }

    fn ring(&self, queue: QueueIndex) -> Option<&VringMutex> {
        self.rings.get(queue as usize)
    }

    /// Whether the client has started the queue and not stopped it: else the card leaves it alone.
    pub fn started(&self, queue: QueueIndex) -> bool {
        self.ring(queue).is_some_and(|ring| {
            let ring = ring.get_ref();
            ring.is_enabled() && ring.get_queue().ready()
        })
    }

    /// Index of the next available entry: 0 for a driver that begins.
    pub fn next_available(&self, queue: QueueIndex) -> u16 {
        self.ring(queue).map_or(0, VringT::queue_next_avail)
    }

    /// Takes the next chain, if there is one.
    pub fn take(&self, queue: QueueIndex) -> Option<Chain> {
        if !self.started(queue) {
            return None;
        }
        let ring = self.ring(queue)?;
        let chain = ring.get_mut().get_queue_mut().pop_descriptor_chain(self.memory.memory());
        chain.map(chain::take)
    }

    /// The driver need not kick: the card looks by itself.
    pub fn silence_kicks(&self, queue: QueueIndex) {
        if self.started(queue)
            && let Some(ring) = self.ring(queue)
        {
            // Memory that is not there: the driver then kicks more than it must.
            let _ = ring.disable_notification();
        }
    }

    /// The driver has to kick. `true`: something has come meanwhile.
    pub fn want_kicks(&self, queue: QueueIndex) -> bool {
        self.started(queue)
            && self.ring(queue).is_some_and(|ring| ring.enable_notification().unwrap_or(false))
    }

    /// Gives a chain back, with so many bytes written to it. `false`: the queue does not take it.
    pub fn give_back(&self, queue: QueueIndex, chain: &Chain, written: u64) -> bool {
        let written = u32::try_from(written).unwrap_or(u32::MAX);
        self.started(queue) && self.ring(queue).is_some_and(|ring| ring.add_used(chain.head, written).is_ok())
    }

    /// Tells the driver that chains were given back, if it wants to know. `true`: it was told.
    pub fn signal(&self, queue: QueueIndex) -> bool {
        self.started(queue)
            && self.ring(queue).is_some_and(|ring| {
                // A queue in memory that is not there: nobody can tell.
                ring.needs_notification().unwrap_or(false) && ring.signal_used_queue().is_ok()
            })
    }
}

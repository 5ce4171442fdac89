//! A guest's memory and one virtqueue in it, for tests: the driver's side, byte by byte.

use vhost_user_backend::VringT;
use virtio_queue::{DescriptorChain, Queue, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemoryAtomic, GuestMemoryMmap};

use crate::chain::{Chain, take};
use crate::vring::Vring;

/// `VIRTQ_DESC_F_NEXT`
pub const NEXT: u16 = 1;
/// `VIRTQ_DESC_F_WRITE`
pub const WRITE: u16 = 2;
/// `VIRTQ_DESC_F_INDIRECT`
pub const INDIRECT: u16 = 4;

/// Where its descriptor table lies.
pub const TABLE: u64 = 0x1000;
const AVAILABLE: u64 = 0x2000;
const USED: u64 = 0x3000;

/// 1 MiB of guest memory with a ring in it.
pub struct Ring {
    memory: GuestMemoryMmap,
    size: u16,
}

impl Ring {
    pub fn new(size: u16) -> Self {
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 1 << 20)]).unwrap();
        Self { memory, size }
    }

    pub fn memory(&self) -> GuestMemoryMmap {
        self.memory.clone()
    }

    pub fn write(&self, address: u64, bytes: &[u8]) {
        self.memory.write_slice(bytes, GuestAddress(address)).unwrap();
    }

    /// Descriptor `index` of the table.
    pub fn descriptor(&self, index: u16, address: u64, bytes: u32, flags: u16, next: u16) {
        self.descriptor_at(TABLE + u64::from(index) * 16, address, bytes, flags, next);
    }

    /// A descriptor anywhere.
    pub fn descriptor_at(&self, at: u64, address: u64, bytes: u32, flags: u16, next: u16) {
        let mut descriptor = Vec::from(address.to_le_bytes());
        descriptor.extend(bytes.to_le_bytes());
        descriptor.extend(flags.to_le_bytes());
        descriptor.extend(next.to_le_bytes());
        self.write(at, &descriptor);
    }

    /// Makes the chain that begins at `head` available and takes it.
    pub fn take(&self, head: u16) -> Chain {
        let mut queue = Queue::new(self.size).unwrap();
        queue.try_set_desc_table_address(GuestAddress(TABLE)).unwrap();
        queue.try_set_avail_ring_address(GuestAddress(AVAILABLE)).unwrap();
        queue.try_set_used_ring_address(GuestAddress(USED)).unwrap();
        queue.set_ready(true);
        self.write(AVAILABLE + 2, &1_u16.to_le_bytes());
        self.write(AVAILABLE + 4, &head.to_le_bytes());
        let chain: DescriptorChain<&GuestMemoryMmap> = queue.pop_descriptor_chain(&self.memory).unwrap();
        take(chain)
    }

    /// The queue as a client has set it up and started it.
    pub fn vring(&self) -> Vring {
        let vring = Vring::new(GuestMemoryAtomic::new(self.memory.clone()), self.size).unwrap();
        self.start(&vring);
        vring
    }

    /// Starts a queue that is this ring.
    pub fn start(&self, vring: &Vring) {
        vring.set_queue_size(self.size);
        vring.set_queue_info(TABLE, AVAILABLE, USED).unwrap();
        vring.set_queue_ready(true);
        vring.set_enabled(true);
    }

    /// Makes the chain that begins at `head` available in the queue of [`Self::vring`].
    pub fn offer(&self, head: u16) {
        let index = self.half(AVAILABLE + 2);
        self.write(AVAILABLE + 4 + u64::from(index % self.size) * 2, &head.to_le_bytes());
        self.write(AVAILABLE + 2, &index.wrapping_add(1).to_le_bytes());
    }

    /// How many chains were given back.
    pub fn used(&self) -> u16 {
        self.half(USED + 2)
    }

    /// Whether the driver is to kick.
    pub fn wants_kicks(&self) -> bool {
        self.half(USED) & 1 == 0
    }

    pub fn word(&self, address: u64) -> u32 {
        self.memory.read_obj(GuestAddress(address)).unwrap()
    }

    fn half(&self, address: u64) -> u16 {
        self.memory.read_obj(GuestAddress(address)).unwrap()
    }
}

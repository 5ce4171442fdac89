//! A virtio-snd driver over the client side of vhost-user: guest memory in a memfd, four split rings, and the
//! bytes of every message. It knows nothing of the card's code.

pub mod song;

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd};
use std::path::Path;
use std::time::{Duration, Instant};

use ringwave_guest_memory::memfd::memfd;
use vhost::vhost_user::message::{VhostUserConfigFlags, VhostUserProtocolFeatures};
use vhost::vhost_user::{Frontend, VhostUserFrontend};
use vhost::{VhostBackend, VhostUserMemoryRegionInfo, VringConfigData};
use vm_memory::{Bytes, FileOffset, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

pub const RAM_BYTES: u64 = 16 << 20;
/// Entries of each ring.
pub const RING: u16 = 64;
/// Where messages lie: above the rings.
pub const DATA: u64 = 1 << 20;
const PATIENCE: Duration = Duration::from_mins(1);

pub const CONTROL: usize = 0;
pub const EVENT: usize = 1;
pub const TX: usize = 2;
pub const RX: usize = 3;

pub const OK: u32 = 0x8000;
pub const BAD_MSG: u32 = 0x8001;
pub const NOT_SUPP: u32 = 0x8002;
pub const IO_ERR: u32 = 0x8003;

pub const SET_PARAMS: u32 = 0x101;
pub const PREPARE: u32 = 0x102;
pub const RELEASE: u32 = 0x103;
pub const START: u32 = 0x104;
pub const STOP: u32 = 0x105;

/// A stretch of a chain: address, length, whether the device writes there.
pub type Part = (u64, u32, bool);

struct Ring {
    kick: EventFd,
    call: EventFd,
    free: Vec<u16>,
    /// Descriptors of the chains in flight, by head.
    chains: Vec<Vec<u16>>,
    available: u16,
    used: u16,
}

pub struct Driver {
    frontend: Frontend,
    memory: GuestMemoryMmap,
    file: File,
    base: u64,
    rings: Vec<Ring>,
    event_idx: bool,
    /// It tells the card of what it offers.
    pub kicks: bool,
}

pub struct Ram {
    file: File,
    memory: GuestMemoryMmap,
    base: u64,
}

impl Ram {
    fn new(sealed: bool) -> Self {
        let file = memfd(c"guest", RAM_BYTES, sealed).unwrap();
        let memory = GuestMemoryMmap::from_ranges_with_files([(
            GuestAddress(0),
            usize::try_from(RAM_BYTES).unwrap(),
            Some(FileOffset::new(file.try_clone().unwrap(), 0)),
        )])
        .unwrap();
        let base = memory.get_slice(GuestAddress(0), 1).unwrap().ptr_guard().as_ptr() as u64;
        Self { file, memory, base }
    }

    pub fn ram(&self) -> Vec<u8> {
        let mut read = vec![0; usize::try_from(RAM_BYTES).unwrap()];
        self.memory.read_slice(&mut read, GuestAddress(0)).unwrap();
        read
    }
}

fn table(queue: usize) -> u64 {
    0x1_0000 * queue as u64 + 0x1000
}
fn available(queue: usize) -> u64 {
    table(queue) + 0x2000
}
fn used(queue: usize) -> u64 {
    table(queue) + 0x4000
}

impl Driver {
    /// Connects, negotiates and starts the four queues.
    pub fn connect(socket: &Path) -> Self {
        Self::connect_with(socket, true)
    }

    pub fn connect_with(socket: &Path, event_idx: bool) -> Self {
        let mut driver = Self::negotiate(socket, event_idx, true);
        driver.share_memory().unwrap();
        driver.start_queues();
        driver
    }

    /// Connects and negotiates. `sealed`: its memory cannot be cut short.
    pub fn negotiate(socket: &Path, event_idx: bool, sealed: bool) -> Self {
        let mut frontend = Frontend::connect(socket, 4).unwrap();
        frontend.set_owner().unwrap();
        let features = frontend.get_features().unwrap();
        assert_eq!(features, 1 << 32 | 1 << 28 | 1 << 29 | 1 << 30);
        let taken = if event_idx { features } else { features & !(1 << 29) };
        frontend.set_features(taken).unwrap();
        let protocol = frontend.get_protocol_features().unwrap();
        assert!(protocol.contains(VhostUserProtocolFeatures::CONFIG));
        frontend.set_protocol_features(protocol & !VhostUserProtocolFeatures::REPLY_ACK).unwrap();
        let Ram { file, memory, base } = Ram::new(sealed);
        let rings = (0..4)
            .map(|_| Ring {
                kick: EventFd::new(EFD_NONBLOCK).unwrap(),
                call: EventFd::new(EFD_NONBLOCK).unwrap(),
                free: (0..RING).rev().collect(),
                chains: vec![Vec::new(); RING.into()],
                available: 0,
                used: 0,
            })
            .collect();
        Self { frontend, memory, file, base, rings, event_idx, kicks: true }
    }

    pub fn share_memory(&mut self) -> vhost::Result<()> {
        let file = self.file.try_clone().unwrap();
        self.share(&file)
    }

    /// Shares another file in place of its memory.
    pub fn share(&mut self, file: &File) -> vhost::Result<()> {
        let region = VhostUserMemoryRegionInfo {
            guest_phys_addr: 0,
            memory_size: RAM_BYTES,
            userspace_addr: self.base,
            mmap_offset: 0,
            mmap_handle: file.as_raw_fd(),
        };
        self.frontend.set_mem_table(&[region]).map(drop)
    }

    /// Shares its memory once more, as the card sees it behind all that it has, and says that the front end
    /// has it there.
    pub fn add_memory_at(&mut self, userspace_addr: u64) {
        let region = VhostUserMemoryRegionInfo {
            guest_phys_addr: RAM_BYTES,
            memory_size: RAM_BYTES,
            userspace_addr,
            mmap_offset: 0,
            mmap_handle: self.file.as_raw_fd(),
        };
        self.frontend.add_mem_region(&region).unwrap();
    }

    /// All of its memory.
    pub fn ram(&self) -> Vec<u8> {
        self.read(0, usize::try_from(RAM_BYTES).unwrap())
    }

    /// Ends the connection. Gives its memory.
    pub fn leave(self) -> Ram {
        let Self { memory, file, base, .. } = self;
        Ram { file, memory, base }
    }

    /// Takes the end of its memory away.
    pub fn cut_memory(&self, bytes: u64) {
        self.file.set_len(bytes).unwrap();
    }

    /// Gives these instead of a queue's eventfds when the queue is started the next time.
    pub fn replace_eventfds(&mut self, queue: usize, kick: impl IntoRawFd, call: impl IntoRawFd) {
        let ring = &mut self.rings[queue];
        // SAFETY: both descriptors are owned, and given up. EventFd reads and writes them as files.
        unsafe {
            ring.kick = EventFd::from_raw_fd(kick.into_raw_fd());
            ring.call = EventFd::from_raw_fd(call.into_raw_fd());
        }
    }

    /// Gives another kick descriptor to a queue that runs.
    pub fn change_kick(&mut self, queue: usize, kick: EventFd) {
        self.frontend.set_vring_kick(queue, &kick).unwrap();
        self.rings[queue].kick = kick;
    }

    /// Says that a queue lies there, as the front end has its memory.
    pub fn place_queue_at(&mut self, queue: usize, address: u64) {
        let config = VringConfigData {
            queue_max_size: 256,
            queue_size: RING,
            flags: 0,
            desc_table_addr: address,
            used_ring_addr: address,
            avail_ring_addr: address,
            log_addr: None,
        };
        self.frontend.set_vring_addr(queue, &config).unwrap();
    }

    /// Starts every queue where it stands, as QEMU does: it says last where it is to be called.
    pub fn start_queues(&mut self) {
        self.start_queues_uncalled();
        self.give_calls();
    }

    /// Starts every queue, and does not say where it is to be called.
    pub fn start_queues_uncalled(&mut self) {
        for queue in 0..4 {
            let config = VringConfigData {
                queue_max_size: 256,
                queue_size: RING,
                flags: 0,
                desc_table_addr: self.base + table(queue),
                used_ring_addr: self.base + used(queue),
                avail_ring_addr: self.base + available(queue),
                log_addr: None,
            };
            self.frontend.set_vring_num(queue, RING).unwrap();
            self.frontend.set_vring_base(queue, self.rings[queue].available).unwrap();
            self.frontend.set_vring_addr(queue, &config).unwrap();
            self.frontend.set_vring_kick(queue, &self.rings[queue].kick).unwrap();
        }
        for queue in 0..4 {
            self.frontend.set_vring_enable(queue, true).unwrap();
        }
    }

    /// Says where every queue is to be called.
    pub fn give_calls(&mut self) {
        for queue in 0..4 {
            self.frontend.set_vring_call(queue, &self.rings[queue].call).unwrap();
        }
    }

    /// Stops every queue as QEMU does for a reset, a reboot and a pause.
    pub fn stop_queues(&mut self) {
        for queue in 0..4 {
            self.frontend.set_vring_enable(queue, false).unwrap();
        }
        for queue in 0..4 {
            self.frontend.get_vring_base(queue).unwrap();
        }
    }

    /// The driver begins anew: everything that was in flight is forgotten.
    pub fn reset(&mut self) {
        for (queue, ring) in self.rings.iter_mut().enumerate() {
            (ring.available, ring.used) = (0, 0);
            ring.free = (0..RING).rev().collect();
            ring.chains.fill(Vec::new());
            self.memory.write_slice(&[0; 6], GuestAddress(available(queue))).unwrap();
            self.memory.write_slice(&[0; 6], GuestAddress(used(queue))).unwrap();
        }
    }

    /// Whether the card still answers what a guest's read of the configuration asks.
    pub fn try_config(&mut self) -> vhost::Result<Vec<u8>> {
        let (_, bytes) = self.frontend.get_config(0, 12, VhostUserConfigFlags::WRITABLE, &[0; 12])?;
        Ok(bytes)
    }

    pub fn config(&mut self) -> [u32; 3] {
        let bytes = self.try_config().unwrap();
        let words = bytes.as_chunks().0;
        [0, 1, 2].map(|word| u32::from_le_bytes(words[word]))
    }

    pub fn write(&self, address: u64, bytes: &[u8]) {
        self.memory.write_slice(bytes, GuestAddress(address)).unwrap();
    }

    pub fn read(&self, address: u64, bytes: usize) -> Vec<u8> {
        let mut read = vec![0; bytes];
        self.memory.read_slice(&mut read, GuestAddress(address)).unwrap();
        read
    }

    pub fn word(&self, address: u64) -> u32 {
        u32::from_le_bytes(self.read(address, 4).try_into().unwrap())
    }

    fn half(&self, address: u64) -> u16 {
        u16::from_le_bytes(self.read(address, 2).try_into().unwrap())
    }

    /// Descriptor `index` of a queue, as it is.
    pub fn descriptor(&self, queue: usize, index: u16, (address, bytes, flags, next): (u64, u32, u16, u16)) {
        let mut descriptor = Vec::from(address.to_le_bytes());
        descriptor.extend(bytes.to_le_bytes());
        descriptor.extend(flags.to_le_bytes());
        descriptor.extend(next.to_le_bytes());
        self.write(table(queue) + u64::from(index) * 16, &descriptor);
    }

    /// Queues a chain. Gives its head.
    pub fn queue(&mut self, queue: usize, parts: &[Part]) -> u16 {
        let ring = &mut self.rings[queue];
        let taken: Vec<u16> = parts.iter().map(|_| ring.free.pop().expect("a free descriptor")).collect();
        for (place, &(address, bytes, writable)) in parts.iter().enumerate() {
            let next = taken.get(place + 1);
            let flags = u16::from(next.is_some()) | u16::from(writable) << 1;
            self.descriptor(queue, taken[place], (address, bytes, flags, next.copied().unwrap_or(0)));
        }
        let head = taken[0];
        self.rings[queue].chains[usize::from(head)] = taken;
        self.offer(queue, head);
        head
    }

    /// Makes the chain at `head` available, whatever stands there, and kicks.
    pub fn offer(&mut self, queue: usize, head: u16) {
        let ring = &mut self.rings[queue];
        let place = available(queue) + 4 + u64::from(ring.available % RING) * 2;
        ring.available = ring.available.wrapping_add(1);
        self.memory.write_slice(&head.to_le_bytes(), GuestAddress(place)).unwrap();
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
        self.set_available(queue, self.rings[queue].available);
        if self.kicks {
            self.kick(queue);
        }
    }

    pub fn set_available(&self, queue: usize, index: u16) {
        self.memory.write_slice(&index.to_le_bytes(), GuestAddress(available(queue) + 2)).unwrap();
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
    }

    pub fn kick(&self, queue: usize) {
        self.rings[queue].kick.write(1).unwrap();
    }

    /// The next used entry, if there is one: head and length.
    pub fn take_used(&mut self, queue: usize) -> Option<(u16, u32)> {
        let index = self.half(used(queue) + 2);
        let ring = &mut self.rings[queue];
        if index == ring.used {
            return None;
        }
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
        let at = used(queue) + 4 + u64::from(ring.used % RING) * 8;
        ring.used = ring.used.wrapping_add(1);
        let mut entry = [0; 8];
        self.memory.read_slice(&mut entry, GuestAddress(at)).unwrap();
        let [head, length] = [0, 4].map(|at| u32::from_le_bytes(entry[at..at + 4].try_into().unwrap()));
        let head = u16::try_from(head).unwrap();
        let chain = std::mem::take(&mut ring.chains[usize::from(head)]);
        ring.free.extend(chain);
        let next = ring.used;
        // used_event: an interrupt for the next one.
        self.write(available(queue) + 4 + u64::from(RING) * 2, &next.to_le_bytes());
        Some((head, length))
    }

    /// Waits for the next used entry.
    pub fn wait_used(&mut self, queue: usize) -> (u16, u32) {
        let begin = Instant::now();
        loop {
            if let Some(used) = self.take_used(queue) {
                return used;
            }
            assert!(begin.elapsed() < PATIENCE, "queue {queue}: nothing is used");
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Waits until the card has taken all that is offered, where `avail_event` says so.
    pub fn wait_taken(&self, queue: usize) {
        let begin = Instant::now();
        while self.event_idx
            && self.half(used(queue) + 4 + u64::from(RING) * 8) != self.rings[queue].available
        {
            assert!(begin.elapsed() < PATIENCE, "queue {queue}: nothing is taken");
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Whether the card has signalled the queue since the last call.
    pub fn signalled(&self, queue: usize) -> bool {
        self.rings[queue].call.read().is_ok()
    }

    /// Waits until the card has signalled the queue.
    pub fn wait_signalled(&self, queue: usize) {
        let begin = Instant::now();
        while !self.signalled(queue) {
            assert!(begin.elapsed() < PATIENCE, "queue {queue}: nobody is called");
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// A control request with `room` bytes behind the status. Gives the status and the payload.
    pub fn request(&mut self, words: &[u32], room: u32) -> (u32, Vec<u8>) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let (at, answer) = (DATA - 0x4000, DATA - 0x3000);
        self.write(at, &bytes);
        self.write(answer, &[0; 4]);
        let length = u32::try_from(bytes.len()).unwrap();
        self.queue(CONTROL, &[(at, length, false), (answer, 4, true), (answer + 4, room, true)]);
        let (_, used) = self.wait_used(CONTROL);
        let payload = usize::try_from(used).unwrap().saturating_sub(4);
        (self.word(answer), self.read(answer + 4, payload))
    }

    /// A request of a stream: its status.
    pub fn pcm(&mut self, code: u32, stream: u32) -> u32 {
        self.request(&[code, stream], 0).0
    }

    /// `SET_PARAMS`: its status. Four periods; `format` and `rate` by their numbers.
    pub fn set_params(&mut self, stream: u32, period: u32, channels: u8, format: u8, rate: u8) -> u32 {
        let last = u32::from_le_bytes([channels, format, rate, 0]);
        self.request(&[SET_PARAMS, stream, period * 4, period, 1 << 4, last], 0).0
    }

    /// Queues a tx message of a stream in place `place`, cut into pieces of `cut` bytes.
    pub fn send(&mut self, stream: u32, place: u64, data: &[u8], cut: usize) -> u16 {
        let at = DATA + place * 0x1_0000;
        self.write(at, &stream.to_le_bytes());
        self.write(at + 0x100, data);
        let mut parts = vec![(at, 4, false)];
        for (piece, chunk) in data.chunks(cut).enumerate() {
            let length = u32::try_from(chunk.len()).unwrap();
            parts.push((at + 0x100 + (piece * cut) as u64, length, false));
        }
        parts.push((at + 8, 8, true));
        self.write(at + 8, &[0; 8]);
        self.queue(TX, &parts)
    }

    /// Status and latency of the message in a place.
    pub fn status(&self, place: u64) -> (u32, u32) {
        let at = DATA + place * 0x1_0000 + 8;
        (self.word(at), self.word(at + 4))
    }

    /// Queues an rx message for `bytes` bytes in place `place`.
    pub fn receive(&mut self, stream: u32, place: u64, bytes: u32) -> u16 {
        let at = DATA + place * 0x1_0000;
        self.write(at, &stream.to_le_bytes());
        self.write(at + 8, &[0; 8]);
        self.queue(RX, &[(at, 4, false), (at + 0x100, bytes, true), (at + 8, 8, true)])
    }

    pub fn received(&self, place: u64, bytes: usize) -> Vec<u8> {
        self.read(DATA + place * 0x1_0000 + 0x100, bytes)
    }
}

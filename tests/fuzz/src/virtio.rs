//! The guest of the target `virtio`: a driver that keeps to the specification, and judges whatever the card
//! does to its rings, to its memory and with its sound.
//!
//! The judge holds while the driver is *honest*. Once it has poked into its rings, or began anew while
//! messages were in flight, only what needs no honesty is left: nothing panics, and the card comes to an end.

use std::collections::{HashMap, VecDeque};

use ringwave_virtio_snd::vring::Vring;
use vhost_user_backend::VringT;
use vm_memory::{Bytes, GuestAddress, GuestMemoryAtomic, GuestMemoryMmap};

const RAM: usize = 1 << 20;
/// Entries of each ring.
pub const SIZE: u16 = 16;
/// Every chain has a place of its own in memory, by its queue and its head.
const DATA: u64 = 0x1_0000;
const PLACE: u64 = 0x400;
const DATA_BYTES: usize = (PLACE * 4 * SIZE as u64) as usize;
/// Where the writable part and an indirect table stand in a place.
const WRITABLE: u64 = 0x180;
const INDIRECT: u64 = 0x300;
/// Bytes that a chain may have to be read, and to be written.
pub const BYTES_MAX: usize = 0x170;
/// What stands where the card is to write.
const UNWRITTEN: u8 = 0xEE;

pub const CONTROL: usize = 0;
pub const EVENT: usize = 1;
pub const TX: usize = 2;
pub const RX: usize = 3;

/// `VIRTIO_SND_S_OK`
pub const OK: u32 = 0x8000;
const STATUSES: std::ops::RangeInclusive<u32> = OK..=0x8003;

/// Where a ring lies: its table, available and used ring.
fn place(queue: usize) -> [u64; 3] {
    [0, 0x400, 0x800].map(|part| 0x1000 * (queue as u64 + 1) + part)
}

/// A chain that the card has.
struct Chain {
    descriptors: Vec<u16>,
    at: u64,
    writable: usize,
    what: What,
}

/// What a chain is.
#[derive(Clone, Copy)]
enum What {
    /// A request: its words.
    Request([u32; 4]),
    /// An I/O message: its stream, and its number.
    Message(u32, u64),
    /// Room for an event, or anything.
    Other,
}

/// An answer on the control queue.
#[derive(Clone, Copy)]
pub struct Answer {
    /// The first words of the request.
    pub request: [u32; 4],
    pub status: u32,
    /// Bytes that were written.
    pub length: usize,
}

#[derive(Default)]
struct Queue {
    free: Vec<u16>,
    in_flight: HashMap<u16, Chain>,
    offered: u16,
    used: u16,
}

/// The I/O messages of one stream since its last RELEASE.
#[derive(Default)]
struct Messages {
    /// Number and bytes of those of which not all was heard.
    unheard: VecDeque<(u64, VecDeque<u8>)>,
    /// Numbers of those that were not completed.
    waiting: VecDeque<u64>,
}

/// The guest.
pub struct Guest {
    pub memory: GuestMemoryMmap,
    pub rings: Vec<Vring>,
    /// The driver has done nothing but what the specification lets it.
    pub honest: bool,
    queues: [Queue; 4],
    /// What is in the data, as far as the driver knows.
    known: Vec<u8>,
    /// What is there, looked at again and again.
    found: Vec<u8>,
    streams: HashMap<u32, Messages>,
    number: u64,
    stopped: bool,
    answers: Vec<Answer>,
}

impl Guest {
    pub fn new(event_idx: bool) -> Self {
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), RAM)]).expect("memory");
        let shared = GuestMemoryAtomic::new(memory.clone());
        let ring = |queue| {
            let ring = Vring::new(shared.clone(), 256).expect("a ring");
            let [table, available, used] = place(queue);
            ring.set_queue_info(table, available, used).expect("aligned");
            ring.set_queue_size(SIZE);
            ring.set_queue_event_idx(event_idx);
            ring.set_queue_ready(true);
            ring.set_enabled(true);
            ring
        };
        Self {
            memory,
            rings: (0..4).map(ring).collect(),
            honest: true,
            queues: std::array::from_fn(|_| Queue { free: (0..SIZE).collect(), ..Queue::default() }),
            known: vec![0; DATA_BYTES],
            found: vec![0; DATA_BYTES],
            streams: HashMap::new(),
            number: 0,
            stopped: false,
            answers: Vec::new(),
        }
    }

    /// Any bytes anywhere.
    pub fn poke(&mut self, address: u64, bytes: &[u8]) {
        self.honest = false;
        let _ = self.memory.write_slice(bytes, GuestAddress(address));
    }

    fn write(&self, address: u64, bytes: &[u8]) {
        let _ = self.memory.write_slice(bytes, GuestAddress(address));
    }

    /// Writes to the data, and knows it.
    fn store(&mut self, address: u64, bytes: &[u8]) {
        self.write(address, bytes);
        let from = usize::try_from(address - DATA).expect("in the data");
        self.known[from..from + bytes.len()].copy_from_slice(bytes);
    }

    /// Makes a head available, whatever stands there.
    pub fn offer(&mut self, queue: usize, head: u16) {
        let [_, available, _] = place(queue);
        let at = available + 4 + u64::from(self.queues[queue].offered % SIZE) * 2;
        self.write(at, &head.to_le_bytes());
        self.queues[queue].offered = self.queues[queue].offered.wrapping_add(1);
        self.set_index(queue, self.queues[queue].offered);
    }

    /// The index of an available ring.
    pub fn set_index(&self, queue: usize, index: u16) {
        self.write(place(queue)[1] + 2, &index.to_le_bytes());
    }

    /// Queues a request with room for `room` bytes of answer.
    pub fn request(&mut self, words: &[u32], room: usize, cut: u8, indirect: bool) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let request = std::array::from_fn(|word| words.get(word).copied().unwrap_or(0));
        self.chain(CONTROL, &bytes, room, (cut, indirect), What::Request(request));
    }

    /// Queues room for an event.
    pub fn event(&mut self, room: usize) {
        self.chain(EVENT, &[], room, (0, false), What::Other);
    }

    /// Queues a chain: `readable`, then so many writable bytes, both cut into pieces of so many bytes,
    /// perhaps in an indirect table. `false`: the ring is full.
    fn chain(
        &mut self,
        queue: usize,
        readable: &[u8],
        writable: usize,
        (cut, indirect): (u8, bool),
        what: What,
    ) -> bool {
        let readable = &readable[..readable.len().min(BYTES_MAX)];
        let writable = writable.min(BYTES_MAX);
        // A part has at most 5 pieces: a place has room for so long a table.
        let cut = usize::from(cut).max(BYTES_MAX.div_ceil(5));
        let lengths = |bytes: usize| (0..bytes).step_by(cut).map(move |from| (from, cut.min(bytes - from)));
        let wanted = if indirect { 1 } else { lengths(readable.len()).count() + lengths(writable).count() };
        let free = &mut self.queues[queue].free;
        if free.len() < wanted || wanted == 0 {
            return false;
        }
        let taken = free.split_off(free.len() - wanted);
        let head = taken[0];
        let at = DATA + (queue as u64 * u64::from(SIZE) + u64::from(head)) * PLACE;
        self.store(at, readable);
        self.store(at + WRITABLE, &vec![UNWRITTEN; writable]);
        let pieces: Vec<(u64, usize, bool)> = lengths(readable.len())
            .map(|(from, bytes)| (at + from as u64, bytes, false))
            .chain(lengths(writable).map(|(from, bytes)| (at + WRITABLE + from as u64, bytes, true)))
            .collect();
        let table = place(queue)[0];
        for (number, (address, bytes, writable)) in pieces.iter().enumerate() {
            let more = number + 1 < pieces.len();
            let index = |number: usize| if indirect { number as u16 } else { taken[number] };
            let next = if more { index(number + 1) } else { 0 };
            let flags = u16::from(more) | u16::from(*writable) << 1;
            let descriptor = descriptor(*address, *bytes, flags, next);
            if indirect {
                self.store(at + INDIRECT + number as u64 * 16, &descriptor);
            } else {
                self.write(table + u64::from(index(number)) * 16, &descriptor);
            }
        }
        if indirect {
            let descriptor = descriptor(at + INDIRECT, pieces.len() * 16, 4, 0);
            self.write(table + u64::from(head) * 16, &descriptor);
        }
        let chain = Chain { descriptors: taken, at, writable, what };
        self.queues[queue].in_flight.insert(head, chain);
        self.offer(queue, head);
        true
    }

    /// Queues an I/O message with so many bytes of data, or of room.
    pub fn io(&mut self, stream: u32, capture: bool, bytes: usize, cut: u8, indirect: bool) {
        self.number += 1;
        let number = self.number;
        let mut readable = Vec::from(stream.to_le_bytes());
        let bytes = bytes.min(BYTES_MAX - 8);
        // No two messages alike, and no byte that is silence in any format.
        let data: Vec<u8> =
            (0..bytes as u64).map(|byte| ((number * 37 + byte * 11) % 100 + 1).to_le_bytes()[0]).collect();
        if !capture {
            readable.extend(&data);
        }
        let (queue, room) = if capture { (RX, bytes + 8) } else { (TX, 8) };
        if self.chain(queue, &readable, room, (cut, indirect), What::Message(stream, number)) {
            let messages = self.streams.entry(stream).or_default();
            messages.waiting.push_back(number);
            if !capture {
                messages.unheard.push_back((number, data.into()));
            }
        }
    }

    /// The queues are stopped, or start where they stood; `fresh`: the driver begins anew.
    pub fn stop(&mut self) {
        self.stopped = true;
        self.rings.iter().for_each(|ring| ring.set_queue_ready(false));
    }

    pub fn start(&mut self, fresh: bool) {
        self.stopped = false;
        if fresh {
            self.honest = false;
        }
        for ring in &self.rings {
            if fresh {
                ring.set_queue_next_avail(0);
            }
            ring.set_queue_ready(true);
        }
    }

    /// What was played of a stream: what was sent to it, in order, each byte once.
    pub fn heard(&mut self, stream: u32, bytes: &[u8]) {
        if !self.honest {
            return;
        }
        let messages = self.streams.entry(stream).or_default();
        for byte in bytes {
            while messages.unheard.front().is_some_and(|(_, data)| data.is_empty()) {
                messages.unheard.pop_front();
            }
            let next = messages.unheard.front_mut().and_then(|(_, data)| data.pop_front());
            assert_eq!(Some(*byte), next, "stream {stream} plays what was not sent, or not in this order");
        }
    }

    /// Takes what the card has used.
    pub fn take_used(&mut self) {
        if !self.honest {
            return;
        }
        for queue in 0..4 {
            let [_, available, used] = place(queue);
            let index = self.half(used + 2);
            while self.queues[queue].used != index {
                assert!(!self.stopped, "queue {queue}: used while it is stopped");
                let at = used + 4 + u64::from(self.queues[queue].used % SIZE) * 8;
                let (head, length) = (self.word(at), self.word(at + 4));
                self.queues[queue].used = self.queues[queue].used.wrapping_add(1);
                let chain =
                    u16::try_from(head).ok().and_then(|head| self.queues[queue].in_flight.remove(&head));
                let chain =
                    chain.unwrap_or_else(|| panic!("queue {queue}: {head} is used and not in flight"));
                self.used(queue, &chain, length as usize);
                self.queues[queue].free.extend(&chain.descriptors);
            }
            // used_event: an interrupt for the next one.
            self.write(available + 4 + u64::from(SIZE) * 2, &index.to_le_bytes());
        }
    }

    fn used(&mut self, queue: usize, chain: &Chain, length: usize) {
        let Chain { at, writable, what, .. } = chain;
        assert!(length <= *writable, "queue {queue}: {length} bytes written where {writable} fit");
        let mut written = vec![0; *writable];
        self.memory.read_slice(&mut written, GuestAddress(at + WRITABLE)).expect("memory");
        let from = usize::try_from(at + WRITABLE - DATA).expect("in the data");
        self.known[from..from + writable].copy_from_slice(&written);
        let status = |at: usize| {
            let word = written.get(at..at + 4).expect("room for a status");
            let status = u32::from_le_bytes(word.try_into().expect("four bytes"));
            assert!(STATUSES.contains(&status), "queue {queue}: status {status:#x}");
            status
        };
        match *what {
            What::Request(request) if length >= 4 => {
                self.answers.push(Answer { request, status: status(0), length });
            }
            What::Message(stream, number) => {
                let status = status(writable - 8);
                assert!(length >= 8 && (queue == RX || length == 8), "queue {queue}: {length} bytes");
                let messages = self.streams.entry(stream).or_default();
                if status == OK {
                    assert_eq!(messages.waiting.pop_front(), Some(number), "stream {stream}: in order");
                } else {
                    messages.waiting.retain(|other| *other != number);
                    messages.unheard.retain(|(other, _)| *other != number);
                }
            }
            What::Request(_) | What::Other => {}
        }
    }

    /// The answers since the last call.
    pub fn take_answers(&mut self) -> Vec<Answer> {
        std::mem::take(&mut self.answers)
    }

    /// The stream was released: nothing of it is in flight, and nothing of it is heard any more.
    pub fn released(&mut self, stream: u32) {
        if self.honest {
            let messages = self.streams.entry(stream).or_default();
            assert!(messages.waiting.is_empty(), "stream {stream}: released with messages in flight");
            messages.unheard.clear();
        }
    }

    /// The card has written nothing but where chains in flight may be written.
    pub fn look_at_memory(&mut self) {
        if !self.honest {
            return;
        }
        let mut found = std::mem::take(&mut self.found);
        self.memory.read_slice(&mut found, GuestAddress(DATA)).expect("memory");
        // What is recorded stands in the memory of its message before that is complete.
        for chain in self.queues[RX].in_flight.values().filter(|_| !self.stopped) {
            let from = usize::try_from(chain.at + WRITABLE - DATA).expect("in the data");
            let data = from..from + chain.writable.saturating_sub(8);
            found[data.clone()].copy_from_slice(&self.known[data]);
        }
        // One comparison of the library: a loop of ours would be instrumented, and ten times as slow.
        assert!(found == self.known, "memory that is not the card's to write was written");
        self.found = found;
    }

    /// While the queues are stopped nothing is recorded either.
    pub fn know_memory(&mut self) {
        self.memory.read_slice(&mut self.known, GuestAddress(DATA)).expect("memory");
    }

    fn half(&self, address: u64) -> u16 {
        let mut bytes = [0; 2];
        self.memory.read_slice(&mut bytes, GuestAddress(address)).expect("memory");
        u16::from_le_bytes(bytes)
    }

    fn word(&self, address: u64) -> u32 {
        u32::from(self.half(address)) | u32::from(self.half(address + 2)) << 16
    }
}

/// A descriptor as it stands in a table.
pub fn descriptor(address: u64, bytes: usize, flags: u16, next: u16) -> Vec<u8> {
    let mut descriptor = Vec::from(address.to_le_bytes());
    descriptor.extend(u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes());
    descriptor.extend(flags.to_le_bytes());
    descriptor.extend(next.to_le_bytes());
    descriptor
}

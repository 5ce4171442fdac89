//! The virtio-snd card before a driver and a client that do anything: rings, descriptors, requests, memory
//! that changes and goes away, queues that stop, time.
//!
//! Held: nothing panics; every queue gives back at most as many chains as were offered, and never one twice
//! while each head is offered once; the card is asked to do no more than it was given; what is heard was
//! queued.

#![no_main]

use std::collections::HashMap;

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use ringwave_engine::audio_queue::AudioChunk;
use ringwave_engine::clock::HostClock;
use ringwave_engine::device::Device;
use ringwave_engine::io_queue::{Feedback, IoQueue};
use ringwave_engine::sources::NoSources;
use ringwave_engine::timeline::ClockMode;
use ringwave_served::HostRequests;
use ringwave_virtio_snd::card::{CardConfig, VirtioCard};
use vhost_user_backend::{VringMutex, VringT};
use vm_memory::{Bytes, GuestAddress, GuestMemoryAtomic, GuestMemoryMmap};

const RAM: usize = 1 << 20;
const SIZE: u16 = 16;
const MILLISECOND: u64 = 1_000_000;

/// Where a ring lies: its table, available and used ring.
fn place(queue: usize) -> [u64; 3] {
    [0, 0x400, 0x800].map(|part| 0x1000 * (queue as u64 + 1) + part)
}

#[derive(Arbitrary, Debug)]
enum Step {
    /// Any bytes anywhere in the lower 64 KiB: rings, tables and data.
    Poke(u16, [u8; 8]),
    /// A chain as it should be: its parts, and whether they stand in a table of their own.
    Chain {
        queue: u8,
        parts: Vec<(u16, u16, bool)>,
        indirect: bool,
    },
    /// A request of a stream that could be right.
    Pcm {
        code: u8,
        stream: u8,
        format: u8,
        rate: u8,
        channels: u8,
        period: u16,
        periods: u8,
    },
    /// A query.
    Query {
        code: u8,
        start: u8,
        count: u8,
        size: u8,
    },
    /// An I/O message that could be right.
    Io {
        stream: u8,
        bytes: u16,
        cut: u8,
    },
    /// A head offered as it stands.
    Offer {
        queue: u8,
        head: u16,
    },
    /// The index of the available ring.
    Index {
        queue: u8,
        index: u16,
    },
    Kick,
    /// Time passes, in milliseconds.
    Turn(u8),
    Stop,
    /// The queues start, with a driver that begins anew or where they stood.
    Start {
        fresh: bool,
    },
    /// Guest memory is gone, or there again.
    Memory(bool),
    Jack(u8, bool),
}

/// The guest, and the card behind its rings.
struct Bench {
    card: VirtioCard,
    memory: GuestMemoryMmap,
    shared: GuestMemoryAtomic<GuestMemoryMmap>,
    rings: Vec<VringMutex>,
    offered: [u16; 4],
    next: u16,
    /// Bytes of tx data that were offered in messages of the steps alone; `None` once bytes were poked.
    honest: bool,
    queued: HashMap<u32, u64>,
    heard: HashMap<u32, u64>,
}

impl Bench {
    fn new(clock: ClockMode, event_idx: bool) -> Self {
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), RAM)]).expect("memory");
        let shared = GuestMemoryAtomic::new(memory.clone());
        let config = CardConfig {
            render: 2,
            capture: 2,
            loopback: std::array::from_fn(|capture| (capture == 1).then_some(0)),
            clock,
            channels_max: 8,
            trace: false,
        };
        let card = VirtioCard::new(config, HostClock::by_hand(), Box::new(NoSources));
        card.client_came();
        card.set_memory(shared.clone());
        let ring = |queue| {
            let ring = VringMutex::new(shared.clone(), 256).expect("a ring");
            let [table, available, used] = place(queue);
            ring.set_queue_info(table, available, used).expect("aligned");
            ring.set_queue_size(SIZE);
            ring.set_queue_event_idx(event_idx);
            ring.set_queue_ready(true);
            ring.set_enabled(true);
            ring
        };
        let rings = (0..4).map(ring).collect();
        let (queued, heard) = (HashMap::new(), HashMap::new());
        Self { card, memory, shared, rings, offered: [0; 4], next: 0, honest: true, queued, heard }
    }

    fn write(&self, address: u64, bytes: &[u8]) {
        let _ = self.memory.write_slice(bytes, GuestAddress(address));
    }

    fn offer(&mut self, queue: usize, head: u16) {
        let [_, available, _] = place(queue);
        let offered = &mut self.offered[queue];
        let at = available + 4 + u64::from(*offered % SIZE) * 2;
        *offered = offered.wrapping_add(1);
        let index = *offered;
        self.write(at, &head.to_le_bytes());
        self.write(available + 2, &index.to_le_bytes());
    }

    fn descriptor(&self, at: u64, (address, bytes, flags, next): (u64, u32, u16, u16)) {
        self.write(at, &address.to_le_bytes());
        self.write(at + 8, &bytes.to_le_bytes());
        self.write(at + 12, &flags.to_le_bytes());
        self.write(at + 14, &next.to_le_bytes());
    }

    fn chain(&mut self, queue: usize, parts: &[(u64, u32, bool)], indirect: bool) {
        let [table, ..] = place(queue);
        let count = u16::try_from(parts.len()).unwrap_or(0).min(SIZE);
        let (at, first) =
            if indirect { (0xC000 + u64::from(self.next % 8) * 0x100, 0) } else { (table, self.next) };
        let index = |place: u16| if indirect { place } else { (first.wrapping_add(place)) % SIZE };
        for (place, (address, bytes, writable)) in (0..count).zip(parts) {
            let more = place + 1 < count;
            let flags = u16::from(more) | u16::from(*writable) << 1;
            let next = if more { index(place + 1) } else { 0 };
            self.descriptor(at + u64::from(index(place)) * 16, (*address, *bytes, flags, next));
        }
        let head = self.next % SIZE;
        if indirect {
            self.descriptor(table + u64::from(head) * 16, (at, u32::from(count) * 16, 4, 0));
        }
        self.next = self.next.wrapping_add(if indirect { 1 } else { count.max(1) });
        self.offer(queue, head);
    }

    fn control(&mut self, words: &[u32]) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.write(0x8000, &bytes);
        let length = u32::try_from(bytes.len()).unwrap_or(0);
        self.chain(0, &[(0x8000, length, false), (0x8100, 4, true), (0x8104, 0x800, true)], false);
        self.kick();
    }

    fn kick(&mut self) {
        self.card.kicked(&self.rings);
        self.look();
    }

    /// What holds whenever the card has done something.
    fn look(&mut self) {
        let mut queue = IoQueue::default();
        self.card.drain(&mut queue, &mut Feedback::default());
        for (stream, _, chunk) in queue.audio.chunks() {
            if let AudioChunk::Frames(bytes) = chunk {
                *self.heard.entry(stream).or_default() += bytes.len() as u64;
            }
        }
        if self.honest {
            for (stream, heard) in &self.heard {
                let queued = self.queued.get(stream).copied().unwrap_or(0);
                assert!(*heard <= queued, "stream {stream}: {heard} bytes heard of {queued}");
            }
            for queue in 0..4 {
                let mut used = [0; 2];
                let [.., at] = place(queue);
                self.memory.read_slice(&mut used, GuestAddress(at + 2)).expect("memory");
                let used = u16::from_le_bytes(used);
                let ahead = self.offered[queue].wrapping_sub(used);
                assert!(ahead < 1 << 15, "queue {queue}: more used than offered");
            }
        }
    }

    fn do_step(&mut self, step: Step) {
        match step {
            Step::Poke(address, bytes) => {
                self.honest = false;
                self.write(address.into(), &bytes);
            }
            Step::Chain { queue, parts, indirect } => {
                self.honest = false;
                let parts: Vec<_> = parts
                    .iter()
                    .take(20)
                    .map(|&(address, bytes, writable)| (u64::from(address), bytes.into(), writable))
                    .collect();
                self.chain(usize::from(queue % 4), &parts, indirect);
            }
            Step::Pcm { code, stream, format, rate, channels, period, periods } => {
                let code = 0x101 + u32::from(code % 5);
                let period = u32::from(period);
                let last = u32::from_le_bytes([channels % 10, format % 32, rate % 20, 0]);
                let buffer = period.wrapping_mul(periods.into());
                self.control(&[code, u32::from(stream % 5), buffer, period, 0x10, last]);
            }
            Step::Query { code, start, count, size } => {
                let code = [1, 0x100, 0x200, 2, 0x300, 7][usize::from(code % 6)];
                self.control(&[code, start.into(), count.into(), size.into()]);
            }
            Step::Io { stream, bytes, cut } => {
                let stream = u32::from(stream % 5);
                let (at, capture) = (0xD000 + u64::from(self.next % 4) * 0x800, stream >= 2);
                self.write(at, &stream.to_le_bytes());
                let bytes = u32::from(bytes % 0x700);
                let cut = u32::from(cut).min(bytes);
                let parts = [
                    (at, 4, false),
                    (at + 0x10, cut, capture),
                    (at + 0x10 + u64::from(cut), bytes - cut, capture),
                    (at + 8, 8, true),
                ];
                if !capture {
                    *self.queued.entry(stream).or_default() += u64::from(bytes);
                }
                self.chain(if capture { 3 } else { 2 }, &parts, false);
            }
            Step::Offer { queue, head } => {
                self.honest = false;
                self.offer(usize::from(queue % 4), head);
            }
            Step::Index { queue, index } => {
                self.honest = false;
                let [_, available, _] = place(usize::from(queue % 4));
                self.write(available + 2, &index.to_le_bytes());
            }
            Step::Kick => self.kick(),
            Step::Turn(milliseconds) => {
                self.card.clock().turn(u64::from(milliseconds) * MILLISECOND);
                // Whatever the card says, it is not asked for ever.
                let _ = self.card.advance();
                self.look();
            }
            Step::Stop => {
                self.rings.iter().for_each(|ring| ring.set_queue_ready(false));
                self.card.halt();
            }
            Step::Start { fresh } => {
                // Chains are offered to a queue from the start again.
                self.honest &= !fresh;
                for ring in &self.rings {
                    if fresh {
                        ring.set_queue_next_avail(0);
                    }
                    ring.set_queue_ready(true);
                }
                self.kick();
            }
            Step::Memory(there) => {
                self.honest = false;
                let memory = if there { self.memory.clone() } else { GuestMemoryMmap::new() };
                self.shared.lock().expect("the lock").replace(memory);
                self.card.set_memory(self.shared.clone());
            }
            Step::Jack(stream, plugged) => {
                let _ = self.card.set_jack(stream.into(), plugged);
            }
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let mut input = Unstructured::new(data);
    let Ok((lockstep, event_idx)) = input.arbitrary::<(bool, bool)>() else { return };
    let clock = if lockstep { ClockMode::Lockstep } else { ClockMode::Realtime };
    let mut bench = Bench::new(clock, event_idx);
    for _ in 0..200 {
        if input.is_empty() {
            break;
        }
        let Ok(step) = input.arbitrary::<Step>() else { return };
        bench.do_step(step);
    }
});

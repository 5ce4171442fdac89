//! virtio-snd: guest memory, the control and the tx queue as split rings, and messages that are queued again
//! as soon as they were played. Codes are those of virtio 1.2, section 5.14.6.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ringwave_engine::clock::{HostClock, Speed};
use ringwave_engine::sources::NoSources;
use ringwave_engine::timeline::ClockMode;
use ringwave_report::SessionReport;
use ringwave_virtio_snd::card::{CardConfig, VirtioCard};
use ringwave_virtio_snd::controller::STREAMS_MAX;
use ringwave_virtio_snd::rings::{QUEUE_SIZE_MAX, QUEUES, QueueIndex};
use ringwave_virtio_snd::vring::Vring;
use rustix::time::ClockId;
use vhost_user_backend::VringT;
use vm_memory::{Bytes, GuestAddress, GuestMemoryAtomic, GuestMemoryMmap};

use super::threads::CardThreads;
use super::{CHANNELS, Ends, FRAME_BYTES, Interrupt, PlayingCard, packet_frames};
use crate::BenchError;
use crate::cpu::cpu_time;

/// Messages of each stream, all queued.
const MESSAGES: u16 = 4;
/// Descriptors of a message: its header, its sound, its status.
const PARTS: u16 = 3;
const RAM_BYTES: usize = 1 << 20;
/// Where messages begin, above the rings, and how far apart they lie.
const MESSAGES_BASE: u64 = 0x2_0000;
const MESSAGE_STRIDE: u64 = 0x2000;
/// In a message: its status, and its sound.
const STATUS: u64 = 8;
const SOUND: u64 = 0x100;

const NEXT: u16 = 1;
const WRITE: u16 = 2;

const SET_PARAMS: u32 = 0x101;
const PREPARE: u32 = 0x102;
const START: u32 = 0x104;
const OK: u32 = 0x8000;
const FORMAT_S16: u8 = 5;
const RATE_48000: u8 = 7;

/// The card, and a guest that goes on with messages.
pub struct VirtioGuest {
    card: Arc<VirtioCard>,
    /// Held for its drop.
    _threads: CardThreads<VirtioCard>,
    interrupt: Interrupt,
    memory: GuestMemoryMmap,
    queues: Vec<Vring>,
    control: Ring,
    tx: Ring,
    packet_micros: u32,
    /// Messages that were played.
    played: u64,
    /// Of stream 0.
    ends: Ends,
    /// CPU time of this thread in the card.
    in_card: Duration,
}

impl VirtioGuest {
    /// With `streams` streams whose messages are queued; nothing runs yet.
    pub fn new(streams: u32, packet_micros: u32) -> Result<Self, BenchError> {
        let config = CardConfig {
            render: streams,
            capture: 0,
            loopback: [None; STREAMS_MAX as usize],
            clock: ClockMode::Realtime,
            channels_max: 2,
            trace: false,
        };
        let card = Arc::new(VirtioCard::new(config, HostClock::start(Speed::REAL), Box::new(NoSources)));
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), RAM_BYTES)]);
        let memory = memory.map_err(std::io::Error::other)?;
        card.set_memory(Arc::new(memory.clone()));
        let interrupt = Interrupt::new()?;
        let queues = (0..QUEUES).map(|queue| vring(&memory, queue)).collect::<Result<Vec<_>, _>>()?;
        if let Some(tx) = queues.get(QueueIndex::Tx as usize) {
            tx.set_call(Some(interrupt.file()?));
        }
        let mut guest = Self {
            _threads: CardThreads::start(&card)?,
            card,
            interrupt,
            memory,
            queues,
            control: Ring::new(QueueIndex::Control),
            tx: Ring::new(QueueIndex::Tx),
            packet_micros,
            played: 0,
            ends: Ends::new(0, packet_micros),
            in_card: Duration::ZERO,
        };
        for (stream, _) in (0_u16..).zip(0..streams) {
            guest.set_up(stream)?;
        }
        Ok(guest)
    }

    fn period_bytes(&self) -> u32 {
        packet_frames(self.packet_micros) * FRAME_BYTES
    }

    fn set_up(&mut self, stream: u16) -> Result<(), BenchError> {
        let period = self.period_bytes();
        let last = u32::from_le_bytes([CHANNELS, FORMAT_S16, RATE_48000, 0]);
        self.request(&[SET_PARAMS, stream.into(), u32::from(MESSAGES) * period, period, 0, last])?;
        self.request(&[PREPARE, stream.into()])?;
        for message in stream * MESSAGES..(stream + 1) * MESSAGES {
            let at = message_address(message);
            self.store(at, stream.into())?;
            let head = message * PARTS;
            let parts = [(at, 4, NEXT), (at + SOUND, period, NEXT), (at + STATUS, 8, WRITE)];
            for (index, (address, bytes, flags)) in (head..).zip(parts) {
                self.tx.describe(&self.memory, index, address, bytes, flags)?;
            }
            self.tx.offer(&self.memory, head)?;
        }
        self.kick()
    }

    /// A request of the control queue; an error unless the card says OK.
    fn request(&mut self, words: &[u32]) -> Result<(), BenchError> {
        const REQUEST: u64 = 0x1_0000;
        const ANSWER: u64 = 0x1_0100;
        for (word, at) in words.iter().zip((REQUEST..).step_by(4)) {
            self.store(at, *word)?;
        }
        let bytes = u32::try_from(words.len() * 4).unwrap_or(0);
        self.control.describe(&self.memory, 0, REQUEST, bytes, NEXT)?;
        self.control.describe(&self.memory, 1, ANSWER, 4, WRITE)?;
        self.control.offer(&self.memory, 0)?;
        self.kick()?;
        let answered = self.control.used(&self.memory)?.is_some();
        match self.load(ANSWER)? {
            OK if answered => Ok(()),
            answer => {
                let code = words.first().copied().unwrap_or(0);
                Err(BenchError::Card(format!("request {code:#x}: answered {answered}, {answer:#x}")))
            }
        }
    }

    /// As the thread does that waits for the guest's kicks.
    fn kick(&mut self) -> Result<(), BenchError> {
        let before = cpu_time(ClockId::ThreadCPUTime)?;
        self.card.kicked(&self.queues);
        self.in_card += cpu_time(ClockId::ThreadCPUTime)?.saturating_sub(before);
        Ok(())
    }

    fn store(&self, address: u64, value: u32) -> Result<(), BenchError> {
        Ok(self.memory.write_obj(value.to_le(), GuestAddress(address)).map_err(std::io::Error::other)?)
    }

    fn load(&self, address: u64) -> Result<u32, BenchError> {
        let value: u32 = self.memory.read_obj(GuestAddress(address)).map_err(std::io::Error::other)?;
        Ok(u32::from_le(value))
    }
}

impl PlayingCard for VirtioGuest {
    fn run(&mut self, index: u32) -> Result<(), BenchError> {
        if index == 0 {
            self.ends = Ends::new(self.card.clock().now(), self.packet_micros);
        }
        self.request(&[START, index])
    }

    fn wait(&mut self) -> Result<Vec<u64>, BenchError> {
        self.interrupt.wait()?;
        let now = self.card.clock().now();
        let mut of_first = 0;
        while let Some(head) = self.tx.used(&self.memory)? {
            let message = head / PARTS;
            let status = self.load(message_address(message) + STATUS)?;
            if status != OK {
                return Err(BenchError::Card(format!("message {message} was answered with {status:#x}")));
            }
            self.played = self.played.saturating_add(1);
            of_first += u64::from(message < MESSAGES);
            self.tx.offer(&self.memory, head)?;
        }
        self.kick()?;
        Ok(self.ends.late(of_first, now).collect())
    }

    fn leave_alone(&mut self, time: Duration) -> Result<Duration, BenchError> {
        let (begin, in_card) = (Instant::now(), self.in_card);
        let thread = cpu_time(ClockId::ThreadCPUTime)?;
        while begin.elapsed() < time {
            self.wait()?;
        }
        let thread = cpu_time(ClockId::ThreadCPUTime)?.saturating_sub(thread);
        Ok(thread.saturating_sub(self.in_card.saturating_sub(in_card)))
    }

    fn report(&self) -> SessionReport {
        self.card.report()
    }

    fn packets_played(&self) -> Result<u64, BenchError> {
        match self.played {
            0 => Err(BenchError::Card("no message was played".to_owned())),
            played => Ok(played),
        }
    }
}

fn message_address(message: u16) -> u64 {
    MESSAGES_BASE + u64::from(message) * MESSAGE_STRIDE
}

/// A queue as the card's server has it once the guest has set it up.
fn vring(memory: &GuestMemoryMmap, queue: usize) -> Result<Vring, BenchError> {
    let made = || {
        let vring = Vring::new(GuestMemoryAtomic::new(memory.clone()), QUEUE_SIZE_MAX)?;
        vring.set_queue_size(QUEUE_SIZE_MAX);
        vring.set_queue_info(Ring::table(queue), Ring::available(queue), Ring::used_ring(queue))?;
        vring.set_queue_ready(true);
        vring.set_enabled(true);
        Ok::<_, virtio_queue::Error>(vring)
    };
    made().map_err(|error| BenchError::Card(format!("queue {queue}: {error}")))
}

/// The driver's side of a split ring (virtio 1.2, 2.7).
struct Ring {
    queue: usize,
    offered: u16,
    taken: u16,
}

impl Ring {
    fn new(queue: QueueIndex) -> Self {
        Self { queue: queue as usize, offered: 0, taken: 0 }
    }

    const fn table(queue: usize) -> u64 {
        queue as u64 * 0x4000
    }

    const fn available(queue: usize) -> u64 {
        Self::table(queue) + 0x1000
    }

    const fn used_ring(queue: usize) -> u64 {
        Self::table(queue) + 0x2000
    }

    /// Descriptor `index`; with NEXT the one behind it follows.
    fn describe(
        &self,
        memory: &GuestMemoryMmap,
        index: u16,
        address: u64,
        bytes: u32,
        flags: u16,
    ) -> Result<(), BenchError> {
        let next = u64::from(index + 1);
        let word = u64::from(bytes) | u64::from(flags) << 32 | next << 48;
        let at = Self::table(self.queue) + u64::from(index) * 16;
        let mut descriptor = address.to_le_bytes().to_vec();
        descriptor.extend(word.to_le_bytes());
        Ok(memory.write_slice(&descriptor, GuestAddress(at)).map_err(std::io::Error::other)?)
    }

    /// Makes the chain that begins at `head` available.
    fn offer(&mut self, memory: &GuestMemoryMmap, head: u16) -> Result<(), BenchError> {
        let base = Self::available(self.queue);
        let entry = base + 4 + u64::from(self.offered % QUEUE_SIZE_MAX) * 2;
        self.offered = self.offered.wrapping_add(1);
        let stored = memory
            .write_obj(head.to_le(), GuestAddress(entry))
            .and_then(|()| memory.store(self.offered.to_le(), GuestAddress(base + 2), Ordering::Release));
        Ok(stored.map_err(std::io::Error::other)?)
    }

    /// Head of the next chain that the card has given back.
    fn used(&mut self, memory: &GuestMemoryMmap) -> Result<Option<u16>, BenchError> {
        let base = Self::used_ring(self.queue);
        let index: u16 =
            memory.load(GuestAddress(base + 2), Ordering::Acquire).map_err(std::io::Error::other)?;
        if u16::from_le(index) == self.taken {
            return Ok(None);
        }
        let entry = base + 4 + u64::from(self.taken % QUEUE_SIZE_MAX) * 8;
        self.taken = self.taken.wrapping_add(1);
        // Its id has 32 bits, of which a head takes 16.
        let head: u16 = memory.read_obj(GuestAddress(entry)).map_err(std::io::Error::other)?;
        Ok(Some(u16::from_le(head)))
    }
}

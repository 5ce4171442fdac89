//! The virtio-snd card before a driver and a client that do anything: requests, I/O messages, chains cut
//! anywhere, rings and tables of any bytes, memory that goes away, queues that stop, time.
//!
//! Held, whatever they do: nothing panics, and the card comes to an end. Held while the driver keeps to the
//! specification (half of the inputs are such as do): a chain is used once and only when it is in flight,
//! with a status of the specification and no more bytes than it has room for; the card writes nowhere else,
//! and nothing at all while its queues are stopped; messages of a stream complete in order, all of them
//! before RELEASE is answered; what is heard is what was sent, in order, each byte once; a query that
//! succeeds is answered whole. Not held: when a message completes (tests of the card do that).

#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use ringwave_engine::audio_queue::AudioChunk;
use ringwave_engine::clock::HostClock;
use ringwave_engine::device::Device;
use ringwave_engine::io_queue::{Feedback, IoQueue};
use ringwave_engine::sources::NoSources;
use ringwave_engine::timeline::ClockMode;
use ringwave_fuzz::virtio::{Guest, OK, SIZE, descriptor};
use ringwave_served::HostRequests;
use ringwave_virtio_snd::card::{CardConfig, VirtioCard};
use std::sync::Arc;
use vm_memory::GuestMemoryMmap;

const MICROSECOND: u64 = 1_000;
/// Formats with the bytes of a sample, and rates, that the card has.
const FORMATS: [(u8, u32); 5] = [(4, 1), (5, 2), (11, 3), (17, 4), (19, 4)];
const RATES: [u8; 4] = [1, 6, 7, 13];

#[derive(Arbitrary, Debug)]
enum Step {
    /// SET_PARAMS that is taken in the right state.
    Set {
        stream: u8,
        format: u8,
        channels: bool,
        rate: u8,
        frames: u8,
        periods: u8,
    },
    /// Another request of a stream.
    Pcm {
        code: u8,
        stream: u8,
        cut: u8,
    },
    /// A request of any words.
    Request {
        code: u16,
        words: [u16; 5],
        count: u8,
        room: u8,
        cut: u8,
        indirect: bool,
    },
    /// A query.
    Query {
        code: u8,
        start: u8,
        count: u8,
        size: u8,
        cut: u8,
    },
    /// An I/O message, and whether the card is told of it.
    Io {
        stream: u8,
        bytes: u16,
        cut: u8,
        indirect: bool,
        kick: bool,
    },
    /// A stream that is set up, gets messages and starts, as a driver does it.
    Play {
        stream: u8,
        format: u8,
        frames: u8,
        count: u8,
    },
    /// Several messages of a period or another length.
    Burst {
        stream: u8,
        bytes: u8,
        count: u8,
    },
    Event {
        bytes: u8,
    },
    Kick,
    /// Time passes, in microseconds; whether the engine's thread wakes for it.
    Turn {
        time: u16,
        wakes: bool,
    },
    Stop,
    /// The queues start where they stood.
    Start,
    Jack(u8, bool),
    /// From here on of a driver that is not honest. Any bytes anywhere in the lower 128 KiB.
    Poke(u16, [u8; 8]),
    /// A descriptor of any bytes.
    Descriptor {
        queue: u8,
        index: u8,
        address: u16,
        bytes: u16,
        flags: u8,
        next: u8,
    },
    /// A head offered as it stands.
    Offer {
        queue: u8,
        head: u8,
    },
    /// The index of an available ring.
    Index {
        queue: u8,
        index: u16,
    },
    /// The queues start with a driver that begins anew.
    Fresh,
    /// Guest memory is gone, or there again.
    Memory(bool),
}

/// The guest before its card.
struct Bench {
    card: VirtioCard,
    guest: Guest,
    /// Dishonest steps are left out.
    honest: bool,
    stopped: bool,
}

impl Bench {
    fn new(clock: ClockMode, event_idx: bool, honest: bool) -> Self {
        let config = CardConfig {
            render: 2,
            capture: 2,
            loopback: std::array::from_fn(|capture| (capture == 1).then_some(0)),
            clock,
            channels_max: 8,
            trace: false,
        };
        let card = VirtioCard::new(config, HostClock::by_hand(), Box::new(NoSources));
        let guest = Guest::new(event_idx);
        card.client_came();
        card.set_memory(Arc::new(guest.memory.clone()));
        Self { card, guest, honest, stopped: false }
    }

    fn kick(&mut self) {
        self.card.kicked(&self.guest.rings);
        self.look();
    }

    /// What holds whenever the card has done something.
    fn look(&mut self) {
        let mut queue = IoQueue::default();
        self.card.drain(&mut queue, &mut Feedback::default());
        self.guest.take_used();
        for (stream, _, chunk) in queue.audio.chunks() {
            if let AudioChunk::Frames(bytes) = chunk {
                self.guest.heard(stream, bytes);
            }
        }
        for answer in self.guest.take_answers().into_iter().filter(|answer| answer.status == OK) {
            let [code, stream, count, size] = answer.request;
            match code {
                0x101..=0x103 => self.guest.released(stream),
                1 | 0x100 | 0x200 => assert_eq!(answer.length, 4 + (count * size) as usize, "a whole answer"),
                _ => {}
            }
        }
        self.guest.look_at_memory();
    }

    fn request(&mut self, words: &[u32], room: usize, cut: u8, indirect: bool) {
        self.guest.request(words, room, cut, indirect);
        self.kick();
    }

    /// `SET_PARAMS`. Gives the bytes of a period.
    fn set_params(&mut self, stream: u8, format: u8, stereo: bool, rate: u8, frames: u8, periods: u8) -> u32 {
        let (format, bytes) = FORMATS[usize::from(format) % FORMATS.len()];
        let channels = u8::from(stereo) + 1;
        let period = (u32::from(frames) + 1) * bytes * u32::from(channels);
        let rate = RATES[usize::from(rate) % RATES.len()];
        let last = u32::from_le_bytes([channels, format, rate, 0]);
        let buffer = period * (u32::from(periods % 8) + 1);
        self.request(&[0x101, u32::from(stream % 5), buffer, period, 0x10, last], 4, 0, false);
        period
    }

    fn do_step(&mut self, step: Step) {
        match step {
            Step::Set { stream, format, channels, rate, frames, periods } => {
                self.set_params(stream, format, channels, rate, frames, periods);
            }
            Step::Play { stream, format, frames, count } => {
                let stream = stream % 4;
                let period = self.set_params(stream, format, true, 2, frames, 3);
                self.request(&[0x102, stream.into()], 4, 0, false);
                for _ in 0..count % 6 {
                    self.guest.io(stream.into(), stream >= 2, period as usize, 0, true);
                }
                self.request(&[0x104, stream.into()], 4, 0, false);
            }
            Step::Pcm { code, stream, cut } => {
                let code = 0x102 + u32::from(code % 4);
                self.request(&[code, u32::from(stream % 5)], 4, cut, cut & 1 != 0);
            }
            Step::Request { code, words, count, room, cut, indirect } => {
                let words = [code, words[0], words[1], words[2], words[3], words[4]].map(u32::from);
                self.request(&words[..usize::from(count % 7)], room.into(), cut, indirect);
            }
            Step::Query { code, start, count, size, cut } => {
                let code = [1, 0x100, 0x200, 2, 0x300, 7][usize::from(code % 6)];
                self.request(&[code, start.into(), count.into(), size.into()], 0x170, cut, false);
            }
            Step::Io { stream, bytes, cut, indirect, kick } => {
                let stream = u32::from(stream % 5);
                self.guest.io(stream, stream >= 2, bytes.into(), cut, indirect);
                if kick {
                    self.kick();
                }
            }
            Step::Burst { stream, bytes, count } => {
                let stream = u32::from(stream % 4);
                for _ in 0..count % 8 {
                    self.guest.io(stream, stream >= 2, bytes.into(), 0, true);
                }
                self.kick();
            }
            Step::Event { bytes } => self.guest.event(bytes.into()),
            Step::Kick => self.kick(),
            Step::Turn { time, wakes } => {
                self.card.clock().turn(u64::from(time) * MICROSECOND);
                if wakes {
                    // Whatever the card says, it is not asked for ever.
                    let _ = self.card.advance();
                    self.look();
                }
            }
            Step::Stop => {
                self.guest.stop();
                self.card.halt();
                if !std::mem::replace(&mut self.stopped, true) && self.guest.honest {
                    self.guest.know_memory();
                }
                self.look();
            }
            Step::Start => self.start(false),
            Step::Jack(stream, plugged) => {
                let _ = self.card.set_jack(stream.into(), plugged);
                self.look();
            }
            _ if self.honest => {}
            Step::Poke(address, bytes) => self.guest.poke(u64::from(address) * 2, &bytes),
            Step::Descriptor { queue, index, address, bytes, flags, next } => {
                let table = 0x1000 * (u64::from(queue % 4) + 1) + u64::from(u16::from(index) % SIZE) * 16;
                let descriptor = descriptor(u64::from(address) * 2, bytes.into(), flags.into(), next.into());
                self.guest.poke(table, &descriptor);
            }
            Step::Offer { queue, head } => {
                self.guest.honest = false;
                self.guest.offer(usize::from(queue % 4), head.into());
            }
            Step::Index { queue, index } => {
                self.guest.honest = false;
                self.guest.set_index(usize::from(queue % 4), index);
            }
            Step::Fresh => self.start(true),
            Step::Memory(there) => {
                self.guest.honest = false;
                let memory = if there { self.guest.memory.clone() } else { GuestMemoryMmap::new() };
                self.card.set_memory(Arc::new(memory));
            }
        }
    }

    fn start(&mut self, fresh: bool) {
        self.stopped = false;
        self.guest.start(fresh);
        self.kick();
    }
}

fuzz_target!(|data: &[u8]| {
    let mut input = Unstructured::new(data);
    let Ok((lockstep, event_idx, honest)) = input.arbitrary::<(bool, bool, bool)>() else { return };
    let clock = if lockstep { ClockMode::Lockstep } else { ClockMode::Realtime };
    let mut bench = Bench::new(clock, event_idx, honest);
    for _ in 0..200 {
        if input.is_empty() {
            break;
        }
        let Ok(step) = input.arbitrary::<Step>() else { return };
        bench.do_step(step);
    }
});

//! The HD Audio card before a driver that does anything: registers of any width, rings, lists, verbs, memory
//! that goes away, jacks, resets, time.
//!
//! Held: nothing panics; LPIB stays below SDCBL; every command that can be answered has one answer; the card
//! plays no more than the time that has passed; after a reset of the function it is as new.

#![no_main]

use std::os::unix::fs::FileExt;
use std::sync::LazyLock;

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use ringwave_engine::audio_queue::AudioChunk;
use ringwave_engine::clock::HostClock;
use ringwave_engine::device::Device;
use ringwave_engine::io_queue::{Feedback, IoQueue};
use ringwave_engine::sources::NoSources;
use ringwave_guest_memory::guest_ram::MapRequest;
use ringwave_guest_memory::memfd::memfd;
use ringwave_hda::codec::tree::TreeConfig;
use ringwave_hda::controller::Config;
use ringwave_hda::function::{CardConfig, HdaCard, PCI_ID};
use ringwave_pci::client::Requests;
use ringwave_pci::{Region, Request};
use ringwave_served::HostRequests;

const RAM: u64 = 1 << 20;
const CORB: u64 = 0x1000;
const RIRB: u64 = 0x2000;
/// PMCSR, of the capability at 60h. HDA.md 1.
const PMCSR: u64 = 0x64;
const LIST: u64 = 0x3000;
const MILLISECOND: u64 = 1_000_000;
/// Stream descriptors.
const DESCRIPTORS: u64 = 8;

#[derive(Arbitrary, Debug)]
enum Step {
    /// A write of the registers, of 1, 2, 4 or 8 bytes.
    Write {
        offset: u16,
        value: u64,
        width: u8,
    },
    /// A read.
    Read {
        offset: u16,
        width: u8,
    },
    /// A stream as it should be: its list, its format.
    SetUp {
        index: u8,
        entries: Vec<(u16, u16, bool)>,
        format: u16,
        run: bool,
    },
    /// Out of reset, with both rings.
    StartUp,
    /// One command by the CORB.
    Command(u32),
    /// The converter of an endpoint listens.
    Connect {
        nid: u8,
        tag: u8,
    },
    /// Any bytes in memory.
    Poke(u16, [u8; 16]),
    /// Time passes, in tenths of milliseconds.
    Turn(u8),
    /// A long time.
    Sleep(u8),
    Config {
        offset: u8,
        value: u32,
    },
    Map,
    Unmap {
        page: u8,
        pages: u8,
    },
    Jack {
        endpoint: u8,
        plugged: bool,
    },
    Drain,
    Reset,
}

struct Bench {
    card: HdaCard,
    memory: std::fs::File,
    time: u64,
    heard: u64,
    /// All of the memory is mapped, and the function may do DMA: nothing has been done about either.
    whole: bool,
}

impl Bench {
    fn new() -> Self {
        let tree = TreeConfig { render: 2, capture: 2, channels: 4, bits_32: true };
        let controller = Config { tree, loopback: vec![Some(0), None], amplifiers: true };
        let card = CardConfig { controller, pci_id: PCI_ID, power_management: true, trace: false }
            .power_on(HostClock::by_hand(), Box::new(NoSources));
        let memory = memfd(c"fuzz", RAM, true).expect("memory");
        let bench = Self { card, memory, time: 0, heard: 0, whole: true };
        bench.map();
        bench.config(4, 6);
        bench
    }

    fn map(&self) {
        let file = Some((self.memory.try_clone().expect("a descriptor"), 0));
        // What is mapped already stays.
        let map = MapRequest { address: 0, bytes: RAM, readable: true, writable: true, file };
        let _ = self.card.request(Request::Map(map));
    }

    fn config(&self, offset: u64, value: u32) {
        let data = &value.to_le_bytes();
        self.card.request(Request::Write { region: Region::Config, offset, data }).expect("no map");
    }

    fn write(&self, offset: u64, data: &[u8]) {
        self.card.request(Request::Write { region: Region::Bar(0), offset, data }).expect("no map");
    }

    fn read(&self, offset: u64, data: &mut [u8]) {
        self.card.request(Request::Read { region: Region::Bar(0), offset, data }).expect("no map");
    }

    fn read32(&self, offset: u64) -> u32 {
        let mut data = [0; 4];
        self.read(offset, &mut data);
        u32::from_le_bytes(data)
    }

    fn store(&self, address: u64, bytes: &[u8]) {
        self.memory.write_all_at(bytes, address).expect("within the memory");
    }

    fn start_up(&self) {
        self.write(0x08, &[1, 0, 0, 0]);
        for (offset, value) in [(0x40, CORB), (0x44, 0), (0x50, RIRB), (0x54, 0)] {
            self.write(offset, &(value as u32).to_le_bytes());
        }
        self.write(0x48, &[0, 0, 0, 0x80]);
        self.write(0x48, &[0, 0, 0, 0]);
        self.write(0x4C, &[2]);
        self.write(0x58, &[0, 0x80, 1, 0]);
        self.write(0x5C, &[3]);
    }

    /// Whether PMCSR says D3hot. Then nothing answers, and else GCAP does, which is never all ones.
    fn asleep(&self) -> bool {
        let mut power = [0];
        let read = Request::Read { region: Region::Config, offset: PMCSR, data: &mut power };
        self.card.request(read).expect("no map");
        let asleep = power[0] & 3 == 3;
        assert_eq!(self.read32(0) == u32::MAX, asleep, "GCAP");
        asleep
    }

    /// Sends a command, and looks that there is one answer if there can be.
    fn command(&self, command: u32) {
        if self.asleep() {
            self.write(0x48, &[1, 0]);
            return;
        }
        let at = (self.read32(0x48) + 1) & 0xFF;
        let ready = |bench: &Self| {
            let pointers = bench.read32(0x48);
            let rings = [0x40, 0x44, 0x4C, 0x50, 0x54, 0x5C].map(|offset| bench.read32(offset));
            let [corb, corb_high, control, rirb, rirb_high, responses] = rings;
            let runs = control & 2 != 0 && responses & 2 != 0 && pointers & 0x8000_0000 == 0;
            let placed = (corb, corb_high, rirb, rirb_high) == (CORB as u32, 0, RIRB as u32, 0);
            runs && placed && pointers & 0xFF == pointers >> 16 & 0xFF
        };
        let ready = ready(self) && self.read32(0x08) & 1 != 0;
        self.store(CORB + 4 * u64::from(at), &command.to_le_bytes());
        let before = self.read32(0x58) & 0xFF;
        self.write(0x48, &u16::try_from(at).expect("a byte").to_le_bytes());
        let answers = (self.read32(0x58) & 0xFF).wrapping_sub(before) & 0xFF;
        assert!(!ready || answers <= 1, "{answers} answers to {command:#x}");
        if ready && self.whole {
            assert_eq!(answers, 1, "no answer to {command:#x}");
            assert_eq!(self.read32(0x48) >> 16 & 0xFF, at, "CORBRP follows");
        }
    }

    fn set_up(&self, index: u64, entries: &[(u16, u16, bool)], format: u16, run: bool) {
        let base = 0x80 + 0x20 * (index % DESCRIPTORS);
        let mut bytes = 0_u32;
        for (&(page, length, ioc), at) in entries.iter().take(256).zip((LIST..).step_by(16)) {
            let address = u64::from(page) * 17 % RAM;
            self.store(at, &address.to_le_bytes());
            self.store(at + 8, &u32::from(length).to_le_bytes());
            self.store(at + 12, &u32::from(ioc).to_le_bytes());
            bytes += u32::from(length);
        }
        self.write(base, &[1]);
        self.write(base, &[0]);
        self.write(base + 8, &bytes.to_le_bytes());
        self.write(
            base + 12,
            &u16::try_from(entries.len().saturating_sub(1) & 0xFF).expect("a byte").to_le_bytes(),
        );
        self.write(base + 0x12, &format.to_le_bytes());
        self.write(base + 0x18, &(LIST as u32).to_le_bytes());
        self.write(base + 2, &[0x10]);
        self.write(base, &[if run { 0x1E } else { 0x1C }]);
    }

    fn turn(&mut self, ticks: u64) {
        self.time += ticks;
        self.card.clock().turn(ticks);
        self.card.advance();
    }

    fn drain(&mut self) {
        let mut queue = IoQueue::default();
        self.card.drain(&mut queue, &mut Feedback::default());
        for (stream, format, chunk) in queue.audio.chunks() {
            assert!(stream < 4, "stream {stream}");
            self.heard += match chunk {
                AudioChunk::Frames(bytes) => bytes.len() as u64 / u64::from(format.frame_bytes()),
                AudioChunk::Silence(frames) => frames,
                AudioChunk::Stop => 0,
            };
        }
        // Four outputs of 192 kHz at most.
        let most = u128::from(self.time) * 4 * 192_000 / 1_000_000_000 + 4;
        assert!(u128::from(self.heard) <= most, "{} frames in {} ns", self.heard, self.time);
    }

    fn step(&mut self, step: &Step) {
        self.whole &= !matches!(step, Step::Config { .. } | Step::Unmap { .. } | Step::Reset);
        match *step {
            Step::Write { offset, value, width } => {
                let bytes = value.to_le_bytes();
                let width = [1, 2, 4, 8, 3][usize::from(width) % 5];
                self.write(u64::from(offset), &bytes[..width]);
            }
            Step::Read { offset, width } => {
                let mut data = [0; 8];
                self.read(u64::from(offset), &mut data[..[1, 2, 4, 8][usize::from(width) % 4]]);
            }
            Step::SetUp { index, ref entries, format, run } => {
                self.set_up(index.into(), entries, format, run);
            }
            Step::StartUp => self.start_up(),
            Step::Command(command) => self.command(command),
            Step::Connect { nid, tag } => {
                self.command(u32::from(nid) << 20 | 0x70600 | u32::from(tag) << 4 & 0xF0)
            }
            Step::Poke(at, bytes) => self.store(u64::from(at), &bytes),
            Step::Turn(tenths) => self.turn(u64::from(tenths) * MILLISECOND / 10),
            Step::Sleep(seconds) => self.turn(u64::from(seconds) * 100 * MILLISECOND),
            Step::Config { offset, value } => self.config(u64::from(offset), value),
            Step::Map => self.map(),
            Step::Unmap { page, pages } => {
                let (address, bytes) = (u64::from(page) << 12, u64::from(pages) << 12);
                self.card.request(Request::Unmap { address, bytes }).expect("no map");
            }
            Step::Jack { endpoint, plugged } => {
                let _ = self.card.set_jack(u32::from(endpoint) % 5, plugged);
            }
            Step::Drain => self.drain(),
            Step::Reset => self.card.request(Request::Reset).expect("no map"),
        }
        let asleep = self.asleep();
        for base in (0..DESCRIPTORS).map(|index| 0x80 + 0x20 * index) {
            let (position, length) = (self.read32(base + 4), self.read32(base + 8));
            let runs = self.read32(base) & 2 != 0;
            assert!(asleep || !runs || position < length, "LPIB {position} of {length}");
            assert!(!asleep || (position, length) == (u32::MAX, u32::MAX), "LPIB {position} in D3hot");
        }
    }

    /// What a guest sees of the registers, and what the codec answers.
    fn seen(&self) -> Vec<u32> {
        let registers: Vec<u32> = (0..0x180).step_by(4).map(|offset| self.read32(offset)).collect();
        self.start_up();
        let answers = (0..16_u32).flat_map(|nid| {
            let states = [0xF0500, 0xF0600, 0xF0700, 0xF0800, 0xF0D00, 0xF1C00, 0xF2000, 0xA0000, 0xBA000];
            [0xF0009, 0xF000A].into_iter().chain(states).map(move |verb| {
                self.write(0x60, &(nid << 20 | verb).to_le_bytes());
                self.write(0x68, &[3, 0]);
                self.read32(0x64)
            })
        });
        registers.iter().copied().chain(answers).collect()
    }
}

static NEW: LazyLock<Vec<u32>> = LazyLock::new(|| Bench::new().seen());

fuzz_target!(|data: &[u8]| {
    let mut data = Unstructured::new(data);
    let mut bench = Bench::new();
    for _ in 0..64 {
        let Ok(step) = Step::arbitrary(&mut data) else { break };
        bench.step(&step);
    }
    bench.drain();
    bench.card.request(Request::Reset).expect("no map");
    bench.config(4, 6);
    assert_eq!(bench.seen(), *NEW, "a reset leaves something");
});

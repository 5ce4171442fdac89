//! A guest of the card, without a machine: 4 MiB of memory, accesses to BAR 0, a clock that is turned by
//! hand.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]
#![allow(clippy::cast_possible_truncation, reason = "addresses and lengths of the guest are below 4 MiB")]

use std::fs::File;
use std::os::unix::fs::FileExt;

use ringwave_audio::StreamFormat;
use ringwave_engine::audio_queue::AudioChunk;
use ringwave_engine::clock::HostClock;
use ringwave_engine::device::Device;
use ringwave_engine::io_queue::{Feedback, IoQueue};
use ringwave_engine::sources::{NoSources, Sources};
use ringwave_guest_memory::guest_ram::MapRequest;
use ringwave_guest_memory::memfd::memfd;
use ringwave_hda::codec::tree::TreeConfig;
use ringwave_hda::controller::Config;
use ringwave_hda::function::{CardConfig, HdaCard, PCI_ID};
use ringwave_pci::client::Requests;
use ringwave_pci::{Region, Request};
use ringwave_trace::CardEvent;

pub const MEMORY: u64 = 4 << 20;
pub const CORB: u64 = 0x1000;
pub const RIRB: u64 = 0x2000;
pub const LIST: u64 = 0x3000;
pub const POSITIONS: u64 = 0x4000;
/// Where buffers may lie.
pub const BUFFERS: u64 = 0x1_0000;
/// The first output descriptor.
pub const OUT: u64 = 4;
/// Nodes of a card with one speaker and one microphone: converter, pin; converter, pin.
pub const DAC: u32 = 2;
pub const DAC_PIN: u32 = 3;
pub const ADC: u32 = 4;

/// Bits of SDCTL.
pub const RUN: u8 = 2;
pub const IOCE: u8 = 4;
pub const BCIS: u8 = 4;
pub const FIFOE: u8 = 8;
pub const DESE: u8 = 16;

/// An entry of a buffer descriptor list: address, bytes, IOC.
pub type Entry = (u64, u32, bool);

pub struct Guest {
    pub card: HdaCard,
    pub memory: File,
}

/// One speaker and one microphone.
pub fn guest() -> Guest {
    Guest::new(&[None], Box::new(NoSources))
}

impl Guest {
    pub fn new(loopback: &[Option<u8>], sources: Box<dyn Sources + Send>) -> Self {
        let tree = TreeConfig { render: 1, capture: 1, channels: 2, bits_32: true };
        Self::of(Config { tree, loopback: loopback.to_vec(), amplifiers: false }, sources)
    }

    pub fn of(controller: Config, sources: Box<dyn Sources + Send>) -> Self {
        Self::of_card(
            CardConfig { controller, pci_id: PCI_ID, power_management: false, trace: true },
            sources,
        )
    }

    pub fn of_card(config: CardConfig, sources: Box<dyn Sources + Send>) -> Self {
        let card = config.power_on(HostClock::by_hand(), sources);
        let memory = memfd(c"guest", MEMORY, true).unwrap();
        let file = Some((memory.try_clone().unwrap(), 0));
        let map = MapRequest { address: 0, bytes: MEMORY, readable: true, writable: true, file };
        card.request(Request::Map(map)).unwrap();
        let guest = Self { card, memory };
        // Memory space, bus master.
        guest.config(4, &[6, 0]);
        guest
    }

    pub fn config(&self, offset: u64, data: &[u8]) {
        self.card.request(Request::Write { region: Region::Config, offset, data }).unwrap();
    }

    pub fn write<const N: usize>(&self, offset: u64, data: [u8; N]) {
        self.card.request(Request::Write { region: Region::Bar(0), offset, data: &data }).unwrap();
    }

    pub fn write32(&self, offset: u64, value: u32) {
        self.write(offset, value.to_le_bytes());
    }

    pub fn read<const N: usize>(&self, offset: u64) -> [u8; N] {
        let mut data = [0; N];
        self.card.request(Request::Read { region: Region::Bar(0), offset, data: &mut data }).unwrap();
        data
    }

    pub fn read8(&self, offset: u64) -> u8 {
        let [byte] = self.read(offset);
        byte
    }

    pub fn read16(&self, offset: u64) -> u16 {
        u16::from_le_bytes(self.read(offset))
    }

    pub fn read32(&self, offset: u64) -> u32 {
        u32::from_le_bytes(self.read(offset))
    }

    pub fn store(&self, address: u64, bytes: &[u8]) {
        self.memory.write_all_at(bytes, address).unwrap();
    }

    pub fn load(&self, address: u64, bytes: usize) -> Vec<u8> {
        let mut data = vec![0; bytes];
        self.memory.read_exact_at(&mut data, address).unwrap();
        data
    }

    pub fn load32(&self, address: u64) -> u32 {
        u32::from_le_bytes(self.load(address, 4).try_into().unwrap())
    }

    /// Status.Interrupt Status of configuration space.
    pub fn line(&self) -> bool {
        let mut status = [0; 2];
        self.card.request(Request::Read { region: Region::Config, offset: 6, data: &mut status }).unwrap();
        status[0] & 8 != 0
    }

    /// Turns the clock on, and gives the card its time.
    pub fn pass(&self, nanoseconds: u64) {
        self.card.clock().turn(nanoseconds);
        self.card.advance();
    }

    /// In steps that are no multiple of anything.
    pub fn pass_slowly(&self, nanoseconds: u64) {
        let mut left = nanoseconds;
        while left > 0 {
            let step = left.min(333_337);
            self.pass(step);
            left -= step;
        }
    }

    /// Out of reset, with CORB and RIRB running.
    pub fn start_up(&self) {
        self.write32(0x08, 1);
        self.write32(0x40, CORB as u32);
        self.write(0x4A, 0x8000_u16.to_le_bytes());
        assert_eq!(self.read16(0x4A) & 0x8000, 0x8000, "CORBRPRST reads back");
        self.write(0x4A, [0, 0]);
        self.write(0x4C, [2]);
        self.write32(0x50, RIRB as u32);
        self.write(0x58, 0x8000_u16.to_le_bytes());
        self.write(0x5A, [1, 0]);
        self.write(0x5C, [3]);
    }

    /// Sends one command by the CORB and gives its response.
    pub fn command(&self, nid: u32, verb: u32) -> u32 {
        let at = (self.read16(0x48) + 1) & 0xFF;
        self.store(CORB + u64::from(at) * 4, &(nid << 20 | verb).to_le_bytes());
        self.write(0x48, at.to_le_bytes());
        let written = self.read16(0x58);
        self.load32(RIRB + u64::from(written) * 8)
    }

    /// Writes a buffer descriptor list: address, bytes, IOC.
    pub fn list(&self, list: u64, entries: &[Entry]) {
        for (&(address, bytes, ioc), at) in entries.iter().zip((list..).step_by(16)) {
            self.store(at, &address.to_le_bytes());
            self.store(at + 8, &bytes.to_le_bytes());
            self.store(at + 12, &u32::from(ioc).to_le_bytes());
        }
    }

    /// Sets descriptor `index` up with the list, for stream tag 1.
    pub fn set_up(&self, index: u64, entries: &[Entry], format: u16) {
        self.list(LIST, entries);
        let base = 0x80 + 0x20 * index;
        self.write32(base, 1);
        assert_eq!(self.read32(base) & 1, 1, "SRST reads back");
        self.write32(base, 0);
        let bytes: u32 = entries.iter().map(|(_, bytes, _)| bytes).sum();
        self.write32(base + 0x08, bytes);
        self.write(base + 0x0C, u16::try_from(entries.len() - 1).unwrap().to_le_bytes());
        self.write(base + 0x12, format.to_le_bytes());
        self.write32(base + 0x18, LIST as u32);
        self.write32(base, 1 << 20);
    }

    /// The converter listens to tag 1.
    pub fn connect(&self, nid: u32) {
        self.command(nid, 0x70610);
    }

    /// Writes the low byte of SDCTL.
    pub fn control(&self, index: u64, bits: u8) {
        self.write(0x80 + 0x20 * index, [bits]);
    }

    pub fn status(&self, index: u64) -> u8 {
        self.read8(0x83 + 0x20 * index) & !0x20
    }

    pub fn link_position(&self, index: u64) -> u32 {
        self.read32(0x84 + 0x20 * index)
    }

    /// What was played since the last call: stream, format, bytes (silence as zeroes).
    pub fn heard(&self) -> Vec<(u32, StreamFormat, Vec<u8>)> {
        self.heard_at(&[])
    }

    /// The same; the host tells at which `RATE_DEN` streams would have to go.
    pub fn heard_at(&self, rates: &[(u32, u32)]) -> Vec<(u32, StreamFormat, Vec<u8>)> {
        let mut queue = IoQueue::default();
        self.card.drain(&mut queue, &mut Feedback { rates: rates.to_vec(), ..Feedback::default() });
        let mut heard: Vec<(u32, StreamFormat, Vec<u8>)> = Vec::new();
        for (stream, format, chunk) in queue.audio.chunks() {
            let bytes = match chunk {
                AudioChunk::Frames(bytes) => bytes.to_vec(),
                AudioChunk::Silence(frames) => vec![0; frames as usize * format.frame_bytes() as usize],
                AudioChunk::Stop => continue,
            };
            match heard.last_mut() {
                Some((last, of, all)) if (*last, *of) == (stream, format) => all.extend(bytes),
                _ => heard.push((stream, format, bytes)),
            }
        }
        heard
    }

    /// What the card has done by itself since the last call.
    pub fn traced(&self) -> Vec<CardEvent> {
        let mut queue = IoQueue::default();
        self.card.drain(&mut queue, &mut Feedback::default());
        queue.records.card.card_events().collect()
    }

    /// What was heard, all of endpoint 0.
    pub fn heard_bytes(&self) -> Vec<u8> {
        let heard = self.heard();
        assert!(heard.iter().all(|(stream, ..)| *stream == 0));
        heard.into_iter().flat_map(|(.., bytes)| bytes).collect()
    }
}

/// Bytes that say where they are.
pub fn ramp(bytes: usize) -> Vec<u8> {
    (0_u32..).flat_map(|word| (word.wrapping_mul(2_654_435_761) >> 8).to_le_bytes()).take(bytes).collect()
}

//! Two streams, many maps of one page each over real shared memory, and a guest that does anything: every
//! access of the card is in a map that is there at that moment, every call does a bounded amount of work, and
//! positions stay in range and never go back.
//!
//! `invariants.rs` has one stream and memory that is only imagined; here the card's own [`GuestRam`] is
//! compared with a table of pages.
#![allow(clippy::cast_possible_truncation, clippy::precedence, reason = "test code")]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::support::{PageBar, SECOND};
use proptest::prelude::*;
use ringwave_card::controller::{Config, Controller};
use ringwave_card::env::{ClockMode, Env, Interrupts};
use ringwave_engine::audio_queue::{AudioChunk, AudioQueue};
use ringwave_engine::sources::NoSources;
use ringwave_guest_memory::guest_ram::{GuestRam, MapRequest};
use ringwave_guest_memory::memfd::memfd;
use ringwave_guest_memory::{GuestMemory, MemoryFault};
use ringwave_regs::dma::Slot;
use ringwave_regs::error::Error;
use ringwave_regs::pages::status::{FLAG_ENDED, FLAG_LOCKSTEP, FLAG_STALLED};
use ringwave_regs::pages::{self, status};
use ringwave_regs::{dma, format, global, stream as regs};
use ringwave_trace::{CardEvent, CardRecords};

const PAGE: u64 = 4096;
/// First guest page that is ever mapped, and how many there are. The file has as many.
const FIRST: u64 = 0x100;
const PAGES: u64 = 24;
/// Frames of audio of one stream that one call may move: what is 100 ms late, and the pieces at both ends of
/// it. Of pieces as well: none is shorter than a packet of a millisecond.
const LATE_FRAMES: u64 = 48 * 120;
const LATE_PIECES: u64 = 104;
/// Accesses of one register write beyond that: a RUN's table with all links and the check of every entry. A
/// 64-bit access is two writes.
const TABLE: u64 = 2 * 3 * dma::ENTRIES_MAX as u64;

/// Guest RAM twice.
struct Ram {
    real: GuestRam,
    /// Guest page -> page of the file.
    pages: BTreeMap<u64, u64>,
    file: File,
    accesses: Cell<u64>,
    bytes: Cell<u64>,
}

impl Ram {
    fn new(sealed: bool) -> Self {
        let file = memfd(c"guest", PAGES * PAGE, sealed).unwrap();
        let contents: Vec<u8> = (0..PAGES * PAGE).map(|place| (place * 7 + place / 256) as u8 | 1).collect();
        file.write_all_at(&contents, 0).unwrap();
        let real = GuestRam::default();
        Self { real, pages: BTreeMap::new(), file, accesses: Cell::new(0), bytes: Cell::new(0) }
    }
    fn map(&mut self, page: u64) {
        // Neighbours in the guest are far apart in the file.
        let place = page * 7 % PAGES;
        let file = Some((self.file.try_clone().unwrap(), place * PAGE));
        let address = (FIRST + page) * PAGE;
        let request = MapRequest { address, bytes: PAGE, readable: true, writable: true, file };
        let free = !self.pages.contains_key(&(FIRST + page));
        assert_eq!(self.real.map(request).is_ok(), free);
        self.pages.insert(FIRST + page, place);
    }
    fn unmap(&mut self, page: u64, count: u64) {
        self.real.unmap((FIRST + page) * PAGE, count * PAGE);
        self.pages.retain(|&there, _| !(FIRST + page..FIRST + page + count).contains(&there));
    }
    fn place(&self, address: u64) -> Option<u64> {
        Some(self.pages.get(&(address / PAGE))? * PAGE + address % PAGE)
    }
    fn poke(&self, address: u64, bytes: &[u8]) {
        for (address, byte) in (address..).zip(bytes) {
            if let Some(place) = self.place(address) {
                self.file.write_all_at(&[*byte], place).unwrap();
            }
        }
    }
    fn reachable(&self, address: u64, bytes: u64) -> bool {
        let last = address.checked_add(bytes - 1);
        last.is_some_and(|last| (address / PAGE..=last / PAGE).all(|page| self.pages.contains_key(&page)))
    }
}

impl GuestMemory for Ram {
    fn read(&self, address: u64, into: &mut [u8]) -> Result<(), MemoryFault> {
        self.accesses.set(self.accesses.get() + 1);
        let result = self.real.read(address, into);
        assert_eq!(result.is_ok(), self.reachable(address, into.len() as u64), "read at {address:#x}");
        if result.is_ok() {
            self.bytes.set(self.bytes.get() + into.len() as u64);
            let mut there = vec![0; into.len()];
            let mut at = 0;
            while at < into.len() {
                let address = address + at as u64;
                let end = into.len().min(at + (PAGE - address % PAGE) as usize);
                self.file.read_exact_at(&mut there[at..end], self.place(address).unwrap()).unwrap();
                at = end;
            }
            assert!(*into == there, "other bytes than those at {address:#x}");
        }
        result
    }
    fn write(&self, address: u64, _: &[u8]) -> Result<(), MemoryFault> {
        panic!("a render stream stores to {address:#x}");
    }
    fn check(&self, address: u64, bytes: u64, write: bool) -> Result<(), MemoryFault> {
        self.accesses.set(self.accesses.get() + 1);
        let result = self.real.check(address, bytes, write);
        assert_eq!(result.is_ok(), self.reachable(address, bytes), "check at {address:#x}");
        result
    }
}

/// The card, and what was seen of its streams.
struct World {
    card: Controller,
    ram: Ram,
    bar: PageBar,
    now: u64,
    audio: AudioQueue,
    records: CardRecords<Error>,
    /// The position that was seen last, and whether START was written since.
    seen: [(u64, bool); 16],
}

impl World {
    fn new(config: Config, sealed: bool) -> Self {
        let mut world = Self {
            card: Controller::new(config),
            ram: Ram::new(sealed),
            bar: PageBar::new(),
            now: 77_000_000_001,
            audio: AudioQueue::default(),
            records: CardRecords::default(),
            seen: [(0, false); 16],
        };
        world.call(Controller::reset);
        world.card.set_bus_master(true);
        world
    }

    /// Calls the card and counts what it did.
    fn call<R>(&mut self, act: impl FnOnce(&mut Controller, &mut Env<'_>) -> R) -> R {
        self.ram.accesses.set(0);
        self.ram.bytes.set(0);
        let mut interrupts = Interrupts::default();
        let mut env = Env {
            now: self.now,
            memory: &self.ram,
            pages: &self.bar,
            sources: &mut NoSources,
            audio: &mut self.audio,
            interrupts: &mut interrupts,
            log: self.records.log(Some(0)),
        };
        let result = act(&mut self.card, &mut env);
        let streams = u64::from(self.card.streams());
        // Entries of one byte each: as many accesses as bytes.
        let (accesses, bytes) = (self.ram.accesses.get(), self.ram.bytes.get());
        assert!(accesses <= streams * LATE_FRAMES * 4 + TABLE, "{accesses} accesses to memory in one call");
        assert!(bytes <= streams * LATE_FRAMES * 4 + TABLE * 16, "{bytes} bytes of memory in one call");
        let heard = self.audio.chunks().filter(|(.., heard)| *heard != AudioChunk::Stop).count() as u64;
        assert!(heard <= streams * LATE_PIECES, "{heard} pieces in one call");
        let diagnosed = |event: &CardEvent| matches!(event, CardEvent::Diagnostic(_));
        let diagnostics = self.records.card_events().filter(diagnosed).count() as u64;
        assert!(diagnostics <= streams * 2 * LATE_PIECES + 2);
        if self.ram.pages.is_empty() {
            assert_eq!(bytes, 0, "nothing is mapped");
        }
        self.records.clear();
        self.audio.clear();
        result
    }

    fn read(&mut self, stream: u32, register: u32) -> u32 {
        let mut data = [0; 4];
        let offset = regs::block(stream).unwrap() + register;
        self.call(|card, env| card.read(offset.into(), &mut data, env));
        u32::from_le_bytes(data)
    }

    fn write(&mut self, stream: u32, register: u32, value: u32) {
        let offset = regs::block(stream).unwrap() + register;
        self.call(|card, env| card.write(offset.into(), &value.to_le_bytes(), env));
    }

    fn set_up(&mut self, stream: u32, packet: u32, packets: u32, address: u64, entries: u32) {
        self.seen[stream as usize].0 = 0;
        for (register, value) in [
            (regs::STATE, regs::STATE_STOP),
            (regs::FORMAT, format::pack(format::S16, 2)),
            (regs::RATE, 48_000),
            (regs::RING_BYTES, packet * packets * 4),
            (regs::PACKETS, packets),
            (regs::DMA_MODE, u32::from(entries != 0)),
            (regs::SG_ENTRIES, entries),
            (regs::DMA_ADDR_LO, address as u32),
            (regs::INT_ENABLE, regs::INT_PACKET | regs::INT_ERROR),
            (regs::LOCKSTEP, regs::LOCKSTEP_ASK),
            (regs::STATE, regs::STATE_ACQUIRE),
            (regs::STATE, regs::STATE_PAUSE),
        ] {
            self.write(stream, register, value);
        }
    }

    /// What the guest sees of a stream. `may_go_back`: STOP was written.
    fn observe(&mut self, stream: u32, may_go_back: bool) {
        let page = pages::status_page(stream).unwrap();
        let state = self.read(stream, regs::STATE);
        assert_eq!(state, self.bar.u32(page + status::STATE));
        let flags = self.bar.u32(page + status::FLAGS);
        let position = u64::from(self.read(stream, regs::POSITION_LO))
            | u64::from(self.read(stream, regs::POSITION_HI)) << 32;
        let (before, started) = &mut self.seen[stream as usize];
        assert!(may_go_back || position >= *before, "stream {stream}: {position} after {before}");
        *before = position;
        *started &= state != regs::STATE_RUN && state != regs::STATE_STOP;
        let runs = state == regs::STATE_RUN && flags & (FLAG_STALLED | FLAG_ENDED) == 0;
        assert_eq!(self.bar.u32(page + status::RATE_NUM) != 0, runs);
        if state == regs::STATE_STOP {
            assert_eq!((position, flags), (0, 0));
            return;
        }
        let ring = self.read(stream, regs::RING_BYTES);
        let place = pages::position_page(stream).unwrap() + pages::position::RING_OFFSET;
        assert!(self.bar.u32(place) < ring && self.bar.u32(place).is_multiple_of(4));
        let packet_frames = u64::from(ring / 4 / self.read(stream, regs::PACKETS));
        let packet = (position / packet_frames) as u32;
        if flags & FLAG_ENDED == 0 {
            assert_eq!(self.read(stream, regs::PACKET_COUNT), packet);
        }
        if runs && flags & FLAG_LOCKSTEP != 0 {
            let promised = self.read(stream, regs::WRITTEN).wrapping_sub(packet).cast_signed();
            assert!(promised >= 0, "packet {packet} moves without WRITTEN");
        }
    }
}

#[derive(Clone, Debug)]
enum Op {
    Map(u64),
    Unmap(u64, u64),
    MapAll,
    /// Contiguous, or with a table of entries that begin in these pages.
    SetUp(u32, u32, u32, u64, Vec<(u64, u64)>),
    State(u32, u32),
    Written(u32, i8),
    EndOfStream(u32, u32, i8),
    Start(u32, u64),
    Wait(u64),
    BusMaster(bool),
    D3hot(bool),
    Wide(u64, u64),
}

fn op() -> impl Strategy<Value = Op> {
    let stream = 0..2_u32;
    let set_up = (
        stream.clone(),
        48..600_u32,
        1..=2_u32,
        0..PAGES * PAGE,
        prop::collection::vec((0..PAGES, 0..PAGE), 0..6),
    );
    prop_oneof![
        3 => (0..PAGES).prop_map(Op::Map),
        3 => (0..PAGES, 1..8_u64).prop_map(|(a, b)| Op::Unmap(a, b)),
        1 => Just(Op::MapAll),
        2 => set_up.prop_map(|(a, b, c, d, e)| Op::SetUp(a, b, c, d, e)),
        4 => (stream.clone(), 0..4_u32).prop_map(|(a, b)| Op::State(a, b)),
        8 => stream.clone().prop_map(|a| Op::State(a, 3)),
        8 => (stream.clone(), -2..4_i8).prop_map(|(a, b)| Op::Written(a, b)),
        1 => (stream.clone(), 0..600_u32, -1..3_i8).prop_map(|(a, b, c)| Op::EndOfStream(a, b, c)),
        1 => (stream, 0..1_u64 << 40).prop_map(|(a, b)| Op::Start(a, b)),
        9 => (0..60_000_000_u64).prop_map(Op::Wait),
        1 => (0..30 * SECOND).prop_map(Op::Wait),
        1 => any::<bool>().prop_map(Op::BusMaster),
        1 => any::<bool>().prop_map(Op::D3hot),
        1 => (0..0x60 + 0x200_u64, prop_oneof![any::<u64>(), 0..9_u64]).prop_map(|(a, b)| Op::Wide(a & !7, b)),
    ]
}

fn act(world: &mut World, op: &Op) {
    match *op {
        Op::Map(page) if world.ram.pages.contains_key(&(FIRST + page)) => {}
        Op::Map(page) => world.ram.map(page),
        Op::Unmap(page, count) => world.ram.unmap(page, count),
        Op::MapAll => {
            world.ram.unmap(0, PAGES);
            (0..PAGES).for_each(|page| world.ram.map(page));
        }
        Op::SetUp(stream, packet, packets, at, ref entries) => {
            let address = FIRST * PAGE + at;
            let table = address & !15;
            // Equal parts, with the rest in the last: frames straddle them.
            let (count, bytes) = (entries.len() as u32, packet * packets * 4);
            for (index, &(page, offset)) in (0..).zip(entries) {
                let part = bytes / count;
                let length = if index + 1 == count { bytes - part * index } else { part };
                let slot = Slot::data((FIRST + page) * PAGE + offset, length);
                world.ram.poke(table + 16 * u64::from(index), &slot.to_bytes());
            }
            world.set_up(stream, packet, packets, if count == 0 { address } else { table }, count);
        }
        Op::State(stream, state) => world.write(stream, regs::STATE, state),
        Op::Written(stream, ahead) => {
            let packet = world.read(stream, regs::PACKET_COUNT).wrapping_add_signed(ahead.into());
            world.write(stream, regs::WRITTEN, packet);
        }
        Op::EndOfStream(stream, frames, ahead) => {
            world.write(stream, regs::EOS, regs::EOS_ARM | frames * 4);
            act(world, &Op::Written(stream, ahead));
        }
        Op::Start(stream, frame) => {
            let (ring, packets) = (world.read(stream, regs::RING_BYTES), world.read(stream, regs::PACKETS));
            let packet_frames = u64::from(ring / 4 / packets.max(1)).max(1);
            world.write(stream, regs::START_FRAME_LO, frame as u32);
            world.write(stream, regs::START_FRAME_HI, (frame >> 32) as u32);
            world.write(stream, regs::START_PACKET, (frame / packet_frames) as u32);
            world.seen[stream as usize].1 = true;
        }
        Op::Wait(ticks) => {
            world.now += ticks;
            world.call(Controller::advance);
        }
        Op::BusMaster(on) => world.card.set_bus_master(on),
        Op::D3hot(on) => {
            world.call(|card, env| card.set_d3hot(on, env));
            world.now += 20_000_000;
            world.call(Controller::advance);
            assert!(!on || world.card.next_deadline().is_none(), "something moves in D3hot");
            world.call(|card, env| card.set_d3hot(false, env));
        }
        Op::Wide(offset, value) => {
            // Two registers in one access; not those that name memory or change the state.
            let offset = if offset < 0x60 { offset } else { offset - 0x60 + u64::from(regs::BLOCK_BASE) };
            let at = offset.checked_sub(regs::BLOCK_BASE.into()).map(|offset| offset % 0x100);
            let names = [u64::from(global::CONTROL), u64::from(global::SELFTEST)].contains(&offset);
            if names || at.is_some_and(|at| (regs::STATE.into()..regs::EOS.into()).contains(&at)) {
                return;
            }
            if let Some(at) = at {
                let start = (regs::WRITTEN.into()..=regs::START_FRAME_HI.into()).contains(&at);
                let stream = (offset - u64::from(regs::BLOCK_BASE)) / 0x100;
                world.seen[stream as usize].1 |= start;
            }
            world.call(|card, env| card.write(offset, &value.to_le_bytes(), env));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn work_is_bounded_and_memory_is_mapped_and_positions_go_forward(
        lockstep in any::<bool>(),
        sealed in any::<bool>(),
        ops in prop::collection::vec(op(), 1..100),
    ) {
        let clock = if lockstep { ClockMode::Lockstep } else { ClockMode::Realtime };
        let mut world = World::new(Config { clock, render: 2, ..Config::default() }, sealed);
        for op in [Op::MapAll, Op::SetUp(0, 480, 2, 0, vec![]), Op::SetUp(1, 500, 2, 5000, vec![(3, 100), (9, 4001)])].iter().chain(&ops) {
            // STOP, or a RUN that takes START, sets a position back, of that stream and of no other.
            let back = |world: &World, stream: u32| match *op {
                Op::SetUp(which, ..) | Op::State(which, 0) => which == stream,
                Op::State(which, 3) => which == stream && world.seen[stream as usize].1,
                _ => false,
            };
            let may_go_back = [back(&world, 0), back(&world, 1)];
            act(&mut world, op);
            (0..2).for_each(|stream| world.observe(stream, may_go_back[stream as usize]));
        }
    }
}

/// All of the card's streams, the shortest packets, and as late as it can be without starting time again.
#[test]
fn sixteen_streams_that_are_late_are_bounded_work() {
    let mut world = World::new(Config { clock: ClockMode::Realtime, render: 16, ..Config::default() }, true);
    (0..PAGES).for_each(|page| world.ram.map(page));
    for stream in 0..16 {
        world.set_up(stream, 48, 2, FIRST * PAGE + 1024 * u64::from(stream), 0);
        world.write(stream, regs::STATE, regs::STATE_RUN);
    }
    let first = world.card.next_deadline().unwrap();
    for late in [100_000_000, 100_000_001, 5 * SECOND] {
        world.now = world.card.next_deadline().unwrap() + late;
        // The shortest of all accesses.
        let packets = world.read(0, regs::PACKET_COUNT);
        assert!(packets > 0 && world.card.next_deadline().unwrap() > world.now);
    }
    assert!(world.card.next_deadline().unwrap() > first);
}

/// The longest table, every entry behind a link, is read once, slot by slot, and each range is looked at
/// once.
#[test]
fn longest_table_is_bounded_work() {
    let mut world = World::new(Config { clock: ClockMode::Realtime, ..Config::default() }, true);
    (0..PAGES).for_each(|page| world.ram.map(page));
    // 4,096 entries do not fit the pages: all links lead to one entry, followed by a link to it again.
    let table = FIRST * PAGE;
    world.ram.poke(table, &Slot::data(table + PAGE, 1).to_bytes());
    world.ram.poke(table + 16, &Slot::link(table).to_bytes());
    world.set_up(0, dma::ENTRIES_MAX / 4, 1, table, dma::ENTRIES_MAX);
    let mut data = regs::STATE_RUN.to_le_bytes();
    let state = u64::from(regs::BLOCK_BASE + regs::STATE);
    world.call(|card, env| card.write(state, &data, env));
    let accesses = world.ram.accesses.get();
    world.call(|card, env| card.read(state, &mut data, env));
    assert_eq!(u32::from_le_bytes(data), regs::STATE_RUN, "error {}", world.read(0, regs::ERROR));
    // Data slots, links between them, checks, and the first piece: 96 frames in entries of a byte.
    let entries = u64::from(dma::ENTRIES_MAX);
    assert_eq!(accesses, entries + (entries - 1) + entries + 96 * 4);
}

/// DATASHEET 5.3: `WRITTEN - n` as a signed number is not negative. Half of all numbers away it is, whichever
/// way it is counted.
#[test]
fn packet_that_is_half_of_all_numbers_away_is_not_written() {
    let mut world = World::new(Config { clock: ClockMode::Lockstep, ..Config::default() }, true);
    (0..PAGES).for_each(|page| world.ram.map(page));
    world.set_up(0, 82, 1, FIRST * PAGE, 0);
    world.write(0, regs::WRITTEN, 0);
    act(&mut world, &Op::Start(0, 82 << 31));
    world.write(0, regs::STATE, regs::STATE_RUN);
    let page = pages::status_page(0).unwrap();
    assert_eq!(world.read(0, regs::STATE), regs::STATE_RUN);
    assert_ne!(world.bar.u32(page + status::FLAGS) & FLAG_STALLED, 0);
    assert_eq!(world.bar.u32(page + status::STALLED_PACKET), 1 << 31);
}

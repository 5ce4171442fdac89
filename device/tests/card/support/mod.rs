//! A guest and a world for the card's tests: memory that knows what was touched, pages that check how they
//! are written, time that the test turns by hand.

pub mod song;

use ringwave_audio::StreamFormat;
use ringwave_card::controller::{Config, Controller};
use ringwave_card::env::{ClockMode, Env, Interrupts, MarkWords, Pages};
use ringwave_engine::audio_queue::{AudioChunk, AudioQueue};
use ringwave_engine::sources::Sources;
use ringwave_guest_memory::{GuestMemory, MemoryFault};
use ringwave_regs::pages::{self, status};
use ringwave_regs::{dma::Slot, format, pci, stream as regs};
use ringwave_trace::{CardEvent, CardRecords, Diagnostic};
use std::cell::{Cell, RefCell};

pub const SECOND: u64 = 1_000_000_000;

/// Guest RAM in several maps.
#[derive(Default)]
pub struct Memory {
    maps: RefCell<Vec<Map>>,
    /// What the card touched: first address and length.
    pub touched: RefCell<Vec<(u64, u64)>>,
}

struct Map {
    base: u64,
    bytes: Vec<u8>,
    writable: bool,
}

impl Memory {
    pub fn map(&self, base: u64, bytes: usize, writable: bool) {
        self.maps.borrow_mut().push(Map { base, bytes: vec![0; bytes], writable });
    }
    pub fn unmap(&self, base: u64) {
        self.maps.borrow_mut().retain(|map| map.base != base);
    }
    /// What the guest itself stores.
    pub fn poke(&self, address: u64, from: &[u8]) {
        let poked = self.each(address, from.len(), |map, range, done| {
            let end = done + range.len();
            map.bytes[range].copy_from_slice(&from[done..end]);
        });
        poked.expect("poke outside of RAM");
    }
    pub fn peek(&self, address: u64, bytes: usize) -> Vec<u8> {
        let mut into = vec![0; bytes];
        self.copy(address, &mut into).expect("peek outside of RAM");
        into
    }
    pub fn slots(&self, address: u64, slots: &[Slot]) {
        for (index, slot) in slots.iter().enumerate() {
            self.poke(address + 16 * index as u64, &slot.to_bytes());
        }
    }
    fn copy(&self, address: u64, into: &mut [u8]) -> Result<(), MemoryFault> {
        self.each(address, into.len(), |map, range, done| {
            let end = done + range.len();
            into[done..end].copy_from_slice(&map.bytes[range]);
        })
    }
    /// Calls `act` for each stretch of the range that lies in one map: the map, the stretch in it, and the
    /// place in the range.
    fn each(
        &self,
        address: u64,
        bytes: usize,
        mut act: impl FnMut(&mut Map, std::ops::Range<usize>, usize),
    ) -> Result<(), MemoryFault> {
        let mut maps = self.maps.borrow_mut();
        let mut done = 0;
        while done < bytes {
            let at = address.checked_add(done as u64).ok_or(MemoryFault)?;
            let map = maps.iter_mut().find(|map| map.offset(at).is_some()).ok_or(MemoryFault)?;
            let offset = map.offset(at).unwrap();
            let run = (map.bytes.len() - offset).min(bytes - done);
            act(map, offset..offset + run, done);
            done += run;
        }
        Ok(())
    }
}

impl Map {
    fn offset(&self, address: u64) -> Option<usize> {
        let offset = usize::try_from(address.checked_sub(self.base)?).ok()?;
        (offset < self.bytes.len()).then_some(offset)
    }
}

impl GuestMemory for Memory {
    fn read(&self, address: u64, into: &mut [u8]) -> Result<(), MemoryFault> {
        self.copy(address, into)?;
        self.touched.borrow_mut().push((address, into.len() as u64));
        Ok(())
    }
    fn write(&self, address: u64, from: &[u8]) -> Result<(), MemoryFault> {
        self.check(address, from.len() as u64, true)?;
        self.touched.borrow_mut().push((address, from.len() as u64));
        self.poke(address, from);
        Ok(())
    }
    fn check(&self, address: u64, bytes: u64, write: bool) -> Result<(), MemoryFault> {
        let bytes = usize::try_from(bytes).map_err(|_| MemoryFault)?;
        let mut writable = true;
        self.each(address, bytes, |map, _, _| writable &= map.writable)?;
        if write && !writable { Err(MemoryFault) } else { Ok(()) }
    }
}

/// A page BAR that nobody reads.
pub struct NoPages;

impl Pages for NoPages {
    fn load_mark(&self, _: u32) -> MarkWords {
        MarkWords::default()
    }
    fn store_u32(&self, _: u32, _: u32) {}
    fn store_u64(&self, _: u32, _: u64) {}
}

/// The page BAR; checks that fields are stored only while the page's sequence counter is odd.
pub struct PageBar {
    bytes: RefCell<Vec<u8>>,
    /// Loads of a mark page so far.
    pub looks: Cell<u64>,
    /// A guest on another processor: it stores this mark just before that look.
    pub mark_at: Cell<Option<(u64, u64)>>,
    /// `PACKET_COUNT` of stream 0 as that guest reads it behind its store.
    pub count_at_mark: Cell<u32>,
    /// Full fences so far.
    pub fences: Cell<u64>,
}

impl PageBar {
    pub fn new() -> Self {
        Self {
            bytes: RefCell::new(vec![0; pci::PAGES_BYTES as usize]),
            looks: Cell::new(0),
            mark_at: Cell::new(None),
            count_at_mark: Cell::new(0),
            fences: Cell::new(0),
        }
    }
    pub fn u32(&self, offset: u32) -> u32 {
        let at = offset as usize;
        u32::from_le_bytes(self.bytes.borrow()[at..at + 4].try_into().unwrap())
    }
    pub fn u64(&self, offset: u32) -> u64 {
        let at = offset as usize;
        u64::from_le_bytes(self.bytes.borrow()[at..at + 8].try_into().unwrap())
    }
    /// What a guest that scribbles into the page stores.
    pub fn scribble(&self, offset: u32, value: u32) {
        let at = offset as usize;
        self.bytes.borrow_mut()[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    /// The 64-bit word that a guest stores.
    pub fn poke(&self, offset: u32, value: u64) {
        let at = offset as usize;
        self.bytes.borrow_mut()[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    fn check(&self, offset: u32, bytes: u32) {
        assert!(
            offset.is_multiple_of(bytes) && offset + bytes <= pci::PAGES_BYTES,
            "bad store at {offset:#x}"
        );
        let page = offset / pages::PAGE_BYTES * pages::PAGE_BYTES;
        assert!(page < pages::MARK_BASE, "{offset:#x} is the guest's");
        let waiting = page >= pages::STATUS_BASE && offset - page == status::WAITING;
        if page < pages::POSITION_BASE && offset != page && !waiting {
            assert_eq!(self.u32(page) % 2, 1, "{offset:#x} was stored while the sequence counter was even");
        }
    }
}

impl Pages for PageBar {
    fn load_mark(&self, stream: u32) -> MarkWords {
        let page = pages::mark_page(stream).unwrap();
        self.looks.set(self.looks.get() + 1);
        if let Some((_, mark)) = self.mark_at.get().filter(|(look, _)| *look <= self.looks.get()) {
            self.mark_at.set(None);
            self.poke(page + pages::mark::MARK, mark);
            self.count_at_mark.set(self.u32(pages::STATUS_BASE + status::PACKET_COUNT));
        }
        MarkWords {
            mark: self.u64(page + pages::mark::MARK),
            clock: self.u64(page + pages::mark::MARK_CLOCK),
        }
    }
    fn fence(&self) {
        self.fences.set(self.fences.get() + 1);
    }
    fn store_u32(&self, offset: u32, value: u32) {
        self.check(offset, 4);
        let at = offset as usize;
        self.bytes.borrow_mut()[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    fn store_u64(&self, offset: u32, value: u64) {
        self.check(offset, 8);
        let at = offset as usize;
        self.bytes.borrow_mut()[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
}

/// The status page as a guest reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    pub state: u32,
    pub error: u32,
    pub flags: u32,
    pub packet_count: u32,
    pub stalled_packet: u32,
    pub events: u32,
    pub epoch: u32,
    pub anchor: (u64, u64),
    /// `RATE_NUM` and `RATE_DEN`.
    pub rate: u32,
    pub rate_den: u32,
    pub packet_end: (u64, u64),
    pub packet_start: u64,
    pub underruns: u32,
    pub dma_faults: u32,
    pub silence_frames: u64,
    pub mark_tag: u32,
    pub waiting: u32,
}

/// The card in its world.
pub struct TestCard {
    pub card: Controller,
    pub memory: Memory,
    pub pages: PageBar,
    pub now: u64,
    /// Everything played since the card was made, silence as zeroes.
    pub heard: Vec<u8>,
    /// Frames of silence in `heard`.
    pub silence: u64,
    pub trace: Vec<CardEvent>,
    pub notes: Vec<Diagnostic<ringwave_regs::error::Error>>,
    /// Messages and events of the last call (of `run_to`: of all its wakes).
    pub messages: u32,
    pub events: u32,
    /// What capture streams hear.
    pub source: Source,
    /// `AudioChunk::Stop` seen.
    pub stops: u32,
}

/// A microphone that hears [`signal`], one stream after the other.
#[derive(Default)]
pub struct Source {
    /// The number of the next frame.
    pub next: u64,
    /// It has no more frames than up to this one.
    pub end: Option<u64>,
}

impl Sources for Source {
    fn begin(&mut self, _stream: u32, _format: StreamFormat, frame: u64) {
        self.next = frame;
    }

    fn capture(&mut self, _stream: u32, format: StreamFormat, into: &mut [u8]) -> usize {
        assert_eq!(format.frame_bytes(), 4);
        into.fill(0);
        let wanted = into.len() as u64 / 4;
        let frames = self.end.map_or(wanted, |end| wanted.min(end - self.next));
        let bytes = signal(self.next, frames);
        into[..bytes.len()].copy_from_slice(&bytes);
        self.next += frames;
        bytes.len()
    }
}

/// Where the guest RAM is.
pub const RAM: u64 = 0x10_0000;
pub const RAM_BYTES: usize = 0x10_0000;

impl TestCard {
    pub fn new(clock: ClockMode) -> Self {
        Self::with(Config { clock, ..Config::default() })
    }
    pub fn with(config: Config) -> Self {
        let mut dut = Self {
            card: Controller::new(config),
            memory: Memory::default(),
            pages: PageBar::new(),
            now: 5_000_000_017,
            heard: Vec::new(),
            silence: 0,
            trace: Vec::new(),
            notes: Vec::new(),
            messages: 0,
            events: 0,
            source: Source::default(),
            stops: 0,
        };
        dut.memory.map(RAM, RAM_BYTES, true);
        dut.call(Controller::reset);
        dut.card.set_bus_master(true);
        dut.card.set_msi(Some(1));
        dut
    }

    /// Calls the card, and takes what comes of it as the engine does.
    pub fn call<R>(&mut self, act: impl FnOnce(&mut Controller, &mut Env<'_>) -> R) -> R {
        let (mut audio, mut interrupts) = (AudioQueue::default(), Interrupts::default());
        let mut records = CardRecords::default();
        let mut env = Env {
            now: self.now,
            memory: &self.memory,
            pages: &self.pages,
            sources: &mut self.source,
            audio: &mut audio,
            interrupts: &mut interrupts,
            log: records.log(Some(0)),
        };
        let result = act(&mut self.card, &mut env);
        for (_, format, heard) in audio.chunks() {
            match heard {
                AudioChunk::Frames(bytes) => self.heard.extend_from_slice(bytes),
                AudioChunk::Silence(frames) => {
                    self.silence += frames;
                    let bytes = usize::try_from(frames).unwrap() * format.frame_bytes() as usize;
                    self.heard.resize(self.heard.len() + bytes, 0);
                }
                AudioChunk::Stop => self.stops += 1,
            }
        }
        self.trace.extend(records.card_events());
        self.notes.append(&mut records.diagnostics);
        Interrupts { messages: self.messages, events: self.events } = interrupts;
        result
    }

    pub fn read_bytes<const N: usize>(&mut self, offset: u32) -> [u8; N] {
        let mut data = [0x5A; N];
        self.call(|card, env| card.read(u64::from(offset), &mut data, env));
        data
    }
    pub fn get(&mut self, offset: u32) -> u32 {
        u32::from_le_bytes(self.read_bytes(offset))
    }
    pub fn set(&mut self, offset: u32, value: u32) {
        self.call(|card, env| card.write(u64::from(offset), &value.to_le_bytes(), env));
    }
    /// A register of stream 0.
    pub fn read(&mut self, register: u32) -> u32 {
        self.get(regs::BLOCK_BASE + register)
    }
    pub fn write(&mut self, register: u32, value: u32) {
        self.set(regs::BLOCK_BASE + register, value);
    }
    /// Writes a register of stream 0 that is to be refused, and returns the error code.
    pub fn refused(&mut self, register: u32, value: u32) -> u32 {
        self.write(regs::ERROR, 0);
        self.write(register, value);
        self.read(regs::ERROR)
    }

    /// Lets time pass up to `clock`, waking the card exactly at its deadlines.
    pub fn run_to(&mut self, clock: u64) {
        let (mut messages, mut events) = (0, 0);
        while let Some(due) = self.card.next_deadline().filter(|&due| due <= clock) {
            self.now = self.now.max(due);
            self.wake();
            messages |= self.messages;
            events |= self.events;
        }
        self.now = clock;
        self.wake();
        self.messages |= messages;
        self.events |= events;
    }
    pub fn run_for(&mut self, ticks: u64) {
        self.run_to(self.now + ticks);
    }
    /// Wakes the card as the engine does, late or not.
    pub fn wake(&mut self) {
        self.call(Controller::advance);
    }

    pub fn status(&self) -> Status {
        let at = |field| pages::STATUS_BASE + field;
        assert_eq!(self.pages.u32(at(status::SEQ)) % 2, 0);
        Status {
            state: self.pages.u32(at(status::STATE)),
            error: self.pages.u32(at(status::ERROR)),
            flags: self.pages.u32(at(status::FLAGS)),
            packet_count: self.pages.u32(at(status::PACKET_COUNT)),
            stalled_packet: self.pages.u32(at(status::STALLED_PACKET)),
            events: self.pages.u32(at(status::EVENTS)),
            epoch: self.pages.u32(at(status::EPOCH)),
            anchor: (self.pages.u64(at(status::ANCHOR_CLOCK)), self.pages.u64(at(status::ANCHOR_FRAME))),
            rate: self.pages.u32(at(status::RATE_NUM)),
            rate_den: self.pages.u32(at(status::RATE_DEN)),
            packet_end: (self.pages.u64(at(status::PACKET_CLOCK)), self.pages.u64(at(status::PACKET_FRAME))),
            packet_start: self.pages.u64(at(status::PACKET_START_CLOCK)),
            underruns: self.pages.u32(at(status::UNDERRUNS)),
            dma_faults: self.pages.u32(at(status::DMA_FAULTS)),
            silence_frames: self.pages.u64(at(status::SILENCE_FRAMES)),
            mark_tag: self.pages.u32(at(status::MARK_TAG)),
            waiting: self.pages.u32(at(status::WAITING)),
        }
    }

    pub fn position(&mut self) -> u64 {
        u64::from(self.read(regs::POSITION_LO)) | u64::from(self.read(regs::POSITION_HI)) << 32
    }

    /// Stores a mark for stream 0 with the tag that its page shows, and says no more.
    pub fn mark(&mut self, packet: u32) {
        let tag = self.status().mark_tag;
        self.pages.poke(pages::MARK_BASE + pages::mark::MARK, pages::mark::word(packet, tag));
    }
    /// As DATASHEET 7.4 has it: store, fence, and LOOK if WAITING.
    pub fn mark_and_write_look(&mut self, packet: u32) {
        self.mark(packet);
        if self.status().waiting == 1 {
            self.write(regs::LOOK, 0);
        }
    }

    /// Sets stream 0 up, in STOP: contiguous at the start of RAM, S16 stereo (4 bytes a frame), every event
    /// wanted, and lockstep.
    pub fn set_up(&mut self, rate: u32, packet_frames: u32, packets: u32) {
        self.set(ringwave_regs::global::CONTROL, 1);
        self.write(regs::FORMAT, format::pack(format::S16, 2));
        self.write(regs::RATE, rate);
        self.write(regs::RING_BYTES, packet_frames * packets * 4);
        self.write(regs::PACKETS, packets);
        self.write(regs::DMA_MODE, regs::DMA_MODE_CONTIGUOUS);
        self.write(regs::DMA_ADDR_LO, u32::try_from(RAM).unwrap());
        self.write(regs::DMA_ADDR_HI, 0);
        self.write(regs::INT_ENABLE, regs::INT_PACKET | regs::INT_ERROR);
        self.write(regs::LOCKSTEP, regs::LOCKSTEP_ASK);
    }
    /// ... and brings it to PAUSE.
    pub fn ready(&mut self, rate: u32, packet_frames: u32, packets: u32) {
        self.set_up(rate, packet_frames, packets);
        self.state(regs::STATE_ACQUIRE);
        self.state(regs::STATE_PAUSE);
    }
    /// Writes STATE and expects it to be taken.
    pub fn state(&mut self, state: u32) {
        self.write(regs::STATE, state);
        assert_eq!(self.read(regs::STATE), state, "error {}", self.read(regs::ERROR));
    }
    /// Writes STATE and expects it to be refused with the code that is returned.
    pub fn state_refused(&mut self, state: u32) -> u32 {
        let before = self.read(regs::STATE);
        let error = self.refused(regs::STATE, state);
        assert_eq!(self.read(regs::STATE), before);
        assert_eq!(self.status().error, error, "the status page tells the error too");
        error
    }
    /// Frames `first..` of a recognisable signal, 4 bytes each.
    pub fn fill(&self, address: u64, first: u64, frames: u64) {
        self.memory.poke(address, &signal(first, frames));
    }
}

/// Frames `first..first + frames`: each frame tells its own number, modulo 2^31.
pub fn signal(first: u64, frames: u64) -> Vec<u8> {
    (first..first + frames)
        .flat_map(|frame| ((frame & 0x7FFF_FFFF) as u32 | 0x8000_0000).to_le_bytes())
        .collect()
}

//! The card on the bench: every call is made here, and its work is counted. "Every register access does a
//! bounded amount of work" (DATASHEET 2.2) is an assert with numbers.

use ringwave_card::controller::{Config, Controller};
use ringwave_card::env::{Env, Interrupts};
use ringwave_engine::audio_queue::{AudioChunk, AudioQueue};
use ringwave_engine::sources::NoSources;
use ringwave_regs::error::Error;
use ringwave_regs::{dma, global, stream as regs};
use ringwave_trace::{CardEvent, CardRecords};

use crate::bar::Bar;
use crate::ram::Ram;

/// Bytes of audio that one stream moves in one call, at most: what is 100 ms late, and the bursts at both
/// ends of it, at 384 kHz in 8 channels.
const BYTES: u64 = 120 * 384 * 32;
/// Pieces that end in one call, for one stream: none is shorter than a packet of 1 ms (44 frames at 44.1 kHz
/// are a little less).
const BURSTS: u64 = 104;
/// Accesses and bytes of one register write beyond that: a RUN's table with all of its links and the check of
/// every entry, or a self-test's. An access can be two writes.
const TABLE: u64 = 2 * (3 * dma::ENTRIES_MAX as u64 + 2 * global::SELFTEST_BYTES_MAX as u64);

/// What a stream's sink was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sound {
    /// Bytes of frames.
    Frames(Vec<u8>),
    /// Frames of silence.
    Silence(u64),
    /// The end of a stretch.
    Stop,
}

/// The card in its world.
pub struct Bench {
    /// The card.
    pub card: Controller,
    /// Guest RAM.
    pub ram: Ram,
    /// The page BAR.
    pub bar: Bar,
    /// Device clock.
    pub now: u64,
    /// What was heard in the last call, by stream.
    pub sounds: Vec<(u32, Sound)>,
    /// Messages of the last call.
    pub messages: u32,
    /// Events of the last call.
    pub events: u32,
    /// MSI messages granted, while MSI is enabled.
    msi: Option<u32>,
    d3hot: bool,
    /// The present call is a jack's, which is an event even in D3hot.
    jack: bool,
    audio: AudioQueue,
    records: CardRecords<Error>,
}

impl Bench {
    /// After reset, Bus Master Enable on.
    pub fn new(config: Config, ram: Ram) -> Self {
        let mut bench = Self {
            card: Controller::new(config),
            ram,
            bar: Bar::default(),
            now: 1_000_000_007,
            sounds: Vec::new(),
            messages: 0,
            events: 0,
            msi: None,
            d3hot: false,
            jack: false,
            audio: AudioQueue::default(),
            records: CardRecords::default(),
        };
        bench.reset();
        bench.bus_master(true);
        bench
    }

    /// Bus Master Enable is written.
    pub fn bus_master(&mut self, on: bool) {
        self.card.set_bus_master(on);
        self.ram.bus_master.set(on);
    }

    /// MSI is configured.
    pub fn msi(&mut self, granted: Option<u32>) {
        self.card.set_msi(granted);
        self.msi = granted.filter(|&granted| granted != 0);
    }

    /// The power state is written. The ends that have passed belong to the state before.
    pub fn d3hot(&mut self, d3hot: bool) {
        self.d3hot &= d3hot;
        self.call(|card, env| card.set_d3hot(d3hot, env));
        self.d3hot = d3hot;
    }

    /// Whether the function is in D3hot.
    pub fn is_d3hot(&self) -> bool {
        self.d3hot
    }

    /// The function is reset.
    pub fn reset(&mut self) {
        // The end of what was heard is told from D3hot, too.
        self.d3hot = false;
        self.call(Controller::reset);
        assert!(
            self.messages == 0 && self.events == 0 && !self.card.intx(),
            "nothing is pending after a reset"
        );
    }

    /// Something is plugged into a jack or pulled out. DATASHEET 5.9: an event at most, of that stream, and
    /// only if something changed.
    pub fn jack(&mut self, stream: u32, plugged: bool) {
        let before = self.card.jack(stream);
        self.jack = true;
        self.call(|card, env| card.set_jack(stream, plugged, env));
        self.jack = false;
        assert_eq!(self.card.jack(stream), before.map(|_| plugged));
    }

    /// Calls the card, takes what comes of it and counts its work.
    pub fn call<R>(&mut self, act: impl FnOnce(&mut Controller, &mut Env<'_>) -> R) -> R {
        self.ram.touched.borrow_mut().clear();
        self.ram.accesses.set(0);
        self.ram.bytes.set(0);
        self.bar.stores.set(0);
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
        self.sounds.clear();
        for (stream, _, heard) in self.audio.chunks() {
            let sound = match heard {
                AudioChunk::Frames(bytes) => Sound::Frames(bytes.to_vec()),
                AudioChunk::Silence(frames) => Sound::Silence(frames),
                AudioChunk::Stop => Sound::Stop,
            };
            self.sounds.push((stream, sound));
        }
        (self.messages, self.events) = (interrupts.messages, interrupts.events);
        self.check_work();
        self.check_interrupts();
        self.records.clear();
        self.audio.clear();
        result
    }

    fn check_work(&self) {
        let streams = u64::from(self.card.streams());
        let (accesses, bytes) = (self.ram.accesses.get(), self.ram.bytes.get());
        // A burst in entries of one byte each is as many accesses as bytes.
        assert!(accesses <= streams * BYTES + TABLE, "{accesses} accesses to guest memory in one call");
        assert!(
            bytes <= streams * BYTES + TABLE * u64::from(dma::SLOT_BYTES),
            "{bytes} bytes of guest memory in one call"
        );
        // Each end of a burst, each state change and each write is one status page of 19 stores, a position
        // page of 3 at most.
        let stores = self.bar.stores.get();
        assert!(stores <= (streams * BURSTS + 2 * streams + 6) * 24, "{stores} stores to pages in one call");
        let sounds = self.sounds.len() as u64;
        assert!(sounds <= streams * BURSTS + 2 * streams, "{sounds} sounds in one call");
        let diagnosed = |event: &CardEvent| matches!(event, CardEvent::Diagnostic(_));
        let diagnostics = self.records.card_events().filter(diagnosed).count() as u64;
        assert!(diagnostics <= streams * 2 * BURSTS + 4, "{diagnostics} diagnostics in one call");
        // A line for each access, and a few for each burst and each diagnostic.
        assert!(self.records.trace.len() as u64 <= accesses + streams * 5 * BURSTS + diagnostics + 8);
    }

    /// DATASHEET 2.1.
    fn check_interrupts(&self) {
        let granted = self.msi.unwrap_or(0).min(32);
        let allowed = u32::try_from((1_u64 << granted) - 1).unwrap_or(u32::MAX);
        assert_eq!(self.messages & !allowed, 0, "messages {:#x}, granted {granted}", self.messages);
        assert!(self.messages == 0 || self.ram.bus_master.get(), "a message without Bus Master Enable");
        assert!(!self.card.intx() || self.msi.is_none() && !self.d3hot, "INTx with MSI or in D3hot");
        let quiet = self.messages == 0 && (self.events == 0 || self.jack) && self.sounds.is_empty();
        let quiet = quiet && self.ram.touched.borrow().is_empty();
        assert!(!self.d3hot || quiet, "something happened in D3hot");
    }

    /// Reads a register.
    pub fn get(&mut self, offset: u32) -> u32 {
        let mut data = [0x5A; 4];
        self.call(|card, env| card.read(offset.into(), &mut data, env));
        u32::from_le_bytes(data)
    }

    /// Writes a register.
    pub fn set(&mut self, offset: u32, value: u32) {
        self.call(|card, env| card.write(offset.into(), &value.to_le_bytes(), env));
    }

    /// Writes a register of stream 0.
    pub fn write(&mut self, register: u32, value: u32) {
        self.set(regs::BLOCK_BASE + register, value);
    }

    /// Reads a register of stream 0.
    pub fn read(&mut self, register: u32) -> u32 {
        self.get(regs::BLOCK_BASE + register)
    }
}

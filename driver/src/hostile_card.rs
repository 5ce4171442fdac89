//! The driver before a card that lies: what a byte string says is what the card answers, and what is asked of
//! it. The fuzz target `hostile` of `tests/fuzz` makes such strings, and a test here makes some by a fixed
//! seed.
//!
//! What is asserted, whatever the card says: no panic and no access outside of its BARs (`nt::mmio` ends a
//! debug build then); no call reads the card without an end; what the card claims to have is within the
//! bounds of the interface; a position is inside of the cyclic buffer; a card that answers with ones, as a
//! device does that is gone, is an error; and in the end nothing is left mapped or allocated.
#![allow(
    missing_docs,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a panic is how a test fails"
)]

use std::cell::RefCell;
use std::ptr::null_mut;
use std::rc::Rc;

use nt::host;
use nt::sys::_DEVICE_POWER_STATE::{PowerDeviceD0, PowerDeviceD3};
use portcls_sys::Com;
use portcls_sys::interfaces::{AdapterPowerManagement2, MiniportWaveRTStream};
use portcls_sys::ks::KSSTATE;
use ringwave_regs::{format as sample, global, pages, stream as regs};

use crate::adapter::Adapter;
use crate::hw::format::{CHANNELS_MAX, RATES, SampleFormat};
use crate::hw::ringwave::{Ringwave, memory_card::MemoryCard};
use crate::hw::{Card, Endpoint, STREAMS_MAX};
use crate::registry::RegistryConfig;

pub mod client;
use client::{Client, Driven, Jacks, describe};

/// Where its registers are, for each thread.
const PHYSICAL: u64 = 0x7_0000_0000;
/// Reads of the card during one call of the driver: more is a loop. A probe of sixteen streams takes 60, a
/// status page that never holds still 8 times 18.
const READS_MAX: u32 = 20_000;
/// The most that is asked of the driver by one input.
const CALLS_MAX: u32 = 400;
/// What a register reads when no device answers.
const NO_DEVICE: u32 = u32::MAX;

/// What the input says: calls from its front on, lies from its end on, so that neither moves when the other
/// gets longer.
struct Script {
    input: Vec<u8>,
    front: usize,
    back: usize,
}

impl Script {
    fn of(input: &[u8]) -> Self {
        Self { input: input.to_vec(), front: 0, back: input.len() }
    }

    /// The next byte about calls; `None` at the end.
    fn call(&mut self) -> Option<u8> {
        (self.front < self.back).then(|| {
            self.front += 1;
            self.input[self.front - 1]
        })
    }

    fn number(&mut self) -> u32 {
        u32::from_le_bytes([(); 4].map(|()| self.call().unwrap_or(0)))
    }

    /// The next byte about lies; `None` at the end.
    fn lie(&mut self) -> Option<u8> {
        (self.front < self.back).then(|| {
            self.back -= 1;
            self.input[self.back]
        })
    }
}

/// What the card does when it is read.
struct Liar {
    script: Script,
    /// Reads that are answered truthfully before the next lie.
    honest: u32,
    /// Reads since the driver was called.
    reads: u32,
    /// It answers with ones.
    gone: bool,
}

impl Liar {
    fn rest(&mut self) {
        self.honest = match self.script.lie() {
            None => u32::MAX,
            Some(few @ 0..128) => u32::from(few % 16),
            Some(many) => u32::from(many),
        };
    }

    /// What is read instead of `truth`; `None`: the truth.
    fn before_read(&mut self, truth: u32) -> Option<u32> {
        self.reads += 1;
        assert!(self.reads < READS_MAX, "the driver reads without an end");
        if self.gone {
            return Some(NO_DEVICE);
        }
        if self.honest > 0 {
            self.honest -= 1;
            return None;
        }
        let kind = self.script.lie().unwrap_or(0);
        let lie = match kind % 8 {
            0 => NO_DEVICE,
            1 => 0,
            2 => truth.wrapping_add(1),
            3 => truth.wrapping_sub(1),
            4 => truth ^ 1 << (kind / 8),
            5 => u32::from(kind / 8),
            6 => u32::MAX >> (kind / 8),
            _ => u32::from_le_bytes([(); 4].map(|()| self.script.lie().unwrap_or(0))),
        };
        self.rest();
        Some(lie)
    }
}

/// A card in this thread's fake device memory that does what one does, unless it lies.
struct HostileCard {
    memory: MemoryCard,
    liar: Rc<RefCell<Liar>>,
}

thread_local! {
    /// Fake device memory stays for ever, so there is one card in each thread.
    static CARD: HostileCard = HostileCard::new();
}

impl HostileCard {
    fn new() -> Self {
        let memory = MemoryCard::at(PHYSICAL);
        let liar = Liar { script: Script::of(&[]), honest: u32::MAX, reads: 0, gone: false };
        let liar = Rc::new(RefCell::new(liar));
        for (physical, base) in [(PHYSICAL, memory.registers()), (PHYSICAL + 0x10_0000, memory.pages)] {
            let liar = Rc::clone(&liar);
            host::on_read(physical, move |offset| {
                let Ok(offset) = u32::try_from(offset & !3) else { return };
                let lie = liar.borrow_mut().before_read(get(base, offset));
                if let Some(lie) = lie {
                    put(base, offset, lie);
                }
            });
        }
        let page_bar = memory.pages;
        host::on_write(PHYSICAL, move |offset, value| written(page_bar, offset, value));
        Self { memory, liar }
    }

    /// A card that has everything, and takes its lies from `input`.
    fn reset(&self, input: &[u8]) {
        self.memory.clear();
        self.memory.set(global::FEATURES, 0xFFFF);
        self.memory.set(global::STREAMS, 1 | 1 << global::STREAMS_CAPTURE_SHIFT);
        self.memory.set(global::SG_ENTRIES_MAX, 64);
        self.memory.set(global::RING_BYTES_MAX, global::RING_BYTES_MAX_VALUE);
        for stream in 0..STREAMS_MAX {
            let block = regs::block(stream).unwrap();
            let captures = if stream == 1 { regs::CAPS_CAPTURE } else { 0 };
            self.memory
                .set(block + regs::CAPS, regs::CAPS_PRESENT | captures | 8 << regs::CAPS_CHANNELS_SHIFT);
            self.memory.set(block + regs::FORMATS, sample::FORMATS_ALL);
            self.memory.set(block + regs::RATES, sample::RATES_ALL);
            let page = pages::status_page(stream).unwrap();
            self.page_set(page + pages::status::MARK_TAG, 1 + stream);
            self.page_set(page + pages::status::RATE_DEN, 1);
        }
        let mut liar = Liar { script: Script::of(input), honest: 0, reads: 0, gone: false };
        liar.rest();
        *self.liar.borrow_mut() = liar;
    }

    fn page_set(&self, offset: u32, value: u32) {
        put(self.memory.pages, offset, value);
    }

    /// The driver is called anew.
    fn count_anew(&self) {
        self.liar.borrow_mut().reads = 0;
    }

    /// A word of a page says something.
    fn say(&self, stream: u32, field: u8, value: u32) {
        let page = pages::status_page(stream).unwrap();
        self.page_set(page + u32::from(field % 36) * 4, value);
    }
}

impl Driven for HostileCard {
    fn call(&self) -> Option<u8> {
        self.liar.borrow_mut().script.call()
    }

    fn number(&self) -> u32 {
        self.liar.borrow_mut().script.number()
    }

    /// It plays or records so many packets of a millisecond.
    fn play(&self, stream: u32, count: u8) {
        let at = |field| pages::status_page(stream).unwrap() + field;
        let packets = get(self.memory.pages, at(pages::status::PACKET_COUNT)).wrapping_add(count.into());
        self.page_set(at(pages::status::PACKET_COUNT), packets);
        self.page_set(at(pages::status::ANCHOR_FRAME), packets.wrapping_mul(48));
        self.page_set(at(pages::status::ANCHOR_CLOCK), packets.wrapping_mul(1_000_000));
        self.page_set(at(pages::status::PACKET_CLOCK), packets.wrapping_mul(1_000_000));
        self.page_set(at(pages::status::RATE_NUM), 48);
        self.page_set(at(pages::status::RATE_DEN), 1_000_000);
    }
}

/// What the card does when it is told a state: it is there at once, and its page says so.
fn written(page_bar: *mut u8, offset: usize, value: u32) {
    let Some((stream, regs::STATE)) = regs::in_block(offset as u64) else { return };
    let Some(page) = pages::status_page(stream) else { return };
    put(page_bar, page + pages::status::STATE, value);
    if value == regs::STATE_STOP {
        for field in [pages::status::PACKET_COUNT, pages::status::ANCHOR_FRAME, pages::status::ERROR] {
            put(page_bar, page + field, 0);
        }
    }
}

fn put(bar: *mut u8, offset: u32, value: u32) {
    // SAFETY: inside of the BAR: the callers have found the offset by it, or take a field of a stream's page.
    unsafe { bar.wrapping_add(offset as usize).cast::<[u8; 4]>().write_volatile(value.to_ne_bytes()) }
}

fn get(bar: *mut u8, offset: u32) -> u32 {
    // SAFETY: as above.
    u32::from_ne_bytes(unsafe { bar.wrapping_add(offset as usize).cast::<[u8; 4]>().read_volatile() })
}

/// Lets the driver find the card that `input` describes, and use it until the input ends.
pub fn drive(input: &[u8]) {
    CARD.with(|card| {
        card.reset(input);
        let mode = card.call().unwrap_or(0);
        host::grant_messages(u32::from(mode & 3));
        // SAFETY: fake device memory.
        let found = unsafe { Ringwave::find(&card.memory.resources()) };
        if let Ok(found) = found {
            judge_endpoints(&found);
            use_card(card, found, mode);
        }
        assert_eq!(host::io_mappings(), 0, "a BAR is still mapped");
        assert_eq!(host::contiguous_blocks(), 0, "a table or the page of the self-test is left");
        assert_eq!(host::interrupt(0), None, "an interrupt is still connected");
    });
}

/// What the driver takes for true of a card is within the bounds of the register interface.
fn judge_endpoints(card: &Ringwave) {
    for endpoint in (0..=STREAMS_MAX).filter_map(|stream| card.endpoint(stream)) {
        let Endpoint { stream, can, limits, .. } = endpoint;
        assert!(stream < STREAMS_MAX && can.channels_max <= CHANNELS_MAX);
        assert!(can.rates < 1 << RATES.len() && can.samples < 1 << SampleFormat::ALL.len());
        assert!(limits.clock_hz != 0 && limits.buffer_bytes_max <= global::RING_BYTES_MAX_VALUE);
        assert!(limits.segments_max <= ringwave_regs::dma::ENTRIES_MAX);
        assert!(limits.dma_highest >= u64::from(u32::MAX) && i64::try_from(limits.dma_highest).is_ok());
    }
}

fn use_card(card: &HostileCard, found: Ringwave, mode: u8) {
    let adapter = Adapter::try_new(null_mut(), Box::new(found)).unwrap();
    // SAFETY: no device is looked at, and the adapter is stopped below.
    let connected = unsafe { adapter.connect(null_mut()) };
    connected.unwrap();
    let config = RegistryConfig {
        contiguous: mode & 4 != 0,
        lockstep: mode & 8 != 0,
        position_register: mode & 16 != 0,
        ..RegistryConfig::default()
    };
    let _jacks = Jacks::listen(&adapter);
    describe(&adapter, config);
    let mut clients = Vec::new();
    for _ in 0..CALLS_MAX {
        let Some(call) = card.call() else { break };
        card.count_anew();
        step(card, &adapter, config, &mut clients, call);
    }
    card.count_anew();
    is_gone(card, &adapter, &clients);
    // A client that is closed in the middle of things, before the device goes or after.
    if mode & 32 != 0 {
        clients.drain(..).for_each(Client::close);
    }
    adapter.stop();
    clients.drain(..).for_each(Client::close);
}

/// One thing that is asked of the driver.
fn step(
    card: &HostileCard,
    adapter: &Com<Adapter>,
    config: RegistryConfig,
    clients: &mut Vec<Client>,
    call: u8,
) {
    let which = usize::from(call & 1);
    match (call >> 1) & 31 {
        0 if clients.len() < 2 => clients.extend(Client::open(card, adapter, config, which)),
        1 if which < clients.len() => clients.remove(which).close(),
        2 => card.play(u32::from(call & 1), card.call().unwrap_or(1)),
        3 => card.say(u32::from(call & 1), card.call().unwrap_or(0), card.number()),
        4 | 5 => {
            let _ = host::interrupt(0);
            host::run_dpcs();
        }
        6 => adapter.power_change_state2(PowerDeviceD3, 0),
        7 => adapter.power_change_state2(PowerDeviceD0, 0),
        8 => {
            card.memory.raise();
            let _ = host::interrupt(0);
            host::run_dpcs();
        }
        9 => {
            let (channel, volume) = (u32::from(card.call().unwrap_or(0)), card.number().cast_signed());
            adapter.mixer().set_volume(adapter.card(), u32::from(call & 1), channel, volume);
            adapter.mixer().set_muted(adapter.card(), u32::from(call & 1), (0, channel), call & 64 != 0);
        }
        // A word of any register says something, from now on.
        10 => card.memory.set(card.number() & 0x3FFC, card.number()),
        other => {
            if let Some(client) = clients.get_mut(which) {
                client.step(card, other);
            }
        }
    }
}

/// From now on no device answers: every question for the card is an error, and what goes down succeeds.
fn is_gone(card: &HostileCard, adapter: &Com<Adapter>, clients: &[Client]) {
    card.liar.borrow_mut().gone = true;
    for stream in 0..=STREAMS_MAX {
        let gone = adapter.card();
        assert_eq!((gone.status(stream), gone.state(stream), gone.unplugged(stream)), (None, None, None));
        assert!(gone.set_state(stream, crate::hw::StreamState::Run).is_err(), "a card that is gone runs");
    }
    for client in clients {
        client.stream.set_state(KSSTATE(0)).unwrap();
        // One in D3 may come back as what it was: then RUN is remembered.
        if client.buffer.is_some() && !adapter.card().asleep() {
            assert!(client.stream.set_state(KSSTATE(3)).is_err(), "a card that is gone plays");
        }
        client.judge_position();
    }
}

#[cfg(test)]
mod tests {
    use portcls_sys::Out;
    use portcls_sys::interfaces::MiniportWaveRTOutputStream;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, rng_seed: RngSeed::Fixed(13), ..ProptestConfig::default() })]
        /// The claims of this module, which `drive` asserts.
        #[test]
        fn a_card_that_lies_does_no_harm(input in prop::collection::vec(any::<u8>(), 0..400)) {
            drive(&input);
        }
    }

    /// A card that never lies is found, plays and records.
    #[test]
    fn without_lies_it_is_a_card() {
        CARD.with(|card| {
            card.reset(&[]);
            // SAFETY: fake device memory.
            let found = unsafe { Ringwave::find(&card.memory.resources()) }.unwrap();
            let adapter = Adapter::try_new(null_mut(), Box::new(found)).unwrap();
            for number in [0, 1] {
                let config = RegistryConfig::default();
                let mut client = Client::open(card, &adapter, config, number).unwrap();
                client.allocate(2, 3840);
                client.stream.set_state(KSSTATE(3)).unwrap();
                card.play(client.number, 3);
                assert!(client.captures || client.stream.get_packet_count(Out::new(&mut 0)).is_ok());
                client.judge_position();
                client.close();
            }
        });
    }
}

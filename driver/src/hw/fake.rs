//! A card for the host's unit tests: does what it is told, remembers it, and says what a test puts into its status page. It judges
//! nothing; `tests/ntguest` and the real card do.
#![allow(clippy::missing_panics_doc, reason = "a panic is how a test fails")]

use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nt::NtResult;
use nt::status::{STATUS_DEVICE_HARDWARE_ERROR, STATUS_DEVICE_NOT_READY};

use super::{Card, Dma, Limits, State, Status};
use crate::hw::endpoint::{Direction, Endpoint};
use crate::hw::geometry::Ring;
use crate::wave::format::{Abilities, AudioFormat};
use crate::wave::packets::Mark;
use crate::wave::position::Anchor;

/// What the card was told, in order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Told {
    /// `configure`.
    Configure(AudioFormat, Ring, Dma),
    /// `set_state`.
    State(State),
    /// `start_at`.
    StartAt(u64, u32),
    /// `tick_position`.
    Tick(bool),
    /// `ask_lockstep`.
    Lockstep(bool),
    /// `mark`, by the mark page.
    Mark(u32),
    /// To look at the mark page at once.
    Look,
    /// `mark`, by registers: of the end of a stream, or without a mark page.
    Written(u32, Option<u32>),
    /// `set_volume`: stream, channel, volume.
    Volume(u32, u32, i32),
    /// `set_mute`: stream, channels.
    Mute(u32, u32),
    /// `watch_jack`: stream.
    WatchJack(u32),
}

/// The card's inside, shared with the test.
#[allow(clippy::struct_excessive_bools, reason = "each is something a test can do to it")]
pub struct Inside {
    /// Everything it was told since the test last took it.
    pub told: Vec<Told>,
    /// Its state register.
    pub state: State,
    /// The device clock that came with the last mark in the mark page.
    pub mark_clock: u64,
    /// Its status page; `None` = it can't be read.
    pub status: Option<Status>,
    /// A state it refuses to go to.
    pub refuses: Option<State>,
    /// It was removed, or lost its power.
    pub gone: bool,
    /// It was told the end of the stream since STOP: a start in the middle is refused then (DATASHEET 5.5).
    pub ending: bool,
    /// It is in D3.
    pub asleep: bool,
    /// It comes back from D3 as another one.
    pub exchanged: bool,
    /// Called before it hears a mark.
    pub before_mark: Option<Arc<dyn Fn() + Send + Sync>>,
    /// It may raise interrupts.
    pub interrupts: bool,
    /// Whose position page is held: bit i is stream i.
    pub pages_held: u32,
    /// Nothing is plugged into any jack.
    pub unplugged: bool,
    /// It asserts its interrupt line.
    pub line: bool,
    /// What it has.
    pub limits: Limits,
}

/// The test's hand on a card.
#[derive(Clone)]
pub struct FakeCard(pub Arc<Mutex<Inside>>);

impl Default for FakeCard {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Inside {
            told: Vec::new(),
            state: State::Stop,
            mark_clock: 0,
            status: Some(page()),
            refuses: None,
            gone: false,
            ending: false,
            asleep: false,
            exchanged: false,
            before_mark: None,
            interrupts: false,
            pages_held: 0,
            unplugged: false,
            line: false,
            limits: Limits {
                dma_highest: u64::MAX >> 1,
                ring_bytes_max: 16 << 20,
                entries_max: 4096,
                contiguous: true,
                scatter_gather: true,
                written: true,
                mark_page: true,
                start_frame: true,
                position_page: true,
                volume: true,
                jack: true,
                clock_hz: 1_000_000_000,
            },
        })))
    }
}

/// What its streams take: everything.
const CAN: Abilities = Abilities {
    samples: ringwave_regs::format::FORMATS_ALL,
    rates: ringwave_regs::format::RATES_ALL,
    channels_max: 8,
};

/// A status page in which nothing has happened.
pub fn page() -> Status {
    Status {
        state: 0,
        error: 0,
        flags: 0,
        packet_count: 0,
        stalled_packet: 0,
        anchor: Anchor { clock: 0, frame: 0, rate_num: 0, rate_den: 1 },
        packet_clock: 0,
        packet_start_clock: 0,
        dma_faults: 0,
        underruns: 0,
    }
}

impl FakeCard {
    /// Its inside; also after a failed assertion, so that the stream's end does not hide it.
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hears what needs power and registers.
    fn hear(&self, told: Told) {
        at_passive_level();
        let mut inside = self.inside();
        if !inside.gone && !inside.asleep {
            inside.told.push(told);
        }
    }

    /// What it was told since the last time.
    pub fn take_told(&self) -> Vec<Told> {
        std::mem::take(&mut self.inside().told)
    }

    /// Looks into it.
    pub fn sees<R>(&self, look: impl FnOnce(&Inside) -> R) -> R {
        look(&self.inside())
    }

    /// Changes its inside.
    pub fn change(&self, change: impl FnOnce(&mut Inside)) {
        change(&mut self.inside());
    }

    /// Changes its status page.
    pub fn show(&self, change: impl FnOnce(&mut Status)) {
        self.change(|inside| change(inside.status.as_mut().unwrap()));
    }
}

/// A register is a message to another process: never under a spin lock, never in the DPC.
fn at_passive_level() {
    assert_eq!(nt::irql::current(), nt::sys::PASSIVE_LEVEL, "a register is touched at DISPATCH_LEVEL");
}

impl Card for FakeCard {
    fn limits(&self) -> Limits {
        self.inside().limits
    }
    fn endpoint(&self, stream: u32) -> Option<Endpoint> {
        let direction = *[Direction::Render, Direction::Capture].get(stream as usize)?;
        Some(Endpoint { stream, direction, can: CAN })
    }
    fn configure(&self, _stream: u32, format: AudioFormat, ring: Ring, dma: Dma) -> NtResult {
        at_passive_level();
        let mut inside = self.inside();
        if inside.gone || inside.asleep {
            return Err(STATUS_DEVICE_NOT_READY);
        }
        inside.state = State::Stop;
        inside.told.push(Told::Configure(format, ring, dma));
        Ok(())
    }
    fn set_state(&self, _stream: u32, state: State) -> NtResult {
        at_passive_level();
        let mut inside = self.inside();
        if inside.gone || inside.asleep {
            return Err(STATUS_DEVICE_NOT_READY);
        }
        if inside.refuses == Some(state) {
            return Err(STATUS_DEVICE_HARDWARE_ERROR);
        }
        assert!(state.number() <= inside.state.number() + 1, "the card goes up one step at a time");
        inside.state = state;
        inside.told.push(Told::State(state));
        if state == State::Stop {
            inside.status = Some(page());
            inside.ending = false;
        }
        Ok(())
    }
    fn state(&self, _stream: u32) -> Option<State> {
        at_passive_level();
        let inside = self.inside();
        (!inside.gone && !inside.asleep).then_some(inside.state)
    }
    fn start_at(&self, _stream: u32, frame: u64, packet: u32) {
        at_passive_level();
        self.change(|inside| {
            assert!(!inside.ending, "START is refused after the end of the stream was told");
            inside.told.push(Told::StartAt(frame, packet));
        });
    }
    fn ask_lockstep(&self, _stream: u32, ask: bool) {
        self.hear(Told::Lockstep(ask));
    }
    fn mark(&self, _stream: u32, mark: Mark, clock: u64, look: bool) -> bool {
        at_passive_level();
        // Whoever tells it may be held up here.
        if let Some(held_up) = self.sees(|inside| inside.before_mark.clone()) {
            held_up();
        }
        let mut inside = self.inside();
        if inside.gone || inside.asleep {
            return false;
        }
        assert_ne!(inside.state, State::Stop, "in STOP a mark says nothing");
        if mark.end_of_stream.is_none() && inside.limits.mark_page {
            inside.mark_clock = clock;
            inside.told.push(Told::Mark(mark.number));
            inside.told.extend(look.then_some(Told::Look));
        } else {
            assert!(!inside.ending, "WRITTEN is refused after the end of the stream was told");
            inside.ending |= mark.end_of_stream.is_some();
            inside.told.push(Told::Written(mark.number, mark.end_of_stream));
        }
        true
    }
    fn status(&self, _stream: u32) -> Option<Status> {
        let inside = self.inside();
        inside.status.filter(|_| !inside.gone && !inside.asleep)
    }
    fn tick_position(&self, _stream: u32, tick: bool) {
        self.hear(Told::Tick(tick));
    }
    fn position_page(&self, stream: u32) -> Option<NonNull<u8>> {
        let mut inside = self.inside();
        if !inside.limits.position_page || inside.gone {
            return None;
        }
        inside.pages_held |= 1 << stream;
        // An address that nobody reads.
        NonNull::new(std::ptr::without_provenance_mut(0x1000 * (stream as usize + 1)))
    }
    fn release_position_page(&self, stream: u32) {
        self.change(|inside| inside.pages_held &= !(1 << stream));
    }
    fn set_volume(&self, stream: u32, channel: u32, volume: i32) {
        self.hear(Told::Volume(stream, channel, volume));
    }
    fn set_mute(&self, stream: u32, channels: u32) {
        self.hear(Told::Mute(stream, channels));
    }
    fn watch_jack(&self, stream: u32) {
        self.hear(Told::WatchJack(stream));
    }
    fn unplugged(&self, _stream: u32) -> Option<bool> {
        let inside = self.inside();
        (inside.limits.jack && !inside.gone && !inside.asleep).then_some(inside.unplugged)
    }
    fn enable_interrupts(&self, enable: bool) {
        at_passive_level();
        self.change(|inside| inside.interrupts = enable && !inside.gone && !inside.asleep);
    }
    unsafe fn acknowledge_line(&self) -> bool {
        std::mem::take(&mut self.inside().line)
    }
    fn set_power(&self, on: bool) -> bool {
        at_passive_level();
        let mut inside = self.inside();
        // It leaves D0 with its interrupt off, and comes back so.
        inside.interrupts = false;
        inside.asleep = !on || inside.exchanged;
        !on || !inside.exchanged
    }
    fn asleep(&self) -> bool {
        self.sees(|inside| inside.asleep && !inside.gone && !inside.exchanged)
    }
    fn remove(&self) {
        at_passive_level();
        self.change(|inside| inside.gone = true);
    }
}

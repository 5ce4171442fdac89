//! A card for the host's unit tests: does what it is asked for, records it, and reports the status that a
//! test sets. It judges nothing; `tests/ntguest` and the real card do.
#![allow(clippy::missing_panics_doc, reason = "a panic is how a test fails")]

use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nt::NtResult;
use nt::interrupt::Granted;
use nt::status::{STATUS_DEVICE_HARDWARE_ERROR, STATUS_DEVICE_NOT_READY, STATUS_INSUFFICIENT_RESOURCES};

use super::format::{AudioFormat, Capabilities};
use super::geometry::BufferGeometry;
use super::segments::{PageList, Segment, Segments};
use super::{Anchor, Card, Direction, Endpoint, Limits, Mark, PositionRegisters, Status, StreamState};

/// A call of the driver that reached the card.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RecordedCall {
    /// `configure`.
    Configure(AudioFormat, BufferGeometry),
    /// `set_state`.
    State(StreamState),
    /// `start_at`.
    StartAt(u64, u32),
    /// `update_position_registers`.
    UpdateRegisters(bool),
    /// `ask_lockstep`.
    Lockstep(bool),
    /// `mark` of a packet.
    Mark(u32),
    /// The mark before it must be seen at once.
    AtOnce,
    /// `mark` of the end of a stream: packet, valid bytes.
    End(u32, u32),
    /// `set_volume`: stream, channel, volume.
    Volume(u32, u32, i32),
    /// `set_mute`: stream, channels.
    Mute(u32, u32),
    /// `watch_jack`: stream.
    WatchJack(u32),
}

/// What a test sets in a card that is held up.
pub type Hook = Arc<dyn Fn() + Send + Sync>;

/// The card's inside, shared with the test.
#[allow(clippy::struct_excessive_bools, reason = "each is something a test can do to it")]
pub struct FakeState {
    /// Every call since the test last took them.
    pub calls: Vec<RecordedCall>,
    /// The state of its stream.
    pub state: StreamState,
    /// The device clock that came with the last mark.
    pub mark_clock: u64,
    /// What it reports of its stream; `None` = nothing.
    pub status: Option<Status>,
    /// That changes under every reading, but for the count of packets.
    pub torn: bool,
    /// A state it refuses to go to.
    pub refuses: Option<StreamState>,
    /// It was removed, or lost its power.
    pub gone: bool,
    /// It knows the end of the stream since STOP: a start in the middle is refused then (DATASHEET 5.5).
    pub ending: bool,
    /// It is in D3.
    pub asleep: bool,
    /// It comes back from D3 as another one.
    pub exchanged: bool,
    /// Called before it takes a mark.
    pub before_mark: Option<Hook>,
    /// Called while a caller waits for it to change its state, as a card does that answers later.
    pub before_answer: Option<Hook>,
    /// It may raise interrupts by this.
    pub interrupts: Option<Granted>,
    /// Its interrupts are about these streams: bit i is stream i.
    pub interrupting: u32,
    /// When it wants to be looked at without an interrupt.
    pub next_look: Option<u64>,
    /// Where its cyclic buffer is.
    pub attached: Option<Vec<Segment>>,
    /// It keeps the pages of its cyclic buffer for ever.
    pub keeps_pages: bool,
    /// Whose position registers are held: bit i is stream i.
    pub registers_held: u32,
    /// Nothing is plugged into any jack.
    pub unplugged: bool,
    /// It asserts its interrupt line.
    pub line: bool,
    /// What it has.
    pub limits: Limits,
}

/// The test's hand on a card.
#[derive(Clone)]
pub struct FakeCard(pub Arc<Mutex<FakeState>>);

/// What its streams have: everything.
pub const LIMITS: Limits = Limits {
    dma_highest: u64::MAX >> 1,
    buffer_bytes_max: 16 << 20,
    segments_max: 4096,
    start_frame: true,
    forgets_marks: true,
    position_registers: true,
    volume_min: Some(-96 << 16),
    jack: true,
    clock_hz: 1_000_000_000,
};

impl Default for FakeCard {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(FakeState {
            calls: Vec::new(),
            state: StreamState::Stop,
            mark_clock: 0,
            status: Some(status()),
            torn: false,
            refuses: None,
            gone: false,
            ending: false,
            asleep: false,
            exchanged: false,
            before_mark: None,
            before_answer: None,
            interrupts: None,
            interrupting: u32::MAX,
            next_look: None,
            attached: None,
            keeps_pages: false,
            registers_held: 0,
            unplugged: false,
            line: false,
            limits: LIMITS,
        })))
    }
}

/// A stream to which nothing has happened.
pub fn status() -> Status {
    Status {
        error: None,
        dma_faults: 0,
        lockstep: false,
        stalled_on: None,
        packet_count: 0,
        anchor: Anchor { clock: 0, frame: 0, rate_num: 0, rate_den: 1 },
        packet_clock: 0,
        packet_start_clock: 0,
        underruns: 0,
    }
}

/// The FIFO of a stream: 2 ms, or a packet.
pub fn fifo_frames(rate: u32, packet_frames: u32) -> u32 {
    packet_frames.min(rate / 500)
}

impl FakeCard {
    /// Its inside; also after a failed assertion, so that the stream's end does not hide it.
    fn inside(&self) -> MutexGuard<'_, FakeState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a call that needs power.
    fn record(&self, call: RecordedCall) {
        at_passive_level();
        let mut inside = self.inside();
        if !inside.gone && !inside.asleep {
            inside.calls.push(call);
        }
    }

    /// The calls since the last time.
    pub fn take_calls(&self) -> Vec<RecordedCall> {
        std::mem::take(&mut self.inside().calls)
    }

    /// Looks into it.
    pub fn inspect<R>(&self, look: impl FnOnce(&FakeState) -> R) -> R {
        look(&self.inside())
    }

    /// Changes its inside.
    pub fn change(&self, change: impl FnOnce(&mut FakeState)) {
        change(&mut self.inside());
    }

    /// Changes what it reports.
    pub fn report(&self, change: impl FnOnce(&mut Status)) {
        self.change(|inside| change(inside.status.as_mut().unwrap()));
    }
}

/// Control may take as long as the card likes: never under a spin lock, never in the DPC.
fn at_passive_level() {
    assert_eq!(nt::irql::current(), nt::sys::PASSIVE_LEVEL, "a card is controlled at DISPATCH_LEVEL");
}

impl Card for FakeCard {
    fn endpoint(&self, stream: u32) -> Option<Endpoint> {
        let direction = *[Direction::Render, Direction::Capture].get(stream as usize)?;
        Some(Endpoint { stream, direction, can: Capabilities::ALL, limits: self.inside().limits })
    }
    fn packet_frames_min(&self, _stream: u32, rate: u32) -> u32 {
        (rate / 1000).max(8)
    }
    fn fifo_frames(&self, _stream: u32, rate: u32, geometry: Option<&BufferGeometry>) -> u32 {
        fifo_frames(rate, geometry.map_or(u32::MAX, BufferGeometry::packet_frames))
    }
    fn attach(&self, _stream: u32, pages: &dyn PageList, bytes: u32) -> NtResult {
        at_passive_level();
        let mut inside = self.inside();
        assert_eq!((inside.state, &inside.attached), (StreamState::Stop, &None));
        let segments: Result<Vec<_>, _> = Segments::new(pages, bytes).collect();
        let segments = segments.map_err(|_| STATUS_INSUFFICIENT_RESOURCES)?;
        if segments.len() > inside.limits.segments_max as usize {
            return Err(STATUS_INSUFFICIENT_RESOURCES);
        }
        inside.attached = Some(segments);
        Ok(())
    }
    fn detach(&self, _stream: u32) -> bool {
        at_passive_level();
        let mut inside = self.inside();
        assert!(inside.state == StreamState::Stop || inside.gone || inside.asleep, "the card plays it still");
        inside.attached = None;
        !inside.keeps_pages
    }
    fn configure(&self, _stream: u32, format: AudioFormat, geometry: BufferGeometry) -> NtResult {
        at_passive_level();
        let mut inside = self.inside();
        if inside.gone || inside.asleep {
            return Err(STATUS_DEVICE_NOT_READY);
        }
        assert!(inside.attached.is_some(), "a stream without a buffer");
        assert_eq!(inside.state, StreamState::Stop, "it is configured in STOP");
        inside.calls.push(RecordedCall::Configure(format, geometry));
        Ok(())
    }
    fn set_state(&self, _stream: u32, state: StreamState) -> NtResult {
        at_passive_level();
        if let Some(held_up) = self.inspect(|inside| inside.before_answer.clone()) {
            held_up();
        }
        let mut inside = self.inside();
        if inside.gone || inside.asleep {
            if state == StreamState::Stop {
                // Made when power is back: nothing of the stream can be seen before.
                inside.state = state;
            }
            return Err(STATUS_DEVICE_NOT_READY);
        }
        if inside.refuses == Some(state) {
            return Err(STATUS_DEVICE_HARDWARE_ERROR);
        }
        assert!(state.number() <= inside.state.number() + 1, "the card goes up one step at a time");
        inside.state = state;
        inside.calls.push(RecordedCall::State(state));
        if state == StreamState::Stop {
            inside.status = Some(status());
            inside.ending = false;
        }
        Ok(())
    }
    fn state(&self, _stream: u32) -> Option<StreamState> {
        at_passive_level();
        let inside = self.inside();
        (!inside.gone && !inside.asleep).then_some(inside.state)
    }
    fn start_at(&self, _stream: u32, frame: u64, packet: u32) {
        at_passive_level();
        self.change(|inside| {
            assert!(!inside.ending, "a start is refused once the card knows the end of the stream");
            inside.calls.push(RecordedCall::StartAt(frame, packet));
        });
    }
    fn ask_lockstep(&self, _stream: u32, ask: bool) {
        self.record(RecordedCall::Lockstep(ask));
    }
    fn mark(&self, _stream: u32, mark: Mark, clock: u64, at_once: bool) -> bool {
        at_passive_level();
        // The caller may be held up here.
        if let Some(held_up) = self.inspect(|inside| inside.before_mark.clone()) {
            held_up();
        }
        let mut inside = self.inside();
        if inside.gone || inside.asleep {
            return false;
        }
        assert_ne!(inside.state, StreamState::Stop, "in STOP a mark says nothing");
        assert!(!inside.ending, "nothing is marked behind the end of the stream");
        inside.mark_clock = clock;
        if let Some(bytes) = mark.end_of_stream {
            inside.ending = true;
            inside.calls.push(RecordedCall::End(mark.number, bytes));
        } else {
            inside.calls.push(RecordedCall::Mark(mark.number));
            inside.calls.extend(at_once.then_some(RecordedCall::AtOnce));
        }
        true
    }
    fn status(&self, _stream: u32) -> Option<Status> {
        let inside = self.inside();
        inside.status.filter(|_| !inside.gone && !inside.asleep && !inside.torn)
    }
    fn packet_count(&self, _stream: u32) -> Option<u32> {
        let inside = self.inside();
        inside.status.filter(|_| !inside.gone && !inside.asleep).map(|status| status.packet_count)
    }
    fn update_position_registers(&self, _stream: u32, update: bool) {
        self.record(RecordedCall::UpdateRegisters(update));
    }
    /// Addresses that nobody reads.
    fn position_registers(&self, stream: u32) -> Option<PositionRegisters> {
        let mut inside = self.inside();
        if !inside.limits.position_registers || inside.gone {
            return None;
        }
        inside.registers_held |= 1 << stream;
        let page = 0x1000 * (stream as usize + 1);
        let at = |offset: usize| NonNull::new(std::ptr::without_provenance_mut(page + offset));
        Some(PositionRegisters { position: at(0)?, clock: at(0x10)?, updates_per_second: 1000 })
    }
    fn release_position_registers(&self, stream: u32) {
        self.change(|inside| inside.registers_held &= !(1 << stream));
    }
    fn set_volume(&self, stream: u32, channel: u32, volume: i32) {
        self.record(RecordedCall::Volume(stream, channel, volume));
    }
    fn set_mute(&self, stream: u32, channels: u32) {
        self.record(RecordedCall::Mute(stream, channels));
    }
    fn watch_jack(&self, stream: u32) {
        self.record(RecordedCall::WatchJack(stream));
    }
    fn unplugged(&self, _stream: u32) -> Option<bool> {
        let inside = self.inside();
        (inside.limits.jack && !inside.gone && !inside.asleep).then_some(inside.unplugged)
    }
    fn enable_interrupts(&self, granted: Granted) -> NtResult {
        at_passive_level();
        self.change(|inside| inside.interrupts = Some(granted).filter(|_| !inside.gone && !inside.asleep));
        Ok(())
    }
    fn disable_interrupts(&self) {
        at_passive_level();
        self.change(|inside| inside.interrupts = None);
    }
    unsafe fn acknowledge_line(&self) -> bool {
        std::mem::take(&mut self.inside().line)
    }
    fn on_interrupt(&self) -> u32 {
        self.inspect(|inside| inside.interrupting)
    }
    fn next_look(&self) -> Option<u64> {
        self.inspect(|inside| inside.next_look)
    }
    fn set_power(&self, on: bool) -> bool {
        at_passive_level();
        let mut inside = self.inside();
        // It leaves D0 with its interrupt off, and comes back so.
        inside.interrupts = None;
        inside.asleep = !on || inside.exchanged;
        !on || !inside.exchanged
    }
    fn is_present(&self) -> bool {
        self.inspect(|inside| !inside.gone && !inside.exchanged)
    }
    fn asleep(&self) -> bool {
        self.inspect(|inside| inside.asleep && !inside.gone && !inside.exchanged)
    }
    fn remove(&self) {
        at_passive_level();
        self.change(|inside| inside.gone = true);
    }
}

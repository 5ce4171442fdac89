//! The stream of one endpoint, at random: whatever a client may call in the state that it is in, and what it
//! may not. A poller asks for its position, at DISPATCH_LEVEL too, as long as it has a buffer.

use super::super::format::{BufferPlan, PcmFormat};
use super::super::negotiate;
use super::super::negotiate_modes;
use super::super::player::SLOTS;
use super::super::poller::Poller;
use super::super::position::PositionChecker;
use super::super::stream::{CyclicBuffer, END_OF_STREAM, PinStream, State};
use super::super::stress::{accepted, finding};
use super::{Random, gated, gated_in_d0};
use crate::kernel::event::{Event, EventKind, wait};
use crate::kernel::{irql, thread};
use crate::portcls::endpoint::Endpoint;
use crate::portcls::status::Status;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use ringwave_audio::SampleFormat;

/// Length of the buffer, milliseconds.
const BUFFER_MS: u64 = 20;
/// Events that are registered at most.
const EVENTS: usize = 3;
const POLL_US: u64 = 1500;
const STATES: [State; 4] = [State::Stop, State::Acquire, State::Pause, State::Run];
/// What a packet's call may answer, whatever the state and the number (WAVERT.md 4.7).
const PACKET_ANSWERS: [Status; 5] = [
    Status::INVALID_DEVICE_STATE,
    Status::DATA_LATE_ERROR,
    Status::DATA_OVERRUN,
    Status::INVALID_PARAMETER,
    Status::DEVICE_NOT_READY,
];

/// How many streams were opened, and how often one went to RUN.
pub static OPENED: AtomicU32 = AtomicU32::new(0);
pub static RUNS: AtomicU32 = AtomicU32::new(0);

/// An endpoint and its stream, if it is open.
pub struct PinWalk {
    endpoint: Endpoint,
    formats: Vec<PcmFormat>,
    open: Option<OpenPin>,
}

struct OpenPin {
    // Where it is it stays: the poller has its address.
    stream: Box<PinStream>,
    format: PcmFormat,
    buffer: Option<Buffer>,
    state: usize,
    events: Vec<Event>,
    next_packet: u32,
}

struct Buffer {
    cyclic: CyclicBuffer,
    notifies: bool,
    poller: Poller,
}

impl PinWalk {
    /// None where the endpoint has no format that is known here.
    pub fn new(endpoint: &Endpoint) -> Option<Self> {
        let covers = |format: &PcmFormat| {
            endpoint.descriptor.ranges.iter().any(|range| negotiate::covers(range, format))
        };
        let known = [(SampleFormat::S16, 48_000), (SampleFormat::F32, 96_000)];
        let known = known.map(|(sample, rate)| PcmFormat::of(sample, rate, 2, true));
        let mut formats: Vec<PcmFormat> = known.into_iter().filter(covers).collect();
        formats.extend(negotiate_modes::any_format(endpoint).filter(|_| formats.is_empty()));
        (!formats.is_empty()).then(|| Self { endpoint: endpoint.clone(), formats, open: None })
    }

    /// Once through its life.
    pub fn open_and_close(&mut self) -> bool {
        self.open(&mut Random(0));
        let Some(open) = &mut self.open else { return false };
        open.allocate(true);
        for up in [true, true, true, false, false, false] {
            open.change_state(up);
        }
        self.close();
        true
    }

    /// One event.
    pub fn step(&mut self, random: &mut Random) {
        match &mut self.open {
            None => self.open(random),
            Some(_) if random.once_in(60) => self.close(),
            Some(open) => open.step(random, self.endpoint.capture),
        }
    }

    fn open(&mut self, random: &mut Random) {
        let at = random.below(self.formats.len() as u32) as usize;
        let Some(format) = self.formats.get(at).copied() else { return };
        let opened = gated_in_d0(|| PinStream::open(&self.endpoint, &format.bytes()));
        let stream = match opened {
            Some(Ok(stream)) => {
                OPENED.fetch_add(1, Ordering::Relaxed);
                Box::new(stream)
            }
            Some(Err(status)) => return finding(format_args!("NewStream with a good format: {status}")),
            None => return random.sleep(5),
        };
        self.open =
            Some(OpenPin { stream, format, buffer: None, state: 0, events: Vec::new(), next_packet: 0 });
    }

    /// Down to STOP, and everything is given back.
    pub fn close(&mut self) {
        let Some(mut open) = self.open.take() else { return };
        while open.state > 0 {
            open.change_state(false);
        }
        while open.unregister(0) {}
        open.free();
        gated(|| open.stream.close());
    }
}

impl OpenPin {
    fn step(&mut self, random: &mut Random, capture: bool) {
        let level = if random.once_in(2) { irql::DISPATCH } else { irql::PASSIVE };
        match random.below(100) {
            0..20 => self.position(level),
            20..38 => self.change_state(random.once_in(3) == (self.state == 3) || random.once_in(2)),
            38..55 if capture => self.read_packet(),
            38..55 => self.write_packet(random),
            55..63 => self.register(),
            63..69 => drop(self.unregister(random.below(EVENTS as u32) as usize)),
            69..77 if self.buffer.is_none() => self.allocate(!random.once_in(4)),
            69..72 if self.state == 0 => self.free(),
            77..82 => self.ask(),
            82..90 => self.wait_for_event(),
            90..97 => random.sleep(8),
            _ => thread::yield_now(),
        }
    }

    fn position(&self, level: u8) {
        let Some(buffer) = &self.buffer else { return };
        let (status, position) = self.stream.position(level);
        accepted("GetPosition", status);
        let size = u64::from(buffer.cyclic.size);
        if position.play_offset >= size || position.write_offset >= size {
            finding(format_args!("{position:?} of {size} bytes"));
        }
    }

    /// A state up or down; without a buffer the port has no reason to.
    fn change_state(&mut self, up: bool) {
        if self.buffer.is_none() {
            return;
        }
        let next = if up { (self.state + 1).min(3) } else { self.state.saturating_sub(1) };
        let Some(state) = STATES.get(next).filter(|_| next != self.state) else { return };
        let status = gated(|| self.stream.set_state(*state));
        if status.is_success() {
            self.state = next;
            RUNS.fetch_add(u32::from(next == 3), Ordering::Relaxed);
        } else {
            finding(format_args!("SetState({state:?}): {status}"));
            // Whoever closes must come to an end.
            self.state = self.state.min(next);
        }
        if next == 0 {
            self.next_packet = 0;
        }
    }

    /// The next packet, or any other.
    fn write_packet(&mut self, random: &mut Random) {
        let wild = [self.next_packet.wrapping_sub(1), self.next_packet + 1, u32::MAX, 7];
        let (number, flags) = match random.below(8) {
            0 => (wild[random.below(4) as usize], 0),
            1 => (self.next_packet, random.below(0x400)),
            2 if random.once_in(8) => (self.next_packet, END_OF_STREAM),
            _ => (self.next_packet, 0),
        };
        let status = self.stream.set_write_packet(number, flags, 0);
        if status.is_success() {
            self.next_packet = number.wrapping_add(1);
        } else if status == Status::DATA_LATE_ERROR {
            self.next_packet = self.stream.packet_count().map_or(0, |count| count.wrapping_add(1));
        } else if !PACKET_ANSWERS.contains(&status) && self.notifies() {
            finding(format_args!("SetWritePacket({number}, {flags:#x}): {status}"));
        }
    }

    fn read_packet(&self) {
        if let Err(status) = self.stream.read_packet()
            && !PACKET_ANSWERS.contains(&status)
            && self.notifies()
        {
            finding(format_args!("GetReadPacket: {status}"));
        }
    }

    fn notifies(&self) -> bool {
        self.buffer.as_ref().is_some_and(|buffer| buffer.notifies)
    }

    fn register(&mut self) {
        if self.events.len() < EVENTS && self.notifies() {
            let event = Event::new(EventKind::Synchronization, false);
            let status = gated(|| self.stream.register(&event));
            accepted("RegisterNotificationEvent", status);
            if status.is_success() {
                self.events.push(event);
            }
        }
    }

    /// The event may be gone right afterwards (rule `event-after-unregister`).
    fn unregister(&mut self, at: usize) -> bool {
        if at >= self.events.len() {
            return false;
        }
        let event = self.events.swap_remove(at);
        accepted("UnregisterNotificationEvent", gated(|| self.stream.unregister(&event)));
        event.poison();
        true
    }

    fn allocate(&mut self, notifies: bool) {
        let Some(plan) = BufferPlan::new(&self.format, BUFFER_MS, SLOTS) else { return };
        let allocated = gated(|| {
            if notifies {
                self.stream.allocate(SLOTS, plan.bytes)
            } else {
                self.stream.allocate_cyclic(plan.bytes)
            }
        });
        match allocated {
            Ok(cyclic) => {
                let block = u64::from(self.format.block_align());
                let checker =
                    PositionChecker::new(u64::from(cyclic.size), block, u64::from(self.format.rate));
                // SAFETY: stopped in `free`, before the stream is closed.
                let poller = unsafe { Poller::start_in_any_state(&self.stream, checker, POLL_US) };
                self.buffer = Some(Buffer { cyclic, notifies, poller });
            }
            Err(status) => finding(format_args!("a buffer, with notifications {notifies}: {status}")),
        }
    }

    fn free(&mut self) {
        while self.unregister(0) {}
        let Some(Buffer { cyclic, notifies, poller }) = self.buffer.take() else { return };
        poller.stop();
        gated(|| if notifies { self.stream.free(&cyclic) } else { self.stream.free_cyclic(&cyclic) });
    }

    fn ask(&self) {
        self.stream.hw_latency();
        if self.stream.has_packet_mode() && self.notifies() {
            // What they say depends on the state; that they come back is all that is judged here.
            let _ = (self.stream.packet_count(), self.stream.presentation());
        }
    }

    fn wait_for_event(&self) {
        if let Some(event) = self.events.first().filter(|_| self.state == 3) {
            wait(event, 20);
        }
    }
}

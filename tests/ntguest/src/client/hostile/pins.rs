//! Pins over their number, formats that lie, buffers of any size, and a stream that is treated as it comes.

use super::super::format::PcmFormat;
use super::super::lying_format;
use super::super::negotiate;
use super::super::stream::{CyclicBuffer, PinStream, State};
use super::super::stress::finding;
use super::super::walk::{Random, gated, gated_in_d0};
use super::{answer, has_ended};
use crate::kernel::event::{Event, EventKind};
use crate::kernel::{irql, pages, pci, thread};
use crate::portcls::endpoint::Endpoint;
use crate::portcls::status::Status;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use ringwave_audio::SampleFormat;

/// Sizes of buffers: nothing, about a page and about a frame, a little, too much, and what overflows.
const SIZES: [u32; 18] = [
    0,
    1,
    3,
    4,
    5,
    8,
    1920,
    4095,
    4096,
    4097,
    65_537,
    1 << 20,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_efff,
    0xffff_f000,
    0xffff_fffe,
    u32::MAX,
];
/// The smallest buffer by the line, bytes: 20 ms of the pins' format, in two packets at most.
///
/// QEMU takes the mapping of the card's BARs away for 1.1 s after each interrupt of a line
/// (`x-intx-mmap-timeout-ms`), so that the service routine and the DPC are about thirty messages. On a busy
/// host they took 3 ms, and a recording with packets of 1 ms left its processor no time for a thread:
/// SetState took as long as the stream ran (2.3 s). Messages (MSI) leave the mapping, and go down to 1 ms.
const LEAST_BY_LINE: u32 = 3840;
/// Notifications of a buffer.
const COUNTS: [u32; 8] = [0, 1, 2, 2, 2, 3, 0x8000_0000, u32::MAX];
/// Formats in a row: most are refused at once.
const LIES: u32 = 8;
const STATES: [State; 4] = [State::Stop, State::Acquire, State::Pause, State::Run];

/// Formats that were tried, buffers that were asked for, and those that were accepted; streams that were
/// refused because the pin is in use.
pub static FORMATS: AtomicU64 = AtomicU64::new(0);
pub static FORMATS_ACCEPTED: AtomicU64 = AtomicU64::new(0);
pub static BUFFERS: AtomicU64 = AtomicU64::new(0);
pub static BUFFERS_ACCEPTED: AtomicU64 = AtomicU64::new(0);
pub static OVER_INSTANCES: AtomicU64 = AtomicU64::new(0);

/// One pin.
pub struct HostilePin {
    endpoint: Endpoint,
    format: PcmFormat,
    /// Another client has the pin: every stream is one too many.
    in_use: bool,
    open: Option<OpenPin>,
}

struct OpenPin {
    stream: Box<PinStream>,
    buffer: Option<(CyclicBuffer, bool)>,
    events: Vec<Event>,
    block: u32,
}

impl HostilePin {
    /// Of this endpoint.
    pub fn new(endpoint: Endpoint, in_use: bool) -> Self {
        let format = PcmFormat::of(SampleFormat::S16, 48_000, 2, true);
        Self { endpoint, format, in_use, open: None }
    }

    /// One event.
    pub fn step(&mut self, random: &mut Random) {
        if let Some(open) = &mut self.open {
            if random.once_in(25) {
                self.close(random);
            } else {
                open.step(random, self.endpoint.capture);
            }
            return;
        }
        random.sleep(1);
        match random.below(3) {
            0 => self.open(random),
            1 => (0..LIES).for_each(|_| self.lie(random)),
            _ => self.open_wrong(random),
        }
    }

    /// Another pin, or the other direction.
    fn open_wrong(&self, random: &mut Random) {
        let pin = [0, 1, 2, 99, u32::MAX][random.below(5) as usize];
        let capture = random.once_in(2);
        if (pin, capture) == (self.endpoint.pin, self.endpoint.capture) {
            return;
        }
        let open = || PinStream::open_with(&self.endpoint, &self.format.bytes(), pin, capture);
        match gated_in_d0(open) {
            Some(Ok(stream)) => {
                finding(format_args!("NewStream on pin {pin}, capture {capture}, is accepted"));
                gated(|| stream.close());
            }
            Some(Err(status)) => answer(format_args!("NewStream on pin {pin}"), status),
            None => {}
        }
    }

    /// A good format: one stream, and no second one.
    fn open(&mut self, random: &mut Random) {
        let Some(opened) = gated_in_d0(|| PinStream::open(&self.endpoint, &self.format.bytes())) else {
            return;
        };
        match opened {
            Ok(stream) if self.in_use => {
                gated(|| stream.close());
                expect_end("NewStream on a pin in use");
            }
            Ok(stream) => {
                self.open = Some(OpenPin {
                    stream: Box::new(stream),
                    buffer: None,
                    events: Vec::new(),
                    block: u32::from(self.format.block_align()),
                });
                if self.endpoint.descriptor.max_instances == 1 {
                    self.open_one_too_many();
                }
            }
            Err(status) => self.refused(status, random),
        }
    }

    fn open_one_too_many(&self) {
        match gated_in_d0(|| PinStream::open(&self.endpoint, &self.format.bytes())) {
            Some(Ok(stream)) => {
                finding(format_args!("a second instance of a pin that has one is accepted"));
                gated(|| stream.close());
            }
            Some(Err(status)) => {
                OVER_INSTANCES.fetch_add(1, Ordering::Relaxed);
                answer(format_args!("one stream too many"), status);
            }
            None => {}
        }
    }

    fn refused(&self, status: Status, random: &mut Random) {
        answer(format_args!("NewStream"), status);
        if self.in_use {
            OVER_INSTANCES.fetch_add(1, Ordering::Relaxed);
        }
        random.sleep(2);
    }

    /// A format that lies; one that the ranges of the pin do not cover, or that contradicts itself, is
    /// refused.
    fn lie(&self, random: &mut Random) {
        let plain = PcmFormat { extensible: random.once_in(2), ..self.format };
        let bytes = lying_format::bend(&plain.bytes(), |end| random.below(end));
        let Some(opened) = gated_in_d0(|| PinStream::open(&self.endpoint, &bytes)) else { return };
        FORMATS.fetch_add(1, Ordering::Relaxed);
        match opened {
            Ok(stream) => {
                FORMATS_ACCEPTED.fetch_add(1, Ordering::Relaxed);
                let read = lying_format::read(&bytes);
                let covered = read.as_ref().is_ok_and(|format| {
                    self.endpoint.descriptor.ranges.iter().any(|range| negotiate::covers(range, format))
                });
                gated(|| stream.close());
                if !covered {
                    finding(format_args!("NewStream accepts {bytes:02x?}: {read:?}"));
                } else if self.in_use {
                    expect_end("NewStream on a pin in use with a bent format");
                }
            }
            Err(status) => answer(format_args!("NewStream with a format that lies"), status),
        }
    }

    /// As a client does that ends well, or as the end of a process.
    pub fn close(&mut self, random: &mut Random) {
        let Some(mut open) = self.open.take() else { return };
        if random.once_in(2) {
            open.stream.end_process(Vec::new());
        } else {
            for state in [State::Pause, State::Acquire, State::Stop] {
                let _ = gated(|| open.stream.set_state(state));
            }
            for event in core::mem::take(&mut open.events) {
                let _ = gated(|| open.stream.unregister(&event));
            }
            open.free();
        }
        let OpenPin { stream, events, .. } = open;
        drop(events);
        gated(|| stream.close());
    }
}

/// The client that plays has closed its pin, so that its end is near; else `what` is accepted wrongly.
fn expect_end(what: &str) {
    for _ in 0..1000 {
        if has_ended() {
            return;
        }
        thread::sleep_100ns(10_000);
    }
    finding(format_args!("{what} is accepted"));
}

/// The card has a line, for want of messages.
fn by_line() -> bool {
    pci::card().messages.is_empty()
}

impl OpenPin {
    fn step(&mut self, random: &mut Random, capture: bool) {
        match random.below(8) {
            0 | 1 => self.allocate(random),
            2 => self.free(),
            3 | 4 => {
                let state = STATES.get(random.below(6) as usize).map_or(0xffff_fff0, |state| *state as u32);
                let status = gated(|| self.stream.set_raw_state(state));
                answer(format_args!("SetState({state})"), status);
            }
            5 if self.events.len() < 40 => {
                let event = Event::new(EventKind::Synchronization, false);
                let status = gated(|| self.stream.register(&event));
                if status.is_success() {
                    self.events.push(event);
                } else if status != Status::UNSUCCESSFUL {
                    answer(format_args!("RegisterNotificationEvent"), status);
                }
            }
            6 if capture => {
                if let Err(status) = self.stream.read_packet() {
                    answer(format_args!("GetReadPacket"), status);
                }
            }
            6 => {
                let (number, flags) = (random.below(u32::MAX) >> random.below(32), 1 << random.below(32));
                let status = self.stream.set_write_packet(number, flags, random.below(u32::MAX));
                answer(format_args!("SetWritePacket({number}, {flags:#x})"), status);
            }
            _ => {
                let level = if random.once_in(2) { irql::DISPATCH } else { irql::PASSIVE };
                answer(format_args!("GetPosition"), self.stream.position(level).0);
                self.stream.hw_latency();
            }
        }
    }

    /// Any size: refused, or at least as large as was asked for.
    fn allocate(&mut self, random: &mut Random) {
        let bytes = SIZES.get(random.below(24) as usize).copied().unwrap_or_else(|| random.below(1 << 22));
        let bytes = if (4..LEAST_BY_LINE).contains(&bytes) && by_line() { LEAST_BY_LINE } else { bytes };
        let (count, notifies) = (COUNTS[random.below(8) as usize], !random.once_in(4));
        let allocated = gated(|| {
            if notifies { self.stream.allocate(count, bytes) } else { self.stream.allocate_cyclic(bytes) }
        });
        BUFFERS.fetch_add(1, Ordering::Relaxed);
        let buffer = match allocated {
            Ok(buffer) => buffer,
            // What the pages name for a combination that is not supported.
            Err(Status::UNSUCCESSFUL) => return,
            Err(status) => return answer(format_args!("a buffer of {bytes} bytes"), status),
        };
        BUFFERS_ACCEPTED.fetch_add(1, Ordering::Relaxed);
        let (held, whole) = (pages::byte_count(buffer.mdl), if notifies { count } else { 1 } * self.block);
        let fits = buffer.size.checked_add(buffer.offset).is_some_and(|end| end <= held);
        if self.buffer.is_some()
            || bytes == 0
            || buffer.size < bytes
            || !fits
            || !buffer.size.is_multiple_of(whole)
        {
            finding(format_args!(
                "{bytes} bytes with {count} notifications become {} at {} in an MDL of {held}; another one: {}",
                buffer.size,
                buffer.offset,
                self.buffer.is_some()
            ));
        }
        self.buffer.get_or_insert((buffer, notifies));
    }

    /// In whatever state.
    fn free(&mut self) {
        let Some((buffer, notifies)) = self.buffer.take() else { return };
        gated(|| if notifies { self.stream.free(&buffer) } else { self.stream.free_cyclic(&buffer) });
    }
}

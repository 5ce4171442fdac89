//! What a client may count on whose packets don't come in time, for the card's clock waits for nobody unless
//! the driver asks for it.
//!
//! * `client=starve`: packet 0, RUN, and never a packet again. Counts and events go on at the nominal rate
//!   all the same (SetWritePacket page; rule `starved`).
//! * `client=half-late`: some packets come when half of their time is over. SetWritePacket says
//!   DATA_LATE_ERROR, and what is left of the packet is played, which the same page allows (rule
//!   `late-mark`). What was heard, the host compares.

use super::buffer::{self, Kind};
use super::format::{BufferPlan, PcmFormat};
use super::late::Numbers;
use super::player::{self, Failed, SLOTS, buffer_ms, expect, fail};
use super::stream::{CyclicBuffer, END_OF_STREAM, PinStream, State};
use super::wav::Wav;
use crate::kernel::event::{Event, EventKind, wait};
use crate::kernel::{self, cfg, irql, thread, time};
use crate::portcls::endpoint;
use crate::portcls::fault::{self, Fault};
use crate::portcls::status::Status;
use core::sync::atomic::{Ordering, compiler_fence};

/// Packets that nobody writes.
const STARVED: u32 = 12;
/// Every so many packets one is late, and the last one too.
const LATE_EVERY: u32 = 3;
/// How long to wait for a notification.
const TIMEOUT_MS: u32 = 3000;

/// A stream with its buffer and its event, in STOP.
struct Client<'a> {
    stream: &'a PinStream,
    event: &'a Event,
    ring: *mut u8,
    packet_bytes: usize,
    block: u64,
    bytes_per_second: u64,
    data: &'a [u8],
}

/// Plays the file as `client=` says; true when all was as it must be.
pub fn run(wav: &Wav<'_>) -> bool {
    let Some(endpoint) = endpoint::get(false, cfg::get_u64("endpoint", 0) as usize) else { return false };
    let format = PcmFormat::of(wav.sample, wav.rate, wav.channels, true);
    player::open(&endpoint, &format).is_ok_and(|stream| {
        let plan = BufferPlan::new(&format, buffer_ms(), SLOTS).ok_or(Failed);
        let result = plan.and_then(|plan| {
            let kind = Kind::Notification(SLOTS);
            buffer::with(&stream, kind, &format, plan.bytes, |buffer| {
                with_buffer(&stream, buffer, &format, wav)
            })
        });
        stream.close();
        result.is_ok()
    })
}

fn with_buffer(
    stream: &PinStream,
    buffer: &CyclicBuffer,
    format: &PcmFormat,
    wav: &Wav<'_>,
) -> Result<(), Failed> {
    let event = Event::new(EventKind::Synchronization, false);
    let block = u64::from(format.block_align());
    let result = expect("RegisterNotificationEvent", stream.register(&event)).and_then(|()| {
        let client = Client {
            stream,
            event: &event,
            ring: buffer::view(buffer),
            packet_bytes: (buffer.size / SLOTS) as usize,
            block,
            bytes_per_second: u64::from(wav.rate) * block,
            data: &wav.data,
        };
        crate::kresult!("packet_bytes={}", client.packet_bytes);
        let played = client.start().and_then(|run| {
            if cfg::get("client") == Some("starve") { client.starve(run) } else { client.half_late() }
        });
        for state in [State::Pause, State::Acquire, State::Stop] {
            expect("SetState", stream.set_state(state))?;
        }
        expect("UnregisterNotificationEvent", stream.unregister(&event)).and(played)
    });
    event.poison();
    result
}

impl Client<'_> {
    fn packet_100ns(&self) -> u64 {
        self.packet_bytes as u64 * 10_000_000 / self.bytes_per_second.max(1)
    }

    /// Up to RUN with packet 0; when RUN was called, 100-ns units.
    fn start(&self) -> Result<u64, Failed> {
        for state in [State::Acquire, State::Pause] {
            expect("SetState", self.stream.set_state(state))?;
        }
        self.fill(0);
        expect("SetWritePacket(0)", self.stream.set_write_packet(0, 0, 0))?;
        let run = time::interrupt_time_100ns();
        expect("SetState(Run)", self.stream.set_state(State::Run))?;
        Ok(run)
    }

    /// Puts piece `n` of the file, or zeroes behind its end, where packet `n` lies.
    fn fill(&self, n: u32) {
        let from = (n as usize).saturating_mul(self.packet_bytes);
        let rest = self.data.get(from..).unwrap_or_default();
        let piece = rest.get(..self.packet_bytes).unwrap_or(rest);
        // SAFETY: packet n modulo 2 lies inside the ring of two packets, and the piece is a packet at most.
        unsafe {
            let place = self.ring.add((n % SLOTS) as usize * self.packet_bytes);
            place.write_bytes(0, self.packet_bytes);
            place.copy_from(piece.as_ptr(), piece.len());
        }
        compiler_fence(Ordering::Release);
    }

    fn count(&self) -> Result<u32, Failed> {
        self.stream
            .packet_count()
            .map_err(|status| fail("call-failed", format_args!("GetPacketCount: {status}")))
    }

    fn wait(&self, what: &str, packet: u32) -> Result<(), Failed> {
        if wait(self.event, TIMEOUT_MS) {
            Ok(())
        } else {
            Err(fail(
                "starved",
                format_args!("no event within {TIMEOUT_MS} ms {what} {packet}: the stream waits for data"),
            ))
        }
    }

    /// Events and counts of packets that nobody wrote: at the nominal rate since RUN, give or take half a
    /// packet for a host that is busy.
    fn starve(&self, run: u64) -> Result<(), Failed> {
        let packet = self.packet_100ns().max(1);
        let mut count = 0;
        while count < STARVED {
            self.wait("after packet", count)?;
            let before = time::interrupt_time_100ns().saturating_sub(run);
            count = self.count()?;
            if fault::make(Fault::CountStands) {
                count = count.min(1);
            }
            let after = time::interrupt_time_100ns().saturating_sub(run);
            let (least, most) = (before.saturating_sub(packet / 2) / packet, (after + packet / 2) / packet);
            if !(least..=most).contains(&u64::from(count)) {
                return Err(fail(
                    "starved",
                    format_args!(
                        "{count} packets are complete {} us after RUN, {least} to {most} are due",
                        after / 10
                    ),
                ));
            }
        }
        let signals = self.event.signals();
        if signals > u64::from(count) || signals + 2 < u64::from(count) {
            kernel::violation("starved", format_args!("{signals} events of {count} packets"));
        }
        crate::kresult!("starved_packets={count} starved_events={signals}");
        self.goes_on()
    }

    /// A client that comes back is heard: the next packet is accepted.
    fn goes_on(&self) -> Result<(), Failed> {
        for _ in 0..3 {
            let next = self.count()?.wrapping_add(1);
            self.fill(0);
            match self.stream.set_write_packet(next, 0, 0) {
                Status::SUCCESS => return self.wait("after packet", next),
                // The packet before has just ended.
                Status::DATA_LATE_ERROR => {}
                status => {
                    let why = format_args!("SetWritePacket({next}) of a client that comes back: {status}");
                    return Err(fail("starved", why));
                }
            }
        }
        Err(fail("starved", format_args!("a client that comes back is too late three times")))
    }

    /// Frames of the packet that is being played which were played.
    fn frames_into(&self) -> u64 {
        let (_, position) = self.stream.position(irql::PASSIVE);
        position.play_offset % (self.packet_bytes as u64).max(1) / self.block.max(1)
    }

    /// The whole file; every third packet, and the last one, when half of its time is over.
    fn half_late(&self) -> Result<(), Failed> {
        let packets = u32::try_from(self.data.len().div_ceil(self.packet_bytes)).unwrap_or(u32::MAX);
        let (mut next, mut late) = (1, Numbers::default());
        while next < packets {
            if next % LATE_EVERY == 0 || next + 1 == packets {
                self.late(next, next + 1 == packets)?;
                late.add(next, next + 1);
                next += 1;
                continue;
            }
            // In time: while the packet before is played.
            self.fill(next);
            let status = self.stream.set_write_packet(next, 0, 0);
            expect("SetWritePacket in time", status)?;
            while self.count()? < next {
                self.wait("before packet", next)?;
            }
            next += 1;
        }
        // What the host must know to tell a late packet from a lost one.
        crate::kresult!("late_packets=none unsure_packets={late}");
        // The end of the stream that came too late was none: this one is.
        expect(
            "SetWritePacket with the end of the stream",
            self.stream.set_write_packet(packets, END_OF_STREAM, 0),
        )?;
        while self.count()? < packets {
            self.wait("before the end,", packets)?;
        }
        Ok(())
    }

    /// Waits until packet `n` is played and half over, then hands it over.
    fn late(&self, n: u32, last: bool) -> Result<(), Failed> {
        while self.count()? < n {
            self.wait("before packet", n)?;
        }
        thread::sleep_100ns(i64::try_from(self.packet_100ns() / 2).unwrap_or(0));
        let older = self.stream.set_write_packet(n - 1, 0, 0);
        let before = self.frames_into();
        self.fill(n);
        let (flags, length) = if last { (END_OF_STREAM, self.packet_bytes) } else { (0, 0) };
        let mut status = self.stream.set_write_packet(n, flags, u32::try_from(length).unwrap_or(0));
        let after = self.frames_into();
        if fault::make(Fault::LateAccepted) {
            status = Status::SUCCESS;
        }
        if (older, status) != (Status::DATA_LATE_ERROR, Status::DATA_LATE_ERROR) {
            return Err(fail(
                "late-mark",
                format_args!(
                    "packet {n} is played, SetWritePacket({n}): {status}, of the one before: {older}"
                ),
            ));
        }
        crate::kresult!("late{n}_frames={before} late{n}_frames_after={after}");
        Ok(())
    }
}

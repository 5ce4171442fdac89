//! What a recording client does while its stream runs: by packets, by events and positions, or by a timer and
//! positions alone.

use super::life::PlannedEvent;
use super::life::cell::StreamState;
use super::offset_tracker::OffsetTracker;
use super::packet_reads::{Finding, PacketReads, ReadPacket};
use super::player::{Failed, fail};
use super::still;
use super::stream::{PinStream, State};
use super::timing_stats::EventTimes;
use crate::kernel::event::{Event, wait};
use crate::kernel::{self, cfg, host_time, irql, thread, time};
use crate::portcls::fault::{self, Fault};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering, compiler_fence};

/// Packets that are recorded after the one who decides said that it is enough.
const TAIL: u32 = 4;
/// With `pause=1` the stream is paused after so many events.
const PAUSED_AFTER: u64 = 5;
/// In lockstep every so many packets one is held for longer than the card takes to go round.
const HELD: u64 = 8;

/// How a client learns that there is something to read (cfg `mode=`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// `GetReadPacket` after each event.
    Packet,
    /// `GetPosition` after each event.
    Event,
    /// `GetPosition` every quarter of a buffer; no notifications.
    Timer,
}

impl Mode {
    /// As ntguest.cfg says.
    pub fn wanted() -> Self {
        match cfg::get("mode") {
            None | Some("packet") => Self::Packet,
            Some("event") => Self::Event,
            Some("timer") => Self::Timer,
            Some(other) => {
                kernel::bad_input(format_args!("ntguest.cfg: mode={other} is not packet, event or timer"))
            }
        }
    }
}

/// When a recording ends.
#[derive(Clone, Copy)]
pub enum Until<'a> {
    /// With so many bytes.
    Bytes(usize),
    /// Some packets after another client has set the flag.
    Told(&'a AtomicBool),
}

/// A running stream and what was recorded of it.
pub struct Recorder<'a> {
    /// The stream, in RUN while it records.
    pub stream: &'a PinStream,
    /// The client's view of the cyclic buffer.
    pub ring: *mut u8,
    /// Bytes of the cyclic buffer.
    pub size: usize,
    /// Packets in it, if there are notifications; two halves if not.
    pub slots: u32,
    /// Of the stream, on the client's clock.
    pub bytes_per_second: u64,
    /// RUN was called at, 100-ns units.
    pub run: u64,
    /// How long to wait for a notification.
    pub timeout_ms: u32,
    /// When to end.
    pub until: Until<'a>,
    /// The recording; its capacity is never exceeded.
    pub taken: Vec<u8>,
    /// Bytes that the card captured and the client came too late for.
    pub lost_bytes: u64,
    /// When notifications came.
    pub events: EventTimes,
    /// Packets that were still recorded after the end was told.
    pub tail: u32,
    /// The stream is to be paused before the next wait.
    pub pause_next: bool,
    /// An event that it is to meet.
    pub planned: Option<&'a PlannedEvent>,
}

impl Recorder<'_> {
    fn packet_bytes(&self) -> usize {
        self.size / self.slots.max(1) as usize
    }

    fn packet_100ns(&self) -> u64 {
        self.packet_bytes() as u64 * 10_000_000 / self.bytes_per_second.max(1)
    }

    fn is_enough(&mut self) -> bool {
        match self.until {
            Until::Bytes(bytes) => self.taken.len() >= bytes,
            Until::Told(flag) => {
                self.tail += u32::from(flag.load(Ordering::Acquire));
                self.tail > TAIL
            }
        }
    }

    /// Takes bytes out of the ring; they may pass its end.
    fn take(&mut self, from: usize, bytes: usize) {
        if self.taken.capacity() - self.taken.len() < bytes {
            kernel::bad_input(format_args!("the recording is longer than {} bytes", self.taken.capacity()));
        }
        compiler_fence(Ordering::Acquire);
        let first = bytes.min(self.size - from % self.size);
        for (start, length) in [(from % self.size, first), (0, bytes - first)] {
            // SAFETY: start and length lie inside the ring, which the view covers. The card may write it
            // meanwhile: bytes are all the same whatever they are.
            let part = unsafe { core::slice::from_raw_parts(self.ring.add(start), length) };
            self.taken.extend_from_slice(part);
        }
    }

    /// Waits for an event; after some of them the stream is paused once, if the run asks for that.
    fn wait_for_event(&mut self, event: &Event) -> Result<(), Failed> {
        if core::mem::take(&mut self.pause_next) {
            let packet = i64::try_from(self.packet_100ns()).unwrap_or(i64::MAX);
            still::pause_and_go_on(self.stream, event, packet)?;
        }
        self.meet_in_the_middle(event)?;
        self.pause_next = event.signals() == PAUSED_AFTER && cfg::get_bool("pause", false);
        if !wait(event, self.timeout_ms) {
            return Err(fail(
                "no-notification",
                format_args!("no event within {} ms, {} bytes recorded", self.timeout_ms, self.taken.len()),
            ));
        }
        self.events.observe(time::interrupt_time_100ns());
        Ok(())
    }

    /// The event in RUN, or in a PAUSE for its sake, once half of the recording is there.
    fn meet_in_the_middle(&self, event: &Event) -> Result<(), Failed> {
        if !matches!(self.until, Until::Bytes(bytes) if self.taken.len() >= bytes / 2) {
            return Ok(());
        }
        let Some(planned) = self.planned else { return Ok(()) };
        let packet = i64::try_from(self.packet_100ns()).unwrap_or(i64::MAX);
        if planned.is_due(StreamState::Paused) {
            still::set_state(self.stream, State::Pause)?;
            planned.at(StreamState::Paused, self.stream, event, packet, &mut || Ok(()))?;
            still::set_state(self.stream, State::Run)?;
        }
        planned.at(StreamState::Run, self.stream, event, packet, &mut || Ok(()))
    }

    /// `GetReadPacket` after each event until there is no more, and once again: Windows' exclusive client was
    /// seen to ask twice per packet, so that DEVICE_NOT_READY is routine. With one packet a buffer a card
    /// that waits goes on only then: the call says that the client is done with the packet before.
    pub fn by_packets(&mut self, event: &Event) -> Result<(), Failed> {
        let lockstep = cfg::get("reg.Lockstep") == Some("1");
        // Through a loopback a card that is held up would be behind what is played.
        let hold = lockstep && cfg::get("client") == Some("record");
        let late_every = cfg::get_u64("record_late_every", 0);
        let mut reads = PacketReads::new(self.packet_100ns(), self.run);
        if cfg::get_u64("speed", 1) != 1 {
            reads = reads.without_times();
        }
        if cfg::get_bool("clock_stops", false) {
            reads = reads.with_a_clock_that_stops(self.slots);
        }
        let (mut torn, mark) = (0, host_time::Mark::now());
        while !self.is_enough() {
            self.wait_for_event(event)?;
            // The packet that was copied just now, and where it begins in the recording.
            let mut copied = None;
            loop {
                let answer = self.stream.read_packet();
                let now = time::interrupt_time_100ns();
                let packet = match answer {
                    Ok(packet) => packet,
                    Err(status) => {
                        report(reads.check_refusal(status));
                        break;
                    }
                };
                let lost = reads.lost;
                reads.host_took(mark.taken_100ns());
                report(reads.check(packet, now));
                if lockstep && reads.lost != lost {
                    kernel::violation(
                        "lost-in-lockstep",
                        format_args!("packet {} follows a gap though the card waits", packet.number),
                    );
                }
                // Complete by now, the packet before the one that takes the same place: that one had begun to come
                // in while the client may still have been copying.
                let overtaken = |(number, _): &(u32, usize)| {
                    packet.number.wrapping_sub(*number) >= self.slots.saturating_sub(1).max(1)
                };
                if let Some((_, begin)) = copied.filter(|copied| !lockstep && overtaken(copied)) {
                    self.taken.truncate(begin);
                    torn += 1;
                }
                copied = Some((packet.number, self.taken.len()));
                self.take_packet(packet, hold && reads.read.is_multiple_of(HELD));
                // A client that is slow finds the next packet each time, and takes the rest without a wait.
                self.meet_in_the_middle(event)?;
                if late_every != 0 && reads.read.is_multiple_of(late_every) {
                    thread::sleep_100ns(i64::try_from(self.packet_100ns() * 4).unwrap_or(0));
                }
                let enough = matches!(self.until, Until::Bytes(bytes) if self.taken.len() >= bytes);
                if enough && packet.more != 1 {
                    break;
                }
            }
        }
        crate::kresult!("read_packets={} read_refusals={} torn_packets={torn}", reads.read, reads.refused);
        self.lost_bytes = (reads.lost + torn) * self.packet_bytes() as u64;
        Ok(())
    }

    /// Copies a packet. One that is `held` must stay as it is until the next call (WAVERT.md 4.7: a call
    /// means that the client is done with *earlier* packets).
    fn take_packet(&mut self, packet: ReadPacket, held: bool) {
        let (begin, bytes) = (self.taken.len(), self.packet_bytes());
        let from = (packet.number % self.slots.max(1)) as usize * bytes;
        self.take(from, bytes);
        if !held {
            return;
        }
        thread::sleep_100ns(i64::try_from(self.packet_100ns() * 3).unwrap_or(0));
        if fault::make(Fault::ReadOverwrite) {
            // SAFETY: the first byte of a packet inside the ring.
            unsafe { self.ring.add(from).write(self.ring.add(from).read() ^ 1) };
        }
        // SAFETY: a packet inside the ring; see `take`.
        let now = unsafe { core::slice::from_raw_parts(self.ring.add(from), bytes) };
        if self.taken.get(begin..).is_some_and(|then| then != now) {
            kernel::violation(
                "read-packet-overwritten",
                format_args!("packet {} changed before the next GetReadPacket", packet.number),
            );
        }
    }

    /// The position after each event; what was signalled tells how often it went round.
    pub fn by_events(&mut self, event: &Event) -> Result<(), Failed> {
        let packet = self.packet_bytes() as u64;
        let mut read = 0;
        while !self.is_enough() {
            self.wait_for_event(event)?;
            let signalled = event.signals() * packet;
            let position = self.position()?;
            // The position is less than half a buffer after the end of the packet that was signalled last, or
            // by what the card has not put into memory yet before it.
            let size = self.size as u64;
            let ahead = (position + size - signalled % size) % size;
            let captured = if ahead < size / 2 { signalled + ahead } else { signalled + ahead - size };
            read = self.take_until(read, captured);
        }
        Ok(())
    }

    /// The position, often enough that no turn is missed.
    pub fn by_timer(&mut self) -> Result<(), Failed> {
        let quarter = i64::try_from(self.packet_100ns() * u64::from(self.slots) / 4).unwrap_or(i64::MAX);
        let mut tracker = OffsetTracker::new(self.size as u64, self.bytes_per_second, self.run);
        let mut read = 0;
        while !self.is_enough() {
            thread::sleep_100ns(quarter);
            let now = time::interrupt_time_100ns();
            let captured = tracker.observe(self.position()?, now);
            read = self.take_until(read, captured);
        }
        Ok(())
    }

    /// Where the client may read up to, in the ring.
    fn position(&self) -> Result<u64, Failed> {
        let (status, position) = self.stream.position(irql::PASSIVE);
        if !status.is_success() || position.write_offset >= self.size as u64 {
            return Err(fail("position", format_args!("GetPosition: {status}, {position:?}")));
        }
        Ok(position.write_offset)
    }

    /// Takes what is new and still there, of `captured` bytes since RUN; where to go on.
    fn take_until(&mut self, read: u64, captured: u64) -> u64 {
        let new = captured.saturating_sub(read);
        let there = new.min(self.size as u64);
        self.lost_bytes += new - there;
        self.take(usize::try_from((captured - there) % self.size as u64).unwrap_or(0), there as usize);
        captured.max(read)
    }
}

fn report(found: Result<(), Finding>) {
    if let Err(finding) = found {
        kernel::violation("read-packet", format_args!("GetReadPacket: {finding}"));
    }
}

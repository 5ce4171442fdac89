//! One session of a stream that has its buffer: from STOP through RUN, packet by packet, and back to STOP.

use super::controls::settings;
use super::format::PcmFormat;
use super::hw_register::HwRegisters;
use super::jack_poller::JackPoller;
use super::late::LateBook;
use super::life::cell::StreamState;
use super::life::{self, PlannedEvent};
use super::negotiate;
use super::packets::Packets;
use super::play::Label;
use super::poller::{self, Poller, Reads};
use super::position::{PositionChecker, Travel};
use super::still;
use super::stream::{END_OF_STREAM, PinStream, State};
use super::timing_stats::EventTimes;
use super::wav::Wav;
use crate::kernel::event::{Event, EventKind, wait};
use crate::kernel::{self, cfg, irql, thread, time};
use crate::portcls::endpoint::Endpoint;
use crate::portcls::fault::{self, Fault};
use crate::portcls::status::Status;
use core::fmt;
use core::sync::atomic::{Ordering, compiler_fence};

/// Packets in the cyclic buffer, if the run does not say.
pub const SLOTS: u32 = 2;

/// Packets in the cyclic buffer as ntguest.cfg says (`packets=1` or 2).
pub fn slots() -> u32 {
    match cfg::get_u64("packets", u64::from(SLOTS)) {
        1 => 1,
        2 => 2,
        other => kernel::bad_input(format_args!("ntguest.cfg: packets={other} is neither 1 nor 2")),
    }
}

/// Length of the buffer if the run does not say, milliseconds: what an exclusive event client was seen to ask
/// for at 48 kHz, two packets of 240 frames.
pub fn buffer_ms() -> u64 {
    cfg::get_u64("buffer_ms", 10)
}

/// Whether the card's clock waits for nobody (cfg `clock=realtime`), so that a packet that comes too late is
/// gone.
pub fn realtime() -> bool {
    match cfg::get("clock") {
        None | Some("lockstep") => false,
        Some("realtime") => true,
        Some(other) => {
            kernel::bad_input(format_args!("ntguest.cfg: clock={other} is neither lockstep nor realtime"))
        }
    }
}

/// What the rest of the last packet is filled with: it must not be heard.
const AFTER_THE_END: u8 = 0x55;
/// In which order packets are written (cfg `client=`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// One packet ahead of the one being played.
    Ahead,
    /// The next packet only after the notification: the card waits for it when it can.
    Lazy,
    /// As HLK does: notification, packet count, write count + 1.
    Hlk,
}

impl Order {
    /// As ntguest.cfg says. A buffer of one packet can't be written ahead.
    pub fn wanted() -> Self {
        match cfg::get("client") {
            _ if slots() == 1 => Self::Lazy,
            None
            | Some(
                "ahead" | "duplex" | "hostile" | "hot-plug" | "life" | "play" | "pnp" | "stress" | "walk",
            ) => Self::Ahead,
            Some("lazy") => Self::Lazy,
            Some("hlk") => Self::Hlk,
            Some(other) => kernel::bad_input(format_args!(
                "ntguest.cfg: client={other} is not known; tests/ntguest/README.md lists them"
            )),
        }
    }
}

/// The file was not played to its end; why has been said.
pub struct Failed;

/// Says why and fails.
pub fn fail(rule: &'static str, why: fmt::Arguments<'_>) -> Failed {
    kernel::violation(rule, why);
    Failed
}

/// OffsetTracker a failed call into the violation `call-failed`.
pub fn expect(what: &str, status: Status) -> Result<(), Failed> {
    if status.is_success() { Ok(()) } else { Err(fail("call-failed", format_args!("{what}: {status}"))) }
}

/// Opens the endpoint's pin with this format; a failure is a violation.
pub fn open(endpoint: &Endpoint, format: &PcmFormat) -> Result<PinStream, Failed> {
    PinStream::open(endpoint, &format.bytes())
        .map_err(|status| fail("call-failed", format_args!("NewStream: {status}")))
}

/// Opens a pin, which must offer the format, for a client that looks at the endpoint's jack meanwhile; closes
/// it whatever `session` came to.
pub fn with_stream<T>(
    endpoint: &Endpoint,
    format: &PcmFormat,
    label: Label,
    session: impl FnOnce(&PinStream) -> Result<T, Failed>,
) -> Result<T, Failed> {
    if !negotiate::is_offered(endpoint, format) {
        return Err(fail("format", format_args!("{format:?} is in no data range of the pin")));
    }
    if !settings::apply(endpoint) {
        return Err(Failed);
    }
    let stream = open(endpoint, format)?;
    let jack = JackPoller::start(endpoint);
    let result = session(&stream);
    stream.close();
    if let Some(jack) = jack {
        jack.stop(label);
    }
    result
}

/// Counts for the result line.
#[derive(Default)]
pub struct Tally {
    /// Packets that were accepted.
    pub written: u32,
    /// Refusals because a packet came too late or too early.
    pub late: u32,
    /// The last packet that was accepted.
    pub last: Option<u32>,
    /// When notifications came.
    pub events: Option<EventTimes>,
    /// Packets that had no data in time.
    pub book: LateBook,
}

/// A stream with its buffer and event, ready to run.
pub struct Player<'a> {
    /// The open stream, in STOP.
    pub stream: &'a PinStream,
    /// Its registered notification event.
    pub event: &'a Event,
    /// The file.
    pub packets: Packets<'a>,
    /// Bytes of a packet in the cyclic buffer.
    pub packet_bytes: u32,
    /// Of the format.
    pub bytes_per_second: i64,
    /// The client's view of the cyclic buffer.
    pub ring: *mut u8,
    /// The position and clock registers, if there are any.
    pub registers: &'a HwRegisters,
    /// A packet that comes too late is gone, and the book is kept.
    pub realtime: bool,
    /// When packets are written.
    pub order: Order,
    /// What its result lines begin with.
    pub label: Label,
    /// How long to wait for a notification.
    pub timeout_ms: u32,
    /// An event that it is to meet.
    pub planned: Option<&'a PlannedEvent>,
    /// What happened.
    pub tally: Tally,
}

impl Player<'_> {
    /// From STOP through RUN and back to STOP. Whatever fails, the stream is brought to STOP.
    pub fn session(&mut self, checker: PositionChecker, wav: &Wav<'_>) -> Result<(), Failed> {
        self.expect_zero_positions("before RUN")?;
        let result = self.prepare().and_then(|()| self.run(checker, wav));
        if result.is_err() {
            self.let_go();
            return result;
        }
        still::set_state(self.stream, State::Acquire)?;
        still::set_state(self.stream, State::Stop)?;
        self.expect_zero_positions("after STOP")
    }

    /// Down to STOP, whatever has failed. Where an event took the stream this must succeed all the same (rule
    /// `set-state`).
    fn let_go(&self) {
        let taken = self.planned.is_some_and(PlannedEvent::took_the_stream);
        still::go_down(self.stream, taken);
    }

    /// The event, if it comes in this state; `meanwhile` is what the client does in its midst.
    fn meet(
        &self,
        moment: StreamState,
        meanwhile: &mut dyn FnMut() -> Result<(), Failed>,
    ) -> Result<(), Failed> {
        life::meet(self.planned, moment, self.stream, self.event, self.packet_100ns(), meanwhile)
    }

    /// The number of the packet after the last one that was accepted.
    fn end(&self) -> u32 {
        self.tally.last.map_or(0, |last| last + 1)
    }

    /// In STOP position, packet count and presentation position are zero (rule `not-at-rest`).
    fn expect_zero_positions(&self, when: &str) -> Result<(), Failed> {
        let (status, mut position) = self.stream.position(irql::PASSIVE);
        let count = self.packet_count()?;
        if fault::make(Fault::MovesAtRest) {
            position.play_offset += 4;
        }
        let presented = self.stream.presentation().map(|position| position.position_in_blocks);
        if !status.is_success()
            || position.play_offset != 0
            || position.write_offset != 0
            || count != 0
            || presented != Ok(0)
        {
            kernel::violation(
                "not-at-rest",
                format_args!(
                    "{when}: GetPosition {status} play {} write {}, packet count {count}, presentation {presented:?}",
                    position.play_offset, position.write_offset
                ),
            );
        }
        self.registers.expect_zero(when);
        Ok(())
    }

    fn packet_count(&self) -> Result<u32, Failed> {
        self.stream
            .packet_count()
            .map_err(|status| fail("call-failed", format_args!("GetPacketCount: {status}")))
    }

    /// ACQUIRE, PAUSE, and the first packet, which an exclusive client hands over before RUN, in whichever
    /// state that is.
    fn prepare(&mut self) -> Result<(), Failed> {
        self.prefill(State::Stop)?;
        let through = |states: &[State]| states.iter().try_for_each(|to| still::set_state(self.stream, *to));
        self.meet(StreamState::Stop, &mut || {
            through(&[State::Acquire, State::Pause, State::Acquire, State::Stop])
        })?;
        still::set_state(self.stream, State::Acquire)?;
        self.prefill(State::Acquire)?;
        self.meet(StreamState::Acquire, &mut || {
            through(&[State::Stop, State::Acquire, State::Pause, State::Acquire])
        })?;
        still::set_state(self.stream, State::Pause)?;
        if self.order == Order::Hlk {
            self.expect_too_early();
        }
        match self.write(0)? {
            // What was handed over is remembered.
            Status::SUCCESS => self.meet(StreamState::Pause, &mut || Ok(())),
            status => Err(fail("call-failed", format_args!("SetWritePacket(0) in PAUSE: {status}"))),
        }
    }

    /// Before RUN only packet 0 is accepted (rule `packet-number`).
    fn expect_too_early(&self) {
        let mut status = self.stream.set_write_packet(2, 0, 0);
        if fault::make(Fault::EarlyPacket) {
            status = Status::SUCCESS;
        }
        if status.is_success() {
            kernel::violation(
                "packet-number",
                format_args!("packet 2 is accepted before RUN; only packet 0 may be"),
            );
        }
    }

    /// Packet 0 is the one that comes next as long as the stream has not run: handing it over again is no
    /// error (rule `prefill`).
    fn prefill(&self, state: State) -> Result<(), Failed> {
        let status = if fault::make(Fault::PrefillRefused) {
            Status::INVALID_DEVICE_STATE
        } else {
            self.stream.set_write_packet(0, 0, 0)
        };
        if status.is_success() {
            return Ok(());
        }
        Err(fail("prefill", format_args!("SetWritePacket(0) in {state:?} before RUN: {status}")))
    }

    fn run(&mut self, checker: PositionChecker, wav: &Wav<'_>) -> Result<(), Failed> {
        let (run, label) = (time::interrupt_time_100ns(), self.label);
        let packet = u64::from(self.packet_bytes) * 10_000_000 / checker.bytes_per_second().max(1);
        self.tally.events = Some(EventTimes::new(run, packet));
        still::set_state(self.stream, State::Run)?;
        crate::kprintln!("run");
        // SAFETY: the poller is stopped below, while the stream is alive.
        let poller =
            unsafe { Poller::start(self.stream, checker.clone().since(run), cfg::get_u64("poll_us", 5000)) };
        // The end of the stream, a pause and a card that waits stand still by right: only real time is
        // steady.
        let steady = self.realtime
            && cfg::get_u64("speed", 1) == 1
            && !cfg::get_bool("pause", false)
            && self.planned.is_none();
        let registers = self.registers;
        let watch = registers.watch(checker, steady);
        let fed = self.feed();
        watch.stop();
        let played = fed.and_then(|()| self.drain()).and_then(|()| self.expect_presented(wav));
        let paused = still::set_state(self.stream, State::Pause);
        crate::kprintln!("pause");
        let Reads { all, dispatch, travel, stats } = poller.stop();
        crate::kresult!("{label}position_reads={all} {label}position_reads_dispatch={dispatch}");
        poller::report(label, self.tally.events.as_ref(), &stats, steady);
        played.and(paused)?;
        self.expect_travel(travel);
        self.registers.expect_frozen(self.stream);
        self.expect_frozen()?;
        if self.tally.written < self.packets.count() {
            // Not the driver's fault by itself: in real time a packet can come too late.
            crate::kprintln!(
                "{} of {} packets were accepted in time",
                self.tally.written,
                self.packets.count()
            );
            return Err(Failed);
        }
        Ok(())
    }

    /// Copies the next piece of the file into the place of packet `n` and hands it over. Only a missing or
    /// late place in time is not an error here.
    fn write(&mut self, n: u32) -> Result<Status, Failed> {
        let Some(packet) = self.packets.get(self.tally.written, n) else { return Ok(Status::SUCCESS) };
        // SAFETY: the packet's place is inside the ring: the offset is that of a packet in it and the data at
        // most one packet.
        unsafe { self.fill(n, packet.offset, packet.data) };
        compiler_fence(Ordering::Release);
        let (flags, length) =
            if packet.last { (END_OF_STREAM, u32::try_from(packet.data.len()).unwrap_or(0)) } else { (0, 0) };
        let status = self.stream.set_write_packet(n, flags, length);
        match status {
            Status::SUCCESS => {
                self.tally.written += 1;
                self.tally.book.late.add(self.end(), n);
                self.tally.last = Some(n);
                if self.realtime {
                    let complete = self.packet_count()?;
                    self.tally.book.accepted(n, complete);
                }
            }
            Status::DATA_LATE_ERROR | Status::DATA_OVERRUN => self.tally.late += 1,
            other => return Err(fail("call-failed", format_args!("SetWritePacket({n}): {other}"))),
        }
        Ok(status)
    }

    /// Puts the data where the card fetches it, with the faults a run asks for.
    ///
    /// # Safety
    /// `offset` is the beginning of a packet in the ring, `data` at most a packet.
    unsafe fn fill(&self, n: u32, offset: usize, data: &[u8]) {
        let target = self.tally.written == self.packets.count() / 2;
        if target && fault::wanted(Fault::SkipPacket) {
            fault::made();
            crate::kprintln!("fault skip-packet: packet {n} is not written");
            return;
        }
        // SAFETY: by the contract both stay inside the packet.
        unsafe {
            let place = self.ring.add(offset);
            place.copy_from(data.as_ptr(), data.len());
            place.add(data.len()).write_bytes(AFTER_THE_END, self.packet_bytes as usize - data.len());
            if target && fault::wanted(Fault::FlipBit) && !data.is_empty() {
                fault::made();
                let at = data.len() / 2;
                place.add(at).write(place.add(at).read() ^ 1);
                crate::kprintln!("fault flip-bit: packet {n}, byte {at}");
            }
        }
    }

    /// Writes every packet that is left, one for each notification.
    fn feed(&mut self) -> Result<(), Failed> {
        let mut next = 1;
        if self.order != Order::Lazy && self.packets.count() > 1 {
            next += u32::from(self.write(1)? == Status::SUCCESS);
        }
        let mut pause = cfg::get_bool("pause", false);
        while self.tally.written < self.packets.count() {
            self.wait_for_packet(next)?;
            self.dawdle(next);
            if pause && next >= self.packets.count() / 2 {
                pause = false;
                still::pause_and_go_on(self.stream, self.event, self.packet_100ns())?;
            }
            if self.order == Order::Hlk {
                // What is written already needs no second write; what was missed is gone.
                let due = self.packet_count()?.wrapping_add(1);
                if due < next {
                    continue;
                }
                next = due;
            }
            next = self.write_or_catch_up(next)?;
            if next >= self.packets.count() / 2 {
                next = self.meet_in_the_middle(next)?;
            }
        }
        Ok(())
    }

    /// The event in RUN, or in a PAUSE for its sake. The client does not know of it: if a packet was complete
    /// before, `next` is handed over in its midst. A driver that refuses it then is right by the samples, where
    /// the packet to write in PAUSE is the count. Which packet comes next.
    fn meet_in_the_middle(&mut self, next: u32) -> Result<u32, Failed> {
        let Some(planned) = self.planned else { return Ok(next) };
        let (stream, event, packet) = (self.stream, self.event, self.packet_100ns());
        if planned.is_due(StreamState::Paused) {
            still::set_state(stream, State::Pause)?;
            planned.at(StreamState::Paused, stream, event, packet, &mut || Ok(()))?;
            still::set_state(stream, State::Run)?;
        }
        let mut due = next;
        planned.at(StreamState::Run, stream, event, packet, &mut || {
            if wait(event, 0) {
                due = self.write_or_catch_up(due)?;
            }
            Ok(())
        })?;
        Ok(due)
    }

    /// Comes too late on purpose, for every so many packets (cfg `late_every=`).
    fn dawdle(&self, next: u32) {
        let every = cfg::get_u64("late_every", 0);
        if self.realtime && every > 0 && u64::from(next).is_multiple_of(every) {
            thread::sleep_100ns(self.packet_100ns().saturating_mul(5) / 2);
        }
    }

    /// In real time a packet that has begun would be heard from where it is handed over. This client wants
    /// its pieces whole, so it passes over what has begun: the packet after it is the next.
    fn not_begun(&mut self, next: u32) -> Result<u32, Failed> {
        let playing = if self.realtime { self.packet_count()? } else { 0 };
        self.tally.late += u32::from(playing >= next);
        Ok(next.max(playing.saturating_add(1)))
    }

    /// Writes packet `next`; which packet comes after it.
    fn write_or_catch_up(&mut self, next: u32) -> Result<u32, Failed> {
        let next = if self.realtime { self.not_begun(next)? } else { next };
        // After a packet that was late the event of the one before it may still be there: the place is taken.
        if self.realtime && next >= self.packet_count()?.saturating_add(slots().max(2)) {
            return Ok(next);
        }
        match self.write(next)? {
            Status::SUCCESS => Ok(next + 1),
            // Too late: the packets up to the one being played are gone. The one after it goes out at once:
            // at the next event it is being played.
            Status::DATA_LATE_ERROR => {
                self.tally.book.partial.add(next, next.saturating_add(u32::from(self.realtime)));
                let due = next.max(self.packet_count()?.wrapping_add(1));
                let written = self.write(due)? == Status::SUCCESS;
                Ok(due + u32::from(written))
            }
            // Too early. A card that waits for a packet we have not written gets that one; else the same
            // again after the next event.
            _ => {
                let waited_for = self.packet_count()?;
                let missing = self.tally.last.is_none_or(|last| last < waited_for) && waited_for < next;
                let written = missing && self.write(waited_for)? == Status::SUCCESS;
                Ok(if written { waited_for + 1 } else { next })
            }
        }
    }

    fn wait_for_packet(&mut self, next: u32) -> Result<(), Failed> {
        let silent = fault::make(Fault::NoEvent).then(|| Event::new(EventKind::Synchronization, false));
        if wait(silent.as_ref().unwrap_or(self.event), self.timeout_ms) {
            self.tally.events.iter_mut().for_each(|events| events.observe(time::interrupt_time_100ns()));
            return Ok(());
        }
        Err(fail(
            "no-notification",
            format_args!(
                "no event within {} ms while packet {next} of {} was to be written",
                self.timeout_ms,
                self.packets.count()
            ),
        ))
    }

    /// Waits until the last packet was played.
    fn drain(&mut self) -> Result<(), Failed> {
        let (mut before, end) = (u32::from(fault::make(Fault::CountBack)) * u32::MAX, self.end());
        loop {
            let count = self.packet_count()?;
            if count < before {
                return Err(fail("packet-count", format_args!("went back from {before} to {count}")));
            }
            if count >= end {
                return Ok(());
            }
            before = count;
            self.wait_for_packet(end)?;
        }
    }

    /// After the last packet every frame of the file must have been presented, within a second for what is
    /// still in flight.
    fn expect_presented(&self, wav: &Wav<'_>) -> Result<(), Failed> {
        let frames_per_packet = u64::from(self.packet_bytes) / wav.block_align() as u64;
        // Silence for packets that came too late is presented too.
        let silent = u64::from(self.end().saturating_sub(self.packets.count())) * frames_per_packet;
        let frames = wav.frames() as u64 + silent;
        let deadline = time::ms() + 1000;
        let mut before = u64::from(fault::make(Fault::PresentedBack)) * u64::MAX;
        loop {
            let presented = self
                .stream
                .presentation()
                .map_err(|status| fail("call-failed", format_args!("presentation position: {status}")))?;
            let now = presented.position_in_blocks;
            if now < before {
                kernel::violation("presentation-position", format_args!("went back from {before} to {now}"));
            }
            if presented.qpc_position == u64::MAX || presented.qpc_position > time::qpc() as u64 {
                kernel::violation(
                    "presentation-position",
                    format_args!("its time {} is not in the past", presented.qpc_position),
                );
            }
            before = now;
            if now >= frames {
                // The clock may go on after the end of the stream, but not faster than the count of packets.
                let limit = (u64::from(self.packet_count()?) + 1) * frames_per_packet;
                if now > limit {
                    kernel::violation(
                        "presentation-position",
                        format_args!("{now} frames presented, at most {limit} can be"),
                    );
                }
                return Ok(());
            }
            if time::ms() > deadline {
                return Err(fail(
                    "presentation-position",
                    format_args!("stands at {now} of {frames} frames though every packet was played"),
                ));
            }
            thread::sleep_100ns(10_000);
        }
    }

    /// The play position went as far as packets were played, give or take two packets at either end (rule
    /// `position-travel`).
    fn expect_travel(&self, travel: Travel) {
        let packet = u64::from(self.packet_bytes);
        let played = u64::from(self.end()) * packet;
        let travel = if fault::make(Fault::FastTravel) {
            Travel { bytes: played + 5 * packet, complete: true }
        } else {
            travel
        };
        if travel.complete && travel.bytes.abs_diff(played) > 2 * packet {
            kernel::violation(
                "position-travel",
                format_args!("GetPosition went {} bytes while {played} bytes were played", travel.bytes),
            );
        }
    }

    /// After PAUSE nothing moves and nothing is signalled (rules `not-frozen`, `event-outside-run`), for one
    /// and a half packets.
    fn expect_frozen(&self) -> Result<(), Failed> {
        still::expect_frozen(self.stream, self.event, self.packet_100ns());
        self.packet_count().map(drop)
    }

    fn packet_100ns(&self) -> i64 {
        i64::from(self.packet_bytes).saturating_mul(10_000_000) / self.bytes_per_second.max(1)
    }
}

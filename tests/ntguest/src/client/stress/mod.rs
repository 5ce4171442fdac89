//! What no well-behaved client does (cfg `client=stress`): every wrong argument must be refused with the
//! right status, and nothing may be left behind. Run before the file is played, which then must still work
//! (WAVERT.md 4.3 to 4.7).

mod capture;
mod formats;
mod no_buffer;

use crate::client::format::{BufferPlan, PcmFormat};
use crate::client::player::{SLOTS, buffer_ms};
use crate::client::poller::Poller;
use crate::client::position::PositionChecker;
use crate::client::stream::{CyclicBuffer, END_OF_STREAM, PinStream, State};
use crate::client::wav::Wav;
use crate::kernel::event::{Event, EventKind, wait};
use crate::kernel::{self, cfg, pages, thread};
use crate::portcls::endpoint::Endpoint;
use crate::portcls::status::Status;
use alloc::vec::Vec;
use core::fmt;

/// How often a stream is opened and closed, and how often it goes through all states.
const CYCLES: u32 = 50;
/// How long to wait for a notification.
const TIMEOUT_MS: u32 = 2000;

/// Everything; each finding is a violation.
pub fn run(endpoint: &Endpoint, wav: &Wav<'_>) {
    let stress = Stress {
        endpoint: endpoint.clone(),
        format: PcmFormat::of(wav.sample, wav.rate, wav.channels, true),
    };
    let packets: Step = if endpoint.capture { capture::read_packets } else { Stress::packets };
    let steps: [(&str, Step); 11] = [
        ("pins and directions", Stress::wrong_pins),
        ("formats", formats::run),
        ("no buffer", no_buffer::run),
        ("instances", Stress::instances),
        ("buffers", Stress::buffers),
        ("buffers without notifications", capture::cyclic_buffers),
        ("events", Stress::events),
        ("states", Stress::states),
        ("position while the state changes", Stress::position_in_any_state),
        ("packets", packets),
        ("unregister while running", Stress::unregister_while_running),
    ];
    for (name, step) in steps {
        crate::kprintln!("stress of \"{}\": {name}", endpoint.name);
        step(&stress);
    }
}

/// One group of tries.
type Step = fn(&Stress);

/// A stream to be opened again and again.
pub struct Stress {
    /// Whose.
    pub endpoint: Endpoint,
    /// In this format.
    pub format: PcmFormat,
}

/// A violation of the rule `stress`.
pub fn finding(what: fmt::Arguments<'_>) {
    kernel::violation("stress", what);
}

/// What the samples refuse (or take) and no page says so.
pub fn harsh_finding(what: fmt::Arguments<'_>) {
    kernel::harsh_violation("stress", what);
}

/// A buffer of so many bytes, which is no whole frame, is accepted. The samples refuse it; the page lets a
/// driver give more than it was asked for.
pub fn buffer_is_accepted(bytes: u32, block: u32, how: fmt::Arguments<'_>) {
    let what = format_args!("a buffer of {bytes} bytes with {how} is accepted");
    if (1..block).contains(&bytes) { harsh_finding(what) } else { finding(what) }
}

/// A call that must fail; `due` lists the statuses that are right, none means any failure.
pub fn refused(what: &str, status: Status, due: &[Status]) {
    if status.is_success() {
        finding(format_args!("{what} is accepted"));
    } else if !due.is_empty() && !due.contains(&status) {
        finding(format_args!("{what}: {status}, due is {due:?}"));
    }
}

/// A call that must succeed.
pub fn accepted(what: &str, status: Status) {
    if !status.is_success() {
        finding(format_args!("{what}: {status}"));
    }
}

impl Stress {
    /// A new stream in the run's format.
    pub fn open(&self) -> Option<PinStream> {
        PinStream::open(&self.endpoint, &self.format.bytes())
            .inspect_err(|status| finding(format_args!("NewStream with a good format: {status}")))
            .ok()
    }

    /// Bytes of the buffer the run uses.
    pub fn buffer_bytes(&self) -> u32 {
        BufferPlan::new(&self.format, buffer_ms(), SLOTS).map_or(4096, |plan| plan.bytes)
    }

    /// Bytes of a frame.
    pub fn block(&self) -> u32 {
        u32::from(self.format.block_align())
    }

    /// Length of a packet of this buffer.
    pub fn packet_100ns(&self, buffer: &CyclicBuffer) -> u64 {
        let frames = u64::from(buffer.size / SLOTS / self.block().max(1));
        let rate = u64::from(self.format.rate).saturating_mul(cfg::get_u64("speed", 1));
        frames * 10_000_000 / rate.max(1)
    }

    /// Opens a stream with a buffer, hands both to `f`, and takes both back.
    pub fn with_buffer(&self, f: impl FnOnce(&PinStream, &CyclicBuffer)) {
        let Some(stream) = self.open() else { return };
        match stream.allocate(SLOTS, self.buffer_bytes()) {
            Ok(buffer) => {
                f(&stream, &buffer);
                stream.free(&buffer);
            }
            Err(status) => finding(format_args!("AllocateBufferWithNotification: {status}")),
        }
        stream.close();
    }

    fn wrong_pins(&self) {
        let format = self.format.bytes();
        let Endpoint { pin, capture, .. } = self.endpoint;
        // The bridge is the filter's other pin.
        let cases = [(pin, !capture), (1 - pin.min(1), capture), (99, capture), (u32::MAX, !capture)];
        for (pin, capture) in cases {
            if let Ok(stream) = PinStream::open_with(&self.endpoint, &format, pin, capture) {
                finding(format_args!("NewStream on pin {pin}, capture {capture}, is accepted"));
                stream.close();
            }
        }
    }

    /// As many streams as the pin says, all at once; then many times one.
    fn instances(&self) {
        let most = self.endpoint.descriptor.max_instances.min(8);
        let streams: Vec<PinStream> = (0..most).filter_map(|_| self.open()).collect();
        streams.into_iter().for_each(PinStream::close);
        for _ in 0..CYCLES {
            self.with_buffer(|_, _| ());
        }
    }

    fn buffers(&self) {
        let block = u32::from(self.format.block_align());
        let usual = self.buffer_bytes();
        let cases = [
            (SLOTS, 0),
            (SLOTS, block - 1),
            (0, usual),
            (3, usual),
            (u32::MAX, usual),
            (SLOTS, u32::MAX),
            (SLOTS, u32::MAX - 4095),
        ];
        for (count, bytes) in cases {
            let Some(stream) = self.open() else { return };
            if let Ok(buffer) = stream.allocate(count, bytes) {
                buffer_is_accepted(bytes, block, format_args!("{count} notifications"));
                stream.free(&buffer);
            }
            stream.close();
        }
        self.odd_buffers(block, usual);
        self.with_buffer(|stream, _| {
            if let Ok(second) = stream.allocate(SLOTS, usual) {
                finding(format_args!("a second buffer is accepted"));
                stream.free(&second);
            }
        });
    }

    /// Sizes that are no whole packets: refused, or made larger, never smaller.
    fn odd_buffers(&self, block: u32, usual: u32) {
        for (count, bytes) in
            [(1, usual), (1, block), (SLOTS, usual + 1), (SLOTS, usual + block), (SLOTS, block * 3)]
        {
            let Some(stream) = self.open() else { return };
            if let Ok(buffer) = stream.allocate(count, bytes) {
                let held = pages::byte_count(buffer.mdl);
                if buffer.size < bytes
                    || !buffer.size.is_multiple_of(count * block)
                    || buffer.size.saturating_add(buffer.offset) > held
                {
                    finding(format_args!(
                        "{bytes} bytes with {count} notifications become {} in an MDL of {held}",
                        buffer.size
                    ));
                }
                stream.free(&buffer);
            }
            stream.close();
        }
    }

    fn events(&self) {
        self.with_buffer(|stream, _| {
            let (one, two) = (
                Event::new(EventKind::Synchronization, false),
                Event::new(EventKind::Synchronization, false),
            );
            refused(
                "UnregisterNotificationEvent of an unknown event",
                stream.unregister(&one),
                &[Status::NOT_FOUND],
            );
            accepted("RegisterNotificationEvent", stream.register(&one));
            refused("RegisterNotificationEvent of the same event", stream.register(&one), &[]);
            accepted("RegisterNotificationEvent of a second event", stream.register(&two));
            accepted("UnregisterNotificationEvent", stream.unregister(&one));
            refused("UnregisterNotificationEvent twice", stream.unregister(&one), &[Status::NOT_FOUND]);
            accepted("UnregisterNotificationEvent of the second event", stream.unregister(&two));
        });
    }

    /// Repeats and jumps are accepted, garbage is not; many turns leave nothing behind.
    fn states(&self) {
        use State::{Acquire, Pause, Run, Stop};
        self.with_buffer(|stream, _| {
            let walk = [
                Stop, Acquire, Acquire, Pause, Pause, Run, Run, Pause, Run, Pause, Acquire, Stop, Stop,
                Pause, Run, Stop, Run, Acquire, Stop,
            ];
            for (step, state) in walk.into_iter().enumerate() {
                accepted("SetState", stream.set_state(state));
                if state == Stop {
                    let (_, position) = stream.position(kernel::irql::PASSIVE);
                    if (position.play_offset, position.write_offset) != (0, 0) {
                        finding(format_args!(
                            "step {step}: the position in STOP is {}",
                            position.play_offset
                        ));
                    }
                }
            }
            for _ in 0..CYCLES {
                for state in [Acquire, Pause, Run, Pause, Acquire, Stop] {
                    accepted("SetState", stream.set_state(state));
                }
            }
            refused("SetState(4)", stream.set_raw_state(4), &[]);
            refused("SetState(0xFFFFFFFF)", stream.set_raw_state(u32::MAX), &[]);
        });
    }

    /// GetPosition at PASSIVE and DISPATCH level on another thread while the state changes: always in range
    /// and on a frame.
    fn position_in_any_state(&self) {
        use State::{Acquire, Pause, Run, Stop};
        self.with_buffer(|stream, buffer| {
            let (size, block) = (u64::from(buffer.size), u64::from(self.format.block_align()));
            let checker = PositionChecker::new(size, block, u64::from(self.format.rate));
            // SAFETY: the poller is stopped below, while the stream is alive.
            let poller = unsafe { Poller::start_in_any_state(stream, checker, 300) };
            for turn in 0..CYCLES {
                for state in [Acquire, Pause, Run, Pause, Run, Pause, Acquire, Stop] {
                    accepted("SetState", stream.set_state(state));
                    if state == Run && turn % 4 == 0 {
                        thread::sleep_100ns(10_000);
                    }
                }
            }
            let reads = poller.stop();
            crate::kresult!(
                "state_change_reads={} state_change_reads_dispatch={}",
                reads.all,
                reads.dispatch
            );
        });
    }

    /// Packet numbers and flags (WAVERT.md 4.7).
    fn packets(&self) {
        self.with_buffer(|stream, buffer| {
            let packet = buffer.size / SLOTS;
            let event = Event::new(EventKind::Synchronization, false);
            accepted("RegisterNotificationEvent", stream.register(&event));
            accepted("SetState(Pause)", stream.set_state(State::Pause));
            // Its page: what is "higher than can be stored in the WaveRT buffer" is an overrun. Packet 1 of
            // two can; the samples take packet 0 alone.
            let early = "SetWritePacket(1) before RUN";
            match stream.set_write_packet(1, 0, 0) {
                Status::SUCCESS => harsh_finding(format_args!("{early} is accepted")),
                status => refused(early, status, &[Status::DATA_OVERRUN]),
            }
            refused(
                "SetWritePacket with an unknown flag",
                stream.set_write_packet(0, 1, 0),
                &[Status::INVALID_PARAMETER],
            );
            let too_long = stream.set_write_packet(0, END_OF_STREAM, packet + 1);
            refused("an end of stream longer than a packet", too_long, &[Status::INVALID_PARAMETER]);
            accepted("SetWritePacket(0) before RUN", stream.set_write_packet(0, 0, u32::MAX));
            accepted("SetState(Run)", stream.set_state(State::Run));
            refused("SetWritePacket(7)", stream.set_write_packet(7, 0, 0), &[Status::DATA_OVERRUN]);
            refused(
                "SetWritePacket(0xFFFFFFFF)",
                stream.set_write_packet(u32::MAX, 0, 0),
                &[Status::DATA_OVERRUN, Status::DATA_LATE_ERROR],
            );
            if wait(&event, TIMEOUT_MS) {
                refused(
                    "SetWritePacket(0) after it was played",
                    stream.set_write_packet(0, 0, 0),
                    &[Status::DATA_LATE_ERROR],
                );
            } else {
                finding(format_args!("no notification of packet 0"));
            }
            accepted("SetState(Stop)", stream.set_state(State::Stop));
            end_of_stream(stream);
            accepted("UnregisterNotificationEvent", stream.unregister(&event));
        });
    }

    /// After UnregisterNotificationEvent returned, the event is nobody's: it is poisoned while packets go on
    /// ending.
    fn unregister_while_running(&self) {
        self.with_buffer(|stream, _| {
            let (gone, kept) = (
                Event::new(EventKind::Synchronization, false),
                Event::new(EventKind::Synchronization, false),
            );
            accepted("RegisterNotificationEvent", stream.register(&gone));
            accepted("RegisterNotificationEvent", stream.register(&kept));
            accepted("SetState(Pause)", stream.set_state(State::Pause));
            if !self.endpoint.capture {
                accepted("SetWritePacket(0)", stream.set_write_packet(0, 0, 0));
            }
            accepted("SetState(Run)", stream.set_state(State::Run));
            accepted("UnregisterNotificationEvent", stream.unregister(&gone));
            gone.poison();
            if !wait(&kept, TIMEOUT_MS) {
                finding(format_args!("no notification after another event was unregistered"));
            }
            thread::sleep_100ns(200_000);
            accepted("SetState(Stop)", stream.set_state(State::Stop));
            accepted("UnregisterNotificationEvent", stream.unregister(&kept));
        });
    }
}

/// After the end of the stream nothing may follow until STOP.
fn end_of_stream(stream: &PinStream) {
    accepted("SetState(Pause)", stream.set_state(State::Pause));
    accepted("an end of stream of length 0", stream.set_write_packet(0, END_OF_STREAM, 0));
    accepted("SetState(Run)", stream.set_state(State::Run));
    refused(
        "SetWritePacket after the end of the stream",
        stream.set_write_packet(1, 0, 0),
        &[Status::INVALID_DEVICE_STATE],
    );
    accepted("SetState(Stop)", stream.set_state(State::Stop));
    accepted("SetState(Pause) after STOP", stream.set_state(State::Pause));
    accepted("SetWritePacket(0) after STOP", stream.set_write_packet(0, 0, 0));
    accepted("SetState(Stop)", stream.set_state(State::Stop));
}

//! Records from a capture endpoint (cfg `client=record`), in the call order of WAVERT.md 4.8, and hands what
//! it recorded to the host.

use super::buffer::{self, Kind};
use super::format::{self, BufferPlan, PcmFormat};
use super::hw_register::HwRegisters;
use super::life::cell::StreamState;
use super::life::{self, PlannedEvent};
use super::play::Label;
use super::player::{self, Failed, SLOTS, buffer_ms, expect, fail, slots};
use super::poller::{self, Poller};
use super::position::PositionChecker;
use super::recorder::{Mode, Recorder, Until};
use super::still::{self, expect_frozen, set_state};
use super::stream::{CyclicBuffer, PinStream, State};
use super::timing_stats::EventTimes;
use crate::kernel::event::{Event, EventKind, wait};
use crate::kernel::{self, cfg, cpu, irql, time};
use crate::portcls::endpoint::{self, Endpoint};
use crate::portcls::fault::{self, Fault};
use crate::portcls::oracle;
use crate::portcls::status::Status;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

/// Where the host listens for what was recorded: a second debug console.
const RECORDING_PORT: u16 = 0x404;
/// More than this is not recorded: it is kept in memory until the stream has stopped.
const MOST_BYTES: usize = 12 << 20;

/// What was recorded.
pub struct Recording {
    /// Whole frames.
    pub data: Vec<u8>,
    /// Packets that came and went unread.
    pub lost_packets: u64,
}

/// One recording to be made.
pub struct Order<'a> {
    /// From where.
    pub endpoint: &'a Endpoint,
    /// In which format.
    pub format: PcmFormat,
    /// How.
    pub mode: Mode,
    /// How long.
    pub until: Until<'a>,
    /// Set when the stream runs.
    pub running: &'a AtomicBool,
    /// What the lines with its figures begin with.
    pub label: Label,
    /// An event that it is to meet.
    pub planned: Option<&'a PlannedEvent>,
}

/// As ntguest.cfg says, from opening to close; true when the whole of it was recorded.
pub fn run() -> bool {
    let text = cfg::get("format").unwrap_or("s16x2@48000");
    let Some((sample, channels, rate)) = format::parse(text) else {
        kernel::bad_input(format_args!("ntguest.cfg: format={text} is not like s16x2@48000"))
    };
    let format = PcmFormat::of(sample, rate, channels, cfg::get_bool("extensible", true));
    let second = rate as usize * usize::from(format.block_align());
    let bytes = wanted_bytes(&format).unwrap_or(second);
    let Some(endpoint) = endpoint::get(true, cfg::get_u64("endpoint", 0) as usize) else { return false };
    let order = Order {
        endpoint: &endpoint,
        format,
        mode: Mode::wanted(),
        until: Until::Bytes(bytes),
        running: &AtomicBool::new(false),
        label: Label::ONLY,
        planned: None,
    };
    let recording = record(&order);
    if let Some(recording) = &recording {
        deliver(recording, &format);
    }
    oracle::report_calls();
    recording.is_some()
}

/// The bytes that `frames=` asks for, if it does.
pub fn wanted_bytes(format: &PcmFormat) -> Option<usize> {
    cfg::get("frames")?;
    let frames = cfg::get_u64("frames", 0);
    let bytes = usize::try_from(frames.saturating_mul(u64::from(format.block_align()))).ok();
    Some(bytes.filter(|bytes| (1..=MOST_BYTES).contains(bytes)).unwrap_or_else(|| {
        kernel::bad_input(format_args!("ntguest.cfg: frames={frames}: 1 frame to 12 MiB can be recorded"))
    }))
}

/// Sends a recording to the host and says how much it is.
pub fn deliver(recording: &Recording, format: &PcmFormat) {
    cpu::outsb(RECORDING_PORT, &recording.data);
    let frames = recording.data.len() / usize::from(format.block_align()).max(1);
    crate::kresult!("recorded-frames={frames} lost-packets={}", recording.lost_packets);
}

/// Makes a recording; `None` when it failed, which was said.
pub fn record(order: &Order<'_>) -> Option<Recording> {
    let Order { endpoint, format, label, .. } = order;
    let wrong = endpoint.capture == fault::make(Fault::CaptureFlag);
    if let Ok(stream) = PinStream::open_with(endpoint, &format.bytes(), endpoint.pin, wrong) {
        kernel::violation("capture-flag", format_args!("NewStream opens a capture pin with Capture FALSE"));
        stream.close();
    }
    player::with_stream(endpoint, format, *label, |stream| with_buffer(stream, order)).ok()
}

fn with_buffer(stream: &PinStream, order: &Order<'_>) -> Result<Recording, Failed> {
    if order.mode == Mode::Packet && !stream.has_read_packets() {
        return Err(fail("no-packet-mode", format_args!("the stream has no IMiniportWaveRTInputStream")));
    }
    // Without a notification buffer there are no packets, whatever the state.
    expect_no_packet(stream, "without a buffer", &[Status::NOT_SUPPORTED]);
    let slots = slots();
    let plan = BufferPlan::new(&order.format, buffer_ms(), slots)
        .unwrap_or_else(|| kernel::bad_input(format_args!("ntguest.cfg: buffer_ms is too large")));
    let kind = if order.mode == Mode::Timer { Kind::Plain } else { Kind::Notification(slots) };
    buffer::with(stream, kind, &order.format, plan.bytes, |buffer| session(stream, buffer, order))
}

/// With a buffer: the event, the states, the recording, and back.
fn session(stream: &PinStream, buffer: &CyclicBuffer, order: &Order<'_>) -> Result<Recording, Failed> {
    let latency = stream.hw_latency();
    crate::kprintln!(
        "capture buffer of {} bytes, cache type {}; FIFO {} bytes",
        buffer.size,
        buffer.cache,
        latency.fifo_size
    );
    let block = u64::from(order.format.block_align());
    let bytes_per_second = u64::from(order.format.rate) * block;
    let registers = HwRegisters::of(stream, buffer.size, block, bytes_per_second, order.label);
    let event = Event::new(EventKind::Synchronization, false);
    let timer = order.mode == Mode::Timer;
    if !timer {
        expect("RegisterNotificationEvent", stream.register(&event))?;
    }
    expect_zero_positions(stream, "before RUN");
    registers.expect_zero("capture before RUN");
    let result = states(stream, buffer, order, &registers, &event);
    if result.is_err() {
        let taken = order.planned.is_some_and(PlannedEvent::took_the_stream);
        // Where an event took the stream this must succeed all the same (rule `set-state`).
        still::go_down(stream, taken);
    } else {
        expect_zero_positions(stream, "after STOP");
        registers.expect_zero("capture after STOP");
        if order.mode == Mode::Packet && matches!(order.until, Until::Bytes(_)) {
            expect_numbers_restart(stream, &event)?;
        }
    }
    if !timer {
        expect("UnregisterNotificationEvent", stream.unregister(&event))?;
        event.poison();
        crate::kresult!("capture_notifications={}", event.signals());
    }
    result
}

/// STOP, ACQUIRE, PAUSE, RUN, the recording, and the way back.
fn states(
    stream: &PinStream,
    buffer: &CyclicBuffer,
    order: &Order<'_>,
    registers: &HwRegisters,
    event: &Event,
) -> Result<Recording, Failed> {
    let packets = order.mode == Mode::Packet;
    if packets {
        expect_no_packet(stream, "in STOP", &[Status::INVALID_DEVICE_STATE]);
    }
    let packet = packet_100ns(buffer, order);
    let through = |states: &[State]| states.iter().try_for_each(|to| set_state(stream, *to));
    let meet = |moment, states: &[State]| {
        life::meet(order.planned, moment, stream, event, packet, &mut || through(states))
    };
    meet(StreamState::Stop, &[State::Acquire, State::Pause, State::Acquire, State::Stop])?;
    set_state(stream, State::Acquire)?;
    if packets {
        expect_no_packet(stream, "in ACQUIRE", &[Status::INVALID_DEVICE_STATE]);
    }
    meet(StreamState::Acquire, &[State::Stop, State::Acquire, State::Pause, State::Acquire])?;
    set_state(stream, State::Pause)?;
    // Without notifications there are no packets.
    let due = if order.mode == Mode::Timer { Status::NOT_SUPPORTED } else { Status::DEVICE_NOT_READY };
    expect_no_packet(stream, "in PAUSE before RUN", &[due]);
    // A stream that is told to run in the midst of the event runs after it.
    let run = time::interrupt_time_100ns();
    meet(StreamState::Pause, &[State::Run])?;
    let recording = running(stream, buffer, order, registers, event, run)?;
    registers.expect_frozen(stream);
    expect_frozen(stream, event, packet);
    set_state(stream, State::Acquire)?;
    set_state(stream, State::Stop)?;
    if packets {
        expect_no_packet(stream, "after STOP", &[Status::INVALID_DEVICE_STATE]);
    }
    Ok(recording)
}

fn packet_100ns(buffer: &CyclicBuffer, order: &Order<'_>) -> i64 {
    let rate = i64::from(order.format.rate) * i64::from(order.format.block_align());
    i64::from(buffer.size / slots()).saturating_mul(10_000_000) / rate.max(1)
}

/// From RUN, not before `run` (100-ns units), to PAUSE.
fn running(
    stream: &PinStream,
    buffer: &CyclicBuffer,
    order: &Order<'_>,
    registers: &HwRegisters,
    event: &Event,
    run: u64,
) -> Result<Recording, Failed> {
    let format = &order.format;
    let rate = u64::from(format.rate).saturating_mul(cfg::get_u64("speed", 1));
    let packet_bytes = u64::from(buffer.size / slots());
    let checker = PositionChecker::new(u64::from(buffer.size), u64::from(format.block_align()), rate)
        .with_packets_of(packet_bytes);
    let bytes_per_second = checker.bytes_per_second();
    let capacity = match order.until {
        Until::Bytes(bytes) => bytes + buffer.size as usize,
        Until::Told(_) => MOST_BYTES,
    };
    let mut taken = Vec::new();
    taken.try_reserve_exact(capacity).map_err(|_| fail("client", format_args!("no memory to record to")))?;
    let packet = packet_bytes * 10_000_000 / bytes_per_second.max(1);
    let mut recorder = Recorder {
        stream,
        ring: buffer::view(buffer),
        size: buffer.size as usize,
        slots: if order.mode == Mode::Timer { SLOTS } else { slots() },
        bytes_per_second,
        run,
        timeout_ms: u32::try_from(cfg::get_u64("event_timeout_ms", 3000)).unwrap_or(u32::MAX),
        until: order.until,
        taken,
        lost_bytes: 0,
        events: EventTimes::new(run, packet),
        tail: 0,
        pause_next: false,
        planned: order.planned,
    };
    set_state(stream, State::Run)?;
    if fault::make(Fault::EarlyEvent) {
        event.signal();
    }
    crate::kprintln!("capture runs");
    order.running.store(true, Ordering::Release);
    let (followed, poll_us) = (checker.clone().since(run), cfg::get_u64("poll_us", 5000));
    let poller = if cfg::get_bool("clock_stops", false) {
        // The card records up to a buffer in no time: an offset in it does not tell that from a step back, and of a
        // recording there is no presentation position that would.
        // SAFETY: the poller is stopped below, while the stream is alive.
        unsafe { Poller::start_in_any_state(stream, followed, poll_us) }
    } else {
        // SAFETY: as above.
        unsafe { Poller::start(stream, followed, poll_us) }
    };
    // A card that waits for GetReadPacket stands still by right.
    let lockstep = cfg::get("reg.Lockstep") == Some("1");
    let steady = !lockstep
        && cfg::get_u64("speed", 1) == 1
        && !cfg::get_bool("pause", false)
        && order.planned.is_none();
    let watch = registers.watch(checker, steady);
    let recorded = match order.mode {
        Mode::Packet => recorder.by_packets(event),
        Mode::Event => recorder.by_events(event),
        Mode::Timer => recorder.by_timer(),
    };
    watch.stop();
    let paused = set_state(stream, State::Pause);
    crate::kprintln!("capture pauses");
    let reads = poller.stop();
    crate::kresult!(
        "capture_position_reads={} capture_position_reads_dispatch={}",
        reads.all,
        reads.dispatch
    );
    poller::report(
        order.label,
        (order.mode != Mode::Timer).then_some(&recorder.events),
        &reads.stats,
        steady,
    );
    recorded.and(paused)?;
    let Recorder { taken: mut data, lost_bytes, .. } = recorder;
    if let Until::Bytes(bytes) = order.until {
        data.truncate(bytes);
    }
    Ok(Recording { data, lost_packets: lost_bytes.div_ceil(packet_bytes.max(1)) })
}

/// `GetReadPacket` must say so when there can be no packet (rule `read-packet`).
fn expect_no_packet(stream: &PinStream, when: &str, due: &[Status]) {
    if !stream.has_read_packets() {
        return;
    }
    match stream.read_packet() {
        Ok(packet) => kernel::violation(
            "read-packet",
            format_args!("GetReadPacket {when} gives packet {}, due is {due:?}", packet.number),
        ),
        Err(status) if due.contains(&status) => {}
        Err(status) => {
            kernel::violation("read-packet", format_args!("GetReadPacket {when}: {status}, due is {due:?}"));
        }
    }
}

/// In STOP the position is zero (rule `not-at-rest`).
fn expect_zero_positions(stream: &PinStream, when: &str) {
    let (status, position) = stream.position(irql::PASSIVE);
    if !status.is_success() || (position.play_offset, position.write_offset) != (0, 0) {
        kernel::violation(
            "not-at-rest",
            format_args!(
                "capture {when}: GetPosition {status} play {} write {}",
                position.play_offset, position.write_offset
            ),
        );
    }
}

/// The first packet after STOP is packet 0 again (rule `read-packet`).
fn expect_numbers_restart(stream: &PinStream, event: &Event) -> Result<(), Failed> {
    event.clear();
    for state in [State::Acquire, State::Pause, State::Run] {
        set_state(stream, state)?;
    }
    let signalled = wait(event, 3000);
    let first = stream.read_packet();
    for state in [State::Pause, State::Acquire, State::Stop] {
        set_state(stream, state)?;
    }
    let lockstep = cfg::get("reg.Lockstep") == Some("1");
    // In real time a late client may be given a packet or two after the first.
    let most = if lockstep { 0 } else { 50 };
    if !signalled || first.is_err() || first.is_ok_and(|packet| packet.number > most) {
        kernel::violation(
            "read-packet",
            format_args!(
                "after STOP and RUN the event came: {signalled}, GetReadPacket {first:?}, packet 0 is due"
            ),
        );
    }
    Ok(())
}

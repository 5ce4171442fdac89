//! Plays a file in the call order of WAVERT.md 4.8, from pin create to close, and judges every answer on the
//! way.

use super::buffer::{self, Kind};
use super::drm;
use super::format::{BufferPlan, PcmFormat};
use super::hw_register::HwRegisters;
use super::late::LateBook;
use super::life::PlannedEvent;
use super::packets::Packets;
use super::player::{self, Failed, Order, Player, Tally, buffer_ms, expect, fail, realtime, slots};
use super::position::PositionChecker;
use super::stream::{CyclicBuffer, PinStream};
use super::timer;
use super::wav::Wav;
use crate::kernel::event::{Event, EventKind};
use crate::kernel::{self, cfg, time};
use crate::portcls::endpoint::Endpoint;
use crate::portcls::fault::{self, Fault};
use crate::portcls::{oracle, port_etw};
use core::fmt;

/// What the keys of a stream's result lines begin with: nothing, or `endpointN_` for the further ones of
/// `also=`, `capture_` for what is recorded while something is played, or `beside_` for what is played on the
/// card to which nothing happens.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Label(pub Option<usize>);

impl Label {
    /// Of the only stream, or the one that is played.
    pub const ONLY: Self = Self(None);
    /// Of the stream that is recorded by a client that plays too.
    pub const RECORDER: Self = Self(Some(usize::MAX));
    /// Of the stream on a second card.
    pub const BESIDE: Self = Self(Some(usize::MAX - 1));
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => Ok(()),
            Some(usize::MAX) => f.write_str("capture_"),
            Some(number) if Label(Some(number)) == Self::BESIDE => f.write_str("beside_"),
            Some(number) => write!(f, "endpoint{number}_"),
        }
    }
}

/// Opens the endpoint, plays the file, closes; true when every packet was played.
pub fn play(endpoint: &Endpoint, wav: &Wav<'_>, label: Label) -> bool {
    play_meeting(endpoint, wav, label, None).is_ok()
}

/// The same for a stream that meets an event.
pub fn play_meeting(
    endpoint: &Endpoint,
    wav: &Wav<'_>,
    label: Label,
    planned: Option<&PlannedEvent>,
) -> Result<(), Failed> {
    let format = PcmFormat::of(wav.sample, wav.rate, wav.channels, cfg::get_bool("extensible", true));
    let started = time::ms();
    let played = player::with_stream(endpoint, &format, label, |stream| {
        // As the audio engine: without notifications (KSPROPERTY_RTAUDIO_QUERY_NOTIFICATION_SUPPORT) a stream
        // goes by the timer.
        if !stream.has_notifications() {
            return timer::with_buffer(stream, wav, &format, label);
        }
        drm::check_rights(stream, "before it was played");
        let played = with_buffer(stream, wav, &format, label, planned);
        if !stream.has_lost_its_process() {
            drm::check_rights(stream, "after it was played");
        }
        played
    });
    oracle::report_calls();
    crate::kresult!("{label}wall_ms={}", time::ms() - started);
    played
}

fn with_buffer(
    stream: &PinStream,
    wav: &Wav<'_>,
    format: &PcmFormat,
    label: Label,
    planned: Option<&PlannedEvent>,
) -> Result<(), Failed> {
    if !stream.has_packet_mode() {
        return Err(fail("no-packet-mode", format_args!("the stream has no IMiniportWaveRTOutputStream")));
    }
    let slots = slots();
    let plan = BufferPlan::new(format, buffer_ms(), slots)
        .unwrap_or_else(|| kernel::bad_input(format_args!("ntguest.cfg: buffer_ms is too large")));
    buffer::with(stream, Kind::Notification(slots), format, plan.bytes, |buffer| {
        oracle::check_page_address(stream.port_stream(), buffer.mdl);
        with_event(stream, buffer, wav, format, label, planned)
    })
}

fn with_event(
    stream: &PinStream,
    buffer: &CyclicBuffer,
    wav: &Wav<'_>,
    format: &PcmFormat,
    label: Label,
    planned: Option<&PlannedEvent>,
) -> Result<(), Failed> {
    let latency = stream.hw_latency();
    let event = Event::new(EventKind::Synchronization, false);
    expect("RegisterNotificationEvent", stream.register(&event))?;
    crate::kprintln!(
        "buffer of {} bytes, cache type {}; FIFO {} bytes",
        buffer.size,
        buffer.cache,
        latency.fifo_size
    );
    let (packet_bytes, block) = (buffer.size / slots(), u64::from(format.block_align()));
    let bytes_per_second = u64::from(wav.rate) * block;
    let registers = HwRegisters::of(stream, buffer.size, block, bytes_per_second, label);
    let mut player = Player {
        stream,
        event: &event,
        packets: Packets::new(&wav.data, packet_bytes as usize, slots()).ok_or(Failed)?,
        packet_bytes,
        bytes_per_second: bytes_per_second.cast_signed(),
        ring: buffer::view(buffer),
        registers: &registers,
        realtime: realtime(),
        order: Order::wanted(),
        label,
        timeout_ms: u32::try_from(cfg::get_u64("event_timeout_ms", 3000)).unwrap_or(u32::MAX),
        planned,
        tally: Tally::default(),
    };
    // The card's clock may go faster than time (its option --speed): the judge must know.
    let rate = u64::from(wav.rate).saturating_mul(cfg::get_u64("speed", 1));
    let checker =
        PositionChecker::new(u64::from(buffer.size), block, rate).with_packets_of(u64::from(packet_bytes));
    let checker =
        if cfg::get_bool("clock_stops", false) { checker.with_a_clock_that_stops() } else { checker };
    let before = port_etw::glitches();
    let result = player.session(checker, wav);
    check_reports(&player, before);
    let unregistered = expect("UnregisterNotificationEvent", stream.unregister(&event));
    event.poison();
    crate::kresult!(
        "{label}frames_in={} {label}packets={} {label}notifications={} {label}late={} {label}buffer_bytes={} {label}packet_bytes={packet_bytes}",
        wav.frames(),
        player.tally.written,
        event.signals(),
        player.tally.late,
        buffer.size
    );
    if player.realtime {
        let LateBook { late, unsure, partial } = &player.tally.book;
        crate::kresult!(
            "{label}late_packets={late} {label}unsure_packets={unsure} {label}partial_packets={partial}"
        );
    }
    result.and(unregistered)
}

/// The driver reports what came too late, and nothing else (rule `glitch-report`): where nobody waits for a
/// late client, and when it is the only one that plays.
fn check_reports(player: &Player<'_>, before: u32) {
    if !player.realtime || player.label != Label::ONLY || cfg::get("also").is_some() {
        return;
    }
    let stray = u32::from(fault::make(Fault::StrayGlitch));
    let reports = port_etw::glitches().saturating_sub(before) + stray;
    crate::kresult!("glitches_reported={reports}");
    if let Some(why) = player.tally.book.misreported(reports) {
        kernel::harsh_violation("glitch-report", format_args!("{reports} report(s): {why}"));
    }
}

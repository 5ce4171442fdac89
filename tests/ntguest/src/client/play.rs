//! Plays a file in the call order of wavert-facts 4.8, from pin create to close, and judges every answer on the way.

use super::format::{BufferPlan, PcmFormat};
use super::negotiate;
use super::packets::Packets;
use super::player::{Failed, Order, Player, SLOTS, Tally, expect, fail};
use super::position::PositionJudge;
use super::stream::{CyclicBuffer, RenderStream};
use super::wav::Wav;
use crate::kernel::event::{Event, EventKind};
use crate::kernel::{self, cfg, pages, time};
use crate::portcls::fault::{self, Fault};
use crate::portcls::oracle;
use crate::portcls::subdevice::Endpoint;

/// Opens the endpoint, plays the file, closes; true when every packet was played.
pub fn play(endpoint: &Endpoint, wav: &Wav<'_>) -> bool {
    let format = PcmFormat::new(wav.rate, wav.channels, cfg::get_bool("extensible", true));
    if !negotiate::is_offered(endpoint, &format) {
        kernel::violation(
            "format",
            format_args!("{} Hz with {} channel(s) is in no data range of the pin", wav.rate, wav.channels),
        );
        return false;
    }
    let started = time::ms();
    let stream = match RenderStream::open(endpoint, &format.bytes()) {
        Ok(stream) => stream,
        Err(status) => {
            kernel::violation("call-failed", format_args!("NewStream: {status}"));
            return false;
        }
    };
    let played = with_buffer(&stream, wav, &format).is_ok();
    stream.close();
    if cfg::get_bool("oracle", false) {
        let (port, client) = oracle::calls();
        crate::kresult!("oracle_calls={} oracle_port_calls={port}", port.saturating_add(client));
    }
    crate::kresult!("wall_ms={}", time::ms() - started);
    played
}

fn with_buffer(stream: &RenderStream, wav: &Wav<'_>, format: &PcmFormat) -> Result<(), Failed> {
    if !stream.has_packet_mode() {
        return Err(fail("no-packet-mode", format_args!("the stream has no IMiniportWaveRTOutputStream")));
    }
    let plan = BufferPlan::new(format, cfg::get_u64("buffer_ms", 20), SLOTS)
        .unwrap_or_else(|| kernel::bad_input(format_args!("ntguest.cfg: buffer_ms is too large")));
    let buffer = stream
        .allocate(SLOTS, plan.bytes)
        .map_err(|status| fail("call-failed", format_args!("AllocateBufferWithNotification: {status}")))?;
    let result = if buffer_is_sound(&buffer, plan.bytes, format) {
        oracle::check_page_address(stream.port_stream(), buffer.mdl);
        with_event(stream, &buffer, wav, format)
    } else {
        Err(Failed)
    };
    stream.free(&buffer);
    if pages::is_live(buffer.mdl) && !fault::wanted(Fault::SwallowFree) {
        kernel::violation(
            "buffer-not-freed",
            format_args!("FreeBufferWithNotification left the buffer's MDL allocated"),
        );
    }
    result
}

/// The promises of `AllocateBufferWithNotification` (wavert-facts 4.4).
fn buffer_is_sound(buffer: &CyclicBuffer, asked: u32, format: &PcmFormat) -> bool {
    let whole = SLOTS * u32::from(format.block_align());
    if !pages::is_live(buffer.mdl) {
        kernel::violation("buffer", format_args!("the MDL is not one of the port stream's"));
        return false;
    }
    let held = pages::byte_count(buffer.mdl);
    if buffer.size < asked
        || !buffer.size.is_multiple_of(whole)
        || buffer.offset >= 4096
        || buffer.size.checked_add(buffer.offset).is_none_or(|end| end > held)
    {
        kernel::violation(
            "buffer",
            format_args!(
                "asked for {asked} bytes, got {} at offset {} in an MDL of {held}; a packet is a multiple of {whole}",
                buffer.size, buffer.offset
            ),
        );
        return false;
    }
    if buffer.cache > 2 || pages::mapping_cache(buffer.mdl).is_some_and(|mapped| mapped != buffer.cache) {
        kernel::violation(
            "mdl-cache-type",
            format_args!("the stream reports cache type {} and maps the buffer with another", buffer.cache),
        );
    }
    true
}

fn with_event(
    stream: &RenderStream,
    buffer: &CyclicBuffer,
    wav: &Wav<'_>,
    format: &PcmFormat,
) -> Result<(), Failed> {
    let latency = stream.hw_latency();
    let event = Event::new(EventKind::Synchronization, false);
    expect("RegisterNotificationEvent", stream.register(&event))?;
    let (position_register, clock_register) = stream.registers();
    crate::kprintln!(
        "buffer of {} bytes, cache type {}; FIFO {} bytes; position register {position_register}, clock register {clock_register}",
        buffer.size,
        buffer.cache,
        latency.fifo_size
    );
    let packet_bytes = buffer.size / SLOTS;
    let mut player = Player {
        stream,
        event: &event,
        packets: Packets::new(wav.data, packet_bytes as usize, SLOTS).ok_or(Failed)?,
        packet_bytes,
        bytes_per_second: i64::from(wav.rate) * i64::from(format.block_align()),
        // SAFETY: the view covers the MDL, and offset and size were checked against it.
        ring: unsafe { pages::user_view(buffer.mdl).add(buffer.offset as usize) },
        order: Order::wanted(),
        timeout_ms: u32::try_from(cfg::get_u64("event_timeout_ms", 3000)).unwrap_or(u32::MAX),
        tally: Tally::default(),
    };
    // The card's clock may go faster than time (its option --speed): the judge must know.
    let rate = u64::from(wav.rate).saturating_mul(cfg::get_u64("speed", 1));
    let judge = PositionJudge::new(u64::from(buffer.size), u64::from(format.block_align()), rate);
    let result = player.session(judge, wav);
    let unregistered = expect("UnregisterNotificationEvent", stream.unregister(&event));
    event.poison();
    crate::kresult!(
        "frames_in={} packets={} notifications={} late={} buffer_bytes={} packet_bytes={packet_bytes}",
        wav.frames(),
        player.tally.written,
        event.signals(),
        player.tally.late,
        buffer.size
    );
    result.and(unregistered)
}

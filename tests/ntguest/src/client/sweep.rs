//! Opens every format that the endpoints announce (cfg `client=sweep`), and asks for some that none announces
//! (WAVERT.md 5.5).
//!
//! For every data range and for 1, 2 and the most channels: intersection, open, allocate, RUN for some
//! packets, STOP, close.

use super::buffer::{self, Kind};
use super::format::{BufferPlan, PcmFormat, SAMPLE_FORMATS};
use super::negotiate;
use super::player::{self, Failed, SLOTS, buffer_ms, expect, fail};
use super::stream::{PinStream, State};
use crate::kernel::event::{Event, EventKind, wait};
use crate::kernel::{self, cfg, harsh, irql};
use crate::portcls::descriptor::Range;
use crate::portcls::endpoint::{self, Endpoint};
use crate::portcls::fault::{self, Fault};
use crate::portcls::guid::{SUBTYPE_IEEE_FLOAT, SUBTYPE_PCM};
use crate::portcls::layout::KsDataRangeAudio;
use crate::portcls::status::Status;
use alloc::vec::Vec;
use ringwave_audio::SampleFormat;

/// Packets that a format runs for.
const PACKETS: u32 = 3;
/// Statuses that refuse a format.
const REFUSALS: [Status; 3] = [Status::NO_MATCH, Status::INVALID_PARAMETER, Status::NOT_SUPPORTED];

/// Sweeps all endpoints; true when every format that is announced worked.
pub fn run() -> bool {
    let mut endpoints = endpoint::all(false);
    endpoints.extend(endpoint::all(true));
    let (mut tried, mut worked, mut refused) = (0, 0, 0);
    for endpoint in &endpoints {
        for range in &endpoint.descriptor.ranges {
            tried += 1;
            worked += u32::from(negotiated_works(endpoint, range));
        }
        let formats = announced(endpoint);
        crate::kprintln!("sweep: \"{}\", {} formats", endpoint.name, formats.len());
        for format in &formats {
            tried += 1;
            worked += u32::from(works(endpoint, format));
        }
        refused += unannounced(endpoint, &formats);
    }
    crate::kresult!("sweep_formats={tried} sweep_worked={worked} sweep_refused={refused}");
    tried > 0 && worked == tried
}

/// What the miniport makes of one of its own ranges must be a format of that range, and one that it opens.
fn negotiated_works(endpoint: &Endpoint, range: &Range) -> bool {
    let Some(format) = negotiate::of_range(endpoint, range) else { return false };
    match PinStream::open(endpoint, &format) {
        Ok(stream) => {
            stream.close();
            true
        }
        Err(status) => {
            kernel::violation(
                "intersection",
                format_args!(
                    "\"{}\" makes a format of its own range and refuses it: {status}",
                    endpoint.name
                ),
            );
            false
        }
    }
}

/// One format of each range and number of channels: its highest rate and its lowest, with as many bits as it
/// takes.
fn announced(endpoint: &Endpoint) -> Vec<PcmFormat> {
    let mut formats = Vec::new();
    for range in &endpoint.descriptor.ranges {
        let Some(audio) = range.audio else { continue };
        for sample in SAMPLE_FORMATS.into_iter().filter(|sample| is_of(*sample, range, &audio)) {
            let rates = [audio.minimum_sample_frequency, audio.maximum_sample_frequency];
            for rate in rates.iter().take(if rates[0] == rates[1] { 1 } else { 2 }) {
                let most = audio.maximum_channels.min(u32::from(u16::MAX)) as u16;
                // A range says how many channels at most; which fewer there are is the driver's affair, and
                // none may be (page "Proprietary Data-Intersection Handlers": hardware that knows no mono).
                // Ours has them all.
                let mut channels = if harsh::on() { [1, 2, most].to_vec() } else { [most].to_vec() };
                channels.retain(|channels| *channels <= most);
                channels.dedup();
                for channels in channels {
                    let format = PcmFormat::of(sample, *rate, channels, cfg::get_bool("extensible", true));
                    if !formats.contains(&format) {
                        formats.push(format);
                    }
                }
            }
        }
    }
    formats
}

/// Whether a range announces samples like these: bits of a range are valid bits (KSDATARANGE_AUDIO page).
fn is_of(sample: SampleFormat, range: &Range, audio: &KsDataRangeAudio) -> bool {
    let sub_format = if sample.is_float() { SUBTYPE_IEEE_FLOAT } else { SUBTYPE_PCM };
    range.format.sub_format == sub_format
        && (audio.minimum_bits_per_sample..=audio.maximum_bits_per_sample)
            .contains(&u32::from(sample.valid_bits()))
}

fn works(endpoint: &Endpoint, format: &PcmFormat) -> bool {
    let result = try_format(endpoint, format);
    if result.is_err() {
        kernel::violation("sweep", format_args!("\"{}\" fails with {format:?}", endpoint.name));
    }
    result.is_ok()
}

fn try_format(endpoint: &Endpoint, format: &PcmFormat) -> Result<(), Failed> {
    if !negotiate::is_offered(endpoint, format) {
        return Err(Failed);
    }
    let stream = player::open(endpoint, format)?;
    let result = with_stream(&stream, format);
    stream.close();
    result
}

fn with_stream(stream: &PinStream, format: &PcmFormat) -> Result<(), Failed> {
    let plan = BufferPlan::new(format, buffer_ms(), SLOTS).ok_or(Failed)?;
    let kind = Kind::Notification(SLOTS);
    buffer::with(stream, kind, format, plan.bytes, |_| some_packets(stream, PACKETS))
}

/// From STOP through RUN for some packets, each written or read, and back to STOP.
pub fn some_packets(stream: &PinStream, packets: u32) -> Result<(), Failed> {
    let event = Event::new(EventKind::Synchronization, false);
    expect("RegisterNotificationEvent", stream.register(&event))?;
    let result = run_through(stream, &event, packets);
    for state in [State::Pause, State::Acquire, State::Stop] {
        expect("SetState", stream.set_state(state))?;
    }
    let (status, position) = stream.position(irql::PASSIVE);
    if !status.is_success() || (position.play_offset, position.write_offset) != (0, 0) {
        return Err(fail("not-at-rest", format_args!("GetPosition after STOP: {status}, {position:?}")));
    }
    expect("UnregisterNotificationEvent", stream.unregister(&event))?;
    event.poison();
    result
}

fn run_through(stream: &PinStream, event: &Event, packets: u32) -> Result<(), Failed> {
    for state in [State::Acquire, State::Pause] {
        expect("SetState", stream.set_state(state))?;
    }
    let render = stream.has_packet_mode();
    if render {
        expect("SetWritePacket(0)", stream.set_write_packet(0, 0, 0))?;
    }
    expect("SetState(Run)", stream.set_state(State::Run))?;
    for number in 0..packets {
        if render {
            // Late or early is no matter here: only the format is tried.
            let _ = stream.set_write_packet(number + 1, 0, 0);
        }
        if !wait(event, 3000) {
            return Err(fail("no-notification", format_args!("no event of packet {number}")));
        }
        let mut more = !render;
        while more {
            more = stream.read_packet().is_ok_and(|packet| packet.more == 1);
        }
    }
    Ok(())
}

/// Formats that no range announces are refused with a status that says so, and a good format works as before.
/// How many were refused.
fn unannounced(endpoint: &Endpoint, announced: &[PcmFormat]) -> u32 {
    let Some(good) = announced.first().copied() else { return 0 };
    let most = announced.iter().map(|format| format.channels).max().unwrap_or(0);
    let wide = PcmFormat { extensible: true, ..good };
    let wrong = [
        PcmFormat { channels: most + 1, ..wide },
        PcmFormat { channels: 0, ..wide },
        PcmFormat { rate: good.rate + 1, ..wide },
        PcmFormat { rate: 7_999, ..wide },
        PcmFormat { rate: 1_000_000, ..wide },
        PcmFormat { bits: 8, valid_bits: 8, ..wide },
        PcmFormat { bits: 24, valid_bits: 24, ..wide },
        PcmFormat { bits: 64, valid_bits: 64, sub_format: SUBTYPE_IEEE_FLOAT, ..wide },
        PcmFormat { bits: 32, valid_bits: 20, ..wide },
        PcmFormat { bits: 32, valid_bits: 24, sub_format: SUBTYPE_IEEE_FLOAT, ..wide },
        PcmFormat { tag: 0x55, extensible: false, ..good },
    ];
    let mut refused = 0;
    for format in wrong.iter().filter(|format| !announced.contains(format)) {
        let asked = if fault::make(Fault::AnyFormat) { &good } else { format };
        match PinStream::open(endpoint, &asked.bytes()) {
            Ok(stream) => {
                kernel::violation("sweep", format_args!("\"{}\" accepts {format:?}", endpoint.name));
                stream.close();
            }
            Err(status) if REFUSALS.contains(&status) => refused += 1,
            Err(status) => kernel::violation(
                "sweep",
                format_args!("\"{}\" refuses {format:?} with {status}, due is {REFUSALS:?}", endpoint.name),
            ),
        }
    }
    works(endpoint, &good);
    refused
}

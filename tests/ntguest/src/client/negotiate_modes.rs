//! Signal-processing modes: `IMiniportAudioSignalProcessing::GetModes`, and that a stream opens in each mode
//! and in no other (WAVERT.md 5.6; rule `modes`).

use super::attributes;
use super::format::{PcmFormat, SAMPLE_FORMATS};
use super::stream::PinStream;
use crate::kernel;
use crate::kernel::call::driver_call;
use crate::kernel::irql;
use crate::kernel::pool::Guarded;
use crate::portcls::com::Com;
use crate::portcls::descriptor::Pin;
use crate::portcls::endpoint::Endpoint;
use crate::portcls::fault::{self, Fault};
use crate::portcls::guid::{
    Guid, IID_MINIPORT_AUDIO_SIGNAL_PROCESSING, IID_NOBODY, MODE_DEFAULT, MODE_RAW, Named,
};
use crate::portcls::layout::FLAG_ATTRIBUTES;
use crate::portcls::port::Port;
use crate::portcls::status::Status;
use crate::portcls::vtable::{SignalProcessing, This};
use alloc::vec::Vec;
use core::fmt;
use core::ptr;
use ringwave_audio::SampleFormat;

/// More modes than there are.
const MOST: u32 = 32;
/// Statuses that refuse a mode or an attribute.
const REFUSALS: [Status; 3] = [Status::NOT_SUPPORTED, Status::INVALID_PARAMETER, Status::NO_MATCH];

fn wrong(endpoint: &Endpoint, what: fmt::Arguments<'_>) {
    kernel::violation("modes", format_args!("\"{}\": {what}", endpoint.name));
}

/// Asks for the modes of every pin; those of the pin that clients open.
pub fn check(endpoint: &Endpoint) -> Vec<Guid> {
    let announced = endpoint.descriptor.ranges.iter().any(|range| range.format.flags & FLAG_ATTRIBUTES != 0);
    let Some(miniport) = endpoint.port.body::<Port>().and_then(Port::wave_miniport) else {
        return Vec::new();
    };
    let Ok(processing) = miniport.query::<SignalProcessing>(&IID_MINIPORT_AUDIO_SIGNAL_PROCESSING) else {
        if announced {
            wrong(
                endpoint,
                format_args!("a data range announces attributes and the miniport knows no modes"),
            );
        }
        return Vec::new();
    };
    processing.check_identity("IMiniportAudioSignalProcessing");
    miniport.check_same_object(&processing, "the wave miniport");
    if !announced {
        wrong(endpoint, format_args!("modes are known and no data range announces the attribute"));
    }
    let mut modes = list(endpoint, &processing);
    if fault::make(Fault::ModeTwice) {
        modes.extend_from_within(..1);
    }
    let has = |mode: Guid| modes.contains(&mode);
    if !has(MODE_RAW) && (endpoint.capture || !has(MODE_DEFAULT)) {
        wrong(endpoint, format_args!("RAW is due (or DEFAULT for a loudspeaker), there is {modes:?}"));
    }
    for (at, mode) in modes.iter().enumerate() {
        if modes[..at].contains(mode) || ![MODE_RAW, MODE_DEFAULT].contains(mode) {
            wrong(
                endpoint,
                format_args!("{} is twice in the list, or a mode nothing is known of", Named(*mode)),
            );
        }
    }
    other_pins(endpoint, &processing);
    open_in_each(endpoint, &modes);
    modes
}

fn get_modes(processing: &Com<SignalProcessing>, pin: u32, room: Option<u32>) -> (Status, u32, Vec<Guid>) {
    let bytes = room.unwrap_or(0) as usize * size_of::<Guid>();
    let memory = Guarded::new(bytes);
    let counter = Guarded::new(8);
    let (at, count): (*mut Guid, *mut u32) = (memory.as_mut_ptr().cast(), counter.as_mut_ptr().cast());
    let buffer = if room.is_some() { at } else { ptr::null_mut() };
    let this: This = processing.this();
    // SAFETY: the counter's memory was just made.
    unsafe { count.write(room.unwrap_or(0)) };
    let status = driver_call("IMiniportAudioSignalProcessing::GetModes", irql::PASSIVE, || {
        // SAFETY: a live interface, room for as many modes as the counter says or no buffer, and the counter.
        Status(unsafe { (processing.vtable().get_modes)(this, pin, buffer, count) })
    });
    // SAFETY: both pieces of memory are still there; any bytes are a GUID.
    unsafe {
        let count = count.read();
        let read = (0..count.min(room.unwrap_or(0))).map(|i| at.add(i as usize).read_unaligned()).collect();
        (status, count, read)
    }
}

/// The size protocol: no buffer, every buffer that is too small, one that fits, one that is larger.
fn list(endpoint: &Endpoint, processing: &Com<SignalProcessing>) -> Vec<Guid> {
    let (status, count, _) = get_modes(processing, endpoint.pin, None);
    if !status.is_success() || !(1..=MOST).contains(&count) {
        wrong(endpoint, format_args!("GetModes without a buffer: {status}, {count} mode(s)"));
        return Vec::new();
    }
    let mut modes = Vec::new();
    for room in 0..=count + 2 {
        let (status, said, read) = get_modes(processing, endpoint.pin, Some(room));
        let due = if room < count { Status::BUFFER_TOO_SMALL } else { Status::SUCCESS };
        // With a buffer but no room the call is the question for the count too.
        let asked = room == 0 && status.is_success();
        if said != count || (status != due && !asked) {
            wrong(
                endpoint,
                format_args!("GetModes with room for {room} of {count}: {status}, {said}; {due} is due"),
            );
        }
        if room >= count {
            modes = read;
        }
    }
    modes
}

fn other_pins(endpoint: &Endpoint, processing: &Com<SignalProcessing>) {
    let Some(filter) = endpoint.port.body::<Port>().and_then(Port::filter) else { return };
    let pins = u32::try_from(filter.pins.len()).unwrap_or(0);
    for pin in (0..pins).chain([pins, 99, u32::MAX]) {
        let bridge = filter.pins.get(pin as usize).map(Pin::is_bridge);
        let due = match bridge {
            Some(false) => continue,
            Some(true) => Status::NOT_SUPPORTED,
            None => Status::INVALID_PARAMETER,
        };
        let (status, _, _) = get_modes(processing, pin, None);
        if status != due {
            wrong(endpoint, format_args!("GetModes of pin {pin:#x}: {status}, {due} is due"));
        }
    }
}

/// A format of the pin's first range.
pub fn any_format(endpoint: &Endpoint) -> Option<PcmFormat> {
    let audio = endpoint.descriptor.ranges.iter().find_map(|range| range.audio)?;
    let rate = audio
        .maximum_sample_frequency
        .clamp(audio.minimum_sample_frequency, 48_000.max(audio.minimum_sample_frequency));
    let channels = u16::try_from(audio.maximum_channels.min(2)).ok()?;
    let sub_format = endpoint.descriptor.ranges.iter().find(|range| range.audio.is_some())?.format.sub_format;
    let fits = |sample: &SampleFormat| {
        let format = PcmFormat::of(*sample, rate, channels, true);
        format.sub_format == sub_format
            && (audio.minimum_bits_per_sample..=audio.maximum_bits_per_sample)
                .contains(&u32::from(format.valid_bits))
    };
    SAMPLE_FORMATS.into_iter().find(fits).map(|sample| PcmFormat::of(sample, rate, channels, true))
}

fn open_in_each(endpoint: &Endpoint, modes: &[Guid]) {
    let Some(format) = any_format(endpoint).map(|format| format.bytes()) else { return };
    for mode in modes {
        match PinStream::open(endpoint, &attributes::with_mode(&format, *mode)) {
            Ok(stream) => stream.close(),
            Err(status) => wrong(endpoint, format_args!("NewStream in {}: {status}", Named(*mode))),
        }
    }
    let mut unknown = attributes::with_mode(&format, MODE_RAW);
    let at = unknown.len() - attributes::MODE_BYTES as usize + 8;
    unknown[at..at + 16].copy_from_slice(&IID_NOBODY.bytes());
    let cases = [
        ("a mode that nobody has", attributes::with_mode(&format, IID_NOBODY)),
        ("an attribute that nobody has", unknown),
    ];
    for (what, whole) in cases {
        match PinStream::open(endpoint, &whole) {
            Ok(stream) => {
                wrong(endpoint, format_args!("NewStream accepts {what}"));
                stream.close();
            }
            Err(status) if REFUSALS.contains(&status) => {}
            Err(status) => {
                wrong(endpoint, format_args!("NewStream with {what}: {status}, due is {REFUSALS:?}"));
            }
        }
    }
}

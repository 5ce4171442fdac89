//! Whether the pin offers a format: by its data ranges, and by asking the miniport for the intersection (wavert-facts 5.5).

use super::format::PcmFormat;
use crate::kernel::call::driver_call;
use crate::kernel::pool::Guarded;
use crate::kernel::{self, irql};
use crate::portcls::descriptor::Range;
use crate::portcls::endpoint::Endpoint;
use crate::portcls::layout::{KsDataFormat, KsDataRangeAudio};
use crate::portcls::port::Port;
use crate::portcls::status::Status;
use alloc::vec::Vec;
use core::ffi::c_void;
use core::ptr;

/// Room for what an intersection may be.
const ROOM: u32 = 256;

/// Whether a range of the pin covers the format, and whether the miniport, if it decides that itself, agrees.
pub fn is_offered(endpoint: &Endpoint, format: &PcmFormat) -> bool {
    let Some(range) = endpoint.descriptor.ranges.iter().find(|range| covers(range, format)) else {
        return false;
    };
    check_intersection(endpoint, range, format);
    true
}

fn covers(range: &Range, format: &PcmFormat) -> bool {
    range.audio.is_some_and(|audio| {
        range.format.sub_format == format.sub_format
            && u32::from(format.channels) <= audio.maximum_channels
            && (audio.minimum_bits_per_sample..=audio.maximum_bits_per_sample)
                .contains(&u32::from(format.valid_bits))
            && (audio.minimum_sample_frequency..=audio.maximum_sample_frequency).contains(&format.rate)
    })
}

/// `DataRangeIntersection` with a client range of exactly this format. `NOT_IMPLEMENTED` lets PortCls do it; `NO_MATCH` is allowed where
/// the client's number of channels differs from the pin's (samples do that); any other answer follows the size protocol.
fn check_intersection(endpoint: &Endpoint, range: &Range, format: &PcmFormat) {
    let client = KsDataRangeAudio {
        range: plain(range),
        maximum_channels: u32::from(format.channels),
        minimum_bits_per_sample: u32::from(format.valid_bits),
        maximum_bits_per_sample: u32::from(format.valid_bits),
        minimum_sample_frequency: format.rate,
        maximum_sample_frequency: format.rate,
        padding: 0,
    };
    if let Answer::Format(made) = intersection(endpoint, &client, range) {
        expect_inside(&made, &client);
    }
}

/// What the miniport makes of one of its ranges when the client takes all of it: empty when PortCls decides, `None` when it is wrong.
pub fn of_range(endpoint: &Endpoint, range: &Range) -> Option<Vec<u8>> {
    let client = KsDataRangeAudio { range: plain(range), ..range.audio? };
    let nothing = KsDataRangeAudio { minimum_sample_frequency: 1, maximum_sample_frequency: 1, ..client };
    if let Answer::Format(_) = intersection(endpoint, &nothing, range) {
        kernel::violation(
            "intersection",
            format_args!("a range of 1 Hz has an intersection, NO_MATCH is due"),
        );
    }
    match intersection(endpoint, &client, range) {
        Answer::ByPortCls => Some(Vec::new()),
        Answer::Format(made) => expect_inside(&made, &client).then_some(made),
        Answer::NoMatch => {
            kernel::violation("intersection", format_args!("a range has no intersection with itself"));
            None
        }
        Answer::Wrong => None,
    }
}

/// A range without its attribute list.
fn plain(range: &Range) -> KsDataFormat {
    KsDataFormat { format_size: 88, flags: 0, sample_size: 0, reserved: 0, ..range.format }
}

/// What came of an intersection.
enum Answer {
    ByPortCls,
    NoMatch,
    Format(Vec<u8>),
    /// Against the size protocol; it was said.
    Wrong,
}

/// Asks for the size, then with too little room, then with enough.
fn intersection(endpoint: &Endpoint, client: &KsDataRangeAudio, range: &Range) -> Answer {
    let wrong = |what: &str, status: Status, length: u32, due: &str| {
        kernel::violation("intersection", format_args!("{what}: {status}, {length} bytes; {due} is due"));
        Answer::Wrong
    };
    let (status, needed) = intersect(endpoint, client, range.source, ptr::null_mut(), 0);
    match status {
        Status::NOT_IMPLEMENTED => return Answer::ByPortCls,
        Status::NO_MATCH => return Answer::NoMatch,
        Status::BUFFER_OVERFLOW if (64..=ROOM).contains(&needed) => {}
        _ => return wrong("without a buffer", status, needed, "BUFFER_OVERFLOW and the size"),
    }
    let small = Guarded::new(needed as usize - 1);
    let (status, length) = intersect(endpoint, client, range.source, small.as_mut_ptr().cast(), needed - 1);
    if status != Status::BUFFER_TOO_SMALL {
        return wrong("with a byte too little", status, length, "BUFFER_TOO_SMALL");
    }
    let buffer = Guarded::new(needed.next_multiple_of(8) as usize);
    let (status, length) = intersect(endpoint, client, range.source, buffer.as_mut_ptr().cast(), needed);
    // SAFETY: the buffer has at least as many bytes, which nothing else writes any more.
    let made = unsafe { core::slice::from_raw_parts(buffer.as_mut_ptr(), needed as usize) }.to_vec();
    let size = made.first_chunk().map_or(0, |size| u32::from_le_bytes(*size));
    if !status.is_success() || length != needed || size > needed {
        return wrong("with enough room", status, length, "the format, FormatSize included,");
    }
    Answer::Format(made)
}

/// Client ranges that make no sense, each before an unmapped page: nothing is read behind them, and nothing comes of them.
pub fn garbage(endpoint: &Endpoint) {
    let Some((range, audio)) =
        endpoint.descriptor.ranges.iter().find_map(|range| Some((range, range.audio?)))
    else {
        return;
    };
    let good = KsDataRangeAudio { range: plain(range), ..audio };
    let with = |bend: &dyn Fn(&mut KsDataFormat)| {
        let mut client = good;
        bend(&mut client.range);
        client
    };
    let cases: [(&str, KsDataRangeAudio, usize); 8] = [
        ("FormatSize 64", with(&|format| format.format_size = 64), 64),
        ("FormatSize 80", with(&|format| format.format_size = 80), 80),
        ("another MajorFormat", with(&|format| format.major_format.data1 ^= 1), 88),
        ("another SubFormat", with(&|format| format.sub_format.data1 ^= 0x100), 88),
        ("another Specifier", with(&|format| format.specifier.data1 ^= 1), 88),
        ("no channels", KsDataRangeAudio { maximum_channels: 0, ..good }, 88),
        ("bits the wrong way", KsDataRangeAudio { minimum_bits_per_sample: 4096, ..good }, 88),
        ("rates the wrong way", KsDataRangeAudio { minimum_sample_frequency: u32::MAX, ..good }, 88),
    ];
    for (what, client, bytes) in cases {
        let memory = Guarded::new(bytes);
        let out = Guarded::new(ROOM as usize);
        // SAFETY: the memory has as many bytes, the range at least as many.
        unsafe { memory.as_mut_ptr().copy_from(ptr::from_ref(&client).cast(), bytes) };
        let at: *const KsDataFormat = memory.as_mut_ptr().cast();
        let (status, _) = ask(endpoint, at, range.source, out.as_mut_ptr().cast(), ROOM);
        if status.is_success() {
            kernel::violation("intersection", format_args!("a client range with {what} has an intersection"));
        }
    }
}

/// A format that was made lies in the client's range (rule `intersection`).
fn expect_inside(made: &[u8], client: &KsDataRangeAudio) -> bool {
    let short = |at: usize| {
        made.get(at..at + 2)
            .and_then(|bytes| bytes.first_chunk())
            .map_or(0, |bytes| u16::from_le_bytes(*bytes))
    };
    let rate = u32::from(short(68)) | u32::from(short(70)) << 16;
    // A range counts valid bits, which only an extensible format tells apart from those of the container.
    let bits_at = if short(64) == 0xfffe { 82 } else { 78 };
    let (channels, bits) = (u32::from(short(66)), u32::from(short(bits_at)));
    let inside = (1..=client.maximum_channels).contains(&channels)
        && (client.minimum_bits_per_sample..=client.maximum_bits_per_sample).contains(&bits)
        && (client.minimum_sample_frequency..=client.maximum_sample_frequency).contains(&rate);
    if !inside {
        kernel::violation(
            "intersection",
            format_args!(
                "{channels} channel(s), {bits} bits, {rate} Hz are not in the client's range of up to {} channel(s), {} to {} bits, {} to {} Hz",
                client.maximum_channels,
                client.minimum_bits_per_sample,
                client.maximum_bits_per_sample,
                client.minimum_sample_frequency,
                client.maximum_sample_frequency
            ),
        );
    }
    inside
}

fn intersect(
    endpoint: &Endpoint,
    client: &KsDataRangeAudio,
    mine: *const KsDataFormat,
    out: *mut c_void,
    room: u32,
) -> (Status, u32) {
    ask(endpoint, ptr::from_ref(client).cast(), mine, out, room)
}

fn ask(
    endpoint: &Endpoint,
    client: *const KsDataFormat,
    mine: *const KsDataFormat,
    out: *mut c_void,
    room: u32,
) -> (Status, u32) {
    let Some(miniport) = endpoint.port.body::<Port>().and_then(Port::wave_miniport) else {
        return (Status::NOT_IMPLEMENTED, 0);
    };
    let mut length = 0;
    let (slot, this) = (&raw mut length, miniport.this());
    // SAFETY: a live miniport; both ranges are complete; the output has `room` bytes.
    let status = driver_call("IMiniport::DataRangeIntersection", irql::PASSIVE, || unsafe {
        (miniport.vtable().miniport.data_range_intersection)(
            this,
            endpoint.pin,
            client,
            mine,
            room,
            out,
            slot,
        )
    });
    (Status(status), length)
}

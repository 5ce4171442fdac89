//! `IMiniport::DataRangeIntersection`, asked as KS does for KSPROPERTY_PIN_DATAINTERSECTION: one range of the
//! pin after the other, first for the size and then for the format (WAVERT.md 5.5;
//! IMiniport::DataRangeIntersection page). Rule `intersection`.

use crate::kernel::call::driver_call;
use crate::kernel::pool::Guarded;
use crate::kernel::{self, irql, stale};
use crate::portcls::default_intersection;
use crate::portcls::descriptor::Range;
use crate::portcls::endpoint::Endpoint;
use crate::portcls::fault::{self, Fault};
use crate::portcls::guid::{Guid, SPECIFIER_WAVEFORMATEX};
use crate::portcls::layout::{KsDataFormat, KsDataRangeAudio};
use crate::portcls::port::Port;
use crate::portcls::status::Status;
use alloc::vec::Vec;
use core::ffi::c_void;
use core::ptr;

/// Room for what an intersection may be.
const ROOM: u32 = 256;
/// `KSDATAFORMAT_TYPE_WILDCARD`, `KSDATAFORMAT_SUBTYPE_WILDCARD` and `KSDATAFORMAT_SPECIFIER_WILDCARD` are
/// all `GUID_NULL`.
pub const WILDCARD: Guid = Guid::parse("00000000-0000-0000-0000-000000000000");

/// What came of an intersection.
pub enum Answer {
    /// `STATUS_NOT_IMPLEMENTED`: the format that PortCls' default handler makes.
    ByPortCls(Vec<u8>),
    /// There is no common format.
    NoMatch,
    /// The format.
    Format(Vec<u8>),
    /// Against the size protocol; it was said.
    Wrong,
}

/// A client's range of audio; `None` as subformat is the wildcard. Its limits are as wide as can be.
pub const fn open_range(sub_format: Option<Guid>) -> KsDataRangeAudio {
    let sub_format = match sub_format {
        Some(sub_format) => sub_format,
        None => WILDCARD,
    };
    KsDataRangeAudio {
        range: KsDataFormat::audio(88, sub_format, SPECIFIER_WAVEFORMATEX),
        maximum_channels: u32::MAX,
        minimum_bits_per_sample: 0,
        maximum_bits_per_sample: u32::MAX,
        minimum_sample_frequency: 0,
        maximum_sample_frequency: u32::MAX,
        padding: 0,
    }
}

/// A client's range as bytes.
pub fn bytes_of(client: &KsDataRangeAudio) -> Vec<u8> {
    // SAFETY: 88 bytes of plain numbers without padding between them.
    unsafe { core::slice::from_raw_parts(ptr::from_ref(client).cast::<u8>(), size_of::<KsDataRangeAudio>()) }
        .to_vec()
}

/// A range that says nothing but "audio": `KSDATARANGE` alone, 64 bytes.
pub fn wildcard(major: Guid) -> Vec<u8> {
    let mut bytes = bytes_of(&open_range(None));
    bytes.truncate(64);
    bytes[..4].copy_from_slice(&64u32.to_le_bytes());
    bytes[16..32].copy_from_slice(&major.bytes());
    bytes[48..].fill(0);
    bytes
}

/// Whether KS hands a client's range and one of the pin's to the handler: each GUID is the same or the
/// client's is the wildcard.
fn is_candidate(client: &[u8], range: &Range) -> bool {
    let mine = [range.format.major_format, range.format.sub_format, range.format.specifier];
    let same = |(at, mine): (usize, &Guid)| {
        client.get(at..at + 16).is_some_and(|guid| guid == mine.bytes() || guid == WILDCARD.bytes())
    };
    [16, 32, 48].into_iter().zip(&mine).all(same)
}

/// As KS answers the property: the first range of the pin that has a common format with the client's.
pub fn resolve(endpoint: &Endpoint, client: &[u8]) -> Answer {
    let ranges = endpoint.descriptor.ranges.iter().filter(|range| range.audio.is_some());
    for range in ranges.filter(|range| is_candidate(client, range)) {
        match intersection(endpoint, client, range) {
            Answer::NoMatch => {}
            other => return other,
        }
    }
    Answer::NoMatch
}

/// Asks for the size, then with too little room, then with enough.
pub fn intersection(endpoint: &Endpoint, client: &[u8], range: &Range) -> Answer {
    let wrong = |what: &str, status: Status, length: u32, due: &str| {
        kernel::violation("intersection", format_args!("{what}: {status}, {length} bytes; {due} is due"));
        Answer::Wrong
    };
    let (status, needed) = request_intersection(endpoint, client, range.source, ptr::null_mut(), 0);
    match status {
        Status::NOT_IMPLEMENTED => return by_portcls(client, range),
        Status::NO_MATCH => return Answer::NoMatch,
        Status::BUFFER_OVERFLOW if (64..=ROOM).contains(&needed) => {}
        _ => return wrong("without a buffer", status, needed, "BUFFER_OVERFLOW and the size"),
    }
    let small = Guarded::new(needed as usize - 1);
    let (status, length) =
        request_intersection(endpoint, client, range.source, small.as_mut_ptr().cast(), needed - 1);
    // A miniport may say the size and leave the rest to PortCls, or find no match when it looks closer: KS
    // asks each time anew.
    if status == Status::NOT_IMPLEMENTED {
        return by_portcls(client, range);
    }
    if status == Status::NO_MATCH {
        return Answer::NoMatch;
    }
    if status != Status::BUFFER_TOO_SMALL {
        return wrong("with a byte too little", status, length, "BUFFER_TOO_SMALL");
    }
    let buffer = Guarded::new(needed.next_multiple_of(8) as usize);
    let before = alloc::vec![stale::UNTOUCHED; needed as usize];
    // SAFETY: the buffer has at least as many bytes.
    unsafe { buffer.as_mut_ptr().copy_from(before.as_ptr(), before.len()) };
    stale::paint_stack();
    let (status, length) =
        request_intersection(endpoint, client, range.source, buffer.as_mut_ptr().cast(), needed);
    // SAFETY: the buffer has at least as many bytes, which nothing else writes any more.
    let mut made = unsafe { core::slice::from_raw_parts(buffer.as_mut_ptr(), needed as usize) }.to_vec();
    let size = made.first_chunk().map_or(0, |size| u32::from_le_bytes(*size));
    if !status.is_success() || length != needed || size > needed {
        return wrong("with enough room", status, length, "the format, FormatSize included,");
    }
    if made.len() >= 72 && fault::make(Fault::StaleFormat) {
        made[68..72].copy_from_slice(&before[68..72]);
    }
    if let Some((at, what)) = stale::find(&before, &made) {
        kernel::violation(
            "uninitialised",
            format_args!("DataRangeIntersection: the word at {at} of the format is {what}"),
        );
    }
    made.truncate(size as usize);
    Answer::Format(made)
}

/// What PortCls makes of the two ranges by itself.
fn by_portcls(client: &[u8], range: &Range) -> Answer {
    // A KSDATARANGE alone limits nothing (doubt whether PortCls looks at it so).
    let mut client = client.to_vec();
    let open = bytes_of(&open_range(None));
    client.extend(open.get(client.len()..).unwrap_or_default());
    let whole = client.first_chunk::<{ size_of::<KsDataRangeAudio>() }>();
    // SAFETY: as many bytes as the structure has, which is plain numbers.
    let client = whole.map(|bytes| unsafe { bytes.as_ptr().cast::<KsDataRangeAudio>().read_unaligned() });
    let made =
        client.zip(range.audio).and_then(|(client, mine)| default_intersection::intersect(&client, &mine));
    made.map_or(Answer::NoMatch, Answer::ByPortCls)
}

/// Client ranges that make no sense, each before an unmapped page: nothing is read behind them, and nothing
/// comes of them.
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
        let out = Guarded::new(ROOM as usize);
        let client = bytes_of(&client);
        let (status, _) = request_intersection(
            endpoint,
            client.get(..bytes).unwrap_or(&client),
            range.source,
            out.as_mut_ptr().cast(),
            ROOM,
        );
        if status.is_success() {
            kernel::violation("intersection", format_args!("a client range with {what} has an intersection"));
        }
    }
}

/// A range without its attribute list.
pub fn plain(range: &Range) -> KsDataFormat {
    KsDataFormat { format_size: 88, flags: 0, sample_size: 0, reserved: 0, ..range.format }
}

/// One call. The client's range ends at an unmapped page.
fn request_intersection(
    endpoint: &Endpoint,
    client: &[u8],
    mine: *const KsDataFormat,
    out: *mut c_void,
    room: u32,
) -> (Status, u32) {
    let Some(miniport) = endpoint.port.body::<Port>().and_then(Port::wave_miniport) else {
        return (Status::NOT_IMPLEMENTED, 0);
    };
    let memory = Guarded::new(client.len());
    // SAFETY: the memory has as many bytes as the range.
    unsafe { memory.as_mut_ptr().copy_from(client.as_ptr(), client.len()) };
    let mut length = 0;
    let (slot, this, at) = (&raw mut length, miniport.this(), memory.as_mut_ptr().cast());
    // SAFETY: a live miniport; both ranges are as long as they say; the output has `room` bytes.
    let status = driver_call("IMiniport::DataRangeIntersection", irql::PASSIVE, || unsafe {
        (miniport.vtable().miniport.data_range_intersection)(this, endpoint.pin, at, mine, room, out, slot)
    });
    (Status(status), length)
}

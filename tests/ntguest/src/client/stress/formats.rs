//! The part of `client=stress` about formats: no range covers them, they contradict themselves, or they are
//! cut short before an unmapped page; and those that look wrong and are right.

use super::{Stress, finding, harsh_finding};
use crate::client::format::PcmFormat;
use crate::client::proposals;
use crate::client::stream::PinStream;
use crate::portcls::fault::{self, Fault};
use crate::portcls::guid::SUBTYPE_IEEE_FLOAT;
use crate::portcls::layout::FLAG_ATTRIBUTES;
use alloc::vec::Vec;
use core::fmt;

/// Where cbSize and dwChannelMask are.
const CB_SIZE: usize = 80;
const MASK: usize = 84;

/// Every format.
pub fn run(stress: &Stress) {
    let good = stress.format;
    let plain = PcmFormat { extensible: false, ..good };
    let wrong = [
        PcmFormat { channels: 0, ..plain },
        PcmFormat { channels: 255, ..good },
        PcmFormat { rate: 0, ..plain },
        PcmFormat { rate: u32::MAX, ..good },
        PcmFormat { bits: 0, ..plain },
        PcmFormat { bits: 17, ..good },
        PcmFormat { bits: 4096, ..plain },
        // There is no float of 16 bits.
        PcmFormat { tag: 3, bits: 16, sub_format: SUBTYPE_IEEE_FLOAT, ..plain },
        PcmFormat { bits: 16, valid_bits: 16, sub_format: SUBTYPE_IEEE_FLOAT, ..good },
        PcmFormat { align_error: 1, ..good },
        PcmFormat { valid_bits: 17, ..good },
    ];
    for format in wrong {
        expect(stress, &format.bytes(), Due::Refused, format_args!("{format:?}"));
    }
    cut(stress, &plain.bytes());
    cut(stress, &good.bytes());
    attribute_lists(stress, &good.bytes());
    sizes_of_plain(stress, &plain.bytes(), &good.bytes());
    masks(stress, &good.bytes());
}

/// What must become of a format.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Due {
    Opened,
    Refused,
    /// Either; only memory behind it is out of bounds.
    Either,
}

/// NewStream with this format; a proposal of it is of the same mind.
fn expect(stress: &Stress, format: &[u8], due: Due, what: fmt::Arguments<'_>) {
    let opened = PinStream::open(&stress.endpoint, format).map(PinStream::close);
    let refuse = due == Due::Opened && fault::make(Fault::FormatRefused);
    match (due, &opened) {
        (Due::Opened, Ok(())) if refuse => finding(format_args!("NewStream refuses {what}")),
        (Due::Opened, Err(status)) => finding(format_args!("NewStream refuses {what}: {status}")),
        (Due::Refused, Ok(())) => finding(format_args!("NewStream accepts {what}")),
        _ => {}
    }
    if let Some(proposed) = proposals::answer(&stress.endpoint, format)
        && proposed.is_success() != opened.is_ok()
    {
        finding(format_args!(
            "{what}: the proposal {proposed}, NewStream {:?}",
            opened.err().map_or("opens it", |_| "refuses it")
        ));
    }
}

/// A format that says how short it is: nothing after it is readable.
fn cut(stress: &Stress, whole: &[u8]) {
    for size in [0u32, 1, 16, 63, 64, 65, 80, 81] {
        let mut cut: Vec<u8> = whole.iter().take((size as usize).max(64)).copied().collect();
        set(&mut cut, 0, &size.to_le_bytes());
        let what = format_args!("FormatSize {size} of {}", whole.len());
        if let Ok(stream) = PinStream::open(&stress.endpoint, &cut) {
            finding(format_args!("NewStream accepts {what}"));
            stream.close();
        }
    }
    if whole.len() > 88 {
        // An extensible tag with the room of a plain format.
        for size in [82u32, 88] {
            let mut cut = whole.to_vec();
            cut.truncate(size as usize);
            set(&mut cut, 0, &size.to_le_bytes());
            expect(stress, &cut, Due::Refused, format_args!("WAVEFORMATEXTENSIBLE in {size} bytes"));
        }
    }
}

/// The 18 bytes of a WAVEFORMATEX end at a page with nothing behind it. cbSize of WAVE_FORMAT_PCM is ignored,
/// whatever it says (WAVEFORMATEX page); that of a WAVEFORMATEXTENSIBLE is at least 22.
fn sizes_of_plain(stress: &Stress, plain: &[u8], extensible: &[u8]) {
    for size in [0u16, 22, 2, 0x7fff, 0xffff] {
        let mut format = plain.to_vec();
        set(&mut format, CB_SIZE, &size.to_le_bytes());
        expect(stress, &format, Due::Opened, format_args!("a WAVEFORMATEX of PCM with cbSize {size}"));
    }
    // As sizeof was taken to be by many: padded to a multiple of 8.
    let mut padded = plain.to_vec();
    padded.resize(88, 0);
    set(&mut padded, 0, &88u32.to_le_bytes());
    expect(stress, &padded, Due::Opened, format_args!("a WAVEFORMATEX in 88 bytes"));
    for (size, due) in [(0u16, Due::Refused), (21, Due::Refused), (23, Due::Either), (0xffff, Due::Either)] {
        let mut format = extensible.to_vec();
        set(&mut format, CB_SIZE, &size.to_le_bytes());
        expect(stress, &format, due, format_args!("a WAVEFORMATEXTENSIBLE with cbSize {size}"));
    }
}

/// Bits of the speaker mask beyond the number of channels are ignored; channels beyond the number of bits
/// have no place (WAVEFORMATEXTENSIBLE page).
fn masks(stress: &Stress, extensible: &[u8]) {
    let channels = u32::from(stress.format.channels);
    for (mask, due) in [(0x63f, Due::Opened), (0x3_ffff, Due::Opened), (0, Due::Opened), (1, Due::Either)] {
        if u32::count_ones(mask) < channels && mask > 1 {
            continue;
        }
        let mut format = extensible.to_vec();
        set(&mut format, MASK, &u32::to_le_bytes(mask));
        expect(stress, &format, due, format_args!("a mask of {mask:#x} for {channels} channel(s)"));
    }
}

/// Attribute lists that lie about their size: whatever the driver answers, it must not read past them.
fn attribute_lists(stress: &Stress, format: &[u8]) {
    for (size, count, bytes) in
        [(8u32, 0u32, 8usize), (8, 1000, 8), (32, u32::MAX, 32), (0, 1, 8), (u32::MAX, 1, 8)]
    {
        let mut with_list = format.to_vec();
        set(&mut with_list, 4, &2u32.to_le_bytes());
        let at = with_list.len();
        with_list.resize(at + bytes, 0);
        set(&mut with_list, at, &size.to_le_bytes());
        set(&mut with_list, at + 4, &count.to_le_bytes());
        if let Ok(stream) = PinStream::open(&stress.endpoint, &with_list) {
            // A driver whose ranges announce no attributes looks for none (*doubt*: what KS refuses before).
            let announced = stress
                .endpoint
                .descriptor
                .ranges
                .iter()
                .any(|range| range.format.flags & FLAG_ATTRIBUTES != 0);
            let what = format_args!("an attribute list of {size} bytes with {count} attributes is accepted");
            match (count, announced) {
                (0, _) => {}
                (_, true) => finding(what),
                (_, false) => harsh_finding(what),
            }
            stream.close();
        }
    }
}

fn set(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

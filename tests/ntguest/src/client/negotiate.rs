//! Whether the pin offers a format: by its data ranges, and by asking the miniport for the intersection (wavert-facts 5.5).

use super::format::PcmFormat;
use crate::kernel::call::driver_call;
use crate::kernel::pool::Guarded;
use crate::kernel::{self, irql};
use crate::portcls::descriptor::Range;
use crate::portcls::layout::{KsDataFormat, KsDataRangeAudio};
use crate::portcls::port::Port;
use crate::portcls::status::Status;
use crate::portcls::subdevice::Endpoint;
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
                .contains(&u32::from(format.bits))
            && (audio.minimum_sample_frequency..=audio.maximum_sample_frequency).contains(&format.rate)
    })
}

/// `DataRangeIntersection` with a client range of exactly this format. `NOT_IMPLEMENTED` lets PortCls do it; `NO_MATCH` is allowed where
/// the client's number of channels differs from the pin's (samples do that); any other answer follows the size protocol.
fn check_intersection(endpoint: &Endpoint, range: &Range, format: &PcmFormat) {
    let client = KsDataRangeAudio {
        range: KsDataFormat { format_size: 88, flags: 0, sample_size: 0, reserved: 0, ..range.format },
        maximum_channels: u32::from(format.channels),
        minimum_bits_per_sample: u32::from(format.bits),
        maximum_bits_per_sample: u32::from(format.bits),
        minimum_sample_frequency: format.rate,
        maximum_sample_frequency: format.rate,
        padding: 0,
    };
    let (status, needed) = intersect(endpoint, &client, range.source, ptr::null_mut(), 0);
    if matches!(status, Status::NOT_IMPLEMENTED | Status::NO_MATCH) {
        return;
    }
    if status != Status::BUFFER_OVERFLOW || !(64..=ROOM).contains(&needed) {
        kernel::violation(
            "intersection",
            format_args!("without a buffer: {status}, {needed} bytes; BUFFER_OVERFLOW and the size are due"),
        );
        return;
    }
    let buffer = Guarded::new(needed.next_multiple_of(8) as usize);
    let (status, length) = intersect(endpoint, &client, range.source, buffer.as_mut_ptr().cast(), needed);
    // SAFETY: the buffer has at least 64 bytes, as tested above.
    let size = unsafe { buffer.as_mut_ptr().cast::<u32>().read_unaligned() };
    if !status.is_success() || length != needed || size > needed {
        kernel::violation(
            "intersection",
            format_args!("{status}, length {length}, FormatSize {size} in {needed} bytes"),
        );
    }
}

fn intersect(
    endpoint: &Endpoint,
    client: &KsDataRangeAudio,
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
            ptr::from_ref(client).cast(),
            mine,
            room,
            out,
            slot,
        )
    });
    (Status(status), length)
}

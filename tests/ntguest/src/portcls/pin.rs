//! Opening a pin, as far as KS and PortCls answer before the miniport hears of it: the pin's number, the
//! shape of the format behind the KSPIN_CONNECT, the data ranges, and how many instances there may be.
//!
//! Sources: the pages of `KsValidateConnectRequest` (pin, major format, subformat and specifier against the
//! pin's ranges), of KSPIN_CONNECT and KSDATAFORMAT (sizes and attribute lists), and of PCPIN_DESCRIPTOR and
//! IPinCount (instances). With `harsh=1` a client hands all of it to the driver: no driver may trust what
//! others have looked at for it.

use super::descriptor::{FLOW_OUT, Pin};
use super::guid::Guid;
use super::layout::{FLAG_ATTRIBUTES, KsAttribute, KsDataFormat};
use super::status::Status;

/// Bytes of a `KSDATAFORMAT`.
const FORMAT_BYTES: usize = size_of::<KsDataFormat>();
/// Bytes of a `KSMULTIPLE_ITEM`, which an attribute list begins with.
const LIST_BYTES: usize = 8;
/// `GUID_NULL`: in a range it stands for any.
const WILDCARD: Guid = Guid { data1: 0, data2: 0, data3: 0, data4: [0; 8] };

fn word(bytes: &[u8], at: usize) -> usize {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |word| u32::from_le_bytes(*word) as usize)
}

/// Whether a KSDATAFORMAT (and its attribute list) fills the bytes that came with it: nothing is cut, nothing
/// lies outside.
fn is_whole(format: &[u8]) -> bool {
    let size = word(format, 0);
    if format.len() < FORMAT_BYTES || size < FORMAT_BYTES || size > format.len() {
        return false;
    }
    if word(format, 4) & FLAG_ATTRIBUTES as usize == 0 {
        return true;
    }
    format.get(size.next_multiple_of(8)..).is_some_and(is_whole_list)
}

/// Whether an attribute list fills its bytes: a KSMULTIPLE_ITEM, then as many KSATTRIBUTEs as it says, each
/// on a multiple of 8.
fn is_whole_list(list: &[u8]) -> bool {
    let (bytes, count) = (word(list, 0), word(list, 4));
    let Some(mut rest) = list.get(LIST_BYTES..bytes) else { return false };
    for _ in 0..count {
        let size = word(rest, 0);
        if size < size_of::<KsAttribute>() || size > rest.len() {
            return false;
        }
        rest = rest.get(size.next_multiple_of(8)..).unwrap_or_default();
    }
    true
}

fn is_in_a_range(pin: &Pin, format: &[u8]) -> bool {
    let same = |guid: &Guid, at: usize| {
        *guid == WILDCARD || format.get(at..at + 16).is_some_and(|bytes| bytes == guid.bytes())
    };
    pin.ranges.iter().any(|range| {
        let range = &range.format;
        same(&range.major_format, 16) && same(&range.sub_format, 32) && same(&range.specifier, 48)
    })
}

/// What KS says to a request for a pin, before any count; `capture` is what the client wants to do with it,
/// which on Windows is no part of the request: the pin's data flow decides.
pub fn validate(pins: &[Pin], number: u32, capture: bool, format: &[u8]) -> Result<(), Status> {
    let pin = pins.get(number as usize).ok_or(Status::INVALID_PARAMETER)?;
    if !pin.is_host() || capture != (pin.flow == FLOW_OUT) {
        return Err(Status::INVALID_PARAMETER);
    }
    if !is_whole(format) {
        return Err(Status::INVALID_PARAMETER);
    }
    if is_in_a_range(pin, format) { Ok(()) } else { Err(Status::NO_MATCH) }
}

#[cfg(target_os = "uefi")]
pub use instances::Instance;

#[cfg(target_os = "uefi")]
mod instances {
    use super::super::object::Object;
    use super::super::port::Port;
    use super::super::status::Status;
    use super::super::vtable::This;
    use super::validate;
    use crate::kernel::harsh;
    use crate::kernel::sync::IrqLock;
    use alloc::vec::Vec;

    /// One entry for each open instance: the port's identity and the pin.
    static OPEN: IrqLock<Vec<(usize, u32)>> = IrqLock::new(Vec::new());

    /// An instance of a pin, from its creation to the close of its handle.
    pub struct Instance(usize, u32);

    impl Instance {
        /// What KS and PortCls do before `NewStream`. With `harsh=1` they let everything through.
        pub fn create(port: &Object, pin: u32, capture: bool, format: &[u8]) -> Result<Self, Status> {
            let instance = Self(port.this().addr(), pin);
            let body = port.body::<Port>().ok_or(Status::INVALID_DEVICE_STATE)?;
            let filter = body.filter().ok_or(Status::INVALID_DEVICE_STATE)?;
            if !harsh::on() {
                validate(&filter.pins, pin, capture, format)?;
                let most = filter.pins.get(pin as usize).map_or(0, |pin| pin.max_instances);
                if body.possible_instances(pin, open(port.this(), pin), most) <= open(port.this(), pin) {
                    return Err(Status::INSUFFICIENT_RESOURCES);
                }
            }
            OPEN.lock().push((instance.0, pin));
            Ok(instance)
        }
    }

    /// How many instances of a pin are open.
    fn open(port: This, pin: u32) -> u32 {
        let count = OPEN.lock().iter().filter(|entry| **entry == (port.addr(), pin)).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    impl Drop for Instance {
        fn drop(&mut self) {
            let mut open = OPEN.lock();
            if let Some(at) = open.iter().position(|entry| *entry == (self.0, self.1)) {
                open.swap_remove(at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::descriptor::Range;
    use super::super::guid::{
        SPECIFIER_NONE, SPECIFIER_WAVEFORMATEX, SUBTYPE_ANALOG, SUBTYPE_PCM, TYPE_AUDIO,
    };
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;
    use core::ptr;

    fn range(sub_format: Guid, specifier: Guid) -> Range {
        let format = KsDataFormat::audio(88, sub_format, specifier);
        Range { source: ptr::null(), format, audio: None }
    }

    /// A render pin and its bridge.
    fn pins() -> Vec<Pin> {
        let (pcm, analog) =
            (range(SUBTYPE_PCM, SPECIFIER_WAVEFORMATEX), range(SUBTYPE_ANALOG, SPECIFIER_NONE));
        let render = Pin { flow: 1, communication: 1, max_instances: 1, ranges: vec![pcm], ..Pin::default() };
        let bridge = Pin { flow: FLOW_OUT, communication: 0, ranges: vec![analog], ..Pin::default() };
        vec![render, bridge]
    }

    /// KSDATAFORMAT_WAVEFORMATEX: 82 bytes, packed.
    fn format() -> Vec<u8> {
        let mut bytes: Vec<u8> = [82u32, 0, 4, 0].iter().flat_map(|word| word.to_le_bytes()).collect();
        for guid in [TYPE_AUDIO, SUBTYPE_PCM, SPECIFIER_WAVEFORMATEX] {
            bytes.extend(guid.bytes());
        }
        bytes.resize(82, 0);
        bytes
    }

    fn with_list(size: u32) -> Vec<u8> {
        let mut bytes = format();
        bytes[4] = 2;
        bytes.resize(88, 0);
        bytes.extend(size.to_le_bytes());
        bytes.resize(96, 0);
        bytes
    }

    #[test]
    fn a_good_request_reaches_the_miniport() {
        assert_eq!(validate(&pins(), 0, false, &format()), Ok(()));
        assert_eq!(validate(&pins(), 0, false, &with_list(8)), Ok(()));
    }

    #[test]
    fn pins_that_nobody_can_open_are_refused_by_ks() {
        for (pin, capture) in [(99, false), (u32::MAX, true), (1, true), (1, false), (0, true)] {
            let refused = validate(&pins(), pin, capture, &format());
            assert_eq!(refused, Err(Status::INVALID_PARAMETER), "pin {pin}, capture {capture}");
        }
    }

    #[test]
    fn cut_formats_and_lists_that_lie_are_refused_by_ks() {
        let whole = format();
        for bytes in [0, 1, 63, 64, 81] {
            let refused = validate(&pins(), 0, false, &whole[..bytes]);
            assert_eq!(refused, Err(Status::INVALID_PARAMETER), "{bytes} bytes of {}", whole.len());
        }
        for size in [0u32, 63, 83, u32::MAX] {
            let mut lying = format();
            lying[..4].copy_from_slice(&size.to_le_bytes());
            assert_eq!(validate(&pins(), 0, false, &lying), Err(Status::INVALID_PARAMETER), "{size}");
        }
        for size in [0, 7, 9, u32::MAX] {
            let refused = validate(&pins(), 0, false, &with_list(size));
            assert_eq!(refused, Err(Status::INVALID_PARAMETER), "a list of {size}");
        }
        for count in [1u8, 200] {
            let mut lying = with_list(8);
            lying[92] = count;
            assert_eq!(
                validate(&pins(), 0, false, &lying),
                Err(Status::INVALID_PARAMETER),
                "{count} attributes"
            );
        }
        let mut no_list = format();
        no_list[4] = 2;
        assert_eq!(validate(&pins(), 0, false, &no_list), Err(Status::INVALID_PARAMETER));
    }

    #[test]
    fn a_format_of_another_kind_matches_no_range_and_a_wildcard_matches_all() {
        for at in [16, 32, 48] {
            let mut other = format();
            other[at] ^= 1;
            assert_eq!(validate(&pins(), 0, false, &other), Err(Status::NO_MATCH), "byte {at}");
            let mut any = pins();
            let range = &mut any[0].ranges[0].format;
            (range.major_format, range.sub_format, range.specifier) = (WILDCARD, WILDCARD, WILDCARD);
            assert_eq!(validate(&any, 0, false, &other), Ok(()));
        }
    }
}

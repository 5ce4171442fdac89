//! Signal-processing modes of a host pin. The card processes nothing, so that DEFAULT and RAW are one and the
//! same here. WAVERT.md 5.2, 5.5, 5.6.
//!
//! As in Microsoft's simpleaudiosample a pin lists one mode and has one instance: DEFAULT for speakers, RAW
//! for a microphone (the HLK wants RAW of capture pins). *Doubt*: sysvad's pins list more; where they do,
//! they have as many instances as modes, for the engine opens a stream for each mode that it uses. The
//! registry value `Modes` = 1 gives both lists, with as many instances; the card has one stream for them, and
//! the second client gets STATUS_INSUFFICIENT_RESOURCES.
//!
//! Each data range of the pin is followed by [`ATTRIBUTES`], which says that a client may name a mode. It
//! does so in an attribute list behind its format (NewStream, PROPOSEDATAFORMAT) or behind the pin number
//! (PROPOSEDATAFORMAT2); [`check`] reads such a list.

use portcls_sys::GUID;
use portcls_sys::In;
use portcls_sys::guid::{
    AUDIO_SIGNALPROCESSINGMODE_DEFAULT, AUDIO_SIGNALPROCESSINGMODE_RAW,
    KSATTRIBUTEID_AUDIOSIGNALPROCESSING_MODE,
};
use portcls_sys::ks::{KSATTRIBUTE, KSATTRIBUTE_LIST, KSDATAFORMAT, KSDATAFORMAT_ATTRIBUTES};

use super::format::{Fields, FormatError};
use crate::hw::Direction;

static DEFAULT: [GUID; 1] = [AUDIO_SIGNALPROCESSINGMODE_DEFAULT];
static RAW: [GUID; 1] = [AUDIO_SIGNALPROCESSINGMODE_RAW];
static BOTH: [GUID; 2] = [AUDIO_SIGNALPROCESSINGMODE_DEFAULT, AUDIO_SIGNALPROCESSINGMODE_RAW];

/// The modes that the host pin of a direction lists; `both`: the registry asks for both.
pub const fn listed(direction: Direction, both: bool) -> &'static [GUID] {
    match direction {
        _ if both => &BOTH,
        Direction::Render => &DEFAULT,
        Direction::Capture => &RAW,
    }
}

static MODE_ATTRIBUTE: KSATTRIBUTE =
    KSATTRIBUTE { Size: 24, Flags: 0, Attribute: KSATTRIBUTEID_AUDIOSIGNALPROCESSING_MODE };

/// An array of addresses of attributes.
#[repr(transparent)]
struct Addresses([*const KSATTRIBUTE; 1]);
// SAFETY: points to a static that nobody writes.
unsafe impl Sync for Addresses {}
static ADDRESSES: Addresses = Addresses([&raw const MODE_ATTRIBUTE]);

/// The attributes of every data range of a host pin.
pub static ATTRIBUTES: KSATTRIBUTE_LIST = KSATTRIBUTE_LIST { Count: 1, Attributes: ADDRESSES.0.as_ptr() };

/// Bytes of a `KSMULTIPLE_ITEM`, with which a list begins.
const LIST_HEAD: usize = 8;
/// Bytes of a `KSATTRIBUTE`.
const ATTRIBUTE_HEAD: usize = 24;
/// The longest list and the longest format before one that NewStream looks at, where no buffer's end is
/// known. A list with both modes named twice is 168 bytes.
const BYTES_MAX: usize = 256;

/// `bytes` rounded up to 8, as attributes and their lists are aligned.
pub const fn aligned(bytes: usize) -> Option<usize> {
    bytes.checked_next_multiple_of(8)
}

/// Reads an attribute list at the start of `bytes` that ends where it says. Every attribute must be a mode,
/// and one of `modes`.
///
/// # Errors
/// `Malformed` for a list that is cut off or contradicts itself, `Attributes` for another attribute or mode.
pub fn check(bytes: &[u8], modes: &[GUID]) -> Result<(), FormatError> {
    let size = Fields(bytes).u32(0).and_then(|size| usize::try_from(size).ok());
    check_bounded(size.and_then(|size| bytes.get(..size)).ok_or(FormatError::Malformed)?, modes)
}

/// The same for a list that ends where `list` ends, whatever it says.
///
/// # Errors
/// As [`check`].
pub fn check_bounded(list: &[u8], modes: &[GUID]) -> Result<(), FormatError> {
    use FormatError::{Attributes, Malformed};
    let fields = Fields(list);
    let count = fields.u32(4).ok_or(Malformed)?;
    let mut at = LIST_HEAD;
    // Ends with the list at the latest: each attribute takes 24 bytes of it.
    for _ in 0..count {
        let bytes = fields.u32(at).and_then(|size| usize::try_from(size).ok()).ok_or(Malformed)?;
        let id = fields.guid(at.saturating_add(8)).ok_or(Malformed)?;
        let end = at.checked_add(bytes).filter(|end| *end <= list.len() && bytes >= ATTRIBUTE_HEAD);
        let end = end.ok_or(Malformed)?;
        if id != KSATTRIBUTEID_AUDIOSIGNALPROCESSING_MODE {
            return Err(Attributes);
        }
        let mode = fields.guid(at.saturating_add(ATTRIBUTE_HEAD)).filter(|_| bytes >= ATTRIBUTE_HEAD + 16);
        if !modes.contains(&mode.ok_or(Malformed)?) {
            return Err(Attributes);
        }
        at = aligned(end).ok_or(Malformed)?;
    }
    Ok(())
}

/// Checks the attribute list behind a format in a buffer that holds both, if the format says that there is
/// one.
pub fn check_behind(bytes: &[u8], modes: &[GUID]) -> Result<(), FormatError> {
    use FormatError::Malformed;
    let head = Fields(bytes);
    if head.u32(4).ok_or(Malformed)? & KSDATAFORMAT_ATTRIBUTES == 0 {
        return Ok(());
    }
    let size = head.u32(0).and_then(|size| usize::try_from(size).ok()).ok_or(Malformed)?;
    let list = aligned(size).and_then(|at| bytes.get(at..)).ok_or(Malformed)?;
    check(list, modes)
}

/// The same for a format that NewStream is given, whose buffer's end it does not know. KS has checked before
/// that the format and the list are as long as they say; what says that it is longer than any that could be
/// taken is not followed.
pub fn check_format(format: &In<'_, KSDATAFORMAT>, modes: &[GUID]) -> Result<(), FormatError> {
    use FormatError::{Attributes, Malformed};
    let start = format.as_ptr().cast::<u8>();
    if start.is_null() {
        return Err(Malformed);
    }
    // SAFETY: not NULL, so by the interface's contract there is a format, which begins with its size, and is
    // as long as that.
    let size = unsafe { start.cast::<u32>().read_unaligned() } as usize;
    if size < size_of::<KSDATAFORMAT>() {
        return Err(Malformed);
    }
    let Some(head) = format.get().filter(|head| head.Flags & KSDATAFORMAT_ATTRIBUTES != 0) else {
        return Ok(());
    };
    let at = aligned(head.FormatSize as usize).filter(|at| *at <= BYTES_MAX).ok_or(Attributes)?;
    // SAFETY: the flag says that a list follows at this place, which begins with its size (contract of
    // NewStream).
    let list = unsafe { start.add(at) };
    // SAFETY: as above.
    let size = unsafe { list.cast::<u32>().read_unaligned() } as usize;
    if size < LIST_HEAD {
        return Err(Malformed);
    }
    if size > BYTES_MAX {
        return Err(Attributes);
    }
    let mut bytes = [0_u8; BYTES_MAX];
    // SAFETY: as long as the list says it is, and no longer than the copy.
    unsafe { core::ptr::copy_nonoverlapping(list, bytes.as_mut_ptr(), size) };
    check(bytes.get(..size).ok_or(Malformed)?, modes)
}

/// A list that names each of `modes`, as a client writes it.
#[cfg(test)]
pub(crate) fn list(modes: &[GUID]) -> Vec<u8> {
    let mut bytes = vec![];
    bytes.extend(u32::try_from(8 + 40 * modes.len()).unwrap().to_le_bytes());
    bytes.extend(u32::try_from(modes.len()).unwrap().to_le_bytes());
    for mode in modes {
        bytes.extend([40, 0, 0, 0, 0, 0, 0, 0]);
        for guid in [KSATTRIBUTEID_AUDIOSIGNALPROCESSING_MODE, *mode] {
            bytes.extend(super::format::guid_bytes(guid));
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::FormatError::{Attributes, Malformed};
    use super::*;
    use crate::hw::format::{AudioFormat, SampleFormat};

    #[test]
    fn both_modes_are_taken_and_nothing_else() {
        for modes in [&BOTH[..1], &BOTH[1..], &BOTH, &[]] {
            let list = list(modes);
            assert_eq!(check(&list, &BOTH), Ok(()));
        }
        let mut other = list(&BOTH);
        other[16] ^= 1;
        assert_eq!(check(&other, &BOTH), Err(Attributes), "another attribute");
        assert_eq!(
            check(&list(&[BOTH[0], KSATTRIBUTEID_AUDIOSIGNALPROCESSING_MODE]), &BOTH),
            Err(Attributes)
        );
    }

    #[test]
    fn a_pin_lists_one_mode_or_by_request_both() {
        assert_eq!(listed(Direction::Render, false), [AUDIO_SIGNALPROCESSINGMODE_DEFAULT]);
        assert_eq!(listed(Direction::Capture, false), [AUDIO_SIGNALPROCESSINGMODE_RAW]);
        for direction in [Direction::Render, Direction::Capture] {
            assert_eq!(listed(direction, true), BOTH);
            let (own, other) = (listed(direction, false)[0], listed(direction, true));
            for mode in other {
                let taken = check(&list(&[*mode]), listed(direction, false)).is_ok();
                assert_eq!(taken, *mode == own, "a mode that is not listed");
            }
        }
    }

    #[test]
    fn lists_that_lie_are_refused() {
        let good = list(&BOTH);
        for length in 0..good.len() {
            assert_eq!(check(&good[..length], &BOTH), Err(Malformed), "cut at {length}");
        }
        let with = |at: usize, value: u32| {
            let mut list = good.clone();
            list[at..at + 4].copy_from_slice(&value.to_le_bytes());
            list
        };
        for value in (0..8).chain([u32::MAX, 89]) {
            assert_eq!(check(&with(0, value), &BOTH), Err(Malformed), "size {value}");
            assert_eq!(check_bounded(&with(0, value), &BOTH), Ok(()), "its end is known");
        }
        for value in [3, u32::MAX] {
            assert_eq!(check(&with(4, value), &BOTH), Err(Malformed), "{value} attributes");
        }
        for value in (0..40).chain([81, u32::MAX, u32::MAX - 7]) {
            assert_eq!(check(&with(8, value), &BOTH), Err(Malformed), "an attribute of {value} bytes");
        }
        for value in (0..40).chain([41, u32::MAX]) {
            assert_eq!(check(&with(48, value), &BOTH), Err(Malformed), "a last attribute of {value} bytes");
        }
        // The second's place is the end of the first, rounded up to 8.
        let mut odd = list(&BOTH[..1]);
        odd.extend([0; 8]);
        odd.extend(&list(&BOTH[1..])[8..]);
        odd[0] = 96;
        odd[4] = 2;
        odd[8] = 41;
        assert_eq!(check(&odd, &BOTH), Ok(()));
    }

    /// A format of 82, 88 or 104 bytes in memory that ends with its list.
    #[test]
    fn lists_behind_a_format_are_found_at_the_next_multiple_of_8() {
        for (channels, size) in [(2, 82), (2, 88), (4, 104)] {
            let format = AudioFormat { sample: SampleFormat::S16, channels, rate: 48_000 }.to_bytes();
            for (modes, flag, expected) in [
                (&BOTH[..], 2, Ok(())),
                (&[KSATTRIBUTEID_AUDIOSIGNALPROCESSING_MODE][..], 2, Err(Attributes)),
                (&[KSATTRIBUTEID_AUDIOSIGNALPROCESSING_MODE][..], 0, Ok(())),
            ] {
                let mut bytes = format.as_slice().to_vec();
                bytes[0] = size;
                bytes[4] = flag;
                bytes.resize(usize::from(size).next_multiple_of(8), 0);
                bytes.extend(list(modes));
                assert_eq!(check_behind(&bytes, &BOTH), expected);
                // SAFETY: as long as format and list say.
                assert_eq!(check_format(&unsafe { In::from_raw(bytes.as_ptr().cast()) }, &BOTH), expected);
            }
        }
        let mut far = [0_u8; 64];
        far[4] = 2;
        for (size, expected) in [(63, Malformed), (257, Attributes), (u32::MAX, Attributes)] {
            far[..4].copy_from_slice(&size.to_le_bytes());
            // SAFETY: nothing behind the head is read, for the size is none that could be taken.
            assert_eq!(check_format(&unsafe { In::from_raw(far.as_ptr().cast()) }, &BOTH), Err(expected));
        }
        assert_eq!(check_format(&In::none(), &BOTH), Err(Malformed));
    }
}

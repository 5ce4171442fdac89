//! Attribute lists behind a format: how a client asks for a signal-processing mode (WAVERT.md 5.5, 5.6).

use crate::portcls::guid::{ATTRIBUTE_AUDIO_SIGNAL_PROCESSING_MODE, Guid};
use alloc::vec::Vec;

/// Bytes of a `KSMULTIPLE_ITEM`.
const HEADER_BYTES: u32 = 8;
/// Bytes of a `KSATTRIBUTE_AUDIOSIGNALPROCESSING_MODE`.
pub const MODE_BYTES: u32 = 40;
/// `KSDATAFORMAT_ATTRIBUTES`
const FLAG_ATTRIBUTES: u32 = 2;

/// A list of one attribute that names a mode.
pub fn list(attribute: Guid, mode: Guid) -> Vec<u8> {
    let mut list = Vec::new();
    for word in [HEADER_BYTES + MODE_BYTES, 1, MODE_BYTES, 0] {
        list.extend(word.to_le_bytes());
    }
    list.extend(attribute.bytes());
    list.extend(mode.bytes());
    list
}

/// A format for a mode: the flag, padding up to a multiple of 8, and the list.
pub fn with_mode(format: &[u8], mode: Guid) -> Vec<u8> {
    let mut whole = format.to_vec();
    if let Some(flags) = whole.get_mut(4..8) {
        flags.copy_from_slice(&FLAG_ATTRIBUTES.to_le_bytes());
    }
    whole.resize(whole.len().next_multiple_of(8), 0);
    whole.extend(list(ATTRIBUTE_AUDIO_SIGNAL_PROCESSING_MODE, mode));
    whole
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// What a driver made of a format with a list: the format alone, and the mode that the list names; `None`
/// when the structure is wrong.
pub fn split(whole: &[u8]) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    let (size, flags) = (word(whole, 0)? as usize, word(whole, 4)?);
    let mut format = whole.get(..size).filter(|format| format.len() >= 64)?.to_vec();
    if flags & FLAG_ATTRIBUTES == 0 {
        return (whole.len() <= size.next_multiple_of(8)).then_some((format, None));
    }
    format.get_mut(4..8)?.fill(0);
    let list = whole.get(size.next_multiple_of(8)..)?;
    let (bytes, count, first) = (word(list, 0)?, word(list, 4)?, word(list, 8)?);
    let right =
        bytes as usize == list.len() && count == 1 && first == MODE_BYTES && bytes == HEADER_BYTES + first;
    let named = list.get(16..32)? == ATTRIBUTE_AUDIO_SIGNAL_PROCESSING_MODE.bytes();
    (right && named).then(|| Some((format, Some(list.get(32..48)?.to_vec()))))?
}

#[cfg(test)]
mod tests {
    use super::super::format::PcmFormat;
    use super::*;
    use crate::portcls::guid::MODE_RAW;
    use ringwave_audio::SampleFormat;

    #[test]
    fn a_list_begins_at_a_multiple_of_8_and_says_its_size() {
        let format = PcmFormat::of(SampleFormat::S16, 48_000, 2, false).bytes();
        let whole = with_mode(&format, MODE_RAW);
        assert_eq!((whole.len(), whole[4], whole[88], whole[92], whole[96]), (88 + 48, 2, 48, 1, 40));
        assert_eq!(whole[120..], MODE_RAW.bytes());
    }

    #[test]
    fn what_was_put_together_comes_apart() {
        let format = PcmFormat::of(SampleFormat::F32, 48_000, 2, true).bytes();
        let whole = with_mode(&format, MODE_RAW);
        assert_eq!(split(&whole), Some((format.clone(), Some(MODE_RAW.bytes().to_vec()))));
        assert_eq!(split(&format), Some((format.clone(), None)));
        assert_eq!(split(&whole[..whole.len() - 1]), None);
        assert_eq!(split(&format[..63]), None);
        let mut wrong = whole;
        wrong[104 + 4] = 2;
        assert_eq!(split(&wrong), None);
    }
}

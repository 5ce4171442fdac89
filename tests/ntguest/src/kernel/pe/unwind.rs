//! What the unwind information of a function says of its stack (page "x64 exception handling").

use super::word;

/// UNW_FLAG_CHAININFO: the function continues another one, whose RUNTIME_FUNCTION follows.
const CHAINED: u8 = 4;
/// A chain that is longer is broken.
const LONGEST_CHAIN: u32 = 32;

/// Bytes of stack that the function with the UNWIND_INFO at `at` takes: what it pushes and what it allocates.
/// `None` for what can't be read.
pub fn frame_bytes(image: &[u8], at: u32) -> Option<u32> {
    let (mut at, mut bytes) = (at, 0u32);
    for _ in 0..LONGEST_CHAIN {
        let [versions, _, count, _] = word(image, at)?.to_le_bytes();
        let codes = image.get(at as usize + 4..)?.get(..usize::from(count) * 2)?;
        bytes = bytes.saturating_add(allocated(codes)?);
        if (versions >> 3) & CHAINED == 0 {
            return Some(bytes);
        }
        // The count is rounded up to an even one.
        let chained = at.checked_add(4 + u32::from(count).next_multiple_of(2) * 2)?;
        at = word(image, chained.checked_add(8)?)?;
    }
    None
}

/// What an array of UNWIND_CODE allocates.
fn allocated(mut codes: &[u8]) -> Option<u32> {
    let mut bytes = 0u32;
    while let [_, operation, rest @ ..] = codes {
        let info = u32::from(operation >> 4);
        let (allocated, slots) = match operation & 15 {
            // UWOP_PUSH_NONVOL
            0 => (8, 1),
            // UWOP_ALLOC_LARGE: in units of 8 bytes, or in bytes
            1 if info == 0 => (u32::from(u16::from_le_bytes(*rest.first_chunk()?)) * 8, 2),
            1 => (u32::from_le_bytes(*rest.first_chunk()?), 3),
            // UWOP_ALLOC_SMALL
            2 => (info * 8 + 8, 1),
            // UWOP_SET_FPREG, UWOP_EPILOG, UWOP_PUSH_MACHFRAME
            3 | 6 | 10 => (0, 1),
            // UWOP_SAVE_NONVOL, UWOP_SAVE_XMM128
            4 | 8 => (0, 2),
            // the same, far
            5 | 9 => (0, 3),
            _ => return None,
        };
        bytes = bytes.saturating_add(allocated);
        codes = codes.get(slots * 2..)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::frame_bytes;

    /// UNWIND_INFO of these codes at 8, and another one at 64.
    fn image(flags: u8, codes: &[u8], chained: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 8];
        image.extend([1 | flags << 3, 0, (codes.len() / 2) as u8, 0]);
        image.extend(codes);
        image.resize(image.len().next_multiple_of(4), 0);
        image.extend([0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0]);
        image.resize(64, 0);
        image.extend([1, 0, (chained.len() / 2) as u8, 0]);
        image.extend(chained);
        image
    }

    #[test]
    fn a_frame_is_what_is_pushed_and_allocated() {
        let frame = |codes: &[u8]| frame_bytes(&image(0, codes, &[]), 8);
        assert_eq!(frame(&[]), Some(0));
        assert_eq!(frame(&[5, 0x52, 1, 0x30]), Some(48 + 8), "small, and one register");
        assert_eq!(frame(&[9, 0x01, 0x01, 0x02, 1, 0x50]), Some(0x201 * 8 + 8));
        assert_eq!(frame(&[9, 0x11, 0, 0, 2, 0]), Some(0x2_0000));
        // A frame pointer, a register and an XMM register saved: none takes anything more.
        assert_eq!(frame(&[4, 0x03, 3, 0x64, 1, 0, 2, 0x68, 2, 0, 1, 0x02]), Some(8));
        assert_eq!(frame(&[1, 0x0f]), None, "no such operation");
        assert_eq!(frame(&[1, 0x11]), None, "cut");
        assert_eq!(frame_bytes(&[0; 8], 6), None);
    }

    #[test]
    fn a_chain_is_one_frame_and_one_without_an_end_is_none() {
        assert_eq!(frame_bytes(&image(4, &[1, 0x02], &[1, 0x12]), 8), Some(8 + 16));
        let mut endless = image(4, &[1, 0x02], &[]);
        // The chain leads back to itself.
        endless[8 + 8 + 8] = 8;
        assert_eq!(frame_bytes(&endless, 8), None);
    }
}

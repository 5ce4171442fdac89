//! Memory that nobody has written and that would reach a program: what was in it before may be anybody's
//! secret. What a driver may hand out by mistake is filled with patterns, and its answers are searched for
//! them.

#[cfg(target_os = "uefi")]
use core::mem::MaybeUninit;

/// What stands where a client gave nothing, and in an answer that was left unwritten.
pub const UNTOUCHED: u8 = 0xa5;
/// What fresh pool holds.
pub const POOL: u8 = 0xcd;
/// What the stack holds below the call of a driver.
const STACK: u8 = 0xb7;
/// A word: less may be in any value by chance.
const WORD: usize = 4;

/// Fills the stack that the routine which is called next will use.
#[cfg(target_os = "uefi")]
#[inline(never)]
pub fn paint_stack() {
    const BYTES: usize = 3072;
    let mut room = MaybeUninit::<[u8; BYTES]>::uninit();
    // SAFETY: the room's own length.
    unsafe { room.as_mut_ptr().cast::<u8>().write_bytes(STACK, BYTES) };
    core::hint::black_box(&room);
}

/// The first word of an answer that nobody has written: where, and what is in it. `before` is what the room
/// for the answer held; as long as the answer.
pub fn find(before: &[u8], answer: &[u8]) -> Option<(usize, &'static str)> {
    let is = |bytes: &[u8], pattern: u8| bytes.iter().all(|byte| *byte == pattern);
    let words = answer.windows(WORD).zip(before.windows(WORD)).enumerate();
    words.into_iter().find_map(|(at, (word, before))| match () {
        () if is(word, UNTOUCHED) && is(before, UNTOUCHED) => Some((at, "not written")),
        () if is(word, POOL) && !is(before, POOL) => Some((at, "fresh pool")),
        () if is(word, STACK) && !is(before, STACK) => Some((at, "old stack")),
        () => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_written_is_found_and_nothing_else() {
        let room = [UNTOUCHED; 12];
        let with = |at: usize, bytes: &[u8]| {
            let mut answer = [1; 12];
            answer[at..at + bytes.len()].copy_from_slice(bytes);
            find(&room, &answer)
        };
        assert_eq!(with(0, &[]), None);
        assert_eq!(with(5, &[UNTOUCHED; 4]), Some((5, "not written")));
        assert_eq!(with(8, &[POOL; 4]), Some((8, "fresh pool")));
        assert_eq!(with(0, &[STACK; 5]), Some((0, "old stack")));
        assert_eq!(with(3, &[UNTOUCHED; 3]), None, "less than a word");
        // What the client gave itself comes back.
        assert_eq!(find(&[POOL; 8], &[POOL; 8]), None);
        assert_eq!(find(&[0; 8], &[UNTOUCHED; 8]), None);
    }
}

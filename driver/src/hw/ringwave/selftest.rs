//! Does the card see this guest's RAM? A QEMU without `share=on` gives it a copy, and then everything seems
//! to work and nothing is heard. So the driver proves it at every start. DATASHEET section 3.2.

use nt::contiguous::ContiguousMemory;
use ringwave_regs::global::{selftest_reply, selftest_step};

/// Bytes that are tested: one page.
pub const BYTES: u32 = 4096;
/// The seed of the sum. Any number but 0 does: it must not be what a register reads by itself.
pub const SEED: u32 = 0x5257_4156;

/// How a self-test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The card read and wrote this guest's RAM.
    Passed,
    /// The card reported an error code.
    Refused(u32),
    /// The card read something else, or its writing did not arrive.
    OtherMemory,
}

/// The word that is written at word `index` before the test: different in every word and never its own
/// complement's.
pub const fn word(index: u32) -> u32 {
    index.wrapping_mul(0x9E37_79B9) ^ SEED
}

/// The sum the card must report for a page of [`word`]s.
pub fn expected_sum() -> u32 {
    (0..BYTES / 4).fold(SEED, |sum, index| selftest_step(sum, word(index)))
}

/// Fills `memory` for the test.
pub fn fill(memory: &ContiguousMemory) {
    for index in 0..BYTES / 4 {
        memory.write(offset(index), &word(index).to_le_bytes());
    }
}

/// Judges the test: the card's error code and sum, and the memory it should have rewritten.
pub fn verdict(error: u32, sum: u32, memory: &ContiguousMemory) -> Verdict {
    if error != 0 {
        return Verdict::Refused(error);
    }
    let rewritten = |index: u32| {
        let at = |byte: usize| memory.read(offset(index).saturating_add(byte)).unwrap_or(0);
        u32::from_le_bytes([at(0), at(1), at(2), at(3)]) == selftest_reply(word(index))
    };
    if sum == expected_sum() && (0..BYTES / 4).all(rewritten) {
        Verdict::Passed
    } else {
        Verdict::OtherMemory
    }
}

const fn offset(index: u32) -> usize {
    index as usize * 4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> ContiguousMemory {
        let memory = ContiguousMemory::try_new(BYTES as usize, u64::MAX >> 1).unwrap();
        fill(&memory);
        memory
    }

    fn rewrite(memory: &ContiguousMemory, words: u32) {
        for index in 0..words {
            memory.write(offset(index), &(!word(index)).to_le_bytes());
        }
    }

    #[test]
    fn a_card_that_sees_the_memory_passes() {
        let memory = memory();
        rewrite(&memory, BYTES / 4);
        assert_eq!(verdict(0, expected_sum(), &memory), Verdict::Passed);
    }

    #[test]
    fn a_card_that_sees_a_copy_fails() {
        let memory = memory();
        // It read the right words (a copy made in time), but its writing did not arrive, or not all of it.
        assert_eq!(verdict(0, expected_sum(), &memory), Verdict::OtherMemory);
        rewrite(&memory, BYTES / 4 - 1);
        assert_eq!(verdict(0, expected_sum(), &memory), Verdict::OtherMemory);
        rewrite(&memory, BYTES / 4);
        assert_eq!(verdict(0, expected_sum() ^ 1, &memory), Verdict::OtherMemory);
        assert_eq!(verdict(13, expected_sum(), &memory), Verdict::Refused(13));
    }
}

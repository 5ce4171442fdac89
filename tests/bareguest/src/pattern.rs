//! The sound that is played: a sequence of samples that the host can make too (`tests/e2e/src/bare.rs`), so
//! no file has to travel.

/// A linear congruential sequence; each value is one sample.
#[derive(Clone, Copy)]
pub struct Pattern(u32);

impl Pattern {
    /// The sequence of this seed.
    pub fn new(seed: u32) -> Self {
        Self(seed)
    }

    /// The next sample: the upper half, which repeats latest.
    pub fn sample(&mut self) -> [u8; 2] {
        let [_, _, low, high] = self.wide(16);
        [low, high]
    }

    /// The next sample of so many bits, left-justified in 32.
    pub fn wide(&mut self, bits: u32) -> [u8; 4] {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 & u32::MAX << (32 - bits)).to_le_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_the_one_the_host_makes() {
        let mut pattern = Pattern::new(1);
        let samples = [0; 3].map(|_: i16| i16::from_le_bytes(pattern.sample()));
        assert_eq!(samples, [15_496, 24_200, -32_490]);
        let mut pattern = Pattern::new(1);
        let samples = [0; 3].map(|_: i32| i32::from_le_bytes(pattern.wide(24)) >> 16);
        assert_eq!(samples, [15_496, 24_200, -32_490]);
    }
}

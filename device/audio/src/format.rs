//! What frames are made of.

use crate::SampleFormat;

/// The most channels of a frame.
pub const CHANNELS_MAX: u32 = 8;

/// The format of a stream's frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamFormat {
    /// How a sample lies in memory.
    pub sample: SampleFormat,
    /// Samples per frame, 1 to [`CHANNELS_MAX`].
    pub channels: u32,
    /// Frames per second.
    pub rate: u32,
}

impl StreamFormat {
    /// Bytes of one frame.
    pub const fn frame_bytes(self) -> u32 {
        self.sample.bytes().saturating_mul(self.channels)
    }
}

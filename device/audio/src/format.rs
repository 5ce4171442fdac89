//! What frames are made of.

use ringwave_regs::format;

/// The format of a stream's frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamFormat {
    /// Sample format code: [`format::S16`] and so on.
    pub code: u32,
    /// Samples per frame, 1 to [`format::CHANNELS_MAX`].
    pub channels: u32,
    /// Frames per second.
    pub rate: u32,
}

impl StreamFormat {
    /// Bytes of one frame; 0 for a sample format that is not defined.
    pub fn frame_bytes(self) -> u32 {
        format::sample_bytes(self.code).unwrap_or(0).saturating_mul(self.channels)
    }
}

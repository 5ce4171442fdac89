//! Sound as samples: what a frame is, WAV files, whether two sounds are the same, gain, and tunes to test with. Knows no guest and no bus.
pub mod compare;
mod format;
pub mod gain;
pub mod next_step;
pub mod piece;
pub mod wav;

pub use format::StreamFormat;

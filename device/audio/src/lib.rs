//! Sound as samples: what a frame is, WAV files, whether two sounds are the same, gain, and tunes to test
//! with. Knows no guest and no bus.
//!
//! Without the feature `std`, as a guest without an operating system uses it: the formats alone.
#![cfg_attr(not(any(feature = "std", test)), no_std)]

#[cfg(feature = "std")]
pub mod compare;
mod format;
#[cfg(feature = "std")]
pub mod gain;
#[cfg(feature = "std")]
pub mod next_step;
mod sample;
#[cfg(feature = "std")]
pub mod test_tune;
#[cfg(feature = "std")]
pub mod wav;

pub use format::{CHANNELS_MAX, StreamFormat};
pub use sample::{SampleFormat, Value};

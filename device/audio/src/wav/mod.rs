//! WAV files in the card's own formats: what was heard is written, what is to be played or recorded is read.
//!
//! 16-bit mono and stereo is the plain old header that every program reads; everything else has the
//! extensible one (`KSDATAFORMAT_SUBTYPE_PCM` and `_IEEE_FLOAT`, valid bits, speakers), because only that can
//! say "24 bits in the upper part of 32".

mod bytes;
mod header;
mod kinds;
mod read;
mod samples;
mod write;

pub use bytes::copy;
pub use header::{HEADER_BYTES_MAX, file_of, header_of_stream, is_ours};
pub use read::{Sound, WavError, parse, read};
pub use samples::Samples;
pub use write::{DATA_BYTES_MAX, WavFile};

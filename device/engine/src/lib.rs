//! Streams in time: what moves frames between a client and the host at the pace of a clock, whatever card the client sees.
//!
//! A card fills in [`stream::params::StreamParams`], implements [`stream::transport::FrontEnd`] for its streams, and gives each
//! [`stream::active::ActiveStream`] its turns. Nothing here knows a register, a bus or a file.

pub mod audio_queue;
pub mod clock;
pub mod loopback;
pub mod sources;
pub mod stream;
pub mod timeline;

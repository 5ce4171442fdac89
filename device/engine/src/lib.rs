//! Streams in time: what moves frames between a client and the host at the pace of a clock, whatever card the
//! client sees.
//!
//! A card fills in [`stream::params::StreamParams`], implements [`stream::transport::FrontEnd`] for its
//! streams, and gives each [`stream::active::ActiveStream`] its turns ([`schedule`]). It is a
//! [`device::Device`] for the two threads that work for it ([`threads::Threads`]): the engine thread, which
//! gives it its time, and the I/O worker, which takes what it has played. Nothing here knows a register, a
//! bus or a file.

pub mod audio_queue;
pub mod clock;
pub mod device;
pub mod io_queue;
pub mod loopback;
pub mod schedule;
pub mod sources;
pub mod stream;
pub mod threads;
pub mod timeline;
pub mod wake;

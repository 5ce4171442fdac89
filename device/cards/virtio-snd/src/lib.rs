//! The virtio-snd card, as `device/VIRTIO-SND.md` has it, on the engine of Ringwave.
//!
//! From the bytes up: [`wire`] reads requests and writes answers, [`pcm`] is the life of a stream as a table,
//! [`params`] what streams can do, [`chain`] takes descriptors once, [`messages`] holds the I/O messages of a
//! stream. None of these knows a queue, a thread or a clock.

pub mod chain;
pub mod messages;
pub mod params;
pub mod pcm;
#[cfg(test)]
mod testing;
pub mod wire;

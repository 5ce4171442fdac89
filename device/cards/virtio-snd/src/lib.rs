//! The virtio-snd card, as `device/VIRTIO-SND.md` has it, on the engine of Ringwave.
//!
//! From the bytes up: [`wire`] reads requests and writes answers, [`pcm`] is the life of a stream as a table,
//! [`params`] what streams can do, [`chain`] takes descriptors once, [`messages`] holds the I/O messages of a
//! stream, [`stream`] ties them to a stream of the engine, [`controller`] is all streams and the control
//! queue. None of these knows a queue, a thread or a clock. [`vring`] is a queue of a client that is not
//! trusted, [`rings`] are the four of them, [`card`] the card behind its lock, [`backend`] serves it over
//! vhost-user.

#![allow(clippy::doc_markdown, reason = "requests are spelled as in the specification: SET_PARAMS")]

pub mod backend;
pub mod card;
pub mod chain;
pub mod controller;
pub mod messages;
pub mod params;
pub mod pcm;
pub mod rings;
pub mod stream;
#[cfg(test)]
mod testing;
pub mod vring;
pub mod wire;

//! The HD Audio card: what its guest sees. `device/HDA.md` is its contract, over Intel's *High Definition
//! Audio Specification* 1.0a.
//!
//! [`controller`] is the register file, [`stream`] one stream descriptor with the stream of the engine behind
//! it, [`buffer_list`] its BDL, [`rings`] the way of the verbs (CORB, RIRB, immediate commands), [`codec`]
//! what answers them, [`function`] all of it behind a PCI function. Everything here is values: memory, time
//! and sound are lent for the length of a call.

pub mod buffer_list;
pub mod codec;
pub mod controller;
mod dma;
pub mod function;
pub mod regs;
pub mod rings;
pub mod stream;

pub use dma::Error;

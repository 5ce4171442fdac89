//! A driver for any HD Audio controller with a codec, from the specification ("High Definition Audio
//! Specification" 1.0a, Intel 2010; ICH7 datasheet 307013) and from nothing that this repository's card says
//! of itself: `controller` has registers and rings, `codec` walks the node tree, `stream` is a stream
//! descriptor with its buffer, `player` a sound on one, `service` the interrupt service routine.

pub mod codec;
pub mod controller;
pub mod player;
pub mod service;
pub mod stream;

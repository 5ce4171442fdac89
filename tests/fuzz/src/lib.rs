//! What the fuzz targets share: a guest's memory with a second opinion ([`ram`]), a page BAR that checks how
//! it is written ([`bar`]), the card between them with its work counted ([`bench`]), what a guest sees of a
//! stream ([`watch`]), DATASHEET 6 once more ([`reference`]), and a virtio driver that judges ([`virtio`]).
//!
//! A target turns bytes into what a guest or a client does, and asserts what the DATASHEET promises whatever
//! that is.

pub mod bar;
pub mod bench;
pub mod client;
pub mod ram;
pub mod reference;
pub mod virtio;
pub mod watch;

//! The Ringwave card as a value: a guest, memory and time that the test turns by hand. One program for all of
//! them, because each program of its own is linked anew.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends where something is not as it should be"
)]

mod bounds;
mod capture;
mod datasheet_streams;
mod dma;
mod ends;
mod invariants;
mod late;
mod marks;
mod model;
mod order;
mod pace;
mod playback;
mod random_guest;
mod registers;
mod support;
mod volume_and_jack;

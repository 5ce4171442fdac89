//! What a user does, start to verdict: a WAV file goes through the shipped `ringwave.sys` in a QEMU guest, over vfio-user, into
//! `ringwave serve` and a WAV file, and the two files are compared.
//!
//! [`play::play`] is one such run; `qemu-scripts/play` calls it through the program `ringwave-play`, the tests call it directly.
//! [`record::record`] is its twin: a WAV file is the card's microphone, and a client records it.
//! [`bringup::run`] boots Linux instead and runs `ringwave bringup` there; `qemu-scripts/bringup` calls it.
//! [`bare::BareGuest`] is the guest that drives the card without the driver, and [`server::Server`] a card that can be killed: for failures.
//! This crate knows only the outside of the other parts: their programs, files and log lines.

pub mod bare;
pub mod bringup;
pub mod card;
pub mod dma_judge;
pub mod error;
pub mod guest_log;
pub mod input;
pub mod machine;
pub mod parts;
pub mod play;
pub mod process;
pub mod record;
pub mod report;
pub mod server;

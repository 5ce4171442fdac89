//! What a user does, start to verdict: a WAV file goes through the shipped `ringwave.sys` in a QEMU guest, over vfio-user, into
//! `ringwave serve` and a WAV file, and the two files are compared.
//!
//! [`run::run`] is one such run: sound is played, or recorded from the card's microphone, or both at once through the card's loopback.
//! `qemu-scripts/play` and `record` call it through the programs `ringwave-play` and `ringwave-record`, the tests call it directly.
//! [`bringup::run`] boots Linux instead and runs `ringwave bringup` there; `qemu-scripts/bringup` calls it.
//! [`foreign::run`] runs anybody's driver in ntguest; `qemu-scripts/ntguest` calls it.
//! This crate knows only the outside of the other parts: their programs, files and log lines.

pub mod bringup;
pub mod card;
pub mod dma_judge;
pub mod error;
pub mod figures;
pub mod foreign;
pub mod guest_log;
pub mod input;
pub mod judge;
pub mod machine;
pub mod options;
pub mod parts;
pub mod process;
pub mod report;
pub mod request;
pub mod run;
pub mod stats;

//! `ringwave`, the program, as a process of its own: each card over its socket, the control socket, and every
//! other command. One program for all of them, because each program of its own is linked anew; what a process
//! has but once (a sandbox, a handler of signals) is tested beside this folder.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends where something is not as it should be"
)]

mod bench;
mod bringup;
mod bringup_by_rust_vmm;
mod bringup_defects;
mod bringup_run;
mod broken;
mod cli;
mod cli_errors;
mod compare;
mod compare_streams;
mod control;
mod control_files;
mod ending;
mod expectations;
mod failing_sink;
mod foreign_files;
mod fresh;
#[path = "../guest/mod.rs"]
mod guest;
mod hda;
mod hda_driver;
mod hda_faults;
mod hda_watched;
mod hostile_client;
mod listen;
mod live;
mod messages;
mod priority;
mod report;
mod reset_under_guest;
mod scheduled;
mod schema;
mod serving;
mod sound_cli;
mod start_and_stop;
mod top;
mod top_terminal;
mod trace;
mod undisturbed;
mod unreachable;
mod unread_log;
mod virtio;
mod virtio_driver;
mod virtio_hostile;
mod virtio_life;
mod virtio_watched;

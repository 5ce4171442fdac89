//! winstandin: plays Windows' part while `qemu-scripts/windows` installs it, and in a run on an image, as
//! `qemu-scripts/WINDOWS.md` has both.
//!
//! OVMF starts it from a CD that looks like Microsoft's (`make-iso`), from the disk that it has installed,
//! and from an image (`make-image`). It was written from the contract, not from the host's side.
//! `\STANDIN.CFG` on the volume that it came from says which of them this is, and what to do wrong
//! (`behaviour`). It runs no script: it looks whether each is where Windows would look for it, and says what
//! the scripts say on COM1.
//!
//! * `behaviour`: which lines in which boot, and how it ends; `answer`, `paths`, `joliet`, `wim`: what the
//!   media hold. Pure: the host tests them
//! * `firmware`, `serial`, `state`: UEFI, COM1, the block of the disk that says how far it is
//! * `setup`: the checks, and the image to the disk; `play`: the way from the entry point to a boot's end
//! * `run`: all of a run on an image
#![cfg_attr(target_os = "uefi", no_std, no_main)]
#![cfg_attr(not(target_os = "uefi"), allow(dead_code))]
// Counts of bytes and blocks: this program runs on x86-64 only.
#![allow(clippy::cast_possible_truncation)]

extern crate alloc;

#[cfg(any(target_os = "uefi", test))]
mod answer;
#[cfg(any(target_os = "uefi", test))]
mod behaviour;
#[cfg(any(target_os = "uefi", test))]
mod joliet;
#[cfg(any(target_os = "uefi", test))]
mod paths;
#[cfg(any(target_os = "uefi", test))]
mod run;
#[cfg(any(target_os = "uefi", test))]
mod wim;

#[cfg(target_os = "uefi")]
mod firmware;
#[cfg(target_os = "uefi")]
mod play;
#[cfg(target_os = "uefi")]
mod serial;
#[cfg(target_os = "uefi")]
mod setup;
#[cfg(target_os = "uefi")]
mod state;

#[cfg(not(target_os = "uefi"))]
fn main() {
    eprintln!(
        "winstandin runs under UEFI: tests/winstandin/make-iso builds it, tests/winstandin/run boots it"
    );
    std::process::exit(2);
}

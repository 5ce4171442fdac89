//! ntguest: as much of the NT kernel and of PortCls as a WaveRT driver sees, as a UEFI program.
//!
//! OVMF starts `ntguest.efi` inside QEMU. It loads the very `ringwave.sys` that ships, gives it the
//! kernel functions and the PortCls it imports, plays a WAV file through it, and reports every rule of
//! the kernel that the driver breaks. It is written from `driver/WAVERT.md`, never from the driver's
//! sources, so that the two do not share a mistake.
//!
//! * `boot`: from the firmware to our own page tables
//! * `kernel`: memory, threads, interrupts, and what the driver imports from ntoskrnl and HAL
//! * `portcls`, `client`: the port class driver, and the program that plays
//!
//! On the host only the unit tests of the pure parts are built.
#![cfg_attr(target_os = "uefi", no_std, no_main)]
#![cfg_attr(not(target_os = "uefi"), allow(dead_code, unused_imports))]
// Register and address arithmetic is the subject of this program: these lints would only add noise.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::cast_lossless,
    clippy::cast_ptr_alignment,
    clippy::similar_names,
    clippy::missing_panics_doc,
    clippy::not_unsafe_ptr_arg_deref,
    clippy::unreadable_literal,
    clippy::doc_markdown,
    clippy::many_single_char_names
)]

extern crate alloc;

#[cfg(any(target_os = "uefi", test))]
mod boot;
#[cfg(any(target_os = "uefi", test))]
mod client;
#[cfg(any(target_os = "uefi", test))]
mod kernel;
#[cfg(any(target_os = "uefi", test))]
mod portcls;
#[cfg(test)]
mod readme_tests;

#[cfg(not(target_os = "uefi"))]
fn main() {
    eprintln!(
        "ntguest runs under UEFI: build it with `cargo build -p ntguest --profile kernel --target \
         x86_64-unknown-uefi` and boot it with qemu-scripts/play"
    );
    std::process::exit(2);
}

//! bareguest: drives the bare card without the driver, as a UEFI program, to see what a guest sees when
//! something goes wrong.
//!
//! OVMF starts it inside QEMU. It is written from `device/DATASHEET.md` and `ringwave-regs` only; `hda` from
//! the HD Audio specification only. `\BARE.CFG` on its volume says what to do (`scenario=NAME` and
//! `key=value`, see `scenario`); it stays in boot services, where memory is mapped one to one. It looks at
//! the card's pages instead of taking interrupts, but for `hda`, which takes the processor's from the
//! firmware. What it sees goes to the debug console, one event a line, and the exit code is the verdict:
//!
//! ```text
//! bare: EVENT key=value ...
//! bare: wrong WHAT                     an expectation that was not met: the run has failed
//! bare: end status=ok|failed
//! ```
//!
//! * `config`, `pattern`: pure; the host tests them
//! * `machine`: the processor and its interrupts, the firmware, the PCI bus; `verdict`: the lines above
//! * `memory`: guest memory, and the card's tables of it; `card`: registers (also any BAR) and pages
//! * `player`: stream 0; `card_stream`, `anchor`: any stream, and what it says of its position
//! * `hda`: a driver for any HD Audio controller, with real interrupts; of the card's files it uses
//!   `card::Window`, a mapped BAR, and of `memory` what allocates and touches it
//! * `scenario`: what can be asked for, one file each
#![cfg_attr(target_os = "uefi", no_std, no_main)]
#![cfg_attr(not(target_os = "uefi"), allow(dead_code))]
// Addresses and register halves are this program's subject: these lints would only add noise.
#![allow(clippy::cast_possible_truncation)]

#[cfg(any(target_os = "uefi", test))]
mod config;
#[cfg(any(target_os = "uefi", test))]
mod pattern;

#[cfg(target_os = "uefi")]
mod anchor;
#[cfg(target_os = "uefi")]
mod card;
#[cfg(target_os = "uefi")]
mod card_stream;
#[cfg(target_os = "uefi")]
mod hda;
#[cfg(target_os = "uefi")]
mod machine;
#[cfg(target_os = "uefi")]
mod memory;
#[cfg(target_os = "uefi")]
mod player;
#[cfg(target_os = "uefi")]
mod scenario;
#[cfg(target_os = "uefi")]
mod verdict;

#[cfg(not(target_os = "uefi"))]
fn main() {
    eprintln!(
        "bareguest runs under UEFI: build it with `cargo build -p bareguest --profile kernel --target x86_64-unknown-uefi`; \
         the tests in tests/e2e/tests/failures boot it"
    );
    std::process::exit(2);
}

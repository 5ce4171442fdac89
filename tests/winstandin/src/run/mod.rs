//! A run on an image (`WINDOWS.md`, sections 6 to 11): the agent's part, and that of the program it runs.
//!
//! * `behaviour`: the plan of each boot; `cd`, `words`, `wave`, `dump`, `fat`: what the media hold. Pure: the
//!   host tests them
//! * `agent`: does what the plan says; `out`: the out disk; `pci`, `ringwave`, `hda`, `virtio`: plays through
//!   the card

pub mod behaviour;
pub mod cd;
pub mod dump;
pub mod fat;
pub mod wave;
pub mod words;

#[cfg(target_os = "uefi")]
pub mod agent;
#[cfg(target_os = "uefi")]
mod button;
#[cfg(target_os = "uefi")]
mod hda;
#[cfg(target_os = "uefi")]
mod nmi;
#[cfg(target_os = "uefi")]
mod out;
#[cfg(target_os = "uefi")]
mod pci;
#[cfg(target_os = "uefi")]
mod program;
#[cfg(target_os = "uefi")]
mod ringwave;
#[cfg(target_os = "uefi")]
mod virtio;

//! The Ringwave sound card: a PCI function that is a process on the host, offered to QEMU over vfio-user.
//!
//! Data flows one way: [`serve`] takes a client's messages to the card, which is [`ringwave_card`] behind the
//! lock of a [`ringwave_pci_card`]; the [`engine`] gives the card its time, and the I/O worker behind it
//! gives the [`ringwave_host`] what was heard. `device/DATASHEET.md` says what a guest sees of it.

pub mod control;
pub mod engine;
pub mod expectations;
mod listeners;
pub mod log_queue;
pub mod priority;
mod recorder;
pub mod sandbox;
pub mod serve;

//! A PCI function over vfio-user, whatever card is behind it.
//!
//! [`client::VfioFunction`] is what the vfio-user server serves: it makes a [`Request`] of each message of
//! the client. [`Function`] takes them in one place, does to configuration space, guest RAM and interrupts
//! what they ask, and calls the card, which is a [`Backend`]. It knows no sound, no thread and no clock; its
//! owner keeps it behind a lock and gives the card its time.

pub mod client;
pub mod config;
mod function;
mod interrupts;
mod mapped_bar;

pub use function::{Backend, Bus, Function, IrqKind, Region, Request};
pub use interrupts::Delivered;
pub use mapped_bar::MappedBar;
pub use ringwave_vfio_user::pci::PowerState;
pub use ringwave_vfio_user::{IrqAction, IrqChange, Vectors};

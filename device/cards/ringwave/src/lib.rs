//! The Ringwave card, as `device/DATASHEET.md` has it. It knows no socket, thread, file or clock.
//!
//! [`controller`] takes accesses and time, [`stream`] is the register front end of a stream of the engine,
//! [`dma`] the way to guest memory, [`pages`] what the guest reads without a message, [`env`](mod@env) what
//! every call is given. [`function`] puts it behind its PCI function.

pub mod controller;
pub mod dma;
pub mod env;
pub mod function;
pub mod page_bar;
pub mod pages;
pub mod pci;
pub mod stream;

pub use function::{Card, CardConfig, Function};

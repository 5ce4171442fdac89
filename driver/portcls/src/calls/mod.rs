//! Safe faces of the interfaces the driver calls.
//!
//! | module | what |
//! |---|---|
//! | [`pages`] | pages of the cyclic buffer |
//! | [`interface_property`] | what clients know of an interface |
//! | [`resources`] | a device's BARs and interrupts |
//! | [`registry`] | values of its keys |
//! | [`port`] | ports |
pub mod interface_property;
pub mod pages;
pub mod port;
pub mod registry;
pub mod resources;

pub use pages::{AudioPages, Cache};
pub use registry::KeyType;
pub use resources::{InterruptResource, MemoryRange};

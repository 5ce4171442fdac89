//! Safe faces of the interfaces the driver calls.
//!
//! | module | what |
//! |---|---|
//! | [`pages`] | pages of the cyclic buffer |
//! | [`interface_property`] | what clients know of an interface |
//! | [`resources`] | a device's BARs and interrupts |
//! | [`registry`] | values of its keys |
//! | [`port`] | ports |
//! | [`start`] | from DriverEntry to registered filters, for a driver that leaves PnP and power to PortCls |
pub mod interface_property;
pub mod pages;
pub mod port;
pub mod registry;
pub mod resources;
pub mod start;

pub use pages::{AudioPages, Cache, MappedPages};
pub use registry::KeyType;
pub use resources::{InterruptResource, MemoryRange};
pub use start::{Filter, StartingDevice};

//! Guest memory as a device reaches it: [`guest_ram`] keeps the maps that a client shares and the files
//! behind them, [`list`] takes the snapshot of a buffer that lies scattered in it. It knows no card and no
//! protocol.
//!
//! The memory belongs to somebody else, who can change it at any time and take it away: no Rust reference
//! into it exists, every access copies, and memory that is gone is a [`MemoryFault`], not a signal.

pub mod guest_ram;
pub mod list;
pub mod memfd;
mod shared_file;

pub use shared_file::{check_pages_stay, host_overcommits};

/// Memory that the device cannot reach: not mapped, without a file descriptor, lost, or not permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryFault;

/// Guest RAM by guest physical address. A range may cross maps: joining them is the implementation's
/// business. Whether Bus Master Enable is on is *not*: the card knows it.
pub trait GuestMemory {
    /// Copies `into.len()` bytes at `address` out of the guest. After a fault the contents of `into` are not
    /// specified.
    fn read(&self, address: u64, into: &mut [u8]) -> Result<(), MemoryFault>;
    /// Copies `from` into the guest at `address`.
    fn write(&self, address: u64, from: &[u8]) -> Result<(), MemoryFault>;
    /// Says whether the device could read (or, with `write`, also store to) all of `bytes` bytes at
    /// `address`. Touches nothing.
    fn check(&self, address: u64, bytes: u64, write: bool) -> Result<(), MemoryFault>;
}

//! One bring-up, two ways to reach the card: what both can do, and how they fail.

use vmm_sys_util::eventfd::EventFd;

use super::memory::Memory;

/// Why an access to the card failed.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The card cannot be reached any more: whatever comes next fails, too.
    #[error("{0}")]
    Lost(String),
    /// Whoever stands between the tool and the card said no to this one access (the kernel, while the card is
    /// in `D3hot`).
    #[error("{0}")]
    Refused(String),
}

/// What an access gives.
pub type Access<T> = Result<T, AccessError>;

/// A way to reach a card. Every call ends, whatever the card does: with an error when the card does not
/// answer in time.
pub trait CardAccess {
    /// What the user called it: a socket's path, or bus, device and function.
    fn name(&self) -> String;

    /// Whether configuration space is the card's own. If not, a kernel stands in between, which keeps some of
    /// it over a reset, and enables MSI itself.
    fn own_configuration(&self) -> bool;

    /// Reads configuration space at `offset`.
    fn config_read(&mut self, offset: u16, into: &mut [u8]) -> Access<()>;

    /// Writes configuration space at `offset`.
    fn config_write(&mut self, offset: u16, data: &[u8]) -> Access<()>;

    /// Reads BAR 0 at `offset`, in one access where the way allows.
    fn read(&mut self, offset: u32, into: &mut [u8]) -> Access<()>;

    /// Writes BAR 0 at `offset`. When this returns the card has had it.
    fn write(&mut self, offset: u32, data: &[u8]) -> Access<()>;

    /// Loads an aligned word of BAR 2 as memory. Not to be called while Memory Space is off or the card is in
    /// D3hot.
    fn page(&mut self, offset: u32) -> Access<u32>;

    /// Stores an aligned word of 64 bits of BAR 2 as memory, in one access. As for [`CardAccess::page`].
    fn store_page(&mut self, offset: u32, value: u64) -> Access<()>;

    /// Lets the card reach `bytes` bytes of `memory` from `offset` on at `address`, to read and to write. All
    /// three are multiples of 4,096.
    fn map(&mut self, address: u64, memory: &Memory, offset: usize, bytes: usize) -> Access<()>;

    /// Takes back what [`CardAccess::map`] or [`CardAccess::map_own_pages`] gave at `address`.
    fn unmap(&mut self, address: u64, bytes: usize) -> Access<()>;

    /// Puts BAR 2 of the card itself at `address`, [`ringwave_regs::pci::PAGES_BYTES`] bytes: memory that the
    /// card must not reach. [`AccessError::Refused`] where that cannot be done.
    fn map_own_pages(&mut self, address: u64) -> Access<()>;

    /// Connects MSI messages 0, 1 and so on to eventfds, and enables MSI. Gives how many were granted: a
    /// power of two, 1 to `lines.len()`.
    fn connect_msi(&mut self, lines: &[&EventFd]) -> Access<u32>;

    /// Connects INTx, unmasked, with MSI disabled. It masks itself whenever it was raised.
    fn connect_intx(&mut self, line: &EventFd) -> Access<()>;

    /// Lets INTx through again.
    fn unmask_intx(&mut self) -> Access<()>;

    /// Disconnects all interrupts, and disables MSI.
    fn disconnect(&mut self) -> Access<()>;

    /// Resets the function from outside: `DEVICE_RESET` of the transport.
    fn reset(&mut self) -> Access<()>;
}

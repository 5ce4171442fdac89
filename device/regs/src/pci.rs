//! What the function shows in PCI configuration space. DATASHEET 2.

/// Vendor id. Borrowed: QEMU's for devices of its own (1234:1111 display, 1234:11e8 edu), not assigned to
/// this project. `ringwave serve --vendor` changes it.
pub const VENDOR: u16 = 0x1234;
/// Device id: "RW". `ringwave serve --device` changes it.
pub const DEVICE: u16 = 0x5257;
/// Subsystem vendor id.
pub const SUBSYSTEM_VENDOR: u16 = 0x1234;
/// Subsystem id.
pub const SUBSYSTEM: u16 = 0x0001;
/// Revision id: the major version of the register interface.
pub const REVISION: u8 = 1;
/// Class code: multimedia controller (04), audio device (01), no programming interface (00).
pub const CLASS: u32 = 0x04_01_00;

/// Index of the BAR with the registers: 32-bit memory, not prefetchable, every access is a message to the
/// device.
pub const REGISTERS_BAR: u32 = 0;
/// Size of the register BAR in bytes.
pub const REGISTERS_BYTES: u32 = 0x4000;
/// Index of the BAR with the pages: 32-bit memory, mapped into the guest, an access costs no message.
pub const PAGES_BAR: u32 = 2;
/// Size of the page BAR in bytes.
pub const PAGES_BYTES: u32 = 0x4_0000;

/// The most MSI messages that the function offers (a power of two; the function offers the smallest power of
/// two that is not below its number of streams).
pub const MSI_MESSAGES_MAX: u32 = 16;

/// How many MSI messages a function with this many streams offers. DATASHEET 2.
pub const fn messages(streams: u32) -> u32 {
    let wanted = if streams == 0 { 1 } else { streams };
    if wanted > MSI_MESSAGES_MAX { MSI_MESSAGES_MAX } else { wanted.next_power_of_two() }
}

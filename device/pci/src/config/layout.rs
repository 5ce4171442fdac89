//! What configuration space looks like after reset, and which of its bits a guest can change.
//!
//! Offsets are those of the PCI Local Bus Specification 3.0 (header, MSI), the PCI Power Management
//! specification 1.2 and the PCI Express Base Specification (capability structure version 2). What differs
//! between cards comes from [`FunctionSpec`].

use super::{FunctionSpec, MSI_MESSAGES_MAX};

/// Size of a PCI Express function's configuration space in bytes.
pub const CONFIG_BYTES: usize = 4096;

/// Command register.
pub const COMMAND: usize = 0x04;
/// Command: the function answers memory accesses. QEMU gates them; the card does not.
pub const COMMAND_MEMORY: u16 = 1 << 1;
/// Command: the function may do DMA and send messages.
pub const COMMAND_BUS_MASTER: u16 = 1 << 2;
/// Command: the function must not assert `INTx`.
pub const COMMAND_INTERRUPT_DISABLE: u16 = 1 << 10;
/// Command bits that can be written: Memory Space, Bus Master, Parity Error Response, SERR, Interrupt
/// Disable.
const COMMAND_WRITABLE: u16 =
    COMMAND_MEMORY | COMMAND_BUS_MASTER | 1 << 6 | 1 << 8 | COMMAND_INTERRUPT_DISABLE;

/// Status register.
pub const STATUS: usize = 0x06;
/// Status: an `INTx` is pending, whatever Interrupt Disable says.
pub const STATUS_INTERRUPT: u16 = 1 << 3;
/// Status: there is a list of capabilities.
const STATUS_CAPABILITIES: u16 = 1 << 4;

/// The first of six Base Address Registers.
pub const BARS: usize = 0x10;
/// The byte behind the last of them.
pub const BARS_END: usize = 0x28;
const CAPABILITIES_POINTER: usize = 0x34;
const INTERRUPT_LINE: usize = 0x3C;
const INTERRUPT_PIN: usize = 0x3D;
const INTA: u8 = 1;

/// Where the power management capability usually is.
pub const PM: usize = 0x40;
/// Power management control and status, in its capability.
pub const PMCSR_OFFSET: usize = 4;
/// The same, of a capability at [`PM`].
pub const PMCSR: usize = PM + PMCSR_OFFSET;
/// [`PMCSR`]: the power state, 0 = D0, 3 = D3hot. A write does not change it: the function does, when it is
/// told to.
pub const PMCSR_STATE: u8 = 0x3;
/// D3hot in [`PMCSR_STATE`].
pub const D3HOT: u8 = 3;
/// [`PMCSR`]: what the function keeps when it goes from D3hot to D0 is everything.
const PMCSR_NO_SOFT_RESET: u16 = 1 << 3;

/// MSI capability, 64-bit addresses, no per-vector masks.
pub const MSI: usize = 0x50;
/// MSI message control.
pub const MSI_CONTROL: usize = MSI + 2;
/// [`MSI_CONTROL`]: MSI is enabled, so `INTx` is not used.
pub const MSI_ENABLE: u16 = 1;
const MSI_CAPABLE_SHIFT: u16 = 1;
/// [`MSI_CONTROL`]: log2 of the messages that were granted.
pub const MSI_GRANTED_SHIFT: u16 = 4;
const MSI_64BIT: u16 = 1 << 7;

/// PCI Express capability.
pub const PCIE: usize = 0x70;
/// Device control.
pub const DEVICE_CONTROL: usize = PCIE + 0x08;
/// [`DEVICE_CONTROL`]: initiates a function-level reset; reads 0.
pub const DEVICE_CONTROL_FLR: u16 = 1 << 15;
/// Reset value: relaxed ordering and no-snoop enabled, read requests of up to 512 bytes.
const DEVICE_CONTROL_RESET: u16 = 1 << 4 | 1 << 11 | 0b010 << 12;
const DEVICE_STATUS: usize = PCIE + 0x0A;
const LINK_CAPABILITIES: usize = PCIE + 0x0C;
const LINK_CONTROL: usize = PCIE + 0x10;
const LINK_STATUS: usize = PCIE + 0x12;
/// 2.5 GT/s, one lane: nothing is ever sent over this link.
const LINK_X1_2_5GT: u16 = 0x11;

/// The capability that follows; the list's order in one place.
const AFTER_PM: u8 = 0x50;
const AFTER_MSI: u8 = 0x70;
const _: () = assert!(AFTER_PM as usize == MSI && AFTER_MSI as usize == PCIE);

/// Bytes of configuration space and their masks.
pub struct Layout {
    /// Values after reset.
    pub reset: Box<[u8; CONFIG_BYTES]>,
    /// Bits that a write sets to what was written.
    pub writable: Box<[u8; CONFIG_BYTES]>,
    /// Bits that a write of 1 clears.
    pub write_1_clears: Box<[u8; CONFIG_BYTES]>,
}

fn put<const N: usize>(bytes: &mut [u8; CONFIG_BYTES], offset: usize, value: [u8; N]) {
    for (to, byte) in bytes.iter_mut().skip(offset).zip(value) {
        *to = byte;
    }
}

/// Builds the layout of a function.
pub fn layout(spec: &FunctionSpec) -> Layout {
    let mut reset = Box::new([0; CONFIG_BYTES]);
    let mut writable = Box::new([0; CONFIG_BYTES]);
    let mut write_1_clears = Box::new([0; CONFIG_BYTES]);
    header(spec, &mut reset, &mut writable, &mut write_1_clears);
    if let Some(at) = spec.power_management {
        power_management(at, &mut reset);
    } else {
        put(&mut reset, CAPABILITIES_POINTER, [AFTER_PM]);
    }
    capabilities(spec.messages, &mut reset, &mut writable, &mut write_1_clears);
    for own in spec.own_bytes {
        put(&mut reset, own.offset.into(), [own.reset]);
        put(&mut writable, own.offset.into(), [own.writable]);
    }
    Layout { reset, writable, write_1_clears }
}

fn header(
    spec: &FunctionSpec,
    reset: &mut [u8; CONFIG_BYTES],
    writable: &mut [u8; CONFIG_BYTES],
    write_1_clears: &mut [u8; CONFIG_BYTES],
) {
    put(reset, 0x00, spec.vendor.to_le_bytes());
    put(reset, 0x02, spec.device.to_le_bytes());
    put(reset, STATUS, STATUS_CAPABILITIES.to_le_bytes());
    put(reset, 0x08, (spec.class << 8 | u32::from(spec.revision)).to_le_bytes());
    put(reset, 0x2C, spec.subsystem_vendor.to_le_bytes());
    put(reset, 0x2E, spec.subsystem.to_le_bytes());
    put(reset, INTERRUPT_PIN, [INTA]);

    put(writable, COMMAND, COMMAND_WRITABLE.to_le_bytes());
    put(writable, 0x0C, [0xFF]); // cache line size: no effect in PCI Express, but read/write
    put(writable, INTERRUPT_LINE, [0xFF]);
    // Every BAR is 32-bit memory, not prefetchable: type bits 0, and the address bits below the size read 0.
    for (bar, bytes) in spec.bars.into_iter().enumerate() {
        let address = bytes.checked_sub(1).map_or(0, |below| !below);
        put(writable, BARS + 4 * bar, address.to_le_bytes());
    }
    put(write_1_clears, STATUS, 0xF900_u16.to_le_bytes());
}

fn power_management(at: u8, reset: &mut [u8; CONFIG_BYTES]) {
    put(reset, CAPABILITIES_POINTER, [at]);
    let at = usize::from(at);
    put(reset, at, [0x01, AFTER_PM]);
    put(reset, at + 2, 0x0003_u16.to_le_bytes()); // version 3; no D1, D2 or PME
    put(reset, at + PMCSR_OFFSET, PMCSR_NO_SOFT_RESET.to_le_bytes());
}

fn capabilities(
    messages: u32,
    reset: &mut [u8; CONFIG_BYTES],
    writable: &mut [u8; CONFIG_BYTES],
    write_1_clears: &mut [u8; CONFIG_BYTES],
) {
    let capable = u16::try_from(messages.clamp(1, MSI_MESSAGES_MAX).ilog2()).unwrap_or(0);
    put(reset, MSI, [0x05, AFTER_MSI]);
    put(reset, MSI_CONTROL, (capable << MSI_CAPABLE_SHIFT | MSI_64BIT).to_le_bytes());
    put(writable, MSI_CONTROL, (MSI_ENABLE | 0b111 << MSI_GRANTED_SHIFT).to_le_bytes());
    put(writable, MSI + 4, 0xFFFF_FFFC_u32.to_le_bytes());
    put(writable, MSI + 8, 0xFFFF_FFFF_u32.to_le_bytes());
    put(writable, MSI + 12, 0xFFFF_u16.to_le_bytes());

    put(reset, PCIE, [0x10, 0x00]);
    put(reset, PCIE + 2, 0x0002_u16.to_le_bytes()); // version 2, PCI Express endpoint
    put(reset, PCIE + 4, (1_u32 << 28 | 1 << 15).to_le_bytes()); // function-level reset, role-based errors
    put(reset, DEVICE_CONTROL, DEVICE_CONTROL_RESET.to_le_bytes());
    put(writable, DEVICE_CONTROL, (!DEVICE_CONTROL_FLR).to_le_bytes());
    put(write_1_clears, DEVICE_STATUS, 0x000F_u16.to_le_bytes());
    put(reset, LINK_CAPABILITIES, u32::from(LINK_X1_2_5GT).to_le_bytes());
    // ASPM control and common clock: kept, without effect.
    put(writable, LINK_CONTROL, 0x0043_u16.to_le_bytes());
    put(reset, LINK_STATUS, LINK_X1_2_5GT.to_le_bytes());
}

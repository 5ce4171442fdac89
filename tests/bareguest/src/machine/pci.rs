//! The PCI bus through the ports 0xCF8 and 0xCFC (PCI Local Bus Specification 3.0, 3.2.2.3.2): 256 bytes of
//! configuration space per function are all this card needs.

use super::cpu::{inl, outl, outw};
use super::uefi::Firmware;
use crate::verdict::{Step, expect};
use crate::wrong;

const ADDRESS: u16 = 0xCF8;
const DATA: u16 = 0xCFC;

/// Offset of the Command register.
pub const COMMAND: u8 = 0x04;
/// Command: the function answers memory accesses.
pub const COMMAND_MEMORY: u16 = 1 << 1;
/// Command: Bus Master Enable.
pub const COMMAND_BUS_MASTER: u16 = 1 << 2;
/// Command: Interrupt Disable.
const COMMAND_INTERRUPT_DISABLE: u16 = 1 << 10;
/// Offset of the class code, above the revision.
const CLASS: u8 = 0x08;
/// Offset of BAR 0; the next are 4 bytes apart.
const BAR0: u8 = 0x10;
const CAPABILITIES: u8 = 0x34;
/// How long software waits after it has initiated a function-level reset (PCI Express Base Specification,
/// 6.6.2), in microseconds.
const AFTER_FLR: usize = 100_000;
/// PCI Express capability: offset of Device Control, and its bit that initiates a function-level reset.
const DEVICE_CONTROL: u8 = 0x08;
const INITIATE_FLR: u16 = 1 << 15;
/// Capability: power management.
pub const POWER_MANAGEMENT: u8 = 0x01;
/// Capability: MSI.
pub const MSI: u8 = 0x05;
/// Capability: PCI Express.
pub const PCI_EXPRESS: u8 = 0x10;
/// Buses that are searched: the card is on the root bus or behind a root port.
const BUSES: u8 = 8;

/// Function 0 of a device.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    bus: u8,
    device: u8,
}

impl Function {
    /// The first function with these ids.
    pub fn find(vendor: u16, device: u16) -> Option<Self> {
        let wanted = u32::from(vendor) | u32::from(device) << 16;
        let all = (0..BUSES).flat_map(|bus| (0..32).map(move |device| Self { bus, device }));
        all.into_iter().find(|function| function.read32(0) == wanted)
    }

    /// The first function with this base class and sub-class.
    pub fn find_class(class: u16) -> Option<Self> {
        let all = (0..BUSES).flat_map(|bus| (0..32).map(move |device| Self { bus, device }));
        all.into_iter().find(|function| (function.read32(CLASS) >> 16) as u16 == class)
    }

    fn select(self, offset: u8) {
        let function = u32::from(self.bus) << 16 | u32::from(self.device) << 11;
        outl(ADDRESS, 1 << 31 | function | u32::from(offset & 0xFC));
    }

    /// Reads the 32 bits that contain `offset`.
    pub fn read32(self, offset: u8) -> u32 {
        self.select(offset);
        inl(DATA)
    }

    /// Writes 32 bits; `offset` is a multiple of 4.
    pub fn write32(self, offset: u8, value: u32) {
        self.select(offset);
        outl(DATA, value);
    }

    /// Reads 16 bits; `offset` is a multiple of 2.
    pub fn read16(self, offset: u8) -> u16 {
        (self.read32(offset) >> (8 * u32::from(offset & 2))) as u16
    }

    /// Writes 16 bits; `offset` is a multiple of 2.
    pub fn write16(self, offset: u8, value: u16) {
        self.select(offset);
        outw(DATA + u16::from(offset & 2), value);
    }

    /// Writes Command so that the function answers memory accesses, and masters the bus if asked to.
    pub fn enable(self, bus_master: bool) {
        self.write16(COMMAND, COMMAND_MEMORY | if bus_master { COMMAND_BUS_MASTER } else { 0 });
    }

    /// Sets Interrupt Disable in Command: no INTx.
    pub fn disable_intx(self) {
        self.write16(COMMAND, self.read16(COMMAND) | COMMAND_INTERRUPT_DISABLE);
    }

    /// What the 32-bit BAR `index` holds, with its flag bits.
    pub fn bar(self, index: u32) -> u32 {
        self.read32(BAR0 + 4 * index as u8)
    }

    /// Writes the BAR `index`.
    pub fn set_bar(self, index: u32, value: u32) {
        self.write32(BAR0 + 4 * index as u8, value);
    }

    /// Offset of the capability with this id. A list has at most 48 members.
    pub fn capability(self, id: u8) -> Option<u8> {
        let mut at = (self.read32(CAPABILITIES) & 0xFC) as u8;
        for _ in 0..48 {
            if at == 0 {
                return None;
            }
            let head = self.read32(at);
            if head as u8 == id {
                return Some(at);
            }
            at = (head >> 8 & 0xFC) as u8;
        }
        None
    }

    /// Initiates a function-level reset, waits as long as the specification asks for, and sees that configuration
    /// space was reset: the caller restores the BARs and Command.
    pub fn reset(self, firmware: &Firmware) -> Step {
        let Some(capability) = self.capability(PCI_EXPRESS) else {
            return Err(wrong!("no PCI Express capability"));
        };
        let control = self.read16(capability + DEVICE_CONTROL);
        self.write16(capability + DEVICE_CONTROL, control | INITIATE_FLR);
        firmware.stall(AFTER_FLR);
        expect("Command after a function-level reset", self.read16(COMMAND).into(), 0)
    }
}

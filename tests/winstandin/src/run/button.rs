//! The power button, as ACPI has it: a status bit in the chipset's block of registers (ICH9 datasheet,
//! PMBASE; ACPI specification 6.5, 4.8.4.1). QEMU sets it only where the event is enabled.

use guest_ports::{inl, inw, outl, outw};

use crate::firmware::Firmware;

const CONFIG_ADDRESS: u16 = 0xCF8;
const CONFIG_DATA: u16 = 0xCFC;
/// Bus 0, device 31, function 0, register 0x40: PMBASE.
const PMBASE: u32 = 0x8000_F840;
const ENABLE: u16 = 2;
const POWER_BUTTON: u16 = 1 << 8;
const BETWEEN_MICROS: usize = 50_000;

/// Waits until somebody presses it.
pub fn wait(firmware: &Firmware) {
    outl(CONFIG_ADDRESS, PMBASE);
    let base = (inl(CONFIG_DATA) & 0xFF80) as u16;
    outw(base, POWER_BUTTON);
    outw(base + ENABLE, inw(base + ENABLE) | POWER_BUTTON);
    while inw(base) & POWER_BUTTON == 0 {
        firmware.stall(BETWEEN_MICROS);
    }
}

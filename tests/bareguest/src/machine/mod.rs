//! The machine under the scenarios: port instructions, the firmware's services, the PCI bus.

pub mod cpu;
pub mod pci;
pub mod uefi;

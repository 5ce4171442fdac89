//! The machine under the scenarios: port instructions, the firmware's services, the PCI bus,
//! interrupts.

pub mod cpu;
pub mod interrupts;
pub mod pci;
pub mod uefi;

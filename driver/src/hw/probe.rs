//! Which card a device is. Its PCI vendor and device id decide, read from configuration space; the card's own
//! module then checks that what it finds behind the BARs is such a card.

use alloc::boxed::Box;

use nt::NtResult;
use nt::bus::BusInterface;
use nt::pool::try_box;
use nt::status::STATUS_DEVICE_CONFIGURATION_ERROR;
use nt::sys::DEVICE_OBJECT;

use super::Card;
use super::ringwave::{self, Ringwave};
use super::virtio::pci::CONFIG_BYTES;
use super::virtio::{self, VirtioSound};

/// A range of device memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryRange {
    /// Translated physical address.
    pub address: u64,
    /// Address on the bus, as the BAR's register holds it.
    pub raw: u64,
    /// Length in bytes.
    pub bytes: usize,
}

/// The memory that a device was given: its memory BARs, in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resources(pub [Option<MemoryRange>; 6]);

impl Resources {
    /// Memory BAR number `index`, not counting others.
    ///
    /// # Errors
    /// `STATUS_DEVICE_CONFIGURATION_ERROR` if there is none.
    pub fn memory(&self, index: usize) -> NtResult<MemoryRange> {
        self.0.get(index).copied().flatten().ok_or_else(|| {
            log::error!("memory resource {index} is missing");
            STATUS_DEVICE_CONFIGURATION_ERROR
        })
    }
}

/// Finds the card. PASSIVE_LEVEL.
///
/// *Doubt*: whether every bus driver that a card may be behind offers BUS_INTERFACE_STANDARD. Windows' own
/// (pci.sys) does by the interface's page. Without it the id is not known, and the card's module is asked:
/// that costs one read of a register of a device which the INF has named, and refuses what is no such card.
///
/// # Errors
/// `STATUS_DEVICE_CONFIGURATION_ERROR` for a device that no module knows; what the bus driver said if it did
/// not tell the id and the registers are not those of a Ringwave card; else what the card's module says.
///
/// # Safety
/// `pdo` is the PDO of a device of this driver that is being started, and `resources` are that device's.
// Not inlined: what it has on the stack is gone when the rest of the start goes on.
#[inline(never)]
pub unsafe fn probe(pdo: *mut DEVICE_OBJECT, resources: &Resources) -> NtResult<Box<dyn Card>> {
    // SAFETY: by contract.
    let unknown = match unsafe { configuration(pdo) } {
        Ok(config) => match pci_id(&config) {
            ringwave::PCI_ID => None,
            virtio::PCI_ID => {
                // SAFETY: by contract.
                let card = unsafe { VirtioSound::find(&config, resources)? };
                return Ok(card);
            }
            (vendor, device) => {
                log::error!("PCI device {vendor:04x}:{device:04x} is no card that this driver knows");
                return Err(STATUS_DEVICE_CONFIGURATION_ERROR);
            }
        },
        Err(status) => {
            log::warn!(
                "the bus driver does not tell the device's PCI id: {status:#010x}; its registers decide"
            );
            Some(status)
        }
    };
    // SAFETY: by contract.
    let found = unsafe { Ringwave::find(resources) };
    // That it is no such card does not say what it is: that the bus driver has not told.
    let card = found.map_err(|status| match unknown {
        Some(unknown) if status == STATUS_DEVICE_CONFIGURATION_ERROR => unknown,
        _ => status,
    })?;
    Ok(try_box(card)?)
}

/// Configuration space; what the bus driver does not tell of it is 0, but the ids.
///
/// # Safety
/// As [`probe`].
unsafe fn configuration(pdo: *mut DEVICE_OBJECT) -> NtResult<[u8; CONFIG_BYTES]> {
    // SAFETY: by contract.
    let bus = unsafe { BusInterface::query(pdo)? };
    let mut config = [0; CONFIG_BYTES];
    if bus.read_config(0, &mut config) < 4 {
        return Err(STATUS_DEVICE_CONFIGURATION_ERROR);
    }
    Ok(config)
}

/// Vendor and device id: the first two words.
const fn pci_id(config: &[u8; CONFIG_BYTES]) -> (u16, u16) {
    let [vendor_low, vendor_high, device_low, device_high, ..] = *config;
    (u16::from_le_bytes([vendor_low, vendor_high]), u16::from_le_bytes([device_low, device_high]))
}

#[cfg(test)]
mod tests {
    use nt::host::{self, Bus};
    use nt::interrupt::Granted;
    use nt::status::{STATUS_NOT_SUPPORTED, STATUS_REVISION_MISMATCH};

    use super::*;
    use crate::hw::Endpoint;
    use crate::hw::ringwave::memory_card::MemoryCard;

    /// The probe of a card in memory behind a bus, and what it logs.
    fn probe_at(physical: u64, bus: Bus, prepare: impl FnOnce(&MemoryCard)) -> (NtResult, String) {
        let memory = MemoryCard::at(physical);
        prepare(&memory);
        host::set_bus(bus);
        let _ = host::take_debug_output();
        // SAFETY: fake device memory, and a bus that does not look at the device.
        let found = unsafe { probe(core::ptr::null_mut(), &memory.resources()) };
        assert_eq!(host::bus_references(), 0, "the bus driver's interface is given back");
        let log = host::take_debug_output().into_iter().map(|(_, _, line)| line).collect();
        (found.map(|card| card.remove()), log)
    }

    fn bus(vendor: u16, device: u16) -> Bus {
        let config = [vendor, device].map(u16::to_le_bytes).as_flattened().to_vec();
        Bus { config, ..Bus::default() }
    }

    #[test]
    fn the_pci_id_chooses_the_card() {
        nt::klog::init(log::LevelFilter::Info);
        let (found, log) = probe_at(0x1_1000_0000, bus(0x1234, 0x5257), |_| ());
        assert_eq!(found, Ok(()), "{log}");
    }

    #[test]
    fn a_virtio_sound_device_is_found_by_its_id() {
        use crate::hw::virtio::simulated::SimulatedDevice;
        nt::klog::init(log::LevelFilter::Info);
        let device = SimulatedDevice::new();
        host::set_bus(Bus { config: device.config().to_vec(), ..Bus::default() });
        // SAFETY: fake device memory, and a bus that does not look at the device.
        let found = unsafe { probe(core::ptr::null_mut(), &device.resources()) };
        let card = found.unwrap();
        card.enable_interrupts(Granted::Line).unwrap();
        assert!(card.endpoint(1).is_some_and(Endpoint::captures));
        drop(card);
        assert_eq!((host::io_mappings(), host::bus_references()), (0, 0));
    }

    #[test]
    fn a_device_that_is_no_card_of_ours_is_refused_in_one_line_and_not_touched() {
        nt::klog::init(log::LevelFilter::Info);
        for (vendor, device) in [(0x1AF4, 0x1041), (0x1234, 0x5258), (0xFFFF, 0xFFFF)] {
            let (found, log) =
                probe_at(0x1_2000_0000 + u64::from(device) * 0x100_0000, bus(vendor, device), |_| ());
            assert_eq!(found, Err(STATUS_DEVICE_CONFIGURATION_ERROR));
            assert_eq!(log.lines().count(), 1, "{log}");
            assert!(log.contains(&format!("{vendor:04x}:{device:04x}")), "{log}");
            assert_eq!(host::io_mappings(), 0);
        }
    }

    #[test]
    fn without_the_bus_drivers_word_the_registers_decide() {
        nt::klog::init(log::LevelFilter::Info);
        let silent = [Bus { offered: false, ..Bus::default() }, Bus { config: vec![0x34], ..Bus::default() }];
        for (index, bus) in (0_u64..).zip(silent) {
            let at = 0x1_4000_0000 + index * 0x1000_0000;
            let (found, log) = probe_at(at, bus.clone(), |_| ());
            assert!(found.is_ok() && log.contains("PCI id"), "{log}");
            let (found, _) = probe_at(at + 0x100_0000, bus.clone(), |card| card.is_of_version(9));
            assert_eq!(found, Err(STATUS_REVISION_MISMATCH));
            let (found, _) = probe_at(at + 0x200_0000, bus, MemoryCard::is_no_card);
            // MAGIC is another one: what the bus driver has said is why nobody knows it.
            let why = [STATUS_NOT_SUPPORTED, STATUS_DEVICE_CONFIGURATION_ERROR];
            assert_eq!(found, Err(why[usize::try_from(index).unwrap()]));
            assert_eq!(host::io_mappings(), 0);
        }
    }

    #[test]
    fn a_device_without_its_bars_is_refused() {
        host::set_bus(bus(0x1234, 0x5257));
        // SAFETY: nothing is there to be touched.
        let found = unsafe { probe(core::ptr::null_mut(), &Resources::default()) };
        assert_eq!(found.err(), Some(STATUS_DEVICE_CONFIGURATION_ERROR));
    }
}

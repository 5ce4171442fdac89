//! What the function shows of itself in configuration space. DATASHEET section 2.

use ringwave_pci::config::FunctionSpec;
use ringwave_regs::pci;

pub use ringwave_pci::config::layout;

/// Who the function says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Vendor id.
    pub vendor: u16,
    /// Device id.
    pub device: u16,
}

impl Default for Identity {
    fn default() -> Self {
        Self { vendor: pci::VENDOR, device: pci::DEVICE }
    }
}

/// The function with this identity that offers this many MSI messages.
pub fn spec(identity: Identity, messages: u32) -> FunctionSpec {
    let mut bars = [0; 6];
    for (bar, bytes) in [(pci::REGISTERS_BAR, pci::REGISTERS_BYTES), (pci::PAGES_BAR, pci::PAGES_BYTES)] {
        bars[bar as usize] = bytes;
    }
    FunctionSpec {
        vendor: identity.vendor,
        device: identity.device,
        subsystem_vendor: pci::SUBSYSTEM_VENDOR,
        subsystem: pci::SUBSYSTEM,
        revision: pci::REVISION,
        class: pci::CLASS,
        bars,
        messages,
        power_management: Some(0x40),
        own_bytes: &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringwave_pci::config::ConfigSpace;

    fn read32(config: &ConfigSpace, offset: u64) -> u32 {
        let mut bytes = [0; 4];
        config.read(offset, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    #[test]
    fn identity_is_the_datasheets_and_can_be_set() {
        let mut config = ConfigSpace::new(&spec(Identity::default(), 1));
        assert_eq!(read32(&config, 0), 0x5257_1234);
        assert_eq!(read32(&config, 8), 0x0401_0001, "class 040100, revision 1");
        assert_eq!(read32(&config, 0x2C), 0x0001_1234, "subsystem");
        for (bar, mask) in [(0, 0xFFFF_C000), (1, 0), (2, 0xFFFC_0000), (3, 0), (4, 0), (5, 0)] {
            config.write(0x10 + 4 * bar, &[0xFF; 4]);
            assert_eq!(read32(&config, 0x10 + 4 * bar), mask, "BAR {bar}");
        }
        let other = ConfigSpace::new(&spec(Identity { vendor: 0x1AF4, device: 0xABCD }, 1));
        assert_eq!(read32(&other, 0), 0xABCD_1AF4);
    }
}

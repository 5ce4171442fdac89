//! What a write to a PCI function's configuration space asks besides changing a register: a function-level
//! reset, another power state.
//!
//! VFIO has no message for either: a guest writes to a capability, and a client passes the write on (QEMU
//! 11.1 does for both). A device says with [`crate::Device::pci_controls`] where its capabilities are, and
//! hears of them as one call each, after the write itself.

/// How many capabilities fit the 192 bytes after the header, four bytes each: no list is longer, and one that
/// goes in a circle ends.
const CAPABILITIES_MAX: usize = 48;

const STATUS: u16 = 0x06;
const STATUS_CAPABILITIES: u8 = 1 << 4;
const FIRST_CAPABILITY: u16 = 0x34;
const HEADER_BYTES: u16 = 0x40;

/// Power management (PCI Bus Power Management Interface Specification 1.2, 3.2).
const POWER_MANAGEMENT: u8 = 0x01;
const PMC_UPPER: u16 = 3;
const PMC_UPPER_D1: u8 = 1 << 1;
const PMC_UPPER_D2: u8 = 1 << 2;
const PMCSR: u16 = 4;
const PMCSR_STATE: u8 = 0b11;

/// PCI Express (PCI Express Base Specification, "PCI Express Capability Structure").
const EXPRESS: u8 = 0x10;
const DEVICE_CAPABILITIES_TOP: u16 = 7;
const DEVICE_CAPABILITIES_TOP_FLR: u8 = 1 << 4;
const DEVICE_CONTROL_UPPER: u16 = 9;
const DEVICE_CONTROL_UPPER_FLR: u8 = 1 << 7;

/// Advanced features: function-level reset of a conventional function (ECN "Advanced Capabilities for
/// Conventional PCI").
const ADVANCED_FEATURES: u8 = 0x13;
const AF_CAPABILITIES: u16 = 3;
const AF_CAPABILITIES_FLR: u8 = 1 << 1;
const AF_CONTROL: u16 = 4;
const AF_CONTROL_FLR: u8 = 1 << 0;

/// A function's power state, as software can ask for it (D3cold is the absence of power, which no register
/// shows).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the specification's")]
pub enum PowerState {
    /// As after every reset.
    #[default]
    D0,
    D1,
    D2,
    D3hot,
}

impl PowerState {
    /// As the PCI power management specification spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::D0 => "D0",
            Self::D1 => "D1",
            Self::D2 => "D2",
            Self::D3hot => "D3hot",
        }
    }
}

/// Where a function's controls are in its configuration space. The default has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Controls {
    /// The upper byte of Device Control, if there is a function-level reset.
    express_flr: Option<u16>,
    /// AF Control, if it has a function-level reset.
    advanced_flr: Option<u16>,
    /// The lower byte of PMCSR.
    power: Option<u16>,
    d1: bool,
    d2: bool,
}

/// What a write asks of the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlRequest {
    /// Initiate Function Level Reset.
    FunctionLevelReset,
    /// A power state that the function has, perhaps the one that it is in.
    Power(PowerState),
}

impl Controls {
    /// Finds the controls in configuration space (its first 256 bytes; the power management, PCI Express and
    /// advanced features capabilities). Read-only parts decide, so it does not matter when the bytes were
    /// taken.
    pub fn find(config: &[u8]) -> Self {
        let byte = |place: u16| config.get(usize::from(place)).copied().unwrap_or(0);
        let mut controls = Self::default();
        if byte(STATUS) & STATUS_CAPABILITIES == 0 {
            return controls;
        }
        let mut at = u16::from(byte(FIRST_CAPABILITY) & !0b11);
        for _ in 0..CAPABILITIES_MAX {
            if at < HEADER_BYTES {
                break;
            }
            match byte(at) {
                POWER_MANAGEMENT => {
                    controls.power = Some(at + PMCSR);
                    controls.d1 = byte(at + PMC_UPPER) & PMC_UPPER_D1 != 0;
                    controls.d2 = byte(at + PMC_UPPER) & PMC_UPPER_D2 != 0;
                }
                EXPRESS if byte(at + DEVICE_CAPABILITIES_TOP) & DEVICE_CAPABILITIES_TOP_FLR != 0 => {
                    controls.express_flr = Some(at + DEVICE_CONTROL_UPPER);
                }
                ADVANCED_FEATURES if byte(at + AF_CAPABILITIES) & AF_CAPABILITIES_FLR != 0 => {
                    controls.advanced_flr = Some(at + AF_CONTROL);
                }
                _ => {}
            }
            at = u16::from(byte(at + 1) & !0b11);
        }
        controls
    }

    /// What a write of `data` at `offset` asks. A reset outdoes a power state in the same write. A state that
    /// the function does not have is discarded: "the write operation must complete normally; however, the
    /// data is discarded and no state change occurs" (PCI PM 1.2, 3.2.4).
    pub fn request(&self, offset: u64, data: &[u8]) -> Option<ControlRequest> {
        let written = |place: Option<u16>| {
            let place = u64::from(place?).checked_sub(offset)?;
            data.get(usize::try_from(place).ok()?).copied()
        };
        let set = |place, bit| written(place).is_some_and(|byte| byte & bit != 0);
        if set(self.express_flr, DEVICE_CONTROL_UPPER_FLR) || set(self.advanced_flr, AF_CONTROL_FLR) {
            return Some(ControlRequest::FunctionLevelReset);
        }
        match written(self.power)? & PMCSR_STATE {
            0 => Some(ControlRequest::Power(PowerState::D0)),
            1 if self.d1 => Some(ControlRequest::Power(PowerState::D1)),
            2 if self.d2 => Some(ControlRequest::Power(PowerState::D2)),
            3 => Some(ControlRequest::Power(PowerState::D3hot)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Power management with D1 at 0x40, PCI Express at 0x50, advanced features at 0x90.
    fn config() -> Vec<u8> {
        let mut config = vec![0; 256];
        config[0x06] = 1 << 4;
        config[0x34] = 0x40;
        config[0x40..0x46].copy_from_slice(&[0x01, 0x50, 0x03, 0x02, 0x08, 0x00]);
        config[0x50..0x5A].copy_from_slice(&[0x10, 0x90, 0x02, 0, 0, 0, 0, 0x10, 0, 0]);
        config[0x90..0x96].copy_from_slice(&[0x13, 0, 6, 3, 0, 0]);
        config
    }

    #[test]
    fn reset_is_found_in_either_capability_and_by_a_write_of_any_width() {
        let controls = Controls::find(&config());
        let flr = Some(ControlRequest::FunctionLevelReset);
        assert_eq!(controls.request(0x58, &[0, 0x80]), flr);
        assert_eq!(controls.request(0x59, &[0x80]), flr);
        assert_eq!(controls.request(0x50, &[0xFF; 16]), flr);
        assert_eq!(controls.request(0x94, &[1]), flr);
        assert_eq!(controls.request(0x40, &[0xFF; 0x80]), flr, "whatever else is in the same write");
        for (offset, data) in
            [(0x58, &[0xFF, 0x7F][..]), (0x58, &[0xFF]), (0x5A, &[0xFF; 4]), (0x95, &[1]), (0x94, &[0xFE])]
        {
            assert_eq!(controls.request(offset, data), None, "{offset:#x}");
        }
    }

    #[test]
    fn power_states_are_those_that_the_function_has() {
        let controls = Controls::find(&config());
        let power = |state| Some(ControlRequest::Power(state));
        assert_eq!(controls.request(0x44, &[0x0B, 0]), power(PowerState::D3hot));
        assert_eq!(controls.request(0x40, &[0, 0, 0, 0, 1]), power(PowerState::D1));
        assert_eq!(controls.request(0x44, &[2]), None, "no D2");
        assert_eq!(controls.request(0x44, &[0xFC]), power(PowerState::D0));
        assert_eq!(controls.request(0x45, &[3]), None, "the upper byte says nothing of it");
    }

    #[test]
    fn what_is_not_announced_is_not_there() {
        let mut config = config();
        config[0x57] = 0;
        config[0x93] = 1;
        config[0x90] = 0x13;
        let controls = Controls::find(&config);
        assert_eq!(controls.request(0x58, &[0xFF; 2]), None);
        assert_eq!(controls.request(0x94, &[0xFF]), None);
        config[0x06] = 0;
        assert_eq!(Controls::find(&config), Controls::default(), "no list");
        assert_eq!(Controls::default().request(0, &[0xFF; 4096]), None);
    }

    #[test]
    fn lists_of_any_form_end() {
        for config in [vec![], vec![0xFF; 0x30], vec![0xFF; 256], vec![0xFF; 4096]] {
            let _ = Controls::find(&config).request(u64::MAX, &[0xFF; 4]);
        }
        let mut circle = config();
        circle[0x91] = 0x40;
        assert_eq!(Controls::find(&circle), Controls::find(&config()));
        let mut last = config();
        last[0x34] = 0xFF;
        last[0xFC..].copy_from_slice(&[0x01, 0, 0, 0]);
        let controls = Controls::find(&last);
        assert_eq!(
            controls.request(0x100, &[3]),
            Some(ControlRequest::Power(PowerState::D3hot)),
            "beyond, and harmless"
        );
    }
}

//! Where the structures of a virtio device are: virtio 1.2, 4.1.4. Read from a copy of configuration space,
//! so that the host's tests try whatever a device may say there.
//!
//! Windows does not number BARs: a resource is the BAR whose register holds the resource's *raw* address.

use crate::hw::{MemoryRange, Resources};

/// Bytes of configuration space that every function has, where capabilities are.
pub const CONFIG_BYTES: usize = 256;

/// Offset of the status register, in which bit 4 says that there are capabilities.
const STATUS: usize = 6;
const STATUS_CAPABILITIES: u16 = 1 << 4;
/// Offset of the first BAR.
const BARS: usize = 0x10;
/// Offset of the pointer to the first capability.
const POINTER: usize = 0x34;
/// What a capability's own data comes behind.
const HEADER_END: usize = 0x40;
/// PCI_CAP_ID_VNDR.
const VENDOR_SPECIFIC: u8 = 9;
/// More capabilities than fit: the list is a circle.
const CAPABILITIES_MAX: usize = 48;

/// The structures that a driver needs, by their `cfg_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// VIRTIO_PCI_CAP_COMMON_CFG.
    Common = 1,
    /// VIRTIO_PCI_CAP_NOTIFY_CFG.
    Notify = 2,
    /// VIRTIO_PCI_CAP_ISR_CFG.
    Isr = 3,
    /// VIRTIO_PCI_CAP_DEVICE_CFG.
    Device = 4,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Common, Self::Notify, Self::Isr, Self::Device];

    /// Its name in a log.
    const fn name(self) -> &'static str {
        match self {
            Self::Common => "common configuration",
            Self::Notify => "notifications",
            Self::Isr => "ISR status",
            Self::Device => "device configuration",
        }
    }

    /// What its fields need: bytes, and alignment of its first.
    const fn needs(self) -> (u32, u32) {
        match self {
            Self::Common => (56, 4),
            Self::Notify => (2, 2),
            Self::Isr => (1, 1),
            Self::Device => (12, 4),
        }
    }
}

/// The structures of a device, in device memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Structures {
    /// virtio_pci_common_cfg.
    pub common: MemoryRange,
    /// Where queues are notified.
    pub notify: MemoryRange,
    /// notify_off_multiplier.
    pub notify_multiplier: u32,
    /// The ISR byte.
    pub isr: MemoryRange,
    /// virtio_snd_config.
    pub device: MemoryRange,
}

impl Structures {
    /// Finds them: of each kind the first that is usable. `None` if one is missing, which the log names.
    pub fn find(config: &[u8; CONFIG_BYTES], resources: &Resources) -> Option<Self> {
        let bars = bars(config, resources);
        let [common, notify, isr, device] = Kind::ALL.map(|kind| {
            let found = capabilities(config).find_map(|at| place(config, &bars, at, kind));
            if found.is_none() {
                log::error!("no usable virtio capability for {}", kind.name());
            }
            found
        });
        let (notify, notify_multiplier) = notify?;
        let [common, isr, device] = [common?.0, isr?.0, device?.0];
        Some(Self { common, notify, notify_multiplier, isr, device })
    }
}

/// Offsets of the vendor-specific capabilities, in their order.
fn capabilities(config: &[u8; CONFIG_BYTES]) -> impl Iterator<Item = usize> {
    let any = u16_at(config, STATUS).is_some_and(|status| status & STATUS_CAPABILITIES != 0);
    let pointer = move |at: usize| {
        let next = usize::from(*config.get(at)? & !3);
        (next >= HEADER_END).then_some(next)
    };
    let first = if any { pointer(POINTER) } else { None };
    core::iter::successors(first, move |at| pointer(at.saturating_add(1)))
        .take(CAPABILITIES_MAX)
        .filter(|at| config.get(*at) == Some(&VENDOR_SPECIFIC))
}

/// Where the capability at `at` says that its structure is, with the last field of one for notifications, if
/// it is of this kind and what it says is good.
fn place(
    config: &[u8],
    bars: &[Option<MemoryRange>; 6],
    at: usize,
    kind: Kind,
) -> Option<(MemoryRange, u32)> {
    let field = |offset: usize| at.checked_add(offset);
    let length = usize::from(*config.get(field(2)?)?);
    if *config.get(field(3)?)? != kind as u8 {
        return None;
    }
    let multiplier = match kind {
        Kind::Notify if length >= 20 => u32_at(config, field(16)?)?,
        Kind::Notify => return None,
        _ if length >= 16 => 0,
        _ => return None,
    };
    let bar = bars.get(usize::from(*config.get(field(4)?)?)).copied().flatten()?;
    let (offset, bytes) = (u32_at(config, field(8)?)?, u32_at(config, field(12)?)?);
    let (bytes_min, alignment) = kind.needs();
    let end = u64::from(offset).checked_add(bytes.into())?;
    let fits = end <= u64::try_from(bar.bytes).ok()?;
    if !fits || bytes < bytes_min || !offset.is_multiple_of(alignment) {
        return None;
    }
    let range = MemoryRange {
        address: bar.address.checked_add(offset.into())?,
        raw: bar.raw.checked_add(offset.into())?,
        bytes: usize::try_from(bytes).ok()?,
    };
    Some((range, multiplier))
}

/// The memory BARs by their numbers: each register's address, and the resource that begins there.
fn bars(config: &[u8; CONFIG_BYTES], resources: &Resources) -> [Option<MemoryRange>; 6] {
    let mut upper_half = false;
    core::array::from_fn(|index| {
        let at = index.checked_mul(4)?.checked_add(BARS)?;
        let low = u32_at(config, at)?;
        if core::mem::take(&mut upper_half) || low & 1 != 0 {
            // The upper half of the one before, or I/O ports.
            return None;
        }
        let high = if low & 6 == 4 {
            upper_half = true;
            u32_at(config, at.checked_add(4)?).filter(|_| index < 5)?
        } else {
            0
        };
        let address = u64::from(high) << 32 | u64::from(low & !0xF);
        // A BAR that the system gave no memory to holds 0.
        let begins = |range: &MemoryRange| address != 0 && range.raw == address;
        resources.0.iter().flatten().copied().find(begins)
    })
}

fn u16_at(config: &[u8], at: usize) -> Option<u16> {
    let bytes = config.get(at..)?.first_chunk()?;
    Some(u16::from_le_bytes(*bytes))
}

fn u32_at(config: &[u8], at: usize) -> Option<u32> {
    let bytes = config.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A capability as a test writes it: kind, BAR, offset, length, its own length.
    type Capability = (u8, u8, u32, u32, u8);

    /// As QEMU's virtio-sound-pci has it: MSI-X in BAR 1, all else in the 64-bit BAR 4, and a fifth
    /// capability that is an access window.
    const QEMU: [Capability; 5] = [
        (1, 4, 0, 0x1000, 16),
        (3, 4, 0x1000, 0x1000, 16),
        (4, 4, 0x2000, 0x1000, 16),
        (2, 4, 0x3000, 0x1000, 20),
        (5, 0, 0, 0, 20),
    ];

    fn config(capabilities: &[Capability]) -> [u8; CONFIG_BYTES] {
        let mut config = [0; CONFIG_BYTES];
        config[STATUS] = 0x10;
        config[0x14..0x18].copy_from_slice(&0xFEBD_1000_u32.to_le_bytes());
        config[0x20..0x24].copy_from_slice(&(0x1000_0000_u32 | 0xC).to_le_bytes());
        config[0x24..0x28].copy_from_slice(&0x38_u32.to_le_bytes());
        config[POINTER] = 0x40;
        for (index, (kind, bar, offset, bytes, length)) in capabilities.iter().enumerate() {
            let at = 0x40 + index * 24;
            let next = if index + 1 < capabilities.len() { u8::try_from(at + 24).unwrap() } else { 0 };
            config[at..at + 5].copy_from_slice(&[VENDOR_SPECIFIC, next, *length, *kind, *bar]);
            config[at + 8..at + 12].copy_from_slice(&offset.to_le_bytes());
            config[at + 12..at + 16].copy_from_slice(&bytes.to_le_bytes());
            config[at + 16..at + 20].copy_from_slice(&4_u32.to_le_bytes());
        }
        config
    }

    /// In another order than the BARs, and seen elsewhere by the processor.
    fn resources() -> Resources {
        let mut resources = Resources::default();
        resources.0[0] = Some(MemoryRange { address: 0x70_0000_0000, raw: 0x38_1000_0000, bytes: 0x4000 });
        resources.0[1] = Some(MemoryRange { address: 0x60_0000_0000, raw: 0xFEBD_1000, bytes: 0x1000 });
        resources
    }

    fn found(capabilities: &[Capability]) -> Option<Structures> {
        Structures::find(&config(capabilities), &resources())
    }

    #[test]
    fn qemus_card_is_found_by_the_raw_addresses_of_its_bars() {
        let at = |offset: u64, bytes| MemoryRange {
            address: 0x70_0000_0000 + offset,
            raw: 0x38_1000_0000 + offset,
            bytes,
        };
        let expected = Structures {
            common: at(0, 0x1000),
            isr: at(0x1000, 0x1000),
            device: at(0x2000, 0x1000),
            notify: at(0x3000, 0x1000),
            notify_multiplier: 4,
        };
        assert_eq!(found(&QEMU), Some(expected));
        let mut others = resources();
        others.0[0].as_mut().unwrap().raw += 0x1000;
        assert_eq!(Structures::find(&config(&QEMU), &others), None, "no resource begins where BAR 4 does");
    }

    #[test]
    fn of_each_kind_the_first_that_is_usable() {
        let second = (1, 1, 0x100, 56, 16);
        for useless in [
            (1, 4, 0, 0x4001, 16),          // beyond the BAR
            (1, 4, u32::MAX, u32::MAX, 16), // beyond everything
            (1, 4, 2, 0x1000, 16),          // not aligned
            (1, 4, 0, 55, 16),              // too short for its fields
            (1, 4, 0, 0x1000, 15),          // a capability that is too short
            (1, 6, 0, 0x1000, 16),          // a BAR that is reserved
            (1, 5, 0, 0x1000, 16),          // the upper half of BAR 4
            (1, 0, 0, 0x1000, 16),          // a BAR that is not there
        ] {
            let all = [useless, second, QEMU[1], QEMU[2], QEMU[3]];
            assert_eq!(found(&all).unwrap().common.address, 0x60_0000_0100, "{useless:?}");
        }
        for missing in 0..4 {
            let rest: Vec<_> = (0..5).filter(|index| *index != missing).map(|index| QEMU[index]).collect();
            assert_eq!(found(&rest), None, "without {missing}");
        }
    }

    #[test]
    fn without_the_status_bit_there_is_no_list_and_a_circle_ends() {
        let mut without = config(&QEMU);
        without[STATUS] = 0;
        assert_eq!(Structures::find(&without, &resources()), None);
        let mut circle = config(&QEMU[..1]);
        circle[0x41] = 0x40;
        assert_eq!(Structures::find(&circle, &resources()), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        /// Whatever configuration space says, what is found is inside of a resource.
        #[test]
        fn what_is_found_is_the_devices(
            mut bytes in prop::collection::vec(any::<u8>(), CONFIG_BYTES), real in any::<bool>()
        ) {
            if real {
                // Mostly right, for else nothing is ever found.
                let good = config(&QEMU);
                for (index, byte) in bytes.iter_mut().enumerate().filter(|(index, _)| index % 61 != 7) {
                    *byte = good[index];
                }
            }
            let config: [u8; CONFIG_BYTES] = bytes.try_into().unwrap();
            if let Some(found) = Structures::find(&config, &resources()) {
                for range in [found.common, found.notify, found.isr, found.device] {
                    let inside = resources().0.iter().flatten().any(|bar| {
                        range.address >= bar.address
                            && range.address + range.bytes as u64 <= bar.address + bar.bytes as u64
                    });
                    prop_assert!(inside, "{range:?}");
                }
            }
        }
    }
}

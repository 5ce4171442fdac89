//! The cards that are compared. One more is a row here.

use crate::{linux::GuestCard, request::CardKind};

/// A card that a Linux guest drives with the kernel's own driver.
#[derive(Debug, PartialEq, Eq)]
pub struct LinuxCard {
    /// Its name in the table, in JSON and for `--cards`.
    pub name: &'static str,
    /// What it is.
    pub what: &'static str,
    /// Whose process it is.
    pub device: Device,
    /// The guest's driver is that of HD Audio.
    pub hda: bool,
    /// Parameters of the guest's driver, each as `init.sh` takes it: a line `module parameter=value`.
    pub driver_options: &'static str,
}

/// Whose process a card is.
#[derive(Debug, PartialEq, Eq)]
pub enum Device {
    /// QEMU's own: what stands behind each `-device`. Its sound goes to the audiodev `snd`, a WAV file.
    Qemu(&'static [&'static str]),
    /// `ringwave serve`, with this card and clock.
    Served {
        /// `--card`
        card: GuestCard,
        /// `--clock`
        clock: &'static str,
    },
}

/// Those of Linux guests; the first one is what ratios are of.
pub const LINUX_CARDS: [LinuxCard; 6] = [
    LinuxCard {
        name: "qemu-virtio",
        what: "QEMU's virtio-sound-pci",
        device: Device::Qemu(&["virtio-sound-pci,audiodev=snd"]),
        hda: false,
        driver_options: "",
    },
    LinuxCard {
        name: "qemu-hda",
        what: "QEMU's ich9-intel-hda with hda-duplex",
        device: Device::Qemu(&["ich9-intel-hda", "hda-duplex,audiodev=snd"]),
        hda: true,
        driver_options: "",
    },
    LinuxCard {
        name: "ringwave",
        what: "ringwave serve --card virtio, vhost-user-snd-pci",
        device: Device::Served { card: GuestCard::Virtio, clock: "realtime" },
        hda: false,
        driver_options: "",
    },
    LinuxCard {
        name: "ringwave-lockstep",
        what: "the same with --clock lockstep",
        device: Device::Served { card: GuestCard::Virtio, clock: "lockstep" },
        hda: false,
        driver_options: "",
    },
    LinuxCard {
        name: "ringwave-hda",
        what: "ringwave serve --card hda, vfio-user-pci",
        device: Device::Served { card: GuestCard::Hda, clock: "realtime" },
        hda: true,
        driver_options: "",
    },
    LinuxCard {
        name: "hda-lpib",
        what: "the same, the guest's driver reads LPIB (position_fix=1)",
        device: Device::Served { card: GuestCard::Hda, clock: "realtime" },
        hda: true,
        driver_options: "snd-hda-intel position_fix=1\n",
    },
];

/// A card that `ringwave.sys` drives in ntguest.
#[derive(Debug, PartialEq, Eq)]
pub struct NtguestCard {
    /// Its name in the table and in JSON.
    pub name: &'static str,
    /// Which card it is.
    pub kind: CardKind,
}

/// Those of ntguest.
pub const NTGUEST_CARDS: [NtguestCard; 2] = [
    NtguestCard { name: "ringwave", kind: CardKind::Ringwave },
    NtguestCard { name: "ringwave-virtio", kind: CardKind::Virtio },
];

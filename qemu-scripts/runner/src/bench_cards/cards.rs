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

/// Those of Linux guests; the first one is what ratios are of. Ours have the names of `ringwave serve --card`.
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
        name: "virtio",
        what: "ringwave serve --card virtio, vhost-user-snd-pci",
        device: Device::Served { card: GuestCard::Virtio, clock: "realtime" },
        hda: false,
        driver_options: "",
    },
    LinuxCard {
        name: "virtio-lockstep",
        what: "the same with --clock lockstep",
        device: Device::Served { card: GuestCard::Virtio, clock: "lockstep" },
        hda: false,
        driver_options: "",
    },
    LinuxCard {
        name: "hda",
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

/// What cards of Linux guests were called before results had version 2, and are called now.
const OLD_NAMES: [(&str, &str); 3] =
    [("ringwave", "virtio"), ("ringwave-lockstep", "virtio-lockstep"), ("ringwave-hda", "hda")];

/// The card of Linux guests of this name.
///
/// # Errors
/// There is none: its new name, or all names.
pub fn linux_card(name: &str) -> Result<&'static LinuxCard, String> {
    if let Some((_, new)) = OLD_NAMES.iter().find(|(old, _)| *old == name) {
        return Err(format!("this card is called {new} now"));
    }
    LINUX_CARDS.iter().find(|card| card.name == name).ok_or_else(|| {
        let names: Vec<&str> = LINUX_CARDS.iter().map(|card| card.name).collect();
        format!("the cards are {}", names.join(", "))
    })
}

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
    NtguestCard { name: "virtio", kind: CardKind::Virtio },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_card_and_an_old_one_tells_the_new() {
        for card in &LINUX_CARDS {
            assert_eq!(linux_card(card.name), Ok(card));
        }
        // `ringwave serve --card` and ntguest's part: the Ringwave card, for which Linux has no driver.
        assert_eq!(linux_card("ringwave"), Err("this card is called virtio now".into()));
        for (old, new) in OLD_NAMES {
            assert_eq!(linux_card(old), Err(format!("this card is called {new} now")));
            assert_eq!(linux_card(new).map(|card| card.name), Ok(new));
        }
        assert!(linux_card("hdaudio").is_err_and(|why| why.contains("qemu-virtio, qemu-hda, virtio, ")));
    }
}

//! Whether a device is one of our cards.

use alloc::string::String;

/// Hardware ids by which Windows knows the cards: of the first two those of the driver's INF; of HD Audio
/// that of the codec, for its controller is an ICH9 like any other.
const CARDS: &[(&str, &str)] = &[
    ("ringwave", r"PCI\VEN_1234&DEV_5257"),
    ("virtio", r"PCI\VEN_1AF4&DEV_1059"),
    ("hda", r"HDAUDIO\FUNC_01&VEN_1234&DEV_5248"),
];

/// The card whose device has this instance id (`PCI\VEN_1234&...\3&11...`) or device path
/// (`{2}.\\?\pci#ven_1234&...#{6994ad04-...}\topology`); `None`: no card of ours.
pub fn card(device: &str) -> Option<&'static str> {
    let path = device.rsplit_once(r"\\?\").map_or(device, |(_, path)| path);
    let path: String = path.chars().map(|c| if c == '#' { '\\' } else { c.to_ascii_uppercase() }).collect();
    let is =
        |id: &str| path.strip_prefix(id).is_some_and(|rest| rest.is_empty() || rest.starts_with(['&', '\\']));
    CARDS.iter().find(|(_, id)| is(id)).map(|(card, _)| *card)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_cards_are_known_by_path_and_by_instance_id() {
        let wave = r"{2}.\\?\pci#ven_1234&dev_5257&subsys_00011234&rev_01#3&11583659&0&08#{6994ad04-93ef-11d0-a3cc-00a0c9223196}\topology";
        assert_eq!(card(wave), Some("ringwave"));
        assert_eq!(card(r"PCI\VEN_1AF4&DEV_1059&SUBSYS_11001AF4&REV_01\3&11583659&0&10"), Some("virtio"));
        assert_eq!(card(r"PCI\VEN_1AF4&DEV_1059"), Some("virtio"));
        let codec =
            r"{2}.\\?\hdaudio#func_01&ven_1234&dev_5248&subsys_1af41100&rev_1000#4&1&0&0001#{x}\espeakertopo";
        assert_eq!(card(codec), Some("hda"));
    }

    #[test]
    fn others_are_not() {
        for other in [
            "",
            r"PCI\VEN_1234&DEV_52570",
            r"PCI\VEN_8086&DEV_293E&SUBSYS_11001AF4",
            r"HDAUDIO\FUNC_01&VEN_1AF4&DEV_0022",
            r"USB\PCI\VEN_1234&DEV_5257",
            "\u{e4}\u{df}",
        ] {
            assert_eq!(card(other), None, "{other}");
        }
    }

    /// They are those of the INF and of the codec; this program stands alone and may not ask those crates.
    #[test]
    fn the_ids_are_those_of_the_inf_and_of_the_codec() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        let inf = std::fs::read_to_string(std::format!("{root}/driver/ringwave.inx")).expect("the INF");
        for id in [r"PCI\VEN_1234&DEV_5257", r"PCI\VEN_1AF4&DEV_1059"] {
            assert!(inf.contains(id) && CARDS.iter().any(|(_, known)| *known == id), "{id}");
        }
        let page = std::fs::read_to_string(std::format!("{root}/device/HDA.md")).expect("HDA.md");
        assert!(page.contains("vendor 1234, device 5248"), "the codec has other ids");
    }
}

//! Which Windows an image is, as far as the answer file has to know, and which image a person means.

use std::fmt::Write as _;

use super::wim::Edition;
use crate::error::Error;

/// Versions of Windows that are installed by the same answer file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// 10, from 1809 to 22H2.
    Windows10,
    /// 11, 21H2 to 23H2: the checks of the hardware are there, the Setup is the old one.
    Windows11,
    /// 11 from 24H2 on: the Setup is the new one.
    Windows11New,
    /// Server 2019 and 2022 with desktop.
    Server,
    /// Server 2025 with desktop.
    Server2025,
}

/// The oldest build that the driver's INF takes: 1809.
const OLDEST: u32 = 17_763;
/// The first build of Windows 11, and the first with the new Setup.
const FIRST_11: u32 = 22_000;
const FIRST_NEW_SETUP: u32 = 26_100;

impl Family {
    /// The family of an image, or why it can't be used: a line for a person.
    pub fn of(edition: &Edition) -> Result<Self, String> {
        let name = &edition.name;
        match edition.architecture {
            9 => {}
            12 => return Err(format!("{name} is for ARM64; the driver is for x64")),
            _ => return Err(format!("{name} is not for x64")),
        }
        if edition.build < OLDEST {
            return Err(format!(
                "{name} is build {}; the driver is for 1809, build {OLDEST}, and later",
                edition.build
            ));
        }
        match (edition.installation_type.as_str(), edition.build) {
            ("Client", ..FIRST_11) => Ok(Self::Windows10),
            ("Client", FIRST_11..FIRST_NEW_SETUP) => Ok(Self::Windows11),
            ("Client", _) => Ok(Self::Windows11New),
            ("Server", ..FIRST_NEW_SETUP) => Ok(Self::Server),
            ("Server", _) => Ok(Self::Server2025),
            ("Server Core", _) => Err(format!(
                "{name} is Server Core, which has no audio services; take the edition with Desktop Experience"
            )),
            (other, _) => Err(format!("{name} is a {other:?}, which is neither a client nor a server")),
        }
    }

    /// Whether this is a server.
    pub const fn is_server(self) -> bool {
        matches!(self, Self::Server | Self::Server2025)
    }

    /// Whether Setup looks for a TPM, Secure Boot and 4 GiB.
    pub const fn checks_hardware(self) -> bool {
        matches!(self, Self::Windows11 | Self::Windows11New)
    }

    /// What is said of how far this family is proven. No family was run where this was written.
    pub const fn proven(self) -> &'static str {
        match self {
            Self::Windows11New | Self::Server => "written against documents, not run",
            Self::Windows10 | Self::Windows11 | Self::Server2025 => "untested: made by the same generator",
        }
    }
}

/// The image that `wanted` names: by its name, the name that Setup shows, or its edition id; without a name
/// the only one that will do.
///
/// # Errors
/// [`Error::BadInput`] in one line, with what there is.
pub fn choose<'a>(editions: &'a [Edition], wanted: Option<&str>) -> Result<(&'a Edition, Family), Error> {
    let Some(wanted) = wanted else {
        let usable: Vec<_> =
            editions.iter().filter_map(|edition| Some((edition, Family::of(edition).ok()?))).collect();
        return match usable[..] {
            [only] => Ok(only),
            [] => Err(Error::BadInput(format!("no edition here will do{}", reasons(editions)))),
            _ => {
                let usable = names(usable.into_iter().map(|(edition, _)| edition));
                Err(Error::BadInput(format!("which edition? --edition NAME, one of{usable}")))
            }
        };
    };
    let is = |text: &str| text.eq_ignore_ascii_case(wanted);
    let by_name = |edition: &&Edition| is(&edition.name);
    let by_other = |edition: &&Edition| is(&edition.display_name) || is(&edition.edition_id);
    // One name may be the others' display name: the desktop of a server and its core share theirs.
    let mut found: Vec<_> = editions.iter().filter(by_name).collect();
    if found.is_empty() {
        found = editions.iter().filter(by_other).collect();
    }
    match found[..] {
        [edition] => Family::of(edition).map(|family| (edition, family)).map_err(Error::BadInput),
        [] => Err(Error::BadInput(format!("no edition {wanted:?}; there are{}", names(editions)))),
        _ => Err(Error::BadInput(format!(
            "more than one edition is {wanted:?}; take a name of{}",
            names(editions)
        ))),
    }
}

fn names<'a>(editions: impl IntoIterator<Item = &'a Edition>) -> String {
    editions.into_iter().fold(String::new(), |mut list, edition| {
        let _ = write!(list, "{} {:?}", if list.is_empty() { ":" } else { "," }, edition.name);
        list
    })
}

fn reasons(editions: &[Edition]) -> String {
    editions.iter().filter_map(|edition| Family::of(edition).err()).fold(String::new(), |mut list, reason| {
        let _ = write!(list, "{} {reason}", if list.is_empty() { ":" } else { ";" });
        list
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]
    use super::*;

    fn edition(index: u32, name: &str, shown: &str, kind: &str, build: u32) -> Edition {
        Edition {
            index,
            name: name.into(),
            display_name: shown.into(),
            edition_id: "ServerStandard".into(),
            installation_type: kind.into(),
            architecture: 9,
            build,
            language: "en-US".into(),
        }
    }

    #[test]
    fn families_go_by_type_and_build() {
        let of = |kind, build| Family::of(&edition(1, "it", "it", kind, build));
        assert_eq!(of("Client", 19_045), Ok(Family::Windows10));
        assert_eq!(of("Client", 22_631), Ok(Family::Windows11));
        assert_eq!(of("Client", 26_100), Ok(Family::Windows11New));
        assert_eq!(of("Server", 20_348), Ok(Family::Server));
        assert_eq!(of("Server", 26_100), Ok(Family::Server2025));
        assert!(of("Server Core", 20_348).unwrap_err().contains("Desktop Experience"));
        assert!(of("Client", 17_134).unwrap_err().contains("1809"));
        assert!(of("WindowsPE", 26_100).unwrap_err().contains("neither"));
        let arm = Edition { architecture: 12, ..edition(1, "it", "it", "Client", 26_100) };
        assert!(Family::of(&arm).unwrap_err().contains("ARM64"));
    }

    #[test]
    fn edition_is_chosen_by_a_name_that_is_one_editions_only() {
        let both = [
            edition(
                1,
                "Windows Server 2022 SERVERSTANDARDCORE",
                "Windows Server 2022 Standard",
                "Server Core",
                20_348,
            ),
            edition(
                2,
                "Windows Server 2022 SERVERSTANDARD",
                "Windows Server 2022 Standard (Desktop)",
                "Server",
                20_348,
            ),
            edition(
                3,
                "Windows Server 2022 SERVERDATACENTER",
                "Windows Server 2022 Datacenter",
                "Server",
                20_348,
            ),
        ];
        let chosen =
            |wanted| choose(&both, wanted).map(|(edition, _)| edition.index).map_err(|e| e.to_string());
        assert_eq!(chosen(Some("windows server 2022 SERVERSTANDARD")), Ok(2));
        assert_eq!(chosen(Some("Windows Server 2022 Datacenter")), Ok(3));
        assert!(chosen(Some("Windows Server 2022 Standard")).unwrap_err().contains("audio services"));
        assert!(chosen(Some("ServerStandard")).unwrap_err().contains("more than one"));
        let listed = chosen(Some("Windows 11 Pro")).unwrap_err();
        assert!(
            listed.contains("SERVERSTANDARDCORE")
                && listed.contains("SERVERDATACENTER")
                && listed.lines().count() == 1
        );
        assert!(chosen(None).unwrap_err().contains("--edition"));
        assert_eq!(choose(&both[..2], None).unwrap().0.index, 2, "the only one with sound");
        assert!(choose(&both[..1], None).unwrap_err().to_string().contains("audio services"));
    }
}

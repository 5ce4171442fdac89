//! What the INF and the sources must spell alike, taken from the sources.

use portcls_sys::GUID;
use portcls_sys::guid::{
    KSCATEGORY_AUDIO, KSCATEGORY_CAPTURE, KSCATEGORY_REALTIME, KSCATEGORY_RENDER, KSCATEGORY_TOPOLOGY,
    KSNODETYPE_LINE_CONNECTOR, KSNODETYPE_MICROPHONE, KSNODETYPE_SPEAKER,
};
use ringwave_driver::default_format::STANDARD;
use ringwave_driver::hw::Direction;
use ringwave_driver::hw::format::{AudioFormat, Capabilities};
use ringwave_driver::hw::virtio;
use ringwave_driver::names;
use ringwave_regs::pci;

/// A day, as DriverVer wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// Four digits.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
}

/// The text is not a date.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not a date; write it like 2026-11-21")]
pub struct NotADate(pub String);

impl std::str::FromStr for Date {
    type Err = NotADate;

    /// Reads `2026-11-21`.
    fn from_str(text: &str) -> Result<Self, NotADate> {
        let parts: Vec<&str> = text.split('-').collect();
        let date = match parts[..] {
            [y, m, d] if (y.len(), m.len(), d.len()) == (4, 2, 2) => Self::new(y, m, d),
            _ => None,
        };
        date.ok_or_else(|| NotADate(text.into()))
    }
}

impl Date {
    /// From digits; `None` for what no calendar has.
    pub fn new(year: &str, month: &str, day: &str) -> Option<Self> {
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !(digits(year) && digits(month) && digits(day)) {
            return None;
        }
        let date = Self { year: year.parse().ok()?, month: month.parse().ok()?, day: day.parse().ok()? };
        let leap =
            date.year.is_multiple_of(4) && (!date.year.is_multiple_of(100) || date.year.is_multiple_of(400));
        let days = match date.month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        (date.year >= 2000 && (1..=days).contains(&date.day)).then_some(date)
    }
}

/// One fact: the mark that names it in the INX, and its value as the INF writes it.
pub type Fact = (&'static str, String);

/// The hardware ids that the INF matches, one for each model: the Ringwave card's, and that of every virtio
/// sound device.
pub fn hardware_ids() -> [String; 2] {
    [(pci::VENDOR, pci::DEVICE), virtio::PCI_ID]
        .map(|(vendor, device)| format!(r"PCI\VEN_{vendor:04X}&DEV_{device:04X}"))
}

/// The workspace's version with the fourth number that Windows wants.
pub fn version() -> String {
    format!("{}.0", env!("CARGO_PKG_VERSION"))
}

/// An endpoint that the INF lists, by the names of its filters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Which way its sound goes.
    pub direction: Direction,
    /// Name of its wave filter.
    pub wave: String,
    /// Name of its topology filter.
    pub topology: String,
    /// The pin name of its jack, a GUID in braces; `None` of the first of a kind.
    pub jack: Option<String>,
}

/// The endpoints that the INF lists: speakers, then microphones.
pub fn endpoints() -> Vec<Endpoint> {
    let listed = |direction| {
        (0..names::IN_THE_INF).filter_map(move |index| {
            let names = names::endpoint(direction, index)?;
            let jacks = match direction {
                Direction::Render => &names::SPEAKER_JACKS,
                Direction::Capture => &names::MICROPHONE_JACKS,
            };
            let jack = index.checked_sub(1).and_then(|index| jacks.get(index)).map(braced);
            Some(Endpoint { direction, wave: text(names.wave), topology: text(names.topology), jack })
        })
    };
    listed(Direction::Render).chain(listed(Direction::Capture)).collect()
}

impl Endpoint {
    /// Its interfaces: category, and the filter that offers it. WAVERT.md 5.4 and 6.1.
    pub fn interfaces(&self) -> [(String, String); 5] {
        let direction = match self.direction {
            Direction::Render => &KSCATEGORY_RENDER,
            Direction::Capture => &KSCATEGORY_CAPTURE,
        };
        [
            (braced(&KSCATEGORY_AUDIO), self.wave.clone()),
            (braced(direction), self.wave.clone()),
            (braced(&KSCATEGORY_REALTIME), self.wave.clone()),
            (braced(&KSCATEGORY_AUDIO), self.topology.clone()),
            (braced(&KSCATEGORY_TOPOLOGY), self.topology.clone()),
        ]
    }

    /// Category of its topology filter's jack, which makes it what it is. Speakers after the first are line
    /// connectors, which keep their names.
    pub fn jack_category(&self) -> String {
        braced(match self.direction {
            Direction::Render if self.jack.is_some() => &KSNODETYPE_LINE_CONNECTOR,
            Direction::Render => &KSNODETYPE_SPEAKER,
            Direction::Capture => &KSNODETYPE_MICROPHONE,
        })
    }
}

/// Names of the registry values that people may set: what the driver reads and is 0 unless somebody wants it.
pub fn registry_values() -> [String; 9] {
    [
        names::CONTIGUOUS_BUFFER,
        names::POSITION_REGISTER,
        names::BOTH_MODES,
        names::DEFAULT_SAMPLE_RATE,
        names::DEFAULT_BITS,
        names::SPEAKER_CHANNELS,
        names::MICROPHONE_CHANNELS,
        names::LOCKSTEP,
        names::PACKET_MICROSECONDS,
    ]
    .map(text)
}

/// The WAVEFORMATEXTENSIBLE that endpoints of a direction begin with, on a card that takes every format.
pub fn proposed_format(direction: Direction) -> Vec<u8> {
    let format = STANDARD.of(direction, Capabilities::ALL).map(AudioFormat::to_bytes);
    // Behind the KSDATAFORMAT.
    format.map_or_else(Vec::new, |format| format.as_slice().get(64..).unwrap_or_default().to_vec())
}

/// The marks of the filters' names in the INX, in the order of [`endpoints`]: wave and topology of each.
const NAME_MARKS: [[&str; 2]; 2 * names::IN_THE_INF] = [
    ["wave", "topology"],
    ["wave2", "topology2"],
    ["wave3", "topology3"],
    ["wave4", "topology4"],
    ["wavein", "topologyin"],
    ["wavein2", "topologyin2"],
    ["wavein3", "topologyin3"],
    ["wavein4", "topologyin4"],
];

/// The marks of the jacks' names in the INX, in the order of [`endpoints`].
const JACK_MARKS: [Option<&str>; 2 * names::IN_THE_INF] = [
    None,
    Some("jack-speaker2"),
    Some("jack-speaker3"),
    Some("jack-speaker4"),
    None,
    Some("jack-microphone2"),
    Some("jack-microphone3"),
    Some("jack-microphone4"),
];

/// All facts for an INF of this day.
pub fn all(date: Date) -> Vec<Fact> {
    let Date { year, month, day } = date;
    let [ringwave, virtio] = hardware_ids();
    let quoted = |text: String| format!("\"{text}\"");
    let mut facts = vec![
        ("driver-version", format!("{month:02}/{day:02}/{year:04},{}", version())),
        ("hardware-id", ringwave),
        ("virtio-hardware-id", virtio),
        ("message-limit", pci::MSI_MESSAGES_MAX.to_string()),
        ("contiguous-buffer", quoted(text(names::CONTIGUOUS_BUFFER))),
        ("position-register", quoted(text(names::POSITION_REGISTER))),
        ("modes", quoted(text(names::BOTH_MODES))),
        ("default-sample-rate", quoted(text(names::DEFAULT_SAMPLE_RATE))),
        ("default-bits", quoted(text(names::DEFAULT_BITS))),
        ("speaker-channels", quoted(text(names::SPEAKER_CHANNELS))),
        ("microphone-channels", quoted(text(names::MICROPHONE_CHANNELS))),
        ("lockstep", quoted(text(names::LOCKSTEP))),
        ("packet-microseconds", quoted(text(names::PACKET_MICROSECONDS))),
        ("ks-audio", quoted(braced(&KSCATEGORY_AUDIO))),
        ("ks-render", quoted(braced(&KSCATEGORY_RENDER))),
        ("ks-capture", quoted(braced(&KSCATEGORY_CAPTURE))),
        ("ks-realtime", quoted(braced(&KSCATEGORY_REALTIME))),
        ("ks-topology", quoted(braced(&KSCATEGORY_TOPOLOGY))),
        ("ks-speaker", quoted(braced(&KSNODETYPE_SPEAKER))),
        ("ks-line", quoted(braced(&KSNODETYPE_LINE_CONNECTOR))),
        ("ks-microphone", quoted(braced(&KSNODETYPE_MICROPHONE))),
    ];
    for ((endpoint, [wave, topology]), jack) in endpoints().into_iter().zip(NAME_MARKS).zip(JACK_MARKS) {
        facts.push((wave, quoted(endpoint.wave)));
        facts.push((topology, quoted(endpoint.topology)));
        facts.extend(jack.zip(endpoint.jack.map(quoted)));
    }
    facts
}

/// A NUL-terminated constant of the driver as text.
fn text(wide: &[u16]) -> String {
    char::decode_utf16(wide.iter().copied().take_while(|&unit| unit != 0))
        .map(|character| character.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

fn braced(guid: &GUID) -> String {
    format!("{{{guid}}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_what_the_driver_says() {
        let date = "2026-11-21".parse().expect("a date");
        let facts = all(date);
        let fact = |mark| facts.iter().find(|fact| fact.0 == mark).map(|fact| fact.1.as_str());
        assert_eq!(fact("hardware-id"), Some(r"PCI\VEN_1234&DEV_5257"));
        assert_eq!(fact("virtio-hardware-id"), Some(r"PCI\VEN_1AF4&DEV_1059"));
        assert_eq!(fact("wave"), Some("\"Wave\""));
        assert_eq!(fact("topologyin4"), Some("\"TopologyIn4\""));
        assert_eq!(fact("jack-microphone4"), Some("\"{EE5FB635-BCD6-4B95-9189-0EAE5AF7744B}\""));
        assert_eq!(fact("ks-audio"), Some("\"{6994AD04-93EF-11D0-A3CC-00A0C9223196}\""));
        assert_eq!(fact("driver-version"), Some(concat!("11/21/2026,", env!("CARGO_PKG_VERSION"), ".0")));
    }

    #[test]
    fn dates_that_no_calendar_has_are_refused() {
        for text in ["2026-02-29", "2026-13-01", "2026-00-10", "26-01-01", "2026-1-1", "2026-01-+1", "", "x"]
        {
            assert!(text.parse::<Date>().is_err(), "{text}");
        }
        assert!("2028-02-29".parse::<Date>().is_ok());
    }
}

//! What a run is asked to do: the options of `qemu-scripts/play` and `record`, and what only tests ask for.

use std::{fmt, path::PathBuf, str::FromStr};

/// When a packet is not there in time, the card waits for it, or its time goes on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Clock {
    /// It waits. The clock goes so many times as fast as real time: that changes when, never what.
    Lockstep(f64),
    /// It plays silence for as long as a packet is late, or records over what was not read. The clock goes so
    /// many times as fast as real time.
    Realtime(f64),
}

impl Clock {
    /// A card that waits, in real time.
    pub const LOCKSTEP: Self = Self::Lockstep(1.0);

    /// How many times as fast as real time.
    pub fn speed(self) -> f64 {
        match self {
            Self::Lockstep(speed) | Self::Realtime(speed) => speed,
        }
    }

    /// Whether the card waits.
    pub fn waits(self) -> bool {
        matches!(self, Self::Lockstep(_))
    }

    /// As options of `ringwave serve`.
    pub fn arguments(self) -> [String; 4] {
        let name = if self.waits() { "lockstep" } else { "realtime" };
        ["--clock".into(), name.into(), "--speed".into(), self.speed().to_string()]
    }
}

impl FromStr for Clock {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "lockstep" => Ok(Self::LOCKSTEP),
            None if text == "realtime" => Ok(Self::Realtime(1.0)),
            Some(("scaled", speed)) => speed_from(speed).map(Self::Realtime),
            _ => Err("write lockstep, realtime or scaled:X".to_owned()),
        }
    }
}

/// How many times as fast as real time a clock can go here.
///
/// # Errors
/// What to write instead.
pub fn speed_from(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(speed) if (0.1..=100.0).contains(&speed) => Ok(speed),
        _ => Err("X is a number from 0.1 to 100".into()),
    }
}

/// How a recording client finds out what it can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// `GetReadPacket` after each event
    Packet,
    /// The position after each event
    Event,
    /// The position alone, now and then
    Timer,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Packet => "packet",
            Self::Event => "event",
            Self::Timer => "timer",
        })
    }
}

/// The card that the driver is started on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum CardKind {
    /// Ringwave's own, over vfio-user
    #[default]
    Ringwave,
    /// virtio-snd over vhost-user
    Virtio,
}

impl CardKind {
    /// `VVVV:DDDD` of its PCI function.
    pub fn pci(self) -> &'static str {
        match self {
            Self::Ringwave => "1234:5257",
            Self::Virtio => "1af4:1059",
        }
    }

    /// As options of `ringwave serve`.
    pub fn arguments(self) -> [String; 2] {
        let name = match self {
            Self::Ringwave => "ringwave",
            Self::Virtio => "virtio",
        };
        ["--card".into(), name.into()]
    }
}

/// Which way the sound goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// The guest plays, the card hears.
    Play,
    /// The guest plays, and records what the card plays.
    Loopback,
    /// The card's microphone hears, the guest records.
    Record(Mode),
}

/// What to play or record, and how.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "options of a command line, each for itself")]
pub struct Request {
    /// The WAV file.
    pub wav: PathBuf,
    /// Which way it goes.
    pub scenario: Scenario,
    /// Where to put what arrived; `None` = nowhere.
    pub out: Option<PathBuf>,
    /// The card.
    pub kind: CardKind,
    /// A virtio card is behind a root port ([`crate::machine::MachineOptions::root_port`]).
    pub root_port: bool,
    /// Ask the driver for a contiguous cyclic buffer.
    pub contiguous: bool,
    /// Length of the cyclic buffer.
    pub buffer_ms: u32,
    /// Packets in the cyclic buffer, 1 or 2.
    pub packets: u32,
    /// The card's clock.
    pub clock: Clock,
    /// The guest's processors.
    pub processors: u32,
    /// More lines for the guest's configuration, for the tests (`fault=...`).
    pub guest_config: Vec<String>,
    /// More options for `ringwave serve`, for the tests.
    pub card: Vec<String>,
    /// Leave the run's folder and say where it is.
    pub keep: bool,
    /// Read the trace for a page ([`crate::html`]).
    pub timeline: bool,
}

impl Request {
    /// A request with the defaults of `qemu-scripts/play`.
    pub fn play(wav: impl Into<PathBuf>) -> Self {
        Self {
            wav: wav.into(),
            scenario: Scenario::Play,
            out: None,
            kind: CardKind::Ringwave,
            root_port: false,
            contiguous: false,
            buffer_ms: 100,
            packets: 2,
            clock: Clock::LOCKSTEP,
            processors: 1,
            guest_config: Vec::new(),
            card: Vec::new(),
            keep: false,
            timeline: false,
        }
    }

    /// A request with the defaults of `qemu-scripts/record`.
    pub fn record(wav: impl Into<PathBuf>) -> Self {
        Self { scenario: Scenario::Record(Mode::Packet), ..Self::play(wav) }
    }
}

//! Figures: what the card costs and how punctual it is, measured in one run on this machine. `ringwave bench`
//! prints them.
//!
//! The card, its engine thread and its I/O worker run in this process, as the program runs them, with the
//! null sink; a guest of each card is played by a module of `cards`.
//!
//! Timings depend on the machine and on what else it does, so each figure says what it is a ratio of, and
//! both are measured side by side; each is measured several times, and its median stands with the least and
//! the greatest. Nothing here judges a figure.

#![allow(
    clippy::cast_precision_loss,
    reason = "figures have three digits; what they are made of is far below 2^53"
)]

mod cards;
pub mod cpu;
pub mod dma;
pub mod lateness;
mod machine;
pub mod messages;
pub mod position;
mod row;

use std::time::Duration;

use serde::Serialize;

pub use cards::CardKind;
pub use machine::Machine;
use ringwave_host::SinkError;
pub use row::{Row, Spread};

/// Rounds in which each figure is measured.
const ROUNDS: usize = 3;

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The length of sound in each of the rounds of each figure that needs sound; at least a few packets.
    pub sound: Duration,
    /// The card that is measured.
    pub card: CardKind,
}

impl Default for Options {
    /// All figures of Ringwave's own card in under a minute.
    fn default() -> Self {
        Self { sound: Duration::from_secs(1), card: CardKind::Ringwave }
    }
}

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// Memory or descriptors of this process.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The sink of the measured card.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The card did not do what is measured, so a figure would be of something else.
    #[error("the measured card did not play: {0}")]
    Card(String),
}

/// One figure: its name for `--only`, what it is, and how it is measured.
#[derive(Clone, Copy)]
pub struct Benchmark {
    /// As `--only` takes it.
    pub name: &'static str,
    /// What it tells.
    pub what: &'static str,
    /// Of which cards.
    pub cards: &'static [CardKind],
    measure: fn(Options) -> Result<Vec<Row>, BenchError>,
}

const OWN: &[CardKind] = &[CardKind::Ringwave];
const ALL: &[CardKind] = &[CardKind::Ringwave, CardKind::Virtio, CardKind::Hda];

impl std::fmt::Debug for Benchmark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Benchmark {
    /// Measures it.
    pub fn measure(&self, options: Options) -> Result<Vec<Row>, BenchError> {
        (self.measure)(options)
    }
}

/// All figures, in the order in which they are measured.
pub const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "dma",
        what: "bytes that the DMA walk moves, beside memcpy",
        cards: OWN,
        measure: dma::measure,
    },
    Benchmark {
        name: "cpu",
        what: "CPU time of the card per stream and second of sound",
        cards: ALL,
        measure: cpu::measure,
    },
    Benchmark {
        name: "lateness",
        what: "from a packet's end to the guest's end of the interrupt",
        cards: ALL,
        measure: lateness::measure,
    },
    Benchmark {
        name: "messages",
        what: "messages and interrupts per second of sound",
        cards: ALL,
        measure: messages::measure,
    },
    Benchmark {
        name: "position",
        what: "position extrapolated from the page, beside the register",
        cards: OWN,
        measure: position::measure,
    },
];

/// Everything that was measured, and where.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of the program.
    pub version: &'static str,
    /// On what.
    pub machine: Machine,
    /// Of which card.
    pub card: &'static str,
    /// Milliseconds of sound in each round.
    pub sound_ms: u64,
    /// The figures.
    pub rows: Vec<Row>,
}

impl Report {
    /// A report without figures; looks at the machine.
    pub fn new(options: Options) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            machine: Machine::read(),
            card: options.card.name(),
            sound_ms: u64::try_from(options.sound.as_millis()).unwrap_or(u64::MAX),
            rows: Vec::new(),
        }
    }
}

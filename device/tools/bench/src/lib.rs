//! Figures: what the card costs and how punctual it is, measured in one run on this machine. `ringwave bench` prints them.
//!
//! Timings depend on the machine and on what else it does, so each figure says what it is a ratio of, and both are measured side by
//! side; each is measured several times, and its median stands with the least and the greatest. Nothing here judges a figure.

#![allow(
    clippy::cast_precision_loss,
    reason = "figures have three digits; what they are made of is far below 2^53"
)]

pub mod cpu;
pub mod dma;
pub mod lateness;
mod machine;
pub mod messages;
pub mod position;
mod rig;
mod row;

use std::time::Duration;

use serde::Serialize;

use crate::engine::EngineError;
pub use machine::Machine;
pub use row::{Row, Spread};

/// Rounds in which each figure is measured.
const ROUNDS: usize = 3;

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The length of sound in each of the rounds of each figure that needs sound; at least a few packets.
    pub sound: Duration,
}

impl Default for Options {
    /// All figures in under a minute.
    fn default() -> Self {
        Self { sound: Duration::from_secs(1) }
    }
}

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// Memory or descriptors of this process.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The engine of the measured card.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The card did not do what is measured, so a figure would be of something else.
    #[error("the measured card did not play: {0}")]
    Card(String),
}

/// One figure: its name for `--only`, what it is, and how it is measured.
#[derive(Clone, Copy)]
pub struct Figure {
    /// As `--only` takes it.
    pub name: &'static str,
    /// What it tells.
    pub what: &'static str,
    measure: fn(Options) -> Result<Vec<Row>, BenchError>,
}

impl std::fmt::Debug for Figure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Figure {
    /// Measures it.
    pub fn measure(&self, options: Options) -> Result<Vec<Row>, BenchError> {
        (self.measure)(options)
    }
}

/// All figures, in the order in which they are measured.
pub const FIGURES: &[Figure] = &[
    Figure { name: "dma", what: "bytes that the DMA walk moves, beside memcpy", measure: dma::measure },
    Figure {
        name: "cpu",
        what: "CPU time of the card per stream and second of sound",
        measure: cpu::measure,
    },
    Figure {
        name: "lateness",
        what: "from a packet's end to the guest's end of the interrupt",
        measure: lateness::measure,
    },
    Figure {
        name: "messages",
        what: "messages and interrupts per second of sound",
        measure: messages::measure,
    },
    Figure {
        name: "position",
        what: "position extrapolated from the page, beside the register",
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
            machine: Machine::look(),
            sound_ms: u64::try_from(options.sound.as_millis()).unwrap_or(u64::MAX),
            rows: Vec::new(),
        }
    }
}

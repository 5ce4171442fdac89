//! The writing end of a trace.

use std::fmt;
use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use crate::TraceRecord;
use crate::line::{self, FIRST_WORDS};

/// So much is written at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// What the first line says.
#[derive(Clone, Debug)]
pub struct Header {
    /// Which card: the word of `serve --card`. Registers have other names on each.
    pub card: &'static str,
    /// The name of the card's clock.
    pub clock: &'static str,
    /// How fast it goes, in real time.
    pub speed: String,
    /// When time was 0.
    pub started: SystemTime,
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let started = self.started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        write!(
            f,
            "{FIRST_WORDS} version={} card={} clock={} speed={} started={}.{:09}",
            env!("CARGO_PKG_VERSION"),
            self.card,
            self.clock,
            self.speed,
            started.as_secs(),
            started.subsec_nanos()
        )
    }
}

/// Writes records.
pub struct TraceWriter<W> {
    to: W,
    /// Whole lines that are not written yet. Empty between two calls; kept for its room.
    lines: Vec<u8>,
}

impl<W: Write> TraceWriter<W> {
    /// Begins a trace: writes its first line.
    pub fn new(mut to: W, header: &Header) -> io::Result<Self> {
        to.write_all(format!("{header}\n").as_bytes())?;
        Ok(Self { to, lines: Vec::new() })
    }

    /// Writes records. When it returns without an error `to` has them.
    pub fn write(&mut self, records: &[TraceRecord]) -> io::Result<()> {
        for record in records {
            line::write(&mut self.lines, record)?;
            if self.lines.len() >= CHUNK_BYTES {
                self.write_out()?;
            }
        }
        self.write_out()
    }

    fn write_out(&mut self) -> io::Result<()> {
        let written = self.to.write_all(&self.lines);
        self.lines.clear();
        written
    }
}

//! The writing end of a trace.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::event::Timed;
use super::line;
use crate::engine::READER_PATIENCE;
use crate::host::output;
use crate::ports::ClockMode;
use crate::stats::clock_name;
use ringwave_engine::clock::Speed;

/// How the first line of a trace begins: what it is, and the version of its grammar.
pub const FIRST_WORDS: &str = "ringwave-trace 1";
/// So much is written at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// What the first line says.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// The card's clock.
    pub clock: ClockMode,
    /// How fast it goes.
    pub speed: Speed,
    /// When time was 0.
    pub started: SystemTime,
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let started = self.started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        write!(
            f,
            "{FIRST_WORDS} version={} clock={} speed={} started={}.{:09}",
            env!("CARGO_PKG_VERSION"),
            clock_name(self.clock),
            self.speed,
            started.as_secs(),
            started.subsec_nanos()
        )
    }
}

/// The file.
pub struct TraceFile {
    file: File,
    /// Whole lines that are not written yet. Empty between two calls; kept for its room.
    lines: Vec<u8>,
}

impl TraceFile {
    /// Begins it. What an earlier run left is removed before (`crate::host::output`): the file at `path` is a new one, or a FIFO or a device.
    pub fn create(path: &Path, header: &Header) -> io::Result<Self> {
        let file =
            if output::is_special(path) { output::open_special(path)? } else { output::create_new(path)? };
        output::write_within(&file, format!("{header}\n").as_bytes(), READER_PATIENCE)?;
        Ok(Self { file, lines: Vec::new() })
    }

    /// Writes events. When it returns the system has them: they outlive this process, however it ends.
    pub fn write(&mut self, events: &[Timed]) -> io::Result<()> {
        for event in events {
            line::write(&mut self.lines, event)?;
            if self.lines.len() >= CHUNK_BYTES {
                self.write_out()?;
            }
        }
        self.write_out()
    }

    fn write_out(&mut self) -> io::Result<()> {
        let written = output::write_within(&self.file, &self.lines, READER_PATIENCE);
        self.lines.clear();
        written
    }
}

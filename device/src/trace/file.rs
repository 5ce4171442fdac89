//! The writing end of a trace.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::event::Timed;
use super::line;
use crate::host::clock::Speed;
use crate::ports::ClockMode;
use crate::stats::clock_name;

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
    /// Begins it, replacing what was there.
    pub fn create(path: &Path, header: &Header) -> io::Result<Self> {
        // A FIFO that nobody reads is an error now, not a wait that no signal ends.
        std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .custom_flags(libc::O_NONBLOCK)
            .open(path)?;
        let mut file = File::create(path)?;
        file.write_all(format!("{header}\n").as_bytes())?;
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
        let written = self.file.write_all(&self.lines);
        self.lines.clear();
        written
    }
}

//! The DMA trace: every access of the card to guest memory, in exact order, as text. A host program joins it with a guest's log of its
//! allocations: between the same two marks both have the same order.
//!
//! One event a line; streams by number, states by name, addresses in hexadecimal, lengths in decimal:
//!
//! ```text
//! mark <n>                                 the guest wrote TRACE_MARK
//! state <stream> stop|acquire|pause|run    a stream changed its state
//! table <stream>|selftest 0x<addr> <bytes> slots of a scatter-gather table were read
//! read  <stream>|selftest 0x<addr> <bytes> data was read from guest memory
//! write <stream>|selftest 0x<addr> <bytes> data was stored to guest memory
//! reset                                    the function was reset
//! client                                   a client has left; the next lines are the next client's
//! lost <n>                                 n events are missing here: the trace's file was too slow
//! ```
//! (One space between words.) Written out at least when a client leaves and at the end.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use ringwave_regs::stream::{STATE_ACQUIRE, STATE_PAUSE, STATE_STOP};

use crate::ports::{Dma, Trace};

/// The file.
pub struct TraceFile(BufWriter<File>);

impl TraceFile {
    /// Begins it, replacing what was there.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self(BufWriter::new(File::create(path)?)))
    }

    /// Writes events, and how many after them are missing.
    pub fn write(&mut self, events: &[Trace], lost: u64) -> io::Result<()> {
        for event in events {
            write_line(&mut self.0, event)?;
        }
        if lost != 0 {
            writeln!(self.0, "lost {lost}")?;
        }
        Ok(())
    }

    /// Marks the end of a client's part.
    pub fn client_left(&mut self) -> io::Result<()> {
        writeln!(self.0, "client")?;
        self.flush()
    }

    /// Writes everything out.
    pub fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn write_line(out: &mut impl Write, event: &Trace) -> io::Result<()> {
    match *event {
        Trace::Mark(mark) => writeln!(out, "mark {mark}"),
        Trace::State { stream, state } => writeln!(out, "state {stream} {}", state_name(state)),
        Trace::Table { who, address, bytes } => writeln!(out, "table {} {address:#x} {bytes}", Who(who)),
        Trace::Read { who, address, bytes } => writeln!(out, "read {} {address:#x} {bytes}", Who(who)),
        Trace::Write { who, address, bytes } => writeln!(out, "write {} {address:#x} {bytes}", Who(who)),
        Trace::Reset => writeln!(out, "reset"),
    }
}

fn state_name(state: u32) -> &'static str {
    match state {
        STATE_STOP => "stop",
        STATE_ACQUIRE => "acquire",
        STATE_PAUSE => "pause",
        _ => "run",
    }
}

struct Who(Dma);

impl std::fmt::Display for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Dma::Stream(stream) => write!(f, "{stream}"),
            Dma::SelfTest => f.write_str("selftest"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_documented() {
        let mut out = Vec::new();
        let (address, bytes) = (0x1_0000_1000, 1920);
        for event in [
            Trace::Reset,
            Trace::Mark(7),
            Trace::Write { who: Dma::SelfTest, address, bytes: 4 },
            Trace::State { stream: 0, state: 3 },
            Trace::Table { who: Dma::Stream(0), address, bytes: 32 },
            Trace::Read { who: Dma::Stream(15), address, bytes },
        ] {
            write_line(&mut out, &event).unwrap();
        }
        let wanted = "reset\nmark 7\nwrite selftest 0x100001000 4\nstate 0 run\ntable 0 0x100001000 32\n\
                      read 15 0x100001000 1920\n";
        assert_eq!(String::from_utf8(out).unwrap(), wanted);
    }
}

//! An event as a line, there and back. The grammar is in [`crate`].

use std::io::{self, Write};

use crate::event::{Data, Event, HEAD_BYTES, IrqChange, IrqKind, Region, TraceRecord};
use crate::{CardEvent, Diagnostic, Dma, ErrorName, StreamState};

/// How the first line of a trace begins: what it is, and the version of its grammar.
pub const FIRST_WORDS: &str = "ringwave-trace 1";

/// Whether what begins so is a trace.
pub fn is_trace(begin: &[u8]) -> bool {
    begin.starts_with(FIRST_WORDS.as_bytes())
}

/// Writes the line of an event, with its end.
pub fn write(out: &mut impl Write, record: &TraceRecord) -> io::Result<()> {
    write!(out, "{} ", record.time)?;
    match record.event {
        Event::Connected => out.write_all(b"client connected")?,
        Event::Left => out.write_all(b"client left")?,
        Event::RegionRead { region, offset, data } => write_access(out, "region-read", region, offset, data)?,
        Event::RegionWrite { region, offset, data } => {
            write_access(out, "region-write", region, offset, data)?;
        }
        Event::DmaMap { address, bytes, read, write, fd, taken } => {
            let rights = rights_word(read, write);
            let (fd, taken) = (if fd { "fd" } else { "nofd" }, if taken { "taken" } else { "refused" });
            write!(out, "dma-map {address:#x} {bytes} {rights} {fd} {taken}")?;
        }
        Event::DmaUnmap { address, bytes } => write!(out, "dma-unmap {address:#x} {bytes}")?,
        Event::DmaUnmapAll => out.write_all(b"dma-unmap all")?,
        Event::SetIrqs { kind, change } => write_irqs(out, kind.word(), change)?,
        Event::SetOtherIrqs => out.write_all(b"set-irqs other")?,
        Event::DeviceReset => out.write_all(b"device-reset")?,
        Event::FunctionLevelReset => out.write_all(b"flr")?,
        Event::Jack { stream, plugged } => {
            write!(out, "jack {stream} {}", if plugged { "in" } else { "out" })?;
        }
        Event::Card(event) => write_card_event(out, event)?,
        Event::Msi(message) => write!(out, "msi {message}")?,
        Event::IntxLevel(asserted) => {
            write!(out, "intx {}", if asserted { "assert" } else { "deassert" })?;
        }
        Event::IntxRaised => out.write_all(b"intx raise")?,
        Event::Lost(events) => write!(out, "lost {events}")?,
    }
    out.write_all(b"\n")
}

fn rights_word(read: bool, write: bool) -> &'static str {
    match (read, write) {
        (true, true) => "rw",
        (true, false) => "r",
        (false, true) => "w",
        (false, false) => "-",
    }
}

fn write_access(out: &mut impl Write, kind: &str, region: Region, offset: u64, data: Data) -> io::Result<()> {
    write!(out, "{kind} {} {offset:#x} {} ", region.word(), data.bytes())?;
    if let Some(value) = data.value() {
        return write!(out, "{value:#0width$x}", width = 2 + 2 * data.bytes() as usize);
    }
    if data.head().is_empty() {
        return out.write_all(b"-");
    }
    for byte in data.head() {
        write!(out, "{byte:02x}")?;
    }
    if data.bytes() as usize > HEAD_BYTES { out.write_all(b"..") } else { Ok(()) }
}

fn write_irqs(out: &mut impl Write, kind: &str, change: IrqChange) -> io::Result<()> {
    match change {
        IrqChange::Connect { start, count, fds } => {
            write!(out, "set-irqs {kind} connect {start} {count} {fds}")
        }
        IrqChange::Disconnect => write!(out, "set-irqs {kind} disconnect"),
        IrqChange::Trigger { start, count } => write!(out, "set-irqs {kind} trigger {start} {count}"),
        IrqChange::Mask => write!(out, "set-irqs {kind} mask"),
        IrqChange::Unmask => write!(out, "set-irqs {kind} unmask"),
    }
}

fn write_card_event(out: &mut impl Write, event: CardEvent) -> io::Result<()> {
    match event {
        CardEvent::Mark(mark) => write!(out, "mark {mark}"),
        CardEvent::State { stream, state } => write!(out, "state {stream} {}", state.word()),
        CardEvent::Table { who, address, bytes } => {
            write!(out, "dma-table {} {address:#x} {bytes}", Who(who))
        }
        CardEvent::Read { who, address, bytes } => write!(out, "dma-read {} {address:#x} {bytes}", Who(who)),
        CardEvent::Write { who, address, bytes } => {
            write!(out, "dma-write {} {address:#x} {bytes}", Who(who))
        }
        CardEvent::Packet { stream, count } => write!(out, "packet {stream} {count}"),
        CardEvent::Stall { stream, packet } => write!(out, "stall {stream} {packet}"),
        CardEvent::MarkSeen { stream, packet } => write!(out, "mark-seen {stream} {packet}"),
        CardEvent::Ended { stream } => write!(out, "ended {stream}"),
        CardEvent::Event { stream } => write!(out, "event {stream}"),
        CardEvent::Power { d3hot } => write!(out, "power {}", if d3hot { "d3hot" } else { "d0" }),
        CardEvent::Diagnostic(diagnostic) => write_diagnostic(out, diagnostic),
        CardEvent::Reset => out.write_all(b"reset"),
    }
}

fn write_diagnostic(out: &mut impl Write, diagnostic: Diagnostic) -> io::Result<()> {
    match diagnostic {
        Diagnostic::Refused { stream, offset, value, error } => {
            match stream {
                Some(stream) => write!(out, "note refused {stream} {offset:#x} ")?,
                None => write!(out, "note refused - {offset:#x} ")?,
            }
            match value {
                Some(value) => write!(out, "{value:#x} {error}"),
                None => write!(out, "- {error}"),
            }
        }
        Diagnostic::NotLockstep { stream } => write!(out, "note not-lockstep {stream}"),
        Diagnostic::Underrun { stream, packet } => write!(out, "note underrun {stream} {packet}"),
        Diagnostic::Overrun { stream, packet } => write!(out, "note overrun {stream} {packet}"),
        Diagnostic::DmaFault { stream, error } => write!(out, "note dma-fault {stream} {error}"),
        Diagnostic::Rings { error } => write!(out, "note rings {error}"),
        Diagnostic::SelfTest { error } => write!(out, "note selftest {error}"),
    }
}

struct Who(Dma);

impl std::fmt::Display for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Dma::Stream(stream) => write!(f, "{stream}"),
            Dma::SelfTest => f.write_str("selftest"),
            Dma::Rings => f.write_str("rings"),
            Dma::Positions => f.write_str("positions"),
        }
    }
}

/// Reads a line, without its end. `None` for what [`write()`] never writes.
pub fn parse(line: &str) -> Option<TraceRecord> {
    let mut words = line.split(' ');
    let time = decimal(words.next()?)?;
    let event = parse_event(words.next()?, &mut words)?;
    words.next().is_none().then_some(TraceRecord { time, event })
}

type Words<'a> = std::str::Split<'a, char>;

fn parse_event(kind: &str, words: &mut Words<'_>) -> Option<Event> {
    let mut next = || words.next();
    Some(match kind {
        "client" => match next()? {
            "connected" => Event::Connected,
            "left" => Event::Left,
            _ => return None,
        },
        "region-read" => {
            let (region, offset, data) = parse_access(words)?;
            Event::RegionRead { region, offset, data }
        }
        "region-write" => {
            let (region, offset, data) = parse_access(words)?;
            Event::RegionWrite { region, offset, data }
        }
        "dma-map" => {
            let (address, bytes) = (hexadecimal(next()?)?, decimal(next()?)?);
            let (read, write) = match next()? {
                "rw" => (true, true),
                "r" => (true, false),
                "w" => (false, true),
                "-" => (false, false),
                _ => return None,
            };
            let fd = either(next()?, "fd", "nofd")?;
            Event::DmaMap { address, bytes, read, write, fd, taken: either(next()?, "taken", "refused")? }
        }
        "dma-unmap" => match next()? {
            "all" => Event::DmaUnmapAll,
            address => Event::DmaUnmap { address: hexadecimal(address)?, bytes: decimal(next()?)? },
        },
        "set-irqs" => parse_irqs(words)?,
        "device-reset" => Event::DeviceReset,
        "flr" => Event::FunctionLevelReset,
        "jack" => Event::Jack { stream: decimal(next()?)?, plugged: either(next()?, "in", "out")? },
        "msi" => Event::Msi(decimal(next()?)?),
        "intx" => match next()? {
            "raise" => Event::IntxRaised,
            level => Event::IntxLevel(either(level, "assert", "deassert")?),
        },
        "lost" => Event::Lost(decimal(next()?)?),
        _ => Event::Card(parse_card_event(kind, words)?),
    })
}

fn parse_access(words: &mut Words<'_>) -> Option<(Region, u64, Data)> {
    let region = words.next()?;
    let region = Region::ALL.into_iter().find(|known| known.word() == region)?;
    let (offset, bytes) = (hexadecimal(words.next()?)?, decimal::<u32>(words.next()?)?);
    let text = words.next()?;
    let data = match bytes {
        0 if text == "-" => Data::new(0, &[]),
        0 => return None,
        1 | 2 | 4 | 8 => {
            let value = hexadecimal(text)?;
            let fits = value.checked_shr(8 * bytes).is_none_or(|above| above == 0);
            let digits = text.len().checked_sub(2)?;
            (fits && digits == 2 * bytes as usize).then(|| Data::new(bytes, &value.to_le_bytes()))?
        }
        _ => {
            let long = bytes as usize > HEAD_BYTES;
            let digits = if long { text.strip_suffix("..")? } else { text };
            let head = parse_bytes(digits)?;
            (head.len() == HEAD_BYTES.min(bytes as usize)).then(|| Data::new(bytes, &head))?
        }
    };
    Some((region, offset, data))
}

fn parse_bytes(digits: &str) -> Option<Vec<u8>> {
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else { return None };
    let digit = |byte: u8| (!byte.is_ascii_uppercase()).then(|| char::from(byte).to_digit(16)).flatten();
    pairs.iter().map(|[high, low]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()).collect()
}

fn parse_irqs(words: &mut Words<'_>) -> Option<Event> {
    let mut next = || words.next();
    let kind = match next()? {
        "other" => return Some(Event::SetOtherIrqs),
        "msi" => IrqKind::Msi,
        "intx" => IrqKind::Intx,
        _ => return None,
    };
    let change = match next()? {
        "connect" => {
            IrqChange::Connect { start: decimal(next()?)?, count: decimal(next()?)?, fds: decimal(next()?)? }
        }
        "disconnect" => IrqChange::Disconnect,
        "trigger" => IrqChange::Trigger { start: decimal(next()?)?, count: decimal(next()?)? },
        "mask" => IrqChange::Mask,
        "unmask" => IrqChange::Unmask,
        _ => return None,
    };
    Some(Event::SetIrqs { kind, change })
}

fn parse_card_event(kind: &str, words: &mut Words<'_>) -> Option<CardEvent> {
    let mut next = || words.next();
    let mut transfer = || {
        let who = match next()? {
            "selftest" => Dma::SelfTest,
            "rings" => Dma::Rings,
            "positions" => Dma::Positions,
            stream => Dma::Stream(decimal(stream)?),
        };
        Some((who, hexadecimal(next()?)?, decimal(next()?)?))
    };
    Some(match kind {
        "dma-table" => {
            let (who, address, bytes) = transfer()?;
            CardEvent::Table { who, address, bytes }
        }
        "dma-read" => {
            let (who, address, bytes) = transfer()?;
            CardEvent::Read { who, address, bytes }
        }
        "dma-write" => {
            let (who, address, bytes) = transfer()?;
            CardEvent::Write { who, address, bytes }
        }
        "mark" => CardEvent::Mark(decimal(next()?)?),
        "state" => {
            let (stream, word) = (decimal(next()?)?, next()?);
            let state = StreamState::ALL.into_iter().find(|state| state.word() == word)?;
            CardEvent::State { stream, state }
        }
        "packet" => CardEvent::Packet { stream: decimal(next()?)?, count: decimal(next()?)? },
        "stall" => CardEvent::Stall { stream: decimal(next()?)?, packet: decimal(next()?)? },
        "mark-seen" => CardEvent::MarkSeen { stream: decimal(next()?)?, packet: decimal(next()?)? },
        "ended" => CardEvent::Ended { stream: decimal(next()?)? },
        "event" => CardEvent::Event { stream: decimal(next()?)? },
        "power" => CardEvent::Power { d3hot: either(next()?, "d3hot", "d0")? },
        "note" => CardEvent::Diagnostic(parse_diagnostic(words)?),
        "reset" => CardEvent::Reset,
        _ => return None,
    })
}

fn parse_diagnostic(words: &mut Words<'_>) -> Option<Diagnostic> {
    let mut next = || words.next();
    Some(match next()? {
        "refused" => Diagnostic::Refused {
            stream: match next()? {
                "-" => None,
                stream => Some(decimal(stream)?),
            },
            offset: hexadecimal(next()?)?,
            value: match next()? {
                "-" => None,
                value => Some(u32::try_from(hexadecimal(value)?).ok()?),
            },
            error: ErrorName::parse(next()?)?,
        },
        "not-lockstep" => Diagnostic::NotLockstep { stream: decimal(next()?)? },
        "underrun" => Diagnostic::Underrun { stream: decimal(next()?)?, packet: decimal(next()?)? },
        "overrun" => Diagnostic::Overrun { stream: decimal(next()?)?, packet: decimal(next()?)? },
        "dma-fault" => Diagnostic::DmaFault { stream: decimal(next()?)?, error: ErrorName::parse(next()?)? },
        "rings" => Diagnostic::Rings { error: ErrorName::parse(next()?)? },
        "selftest" => Diagnostic::SelfTest { error: ErrorName::parse(next()?)? },
        _ => return None,
    })
}

/// Whether a word is the one or the other.
fn either(word: &str, yes: &str, no: &str) -> Option<bool> {
    (word == yes || word == no).then_some(word == yes)
}

/// Digits only: `parse` would take a sign.
fn decimal<N: std::str::FromStr>(word: &str) -> Option<N> {
    word.bytes().all(|byte| byte.is_ascii_digit()).then(|| word.parse().ok()).flatten()
}

fn hexadecimal(word: &str) -> Option<u64> {
    let digits = word.strip_prefix("0x")?;
    let digit = |byte: u8| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase();
    digits.bytes().all(digit).then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests;

//! An event for a person, and for a program.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::decode::{self, Access, Card};
use ringwave_trace::line;
use ringwave_trace::{CardEvent, Data, Diagnostic, Dma, Event, IrqChange, Region, StreamState, TraceRecord};

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// What the client asked.
    Messages,
    /// Accesses to guest memory, and marks.
    Dma,
    /// Events, messages and the line.
    Interrupts,
    /// Clients, resets, power, and what the streams do.
    States,
    /// What also went to the log.
    Notes,
    /// A gap in the trace.
    Lost,
}

impl Group {
    /// The group of an event.
    pub const fn of(event: &Event) -> Self {
        match event {
            Event::RegionRead { .. }
            | Event::RegionWrite { .. }
            | Event::DmaMap { .. }
            | Event::DmaUnmap { .. }
            | Event::DmaUnmapAll
            | Event::SetIrqs { .. }
            | Event::SetOtherIrqs
            | Event::DeviceReset => Self::Messages,
            Event::Card(
                CardEvent::Mark(_)
                | CardEvent::MarkSeen { .. }
                | CardEvent::Table { .. }
                | CardEvent::Read { .. }
                | CardEvent::Write { .. },
            ) => Self::Dma,
            Event::Card(CardEvent::Event { .. })
            | Event::Msi(_)
            | Event::IntxLevel(_)
            | Event::IntxRaised => Self::Interrupts,
            Event::Card(CardEvent::Diagnostic(_)) => Self::Notes,
            Event::Lost(_) => Self::Lost,
            _ => Self::States,
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Messages => "message",
            Self::Dma => "dma",
            Self::Interrupts => "interrupt",
            Self::States => "state",
            Self::Notes => "note",
            Self::Lost => "lost",
        }
    }
}

/// The stream that an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// This one.
    Stream(u32),
    /// All of them: clients, resets, power, interrupts, gaps.
    All,
    /// None: global registers, configuration space, maps, the self-test.
    None,
}

/// Which stream an event is about.
pub fn about(card: Card, event: &Event) -> About {
    let stream = match event {
        Event::RegionRead { region, offset, data } => {
            decode::access(card, *region, *offset, data, false).stream
        }
        Event::RegionWrite { region, offset, data } => {
            decode::access(card, *region, *offset, data, true).stream
        }
        other => other.stream(),
    };
    match (stream, Group::of(event)) {
        (Some(stream), _) => About::Stream(stream),
        (None, Group::States | Group::Interrupts | Group::Lost) => About::All,
        _ if matches!(event, Event::DeviceReset) => About::All,
        _ => About::None,
    }
}

/// The event in words.
pub fn text(card: Card, event: &Event) -> String {
    match event {
        Event::Connected => "a client has connected".to_owned(),
        Event::Left => "the client has left".to_owned(),
        Event::RegionRead { region, offset, data } => access(card, *region, *offset, data, false),
        Event::RegionWrite { region, offset, data } => access(card, *region, *offset, data, true),
        Event::DmaMap { address, bytes, read, write, fd, taken } => {
            let rights = match (read, write) {
                (true, true) => "readable and writable",
                (true, false) => "readable",
                (false, true) => "writable",
                (false, false) => "neither readable nor writable",
            };
            let memory = if *fd { "" } else { ", no descriptor: not memory" };
            let refused = if *taken { "" } else { ", REFUSED" };
            format!("DMA_MAP {} {rights}{memory}{refused}", range(*address, *bytes))
        }
        Event::DmaUnmap { address, bytes } => format!("DMA_UNMAP {}", range(*address, *bytes)),
        Event::DmaUnmapAll => "DMA_UNMAP everything".to_owned(),
        Event::SetIrqs { kind, change } => format!("SET_IRQS {} {}", kind.word(), change_text(*change)),
        Event::SetOtherIrqs => "SET_IRQS for an interrupt that the card never raises".to_owned(),
        Event::DeviceReset => "DEVICE_RESET".to_owned(),
        Event::FunctionLevelReset => "function-level reset".to_owned(),
        Event::Jack { stream, plugged: true } => format!("jack of stream {stream} in"),
        Event::Jack { stream, plugged: false } => format!("jack of stream {stream} out"),
        Event::Card(trace) => card_text(card, trace),
        Event::Msi(message) => format!("MSI message {message}"),
        Event::IntxLevel(true) => "INTx asserted".to_owned(),
        Event::IntxLevel(false) => "INTx deasserted".to_owned(),
        Event::IntxRaised => "INTx signalled".to_owned(),
        Event::Lost(events) => format!("{events} events are missing here"),
    }
}

fn range(address: u64, bytes: u64) -> String {
    let last = address.saturating_add(bytes.saturating_sub(1));
    format!("{address:#x}..={last:#x} ({bytes} bytes)")
}

fn change_text(change: IrqChange) -> String {
    match change {
        IrqChange::Connect { start, count, fds } => format!("connect {fds} of {count} from {start} on"),
        IrqChange::Disconnect => "disconnect".to_owned(),
        IrqChange::Trigger { start, count } => format!("trigger {count} from {start} on"),
        IrqChange::Mask => "mask".to_owned(),
        IrqChange::Unmask => "unmask".to_owned(),
    }
}

fn access(card: Card, region: Region, offset: u64, data: &Data, written: bool) -> String {
    let verb = if written { "write" } else { "read" };
    let Access { stream, register, meaning } = decode::access(card, region, offset, data, written);
    let whose = match (region, stream) {
        (Region::Config, _) => "config ".to_owned(),
        (Region::Registers, Some(stream)) => format!("stream {stream} "),
        (Region::Pages, Some(stream)) => format!("page of stream {stream} "),
        (Region::Pages, None) => "page BAR ".to_owned(),
        (Region::Registers, None) => "card ".to_owned(),
    };
    match (register, meaning) {
        (Some(register), Some(meaning)) => format!("{verb} {whose}{register}={meaning}"),
        (register, _) => {
            let register = register.unwrap_or_default();
            format!("{verb} {whose}{register}[{offset:#x}, {} bytes]={}", data.bytes(), value_text(data))
        }
    }
}

/// The value as a number, or its first bytes.
fn value_text(data: &Data) -> String {
    if let Some(value) = data.value() {
        return format!("{value:#0width$x}", width = 2 + 2 * data.bytes() as usize);
    }
    let mut text = String::new();
    for byte in data.head() {
        let _ = write!(text, "{byte:02x}");
    }
    if data.bytes() as usize > data.head().len() {
        text.push_str("..");
    }
    text
}

fn card_text(card: Card, trace: &CardEvent) -> String {
    match *trace {
        CardEvent::Mark(mark) => format!("mark {mark}"),
        CardEvent::State { stream, state } => format!("stream {stream} is in {}", state_name(state)),
        CardEvent::Table { who, address, bytes } => {
            format!("{} reads {bytes} bytes of its table at {address:#x}", who_text(who))
        }
        CardEvent::Read { who, address, bytes } => {
            format!("{} reads {bytes} bytes at {address:#x}", who_text(who))
        }
        CardEvent::Write { who, address, bytes } => {
            format!("{} writes {bytes} bytes at {address:#x}", who_text(who))
        }
        CardEvent::Packet { stream, count } => {
            format!("stream {stream} packet {} is complete", count.wrapping_sub(1))
        }
        CardEvent::Stall { stream, packet } => format!("stream {stream} waits for packet {packet}"),
        CardEvent::MarkSeen { stream, packet } => format!("stream {stream} mark {packet} seen"),
        CardEvent::Ended { stream } => format!("stream {stream} has ended"),
        CardEvent::Event { stream } => format!("event of stream {stream}"),
        CardEvent::Power { d3hot: true } => "power D3hot".to_owned(),
        CardEvent::Power { d3hot: false } => "power D0".to_owned(),
        CardEvent::Diagnostic(diagnostic) => {
            diagnostic.map_error(|error| decode::error_of(card, error)).to_string()
        }
        CardEvent::Reset => "reset".to_owned(),
    }
}

/// The name of a stream's state.
fn state_name(state: StreamState) -> String {
    state.word().to_uppercase()
}

fn who_text(who: Dma) -> String {
    match who {
        Dma::Stream(stream) => format!("stream {stream}"),
        Dma::SelfTest => "self-test".to_owned(),
        Dma::Rings => "CORB and RIRB".to_owned(),
        Dma::Positions => "position buffer".to_owned(),
    }
}

/// The word that an event's line begins with.
pub fn word(event: &Event) -> String {
    raw(event).split(' ').next().unwrap_or_default().to_owned()
}

/// The line without its time.
fn raw(event: &Event) -> String {
    let mut bytes = Vec::new();
    // Writing to memory does not fail.
    let _ = line::write(&mut bytes, &TraceRecord { time: 0, event: *event });
    let line = String::from_utf8(bytes).unwrap_or_default();
    line.trim_end().split_once(' ').map(|(_, event)| event.to_owned()).unwrap_or_default()
}

/// The event as a JSON object: `time_ns`, `group`, `kind` (the word of its line), `text` (as for a person),
/// and what it has of the others.
pub fn json(card: Card, record: &TraceRecord) -> Value {
    let TraceRecord { time, event } = record;
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| drop(object.insert(name.to_owned(), value));
    put("time_ns", json!(time));
    put("group", json!(Group::of(event).name()));
    put("kind", json!(word(event)));
    put("text", json!(text(card, event)));
    if let About::Stream(stream) = about(card, event) {
        put("stream", json!(stream));
    }
    match *event {
        Event::RegionRead { region, offset, data } | Event::RegionWrite { region, offset, data } => {
            let written = matches!(event, Event::RegionWrite { .. });
            let access = decode::access(card, region, offset, &data, written);
            put("region", json!(region.word()));
            put("offset", json!(offset));
            put("bytes", json!(data.bytes()));
            put("value", data.value().map_or_else(|| json!(value_text(&data)), |value| json!(value)));
            put("register", json!(access.register));
            put("meaning", json!(access.meaning));
        }
        Event::DmaMap { address, bytes, read, write, fd, taken } => {
            put("address", json!(address));
            put("bytes", json!(bytes));
            put("readable", json!(read));
            put("writable", json!(write));
            put("descriptor", json!(fd));
            put("taken", json!(taken));
        }
        Event::DmaUnmap { address, bytes }
        | Event::Card(
            CardEvent::Table { address, bytes, .. }
            | CardEvent::Read { address, bytes, .. }
            | CardEvent::Write { address, bytes, .. },
        ) => {
            put("address", json!(address));
            put("bytes", json!(bytes));
        }
        Event::SetIrqs { kind, .. } => put("interrupt", json!(kind.word())),
        Event::Card(CardEvent::State { state, .. }) => put("state", json!(state_name(state))),
        Event::Card(CardEvent::Packet { count, .. }) => put("packet_count", json!(count)),
        Event::Card(
            CardEvent::Stall { packet, .. }
            | CardEvent::MarkSeen { packet, .. }
            | CardEvent::Diagnostic(Diagnostic::Underrun { packet, .. } | Diagnostic::Overrun { packet, .. }),
        ) => {
            put("packet", json!(packet));
        }
        Event::Card(CardEvent::Mark(mark)) => put("mark", json!(mark)),
        Event::Card(CardEvent::Diagnostic(
            Diagnostic::Refused { error, .. }
            | Diagnostic::DmaFault { error, .. }
            | Diagnostic::SelfTest { error }
            | Diagnostic::Rings { error },
        )) => put("error", json!(error.as_str())),
        Event::Jack { plugged, .. } => put("plugged", json!(plugged)),
        Event::Msi(message) => put("message", json!(message)),
        Event::Lost(events) => put("events", json!(events)),
        _ => {}
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::Summarizer;
    use proptest::prelude::*;
    use ringwave_trace::strategy::event;

    proptest! {
        #[test]
        fn any_event_can_be_told(events in proptest::collection::vec(event(), 0..20), which in 0_usize..3) {
            let card = [Card::Ringwave, Card::Hda, Card::Other][which];
            let mut figures = Summarizer::new(card);
            for event in events {
                let record = TraceRecord { time: 7, event };
                let line = text(card, &event);
                prop_assert!(!line.is_empty() && !line.contains(char::is_control), "{}", line);
                let object = json(card, &record);
                let mut line = Vec::new();
                line::write(&mut line, &record).unwrap();
                let line = String::from_utf8(line).unwrap();
                prop_assert_eq!(object["kind"].as_str(), line.trim_end().split(' ').nth(1));
                figures.add(&record, true);
            }
            prop_assert!(figures.finish().to_string().contains("interrupts"));
        }
    }
}

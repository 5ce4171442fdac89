//! A trace for the viewers that people have: the Trace Event Format (JSON), which ui.perfetto.dev and
//! <chrome://tracing> open.
//!
//! JSON and not Perfetto's own protobuf: it is text, both viewers read it, an event is one object that is
//! written as it comes, and it takes no library. "Trace Event Format" is the title of its document.
//!
//! The card is a process of its tracks, each stream is another: what it did (RUN, PAUSE), its packets from
//! their beginning to their end, what it waited for (lockstep), its silence (realtime), marks with the time
//! that they left until their packet began, and counters. An event of the format is written when it is over,
//! which may be after later ones: the format wants no order.
//!
//! What is kept is bounded, whatever the trace says: `STREAMS_MAX` streams, and `MARKS_MAX` marks of each.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io::{self, Write};

use ringwave_regs::{format, stream};
use ringwave_trace::{CardEvent, Data, Diagnostic, Dma, Event, Region, StreamState, TraceRecord};
use serde_json::{Value, json};

use super::decode::Card;
use super::show;

/// How a file begins that was written here.
pub const FIRST_BYTES: &str = "{\"displayTimeUnit\":\"ns\",\"otherData\":{";

/// A card has no more. What a trace says of others stands among the card's events.
const STREAMS_MAX: u32 = stream::STREAMS_MAX;
/// Marks whose packets have not begun. A driver is at most a buffer ahead, which is two packets.
const MARKS_MAX: usize = 16;

/// The process of the card's tracks; stream n has the process after it, and so on.
const CARD: u32 = 1;
/// Threads of a process at most: the number of a thread must be its own in the whole trace.
const TRACKS: u32 = 10;

/// A track of the card.
#[derive(Clone, Copy)]
enum CardTrack {
    Client,
    Power,
    Messages,
    Interrupts,
    Notes,
}

/// A track of a stream.
#[derive(Clone, Copy)]
enum StreamTrack {
    State,
    Packets,
    Waits,
    Silence,
    Marks,
    Notes,
}

/// Where an event belongs: process and thread.
#[derive(Clone, Copy)]
struct Track(u32, u32);

impl From<CardTrack> for Track {
    fn from(track: CardTrack) -> Self {
        Self(CARD, CARD * TRACKS + track as u32)
    }
}

impl StreamTrack {
    fn of(self, stream: u32) -> Track {
        let process = CARD + 1 + stream;
        Track(process, process * TRACKS + self as u32)
    }
}

/// Names of the tracks, in their order.
const CARD_TRACKS: [&str; 5] = ["client", "power", "messages", "interrupts", "notes"];
const STREAM_TRACKS: [&str; 6] = ["state", "packets", "waits for a packet", "silence", "marks", "notes"];

/// Writes events in the format.
pub struct Perfetto<W: Write> {
    out: W,
    card: Card,
    streams: BTreeMap<u32, Stream>,
    client: Option<u64>,
    d3hot: Option<u64>,
    /// How many times as fast as real time the card's clock goes.
    speed: f64,
    /// Of the last event.
    time: u64,
    /// Whether the present event is to be shown.
    wanted: bool,
}

/// What is open of a stream.
#[derive(Default)]
struct Stream {
    state: Option<(u64, StreamState)>,
    /// When the present packet began, and its number.
    packet: Option<(u64, u32)>,
    /// Number of the packet that begins next.
    next: u32,
    /// It stands in the midst of a packet.
    paused: bool,
    stall: Option<(u64, u32)>,
    silence: Option<(u64, u32)>,
    /// Marks whose packets have not begun: when, and which packet.
    marks: VecDeque<(u64, u32)>,
    dma_bytes: u64,
    /// From when on, and from which packet on, time goes by the rate.
    anchor: Option<(u64, u32)>,
    format: u32,
    rate: u32,
    ring_bytes: u32,
    packets: u32,
}

impl Stream {
    /// Frames of a packet; `None` while the trace has not told the format.
    fn packet_frames(&self) -> Option<u64> {
        let frame =
            format::sample_bytes(format::code(self.format))?.checked_mul(format::channels(self.format))?;
        let packet = self.ring_bytes.checked_div(self.packets)?;
        packet.checked_div(frame).map(u64::from).filter(|frames| *frames > 0)
    }

    /// How much later than by the rate the packet before `count` has ended, in nanoseconds; negative:
    /// earlier.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a figure for a person")]
    fn lateness(&self, time: u64, count: u32, speed: f64) -> Option<i64> {
        let (since, from) = self.anchor?;
        let frames = self.packet_frames()?.checked_mul(count.wrapping_sub(from).into())?;
        let due = (self.rate > 0).then(|| frames as f64 * 1e9 / f64::from(self.rate) / speed)?;
        Some((time.saturating_sub(since) as f64 - due) as i64)
    }
}

impl<W: Write> Perfetto<W> {
    /// Begins, with what the trace's first line says.
    ///
    /// # Errors
    /// Those of the output, as of all that is here.
    pub fn begin<'a>(mut out: W, header: impl Iterator<Item = (&'a str, &'a str)>) -> io::Result<Self> {
        let header: BTreeMap<&str, &str> = header.collect();
        let card = Card::of(header.iter().map(|(name, value)| (*name, *value)));
        let speed = header.get("speed").and_then(|speed| speed.parse().ok());
        let speed = speed.filter(|speed: &f64| speed.is_finite() && *speed > 0.0).unwrap_or(1.0);
        let header = json!(header).to_string();
        write!(out, "{FIRST_BYTES}{},\"traceEvents\":[", header.strip_prefix('{').unwrap_or("}"))?;
        let mut perfetto = Self {
            out,
            card,
            streams: BTreeMap::new(),
            client: None,
            d3hot: None,
            speed,
            time: 0,
            wanted: true,
        };
        // The first of all, so that every other one can begin with a comma.
        write!(
            perfetto.out,
            "\n{}",
            metadata("process_name", Track(CARD, CARD * TRACKS), &json!({"name": "card"}))
        )?;
        perfetto.name_tracks(Track(CARD, CARD * TRACKS), &CARD_TRACKS)?;
        Ok(perfetto)
    }

    /// Takes an event. One that is not `wanted` is not shown, but what follows from it for others is known.
    pub fn add(&mut self, record: &TraceRecord, wanted: bool) -> io::Result<()> {
        let TraceRecord { time, event } = record;
        (self.time, self.wanted) = (*time, wanted);
        match event {
            Event::Connected => {
                self.client.get_or_insert(*time);
                Ok(())
            }
            Event::Left => match self.client.take() {
                Some(since) => self.slice(CardTrack::Client.into(), "client", since, &json!({})),
                None => Ok(()),
            },
            Event::RegionWrite { region: Region::Registers, offset, data } => {
                self.message(event)?;
                // Formats, rates and buffers are learnt from the Ringwave card's registers alone.
                if self.card == Card::Ringwave { self.register(event, *offset, data) } else { Ok(()) }
            }
            Event::Card(card) => self.card(event, card),
            Event::Msi(_) | Event::IntxLevel(_) | Event::IntxRaised => {
                self.instant(CardTrack::Interrupts.into(), event)
            }
            Event::Jack { stream, .. } => self.note(Some(*stream), event),
            Event::Lost(_) => self.note(None, event),
            _ => self.message(event),
        }
    }

    /// Hands on what was written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Ends what is open, and the file.
    pub fn finish(mut self) -> io::Result<()> {
        self.wanted = true;
        self.close_all()?;
        if let Some(since) = self.client.take() {
            self.slice(CardTrack::Client.into(), "client", since, &json!({}))?;
        }
        self.power(false)?;
        write!(self.out, "\n]}}\n")?;
        self.out.flush()
    }

    fn card(&mut self, event: &Event, card: &CardEvent) -> io::Result<()> {
        match *card {
            CardEvent::State { stream, state } => self.state(event, stream, state),
            CardEvent::Packet { stream, count } => self.packet_completed(event, stream, count),
            CardEvent::MarkSeen { stream, packet } => self.mark(event, stream, packet),
            CardEvent::Stall { stream, packet } => {
                let time = self.time;
                let Some(stream) = self.stream(stream)? else { return self.note(None, event) };
                stream.stall.get_or_insert((time, packet));
                Ok(())
            }
            CardEvent::Read { who: Dma::Stream(stream), bytes, .. }
            | CardEvent::Write { who: Dma::Stream(stream), bytes, .. } => self.transfer(event, stream, bytes),
            CardEvent::Event { .. } => self.instant(CardTrack::Interrupts.into(), event),
            CardEvent::Power { d3hot } => self.power(d3hot),
            CardEvent::Reset => {
                self.close_all()?;
                self.power(false)?;
                self.note(None, event)
            }
            CardEvent::Diagnostic(Diagnostic::Underrun { stream, packet }) => {
                self.end_silence(stream)?;
                let time = self.time;
                if let Some(of) = self.stream(stream)? {
                    of.silence = Some((time, packet));
                }
                self.note(Some(stream), event)
            }
            CardEvent::Ended { stream }
            | CardEvent::Diagnostic(
                Diagnostic::NotLockstep { stream }
                | Diagnostic::Overrun { stream, .. }
                | Diagnostic::DmaFault { stream, .. },
            ) => self.note(Some(stream), event),
            CardEvent::Diagnostic(Diagnostic::Refused { stream, .. }) => self.note(stream, event),
            CardEvent::Table { .. }
            | CardEvent::Read { .. }
            | CardEvent::Write { .. }
            | CardEvent::Mark(_)
            | CardEvent::Diagnostic(Diagnostic::SelfTest { .. } | Diagnostic::Rings { .. }) => {
                self.note(None, event)
            }
        }
    }
}

/// What a stream did.
impl<W: Write> Perfetto<W> {
    fn state(&mut self, event: &Event, number: u32, state: StreamState) -> io::Result<()> {
        self.end_wait(number)?;
        self.end_silence(number)?;
        let time = self.time;
        let Some(stream) = self.stream(number)? else { return self.note(None, event) };
        let before = stream.state.replace((time, state));
        let packet = stream.packet.take();
        if packet.is_some() {
            stream.paused = true;
        }
        let marks =
            if state == StreamState::Stop { std::mem::take(&mut stream.marks) } else { VecDeque::new() };
        if state == StreamState::Stop {
            (stream.next, stream.paused) = (0, false);
        }
        if state == StreamState::Run {
            stream.packet = Some((time, stream.next));
            // A stream that goes on in the midst of a packet is measured from the next packet on.
            stream.anchor = (!stream.paused).then_some((time, stream.next));
        }
        if let Some((since, before)) = before
            && before != StreamState::Stop
        {
            self.slice(StreamTrack::State.of(number), &before.word().to_uppercase(), since, &json!({}))?;
        }
        if let Some((since, packet)) = packet {
            let name = format!("packet {packet}, not to its end");
            self.slice(StreamTrack::Packets.of(number), &name, since, &json!({"packet": packet}))?;
        }
        for (at, packet) in marks {
            self.mark_at(number, at, packet, None)?;
        }
        self.begun(number)
    }

    fn packet_completed(&mut self, event: &Event, number: u32, count: u32) -> io::Result<()> {
        self.end_wait(number)?;
        let (time, speed) = (self.time, self.speed);
        let Some(stream) = self.stream(number)? else { return self.note(None, event) };
        let (completed, since) = (count.wrapping_sub(1), stream.packet.map(|(since, _)| since));
        let silent = stream.silence.is_some_and(|(_, packet)| packet == completed);
        let lateness = stream.lateness(time, count, speed);
        stream.anchor.get_or_insert((time, count));
        (stream.packet, stream.next, stream.paused) = (Some((time, count)), count, false);
        let frames = stream.packet_frames();
        if silent {
            self.end_silence(number)?;
        }
        if let Some(since) = since {
            let name = format!("packet {completed}");
            self.slice(StreamTrack::Packets.of(number), &name, since, &json!({"packet": completed}))?;
        }
        self.counter(number, "packets completed", &json!(count))?;
        if let Some(position) = frames.and_then(|frames| frames.checked_mul(count.into())) {
            self.counter(number, "position (frames)", &json!(position))?;
        }
        if let Some(nanos) = lateness {
            self.counter(number, "lateness of ends (us)", &json!(micros(nanos)))?;
        }
        self.begun(number)
    }

    /// The present packet begins: the marks of it, and of those before it, had this time.
    fn begun(&mut self, number: u32) -> io::Result<()> {
        let Some(stream) = self.streams.get_mut(&number) else { return Ok(()) };
        let Some((begin, present)) = stream.packet else { return Ok(()) };
        let mut due = VecDeque::new();
        stream.marks.retain(|&(at, packet)| {
            let waits = is_after(packet, present);
            if !waits {
                due.push_back((at, packet));
            }
            waits
        });
        for (at, packet) in due {
            self.mark_at(number, at, packet, Some(margin(begin, at)))?;
        }
        Ok(())
    }

    fn mark(&mut self, event: &Event, number: u32, packet: u32) -> io::Result<()> {
        let time = self.time;
        let Some(stream) = self.stream(number)? else { return self.note(None, event) };
        let waited = stream.stall.filter(|(_, due)| !is_after(*due, packet));
        let silent = stream.silence.is_some_and(|(_, due)| due == packet);
        let present = stream.packet.filter(|(_, present)| !is_after(packet, *present));
        match (waited, present) {
            // While time stands still the packet that it waits for was due when the wait began.
            (Some((since, _)), _) => self.mark_at(number, time, packet, Some(margin(since, time)))?,
            (None, Some((begin, _))) => self.mark_at(number, time, packet, Some(margin(begin, time)))?,
            (None, None) => {
                let overdue = (stream.marks.len() >= MARKS_MAX).then(|| stream.marks.pop_front()).flatten();
                stream.marks.push_back((time, packet));
                if let Some((at, packet)) = overdue {
                    self.mark_at(number, at, packet, None)?;
                }
            }
        }
        if waited.is_some() {
            self.end_wait(number)?;
        }
        if silent { self.end_silence(number) } else { Ok(()) }
    }

    fn mark_at(&mut self, number: u32, at: u64, packet: u32, margin: Option<i64>) -> io::Result<()> {
        let late = if margin.is_some_and(|margin| margin < 0) { " (late)" } else { "" };
        let args = json!({"packet": packet, "margin_us": margin.map(micros)});
        self.instant_at(at, StreamTrack::Marks.of(number), &format!("mark {packet}{late}"), &args)
    }

    /// The wait for a packet ends: the packet begins.
    fn end_wait(&mut self, number: u32) -> io::Result<()> {
        let time = self.time;
        let Some(stream) = self.streams.get_mut(&number) else { return Ok(()) };
        let Some((since, packet)) = stream.stall.take() else { return Ok(()) };
        stream.packet = stream.packet.map(|(_, present)| (time, present));
        stream.anchor = Some((time, stream.next));
        let name = format!("waits for packet {packet}");
        self.slice(StreamTrack::Waits.of(number), &name, since, &json!({"packet": packet}))
    }

    fn end_silence(&mut self, number: u32) -> io::Result<()> {
        let Some((since, packet)) = self.streams.get_mut(&number).and_then(|stream| stream.silence.take())
        else {
            return Ok(());
        };
        let name = format!("silence for packet {packet}");
        self.slice(StreamTrack::Silence.of(number), &name, since, &json!({"packet": packet}))
    }

    fn transfer(&mut self, event: &Event, number: u32, bytes: u64) -> io::Result<()> {
        self.end_wait(number)?;
        let Some(stream) = self.stream(number)? else { return self.note(None, event) };
        stream.dma_bytes = stream.dma_bytes.saturating_add(bytes);
        let all = stream.dma_bytes;
        self.counter(number, "bytes by DMA", &json!(all))
    }

    /// What a write says of a stream's packets.
    fn register(&mut self, event: &Event, offset: u64, data: &Data) -> io::Result<()> {
        let (4, Some(value), Some((number, register))) =
            (data.bytes(), data.value(), stream::in_block(offset))
        else {
            return Ok(());
        };
        let value = u32::try_from(value).unwrap_or(u32::MAX);
        if register == stream::WRITTEN {
            return self.mark(event, number, value);
        }
        let Some(stream) = self.stream(number)? else { return Ok(()) };
        match register {
            stream::FORMAT => stream.format = value,
            stream::RATE => stream.rate = value,
            stream::RING_BYTES => stream.ring_bytes = value,
            stream::PACKETS => stream.packets = value,
            stream::START_PACKET => stream.next = value,
            _ => {}
        }
        Ok(())
    }

    /// A reset, or the end: nothing goes on.
    fn close_all(&mut self) -> io::Result<()> {
        let numbers: Vec<u32> = self.streams.keys().copied().collect();
        for number in numbers {
            self.state(&Event::DeviceReset, number, StreamState::Stop)?;
        }
        Ok(())
    }

    /// The stream with its tracks, which are named when it comes first; `None` for a number that no card has.
    fn stream(&mut self, number: u32) -> io::Result<Option<&mut Stream>> {
        if number >= STREAMS_MAX {
            return Ok(None);
        }
        if !self.streams.contains_key(&number) {
            let first = StreamTrack::State.of(number);
            self.row(&metadata("process_name", first, &json!({"name": format!("stream {number}")})))?;
            self.name_tracks(first, &STREAM_TRACKS)?;
        }
        Ok(Some(self.streams.entry(number).or_default()))
    }
}

/// What the format has.
impl<W: Write> Perfetto<W> {
    fn power(&mut self, d3hot: bool) -> io::Result<()> {
        match (d3hot, self.d3hot) {
            (true, None) => self.d3hot = Some(self.time),
            (false, Some(since)) => {
                self.d3hot = None;
                self.slice(CardTrack::Power.into(), "D3hot", since, &json!({}))?;
            }
            _ => {}
        }
        Ok(())
    }

    fn message(&mut self, event: &Event) -> io::Result<()> {
        self.instant(CardTrack::Messages.into(), event)
    }

    /// What a person wants to know, of a stream or of the card.
    fn note(&mut self, number: Option<u32>, event: &Event) -> io::Result<()> {
        let of_stream = match number {
            Some(number) => self.stream(number)?.is_some().then(|| StreamTrack::Notes.of(number)),
            None => None,
        };
        self.instant(of_stream.unwrap_or(CardTrack::Notes.into()), event)
    }

    fn instant(&mut self, track: Track, event: &Event) -> io::Result<()> {
        self.instant_at(self.time, track, &show::text(self.card, event), &json!({}))
    }

    fn instant_at(&mut self, at: u64, Track(pid, tid): Track, name: &str, args: &Value) -> io::Result<()> {
        let name = json!(name);
        self.show(&format!(
            r#"{{"name":{name},"ph":"i","s":"t","ts":{},"pid":{pid},"tid":{tid},"args":{args}}}"#,
            Micros(at)
        ))
    }

    /// From `since` until now.
    fn slice(&mut self, Track(pid, tid): Track, name: &str, since: u64, args: &Value) -> io::Result<()> {
        let (name, duration) = (json!(name), Micros(self.time.saturating_sub(since)));
        self.show(&format!(
            r#"{{"name":{name},"ph":"X","ts":{},"dur":{duration},"pid":{pid},"tid":{tid},"args":{args}}}"#,
            Micros(since)
        ))
    }

    fn counter(&mut self, number: u32, name: &str, value: &Value) -> io::Result<()> {
        let Track(pid, tid) = StreamTrack::Packets.of(number);
        self.show(&format!(
            r#"{{"name":{},"ph":"C","ts":{},"pid":{pid},"tid":{tid},"args":{{"value":{value}}}}}"#,
            json!(name),
            Micros(self.time)
        ))
    }

    fn name_tracks(&mut self, Track(pid, first): Track, names: &[&str]) -> io::Result<()> {
        for (tid, name) in (first..).zip(names) {
            self.row(&metadata("thread_name", Track(pid, tid), &json!({"name": name})))?;
            self.row(&metadata("thread_sort_index", Track(pid, tid), &json!({"sort_index": tid})))?;
        }
        Ok(())
    }

    fn show(&mut self, object: &str) -> io::Result<()> {
        if self.wanted { self.row(object) } else { Ok(()) }
    }

    /// Every object but the first, which [`Perfetto::begin`] writes.
    fn row(&mut self, object: &str) -> io::Result<()> {
        write!(self.out, ",\n{object}")
    }
}

/// What a track is called.
fn metadata(what: &str, Track(pid, tid): Track, args: &Value) -> String {
    format!(r#"{{"name":"{what}","ph":"M","pid":{pid},"tid":{tid},"args":{args}}}"#)
}

/// Whether packet `one` comes after `other`, as numbers that begin anew at 2^32.
fn is_after(one: u32, other: u32) -> bool {
    one.wrapping_sub(other).cast_signed() > 0
}

/// From `at` to `begin`, in nanoseconds; negative when it was too late.
fn margin(begin: u64, at: u64) -> i64 {
    let apart = i64::try_from(begin.abs_diff(at)).unwrap_or(i64::MAX);
    if at > begin { -apart } else { apart }
}

#[allow(clippy::cast_precision_loss, reason = "a figure for a person")]
fn micros(nanos: i64) -> f64 {
    nanos as f64 / 1000.0
}

/// Nanoseconds as the format's microseconds, exactly.
struct Micros(u64);

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "microseconds with three digits")]
mod tests {
    use std::collections::{HashMap, HashSet};

    use proptest::prelude::*;
    use ringwave_trace::strategy::event;
    use ringwave_trace::{Item, Reader};

    use super::*;

    fn convert(events: &[TraceRecord]) -> Value {
        let mut bytes = Vec::new();
        let mut perfetto = Perfetto::begin(&mut bytes, [("speed", "1")].into_iter()).unwrap();
        for record in events {
            perfetto.add(record, true).unwrap();
            assert!(perfetto.streams.len() <= STREAMS_MAX as usize);
            assert!(perfetto.streams.values().all(|stream| stream.marks.len() <= MARKS_MAX));
        }
        perfetto.finish().unwrap();
        serde_json::from_slice(&bytes).expect("it is JSON")
    }

    /// A trace as text.
    fn converted(text: &str) -> Vec<Value> {
        let text = format!("ringwave-trace 1\n{text}");
        let mut reader = Reader::new(text.as_bytes()).unwrap();
        let mut events = Vec::new();
        while let Some(Item::Record(record)) = reader.next_item().unwrap() {
            events.push(record);
        }
        let trace = convert(&events);
        keeps_the_rules(&trace);
        trace["traceEvents"].as_array().unwrap().clone()
    }

    fn named<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
        events.iter().filter(|event| event["name"] == name).collect()
    }

    /// Start and length of the only slice of this name, in microseconds.
    fn slice(events: &[Value], name: &str) -> (f64, f64) {
        let [one] = named(events, name)[..] else { panic!("{name}: {:?}", named(events, name)) };
        assert_eq!(one["ph"], "X");
        (one["ts"].as_f64().unwrap(), one["dur"].as_f64().unwrap())
    }

    /// The rules of "Trace Event Format" for what is written here.
    fn keeps_the_rules(trace: &Value) {
        let (mut processes, mut threads) = (HashSet::new(), HashMap::new());
        let mut slices: HashMap<u64, Vec<(f64, f64)>> = HashMap::new();
        for event in trace["traceEvents"].as_array().expect("an array of events") {
            let number = |name: &str| event[name].as_f64().unwrap_or_else(|| panic!("{name} of {event}"));
            let (pid, tid) = (event["pid"].as_u64().unwrap(), event["tid"].as_u64().unwrap());
            let name = event["name"].as_str().unwrap();
            assert!(event["args"].is_object() && !name.is_empty(), "{event}");
            let kind = event["ph"].as_str().unwrap();
            if kind == "M" {
                match name {
                    "process_name" => assert!(processes.insert(pid)),
                    "thread_name" => assert_eq!(threads.insert(tid, pid), None, "a thread has one process"),
                    "thread_sort_index" => assert!(event["args"]["sort_index"].is_u64()),
                    _ => panic!("{event}"),
                }
                continue;
            }
            assert!(processes.contains(&pid) && threads.get(&tid) == Some(&pid), "no name yet: {event}");
            assert!(number("ts") >= 0.0);
            match kind {
                "X" => {
                    assert!(number("dur") >= 0.0);
                    slices.entry(tid).or_default().push((number("ts"), number("ts") + number("dur")));
                }
                "i" => assert_eq!(event["s"], "t"),
                "C" => assert!(event["args"].as_object().unwrap().values().all(Value::is_number), "{event}"),
                _ => panic!("{event}"),
            }
        }
        for track in slices.values_mut() {
            track.sort_by(|one, other| one.partial_cmp(other).unwrap());
            // A nanosecond for the rounding of sums.
            assert!(track.windows(2).all(|pair| pair[0].1 <= pair[1].0 + 0.001), "slices overlap: {track:?}");
        }
    }

    proptest! {
        #[test]
        fn any_trace_keeps_the_rules(steps in proptest::collection::vec((0u64..2_000_000_000, event()), 0..60)) {
            let mut time = 0;
            let events: Vec<TraceRecord> = steps.into_iter().map(|(step, event)| {
                time += step;
                TraceRecord { time, event }
            }).collect();
            keeps_the_rules(&convert(&events));
        }
    }

    #[test]
    fn packets_are_slices_and_marks_have_their_margin() {
        // 480 frames of 16-bit stereo at 48 kHz: 10 ms a packet.
        let events = converted(
            "1000 client connected\n\
             1000 region-write bar0 0x1018 4 0x00000200\n\
             1000 region-write bar0 0x101c 4 0x0000bb80\n\
             1000 region-write bar0 0x1020 4 0x00000f00\n\
             1000 region-write bar0 0x1024 4 0x00000002\n\
             2000 state 0 acquire\n\
             3000 mark-seen 0 0\n\
             5000 state 0 run\n\
             6000000 mark-seen 0 1\n\
             10005000 dma-read 0 0x1000 1920\n\
             10005000 packet 0 1\n\
             10005000 event 0\n\
             10006000 msi 0\n\
             21005000 packet 0 2\n\
             22005000 mark-seen 0 2\n\
             30005000 packet 0 3\n\
             30006000 state 0 stop\n\
             30007000 client left\n",
        );
        assert_eq!(slice(&events, "packet 0"), (5.0, 10_000.0));
        assert_eq!(slice(&events, "packet 1"), (10_005.0, 11_000.0));
        assert_eq!(slice(&events, "RUN"), (5.0, 30_001.0));
        assert_eq!(slice(&events, "client"), (1.0, 30_006.0));
        let margin = |name: &str| named(&events, name)[0]["args"]["margin_us"].as_f64().unwrap();
        assert_eq!(margin("mark 0"), 2.0);
        assert_eq!(margin("mark 1"), 4_005.0);
        assert_eq!(margin("mark 2 (late)"), -1_000.0);
        let values = |name: &str| -> Vec<f64> {
            named(&events, name).iter().map(|event| event["args"]["value"].as_f64().unwrap()).collect()
        };
        assert_eq!(values("position (frames)"), [480.0, 960.0, 1440.0]);
        assert_eq!(values("lateness of ends (us)"), [0.0, 1_000.0, 0.0]);
        assert_eq!(values("bytes by DMA"), [1920.0]);
        assert_eq!(named(&events, "MSI message 0").len(), 1);
        let is_register =
            |event: &&Value| event["name"].as_str().unwrap().starts_with("write stream 0 RATE=48000");
        assert_eq!(events.iter().filter(is_register).count(), 1);
    }

    #[test]
    fn what_it_waited_for_and_what_was_silent_are_slices() {
        let events = converted(
            "0 state 0 run\n\
             10000 packet 0 1\n\
             10000 stall 0 1\n\
             14000 mark-seen 0 1\n\
             24000 packet 0 2\n\
             24000 note underrun 0 2\n\
             27000 mark-seen 0 2\n\
             34000 packet 0 3\n\
             34000 note underrun 0 3\n\
             44000 packet 0 4\n\
             45000 reset\n\
             46000 lost 3\n",
        );
        assert_eq!(slice(&events, "waits for packet 1"), (10.0, 4.0));
        assert_eq!(slice(&events, "packet 1"), (14.0, 10.0), "it begins when the wait ends");
        assert_eq!(slice(&events, "silence for packet 2"), (24.0, 3.0), "up to its late mark");
        assert_eq!(slice(&events, "silence for packet 3"), (34.0, 10.0), "all of it");
        assert_eq!(slice(&events, "packet 4, not to its end"), (44.0, 1.0));
        assert_eq!(named(&events, "mark 1 (late)")[0]["args"]["margin_us"], -4.0);
        assert_eq!(named(&events, "3 events are missing here").len(), 1);
    }

    #[test]
    fn marks_of_packets_that_never_begin_are_shown_without_a_margin() {
        let lines: Vec<String> = (1..=100).map(|number| format!("{number} mark-seen 0 {number}\n")).collect();
        let events = converted(&format!("0 state 0 run\n{}", lines.concat()));
        let margins =
            events.iter().filter(|event| event["args"]["margin_us"].is_null() && event["ph"] == "i");
        assert_eq!(margins.count(), 100);
    }

    #[test]
    fn a_trace_that_was_cut_is_whole_for_a_viewer() {
        let events = converted("0 client connected\n5000 state 3 run\n9000 power d3hot\n20000 msi 1\n");
        assert_eq!(slice(&events, "RUN"), (5.0, 15.0));
        assert_eq!(slice(&events, "client"), (0.0, 20.0));
        assert_eq!(slice(&events, "D3hot"), (9.0, 11.0));
    }
}

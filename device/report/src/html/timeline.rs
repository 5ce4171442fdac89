//! What a trace shows over time, in as many bins as a picture has columns: it is read once, and memory does
//! not grow with it. How long it is is known at its end only: the bins become twice as wide whenever it goes
//! beyond them.

use std::collections::{BTreeMap, VecDeque};
use std::io::Read;

use ringwave_trace::{CardEvent, Diagnostic, Dma, Event, Item, Reader, StreamState, TraceError};

use crate::SessionReport;

/// Bins of a timeline.
pub const BINS: usize = 1000;
/// Nanoseconds of a bin at first.
const FIRST_BIN_NS: u64 = 1_000_000;
/// Streams that are drawn.
const STREAMS_MAX: usize = 8;
/// Packets that are marked, or have begun, and wait for the other.
const WAITING_MAX: usize = 64;
/// Lines that are none are passed over; after so many it is no trace.
const BAD_LINES_MAX: u64 = 1000;

/// From how many microseconds on a bin of a histogram is, the last one without an end.
pub const MARGIN_FROM_US: [i64; 10] = [i64::MIN, 0, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000];
/// Likewise of lateness.
pub const LATE_FROM_US: [i64; 9] = [i64::MIN, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 50_000];

/// How often something was in each bin, counted.
pub type Bins = Vec<u32>;

/// A trace as it is drawn.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// What its first line says.
    pub header: Vec<(String, String)>,
    /// The time of its last line, in nanoseconds.
    pub end: u64,
    /// Nanoseconds of a bin.
    pub bin: u64,
    /// Streams that did anything.
    pub streams: BTreeMap<u32, StreamTimeline>,
    /// More streams did something than are drawn.
    pub more_streams: bool,
    /// What is not in it: events that its file was too slow for.
    pub lost: u64,
    /// Lines that are none.
    pub bad_lines: u64,
}

/// What the trace of a card tells; each more than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Coverage {
    /// When a stream ran, and what it moved: HD Audio.
    Transfers,
    /// When packets ended, and when a stream waited for one: virtio-snd.
    Packets,
    /// When packets were marked, and which were silent: Ringwave's own card.
    Silence,
}

/// One stream of it.
#[derive(Clone, Debug)]
pub struct StreamTimeline {
    /// It was in RUN.
    pub running: Bins,
    /// Packets that were completed.
    pub packets: Bins,
    /// It waited for a packet.
    pub stalled: Bins,
    /// Packets that were silent, at least in part, or lost.
    pub silent: Bins,
    /// Transfers that failed.
    pub faults: Bins,
    /// Packets, or bytes, that had gone by at the end of the bin.
    pub position: Vec<Option<u64>>,
    /// How early packets were marked, in the intervals of `MARGIN_FROM_US`.
    pub margins: [u64; MARGIN_FROM_US.len()],
    /// How much later than a packet's length after the one before packets ended, in those of `LATE_FROM_US`.
    pub lateness: [u64; LATE_FROM_US.len()],
    /// All of `StreamTimeline::packets`.
    pub packet_count: u64,
    /// Bytes of its transfers.
    pub bytes: u64,
    /// How often it waited.
    pub stalls: u64,
    /// For how long, in nanoseconds.
    pub stalled_ns: u64,
    /// And at most.
    pub worst_stall_ns: u64,
    /// When the first packet was silent, in nanoseconds of the trace.
    pub first_silent: Option<u64>,
    /// When it waited first.
    pub first_stall: Option<u64>,
    /// Nanoseconds of a packet, if it is known.
    packet_ns: Option<f64>,
    run_since: Option<u64>,
    stall_since: Option<(u64, u32)>,
    last_packet: Option<u64>,
    marked: VecDeque<(u32, u64)>,
    begun: VecDeque<(u32, u64)>,
}

impl StreamTimeline {
    /// It ran, or something of it went by: one that was only set up has nothing to draw.
    pub fn did_anything(&self) -> bool {
        let any = |bins: &Bins| bins.iter().any(|count| *count > 0);
        let counted = self.packet_count + self.stalls + self.bytes;
        counted > 0 || self.first_silent.is_some() || any(&self.running) || any(&self.faults)
    }

    fn new(packet_ns: Option<f64>) -> Self {
        let bins = || vec![0; BINS];
        Self {
            running: bins(),
            packets: bins(),
            stalled: bins(),
            silent: bins(),
            faults: bins(),
            position: vec![None; BINS],
            margins: Default::default(),
            lateness: Default::default(),
            packet_count: 0,
            bytes: 0,
            stalls: 0,
            stalled_ns: 0,
            worst_stall_ns: 0,
            first_silent: None,
            first_stall: None,
            packet_ns,
            run_since: None,
            stall_since: None,
            last_packet: None,
            marked: VecDeque::new(),
            begun: VecDeque::new(),
        }
    }

    /// Two bins become one.
    fn fold(&mut self) {
        let all =
            [&mut self.running, &mut self.packets, &mut self.stalled, &mut self.silent, &mut self.faults];
        for bins in all {
            *bins = bins
                .chunks(2)
                .map(|two| two.iter().fold(0_u32, |sum, one| sum.saturating_add(*one)))
                .collect();
            bins.resize(BINS, 0);
        }
        self.position = self.position.chunks(2).map(|two| two.iter().flatten().max().copied()).collect();
        self.position.resize(BINS, None);
    }

    fn packet(&mut self, time: u64, count: u32, bin: u64) {
        add(&mut self.packets, time, bin);
        if self.packet_count == 0 {
            // Bytes until now: the card reads ahead of its first packet.
            self.position.fill(None);
        }
        self.packet_count += 1;
        self.resume(time, bin);
        if let (Some(before), Some(packet)) = (self.last_packet, self.packet_ns) {
            #[allow(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                reason = "a difference of times"
            )]
            let late = ((time.saturating_sub(before) as f64 - packet) / 1000.0) as i64;
            count_in(&mut self.lateness, &LATE_FROM_US, late);
        }
        self.last_packet = Some(time);
        // The packet with this number begins.
        self.begin(time, count);
        if let Some(position) = index(time, bin).and_then(|index| self.position.get_mut(index)) {
            *position = Some(self.packet_count);
        }
    }

    fn begin(&mut self, time: u64, packet: u32) {
        if let Some(at) = self.marked.iter().position(|(number, _)| *number == packet) {
            let (_, marked) = self.marked.remove(at).unwrap_or_default();
            count_in(&mut self.margins, &MARGIN_FROM_US, micros(time.saturating_sub(marked)));
        } else {
            keep(&mut self.begun, (packet, time));
        }
    }

    fn mark(&mut self, time: u64, packet: u32) {
        let waited = self.stall_since.filter(|(_, number)| *number == packet).map(|(since, _)| since);
        let begun = self.begun.iter().position(|(number, _)| *number == packet);
        let begun = begun.and_then(|at| self.begun.remove(at)).map(|(_, time)| time);
        match waited.or(begun) {
            Some(since) => count_in(&mut self.margins, &MARGIN_FROM_US, -micros(time.saturating_sub(since))),
            None => keep(&mut self.marked, (packet, time)),
        }
    }

    fn state(&mut self, time: u64, state: StreamState, bin: u64) {
        self.resume(time, bin);
        self.last_packet = None;
        let runs = state == StreamState::Run;
        if let Some(since) = self.run_since.take() {
            fill(&mut self.running, since, time, bin);
        }
        self.run_since = runs.then_some(time);
        if matches!(state, StreamState::Stop | StreamState::Acquire) {
            self.marked.clear();
            self.begun.clear();
        }
        if runs && self.packet_count == 0 {
            self.begin(time, 0);
        }
    }

    fn stall(&mut self, time: u64, packet: u32) {
        self.stalls += u64::from(self.stall_since.is_none());
        self.stall_since.get_or_insert((time, packet));
        self.first_stall.get_or_insert(time);
        self.last_packet = None;
    }

    /// It waits no more.
    fn resume(&mut self, time: u64, bin: u64) {
        if let Some((since, _)) = self.stall_since.take() {
            fill(&mut self.stalled, since, time, bin);
            let waited = time.saturating_sub(since);
            self.stalled_ns += waited;
            self.worst_stall_ns = self.worst_stall_ns.max(waited);
        }
    }

    fn transfer(&mut self, time: u64, bytes: u64, bin: u64) {
        self.resume(time, bin);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.packet_count == 0
            && let Some(position) = index(time, bin).and_then(|index| self.position.get_mut(index))
        {
            *position = Some(self.bytes);
        }
    }
}

fn micros(ns: u64) -> i64 {
    i64::try_from(ns / 1000).unwrap_or(i64::MAX)
}

fn keep(queue: &mut VecDeque<(u32, u64)>, entry: (u32, u64)) {
    if queue.len() >= WAITING_MAX {
        queue.pop_front();
    }
    queue.push_back(entry);
}

fn count_in<const N: usize>(counts: &mut [u64; N], from: &[i64; N], value: i64) {
    if let Some((_, count)) = from.iter().zip(counts).rev().find(|(from, _)| value >= **from) {
        *count += 1;
    }
}

fn index(time: u64, bin: u64) -> Option<usize> {
    usize::try_from(time.checked_div(bin)?).ok()
}

fn add(bins: &mut Bins, time: u64, bin: u64) {
    if let Some(count) = index(time, bin).and_then(|index| bins.get_mut(index)) {
        *count = count.saturating_add(1);
    }
}

fn fill(bins: &mut Bins, from: u64, to: u64, bin: u64) {
    let (Some(from), Some(to)) = (index(from, bin), index(to, bin)) else { return };
    for count in bins.iter_mut().take(to.saturating_add(1)).skip(from) {
        *count = count.saturating_add(1);
    }
}

impl Timeline {
    /// Reads a trace to its end. `stats` say how long a packet is.
    ///
    /// # Errors
    /// What it is no trace for.
    pub fn read(from: impl Read, stats: Option<&SessionReport>) -> Result<Self, TraceError> {
        let mut reader = Reader::new(from)?;
        let header: Vec<_> =
            reader.header().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let mut timeline = Self { header, bin: FIRST_BIN_NS, ..Self::default() };
        let speed = timeline.speed();
        loop {
            match reader.next_item() {
                Ok(None | Some(Item::Cut)) => break,
                Ok(Some(Item::Record(record))) => timeline.add(record.time, &record.event, speed, stats),
                Err(TraceError::Io(error)) => return Err(error.into()),
                Err(error) => {
                    timeline.bad_lines += 1;
                    if timeline.bad_lines > BAD_LINES_MAX {
                        return Err(error);
                    }
                }
            }
        }
        let (end, bin) = (timeline.end, timeline.bin);
        for stream in timeline.streams.values_mut() {
            stream.state(end, StreamState::Stop, bin);
        }
        Ok(timeline)
    }

    /// What the trace of this card tells. An older one does not name its card: it is Ringwave's.
    pub fn coverage(&self) -> Coverage {
        match self.header_value("card") {
            Some("virtio") => Coverage::Packets,
            Some("hda") => Coverage::Transfers,
            _ => Coverage::Silence,
        }
    }

    fn header_value(&self, wanted: &str) -> Option<&str> {
        self.header.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
    }

    /// How many times as fast as real time the card's clock goes.
    fn speed(&self) -> f64 {
        let speed = self.header_value("speed").and_then(|value| value.parse().ok());
        speed.filter(|speed: &f64| speed.is_finite() && *speed > 0.0).unwrap_or(1.0)
    }

    fn add(&mut self, time: u64, event: &Event, speed: f64, stats: Option<&SessionReport>) {
        self.end = self.end.max(time);
        while time / self.bin >= BINS as u64 {
            self.bin = self.bin.saturating_mul(2);
            self.streams.values_mut().for_each(StreamTimeline::fold);
        }
        let bin = self.bin;
        match *event {
            Event::Lost(count) => self.lost = self.lost.saturating_add(count),
            Event::Card(CardEvent::Reset) => {
                for stream in self.streams.values_mut() {
                    stream.state(time, StreamState::Stop, bin);
                }
            }
            _ => {}
        }
        let Some(number) = event.stream() else { return };
        if !self.streams.contains_key(&number) && self.streams.len() >= STREAMS_MAX {
            self.more_streams = true;
            return;
        }
        let Event::Card(event) = event else { return };
        let stream = self
            .streams
            .entry(number)
            .or_insert_with(|| StreamTimeline::new(stats.and_then(|stats| packet_ns(stats, number, speed))));
        match *event {
            CardEvent::State { state, .. } => stream.state(time, state, bin),
            CardEvent::Packet { count, .. } => stream.packet(time, count, bin),
            CardEvent::Stall { packet, .. } => stream.stall(time, packet),
            CardEvent::MarkSeen { packet, .. } => stream.mark(time, packet),
            CardEvent::Read { who: Dma::Stream(_), bytes, .. }
            | CardEvent::Write { who: Dma::Stream(_), bytes, .. } => stream.transfer(time, bytes, bin),
            CardEvent::Diagnostic(Diagnostic::Underrun { .. } | Diagnostic::Overrun { .. }) => {
                add(&mut stream.silent, time, bin);
                stream.first_silent.get_or_insert(time);
            }
            CardEvent::Diagnostic(Diagnostic::DmaFault { .. }) => add(&mut stream.faults, time, bin),
            _ => {}
        }
    }
}

/// Nanoseconds of a packet in real time.
fn packet_ns(stats: &SessionReport, number: u32, speed: f64) -> Option<f64> {
    let stream = stats.streams.iter().find(|stream| stream.index == number)?;
    let (format, channels, rate) = (stream.format?, stream.channels?, stream.rate?);
    let frames = stream.packet_frames(format.bytes().saturating_mul(channels));
    #[allow(clippy::cast_precision_loss, reason = "a cyclic buffer is short")]
    let seconds = frames as f64 / f64::from(rate.max(1));
    (stream.packets > 0).then_some(seconds * 1e9 / speed)
}

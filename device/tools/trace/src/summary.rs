//! What a trace came to: how much of what, DMA by stream, the rhythm of the interrupts, messages while
//! running.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::decode::Card;
use super::show;
use ringwave_report::{Messages, RegisterWrite};
use ringwave_trace::{CardEvent, Dma, Event, Region, StreamState, TraceRecord};

/// Figures of a trace, or of the part of it that was looked at.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// Time of the first event, nanoseconds since the card was made.
    pub first_ns: u64,
    /// Time of the last event.
    pub last_ns: u64,
    /// Events by the first word of their line.
    pub events: BTreeMap<String, u64>,
    /// Streams that did anything, by number.
    pub streams: BTreeMap<u32, StreamSummary>,
    /// DMA of the self-test.
    pub selftest: DmaBytes,
    /// DMA of HD Audio's CORB and RIRB.
    pub rings: DmaBytes,
    /// DMA of HD Audio's position buffer.
    pub positions: DmaBytes,
    /// Interrupts that reached the client.
    pub interrupts: InterruptSummary,
    /// Messages, counted as `ringwave serve --stats` does, but over all clients.
    pub messages: Messages,
    /// Events that are missing in the trace.
    pub lost: u64,
    /// The last line was cut.
    pub cut: bool,
    /// Lines that could not be read.
    pub unreadable: u64,
}

/// A stream's part of a [`Summary`].
#[derive(Clone, Debug, Default, Serialize)]
pub struct StreamSummary {
    /// Times that it went into RUN.
    pub runs: u64,
    /// Packets that were completed.
    pub packets: u64,
    /// Times that it waited for a packet.
    pub stalls: u64,
    /// New marks that were seen in its mark page.
    pub marks: u64,
    /// Its events.
    pub events: u64,
    /// Notes about it.
    pub notes: u64,
    /// Its DMA.
    pub dma: DmaBytes,
}

/// Bytes of DMA.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DmaBytes {
    /// Of scatter-gather tables.
    pub table: u64,
    /// Read.
    pub read: u64,
    /// Stored.
    pub written: u64,
    /// Transfers of all three kinds.
    pub transfers: u64,
}

/// The interrupts' part of a [`Summary`].
#[derive(Clone, Debug, Default, Serialize)]
pub struct InterruptSummary {
    /// MSI messages and signals of `INTx`.
    pub total: u64,
    /// Times between one and the next while a stream was running all the time; `None` if there are none.
    pub intervals_ns: Option<Intervals>,
}

/// Times in nanoseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Intervals {
    /// How many.
    pub count: u64,
    /// The shortest.
    pub min: u64,
    /// Half of them are not longer.
    pub median: u64,
    /// The longest.
    pub max: u64,
}

impl Intervals {
    fn of(mut times: Vec<u64>) -> Option<Self> {
        times.sort_unstable();
        let middle = times.len().checked_sub(1)? / 2;
        Some(Self {
            count: times.len() as u64,
            min: *times.first()?,
            median: *times.get(middle)?,
            max: *times.last()?,
        })
    }
}

/// Adds events up. All events of the trace have to pass, in order: what is counted depends on what ran.
#[derive(Default)]
pub struct Summarizer {
    card: Card,
    summary: Summary,
    any: bool,
    running: std::collections::BTreeSet<u32>,
    /// A write of a register whose effect on the streams has not been seen whole: its offset, whether one was
    /// running before, and whether it counts.
    pending: Option<(u64, bool, bool)>,
    last_interrupt: Option<u64>,
    intervals: Vec<u64>,
}

impl Summarizer {
    /// Of this card's trace.
    pub fn new(card: Card) -> Self {
        Self { card, ..Self::default() }
    }

    /// Adds an event, or, unless `counts`, only learns from it what runs.
    pub fn add(&mut self, record: &TraceRecord, counts: bool) {
        self.follow(record, counts);
        if !counts {
            return;
        }
        let TraceRecord { time, event } = record;
        if !std::mem::replace(&mut self.any, true) {
            self.summary.first_ns = *time;
        }
        self.summary.last_ns = *time;
        *self.summary.events.entry(show::word(event)).or_default() += 1;
        match event {
            Event::Card(trace) => self.card(trace),
            Event::Lost(events) => self.summary.lost = self.summary.lost.saturating_add(*events),
            _ => {}
        }
    }

    /// The last line was cut.
    pub fn cut(&mut self) {
        self.summary.cut = true;
    }

    /// A line could not be read.
    pub fn unreadable(&mut self) {
        self.summary.unreadable += 1;
    }

    /// The figures.
    pub fn finish(mut self) -> Summary {
        self.settle();
        self.summary.interrupts.intervals_ns = Intervals::of(std::mem::take(&mut self.intervals));
        self.summary
    }

    /// Messages and interrupts: what they mean depends on whether a stream is running.
    fn follow(&mut self, record: &TraceRecord, counts: bool) {
        let running = !self.running.is_empty();
        match record.event {
            Event::RegionWrite { region: Region::Registers, offset, .. } => {
                self.settle();
                self.pending = Some((offset, running, counts));
            }
            Event::RegionWrite { .. } | Event::RegionRead { .. } => {
                self.settle();
                let read = matches!(record.event, Event::RegionRead { .. });
                match (counts, read) {
                    (true, true) => self.summary.messages.read(running),
                    (true, false) => self.summary.messages.write(running),
                    _ => {}
                }
            }
            Event::Left => self.settle(),
            Event::Card(CardEvent::State { stream, state: StreamState::Run }) => {
                self.running.insert(stream);
            }
            Event::Card(CardEvent::State { stream, .. }) => {
                self.running.remove(&stream);
            }
            Event::Card(CardEvent::Reset) => self.running.clear(),
            Event::Msi(_) | Event::IntxRaised if counts => {
                self.summary.interrupts.total += 1;
                let last = self.last_interrupt.replace(record.time).filter(|_| running);
                self.intervals.extend(last.map(|last| record.time.saturating_sub(last)));
            }
            ref event if show::Group::of(event) == show::Group::Messages => {
                self.settle();
                self.summary.messages.total += u64::from(counts);
            }
            _ => {}
        }
        if self.running.is_empty() {
            self.last_interrupt = None;
        }
    }

    /// The pending write has had its effect.
    fn settle(&mut self) {
        if let Some((offset, before, true)) = self.pending.take() {
            // As the card sorts them.
            let register = RegisterWrite::named(self.card.sorted_register(offset));
            self.summary.messages.write_register(register, before, !self.running.is_empty());
        }
    }

    fn card(&mut self, trace: &CardEvent) {
        match *trace {
            CardEvent::State { stream: index, state } => {
                self.stream(index).runs += u64::from(state == StreamState::Run);
            }
            CardEvent::Packet { stream: index, .. } => self.stream(index).packets += 1,
            CardEvent::Stall { stream: index, .. } => self.stream(index).stalls += 1,
            CardEvent::MarkSeen { stream: index, .. } => self.stream(index).marks += 1,
            CardEvent::Event { stream: index } => self.stream(index).events += 1,
            CardEvent::Diagnostic(_) => {
                if let Some(index) = Event::Card(*trace).stream() {
                    self.stream(index).notes += 1;
                }
            }
            CardEvent::Table { who, bytes, .. }
            | CardEvent::Read { who, bytes, .. }
            | CardEvent::Write { who, bytes, .. } => {
                let dma = match who {
                    Dma::Stream(index) => &mut self.stream(index).dma,
                    Dma::SelfTest => &mut self.summary.selftest,
                    Dma::Rings => &mut self.summary.rings,
                    Dma::Positions => &mut self.summary.positions,
                };
                let sum = match trace {
                    CardEvent::Table { .. } => &mut dma.table,
                    CardEvent::Read { .. } => &mut dma.read,
                    _ => &mut dma.written,
                };
                *sum = sum.saturating_add(bytes);
                dma.transfers += 1;
            }
            _ => {}
        }
    }

    fn stream(&mut self, index: u32) -> &mut StreamSummary {
        self.summary.streams.entry(index).or_default()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let events: u64 = self.events.values().sum();
        let (first, last) = (Nanos(self.first_ns), Nanos(self.last_ns));
        writeln!(f, "time        {first} s to {last} s, {events} events")?;
        for (index, stream) in &self.streams {
            let StreamSummary { runs, packets, stalls, marks, events, notes, dma } = stream;
            write!(f, "stream {index:<4} runs {runs}, packets {packets}, marks {marks}, stalls {stalls}, ")?;
            writeln!(f, "events {events}, notes {notes}; DMA {dma}")?;
        }
        for (name, dma) in
            [("self-test", &self.selftest), ("CORB, RIRB", &self.rings), ("positions", &self.positions)]
        {
            if dma.transfers != 0 {
                writeln!(f, "{name:<11} DMA {dma}")?;
            }
        }
        write!(f, "interrupts  {}", self.interrupts.total)?;
        if let Some(Intervals { min, median, max, .. }) = self.interrupts.intervals_ns {
            let (min, median, max) = (Millis(min), Millis(median), Millis(max));
            write!(f, "; between them while running: min {min}, median {median}, max {max}")?;
        }
        let Messages { total, while_running } = self.messages;
        write!(f, "\nmessages    {total}; while running: reads {}, ", while_running.reads)?;
        write!(f, "writes {}, WRITTEN {}, ", while_running.writes, while_running.written)?;
        writeln!(f, "LOOK {}, EOS {}", while_running.look, while_running.eos)?;
        for (kind, count) in &self.events {
            writeln!(f, "  {kind:<14} {count}")?;
        }
        if self.lost != 0 {
            writeln!(f, "LOST        {} events are missing: the trace's file was too slow", self.lost)?;
        }
        Ok(())
    }
}

impl fmt::Display for DmaBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, read, written, transfers } = self;
        write!(f, "{transfers} transfers: read {read} bytes, stored {written}, tables {table}")
    }
}

/// Nanoseconds as seconds.
pub struct Nanos(pub u64);

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{:06}", self.0 / 1_000_000_000, self.0 % 1_000_000_000 / 1000))
    }
}

struct Millis(u64);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03} ms", self.0 / 1_000_000, self.0 % 1_000_000 / 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringwave_regs::stream::{BLOCK_BASE, STATE, WRITTEN};

    fn summary(events: &[(u64, Event)]) -> Summary {
        let mut figures = Summarizer::default();
        for &(time, event) in events {
            figures.add(&TraceRecord { time, event }, true);
        }
        figures.finish()
    }

    fn write(register: u32) -> Event {
        Event::write(Region::Registers, u64::from(BLOCK_BASE + register), &[0; 4])
    }

    const fn state(state: StreamState) -> Event {
        Event::Card(CardEvent::State { stream: 0, state })
    }

    #[test]
    fn messages_while_running_are_counted_as_the_card_does() {
        let counted = summary(&[
            (1, write(STATE)),
            (1, state(StreamState::Run)),
            (2, write(WRITTEN)),
            (3, Event::read(Region::Config, 0, &[0; 4])),
            (4, write(STATE)),
            (4, state(StreamState::Pause)),
            (5, write(WRITTEN)),
            (6, write(STATE)),
            (6, state(StreamState::Run)),
            // RUN is written again, and the client leaves: that is not what ends the run.
            (7, write(STATE)),
            (8, Event::Left),
            (8, Event::Card(CardEvent::Reset)),
        ]);
        let messages = counted.messages;
        assert_eq!((messages.total, messages.while_running.reads), (7, 1));
        assert_eq!((messages.while_running.written, messages.while_running.writes), (1, 1));
    }

    #[test]
    fn intervals_are_between_interrupts_of_one_run() {
        let msi = Event::Msi(0);
        let run =
            [(0, state(StreamState::Run)), (10, msi), (12, msi), (17, msi), (30, state(StreamState::Pause))];
        let again = [(500, msi), (600, state(StreamState::Run)), (700, msi), (703, msi)];
        let counted = summary(&[&run[..], &again].concat()).interrupts;
        let Intervals { count, min, median, max } = counted.intervals_ns.unwrap();
        assert_eq!((counted.total, count, min, median, max), (6, 3, 2, 3, 5));
        assert!(summary(&[(1, state(StreamState::Run)), (2, msi)]).interrupts.intervals_ns.is_none());
    }
}

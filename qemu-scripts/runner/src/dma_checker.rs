//! Checks the card's DMA: every transfer must lie in pages that the guest's kernel had given to the driver at
//! that moment, and no page may be taken back that a stream may still reach: one that it has read or written
//! since it left STOP. D3 is the exception: it has stopped the stream, the driver can say STOP only after D0,
//! and the guest's marks come then too. So what is freed before the stream's next state is owed, and paid if
//! that is STOP.
//!
//! The guest logs each page range with a mark and writes the mark to the card, whose trace therefore holds
//! marks and transfers in one order. The checker plays both together.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use ringwave_trace::{CardEvent, Dma, Event, Item, Reader, StreamState, TraceError};

use crate::guest_log::GuestLog;

/// Joins the card's trace with the guest's page log; gives a violation line (`rule=... detail`) for each
/// thing that is wrong.
pub fn check(guest: &GuestLog, trace: impl Read) -> Vec<String> {
    let mut checker = Checker::default();
    if let Err(error) = checker.read(guest, trace) {
        checker.wrong.push(format!("rule=dma-trace {error}"));
    }
    checker.trace_ends();
    if checker.marks < guest.pages.len() {
        checker.wrong.push(format!(
            "rule=dma-trace the card saw {} of the guest's {} marks",
            checker.marks,
            guest.pages.len()
        ));
    }
    checker.wrong
}

#[derive(Default)]
struct Checker {
    /// Live ranges: first address to length, never overlapping or touching.
    live: BTreeMap<u64, u64>,
    /// The pages that each stream which is not in STOP has reached.
    reached: BTreeMap<u32, BTreeSet<u64>>,
    d3hot: bool,
    /// The streams of `reached` that D3 has stopped and that had no state since D0, with what was freed of
    /// theirs meanwhile.
    slept: BTreeMap<u32, Vec<String>>,
    marks: usize,
    wrong: Vec<String>,
}

/// Bits of an address within its page.
const PAGE_BITS: u32 = 12;

impl Checker {
    /// Goes through the trace; an error ends it.
    fn read(&mut self, guest: &GuestLog, trace: impl Read) -> Result<(), TraceError> {
        let mut reader = Reader::new(trace)?;
        loop {
            match reader.next_item() {
                Ok(Some(Item::Record(record))) => self.event(guest, &record.event),
                Ok(Some(Item::Cut)) => {
                    self.wrong.push("rule=dma-trace the last line of the card's trace is cut".into());
                }
                Ok(None) => return Ok(()),
                Err(error @ (TraceError::Line(_) | TraceError::TimeGoesBack(_))) => {
                    self.wrong.push(format!("rule=dma-trace {error}"));
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn event(&mut self, guest: &GuestLog, event: &Event) {
        let event = match event {
            Event::Card(event) => event,
            Event::Left => return self.trace_ends(),
            Event::Lost(events) => {
                self.wrong.push(format!("rule=dma-trace {events} events are missing in the card's trace"));
                return;
            }
            _ => return,
        };
        let (kind, who, address, bytes) = match *event {
            CardEvent::Mark(mark) => return self.mark(guest, mark),
            CardEvent::State { stream, state } => return self.state(stream, state),
            CardEvent::Power { d3hot } => return self.power(d3hot),
            CardEvent::Reset => return self.reset(),
            CardEvent::Table { who, address, bytes } => ("dma-table", who, address, bytes),
            CardEvent::Read { who, address, bytes } => ("dma-read", who, address, bytes),
            CardEvent::Write { who, address, bytes } => ("dma-write", who, address, bytes),
            _ => return,
        };
        if let Dma::Stream(stream) = who {
            let last = address.saturating_add(bytes.saturating_sub(1));
            self.reached.entry(stream).or_default().extend(address >> PAGE_BITS..=last >> PAGE_BITS);
        }
        if !self.is_live(address, bytes) {
            self.wrong.push(format!(
                "rule=dma-outside-allocation {kind} of {bytes} bytes at {address:#x}: not the driver's pages"
            ));
        }
    }

    /// In STOP a stream reaches no memory (DATASHEET 5.1).
    fn state(&mut self, stream: u32, state: StreamState) {
        if state == StreamState::Stop {
            self.reached.remove(&stream);
        }
        // D3 itself moves a stream to PAUSE.
        if !self.d3hot {
            let owed = self.slept.remove(&stream).unwrap_or_default();
            if state != StreamState::Stop {
                self.wrong.extend(owed);
            }
        }
    }

    fn power(&mut self, d3hot: bool) {
        self.d3hot = d3hot;
        if d3hot {
            for stream in self.reached.keys() {
                self.slept.entry(*stream).or_default();
            }
        }
    }

    /// All streams are in STOP, in D0.
    fn reset(&mut self) {
        self.reached.clear();
        self.slept.clear();
        self.d3hot = false;
    }

    /// Nobody says STOP any more.
    fn trace_ends(&mut self) {
        let owed = std::mem::take(&mut self.slept);
        self.wrong.extend(owed.into_values().flatten());
    }

    fn mark(&mut self, guest: &GuestLog, mark: u32) {
        let Some(range) = guest.pages.get(&mark.into()) else {
            self.wrong.push(format!("rule=dma-trace mark {mark} is not in the guest's log"));
            return;
        };
        self.marks += 1;
        if range.given {
            self.give(range.base, range.bytes);
        } else {
            self.take(range.base, range.bytes);
            let pages = range.base >> PAGE_BITS..=range.base.saturating_add(range.bytes - 1) >> PAGE_BITS;
            let holder =
                self.reached.iter().find(|(_, reached)| reached.range(pages.clone()).next().is_some());
            if let Some((stream, _)) = holder {
                let freed = format!(
                    "rule=dma-freed {} bytes at {:#x} are freed while stream {stream}, which reaches them, is not in STOP",
                    range.bytes, range.base
                );
                self.slept.get_mut(stream).unwrap_or(&mut self.wrong).push(freed);
            }
        }
    }

    fn give(&mut self, base: u64, bytes: u64) {
        let (mut base, mut end) = (base, base.saturating_add(bytes));
        if let Some((&before, &length)) = self.live.range(..=base).next_back()
            && before.saturating_add(length) >= base
        {
            end = end.max(before.saturating_add(length));
            base = before;
        }
        while let Some((&next, &length)) = self.live.range(base..=end).next() {
            end = end.max(next.saturating_add(length));
            self.live.remove(&next);
        }
        self.live.insert(base, end - base);
    }

    fn take(&mut self, base: u64, bytes: u64) {
        let end = base.saturating_add(bytes);
        let touched: Vec<(u64, u64)> = self
            .live
            .range(..end)
            .map(|(&start, &length)| (start, start.saturating_add(length)))
            .filter(|(_, stop)| *stop > base)
            .collect();
        for (start, stop) in touched {
            self.live.remove(&start);
            if start < base {
                self.live.insert(start, base - start);
            }
            if stop > end {
                self.live.insert(end, stop - end);
            }
        }
    }

    fn is_live(&self, address: u64, bytes: u64) -> bool {
        let end = address.checked_add(bytes);
        self.live
            .range(..=address)
            .next_back()
            .is_some_and(|(start, length)| end.is_some_and(|end| end <= start.saturating_add(*length)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGES: &str = "ntguest: dma-alloc mark=1 base=0x1000 bytes=4096\n\
                         ntguest: dma-alloc mark=2 base=0x2000 bytes=4096\n\
                         ntguest: dma-free mark=3 base=0x1000 bytes=4096\n";

    /// The verdict on a trace with these events, one after the other.
    fn verdict(events: &[&str]) -> Vec<String> {
        let lines = events.iter().enumerate().map(|(time, event)| format!("{} {event}\n", time / 2));
        let first = "ringwave-trace 1 version=0.1.0\n".to_owned();
        let trace: Vec<String> = std::iter::once(first).chain(lines).collect();
        check(&GuestLog::parse(PAGES), trace.concat().as_bytes())
    }

    #[test]
    fn dma_within_live_pages_is_fine() {
        let trace = [
            "client connected",
            "mark 1",
            "mark 2",
            "region-write bar0 0x1010 4 0x00000003",
            "dma-table 0 0x1000 16",
            "state 0 run",
            "dma-read 0 0x1ff0 32",
            "dma-write selftest 0x1000 4",
            "state 0 stop",
            "mark 3",
            "dma-read 0 0x2000 4096",
            "client left",
            "reset",
        ];
        assert_eq!(verdict(&trace), Vec::<String>::new());
    }

    #[test]
    fn dma_before_between_and_after_is_named() {
        let wrong = verdict(&[
            "mark 1",
            "dma-read 0 0x2000 4",
            "mark 2",
            "mark 3",
            "dma-write selftest 0x1ffc 8",
            "dma-table 0 0x2ffe 4",
        ]);
        assert_eq!(wrong.len(), 3, "{wrong:?}");
        assert!(wrong.iter().all(|line| line.starts_with("rule=dma-outside-allocation")));
    }

    #[test]
    fn pages_that_a_stream_may_still_reach_are_named_when_they_are_freed() {
        let freed = |before: &[&str]| {
            let mut trace = vec!["mark 1", "mark 2", "state 0 acquire", "dma-table 0 0x2000 16"];
            trace.extend(["state 0 run", "dma-read 0 0x1ff0 32"]);
            trace.extend(before);
            trace.push("mark 3");
            verdict(&trace)
        };
        for late in [&[][..], &["state 0 pause"], &["state 1 stop"], &["state 0 acquire"]] {
            let wrong = freed(late);
            assert!(wrong.len() == 1 && wrong[0].starts_with("rule=dma-freed 4096 bytes"), "{wrong:?}");
        }
        for quiet in [&["state 0 stop"][..], &["reset"], &["state 0 stop", "state 0 acquire"]] {
            assert_eq!(freed(quiet), Vec::<String>::new());
        }
        // What the self-test read is its own affair: it is over.
        let tested = ["mark 1", "mark 2", "dma-read selftest 0x1000 4", "state 0 run", "mark 3"];
        assert_eq!(verdict(&tested), Vec::<String>::new());
    }

    #[test]
    fn what_is_freed_in_d3_is_owed_until_the_streams_next_state() {
        let slept = |after: &[&str]| {
            let mut trace = vec!["mark 1", "mark 2", "state 0 run", "dma-read 0 0x1ff0 32"];
            trace.extend(["state 1 run", "dma-read 1 0x2000 32", "power d3hot", "state 0 pause"]);
            trace.extend(after);
            verdict(&trace)
        };
        for paid in [
            &["power d0", "mark 3", "state 0 stop", "state 0 acquire", "client left"][..],
            &["mark 3", "power d0", "state 0 stop"],
            // Twice in D3 before anybody says STOP.
            &["power d0", "power d3hot", "power d0", "mark 3", "state 1 run", "state 0 stop"],
            // It had no power, and is in STOP.
            &["power d0", "reset", "mark 3"],
            &["power d0", "mark 3", "reset", "client left"],
        ] {
            assert_eq!(slept(paid), Vec::<String>::new(), "{paid:?}");
        }
        for owed in [
            &["power d0", "mark 3"][..],
            &["power d0", "mark 3", "client left", "reset"],
            &["power d0", "mark 3", "state 0 run", "state 0 stop"],
            &["power d0", "mark 3", "state 0 acquire"],
            &["power d0", "mark 3", "state 1 stop"],
            &["mark 3"],
            // It had a state since D0, and was not stopped.
            &["power d0", "state 0 run", "mark 3", "state 0 stop"],
        ] {
            let wrong = slept(owed);
            assert!(
                wrong.len() == 1 && wrong[0].starts_with("rule=dma-freed 4096 bytes"),
                "{owed:?}: {wrong:?}"
            );
        }
    }

    #[test]
    fn a_trace_with_holes_is_named() {
        for trace in [
            &["mark 1", "mark 2"][..],
            &["mark 1", "mark 2", "mark 3", "mark 9"],
            &["mark 1", "mark 2", "mark 3", "zebra"],
            &["mark 1", "mark 2", "mark 3", ""],
            &["mark 1", "mark 2", "mark 3", "dma-read 0 4096 4"],
            &["mark 1", "mark 2", "mark 3", "dma-read 0x2000 4"],
            &["mark 1", "mark 2", "lost 3", "mark 3", "client left"],
        ] {
            assert_eq!(verdict(trace).len(), 1, "{trace:?}");
        }
    }

    #[test]
    fn what_is_no_whole_trace_is_named() {
        let wrong = |trace: &str| check(&GuestLog::parse(""), trace.as_bytes());
        assert_eq!(wrong("ringwave-trace 1 x\n1 reset\n"), Vec::<String>::new());
        assert_eq!(wrong("1 reset\n").len(), 1, "no first line");
        assert_eq!(wrong("").len(), 1, "nothing at all");
        assert_eq!(wrong("ringwave-trace 1 x\n1 res").len(), 1, "cut");
        assert_eq!(wrong("ringwave-trace 1 x\n2 reset\n1 reset\n").len(), 1, "time goes back");
        assert_eq!(wrong("ringwave-trace 1 x\nreset\n").len(), 1, "no time");
    }
}

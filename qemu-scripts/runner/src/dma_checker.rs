//! Checks the card's DMA: every transfer must lie in pages that the guest's kernel had given to the driver at that moment.
//!
//! The guest logs each page range with a mark and writes the mark to the card, whose trace therefore holds marks and transfers in
//! one order. The checker plays both together.

use std::collections::BTreeMap;

use crate::guest_log::GuestLog;

/// How the trace of `ringwave serve --trace` begins.
const FIRST_WORDS: &str = "ringwave-trace 1 ";

/// Lines of the trace that are no DMA. What is not here and not checked is a line that nobody knows.
const NO_DMA: &[&str] = &[
    "client",
    "region-read",
    "region-write",
    "dma-map",
    "dma-unmap",
    "set-irqs",
    "device-reset",
    "flr",
    "state",
    "packet",
    "stall",
    "mark-seen",
    "ended",
    "power",
    "reset",
    "event",
    "msi",
    "intx",
    "note",
];

/// Joins the card's trace with the guest's page log; gives a violation line (`rule=... detail`) for each thing that is wrong.
pub fn check(guest: &GuestLog, trace: &str) -> Vec<String> {
    let mut checker = Checker::default();
    let mut lines = trace.lines();
    if !lines.next().is_some_and(|first| first.starts_with(FIRST_WORDS)) {
        checker.wrong.push("rule=dma-trace the card's trace has not the first line that was expected".into());
    }
    for line in lines {
        checker.line(guest, line);
    }
    if !trace.ends_with('\n') {
        checker.wrong.push("rule=dma-trace the last line of the card's trace is cut".into());
    }
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
    marks: usize,
    /// Of the line before.
    time: u64,
    wrong: Vec<String>,
}

impl Checker {
    fn line(&mut self, guest: &GuestLog, line: &str) {
        let Some((time, event)) =
            line.split_once(' ').and_then(|(time, event)| Some((time.parse().ok()?, event)))
        else {
            self.wrong.push(format!("rule=dma-trace a line that cannot be read: {line}"));
            return;
        };
        if time < self.time {
            self.wrong.push(format!("rule=dma-trace time goes back: {line}"));
        }
        self.time = time;
        let words: Vec<&str> = event.split(' ').collect();
        match words.as_slice() {
            ["mark", mark] => match mark.parse().ok().and_then(|mark: u64| guest.pages.get(&mark)) {
                Some(range) if range.given => {
                    self.marks += 1;
                    self.give(range.base, range.bytes);
                }
                Some(range) => {
                    self.marks += 1;
                    self.take(range.base, range.bytes);
                }
                None => self.wrong.push(format!("rule=dma-trace mark {mark} is not in the guest's log")),
            },
            [kind @ ("dma-read" | "dma-write" | "dma-table"), _who, address, bytes] => {
                let parsed = address.strip_prefix("0x").and_then(|hex| u64::from_str_radix(hex, 16).ok());
                match (parsed, bytes.parse::<u64>()) {
                    (Some(address), Ok(bytes)) if self.is_live(address, bytes) => {}
                    (Some(_), Ok(_)) => self.wrong.push(format!(
                        "rule=dma-outside-allocation {kind} of {bytes} bytes at {address}: not the driver's pages"
                    )),
                    _ => self.wrong.push(format!("rule=dma-trace a line that cannot be read: {line}")),
                }
            }
            [kind, ..] if NO_DMA.contains(kind) => {}
            ["lost", events] => {
                self.wrong.push(format!("rule=dma-trace {events} events are missing in the card's trace"));
            }
            _ => self.wrong.push(format!("rule=dma-trace a line that is not known: {line}")),
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
        let first = format!("{FIRST_WORDS}version=0.1.0\n");
        let trace: Vec<String> = std::iter::once(first).chain(lines).collect();
        check(&GuestLog::parse(PAGES), &trace.concat())
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
        let wrong = |trace: &str| check(&GuestLog::parse(""), trace);
        assert_eq!(wrong("ringwave-trace 1 x\n1 reset\n"), Vec::<String>::new());
        assert_eq!(wrong("1 reset\n").len(), 1, "no first line");
        assert_eq!(wrong("").len(), 2, "nothing at all");
        assert_eq!(wrong("ringwave-trace 1 x\n1 res").len(), 2, "cut");
        assert_eq!(wrong("ringwave-trace 1 x\n2 reset\n1 reset\n").len(), 1, "time goes back");
        assert_eq!(wrong("ringwave-trace 1 x\nreset\n").len(), 1, "no time");
    }
}

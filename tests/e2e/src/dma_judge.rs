//! Judges the card's DMA: every transfer must lie in pages that the guest's kernel had given to the driver at that moment.
//!
//! The guest logs each page range with a mark and writes the mark to the card, whose trace therefore holds marks and transfers in
//! one order. The judge plays both together.

use std::collections::BTreeMap;

use crate::guest_log::GuestLog;

/// Joins the card's trace with the guest's page log; gives a violation line (`rule=... detail`) for each thing that is wrong.
pub fn judge(guest: &GuestLog, trace: &str) -> Vec<String> {
    let mut judge = Judge::default();
    for line in trace.lines() {
        judge.line(guest, line);
    }
    if judge.marks < guest.pages.len() {
        judge.wrong.push(format!(
            "rule=dma-trace the card saw {} of the guest's {} marks",
            judge.marks,
            guest.pages.len()
        ));
    }
    judge.wrong
}

#[derive(Default)]
struct Judge {
    /// Live ranges: first address to length, never overlapping or touching.
    live: BTreeMap<u64, u64>,
    marks: usize,
    wrong: Vec<String>,
}

impl Judge {
    fn line(&mut self, guest: &GuestLog, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
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
            [kind @ ("read" | "write" | "table" | "selftest"), .., address, bytes] => {
                let parsed = address.strip_prefix("0x").and_then(|hex| u64::from_str_radix(hex, 16).ok());
                match (parsed, bytes.parse::<u64>()) {
                    (Some(address), Ok(bytes)) if self.is_live(address, bytes) => {}
                    (Some(_), Ok(_)) => self.wrong.push(format!(
                        "rule=dma-outside-allocation {kind} of {bytes} bytes at {address}: not the driver's pages"
                    )),
                    _ => self.wrong.push(format!("rule=dma-trace a line that cannot be read: {line}")),
                }
            }
            ["state", ..] | ["reset" | "client"] | [] => {}
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

    fn verdict(trace: &str) -> Vec<String> {
        judge(&GuestLog::parse(PAGES), trace)
    }

    #[test]
    fn dma_within_live_pages_is_fine() {
        let trace =
            "mark 1\nmark 2\nstate 0 RUN\ntable 0 0x1000 16\nread 0 0x1ff0 32\nmark 3\nread 0 0x2000 4096\n";
        assert_eq!(verdict(trace), Vec::<String>::new());
    }

    #[test]
    fn dma_before_between_and_after_is_named() {
        let wrong = verdict("mark 1\nread 0 0x2000 4\nmark 2\nmark 3\nread 0 0x1ffc 8\nread 0 0x2ffe 4\n");
        assert_eq!(wrong.len(), 3, "{wrong:?}");
        assert!(wrong.iter().all(|line| line.starts_with("rule=dma-outside-allocation")));
    }

    #[test]
    fn a_trace_with_holes_is_named() {
        assert_eq!(verdict("mark 1\nmark 2\n").len(), 1);
        assert_eq!(verdict("mark 1\nmark 2\nmark 3\nmark 9\n").len(), 1);
        assert_eq!(verdict("mark 1\nmark 2\nmark 3\nzebra\n").len(), 1);
        assert_eq!(verdict("mark 1\nmark 2\nlost 3\nmark 3\nclient\n").len(), 1);
    }
}

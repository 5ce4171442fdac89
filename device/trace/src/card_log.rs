//! What a card says while its lock is held: lines of the trace and of the log, in bounded buffers that are
//! kept for the next use.

use crate::{CardEvent, Diagnostic, Dma, ErrorName, Event, TraceRecord};

/// Events of the trace that may wait: some 60 MB.
const TRACE_MAX: usize = 1 << 20;
/// Diagnostics that may wait.
const DIAGNOSTICS_MAX: usize = 256;

/// Events and diagnostics that wait for whoever writes them, in order. `E` is the card's type of an error.
#[derive(Debug)]
pub struct CardRecords<E> {
    /// The trace. When there was no room its last event is [`Event::Lost`].
    pub trace: Vec<TraceRecord>,
    /// For the log. What there was no room for is in the trace only.
    pub diagnostics: Vec<Diagnostic<E>>,
}

impl<E> Default for CardRecords<E> {
    fn default() -> Self {
        Self { trace: Vec::new(), diagnostics: Vec::new() }
    }
}

impl<E> CardRecords<E> {
    /// Puts an event into the trace, `time` nanoseconds after the card was made.
    pub fn record(&mut self, time: u64, event: Event) {
        let full = self.trace.len() >= TRACE_MAX;
        match self.trace.last_mut() {
            Some(TraceRecord { event: Event::Lost(lost), .. }) => *lost = lost.saturating_add(1),
            _ if full => self.trace.push(TraceRecord { time, event: Event::Lost(1) }),
            _ => self.trace.push(TraceRecord { time, event }),
        }
    }

    /// The log of one call into the card. `time`: what its events have as their time, nanoseconds after the
    /// card was made; `None` = nobody wants the trace.
    pub fn log(&mut self, time: Option<u64>) -> CardLog<'_, E> {
        CardLog { records: self, time }
    }

    /// What the card itself did, without the times and without what came from the client.
    pub fn card_events(&self) -> impl Iterator<Item = CardEvent> {
        self.trace.iter().filter_map(|record| match record.event {
            Event::Card(event) => Some(event),
            _ => None,
        })
    }

    /// Forgets everything, but keeps the buffers.
    pub fn clear(&mut self) {
        self.trace.clear();
        self.diagnostics.clear();
    }
}

/// Where the card puts what happens during one call.
#[derive(Debug)]
pub struct CardLog<'a, E> {
    records: &'a mut CardRecords<E>,
    time: Option<u64>,
}

impl<E> CardLog<'_, E> {
    /// The same log, for whom the card calls.
    #[inline]
    pub fn reborrow(&mut self) -> CardLog<'_, E> {
        CardLog { records: self.records, time: self.time }
    }

    /// Whether anybody wants the trace.
    pub fn is_traced(&self) -> bool {
        self.time.is_some()
    }

    /// Puts an event into the trace, if anybody wants it.
    #[inline]
    pub fn record(&mut self, event: CardEvent) {
        if let Some(time) = self.time {
            self.records.record(time, Event::Card(event));
        }
    }

    /// Puts the read of a slot of a table into the trace: neighbouring slots are one line.
    pub fn record_slot(&mut self, who: Dma, slot: u64, slot_bytes: u32) {
        let Some(now) = self.time else { return };
        match self.records.trace.last_mut() {
            Some(TraceRecord {
                time,
                event: Event::Card(CardEvent::Table { who: last, address, bytes }),
            }) if *time == now && *last == who && address.checked_add(*bytes) == Some(slot) => {
                *bytes += u64::from(slot_bytes);
            }
            _ => self.record(CardEvent::Table { who, address: slot, bytes: slot_bytes.into() }),
        }
    }
}

impl<E: Copy> CardLog<'_, E> {
    /// Puts a diagnostic into the log and, with the error's name, into the trace.
    pub fn diagnose_as(&mut self, diagnostic: Diagnostic<E>, name: impl FnOnce(E) -> ErrorName) {
        if self.records.diagnostics.len() < DIAGNOSTICS_MAX {
            self.records.diagnostics.push(diagnostic);
        }
        self.record(CardEvent::Diagnostic(diagnostic.map_error(name)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Records = CardRecords<ErrorName>;

    #[test]
    fn what_there_was_no_room_for_is_counted_in_its_place() {
        let mut records = Records::default();
        for time in 0..TRACE_MAX as u64 + 7 {
            records.record(time, Event::Msi(0));
        }
        assert_eq!(records.trace.len(), TRACE_MAX + 1);
        let lost = TraceRecord { time: TRACE_MAX as u64, event: Event::Lost(7) };
        assert_eq!(records.trace.last(), Some(&lost));
        records.clear();
        records.record(1, Event::Msi(0));
        assert_eq!(records.trace, [TraceRecord { time: 1, event: Event::Msi(0) }]);
    }

    #[test]
    fn neighbouring_slots_of_one_call_are_one_line() {
        let mut records = Records::default();
        let who = Dma::Stream(3);
        for (time, slots) in [(1, [0x100, 0x110]), (2, [0x120, 0x140])] {
            let mut log = records.log(Some(time));
            for slot in slots {
                log.record_slot(who, slot, 16);
            }
        }
        let lines: Vec<(u64, u64)> = records
            .card_events()
            .filter_map(|event| match event {
                CardEvent::Table { address, bytes, .. } => Some((address, bytes)),
                _ => None,
            })
            .collect();
        assert_eq!(lines, [(0x100, 32), (0x120, 16), (0x140, 16)]);
    }

    #[test]
    fn diagnostics_are_bounded_and_in_the_trace_only_if_there_is_one() {
        let mut records = Records::default();
        for _ in 0..2 * DIAGNOSTICS_MAX {
            records.log(None).diagnose_as(Diagnostic::NotLockstep { stream: 0 }, |name| name);
        }
        assert_eq!((records.diagnostics.len(), records.trace.capacity()), (DIAGNOSTICS_MAX, 0));
        records.log(Some(5)).diagnose_as(Diagnostic::NotLockstep { stream: 0 }, |name| name);
        assert_eq!(records.card_events().count(), 1);
    }
}

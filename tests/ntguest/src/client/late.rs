//! The book of a client that plays packets in real time: which packets had no data when their time came. The
//! host, which hears what was played, needs it to judge: what was heard less the silence that is counted is
//! what was sent.

use alloc::vec::Vec;
use core::fmt;

/// More packets than this are not listed; a run so late proves nothing.
const MOST: usize = 1000;

/// Numbers of packets, as a result value: `3,4,9` or `none`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Numbers(Vec<u32>);

impl Numbers {
    /// Adds the packets from `from` up to but not including `to`.
    pub fn add(&mut self, from: u32, to: u32) {
        let room = MOST.saturating_sub(self.0.len());
        self.0.extend((from..to).take(room));
    }
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, rest)) = self.0.split_first() else { return f.write_str("none") };
        write!(f, "{first}")?;
        rest.iter().try_for_each(|number| write!(f, ",{number}"))
    }
}

/// What became of the packets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LateBook {
    /// Passed over: the card plays silence for them.
    pub late: Numbers,
    /// Accepted, but perhaps only after they had begun: the card may have begun them with silence.
    pub unsure: Numbers,
    /// Handed over when they were being played: heard in part, and their piece once more with the next
    /// number.
    pub partial: Numbers,
}

impl LateBook {
    /// After packet `number` was accepted so many packets were complete: it may have begun before it was
    /// accepted.
    pub fn accepted(&mut self, number: u32, complete: u32) {
        if complete >= number {
            self.unsure.add(number, number.saturating_add(1));
        }
    }

    /// What is wrong with so many glitches reported while these packets were late: an audio driver reports a
    /// glitch when it detects one (the page on glitch reporting), and where every packet came in time there
    /// was none.
    pub fn misreported(&self, reports: u32) -> Option<&'static str> {
        let late = !self.late.0.is_empty() || !self.partial.0.is_empty();
        // Packet 0 is written before RUN: no other can be complete then.
        let unsure = self.unsure.0.iter().any(|number| *number > 0);
        match reports {
            0 if late => Some("packets came too late, and no glitch is reported"),
            1.. if !late && !unsure => Some("a glitch is reported, and every packet came in time"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn the_book_reads_as_a_list() {
        let mut book = LateBook::default();
        assert_eq!(book.late.to_string(), "none");
        book.late.add(3, 5);
        book.late.add(9, 10);
        book.late.add(12, 12);
        assert_eq!(book.late.to_string(), "3,4,9");
    }

    #[test]
    fn only_what_had_not_begun_is_sure() {
        let mut book = LateBook::default();
        book.accepted(5, 4);
        assert_eq!(book.unsure, Numbers::default());
        book.accepted(6, 6);
        assert_eq!(book.unsure.to_string(), "6");
    }

    #[test]
    fn glitches_are_reported_when_there_are_some_and_only_then() {
        let mut book = LateBook::default();
        assert_eq!(book.misreported(0), None);
        assert!(book.misreported(1).is_some());
        book.accepted(0, 0);
        assert!(book.misreported(1).is_some(), "before RUN");
        book.accepted(6, 6);
        assert_eq!((book.misreported(0), book.misreported(1)), (None, None), "nobody knows");
        book.late.add(3, 5);
        assert!(book.misreported(0).is_some());
        assert_eq!(book.misreported(1), None, "one report may tell of both");
        let mut book = LateBook::default();
        book.partial.add(4, 5);
        assert!(book.misreported(0).is_some(), "it began with silence");
    }

    #[test]
    fn the_list_is_bounded() {
        let mut numbers = Numbers::default();
        numbers.add(0, u32::MAX);
        assert_eq!(numbers.0.len(), MOST);
    }
}

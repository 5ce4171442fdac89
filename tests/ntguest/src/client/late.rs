//! The book of a client that plays packets in real time: which packets had no data when their time came. The host, which hears what was
//! played, needs it to judge: what was heard less the silence that is counted is what was sent.

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
    /// Handed over when they were being played: heard in part, and their piece once more with the next number.
    pub partial: Numbers,
}

impl LateBook {
    /// After packet `number` was accepted so many packets were complete: it may have begun before it was accepted.
    pub fn accepted(&mut self, number: u32, complete: u32) {
        if complete >= number {
            self.unsure.add(number, number.saturating_add(1));
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
    fn the_list_is_bounded() {
        let mut numbers = Numbers::default();
        numbers.add(0, u32::MAX);
        assert_eq!(numbers.0.len(), MOST);
    }
}

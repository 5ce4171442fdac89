//! Packets of a capture stream: which one a client may read next. The rules of WAVERT.md 4.7.
//!
//! The buffer holds as many packets as it has places, less the one that is being recorded over. Sources
//! disagree about which of them GetReadPacket names ("the most recent", and "call again while there is
//! more"): here it is the oldest that was not read and is still whole, so that a client that comes late by
//! one packet loses nothing, and one that is in time gets the most recent.

/// What GetReadPacket answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// The packet's number.
    pub number: u32,
    /// A newer complete one is there.
    pub more: bool,
}

/// The packets that were read since STOP.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reads {
    /// The first packet that was not read.
    next: u32,
    /// There was one.
    any: bool,
}

impl Reads {
    /// STOP: numbers start at 0 again.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// The packet that was read last; `None` before the first.
    pub fn last(&self) -> Option<u32> {
        self.any.then(|| self.next.wrapping_sub(1))
    }

    /// The next packet to read; `None` if there is none. `count`: packets that are complete since STOP;
    /// `whole`: how many of the last of them still stand in the buffer, at least 1.
    pub fn next(&mut self, count: u32, whole: u32) -> Option<Read> {
        let unread = count.wrapping_sub(self.next);
        // More than half of all numbers away: the count is behind what was read.
        if unread == 0 || unread > u32::MAX / 2 {
            return None;
        }
        let there = unread.min(whole.max(1));
        let number = count.wrapping_sub(there);
        self.next = number.wrapping_add(1);
        self.any = true;
        Some(Read { number, more: there > 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(reads: &mut Reads, count: u32, whole: u32) -> Option<(u32, bool)> {
        reads.next(count, whole).map(|read| (read.number, read.more))
    }

    #[test]
    fn each_packet_is_read_once_and_in_order() {
        let mut reads = Reads::default();
        assert_eq!(read(&mut reads, 0, 1), None);
        assert_eq!(read(&mut reads, 1, 1), Some((0, false)));
        assert_eq!(read(&mut reads, 1, 1), None);
        assert_eq!(read(&mut reads, 3, 2), Some((1, true)), "both places are whole while the card waits");
        assert_eq!(read(&mut reads, 3, 2), Some((2, false)));
        assert_eq!(read(&mut reads, 9, 1), Some((8, false)), "the oldest are lost, numbers tell");
        reads.reset();
        assert_eq!(read(&mut reads, 1, 1), Some((0, false)));
    }

    #[test]
    fn numbers_wrap() {
        let mut reads = Reads { next: u32::MAX, ..Reads::default() };
        assert_eq!(read(&mut reads, 0, 1), Some((u32::MAX, false)));
        assert_eq!(read(&mut reads, 0, 1), None);
        assert_eq!(read(&mut reads, u32::MAX, 1), None, "never back");
        assert_eq!(read(&mut reads, 1, 1), Some((0, false)));
    }
}

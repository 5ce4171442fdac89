//! How a file becomes packets: which bytes a piece of it holds, which one is last, and where it lies in the
//! cyclic buffer.
//!
//! A piece has the number of its packet as long as the client is in time. In real time a packet that comes
//! too late is gone, and its piece goes out with the next number.

/// A file cut into packets.
#[derive(Clone, Copy)]
pub struct Packets<'a> {
    data: &'a [u8],
    packet_bytes: usize,
    slots: u32,
}

/// One packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// What it holds; shorter than a packet when it is the last one.
    pub data: &'a [u8],
    /// Where it lies in the cyclic buffer, bytes.
    pub offset: usize,
    /// The stream ends with it.
    pub last: bool,
}

impl<'a> Packets<'a> {
    /// Cuts `data` into packets of `packet_bytes`, `slots` of which are in the cyclic buffer. `None` for
    /// sizes of zero.
    pub fn new(data: &'a [u8], packet_bytes: usize, slots: u32) -> Option<Self> {
        (packet_bytes > 0 && slots > 0).then_some(Self { data, packet_bytes, slots })
    }

    /// Number of packets: at least one, because the end of the stream needs a packet to be announced with.
    pub fn count(&self) -> u32 {
        u32::try_from(self.data.len().div_ceil(self.packet_bytes).max(1)).unwrap_or(u32::MAX)
    }

    /// Piece `piece` of the file as packet `number` of the stream, or `None` after the last.
    pub fn get(&self, piece: u32, number: u32) -> Option<Packet<'a>> {
        let count = self.count();
        if piece >= count {
            return None;
        }
        let begin = self.packet_bytes.checked_mul(piece as usize)?;
        let end = begin.saturating_add(self.packet_bytes).min(self.data.len());
        let offset = (number % self.slots) as usize * self.packet_bytes;
        Some(Packet { data: self.data.get(begin..end)?, offset, last: piece == count - 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packets_are_the_file() {
        let data: alloc::vec::Vec<u8> = (0..=250).collect();
        for packet_bytes in [1, 4, 100, 250, 251, 252, 1000] {
            let packets = Packets::new(&data, packet_bytes, 2).unwrap();
            let mut joined: alloc::vec::Vec<u8> = alloc::vec::Vec::new();
            for n in 0..packets.count() {
                let packet = packets.get(n, n).unwrap();
                assert_eq!(packet.last, n + 1 == packets.count());
                assert_eq!(packet.offset, (n as usize % 2) * packet_bytes);
                assert!(!packet.data.is_empty());
                joined.extend(packet.data);
            }
            assert_eq!(joined, data);
            assert_eq!(packets.get(packets.count(), 0), None);
        }
    }

    #[test]
    fn a_piece_that_came_too_late_goes_out_with_a_later_number() {
        let data = [1, 2, 3, 4, 5];
        let packets = Packets::new(&data, 2, 2).unwrap();
        assert_eq!(packets.get(1, 4), Some(Packet { data: &[3, 4], offset: 0, last: false }));
        assert_eq!(packets.get(2, 5), Some(Packet { data: &[5], offset: 2, last: true }));
    }

    #[test]
    fn an_empty_file_is_one_empty_last_packet() {
        let packets = Packets::new(&[], 64, 2).unwrap();
        assert_eq!(packets.count(), 1);
        assert_eq!(packets.get(0, 0), Some(Packet { data: &[], offset: 0, last: true }));
    }
}

//! How a file becomes packets: which bytes packet `n` holds, which one is last, and where it lies in the cyclic buffer.

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
    /// Cuts `data` into packets of `packet_bytes`, `slots` of which are in the cyclic buffer. `None` for sizes of zero.
    pub fn new(data: &'a [u8], packet_bytes: usize, slots: u32) -> Option<Self> {
        (packet_bytes > 0 && slots > 0).then_some(Self { data, packet_bytes, slots })
    }

    /// Number of packets: at least one, because the end of the stream needs a packet to be announced with.
    pub fn count(&self) -> u32 {
        u32::try_from(self.data.len().div_ceil(self.packet_bytes).max(1)).unwrap_or(u32::MAX)
    }

    /// Packet `n`, or `None` after the last.
    pub fn get(&self, n: u32) -> Option<Packet<'a>> {
        let count = self.count();
        if n >= count {
            return None;
        }
        let begin = self.packet_bytes.checked_mul(n as usize)?;
        let end = begin.saturating_add(self.packet_bytes).min(self.data.len());
        let offset = (n % self.slots) as usize * self.packet_bytes;
        Some(Packet { data: self.data.get(begin..end)?, offset, last: n == count - 1 })
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
                let packet = packets.get(n).unwrap();
                assert_eq!(packet.last, n + 1 == packets.count());
                assert_eq!(packet.offset, (n as usize % 2) * packet_bytes);
                assert!(!packet.data.is_empty());
                joined.extend(packet.data);
            }
            assert_eq!(joined, data);
            assert_eq!(packets.get(packets.count()), None);
        }
    }

    #[test]
    fn an_empty_file_is_one_empty_last_packet() {
        let packets = Packets::new(&[], 64, 2).unwrap();
        assert_eq!(packets.count(), 1);
        assert_eq!(packets.get(0), Some(Packet { data: &[], offset: 0, last: true }));
    }
}

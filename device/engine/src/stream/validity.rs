//! What says "this much is valid": how far a client has promised its data, and how it says so.

/// How far the data of a render stream is valid, or (capture) how far there is room: what a client has said
/// so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Validity {
    /// The client says nothing and keeps ahead of the position by itself. A burst is then fetched no earlier
    /// than the depth that the client was told. Whether data was there in time is unknown. HD Audio is always
    /// so.
    #[default]
    Unmarked,
    /// Every packet up to and including this one, modulo 2^32. Capture: every packet up to this one was
    /// taken, and its place in the buffer is free.
    Packet(u32),
    /// Every frame before this one, counted like the position: the client queues buffers, and they end here
    /// (virtio).
    Frame(u64),
}

impl Validity {
    /// Whether the client says at all what is valid.
    pub const fn is_marked(self) -> bool {
        !matches!(self, Self::Unmarked)
    }

    /// Whether this promises more than `other`. A stream is marked in one way: two ways do not compare.
    pub const fn is_further(self, other: Self) -> bool {
        match (self, other) {
            (Self::Packet(packet), Self::Packet(other)) => ahead_of(packet, other) > 0,
            (Self::Frame(frame), Self::Frame(other)) => frame > other,
            (Self::Packet(_) | Self::Frame(_), Self::Unmarked) => true,
            _ => false,
        }
    }

    /// Whether this takes back what `other` promises.
    pub const fn goes_back(self, other: Self) -> bool {
        match (self, other) {
            (Self::Packet(packet), Self::Packet(other)) => ahead_of(packet, other) < 0,
            (Self::Frame(frame), Self::Frame(other)) => frame < other,
            (Self::Unmarked, Self::Packet(_) | Self::Frame(_)) => true,
            _ => false,
        }
    }
}

/// What a client has said, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// What is valid.
    pub valid: Validity,
    /// Device clock at which the client said it, as far as that is known.
    pub clock: Option<u64>,
}

/// Why it is looked what a client has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// In passing: at an end of a burst, or because the client accesses the stream.
    Passing,
    /// The client said that there is something new.
    Told,
    /// Nobody said anything, and the stream has been stalled for a while.
    Poll,
}

/// How far packet number `packet` is ahead of `other`, modulo 2^32.
pub const fn ahead_of(packet: u32, other: u32) -> i32 {
    packet.wrapping_sub(other).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Validity::{Frame, Packet, Unmarked};

    #[test]
    fn further_is_modulo_2_to_the_32_for_packets_and_plain_for_frames() {
        for (more, less) in
            [(Packet(0), Unmarked), (Frame(0), Unmarked), (Packet(1), Packet(u32::MAX)), (Frame(9), Frame(8))]
        {
            assert!(more.is_further(less) && !less.is_further(more), "{more:?} {less:?}");
            assert!(less.goes_back(more) && !more.goes_back(less), "{more:?} {less:?}");
        }
        for same in [Unmarked, Packet(7), Frame(7)] {
            assert!(!same.is_further(same) && !same.goes_back(same));
        }
        let opposite = Packet(1 << 31);
        assert!(
            opposite.goes_back(Packet(0)) && !opposite.is_further(Packet(0)),
            "half the circle is back, never ahead"
        );
        assert!(!Packet(9).is_further(Frame(1)) && !Frame(9).is_further(Packet(1)));
    }
}

//! Where a stream of a card stands, read in one piece.

/// A point on the line that the position is, and the line's slope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Device clock of the point, in ticks.
    pub clock: u64,
    /// Frames since STOP at that clock value.
    pub frame: u64,
    /// Frames per tick, numerator; 0 = frozen.
    pub rate_num: u32,
    /// Frames per tick, denominator.
    pub rate_den: u32,
}

/// What a card says of one of its streams, consistent in itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// What went wrong last, in the card's own words.
    pub error: Option<&'static str>,
    /// Failed transfers since reset.
    pub dma_faults: u32,
    /// The card's time stands still while it waits for the client.
    pub lockstep: bool,
    /// The packet before which the card stands still, because it was not marked.
    pub stalled_on: Option<u32>,
    /// Packets completed since STOP.
    pub packet_count: u32,
    /// Where the position is.
    pub anchor: Anchor,
    /// Device clock at which the last packet was complete; 0 before.
    pub packet_clock: u64,
    /// Device clock at which that packet's first frame began to move; 0 before.
    pub packet_start_clock: u64,
    /// Packets played as silence because they were not marked, since reset.
    pub underruns: u32,
}

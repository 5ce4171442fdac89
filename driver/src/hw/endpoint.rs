//! A stream of a card: which way sound goes, what it takes and what its card can do for it. To Windows each
//! is a pair of speakers or a microphone, with filters of its own.

use super::format::Capabilities;

/// Which way sound goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the guest to the card.
    Render,
    /// From the card to the guest.
    Capture,
}

/// A stream of the card. All of it is fixed since the card was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The card's number of the stream.
    pub stream: u32,
    /// Which way sound goes.
    pub direction: Direction,
    /// The formats that it takes.
    pub can: Capabilities,
    /// What the card can and can't do for it.
    pub limits: Limits,
}

impl Endpoint {
    /// Whether it captures.
    pub const fn captures(self) -> bool {
        matches!(self.direction, Direction::Capture)
    }
}

/// What a card can and can't do for a stream.
#[allow(clippy::struct_excessive_bools, reason = "no one depends on another")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The highest physical address that the card reaches.
    pub dma_highest: u64,
    /// The longest cyclic buffer, in bytes.
    pub buffer_bytes_max: u32,
    /// The most pieces of contiguous memory that a cyclic buffer may be in; 1: it must be contiguous.
    pub segments_max: u32,
    /// The card can start in the middle of a stream ([`Card::start_at`](super::Card::start_at)).
    pub start_frame: bool,
    /// In D3 the card may forget what was marked valid although the stream keeps its state: the last mark is
    /// made again before each RUN.
    pub forgets_marks: bool,
    /// The card has registers with the position that a client can map
    /// ([`Card::position_registers`](super::Card::position_registers)).
    pub position_registers: bool,
    /// The lowest volume of a channel, in 1/65536 dB; the highest is 0 dB. `None`: no volume, and no mute.
    pub volume_min: Option<i32>,
    /// The card knows whether something is plugged into the jack.
    pub jack: bool,
    /// Ticks of the card's clock per second, not 0.
    pub clock_hz: u32,
}

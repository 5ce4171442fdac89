//! What a stream of the card is to Windows: a pair of speakers or a microphone, with filters of its own.

use crate::wave::format::Abilities;

/// Which way sound goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the guest to the card.
    Render,
    /// From the card to the guest.
    Capture,
}

/// A stream of the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The card's number of the stream.
    pub stream: u32,
    /// Which way it goes.
    pub direction: Direction,
    /// What it takes.
    pub can: Abilities,
}

impl Endpoint {
    /// Whether it captures.
    pub const fn captures(self) -> bool {
        matches!(self.direction, Direction::Capture)
    }
}

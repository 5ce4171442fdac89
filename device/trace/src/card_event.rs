//! What happens inside a card.

use crate::Diagnostic;

/// What the trace tells of the inside of the card, in exact order. What comes from the client is in
/// [`crate::Event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardEvent {
    /// The guest wrote `TRACE_MARK`.
    Mark(u32),
    /// A stream changed its state.
    State {
        /// Stream number.
        stream: u32,
        /// The new state.
        state: StreamState,
    },
    /// Slots of a scatter-gather table were read.
    Table {
        /// Whose table.
        who: Dma,
        /// Guest physical address.
        address: u64,
        /// Length in bytes.
        bytes: u64,
    },
    /// Data was read from guest RAM.
    Read {
        /// Whose data.
        who: Dma,
        /// Guest physical address.
        address: u64,
        /// Length in bytes.
        bytes: u64,
    },
    /// Data was stored to guest RAM.
    Write {
        /// Whose data.
        who: Dma,
        /// Guest physical address.
        address: u64,
        /// Length in bytes.
        bytes: u64,
    },
    /// A packet was completed.
    Packet {
        /// Stream number.
        stream: u32,
        /// `PACKET_COUNT`: packets completed since STOP, this one included, modulo 2^32.
        count: u32,
    },
    /// A stream stalls.
    Stall {
        /// Stream number.
        stream: u32,
        /// The packet it waits for.
        packet: u32,
    },
    /// The card has seen a new mark in a stream's mark page (DATASHEET 7.4).
    MarkSeen {
        /// Stream number.
        stream: u32,
        /// The packet that it marks.
        packet: u32,
    },
    /// A stream has played its end of stream.
    Ended {
        /// Stream number.
        stream: u32,
    },
    /// A stream had an event (DATASHEET 2.1): what an interrupt is raised for.
    Event {
        /// Stream number.
        stream: u32,
    },
    /// The power state has changed: `true` = D3hot, `false` = D0.
    Power {
        /// The new state.
        d3hot: bool,
    },
    /// Something that also goes to the log.
    Diagnostic(Diagnostic),
    /// The function was reset; its power state is D0.
    Reset,
}

/// What a stream does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamState {
    /// It has no buffer.
    Stop,
    /// It has a buffer.
    Acquire,
    /// It is ready, and stands still.
    Pause,
    /// Its time moves.
    Run,
}

impl StreamState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Stop, Self::Acquire, Self::Pause, Self::Run];

    /// The word for it in a trace.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Acquire => "acquire",
            Self::Pause => "pause",
            Self::Run => "run",
        }
    }
}

/// What a DMA transfer was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dma {
    /// The stream with this number.
    Stream(u32),
    /// The DMA self-test.
    SelfTest,
    /// HD Audio's command ring (CORB: reads) and response ring (RIRB: writes).
    Rings,
    /// HD Audio's position buffer.
    Positions,
}

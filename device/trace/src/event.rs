//! What a trace is made of: one [`Event`] after the other, each with its time.

use crate::{CardEvent, Diagnostic, Dma};

/// An event and when it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceRecord {
    /// Nanoseconds since the card was made. Never goes back from one event to the next.
    pub time: u64,
    /// What happened.
    pub event: Event,
}

/// One thing that happened. Small and without a heap, for it is made with the card's lock held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The first message of a client came.
    Connected,
    /// The client has left.
    Left,
    /// A read, when it was done.
    RegionRead {
        /// Where.
        region: Region,
        /// Offset in the region in bytes.
        offset: u64,
        /// What the client got.
        data: Data,
    },
    /// A write, before it was done.
    RegionWrite {
        /// Where.
        region: Region,
        /// Offset in the region in bytes.
        offset: u64,
        /// What the client wrote.
        data: Data,
    },
    /// `DMA_MAP`.
    DmaMap {
        /// First address.
        address: u64,
        /// Length in bytes.
        bytes: u64,
        /// The card may read it.
        read: bool,
        /// The card may store to it.
        write: bool,
        /// It came with a file descriptor: it is memory, and not a ROM or a BAR.
        fd: bool,
        /// It was not refused.
        taken: bool,
    },
    /// `DMA_UNMAP` of a range that holds maps.
    DmaUnmap {
        /// First address.
        address: u64,
        /// Length in bytes.
        bytes: u64,
    },
    /// `DMA_UNMAP` of everything.
    DmaUnmapAll,
    /// `SET_IRQS` for an interrupt that the card raises.
    SetIrqs {
        /// Which.
        kind: IrqKind,
        /// What the client asks.
        change: IrqChange,
    },
    /// `SET_IRQS` for an interrupt that the card never raises.
    SetOtherIrqs,
    /// `DEVICE_RESET`.
    DeviceReset,
    /// The write of configuration space before this one was a function-level reset.
    FunctionLevelReset,
    /// The host plugged something into a stream's jack, or pulled it out.
    Jack {
        /// Stream number.
        stream: u32,
        /// It is plugged now.
        plugged: bool,
    },
    /// Something inside the card.
    Card(CardEvent),
    /// An MSI message was sent to a listener.
    Msi(u32),
    /// The level of `INTx` after Interrupt Disable has changed to asserted or deasserted.
    IntxLevel(bool),
    /// The listener of `INTx` was signalled.
    IntxRaised,
    /// So many events are missing here.
    Lost(u64),
}

/// A region of the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    /// BAR 0.
    Registers,
    /// BAR 2.
    Pages,
    /// Configuration space.
    Config,
}

impl Region {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Registers, Self::Pages, Self::Config];

    /// The word for it in a trace.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Registers => "bar0",
            Self::Pages => "bar2",
            Self::Config => "config",
        }
    }
}

/// A kind of interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IrqKind {
    /// Messages.
    Msi,
    /// The line.
    Intx,
}

impl IrqKind {
    /// The word for it in a trace.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Msi => "msi",
            Self::Intx => "intx",
        }
    }
}

/// What a client asks of an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IrqChange {
    /// Eventfds for `count` numbers from `start` on; the first `fds` of them have one, the others none any
    /// more.
    Connect {
        /// First number.
        start: u32,
        /// How many numbers.
        count: u32,
        /// How many eventfds.
        fds: u32,
    },
    /// No eventfds any more.
    Disconnect,
    /// Raise `count` numbers from `start` on.
    Trigger {
        /// First number.
        start: u32,
        /// How many.
        count: u32,
    },
    /// Hold it back.
    Mask,
    /// Let it through.
    Unmask,
}

/// How many bytes of an access are kept.
pub const HEAD_BYTES: usize = 16;

/// The data of an access: its length, and its first 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data {
    bytes: u32,
    head: [u8; HEAD_BYTES],
}

impl Data {
    /// The data `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self::new(u32::try_from(bytes.len()).unwrap_or(u32::MAX), bytes)
    }

    /// Data of `bytes` bytes that begins with `start`; what is missing is 0, what is too much is cut off.
    pub fn new(bytes: u32, start: &[u8]) -> Self {
        let mut head = [0; HEAD_BYTES];
        for (to, byte) in head.iter_mut().zip(start).take(bytes as usize) {
            *to = *byte;
        }
        Self { bytes, head }
    }

    /// The length in bytes.
    pub const fn bytes(&self) -> u32 {
        self.bytes
    }

    /// What is known of it.
    pub fn head(&self) -> &[u8] {
        self.head.get(..self.bytes as usize).unwrap_or(&self.head)
    }

    /// The number that it is, if it is as long as a number.
    pub fn value(&self) -> Option<u64> {
        let number = u64::from_le_bytes(*self.head.first_chunk()?);
        matches!(self.bytes, 1 | 2 | 4 | 8).then_some(number)
    }
}

impl Event {
    /// A read that gave `data`.
    pub fn read(region: Region, offset: u64, data: &[u8]) -> Self {
        Self::RegionRead { region, offset, data: Data::of(data) }
    }

    /// A write of `data`.
    pub fn write(region: Region, offset: u64, data: &[u8]) -> Self {
        Self::RegionWrite { region, offset, data: Data::of(data) }
    }

    /// The stream that it is about, if it is about one. Accesses are not looked into.
    pub const fn stream(&self) -> Option<u32> {
        match *self {
            Self::Jack { stream, .. }
            | Self::Card(
                CardEvent::State { stream, .. }
                | CardEvent::Packet { stream, .. }
                | CardEvent::Stall { stream, .. }
                | CardEvent::MarkSeen { stream, .. }
                | CardEvent::Ended { stream }
                | CardEvent::Event { stream }
                | CardEvent::Table { who: Dma::Stream(stream), .. }
                | CardEvent::Read { who: Dma::Stream(stream), .. }
                | CardEvent::Write { who: Dma::Stream(stream), .. }
                | CardEvent::Diagnostic(
                    Diagnostic::Refused { stream: Some(stream), .. }
                    | Diagnostic::NotLockstep { stream }
                    | Diagnostic::Underrun { stream, .. }
                    | Diagnostic::Overrun { stream, .. }
                    | Diagnostic::DmaFault { stream, .. },
                ),
            ) => Some(stream),
            _ => None,
        }
    }
}

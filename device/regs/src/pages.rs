//! The pages in the mapped BAR: what a guest reads, and marks packets in, like memory. DATASHEET 7.
//!
//! The card only writes them and never reads them back, but for the mark page, which is the guest's. Each
//! page but the position page begins with a sequence counter: odd while the card writes, changed after. A
//! reader tries at most [`READ_TRIES`] times and clamps what it reads.

/// Size of every page in bytes.
pub const PAGE_BYTES: u32 = 4096;
/// Offset of the clock page in the page BAR.
pub const CLOCK_PAGE: u32 = 0;
/// Offset of stream 0's status page.
pub const STATUS_BASE: u32 = 0x1_0000;
/// Offset of stream 0's position page.
pub const POSITION_BASE: u32 = 0x2_0000;
/// Offset of stream 0's mark page.
pub const MARK_BASE: u32 = 0x3_0000;
const _: () = assert!(MARK_BASE + crate::stream::STREAMS_MAX * PAGE_BYTES <= crate::pci::PAGES_BYTES);

/// Offset of stream `index`'s status page; `None` beyond [`crate::stream::STREAMS_MAX`].
pub const fn status_page(index: u32) -> Option<u32> {
    if index < crate::stream::STREAMS_MAX { Some(STATUS_BASE + index * PAGE_BYTES) } else { None }
}
/// Offset of stream `index`'s position page; `None` beyond [`crate::stream::STREAMS_MAX`].
pub const fn position_page(index: u32) -> Option<u32> {
    if index < crate::stream::STREAMS_MAX { Some(POSITION_BASE + index * PAGE_BYTES) } else { None }
}
/// Offset of stream `index`'s mark page; `None` beyond [`crate::stream::STREAMS_MAX`].
pub const fn mark_page(index: u32) -> Option<u32> {
    if index < crate::stream::STREAMS_MAX { Some(MARK_BASE + index * PAGE_BYTES) } else { None }
}

/// How often a reader tries to read a page that changes under it.
pub const READ_TRIES: u32 = 8;

/// Fields of the clock page.
pub mod clock {
    crate::offsets! {
        /// All fields of the clock page.
        FIELDS {
            /// Sequence counter.
            SEQ = 0x00: 4;
            /// Ticks of the device clock per second.
            HZ = 0x04: 4;
            /// Device clock when the card last woke.
            CLOCK = 0x08: 8;
            /// Grows by one with every reset of the function, as long as the process lives.
            RESETS = 0x10: 4;
        }
    }
}

/// Fields of a status page.
pub mod status {
    crate::offsets! {
        /// All fields of a status page.
        FIELDS {
            /// Sequence counter.
            SEQ = 0x00: 4;
            /// `STATE_*`, as the STATE register.
            STATE = 0x04: 4;
            /// As the stream's ERROR register.
            ERROR = 0x08: 4;
            /// `FLAG_*` bits.
            FLAGS = 0x0C: 4;
            /// Packets completed since STOP, modulo 2^32.
            PACKET_COUNT = 0x10: 4;
            /// The packet the stream waits for, while `FLAG_STALLED`.
            STALLED_PACKET = 0x14: 4;
            /// Events of this stream since reset: grows by one with each.
            EVENTS = 0x18: 4;
            /// Grows by one with every change of the anchor that is not a mere renewal.
            EPOCH = 0x1C: 4;
            /// Device clock of the anchor.
            ANCHOR_CLOCK = 0x20: 8;
            /// Frames since STOP at the anchor.
            ANCHOR_FRAME = 0x28: 8;
            /// Frames per tick of the device clock: numerator. 0 = the position is frozen.
            RATE_NUM = 0x30: 4;
            /// Frames per tick of the device clock: denominator. Not 0 after reset.
            RATE_DEN = 0x34: 4;
            /// Device clock at which the last packet was complete.
            PACKET_CLOCK = 0x38: 8;
            /// Frames since STOP at which the last packet was complete.
            PACKET_FRAME = 0x40: 8;
            /// Packets that were played as silence because they were not WRITTEN, since reset.
            UNDERRUNS = 0x48: 4;
            /// DMA transfers that failed while running, since reset.
            DMA_FAULTS = 0x4C: 4;
            /// Frames of silence that were played for want of data, since reset.
            SILENCE_FRAMES = 0x50: 8;
            /// Device clock at which the first frame of the last complete packet began to move.
            PACKET_START_CLOCK = 0x58: 8;
            /// The tag that a word in the mark page must carry; never 0.
            MARK_TAG = 0x60: 4;
            /// 1 while a stall may be ended by the mark page. Not under SEQ.
            WAITING = 0x80: 4;
        }
    }

    /// [`FLAGS`]: the stream waits for a packet that is not WRITTEN (capture: not taken).
    pub const FLAG_STALLED: u32 = 1 << 0;
    /// [`FLAGS`]: this RUN goes by the lockstep clock.
    pub const FLAG_LOCKSTEP: u32 = 1 << 1;
    /// [`FLAGS`]: the end of stream was played; the stream is frozen until STOP.
    pub const FLAG_ENDED: u32 = 1 << 2;
    /// [`FLAGS`]: WRITTEN was written since STOP, so `UNDERRUNS` is known.
    pub const FLAG_WRITTEN: u32 = 1 << 3;
    /// [`FLAGS`]: nothing is plugged into the stream's jack. Needs [`crate::global::FEATURE_JACK`].
    pub const FLAG_UNPLUGGED: u32 = 1 << 4;
}

/// Fields of a position page. It may be mapped to user mode, so it holds nothing else; each is one aligned
/// store.
pub mod position {
    crate::offsets! {
        /// All fields of a position page.
        FIELDS {
            /// Byte offset of the position in the cyclic buffer.
            RING_OFFSET = 0x00: 4;
            /// Frames since STOP.
            FRAMES = 0x08: 8;
            /// Device clock of this tick.
            CLOCK = 0x10: 8;
        }
    }
}

/// Fields of a mark page: the only page that the guest stores to. It is never given to user mode.
pub mod mark {
    crate::offsets! {
        /// All fields of a mark page.
        FIELDS {
            /// [`word`]: every packet up to and including this one is valid.
            MARK = 0x00: 8;
            /// Device clock at which the guest stored MARK, as far as it can tell; 0 = not told.
            MARK_CLOCK = 0x08: 8;
        }
    }

    /// MARK for `packet` with the tag that the status page shows.
    pub const fn word(packet: u32, tag: u32) -> u64 {
        packet as u64 | (tag as u64) << 32
    }

    /// The packet that `word` marks, if it carries `tag`.
    pub const fn packet(word: u64, tag: u32) -> Option<u32> {
        if word >> 32 == tag as u64 { Some((word & 0xFFFF_FFFF) as u32) } else { None }
    }
}

//! The registers of one stream. DATASHEET 4.

/// The most streams a card has, render and capture together.
pub const STREAMS_MAX: u32 = 16;
/// Offset in the register BAR of stream 0's block.
pub const BLOCK_BASE: u32 = 0x1000;
/// Distance between the blocks of two streams.
pub const BLOCK_STRIDE: u32 = 0x100;
const _: () = assert!(BLOCK_BASE + STREAMS_MAX * BLOCK_STRIDE <= crate::pci::REGISTERS_BYTES);

/// Offset in the register BAR of stream `index`'s block; `None` beyond [`STREAMS_MAX`].
pub const fn block(index: u32) -> Option<u32> {
    if index < STREAMS_MAX { Some(BLOCK_BASE + index * BLOCK_STRIDE) } else { None }
}

/// The stream in whose block `offset` of BAR 0 is, and the offset in that block; `None` outside the blocks.
pub const fn in_block(offset: u64) -> Option<(u32, u32)> {
    let base = BLOCK_BASE as u64;
    let end = base + STREAMS_MAX as u64 * BLOCK_STRIDE as u64;
    if offset < base || offset >= end {
        return None;
    }
    #[allow(clippy::cast_possible_truncation, reason = "inside BAR 0")]
    let in_blocks = (offset - base) as u32;
    Some((in_blocks / BLOCK_STRIDE, in_blocks % BLOCK_STRIDE))
}
/// The stream register at `offset` of BAR 0, by its name here; `None` for what is none.
pub fn name(offset: u64) -> Option<&'static str> {
    let (_, register) = in_block(offset)?;
    REGISTERS.iter().find(|named| named.offset == register).map(|named| named.name)
}

const _: () = assert!(matches!(in_block(BLOCK_BASE as u64 + BLOCK_STRIDE as u64 + 4), Some((1, 4))));
const _: () = assert!(in_block(BLOCK_BASE as u64 - 1).is_none());

crate::offsets! {
    /// All registers of a stream, in address order, relative to its block.
    REGISTERS {
        /// RO. `CAPS_*` fields.
        CAPS = 0x00: 4;
        /// RO. Bit n: sample format with code n ([`crate::format`]).
        FORMATS = 0x04: 4;
        /// RO. Bit n: rate n of [`crate::format::RATES`].
        RATES = 0x08: 4;
        /// RO. Number of the MSI message that this stream raises when all offered messages were granted.
        MESSAGE = 0x0C: 4;
        /// RW. `STATE_*`.
        STATE = 0x10: 4;
        /// RW. Error code of the last refused access or failed RUN; a write of any value clears it.
        ERROR = 0x14: 4;
        /// RW in STOP. Sample format code in bits 7:0, channels in bits 15:8.
        FORMAT = 0x18: 4;
        /// RW in STOP. Sample rate in Hz.
        RATE = 0x1C: 4;
        /// RW in STOP. Length of the cyclic buffer in bytes.
        RING_BYTES = 0x20: 4;
        /// RW in STOP. Packets per cyclic buffer: 1 or 2.
        PACKETS = 0x24: 4;
        /// RW in STOP. [`DMA_MODE_CONTIGUOUS`] or [`DMA_MODE_SCATTER_GATHER`].
        DMA_MODE = 0x28: 4;
        /// RW in STOP. Data entries of the scatter-gather table.
        SG_ENTRIES = 0x2C: 4;
        /// RW in STOP. Address of the buffer or of the table, low half.
        DMA_ADDR_LO = 0x30: 4;
        /// RW in STOP. Address of the buffer or of the table, high half.
        DMA_ADDR_HI = 0x34: 4;
        /// RW. `INT_*` bits: what raises an interrupt.
        INT_ENABLE = 0x38: 4;
        /// RW. End of stream: [`EOS_ARM`] and the valid bytes of the last packet; takes effect with the next
        /// WRITTEN.
        EOS = 0x3C: 4;
        /// RW. "Every packet up to and including this one is valid" (capture: "has been taken").
        WRITTEN = 0x40: 4;
        /// RW before RUN. Number of the packet in which the next RUN starts.
        START_PACKET = 0x44: 4;
        /// RW before RUN. Frame at which the next RUN starts, low half.
        START_FRAME_LO = 0x48: 4;
        /// RW before RUN. Frame at which the next RUN starts, high half.
        START_FRAME_HI = 0x4C: 4;
        /// RO. Depth of the FIFO in frames that the present format and buffer give; 0 while ACQUIRE would
        /// refuse them.
        FIFO_FRAMES = 0x50: 4;
        /// RO. Packets completed since STOP, modulo 2^32.
        PACKET_COUNT = 0x54: 4;
        /// RO. Frames since STOP, low half. Reading it latches the high half.
        POSITION_LO = 0x58: 4;
        /// RO. Frames since STOP, high half as latched.
        POSITION_HI = 0x5C: 4;
        /// RW. Bit 0: the position page of this stream ticks. Needs [`crate::global::FEATURE_POSITION_PAGE`].
        POSITION_CONTROL = 0x60: 4;
        /// RW. Bit c: channel c is silent. Needs [`crate::global::FEATURE_VOLUME`], as do the volumes.
        MUTE = 0x64: 4;
        /// RW in every state but RUN. [`LOCKSTEP_ASK`]. Needs [`crate::global::FEATURE_WRITTEN`].
        LOCKSTEP = 0x68: 4;
        /// WO. A write of any value: the card looks at the mark page now. Needs
        /// [`crate::global::FEATURE_MARK_PAGE`].
        LOOK = 0x6C: 4;
        /// RW. Volume of channel 0 in 1/65536 dB, signed: [`VOLUME_MIN`] to 0.
        VOLUME_0 = 0x80: 4;
        /// RW. Volume of channel 1.
        VOLUME_1 = 0x84: 4;
        /// RW. Volume of channel 2.
        VOLUME_2 = 0x88: 4;
        /// RW. Volume of channel 3.
        VOLUME_3 = 0x8C: 4;
        /// RW. Volume of channel 4.
        VOLUME_4 = 0x90: 4;
        /// RW. Volume of channel 5.
        VOLUME_5 = 0x94: 4;
        /// RW. Volume of channel 6.
        VOLUME_6 = 0x98: 4;
        /// RW. Volume of channel 7.
        VOLUME_7 = 0x9C: 4;
    }
}

/// [`CAPS`]: the stream exists.
pub const CAPS_PRESENT: u32 = 1 << 0;
/// [`CAPS`]: it captures.
pub const CAPS_CAPTURE: u32 = 1 << 1;
/// [`CAPS`]: shift of the most channels (8 bits).
pub const CAPS_CHANNELS_SHIFT: u32 = 8;
/// [`CAPS`]: shift of the most packets per cyclic buffer (8 bits).
pub const CAPS_PACKETS_SHIFT: u32 = 16;

/// Stopped: everything that a stream counts is 0, and its registers can be written.
pub const STATE_STOP: u32 = 0;
/// Configured: the format and the buffer were checked.
pub const STATE_ACQUIRE: u32 = 1;
/// Ready, or frozen.
pub const STATE_PAUSE: u32 = 2;
/// Moving audio.
pub const STATE_RUN: u32 = 3;

/// [`DMA_MODE`]: the buffer is one range at `DMA_ADDR`.
pub const DMA_MODE_CONTIGUOUS: u32 = 0;
/// [`DMA_MODE`]: `DMA_ADDR` is the first slot of a scatter-gather table.
pub const DMA_MODE_SCATTER_GATHER: u32 = 1;

/// [`INT_ENABLE`]: a packet was completed.
pub const INT_PACKET: u32 = 1 << 0;
/// [`INT_ENABLE`]: a failed transfer, or a failed host side, while running (see the status page).
pub const INT_ERROR: u32 = 1 << 1;
/// [`INT_ENABLE`]: the jack was plugged or unplugged.
pub const INT_JACK: u32 = 1 << 2;

/// [`EOS`]: the next packet that is WRITTEN is the last.
pub const EOS_ARM: u32 = 1 << 31;
/// [`EOS`]: mask of the valid bytes of that packet.
pub const EOS_BYTES: u32 = EOS_ARM - 1;

/// [`POSITION_CONTROL`]: the position page ticks.
pub const POSITION_TICK: u32 = 1 << 0;
/// The position page ticks this long after it ticked last, in microseconds, or as soon then as the card
/// wakes.
pub const POSITION_TICK_MICROS: u32 = 1_000;

/// [`LOCKSTEP`]: the stream asks that its time stands still while it waits for a packet. The card grants it
/// by `CLOCK_MODE`.
pub const LOCKSTEP_ASK: u32 = 1 << 0;

/// [`MUTE`]: the bits that can be set, one for each of [`crate::format::CHANNELS_MAX`] channels.
pub const MUTE_CHANNELS: u32 = (1 << crate::format::CHANNELS_MAX) - 1;
/// Units of a volume to a decibel.
pub const VOLUME_UNITS: i32 = 65_536;
/// The lowest volume, -96 dB, in the registers' units. The highest is 0: samples as they are.
pub const VOLUME_MIN: i32 = -96 * VOLUME_UNITS;
/// A volume of 0 dB is this factor, and -6.02 dB half of it. DATASHEET 5.8.
pub const GAIN_ONE: u32 = 1 << 30;
/// Offset in the block of the volume of `channel`; `None` for a channel that no card has.
pub const fn volume(channel: u32) -> Option<u32> {
    if channel < crate::format::CHANNELS_MAX { Some(VOLUME_0 + 4 * channel) } else { None }
}
const _: () = assert!(matches!(volume(crate::format::CHANNELS_MAX - 1), Some(VOLUME_7)));

/// Longest FIFO of a capture stream and of an unmarked render stream, in milliseconds: the FIFO is the
/// smaller of one packet and this.
pub const FIFO_MILLIS: u32 = 2;
/// Longest burst of a packet that is WRITTEN when the burst begins, in milliseconds.
pub const WRITTEN_BURST_MILLIS: u32 = 10;
/// Length of a burst of silence while a marked packet is late in realtime, in milliseconds.
pub const LATE_BURST_MILLIS: u32 = 1;
/// While a stream waits for a mark the card looks at the mark page as often, in milliseconds.
pub const LOOK_MILLIS: u32 = 5;

/// Shortest packet in frames, whatever the rate; see [`packet_frames_min`].
pub const PACKET_FRAMES_MIN: u32 = 8;
/// Shortest packet in frames at a rate: one millisecond, and not below [`PACKET_FRAMES_MIN`].
/// DATASHEET 5.1.
pub const fn packet_frames_min(rate_hz: u32) -> u32 {
    let millisecond = rate_hz / 1000;
    if millisecond < PACKET_FRAMES_MIN { PACKET_FRAMES_MIN } else { millisecond }
}
/// [`START_FRAME_LO`] and [`START_FRAME_HI`] together are below this.
pub const START_FRAME_LIMIT: u64 = 1 << 48;
/// If the first unhandled end of a burst is longer ago than this, in milliseconds, time starts again there.
pub const LATE_MILLIS: u32 = 100;

/// Frames of the smaller of a packet and `millis` (rounded down, at least one frame). DATASHEET 5.2.
#[allow(clippy::cast_possible_truncation, reason = "a tenth of a u32 fits")]
pub const fn burst_frames(rate_hz: u32, packet_frames: u32, millis: u32) -> u32 {
    let millis = if millis > 100 { 100 } else { millis };
    let limit = (rate_hz as u64 * millis as u64 / 1000) as u32;
    let limit = if limit == 0 { 1 } else { limit };
    if packet_frames < limit { packet_frames } else { limit }
}

/// Depth of the FIFO in frames, as `FIFO_FRAMES` tells it: the smaller of a packet and [`FIFO_MILLIS`].
/// DATASHEET 5.2.
pub const fn fifo_frames(rate_hz: u32, packet_frames: u32) -> u32 {
    burst_frames(rate_hz, packet_frames, FIFO_MILLIS)
}

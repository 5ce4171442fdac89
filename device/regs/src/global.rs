//! The registers of the whole card, at the start of the register BAR. DATASHEET 3.

crate::offsets! {
    /// All global registers, in address order.
    REGISTERS {
        /// RO. [`MAGIC_VALUE`].
        MAGIC = 0x000: 4;
        /// RO. Major version in bits 31:16, minor in bits 15:0: [`VERSION_VALUE`].
        VERSION = 0x004: 4;
        /// RO. `FEATURE_*` bits.
        FEATURES = 0x008: 4;
        /// RO. Render streams in bits 7:0, capture streams in bits 15:8; render streams come first.
        STREAMS = 0x00C: 4;
        /// RO. How many bits of a DMA address the card drives: 32 to 64.
        DMA_BITS = 0x010: 4;
        /// RO. The most data entries a scatter-gather table may have.
        SG_ENTRIES_MAX = 0x014: 4;
        /// RO. The largest cyclic buffer in bytes.
        RING_BYTES_MAX = 0x018: 4;
        /// RO. Ticks of the device clock per second.
        CLOCK_HZ = 0x01C: 4;
        /// RW. `CONTROL_*` bits.
        CONTROL = 0x020: 4;
        /// RW1C. Bit i: stream i has an event that was not acknowledged. Only INTx needs the acknowledgement.
        INT_STATUS = 0x024: 4;
        /// WO. Raises the MSI message whose number is written (or INTx), for bring-up.
        INT_RAISE = 0x028: 4;
        /// RO. Number of MSI messages the function offers.
        MESSAGES = 0x02C: 4;
        /// RW. Self-test: low half of the address.
        SELFTEST_ADDR_LO = 0x030: 4;
        /// RW. Self-test: high half of the address.
        SELFTEST_ADDR_HI = 0x034: 4;
        /// RW. Self-test: length in bytes, 4 to [`SELFTEST_BYTES_MAX`], a multiple of 4.
        SELFTEST_BYTES = 0x038: 4;
        /// RW. Self-test: 0 = the address is the memory; 1 to [`SELFTEST_ENTRIES_MAX`] = it is a table of
        /// that many entries.
        SELFTEST_ENTRIES = 0x03C: 4;
        /// RW. A write runs the self-test with the written value as seed; a read gives its error code.
        SELFTEST = 0x040: 4;
        /// RO. The sum over what the self-test read.
        SELFTEST_SUM = 0x044: 4;
        /// RW. Error code of the last refused access to a global register; a write of any value clears it.
        ERROR = 0x048: 4;
        /// WO. Puts the written value into the card's trace, so that it and a guest's log have one order.
        TRACE_MARK = 0x04C: 4;
        /// RO. Device clock, low half. Reading it latches the high half.
        CLOCK_LO = 0x050: 4;
        /// RO. Device clock, high half as latched.
        CLOCK_HI = 0x054: 4;
        /// RO. [`CLOCK_MODE_LOCKSTEP`] or [`CLOCK_MODE_REALTIME`].
        CLOCK_MODE = 0x058: 4;
    }
}

/// "RWAV" in memory order.
pub const MAGIC_VALUE: u32 = u32::from_le_bytes(*b"RWAV");
/// Major version of this interface. A driver refuses another.
pub const VERSION_MAJOR: u16 = 1;
/// Minor version of this interface. A later one only adds feature bits.
pub const VERSION_MINOR: u16 = 0;
/// Value of [`VERSION`].
pub const VERSION_VALUE: u32 = ((VERSION_MAJOR as u32) << 16) | VERSION_MINOR as u32;

/// The card takes cyclic buffers as one contiguous range.
pub const FEATURE_CONTIGUOUS: u32 = 1 << 0;
/// The card takes cyclic buffers by a scatter-gather table.
pub const FEATURE_SCATTER_GATHER: u32 = 1 << 1;
/// WRITTEN and EOS work.
pub const FEATURE_WRITTEN: u32 = 1 << 2;
/// `START_FRAME` and `START_PACKET` work.
pub const FEATURE_START_FRAME: u32 = 1 << 3;
/// The position pages can tick.
pub const FEATURE_POSITION_PAGE: u32 = 1 << 4;
/// The card has capture streams.
pub const FEATURE_CAPTURE: u32 = 1 << 5;
/// Streams have MUTE and the volumes.
pub const FEATURE_VOLUME: u32 = 1 << 6;
/// The card knows whether something is plugged into each stream's jack.
pub const FEATURE_JACK: u32 = 1 << 7;
/// [`FEATURES`]: each stream has a mark page, `MARK_TAG`, WAITING and LOOK.
pub const FEATURE_MARK_PAGE: u32 = 1 << 8;

/// [`STREAMS`]: shift of the number of capture streams (8 bits); render streams are in bits 7:0.
pub const STREAMS_CAPTURE_SHIFT: u32 = 8;

/// [`CONTROL`]: the card may raise interrupts.
pub const CONTROL_INT_ENABLE: u32 = 1 << 0;
/// [`CONTROL`]: writing 1 resets the function; reads as 0.
pub const CONTROL_RESET: u32 = 1 << 1;

/// [`CLOCK_MODE`]: the time of a stream that asks for it (LOCKSTEP) stands still while it waits for a packet
/// that is not WRITTEN.
pub const CLOCK_MODE_LOCKSTEP: u32 = 0;
/// [`CLOCK_MODE`]: time never waits.
pub const CLOCK_MODE_REALTIME: u32 = 1;

/// Value of [`CLOCK_HZ`] in version 1.0: the device clock counts nanoseconds.
pub const CLOCK_HZ_VALUE: u32 = 1_000_000_000;
/// Value of [`RING_BYTES_MAX`] in version 1.0.
pub const RING_BYTES_MAX_VALUE: u32 = 16 << 20;

/// The longest self-test in bytes.
pub const SELFTEST_BYTES_MAX: u32 = 4096;
/// The most entries of a self-test table.
pub const SELFTEST_ENTRIES_MAX: u32 = 16;

/// The self-test's sum: start with the seed, then for each 32-bit word rotate left by 5 and exclusive-or the
/// word. DATASHEET 3.2.
pub const fn selftest_step(sum: u32, word: u32) -> u32 {
    sum.rotate_left(5) ^ word
}
/// What the self-test writes back in place of a word it has read.
pub const fn selftest_reply(word: u32) -> u32 {
    !word
}

/// The stream index of every bit of [`INT_STATUS`] that can be set.
pub const INT_STATUS_STREAMS: u32 = (1 << crate::stream::STREAMS_MAX) - 1;

//! What a stream did, for a person: counted for the host, over STOP and reset, until the host clears it.

pub use super::margins::{MARGIN_FROM_US, MarkStats};
use ringwave_audio::StreamFormat;

/// Totals of one stream. What only a card knows (`scatter_gather`, `entries`, `events`, `marks.polled`) is
/// filled in there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamStats {
    /// It captures.
    pub capture: bool,
    /// The last format that was acquired; `None` if the stream never was.
    pub format: Option<StreamFormat>,
    /// The last cyclic buffer that was acquired, in bytes.
    pub ring_bytes: u32,
    /// Its packets.
    pub packets: u32,
    /// Whether the last RUN used a scatter-gather table.
    pub scatter_gather: bool,
    /// Entries in the snapshot of the last RUN (contiguous: 1).
    pub entries: u32,
    /// Frames that were played (or captured), silence included.
    pub frames: u64,
    /// Packets that were completed.
    pub packets_completed: u64,
    /// Packets that were silent, at least in part, because they were not WRITTEN (captured: stored over
    /// because they were not taken); `None` = unknown, because a packet was played that nobody had promised
    /// (the stream was not marked).
    pub underruns: Option<u64>,
    /// Frames of silence that were played for want of data.
    pub silence_frames: u64,
    /// Frames of silence that were captured because the source had nothing.
    pub source_silence_frames: u64,
    /// Transfers that failed while running.
    pub transport_faults: u64,
    /// Events.
    pub events: u64,
    /// How often the stream waited for a packet.
    pub stalls: u64,
    /// How early its marks came.
    pub marks: MarkStats,
    /// The longest time from the end of a burst to its handling, in ticks of the device clock.
    pub late_ticks: u64,
}

impl StreamStats {
    /// Nothing done yet: the underruns are known to be 0.
    pub fn new(capture: bool) -> Self {
        Self { capture, underruns: Some(0), ..Self::default() }
    }
}

/// A stream that stands still because a packet is not WRITTEN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// Stream number.
    pub stream: u32,
    /// The packet it waits for.
    pub packet: u32,
    /// Device clock at which the stall began.
    pub since: u64,
}

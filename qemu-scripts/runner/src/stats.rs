//! The card's account of a client's session, as `ringwave serve --stats` writes it.

use serde::Deserialize;

/// The last client's session.
#[derive(Clone, Debug, Deserialize)]
pub struct Stats {
    /// One entry per stream.
    pub streams: Vec<StreamStats>,
    /// Messages by kind.
    pub messages: Messages,
}

impl Stats {
    /// The first stream that plays, or that captures.
    pub fn first(&self, capture: bool) -> Option<&StreamStats> {
        let wanted = if capture { "capture" } else { "render" };
        self.streams.iter().find(|stream| stream.direction == wanted)
    }
}

/// One stream's counters.
#[derive(Clone, Debug, Deserialize)]
pub struct StreamStats {
    /// `render` or `capture`.
    pub direction: String,
    /// Frames that were played, or recorded.
    pub frames: u64,
    /// Bytes of the last cyclic buffer.
    pub ring_bytes: u64,
    /// Packets in it.
    pub packets: u64,
    /// `scatter-gather` or `contiguous`.
    pub dma_mode: String,
    /// Data entries of the last scatter-gather table.
    pub sg_entries: u32,
    /// Packets that were completed.
    pub packets_completed: u64,
    /// Packets played as silence, or recorded over; absent = unknown.
    pub underruns: Option<u64>,
    /// Frames of silence that were played for want of data; captured: frames that were lost.
    pub silence_frames: u64,
    /// Transfers that failed.
    pub dma_faults: u64,
    /// Marks that the card saw in the mark page.
    pub marks: u64,
    /// Those of them that the driver did not tell of although the card waited.
    pub polled_marks: u64,
    /// Packets that were marked after they had begun.
    pub late_marks: u64,
    /// Packets that were marked before they began, by how long before.
    pub margins: Vec<Margin>,
    /// The shortest time from a mark to the moment in which its packet began, in microseconds; negative for a late one.
    pub least_margin_us: Option<i64>,
    /// The end of a burst that the card handled the latest, in microseconds after its time.
    pub worst_lateness_us: u64,
}

impl StreamStats {
    /// Frames of `frame_bytes` in a packet; at least 1.
    pub fn packet_frames(&self, frame_bytes: u32) -> u64 {
        let packet = self.ring_bytes.checked_div(self.packets).unwrap_or(0);
        packet.checked_div(frame_bytes.into()).unwrap_or(0).max(1)
    }
}

/// Packets whose margin was as large and less than the next entry's.
#[derive(Clone, Debug, Deserialize)]
pub struct Margin {
    /// How many.
    pub packets: u64,
}

/// Messages to the card.
#[derive(Clone, Debug, Deserialize)]
pub struct Messages {
    /// Those while a stream was in RUN.
    pub while_running: RunningMessages,
}

/// Messages while a stream was in RUN.
#[derive(Clone, Debug, Deserialize)]
pub struct RunningMessages {
    /// Register reads.
    pub reads: u64,
    /// Register writes but WRITTEN, LOOK and EOS.
    pub writes: u64,
    /// Writes of WRITTEN.
    pub written: u64,
    /// Writes of LOOK: a card that waits was told of a mark.
    pub look: u64,
    /// Writes of EOS: one at the end of a stream.
    pub eos: u64,
}

//! What the streams did, as the schema of [`ringwave_report`] has it.

use std::time::Duration;

use ringwave_engine::sources::SourceStats;
use ringwave_engine::stream::stats::{MARGIN_FROM_US, MarkStats, StreamStats};
use ringwave_report::{Direction, DmaMode, Margin, StreamReport, micros};

/// Ticks of the device clock in a microsecond.
const TICKS_PER_US: i64 = ringwave_engine::timeline::CLOCK_HZ as i64 / 1_000_000;

/// The intervals that any packet is in.
fn margins(marks: &MarkStats) -> Vec<Margin> {
    let all = MARGIN_FROM_US.iter().zip(marks.margins).map(|(&from_us, packets)| Margin { from_us, packets });
    all.filter(|margin| margin.packets != 0).collect()
}

/// One stream's statistics: render streams come first. `late`: its worst lateness in real time. `plugged`:
/// its jack. `source`: of a source with a clock of its own.
pub fn stream_report(
    index: u32,
    stats: &StreamStats,
    late: Duration,
    plugged: Option<bool>,
    source: Option<SourceStats>,
) -> StreamReport {
    let mut report = StreamReport {
        index,
        direction: if stats.capture { Direction::Capture } else { Direction::Render },
        format: stats.format.map(|format| format.sample),
        rate: stats.format.map(|format| format.rate),
        channels: stats.format.map(|format| format.channels),
        ring_bytes: stats.ring_bytes,
        packets: stats.packets,
        dma_mode: if stats.scatter_gather { DmaMode::ScatterGather } else { DmaMode::Contiguous },
        sg_entries: stats.entries,
        frames: stats.frames,
        packets_completed: stats.packets_completed,
        underruns: stats.underruns,
        silence_frames: stats.silence_frames,
        source_silence_frames: stats.source_silence_frames,
        dma_faults: stats.transport_faults,
        events: stats.events,
        stalls: stats.stalls,
        marks: stats.marks.seen,
        polled_marks: stats.marks.polled,
        late_marks: stats.marks.late,
        least_margin_us: stats.marks.least.map(|ticks| ticks.div_euclid(TICKS_PER_US)),
        margins: margins(&stats.marks),
        worst_lateness_us: micros(late),
        plugged,
        sink_failed: false,
        drift_ppm: None,
        sink_underruns: None,
        sink_dropped_frames: None,
        source_underruns: None,
        source_overruns: None,
    };
    if let Some(SourceStats { drift_ppm, underruns, overruns }) = source {
        report.source_knows(drift_ppm, underruns, overruns);
    }
    report
}

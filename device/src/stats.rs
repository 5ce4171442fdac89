//! What a client's session came to, as JSON for scripts (`ringwave serve --stats FILE`).
//!
//! ```json
//! { "version": "0.1.0", "clock": "lockstep", "client": "left", "seconds": 12.345,
//!   "streams": [ { "index": 0, "direction": "render", "format": "s16", "rate": 48000, "channels": 2, "ring_bytes": 38400,
//!     "packets": 2, "dma_mode": "scatter-gather", "sg_entries": 10, "frames": 240000, "packets_completed": 50, "underruns": 0,
//!     "silence_frames": 0, "source_silence_frames": 0, "dma_faults": 0, "events": 50, "stalls": 1,
//!     "marks": 49, "polled_marks": 0, "late_marks": 0, "least_margin_us": 3120,
//!     "margins": [ { "from_us": 2000, "packets": 12 }, { "from_us": 5000, "packets": 37 } ],
//!     "worst_lateness_us": 780, "plugged": true, "sink_failed": false,
//!     "drift_ppm": null, "sink_underruns": null, "sink_dropped_frames": null } ],
//!   "messages": { "total": 312, "while_running": { "reads": 0, "writes": 0, "written": 1, "look": 0, "eos": 1 } },
//!   "interrupts": 50, "wakes": 240, "worst_lateness_us": 780 }
//! ```
//! `client`: `left`, `there` (figures of the moment, or the process ends before the client) or `none`; `seconds` since it came, or since the one
//! before it left. `wakes`: how often the engine's thread woke. `worst_lateness_us`: the end of a piece (DATASHEET 5.2) that was handled the
//! longest after its time, in microseconds of the host's clock, whatever the card's speed. `plugged`: the stream's jack.
//!
//! `marks`: marks that were seen in the mark page (DATASHEET 7.4), `polled_marks` those that only the look every 5 ms found: a guest that does not write
//! LOOK. Of streams that go by realtime, by the page or by WRITTEN: `late_marks`, packets that were marked after they had begun, so that part
//! of them was silent; `least_margin_us`, the shortest time from a mark to the moment in which its packet began, in microseconds of the device clock, negative
//! for a late one (null: not known); `margins`: how many packets had a margin of as much and less than the next.
//!
//! `drift_ppm`: how much faster than the card's clock the clock of the stream's sink goes, in millionths, `sink_underruns`: how often that sink had
//! nothing to play while the stream played, `sink_dropped_frames`: frames it had no room for; null for sinks without a clock of their own (all
//! but `sound`), and the first before it is known.
//!
//! `underruns` is null when they cannot be known (a client that does not use WRITTEN). A stream that was never set up has null for its
//! format. `sink_failed`: not all of `frames` is in the stream's file (the disk was full, for one). `while_running` counts accesses to registers, configuration space and (when it is not mapped) the page BAR that came while
//! a stream was in RUN, without the write of STATE that ended the run; `written`, `look` and `eos` are the writes of those registers, `writes` all
//! others.

mod line;

use std::time::Duration;

use ringwave_regs::stream;
use serde::Serialize;

use crate::host::Figures;
use crate::ports::ClockMode;
use ringwave_engine::stream::margins::{MARGIN_FROM_US, MarkStats};
use ringwave_engine::stream::stats::StreamStats;

/// A client's session.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of this program.
    pub version: &'static str,
    /// `lockstep` or `realtime`: the clock of the card.
    pub clock: &'static str,
    /// Whose figures these are.
    pub client: Client,
    /// How long the client is or was there, in seconds of real time, to the millisecond.
    pub seconds: f64,
    /// Every stream of the card.
    pub streams: Vec<StreamReport>,
    /// Messages of the client.
    pub messages: Messages,
    /// MSI messages and INTx assertions that were delivered.
    pub interrupts: u64,
    /// How often the engine woke.
    pub wakes: u64,
    /// The longest time from the end of a piece to its handling, over all streams, in microseconds of real time.
    pub worst_lateness_us: u64,
}

/// Whose figures a [`Report`] has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Client {
    /// Nobody's: no client has said anything since the last one left.
    None,
    /// The present client's, so far.
    There,
    /// Those of a client that has left.
    Left,
}

/// One stream's part of a [`Report`]; see [`StreamStats`].
#[derive(Clone, Debug, Serialize)]
pub struct StreamReport {
    index: u32,
    direction: &'static str,
    format: Option<&'static str>,
    rate: Option<u32>,
    channels: Option<u32>,
    ring_bytes: u32,
    packets: u32,
    dma_mode: &'static str,
    sg_entries: u32,
    frames: u64,
    packets_completed: u64,
    underruns: Option<u64>,
    silence_frames: u64,
    source_silence_frames: u64,
    dma_faults: u64,
    events: u64,
    stalls: u64,
    marks: u64,
    polled_marks: u64,
    late_marks: u64,
    least_margin_us: Option<i64>,
    margins: Vec<Margin>,
    worst_lateness_us: u64,
    plugged: Option<bool>,
    sink_failed: bool,
    drift_ppm: Option<f64>,
    sink_underruns: Option<u64>,
    sink_dropped_frames: Option<u64>,
}

/// Packets whose marks came so early, and earlier than the next.
#[derive(Clone, Copy, Debug, Serialize)]
struct Margin {
    from_us: u32,
    packets: u64,
}

impl Report {
    /// The figures as JSON on one line.
    pub fn json_line(&self) -> String {
        // Numbers and words: there is nothing in them that JSON cannot say.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Takes what the sinks with a clock of their own know, by stream.
    pub fn sinks_know(&mut self, figures: &[(u32, Figures)]) {
        for (stream, known) in figures {
            if let Some(report) = self.streams.get_mut(*stream as usize) {
                // To the tenth: what is finer is not known.
                report.drift_ppm = known.drift_ppm.map(|ppm| (ppm * 10.0).round() / 10.0);
                report.sink_underruns = Some(known.underruns);
                report.sink_dropped_frames = Some(known.dropped_frames);
            }
        }
    }

    /// Says of these streams (bits) that not all of their sound is in its file.
    pub fn sinks_failed(&mut self, streams: u32) {
        for (stream, report) in (0..u32::BITS).zip(&mut self.streams) {
            report.sink_failed |= streams >> stream & 1 != 0;
        }
    }
}

/// Messages of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Messages {
    /// All that reached the card: accesses, maps and unmaps, interrupt set-up, resets.
    pub total: u64,
    /// Those that cost a running stream an exit.
    pub while_running: WhileRunning,
}

/// Accesses while a stream was in RUN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WhileRunning {
    /// Reads.
    pub reads: u64,
    /// Writes, but for the following.
    pub writes: u64,
    /// Writes of WRITTEN.
    pub written: u64,
    /// Writes of LOOK.
    pub look: u64,
    /// Writes of EOS.
    pub eos: u64,
}

impl Messages {
    /// A read that came while a stream was in RUN, or not.
    pub fn read(&mut self, running: bool) {
        self.total += 1;
        self.while_running.reads += u64::from(running);
    }

    /// A write that is none of a register's.
    pub fn write(&mut self, running: bool) {
        self.total += 1;
        self.while_running.writes += u64::from(running);
    }

    /// A write of a register: `before` and `after` it, was a stream in RUN?
    pub fn write_register(&mut self, offset: u64, before: bool, after: bool) {
        self.total += 1;
        let register = stream_register(offset);
        let ends_the_run = !after && register == Some(stream::STATE);
        if !before || ends_the_run {
            return;
        }
        let counted = &mut self.while_running;
        match register {
            Some(stream::WRITTEN) => counted.written += 1,
            Some(stream::LOOK) => counted.look += 1,
            Some(stream::EOS) => counted.eos += 1,
            _ => counted.writes += 1,
        }
    }
}

/// The register within its stream's block, if the offset is in one.
fn stream_register(offset: u64) -> Option<u32> {
    let offset = u32::try_from(offset).ok()?.checked_sub(stream::BLOCK_BASE)?;
    (offset < stream::STREAMS_MAX * stream::BLOCK_STRIDE).then_some(offset % stream::BLOCK_STRIDE)
}

/// The name of a clock on the command line and in a report.
pub const fn clock_name(clock: ClockMode) -> &'static str {
    match clock {
        ClockMode::Lockstep => "lockstep",
        ClockMode::Realtime => "realtime",
    }
}

/// Seconds to the millisecond.
pub fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

/// Whole microseconds.
pub fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Ticks of the device clock in a microsecond.
const TICKS_PER_US: i64 = ringwave_regs::global::CLOCK_HZ_VALUE as i64 / 1_000_000;

/// The intervals that any packet is in.
fn margins(marks: &MarkStats) -> Vec<Margin> {
    let all = MARGIN_FROM_US.iter().zip(marks.margins).map(|(&from_us, packets)| Margin { from_us, packets });
    all.filter(|margin| margin.packets != 0).collect()
}

/// One stream's figures: render streams come first. `late`: its worst lateness in real time. `plugged`: its jack.
pub fn stream_report(index: u32, stats: &StreamStats, late: Duration, plugged: Option<bool>) -> StreamReport {
    StreamReport {
        index,
        direction: if stats.capture { "capture" } else { "render" },
        format: stats.format.map(|format| format.sample.name()),
        rate: stats.format.map(|format| format.rate),
        channels: stats.format.map(|format| format.channels),
        ring_bytes: stats.ring_bytes,
        packets: stats.packets,
        dma_mode: if stats.scatter_gather { "scatter-gather" } else { "contiguous" },
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_while_running_are_sorted_and_the_one_that_ends_the_run_is_not_counted() {
        let mut messages = Messages::default();
        let at = |register| u64::from(stream::block(3).unwrap() + register);
        messages.write_register(at(stream::STATE), false, true);
        messages.write_register(at(stream::WRITTEN), true, true);
        messages.write_register(at(stream::EOS), true, true);
        messages.write_register(at(stream::LOOK), true, true);
        messages.write_register(at(stream::INT_ENABLE), true, true);
        messages.write_register(0x24, true, true);
        messages.write_register(at(stream::STATE), true, false);
        messages.write_register(at(stream::WRITTEN), false, false);
        messages.read(true);
        messages.read(false);
        let while_running = WhileRunning { reads: 1, writes: 2, written: 1, look: 1, eos: 1 };
        assert_eq!(messages, Messages { total: 10, while_running });
    }
}

//! What a client's session came to, as JSON for scripts (`ringwave serve --stats FILE`).
//!
//! ```json
//! { "schema": 1, "version": "0.1.0", "clock": "lockstep", "client": "left", "seconds": 12.345,
//!   "streams": [ { "index": 0, "direction": "render", "format": "s16", "rate": 48000, "channels": 2, "ring_bytes": 38400,
//!     "packets": 2, "dma_mode": "scatter-gather", "sg_entries": 10, "frames": 240000, "packets_completed": 50, "underruns": 0,
//!     "silence_frames": 0, "source_silence_frames": 0, "dma_faults": 0, "events": 50, "stalls": 1,
//!     "marks": 49, "polled_marks": 0, "late_marks": 0, "least_margin_us": 3120,
//!     "margins": [ { "from_us": 2000, "packets": 12 }, { "from_us": 5000, "packets": 37 } ],
//!     "worst_lateness_us": 780, "plugged": true, "sink_failed": false,
//!     "drift_ppm": null, "sink_underruns": null, "sink_dropped_frames": null, "source_underruns": null,
//!     "source_overruns": null } ],
//!   "messages": { "total": 312, "while_running": { "reads": 0, "writes": 0, "written": 1, "look": 0, "eos": 1 } },
//!   "interrupts": 50, "wakes": 240, "worst_lateness_us": 780 }
//! ```
//! `ringwave schema` prints the JSON Schema of it, which is made from the types here. `schema` is raised when
//! a key goes away or changes its meaning; a new key does not raise it, so a reader ignores what it does not
//! know.
//!
//! `client`: `left`, `there` (figures of the moment, or the process ends before the client) or `none`;
//! `seconds` since it came, or since the one before it left. `wakes`: how often the engine's thread woke.
//! `worst_lateness_us`: the end of a piece (DATASHEET 5.2) that was handled the longest after its time, in
//! microseconds of the host's clock, whatever the card's speed. `plugged`: the stream's jack.
//!
//! `marks`: marks that were seen in the mark page (DATASHEET 7.4), `polled_marks` those that only the look
//! every 5 ms found: a guest that does not write LOOK. Of streams that go by realtime, by the page or by
//! WRITTEN: `late_marks`, packets that were marked after they had begun, so that part of them was silent;
//! `least_margin_us`, the shortest time from a mark to the moment in which its packet began, in microseconds
//! of the device clock, negative for a late one (null: not known); `margins`: how many packets had a margin
//! of as much and less than the next.
//!
//! `drift_ppm`: how much faster than the card's clock the clock of the stream's sink or source goes, in
//! millionths, `sink_underruns`: how often that sink had nothing to play while the stream played,
//! `sink_dropped_frames`: frames it had no room for, `source_underruns`: how often that source had nothing
//! while the stream captured (`source_silence_frames` has how much, with the silence before it began),
//! `source_overruns`: how often some of its sound was lost, because the stream or the host was late; null for
//! sinks and sources without a clock of their own (all but `sound`), and the first before it is known.
//!
//! `underruns` is null when they cannot be known (a client that does not use WRITTEN). A stream that was
//! never set up has null for its format. `sink_failed`: not all of `frames` is in the stream's file (the disk
//! was full, for one). `while_running` counts accesses to registers, configuration space and (when it is not
//! mapped) the page BAR that came while a stream was in RUN, without the write of STATE that ended the run;
//! `written`, `look` and `eos` are the writes of those registers, `writes` all others.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use ringwave_audio::SampleFormat;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::{Deserialize, Serialize};

use crate::Messages;

/// The version of what [`SessionReport::schema`] describes.
pub const SCHEMA: u32 = 1;

/// A client's session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "ringwave serve --stats")]
pub struct SessionReport {
    /// The version of this schema.
    // 0 when it is read from a report of a program that had none.
    #[serde(default)]
    #[schemars(required, extend("const" = SCHEMA))]
    pub schema: u32,
    /// Version of this program.
    pub version: Cow<'static, str>,
    /// `lockstep` or `realtime`: the clock of the card.
    pub clock: Cow<'static, str>,
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
    /// The longest time from the end of a piece to its handling, over all streams, in microseconds of real
    /// time.
    pub worst_lateness_us: u64,
}

/// Whose figures a [`SessionReport`] has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Client {
    /// Nobody's: no client has said anything since the last one left.
    None,
    /// The present client's, so far.
    There,
    /// Those of a client that has left.
    Left,
}

/// One stream's part of a [`SessionReport`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StreamReport {
    /// Stream number: render streams come first.
    pub index: u32,
    /// Whether it plays or captures.
    pub direction: Direction,
    /// The last sample format that was acquired; `None` if the stream was never set up, as for the rate and
    /// the channels.
    #[schemars(with = "Option<String>")]
    pub format: Option<SampleFormat>,
    /// Frames per second.
    pub rate: Option<u32>,
    /// Samples per frame.
    pub channels: Option<u32>,
    /// Bytes of the last cyclic buffer.
    pub ring_bytes: u32,
    /// Packets in it.
    pub packets: u32,
    /// How it lay in memory.
    pub dma_mode: DmaMode,
    /// Data entries of the last scatter-gather table (contiguous: 1).
    pub sg_entries: u32,
    /// Frames that were played, or captured, silence included.
    pub frames: u64,
    /// Packets that were completed.
    pub packets_completed: u64,
    /// Packets that were silent at least in part, or captured and stored over; `None` = unknown.
    pub underruns: Option<u64>,
    /// Frames of silence that were played for want of data; captured: frames that were lost.
    pub silence_frames: u64,
    /// Frames of silence that were captured because the source had nothing.
    pub source_silence_frames: u64,
    /// Transfers that failed.
    pub dma_faults: u64,
    /// Events of the stream.
    pub events: u64,
    /// How often it waited for a packet.
    pub stalls: u64,
    /// Marks that were seen in the mark page.
    pub marks: u64,
    /// Those of them that the guest did not tell of.
    pub polled_marks: u64,
    /// Packets that were marked after they had begun.
    pub late_marks: u64,
    /// The shortest time from a mark to the moment in which its packet began, in microseconds; negative for a
    /// late one.
    pub least_margin_us: Option<i64>,
    /// How many packets had which margin.
    pub margins: Vec<Margin>,
    /// The longest time from the end of a burst to its handling, in microseconds of real time.
    pub worst_lateness_us: u64,
    /// The jack; `None` if there is none.
    pub plugged: Option<bool>,
    /// Not all of `frames` is in the stream's file.
    pub sink_failed: bool,
    /// How much faster than the card's clock the clock of the sink, or source, goes, in millionths.
    pub drift_ppm: Option<f64>,
    /// How often the sink had nothing to play.
    pub sink_underruns: Option<u64>,
    /// Frames that the sink had no room for.
    pub sink_dropped_frames: Option<u64>,
    /// How often the source had nothing to capture.
    pub source_underruns: Option<u64>,
    /// How often some of the source's sound was lost.
    pub source_overruns: Option<u64>,
}

/// Which way a stream's sound goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the guest to the host.
    Render,
    /// From the host to the guest.
    Capture,
}

/// How a cyclic buffer lay in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DmaMode {
    /// In one stretch.
    Contiguous,
    /// As a table says.
    ScatterGather,
}

impl fmt::Display for DmaMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Contiguous => "contiguous",
            Self::ScatterGather => "scatter-gather",
        })
    }
}

/// Packets whose marks came so early, and earlier than the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Margin {
    /// The margin, in microseconds.
    pub from_us: u32,
    /// How many packets.
    pub packets: u64,
}

impl SessionReport {
    /// Whether `json` is a report, of this or another version.
    pub fn is_one(json: &[u8]) -> bool {
        let value: Result<serde_json::Value, _> = serde_json::from_slice(json);
        value.is_ok_and(|value| {
            ["version", "client", "streams", "messages"].iter().all(|key| value.get(key).is_some())
        })
    }

    /// The JSON Schema (draft 2020-12) of a report, as text.
    pub fn json_schema() -> String {
        // What is written has every key; what is read may be of an earlier version.
        let written = SchemaSettings::draft2020_12().for_serialize().into_generator();
        serde_json::to_string_pretty(&written.into_root_schema_for::<Self>()).unwrap_or_default()
    }

    /// The figures as JSON on one line.
    pub fn json_line(&self) -> String {
        // Numbers and words: there is nothing in them that JSON cannot say.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The first stream that plays, or that captures.
    pub fn first(&self, direction: Direction) -> Option<&StreamReport> {
        self.streams.iter().find(|stream| stream.direction == direction)
    }

    /// Says of these streams (bits) that not all of their sound is in its file.
    pub fn sinks_failed(&mut self, streams: u32) {
        for (stream, report) in (0..u32::BITS).zip(&mut self.streams) {
            report.sink_failed |= streams >> stream & 1 != 0;
        }
    }
}

impl StreamReport {
    /// Takes what a sink with a clock of its own knows.
    pub fn sink_knows(&mut self, drift_ppm: Option<f64>, underruns: u64, dropped_frames: u64) {
        self.drift_ppm = drift_ppm.map(to_tenths);
        self.sink_underruns = Some(underruns);
        self.sink_dropped_frames = Some(dropped_frames);
    }

    /// Takes what a source with a clock of its own knows.
    pub fn source_knows(&mut self, drift_ppm: Option<f64>, underruns: u64, overruns: u64) {
        self.drift_ppm = drift_ppm.map(to_tenths);
        self.source_underruns = Some(underruns);
        self.source_overruns = Some(overruns);
    }

    /// Frames of a packet, with so many bytes to a frame; at least 1.
    pub fn packet_frames(&self, frame_bytes: u32) -> u64 {
        let packet = self.ring_bytes.checked_div(self.packets).unwrap_or(0);
        packet.checked_div(frame_bytes).unwrap_or(0).max(1).into()
    }
}

/// What is finer than a tenth of a millionth is not known.
fn to_tenths(ppm: f64) -> f64 {
    (ppm * 10.0).round() / 10.0
}

/// Seconds to the millisecond.
pub fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

/// Whole microseconds.
pub fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

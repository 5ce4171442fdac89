//! `ringwave control SOCKET metrics`: the figures of `stats` as Prometheus wants them (text format 0.0.4),
//! for its node exporter's textfile collector or a pushgateway.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, prometheus_text};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use ringwave_report::{Client, SessionReport, StreamReport};

/// The text.
pub fn text(report: SessionReport) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("ringwave");
    registry.register_collector(Box::new(Figures(report)));
    let mut text = String::new();
    prometheus_text::encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Figures(SessionReport);

/// A counter of each stream; none where it is not known.
type Count = (&'static str, &'static str, fn(&StreamReport) -> Option<u64>);

/// What only grows while a client is there.
const COUNTERS: &[Count] = &[
    ("frames", "Frames that were played or captured, silence included", |s| Some(s.frames)),
    ("packets_completed", "Packets that were completed", |s| Some(s.packets_completed)),
    ("underruns", "Packets that were silent at least in part, or captured and stored over", |s| s.underruns),
    ("silence_frames", "Frames of silence that were played for want of data", |s| Some(s.silence_frames)),
    ("source_silence_frames", "Frames that were captured while the source had nothing", |s| {
        Some(s.source_silence_frames)
    }),
    ("dma_faults", "Transfers that failed", |s| Some(s.dma_faults)),
    ("stalls", "How often the clock waited for a packet", |s| Some(s.stalls)),
    ("late_marks", "Packets that were marked after they had begun", |s| Some(s.late_marks)),
    ("sink_underruns", "How often the sink's own clock found nothing to play", |s| s.sink_underruns),
    ("sink_dropped_frames", "Frames that the sink had no room for", |s| s.sink_dropped_frames),
    ("source_underruns", "How often the source's own clock had nothing to capture", |s| s.source_underruns),
    ("source_overruns", "How often some of the source's sound was lost", |s| s.source_overruns),
];

/// What is as it is now.
type Level = (&'static str, &'static str, fn(&StreamReport) -> Option<f64>);

const GAUGES: &[Level] = &[
    ("least_margin_seconds", "The shortest time from a mark to the beginning of its packet", |s| {
        #[allow(clippy::cast_precision_loss, reason = "microseconds of a session are far below 2^53")]
        s.least_margin_us.map(|micros| micros as f64 / 1e6)
    }),
    (
        "drift_ppm",
        "How much faster than the card's clock that of the sink or source goes, in millionths",
        |s| s.drift_ppm,
    ),
    ("plugged", "Whether something is plugged into its jack", |s| {
        s.plugged.map(|plugged| if plugged { 1.0 } else { 0.0 })
    }),
    ("sink_failed", "Whether sound of this client is missing in the sink", |s| {
        Some(if s.sink_failed { 1.0 } else { 0.0 })
    }),
];

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let report = &self.0;
        for &(name, help, of) in COUNTERS {
            let name = format!("stream_{name}");
            let counter = ConstCounter::new(0_u64);
            let mut metric = encoder.encode_descriptor(&name, help, None, counter.metric_type())?;
            for stream in &report.streams {
                let Some(count) = of(stream) else { continue };
                ConstCounter::new(count).encode(metric.encode_family(&labels(stream))?)?;
            }
        }
        for &(name, help, of) in GAUGES {
            let name = format!("stream_{name}");
            let gauge = ConstGauge::new(0.0_f64);
            let mut metric = encoder.encode_descriptor(&name, help, None, gauge.metric_type())?;
            for stream in &report.streams {
                let Some(level) = of(stream) else { continue };
                ConstGauge::new(level).encode(metric.encode_family(&labels(stream))?)?;
            }
        }
        for (name, help, count) in [
            ("messages", "Messages of the client", report.messages.total),
            ("interrupts", "Interrupts that reached the client", report.interrupts),
            ("wakes", "How often the engine woke", report.wakes),
        ] {
            let counter = ConstCounter::new(count);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        #[allow(clippy::cast_precision_loss, reason = "microseconds of a session are far below 2^53")]
        let lateness = report.worst_lateness_us as f64 / 1e6;
        let there = if report.client == Client::There { 1.0 } else { 0.0 };
        for (name, help, level) in [
            ("worst_lateness_seconds", "The longest time from the end of a piece to its handling", lateness),
            ("client", "Whether there is a client", there),
        ] {
            let gauge = ConstGauge::new(level);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

fn labels(stream: &StreamReport) -> [(&'static str, String); 2] {
    let direction = match stream.direction {
        ringwave_report::Direction::Render => "render",
        ringwave_report::Direction::Capture => "capture",
    };
    [("stream", stream.index.to_string()), ("direction", direction.to_owned())]
}

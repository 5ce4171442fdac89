//! What a client's session came to, as one line for people.
//!
//! `stream 0 render s16 2 ch 48000 Hz: 240000 frames, 50 packets, 0 underruns, 0 silent, 0 faults; 312 messages, 240 wakes, worst 0.8 ms late`.
//! A stream that was never set up is left out; what is wrong with one and rare (sound that is not in its file) stands behind the rest of it.

use std::fmt;

use super::{Client, Report, StreamReport};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.client {
            Client::None => write!(f, "no client for {:.1} s: ", self.seconds)?,
            Client::There => write!(f, "the client is still there after {:.1} s: ", self.seconds)?,
            Client::Left => write!(f, "the client has left after {:.1} s: ", self.seconds)?,
        }
        let mut used = self.streams.iter().filter(|stream| stream.format.is_some()).peekable();
        if used.peek().is_none() {
            f.write_str("no stream used; ")?;
        }
        for stream in used {
            write!(f, "{stream}; ")?;
        }
        let (messages, wakes) = (self.messages.total, self.wakes);
        #[allow(clippy::cast_precision_loss, reason = "to a tenth of a millisecond, for people")]
        let late = self.worst_lateness_us as f64 / 1000.0;
        write!(f, "{messages} messages, {wakes} wakes, worst {late:.1} ms late")
    }
}

impl fmt::Display for StreamReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stream {} {}", self.index, self.direction)?;
        if let (Some(format), Some(channels), Some(rate)) = (self.format, self.channels, self.rate) {
            write!(f, " {format} {channels} ch {rate} Hz")?;
        }
        write!(f, ": {} frames, {} packets, ", self.frames, self.packets_completed)?;
        let what = if self.direction == "capture" { "overruns" } else { "underruns" };
        match self.underruns {
            Some(count) => write!(f, "{count} {what}, ")?,
            None => write!(f, "unknown {what}, ")?,
        }
        // One of them is always 0: want of data is the guest's in render, the source's in capture.
        let silent = self.silence_frames.saturating_add(self.source_silence_frames);
        write!(f, "{silent} silent, {} faults", self.dma_faults)?;
        if let Some(least) = self.least_margin_us {
            #[allow(clippy::cast_precision_loss, reason = "to a tenth of a millisecond, for people")]
            let millis = least as f64 / 1000.0;
            match self.late_marks {
                0 => write!(f, ", marks at least {millis:.1} ms early")?,
                late => write!(f, ", {late} marks late, worst {:.1} ms", -millis)?,
            }
        }
        if self.polled_marks != 0 {
            write!(f, ", {} marks without LOOK", self.polled_marks)?;
        }
        if let Some(ppm) = self.drift_ppm {
            write!(f, ", drift {ppm:+.1} ppm")?;
        }
        if let Some(underruns) = self.sink_underruns {
            write!(f, ", {underruns} sink underruns")?;
        }
        if self.sink_failed {
            f.write_str(", not all in its file")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::stats::{Messages, stream_report};
    use ringwave_audio::StreamFormat;
    use ringwave_engine::stream::stats::StreamStats;

    fn used(capture: bool, underruns: Option<u64>) -> StreamStats {
        StreamStats {
            format: Some(StreamFormat {
                sample: ringwave_audio::SampleFormat::S16,
                channels: 2,
                rate: 48_000,
            }),
            frames: 240_000,
            packets_completed: 50,
            underruns,
            transport_faults: 2,
            source_silence_frames: if capture { 7 } else { 0 },
            ..StreamStats::new(capture)
        }
    }

    fn report(streams: &[StreamStats], client: Client) -> Report {
        let stream = |(index, stats)| stream_report(index, stats, Duration::from_micros(780), Some(true));
        Report {
            version: "0",
            clock: "lockstep",
            client,
            seconds: 12.345,
            streams: (0..).zip(streams).map(stream).collect(),
            messages: Messages { total: 312, ..Messages::default() },
            interrupts: 50,
            wakes: 240,
            worst_lateness_us: 780,
        }
    }

    #[test]
    fn line_says_it_all_and_leaves_out_what_was_not_used() {
        let streams = [used(false, Some(0)), StreamStats::new(false), used(true, None)];
        let mut report = report(&streams, Client::Left);
        assert_eq!(
            report.to_string(),
            "the client has left after 12.3 s: stream 0 render s16 2 ch 48000 Hz: 240000 frames, 50 packets, 0 underruns, 0 silent, \
             2 faults; stream 2 capture s16 2 ch 48000 Hz: 240000 frames, 50 packets, unknown overruns, 7 silent, 2 faults; \
             312 messages, 240 wakes, worst 0.8 ms late"
        );
        report.sinks_failed(1);
        assert!(report.to_string().contains("2 faults, not all in its file; stream 2"), "{report}");
        report.streams[0].least_margin_us = Some(3_120);
        assert!(report.to_string().contains("2 faults, marks at least 3.1 ms early, not all"), "{report}");
        report.streams[0].least_margin_us = Some(-800);
        (report.streams[0].late_marks, report.streams[0].polled_marks) = (2, 1);
        let late = "2 faults, 2 marks late, worst 0.8 ms, 1 marks without LOOK, not all";
        assert!(report.to_string().contains(late), "{report}");
        let known = crate::host::Figures { drift_ppm: Some(83.04), underruns: 2, dropped_frames: 0 };
        report.sinks_know(&[(2, known)]);
        assert!(report.to_string().contains("2 faults, drift +83.0 ppm, 2 sink underruns; 312"), "{report}");
    }

    #[test]
    fn line_is_there_when_nothing_was_used() {
        assert_eq!(
            report(&[StreamStats::new(false)], Client::There).to_string(),
            "the client is still there after 12.3 s: no stream used; 312 messages, 240 wakes, worst 0.8 ms late"
        );
    }

    #[test]
    fn json_is_one_line_and_has_everything() {
        let line = report(&[used(false, None), StreamStats::new(true)], Client::Left).json_line();
        assert!(!line.contains('\n'));
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&json["client"], &json["wakes"]), (&"left".into(), &240.into()));
        assert_eq!(json["streams"][0]["worst_lateness_us"], 780);
        assert_eq!(
            (&json["streams"][0]["underruns"], &json["streams"][1]["underruns"]),
            (&().into(), &0.into())
        );
        assert_eq!(
            (&json["streams"][1]["format"], &json["streams"][1]["plugged"]),
            (&().into(), &true.into())
        );
    }
}

//! What a client's session came to, as one line for people.
//!
//! `stream 0 render s16 2 ch 48000 Hz: 240000 frames, 50 packets, 0 underruns, 0 silent, 0 faults; 312
//! messages, 240 wakes, worst 0.8 ms late`. A stream that was never set up is left out; what is wrong with
//! one and rare (sound that is not in its file) stands behind the rest of it.

use std::fmt;

use crate::words::counted;
use crate::{Client, Direction, SessionReport, StreamReport};

impl fmt::Display for SessionReport {
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
        let (messages, wakes) = (counted(self.messages.total, "message"), counted(self.wakes, "wake"));
        #[allow(clippy::cast_precision_loss, reason = "to a tenth of a millisecond, for people")]
        let late = self.worst_lateness_us as f64 / 1000.0;
        write!(f, "{messages}, {wakes}, worst {late:.1} ms late")
    }
}

impl fmt::Display for StreamReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = match self.direction {
            Direction::Render => "render",
            Direction::Capture => "capture",
        };
        write!(f, "stream {} {direction}", self.index)?;
        if let (Some(format), Some(channels), Some(rate)) = (self.format, self.channels, self.rate) {
            write!(f, " {} {channels} ch {rate} Hz", format.name())?;
        }
        write!(f, ": {}, {}, ", counted(self.frames, "frame"), counted(self.packets_completed, "packet"))?;
        let what = match self.direction {
            Direction::Render => "underrun",
            Direction::Capture => "overrun",
        };
        match self.underruns {
            Some(count) => write!(f, "{}, ", counted(count, what))?,
            None => write!(f, "unknown {what}s, ")?,
        }
        // One of them is always 0: want of data is the guest's in render, the source's in capture.
        let silent = self.silence_frames.saturating_add(self.source_silence_frames);
        write!(f, "{silent} silent, {}", counted(self.dma_faults, "fault"))?;
        if let Some(least) = self.least_margin_us {
            #[allow(clippy::cast_precision_loss, reason = "to a tenth of a millisecond, for people")]
            let millis = least as f64 / 1000.0;
            match self.late_marks {
                0 => write!(f, ", marks at least {millis:.1} ms early")?,
                late => write!(f, ", {} late, worst {:.1} ms", counted(late, "mark"), -millis)?,
            }
        }
        if self.polled_marks != 0 {
            write!(f, ", {} without LOOK", counted(self.polled_marks, "mark"))?;
        }
        if let Some(ppm) = self.drift_ppm {
            write!(f, ", drift {ppm:+.1} ppm")?;
        }
        if let Some(underruns) = self.sink_underruns {
            write!(f, ", {}", counted(underruns, "sink underrun"))?;
        }
        if let (Some(underruns), Some(overruns)) = (self.source_underruns, self.source_overruns) {
            write!(f, ", {}", counted(underruns, "source underrun"))?;
            write!(f, ", {}", counted(overruns, "source overrun"))?;
        }
        if self.sink_failed {
            f.write_str(", not all in its file")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ringwave_audio::SampleFormat;

    use super::*;
    use crate::{DmaMode, Messages, SCHEMA};

    /// A stream that was never set up.
    fn unused(direction: Direction) -> StreamReport {
        StreamReport {
            index: 0,
            direction,
            format: None,
            rate: None,
            channels: None,
            ring_bytes: 0,
            packets: 0,
            dma_mode: DmaMode::Contiguous,
            sg_entries: 0,
            frames: 0,
            packets_completed: 0,
            underruns: Some(0),
            silence_frames: 0,
            source_silence_frames: 0,
            dma_faults: 0,
            events: 0,
            stalls: 0,
            marks: 0,
            polled_marks: 0,
            late_marks: 0,
            least_margin_us: None,
            margins: vec![],
            worst_lateness_us: 780,
            plugged: Some(true),
            sink_failed: false,
            drift_ppm: None,
            sink_underruns: None,
            sink_dropped_frames: None,
            source_underruns: None,
            source_overruns: None,
        }
    }

    fn used(direction: Direction, underruns: Option<u64>) -> StreamReport {
        StreamReport {
            format: Some(SampleFormat::S16),
            channels: Some(2),
            rate: Some(48_000),
            frames: 240_000,
            packets_completed: 50,
            underruns,
            dma_faults: 2,
            source_silence_frames: if direction == Direction::Capture { 7 } else { 0 },
            ..unused(direction)
        }
    }

    fn report(streams: Vec<StreamReport>, client: Client) -> SessionReport {
        let numbered = (0..).zip(streams).map(|(index, stream)| StreamReport { index, ..stream });
        SessionReport {
            schema: SCHEMA,
            version: "0".into(),
            clock: "lockstep".into(),
            client,
            seconds: 12.345,
            streams: numbered.collect(),
            messages: Messages { total: 312, ..Messages::default() },
            interrupts: 50,
            wakes: 240,
            worst_lateness_us: 780,
        }
    }

    #[test]
    fn line_says_it_all_and_leaves_out_what_was_not_used() {
        let (render, capture) = (Direction::Render, Direction::Capture);
        let streams = vec![used(render, Some(0)), unused(render), used(capture, None)];
        let mut report = report(streams, Client::Left);
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
        let late = "2 faults, 2 marks late, worst 0.8 ms, 1 mark without LOOK, not all";
        assert!(report.to_string().contains(late), "{report}");
        report.streams[2].sink_knows(Some(83.04), 2, 0);
        assert!(report.to_string().contains("2 faults, drift +83.0 ppm, 2 sink underruns; 312"), "{report}");
    }

    #[test]
    fn line_is_there_when_nothing_was_used() {
        assert_eq!(
            report(vec![unused(Direction::Render)], Client::There).to_string(),
            "the client is still there after 12.3 s: no stream used; 312 messages, 240 wakes, worst 0.8 ms late"
        );
    }

    /// The keys of an object of the schema, and whether each has a text that says what it is.
    fn keys(schema: &serde_json::Value, at: &str) -> Vec<String> {
        let properties = schema.pointer(at).and_then(|object| object["properties"].as_object()).expect(at);
        for (key, value) in properties {
            let said = value["description"].as_str().or_else(|| value["$ref"].as_str());
            assert!(said.is_some_and(|said| !said.is_empty()), "{key} of {at}: {value}");
        }
        properties.keys().cloned().collect()
    }

    #[test]
    fn schema_has_each_key_of_a_report_and_no_other() {
        let schema: serde_json::Value = serde_json::from_str(&SessionReport::json_schema()).expect("JSON");
        let mut stream = used(Direction::Render, Some(0));
        stream.margins = vec![crate::Margin { from_us: 2_000, packets: 12 }];
        let report = report(vec![stream], Client::Left);
        let report: serde_json::Value = serde_json::from_str(&report.json_line()).expect("JSON");
        assert_eq!(report["schema"], 1);
        for (object, at) in [
            ("", ""),
            ("/streams/0", "/$defs/StreamReport"),
            ("/streams/0/margins/0", "/$defs/Margin"),
            ("/messages", "/$defs/Messages"),
            ("/messages/while_running", "/$defs/WhileRunning"),
        ] {
            let written = report.pointer(object).and_then(|object| object.as_object()).expect(object);
            assert_eq!(keys(&schema, at), written.keys().cloned().collect::<Vec<_>>(), "{at}");
        }
    }

    #[test]
    fn json_is_one_line_and_has_everything() {
        let line =
            report(vec![used(Direction::Render, None), unused(Direction::Capture)], Client::Left).json_line();
        assert!(!line.contains('\n'));
        let read: SessionReport = serde_json::from_str(&line).unwrap();
        assert_eq!(read.json_line(), line, "who reads it has the same types");
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

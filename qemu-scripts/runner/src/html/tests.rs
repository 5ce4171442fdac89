//! What a page says, of made-up results.

use super::*;

#[test]
fn packets_that_a_card_waited_for_are_not_said_to_be_silent() {
    for (waits, direction, underruns, silence, said) in [
        (true, "render", 3, 0, Some("3 packets not in time; the card waited, and nothing is lost by it")),
        (true, "render", 1, 960, Some("1 packet not in time, 960 frames silent")),
        (false, "render", 1, 1, Some("1 packet not in time, 1 frame silent")),
        (false, "capture", 2, 960, Some("2 packets not in time, 960 frames recorded over")),
        (true, "render", 0, 0, None),
    ] {
        let stream = serde_json::json!({
            "index": 0, "direction": direction, "format": "s16", "rate": 48_000, "channels": 2,
            "ring_bytes": 9_600, "packets": 2, "dma_mode": "contiguous", "sg_entries": 0, "frames": 480_000,
            "packets_completed": 200, "underruns": underruns, "silence_frames": silence,
            "source_silence_frames": 0, "dma_faults": 0, "events": 200, "stalls": 0, "marks": 200,
            "polled_marks": 0, "late_marks": 0, "least_margin_us": null, "margins": [],
            "worst_lateness_us": 0, "plugged": true, "sink_failed": false, "drift_ppm": null,
            "sink_underruns": null, "sink_dropped_frames": null, "source_underruns": null,
            "source_overruns": null,
        });
        let stream = serde_json::from_value(stream).expect("the statistics of a stream");
        assert_eq!(missed(&stream, waits).as_deref(), said);
    }
}

//! What was recorded, packet by packet.

use crate::json::Object;
use crate::wave_format::Format;

/// AUDCLNT_BUFFERFLAGS_DATA_DISCONTINUITY.
const DISCONTINUITY: u32 = 1;
/// AUDCLNT_BUFFERFLAGS_SILENT.
pub const SILENT: u32 = 2;
/// AUDCLNT_BUFFERFLAGS_TIMESTAMP_ERROR.
const TIMESTAMP_ERROR: u32 = 4;

/// Counts of a recording.
#[derive(Default)]
pub struct Recorded {
    packets: u64,
    frames: u64,
    silent_frames: u64,
    zero_frames: u64,
    discontinuities: u64,
    gap_frames: u64,
    timestamp_errors: u64,
    peak: f64,
    next: Option<u64>,
}

impl Recorded {
    /// A packet: its frames as they are kept, the flags, and the device position of its first frame.
    pub fn packet(&mut self, format: &Format, bytes: &[u8], flags: u32, position: u64) {
        let sample = format.sample;
        let frames = bytes.chunks_exact(format.frame_bytes());
        let count = frames.len() as u64;
        // A stream may begin with a discontinuity.
        if flags & DISCONTINUITY != 0 && self.packets > 0 {
            self.discontinuities += 1;
        }
        if flags & TIMESTAMP_ERROR != 0 {
            self.timestamp_errors += 1;
        }
        if flags & SILENT != 0 {
            self.silent_frames += count;
        }
        if let Some(next) = self.next {
            self.gap_frames = self.gap_frames.saturating_add(position.saturating_sub(next));
        }
        self.next = position.checked_add(count);
        self.packets += 1;
        self.frames += count;
        self.zero_frames += frames.filter(|frame| sample.is_silence(frame)).count() as u64;
        let peak = &mut self.peak;
        sample.decode(bytes, |level| {
            let level = if level < 0.0 { -level } else { level };
            if level > *peak {
                *peak = level;
            }
        });
    }

    /// Frames so far.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Nothing but digital zero.
    pub fn is_silent(&self) -> bool {
        self.zero_frames == self.frames
    }

    /// Adds what is known to a line.
    pub fn write(&self, to: &mut Object) {
        to.set("frames", self.frames).set("packets", self.packets);
        to.set("silent_frames", self.silent_frames).set("zero_frames", self.zero_frames);
        to.set("discontinuities", self.discontinuities).set("glitches", self.discontinuities);
        to.set("gap_frames", self.gap_frames).set("timestamp_errors", self.timestamp_errors);
        to.set("peak", self.peak);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringwave_audio::SampleFormat;

    #[test]
    fn packets_are_counted_with_their_flags() {
        let format = Format { sample: SampleFormat::S16, rate: 48_000, channels: 2, mask: 3 };
        let mut recorded = Recorded::default();
        recorded.packet(&format, &[0; 8], DISCONTINUITY | SILENT, 100);
        assert!(recorded.is_silent());
        recorded.packet(&format, &[0, 0, 0, 0xC0, 0, 0, 0, 0], 0, 102);
        recorded.packet(&format, &[0, 1, 0, 0], DISCONTINUITY | TIMESTAMP_ERROR, 114);
        let mut object = Object::new();
        recorded.write(&mut object);
        let line: serde_json::Value = serde_json::from_str(&object.text()).expect("JSON");
        for (key, value) in [
            ("frames", 5),
            ("packets", 3),
            ("silent_frames", 2),
            ("zero_frames", 3),
            ("discontinuities", 1),
            ("gap_frames", 10),
            ("timestamp_errors", 1),
        ] {
            assert_eq!(line[key], value, "{key}");
        }
        assert_eq!(line["peak"], 0.5);
        assert!(!recorded.is_silent());
    }
}

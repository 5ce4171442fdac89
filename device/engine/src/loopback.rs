//! What a render stream plays, as the sound of a capture stream: sample for sample, in order, each frame
//! once.
//!
//! Both streams move at the same rate, but their pieces do not end together, so that between two ends of the
//! capture stream there may be one frame more or less than it needs. One frame is therefore held back when
//! sound begins; it is delivered when sound ends. Where the render stream stands still (a stall, PAUSE, the
//! end) there is silence.

use std::collections::VecDeque;

use crate::audio_queue::{AudioChunk, AudioQueue};
use crate::sources::Sources;
use ringwave_audio::StreamFormat;

/// Sound that may wait for a capture stream which stands still: 20 s of 48 kHz stereo.
const BYTES_MAX: usize = 4 << 20;

/// The lines of a card.
#[derive(Debug, Default)]
pub struct Loopbacks(Vec<Loopback>);

impl Loopbacks {
    /// For each capture stream, counted from 0: the render stream that it hears, if any. Render streams have
    /// the numbers below `render`, capture streams those from there on.
    pub fn new(hears: impl IntoIterator<Item = Option<u8>>, render: u32) -> Self {
        let lines = hears.into_iter().enumerate().filter_map(|(capture, from)| {
            let from = from.filter(|from| u32::from(*from) < render)?;
            Some(Loopback::new(from.into(), render as usize + capture))
        });
        Self(lines.collect())
    }

    /// The line that ends at this capture stream.
    pub fn to(&mut self, capture: usize) -> Option<&mut Loopback> {
        self.0.iter_mut().find(|line| line.capture == capture)
    }

    /// The render stream that this capture stream hears.
    pub fn render_of(&self, capture: usize) -> Option<usize> {
        self.0.iter().find(|line| line.capture == capture).map(|line| line.render)
    }

    /// A render stream has played what is in `audio` from chunk `mark` on: those hear it that run.
    pub fn hear(&mut self, render: usize, audio: &AudioQueue, mark: usize, runs: impl Fn(usize) -> bool) {
        for line in self.0.iter_mut().filter(|line| line.render == render) {
            if !runs(line.capture) {
                line.clear();
                continue;
            }
            for (_, format, chunk) in audio.chunks_from(mark) {
                line.push(format, chunk);
            }
        }
    }
}

/// The line from a render stream to a capture stream.
#[derive(Debug)]
pub struct Loopback {
    /// Index of the render stream.
    pub render: usize,
    /// Index of the capture stream.
    pub capture: usize,
    format: Option<StreamFormat>,
    queue: VecDeque<u8>,
    /// Sound has begun and not ended.
    flows: bool,
}

impl Loopback {
    /// A line with nothing in it.
    pub fn new(render: usize, capture: usize) -> Self {
        Self { render, capture, format: None, queue: VecDeque::new(), flows: false }
    }

    /// The capture stream begins, or has ended.
    pub fn clear(&mut self) {
        self.queue.clear();
        self.flows = false;
    }

    /// The render stream played something. Gives the frames that there was no room for.
    pub fn push(&mut self, format: StreamFormat, chunk: AudioChunk<'_>) -> u64 {
        if self.format != Some(format) {
            self.clear();
            self.format = Some(format);
        }
        let frame = u64::from(format.frame_bytes().max(1));
        let room = (BYTES_MAX.saturating_sub(self.queue.len()) as u64) / frame;
        match chunk {
            AudioChunk::Frames(bytes) => {
                let taken = (bytes.len() as u64 / frame).min(room);
                let end = usize::try_from(taken * frame).unwrap_or(0);
                self.queue.extend(bytes.get(..end).unwrap_or_default());
                (bytes.len() as u64 / frame) - taken
            }
            AudioChunk::Silence(frames) => {
                let taken = frames.min(room);
                let bytes = usize::try_from(taken * frame).unwrap_or(0);
                self.queue.extend(std::iter::repeat_n(format.sample.silence(), bytes));
                frames - taken
            }
            AudioChunk::Stop => 0,
        }
    }

    /// Moves bytes out of the queue into all of `into`, which is not longer than the queue.
    fn take(&mut self, into: &mut [u8]) {
        let bytes = into.len().min(self.queue.len());
        for (byte, from) in into.iter_mut().zip(self.queue.drain(..bytes)) {
            *byte = from;
        }
    }
}

impl Sources for Loopback {
    fn capture(&mut self, _stream: u32, format: StreamFormat, into: &mut [u8]) -> usize {
        into.fill(format.sample.silence());
        if self.format != Some(format) {
            return 0;
        }
        let held = if self.flows { 0 } else { format.frame_bytes() as usize };
        let sound = self.queue.len().saturating_sub(held).min(into.len());
        if sound == 0 {
            self.flows = false;
            return 0;
        }
        // Where sound begins, silence was before it; where it ends, silence is behind it.
        let begins = if self.flows { 0 } else { into.len() - sound };
        let ends = begins.saturating_add(sound);
        if let Some(part) = into.get_mut(begins..ends) {
            self.take(part);
        }
        self.flows = ends == into.len();
        sound
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MONO: StreamFormat =
        StreamFormat { sample: ringwave_audio::SampleFormat::S16, channels: 1, rate: 48_000 };

    fn push(line: &mut Loopback, samples: std::ops::Range<u16>) -> u64 {
        let bytes: Vec<u8> = samples.flat_map(u16::to_le_bytes).collect();
        line.push(MONO, AudioChunk::Frames(&bytes))
    }

    fn captured(line: &mut Loopback, frames: usize) -> Vec<u16> {
        let mut bytes = vec![0xFF; frames * 2];
        line.capture(1, MONO, &mut bytes);
        bytes.as_chunks().0.iter().map(|sample| u16::from_le_bytes(*sample)).collect()
    }

    #[test]
    fn sound_begins_late_and_ends_early() {
        let mut line = Loopback::new(0, 1);
        assert_eq!(captured(&mut line, 2), [0, 0]);
        push(&mut line, 1..4);
        assert_eq!(captured(&mut line, 4), [0, 0, 1, 2], "one frame is held back");
        push(&mut line, 4..7);
        assert_eq!(captured(&mut line, 4), [3, 4, 5, 6], "one frame fewer came than was wanted");
        push(&mut line, 7..9);
        assert_eq!(captured(&mut line, 4), [7, 8, 0, 0], "the end");
        assert_eq!(captured(&mut line, 2), [0, 0]);
    }

    #[test]
    fn another_format_is_silence() {
        let mut line = Loopback::new(0, 1);
        push(&mut line, 1..9);
        let mut bytes = [0xFF; 8];
        assert_eq!(line.capture(1, StreamFormat { rate: 44_100, ..MONO }, &mut bytes), 0);
        assert_eq!(bytes, [0; 8]);
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut line = Loopback::new(0, 1);
        assert_eq!(line.push(MONO, AudioChunk::Silence(1 << 40)), (1 << 40) - (BYTES_MAX as u64 / 2));
        assert_eq!(push(&mut line, 0..5), 5);
    }

    proptest! {
        /// Pieces of about the same length that end at different moments: one gap before, none within.
        #[test]
        fn steady_sound_has_no_gap(pieces in proptest::collection::vec(0..3_u16, 1..100)) {
            let mut line = Loopback::new(0, 1);
            let (mut all, mut next, mut ahead) = (Vec::new(), 1, 0_i32);
            for jitter in pieces {
                // Never more than one frame ahead or behind in all.
                let step = (i32::from(jitter) - 1).clamp(-1 - ahead, 1 - ahead).min(1);
                let step = if ahead + step < 0 { -ahead } else { step };
                ahead += step;
                let frames = u16::try_from(10 + step).unwrap();
                push(&mut line, next..next + frames);
                next += frames;
                all.extend(captured(&mut line, 10));
            }
            let sound: Vec<u16> = all.into_iter().skip_while(|sample| *sample == 0).collect();
            prop_assert_eq!(&sound, &(1..=u16::try_from(sound.len()).unwrap()).collect::<Vec<_>>());
        }
    }
}

//! What the streams of a card play, as it waits for the host: frames, silence and stops of all streams in
//! their order.

use ringwave_audio::StreamFormat;

/// Sound that may wait for the sinks: five minutes of 48 kHz stereo. More means that the sink has failed
/// without saying so.
pub const BYTES_MAX: usize = 64 << 20;
/// Chunks that may wait, whatever their length.
const CHUNKS_MAX: usize = BYTES_MAX / 64;

/// What a stream's sink has to hear next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudioChunk<'a> {
    /// Whole frames that were played, in the stream's format.
    Frames(&'a [u8]),
    /// So many frames of silence that were played for want of data.
    Silence(u64),
    /// The stream was stopped, or the card reset: nothing more belongs to this stretch of sound.
    Stop,
}

/// [`AudioChunk`] as it lies in the queue: the frames of all streams share one buffer.
#[derive(Clone, Copy, Debug)]
enum Entry {
    Frames { start: usize, end: usize },
    Silence(u64),
    Stop,
}

/// A place in an [`AudioQueue`].
#[derive(Clone, Copy, Debug, Default)]
pub struct QueueEnd {
    bytes: usize,
    chunks: usize,
}

/// Audio chunks of all streams, in order.
#[derive(Debug, Default)]
pub struct AudioQueue {
    bytes: Vec<u8>,
    entries: Vec<(u32, StreamFormat, Entry)>,
}

impl AudioQueue {
    /// The chunks, in order: stream number, format, and what.
    pub fn chunks(&self) -> impl Iterator<Item = (u32, StreamFormat, AudioChunk<'_>)> {
        self.chunks_from(0)
    }

    /// The chunks from number `first` on: those that have come since [`Self::len`] was that.
    pub fn chunks_from(&self, first: usize) -> impl Iterator<Item = (u32, StreamFormat, AudioChunk<'_>)> {
        self.entries.iter().skip(first).map(|&(stream, format, entry)| {
            let chunk = match entry {
                Entry::Frames { start, end } => {
                    AudioChunk::Frames(self.bytes.get(start..end).unwrap_or_default())
                }
                Entry::Silence(frames) => AudioChunk::Silence(frames),
                Entry::Stop => AudioChunk::Stop,
            };
            (stream, format, chunk)
        })
    }

    /// How many chunks there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Where the queue ends now: for [`Self::limit`].
    pub fn end(&self) -> QueueEnd {
        QueueEnd { bytes: self.bytes.len(), chunks: self.entries.len() }
    }

    /// Drops, of what has come since `before`, whatever finds no room. Gives the streams whose sound was
    /// lost, as bits. A stop takes room as well, but one that is missing is missed by nobody.
    pub fn limit(&mut self, before: QueueEnd) -> u32 {
        if self.bytes.len() <= BYTES_MAX && self.entries.len() <= CHUNKS_MAX {
            return 0;
        }
        let mut lost = 0;
        let QueueEnd { bytes: mut kept_bytes, chunks: mut kept } = before;
        for index in before.chunks..self.entries.len() {
            let Some(&(stream, format, mut entry)) = self.entries.get(index) else { break };
            let fits = match &mut entry {
                Entry::Frames { start, end } => {
                    let bytes = *start..*end;
                    let kept_end = kept_bytes.saturating_add(bytes.len());
                    let fits = kept < CHUNKS_MAX && kept_end <= BYTES_MAX;
                    if fits {
                        self.bytes.copy_within(bytes, kept_bytes);
                        (*start, *end) = (kept_bytes, kept_end);
                        kept_bytes = kept_end;
                    }
                    fits
                }
                Entry::Silence(_) | Entry::Stop => kept < CHUNKS_MAX,
            };
            if fits {
                if let Some(to) = self.entries.get_mut(kept) {
                    *to = (stream, format, entry);
                }
                kept += 1;
            } else if !matches!(entry, Entry::Stop) {
                lost |= 1_u32.checked_shl(stream).unwrap_or(0);
            }
        }
        self.entries.truncate(kept);
        self.bytes.truncate(kept_bytes);
        lost
    }

    /// Forgets everything, but keeps the buffers.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }

    /// Frames were played. Gives them where they now lie, for what is done to them on the way out.
    pub fn frames(&mut self, stream: u32, format: StreamFormat, bytes: &[u8]) -> &mut [u8] {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.entries.push((stream, format, Entry::Frames { start, end: self.bytes.len() }));
        self.bytes.get_mut(start..).unwrap_or_default()
    }

    /// Silence was played.
    pub fn silence(&mut self, stream: u32, format: StreamFormat, frames: u64) {
        self.entries.push((stream, format, Entry::Silence(frames)));
    }

    /// The stream's sound is over.
    pub fn stop(&mut self, stream: u32, format: StreamFormat) {
        self.entries.push((stream, format, Entry::Stop));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: StreamFormat =
        StreamFormat { sample: ringwave_audio::SampleFormat::S16, channels: 2, rate: 48_000 };

    #[test]
    fn silence_that_finds_no_room_is_lost_and_a_stop_is_not() {
        let mut queue = AudioQueue::default();
        for _ in 0..CHUNKS_MAX {
            queue.silence(3, FORMAT, 1);
        }
        assert_eq!(queue.limit(QueueEnd::default()), 0);
        for _ in 0..2 {
            let before = queue.end();
            queue.stop(2, FORMAT);
            queue.silence(3, FORMAT, 1);
            assert_eq!(queue.limit(before), 1 << 3);
            assert_eq!(queue.len(), CHUNKS_MAX);
        }
        queue.clear();
        queue.silence(3, FORMAT, 1);
        assert_eq!(queue.limit(QueueEnd::default()), 0);
    }

    #[test]
    fn frames_that_find_no_room_are_lost_and_shorter_ones_behind_them_are_kept() {
        let mut queue = AudioQueue::default();
        queue.frames(0, FORMAT, &vec![1; BYTES_MAX - 8]);
        assert_eq!(queue.limit(QueueEnd::default()), 0);
        let before = queue.end();
        queue.frames(4, FORMAT, &[2; 12]);
        queue.frames(5, FORMAT, &[3; 4]);
        queue.silence(6, FORMAT, 9);
        queue.frames(5, FORMAT, &[4; 4]);
        queue.frames(7, FORMAT, &[5; 4]);
        assert_eq!(queue.limit(before), 1 << 4 | 1 << 7);
        let kept: Vec<_> = queue.chunks_from(1).map(|(stream, _, chunk)| (stream, chunk)).collect();
        let frames = |byte: &'static [u8; 4]| AudioChunk::Frames(byte);
        assert_eq!(kept, [(5, frames(&[3; 4])), (6, AudioChunk::Silence(9)), (5, frames(&[4; 4]))]);
    }
}

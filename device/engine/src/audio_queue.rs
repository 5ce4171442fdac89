//! What the streams of a card play, as it waits for the host: frames, silence and stops of all streams in their order.

use ringwave_audio::StreamFormat;

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

//! What goes from a card to its I/O worker, and back.
//!
//! The card fills its queue with its lock held, the worker exchanges it for an empty one
//! ([`crate::device::Device::drain`]) and empties it without the lock: so neither a message of the client nor
//! the card's time waits for a file.

use std::time::Duration;

use crate::audio_queue::AudioQueue;
use crate::stream::stats::Stall;

/// For so long sound is gathered before the worker is woken for it, unless it wants it otherwise. A card that
/// moves sound by bursts of 1 ms would else wake it a thousand times a second, which costs more than all the
/// rest. A sound system's sink reckons with lumps of 10 ms.
pub const GATHERED: Duration = Duration::from_millis(8);

/// What waits for the host.
#[derive(Debug)]
pub struct IoQueue<R> {
    /// Sound, in order.
    pub audio: AudioQueue,
    /// Device clock since when there is some, as far as anybody has asked.
    since: Option<u64>,
    /// For so long the worker lets sound be gathered, by the device clock.
    pub gathered: Duration,
    /// What else has happened.
    pub records: R,
    /// Streams for whose sound there was no room, as bits.
    pub lost: u32,
    /// Those of [`Self::lost`] that the log does not name yet.
    pub unreported_loss: u32,
    /// How the streams stand when the queue is drained.
    pub streams: StreamsNow,
}

impl<R: Default> Default for IoQueue<R> {
    fn default() -> Self {
        Self {
            audio: AudioQueue::default(),
            since: None,
            gathered: GATHERED,
            records: R::default(),
            lost: 0,
            unreported_loss: 0,
            streams: StreamsNow::default(),
        }
    }
}

impl<R> IoQueue<R> {
    /// Whether the worker is to be woken for sound, at `now`. `next`: when the card is called again, if
    /// nothing comes before; then it is asked again.
    pub fn audio_is_due(&mut self, now: u64, next: Option<u64>) -> bool {
        if self.audio.is_empty() {
            return false;
        }
        let gathered = u64::try_from(self.gathered.as_nanos()).unwrap_or(u64::MAX);
        let until = self.since.get_or_insert(now).saturating_add(gathered);
        next.is_none_or(|next| next > until)
    }

    /// Some sound of these streams (bits) found no room.
    pub fn lose(&mut self, streams: u32) {
        self.unreported_loss |= streams & !self.lost;
        self.lost |= streams;
    }

    /// Forgets everything but the records and what the worker wants, and keeps the buffers.
    pub fn clear(&mut self) {
        self.audio.clear();
        self.since = None;
        self.lost = 0;
        self.unreported_loss = 0;
        self.streams = StreamsNow::default();
    }
}

/// How the streams of a card stand.
#[derive(Debug, Default)]
pub struct StreamsNow {
    /// Those whose time goes on, as bits: they run and neither stall nor have ended.
    pub moving: u32,
    /// Those that wait for a packet, and for how long in real time.
    pub stalls: Vec<(Stall, Duration)>,
}

/// What the host says to the card.
#[derive(Debug, Default)]
pub struct Feedback {
    /// Streams whose sink has failed, as bits.
    pub failed: u32,
    /// Streams that have to go at another rate than before, with their `RATE_DEN`: their sink has a clock of
    /// its own.
    pub rates: Vec<(u32, u32)>,
    /// The trace can be written no more.
    pub trace_failed: bool,
    /// There is no drain after this one.
    pub last: bool,
}

impl Feedback {
    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.failed == 0 && self.rates.is_empty() && !self.trace_failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringwave_audio::{SampleFormat, StreamFormat};

    const MS: u64 = 1_000_000;

    #[test]
    fn sound_by_bursts_is_gathered_and_that_by_packets_is_not() {
        let format = StreamFormat { sample: SampleFormat::S16, channels: 1, rate: 48_000 };
        let mut queue = IoQueue::<()>::default();
        assert!(!queue.audio_is_due(0, None), "there is none");
        let mut due_at = Vec::new();
        for now in (0..20).map(|burst| burst * MS) {
            queue.audio.silence(0, format, 48);
            if queue.audio_is_due(now, Some(now + MS)) {
                due_at.push(now / MS);
                queue.clear();
            }
        }
        assert_eq!(due_at, [8, 17], "not later than 8 ms, and not each time");
        queue.gathered = Duration::from_millis(20);
        queue.clear();
        let mut due = |now| {
            queue.audio.silence(0, format, 480);
            queue.audio_is_due(now * MS, Some((now + 10) * MS))
        };
        assert_eq!([due(0), due(10), due(20)], [false, false, true], "as long as the worker wants");
        queue.gathered = GATHERED;
        queue.clear();
        queue.audio.silence(0, format, 480);
        assert!(queue.audio_is_due(0, Some(10 * MS)), "nobody asks in time");
        assert!(queue.audio_is_due(0, None), "nor ever");
    }
}

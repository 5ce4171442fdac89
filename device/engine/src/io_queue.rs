//! What goes from a card to its I/O worker, and back.
//!
//! The card fills its queue with its lock held, the worker exchanges it for an empty one
//! ([`crate::device::Device::drain`]) and empties it without the lock: so neither a message of the client nor
//! the card's time waits for a file.

use std::time::Duration;

use crate::audio_queue::AudioQueue;
use crate::stream::stats::Stall;

/// What waits for the host.
#[derive(Debug, Default)]
pub struct IoQueue<R> {
    /// Sound, in order.
    pub audio: AudioQueue,
    /// What else has happened.
    pub records: R,
    /// Streams for whose sound there was no room, as bits.
    pub lost: u32,
    /// Those of [`Self::lost`] that the log does not name yet.
    pub unreported_loss: u32,
    /// How the streams stand when the queue is drained.
    pub streams: StreamsNow,
}

impl<R> IoQueue<R> {
    /// Some sound of these streams (bits) found no room.
    pub fn lose(&mut self, streams: u32) {
        self.unreported_loss |= streams & !self.lost;
        self.lost |= streams;
    }

    /// Forgets everything but the records, and keeps the buffers.
    pub fn clear(&mut self) {
        self.audio.clear();
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

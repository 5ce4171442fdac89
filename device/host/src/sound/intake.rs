//! The queue between a device that records and a stream: what the device's callback does, and what it
//! reports.
//!
//! The callback's thread is not ours and must not wait: it puts bytes into a ring, and what there is no room
//! for is lost.

use std::sync::Arc;
use std::time::Instant;

use rtrb::{Consumer, Producer, RingBuffer};

use super::feed::{FeedState, PROGRESS_MAX, since};

/// What the device had done when it had come with a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// When, in nanoseconds since the queue was made.
    pub time: u64,
    /// Frames given since the device was started.
    pub frames: u64,
    /// ... of them those there was no room for.
    pub lost: u64,
}

/// The callback's end.
pub struct Intake {
    ring: Producer<u8>,
    progress: Producer<Delivered>,
    shared: Arc<FeedState>,
    epoch: Instant,
    frame: usize,
    now: Delivered,
}

/// The stream's end.
pub struct IntakeQueue {
    ring: Consumer<u8>,
    progress: Consumer<Delivered>,
    shared: Arc<FeedState>,
    epoch: Instant,
    frame: usize,
}

/// A queue of at most `frames` frames of `frame` bytes each.
pub fn queue(frame: usize, frames: usize) -> (IntakeQueue, Intake) {
    let (frame, shared, epoch) = (frame.max(1), Arc::new(FeedState::default()), Instant::now());
    let (put, take) = RingBuffer::new(frame.saturating_mul(frames));
    let (put_progress, take_progress) = RingBuffer::new(PROGRESS_MAX);
    let queue =
        IntakeQueue { ring: take, progress: take_progress, shared: Arc::clone(&shared), epoch, frame };
    (queue, Intake { ring: put, progress: put_progress, shared, epoch, frame, now: Delivered::default() })
}

impl Intake {
    /// The clock of its reports.
    pub fn epoch(&self) -> Instant {
        self.epoch
    }

    /// What both sides see.
    pub fn shared(&self) -> Arc<FeedState> {
        Arc::clone(&self.shared)
    }

    /// Takes what a device gives that comes now: whole frames.
    pub fn put(&mut self, bytes: &[u8]) {
        self.put_at(since(self.epoch), bytes);
    }

    /// [`Intake::put`] at a time of the caller's.
    pub fn put_at(&mut self, time: u64, bytes: &[u8]) {
        self.shared.came();
        let room = self.ring.slots().min(bytes.len()) / self.frame * self.frame;
        if let Ok(chunk) = self.ring.write_chunk_uninit(room) {
            chunk.fill_from_iter(bytes.iter().copied());
        }
        self.now.time = time;
        self.now.frames += (bytes.len() / self.frame) as u64;
        self.now.lost += (bytes.len() / self.frame).saturating_sub(room / self.frame) as u64;
        // Full: the stream stands still, and the next report that fits says as much.
        let _ = self.progress.push(self.now);
    }
}

impl IntakeQueue {
    /// Frames that wait.
    pub fn waiting(&self) -> u64 {
        (self.ring.slots() / self.frame) as u64
    }

    /// Takes at most so many frames, to `to` in one or two pieces; gives how many there were.
    pub fn take(&mut self, frames: u64, mut to: impl FnMut(&[u8])) -> u64 {
        let frames = frames.min(self.waiting());
        let bytes = usize::try_from(frames).unwrap_or(0).saturating_mul(self.frame);
        let Ok(chunk) = self.ring.read_chunk(bytes) else { return 0 };
        let (first, second) = chunk.as_slices();
        to(first);
        to(second);
        chunk.commit_all();
        frames
    }

    /// What the device has reported since the last call.
    pub fn progress(&mut self) -> impl Iterator<Item = Delivered> {
        std::iter::from_fn(|| self.progress.pop().ok())
    }

    /// What both sides see.
    pub fn shared(&self) -> &FeedState {
        &self.shared
    }

    /// Nanoseconds since the queue was made: the clock of the reports.
    pub fn now(&self) -> u64 {
        since(self.epoch)
    }
}

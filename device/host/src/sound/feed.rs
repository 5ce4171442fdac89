//! The queue between a stream and a device: what the device's callback does, and what it reports.
//!
//! The callback's thread is not ours and must not wait: it takes bytes out of a ring, and puts silence where
//! there are none. It holds sound back until there is enough of it to stand a late burst, and after running
//! dry again.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rtrb::{Consumer, Producer, RingBuffer};

/// Reports that wait for the I/O worker; when it does not come the newer ones are missing, and the next that
/// fits says as much.
pub(super) const PROGRESS_MAX: usize = 64;
/// A device that reports errors for as long, in nanoseconds, and comes for nothing, is gone.
const GONE_AFTER: u64 = 1_000_000_000;

/// What the device had done when it had come for a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// When, in nanoseconds since the queue was made.
    pub time: u64,
    /// Frames taken since the device was started, silence included.
    pub taken: u64,
    /// ... of them silence for want of sound.
    pub silence: u64,
    /// Sound is playing, and not held back.
    pub playing: bool,
}

/// What both sides see.
#[derive(Debug, Default)]
pub struct FeedState {
    /// Bytes that have to wait before sound begins.
    target: AtomicUsize,
    /// No more sound is expected: what is there is played, and running dry is no fault.
    idle: AtomicBool,
    /// Sound begins anew: gather the target again.
    gather: AtomicBool,
    /// How often sound was missing at its time.
    dry: AtomicU64,
    /// Sound is playing, and not held back.
    sounding: AtomicBool,
    /// How often the device itself ran dry (or over), because the callback's thread was late.
    late: AtomicU64,
    /// When the first error came since the device last came for a block, in nanoseconds; 0 = none did.
    failing_since: AtomicU64,
    failed: AtomicBool,
    why: Mutex<Option<String>>,
}

impl FeedState {
    /// The device ran dry, or over, before the callback came. While there was only silence nothing was missed.
    pub fn was_late(&self) {
        if self.sounding.load(Ordering::Relaxed) {
            self.late.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether sound goes through, and is not held back.
    pub fn set_sounding(&self, sounding: bool) {
        self.sounding.store(sounding, Ordering::Relaxed);
    }

    /// How often the device ran dry or over.
    pub fn times_late(&self) -> u64 {
        self.late.load(Ordering::Relaxed)
    }

    /// The device came: no error lasts.
    pub fn came(&self) {
        self.failing_since.store(0, Ordering::Relaxed);
    }

    /// The device reported an error at `time` that may pass: a sound server has some while it starts.
    /// Reported over and over it is the end.
    pub fn transient_error(&self, time: u64, why: &str) {
        let time = time.max(1);
        let since = self.failing_since.compare_exchange(0, time, Ordering::Relaxed, Ordering::Relaxed);
        if since.is_err_and(|since| time.saturating_sub(since) >= GONE_AFTER) {
            self.fail(why);
        }
    }

    /// The device is gone. The first reason counts.
    pub fn fail(&self, why: &str) {
        let mut place = self.why.lock().unwrap_or_else(PoisonError::into_inner);
        place.get_or_insert_with(|| why.to_owned());
        self.failed.store(true, Ordering::Release);
    }

    /// Why the device is gone, if it is.
    pub fn failure(&self) -> Option<String> {
        if !self.failed.load(Ordering::Acquire) {
            return None;
        }
        self.why.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The callback's end.
pub struct Feed {
    ring: Consumer<u8>,
    progress: Producer<Progress>,
    shared: Arc<FeedState>,
    epoch: Instant,
    frame: usize,
    now: Progress,
}

/// The I/O worker's end.
pub struct Queue {
    ring: Producer<u8>,
    progress: Consumer<Progress>,
    shared: Arc<FeedState>,
    epoch: Instant,
    frame: usize,
    bytes: usize,
}

/// A queue of at most `frames` frames of `frame` bytes each.
pub fn queue(frame: usize, frames: usize) -> (Queue, Feed) {
    let (frame, shared, epoch) = (frame.max(1), Arc::new(FeedState::default()), Instant::now());
    let bytes = frame.saturating_mul(frames);
    let (put, take) = RingBuffer::new(bytes);
    let (put_progress, take_progress) = RingBuffer::new(PROGRESS_MAX);
    let queue =
        Queue { ring: put, progress: take_progress, shared: Arc::clone(&shared), epoch, frame, bytes };
    (queue, Feed { ring: take, progress: put_progress, shared, epoch, frame, now: Progress::default() })
}

impl Feed {
    /// The clock of its reports.
    pub fn epoch(&self) -> Instant {
        self.epoch
    }

    /// What both sides see.
    pub fn shared(&self) -> Arc<FeedState> {
        Arc::clone(&self.shared)
    }

    /// Fills all of `out`, whole frames, for a device that comes now.
    pub fn fill(&mut self, out: &mut [u8]) {
        let time = since(self.epoch);
        self.fill_at(time, out);
    }

    /// [`Feed::fill`] at a time of the caller's.
    pub fn fill_at(&mut self, time: u64, out: &mut [u8]) {
        self.shared.came();
        let there = self.ring.slots() / self.frame * self.frame;
        let idle = self.shared.idle.load(Ordering::Acquire);
        if self.shared.gather.swap(false, Ordering::AcqRel) {
            self.now.playing = false;
        }
        if !self.now.playing {
            let enough = there >= self.shared.target.load(Ordering::Relaxed).max(1);
            self.now.playing = enough || (idle && there > 0);
        }
        let bytes = if self.now.playing { there.min(out.len()) } else { 0 };
        let (sound, silence) = out.split_at_mut(bytes);
        if let Ok(chunk) = self.ring.read_chunk(bytes) {
            let (first, second) = chunk.as_slices();
            for (to, from) in sound.iter_mut().zip(first.iter().chain(second)) {
                *to = *from;
            }
            chunk.commit_all();
        }
        silence.fill(0);
        if self.now.playing && !silence.is_empty() {
            self.now.playing = false;
            if !idle {
                self.shared.dry.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.shared.set_sounding(self.now.playing);
        self.now.time = time;
        self.now.taken += (sound.len() + silence.len()) as u64 / self.frame as u64;
        self.now.silence += silence.len() as u64 / self.frame as u64;
        // Full: the I/O worker is late, and gets a later one.
        let _ = self.progress.push(self.now);
    }
}

impl Queue {
    /// Sound begins when so many frames wait.
    pub fn set_target(&self, frames: u32) {
        let bytes = (frames as usize).saturating_mul(self.frame).min(self.bytes);
        self.shared.target.store(bytes, Ordering::Relaxed);
    }

    /// Takes what there is room for of `bytes`, whole frames; gives how many frames that were.
    pub fn give(&mut self, bytes: &[u8]) -> u64 {
        let room = self.ring.slots().min(bytes.len()) / self.frame * self.frame;
        let Ok(chunk) = self.ring.write_chunk_uninit(room) else { return 0 };
        (chunk.fill_from_iter(bytes.iter().copied()) / self.frame) as u64
    }

    /// Frames that wait.
    pub fn waiting(&self) -> u64 {
        ((self.bytes - self.ring.slots().min(self.bytes)) / self.frame) as u64
    }

    /// What the device has reported since the last call.
    pub fn progress(&mut self) -> impl Iterator<Item = Progress> {
        std::iter::from_fn(|| self.progress.pop().ok())
    }

    /// No more sound is coming for now.
    pub fn idle(&self) {
        self.shared.idle.store(true, Ordering::Release);
    }

    /// Sound is coming again.
    pub fn resume(&self) {
        self.shared.gather.store(true, Ordering::Release);
        self.shared.idle.store(false, Ordering::Release);
    }

    /// How often sound was missing, at the device or here.
    pub fn underruns(&self) -> u64 {
        self.shared.dry.load(Ordering::Relaxed) + self.shared.times_late()
    }

    /// Why the device is gone, if it is.
    pub fn failure(&self) -> Option<String> {
        self.shared.failure()
    }

    /// Nanoseconds since the queue was made: the clock of its marks.
    pub fn now(&self) -> u64 {
        since(self.epoch)
    }
}

/// Nanoseconds since a queue was made.
pub fn since(epoch: Instant) -> u64 {
    u64::try_from(epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four bytes a frame, room for 100, sound begins at 20.
    fn pair() -> (Queue, Feed) {
        let (queue, feed) = queue(4, 100);
        queue.set_target(20);
        (queue, feed)
    }

    fn frames(first: u8, frames: u8) -> Vec<u8> {
        (first..first + frames).flat_map(|frame| [frame; 4]).collect()
    }

    fn taken(feed: &mut Feed, frames: usize) -> Vec<u8> {
        let mut out = vec![0xEE; frames * 4];
        feed.fill_at(0, &mut out);
        out.chunks(4).map(|frame| frame[0]).collect()
    }

    #[test]
    fn sound_is_held_back_until_there_is_enough_then_comes_whole() {
        let (mut queue, mut feed) = pair();
        assert_eq!(queue.give(&frames(1, 15)), 15);
        assert_eq!(taken(&mut feed, 10), [0; 10], "15 of 20");
        assert_eq!(queue.give(&frames(16, 15)), 15);
        assert_eq!(taken(&mut feed, 10), (1..11).collect::<Vec<u8>>());
        assert_eq!(taken(&mut feed, 10), (11..21).collect::<Vec<u8>>(), "below the target it goes on");
        assert_eq!((queue.waiting(), queue.underruns()), (10, 0));
        let last = queue.progress().last().unwrap();
        assert_eq!((last.taken, last.silence, last.playing), (30, 10, true));
    }

    #[test]
    fn running_dry_is_counted_once_and_gathers_again() {
        let (mut queue, mut feed) = pair();
        queue.give(&frames(1, 25));
        taken(&mut feed, 20);
        assert_eq!(taken(&mut feed, 10), [21, 22, 23, 24, 25, 0, 0, 0, 0, 0]);
        taken(&mut feed, 10);
        assert_eq!(queue.underruns(), 1);
        feed.shared().was_late();
        assert_eq!(queue.underruns(), 1, "it only had silence");
        queue.give(&frames(30, 10));
        assert_eq!(taken(&mut feed, 5), [0; 5], "gathers");
        queue.give(&frames(40, 10));
        assert_eq!(taken(&mut feed, 3), [30, 31, 32]);
        feed.shared().was_late();
        assert_eq!(queue.underruns(), 2);
    }

    #[test]
    fn end_of_sound_is_played_however_short_and_is_no_underrun() {
        let (mut queue, mut feed) = pair();
        queue.give(&frames(1, 3));
        assert_eq!(taken(&mut feed, 2), [0, 0]);
        queue.idle();
        assert_eq!(taken(&mut feed, 2), [1, 2]);
        assert_eq!(taken(&mut feed, 2), [3, 0]);
        assert_eq!(queue.underruns(), 0);
        queue.resume();
        queue.give(&frames(50, 19));
        assert_eq!(taken(&mut feed, 1), [0], "gathers anew");
        queue.give(&frames(69, 1));
        assert_eq!(taken(&mut feed, 1), [50]);
    }

    #[test]
    fn stream_that_goes_on_before_its_rest_was_played_gathers_first() {
        let (mut queue, mut feed) = pair();
        queue.give(&frames(1, 25));
        taken(&mut feed, 10);
        queue.idle();
        queue.resume();
        assert_eq!(taken(&mut feed, 1), [0], "15 of 20 are too few to begin with");
        queue.give(&frames(26, 5));
        assert_eq!(taken(&mut feed, 2), [11, 12]);
    }

    #[test]
    fn what_there_is_no_room_for_is_reported_and_frames_stay_whole() {
        let (mut queue, mut feed) = pair();
        assert_eq!(queue.give(&frames(0, 90)), 90);
        assert_eq!(queue.give(&frames(90, 90)), 10);
        assert_eq!(queue.give(&frames(0, 1)), 0);
        assert_eq!(taken(&mut feed, 100), (0..100).collect::<Vec<u8>>());
    }

    #[test]
    fn error_that_passes_is_none_and_one_that_stays_is_the_end() {
        let (queue, mut feed) = pair();
        let shared = feed.shared();
        shared.transient_error(0, "not yet");
        shared.transient_error(900_000_000, "not yet");
        taken(&mut feed, 1);
        shared.transient_error(1_500_000_000, "not yet");
        assert_eq!(queue.failure(), None);
        shared.transient_error(2_500_000_000, "dead");
        assert_eq!(queue.failure().as_deref(), Some("dead"));
    }

    #[test]
    fn first_failure_is_reported() {
        let (queue, feed) = pair();
        assert_eq!(queue.failure(), None);
        feed.shared().fail("unplugged");
        feed.shared().fail("and then some");
        assert_eq!(queue.failure().as_deref(), Some("unplugged"));
    }
}

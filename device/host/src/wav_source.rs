//! A WAV file as a source of captured sound, of any length: a short one is in memory, of a long one its
//! beginning, and a thread reads ahead.
//!
//! The card asks with its lock held. In real time seconds are read ahead, and it need not wait for a file.
//! Where the guest's time goes as fast as it likes (`--clock lockstep`) it may outrun the thread, so it is
//! waited for, but briefly, and once for each time that it stands still.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ringwave_audio::StreamFormat;
use ringwave_audio::wav::{Samples, Sound, WavError};

/// A sound that is kept in memory, bytes: five minutes at 48 kHz in stereo.
const IN_MEMORY_BYTES: u64 = 64 << 20;
/// Of a longer one, what is read ahead, and what is kept of its beginning; of whole frames (below), bytes.
const AHEAD_BYTES: usize = 4 << 20;
/// What the thread reads at once, bytes.
const BLOCK_BYTES: usize = 256 << 10;
/// How long the thread is waited for. *Doubt*: any wait delays the other streams, none makes a recording in
/// lockstep depend on the host's scheduler; so it is far below a packet's usual length, and a disk that
/// stands still costs it once.
const PATIENCE: Duration = Duration::from_millis(5);

/// The file, and how far it was captured.
pub(super) struct WavSource {
    format: StreamFormat,
    /// The sound, or its beginning.
    head: Vec<u8>,
    /// Bytes of the head that were captured.
    place: usize,
    /// What follows.
    rest: Option<Arc<Ahead>>,
}

impl WavSource {
    /// Opens it; waits for a FIFO, but not for ever.
    pub(super) fn open(path: &Path) -> Result<Self, WavError> {
        Self::with(Samples::open(path)?, IN_MEMORY_BYTES, path)
    }

    /// At most so many bytes are kept whole.
    fn with(samples: Samples<'static>, in_memory: u64, path: &Path) -> Result<Self, WavError> {
        let format = samples.format();
        if samples.bytes() <= in_memory {
            let Sound { frames, .. } = samples.sound()?;
            return Ok(Self { format, head: frames, place: 0, rest: None });
        }
        let frame = format.frame_bytes().max(1) as usize;
        let begin = AHEAD_BYTES.next_multiple_of(frame) as u64;
        let mut head = vec![0; usize::try_from(begin.min(samples.bytes())).unwrap_or(0)];
        samples.read(0, &mut head);
        if let Some(error) = samples.take_error() {
            return Err(error.into());
        }
        let (ahead, path) = (Arc::new(Ahead::new(head.len() as u64)), path.to_owned());
        let reader = Arc::clone(&ahead);
        std::thread::Builder::new().name("source".into()).spawn(move || {
            // The thread ends with the source.
            if let Err(error) = reader.read_on(&samples, frame) {
                log::error!("cannot read {}: {error}; silence from here on", path.display());
            }
        })?;
        Ok(Self { format, head, place: 0, rest: Some(ahead) })
    }

    pub(super) fn format(&self) -> StreamFormat {
        self.format
    }

    /// From frame `frame` on.
    pub(super) fn begin(&mut self, frame: u64) {
        let at = frame.saturating_mul(self.format.frame_bytes().into());
        let head = self.head.len();
        self.place = usize::try_from(at).unwrap_or(usize::MAX).min(head);
        if let Some(rest) = &self.rest {
            rest.restart(at.max(head as u64));
        }
    }

    /// Fills `into` with what comes next; gives how much that is, whole frames.
    pub(super) fn fill(&mut self, into: &mut [u8]) -> usize {
        let head = self.head.get(self.place..).unwrap_or_default();
        let now = head.len().min(into.len());
        let (begin, end) = into.split_at_mut(now);
        begin.copy_from_slice(head.get(..now).unwrap_or_default());
        self.place += now;
        let frame = self.format.frame_bytes().max(1) as usize;
        now + self.rest.as_ref().filter(|_| !end.is_empty()).map_or(0, |rest| rest.take(end, frame))
    }
}

impl Drop for WavSource {
    fn drop(&mut self) {
        if let Some(rest) = &self.rest {
            rest.state().closed = true;
            rest.changed.notify_all();
        }
    }
}

/// What is read ahead, between the thread that reads and the card.
struct Ahead {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<u8>,
    /// Where the next read begins.
    next: u64,
    /// Which time the file is read: what was read for an earlier one is of no use.
    round: u64,
    /// The file has ended, or cannot be read.
    end: bool,
    /// It was waited for in vain, and nothing has come since.
    stalled: bool,
    /// The source is no more.
    closed: bool,
}

impl Ahead {
    fn new(begin: u64) -> Self {
        Self { state: Mutex::new(State { next: begin, ..State::default() }), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads until the source is closed, waiting while enough is read ahead. The lock is not held while it
    /// reads.
    fn read_on(&self, samples: &Samples<'_>, frame: usize) -> std::io::Result<()> {
        let mut block = vec![0; BLOCK_BYTES.next_multiple_of(frame)];
        loop {
            let busy = |state: &mut State| !state.closed && (state.end || state.queue.len() >= AHEAD_BYTES);
            let state = self.changed.wait_while(self.state(), busy);
            let state = state.unwrap_or_else(PoisonError::into_inner);
            if state.closed {
                return Ok(());
            }
            let (round, next) = (state.round, state.next);
            drop(state);
            let read = samples.read_at(next, &mut block);
            let mut state = self.state();
            if state.round == round {
                // A file that was cut meanwhile may end within a frame.
                let bytes = read.as_ref().map_or(0, |read| read - read % frame);
                state.queue.extend(block.get(..bytes).unwrap_or_default());
                state.next = next.saturating_add(bytes as u64);
                state.end = bytes == 0;
                state.stalled = false;
            }
            state.end |= read.is_err();
            drop(state);
            self.changed.notify_all();
            read?;
        }
    }

    /// Reads on from byte `next` of the sound.
    fn restart(&self, next: u64) {
        let mut state = self.state();
        state.queue.clear();
        state.next = next;
        state.round += 1;
        state.end = false;
        state.stalled = false;
        drop(state);
        self.changed.notify_all();
    }

    /// Takes whole frames.
    fn take(&self, into: &mut [u8], frame: usize) -> usize {
        let mut state = self.state();
        let wanted = into.len();
        if state.queue.len() < wanted && !state.stalled {
            let missing = |state: &mut State| state.queue.len() < wanted && !state.end;
            let (locked, timeout) = self
                .changed
                .wait_timeout_while(state, PATIENCE, missing)
                .unwrap_or_else(PoisonError::into_inner);
            state = locked;
            state.stalled = timeout.timed_out();
        }
        let bytes = state.queue.len().min(wanted);
        let bytes = bytes - bytes % frame;
        for (byte, value) in into.iter_mut().zip(state.queue.drain(..bytes)) {
            *byte = value;
        }
        drop(state);
        self.changed.notify_all();
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringwave_audio::SampleFormat;
    use ringwave_audio::wav::WavFile;

    #[test]
    fn long_file_is_captured_to_the_bit_and_from_its_beginning_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("long.wav");
        let format = StreamFormat { sample: SampleFormat::S24In32, channels: 3, rate: 48_000 };
        let frames: Vec<u8> = (0..1_000_000_u32).flat_map(|n| [n; 3]).flat_map(u32::to_le_bytes).collect();
        let mut file = WavFile::create(&path, format).unwrap();
        file.add(&frames).unwrap();
        file.flush().unwrap();
        let mut source = WavSource::with(Samples::open(&path).unwrap(), 1 << 20, &path).unwrap();
        assert!(source.head.len() < frames.len() / 2, "it is not in memory");
        for end in [frames.len() / 2, frames.len(), frames.len()] {
            source.begin(0);
            let mut at = 0;
            let mut into = vec![0; 12 * 4801];
            let limit = std::time::Instant::now() + Duration::from_secs(20);
            while at < end && std::time::Instant::now() < limit {
                let got = source.fill(&mut into);
                assert!(got.is_multiple_of(12) && into[..got] == frames[at..at + got], "at {at}");
                at += got;
            }
            assert!(at >= end, "{at} of {end}");
        }
        assert_eq!(source.fill(&mut [0; 12]), 0, "it has ended");
        // Within the head, across its end, in what follows, and behind the end.
        let head = source.head.len() / 12;
        for frame in [7, head - 3, head, 900_001] {
            source.begin(frame as u64);
            let (at, mut into) = (frame * 12, [0; 12 * 5]);
            let mut got = 0;
            while got < into.len() {
                got += source.fill(&mut into[got..]);
            }
            assert_eq!(into, frames[at..at + 60], "from frame {frame}");
        }
        for frame in [1_000_000, u64::MAX] {
            source.begin(frame);
            assert_eq!(source.fill(&mut [0; 12]), 0, "from frame {frame}");
        }
    }
}

//! The log on its way out. Once [`LogQueue::start`] was called a thread of its own writes it, and whoever
//! logs never waits: a line that finds no room is dropped and counted, for the log may be a pipe that nobody
//! reads.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Bytes of lines that may wait.
const BYTES_MAX: usize = 256 << 10;

/// Lines of a log that wait for their writer.
#[derive(Clone, Default)]
pub struct LogQueue(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// There is something to write, or it is written.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// A thread writes; without one each line is written at once, by who logs it.
    started: bool,
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Lines that found no room, or could not be written, since this was last told.
    dropped: u64,
    /// The thread is writing.
    writes: bool,
}

impl LogQueue {
    /// From now on a thread of its own writes the lines to `to`.
    ///
    /// # Errors
    /// There is no such thread: nothing has changed.
    pub fn start(&self, to: impl Write + Send + 'static) -> io::Result<()> {
        let queue = self.clone();
        std::thread::Builder::new().name("log".into()).spawn(move || queue.write_all(to))?;
        self.lock().started = true;
        Ok(())
    }

    /// Waits until every line is written, but no longer than `time`: for a process that ends.
    pub fn flush(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut state = self.lock();
        while state.started && (state.writes || !state.lines.is_empty() || state.dropped != 0) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.0.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a line in. `false`: nobody takes it out.
    fn put(&self, line: &[u8]) -> bool {
        let mut state = self.lock();
        if !state.started {
            return false;
        }
        if state.bytes.saturating_add(line.len()) > BYTES_MAX {
            state.dropped = state.dropped.saturating_add(1);
            return true;
        }
        state.bytes += line.len();
        state.lines.push_back(line.to_vec());
        drop(state);
        self.0.changed.notify_all();
        true
    }

    /// Writes what comes, for ever.
    fn write_all(&self, mut to: impl Write) {
        // Lines that could not be written: told when there is something to write again, for trying again and
        // again would be in vain.
        let mut unwritten = 0_u64;
        let mut state = self.lock();
        loop {
            state.writes = false;
            self.0.changed.notify_all();
            while state.lines.is_empty() && state.dropped == 0 {
                state = self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            let lines = std::mem::take(&mut state.lines);
            state.bytes = 0;
            let mut dropped =
                std::mem::take(&mut state.dropped).saturating_add(std::mem::take(&mut unwritten));
            state.writes = true;
            drop(state);
            for line in &lines {
                dropped = dropped.saturating_add(to.write_all(line).is_err().into());
            }
            if dropped != 0 {
                let line =
                    format!("ringwave: warn: {dropped} lines of the log are missing here: it was not read\n");
                if to.write_all(line.as_bytes()).is_err() {
                    unwritten = dropped;
                }
            }
            state = self.lock();
        }
    }
}

/// For a logger: takes one line at a time, and always.
pub struct LogLines {
    queue: LogQueue,
    /// Where lines go while no thread writes.
    direct: Box<dyn Write + Send>,
}

impl LogLines {
    /// Puts lines into `queue`, and until that was started into `direct`.
    pub fn new(queue: LogQueue, direct: impl Write + Send + 'static) -> Self {
        Self { queue, direct: Box::new(direct) }
    }
}

impl Write for LogLines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.queue.put(line) { Ok(line.len()) } else { self.direct.write(line) }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.queue.lock().started { Ok(()) } else { self.direct.flush() }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);
    /// More than a pipe and the queue hold, and what the writer has taken out.
    const LINES: usize = 10_000;

    #[test]
    fn log_that_nobody_reads_holds_nobody_up_and_says_afterwards_what_is_missing() {
        let (reader, writer) = io::pipe().unwrap();
        let queue = LogQueue::default();
        queue.start(writer).unwrap();
        let mut lines = LogLines::new(queue.clone(), io::sink());
        let line = |number: usize| format!("{number:0100}\n");
        let begin = Instant::now();
        for number in 0..LINES {
            lines.write_all(line(number).as_bytes()).unwrap();
        }
        assert!(begin.elapsed() < PATIENCE / 4, "{:?}", begin.elapsed());
        queue.flush(Duration::from_millis(10));
        let (mut kept, mut missing, mut last) = (0, 0, None);
        let mut log = BufReader::new(reader).lines().map(Result::unwrap);
        while kept + missing < LINES {
            let said = log.next().unwrap();
            if let Some(count) = said.strip_prefix("ringwave: warn: ") {
                missing += count.split(' ').next().unwrap().parse::<usize>().unwrap();
            } else {
                let number: usize = said.parse().unwrap();
                assert!(last < Some(number), "in order");
                (kept, last) = (kept + 1, Some(number));
            }
        }
        assert!(missing > LINES / 4 && kept + missing == LINES, "{kept} and {missing}");
        queue.flush(PATIENCE);
        assert!(begin.elapsed() < PATIENCE);
    }

    #[test]
    fn nothing_is_held_back_before_there_is_a_thread_and_flush_waits_for_one() {
        let (reader, writer) = io::pipe().unwrap();
        let mut reader = BufReader::new(reader);
        let queue = LogQueue::default();
        let mut lines = LogLines::new(queue.clone(), writer.try_clone().unwrap());
        let mut read = || {
            let mut said = String::new();
            reader.read_line(&mut said).unwrap();
            said
        };
        lines.write_all(b"direct\n").unwrap();
        queue.flush(PATIENCE);
        assert_eq!(read(), "direct\n");
        queue.start(writer).unwrap();
        lines.write_all(b"queued\n").unwrap();
        queue.flush(PATIENCE);
        assert_eq!(read(), "queued\n");
    }

    #[test]
    fn log_that_cannot_be_written_is_no_reason_to_try_for_ever() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let queue = LogQueue::default();
        queue.start(writer).unwrap();
        for _ in 0..3 {
            LogLines::new(queue.clone(), io::sink()).write_all(b"lost\n").unwrap();
            let begin = Instant::now();
            queue.flush(PATIENCE);
            assert!(begin.elapsed() < PATIENCE / 2);
        }
    }
}

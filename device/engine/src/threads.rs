//! The two threads of a card: the engine thread, which gives it its time, and the I/O worker, which does what
//! the host is to do.
//!
//! They are two, so that a disk that hangs for a second does not hold up the card's time: sound waits in the
//! [`IoQueue`] meanwhile.
//!
//! A deadline is a value of the device clock, so being late once makes nothing else late: the card handles
//! every end that has passed, each with its own clock value. The engine thread waits for a time and for what
//! changes the deadline, whichever comes first.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::device::Device;
use crate::io_queue::{Feedback, GATHERED, IoQueue};

/// At the end: an I/O worker that gets nothing done for as long is given up, so that a signal ends the
/// process whatever hangs.
const PATIENCE: Duration = Duration::from_secs(8);

/// What the I/O worker does with a drained queue. It may wait for files.
pub trait Host<R>: Send + 'static {
    /// Does everything in the queue, in order, and empties its records. `done` grows with everything that was
    /// done.
    fn handle(&mut self, queue: &mut IoQueue<R>, feedback: &mut Feedback, done: &AtomicU64);

    /// How long it has nothing to do if nothing happens; `None` = until something happens.
    fn due(&self) -> Option<Duration>;

    /// For how long sound may be gathered before the worker is woken for it.
    fn gathered(&self) -> Duration {
        GATHERED
    }

    /// The engine has stopped and everything was handled. Gives whether everything that was heard in the life
    /// of the process is where it belongs.
    fn finish(&mut self) -> bool;
}

#[derive(Debug, Default)]
struct Shared {
    /// The engine thread handles what is due and stops.
    ending: AtomicBool,
    /// It has stopped: the I/O worker does what is left and stops.
    ended: AtomicBool,
    /// Grows with everything that the I/O worker has done.
    done: AtomicU64,
}

/// The running threads of a card.
pub struct Threads<D: Device> {
    device: Arc<D>,
    shared: Arc<Shared>,
    /// Gives whether the card had its time until the end.
    engine: JoinHandle<bool>,
    /// The I/O worker's last word: what [`Host::finish`] gave.
    last_word: mpsc::Receiver<bool>,
}

impl<D: Device> Threads<D> {
    /// Starts both.
    ///
    /// # Errors
    /// A thread cannot be made.
    pub fn start(device: Arc<D>, host: impl Host<D::Records>) -> io::Result<Self> {
        Self::start_watched(device, host, || ())
    }

    /// [`Threads::start`]; `stands_still` is called if the engine thread panics, a defect of the card: its
    /// time stands still from then on, and somebody has to end it. What was heard until then is handled.
    ///
    /// # Errors
    /// A thread cannot be made.
    pub fn start_watched(
        device: Arc<D>,
        host: impl Host<D::Records>,
        stands_still: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let (lossless, last_word) = mpsc::channel();
        let (worker_device, worker_shared) = (Arc::clone(&device), Arc::clone(&shared));
        thread("io").spawn(move || {
            // Nobody hears it if it was given up.
            let _ = lossless.send(work(&*worker_device, host, &worker_shared));
        })?;
        let (engine_device, engine_shared) = (Arc::clone(&device), Arc::clone(&shared));
        let engine = thread("engine").spawn(move || {
            let given = catch_unwind(AssertUnwindSafe(|| give_time(&*engine_device, &engine_shared)));
            end_worker(&*engine_device, &engine_shared);
            if given.is_err() {
                log::error!("the engine thread panicked: the card's time stands still");
                stands_still();
            }
            given.is_ok()
        })?;
        Ok(Self { device, shared, engine, last_word })
    }

    /// Stops them: everything that was heard is where it belongs, and every file is whole, when this gives
    /// `true`. `false`: the engine thread panicked, or a sink failed, now or earlier, or it takes nothing any
    /// more (a pipe that nobody reads, a server that is gone) and was given up.
    pub fn end(self) -> bool {
        self.shared.ending.store(true, Ordering::Release);
        self.device.wakers().engine.wake();
        // Or what `stands_still` is panicked; the I/O worker was told before.
        let given = self.engine.join().unwrap_or(false);
        let mut seen = self.shared.done.load(Ordering::Relaxed);
        loop {
            match self.last_word.recv_timeout(PATIENCE) {
                Ok(lossless) => return lossless && given,
                Err(RecvTimeoutError::Disconnected) => {
                    log::error!("the I/O worker panicked");
                    return false;
                }
                Err(RecvTimeoutError::Timeout) => {
                    let done = self.shared.done.load(Ordering::Relaxed);
                    if done == seen {
                        let seconds = PATIENCE.as_secs();
                        log::error!("the sink has taken nothing for {seconds} s; what waits for it is lost");
                        return false;
                    }
                    seen = done;
                }
            }
        }
    }
}

/// The engine has stopped: so does the I/O worker.
fn end_worker<D: Device>(device: &D, shared: &Shared) {
    shared.ended.store(true, Ordering::Release);
    device.wakers().io.wake();
}

/// Gives the card its time until it is asked to end.
fn give_time<D: Device>(device: &D, shared: &Shared) {
    loop {
        // What the ring was for is looked at now; who rings from here on may be too late for that.
        device.wakers().engine.reset();
        // What is due when the end is asked for is still done.
        let ending = shared.ending.load(Ordering::Acquire);
        let next = device.advance();
        if ending {
            return;
        }
        device.wakers().engine.wait(next);
    }
}

/// Works until the engine has stopped and everything is done. Gives what [`Host::finish`] gives.
fn work<D: Device>(device: &D, mut host: impl Host<D::Records>, shared: &Shared) -> bool {
    let mut queue = IoQueue::default();
    let mut feedback = Feedback::default();
    loop {
        // Asked before the drain: then nothing comes after it.
        feedback.last = shared.ended.load(Ordering::Acquire);
        // The card fills this queue from now on.
        queue.gathered = host.gathered();
        device.drain(&mut queue, &mut feedback);
        let last = std::mem::take(&mut feedback).last;
        host.handle(&mut queue, &mut feedback, &shared.done);
        queue.clear();
        if last {
            return host.finish();
        }
        if feedback.is_empty() {
            device.wakers().io.wait(host.due());
        }
    }
}

//! The position poller: a thread that reads `GetPosition` while the stream runs, every other time at DISPATCH level, in parallel with
//! whatever the client's own thread calls.

use super::position::{PositionJudge, Travel};
use super::stream::RenderStream;
use crate::kernel::thread::{self, DRIVER_STACK, ThreadId};
use crate::kernel::{self, irql, time};
use alloc::boxed::Box;
use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// What the poller and the client share.
struct Shared {
    stream: *const RenderStream,
    judge: PositionJudge,
    interval_100ns: i64,
    stop: AtomicBool,
    reads: AtomicU32,
    dispatch_reads: AtomicU32,
}

/// A running poller; it must be stopped before its stream goes.
pub struct Poller {
    shared: *mut Shared,
    thread: ThreadId,
}

/// How many reads there were.
pub struct Reads {
    /// All of them.
    pub all: u32,
    /// Those at DISPATCH level.
    pub dispatch: u32,
    /// How far the position went between them.
    pub travel: Travel,
}

impl Poller {
    /// Begins to read every `interval_us` microseconds.
    ///
    /// # Safety
    /// `stream` stays alive until [`Poller::stop`] returned.
    pub unsafe fn start(stream: &RenderStream, judge: PositionJudge, interval_us: u64) -> Self {
        let shared = Box::into_raw(Box::new(Shared {
            stream,
            judge,
            interval_100ns: i64::try_from(interval_us.saturating_mul(10)).unwrap_or(i64::MAX),
            stop: AtomicBool::new(false),
            reads: AtomicU32::new(0),
            dispatch_reads: AtomicU32::new(0),
        }));
        Self { shared, thread: thread::spawn("position poller", poll, shared.cast(), DRIVER_STACK) }
    }

    /// Ends the thread and tells what it did.
    pub fn stop(self) -> Reads {
        // SAFETY: the shared part lives until the end of this function; its flag is atomic.
        unsafe { (*self.shared).stop.store(true, Ordering::Release) };
        thread::join(self.thread);
        // SAFETY: from `Box::into_raw` in `start`, and the thread, its only other user, has ended.
        let shared = unsafe { Box::from_raw(self.shared) };
        Reads {
            all: shared.reads.load(Ordering::Relaxed),
            dispatch: shared.dispatch_reads.load(Ordering::Relaxed),
            travel: shared.judge.travel(),
        }
    }
}

fn poll(argument: *mut c_void) {
    let shared = argument.cast::<Shared>();
    // SAFETY: alive until `stop` has joined this thread; `stop` touches only the atomic flag, and nobody but this thread the judge.
    let (stream, stop, judge, interval) =
        unsafe { (&*(*shared).stream, &(*shared).stop, &mut (*shared).judge, (*shared).interval_100ns) };
    let mut at_dispatch = false;
    while !stop.load(Ordering::Acquire) {
        let level = if at_dispatch { irql::DISPATCH } else { irql::PASSIVE };
        let begun = time::interrupt_time_100ns();
        let (status, position) = stream.position(level);
        let done = time::interrupt_time_100ns();
        if status.is_success() {
            if let Err(finding) = judge.judge(position, begun, done) {
                kernel::violation("position", format_args!("{finding}"));
            }
        } else {
            kernel::violation("position", format_args!("GetPosition of a running stream: {status}"));
        }
        // SAFETY: as above.
        unsafe {
            (*shared).reads.fetch_add(1, Ordering::Relaxed);
            (*shared).dispatch_reads.fetch_add(u32::from(at_dispatch), Ordering::Relaxed);
        }
        at_dispatch = !at_dispatch;
        thread::sleep_100ns(interval);
    }
}

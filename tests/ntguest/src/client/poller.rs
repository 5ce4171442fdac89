//! The position poller: a thread that reads `GetPosition` while the stream runs, every other time at DISPATCH
//! level, in parallel with whatever the client's own thread calls; or, to see that no change of state
//! disturbs it, in whatever state the stream is.

use super::play::Label;
use super::position::{PositionChecker, Travel};
use super::stream::PinStream;
use super::timing_stats::{EventTimes, Miss, PositionStats};
use crate::kernel::thread::{self, DRIVER_STACK, ThreadId};
use crate::kernel::{self, irql, time};
use crate::portcls::fault::{self, Fault};
use alloc::boxed::Box;
use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// What the poller and the client share.
struct Shared {
    stream: *const PinStream,
    checker: PositionChecker,
    stats: PositionStats,
    /// The stream runs all the time, so that positions can be followed.
    running: bool,
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
    /// Times and jitter.
    pub stats: PositionStats,
}

impl Poller {
    /// Begins to read every `interval_us` microseconds.
    ///
    /// # Safety
    /// `stream` stays alive until [`Poller::stop`] returned.
    pub unsafe fn start(stream: &PinStream, checker: PositionChecker, interval_us: u64) -> Self {
        // SAFETY: as promised.
        unsafe { Self::start_in(stream, checker, interval_us, true) }
    }

    /// The same for a stream whose state changes meanwhile: positions are in range and on a frame, and every
    /// call succeeds.
    ///
    /// # Safety
    /// As for [`Poller::start`].
    pub unsafe fn start_in_any_state(stream: &PinStream, checker: PositionChecker, interval_us: u64) -> Self {
        // SAFETY: as promised.
        unsafe { Self::start_in(stream, checker, interval_us, false) }
    }

    unsafe fn start_in(
        stream: &PinStream,
        checker: PositionChecker,
        interval_us: u64,
        running: bool,
    ) -> Self {
        let stats = PositionStats::new(time::interrupt_time_100ns(), checker.bytes_per_second());
        let shared = Box::into_raw(Box::new(Shared {
            stream,
            checker,
            stats,
            running,
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
            travel: shared.checker.travel(),
            stats: shared.stats,
        }
    }
}

fn poll(argument: *mut c_void) {
    let shared = argument.cast::<Shared>();
    // SAFETY: alive until `stop` has joined this thread; `stop` touches only the atomic flag, and nobody but
    // this thread the judge.
    let (stream, stop, checker, stats, running, interval) = unsafe {
        (
            &*(*shared).stream,
            &(*shared).stop,
            &mut (*shared).checker,
            &mut (*shared).stats,
            (*shared).running,
            (*shared).interval_100ns,
        )
    };
    let mut at_dispatch = false;
    while !stop.load(Ordering::Acquire) {
        let level = if at_dispatch { irql::DISPATCH } else { irql::PASSIVE };
        let before = presented(stream, checker);
        let begun = time::interrupt_time_100ns();
        let (status, mut position) = stream.position(level);
        let done = time::interrupt_time_100ns();
        let after = presented(stream, checker);
        if running && fault::make(Fault::FastPosition) {
            // Three times as fast.
            position.play_offset = position.play_offset * 3 % checker.size();
        }
        if status.is_success() {
            let found = match before.zip(after) {
                _ if !running => checker.check_range(position),
                Some(frames) => checker.check_presented(position, frames, time::interrupt_time_100ns()),
                // A read of these failed, which is told as it is.
                None if checker.is_by_presented() => checker.check_range(position),
                None => checker.check(position, begun, done),
            };
            stats.observe(begun, done, checker.travel());
            if let Err(finding) = found {
                kernel::violation("position", format_args!("{finding}"));
            }
        } else {
            kernel::violation("position", format_args!("GetPosition while a position is polled: {status}"));
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

/// The frames that were presented, if positions are judged by them.
fn presented(stream: &PinStream, checker: &PositionChecker) -> Option<u64> {
    let asked = checker.is_by_presented().then(|| stream.presentation())?;
    match asked {
        Ok(presented) => Some(presented.position_in_blocks),
        Err(status) => {
            kernel::violation("position", format_args!("a presentation position that is polled: {status}"));
            None
        }
    }
}

/// The result line of the figures that certification limits, and what is impossible among them. What is
/// beyond a limit is told loudly, if the stream was `steady`: not in lockstep, where the card waits, nor
/// paused.
pub fn report(label: Label, events: Option<&EventTimes>, position: &PositionStats, steady: bool) {
    if let Some(events) = events {
        if events.is_impossible() {
            kernel::violation(
                "impossible-timing",
                format_args!("the first event came after {} % of a packet", events.first_x100()),
            );
        }
        crate::kresult!(
            "{label}first_event_packets_x100={} {label}worst_event_packets_x100={}",
            events.first_x100(),
            events.worst_x100()
        );
    }
    let misses = events.into_iter().flat_map(EventTimes::misses).chain(position.misses());
    for miss in misses.filter(|_| steady) {
        // Not a violation: on an emulated or a loaded processor it may be nobody's fault.
        let Miss { figure, value, limit } = miss;
        crate::kprintln!(
            "FIGURE OUT OF LIMITS: {label}{figure}={value}, certification wants {} to {}",
            limit.0,
            limit.1
        );
    }
    let (deviation, most) = position.jitter_us();
    crate::kresult!(
        "{label}first_position_us={} {label}jitter_std_us={deviation} {label}jitter_max_us={most} {label}get_position_ns={} {label}position_rate_ppm={}",
        position.first_us(),
        position.read_ns(),
        position.rate_ppm()
    );
}

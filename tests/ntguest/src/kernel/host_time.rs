//! Time that the host took: a clock interrupt of a processor, due each millisecond, came late. Limits that
//! are ntguest's own judge what is left of the time without it, so that a busy host breaks no rule of a
//! driver's.
//!
//! The machine can't tell who held the interrupt off, or whose thread waited for which processor: the one
//! that lost the most counts. So these faults of a driver are hidden from those limits: code that runs for
//! long with interrupts off or at HIGH_LEVEL, and register reads that the device answers after more than 3 ms
//! each. A service routine holds no clock off.

use core::sync::atomic::{AtomicU64, Ordering};

use super::processor::{self, MOST as PROCESSORS};
use super::time;

/// Between two clock interrupts, in 100 ns; more than [`LATE`] is the host's doing.
const TICK: u64 = 10_000;
const LATE: u64 = 3 * TICK;

type Each = [AtomicU64; PROCESSORS];

static LAST: Each = [const { AtomicU64::new(0) }; PROCESSORS];
static TICKS: Each = [const { AtomicU64::new(0) }; PROCESSORS];
static TAKEN: Each = [const { AtomicU64::new(0) }; PROCESSORS];

/// What of a gap between two clock interrupts the host took.
const fn taken_of(gap: u64) -> u64 {
    if gap > LATE { gap - TICK } else { 0 }
}

/// The clock interrupt of this processor, at `now`.
pub fn at_tick(now: u64) {
    let here = processor::current();
    let (Some(last), Some(ticks), Some(taken)) = (LAST.get(here), TICKS.get(here), TAKEN.get(here)) else {
        return;
    };
    ticks.fetch_add(1, Ordering::Relaxed);
    let last = last.swap(now, Ordering::Relaxed);
    if last != 0 {
        taken.fetch_add(taken_of(now.saturating_sub(last)), Ordering::Relaxed);
    }
}

/// This processor stood still on purpose up to `now` (`stop_ms=`, `jump_s=`): no host took that.
pub fn stood_still(now: u64) {
    if let Some(last) = LAST.get(processor::current()) {
        last.store(now, Ordering::Relaxed);
    }
}

/// Clock interrupts of a processor so far.
pub fn ticks(processor: usize) -> u64 {
    TICKS.get(processor).map_or(0, |ticks| ticks.load(Ordering::Relaxed))
}

/// What the host has taken of each processor up to `now`, of the gap that is open too.
fn taken_by(now: u64) -> [u64; PROCESSORS] {
    core::array::from_fn(|number| {
        let [last, taken] =
            [&LAST, &TAKEN].map(|each| each.get(number).map_or(0, |value| value.load(Ordering::Relaxed)));
        taken + if last == 0 { 0 } else { taken_of(now.saturating_sub(last)) }
    })
}

/// A moment, and what the host had taken by then.
#[derive(Clone, Copy)]
pub struct Mark {
    at: u64,
    taken: [u64; PROCESSORS],
}

impl Mark {
    /// Now.
    pub fn now() -> Self {
        let at = time::interrupt_time_100ns();
        Self { at, taken: taken_by(at) }
    }

    /// What the host has taken since, of the processor that lost the most; no more than has passed. 100-ns
    /// units.
    pub fn taken_100ns(&self) -> u64 {
        let now = time::interrupt_time_100ns();
        let each = taken_by(now).into_iter().zip(self.taken).map(|(now, then)| now.saturating_sub(then));
        each.max().unwrap_or(0).min(now.saturating_sub(self.at))
    }

    /// What has passed since without that. 100-ns units.
    pub fn left_100ns(&self) -> u64 {
        time::interrupt_time_100ns().saturating_sub(self.at).saturating_sub(self.taken_100ns())
    }
}

/// Says what it took in all (figure `host_took_ms`).
pub fn report() {
    let taken = taken_by(time::interrupt_time_100ns()).into_iter().max().unwrap_or(0) / TICK;
    if taken > 0 {
        crate::kresult!("host_took_ms={taken}");
    }
}

//! Time that the host took: between two clock interrupts of a processor, which are due each millisecond, the guest did
//! not run. Limits that are ntguest's own judge what is left of the time without it, so that a busy host breaks no rule
//! of the driver's.
//!
//! The machine can't tell who kept a processor from running: a register that a device answers late, and a service
//! routine that does not come back, count too. Both have rules of their own.

use core::sync::atomic::{AtomicU64, Ordering};

use super::processor::{self, MOST as PROCESSORS};

/// Between two clock interrupts, in 100 ns; more than [`LATE`] is the host's doing.
const TICK: u64 = 10_000;
const LATE: u64 = 3 * TICK;

static LAST: [AtomicU64; PROCESSORS] = [const { AtomicU64::new(0) }; PROCESSORS];
static TICKS: [AtomicU64; PROCESSORS] = [const { AtomicU64::new(0) }; PROCESSORS];
static TAKEN: [AtomicU64; PROCESSORS] = [const { AtomicU64::new(0) }; PROCESSORS];

/// The clock interrupt of this processor, at `now`.
pub fn at_tick(now: u64) {
    let here = processor::current();
    let (Some(last), Some(ticks), Some(taken)) = (LAST.get(here), TICKS.get(here), TAKEN.get(here)) else {
        return;
    };
    ticks.fetch_add(1, Ordering::Relaxed);
    let last = last.swap(now, Ordering::Relaxed);
    let gap = now.saturating_sub(last);
    if last != 0 && gap > LATE {
        taken.fetch_add(gap - TICK, Ordering::Relaxed);
    }
}

/// Clock interrupts of a processor so far.
pub fn ticks(processor: usize) -> u64 {
    TICKS.get(processor).map_or(0, |ticks| ticks.load(Ordering::Relaxed))
}

/// A moment, and what the host had taken by then.
#[derive(Clone, Copy)]
pub struct Mark([u64; PROCESSORS]);

impl Mark {
    /// Now.
    pub fn now() -> Self {
        Self(TAKEN.each_ref().map(|taken| taken.load(Ordering::Relaxed)))
    }

    /// What the host has taken since, of the processor that had the most taken. 100-ns units; never all of the time.
    pub fn taken_100ns(&self) -> u64 {
        Self::now().0.into_iter().zip(self.0).map(|(now, then)| now.saturating_sub(then)).max().unwrap_or(0)
    }
}

/// Says what it took in all (figure `host_took_ms`).
pub fn report() {
    let taken = Mark([0; PROCESSORS]).taken_100ns() / TICK;
    if taken > 0 {
        crate::kresult!("host_took_ms={taken}");
    }
}

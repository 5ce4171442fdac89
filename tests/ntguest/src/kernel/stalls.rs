//! Time as a virtual machine sees it when its host is busy, made on purpose (`ntguest.cfg`):
//!
//! * `stop_ms=163`, every `stop_every_ms=` (1000): the processor stands still, with interrupts off; what
//!   became due meanwhile comes at once
//! * `jump_s=` at `jump_at_ms=` (1000): the performance counter jumps forwards by so many seconds, once
//! * `late_timer_ms=`: every fourth expiry of a driver's timer comes so much later
//!
//! Pauses of 163 ms up to minutes are what other authors report of audio drivers in virtual machines.

use core::sync::atomic::{AtomicU64, Ordering};

use super::{cfg, cpu, time};

/// A pause longer than this would be the end of the test run, not a test.
const LONGEST_MS: u64 = 10_000;
const MS: u64 = 10_000;

static NEXT_STOP: AtomicU64 = AtomicU64::new(0);
static STOPS: AtomicU64 = AtomicU64::new(0);
static JUMPS: AtomicU64 = AtomicU64::new(0);
static LATE: AtomicU64 = AtomicU64::new(0);
static EXPIRIES: AtomicU64 = AtomicU64::new(0);

/// Called by the clock, before it looks at what is due.
pub fn at_tick() {
    let now = time::interrupt_time_100ns();
    let stop = cfg::get_u64("stop_ms", 0).min(LONGEST_MS) * MS;
    if stop > 0 {
        let every = cfg::get_u64("stop_every_ms", 1000).max(1) * MS;
        let next = NEXT_STOP.load(Ordering::Relaxed);
        if next != 0 && now >= next {
            stand_still(now + stop);
            STOPS.fetch_add(1, Ordering::Relaxed);
        }
        if now >= next {
            NEXT_STOP.store(time::interrupt_time_100ns() + every, Ordering::Relaxed);
        }
    }
    let jump = cfg::get_u64("jump_s", 0);
    if jump > 0 && now >= cfg::get_u64("jump_at_ms", 1000) * MS && JUMPS.swap(1, Ordering::Relaxed) == 0 {
        time::jump(i64::try_from(jump).unwrap_or(0).saturating_mul(time::qpc_frequency()));
    }
}

fn stand_still(until: u64) {
    let were_on = cpu::interrupts_off();
    while time::interrupt_time_100ns() < until {
        core::hint::spin_loop();
    }
    cpu::interrupts_restore(were_on);
}

/// How much later than it is due a timer that expires now expires, in 100 ns.
pub fn lateness() -> u64 {
    let late = cfg::get_u64("late_timer_ms", 0).min(LONGEST_MS) * MS;
    if late > 0 && EXPIRIES.fetch_add(1, Ordering::Relaxed) % 4 == 3 {
        LATE.fetch_add(1, Ordering::Relaxed);
        return late;
    }
    0
}

/// Says what was made of it.
pub fn report() {
    let [stops, jumps, late] = [&STOPS, &JUMPS, &LATE].map(|count| count.load(Ordering::Relaxed));
    if late > 0 {
        crate::kprintln!("{late} timer(s) late");
    }
    if stops + jumps > 0 {
        crate::kprintln!(
            "the processor stood still {stops} time(s), the performance counter jumped {jumps} time(s)"
        );
    }
}

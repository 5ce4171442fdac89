//! The schedule fuzzer (`schedule_seed=` of `ntguest.cfg`): delays on purpose where processors and threads
//! meet, so that they meet in other orders than they would.
//!
//! The points are the calls of imports, the calls into the driver, spin locks that are taken and given back,
//! signals, and accesses to registers of BAR 0, which are not present then (`lock_watch`). Whether there is a
//! delay at a point, and how long, follows from the seed, the place in the driver and how often this place
//! was passed: the same seed gives the same delays. What the processors of an emulator do between the points
//! is not to be had again, so that a failure comes again as a rule and not for sure.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::{cfg, image, irql, sync, thread, time};

/// One point in so many has a delay.
const RARITY: u64 = 16;
/// One in so many has a long one at any level, as when the host gives a virtual processor's time to another.
const LONG_RARITY: u64 = 4096;
const LONG_US: u64 = 3000;
/// Powers of two of microseconds: below DISPATCH_LEVEL, and from there on.
const LENGTHS: u64 = 11;
const LENGTHS_RAISED: u64 = 8;
const PLACES: usize = 4096;

static SEED: AtomicU64 = AtomicU64::new(0);
static PASSED: [AtomicU32; PLACES] = [const { AtomicU32::new(0) }; PLACES];
static POINTS: AtomicU64 = AtomicU64::new(0);
static DELAYS: AtomicU64 = AtomicU64::new(0);

/// A kind of point.
#[derive(Clone, Copy)]
pub enum Point {
    /// The driver calls an import.
    Import = 1,
    /// The driver is called.
    Call,
    /// A spin lock was taken, or given back.
    Lock,
    /// A waiter was woken.
    Signal,
    /// A register of the card is about to be accessed.
    Register,
}

/// Reads the seed.
pub fn init() {
    let seed = cfg::get_u64("schedule_seed", 0);
    SEED.store(seed, Ordering::Relaxed);
    if seed != 0 {
        crate::kprintln!("schedule_seed={seed}");
    }
}

/// Whether the run has a seed.
pub fn on() -> bool {
    SEED.load(Ordering::Relaxed) != 0
}

/// A point where the processor may be delayed; the place is that of the driver's last call. Not under
/// ntguest's lock.
pub fn point(kind: Point) {
    if on() {
        at(kind, image::last_call().0);
    }
}

/// The same for a place that is known.
pub fn at(kind: Point, place: usize) {
    let seed = SEED.load(Ordering::Relaxed);
    if seed == 0 || sync::is_mine() {
        return;
    }
    POINTS.fetch_add(1, Ordering::Relaxed);
    let site = mix(image::offset(place) as u64 ^ (kind as u64) << 56);
    let visit = PASSED[site as usize % PLACES].fetch_add(1, Ordering::Relaxed);
    let drawn = mix(seed ^ site.rotate_left(17) ^ u64::from(visit) << 32);
    if !drawn.is_multiple_of(RARITY) {
        return;
    }
    DELAYS.fetch_add(1, Ordering::Relaxed);
    let drawn = drawn / RARITY;
    let below = irql::current() < irql::DISPATCH && super::cpu::interrupts_on();
    let microseconds = if drawn.is_multiple_of(LONG_RARITY / RARITY) {
        LONG_US
    } else if below && drawn % 4 == 1 {
        return thread::yield_now();
    } else {
        1 << ((drawn >> 16) % if below { LENGTHS } else { LENGTHS_RAISED })
    };
    let until = time::interrupt_time_100ns() + microseconds * 10;
    while time::interrupt_time_100ns() < until {
        core::hint::spin_loop();
    }
}

/// SplitMix64's finalizer.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

/// Says what was made of it; with the last line of a run.
pub fn report() {
    if on() {
        crate::kprintln!(
            "schedule_seed={}: {} delays at {} points",
            SEED.load(Ordering::Relaxed),
            DELAYS.load(Ordering::Relaxed),
            POINTS.load(Ordering::Relaxed)
        );
    }
}

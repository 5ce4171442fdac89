//! A random walk (cfg `client=walk`): `walk_events=` events from `walk_seed=`, by threads that know nothing
//! of each other: one for the stream of each endpoint, a control panel, and the power manager. Afterwards
//! nothing may be left behind, and the file is played.
//!
//! The seed gives each thread its events and their order; how the threads meet is the schedule's. One at a
//! time opens or closes a pin, has or frees a buffer, changes a state or the power, as PortCls has it (the
//! device global lock); positions, packets and properties come at any time. A pin is opened in D0, for which
//! PortCls sees.

mod panel;
mod pin;

use super::held_resources::HeldResources;
use crate::kernel::d3::Context;
use crate::kernel::sync::IrqLock;
use crate::kernel::thread::{self, DRIVER_STACK, ThreadId};
use crate::kernel::{self, cfg};
use crate::portcls::endpoint;
use crate::portcls::power;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A millisecond, in 100-ns units.
const MS: i64 = 10_000;
/// Of a hundred events, those of the control panel and of the power manager; the streams share the rest.
const PANEL_PERCENT: u64 = 16;
const POWER_PERCENT: u64 = 4;

/// SplitMix64.
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) % u64::from(end.max(1))) as u32
    }

    /// One of two in so many.
    pub fn once_in(&mut self, count: u32) -> bool {
        self.below(count) == 0
    }

    /// Sleeps from one to `most` milliseconds.
    pub fn sleep(&mut self, most: u32) {
        thread::sleep_100ns(i64::from(1 + self.below(most)) * MS);
    }
}

/// The device global lock, as far as pins and power are concerned.
static GATE: IrqLock<bool> = IrqLock::new(false);
/// The device is in D3, or on its way.
static IN_D3: AtomicBool = AtomicBool::new(false);
/// How often it was there.
static ROUNDS: AtomicU64 = AtomicU64::new(0);

fn enter_gate() {
    while core::mem::replace(&mut *GATE.lock(), true) {
        thread::sleep_100ns(1);
    }
}

fn leave_gate() {
    *GATE.lock() = false;
}

/// Does `f` while nobody else changes a pin, a state or the power.
pub fn gated<R>(f: impl FnOnce() -> R) -> R {
    enter_gate();
    let result = f();
    leave_gate();
    result
}

/// The same in D0 alone; nothing in D3.
pub fn gated_in_d0<R>(f: impl FnOnce() -> R) -> Option<R> {
    gated(|| (!IN_D3.load(Ordering::Relaxed)).then(f))
}

/// Who walks.
enum Who {
    Pin(Box<pin::PinWalk>),
    Panel(Box<panel::PanelWalk>),
    Power,
}

struct Walker {
    who: Who,
    events: u64,
    random: Random,
}

/// The whole walk; true when it came to its end.
pub fn run() -> bool {
    let (seed, events) = (cfg::get_u64("walk_seed", 1), cfg::get_u64("walk_events", 500));
    crate::kprintln!("walk_seed={seed} walk_events={events}");
    let mut endpoints = endpoint::all(false);
    endpoints.extend(endpoint::all(true));
    // What lasts as long as the device is made by the first time of everything.
    let mut first = Random(seed);
    let mut panel = panel::PanelWalk::new(&endpoints);
    (0..100).for_each(|_| panel.step(&mut first));
    panel.finish();
    let mut pins: Vec<_> = endpoints.iter().filter_map(pin::PinWalk::new).map(Box::new).collect();
    let warm = pins.iter_mut().all(|pin| pin.open_and_close());
    let before = HeldResources::read();
    let share = events * (100 - PANEL_PERCENT - POWER_PERCENT) / 100 / pins.len().max(1) as u64;
    let mut walkers: Vec<(Who, u64)> = pins.into_iter().map(|pin| (Who::Pin(pin), share)).collect();
    let panel = Who::Panel(Box::new(panel::PanelWalk::new(&endpoints)));
    walkers.push((panel, events * PANEL_PERCENT / 100));
    walkers.push((Who::Power, events * POWER_PERCENT / 100));
    let done: u64 = walkers.iter().map(|(_, events)| events).sum();
    let start = |(number, (who, events)): (usize, (Who, u64))| {
        let random = Random(seed.wrapping_mul(1000).wrapping_add(number as u64));
        let walker = Box::into_raw(Box::new(Walker { who, events, random }));
        thread::spawn("walker", walk, walker.cast(), DRIVER_STACK)
    };
    let threads: Vec<ThreadId> = walkers.into_iter().enumerate().map(start).collect();
    threads.into_iter().for_each(thread::join);
    let after = HeldResources::read();
    if after != before {
        kernel::violation("cycle-leak", format_args!("after the walk {after:?}, before {before:?}"));
    }
    let [opened, runs] = [&pin::OPENED, &pin::RUNS].map(|count| count.load(Ordering::Relaxed));
    crate::kresult!(
        "walk_events_done={done} walk_d3_rounds={} walk_streams={opened} walk_runs={runs}",
        ROUNDS.load(Ordering::Relaxed)
    );
    warm
}

fn walk(argument: *mut c_void) {
    // SAFETY: from `Box::into_raw` in `run`; this thread is its only user.
    let Walker { mut who, events, mut random } = *unsafe { Box::from_raw(argument.cast::<Walker>()) };
    for _ in 0..events {
        match &mut who {
            Who::Pin(pin) => pin.step(&mut random),
            Who::Panel(panel) => panel.step(&mut random),
            Who::Power => lose_power(&mut random),
        }
    }
    match who {
        Who::Pin(mut pin) => pin.close(),
        Who::Panel(mut panel) => panel.finish(),
        Who::Power => {}
    }
}

/// To D3 and back; meanwhile the others go on.
pub fn lose_power(random: &mut Random) {
    random.sleep(100);
    let (asked, asleep) = (random.once_in(2), 1 + random.below(20));
    enter_gate();
    IN_D3.store(true, Ordering::Relaxed);
    let result = power::in_d3(asked, Context::Kept, || {
        leave_gate();
        thread::sleep_100ns(i64::from(asleep) * MS);
        enter_gate();
    });
    IN_D3.store(false, Ordering::Relaxed);
    leave_gate();
    ROUNDS.fetch_add(1, Ordering::Relaxed);
    if let Err(status) = result {
        kernel::violation("call-failed", format_args!("a power IRP of the device: {status}"));
    }
}

//! Time: the TSC, measured against the HPET, in the units Windows uses.

use core::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::sync::IrqLock;
use super::{apic, cfg, cpu, paging};

/// Physical address of the HPET on q35.
const HPET: u64 = 0xfed0_0000;
/// Femtoseconds in a second.
const FEMTO: u64 = 1_000_000_000_000_000;
/// How long the calibration takes, in microseconds.
const CALIBRATION_US: u64 = 50_000;
/// 10 MHz, as Windows 10 and 11 report it on most machines.
const QPC_HZ: i64 = 10_000_000;
/// System time when ntguest starts: 2025-01-01, in 100 ns since 1601.
pub const SYSTEM_TIME_AT_BOOT: u64 = 133_801_632_000_000_000;

static TSC_HZ: AtomicU64 = AtomicU64::new(0);
static TSC_START: AtomicU64 = AtomicU64::new(0);
static APIC_PER_MS: AtomicU64 = AtomicU64::new(0);
static LAST_QPC: AtomicI64 = AtomicI64::new(0);

/// The counter does not begin at 0: as after a hundred days of uptime, unless `qpc_start=` of `ntguest.cfg`
/// says otherwise. Arithmetic that multiplies before it divides then runs over as it would there.
const HUNDRED_DAYS: u64 = 100 * 86_400 * QPC_HZ as u64;
static QPC_START: AtomicI64 = AtomicI64::new(0);
/// How far the counter has jumped in all.
static JUMP: AtomicI64 = AtomicI64::new(0);
/// The jumps so far: the time since boot at which the counter jumped, and how far it had jumped from then on.
static JUMPS: IrqLock<([(i64, i64); MOST_JUMPS], usize)> = IrqLock::new(([(0, 0); MOST_JUMPS], 0));
/// How far from a jump, in counts, a driver may take the counter for what it was on the other side of it.
const NEAR_JUMP: i64 = 3_000_000;
/// More jumps than a run makes.
const MOST_JUMPS: usize = 1024;

fn hpet(offset: u64) -> u64 {
    // SAFETY: the HPET's registers are in the direct map's device window.
    unsafe { paging::phys_ptr(HPET + offset).cast::<u64>().read_volatile() }
}

/// A pair of readings taken as close together as can be had in a few tries.
fn sample() -> (u64, u64) {
    let mut best = (u64::MAX, 0, 0);
    for _ in 0..16 {
        let before = cpu::rdtsc();
        let counter = hpet(0xf0);
        let after = cpu::rdtsc();
        if after - before < best.0 {
            best = (after - before, before + (after - before) / 2, counter);
        }
    }
    (best.1, best.2)
}

/// Measures the TSC and the APIC timer.
pub fn init() {
    let period = hpet(0) >> 32;
    if period == 0 || period > 100_000_000 {
        super::fatal("no-hpet", format_args!("the machine has no HPET at {HPET:#x}: boot with -machine q35"));
    }
    // SAFETY: see `hpet`; bit 0 of the configuration starts the counter.
    unsafe {
        let config = paging::phys_ptr(HPET + 0x10).cast::<u64>();
        config.write_volatile(config.read_volatile() | 1);
    }
    let (tsc0, hpet0) = sample();
    apic::timer_free_run();
    let apic_from = hpet(0xf0);
    let ticks = CALIBRATION_US * (FEMTO / 1_000_000) / period;
    while hpet(0xf0) - hpet0 < ticks {}
    let apic_ticks = u128::from(apic::timer_elapsed());
    let apic_time = u128::from(hpet(0xf0) - apic_from) * u128::from(period);
    let (tsc1, hpet1) = sample();
    let elapsed = u128::from(hpet1 - hpet0) * u128::from(period);
    let hz = u128::from(tsc1 - tsc0) * u128::from(FEMTO) / elapsed;
    TSC_HZ.store(hz as u64, Ordering::Relaxed);
    TSC_START.store(tsc0, Ordering::Relaxed);
    let start = cfg::get_u64("qpc_start", HUNDRED_DAYS);
    QPC_START.store(i64::try_from(start).unwrap_or(i64::MAX / 2), Ordering::Relaxed);
    APIC_PER_MS.store((apic_ticks * u128::from(FEMTO) / 1000 / apic_time) as u64, Ordering::Relaxed);
    crate::kprintln!("tsc {} kHz, apic timer {} kHz", hz / 1000, apic_ticks_per_ms());
}

/// TSC counts in a millisecond.
pub fn tsc_per_ms() -> u64 {
    TSC_HZ.load(Ordering::Relaxed) / 1000
}

/// TSC counts since the start, when the machine fell asleep.
static STANDS_AT: AtomicU64 = AtomicU64::new(0);

/// The machine is about to sleep: from now until [`go_on`] no time passes.
pub fn stand_still() {
    let ticks = cpu::rdtsc().wrapping_sub(TSC_START.load(Ordering::Relaxed));
    STANDS_AT.store(ticks, Ordering::Relaxed);
}

/// Time goes on where it stood: the TSC may have gone on, or may have begun anew (KVM).
pub fn go_on() {
    let start = cpu::rdtsc().wrapping_sub(STANDS_AT.load(Ordering::Relaxed));
    TSC_START.store(start, Ordering::Relaxed);
}

/// APIC timer ticks in a millisecond.
pub fn apic_ticks_per_ms() -> u32 {
    APIC_PER_MS.load(Ordering::Relaxed) as u32
}

/// Counts of 10 MHz since boot, never backwards.
fn since_boot() -> i64 {
    let hz = TSC_HZ.load(Ordering::Relaxed);
    if hz == 0 {
        return 0;
    }
    // A processor that is behind, or the time before a reset: not negative.
    let ticks = cpu::rdtsc().wrapping_sub(TSC_START.load(Ordering::Relaxed)).cast_signed().max(0);
    let now = (ticks as u128 * QPC_HZ as u128 / u128::from(hz)) as i64;
    LAST_QPC.fetch_max(now, Ordering::Relaxed).max(now)
}

/// The performance counter: 10 MHz, never backwards.
pub fn qpc() -> i64 {
    since_boot() + QPC_START.load(Ordering::Relaxed) + JUMP.load(Ordering::Relaxed)
}

/// Lets the counter jump, forwards or back, as it was seen to do when a virtual machine goes on after a
/// pause. The interrupt time does not.
pub fn jump(counts: i64) {
    let mut jumps = JUMPS.lock();
    let (list, count) = &mut *jumps;
    let by = JUMP.fetch_add(counts, Ordering::Relaxed) + counts;
    if let Some(place) = list.get_mut(*count) {
        *place = (since_boot(), by);
        *count += 1;
    }
}

/// The time since boot, in 100 ns, at which the performance counter had this value; around a jump two of
/// them.
///
/// What a driver computes from a reading before or after a jump is a value of the counter as it was, or as
/// it would have been had it always stood as it does now. It can't know which of them it has until it has
/// looked at the device again, and no page says which a client is to be given.
pub fn of_counter(counter: u64) -> (u64, Option<u64>) {
    let counter = i64::try_from(counter).unwrap_or(i64::MAX) - QPC_START.load(Ordering::Relaxed);
    let jumps = JUMPS.lock();
    let (list, count) = &*jumps;
    let moment = |by: i64| u64::try_from(counter - by).unwrap_or(0);
    let (mut before, mut found) = (0, (moment(0), None));
    for (begin, by) in list.iter().take(*count) {
        let near = |by: i64| (counter - by - begin).abs() <= NEAR_JUMP;
        if near(before) || near(*by) {
            found = (moment(*by), Some(moment(before)));
        } else if counter - by > *begin {
            found = (moment(*by), None);
        }
        before = *by;
    }
    found
}

/// 10,000,000.
pub fn qpc_frequency() -> i64 {
    QPC_HZ
}

/// Time since boot in 100 ns.
pub fn interrupt_time_100ns() -> u64 {
    since_boot() as u64
}

/// Milliseconds since boot.
pub fn ms() -> u64 {
    interrupt_time_100ns() / 10_000
}

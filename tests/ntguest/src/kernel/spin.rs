//! Spin locks of the driver: who holds them, and that they are given back as they were taken.
//!
//! A lock that another processor holds is spun for, at the caller's level and with interrupts on, as on
//! Windows. One that this processor holds can never come free: taking it is the end of the run
//! (`spinlock-recursion`), as it would be a hang on Windows.

use core::ffi::c_void;
use core::sync::atomic::{AtomicU64, Ordering};

use super::processor::{self, MOST as PROCESSORS};
use super::sync::IrqLock;
use super::{caller, host_time, idt, image, irql, lock_order, lock_watch, schedule, violation};

const MAX: usize = 16;
/// A lock is spun for until its holder had so many clock interrupts with it, one in each millisecond that the
/// host leaves it; then it is a deadlock. So it is, whatever the holder had, after so long without what the
/// host took, in 100 ns. A lock that comes free and is lost to others again and again is for the watchdog of
/// DPCs.
const PATIENCE_TICKS: u64 = 3000;
const PATIENCE: u64 = 300_000_000;
/// Turns between two looks at a lock that is held.
const TURNS: u32 = 64;

#[derive(Clone, Copy)]
struct Held {
    lock: usize,
    /// IRQL to be restored, 255 for locks taken at the caller's own level.
    old: u8,
    /// Where in the driver it was taken.
    by: usize,
    /// Which of all takings this is.
    taking: u64,
}

#[derive(Clone, Copy)]
struct Table {
    held: [Held; MAX],
    count: usize,
}

impl Table {
    fn find(&self, lock: usize) -> Option<usize> {
        self.held[..self.count].iter().rposition(|held| held.lock == lock)
    }
}

/// What each processor holds. Nothing is switched at DISPATCH, so it belongs to whoever runs there.
static TABLES: IrqLock<[Table; PROCESSORS]> =
    IrqLock::new([Table { held: [Held { lock: 0, old: 0, by: 0, taking: 0 }; MAX], count: 0 }; PROCESSORS]);
static TAKINGS: AtomicU64 = AtomicU64::new(0);
/// How often a lock was held by another processor.
static CONTENDED: AtomicU64 = AtomicU64::new(0);

/// Taken at the caller's level, with nothing to restore.
pub const NO_RESTORE: u8 = 255;

/// Number of spin locks that this processor holds now.
pub fn held() -> usize {
    let tables = TABLES.lock();
    tables[processor::current()].count
}

/// The locks that it holds, and how many.
pub fn held_here() -> ([usize; MAX], usize) {
    let tables = TABLES.lock();
    let table = &tables[processor::current()];
    (table.held.map(|held| held.lock), table.count)
}

/// How often a processor had to spin for a lock.
pub fn contended() -> u64 {
    CONTENDED.load(Ordering::Relaxed)
}

/// After a call into the driver: as many locks held as before.
pub fn check_held(name: &'static str, before: usize) {
    let now = held();
    if now > before {
        violation(
            "spinlock-held",
            format_args!("{name} returned with {} spin lock(s) still held", now - before),
        );
        let mut tables = TABLES.lock();
        tables[processor::current()].count = before;
        drop(tables);
        if before == 0 {
            lock_watch::last_released();
        }
    }
}

/// What became of one look at a lock.
enum Look {
    Taken { first: bool },
    HeldBy(usize, Held),
}

fn look(lock: *mut usize, old: u8) -> Look {
    let mut tables = TABLES.lock();
    let here = processor::current();
    let count = tables[here].count;
    if tables[here].find(lock as usize).is_some() {
        drop(tables);
        super::fatal("spinlock-recursion", format_args!("lock {lock:p} is already held, {}", caller()));
    }
    if count == MAX {
        drop(tables);
        super::fatal("spinlock-count", format_args!("more than {MAX} spin locks held, {}", caller()));
    }
    for number in 0..processor::count() {
        if let Some(at) = tables[number].find(lock as usize) {
            return Look::HeldBy(number, tables[number].held[at]);
        }
    }
    let taking = TAKINGS.fetch_add(1, Ordering::Relaxed);
    tables[here].held[count] = Held { lock: lock as usize, old, by: image::last_call().0, taking };
    tables[here].count += 1;
    // SAFETY: the driver hands over its own KSPIN_LOCK; a bad address is a named fault. Nobody else writes a
    // lock that nobody holds.
    unsafe {
        if lock.read_volatile() != 0 {
            drop(tables);
            super::fatal(
                "spinlock-uninitialised",
                format_args!("lock {lock:p} holds {:#x}, {}", *lock, caller()),
            );
        }
        // As on Windows.
        lock.write_volatile(1);
    }
    Look::Taken { first: count == 0 }
}

/// A wait for one taking of a lock to end.
#[derive(Clone, Copy)]
struct Waiting {
    taking: u64,
    /// When it began, and the clock interrupts of the holder and of this processor then.
    since: host_time::Mark,
    ticks: [u64; 2],
}

impl Waiting {
    fn begin(holder: usize, taking: u64) -> Self {
        Self { taking, since: host_time::Mark::now(), ticks: Self::ticks(holder) }
    }

    fn ticks(holder: usize) -> [u64; 2] {
        [holder, processor::current()].map(host_time::ticks)
    }

    fn is_hopeless(&self, holder: usize) -> bool {
        let [now, then] = [Self::ticks(holder), self.ticks];
        let [holders, own] = [now[0].saturating_sub(then[0]), now[1].saturating_sub(then[1])];
        if own > 2 * holders {
            idt::host_is_late();
        }
        holders > PATIENCE_TICKS || self.since.left_100ns() > PATIENCE
    }
}

/// Takes a lock, or spins for it.
pub fn acquire(lock: *mut usize, old: u8) {
    lock_order::spin_lock(lock as usize, if old == NO_RESTORE { irql::current() } else { old });
    let mut waiting: Option<Waiting> = None;
    loop {
        match look(lock, old) {
            Look::Taken { first } => {
                if first {
                    lock_watch::first_taken();
                }
                return schedule::point(schedule::Point::Lock);
            }
            Look::HeldBy(number, held) => {
                if waiting.is_none() {
                    CONTENDED.fetch_add(1, Ordering::Relaxed);
                }
                // Given back and taken again meanwhile, it is another wait: the lock comes free.
                let same = waiting.filter(|waiting| waiting.taking == held.taking);
                let begun = *waiting.insert(same.unwrap_or_else(|| Waiting::begin(number, held.taking)));
                if begun.is_hopeless(number) {
                    super::fatal(
                        "spinlock-deadlock",
                        format_args!(
                            "lock {lock:p} is held by processor {number}, taken at {}, and does not come free, {}",
                            image::describe(held.by),
                            caller()
                        ),
                    );
                }
                (0..TURNS).for_each(|_| core::hint::spin_loop());
            }
        }
    }
}

/// Takes a lock if it is free.
fn try_acquire(lock: *mut usize, old: u8) -> bool {
    // SAFETY: the driver's own lock.
    if unsafe { lock.read_volatile() } != 0 {
        return false;
    }
    match look(lock, old) {
        Look::Taken { first } => {
            if first {
                lock_watch::first_taken();
            }
            true
        }
        Look::HeldBy(..) => false,
    }
}

/// Notes that a lock is given back; `new` is the IRQL the caller asks for.
pub fn release(lock: *mut usize, new: u8) {
    let mut tables = TABLES.lock();
    let table = &mut tables[processor::current()];
    let count = table.count;
    let Some(at) = table.find(lock as usize) else {
        drop(tables);
        violation("spinlock-not-held", format_args!("lock {lock:p} is released but not held, {}", caller()));
        return;
    };
    let was = table.held[at];
    table.held.copy_within(at + 1..count, at);
    table.count -= 1;
    // SAFETY: see `look`.
    unsafe { lock.write_volatile(0) };
    drop(tables);
    if count == 1 {
        lock_watch::last_released();
    }
    schedule::point(schedule::Point::Lock);
    if was.old != new {
        let (was, now) = (Level(was.old), Level(new));
        violation(
            "spinlock-irql",
            format_args!("lock {lock:p} taken from {was}, released to {now}, {}", caller()),
        );
    }
}

struct Level(u8);
impl core::fmt::Display for Level {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {
            NO_RESTORE => f.write_str("the caller's level"),
            n => write!(f, "IRQL {n}"),
        }
    }
}

/// Exports.
pub mod exports {
    use super::{NO_RESTORE, acquire, c_void, irql, release, try_acquire};

    /// KeInitializeSpinLock(lock)
    pub extern "win64" fn initialize(lock: *mut usize) {
        super::lock_order::forget(lock as usize, lock as usize + 1);
        // SAFETY: the driver's own lock.
        unsafe { lock.write_volatile(0) }
    }
    /// KeAcquireSpinLockRaiseToDpc(lock) -> KIRQL
    pub extern "win64" fn acquire_raise(lock: *mut usize) -> u8 {
        let old = irql::raise(irql::DISPATCH);
        acquire(lock, old);
        old
    }
    /// KeReleaseSpinLock(lock, KIRQL)
    pub extern "win64" fn release_lower(lock: *mut usize, new: u8) {
        release(lock, new);
        irql::lower(new);
    }
    /// KeAcquireSpinLockAtDpcLevel(lock): IRQL >= DISPATCH
    pub extern "win64" fn acquire_at_dpc(lock: *mut usize) {
        super::at_least_dispatch("KeAcquireSpinLockAtDpcLevel");
        acquire(lock, NO_RESTORE);
    }
    /// KeReleaseSpinLockFromDpcLevel(lock): IRQL >= DISPATCH
    pub extern "win64" fn release_from_dpc(lock: *mut usize) {
        super::at_least_dispatch("KeReleaseSpinLockFromDpcLevel");
        release(lock, NO_RESTORE);
    }
    /// KeTryToAcquireSpinLockAtDpcLevel(lock) -> BOOLEAN
    pub extern "win64" fn try_acquire_at_dpc(lock: *mut usize) -> u8 {
        super::at_least_dispatch("KeTryToAcquireSpinLockAtDpcLevel");
        u8::from(try_acquire(lock, NO_RESTORE))
    }
    /// KLOCK_QUEUE_HANDLE: {Next, Lock, OldIrql}; the lock pointer is at 8, the IRQL at 16.
    #[repr(C)]
    pub struct QueueHandle {
        next: *mut c_void,
        lock: *mut usize,
        old: u8,
    }
    /// KeAcquireInStackQueuedSpinLock(lock, handle)
    pub extern "win64" fn acquire_queued(lock: *mut usize, handle: *mut QueueHandle) {
        let old = irql::raise(irql::DISPATCH);
        acquire(lock, old);
        // SAFETY: the driver's own handle, of at least this size.
        unsafe { handle.write(QueueHandle { next: core::ptr::null_mut(), lock, old }) }
    }
    /// KeReleaseInStackQueuedSpinLock(handle)
    pub extern "win64" fn release_queued(handle: *mut QueueHandle) {
        // SAFETY: filled by `acquire_queued`.
        let (lock, old) = unsafe { ((*handle).lock, (*handle).old) };
        release(lock, old);
        irql::lower(old);
    }
}

fn at_least_dispatch(service: &'static str) {
    if irql::current() < irql::DISPATCH {
        violation(
            "irql",
            format_args!("{service} called at IRQL {}, needs at least 2, {}", irql::current(), caller()),
        );
    }
}

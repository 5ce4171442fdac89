//! Spin locks of the driver: who holds them, and that they are given back as they were taken.
//!
//! With one processor a lock that is already taken can never come free: taking it is the end of the run
//! (`spinlock-recursion`), as it would be a hang on Windows.

use core::ffi::c_void;

use super::sync::IrqLock;
use super::{caller, irql, lock_watch, violation};

const MAX: usize = 16;

#[derive(Clone, Copy)]
struct Held {
    lock: usize,
    /// IRQL to be restored, 255 for locks taken at the caller's own level.
    old: u8,
}

struct Table {
    held: [Held; MAX],
    count: usize,
}

static TABLE: IrqLock<Table> = IrqLock::new(Table { held: [Held { lock: 0, old: 0 }; MAX], count: 0 });

/// Taken at the caller's level, with nothing to restore.
pub const NO_RESTORE: u8 = 255;

/// Number of spin locks held now. Nothing is switched at DISPATCH, so the count belongs to whoever runs.
pub fn held() -> usize {
    TABLE.lock().count
}

/// After a call into the driver: as many locks held as before.
pub fn check_held(name: &'static str, before: usize) {
    let now = held();
    if now > before {
        violation(
            "spinlock-held",
            format_args!("{name} returned with {} spin lock(s) still held", now - before),
        );
        TABLE.lock().count = before;
        if before == 0 {
            lock_watch::last_released();
        }
    }
}

/// Notes that a lock is taken. The word itself is set to 1, as on Windows.
pub fn acquire(lock: *mut usize, old: u8) {
    let mut table = TABLE.lock();
    let count = table.count;
    if table.held[..count].iter().any(|h| h.lock == lock as usize) {
        drop(table);
        super::fatal("spinlock-recursion", format_args!("lock {lock:p} is already held, {}", caller()));
    }
    if count == MAX {
        drop(table);
        super::fatal("spinlock-count", format_args!("more than {MAX} spin locks held, {}", caller()));
    }
    table.held[count] = Held { lock: lock as usize, old };
    table.count += 1;
    drop(table);
    if count == 0 {
        lock_watch::first_taken();
    }
    // SAFETY: the driver hands over its own KSPIN_LOCK; a bad address is a named fault.
    unsafe {
        if lock.read_volatile() != 0 {
            super::fatal(
                "spinlock-uninitialised",
                format_args!("lock {lock:p} holds {:#x}, {}", *lock, caller()),
            );
        }
        lock.write_volatile(1);
    }
}

/// Notes that a lock is given back; `new` is the IRQL the caller asks for.
pub fn release(lock: *mut usize, new: u8) {
    let mut table = TABLE.lock();
    let count = table.count;
    let Some(at) = table.held[..count].iter().rposition(|h| h.lock == lock as usize) else {
        drop(table);
        violation("spinlock-not-held", format_args!("lock {lock:p} is released but not held, {}", caller()));
        return;
    };
    let was = table.held[at];
    table.held.copy_within(at + 1..count, at);
    table.count -= 1;
    drop(table);
    if count == 1 {
        lock_watch::last_released();
    }
    // SAFETY: see `acquire`.
    unsafe { lock.write_volatile(0) };
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
    use super::{NO_RESTORE, acquire, c_void, irql, release};

    /// KeInitializeSpinLock(lock)
    pub extern "win64" fn initialize(lock: *mut usize) {
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
        // SAFETY: the driver's own lock.
        if unsafe { lock.read_volatile() } != 0 {
            return 0;
        }
        acquire(lock, NO_RESTORE);
        1
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

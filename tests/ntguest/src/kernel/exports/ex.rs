//! The executive: pool, fast mutexes, critical regions.

use core::ptr::null_mut;
use core::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use crate::kernel::layout::KEvent;
use crate::kernel::pool;
use crate::kernel::{
    caller, event, fatal, harsh_violation, inject, irql, lock_order, thread, violation, wait,
};

/// POOL_FLAGS, from the public page of that name.
mod flags {
    pub const UNINITIALIZED: u64 = 0x2;
    pub const CACHE_ALIGNED: u64 = 0x8;
    pub const RAISE_ON_FAILURE: u64 = 0x20;
    pub const NON_PAGED: u64 = 0x40;
    pub const NON_PAGED_EXECUTE: u64 = 0x80;
    pub const PAGED: u64 = 0x100;
    pub const KNOWN: u64 =
        UNINITIALIZED | CACHE_ALIGNED | RAISE_ON_FAILURE | NON_PAGED | NON_PAGED_EXECUTE | PAGED | 1;
    /// Flags from here on are optional: unknown ones are ignored.
    pub const OPTIONAL: u64 = 1 << 32;
}

fn allocate(bytes: usize, tag: u32, zeroed: bool, paged: bool) -> *mut u8 {
    if bytes == 0 {
        violation("pool-size", format_args!("an allocation of 0 bytes, {}", caller()));
    }
    if !tag.to_le_bytes().iter().all(|c| (0x20..=0x7e).contains(c)) {
        violation("pool-tag", format_args!("tag {tag:#x} is not of printable characters, {}", caller()));
    }
    irql::require(
        if paged { "allocating paged pool" } else { "allocating pool" },
        if paged { irql::APC } else { irql::DISPATCH },
    );
    if inject::POOL.fails().is_some() {
        return null_mut();
    }
    pool::allocate(bytes, tag, zeroed, paged).unwrap_or(null_mut())
}

/// Executable pool stops a driver under Verifier's code integrity checks only (bug check C4, 2000); a plain
/// Windows gives it.
fn executable(what: core::fmt::Arguments<'_>) {
    harsh_violation("pool-executable", format_args!("{what}, {}", caller()));
}

/// ExAllocatePool2(flags, bytes, tag)
pub extern "win64" fn allocate_pool2(pool_flags: u64, bytes: usize, tag: u32) -> *mut u8 {
    let kinds = pool_flags & (flags::NON_PAGED | flags::NON_PAGED_EXECUTE | flags::PAGED);
    if pool_flags & (flags::OPTIONAL - 1) & !flags::KNOWN != 0 || kinds.count_ones() != 1 || tag == 0 {
        violation(
            "pool-flags",
            format_args!("ExAllocatePool2 with flags {pool_flags:#x} and tag {tag:#x}, {}", caller()),
        );
        return null_mut();
    }
    if kinds == flags::NON_PAGED_EXECUTE {
        executable(format_args!("ExAllocatePool2 of executable pool"));
    }
    let block = allocate(bytes, tag, pool_flags & flags::UNINITIALIZED == 0, kinds == flags::PAGED);
    if block.is_null() && pool_flags & flags::RAISE_ON_FAILURE != 0 {
        fatal(
            "exception",
            format_args!("ExAllocatePool2 raises STATUS_INSUFFICIENT_RESOURCES, {}", caller()),
        );
    }
    block
}

/// ExAllocatePoolWithTag(type, bytes, tag): NonPagedPool 0 is executable, NonPagedPoolNx 512 is not.
pub extern "win64" fn allocate_pool_with_tag(kind: u32, bytes: usize, tag: u32) -> *mut u8 {
    match kind {
        1 | 5 | 512 | 516 => {}
        0 | 4 => {
            executable(format_args!("ExAllocatePoolWithTag with NonPagedPool: use NonPagedPoolNx"));
        }
        other => {
            violation(
                "pool-flags",
                format_args!("ExAllocatePoolWithTag with pool type {other}, {}", caller()),
            );
            return null_mut();
        }
    }
    allocate(bytes, tag, false, kind & 1 != 0)
}

/// ExAllocatePool(type, bytes): an allocation without a tag has the tag "None"
pub extern "win64" fn allocate_pool(kind: u32, bytes: usize) -> *mut u8 {
    allocate_pool_with_tag(kind, bytes, u32::from_le_bytes(*b"None"))
}

/// ExFreePool(block)
pub extern "win64" fn free_pool(block: *mut u8) {
    pool::free(block as usize, 0);
}

/// ExFreePoolWithTag(block, tag); tag 0 means any
pub extern "win64" fn free_pool_with_tag(block: *mut u8, tag: u32) {
    pool::free(block as usize, tag);
}

/// FAST_MUTEX: Count 0, Owner 8, Contention 16, Event 24, OldIrql 48; 56 bytes.
#[repr(C)]
pub struct FastMutex {
    count: AtomicI32,
    owner: usize,
    contention: u32,
    event: KEvent,
    old_irql: u32,
}
const _: () = assert!(size_of::<FastMutex>() == 56 && core::mem::offset_of!(FastMutex, event) == 24);

/// ExAcquireFastMutex(mutex): raises to APC_LEVEL. ExInitializeFastMutex is inline: count 1, event not set.
pub extern "win64" fn acquire_fast_mutex(mutex: *mut FastMutex) {
    let old = irql::raise(irql::APC);
    // SAFETY: the driver's own FAST_MUTEX, initialised inline.
    unsafe {
        if (*mutex).count.fetch_sub(1, Ordering::Acquire) != 1 {
            (*mutex).contention += 1;
            let event = (&raw const (*mutex).event) as usize;
            wait::wait("ExAcquireFastMutex", &[event], false, core::ptr::null());
        }
        (*mutex).old_irql = u32::from(old);
        (*mutex).owner = 1;
    }
    lock_order::mutex_acquired(mutex as usize);
}

/// ExTryToAcquireFastMutex(mutex) -> BOOLEAN
pub extern "win64" fn try_to_acquire_fast_mutex(mutex: *mut FastMutex) -> u8 {
    let old = irql::raise(irql::APC);
    // SAFETY: see `acquire_fast_mutex`.
    unsafe {
        if (*mutex).count.compare_exchange(1, 0, Ordering::Acquire, Ordering::Relaxed).is_err() {
            irql::lower(old);
            return 0;
        }
        (*mutex).old_irql = u32::from(old);
        (*mutex).owner = 1;
    }
    lock_order::mutex_acquired(mutex as usize);
    1
}

/// ExReleaseFastMutex(mutex)
pub extern "win64" fn release_fast_mutex(mutex: *mut FastMutex) {
    // SAFETY: see `acquire_fast_mutex`.
    unsafe {
        if (*mutex).owner == 0 || irql::current() != irql::APC {
            violation(
                "fast-mutex",
                format_args!("released at IRQL {} without being held, {}", irql::current(), caller()),
            );
            return;
        }
        (*mutex).owner = 0;
        lock_order::mutex_released(mutex as usize);
        let old = (*mutex).old_irql as u8;
        if (*mutex).count.fetch_add(1, Ordering::Release) < 0 {
            let event = &raw mut (*mutex).event;
            event::count(event as usize);
            wait::signal(event.cast(), 1);
        }
        irql::lower(old);
    }
}

/// KeInitializeGuardedMutex(mutex): as ExInitializeFastMutex does inline
pub extern "win64" fn initialize_guarded_mutex(mutex: *mut FastMutex) {
    // SAFETY: the driver's own KGUARDED_MUTEX, which has the layout of a FAST_MUTEX since Windows 8.
    unsafe {
        mutex.write_bytes(0, 1);
        (*mutex).count = AtomicI32::new(1);
        event::initialize(&raw mut (*mutex).event, wait::SYNCHRONIZATION_EVENT, false);
    }
}

/// KeAcquireGuardedMutex(mutex), ExAcquireFastMutexUnsafe: the IRQL stays as it is
pub extern "win64" fn acquire_guarded_mutex(mutex: *mut FastMutex) {
    // SAFETY: the driver's own mutex, initialised.
    unsafe {
        if (*mutex).count.fetch_sub(1, Ordering::Acquire) != 1 {
            (*mutex).contention += 1;
            let event = (&raw const (*mutex).event) as usize;
            wait::wait("KeAcquireGuardedMutex", &[event], false, core::ptr::null());
        }
        (*mutex).owner = 1;
    }
    lock_order::mutex_acquired(mutex as usize);
}

/// KeReleaseGuardedMutex(mutex), ExReleaseFastMutexUnsafe
pub extern "win64" fn release_guarded_mutex(mutex: *mut FastMutex) {
    // SAFETY: see `acquire_guarded_mutex`.
    unsafe {
        if (*mutex).owner == 0 {
            violation(
                "fast-mutex",
                format_args!("a guarded mutex is released without being held, {}", caller()),
            );
            return;
        }
        (*mutex).owner = 0;
        lock_order::mutex_released(mutex as usize);
        if (*mutex).count.fetch_add(1, Ordering::Release) < 0 {
            wait::signal((&raw mut (*mutex).event).cast(), 1);
        }
    }
}

/// EX_RUNDOWN_REF: twice the references, and bit 0 once the rundown has begun.
const RUNNING_DOWN: usize = 1;

/// ExInitializeRundownProtection(reference), ExReInitializeRundownProtection
pub extern "win64" fn initialize_rundown(reference: *mut usize) {
    // SAFETY: the driver's own reference.
    unsafe { reference.write_volatile(0) }
}
/// ExAcquireRundownProtection(reference) -> BOOLEAN
pub extern "win64" fn acquire_rundown(reference: *mut usize) -> u8 {
    // SAFETY: the driver's own reference, eight bytes aligned.
    let count = unsafe { AtomicUsize::from_ptr(reference) };
    let one_more = |n: usize| (n & RUNNING_DOWN == 0).then_some(n + 2);
    u8::from(count.fetch_update(Ordering::Acquire, Ordering::Relaxed, one_more).is_ok())
}
/// ExReleaseRundownProtection(reference)
pub extern "win64" fn release_rundown(reference: *mut usize) {
    // SAFETY: see above.
    let count = unsafe { AtomicUsize::from_ptr(reference) };
    if count.load(Ordering::Acquire) < 2 {
        violation("rundown", format_args!("released more often than acquired, {}", caller()));
    } else {
        count.fetch_sub(2, Ordering::Release);
    }
}
/// ExWaitForRundownProtectionRelease(reference)
pub extern "win64" fn wait_for_rundown(reference: *mut usize) {
    // SAFETY: see above.
    let count = unsafe { AtomicUsize::from_ptr(reference) };
    count.fetch_or(RUNNING_DOWN, Ordering::AcqRel);
    while count.load(Ordering::Acquire) >= 2 {
        thread::sleep_100ns(10_000);
    }
}
/// ExRundownCompleted(reference)
pub extern "win64" fn rundown_completed(reference: *mut usize) {
    // SAFETY: see above.
    unsafe { reference.write_volatile(RUNNING_DOWN) }
}

static REGIONS: AtomicI32 = AtomicI32::new(0);

/// KeEnterCriticalRegion()
pub extern "win64" fn enter_critical_region() {
    REGIONS.fetch_add(1, Ordering::Relaxed);
}

/// KeLeaveCriticalRegion()
pub extern "win64" fn leave_critical_region() {
    if REGIONS.fetch_sub(1, Ordering::Relaxed) <= 0 {
        violation("critical-region", format_args!("left more often than entered, {}", caller()));
    }
}

/// Critical regions that were entered and not left.
pub fn open_regions() -> usize {
    REGIONS.load(Ordering::Relaxed).max(0) as usize
}

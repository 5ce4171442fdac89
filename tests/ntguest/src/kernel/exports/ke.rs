//! The kernel: events, mutexes, waits, time, IRQL, object references.

use alloc::collections::BTreeMap;
use core::ffi::c_void;

use crate::kernel::layout::{DispatcherHeader, KDpc, KEvent, KMutant, ListEntry};
use crate::kernel::sync::{self, IrqLock};
use crate::kernel::{caller, dpc, event, irql, lock_order, paging, thread, time, timer, violation, wait};

/// KeInitializeEvent(event, type, state): NotificationEvent 0, SynchronizationEvent 1
pub extern "win64" fn initialize_event(target: *mut KEvent, kind: u32, state: u8) {
    if kind > 1 {
        violation("event-type", format_args!("KeInitializeEvent with type {kind}, {}", caller()));
    }
    // SAFETY: the driver's own KEVENT.
    unsafe { event::initialize(target, kind as u8 & 1, state != 0) }
}

/// KeSetEvent(event, increment, wait) -> previous state
pub extern "win64" fn set_event(target: *mut KEvent, _increment: i32, wait_follows: u8) -> i32 {
    if wait_follows != 0 {
        irql::require("KeSetEvent with Wait", irql::APC);
    }
    if !wait::check("KeSetEvent", target.cast()) {
        return 0;
    }
    event::count(target as usize);
    wait::signal(target.cast(), 1)
}

/// KeClearEvent(event)
pub extern "win64" fn clear_event(target: *mut KEvent) {
    reset_event(target);
}

/// KeResetEvent(event) -> previous state
pub extern "win64" fn reset_event(target: *mut KEvent) -> i32 {
    if !wait::check("KeResetEvent", target.cast()) {
        return 0;
    }
    // SAFETY: checked; one word, written whole.
    unsafe {
        let state = &raw mut (*target).header.signal_state;
        let old = state.read_volatile();
        state.write_volatile(0);
        old
    }
}

/// KeReadStateEvent(event) -> state
pub extern "win64" fn read_state_event(target: *mut KEvent) -> i32 {
    // SAFETY: the driver's own KEVENT.
    unsafe { (&raw const (*target).header.signal_state).read_volatile() }
}

fn header(kind: u8, words: u8, state: i32, list: *mut ListEntry) -> DispatcherHeader {
    DispatcherHeader {
        kind,
        signalling: 0,
        size: words,
        reserved: 0,
        signal_state: state,
        wait_list: ListEntry { flink: list, blink: list },
    }
}

/// KeInitializeMutex(mutex, level)
pub extern "win64" fn initialize_mutex(mutex: *mut KMutant, _level: u32) {
    // SAFETY: the driver's own KMUTEX of 56 bytes.
    unsafe {
        mutex.write_bytes(0, 1);
        let list = &raw mut (*mutex).header.wait_list;
        (*mutex).header = header(wait::MUTANT, 14, 1, list);
        (*mutex).apc_disable = 1;
    }
}

/// KeReleaseMutex(mutex, wait) -> previous state; 0 = it is free now
pub extern "win64" fn release_mutex(mutex: *mut KMutant, _wait: u8) -> i32 {
    let me = thread::SCHED.lock().current() + 1;
    // SAFETY: the driver's own KMUTEX.
    unsafe {
        if (*mutex).owner != me {
            violation("mutex-not-owner", format_args!("KeReleaseMutex of {mutex:p}, {}", caller()));
            return 0;
        }
        let next = (*mutex).header.signal_state + 1;
        if next == 1 {
            (*mutex).owner = 0;
        }
        lock_order::mutex_released(mutex as usize);
        wait::signal(mutex.cast(), next)
    }
}

/// KSEMAPHORE: header, then the limit at 24.
#[repr(C)]
pub struct Semaphore {
    header: DispatcherHeader,
    limit: i32,
}

/// KeInitializeSemaphore(semaphore, count, limit)
pub extern "win64" fn initialize_semaphore(semaphore: *mut Semaphore, count: i32, limit: i32) {
    // SAFETY: the driver's own KSEMAPHORE of 32 bytes.
    unsafe {
        let list = &raw mut (*semaphore).header.wait_list;
        semaphore.write(Semaphore { header: header(wait::SEMAPHORE, 8, count, list), limit });
    }
}

/// KeReleaseSemaphore(semaphore, increment, adjustment, wait) -> previous count
pub extern "win64" fn release_semaphore(
    semaphore: *mut Semaphore,
    _increment: i32,
    adjustment: i32,
    _wait: u8,
) -> i32 {
    if !wait::check("KeReleaseSemaphore", semaphore.cast()) {
        return 0;
    }
    // One after the other: the count is read and written.
    let were_on = sync::enter();
    let old = release_by(semaphore, adjustment);
    sync::leave(were_on);
    old
}

fn release_by(semaphore: *mut Semaphore, adjustment: i32) -> i32 {
    // SAFETY: checked by the caller.
    let (count, limit) = unsafe { ((*semaphore).header.signal_state, (*semaphore).limit) };
    let Some(next) = count.checked_add(adjustment).filter(|n| *n <= limit && adjustment > 0) else {
        violation("semaphore-limit", format_args!("{count} + {adjustment} exceeds {limit}, {}", caller()));
        return count;
    };
    wait::signal(semaphore.cast(), next)
}

/// KeReadStateMutex(mutex), KeReadStateSemaphore, KeReadStateTimer (as BOOLEAN)
pub extern "win64" fn read_state(target: *mut DispatcherHeader) -> i32 {
    // SAFETY: the driver's own object.
    unsafe { (&raw const (*target).signal_state).read_volatile() }
}

/// KeWaitForSingleObject(object, reason, mode, alertable, timeout)
pub extern "win64" fn wait_for_single_object(
    object: *mut c_void,
    _reason: u32,
    _mode: u8,
    _alertable: u8,
    timeout: *const i64,
) -> i32 {
    wait::wait("KeWaitForSingleObject", &[object as usize], false, timeout)
}

/// KeWaitForMultipleObjects(count, objects, type, reason, mode, alertable, timeout, blocks): WaitAll 0,
/// WaitAny 1
pub extern "win64" fn wait_for_multiple_objects(
    count: u32,
    objects: *const usize,
    kind: u32,
    _reason: u32,
    _mode: u8,
    _alertable: u8,
    timeout: *const i64,
    _blocks: *mut c_void,
) -> i32 {
    if count == 0 || count as usize > wait::MAX_OBJECTS {
        violation("wait-count", format_args!("KeWaitForMultipleObjects on {count} objects, {}", caller()));
        return wait::STATUS_TIMEOUT;
    }
    // SAFETY: the driver's array of `count` pointers.
    let objects = unsafe { core::slice::from_raw_parts(objects, count as usize) };
    wait::wait("KeWaitForMultipleObjects", objects, kind == 0, timeout)
}

/// KeDelayExecutionThread(mode, alertable, interval)
pub extern "win64" fn delay_execution_thread(_mode: u8, _alertable: u8, interval: *const i64) -> i32 {
    let until = wait::deadline(interval);
    let now = time::interrupt_time_100ns();
    thread::sleep_100ns(until.saturating_sub(now) as i64);
    wait::STATUS_SUCCESS
}

/// KeSetTargetProcessorDpcEx(dpc, PROCESSOR_NUMBER) -> NTSTATUS
pub extern "win64" fn set_target_processor_dpc_ex(target: *mut KDpc, number: *const u32) -> i32 {
    // SAFETY: the driver's PROCESSOR_NUMBER of four bytes.
    let Some(index) = super::ps::index_of(unsafe { number.read_unaligned() }) else {
        return crate::portcls::status::Status::INVALID_PARAMETER.0;
    };
    dpc::set_target(target, index as u8);
    0
}

/// KeGetCurrentIrql()
pub extern "win64" fn get_current_irql() -> u8 {
    irql::current()
}
/// KeRaiseIrqlToDpcLevel()
pub extern "win64" fn raise_irql_to_dpc_level() -> u8 {
    irql::raise(irql::DISPATCH)
}
/// KfRaiseIrql(new)
pub extern "win64" fn raise_irql(new: u8) -> u8 {
    irql::raise(new)
}
/// KeLowerIrql(new)
pub extern "win64" fn lower_irql(new: u8) {
    irql::lower(new);
}

/// KeQueryPerformanceCounter(frequency or null) -> counter
pub extern "win64" fn query_performance_counter(frequency: *mut i64) -> i64 {
    if !frequency.is_null() {
        // SAFETY: the driver's LARGE_INTEGER.
        unsafe { frequency.write_unaligned(time::qpc_frequency()) }
    }
    time::qpc()
}

/// KeStallExecutionProcessor(microseconds): more than 50 is against the rules of the DDI.
pub extern "win64" fn stall_execution_processor(microseconds: u32) {
    if microseconds > 50 {
        violation(
            "stall-too-long",
            format_args!("{microseconds} microseconds, allowed are 50, {}", caller()),
        );
    }
    let until = time::qpc() + i64::from(microseconds) * 10;
    while time::qpc() < until {
        core::hint::spin_loop();
    }
}

/// KeQueryTimeIncrement()
pub extern "win64" fn query_time_increment() -> u32 {
    timer::TIME_INCREMENT
}

/// KeQuerySystemTimePrecise(out)
pub extern "win64" fn query_system_time_precise(out: *mut u64) {
    // SAFETY: the driver's LARGE_INTEGER.
    unsafe { out.write_unaligned(time::SYSTEM_TIME_AT_BOOT + time::interrupt_time_100ns()) }
}

/// KeQueryUnbiasedInterruptTime()
pub extern "win64" fn query_unbiased_interrupt_time() -> u64 {
    time::interrupt_time_100ns()
}

/// KeQueryInterruptTimePrecise(performance counter out) -> interrupt time
pub extern "win64" fn query_interrupt_time_precise(counter: *mut u64) -> u64 {
    let (now, count) = (time::interrupt_time_100ns(), time::qpc());
    // SAFETY: the driver's ULONG64.
    unsafe { counter.write_unaligned(count as u64) }
    now
}

struct Range(#[expect(dead_code, reason = "only the driver reads it")] usize);
// SAFETY: never written.
unsafe impl Sync for Range {}
static RANGE_START: Range = Range(paging::DIRECT as usize);

/// MmSystemRangeStart: a datum, a pointer to where kernel addresses begin.
pub fn system_range_start() -> *const c_void {
    (&raw const RANGE_START).cast()
}

static REFERENCES: IrqLock<BTreeMap<usize, i64>> = IrqLock::new(BTreeMap::new());

/// References that were taken and not given back.
pub fn references() -> usize {
    REFERENCES.lock().values().filter(|n| **n != 0).count()
}

/// ObfReferenceObject(object) -> new count (its value is not for drivers)
pub extern "win64" fn reference_object(object: *mut c_void) -> isize {
    let mut all = REFERENCES.lock();
    let n = all.entry(object as usize).or_insert(0);
    *n += 1;
    *n as isize + 1
}

/// ObfDereferenceObject(object) -> new count
pub extern "win64" fn dereference_object(object: *mut c_void) -> isize {
    let mut all = REFERENCES.lock();
    let n = all.entry(object as usize).or_insert(0);
    if *n == 0 {
        drop(all);
        violation(
            "reference-underflow",
            format_args!("ObfDereferenceObject of {object:p} without a reference, {}", caller()),
        );
        return 0;
    }
    *n -= 1;
    *n as isize + 1
}

/// ObReferenceObjectByPointer(object, access, type, mode) -> NTSTATUS
pub extern "win64" fn reference_object_by_pointer(
    object: *mut c_void,
    _access: u32,
    _kind: *mut c_void,
    _mode: u8,
) -> i32 {
    reference_object(object);
    0
}

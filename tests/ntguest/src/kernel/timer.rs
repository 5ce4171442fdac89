//! The clock tick and the driver's timers.
//!
//! KTIMERs expire on a 15.6 ms tick, as on a Windows that nobody asked for a finer one; timers of
//! ExAllocateTimer with EX_TIMER_HIGH_RESOLUTION at the next millisecond (WAVERT.md 7). A timer expires on
//! the processor that has set it.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::Cell;
use core::ffi::c_void;

use super::layout::{DispatcherHeader, KDpc, KTimer, ListEntry};
use super::processor::{self, PerProcessor};
use super::sync::IrqLock;
use super::{call, caller, dpc, host_time, inject, irql, stalls, thread, time, user_data, violation, wait};

/// KeQueryTimeIncrement: 100 ns units per coarse tick.
pub const TIME_INCREMENT: u32 = 156_250;
/// EX_TIMER_HIGH_RESOLUTION.
const HIGH_RESOLUTION: u32 = 4;

/// Timers that are set, and the processor that has set each.
static TIMERS: IrqLock<Vec<(usize, usize)>> = IrqLock::new(Vec::new());
static COARSE: PerProcessor<Cell<u64>> = PerProcessor::new(0);

/// The clock interrupt of a processor, once a millisecond. The first one keeps the time.
pub fn tick() {
    let first = processor::current() == 0;
    host_time::at_tick(time::interrupt_time_100ns());
    if first {
        stalls::at_tick();
    }
    let now = time::interrupt_time_100ns();
    if first {
        host_time::stood_still(now);
        wait::expire(now);
    }
    let coarse = now / u64::from(TIME_INCREMENT);
    let on_tick = COARSE.replace(coarse) != coarse;
    expire_ex(now);
    if on_tick {
        if first {
            user_data::tick();
        }
        expire(now);
    }
    dpc::tick();
    thread::SCHED.lock().tick();
}

fn expire(now: u64) {
    loop {
        let mut timers = TIMERS.lock();
        let here = processor::current();
        // SAFETY: queued timers are live: the pool refuses to free them.
        let due = |timer: usize| unsafe { (*(timer as *const KTimer)).due_time } <= now;
        let Some(at) = timers.iter().position(|(timer, by)| *by == here && due(*timer)) else { return };
        let timer = timers[at].0 as *mut KTimer;
        // SAFETY: see above.
        let (dpc_to_queue, period) = unsafe { ((*timer).dpc, (*timer).period) };
        if period == 0 {
            timers.swap_remove(at);
        } else {
            // SAFETY: see above.
            unsafe { (*timer).due_time = now + u64::from(period) * 10_000 + stalls::lateness() };
        }
        drop(timers);
        wait::signal(timer.cast::<DispatcherHeader>(), 1);
        if !dpc_to_queue.is_null() {
            dpc::queue(dpc_to_queue, core::ptr::null_mut(), core::ptr::null_mut());
        }
    }
}

/// A KTIMER that is set inside `start..end`.
pub fn set_within(start: usize, end: usize) -> Option<usize> {
    TIMERS.lock().iter().map(|(timer, _)| *timer).find(|t| (start..end).contains(t))
}

/// Timers that are set, for the report at unload.
pub fn set() -> usize {
    TIMERS.lock().len()
}

/// KeInitializeTimer(timer)
pub extern "win64" fn initialize(timer: *mut KTimer) {
    initialize_ex(timer, 0);
}

/// KeInitializeTimerEx(timer, type): 0 notification, 1 synchronization
pub extern "win64" fn initialize_ex(timer: *mut KTimer, kind: u32) {
    // SAFETY: the driver's own KTIMER of 64 bytes.
    unsafe {
        timer.write_bytes(0, 1);
        let list = (&raw mut (*timer).header.wait_list).cast::<ListEntry>();
        (*timer).header = DispatcherHeader {
            kind: wait::NOTIFICATION_TIMER + u8::from(kind == 1),
            signalling: 0,
            size: 0x10,
            reserved: 0,
            signal_state: 0,
            wait_list: ListEntry { flink: list, blink: list },
        };
    }
}

fn set_timer(timer: *mut KTimer, due: i64, period: u32, dpc: *mut KDpc) -> u8 {
    if !wait::check("KeSetTimer", timer.cast()) {
        return 0;
    }
    let mut timers = TIMERS.lock();
    let was = timers.iter().position(|(t, _)| *t == timer as usize);
    if let Some(at) = was {
        timers.swap_remove(at);
    }
    timers.push((timer as usize, processor::current()));
    // SAFETY: checked above.
    unsafe {
        (*timer).header.signal_state = 0;
        (*timer).due_time = wait::deadline(&raw const due).saturating_add(stalls::lateness());
        (*timer).period = period;
        (*timer).dpc = dpc;
    }
    u8::from(was.is_some())
}

/// KeSetTimer(timer, due time, dpc) -> BOOLEAN: was set before
pub extern "win64" fn set_once(timer: *mut KTimer, due: i64, dpc: *mut KDpc) -> u8 {
    set_timer(timer, due, 0, dpc)
}
/// KeSetTimerEx(timer, due time, period in ms, dpc) -> BOOLEAN
pub extern "win64" fn set_ex(timer: *mut KTimer, due: i64, period: u32, dpc: *mut KDpc) -> u8 {
    set_timer(timer, due, period, dpc)
}
/// KeSetCoalescableTimer(timer, due time, period in ms, tolerable delay in ms, dpc) -> BOOLEAN
pub extern "win64" fn set_coalescable(
    timer: *mut KTimer,
    due: i64,
    period: u32,
    _delay: u32,
    dpc: *mut KDpc,
) -> u8 {
    set_timer(timer, due, period, dpc)
}
/// KeCancelTimer(timer) -> BOOLEAN: was set
pub extern "win64" fn cancel(timer: *mut KTimer) -> u8 {
    let mut timers = TIMERS.lock();
    let at = timers.iter().position(|(t, _)| *t == timer as usize);
    if let Some(at) = at {
        timers.swap_remove(at);
    }
    u8::from(at.is_some())
}

/// PEXT_CALLBACK(timer, context), at DISPATCH.
type ExCallback = unsafe extern "win64" fn(*mut c_void, *mut c_void);

struct ExTimer {
    callback: Option<ExCallback>,
    context: *mut c_void,
    fine: bool,
    due: u64,
    period: u64,
    set: bool,
    /// Has set it.
    processor: usize,
    /// Processors that run the callback.
    running: u32,
    /// Deleted without waiting: whoever runs the callback frees it.
    deleted: bool,
    dpc: KDpc,
}

static EX_TIMERS: IrqLock<Vec<usize>> = IrqLock::new(Vec::new());

/// Timers of ExAllocateTimer that were not deleted.
pub fn ex_live() -> usize {
    EX_TIMERS.lock().len()
}

unsafe extern "win64" fn ex_fire(_: *mut KDpc, timer: *mut c_void, _: *mut c_void, _: *mut c_void) {
    let timer = timer.cast::<ExTimer>();
    // SAFETY: deleted timers are taken off the DPC queue first, and freed when their callback has returned.
    let (callback, context) = unsafe { ((*timer).callback, (*timer).context) };
    if let Some(callback) = callback {
        // SAFETY: the routine and context the driver gave.
        call::driver_call("ExTimerCallback", irql::DISPATCH, || unsafe { callback(timer.cast(), context) });
    }
    let _guard = EX_TIMERS.lock();
    // SAFETY: it lives until nobody runs its callback any more.
    unsafe {
        (*timer).running -= 1;
        if (*timer).deleted && (*timer).running == 0 {
            drop(Box::from_raw(timer));
        }
    }
}

fn expire_ex(now: u64) {
    let timers = EX_TIMERS.lock();
    let here = processor::current();
    for timer in timers.iter() {
        let timer = *timer as *mut ExTimer;
        // SAFETY: in the list = live.
        if unsafe { (*timer).processor } != here {
            continue;
        }
        // SAFETY: in the list = live.
        unsafe {
            let due = if (*timer).fine {
                (*timer).due
            } else {
                (*timer).due.next_multiple_of(u64::from(TIME_INCREMENT))
            };
            if (*timer).set && due <= now {
                (*timer).set = (*timer).period != 0;
                (*timer).due = now + (*timer).period + stalls::lateness();
                if dpc::queue(&raw mut (*timer).dpc, core::ptr::null_mut(), core::ptr::null_mut()) {
                    (*timer).running += 1;
                }
            }
        }
    }
}

fn live(service: &str, timer: *mut c_void) -> bool {
    let known = EX_TIMERS.lock().contains(&(timer as usize));
    if !known {
        violation("extimer-unknown", format_args!("{service} on {timer:p}, {}", caller()));
    }
    known
}

/// ExAllocateTimer(callback, context, attributes) -> PEX_TIMER or NULL
pub extern "win64" fn ex_allocate(
    callback: Option<ExCallback>,
    context: *mut c_void,
    attributes: u32,
) -> *mut c_void {
    if inject::TIMER.fails().is_some() {
        return core::ptr::null_mut();
    }
    let fine = attributes & HIGH_RESOLUTION != 0;
    // SAFETY: all-zero is a valid KDPC.
    let dpc_zero = unsafe { core::mem::zeroed() };
    let timer = Box::into_raw(Box::new(ExTimer {
        callback,
        context,
        fine,
        due: 0,
        period: 0,
        set: false,
        processor: 0,
        running: 0,
        deleted: false,
        dpc: dpc_zero,
    }));
    // SAFETY: just allocated.
    dpc::initialize(unsafe { &raw mut (*timer).dpc }, Some(ex_fire), timer.cast());
    EX_TIMERS.lock().push(timer as usize);
    timer.cast()
}

/// ExSetTimer(timer, due time, period in 100 ns, parameters) -> BOOLEAN: was set
pub extern "win64" fn ex_set(timer: *mut c_void, due: i64, period: i64, _parameters: *mut c_void) -> u8 {
    if !live("ExSetTimer", timer) {
        return 0;
    }
    let timer = timer.cast::<ExTimer>();
    let _guard = EX_TIMERS.lock();
    // SAFETY: live, and the clock is held off by the guard.
    unsafe {
        let was = (*timer).set;
        (*timer).due = wait::deadline(&raw const due).saturating_add(stalls::lateness());
        (*timer).period = period.max(0) as u64;
        (*timer).set = true;
        (*timer).processor = processor::current();
        u8::from(was)
    }
}

/// ExCancelTimer(timer, reserved) -> BOOLEAN: was set
pub extern "win64" fn ex_cancel(timer: *mut c_void, _reserved: *mut c_void) -> u8 {
    if !live("ExCancelTimer", timer) {
        return 0;
    }
    let _guard = EX_TIMERS.lock();
    // SAFETY: see `ex_set`.
    unsafe { u8::from(core::mem::replace(&mut (*timer.cast::<ExTimer>()).set, false)) }
}

/// ExDeleteTimer(timer, cancel, wait, parameters) -> BOOLEAN: was set
pub extern "win64" fn ex_delete(timer: *mut c_void, _cancel: u8, wait: u8, _parameters: *mut c_void) -> u8 {
    if !live("ExDeleteTimer", timer) {
        return 0;
    }
    let timer = timer.cast::<ExTimer>();
    let was = {
        let mut timers = EX_TIMERS.lock();
        timers.retain(|t| *t != timer as usize);
        // SAFETY: it was live just now, and nobody frees it but here and in its own callback. What is queued
        // is taken off the queue.
        unsafe {
            if dpc::remove(&raw mut (*timer).dpc) != 0 {
                (*timer).running -= 1;
            }
            let was = (*timer).set;
            (*timer).deleted = wait == 0 && (*timer).running > 0;
            if (*timer).running == 0 {
                drop(Box::from_raw(timer));
                return u8::from(was);
            }
            was
        }
    };
    if wait != 0 {
        let running = || {
            let _guard = EX_TIMERS.lock();
            // SAFETY: freed below only.
            unsafe { (*timer).running > 0 }
        };
        while running() {
            thread::sleep_100ns(1);
        }
        // SAFETY: nobody runs its callback, and nobody else knows it.
        drop(unsafe { Box::from_raw(timer) });
    }
    u8::from(was)
}

//! Deferred procedure calls: queued at any IRQL, run at DISPATCH before anything below it goes on.
//!
//! Each processor has a queue. When it is begun: "Organization of DPC Queues", pages of KeSetImportanceDpc
//! and KeSetTargetProcessorDpc. What is not begun at once comes with the processor's next clock tick.

use alloc::collections::VecDeque;
use core::ffi::c_void;

use super::layout::{DpcRoutine, KDpc};
use super::processor::{self, MOST};
use super::sync::IrqLock;
use super::{apic, call, caller, irql, thread, violation};

/// KDPC.Type of a normal DPC.
const DPC_OBJECT: u8 = 0x13;
/// KDPC_IMPORTANCE.
const LOW: u8 = 0;
const HIGH: u8 = 2;
const MEDIUM_HIGH: u8 = 3;
/// A queue that is longer is begun whatever the importance (its "system-defined limit").
const DEPTH: usize = 4;
/// KDPC.Number of a DPC with a target is so much more than the processor's, as MAXIMUM_PROC_PER_GROUP.
const TARGETED: u16 = 64;

struct Queue {
    waiting: VecDeque<usize>,
    /// The processor runs DPCs.
    running: bool,
    /// How often it came to the end of its queue.
    ends: u64,
}

static QUEUES: IrqLock<[Queue; MOST]> =
    IrqLock::new([const { Queue { waiting: VecDeque::new(), running: false, ends: 0 } }; MOST]);

/// KeInitializeDpc(dpc, routine, context)
pub extern "win64" fn initialize(dpc: *mut KDpc, routine: Option<DpcRoutine>, context: *mut c_void) {
    // SAFETY: the driver's own KDPC of 64 bytes.
    unsafe {
        dpc.write_bytes(0, 1);
        (*dpc).kind = DPC_OBJECT;
        (*dpc).importance = 1;
        (*dpc).routine = routine;
        (*dpc).context = context;
    }
}

/// Queues a DPC; false when it is queued already (its arguments then stay as they are).
pub fn queue(dpc: *mut KDpc, argument1: *mut c_void, argument2: *mut c_void) -> bool {
    // SAFETY: the driver's own KDPC.
    unsafe {
        if (*dpc).kind != DPC_OBJECT || (*dpc).routine.is_none() {
            violation("dpc-uninitialised", format_args!("KeInsertQueueDpc on {dpc:p}, {}", caller()));
            return false;
        }
    }
    let mut queues = QUEUES.lock();
    let here = processor::current();
    // SAFETY: the driver's own KDPC, under the lock of all queues.
    let (target, importance) = unsafe {
        if !(*dpc).data.is_null() {
            return false;
        }
        (*dpc).data = dpc.cast();
        (*dpc).argument1 = argument1;
        (*dpc).argument2 = argument2;
        let target = (*dpc).number.checked_sub(TARGETED).map(usize::from);
        let target = target.filter(|number| *number < processor::count()).unwrap_or(here);
        (target, (*dpc).importance)
    };
    let waiting = &mut queues[target].waiting;
    if importance == HIGH {
        waiting.push_front(dpc as usize);
    } else {
        waiting.push_back(dpc as usize);
    }
    let long = waiting.len() > DEPTH;
    if target == here && (importance != LOW || long) {
        apic::request_dispatch();
    } else if target != here && (matches!(importance, HIGH | MEDIUM_HIGH) || long) {
        apic::request_dispatch_on(target);
    }
    true
}

/// The clock ticked on this processor: what waits is begun.
pub fn tick() {
    let queues = QUEUES.lock();
    if !queues[processor::current()].waiting.is_empty() {
        apic::request_dispatch();
    }
}

/// KeInsertQueueDpc(dpc, argument 1, argument 2) -> BOOLEAN
pub extern "win64" fn insert(dpc: *mut KDpc, argument1: *mut c_void, argument2: *mut c_void) -> u8 {
    u8::from(queue(dpc, argument1, argument2))
}

/// KeRemoveQueueDpc(dpc) -> BOOLEAN
pub extern "win64" fn remove(dpc: *mut KDpc) -> u8 {
    let mut queues = QUEUES.lock();
    for Queue { waiting, .. } in queues.iter_mut() {
        if let Some(at) = waiting.iter().position(|d| *d == dpc as usize) {
            waiting.remove(at);
            // SAFETY: it was queued, so it is a live KDPC.
            unsafe { (*dpc).data = core::ptr::null_mut() };
            return 1;
        }
    }
    0
}

/// KeSetTargetProcessorDpc(dpc, number)
pub extern "win64" fn set_target(dpc: *mut KDpc, number: u8) {
    if usize::from(number) >= processor::count() {
        violation("processor-number", format_args!("processor {number} does not exist, {}", caller()));
        return;
    }
    // SAFETY: the driver's own KDPC.
    unsafe { (*dpc).number = TARGETED + u16::from(number) }
}

/// KeFlushQueuedDpcs(): comes back when all processors have run what was queued on them before.
pub extern "win64" fn flush() {
    let before: [Option<u64>; MOST] = {
        let queues = QUEUES.lock();
        core::array::from_fn(|number| {
            let queue = &queues[number];
            (queue.running || !queue.waiting.is_empty()).then_some(queue.ends)
        })
    };
    for (number, ends) in before.into_iter().enumerate() {
        let Some(ends) = ends else { continue };
        apic::request_dispatch_on(number);
        while QUEUES.lock()[number].ends == ends {
            thread::sleep_100ns(1);
        }
    }
}

/// KeSetImportanceDpc(dpc, importance)
pub extern "win64" fn set_importance(dpc: *mut KDpc, importance: u32) {
    // SAFETY: the driver's own KDPC.
    unsafe { (*dpc).importance = importance as u8 }
}

/// Runs what is queued on this processor. At DISPATCH, interrupts on.
pub extern "win64" fn drain(_: *mut c_void) {
    loop {
        let next = {
            let mut queues = QUEUES.lock();
            let queue = &mut queues[processor::current()];
            let next = queue.waiting.pop_front();
            if next.is_none() && queue.running {
                queue.ends += 1;
            }
            queue.running = next.is_some();
            next.map(|dpc| {
                let dpc = dpc as *mut KDpc;
                // SAFETY: live while queued (the pool refuses to free it). After the flag is cleared the
                // routine may queue or free it, so everything is read first.
                unsafe {
                    let all = (dpc, (*dpc).routine, (*dpc).context, (*dpc).argument1, (*dpc).argument2);
                    (*dpc).data = core::ptr::null_mut();
                    all
                }
            })
        };
        let Some((dpc, routine, context, a1, a2)) = next else { return };
        let Some(routine) = routine else { continue };
        // SAFETY: the routine and context the driver set up.
        call::driver_call("DPC", irql::DISPATCH, || unsafe { routine(dpc, context, a1, a2) });
    }
}

/// A DPC queued inside `start..end`, if any.
pub fn queued_within(start: usize, end: usize) -> Option<usize> {
    let queues = QUEUES.lock();
    queues.iter().flat_map(|queue| queue.waiting.iter().copied()).find(|d| (start..end).contains(d))
}

/// DPCs in the queues.
pub fn queued() -> usize {
    QUEUES.lock().iter().map(|queue| queue.waiting.len()).sum()
}

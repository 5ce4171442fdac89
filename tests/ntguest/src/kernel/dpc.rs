//! Deferred procedure calls: queued at any IRQL, run at DISPATCH before anything below it goes on.

use alloc::collections::VecDeque;
use core::ffi::c_void;

use super::layout::{DpcRoutine, KDpc};
use super::sync::IrqLock;
use super::{apic, call, caller, irql, violation};

/// KDPC.Type of a normal DPC.
const DPC_OBJECT: u8 = 0x13;

static QUEUE: IrqLock<VecDeque<usize>> = IrqLock::new(VecDeque::new());

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
        let mut queue = QUEUE.lock();
        if !(*dpc).data.is_null() {
            return false;
        }
        (*dpc).data = dpc.cast();
        (*dpc).argument1 = argument1;
        (*dpc).argument2 = argument2;
        if (*dpc).importance == 2 { queue.push_front(dpc as usize) } else { queue.push_back(dpc as usize) }
    }
    apic::request_dispatch();
    true
}

/// KeInsertQueueDpc(dpc, argument 1, argument 2) -> BOOLEAN
pub extern "win64" fn insert(dpc: *mut KDpc, argument1: *mut c_void, argument2: *mut c_void) -> u8 {
    u8::from(queue(dpc, argument1, argument2))
}

/// KeRemoveQueueDpc(dpc) -> BOOLEAN
pub extern "win64" fn remove(dpc: *mut KDpc) -> u8 {
    let mut queue = QUEUE.lock();
    let Some(at) = queue.iter().position(|d| *d == dpc as usize) else { return 0 };
    queue.remove(at);
    // SAFETY: it was queued, so it is a live KDPC.
    unsafe { (*dpc).data = core::ptr::null_mut() };
    1
}

/// KeSetImportanceDpc(dpc, importance)
pub extern "win64" fn set_importance(dpc: *mut KDpc, importance: u32) {
    // SAFETY: the driver's own KDPC.
    unsafe { (*dpc).importance = importance as u8 }
}

/// Runs what is queued. At DISPATCH, interrupts on.
pub extern "win64" fn drain(_: *mut c_void) {
    loop {
        let Some(dpc) = QUEUE.lock().pop_front() else { return };
        let dpc = dpc as *mut KDpc;
        // SAFETY: live while queued (the pool refuses to free it). After the flag is cleared the routine
        // may queue or free it, so everything is read first.
        let (routine, context, a1, a2) = unsafe {
            let all = ((*dpc).routine, (*dpc).context, (*dpc).argument1, (*dpc).argument2);
            (*dpc).data = core::ptr::null_mut();
            all
        };
        let Some(routine) = routine else { continue };
        // SAFETY: the routine and context the driver set up.
        call::driver_call("DPC", irql::DISPATCH, || unsafe { routine(dpc, context, a1, a2) });
    }
}

/// A DPC queued inside `start..end`, if any.
pub fn queued_within(start: usize, end: usize) -> Option<usize> {
    QUEUE.lock().iter().copied().find(|d| (start..end).contains(d))
}

/// DPCs in the queue.
pub fn queued() -> usize {
    QUEUE.lock().len()
}

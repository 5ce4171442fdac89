//! Work items: a system worker thread runs them at PASSIVE.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::ffi::c_void;
use core::ptr::null_mut;

use super::event::{Event, EventKind};
use super::sync::IrqLock;
use super::{call, caller, event, irql, thread, violation, wait};

/// IO_WORKITEM_ROUTINE(device object, context); the Ex variant takes (io object, context, work item).
type Routine = unsafe extern "win64" fn(*mut c_void, *mut c_void, *mut c_void);

struct Item {
    device: *mut c_void,
    routine: Option<Routine>,
    context: *mut c_void,
    /// The Ex variant has its third argument.
    extended: bool,
    queued: bool,
}

static ITEMS: IrqLock<Vec<usize>> = IrqLock::new(Vec::new());
static QUEUE: IrqLock<VecDeque<usize>> = IrqLock::new(VecDeque::new());
static WAKE: IrqLock<Option<&'static Event>> = IrqLock::new(None);

/// Starts the worker.
pub fn init() {
    *WAKE.lock() = Some(Box::leak(Box::new(Event::new(EventKind::Synchronization, false))));
    thread::spawn("worker", worker, null_mut(), thread::DRIVER_STACK);
}

/// Work items that were not freed.
pub fn live() -> usize {
    ITEMS.lock().len()
}

fn worker(_: *mut c_void) {
    let Some(wake) = *WAKE.lock() else { return };
    loop {
        event::wait(wake, 1000);
        loop {
            let Some(item) = QUEUE.lock().pop_front() else { break };
            let item = item as *mut Item;
            // SAFETY: queued items are live (freeing a queued one is refused). The routine may free it, so
            // everything is read first.
            let (routine, device, context, third) = unsafe {
                (*item).queued = false;
                (
                    (*item).routine,
                    (*item).device,
                    (*item).context,
                    if (*item).extended { item.cast() } else { null_mut() },
                )
            };
            if let Some(routine) = routine {
                // SAFETY: the routine the driver queued. The plain variant ignores the third register.
                call::driver_call("WorkItem", irql::PASSIVE, || unsafe { routine(device, context, third) });
            }
        }
    }
}

/// IoAllocateWorkItem(device object) -> PIO_WORKITEM
pub extern "win64" fn allocate(device: *mut c_void) -> *mut c_void {
    let item = Box::into_raw(Box::new(Item {
        device,
        routine: None,
        context: null_mut(),
        extended: false,
        queued: false,
    }));
    ITEMS.lock().push(item as usize);
    item.cast()
}

fn known(service: &str, item: *mut c_void) -> bool {
    let known = ITEMS.lock().contains(&(item as usize));
    if !known {
        violation("work-item-unknown", format_args!("{service} on {item:p}, {}", caller()));
    }
    known
}

/// IoFreeWorkItem(item)
pub extern "win64" fn free(item: *mut c_void) {
    if !known("IoFreeWorkItem", item) {
        return;
    }
    let item = item.cast::<Item>();
    // SAFETY: known = live.
    if unsafe { (*item).queued } {
        violation("work-item-queued", format_args!("IoFreeWorkItem on a queued work item, {}", caller()));
        return;
    }
    ITEMS.lock().retain(|i| *i != item as usize);
    // SAFETY: made by `allocate`, taken off the list just now.
    drop(unsafe { Box::from_raw(item) });
}

fn queue_item(item: *mut c_void, routine: Option<Routine>, context: *mut c_void, extended: bool) {
    if !known("IoQueueWorkItem", item) {
        return;
    }
    let item = item.cast::<Item>();
    // SAFETY: known = live.
    unsafe {
        if (*item).queued {
            violation(
                "work-item-queued",
                format_args!("IoQueueWorkItem on a queued work item, {}", caller()),
            );
            return;
        }
        (*item).routine = routine;
        (*item).context = context;
        (*item).extended = extended;
        (*item).queued = true;
    }
    QUEUE.lock().push_back(item as usize);
    if let Some(wake) = *WAKE.lock() {
        wait::signal(wake.as_ptr().cast(), 1);
    }
}

/// IoQueueWorkItem(item, routine, queue type, context)
pub extern "win64" fn queue(item: *mut c_void, routine: Option<Routine>, _queue: u32, context: *mut c_void) {
    queue_item(item, routine, context, false);
}
/// IoQueueWorkItemEx(item, routine, queue type, context)
pub extern "win64" fn queue_ex(
    item: *mut c_void,
    routine: Option<Routine>,
    _queue: u32,
    context: *mut c_void,
) {
    queue_item(item, routine, context, true);
}

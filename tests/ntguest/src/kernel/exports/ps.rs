//! Threads of the driver, and the identity of threads and processors.

use alloc::boxed::Box;
use core::ffi::c_void;

use super::ke;
use crate::kernel::handle::{self, Object};
use crate::kernel::{call, caller, irql, processor, thread, violation};

const OBJECT_TYPE_MISMATCH: i32 = 0xc000_0024_u32.cast_signed();
const INVALID_HANDLE: i32 = 0xc000_0008_u32.cast_signed();

/// KSTART_ROUTINE(context).
type Start = unsafe extern "win64" fn(*mut c_void);

struct Job {
    start: Start,
    context: *mut c_void,
}

fn work(job: *mut c_void) {
    // SAFETY: from `Box::into_raw` below; this thread is its only user.
    let job = unsafe { Box::from_raw(job.cast::<Job>()) };
    // SAFETY: the routine that the driver gave, with its context.
    call::driver_call("SystemThread", irql::PASSIVE, || unsafe { (job.start)(job.context) });
}

/// PsCreateSystemThread(out handle, access, attributes, process, client id, routine, context)
pub extern "win64" fn create_system_thread(
    out: *mut usize,
    _access: u32,
    _attributes: *mut c_void,
    _process: usize,
    _client: *mut c_void,
    start: Option<Start>,
    context: *mut c_void,
) -> i32 {
    let Some(start) = start else { return crate::portcls::status::Status::INVALID_PARAMETER.0 };
    let job = Box::into_raw(Box::new(Job { start, context }));
    let id = thread::spawn_for_driver(work, job.cast());
    // SAFETY: the driver's variable for the handle.
    unsafe { out.write_unaligned(handle::new(Object::Thread(thread::object(id)), handle::KERNEL_HANDLE)) };
    0
}

/// PsTerminateSystemThread(status): ends the running thread, which must be one of the driver's
pub extern "win64" fn terminate_system_thread(_status: i32) -> i32 {
    if !thread::is_drivers() {
        violation(
            "thread-terminate",
            format_args!("PsTerminateSystemThread of a thread not the driver's, {}", caller()),
        );
        return crate::portcls::status::Status::INVALID_PARAMETER.0;
    }
    thread::exit()
}

/// ObReferenceObjectByHandle(handle, access, type, mode, out object, information)
pub extern "win64" fn reference_object_by_handle(
    value: usize,
    _access: u32,
    _kind: *const c_void,
    _mode: u8,
    out: *mut *mut c_void,
    _information: *mut c_void,
) -> i32 {
    match handle::get("ObReferenceObjectByHandle", value) {
        Some(Object::Thread(object)) => {
            let object = object as *mut c_void;
            ke::reference_object(object);
            // SAFETY: the driver's variable.
            unsafe { out.write_unaligned(object) };
            0
        }
        Some(Object::Key(_)) => OBJECT_TYPE_MISMATCH,
        None => INVALID_HANDLE,
    }
}

/// PsGetCurrentThread, KeGetCurrentThread where they are called
pub extern "win64" fn current_thread() -> usize {
    thread::current_object()
}
/// PsGetCurrentThreadId
pub extern "win64" fn current_thread_id() -> usize {
    (thread::SCHED.lock().current() + 1) * 4
}
/// PsGetCurrentProcessId: the System process
pub extern "win64" fn current_process_id() -> usize {
    4
}
/// KeSetPriorityThread(thread, priority) -> the priority before. Threads have no priorities here; 8 is a
/// system thread's.
pub extern "win64" fn set_priority_thread(_thread: *mut c_void, priority: i32) -> i32 {
    if !(1..32).contains(&priority) {
        violation("thread-priority", format_args!("KeSetPriorityThread({priority}), {}", caller()));
    }
    8
}

/// KeQueryActiveProcessorCountEx(group), KeQueryMaximumProcessorCount(Ex): there is one group
pub extern "win64" fn processor_count() -> u32 {
    processor::count() as u32
}
/// KeQueryActiveGroupCount
pub extern "win64" fn group_count() -> u16 {
    1
}
/// KeQueryActiveProcessorCount(out affinity or null)
pub extern "win64" fn active_processor_count(affinity: *mut usize) -> u32 {
    if !affinity.is_null() {
        // SAFETY: the driver's KAFFINITY.
        unsafe { affinity.write_unaligned(processor::all() as usize) };
    }
    processor_count()
}
/// KeQueryActiveProcessors() -> affinity
pub extern "win64" fn active_processors() -> usize {
    processor::all() as usize
}
/// KeGetCurrentProcessorNumberEx(out PROCESSOR_NUMBER or null) -> index
pub extern "win64" fn current_processor(out: *mut u32) -> u32 {
    let number = processor::current();
    if !out.is_null() {
        // SAFETY: the driver's PROCESSOR_NUMBER of four bytes.
        unsafe { out.write_unaligned((number as u32) << 16) };
    }
    number as u32
}
/// KeGetProcessorNumberFromIndex(index, out PROCESSOR_NUMBER) -> NTSTATUS
pub extern "win64" fn number_from_index(index: u32, out: *mut u32) -> i32 {
    if index as usize >= processor::count() {
        return crate::portcls::status::Status::INVALID_PARAMETER.0;
    }
    // SAFETY: as above.
    unsafe { out.write_unaligned(index << 16) };
    0
}
/// KeGetProcessorIndexFromNumber(PROCESSOR_NUMBER) -> index, or INVALID_PROCESSOR_INDEX
pub extern "win64" fn index_from_number(number: *const u32) -> u32 {
    // SAFETY: the driver's PROCESSOR_NUMBER: Group, Number, Reserved.
    index_of(unsafe { number.read_unaligned() }).map_or(u32::MAX, |index| index as u32)
}
/// The processor of a PROCESSOR_NUMBER.
pub fn index_of(number: u32) -> Option<usize> {
    let (group, number) = (number & 0xffff, (number >> 16 & 0xff) as usize);
    (group == 0 && number < processor::count()).then_some(number)
}

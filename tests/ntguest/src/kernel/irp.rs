//! IRPs that the driver builds: allocated, sent down with IofCallDriver, completed through its completion
//! routines.
//!
//! They lie in the driver's pool, so that one that is never freed is a `pool-leak` (tag "Irp "). Layouts:
//! `wdm.h`; the walk of a completed IRP is that of the pages of IoCompleteRequest and IoSetCompletionRoutine.

use alloc::vec::Vec;
use core::ffi::c_void;
use core::mem::size_of;
use core::ptr::null_mut;

use super::layout::{DispatcherHeader, DriverObject};
use super::sync::IrqLock;
use super::{bus, call, caller, exports, fatal, inject, irql, pool, thread, violation, wait};
use crate::portcls::device;
use crate::portcls::layout::{DeviceObject, IoStackLocation, Irp};
use crate::portcls::status::Status;

const TAG: u32 = u32::from_le_bytes(*b"Irp ");
const IRP_TYPE: i16 = 6;
const IRP_BYTES: usize = 0xd0;
const LOCATION_BYTES: usize = 0x48;
const _: () = assert!(size_of::<Irp>() == IRP_BYTES && size_of::<IoStackLocation>() == LOCATION_BYTES);

/// IRP_MJ_PNP.
const PNP: u8 = 0x1b;
/// SL_*: what is in a location's Control.
const PENDING_RETURNED: u8 = 0x01;
const ON_CANCEL: u8 = 0x20;
const ON_SUCCESS: u8 = 0x40;
const ON_ERROR: u8 = 0x80;
/// STATUS_MORE_PROCESSING_REQUIRED.
const MORE_PROCESSING: i32 = 0xc000_0016_u32.cast_signed();

/// IO_COMPLETION_ROUTINE(device, irp, context).
type Completion = unsafe extern "win64" fn(*mut DeviceObject, *mut Irp, *mut c_void) -> i32;

#[derive(Clone, Copy)]
struct Live {
    irp: usize,
    /// Made by IoBuildSynchronousFsdRequest or IoBuildDeviceIoControlRequest: the I/O manager signals the
    /// event and frees it.
    synchronous: bool,
    sent: bool,
}

static LIVE: IrqLock<Vec<Live>> = IrqLock::new(Vec::new());

fn with<R>(service: &str, irp: *mut Irp, f: impl FnOnce(&mut Live) -> R) -> Option<R> {
    let mut all = LIVE.lock();
    let found = all.iter_mut().find(|live| live.irp == irp as usize).map(f);
    drop(all);
    if found.is_none() {
        violation("irp-unknown", format_args!("{service}: {irp:p} is no IRP of the driver's, {}", caller()));
    }
    found
}

/// Whether the driver made this IRP.
pub fn is_drivers(irp: *mut Irp) -> bool {
    LIVE.lock().iter().any(|live| live.irp == irp as usize)
}

fn locations(irp: *mut Irp) -> *mut IoStackLocation {
    (irp as usize + IRP_BYTES) as *mut IoStackLocation
}

/// Sets all fields as IoInitializeIrp does.
///
/// # Safety
/// `irp` is writable for an IRP of `stack` locations.
unsafe fn fill(irp: *mut Irp, bytes: usize, stack: i8) {
    // SAFETY: by the contract; all-zero is valid for every field.
    unsafe {
        irp.cast::<u8>().write_bytes(0, bytes);
        (*irp).object_type = IRP_TYPE;
        (*irp).size = bytes as u16;
        (*irp).stack_count = stack;
        (*irp).current_location = stack + 1;
        (*irp).current_stack_location = locations(irp).add(stack as usize);
        (*irp).thread = thread::current_object() as *mut c_void;
    }
}

fn new(stack: i8, synchronous: bool) -> *mut Irp {
    if stack < 1 {
        violation("irp-stack", format_args!("an IRP of {stack} stack locations, {}", caller()));
        return null_mut();
    }
    if inject::IRP.fails().is_some() {
        return null_mut();
    }
    let bytes = IRP_BYTES + stack as usize * LOCATION_BYTES;
    let Some(block) = pool::allocate(bytes, TAG, true, false) else { return null_mut() };
    let irp = block.cast::<Irp>();
    // SAFETY: the block was just allocated with this size.
    unsafe { fill(irp, bytes, stack) };
    LIVE.lock().push(Live { irp: irp as usize, synchronous, sent: false });
    irp
}

/// IoAllocateIrp(stack size, charge quota)
pub extern "win64" fn allocate(stack: i8, _quota: u8) -> *mut Irp {
    new(stack, false)
}

/// IoReuseIrp(irp, status)
pub extern "win64" fn reuse(irp: *mut Irp, status: i32) {
    let Some(sent) = with("IoReuseIrp", irp, |live| live.sent) else { return };
    if sent {
        violation("irp-in-use", format_args!("IoReuseIrp of an IRP that is on its way, {}", caller()));
        return;
    }
    // SAFETY: a live IRP of the driver's.
    unsafe {
        fill(irp, usize::from((*irp).size), (*irp).stack_count);
        (*irp).status = status;
    }
}

/// IoInitializeIrp(irp, bytes, stack size): memory of the driver's own
pub extern "win64" fn initialize(irp: *mut Irp, bytes: u16, stack: i8) {
    let needed = IRP_BYTES + usize::from(stack.unsigned_abs()) * LOCATION_BYTES;
    if usize::from(bytes) < needed || stack < 1 || is_drivers(irp) {
        violation(
            "irp-stack",
            format_args!(
                "IoInitializeIrp: {bytes} bytes, {stack} locations, IoAllocateIrp's own {}, {}",
                is_drivers(irp),
                caller()
            ),
        );
        return;
    }
    // SAFETY: the driver's memory of that size.
    unsafe { fill(irp, usize::from(bytes), stack) };
    LIVE.lock().push(Live { irp: irp as usize, synchronous: false, sent: false });
}

/// IoFreeIrp(irp)
pub extern "win64" fn free(irp: *mut Irp) {
    let Some(live) = with("IoFreeIrp", irp, |live| *live) else { return };
    if live.sent || live.synchronous {
        violation(
            "irp-in-use",
            format_args!(
                "IoFreeIrp of one that is on its way ({}) or that the I/O manager frees, {}",
                live.sent,
                caller()
            ),
        );
        return;
    }
    LIVE.lock().retain(|live| live.irp != irp as usize);
    pool::free(irp as usize, TAG);
}

/// IoBuildSynchronousFsdRequest(major, device, buffer, length, offset, event, status block)
pub extern "win64" fn build_synchronous(
    major: u32,
    device: *mut DeviceObject,
    buffer: *mut c_void,
    length: u32,
    offset: *const u64,
    event: *mut c_void,
    status_block: *mut c_void,
) -> *mut Irp {
    // SAFETY: the driver's device object.
    let irp = new(unsafe { (*device).stack_size }, true);
    if irp.is_null() {
        return irp;
    }
    // SAFETY: a new IRP with at least one location; the offset is the driver's or null.
    unsafe {
        let next = (*irp).current_stack_location.sub(1);
        (*next).major_function = major as u8;
        if major == 3 || major == 4 {
            (*next).parameters[0] = length as usize as *mut c_void;
            (*next).parameters[2] = if offset.is_null() { 0 } else { offset.read_unaligned() } as *mut c_void;
            (*irp).associated_irp = buffer;
        }
        (*irp).user[0] = status_block as u64;
        (*irp).user[1] = event as u64;
    }
    irp
}

/// IoBuildDeviceIoControlRequest(code, device, input, length, output, length, internal, event, status block)
pub extern "win64" fn build_control(
    code: u32,
    device: *mut DeviceObject,
    input: *mut c_void,
    input_length: u32,
    output: *mut c_void,
    output_length: u32,
    internal: u8,
    event: *mut c_void,
    status_block: *mut c_void,
) -> *mut Irp {
    let major = if internal != 0 { 0x0f } else { 0x0e };
    let irp = build_synchronous(major, device, input, 0, core::ptr::null(), event, status_block);
    if !irp.is_null() {
        // SAFETY: a new IRP with at least one location.
        unsafe {
            let next = (*irp).current_stack_location.sub(1);
            (*next).parameters = [
                output_length as usize as *mut c_void,
                input_length as usize as *mut c_void,
                code as usize as *mut c_void,
                input,
            ];
            (*irp).associated_irp = input;
            (*irp).user[5] = output as u64;
        }
    }
    irp
}

/// IofCallDriver(device, irp)
pub extern "win64" fn call_driver(device: *mut DeviceObject, irp: *mut Irp) -> i32 {
    if with("IofCallDriver", irp, |live| live.sent = true).is_none() {
        return Status::INVALID_PARAMETER.0;
    }
    send(device, irp)
}

/// Gives an IRP to the driver of a device.
fn send(device: *mut DeviceObject, irp: *mut Irp) -> i32 {
    // SAFETY: a live IRP; the location below the current one is its own as long as the count says so.
    let (location, driver) = unsafe {
        if (*irp).current_location <= 1 {
            fatal("irp-no-location", format_args!("IofCallDriver: no stack location is left, {}", caller()));
        }
        (*irp).current_location -= 1;
        let location = (*irp).current_stack_location.sub(1);
        (*irp).current_stack_location = location;
        (*location).device_object = device;
        (&*location, (*device).driver_object.cast::<DriverObject>())
    };
    check_copied(irp, location);
    let status = Status(unsafe_status(irp));
    if location.major_function == PNP && status != Status::NOT_SUPPORTED && device_is_top(device) {
        violation(
            "irp-pnp-status",
            format_args!("a PnP IRP is sent with {status}, not NOT_SUPPORTED, {}", caller()),
        );
    }
    if driver.is_null() {
        return bus::dispatch(irp, location);
    }
    // SAFETY: the driver's own driver object.
    let routine =
        unsafe { (*driver).major_function.get(usize::from(location.major_function)).copied().flatten() };
    match routine {
        // SAFETY: a dispatch routine, its device and an IRP for it.
        Some(routine) => call::driver_call("DispatchRoutine", irql::PASSIVE, || unsafe {
            routine(device.cast(), irp.cast())
        }),
        None => complete_with(irp, Status::INVALID_DEVICE_REQUEST),
    }
}

/// An IRP that a driver got and sends on: its location must have been copied to the next one, without the
/// completion routine that is the driver's above, or be skipped (then the next one is the driver's own).
fn check_copied(irp: *mut Irp, next: &IoStackLocation) {
    // SAFETY: a live IRP, whose location above `next` is there as long as the count says so.
    let above = unsafe {
        if (*irp).current_location >= (*irp).stack_count {
            return;
        }
        &*core::ptr::from_ref(next).add(1)
    };
    let empty = |location: &IoStackLocation| {
        (location.major_function, location.minor_function) == (0, 0)
            && location.parameters.iter().all(|parameter| parameter.is_null())
    };
    if empty(next) && !empty(above) {
        violation(
            "irp-not-copied",
            format_args!(
                "IRP_MJ {:#x} is forwarded and the next stack location is empty, {}",
                above.major_function,
                caller()
            ),
        );
    }
    let completes = |location: &IoStackLocation| (location.completion_routine, location.context);
    if !next.completion_routine.is_null() && completes(next) == completes(above) {
        violation(
            "irp-not-copied",
            format_args!("a stack location is copied with its completion routine, {}", caller()),
        );
    }
}

fn device_is_top(device: *mut DeviceObject) -> bool {
    // SAFETY: a device object that an IRP is sent to.
    unsafe { (*device).attached_device.is_null() }
}

fn unsafe_status(irp: *mut Irp) -> i32 {
    // SAFETY: a live IRP.
    unsafe { (*irp).status }
}

/// What PortCls' dispatch does with an IRP that the driver sent to the top of its own stack and that is not
/// for PortCls: on to the bus.
pub fn pass_down(irp: *mut Irp, below: *mut DeviceObject) -> Option<Status> {
    if !is_drivers(irp) {
        return None;
    }
    // SAFETY: a live IRP whose current location is ours; it is copied to the next one, without its completion
    // routine.
    unsafe {
        if (*irp).current_location <= 1 {
            fatal("irp-no-location", format_args!("no stack location is left for the bus, {}", caller()));
        }
        let mine = (*irp).current_stack_location;
        let next = mine.sub(1);
        next.cast::<u8>().copy_from(mine.cast(), size_of::<IoStackLocation>());
        (*next).control = 0;
        (*next).completion_routine = null_mut();
    }
    Some(Status(send(below, irp)))
}

/// Completes an IRP with a status; the status.
pub fn complete_with(irp: *mut Irp, status: Status) -> i32 {
    // SAFETY: a live IRP.
    unsafe { (*irp).status = status.0 };
    complete(irp, 0);
    status.0
}

/// IofCompleteRequest(irp, boost)
pub extern "win64" fn complete(irp: *mut Irp, _boost: i8) {
    // One of the PnP manager that the driver does not hand to PortCls.
    if device::in_flight(irp) {
        check_not_pending(irp);
        device::complete_irp(irp, Status(unsafe_status(irp)));
        return;
    }
    let Some(live) = with("IofCompleteRequest", irp, |live| *live) else { return };
    if !live.sent {
        violation(
            "irp-completed-twice",
            format_args!("IofCompleteRequest of an IRP that is not on its way, {}", caller()),
        );
        return;
    }
    check_not_pending(irp);
    // SAFETY: a live IRP and its locations; a routine that asks for more processing may free it, and then it
    // is not touched again.
    unsafe {
        while (*irp).current_location <= (*irp).stack_count {
            let location = (*irp).current_stack_location;
            let control = (*location).control;
            (*irp).pending_returned = control & PENDING_RETURNED;
            (*irp).current_location += 1;
            (*irp).current_stack_location = location.add(1);
            let top = (*irp).current_location > (*irp).stack_count;
            let wanted = if (*irp).status >= 0 { ON_SUCCESS } else { ON_ERROR };
            let wanted = wanted | if (*irp).cancel[0] != 0 { ON_CANCEL } else { 0 };
            if control & wanted != 0 && !(*location).completion_routine.is_null() {
                let device = if top { null_mut() } else { (*location.add(1)).device_object };
                let routine = core::mem::transmute::<*mut c_void, Completion>((*location).completion_routine);
                let context = (*location).context;
                if top {
                    with("IofCompleteRequest", irp, |live| live.sent = false);
                }
                let level = irql::current();
                if call::driver_call("CompletionRoutine", level, || routine(device, irp, context))
                    == MORE_PROCESSING
                {
                    return;
                }
            } else if control & PENDING_RETURNED != 0 && !top {
                (*location.add(1)).control |= PENDING_RETURNED;
            }
        }
    }
    finish(irp, live);
}

fn check_not_pending(irp: *mut Irp) {
    if unsafe_status(irp) == Status::PENDING.0 {
        violation("irp-status", format_args!("IofCompleteRequest with PENDING, {}", caller()));
    }
}

/// No completion routine has kept the IRP: the I/O manager's turn.
fn finish(irp: *mut Irp, live: Live) {
    if !live.synchronous {
        violation(
            "irp-not-reclaimed",
            format_args!(
                "an IRP of IoAllocateIrp was completed and no completion routine kept it, {}",
                caller()
            ),
        );
        with("IofCompleteRequest", irp, |live| live.sent = false);
        return;
    }
    // SAFETY: a live IRP; status block and event are the driver's.
    unsafe {
        let (status_block, event) = ((*irp).user[0] as *mut u64, (*irp).user[1] as *mut DispatcherHeader);
        if !status_block.is_null() {
            status_block.cast::<i32>().write_unaligned((*irp).status);
            status_block.add(1).write_unaligned((*irp).information as u64);
        }
        LIVE.lock().retain(|live| live.irp != irp as usize);
        pool::free(irp as usize, TAG);
        if !event.is_null() && wait::check("IofCompleteRequest", event) {
            wait::signal(event, 1);
        }
    }
}

/// IoGetAttachedDeviceReference(device) -> the top of its stack, referenced
pub extern "win64" fn top_of_stack(device: *mut DeviceObject) -> *mut DeviceObject {
    let mut top = device;
    // SAFETY: device objects of ntguest's, which live for ever.
    unsafe {
        while !(*top).attached_device.is_null() {
            top = (*top).attached_device;
        }
    }
    exports::reference_object(top.cast());
    top
}

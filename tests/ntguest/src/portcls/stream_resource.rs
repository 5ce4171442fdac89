//! Stream resources: the interrupts and threads that a driver needs for its streams and tells PortCls about,
//! so that the system keeps out of their way (`PcAddStreamResource` and `IPortClsStreamResourceManager`; the
//! pages of both and of PCSTREAMRESOURCE_DESCRIPTOR).
//!
//! A resource is added after it was made and removed before it goes: what is left at unload, removed twice,
//! or an interrupt that is not connected (yet, or any more), is rule `stream-resource`.

use super::adapter;
use super::fault::{self, Fault};
use super::guid::{IID_PORT_CLS_STREAM_RESOURCE_MANAGER, IID_PORT_CLS_STREAM_RESOURCE_MANAGER2};
use super::layout::DeviceObject;
use super::object::{self, Interface};
use super::port::Port;
use super::status::Status;
use super::vtable::{This, Unknown};
use crate::kernel::sync::IrqLock;
use crate::kernel::{self, inject, irql};
use alloc::vec::Vec;
use core::ffi::c_void;
use core::mem::offset_of;

/// `ePcStreamResourceInterrupt`
const INTERRUPT: u32 = 0;
/// `ePcStreamResourceThread`
const THREAD: u32 = 1;

/// `PCSTREAMRESOURCE_DESCRIPTOR`
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Descriptor {
    size: u32,
    flags: u32,
    pdo: *mut DeviceObject,
    kind: u32,
    /// Of an interrupt its version (as in IoConnectInterruptEx) in the low half and its object after it; of a
    /// thread the thread.
    resource: [usize; 2],
}
const _: () = assert!(size_of::<Descriptor>() == 40);
const _: () = assert!(offset_of!(Descriptor, kind) == 16 && offset_of!(Descriptor, resource) == 24);

/// What was added and not removed: the handle, and of an interrupt its connection. A handle is never given
/// twice.
struct Added {
    handles: Vec<(usize, Option<usize>)>,
    last: usize,
}

static ADDED: IrqLock<Added> = IrqLock::new(Added { handles: Vec::new(), last: 0x1000 });

#[repr(C)]
struct Vtable {
    unknown: Unknown,
    add: unsafe extern "win64" fn(This, *mut c_void, *const Descriptor, *mut usize) -> i32,
    remove: unsafe extern "win64" fn(This, usize) -> i32,
    add2:
        unsafe extern "win64" fn(This, *mut DeviceObject, *mut c_void, *const Descriptor, *mut usize) -> i32,
}

static VTABLE: Vtable = Vtable { unknown: object::UNKNOWN, add, remove, add2 };

/// Both managers (the second begins with the first), for a new port.
pub fn interface() -> Interface {
    Interface {
        iids: &[IID_PORT_CLS_STREAM_RESOURCE_MANAGER, IID_PORT_CLS_STREAM_RESOURCE_MANAGER2],
        vtable: (&raw const VTABLE).cast(),
    }
}

fn refuse(what: core::fmt::Arguments<'_>) -> Status {
    kernel::violation("stream-resource", format_args!("{what}, {}", kernel::caller()));
    Status::INVALID_PARAMETER
}

/// `PcAddStreamResource`.
///
/// # Safety
/// `descriptor` and `out` are null or the driver's.
pub unsafe fn add_resource(
    service: &'static str,
    pdo: *mut DeviceObject,
    set: *mut c_void,
    descriptor: *const Descriptor,
    out: *mut usize,
) -> Status {
    irql::require(service, irql::PASSIVE);
    if descriptor.is_null() || out.is_null() {
        return refuse(format_args!("{service} without a descriptor or a place for the handle"));
    }
    // SAFETY: both not null, the driver's.
    let (descriptor, out) = unsafe { (descriptor.read_unaligned(), &mut *out) };
    *out = 0;
    if adapter::device_of_pdo(pdo).is_none() || !set.is_null() {
        return refuse(format_args!("{service}: the device is not the PDO, or the resource set is not NULL"));
    }
    if descriptor.size as usize != size_of::<Descriptor>() || descriptor.flags != 0 {
        return refuse(format_args!(
            "{service}: Size {}, Flags {:#x}; 40 and 0 are due",
            descriptor.size, descriptor.flags
        ));
    }
    // The page of the descriptor: the PDO of the stack that made the resource, which may be another driver's.
    let [first, second] = descriptor.resource;
    let there = match descriptor.kind {
        INTERRUPT => second != 0,
        THREAD => first != 0,
        _ => return refuse(format_args!("{service}: Type {} is not supported", descriptor.kind)),
    };
    if !there || descriptor.pdo.is_null() {
        return refuse(format_args!("{service}: the resource or its Pdo is NULL"));
    }
    let interrupt = (descriptor.kind == INTERRUPT).then_some(second);
    if interrupt.is_some_and(|connection| !kernel::interrupt::is_connected(connection)) {
        return refuse(format_args!("{service}: the interrupt {second:#x} is not connected"));
    }
    if let Some(status) = inject::ADD_RESOURCE.fails() {
        return status;
    }
    let mut added = ADDED.lock();
    added.last += 0x10;
    let handle = added.last;
    added.handles.push((handle, interrupt));
    *out = handle;
    drop(added);
    crate::kprintln!(
        "stream resource {handle:#x}: an {}",
        if descriptor.kind == THREAD { "thread" } else { "interrupt" }
    );
    Status::SUCCESS
}

/// `PcRemoveStreamResource`.
pub fn remove_resource(service: &'static str, handle: usize) -> Status {
    irql::require(service, irql::PASSIVE);
    if fault::make(Fault::KeepResource) {
        return Status::SUCCESS;
    }
    let removed = {
        let mut added = ADDED.lock();
        let at = added.handles.iter().position(|(added, _)| *added == handle);
        at.map(|at| added.handles.remove(at))
    };
    let Some((_, interrupt)) = removed else {
        return refuse(format_args!("{service}: {handle:#x} is no handle, or no more"));
    };
    if interrupt.is_some_and(|connection| !kernel::interrupt::is_connected(connection)) {
        return refuse(format_args!("{service}: the interrupt of {handle:#x} was disconnected before"));
    }
    // What PortCls could not take back a driver can't either.
    inject::REMOVE_RESOURCE.fails().unwrap_or(Status::SUCCESS)
}

/// Resources that are registered.
pub fn held() -> usize {
    ADDED.lock().handles.len()
}

/// What the driver left: the interrupts and threads behind it are gone.
pub fn check_leaks() {
    let left = ADDED.lock().handles.len();
    if left > 0 {
        kernel::violation(
            "stream-resource",
            format_args!("{left} stream resource(s) were added and never removed"),
        );
    }
}

unsafe extern "win64" fn add(
    this: This,
    set: *mut c_void,
    descriptor: *const Descriptor,
    out: *mut usize,
) -> i32 {
    const METHOD: &str = "IPortClsStreamResourceManager::AddStreamResource";
    let Some((_, port)) = object::find_body::<Port>(this, METHOD) else { return Status::INVALID_PARAMETER.0 };
    // SAFETY: the driver's descriptor and slot, or null.
    unsafe { add_resource(METHOD, adapter::pdo_of(port.device()), set, descriptor, out).0 }
}

unsafe extern "win64" fn remove(this: This, handle: usize) -> i32 {
    const METHOD: &str = "IPortClsStreamResourceManager::RemoveStreamResource";
    if object::find(this, METHOD).is_none() {
        return Status::INVALID_PARAMETER.0;
    }
    remove_resource(METHOD, handle).0
}

unsafe extern "win64" fn add2(
    this: This,
    pdo: *mut DeviceObject,
    set: *mut c_void,
    descriptor: *const Descriptor,
    out: *mut usize,
) -> i32 {
    const METHOD: &str = "IPortClsStreamResourceManager2::AddStreamResource2";
    if object::find(this, METHOD).is_none() {
        return Status::INVALID_PARAMETER.0;
    }
    // SAFETY: the driver's descriptor and slot, or null.
    unsafe { add_resource(METHOD, pdo, set, descriptor, out).0 }
}

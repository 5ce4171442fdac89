//! The kernel structures that the driver and ntguest both touch, with their x64 layout asserted.
//!
//! Sizes and offsets: WAVERT.md 3, 6.2 and 7, and the public DDI pages of
//! `wdm.h`. Nothing here is taken from the driver's own declarations.

use core::ffi::c_void;
use core::mem::{offset_of, size_of};

/// UNICODE_STRING: lengths in bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct UnicodeString {
    /// Bytes used, without a terminator.
    pub length: u16,
    /// Bytes the buffer holds.
    pub maximum_length: u16,
    /// UTF-16 code units.
    pub buffer: *mut u16,
}
const _: () = assert!(size_of::<UnicodeString>() == 0x10);

/// LIST_ENTRY.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ListEntry {
    /// Next.
    pub flink: *mut ListEntry,
    /// Previous.
    pub blink: *mut ListEntry,
}

/// DISPATCHER_HEADER: the part of an object that a thread waits on.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct DispatcherHeader {
    /// 0 notification event, 1 synchronization event, 2 mutant, 5 semaphore, 8 and 9 timers.
    pub kind: u8,
    /// Not used.
    pub signalling: u8,
    /// Size of the object in 32-bit words.
    pub size: u8,
    /// Not used.
    pub reserved: u8,
    /// Positive: signalled.
    pub signal_state: i32,
    /// Not used by ntguest (its waiters are in the thread table), but initialised as Windows does.
    pub wait_list: ListEntry,
}
const _: () = assert!(size_of::<DispatcherHeader>() == 0x18);

/// KEVENT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KEvent {
    /// The whole object.
    pub header: DispatcherHeader,
}
const _: () = assert!(size_of::<KEvent>() == 0x18);

/// KTIMER.
#[repr(C)]
pub struct KTimer {
    /// Signalled when the timer expires.
    pub header: DispatcherHeader,
    /// Interrupt time of expiry, in 100 ns.
    pub due_time: u64,
    /// Not used.
    pub list: ListEntry,
    /// Queued when the timer expires.
    pub dpc: *mut KDpc,
    /// Not used.
    pub processor: u32,
    /// Milliseconds between expiries; 0 = once.
    pub period: u32,
}
const _: () = assert!(size_of::<KTimer>() == 0x40);

/// KMUTANT (KMUTEX).
#[repr(C)]
pub struct KMutant {
    /// `signal_state` 1 = free, 0 or less = held.
    pub header: DispatcherHeader,
    /// Not used.
    pub list: ListEntry,
    /// The owner, 0 when free (ntguest keeps its thread number + 1 here).
    pub owner: usize,
    /// Never set: threads do not die with a mutex held.
    pub abandoned: u8,
    /// Kernel mutexes: 1.
    pub apc_disable: u8,
}
const _: () = assert!(size_of::<KMutant>() == 0x38);

/// The routine of a DPC: (dpc, context, argument 1, argument 2).
pub type DpcRoutine = unsafe extern "win64" fn(*mut KDpc, *mut c_void, *mut c_void, *mut c_void);

/// KDPC.
#[repr(C)]
pub struct KDpc {
    /// 0x13 = DpcObject.
    pub kind: u8,
    /// 0 low, 1 medium, 2 high.
    pub importance: u8,
    /// Target processor, or 0.
    pub number: u16,
    /// Not used.
    pub expected: u32,
    /// Not used.
    pub entry: *mut c_void,
    /// Not used.
    pub history: usize,
    /// What to call.
    pub routine: Option<DpcRoutine>,
    /// Its second parameter.
    pub context: *mut c_void,
    /// Its third parameter.
    pub argument1: *mut c_void,
    /// Its fourth parameter.
    pub argument2: *mut c_void,
    /// Not null while queued.
    pub data: *mut c_void,
}
const _: () =
    assert!(size_of::<KDpc>() == 0x40 && offset_of!(KDpc, routine) == 0x18 && offset_of!(KDpc, data) == 0x38);

/// MDL: followed by one page frame number (u64) per page.
#[repr(C)]
pub struct Mdl {
    /// Next in a chain.
    pub next: *mut Mdl,
    /// Bytes of this structure with its page frame numbers.
    pub size: i16,
    /// See `MDL_*`.
    pub flags: i16,
    /// Not used.
    pub process: *mut c_void,
    /// Kernel mapping, when `MDL_MAPPED_TO_SYSTEM_VA`.
    pub mapped_system_va: *mut c_void,
    /// Page-aligned start of a virtual buffer; null for pages without one.
    pub start_va: *mut c_void,
    /// Length in bytes.
    pub byte_count: u32,
    /// Offset in the first page.
    pub byte_offset: u32,
}
const _: () = assert!(size_of::<Mdl>() == 0x30 && offset_of!(Mdl, byte_count) == 40);

/// The MDL is mapped at `mapped_system_va`.
pub const MDL_MAPPED_TO_SYSTEM_VA: i16 = 0x0001;
/// The pages are locked in memory.
pub const MDL_PAGES_LOCKED: i16 = 0x0002;

/// DriverUnload.
pub type DriverUnload = unsafe extern "win64" fn(*mut DriverObject);
/// A dispatch routine: (device object, irp) -> NTSTATUS.
pub type DriverDispatch = unsafe extern "win64" fn(*mut c_void, *mut c_void) -> i32;

/// DRIVER_OBJECT.
#[repr(C)]
pub struct DriverObject {
    /// 4.
    pub kind: i16,
    /// 0x150.
    pub size: i16,
    /// First of the devices the driver made.
    pub device_object: *mut c_void,
    /// DRVO_*.
    pub flags: u32,
    /// Image base.
    pub driver_start: *mut c_void,
    /// Image size in bytes.
    pub driver_size: u32,
    /// Not used.
    pub driver_section: *mut c_void,
    /// Holds AddDevice.
    pub driver_extension: *mut DriverExtension,
    /// `\Driver\ringwave`.
    pub driver_name: UnicodeString,
    /// Not used.
    pub hardware_database: *mut UnicodeString,
    /// Not used.
    pub fast_io_dispatch: *mut c_void,
    /// The entry point.
    pub driver_init: usize,
    /// Not used.
    pub driver_start_io: usize,
    /// Called before the image goes.
    pub driver_unload: Option<DriverUnload>,
    /// IRP_MJ_*.
    pub major_function: [Option<DriverDispatch>; 28],
}
const _: () = assert!(size_of::<DriverObject>() == 0x150 && offset_of!(DriverObject, driver_unload) == 0x68);

/// AddDevice: (driver object, physical device object) -> NTSTATUS.
pub type AddDevice = unsafe extern "win64" fn(*mut DriverObject, *mut c_void) -> i32;

/// DRIVER_EXTENSION.
#[repr(C)]
pub struct DriverExtension {
    /// Back to its driver object.
    pub driver_object: *mut DriverObject,
    /// Called for every device.
    pub add_device: Option<AddDevice>,
    /// Not used.
    pub count: u32,
    /// The service's name.
    pub service_key_name: UnicodeString,
}
const _: () = assert!(offset_of!(DriverExtension, service_key_name) == 0x18);

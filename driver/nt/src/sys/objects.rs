//! Driver, device, IRP and MDL: what of them the driver touches, the rest as room of the right size.
//!
//! mingw-w64's headers have DEVICE_OBJECT 8 bytes short (0x148); the size here is that of WAVERT.md 6.2.
use super::{LIST_ENTRY, NTSTATUS, PVOID, UNICODE_STRING, layout};

/// A driver's entry point.
pub type PDRIVER_INITIALIZE =
    Option<unsafe extern "C" fn(*mut DRIVER_OBJECT, *mut UNICODE_STRING) -> NTSTATUS>;
/// Called when a device of ours is found: driver, physical device object.
pub type PDRIVER_ADD_DEVICE =
    Option<unsafe extern "C" fn(*mut DRIVER_OBJECT, *mut DEVICE_OBJECT) -> NTSTATUS>;
/// Called before the image goes.
pub type PDRIVER_UNLOAD = Option<unsafe extern "C" fn(*mut DRIVER_OBJECT)>;
/// Handles IRPs of one major function.
pub type PDRIVER_DISPATCH = Option<unsafe extern "C" fn(*mut DEVICE_OBJECT, *mut IRP) -> NTSTATUS>;

/// A loaded driver.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct DRIVER_OBJECT {
    /// 4.
    pub Type: i16,
    /// Bytes in this structure.
    pub Size: i16,
    /// Its first device.
    pub DeviceObject: *mut DEVICE_OBJECT,
    /// `DRVO_...`.
    pub Flags: u32,
    /// Where the image lies.
    pub DriverStart: PVOID,
    /// Bytes of the image.
    pub DriverSize: u32,
    /// The loader's business.
    pub DriverSection: PVOID,
    /// Holds AddDevice.
    pub DriverExtension: PVOID,
    /// `\Driver\...`.
    pub DriverName: UNICODE_STRING,
    /// Path in the registry.
    pub HardwareDatabase: *mut UNICODE_STRING,
    /// File systems' fast path.
    pub FastIoDispatch: PVOID,
    /// Entry point.
    pub DriverInit: PDRIVER_INITIALIZE,
    /// Old way of serialising IRPs.
    pub DriverStartIo: PVOID,
    /// Called before the image goes; PortCls sets its own, which must run.
    pub DriverUnload: PDRIVER_UNLOAD,
    /// One handler per major function.
    pub MajorFunction: [PDRIVER_DISPATCH; 28],
}
layout!(DRIVER_OBJECT, 0x150, DeviceObject @ 8, DriverStart @ 0x18, DriverName @ 0x38, DriverInit @ 0x58, DriverUnload @ 0x68, MajorFunction @ 0x70);

/// A device object; what a PortCls adapter reads is its extension.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct DEVICE_OBJECT {
    /// 3.
    pub Type: i16,
    /// Bytes with the extension.
    pub Size: u16,
    /// References.
    pub ReferenceCount: i32,
    /// Whose it is.
    pub DriverObject: *mut DRIVER_OBJECT,
    /// The driver's next.
    pub NextDevice: *mut DEVICE_OBJECT,
    /// What is attached above.
    pub AttachedDevice: *mut DEVICE_OBJECT,
    /// StartIo's.
    pub CurrentIrp: *mut IRP,
    /// I/O timer.
    pub Timer: PVOID,
    /// `DO_...`.
    pub Flags: u32,
    /// `FILE_...`.
    pub Characteristics: u32,
    /// Volumes only.
    pub Vpb: PVOID,
    /// PortCls': its first 512 bytes, of which bytes 32..64 are the adapter's.
    pub DeviceExtension: PVOID,
    /// `FILE_DEVICE_...`.
    pub DeviceType: u32,
    /// IRP stack locations needed.
    pub StackSize: i8,
    /// Queues, lock, security: the I/O manager's.
    pub Reserved: [u64; 32],
}
layout!(DEVICE_OBJECT, 0x150, DriverObject @ 8, Flags @ 0x30, DeviceExtension @ 0x40, DeviceType @ 0x48, StackSize @ 0x4c, Reserved @ 0x50);

/// How a request ended.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STATUS_BLOCK {
    /// A status (a pointer's room).
    pub Status: NTSTATUS,
    /// Bytes, or what the request defines.
    pub Information: usize,
}
layout!(IO_STATUS_BLOCK, 0x10, Status @ 0, Information @ 8);

/// The named room of an IRP's Tail that is ours to read.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IRP_TAIL_OVERLAY {
    /// The driver's while it owns the IRP.
    pub DriverContext: [PVOID; 4],
    /// Whose request.
    pub Thread: PVOID,
    /// Parity with old drivers.
    pub AuxiliaryBuffer: PVOID,
    /// Link while queued.
    pub ListEntry: LIST_ENTRY,
    /// The parameters of the driver that handles it now.
    pub CurrentStackLocation: *mut IO_STACK_LOCATION,
    /// The file.
    pub OriginalFileObject: PVOID,
    /// The union's other members are longer.
    pub Rest: PVOID,
}

/// Tail of an IRP (a union in C; only `Overlay` is of use to us).
#[repr(C)]
#[derive(Clone, Copy)]
pub union IRP_TAIL {
    /// The usual view.
    pub Overlay: IRP_TAIL_OVERLAY,
}

/// A request.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IRP {
    /// 6.
    pub Type: i16,
    /// Bytes with the stack locations.
    pub Size: u16,
    /// Room the compiler would leave anyway.
    pub AllocationProcessorNumber: u16,
    /// Buffer of direct I/O.
    pub MdlAddress: *mut MDL,
    /// `IRP_...`.
    pub Flags: u32,
    /// Master IRP, count, or system buffer.
    pub AssociatedIrp: PVOID,
    /// The thread's requests.
    pub ThreadListEntry: LIST_ENTRY,
    /// How it ended.
    pub IoStatus: IO_STATUS_BLOCK,
    /// Mode, counts, cancellation.
    pub RequestorMode: i8,
    /// Completed later.
    pub PendingReturned: u8,
    /// Stack locations.
    pub StackCount: i8,
    /// Which one is current.
    pub CurrentLocation: i8,
    /// Cancelled.
    pub Cancel: u8,
    /// Level of the cancel lock.
    pub CancelIrql: u8,
    /// APC environment.
    pub ApcEnvironment: i8,
    /// Allocation flags.
    pub AllocationFlags: u8,
    /// The requestor's.
    pub UserIosb: *mut IO_STATUS_BLOCK,
    /// The requestor's.
    pub UserEvent: PVOID,
    /// APC or allocation size.
    pub Overlay: [usize; 2],
    /// Cancel routine.
    pub CancelRoutine: PVOID,
    /// The requestor's buffer.
    pub UserBuffer: PVOID,
    /// The part that changes from driver to driver.
    pub Tail: IRP_TAIL,
}
layout!(IRP, 0xD0, MdlAddress @ 8, Flags @ 0x10, IoStatus @ 0x30, StackCount @ 0x42, CurrentLocation @ 0x43, UserIosb @ 0x48, CancelRoutine @ 0x68, UserBuffer @ 0x70, Tail @ 0x78);
const _: () = assert!(core::mem::offset_of!(IRP_TAIL_OVERLAY, CurrentStackLocation) == 0xB8 - 0x78);

/// One driver's parameters of a request.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION {
    /// `IRP_MJ_...`.
    pub MajorFunction: u8,
    /// `IRP_MN_...`.
    pub MinorFunction: u8,
    /// `SL_...`.
    pub Flags: u8,
    /// Completion flags.
    pub Control: u8,
    /// By major function.
    pub Parameters: [usize; 4],
    /// Whose device.
    pub DeviceObject: *mut DEVICE_OBJECT,
    /// The file.
    pub FileObject: PVOID,
    /// Called on completion.
    pub CompletionRoutine: PVOID,
    /// What it is given.
    pub Context: PVOID,
}
layout!(IO_STACK_LOCATION, 0x48, MinorFunction @ 1, Parameters @ 8, DeviceObject @ 0x28, FileObject @ 0x30, CompletionRoutine @ 0x38, Context @ 0x40);

/// Describes locked pages; their frame numbers (u64 each) follow.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct MDL {
    /// Next of a chain.
    pub Next: *mut MDL,
    /// Bytes of this structure with its frame numbers.
    pub Size: i16,
    /// `MDL_...`.
    pub MdlFlags: i16,
    /// Whose address space.
    pub Process: PVOID,
    /// Where the kernel has it mapped.
    pub MappedSystemVa: PVOID,
    /// Page of the first byte.
    pub StartVa: PVOID,
    /// Bytes described.
    pub ByteCount: u32,
    /// First byte in the first page.
    pub ByteOffset: u32,
}
layout!(MDL, 0x30, Size @ 8, MdlFlags @ 10, Process @ 16, MappedSystemVa @ 24, StartVa @ 32, ByteCount @ 40, ByteOffset @ 44);

/// IRP_MJ_PNP.
pub const IRP_MJ_PNP: u32 = 0x1B;
/// IRP_MN_START_DEVICE.
pub const IRP_MN_START_DEVICE: u32 = 0x00;
/// IRP_MN_REMOVE_DEVICE.
pub const IRP_MN_REMOVE_DEVICE: u32 = 0x02;
/// IRP_MN_STOP_DEVICE.
pub const IRP_MN_STOP_DEVICE: u32 = 0x04;
/// IRP_MN_QUERY_INTERFACE: [`IO_STACK_LOCATION::Parameters`] are the interface's GUID, its size (low 16 bits)
/// and version (the 16 above), the place for it, and data of its own.
pub const IRP_MN_QUERY_INTERFACE: u8 = 0x08;
/// IRP_MN_SURPRISE_REMOVAL.
pub const IRP_MN_SURPRISE_REMOVAL: u32 = 0x17;

/// The current stack location of a request the caller owns. NULL if `irp` is NULL.
///
/// # Safety
/// `irp` is NULL or an IRP the I/O manager handed to this driver and that is not completed yet.
pub unsafe fn IoGetCurrentIrpStackLocation(irp: *const IRP) -> *mut IO_STACK_LOCATION {
    if irp.is_null() {
        return core::ptr::null_mut();
    }
    // SAFETY: by contract `irp` is a live IRP; `Overlay` is the only member and plain pointers.
    unsafe { (*irp).Tail.Overlay.CurrentStackLocation }
}

/// The stack location of the driver that a request is sent to next.
///
/// # Safety
/// `irp` is a live IRP of the caller's that has a location left below the current one.
pub unsafe fn IoGetNextIrpStackLocation(irp: *mut IRP) -> *mut IO_STACK_LOCATION {
    // SAFETY: by contract; locations are an array that is used from its end.
    unsafe { (*irp).Tail.Overlay.CurrentStackLocation.sub(1) }
}

/// Bytes an MDL describes (`MmGetMdlByteCount`).
///
/// # Safety
/// `mdl` is a live MDL.
pub unsafe fn MmGetMdlByteCount(mdl: *const MDL) -> u32 {
    // SAFETY: by contract.
    unsafe { (*mdl).ByteCount }
}

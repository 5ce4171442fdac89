//! `wdk_sys`, and by the names of this crate what it lacks or says otherwise: inline functions of the
//! headers, of which there are no bindings; functions that it blocks; unions whose members have no name in C,
//! which bindgen numbers.
pub use wdk_sys::{ntddk::*, *};

/// A processor mode, as functions take it.
pub const KernelMode: i8 = wdk_sys::_MODE::KernelMode as i8;
/// An interface type: PCI.
pub const PCIBus: INTERFACE_TYPE = wdk_sys::_INTERFACE_TYPE::PCIBus;
/// Information of a value with its data.
pub const KeyValuePartialInformation: i32 =
    wdk_sys::_KEY_VALUE_INFORMATION_CLASS::KeyValuePartialInformation as i32;

/// Constants of a type that bindgen does not give them: it makes all of them u32.
macro_rules! typed {
    ($($name:ident: $ty:ty,)*) => {
        $(#[doc = concat!("`", stringify!($name), "`.")] pub const $name: $ty = wdk_sys::$name as $ty;)*
    };
}
typed! {
    CmResourceTypePort: i32,
    CmResourceTypeInterrupt: i32,
    CmResourceTypeMemory: i32,
    CmResourceTypeMemoryLarge: i32,
    CM_RESOURCE_INTERRUPT_LATCHED: u16,
    CM_RESOURCE_INTERRUPT_MESSAGE: u16,
    CM_RESOURCE_MEMORY_LARGE_40: u16,
    CM_RESOURCE_MEMORY_LARGE_48: u16,
    CM_RESOURCE_MEMORY_LARGE_64: u16,
    PASSIVE_LEVEL: KIRQL,
    APC_LEVEL: KIRQL,
    DISPATCH_LEVEL: KIRQL,
    IRP_MN_QUERY_INTERFACE: u8,
}

#[link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "C" {
    /// Pool memory, not zeroed; NULL on failure. wdk-sys blocks it as deprecated, and what replaces it came
    /// with Windows 10 2004.
    pub fn ExAllocatePoolWithTag(pool_type: POOL_TYPE, bytes: usize, tag: u32) -> PVOID;
    /// Maps device memory; older headers do not have it.
    pub fn MmMapIoSpaceEx(address: PHYSICAL_ADDRESS, bytes: usize, protect: u32) -> PVOID;
    /// Contiguous memory; older headers do not have it.
    pub fn MmAllocateContiguousNodeMemory(
        bytes: usize,
        lowest: PHYSICAL_ADDRESS,
        highest: PHYSICAL_ADDRESS,
        boundary: PHYSICAL_ADDRESS,
        protect: u32,
        node: u32,
    ) -> PVOID;
}

/// The current stack location of a request; NULL for NULL.
///
/// # Safety
/// `irp` is NULL or an IRP the I/O manager handed to this driver and that is not completed yet.
pub unsafe fn IoGetCurrentIrpStackLocation(irp: *const IRP) -> *mut IO_STACK_LOCATION {
    if irp.is_null() {
        return core::ptr::null_mut();
    }
    // SAFETY: by contract a live IRP, whose overlay is in use.
    unsafe { (*irp).Tail.Overlay.__bindgen_anon_2.__bindgen_anon_1.CurrentStackLocation }
}

/// The stack location of the driver that a request is sent to next.
///
/// # Safety
/// `irp` is a live IRP of the caller's that has a location left below the current one.
pub unsafe fn IoGetNextIrpStackLocation(irp: *mut IRP) -> *mut IO_STACK_LOCATION {
    // SAFETY: by contract; locations are an array that is used from its end.
    unsafe { IoGetCurrentIrpStackLocation(irp).sub(1) }
}

/// Bytes an MDL describes.
///
/// # Safety
/// `mdl` is a live MDL.
pub unsafe fn MmGetMdlByteCount(mdl: *const MDL) -> u32 {
    // SAFETY: by contract.
    unsafe { (*mdl).ByteCount }
}

/// Messages, with the line as a fallback; the handle or table goes to `context`.
pub fn message_based_parameters(
    pdo: *mut DEVICE_OBJECT,
    context: *mut PVOID,
    (routine, fallback): (PKMESSAGE_SERVICE_ROUTINE, PKSERVICE_ROUTINE),
    service_context: PVOID,
) -> IO_CONNECT_INTERRUPT_PARAMETERS {
    let mut parameters =
        IO_CONNECT_INTERRUPT_PARAMETERS { Version: CONNECT_MESSAGE_BASED, ..Default::default() };
    parameters.__bindgen_anon_1.MessageBased = IO_CONNECT_INTERRUPT_MESSAGE_BASED_PARAMETERS {
        PhysicalDeviceObject: pdo,
        ConnectionContext: _IO_CONNECT_INTERRUPT_MESSAGE_BASED_PARAMETERS__bindgen_ty_1 { Generic: context },
        MessageServiceRoutine: routine,
        ServiceContext: service_context,
        FallBackServiceRoutine: fallback,
        ..Default::default()
    };
    parameters
}

/// The line; the interrupt object goes to `object`.
pub fn line_based_parameters(
    pdo: *mut DEVICE_OBJECT,
    object: *mut PVOID,
    routine: PKSERVICE_ROUTINE,
    service_context: PVOID,
) -> IO_CONNECT_INTERRUPT_PARAMETERS {
    let mut parameters =
        IO_CONNECT_INTERRUPT_PARAMETERS { Version: CONNECT_LINE_BASED, ..Default::default() };
    parameters.__bindgen_anon_1.LineBased = IO_CONNECT_INTERRUPT_LINE_BASED_PARAMETERS {
        PhysicalDeviceObject: pdo,
        InterruptObject: object.cast(),
        ServiceRoutine: routine,
        ServiceContext: service_context,
        ..Default::default()
    };
    parameters
}

/// What IoConnectInterruptEx granted, to be taken back.
pub fn disconnect_parameters(version: u32, context: PVOID) -> IO_DISCONNECT_INTERRUPT_PARAMETERS {
    let context = _IO_DISCONNECT_INTERRUPT_PARAMETERS__bindgen_ty_1 { Generic: context };
    IO_DISCONNECT_INTERRUPT_PARAMETERS { Version: version, ConnectionContext: context }
}

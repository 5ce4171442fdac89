//! The imports of the driver image that are the kernel's.
//!
//! Every name exists in the oldest Windows that the INF names, 10.0.17763 (1809): `driver/imports.allow` says
//! where each was looked up. Not here because they are inline on x64: KeInitializeSpinLock (writes 0) and
//! KeGetCurrentIrql (reads CR8).
//!
//! `KeQueryPerformanceCounter` is documented in Hal.dll. Since Windows 10 2004 the HAL lives in the kernel
//! and Hal.dll forwards, so that HAL.dll is right before and after.
use super::{
    BOOLEAN, DEVICE_OBJECT, EVENT_TYPE, IO_CONNECT_INTERRUPT_PARAMETERS, IO_DISCONNECT_INTERRUPT_PARAMETERS,
    IO_STATUS_BLOCK, IRP, KDPC, KEVENT, KIRQL, KMUTEX, KSPIN_LOCK, KWAIT_REASON, LARGE_INTEGER, NTSTATUS,
    PEX_TIMER, PEXT_CALLBACK, PHYSICAL_ADDRESS, PKDEFERRED_ROUTINE, PVOID, UNICODE_STRING,
};

#[link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "C" {
    /// Formats and sends to the debugger, at most 512 bytes; any IRQL up to a device's, no `%w..`/`%l..`
    /// above passive.
    pub fn DbgPrintEx(component: u32, level: u32, format: *const u8, ...) -> u32;
    /// Pool memory, not zeroed; NULL on failure. At most DISPATCH_LEVEL for non-paged pool. (ExAllocatePool2
    /// came with Windows 10 2004, later than the oldest Windows we name.)
    pub fn ExAllocatePoolWithTag(pool_type: i32, bytes: usize, tag: u32) -> PVOID;
    /// Frees pool memory of that tag. At most DISPATCH_LEVEL.
    pub fn ExFreePoolWithTag(memory: PVOID, tag: u32);
    /// Makes a timer of `EX_TIMER_...` attributes, not set; NULL on failure. At most DISPATCH_LEVEL. Windows 8.1.
    pub fn ExAllocateTimer(callback: PEXT_CALLBACK, context: PVOID, attributes: u32) -> PEX_TIMER;
    /// Sets a timer, in 100 ns; negative is relative. Whether it was set before. At most DISPATCH_LEVEL.
    pub fn ExSetTimer(timer: PEX_TIMER, due: i64, period: i64, parameters: PVOID) -> BOOLEAN;
    /// Whether it was set, which it is not any more. At most DISPATCH_LEVEL.
    pub fn ExCancelTimer(timer: PEX_TIMER, parameters: PVOID) -> BOOLEAN;
    /// Deletes it. With `wait` when its callback does not run any more: at most APC_LEVEL then.
    pub fn ExDeleteTimer(timer: PEX_TIMER, cancel: BOOLEAN, wait: BOOLEAN, parameters: PVOID) -> BOOLEAN;
    /// Stops the machine.
    pub fn KeBugCheckEx(code: u32, a: usize, b: usize, c: usize, d: usize) -> !;
    /// Prepares an event.
    pub fn KeInitializeEvent(event: *mut KEVENT, kind: EVENT_TYPE, state: BOOLEAN);
    /// Signals; `wait` FALSE: at most DISPATCH_LEVEL. Answers the former state.
    pub fn KeSetEvent(event: *mut KEVENT, increment: i32, wait: BOOLEAN) -> i32;
    /// Takes the signal away. At most DISPATCH_LEVEL.
    pub fn KeClearEvent(event: *mut KEVENT);
    /// Prepares a mutex, free. `level` is reserved: 0.
    pub fn KeInitializeMutex(mutex: *mut KMUTEX, level: u32);
    /// Gives back a mutex that this thread took by waiting for it. At most DISPATCH_LEVEL.
    pub fn KeReleaseMutex(mutex: *mut KMUTEX, wait: BOOLEAN) -> i32;
    /// Waits. With a timeout other than 0: at most APC_LEVEL.
    pub fn KeWaitForSingleObject(
        object: PVOID,
        reason: KWAIT_REASON,
        mode: i8,
        alertable: BOOLEAN,
        timeout: *mut LARGE_INTEGER,
    ) -> NTSTATUS;
    /// Lets the thread sleep. At most APC_LEVEL.
    pub fn KeDelayExecutionThread(mode: i8, alertable: BOOLEAN, interval: *mut LARGE_INTEGER) -> NTSTATUS;
    /// Prepares a DPC.
    pub fn KeInitializeDpc(dpc: *mut KDPC, routine: PKDEFERRED_ROUTINE, context: PVOID);
    /// Queues a DPC; FALSE if it is queued already. Any IRQL from a device's down.
    pub fn KeInsertQueueDpc(dpc: *mut KDPC, argument1: PVOID, argument2: PVOID) -> BOOLEAN;
    /// Takes a DPC out of the queue; FALSE if it was not there.
    pub fn KeRemoveQueueDpc(dpc: *mut KDPC) -> BOOLEAN;
    /// Waits until all DPCs queued so far have run, on all processors. PASSIVE_LEVEL.
    pub fn KeFlushQueuedDpcs();
    /// Takes a spin lock, raising to DISPATCH_LEVEL; answers the level before. At most DISPATCH_LEVEL.
    pub fn KeAcquireSpinLockRaiseToDpc(lock: *mut KSPIN_LOCK) -> KIRQL;
    /// Gives it back and lowers to the level before.
    pub fn KeReleaseSpinLock(lock: *mut KSPIN_LOCK, irql: KIRQL);
    /// Takes a spin lock at DISPATCH_LEVEL.
    pub fn KeAcquireSpinLockAtDpcLevel(lock: *mut KSPIN_LOCK);
    /// Gives it back.
    pub fn KeReleaseSpinLockFromDpcLevel(lock: *mut KSPIN_LOCK);
    /// Maps device memory with a `PAGE_...` protection; NULL on failure. Windows 10.
    pub fn MmMapIoSpaceEx(address: PHYSICAL_ADDRESS, bytes: usize, protect: u32) -> PVOID;
    /// Takes a mapping of exactly that size away.
    pub fn MmUnmapIoSpace(base: PVOID, bytes: usize);
    /// Contiguous non-paged memory with a `PAGE_...` protection, not zeroed; NULL on failure. `boundary` 0:
    /// none. Windows 8.
    pub fn MmAllocateContiguousNodeMemory(
        bytes: usize,
        lowest: PHYSICAL_ADDRESS,
        highest: PHYSICAL_ADDRESS,
        boundary: PHYSICAL_ADDRESS,
        protect: u32,
        node: u32,
    ) -> PVOID;
    /// Frees it.
    pub fn MmFreeContiguousMemory(base: PVOID);
    /// Physical address of non-paged memory.
    pub fn MmGetPhysicalAddress(base: PVOID) -> PHYSICAL_ADDRESS;
    /// Frees a string that the kernel made. PASSIVE_LEVEL.
    pub fn RtlFreeUnicodeString(string: *mut UNICODE_STRING);
    /// Connects interrupts. PASSIVE_LEVEL.
    pub fn IoConnectInterruptEx(parameters: *mut IO_CONNECT_INTERRUPT_PARAMETERS) -> NTSTATUS;
    /// Disconnects them. PASSIVE_LEVEL.
    pub fn IoDisconnectInterruptEx(parameters: *mut IO_DISCONNECT_INTERRUPT_PARAMETERS);
    /// The device at the top of a device's stack, with a reference that the caller gives back. At most
    /// DISPATCH_LEVEL.
    pub fn IoGetAttachedDeviceReference(device: *mut DEVICE_OBJECT) -> *mut DEVICE_OBJECT;
    /// Makes a request of which the I/O manager signals the event, fills the status block and frees the IRP
    /// when it is complete; NULL without memory. PASSIVE_LEVEL.
    pub fn IoBuildSynchronousFsdRequest(
        major: u32,
        device: *mut DEVICE_OBJECT,
        buffer: PVOID,
        bytes: u32,
        offset: *mut LARGE_INTEGER,
        event: *mut KEVENT,
        status: *mut IO_STATUS_BLOCK,
    ) -> *mut IRP;
    /// Sends a request to a device's driver (IoCallDriver is a macro for it). PnP requests: PASSIVE_LEVEL.
    pub fn IofCallDriver(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS;
    /// Takes a reference to an object manager's object.
    pub fn ObfReferenceObject(object: PVOID) -> isize;
    /// Gives it back.
    pub fn ObfDereferenceObject(object: PVOID) -> isize;
}

#[link(name = "HAL.dll", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "C" {
    /// Ticks since boot, and if asked the ticks per second. Any IRQL.
    pub fn KeQueryPerformanceCounter(frequency: *mut LARGE_INTEGER) -> LARGE_INTEGER;
}

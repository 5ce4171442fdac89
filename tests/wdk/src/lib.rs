//! Compiles if the declarations of `nt` are those of `wdk-sys`: sizes, offsets, values; and if `wdk-sys` has
//! each function under its name. Made for x86_64-pc-windows-msvc by `tests/wdk/run`.
#![no_std]

use core::mem::offset_of;

/// Same size, fields at the same offsets. `=` says what bindgen calls a field whose type has no name in C.
macro_rules! layouts {
    ($($name:ident { $($field:ident $(= $theirs:ident)?),* })*) => { $(
        const _: () = {
            assert!(size_of::<nt::sys::$name>() == size_of::<wdk_sys::$name>());
            $(assert!(offset_of!(nt::sys::$name, $field) == layouts!(@ $name $field $(= $theirs)?));)*
        };
    )* };
    (@ $name:ident $field:ident) => { offset_of!(wdk_sys::$name, $field) };
    (@ $name:ident $field:ident = $theirs:ident) => { offset_of!(wdk_sys::$name, $theirs) };
}

/// Fields at the same offsets.
macro_rules! offsets {
    ($($name:ident { $($field:ident),* })*) => { $(
        const _: () = {
            $(assert!(offset_of!(nt::sys::$name, $field) == offset_of!(wdk_sys::$name, $field));)*
        };
    )* };
}

/// Same values; the types differ, for bindgen makes every constant a u32.
macro_rules! constants {
    ($($name:ident,)*) => { $(const _: () = assert!(nt::sys::$name as i64 == wdk_sys::$name as i64);)* };
}

/// There, under this name.
macro_rules! functions {
    ($($name:ident,)*) => { $(pub use wdk_sys::ntddk::$name;)* };
}

layouts! {
    IO_CONNECT_INTERRUPT_PARAMETERS { u = __bindgen_anon_1 }
    IO_CONNECT_INTERRUPT_MESSAGE_BASED_PARAMETERS { ConnectionContext, MessageServiceRoutine, ServiceContext, SpinLock, SynchronizeIrql, FloatingSave, FallBackServiceRoutine }
    IO_CONNECT_INTERRUPT_LINE_BASED_PARAMETERS { InterruptObject, ServiceRoutine, ServiceContext, SpinLock, SynchronizeIrql, FloatingSave }
    IO_CONNECT_INTERRUPT_FULLY_SPECIFIED_PARAMETERS { ShareVector, Vector, Irql, InterruptMode, ProcessorEnableMask, Group }
    IO_DISCONNECT_INTERRUPT_PARAMETERS { ConnectionContext }
    IO_INTERRUPT_MESSAGE_INFO { UnifiedIrql, MessageCount, MessageInfo }
    IO_INTERRUPT_MESSAGE_INFO_ENTRY { TargetProcessorSet, InterruptObject, MessageData, Vector, Irql, Mode, Polarity }
    DRIVER_OBJECT { DeviceObject, DriverStart, DriverName, DriverInit, DriverUnload, MajorFunction }
    IO_STATUS_BLOCK { Status = __bindgen_anon_1, Information }
    IRP { MdlAddress, Flags, IoStatus, StackCount, CurrentLocation, UserIosb, CancelRoutine, UserBuffer, Tail }
    IO_STACK_LOCATION { MinorFunction, Parameters, DeviceObject, FileObject, CompletionRoutine, Context }
    MDL { Size, MdlFlags, Process, MappedSystemVa, StartVa, ByteCount, ByteOffset }
    CM_PARTIAL_RESOURCE_DESCRIPTOR { Type, ShareDisposition, Flags, u }
    CM_RESOURCE_LIST { Count, List }
    CM_FULL_RESOURCE_DESCRIPTOR { PartialResourceList }
    CM_PARTIAL_RESOURCE_LIST { Count, PartialDescriptors }
    BUS_INTERFACE_STANDARD { Context, InterfaceReference, SetBusData, GetBusData }
    LARGE_INTEGER { QuadPart }
    UNICODE_STRING { Length, MaximumLength, Buffer }
    LIST_ENTRY { Flink, Blink }
    KEY_VALUE_PARTIAL_INFORMATION { Type, DataLength, Data }
    OBJECT_ATTRIBUTES { RootDirectory, ObjectName, Attributes, SecurityDescriptor, SecurityQualityOfService }
    DISPATCHER_HEADER { SignalState, WaitListHead }
    KEVENT { Header }
    KMUTEX { MutantListEntry, OwnerThread, MutantFlags = Abandoned, ApcDisable }
    KDPC { DeferredRoutine, DeferredContext, SystemArgument1, SystemArgument2, DpcData }
}

// Debian's headers are older here. DEVICE_OBJECT's alignment is Microsoft's alone (16 bytes: it ends at
// 0x150), DEVICE_DESCRIPTION ends before what version 3 added. CM_MEMORY_RESOURCE and CM_INTERRUPT_RESOURCE
// are names of ours for structures that have none in C; the union that they are in is compared.
offsets! {
    DEVICE_OBJECT { DriverObject, Flags, DeviceExtension, DeviceType, StackSize }
    DEVICE_DESCRIPTION {
        Master, ScatterGather, Dma32BitAddresses, Dma64BitAddresses, BusNumber, InterfaceType, MaximumLength, DmaPort
    }
}
const _: () =
    assert!(size_of::<nt::sys::DEVICE_OBJECT>() == size_of::<wdk_sys::DEVICE_OBJECT>().next_multiple_of(16));

constants! {
    PAGE_READWRITE, PAGE_NOCACHE, KEY_READ, REG_DWORD, PASSIVE_LEVEL, APC_LEVEL, DISPATCH_LEVEL,
    CONNECT_FULLY_SPECIFIED, CONNECT_LINE_BASED, CONNECT_MESSAGE_BASED, IRP_MJ_PNP, IRP_MN_START_DEVICE,
    IRP_MN_REMOVE_DEVICE, IRP_MN_STOP_DEVICE, IRP_MN_QUERY_INTERFACE, IRP_MN_SURPRISE_REMOVAL,
    CmResourceTypePort, CmResourceTypeInterrupt, CmResourceTypeMemory, CmResourceTypeMemoryLarge,
    CM_RESOURCE_INTERRUPT_LATCHED, CM_RESOURCE_INTERRUPT_MESSAGE, CM_RESOURCE_MEMORY_LARGE_40,
    CM_RESOURCE_MEMORY_LARGE_48, CM_RESOURCE_MEMORY_LARGE_64, DEVICE_DESCRIPTION_VERSION, EX_TIMER_HIGH_RESOLUTION,
}

functions! {
    DbgPrintEx, ExFreePoolWithTag, KeBugCheckEx, KeInitializeEvent, KeSetEvent, KeClearEvent,
    KeInitializeMutex, KeReleaseMutex, KeWaitForSingleObject, KeDelayExecutionThread, KeInitializeDpc,
    KeInsertQueueDpc, KeRemoveQueueDpc, KeFlushQueuedDpcs, KeAcquireSpinLockRaiseToDpc,
    KeReleaseSpinLock, KeAcquireSpinLockAtDpcLevel, KeReleaseSpinLockFromDpcLevel, MmUnmapIoSpace,
    MmFreeContiguousMemory, MmGetPhysicalAddress, RtlFreeUnicodeString, IoConnectInterruptEx,
    IoDisconnectInterruptEx, IoGetAttachedDeviceReference, IoBuildSynchronousFsdRequest, IofCallDriver,
    ObfReferenceObject, ObfDereferenceObject, KeQueryPerformanceCounter, ExAllocateTimer, ExSetTimer,
    ExCancelTimer, ExDeleteTimer,
}

//! What IoConnectInterruptEx takes and gives.
use super::{BOOLEAN, DEVICE_OBJECT, KAFFINITY, KIRQL, KSPIN_LOCK, PHYSICAL_ADDRESS, PVOID, layout};

/// Opaque: one connected interrupt.
pub type PKINTERRUPT = PVOID;
/// Line service routine: interrupt object, context; answers whether the interrupt was ours.
pub type PKSERVICE_ROUTINE = Option<unsafe extern "C" fn(PKINTERRUPT, PVOID) -> BOOLEAN>;
/// Message service routine: interrupt object, context, message number.
pub type PKMESSAGE_SERVICE_ROUTINE = Option<unsafe extern "C" fn(PKINTERRUPT, PVOID, u32) -> BOOLEAN>;

/// One vector, all said by the caller.
pub const CONNECT_FULLY_SPECIFIED: u32 = 1;
/// All lines of the device (one).
pub const CONNECT_LINE_BASED: u32 = 2;
/// All messages of the device; falls back to a line if there are none.
pub const CONNECT_MESSAGE_BASED: u32 = 3;

/// Parameters of CONNECT_MESSAGE_BASED.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_CONNECT_INTERRUPT_MESSAGE_BASED_PARAMETERS {
    /// The physical device object, as AddDevice was told it.
    pub PhysicalDeviceObject: *mut DEVICE_OBJECT,
    /// Where the table (or, after a fallback, the interrupt object) is put. A union of three pointers in C.
    pub ConnectionContext: *mut PVOID,
    /// For messages.
    pub MessageServiceRoutine: PKMESSAGE_SERVICE_ROUTINE,
    /// Handed to either routine.
    pub ServiceContext: PVOID,
    /// NULL: the kernel brings one for each message.
    pub SpinLock: *mut KSPIN_LOCK,
    /// 0: each message's routine runs at its message's own.
    pub SynchronizeIrql: KIRQL,
    /// FALSE on x64.
    pub FloatingSave: BOOLEAN,
    /// For the line.
    pub FallBackServiceRoutine: PKSERVICE_ROUTINE,
}

/// Parameters of CONNECT_LINE_BASED.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_CONNECT_INTERRUPT_LINE_BASED_PARAMETERS {
    /// The physical device object, as AddDevice was told it.
    pub PhysicalDeviceObject: *mut DEVICE_OBJECT,
    /// Where the interrupt object is put.
    pub InterruptObject: *mut PKINTERRUPT,
    /// For the line.
    pub ServiceRoutine: PKSERVICE_ROUTINE,
    /// Handed to it.
    pub ServiceContext: PVOID,
    /// NULL: the kernel brings its own.
    pub SpinLock: *mut KSPIN_LOCK,
    /// 0.
    pub SynchronizeIrql: KIRQL,
    /// FALSE on x64.
    pub FloatingSave: BOOLEAN,
}

/// Parameters of CONNECT_FULLY_SPECIFIED.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_CONNECT_INTERRUPT_FULLY_SPECIFIED_PARAMETERS {
    /// The physical device object, as AddDevice was told it.
    pub PhysicalDeviceObject: *mut DEVICE_OBJECT,
    /// Where the interrupt object is put.
    pub InterruptObject: *mut PKINTERRUPT,
    /// The routine.
    pub ServiceRoutine: PKSERVICE_ROUTINE,
    /// Handed to it.
    pub ServiceContext: PVOID,
    /// NULL: the kernel brings its own.
    pub SpinLock: *mut KSPIN_LOCK,
    /// At least `Irql`.
    pub SynchronizeIrql: KIRQL,
    /// FALSE on x64.
    pub FloatingSave: BOOLEAN,
    /// Shared.
    pub ShareVector: BOOLEAN,
    /// Translated.
    pub Vector: u32,
    /// Translated.
    pub Irql: KIRQL,
    /// 0 level, 1 latched.
    pub InterruptMode: i32,
    /// Processors.
    pub ProcessorEnableMask: KAFFINITY,
    /// Their group.
    pub Group: u16,
}

/// Parameters by version.
#[repr(C)]
#[derive(Clone, Copy)]
pub union IO_CONNECT_INTERRUPT_PARAMETERS_UNION {
    /// Version 1.
    pub FullySpecified: IO_CONNECT_INTERRUPT_FULLY_SPECIFIED_PARAMETERS,
    /// Version 2.
    pub LineBased: IO_CONNECT_INTERRUPT_LINE_BASED_PARAMETERS,
    /// Version 3.
    pub MessageBased: IO_CONNECT_INTERRUPT_MESSAGE_BASED_PARAMETERS,
}

/// In and out parameter of IoConnectInterruptEx.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_CONNECT_INTERRUPT_PARAMETERS {
    /// In: what is asked; out: what was granted.
    pub Version: u32,
    /// By version.
    pub u: IO_CONNECT_INTERRUPT_PARAMETERS_UNION,
}
layout!(IO_CONNECT_INTERRUPT_PARAMETERS, 0x50, u @ 8);
layout!(IO_CONNECT_INTERRUPT_MESSAGE_BASED_PARAMETERS, 56, ConnectionContext @ 8, MessageServiceRoutine @ 16, ServiceContext @ 24, SpinLock @ 32, SynchronizeIrql @ 40, FloatingSave @ 41, FallBackServiceRoutine @ 48);
layout!(IO_CONNECT_INTERRUPT_LINE_BASED_PARAMETERS, 48, InterruptObject @ 8, ServiceRoutine @ 16, ServiceContext @ 24, SpinLock @ 32, SynchronizeIrql @ 40, FloatingSave @ 41);
layout!(IO_CONNECT_INTERRUPT_FULLY_SPECIFIED_PARAMETERS, 72, ShareVector @ 42, Vector @ 44, Irql @ 48, InterruptMode @ 52, ProcessorEnableMask @ 56, Group @ 64);

/// Parameter of IoDisconnectInterruptEx: the version that was granted and the context it gave.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_DISCONNECT_INTERRUPT_PARAMETERS {
    /// What was granted.
    pub Version: u32,
    /// A union of pointers in C.
    pub ConnectionContext: PVOID,
}
layout!(IO_DISCONNECT_INTERRUPT_PARAMETERS, 0x10, ConnectionContext @ 8);

/// One message.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_INTERRUPT_MESSAGE_INFO_ENTRY {
    /// Where the device writes.
    pub MessageAddress: PHYSICAL_ADDRESS,
    /// Processors.
    pub TargetProcessorSet: KAFFINITY,
    /// The interrupt object.
    pub InterruptObject: PKINTERRUPT,
    /// What the device writes.
    pub MessageData: u32,
    /// Vector.
    pub Vector: u32,
    /// Its level.
    pub Irql: KIRQL,
    /// Latched.
    pub Mode: i32,
    /// Active high.
    pub Polarity: i32,
}

/// The messages granted; goes on for `MessageCount`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_INTERRUPT_MESSAGE_INFO {
    /// The level of all messages, if the driver gave a spin lock or a level for all; else of no meaning.
    pub UnifiedIrql: KIRQL,
    /// Messages granted; may be fewer than asked for.
    pub MessageCount: u32,
    /// The first.
    pub MessageInfo: [IO_INTERRUPT_MESSAGE_INFO_ENTRY; 1],
}
layout!(IO_INTERRUPT_MESSAGE_INFO, 56, UnifiedIrql @ 0, MessageCount @ 4, MessageInfo @ 8);
layout!(IO_INTERRUPT_MESSAGE_INFO_ENTRY, 48, TargetProcessorSet @ 8, InterruptObject @ 16, MessageData @ 24, Vector @ 28, Irql @ 32, Mode @ 36, Polarity @ 40);

/// Messages, with the line as a fallback; the handle or table goes to `context`.
pub fn message_based_parameters(
    pdo: *mut DEVICE_OBJECT,
    context: *mut PVOID,
    (routine, fallback): (PKMESSAGE_SERVICE_ROUTINE, PKSERVICE_ROUTINE),
    service_context: PVOID,
) -> IO_CONNECT_INTERRUPT_PARAMETERS {
    let messages = IO_CONNECT_INTERRUPT_MESSAGE_BASED_PARAMETERS {
        PhysicalDeviceObject: pdo,
        ConnectionContext: context,
        MessageServiceRoutine: routine,
        ServiceContext: service_context,
        SpinLock: core::ptr::null_mut(),
        SynchronizeIrql: 0,
        FloatingSave: 0,
        FallBackServiceRoutine: fallback,
    };
    IO_CONNECT_INTERRUPT_PARAMETERS {
        Version: CONNECT_MESSAGE_BASED,
        u: IO_CONNECT_INTERRUPT_PARAMETERS_UNION { MessageBased: messages },
    }
}

/// The line; the interrupt object goes to `object`.
pub fn line_based_parameters(
    pdo: *mut DEVICE_OBJECT,
    object: *mut PVOID,
    routine: PKSERVICE_ROUTINE,
    service_context: PVOID,
) -> IO_CONNECT_INTERRUPT_PARAMETERS {
    let line = IO_CONNECT_INTERRUPT_LINE_BASED_PARAMETERS {
        PhysicalDeviceObject: pdo,
        InterruptObject: object,
        ServiceRoutine: routine,
        ServiceContext: service_context,
        SpinLock: core::ptr::null_mut(),
        SynchronizeIrql: 0,
        FloatingSave: 0,
    };
    IO_CONNECT_INTERRUPT_PARAMETERS {
        Version: CONNECT_LINE_BASED,
        u: IO_CONNECT_INTERRUPT_PARAMETERS_UNION { LineBased: line },
    }
}

/// What IoConnectInterruptEx granted, to be taken back.
pub fn disconnect_parameters(version: u32, context: PVOID) -> IO_DISCONNECT_INTERRUPT_PARAMETERS {
    IO_DISCONNECT_INTERRUPT_PARAMETERS { Version: version, ConnectionContext: context }
}

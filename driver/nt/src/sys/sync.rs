//! Events, mutexes, deferred procedure calls and timers.
use super::{LIST_ENTRY, PVOID, layout};

/// Head of every object that can be waited on.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct DISPATCHER_HEADER {
    /// Type, size and lock bits; the kernel's business.
    pub Lock: i32,
    /// Greater than 0: signalled.
    pub SignalState: i32,
    /// Who waits.
    pub WaitListHead: LIST_ENTRY,
}
layout!(DISPATCHER_HEADER, 0x18, SignalState @ 4, WaitListHead @ 8);

/// An event. Must not move and must lie in non-paged memory once initialised.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KEVENT {
    /// The head is all there is.
    pub Header: DISPATCHER_HEADER,
}
layout!(KEVENT, 0x18, Header @ 0);

/// Kind of event.
pub use self::_EVENT_TYPE::Type as EVENT_TYPE;
/// Values of [`EVENT_TYPE`].
pub mod _EVENT_TYPE {
    /// A C enumeration is an int.
    pub type Type = i32;
    /// Stays signalled until cleared.
    pub const NotificationEvent: Type = 0;
    /// One waiter takes the signal away.
    pub const SynchronizationEvent: Type = 1;
}

/// A mutex. Must not move and must lie in non-paged memory once initialised; all of it is the kernel's
/// business.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KMUTEX {
    /// The head of what can be waited on.
    pub Header: DISPATCHER_HEADER,
    /// Link among the mutexes of its owner.
    pub MutantListEntry: LIST_ENTRY,
    /// The thread that has it.
    pub OwnerThread: PVOID,
    /// Flags.
    pub MutantFlags: u8,
    /// Normal kernel APCs of the owner are off.
    pub ApcDisable: u8,
}
layout!(KMUTEX, 0x38, MutantListEntry @ 0x18, OwnerThread @ 0x28, MutantFlags @ 0x30, ApcDisable @ 0x31);

/// Why a thread waits (KWAIT_REASON); drivers say Executive.
pub use self::_KWAIT_REASON::Type as KWAIT_REASON;
/// Values of [`KWAIT_REASON`].
pub mod _KWAIT_REASON {
    /// A C enumeration is an int.
    pub type Type = i32;
    /// The reason a driver gives.
    pub const Executive: Type = 0;
}
/// Processor mode of a wait (KPROCESSOR_MODE is a char): the kernel's.
pub const KernelMode: i8 = 0;

/// A routine run at DISPATCH_LEVEL: the DPC, its context, and the two arguments of the insertion.
pub type PKDEFERRED_ROUTINE = Option<unsafe extern "C" fn(*mut KDPC, PVOID, PVOID, PVOID)>;

/// A deferred procedure call. Must not move and must lie in non-paged memory once initialised.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KDPC {
    /// Type, importance, number.
    pub TargetInfoAsUlong: u32,
    /// Link in the processor's queue.
    pub DpcListEntry: [usize; 1],
    /// Processors it has been to.
    pub ProcessorHistory: usize,
    /// What runs.
    pub DeferredRoutine: PKDEFERRED_ROUTINE,
    /// What it is given.
    pub DeferredContext: PVOID,
    /// Argument of the insertion.
    pub SystemArgument1: PVOID,
    /// Argument of the insertion.
    pub SystemArgument2: PVOID,
    /// Not NULL while it is queued.
    pub DpcData: PVOID,
}
layout!(KDPC, 0x40, DeferredRoutine @ 24, DeferredContext @ 32, SystemArgument1 @ 40, SystemArgument2 @ 48, DpcData @ 56);

/// A timer of ExAllocateTimer; all of it is the kernel's business.
#[repr(C)]
pub struct _EX_TIMER {
    opaque: [u8; 0],
}
/// The handle of a timer.
pub type PEX_TIMER = *mut _EX_TIMER;
/// What runs at DISPATCH_LEVEL when a timer has expired: the timer and its context.
pub type PEXT_CALLBACK = Option<unsafe extern "C" fn(PEX_TIMER, PVOID)>;
/// A timer that is as exact as the system can be; it takes relative times only.
pub const EX_TIMER_HIGH_RESOLUTION: u32 = 4;

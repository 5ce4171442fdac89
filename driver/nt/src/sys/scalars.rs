//! Scalars, strings and lists: the small words all other structures are made of.
use super::layout;
use core::ffi::c_void;

/// A status; negative is a failure. See [`crate::status`].
pub type NTSTATUS = i32;
/// One byte, 0 or 1.
pub type BOOLEAN = u8;
/// Interrupt request level, 0 (passive) to 15 (high).
pub type KIRQL = u8;
/// A pointer to anything.
pub type PVOID = *mut c_void;
/// A spin lock as it lies in memory; initialised by writing 0 (KeInitializeSpinLock is inline on x64).
pub type KSPIN_LOCK = usize;
/// A set of processors of one group, one bit each.
pub type KAFFINITY = usize;
/// Access rights (`KEY_READ` ...).
pub type ACCESS_MASK = u32;

/// A 64-bit integer that C spells as a union. A one-word union travels in a register when passed to or
/// returned from a *function*; a C++ *member function* returns it through a hidden pointer instead (WAVERT.md
/// 2.3).
#[repr(C)]
#[derive(Clone, Copy)]
pub union LARGE_INTEGER {
    /// The whole number.
    pub QuadPart: i64,
}
layout!(LARGE_INTEGER, 8, QuadPart @ 0);

/// Bytes of memory.
pub type SIZE_T = usize;
/// A number as wide as a pointer.
pub type ULONG_PTR = usize;

/// A CPU physical address.
pub type PHYSICAL_ADDRESS = LARGE_INTEGER;

impl Default for LARGE_INTEGER {
    fn default() -> Self {
        Self { QuadPart: 0 }
    }
}

/// A counted UTF-16 string; lengths in bytes, no terminator needed.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct UNICODE_STRING {
    /// Bytes used.
    pub Length: u16,
    /// Bytes there are.
    pub MaximumLength: u16,
    /// The characters; not owned.
    pub Buffer: *mut u16,
}
layout!(UNICODE_STRING, 0x10, Length @ 0, MaximumLength @ 2, Buffer @ 8);

/// A doubly linked list's link or head.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct LIST_ENTRY {
    /// Next.
    pub Flink: *mut LIST_ENTRY,
    /// Previous.
    pub Blink: *mut LIST_ENTRY,
}
layout!(LIST_ENTRY, 0x10, Flink @ 0, Blink @ 8);

/// How a page is cached.
pub use self::_MEMORY_CACHING_TYPE::Type as MEMORY_CACHING_TYPE;
/// Values of [`MEMORY_CACHING_TYPE`].
pub mod _MEMORY_CACHING_TYPE {
    /// A C enumeration is an int.
    pub type Type = i32;
    /// Not cached.
    pub const MmNonCached: Type = 0;
    /// Cached: right for coherent PCI DMA.
    pub const MmCached: Type = 1;
    /// Writes may be combined.
    pub const MmWriteCombined: Type = 2;
}

/// What device power a device has.
pub use self::_DEVICE_POWER_STATE::Type as DEVICE_POWER_STATE;
/// Values of [`DEVICE_POWER_STATE`].
pub mod _DEVICE_POWER_STATE {
    /// A C enumeration is an int.
    pub type Type = i32;
    /// Not known.
    pub const PowerDeviceUnspecified: Type = 0;
    /// Fully on.
    pub const PowerDeviceD0: Type = 1;
    /// D1.
    pub const PowerDeviceD1: Type = 2;
    /// D2.
    pub const PowerDeviceD2: Type = 3;
    /// Off, or D3hot.
    pub const PowerDeviceD3: Type = 4;
}

/// Page protection: read and write, never execute.
pub const PAGE_READWRITE: u32 = 0x04;
/// With a page protection: not cached.
pub const PAGE_NOCACHE: u32 = 0x200;
/// MmAllocateContiguousNodeMemory: from any NUMA node.
pub const MM_ANY_NODE_OK: u32 = 0x8000_0000;
/// Read access to a registry key.
pub const KEY_READ: ACCESS_MASK = 0x0002_0019;
/// A registry value of four bytes.
pub const REG_DWORD: u32 = 4;

/// The least IRQL.
pub const PASSIVE_LEVEL: KIRQL = 0;
/// Asynchronous procedure calls.
pub const APC_LEVEL: KIRQL = 1;
/// The scheduler and DPCs.
pub const DISPATCH_LEVEL: KIRQL = 2;

/// Asks for a registry value's data without its name: class 2 of KEY_VALUE_INFORMATION_CLASS.
pub const KeyValuePartialInformation: i32 = 2;

/// A registry value's data without its name; `Data` goes on for `DataLength` bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KEY_VALUE_PARTIAL_INFORMATION {
    /// Device and intermediate drivers ignore it.
    pub TitleIndex: u32,
    /// `REG_DWORD` ...
    pub Type: u32,
    /// Bytes of data.
    pub DataLength: u32,
    /// The first byte.
    pub Data: [u8; 1],
}
layout!(KEY_VALUE_PARTIAL_INFORMATION, 16, Type @ 4, DataLength @ 8, Data @ 12);

/// Names an object for the object manager.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OBJECT_ATTRIBUTES {
    /// Bytes in this structure.
    pub Length: u32,
    /// Where a relative name begins.
    pub RootDirectory: PVOID,
    /// The name.
    pub ObjectName: *mut UNICODE_STRING,
    /// `OBJ_...`.
    pub Attributes: u32,
    /// May be NULL.
    pub SecurityDescriptor: PVOID,
    /// May be NULL.
    pub SecurityQualityOfService: PVOID,
}
layout!(OBJECT_ATTRIBUTES, 0x30, RootDirectory @ 8, ObjectName @ 16, Attributes @ 24, SecurityDescriptor @ 32, SecurityQualityOfService @ 40);

/// Kind of pool.
pub use self::_POOL_TYPE::Type as POOL_TYPE;
/// Values of [`POOL_TYPE`].
pub mod _POOL_TYPE {
    /// A C enumeration is an int.
    pub type Type = i32;
    /// Always in memory, never executable (HVCI and Driver Verifier want it).
    pub const NonPagedPoolNx: Type = 512;
}

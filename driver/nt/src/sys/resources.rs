//! Hardware resources as PnP lists them, and the description of a DMA device.
//!
//! `ntddk.h` packs the resource structures to 4 bytes; windows-sys 0.61 does not and is wrong (0x18 instead
//! of 0x14).
use super::{PHYSICAL_ADDRESS, PVOID, layout};

/// Resource types (`CmResourceType...`; the descriptor's field is one byte, function parameters are ints).
pub const CmResourceTypePort: i32 = 1;
/// An interrupt.
pub const CmResourceTypeInterrupt: i32 = 2;
/// A memory range below 4 GiB long.
pub const CmResourceTypeMemory: i32 = 3;
/// A memory range whose length is shifted.
pub const CmResourceTypeMemoryLarge: i32 = 7;
/// Flag of an interrupt: edge.
pub const CM_RESOURCE_INTERRUPT_LATCHED: u16 = 1;
/// Flag of an interrupt: a message (MSI).
pub const CM_RESOURCE_INTERRUPT_MESSAGE: u16 = 2;
/// Flag of a large memory range: length in units of 256 bytes.
pub const CM_RESOURCE_MEMORY_LARGE_40: u16 = 0x0200;
/// Flag of a large memory range: length in units of 64 KiB.
pub const CM_RESOURCE_MEMORY_LARGE_48: u16 = 0x0400;
/// Flag of a large memory range: length in units of 4 GiB.
pub const CM_RESOURCE_MEMORY_LARGE_64: u16 = 0x0800;

/// A memory or port range.
#[repr(C, packed(4))]
#[derive(Clone, Copy)]
pub struct CM_MEMORY_RESOURCE {
    /// First address.
    pub Start: PHYSICAL_ADDRESS,
    /// Bytes (or units of a large range).
    pub Length: u32,
}

/// An interrupt; a translated message looks the same.
#[repr(C, packed(4))]
#[derive(Clone, Copy)]
pub struct CM_INTERRUPT_RESOURCE {
    /// IRQL (translated).
    pub Level: u16,
    /// Processor group, at offset 6 of the descriptor. A *raw* message descriptor (u.MessageInterrupt.Raw)
    /// begins with `Group` in `Level`'s place (offset 4) and has `MessageCount` here.
    pub Group: u16,
    /// Vector.
    pub Vector: u32,
    /// Processors.
    pub Affinity: usize,
}

/// What a descriptor describes, by type.
#[repr(C, packed(4))]
#[derive(Clone, Copy)]
pub union CM_RESOURCE_UNION {
    /// Types 1, 3 and 7.
    pub Memory: CM_MEMORY_RESOURCE,
    /// Type 2.
    pub Interrupt: CM_INTERRUPT_RESOURCE,
    /// Anything else.
    pub Data: [u32; 4],
}

/// One resource.
#[repr(C, packed(4))]
#[derive(Clone, Copy)]
pub struct CM_PARTIAL_RESOURCE_DESCRIPTOR {
    /// `CmResourceType...`.
    pub Type: u8,
    /// Who may share it.
    pub ShareDisposition: u8,
    /// By type.
    pub Flags: u16,
    /// By type.
    pub u: CM_RESOURCE_UNION,
}
layout!(CM_PARTIAL_RESOURCE_DESCRIPTOR, 0x14, Type @ 0, ShareDisposition @ 1, Flags @ 2, u @ 4);
layout!(CM_MEMORY_RESOURCE, 12, Start @ 0, Length @ 8);
layout!(CM_INTERRUPT_RESOURCE, 16, Level @ 0, Group @ 2, Vector @ 4, Affinity @ 8);

/// Resources of one device; goes on for `Count`.
#[repr(C, packed(4))]
#[derive(Clone, Copy)]
pub struct CM_PARTIAL_RESOURCE_LIST {
    /// 1.
    pub Version: u16,
    /// 1.
    pub Revision: u16,
    /// Descriptors.
    pub Count: u32,
    /// The first.
    pub PartialDescriptors: [CM_PARTIAL_RESOURCE_DESCRIPTOR; 1],
}

/// Resources on one bus.
#[repr(C, packed(4))]
#[derive(Clone, Copy)]
pub struct CM_FULL_RESOURCE_DESCRIPTOR {
    /// 5 is PCI.
    pub InterfaceType: i32,
    /// Bus.
    pub BusNumber: u32,
    /// The list.
    pub PartialResourceList: CM_PARTIAL_RESOURCE_LIST,
}

/// A resource list; goes on for `Count`.
#[repr(C, packed(4))]
#[derive(Clone, Copy)]
pub struct CM_RESOURCE_LIST {
    /// Full descriptors.
    pub Count: u32,
    /// The first.
    pub List: [CM_FULL_RESOURCE_DESCRIPTOR; 1],
}
layout!(CM_RESOURCE_LIST, 0x28, Count @ 0, List @ 4);
layout!(CM_FULL_RESOURCE_DESCRIPTOR, 0x24, PartialResourceList @ 8);
layout!(CM_PARTIAL_RESOURCE_LIST, 0x1C, Count @ 4, PartialDescriptors @ 8);

/// InterfaceType: PCI.
pub const PCIBus: i32 = 5;
/// [`DEVICE_DESCRIPTION::Version`]: the first. What the audio samples write; a 64-bit bus master may need a later
/// one.
pub const DEVICE_DESCRIPTION_VERSION: u32 = 0;

/// A DMA device, as `IMiniportWaveRT::GetDeviceDescription` fills it: zero it all first (WAVERT.md 5.9).
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct DEVICE_DESCRIPTION {
    /// [`DEVICE_DESCRIPTION_VERSION`].
    pub Version: u32,
    /// Bus master.
    pub Master: u8,
    /// Scatter-gather.
    pub ScatterGather: u8,
    /// System DMA.
    pub DemandMode: u8,
    /// System DMA.
    pub AutoInitialize: u8,
    /// Reaches 4 GiB.
    pub Dma32BitAddresses: u8,
    /// System DMA.
    pub IgnoreCount: u8,
    /// 0.
    pub Reserved1: u8,
    /// Reaches all memory.
    pub Dma64BitAddresses: u8,
    /// Bus.
    pub BusNumber: u32,
    /// System DMA.
    pub DmaChannel: u32,
    /// [`PCIBus`].
    pub InterfaceType: i32,
    /// System DMA.
    pub DmaWidth: i32,
    /// System DMA.
    pub DmaSpeed: i32,
    /// Longest transfer, bytes.
    pub MaximumLength: u32,
    /// System DMA.
    pub DmaPort: u32,
    /// From version 3: address bits.
    pub DmaAddressWidth: u32,
    /// Version 3, system DMA.
    pub DmaControllerInstance: u32,
    /// Version 3, system DMA.
    pub DmaRequestLine: u32,
    /// Version 3, system DMA.
    pub DeviceAddress: PHYSICAL_ADDRESS,
}
layout!(DEVICE_DESCRIPTION, 0x40, Master @ 4, ScatterGather @ 5, Dma32BitAddresses @ 8, Dma64BitAddresses @ 11, BusNumber @ 12, InterfaceType @ 20, MaximumLength @ 32, DmaPort @ 36, DmaAddressWidth @ 40, DeviceAddress @ 56);

/// `GetBusData` and `SetBusData` of [`BUS_INTERFACE_STANDARD`]: context, 0 for PCI configuration space,
/// buffer, offset, bytes; answers the bytes transferred.
pub type PGET_SET_DEVICE_DATA = Option<unsafe extern "C" fn(PVOID, u32, PVOID, u32, u32) -> u32>;

/// What the bus driver offers for configuration space (IRP_MN_QUERY_INTERFACE, GUID_BUS_INTERFACE_STANDARD).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct BUS_INTERFACE_STANDARD {
    /// Bytes in this structure.
    pub Size: u16,
    /// 1.
    pub Version: u16,
    /// Handed to every function.
    pub Context: PVOID,
    /// Takes a reference.
    pub InterfaceReference: Option<unsafe extern "C" fn(PVOID)>,
    /// Gives it back.
    pub InterfaceDereference: Option<unsafe extern "C" fn(PVOID)>,
    /// Bus to CPU addresses.
    pub TranslateBusAddress: PVOID,
    /// DMA adapter.
    pub GetDmaAdapter: PVOID,
    /// Writes configuration space.
    pub SetBusData: PGET_SET_DEVICE_DATA,
    /// Reads configuration space.
    pub GetBusData: PGET_SET_DEVICE_DATA,
}
layout!(BUS_INTERFACE_STANDARD, 0x40, Context @ 8, InterfaceReference @ 16, SetBusData @ 48, GetBusData @ 56);

//! What PortCls implements and the driver calls: ports, the port's side of a stream, taking subdevices away.
use super::support::{IRegistryKey, IResourceList};
use crate::com::interface::interface;
use crate::com::params::UnknownIn;
use crate::{ComClass, ComIn, ComOut, GUID, IUnknown, Out};
use core::ffi::c_void;
use nt::sys::{ACCESS_MASK, DEVICE_OBJECT, IRP, MDL, MEMORY_CACHING_TYPE, OBJECT_ATTRIBUTES, UNICODE_STRING};

/// A memory descriptor list, or NULL.
pub type PMDL = *mut MDL;
/// An address, or NULL.
pub type PVOID = *mut c_void;
/// Where a physical address is put: what `GetPhysicalPageAddress` really returns.
pub type PPHYSICAL_ADDRESS = *mut i64;

interface! {
    /// Any port.
    IPort: IUnknown, "B4C90A25-5791-11D0-86F9-00A0C911B544", implemented as Port: ComClass, table IPortVtbl {
        /// Binds the port to a miniport: asks it for its port-specific interface, calls its `Init` and
        /// `GetDescription`. `irp` is the START request, or NULL.
        3 Init as init(
            device: *mut DEVICE_OBJECT, irp: *mut IRP, miniport: UnknownIn<'_>, adapter: UnknownIn<'_>, resources: ComIn<'_, IResourceList>,
        ) -> status;
        /// Reads a device property (DEVICE_REGISTRY_PROPERTY). STATUS_BUFFER_TOO_SMALL.
        4 GetDeviceProperty as get_device_property(property: i32, length: u32, buffer: *mut c_void, result_length: Out<'_, u32>) -> status;
        /// Opens a registry key; see [`KeyType`](crate::calls::KeyType).
        5 NewRegistryKey as new_registry_key(
            key: ComOut<'_, IRegistryKey>, outer: UnknownIn<'_>, key_type: u32, access: ACCESS_MASK, attributes: *mut OBJECT_ATTRIBUTES,
            create_options: u32, disposition: Out<'_, u32>,
        ) -> status;
    }

    /// A WaveRT port.
    IPortWaveRT: IPort, "339FF909-68A9-4310-B09B-274E96EE4CBD", implemented as PortWaveRT: Port, table IPortWaveRTVtbl {}

    /// A topology port.
    IPortTopology: IPort, "B4C90A30-5791-11D0-86F9-00A0C911B544", implemented as PortTopology: Port, table IPortTopologyVtbl {}

    /// The port's side of a stream: pages for the cyclic buffer. Given to NewStream. See
    /// [`AudioPages`](crate::calls::AudioPages) for its safe face.
    IPortWaveRTStream: IUnknown, "1809CE5A-64BC-4E62-BD7D-95BCE43DE393", implemented as PortWaveRTStream: ComClass, table IPortWaveRTStreamVtbl {
        /// Zeroed, locked, unmapped pages up to `highest`, perhaps scattered, perhaps fewer bytes than asked
        /// for, perhaps NULL. (The address is a 64-bit register as an argument.)
        3 AllocatePagesForMdl as allocate_pages_for_mdl(highest: i64, bytes: usize) -> PMDL;
        /// Contiguous pages, all or NULL.
        4 AllocateContiguousPagesForMdl as allocate_contiguous_pages_for_mdl(lowest: i64, highest: i64, bytes: usize) -> PMDL;
        /// Maps the pages for the kernel, or NULL. The cache type must be the one reported for the buffer.
        5 MapAllocatedPages as map_allocated_pages(mdl: *mut MDL, cache: MEMORY_CACHING_TYPE) -> PVOID;
        /// Takes the mapping away. Before the pages are freed.
        6 UnmapAllocatedPages as unmap_allocated_pages(base: *mut c_void, mdl: *mut MDL) -> void;
        /// Frees the pages and the MDL.
        7 FreePagesFromMdl as free_pages_from_mdl(mdl: *mut MDL) -> void;
        /// How many pages.
        8 GetPhysicalPagesCount as get_physical_pages_count(mdl: *mut MDL) -> u32;
        /// Physical address of page 0 .. count.
        ///
        /// In C++ `PHYSICAL_ADDRESS GetPhysicalPageAddress(PMDL, ULONG)`. Microsoft's compiler returns a
        /// structure from a member function through a hidden pointer whatever its size: after `this` comes
        /// where to write, and that pointer is the return value (WAVERT.md 2.3, proven with clang for the
        /// Microsoft ABI).
        9 GetPhysicalPageAddress as get_physical_page_address(result: *mut i64, mdl: *mut MDL, index: u32) -> PPHYSICAL_ADDRESS;
    }

    /// Events of a port; found by `query` on it.
    IPortEvents: IUnknown, "A80F29C4-5498-11D2-95D9-00C04FB925D3", implemented as PortEvents: ComClass, table IPortEventsVtbl {
        /// Adds a KSEVENT_ENTRY. PASSIVE_LEVEL (its page in windows-driver-docs-ddi).
        3 AddEventToEventList as add_event_to_event_list(entry: *mut c_void) -> void;
        /// Signals events of a set and id; pin and node only count where their flag is not 0. Its page allows
        /// any level: up to DISPATCH_LEVEL the list is walked at once, above it by a DPC that remembers one
        /// call only.
        4 GenerateEventList as generate_event_list(set: *const GUID, id: u32, pin_event: i32, pin: u32, node_event: i32, node: u32) -> void;
    }

    /// Takes a subdevice away; found by `query` on its port.
    IUnregisterSubdevice: IUnknown, "16738177-E199-41F9-9A87-ABB2A5432F21", implemented as UnregisterSubdevice: ComClass, table IUnregisterSubdeviceVtbl {
        /// Takes the subdevice away that `port` was registered as. Its connections must be gone before.
        3 UnregisterSubdevice as unregister_subdevice(device: *mut DEVICE_OBJECT, port: UnknownIn<'_>) -> status;
    }

    /// Takes physical connections away; found by `query` on a port.
    IUnregisterPhysicalConnection: IUnknown, "6C38E231-2A0D-428D-81F8-07CC428BB9A4", implemented as UnregisterPhysicalConnection: ComClass, table IUnregisterPhysicalConnectionVtbl {
        /// Between two subdevices of the adapter.
        3 UnregisterPhysicalConnection as unregister_physical_connection(
            device: *mut DEVICE_OBJECT, from: UnknownIn<'_>, from_pin: u32, to: UnknownIn<'_>, to_pin: u32,
        ) -> status;
        /// To another device.
        4 UnregisterPhysicalConnectionToExternal as unregister_physical_connection_to_external(
            device: *mut DEVICE_OBJECT, from: UnknownIn<'_>, from_pin: u32, to: *mut UNICODE_STRING, to_pin: u32,
        ) -> status;
        /// From another device.
        5 UnregisterPhysicalConnectionFromExternal as unregister_physical_connection_from_external(
            device: *mut DEVICE_OBJECT, from: *mut UNICODE_STRING, from_pin: u32, to: UnknownIn<'_>, to_pin: u32,
        ) -> status;
    }
}

//! What PortCls lends: resource lists, registry keys, synchronised interrupts.
use crate::com::interface::interface;
use crate::com::params::UnknownIn;
use crate::{ComClass, ComIn, ComOut, IUnknown, Out};
use core::ffi::c_void;
use nt::NTSTATUS;
use nt::sys::{
    ACCESS_MASK, BOOLEAN, CM_PARTIAL_RESOURCE_DESCRIPTOR, CM_RESOURCE_LIST, PKINTERRUPT, UNICODE_STRING,
};

/// One resource, or NULL.
pub type PCM_PARTIAL_RESOURCE_DESCRIPTOR = *mut CM_PARTIAL_RESOURCE_DESCRIPTOR;
/// A list of resources.
pub type PCM_RESOURCE_LIST = *mut CM_RESOURCE_LIST;
/// A routine of IInterruptSync: the object and a context.
pub type PINTERRUPTSYNCROUTINE =
    Option<unsafe extern "system" fn(*mut IInterruptSync, *mut c_void) -> NTSTATUS>;

interface! {
    /// The resources a device was given, translated and raw side by side. Types are `CmResourceType...`, an
    /// int here, a byte in the descriptor.
    IResourceList: IUnknown, "22C6AC60-851B-11D0-9A7F-00AA0038ACFE", implemented as ResourceList: ComClass, table IResourceListVtbl {
        /// All.
        3 NumberOfEntries as number_of_entries() -> u32;
        /// Of one type.
        4 NumberOfEntriesOfType as number_of_entries_of_type(kind: i32) -> u32;
        /// Number `index` of a type, translated; NULL if there is none.
        5 FindTranslatedEntry as find_translated_entry(kind: i32, index: u32) -> PCM_PARTIAL_RESOURCE_DESCRIPTOR;
        /// Number `index` of a type, raw; NULL if there is none.
        6 FindUntranslatedEntry as find_untranslated_entry(kind: i32, index: u32) -> PCM_PARTIAL_RESOURCE_DESCRIPTOR;
        /// Adds a pair. STATUS_INSUFFICIENT_RESOURCES if the list is full.
        7 AddEntry as add_entry(translated: *mut CM_PARTIAL_RESOURCE_DESCRIPTOR, raw: *mut CM_PARTIAL_RESOURCE_DESCRIPTOR) -> status;
        /// Adds a pair of another list. STATUS_INVALID_PARAMETER if that has none.
        8 AddEntryFromParent as add_entry_from_parent(parent: ComIn<'_, IResourceList>, kind: i32, index: u32) -> status;
        /// The whole, translated.
        9 TranslatedList as translated_list() -> PCM_RESOURCE_LIST;
        /// The whole, raw.
        10 UntranslatedList as untranslated_list() -> PCM_RESOURCE_LIST;
    }

    /// An open registry key. Information classes and size rules are those of ZwQueryValueKey and its kin:
    /// STATUS_BUFFER_TOO_SMALL without room for the head, STATUS_BUFFER_OVERFLOW without room for all,
    /// STATUS_OBJECT_NAME_NOT_FOUND for a name that is not there, STATUS_NO_MORE_ENTRIES behind the last
    /// number, STATUS_INVALID_PARAMETER.
    IRegistryKey: IUnknown, "E8DA4302-F304-11D0-958B-00C04FB925D3", implemented as RegistryKey: ComClass, table IRegistryKeyVtbl {
        /// The key itself.
        3 QueryKey as query_key(class: i32, buffer: *mut c_void, length: u32, result_length: Out<'_, u32>) -> status;
        /// A subkey by number.
        4 EnumerateKey as enumerate_key(index: u32, class: i32, buffer: *mut c_void, length: u32, result_length: Out<'_, u32>) -> status;
        /// A value by name.
        5 QueryValueKey as query_value_key(
            name: *const UNICODE_STRING, class: i32, buffer: *mut c_void, length: u32, result_length: Out<'_, u32>,
        ) -> status;
        /// A value by number.
        6 EnumerateValueKey as enumerate_value_key(index: u32, class: i32, buffer: *mut c_void, length: u32, result_length: Out<'_, u32>) -> status;
        /// Writes a value.
        7 SetValueKey as set_value_key(name: *const UNICODE_STRING, kind: u32, data: *mut c_void, size: u32) -> status;
        /// Many values at once (RTL_QUERY_REGISTRY_TABLE).
        8 QueryRegistryValues as query_registry_values(table: *mut c_void, context: *mut c_void) -> status;
        /// Opens or makes a subkey.
        9 NewSubKey as new_sub_key(
            key: ComOut<'_, IRegistryKey>, outer: UnknownIn<'_>, access: ACCESS_MASK, name: *const UNICODE_STRING, create_options: u32, disposition: Out<'_, u32>,
        ) -> status;
        /// Deletes the key.
        10 DeleteKey as delete_key() -> status;
    }

    /// Interrupts by PortCls. Whether it can do messages is not documented; the driver uses
    /// IoConnectInterruptEx.
    IInterruptSync: IUnknown, "22C6AC63-851B-11D0-9A7F-00AA0038ACFE", implemented as InterruptSync: ComClass, table IInterruptSyncVtbl {
        /// Runs a routine with the interrupt kept out. At most the interrupt's level.
        3 CallSynchronizedRoutine as call_synchronized_routine(routine: PINTERRUPTSYNCROUTINE, context: *mut c_void) -> status;
        /// The interrupt object.
        4 GetKInterrupt as get_kinterrupt() -> PKINTERRUPT;
        /// Connects.
        5 Connect as connect() -> status;
        /// Disconnects; before the last release.
        6 Disconnect as disconnect() -> void;
        /// Adds a service routine, in front or at the end.
        7 RegisterServiceRoutine as register_service_routine(routine: PINTERRUPTSYNCROUTINE, context: *mut c_void, first: BOOLEAN) -> status;
    }
}

//! The table of exports. Levels are those of the public DDI pages: 0 PASSIVE, 1 APC, 2 DISPATCH, 12 the
//! highest device level, 15 any. Services with a level that depends on their arguments check it themselves.

use super::{Dll, Export};

/// Builds an `Export`: on the host it has no address.
macro_rules! table {
    ($($dll:ident $name:literal $irql:literal $thunk:literal $address:expr;)*) => {
        #[cfg(target_os = "uefi")]
        mod addresses {
            use crate::kernel::exports::{
                crt, debug, etw, ex, get_system_routine_address, io, ke, lists, printf, ps, query_values, rtl, zw,
            };
            use crate::kernel::{dpc, interrupt, irp, memory, spin::exports as spin, timer, work};
            use crate::portcls::device_interface;
            /// Addresses in the order of the table.
            #[expect(clippy::ptr_as_ptr, reason = "one cast for functions and data")]
            pub fn all() -> alloc::vec::Vec<usize> {
                alloc::vec![$(($address as *const ()).addr()),*]
            }
        }
        const NAMES: &[(Dll, &str, u8, bool)] = &[$((Dll::$dll, $name, $irql, $thunk)),*];
    };
}

table! {
    // Debugger output: any level up to the device's.
    Nt "DbgPrint" 13 true debug::dbg_print;
    Nt "DbgPrintEx" 13 true debug::dbg_print_ex;
    Nt "vDbgPrintEx" 13 true debug::v_dbg_print_ex;
    Nt "vDbgPrintExWithPrefix" 13 true debug::v_dbg_print_ex_with_prefix;
    Nt "KeBugCheck" 15 true debug::bug_check;
    Nt "KeBugCheckEx" 15 true debug::bug_check_ex;
    Nt "__C_specific_handler" 15 true debug::c_specific_handler;
    Nt "RtlRaiseException" 15 true debug::raise_exception;
    Nt "ExRaiseStatus" 15 true debug::raise_status;
    Nt "ExRaiseAccessViolation" 15 true debug::raise_access_violation;
    Nt "RtlAssert" 15 true debug::assert;
    Nt "DbgBreakPoint" 15 true debug::break_point;
    Nt "_purecall" 15 true debug::pure_call;

    // Event tracing.
    Nt "EtwRegister" 0 true etw::register;
    Nt "EtwUnregister" 0 true etw::unregister;
    Nt "EtwWrite" 15 true etw::write;
    Nt "EtwWriteTransfer" 15 true etw::write;
    Nt "EtwWriteString" 15 true etw::write;
    Nt "EtwSetInformation" 15 true etw::write;
    Nt "EtwEventEnabled" 15 true etw::enabled;
    Nt "EtwProviderEnabled" 15 true etw::enabled;

    // Pool.
    Nt "ExAllocatePool2" 2 true ex::allocate_pool2;
    Nt "ExAllocatePoolWithTag" 2 true ex::allocate_pool_with_tag;
    Nt "ExAllocatePool" 2 true ex::allocate_pool;
    Nt "ExFreePool" 2 true ex::free_pool;
    Nt "ExFreePoolWithTag" 2 true ex::free_pool_with_tag;

    // Fast mutexes and critical regions.
    Nt "ExAcquireFastMutex" 1 true ex::acquire_fast_mutex;
    Nt "ExReleaseFastMutex" 1 true ex::release_fast_mutex;
    Nt "ExTryToAcquireFastMutex" 1 true ex::try_to_acquire_fast_mutex;
    Nt "KeEnterCriticalRegion" 1 true ex::enter_critical_region;
    Nt "KeLeaveCriticalRegion" 1 true ex::leave_critical_region;

    Nt "ExAcquireFastMutexUnsafe" 1 true ex::acquire_guarded_mutex;
    Nt "ExReleaseFastMutexUnsafe" 1 true ex::release_guarded_mutex;
    Nt "KeInitializeGuardedMutex" 1 true ex::initialize_guarded_mutex;
    Nt "KeAcquireGuardedMutex" 1 true ex::acquire_guarded_mutex;
    Nt "KeReleaseGuardedMutex" 1 true ex::release_guarded_mutex;
    Nt "ExInitializeRundownProtection" 2 true ex::initialize_rundown;
    Nt "ExReInitializeRundownProtection" 2 true ex::initialize_rundown;
    Nt "ExAcquireRundownProtection" 2 true ex::acquire_rundown;
    Nt "ExReleaseRundownProtection" 2 true ex::release_rundown;
    Nt "ExWaitForRundownProtectionRelease" 1 true ex::wait_for_rundown;
    Nt "ExRundownCompleted" 2 true ex::rundown_completed;

    // Lists.
    Nt "ExInterlockedInsertHeadList" 15 true lists::insert_head;
    Nt "ExInterlockedInsertTailList" 15 true lists::insert_tail;
    Nt "ExInterlockedRemoveHeadList" 15 true lists::remove_head;
    Nt "ExInterlockedPushEntryList" 15 true lists::push_entry;
    Nt "ExInterlockedPopEntryList" 15 true lists::pop_entry;
    Nt "ExInterlockedAddUlong" 15 true lists::add_ulong;
    Nt "ExInterlockedAddLargeInteger" 15 true lists::add_large_integer;
    Nt "InitializeSListHead" 15 true lists::slist_initialize;
    Nt "ExpInterlockedPushEntrySList" 2 true lists::slist_push;
    Nt "ExpInterlockedPopEntrySList" 2 true lists::slist_pop;
    Nt "ExpInterlockedFlushSList" 2 true lists::slist_flush;
    Nt "ExQueryDepthSList" 15 true lists::slist_depth;
    Nt "ExInitializeNPagedLookasideList" 2 true lists::initialize_npaged;
    Nt "ExDeleteNPagedLookasideList" 2 true lists::delete;
    Nt "ExInitializePagedLookasideList" 1 true lists::initialize_paged;
    Nt "ExDeletePagedLookasideList" 1 true lists::delete;
    Nt "ExInitializeLookasideListEx" 2 true lists::initialize_ex;
    Nt "ExDeleteLookasideListEx" 2 true lists::delete;
    Nt "ExFlushLookasideListEx" 2 true lists::flush;

    // Threads and processors.
    Nt "PsCreateSystemThread" 0 true ps::create_system_thread;
    Nt "PsTerminateSystemThread" 0 true ps::terminate_system_thread;
    Nt "PsGetCurrentThread" 2 true ps::current_thread;
    Nt "KeGetCurrentThread" 15 true ps::current_thread;
    Nt "PsGetCurrentThreadId" 2 true ps::current_thread_id;
    Nt "PsGetCurrentProcessId" 2 true ps::current_process_id;
    Nt "KeSetPriorityThread" 0 true ps::set_priority_thread;
    Nt "KeQueryActiveProcessorCount" 15 true ps::active_processor_count;
    Nt "KeQueryActiveProcessorCountEx" 15 true ps::processor_count;
    Nt "KeQueryMaximumProcessorCount" 15 true ps::processor_count;
    Nt "KeQueryMaximumProcessorCountEx" 15 true ps::processor_count;
    Nt "KeQueryActiveGroupCount" 15 true ps::group_count;
    Nt "KeQueryActiveProcessors" 15 true ps::active_processors;
    Nt "KeGetCurrentProcessorNumberEx" 15 true ps::current_processor;
    Nt "KeGetProcessorNumberFromIndex" 15 true ps::number_from_index;
    Nt "KeGetProcessorIndexFromNumber" 15 true ps::index_from_number;

    // Objects that are waited on.
    Nt "KeInitializeEvent" 15 true ke::initialize_event;
    Nt "KeSetEvent" 2 true ke::set_event;
    Nt "KeClearEvent" 2 true ke::clear_event;
    Nt "KeResetEvent" 2 true ke::reset_event;
    Nt "KeReadStateEvent" 2 true ke::read_state_event;
    Nt "KeInitializeMutex" 15 true ke::initialize_mutex;
    Nt "KeReleaseMutex" 2 true ke::release_mutex;
    Nt "KeInitializeSemaphore" 15 true ke::initialize_semaphore;
    Nt "KeReleaseSemaphore" 2 true ke::release_semaphore;
    Nt "KeReadStateMutex" 2 true ke::read_state;
    Nt "KeReadStateSemaphore" 15 true ke::read_state;
    Nt "KeReadStateTimer" 2 true ke::read_state;
    Nt "KeWaitForSingleObject" 2 true ke::wait_for_single_object;
    Nt "KeWaitForMultipleObjects" 2 true ke::wait_for_multiple_objects;
    Nt "KeDelayExecutionThread" 1 true ke::delay_execution_thread;

    // DPCs.
    Nt "KeInitializeDpc" 15 true dpc::initialize;
    Nt "KeInsertQueueDpc" 15 true dpc::insert;
    Nt "KeRemoveQueueDpc" 15 true dpc::remove;
    Nt "KeFlushQueuedDpcs" 0 true dpc::flush;
    Nt "KeSetImportanceDpc" 15 true dpc::set_importance;
    Nt "KeSetTargetProcessorDpc" 15 true dpc::set_target;
    Nt "KeSetTargetProcessorDpcEx" 15 true ke::set_target_processor_dpc_ex;

    // Spin locks and IRQL.
    Nt "KeInitializeSpinLock" 15 true spin::initialize;
    Nt "KeAcquireSpinLockRaiseToDpc" 2 true spin::acquire_raise;
    Nt "KeReleaseSpinLock" 2 true spin::release_lower;
    Nt "KeAcquireSpinLockAtDpcLevel" 15 true spin::acquire_at_dpc;
    Nt "KeReleaseSpinLockFromDpcLevel" 15 true spin::release_from_dpc;
    Nt "KeTryToAcquireSpinLockAtDpcLevel" 15 true spin::try_acquire_at_dpc;
    Nt "KeAcquireInStackQueuedSpinLock" 2 true spin::acquire_queued;
    Nt "KeReleaseInStackQueuedSpinLock" 2 true spin::release_queued;
    Nt "KeAcquireInterruptSpinLock" 12 true interrupt::acquire_lock;
    Nt "KeReleaseInterruptSpinLock" 12 true interrupt::release_lock;
    Nt "KeSynchronizeExecution" 12 true interrupt::synchronize;
    Nt "KeGetCurrentIrql" 15 true ke::get_current_irql;
    Nt "KeRaiseIrqlToDpcLevel" 2 true ke::raise_irql_to_dpc_level;
    Nt "KfRaiseIrql" 15 true ke::raise_irql;
    Nt "KeLowerIrql" 15 true ke::lower_irql;

    // Time.
    Hal "KeQueryPerformanceCounter" 15 true ke::query_performance_counter;
    Hal "KeStallExecutionProcessor" 15 true ke::stall_execution_processor;
    Nt "KeQueryTimeIncrement" 15 true ke::query_time_increment;
    Nt "KeQuerySystemTimePrecise" 15 true ke::query_system_time_precise;
    Nt "KeQueryInterruptTimePrecise" 15 true ke::query_interrupt_time_precise;
    Nt "KeQueryUnbiasedInterruptTime" 15 true ke::query_unbiased_interrupt_time;
    Nt "KeInitializeTimer" 2 true timer::initialize;
    Nt "KeInitializeTimerEx" 2 true timer::initialize_ex;
    Nt "KeSetTimer" 2 true timer::set_once;
    Nt "KeSetTimerEx" 2 true timer::set_ex;
    Nt "KeSetCoalescableTimer" 2 true timer::set_coalescable;
    Nt "KeCancelTimer" 2 true timer::cancel;
    Nt "ExAllocateTimer" 2 true timer::ex_allocate;
    Nt "ExSetTimer" 2 true timer::ex_set;
    Nt "ExCancelTimer" 2 true timer::ex_cancel;
    Nt "ExDeleteTimer" 2 true timer::ex_delete;

    // Memory.
    Nt "MmMapIoSpace" 2 true memory::map_io_space;
    Nt "MmMapIoSpaceEx" 2 true memory::map_io_space_ex;
    Nt "MmUnmapIoSpace" 2 true memory::unmap_io_space;
    Nt "MmAllocateContiguousMemory" 2 true memory::allocate_contiguous;
    Nt "MmAllocateContiguousMemorySpecifyCache" 2 true memory::allocate_contiguous_cache;
    Nt "MmAllocateContiguousNodeMemory" 2 true memory::allocate_contiguous_node;
    Nt "MmFreeContiguousMemory" 2 true memory::free_contiguous;
    Nt "MmFreeContiguousMemorySpecifyCache" 2 true memory::free_contiguous_cache;
    Nt "MmGetPhysicalAddress" 15 true memory::physical_address;
    Nt "MmGetSystemRoutineAddress" 0 true get_system_routine_address;
    Nt "MmSystemRangeStart" 15 false ke::system_range_start();

    // I/O manager.
    Nt "IoConnectInterruptEx" 0 true interrupt::connect;
    Nt "IoDisconnectInterruptEx" 0 true interrupt::disconnect;
    Nt "IoAllocateWorkItem" 2 true work::allocate;
    Nt "IoFreeWorkItem" 2 true work::free;
    Nt "IoQueueWorkItem" 2 true work::queue;
    Nt "IoQueueWorkItemEx" 2 true work::queue_ex;

    Nt "IoGetDeviceProperty" 0 true io::get_device_property;
    Nt "IoGetDevicePropertyData" 1 true io::get_device_property_data;
    Nt "IoSetDevicePropertyData" 1 true io::set_device_property_data;
    Nt "IoIsWdmVersionAvailable" 15 true io::wdm_version_available;

    // IRPs.
    Nt "IoAllocateIrp" 2 true irp::allocate;
    Nt "IoInitializeIrp" 2 true irp::initialize;
    Nt "IoReuseIrp" 2 true irp::reuse;
    Nt "IoFreeIrp" 2 true irp::free;
    Nt "IoBuildSynchronousFsdRequest" 0 true irp::build_synchronous;
    Nt "IoBuildDeviceIoControlRequest" 0 true irp::build_control;
    Nt "IofCallDriver" 2 true irp::call_driver;
    Nt "IofCompleteRequest" 2 true irp::complete;
    Nt "IoGetAttachedDeviceReference" 2 true irp::top_of_stack;

    // Registry.
    Nt "IoOpenDriverRegistryKey" 0 true zw::open_driver_key;
    Nt "IoOpenDeviceRegistryKey" 0 true zw::open_device_key;
    Nt "IoOpenDeviceInterfaceRegistryKey" 0 true zw::open_interface_key;
    Nt "ZwOpenKey" 0 true zw::open_key;
    Nt "ZwCreateKey" 0 true zw::create_key;
    Nt "ZwDeleteKey" 0 true zw::delete_key;
    Nt "ZwFlushKey" 0 true zw::flush_key;
    Nt "ZwQueryKey" 0 true zw::query_key;
    Nt "ZwEnumerateKey" 0 true zw::enumerate_key;
    Nt "ZwQueryValueKey" 0 true zw::query_value_key;
    Nt "ZwSetValueKey" 0 true zw::set_value_key;
    Nt "ZwDeleteValueKey" 0 true zw::delete_value_key;
    Nt "ZwEnumerateValueKey" 0 true zw::enumerate_value_key;
    Nt "ZwClose" 0 true zw::close;
    Nt "RtlQueryRegistryValues" 0 true query_values::query;
    Nt "RtlWriteRegistryValue" 0 true query_values::write;
    Nt "RtlDeleteRegistryValue" 0 true query_values::delete;
    Nt "RtlCheckRegistryKey" 0 true query_values::check;
    Nt "RtlCreateRegistryKey" 0 true query_values::create;

    // Device interfaces.
    Nt "IoRegisterDeviceInterface" 0 true device_interface::register;
    Nt "IoSetDeviceInterfacePropertyData" 1 true device_interface::set_property;
    Nt "IoSetDeviceInterfaceState" 0 true device_interface::set_state;
    Nt "RtlFreeUnicodeString" 0 true device_interface::free_unicode_string;

    // Object manager.
    Nt "ObfReferenceObject" 2 true ke::reference_object;
    Nt "ObfDereferenceObject" 2 true ke::dereference_object;
    Nt "ObReferenceObjectByHandle" 0 true ps::reference_object_by_handle;
    Nt "ObReferenceObjectByPointer" 2 true ke::reference_object_by_pointer;

    // Run-time library.
    Nt "RtlInitUnicodeString" 2 true rtl::init_unicode_string;
    Nt "RtlInitUnicodeStringEx" 2 true rtl::init_unicode_string_ex;
    Nt "RtlInitAnsiString" 2 true rtl::init_ansi_string;
    Nt "RtlInitString" 2 true rtl::init_ansi_string;
    Nt "RtlCopyUnicodeString" 2 true rtl::copy_unicode_string;
    Nt "RtlAppendUnicodeToString" 0 true rtl::append_unicode_to_string;
    Nt "RtlAppendUnicodeStringToString" 0 true rtl::append_unicode_string_to_string;
    Nt "RtlCompareUnicodeString" 0 true rtl::compare_unicode_string;
    Nt "RtlEqualUnicodeString" 0 true rtl::equal_unicode_string;
    Nt "RtlPrefixUnicodeString" 0 true rtl::prefix_unicode_string;
    Nt "RtlUpcaseUnicodeChar" 0 true rtl::upcase_unicode_char;
    Nt "RtlUpcaseUnicodeString" 0 true rtl::upcase_unicode_string;
    Nt "RtlAnsiStringToUnicodeString" 0 true rtl::ansi_to_unicode;
    Nt "RtlUnicodeStringToAnsiString" 0 true rtl::unicode_to_ansi;
    Nt "RtlFreeAnsiString" 0 true device_interface::free_unicode_string;
    Nt "RtlIntegerToUnicodeString" 0 true rtl::integer_to_unicode;
    Nt "RtlUnicodeStringToInteger" 0 true rtl::unicode_to_integer;
    Nt "RtlStringFromGUID" 0 true rtl::string_from_guid;
    Nt "RtlGUIDFromString" 0 true rtl::guid_from_string;
    Nt "RtlGetVersion" 0 true rtl::get_version;
    Nt "RtlCompareMemory" 15 true rtl::compare_memory;

    // Formats: narrow ones at any level, wide ones need the pageable Unicode tables.
    Nt "_vsnprintf" 15 true printf::vsnprintf;
    Nt "_vsnwprintf" 0 true printf::vsnwprintf;
    Nt "vsprintf" 15 true printf::vsprintf;
    Nt "vsprintf_s" 15 true printf::vsprintf_s;
    Nt "vswprintf_s" 0 true printf::vswprintf_s;
    Nt "_vsnprintf_s" 15 true printf::vsnprintf_s;
    Nt "_vsnwprintf_s" 0 true printf::vsnwprintf_s;
    Nt "sprintf" 15 true printf::sprintf;
    Nt "swprintf" 0 true printf::swprintf;
    Nt "_snprintf" 15 true printf::snprintf;
    Nt "_snwprintf" 0 true printf::snwprintf;
    Nt "sprintf_s" 15 true printf::sprintf_s;
    Nt "swprintf_s" 0 true printf::swprintf_s;
    Nt "_snprintf_s" 15 true printf::snprintf_s;
    Nt "_snwprintf_s" 0 true printf::snwprintf_s;

    // The compiler's helpers: called with whatever registers it likes, at any level.
    Nt "__chkstk" 15 false crt::chkstk;
    Nt "memcpy" 15 false crt::memcpy;
    Nt "memmove" 15 false crt::memmove;
    Nt "memset" 15 false crt::memset;
    Nt "memcmp" 15 false crt::memcmp;
    Nt "strlen" 15 false crt::strlen;
    Nt "wcslen" 15 false crt::wcslen;

    // The rest of the C run-time library.
    Nt "strcmp" 15 true crt::compare::<u8>;
    Nt "wcscmp" 15 true crt::compare::<u16>;
    Nt "strncmp" 15 true crt::compare_counted::<u8>;
    Nt "wcsncmp" 15 true crt::compare_counted::<u16>;
    Nt "_stricmp" 15 true crt::compare_insensitive::<u8>;
    Nt "_wcsicmp" 15 true crt::compare_insensitive::<u16>;
    Nt "_strnicmp" 15 true crt::compare_insensitive_counted::<u8>;
    Nt "_wcsnicmp" 15 true crt::compare_insensitive_counted::<u16>;
    Nt "strcpy" 15 true crt::copy::<u8>;
    Nt "wcscpy" 15 true crt::copy::<u16>;
    Nt "strncpy" 15 true crt::copy_counted::<u8>;
    Nt "wcsncpy" 15 true crt::copy_counted::<u16>;
    Nt "strcat" 15 true crt::append::<u8>;
    Nt "wcscat" 15 true crt::append::<u16>;
    Nt "strncat" 15 true crt::append_counted::<u8>;
    Nt "wcsncat" 15 true crt::append_counted::<u16>;
    Nt "strcpy_s" 15 true crt::copy_secure::<u8>;
    Nt "wcscpy_s" 15 true crt::copy_secure::<u16>;
    Nt "strcat_s" 15 true crt::append_secure::<u8>;
    Nt "wcscat_s" 15 true crt::append_secure::<u16>;
    Nt "strnlen" 15 true crt::bounded_length::<u8>;
    Nt "wcsnlen" 15 true crt::bounded_length::<u16>;
    Nt "strchr" 15 true crt::find::<u8>;
    Nt "wcschr" 15 true crt::find::<u16>;
    Nt "strrchr" 15 true crt::find_last::<u8>;
    Nt "wcsrchr" 15 true crt::find_last::<u16>;
    Nt "strstr" 15 true crt::find_text::<u8>;
    Nt "wcsstr" 15 true crt::find_text::<u16>;
    Nt "_strupr" 15 true crt::to_upper::<u8>;
    Nt "_wcsupr" 15 true crt::to_upper::<u16>;
    Nt "_strlwr" 15 true crt::to_lower::<u8>;
    Nt "_wcslwr" 15 true crt::to_lower::<u16>;
    Nt "atoi" 15 true crt::to_number::<u8>;
    Nt "_wtoi" 15 true crt::to_number::<u16>;
    Nt "atol" 15 true crt::to_number::<u8>;
    Nt "_wtol" 15 true crt::to_number::<u16>;
    Nt "memchr" 15 true crt::memchr;
    Nt "memcpy_s" 15 true crt::move_secure;
    Nt "memmove_s" 15 true crt::move_secure;
    Nt "tolower" 15 true crt::tolower;
    Nt "toupper" 15 true crt::toupper;
    Nt "towlower" 15 true crt::towlower;
    Nt "isdigit" 15 true crt::isdigit;
    Nt "isxdigit" 15 true crt::isxdigit;
    Nt "isspace" 15 true crt::isspace;
    Nt "isprint" 15 true crt::isprint;
    Nt "qsort" 15 true crt::qsort;
    Nt "bsearch" 15 true crt::bsearch;
    Nt "towupper" 15 true rtl::upcase_unicode_char;
}

/// All exports.
#[cfg(not(target_os = "uefi"))]
pub fn all() -> alloc::vec::Vec<Export> {
    NAMES
        .iter()
        .map(|(dll, name, max_irql, thunk)| Export { dll: *dll, name, max_irql: *max_irql, thunk: *thunk })
        .collect()
}

/// All exports.
#[cfg(target_os = "uefi")]
pub fn all() -> alloc::vec::Vec<Export> {
    let names = NAMES.iter().zip(addresses::all());
    names
        .map(|((dll, name, max_irql, thunk), address)| Export {
            dll: *dll,
            name,
            max_irql: *max_irql,
            thunk: *thunk,
            address,
        })
        .collect()
}

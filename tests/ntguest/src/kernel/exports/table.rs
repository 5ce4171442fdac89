//! The table of exports. Levels are those of the public DDI pages: 0 PASSIVE, 1 APC, 2 DISPATCH, 12 the
//! highest device level, 15 any. Services with a level that depends on their arguments check it themselves.

use super::{Dll, Export};

/// Builds an `Export`: on the host it has no address.
macro_rules! table {
    ($($dll:ident $name:literal $irql:literal $thunk:literal $address:expr;)*) => {
        #[cfg(target_os = "uefi")]
        mod addresses {
            use crate::kernel::exports::{debug, ex, get_system_routine_address, ke, rtl};
            use crate::kernel::{dpc, interrupt, memory, spin::exports as spin, timer, work};
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

    // Pool.
    Nt "ExAllocatePool2" 2 true ex::allocate_pool2;
    Nt "ExAllocatePoolWithTag" 2 true ex::allocate_pool_with_tag;
    Nt "ExFreePool" 2 true ex::free_pool;
    Nt "ExFreePoolWithTag" 2 true ex::free_pool_with_tag;

    // Fast mutexes and critical regions.
    Nt "ExAcquireFastMutex" 1 true ex::acquire_fast_mutex;
    Nt "ExReleaseFastMutex" 1 true ex::release_fast_mutex;
    Nt "ExTryToAcquireFastMutex" 1 true ex::try_to_acquire_fast_mutex;
    Nt "KeEnterCriticalRegion" 1 true ex::enter_critical_region;
    Nt "KeLeaveCriticalRegion" 1 true ex::leave_critical_region;

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
    Nt "KeWaitForSingleObject" 2 true ke::wait_for_single_object;
    Nt "KeWaitForMultipleObjects" 2 true ke::wait_for_multiple_objects;
    Nt "KeDelayExecutionThread" 1 true ke::delay_execution_thread;

    // DPCs.
    Nt "KeInitializeDpc" 15 true dpc::initialize;
    Nt "KeInsertQueueDpc" 15 true dpc::insert;
    Nt "KeRemoveQueueDpc" 15 true dpc::remove;
    Nt "KeFlushQueuedDpcs" 0 true ke::flush_queued_dpcs;
    Nt "KeSetImportanceDpc" 15 true dpc::set_importance;
    Nt "KeSetTargetProcessorDpc" 15 true ke::set_target_processor_dpc;

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

    // Device interfaces.
    Nt "IoRegisterDeviceInterface" 0 true device_interface::register;
    Nt "IoSetDeviceInterfacePropertyData" 1 true device_interface::set_property;
    Nt "RtlFreeUnicodeString" 0 true device_interface::free_unicode_string;

    // Object manager.
    Nt "ObfReferenceObject" 2 true ke::reference_object;
    Nt "ObfDereferenceObject" 2 true ke::dereference_object;
    Nt "ObReferenceObjectByPointer" 2 true ke::reference_object_by_pointer;

    // Run-time library.
    Nt "RtlInitUnicodeString" 2 true rtl::init_unicode_string;
    Nt "RtlCompareMemory" 15 true rtl::compare_memory;
    Nt "RtlEqualUnicodeString" 0 true rtl::equal_unicode_string;

    // The compiler's helpers: called with whatever registers it likes, at any level.
    Nt "__chkstk" 15 false rtl::chkstk;
    Nt "memcpy" 15 false rtl::memcpy;
    Nt "memmove" 15 false rtl::memmove;
    Nt "memset" 15 false rtl::memset;
    Nt "memcmp" 15 false rtl::memcmp;
    Nt "strlen" 15 false rtl::strlen;
    Nt "wcslen" 15 false rtl::wcslen;
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

//! What must be gone when the driver is: everything is left behind in one boot
//! (`selftest=left-behind-rules`, two processors), and found at its end.

use core::ffi::c_void;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::rules::{Case, buffer};
use super::service_rules::{close, create_thread, open_parameters};
use super::{MS, allocate, connect, map_card, raise, service, services};
use crate::kernel::layout::{KDpc, KTimer};
use crate::kernel::{irql, pages, processor};

/// The rules, and how they are broken.
pub const CASES: &[Case] = &[
    ("pool-leak", || {
        allocate(100);
    }),
    ("mdl-leak", || {
        buffer();
    }),
    ("mapping-leak", || {
        pages::map(buffer(), 1);
    }),
    ("contiguous-leak", || {
        service!("MmAllocateContiguousMemory" as fn(usize, u64) -> *mut u8)(8192, u64::MAX);
    }),
    ("mmio-leak", || {
        map_card();
    }),
    ("interrupt-leak", || {
        connect(&mut null_mut());
    }),
    ("timer-leak", || {
        let timer = alloc::boxed::Box::leak(alloc::boxed::Box::<KTimer>::new_uninit()).as_mut_ptr();
        service!("KeInitializeTimer" as fn(*mut KTimer))(timer);
        service!("KeSetTimer" as fn(*mut KTimer, i64, *mut KDpc) -> u8)(timer, -1000 * MS, null_mut());
    }),
    ("work-item-leak", || {
        service!("IoAllocateWorkItem" as fn(*mut c_void) -> *mut c_void)(null_mut());
    }),
    ("reference-leak", || {
        service!("ObfReferenceObject" as fn(*mut c_void) -> isize)(0x1000 as *mut c_void);
    }),
    ("critical-region", || service!("KeEnterCriticalRegion" as fn())()),
    ("handle-leak", || {
        open_parameters(0x240);
    }),
    ("lookaside-leak", || {
        let list = alloc::boxed::Box::leak(alloc::vec![0u64; 24].into_boxed_slice()).as_mut_ptr();
        let initialize = service!("ExInitializeLookasideListEx" as fn(*mut u64, usize, usize, u32) -> i32);
        initialize(list, 0, 0, 512);
    }),
    ("thread-leak", || {
        unsafe extern "win64" fn forever(_: *mut c_void) {
            loop {
                crate::kernel::thread::sleep_100ns(100_000);
            }
        }
        close(create_thread(forever as *const () as usize));
    }),
    ("bus-interface-leak", || {
        services::query_bus_interface(64, &mut [0; 8]);
    }),
    ("etw-leak", || {
        let mut handle = 0u64;
        service!("EtwRegister" as fn(usize, usize, usize, *mut u64) -> i32)(0, 0, 0, &raw mut handle);
    }),
    // Last, for it takes a processor away.
    ("dpc-leak", || {
        let busy = keep_a_processor_busy();
        let dpc = alloc::boxed::Box::leak(alloc::boxed::Box::<KDpc>::new_uninit()).as_mut_ptr();
        service!("KeInitializeDpc" as fn(*mut KDpc, usize, *mut c_void))(
            dpc,
            nothing as *const () as usize,
            null_mut(),
        );
        service!("KeSetTargetProcessorDpc" as fn(*mut KDpc, i8))(dpc, busy as i8);
        service!("KeInsertQueueDpc" as fn(*mut KDpc, *mut c_void, *mut c_void) -> u8)(
            dpc,
            null_mut(),
            null_mut(),
        );
    }),
];

unsafe extern "win64" fn nothing(_: *mut KDpc, _: *mut c_void, _: *mut c_void, _: *mut c_void) {}

/// A processor whose thread stays at DISPATCH_LEVEL, so that no DPC of its queue begins, until the run ends.
/// Needs two.
fn keep_a_processor_busy() -> usize {
    static BUSY: AtomicUsize = AtomicUsize::new(usize::MAX);
    unsafe extern "win64" fn spin(_: *mut c_void) {
        raise(irql::DISPATCH);
        BUSY.store(processor::current(), Relaxed);
        loop {
            core::hint::spin_loop();
        }
    }
    close(create_thread(spin as *const () as usize));
    while BUSY.load(Relaxed) == usize::MAX {
        core::hint::spin_loop();
    }
    BUSY.load(Relaxed)
}

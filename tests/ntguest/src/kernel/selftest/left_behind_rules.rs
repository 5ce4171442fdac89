//! What must be gone when the driver is: everything is left behind in one boot
//! (`selftest=left-behind-rules`), and found at its end.

use core::ffi::c_void;
use core::ptr::null_mut;

use super::rules::{Case, buffer};
use super::service_rules::{close, create_thread, open_parameters};
use super::{MS, allocate, connect, map_card, service};
use crate::kernel::layout::{KDpc, KTimer};
use crate::kernel::pages;

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
    ("etw-leak", || {
        let mut handle = 0u64;
        service!("EtwRegister" as fn(usize, usize, usize, *mut u64) -> i32)(0, 0, 0, &raw mut handle);
    }),
];

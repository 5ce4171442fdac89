//! The rules of what an ordinary driver imports beside events, locks and pool (`services.rs`), and a way to break each.
#![expect(clippy::items_after_statements, reason = "the type of a service stands where its thunk is made")]

use core::ffi::c_void;
use core::ptr::null_mut;

use super::rules::Case;
use super::{TAG, service};
use crate::kernel::image;
use crate::kernel::layout::ListEntry;
use crate::kernel::layout::UnicodeString;
use crate::portcls::adapter;

/// The rules that can be broken from here, and how.
pub const CASES: &[Case] = &[
    ("handle-leak", || {
        open_parameters(0x240);
    }),
    ("handle-unknown", || {
        service!("ZwClose" as fn(usize) -> i32)(0x1234);
    }),
    ("kernel-handle", || {
        close(open_parameters(0x40));
    }),
    ("object-attributes", || {
        let mut handle = 0usize;
        let open = service!("ZwOpenKey" as fn(*mut usize, u32, *const usize) -> i32);
        open(&raw mut handle, 0, [0usize; 6].as_ptr());
    }),
    ("registry-key", || {
        let mut handle = 0usize;
        let open = service!("IoOpenDeviceRegistryKey" as fn(usize, u32, u32, *mut usize) -> i32);
        open(0x1000, 2, 0, &raw mut handle);
    }),
    ("registry-typecheck", || {
        let mut number = 0u32;
        let path = image::unicode("ringwave").buffer;
        let row = [0, 0x20, image::unicode("Start").buffer as usize, (&raw mut number) as usize, 0, 0, 0];
        let rows = [row, [0; 7]];
        let query =
            service!("RtlQueryRegistryValues" as fn(u32, *mut u16, *const [usize; 7], usize, usize) -> i32);
        query(1, path, rows.as_ptr(), 0, 0);
    }),
    ("lookaside-leak", || {
        let list = alloc::boxed::Box::leak(alloc::vec![0u64; 24].into_boxed_slice()).as_mut_ptr();
        let initialize = service!("ExInitializeLookasideListEx" as fn(*mut u64, usize, usize, u32) -> i32);
        initialize(list, 0, 0, 512);
    }),
    ("list-corrupt", || {
        let mut head = ListEntry { flink: null_mut(), blink: null_mut() };
        let mut entry = head;
        head.flink = &raw mut head;
        let insert = service!(
            "ExInterlockedInsertHeadList" as fn(*mut ListEntry, *mut ListEntry, *mut usize) -> usize
        );
        let mut lock = 0usize;
        insert(&raw mut head, &raw mut entry, &raw mut lock);
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
    ("exception", || service!("ExRaiseStatus" as fn(u32))(0xc000_0005)),
    ("irp-pnp-status", || {
        let irp = build();
        service!("IofCallDriver" as fn(*mut c_void, *mut u8) -> i32)(adapter::pdo().cast(), irp);
    }),
    ("irp-not-reclaimed", || {
        let irp = service!("IoAllocateIrp" as fn(i8, u8) -> *mut u8)(1, 0);
        // SAFETY: an IRP with one location: its status is at 0x30, the major function of a PnP IRP in the first byte of the location.
        unsafe {
            irp.add(0x30).cast::<u32>().write(0xc000_00bb);
            irp.add(0xd0).write(0x1b);
        }
        service!("IofCallDriver" as fn(*mut c_void, *mut u8) -> i32)(adapter::pdo().cast(), irp);
        service!("IoFreeIrp" as fn(*mut u8))(irp);
    }),
    ("irp-no-location", || {
        let irp = build();
        // SAFETY: the count of locations left is the byte at 0x43.
        unsafe { irp.add(0x43).write(1) };
        service!("IofCallDriver" as fn(*mut c_void, *mut u8) -> i32)(adapter::pdo().cast(), irp);
    }),
    ("irp-unknown", || {
        let block = super::allocate(0x118);
        service!("IoFreeIrp" as fn(*mut u8))(block);
        super::free(block);
    }),
    ("invalid-parameter", || {
        let mut out = [0u16; 4];
        let copy = service!("wcscpy_s" as fn(*mut u16, usize, *const u16) -> i32);
        copy(out.as_mut_ptr(), 4, image::unicode("five!").buffer);
    }),
    ("register-under-lock", || {
        crate::kernel::lock_watch::judge_everybody();
        let registers = super::map_card();
        let mut lock = 0usize;
        let old = super::acquire(&raw mut lock);
        // SAFETY: the register page of the card, mapped.
        let id = unsafe { registers.cast::<u32>().read_volatile() };
        service!("KeReleaseSpinLock" as fn(*mut usize, u8))(&raw mut lock, old);
        // SAFETY: as above; the page is there again.
        assert!(unsafe { registers.cast::<u32>().read_volatile() } == id, "the access was done");
        service!("MmUnmapIoSpace" as fn(*mut u8, usize))(registers, 4096);
    }),
    ("slist-alignment", || {
        let block = super::allocate(32);
        service!("InitializeSListHead" as fn(*mut u8))(block.wrapping_add(8));
        super::free(block);
    }),
];

fn open_parameters(attributes: usize) -> usize {
    let name: UnicodeString =
        image::unicode("\\Registry\\Machine\\System\\CurrentControlSet\\Services\\ringwave\\Parameters");
    let mut handle = 0usize;
    let at = [48, 0, (&raw const name) as usize, attributes, 0, 0];
    service!("ZwOpenKey" as fn(*mut usize, u32, *const usize) -> i32)(&raw mut handle, 0, at.as_ptr());
    handle
}

fn close(handle: usize) {
    service!("ZwClose" as fn(usize) -> i32)(handle);
}

fn create_thread(routine: usize) -> usize {
    let mut handle = 0usize;
    type Create = extern "win64" fn(*mut usize, u32, usize, usize, usize, usize, usize) -> i32;
    // SAFETY: the thunk leads to a function of this type.
    let create = unsafe { core::mem::transmute::<usize, Create>(super::thunk("PsCreateSystemThread")) };
    create(&raw mut handle, 0, 0, 0, 0, routine, TAG as usize);
    handle
}

/// A PnP IRP for the PDO whose status nobody set.
fn build() -> *mut u8 {
    type Build = extern "win64" fn(u32, *mut c_void, usize, u32, usize, usize, usize) -> *mut u8;
    // SAFETY: the thunk leads to a function of this type.
    let build = unsafe { core::mem::transmute::<usize, Build>(super::thunk("IoBuildSynchronousFsdRequest")) };
    build(0x1b, adapter::pdo().cast(), 0, 0, 0, 0, 0)
}

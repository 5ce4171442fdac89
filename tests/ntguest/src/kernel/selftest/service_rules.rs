//! The rules of what an ordinary driver imports beside events, locks and pool (`services.rs`), and a way to
//! break each.
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
    ("exception", || service!("ExRaiseStatus" as fn(u32))(0xc000_0005)),
    ("irp-no-location", || {
        let irp = build();
        // SAFETY: the count of locations left is the byte at 0x43.
        unsafe { irp.add(0x43).write(1) };
        service!("IofCallDriver" as fn(*mut c_void, *mut u8) -> i32)(adapter::pdo().cast(), irp);
    }),
    ("invalid-parameter", || {
        let mut out = [0u16; 4];
        let copy = service!("wcscpy_s" as fn(*mut u16, usize, *const u16) -> i32);
        copy(out.as_mut_ptr(), 4, image::unicode("five!").buffer);
    }),
    ("register-under-lock", || {
        crate::kernel::lock_watch::check_all_code();
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
];

pub fn open_parameters(attributes: usize) -> usize {
    let name: UnicodeString =
        image::unicode("\\Registry\\Machine\\System\\CurrentControlSet\\Services\\ringwave\\Parameters");
    let mut handle = 0usize;
    let at = [48, 0, (&raw const name) as usize, attributes, 0, 0];
    service!("ZwOpenKey" as fn(*mut usize, u32, *const usize) -> i32)(&raw mut handle, 0, at.as_ptr());
    handle
}

pub fn close(handle: usize) {
    service!("ZwClose" as fn(usize) -> i32)(handle);
}

pub fn create_thread(routine: usize) -> usize {
    let mut handle = 0usize;
    type Create = extern "win64" fn(*mut usize, u32, usize, usize, usize, usize, usize) -> i32;
    // SAFETY: the thunk leads to a function of this type.
    let create = unsafe { core::mem::transmute::<usize, Create>(super::thunk("PsCreateSystemThread")) };
    create(&raw mut handle, 0, 0, 0, 0, routine, TAG as usize);
    handle
}

/// A PnP IRP for the PDO whose status nobody set.
pub fn build() -> *mut u8 {
    build_for(adapter::pdo().cast())
}

/// The same for another device.
pub fn build_for(device: *mut c_void) -> *mut u8 {
    type Build = extern "win64" fn(u32, *mut c_void, usize, u32, usize, usize, usize) -> *mut u8;
    // SAFETY: the thunk leads to a function of this type.
    let build = unsafe { core::mem::transmute::<usize, Build>(super::thunk("IoBuildSynchronousFsdRequest")) };
    build(0x1b, device, 0, 0, 0, 0, 0)
}

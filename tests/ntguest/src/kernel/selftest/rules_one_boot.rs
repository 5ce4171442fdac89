//! Rules of all services but memory's (`memory_rules.rs`) after which the kernel can go on: all are broken in
//! one boot (`selftest=rules-one-boot`), a line before each.

use alloc::boxed::Box;
use core::arch::asm;
use core::ffi::c_void;
use core::mem::zeroed;
use core::ptr::{null, null_mut};

use super::rules::Case;
use super::service_rules::{self, build, close, open_parameters};
use super::{MS, TAG, connect, disconnect, lower, raise, service, service_routine, services};
use crate::kernel::layout::{DriverObject, KDpc, KEvent, ListEntry, UnicodeString};
use crate::kernel::{call, image, interrupt, irql, thread};
use crate::portcls::adapter;
use crate::portcls::layout::DeviceObject;

/// Room for any object of the kernel's, aligned as pool is.
#[repr(align(16))]
struct Room([usize; 40]);

impl Room {
    const fn new() -> Self {
        Self([0; 40])
    }

    const fn at<T>(&mut self) -> *mut T {
        self.0.as_mut_ptr().cast()
    }
}

/// A device whose driver sends each PnP IRP on to the bus as it is.
fn forwarding_device() -> *mut c_void {
    unsafe extern "win64" fn forward(_: *mut c_void, irp: *mut c_void) -> i32 {
        service!("IofCallDriver" as fn(*mut c_void, *mut c_void) -> i32)(adapter::pdo().cast(), irp)
    }
    device_of(forward)
}

/// A device of a driver with this routine for PnP.
fn device_of(dispatch: unsafe extern "win64" fn(*mut c_void, *mut c_void) -> i32) -> *mut c_void {
    // SAFETY: numbers, pointers and optional functions, for which zero is a value.
    let (mut driver, mut device) =
        unsafe { (Box::new(zeroed::<DriverObject>()), Box::new(zeroed::<DeviceObject>())) };
    driver.major_function[0x1b] = Some(dispatch);
    device.driver_object = Box::into_raw(driver).cast();
    device.stack_size = 2;
    Box::into_raw(device).cast()
}

/// The rules, and how they are broken.
pub const CASES: &[Case] = &[
    ("interlocked-lock", || {
        // An empty list, and the word of a lock that somebody holds.
        let (mut lock, mut room) = (1usize, Room::new());
        let head: *mut ListEntry = room.at();
        room.0[..2].fill(head.addr());
        service!("ExInterlockedRemoveHeadList" as fn(*mut ListEntry, *mut usize) -> usize)(
            head,
            &raw mut lock,
        );
    }),
    ("lookaside", || service!("ExDeleteLookasideListEx" as fn(*mut c_void))(Room::new().at())),
    ("irql-raise", || {
        raise(irql::DISPATCH);
        raise(irql::APC);
        lower(irql::PASSIVE);
    }),
    ("irql-lower", || {
        lower(irql::APC);
        lower(irql::PASSIVE);
    }),
    ("spinlock-not-held", || {
        let mut lock = 0usize;
        let old = raise(irql::DISPATCH);
        service!("KeReleaseSpinLock" as fn(*mut usize, u8))(&raw mut lock, old);
    }),
    ("lock-order", || {
        // Three locks in a circle, each pair at another time: nobody waits.
        let mut locks = [0usize; 3];
        for (first, then) in [(0, 1), (1, 2), (2, 0)] {
            let old = super::acquire(&raw mut locks[first]);
            service!("KeAcquireSpinLockAtDpcLevel" as fn(*mut usize))(&raw mut locks[then]);
            service!("KeReleaseSpinLockFromDpcLevel" as fn(*mut usize))(&raw mut locks[then]);
            service!("KeReleaseSpinLock" as fn(*mut usize, u8))(&raw mut locks[first], old);
        }
    }),
    ("wait-count", || {
        type Timeout = *const i64;
        let wait = service!(
            "KeWaitForMultipleObjects"
                as fn(u32, *const usize, u32, u32, u8, u8, Timeout, *mut c_void) -> i32
        );
        wait(0, null(), 0, 0, 0, 0, null(), null_mut());
    }),
    ("bad-object", || {
        let mut room = Room::new();
        room.0[0] = 0x7f;
        super::set_event(room.at());
    }),
    ("event-type", || {
        service!("KeInitializeEvent" as fn(*mut KEvent, u32, u8))(Room::new().at(), 7, 0);
    }),
    ("mutex-not-owner", || {
        let mut mutex = Room::new();
        service!("KeInitializeMutex" as fn(*mut c_void, u32))(mutex.at(), 0);
        service!("KeReleaseMutex" as fn(*mut c_void, u8) -> i32)(mutex.at(), 0);
    }),
    ("semaphore-limit", || {
        let mut semaphore = Room::new();
        service!("KeInitializeSemaphore" as fn(*mut c_void, i32, i32))(semaphore.at(), 1, 1);
        service!("KeReleaseSemaphore" as fn(*mut c_void, i32, i32, u8) -> i32)(semaphore.at(), 0, 1, 0);
    }),
    ("fast-mutex", || {
        let mut mutex = Room::new();
        service!("KeInitializeGuardedMutex" as fn(*mut c_void))(mutex.at());
        service!("KeReleaseGuardedMutex" as fn(*mut c_void))(mutex.at());
    }),
    ("rundown", || service!("ExReleaseRundownProtection" as fn(*mut usize))(Room::new().at())),
    ("stall-too-long", || service!("KeStallExecutionProcessor" as fn(u32))(51)),
    ("dpc-uninitialised", || {
        let insert = service!("KeInsertQueueDpc" as fn(*mut KDpc, *mut c_void, *mut c_void) -> u8);
        insert(Room::new().at(), null_mut(), null_mut());
    }),
    ("extimer-unknown", || {
        service!("ExCancelTimer" as fn(*mut c_void, *mut c_void) -> u8)(0x1000 as *mut c_void, null_mut());
    }),
    ("work-item-unknown", || service!("IoFreeWorkItem" as fn(*mut c_void))(0x1000 as *mut c_void)),
    ("work-item-queued", || {
        unsafe extern "win64" fn nothing(_: *mut c_void, _: *mut c_void) {}
        let item = service!("IoAllocateWorkItem" as fn(*mut c_void) -> *mut c_void)(null_mut());
        let queue = service!("IoQueueWorkItem" as fn(*mut c_void, usize, u32, *mut c_void));
        // Nobody runs it meanwhile.
        let old = raise(irql::DISPATCH);
        for _ in 0..2 {
            queue(item, nothing as *const () as usize, 1, null_mut());
        }
        lower(old);
        thread::sleep_100ns(50 * MS);
        service!("IoFreeWorkItem" as fn(*mut c_void))(item);
    }),
    ("thread-terminate", || {
        service!("PsTerminateSystemThread" as fn(i32) -> i32)(0);
    }),
    ("thread-priority", || {
        service!("KeSetPriorityThread" as fn(usize, i32) -> i32)(thread::current_object(), 99);
    }),
    ("processor-number", || {
        service!("KeSetTargetProcessorDpc" as fn(*mut KDpc, i8))(Room::new().at(), 5);
    }),
    ("irp-stack", || {
        service!("IoAllocateIrp" as fn(i8, u8) -> *mut u8)(0, 0);
    }),
    ("irp-in-use", || {
        // The I/O manager frees it when it is completed.
        let irp = build();
        service!("IoFreeIrp" as fn(*mut u8))(irp);
    }),
    ("irp-status", || {
        unsafe extern "win64" fn pend(_: *mut c_void, irp: *mut c_void) -> i32 {
            // SAFETY: the IRP that is sent below.
            unsafe { irp.byte_add(0x30).cast::<u32>().write(0x103) };
            service!("IofCompleteRequest" as fn(*mut c_void, i8))(irp, 0);
            0x103
        }
        let device = device_of(pend);
        let irp = service_rules::build_for(device);
        // SAFETY: a new IRP: its status is at 0x30.
        unsafe { irp.add(0x30).cast::<u32>().write(0xc000_00bb) };
        service!("IofCallDriver" as fn(*mut c_void, *mut u8) -> i32)(device, irp);
    }),
    ("bus-interface", || {
        services::query_bus_interface(8, &mut [0; 8]);
    }),
    ("device-interface", || {
        // A reference string with a separator.
        let (class, name) = ([0u32; 4], image::unicode("Wave\\Out"));
        let mut link = UnicodeString { length: 0, maximum_length: 0, buffer: null_mut() };
        let register = service!(
            "IoRegisterDeviceInterface"
                as fn(*mut DeviceObject, *const u32, *const UnicodeString, *mut UnicodeString) -> i32
        );
        register(adapter::pdo(), class.as_ptr(), &raw const name, &raw mut link);
    }),
    ("irp-completed-twice", || {
        let irp = service!("IoAllocateIrp" as fn(i8, u8) -> *mut u8)(1, 0);
        // It was never sent.
        service!("IofCompleteRequest" as fn(*mut u8, i8))(irp, 0);
        service!("IoFreeIrp" as fn(*mut u8))(irp);
    }),
    ("reference-underflow", || {
        service!("ObfDereferenceObject" as fn(*mut c_void) -> isize)(0x1000 as *mut c_void);
    }),
    ("version-size", || {
        service!("RtlGetVersion" as fn(*mut c_void) -> i32)(Room::new().at());
    }),
    ("etw-handle", || {
        service!("EtwUnregister" as fn(u64) -> i32)(0x1234);
    }),
    ("assertion", || {
        let text = c"what is asserted".as_ptr().cast();
        service!("RtlAssert" as fn(*const u8, *const u8, u32, *const u8))(text, text, 1, null());
    }),
    ("interrupt-parameters", || {
        let mut parameters = [0usize; 10];
        service!("IoConnectInterruptEx" as fn(*mut usize) -> i32)(parameters.as_mut_ptr());
    }),
    ("interrupt-pdo", || {
        // Another device than the one that the PnP manager has said is the card's.
        interrupt::expect_pdo(0, adapter::pdo().cast());
        connect(&mut null_mut());
        interrupt::expect_pdo(0, null_mut());
    }),
    ("interrupt-irql", || {
        // SynchronizeIrql is the byte behind the spin lock.
        let mut context = null_mut::<c_void>();
        let routine = service_routine as *const () as usize;
        let mut parameters =
            [3, 0x1000, (&raw mut context) as usize, routine, 0, 0, usize::from(irql::APC), 0, 0, 0];
        service!("IoConnectInterruptEx" as fn(*mut usize) -> i32)(parameters.as_mut_ptr());
        disconnect(context);
    }),
    ("interrupt-not-connected", || disconnect(0x1000 as *mut c_void)),
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
    ("uninitialised", || {
        let (handle, name) = (open_parameters(0x200), image::unicode("Secret"));
        let fresh = service!("ExAllocatePoolWithTag" as fn(u32, usize, u32) -> *mut u8)(0x200, 16, TAG);
        service!("ZwSetValueKey" as fn(usize, *const UnicodeString, u32, u32, *const u8, u32) -> i32)(
            handle,
            &raw const name,
            0,
            3,
            fresh,
            16,
        );
        service!("ExFreePoolWithTag" as fn(*mut u8, u32))(fresh, TAG);
        close(handle);
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
    ("irp-pnp-status", || {
        let irp = build();
        service!("IofCallDriver" as fn(*mut c_void, *mut u8) -> i32)(adapter::pdo().cast(), irp);
    }),
    ("irp-not-reclaimed", || {
        let irp = service!("IoAllocateIrp" as fn(i8, u8) -> *mut u8)(1, 0);
        // SAFETY: an IRP with one location: its status is at 0x30, the major function of a PnP IRP in the
        // first byte of the location.
        unsafe {
            irp.add(0x30).cast::<u32>().write(0xc000_00bb);
            irp.add(0xd0).write(0x1b);
        }
        service!("IofCallDriver" as fn(*mut c_void, *mut u8) -> i32)(adapter::pdo().cast(), irp);
        service!("IoFreeIrp" as fn(*mut u8))(irp);
    }),
    ("irp-not-copied", || {
        let device = forwarding_device();
        let irp = service_rules::build_for(device);
        // SAFETY: a new IRP: its status is at 0x30.
        unsafe { irp.add(0x30).cast::<u32>().write(0xc000_00bb) };
        service!("IofCallDriver" as fn(*mut c_void, *mut u8) -> i32)(device, irp);
    }),
    ("nonvolatile-registers", || {
        call::driver_call("selftest", irql::DISPATCH, || {
            // SAFETY: none: it is not given back, which is the case.
            unsafe { asm!("pxor xmm9, xmm9", options(nostack)) };
        });
    }),
    ("irp-unknown", || {
        let block = super::allocate(0x118);
        service!("IoFreeIrp" as fn(*mut u8))(block);
        super::free(block);
    }),
    ("slist-alignment", || {
        let block = super::allocate(32);
        service!("InitializeSListHead" as fn(*mut u8))(block.wrapping_add(8));
        super::free(block);
    }),
];

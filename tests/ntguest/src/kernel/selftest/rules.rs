//! Every rule that can be broken without a driver image, and a way to break it.

use core::arch::asm;
use core::ffi::c_void;
use core::ptr::null_mut;

use super::{
    MS, PAGED, TAG, acquire, allocate, connect, disconnect, free, lower, map_card, raise,
    raise_edu_interrupt, service, set_event, store,
};
use crate::kernel::event::{Event, EventKind};
use crate::kernel::layout::{KDpc, KTimer, Mdl};
use crate::kernel::sync::IrqLock;
use crate::kernel::{call, irql, page_map, pages, pool, thread};

/// One way to break a rule.
pub type Case = (&'static str, fn());

/// The rules that can be broken from here, and how.
pub const CASES: &[Case] = &[
    ("pool-leak", || {
        allocate(100);
    }),
    ("pool-double-free", || {
        let block = allocate(100);
        free(block);
        free(block);
    }),
    ("pool-unknown-free", || free(0x1234 as *mut u8)),
    ("pool-tag", || {
        service!("ExFreePoolWithTag" as fn(*mut u8, u32))(allocate(100), TAG + 1);
    }),
    ("pool-overrun", || {
        let block = allocate(100);
        store(block.wrapping_add(101));
        free(block);
    }),
    ("pool-underrun", || {
        let block = allocate(100);
        store(block.wrapping_sub(1));
        free(block);
    }),
    ("use-after-free", || {
        let block = allocate(100);
        free(block);
        store(block);
    }),
    ("paged-pool", || {
        let block = service!("ExAllocatePool2" as fn(u64, usize, u32) -> *mut u8)(PAGED, 100, TAG);
        raise(irql::DISPATCH);
        store(block);
    }),
    ("pool-executable", || {
        free(service!("ExAllocatePoolWithTag" as fn(u32, usize, u32) -> *mut u8)(0, 100, TAG));
    }),
    ("pool-free-live-object", || {
        let block = allocate(size_of::<KTimer>());
        service!("KeInitializeTimer" as fn(*mut u8))(block);
        service!("KeSetTimer" as fn(*mut u8, i64, *mut KDpc) -> u8)(block, -1000 * MS, null_mut());
        free(block);
    }),
    ("irql", || {
        // One level too high.
        let event = Event::new(EventKind::Notification, false);
        let old = raise(irql::DISPATCH + 1);
        set_event(event.as_ptr());
        lower(old);
    }),
    ("irql-leak", || {
        call::driver_call("selftest", irql::PASSIVE, || raise(irql::DISPATCH));
    }),
    ("spinlock-held", || {
        call::driver_call("selftest", irql::PASSIVE, || {
            let old = acquire(lock());
            lower(old);
        });
    }),
    ("spinlock-recursion", || {
        acquire(lock());
        acquire(lock());
    }),
    ("spinlock-irql", || {
        acquire(lock());
        service!("KeReleaseSpinLock" as fn(*mut usize, u8))(lock(), irql::APC);
    }),
    ("wait-with-spinlock", || {
        // The lock is taken at DISPATCH, the level lowered behind its back: then the wait is legal by IRQL.
        lower(acquire(lock()));
        let event = Event::new(EventKind::Notification, true);
        let timeout = -MS;
        service!("KeWaitForSingleObject" as fn(*mut c_void, u32, u8, u8, *const i64) -> i32)(
            event.as_ptr(),
            0,
            0,
            0,
            &raw const timeout,
        );
    }),
    ("event-after-unregister", || {
        let event = Event::new(EventKind::Synchronization, false);
        event.poison();
        set_event(event.as_ptr());
    }),
    ("mdl-leak", || {
        buffer();
    }),
    ("mdl-double-free", || {
        let mdl = buffer();
        pages::free(mdl);
        pages::free(mdl);
    }),
    ("mdl-freed-while-mapped", || {
        let mdl = buffer();
        pages::map(mdl, 1);
        pages::free(mdl);
    }),
    ("mdl-mapped-twice", || {
        let mdl = buffer();
        let view = pages::map(mdl, 1);
        pages::map(mdl, 1);
        pages::unmap(view, mdl);
        pages::free(mdl);
    }),
    ("mdl-unmap-mismatch", || {
        let mdl = buffer();
        let view = pages::map(mdl, 1);
        pages::unmap(view.wrapping_add(16), mdl);
        pages::unmap(view, mdl);
        pages::free(mdl);
    }),
    ("mdl-unknown", || pages::free(0x1000 as *mut Mdl)),
    ("mdl-freed", || {
        let mdl = buffer();
        pages::free(mdl);
        pages::map(mdl, 1);
    }),
    ("mdl-cache-type", || {
        let mdl = buffer();
        pages::unmap(pages::map(mdl, 1), mdl);
        pages::map(mdl, 0);
        pages::free(mdl);
    }),
    ("mdl-page-index", || {
        let mdl = buffer();
        pages::page_address(mdl, pages::page_count(mdl));
        pages::free(mdl);
    }),
    ("use-after-unmap", || {
        let mdl = buffer();
        let view = pages::map(mdl, 1);
        pages::unmap(view, mdl);
        store(view);
    }),
    ("read-past-end", || {
        let guarded = pool::Guarded::new(84);
        store(guarded.as_mut_ptr().wrapping_add(84));
    }),
    ("contiguous-leak", || {
        service!("MmAllocateContiguousMemory" as fn(usize, u64) -> *mut u8)(8192, u64::MAX);
    }),
    ("mmio-outside-bar", || {
        service!("MmMapIoSpaceEx" as fn(u64, usize, u32) -> *mut u8)(0xfee0_0000, 4096, 0x204);
    }),
    ("mmio-leak", || {
        map_card();
    }),
    ("mmio-not-mapped", || {
        let registers = map_card();
        service!("MmUnmapIoSpace" as fn(*mut u8, usize))(registers, 4096);
        store(registers);
    }),
    ("mmio-unmap-mismatch", || {
        service!("MmUnmapIoSpace" as fn(*mut u8, usize))(map_card(), 8);
    }),
    ("interrupt-leak", || {
        connect(&mut null_mut());
    }),
    ("interrupt-parameters", || {
        let mut parameters = [0usize; 10];
        service!("IoConnectInterruptEx" as fn(*mut usize) -> i32)(parameters.as_mut_ptr());
    }),
    ("interrupt-not-connected", || disconnect(0x1000 as *mut c_void)),
    ("unexpected-interrupt", || {
        let registers = map_card();
        raise_edu_interrupt(registers);
        thread::sleep_100ns(100 * MS);
        service!("MmUnmapIoSpace" as fn(*mut u8, usize))(registers, 4096);
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
    ("low-address", || store(0x8000_0000 as *mut u8)),
    ("null-pointer", || store(null_mut())),
    ("execute-data", || {
        let block = allocate(16);
        // SAFETY: none: the page is not executable, which is the case.
        unsafe { core::mem::transmute::<*mut u8, extern "win64" fn()>(block)() }
    }),
    ("stack-overflow", || {
        deeper(0);
    }),
    ("spinlock-uninitialised", || {
        acquire(&raw mut *alloc::boxed::Box::leak(alloc::boxed::Box::new(2usize)));
    }),
    // High, canonical, and nobody's.
    ("page-fault", || store(0xffff_ff00_0000_0000_usize as *mut u8)),
    // Not canonical.
    ("general-protection", || store(0x4000_0000_0000_0000_usize as *mut u8)),
    ("divide-error", || {
        // SAFETY: none: the processor must refuse it.
        unsafe { asm!("xor ecx, ecx", "div ecx", out("eax") _, out("ecx") _, out("edx") _, options(nostack)) }
    }),
    ("invalid-opcode", || {
        // SAFETY: none: the processor must refuse it.
        unsafe { asm!("ud2", options(nostack)) }
    }),
    ("breakpoint", || service!("DbgBreakPoint" as fn())()),
    ("bugcheck", || service!("KeBugCheck" as fn(u32))(0xe2)),
    ("dpc-watchdog", || {
        raise(irql::DISPATCH);
        loop {
            core::hint::spin_loop();
        }
    }),
];

/// Recurses until the guard page.
#[expect(unconditional_recursion, reason = "it must overflow the stack")]
fn deeper(depth: u64) -> u64 {
    let room = core::hint::black_box([depth; 64]);
    deeper(depth + 1) + core::hint::black_box(room)[0]
}

static SPIN_LOCK: IrqLock<usize> = IrqLock::new(0);
/// The address of a spin lock that lives for ever.
fn lock() -> *mut usize {
    &raw mut *SPIN_LOCK.lock()
}

/// Three pages of a port stream's.
pub fn buffer() -> *mut Mdl {
    pages::alloc_pages(0, u64::MAX, 3 * page_map::PAGE as usize, "selftest")
}

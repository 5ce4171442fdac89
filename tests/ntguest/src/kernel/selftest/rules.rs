//! Every rule that can be broken without a driver image, and a way to break it.

use core::arch::asm;
use core::ffi::c_void;
use core::ptr::null_mut;

use super::{
    MS, PAGED, TAG, acquire, allocate, free, lower, map_card, raise, raise_edu_interrupt, service, set_event,
    store,
};
use crate::kernel::event::{Event, EventKind};
use crate::kernel::layout::{KDpc, KTimer, Mdl};
use crate::kernel::sync::IrqLock;
use crate::kernel::{call, irql, page_map, pages, phys, pool, thread};

/// One way to break a rule.
pub type Case = (&'static str, fn());

/// The rules that can be broken from here, and how.
pub const CASES: &[Case] = &[
    ("pool-double-free", || {
        let block = allocate(100);
        free(block);
        free(block);
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
    ("mmio-not-mapped", || {
        let registers = map_card();
        service!("MmUnmapIoSpace" as fn(*mut u8, usize))(registers, 4096);
        store(registers);
    }),
    ("unexpected-interrupt", || {
        let registers = map_card();
        raise_edu_interrupt(registers);
        thread::sleep_100ns(100 * MS);
        service!("MmUnmapIoSpace" as fn(*mut u8, usize))(registers, 4096);
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
    ("out-of-memory", || {
        loop {
            phys::alloc_kernel();
        }
    }),
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

/// A case that was left may have it still.
pub fn free_lock() {
    *SPIN_LOCK.lock() = 0;
}

/// Three pages of a port stream's.
pub fn buffer() -> *mut Mdl {
    pages::alloc_pages(0, u64::MAX, 3 * page_map::PAGE as usize, "selftest")
}

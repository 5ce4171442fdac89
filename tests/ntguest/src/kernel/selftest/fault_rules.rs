//! Rules after which a run ends, beside those of `rules.rs`: the driver's image, and what the processor
//! delivers. All are broken in one boot (`selftest=fatal-rules`), with the foreign driver of `tests/foreign`
//! as the image, for it has an INIT and a PAGE section.

use alloc::vec::Vec;
use core::arch::asm;
use core::ffi::c_void;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::rules::Case;
use super::service_rules::{close, create_thread};
use super::{MS, allocate, raise, service, store};
use crate::kernel::image::{self, LoadedDriver};
use crate::kernel::sync::IrqLock;
use crate::kernel::{boot_files, idt, irql, paging, thread};

/// The rules, and how they are broken.
pub const CASES: &[Case] = &[
    // Far behind all that was ever allocated.
    ("pool-wild", || store(allocate(16).wrapping_add(1 << 30))),
    ("spinlock-count", || {
        raise(irql::DISPATCH);
        for lock in &mut [0usize; 17] {
            service!("KeAcquireSpinLockAtDpcLevel" as fn(*mut usize))(lock);
        }
    }),
    ("stack-freed", || store(stack_of_a_thread_that_has_ended() as *mut u8)),
    ("exception-handler", || {
        service!("__C_specific_handler" as fn(usize, usize, usize, usize) -> i32)(0, 0, 0, 0);
    }),
    ("pure-call", || service!("_purecall" as fn())()),
    ("unresolved-import", || {
        image::load("ringwave.sys", with_an_unknown_import());
    }),
    // The image, from its loading to its end.
    ("write-to-read-only", || store(section(".rdata"))),
    // Its headers are in no section.
    ("image-access", || store(base())),
    ("init-discarded", || {
        with_driver(LoadedDriver::discard_init);
        store(section("INIT"));
    }),
    ("paged-code", || {
        raise(irql::DISPATCH);
        // SAFETY: none: the page is not there, which is the case.
        unsafe { section("PAGE").read_volatile() };
    }),
    ("call-after-unload", || {
        let entry = with_driver(|driver| driver.entry);
        if let Some(driver) = DRIVER.lock().take() {
            driver.unload();
        }
        // SAFETY: none: the image is not there any more, which is the case.
        unsafe { entry(null_mut(), null_mut()) };
    }),
    // What has no instruction that raises it here, and what only a broken machine does, comes as the
    // processor would deliver it.
    ("debug", deliver::<1>),
    ("nmi", deliver::<2>),
    ("overflow", deliver::<4>),
    ("bound", deliver::<5>),
    ("no-fpu", deliver::<7>),
    ("double-fault", deliver::<8>),
    ("exception-9", deliver::<9>),
    ("invalid-tss", deliver::<10>),
    ("segment", deliver::<11>),
    ("stack-segment", deliver::<12>),
    ("exception-15", deliver::<15>),
    ("x87", deliver::<16>),
    ("alignment", deliver::<17>),
    ("machine-check", deliver::<18>),
    ("simd", deliver::<19>),
    ("virtualization", deliver::<20>),
    ("control-protection", deliver::<21>),
    ("exception-22", deliver::<22>),
    ("exception-23", deliver::<23>),
    ("exception-24", deliver::<24>),
    ("exception-25", deliver::<25>),
    ("exception-26", deliver::<26>),
    ("exception-27", deliver::<27>),
    ("hypervisor", deliver::<28>),
    ("vmm", deliver::<29>),
    ("security", deliver::<30>),
    ("exception-31", deliver::<31>),
];

static DRIVER: IrqLock<Option<LoadedDriver>> = IrqLock::new(None);

// SAFETY: addresses of an image that is used by one thread, under the lock.
unsafe impl Send for LoadedDriver {}

/// Loads the image that the cases break.
pub fn load_image() {
    *DRIVER.lock() = Some(image::load("ringwave.sys", boot_files()));
}

fn with_driver<R>(f: impl FnOnce(&mut LoadedDriver) -> R) -> R {
    f(DRIVER.lock().as_mut().expect("the image is loaded"))
}

fn base() -> *mut u8 {
    // SAFETY: a driver object of ntguest's, which lives for ever.
    with_driver(|driver| unsafe { (*driver.driver_object).driver_start.cast() })
}

/// The first byte of a section.
fn section(name: &str) -> *mut u8 {
    let rva = image::section(name).unwrap_or_else(|| panic!("the image has no {name}"));
    base().wrapping_add(rva as usize)
}

/// The driver's file with two letters of the name of an import exchanged, which leaves the checksum as it is.
fn with_an_unknown_import() -> &'static [u8] {
    let mut file: Vec<u8> = boot_files().to_vec();
    let name = b"PcNewPort\0";
    let at = file.windows(name.len()).position(|word| word == name).expect("it imports PcNewPort");
    file.swap(at + 2, at + 4);
    file.leak()
}

/// An address on its stack.
fn stack_of_a_thread_that_has_ended() -> usize {
    static STACK: AtomicUsize = AtomicUsize::new(0);
    unsafe extern "win64" fn end(_: *mut c_void) {
        let here = 0u8;
        STACK.store((&raw const here) as usize, Relaxed);
    }
    close(create_thread(end as *const () as usize));
    // It is taken away within some milliseconds.
    for _ in 0..100 {
        thread::sleep_100ns(MS);
        let stack = STACK.load(Relaxed);
        if stack != 0 && paging::physical(stack as u64).is_none() {
            break;
        }
    }
    STACK.load(Relaxed)
}

/// Comes in through the gate of a vector with the frame that the processor makes, on this stack.
fn deliver<const VECTOR: u64>() {
    let stub = idt::stub(VECTOR);
    let error = u64::from(idt::has_error_code(VECTOR));
    // SAFETY: none: the stack below this frame becomes that of the exception, which never returns here.
    unsafe {
        asm!(
            "mov rax, rsp", "and rsp, -16",
            "push 16", "push rax", "pushfq", "push 8",
            "lea rax, [rip + 2f]", "push rax",
            "test {error}, {error}", "jz 3f", "push 0", "3:",
            "jmp {stub}",
            "2:", "ud2",
            stub = in(reg) stub, error = in(reg) error, out("rax") _,
        );
    }
}

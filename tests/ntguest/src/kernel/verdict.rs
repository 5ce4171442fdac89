//! Violations, the end of the run, and what must be gone when the driver is.

use core::ffi::c_void;
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::{
    apic, boot_files, bus, cards, cfg, cpu, dma, dpc, event_references, exports, handle, host_time, image,
    interrupt, lock_order, lock_watch, log, msix, open_regions, pages, pci, pool, processor, reenter,
    schedule, selftest, spin, stalls, sync, thread, time, timer, work,
};
use crate::portcls::{adapter, set_state};

/// Codes for isa-debug-exit; QEMU's exit status is twice that plus one.
const EXIT_OK: u32 = 0x10;
const EXIT_FAILED: u32 = 0x11;
const EXIT_FATAL: u32 = 0x12;
const EXIT_BAD_INPUT: u32 = 0x13;
/// Violations that are printed; the rest is counted.
const PRINTED: u32 = 50;

static VIOLATIONS: AtomicU32 = AtomicU32::new(0);
static ENDING: AtomicBool = AtomicBool::new(false);

/// A rule is broken: one line, and the run has failed.
pub fn violation(rule: &'static str, detail: fmt::Arguments<'_>) {
    // Of a self-test each is looked for.
    if VIOLATIONS.fetch_add(1, Ordering::Relaxed) < PRINTED || cfg::get("selftest").is_some() {
        log::line("ntguest: violation rule=", format_args!("{rule} {detail}"));
    }
}

/// Violations so far.
pub fn violations() -> u32 {
    VIOLATIONS.load(Ordering::Relaxed)
}

fn end(status: &str, code: u32) -> ! {
    // Never given back: nobody prints after the last line.
    sync::enter();
    schedule::report();
    log::line("ntguest: end ", format_args!("violations={} status={status}", violations()));
    cpu::exit(code)
}

/// A rule is broken and nothing can go on.
pub fn fatal(rule: &'static str, detail: fmt::Arguments<'_>) -> ! {
    if let Some(point) = selftest::resume::point(cpu::stack_pointer()) {
        violation(rule, detail);
        // SAFETY: `point` looked that this is called by the attempt, on its stack. The frames in between are of code
        // that nothing returns to; `attempt` gives back the locks and the level that they took.
        unsafe { selftest::resume::leave(point) }
    }
    sync::enter();
    if !ENDING.swap(true, Ordering::Relaxed) {
        // Always printed, however many came before.
        VIOLATIONS.fetch_add(1, Ordering::Relaxed);
        log::line("ntguest: violation rule=", format_args!("{rule} {detail}"));
    }
    end("failed", EXIT_FATAL)
}

/// The user's input is no good: not the driver's fault.
pub fn bad_input(why: fmt::Arguments<'_>) -> ! {
    log::line("ntguest: info ", format_args!("bad input: {why}"));
    end("failed", EXIT_BAD_INPUT)
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    sync::enter();
    if ENDING.swap(true, Ordering::Relaxed) {
        cpu::exit(EXIT_FATAL);
    }
    VIOLATIONS.fetch_add(1, Ordering::Relaxed);
    log::line("ntguest: violation rule=", format_args!("ntguest-panic {info}"));
    end("failed", EXIT_FATAL)
}

/// Who called last: the driver's address and the import, as far as this thread or interrupt knows.
pub fn caller() -> impl fmt::Display {
    struct Caller((usize, u32));
    impl fmt::Display for Caller {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let (from, index) = self.0;
            if from == 0 {
                return f.write_str("by ntguest");
            }
            write!(f, "by {} ({})", image::describe(from), image::binding_name(index))
        }
    }
    Caller(image::last_call())
}

/// After the driver is gone: nothing of it may be left. Call it once.
pub fn unload_check() {
    pool::report_leaks();
    pages::report_leaks();
    msix::check();
    let left = [
        ("interrupt-leak", interrupt::connected(), "interrupt(s) still connected"),
        ("dpc-leak", dpc::queued(), "DPC(s) still queued"),
        ("timer-leak", timer::set() + timer::ex_live(), "timer(s) still set or not deleted"),
        ("work-item-leak", work::live(), "work item(s) not freed"),
        ("critical-region", open_regions(), "critical region(s) not left"),
        ("handle-leak", handle::open(), "handle(s) not closed"),
        ("thread-leak", thread::drivers_alive(), "thread(s) of the driver still run"),
        ("etw-leak", exports::etw_providers(), "ETW provider(s) still registered"),
        ("lookaside-leak", exports::lookasides(), "lookaside list(s) not deleted"),
        ("bus-interface-leak", bus::references(), "reference(s) to BUS_INTERFACE_STANDARD not given back"),
        ("reference-leak", event_references(), "object reference(s) not given back"),
    ];
    for (rule, count, what) in left {
        if count > 0 {
            violation(rule, format_args!("{count} {what}"));
        }
    }
}

/// Stack of the thread that the run begins with.
pub const MAIN_STACK: usize = 64 << 10;

/// From the end of the firmware's services to the end of the run.
pub fn run() -> ! {
    super::idt::init(0);
    super::user_data::init();
    apic::init();
    time::init();
    processor::start_others();
    schedule::init();
    pci::init();
    dma::init();
    thread::begin("main", main, MAIN_STACK)
}

fn main(_: *mut c_void) {
    apic::start_clock();
    work::init();
    if let Some(name) = cfg::get("selftest") {
        let id = thread::spawn("selftest", selftest_thread, core::ptr::null_mut(), thread::DRIVER_STACK);
        thread::join(id);
        crate::kprintln!("selftest {name} has come to its end");
        unload_check();
        finish(true);
    }
    let driver = image::load("ringwave.sys", boot_files());
    let passed = core::cell::Cell::new((false, Some(driver)));
    let id = thread::spawn("client", client, (&raw const passed).cast_mut().cast(), thread::DRIVER_STACK);
    thread::join(id);
    let ok = passed.take().0;
    crate::kprintln!(
        "interrupts={} ms={} reentered={} processors={} spun_for_locks={} lock_order_pairs={}",
        interrupt::delivered(),
        time::ms(),
        reenter::count(),
        processor::count(),
        spin::contended(),
        lock_order::pairs()
    );
    finish(ok)
}

fn finish(ok: bool) -> ! {
    exports::flush_debug_output();
    stalls::report();
    host_time::report();
    lock_watch::report();
    set_state::report();
    if violations() == 0 && ok {
        end("ok", EXIT_OK)
    }
    end("failed", EXIT_FAILED)
}

fn selftest_thread(_: *mut c_void) {
    let name = cfg::get("selftest").unwrap_or("");
    if !selftest::run(name) {
        bad_input(format_args!("ntguest.cfg: there is no selftest={name}"));
    }
}

type Handover = core::cell::Cell<(bool, Option<image::LoadedDriver>)>;

fn client(handover: *mut c_void) {
    // SAFETY: `main` keeps the cell alive until this thread has ended, and does not touch it meanwhile.
    let handover = unsafe { &*handover.cast::<Handover>() };
    let (_, driver) = handover.take();
    if let Some(driver) = driver {
        for card in cards::all() {
            interrupt::expect_pdo(card.number, adapter::pdo_of(card.number).cast());
        }
        let ok = crate::portcls::run(driver);
        handover.set((ok, None));
    }
}

/// Named by the unwind tables of a `core` that was built to unwind; nothing unwinds here.
#[unsafe(no_mangle)]
extern "C" fn __CxxFrameHandler3() -> ! {
    fatal("ntguest-panic", format_args!("an unwinder came by"))
}

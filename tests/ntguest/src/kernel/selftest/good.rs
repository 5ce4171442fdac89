//! The services as a well-behaved driver uses them: nothing may be found wrong.

use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::sync::atomic::Ordering::Relaxed;

use super::{
    CARD_REGISTERS, MS, SERVED, allocate, connect, disconnect, free, map_card, raise_edu_interrupt, service,
    set_event,
};
use crate::kernel::event::{self, Event, EventKind};
use crate::kernel::layout::{KDpc, KTimer};
use crate::kernel::{cpu, dpc, host_time, inject, irql, page_map, pages, thread, time, timer};

/// Uses the services; a panic says what is wrong.
pub fn run() {
    memory();
    timing();
    interrupts();
    threads();
    fpu();
    assert!(inject::POOL.fails().is_none(), "nothing fails unless it is asked for");
}

fn memory() {
    let high = 1 << 32;
    let mdl = pages::alloc_pages(0, u64::MAX, 64 * page_map::PAGE as usize, "selftest");
    let addresses: alloc::vec::Vec<u64> = (0..64).map(|i| pages::page_address(mdl, i)).collect();
    assert!(!addresses.is_sorted(), "pages come in shuffled order");
    assert!(
        addresses.iter().any(|a| *a >= high) && addresses.iter().any(|a| *a < high),
        "from both sides of 4 GiB"
    );
    let (kernel, client) = (pages::map(mdl, 1), pages::user_view(mdl));
    // SAFETY: both views are mapped and hold 64 pages.
    unsafe {
        assert!((0..64 * 4096).all(|i| kernel.add(i).read() == 0), "pages are zeroed");
        kernel.add(5000).write(7);
        assert!(client.add(5000).read() == 7, "both views show the same page");
    }
    pages::unmap(kernel, mdl);
    pages::free(mdl);
    let below = pages::alloc_contiguous(0, high - 1, 10 * 4096, "selftest");
    let first = pages::page_address(below, 0);
    assert!((0..10).all(|i| pages::page_address(below, i) == first + u64::from(i) * 4096) && first < high);
    pages::free(below);
    let block = allocate(100);
    // SAFETY: 100 bytes of pool.
    assert!((0..100).all(|i| unsafe { block.add(i).read() } == 0), "ExAllocatePool2 zeroes");
    free(block);
}

/// As a host that takes 60 ms: with interrupts off none of the clock's comes. The gap counts while it is
/// open, too.
fn clock_interrupts_that_come_late_are_the_hosts_time() {
    let (mark, begin) = (host_time::Mark::now(), time::interrupt_time_100ns());
    let passed = || time::interrupt_time_100ns() - begin;
    let were_on = cpu::interrupts_off();
    while passed() < 600_000 {
        core::hint::spin_loop();
    }
    let open = mark.taken_100ns();
    cpu::interrupts_restore(were_on);
    thread::sleep_100ns(5 * MS);
    let closed = mark.taken_100ns();
    assert!(open >= 500_000 && closed >= 500_000 && closed <= passed(), "{open}, {closed} of {}", passed());
}

fn timing() {
    let (start, mark) = (time::qpc(), host_time::Mark::now());
    thread::sleep_100ns(20 * MS);
    let slept = time::qpc() - start;
    let most = (500 * MS).saturating_add_unsigned(mark.taken_100ns());
    assert!((20 * MS..most).contains(&slept), "slept {slept} for 20 ms");
    clock_interrupts_that_come_late_are_the_hosts_time();
    let event = Event::new(EventKind::Notification, false);
    assert!(!event::wait(&event, 5) && event.signals() == 0);
    set_event(event.as_ptr());
    assert!(event::wait(&event, 5) && event::wait(&event, 0), "a notification event stays signalled");
    event.clear();
    assert!(!event::wait(&event, 0) && event.signals() == 1);
}

/// Message, service routine at its level, DPC, event: twenty times over.
fn interrupts() {
    unsafe extern "win64" fn deferred(_: *mut KDpc, event: *mut c_void, _: *mut c_void, _: *mut c_void) {
        assert!(irql::current() == irql::DISPATCH);
        set_event(event);
    }
    let event = Event::new(EventKind::Synchronization, false);
    let mut object = MaybeUninit::<KDpc>::uninit();
    dpc::initialize(object.as_mut_ptr(), Some(deferred), event.as_ptr());
    let registers = map_card();
    CARD_REGISTERS.store(registers as usize, Relaxed);
    let mut table: *mut c_void = object.as_mut_ptr().cast();
    assert!(connect(&mut table) == 0);
    for served in 1..=20 {
        raise_edu_interrupt(registers);
        assert!(event::wait(&event, 5000), "no interrupt");
        assert!(SERVED.load(Relaxed) == served, "each message is served once");
    }
    disconnect(table);
    service!("KeFlushQueuedDpcs" as fn())();
    service!("MmUnmapIoSpace" as fn(*mut u8, usize))(registers, 4096);
}

/// Two events between two threads while a third one uses up its turns.
struct Table {
    ping: Event,
    pong: Event,
    stop: core::sync::atomic::AtomicBool,
}

fn table(argument: *mut c_void) -> &'static Table {
    // SAFETY: `threads` leaks the table it hands to its threads.
    unsafe { &*argument.cast::<Table>() }
}

fn threads() {
    fn answer(argument: *mut c_void) {
        for _ in 0..100 {
            assert!(event::wait(&table(argument).ping, 5000));
            set_event(table(argument).pong.as_ptr());
            thread::yield_now();
        }
    }
    fn hog(argument: *mut c_void) {
        while !table(argument).stop.load(Relaxed) {
            core::hint::spin_loop();
        }
    }
    let new = || Event::new(EventKind::Synchronization, false);
    let shared = alloc::boxed::Box::leak(alloc::boxed::Box::new(Table {
        ping: new(),
        pong: new(),
        stop: false.into(),
    }));
    let argument = (&raw mut *shared).cast();
    let ids = [
        thread::spawn("hog", hog, argument, 8192),
        thread::spawn("answer", answer, argument, thread::DRIVER_STACK),
    ];
    for _ in 0..100 {
        set_event(shared.ping.as_ptr());
        assert!(event::wait(&shared.pong, 5000), "a thread that never waits is preempted");
    }
    shared.stop.store(true, Relaxed);
    for id in ids {
        thread::join(id);
    }
}

/// SSE registers survive DPCs that clobber them: a loop that makes no call, under a periodic timer.
fn fpu() {
    unsafe extern "win64" fn clobber(_: *mut KDpc, event: *mut c_void, _: *mut c_void, _: *mut c_void) {
        // SAFETY: xmm0 is nobody's across a call; the context is the event of `fpu`.
        unsafe { core::arch::asm!("pxor xmm0, xmm0", options(nostack)) };
        set_event(event);
    }
    let event = Event::new(EventKind::Notification, false);
    let mut object = MaybeUninit::<KDpc>::uninit();
    let mut clock = MaybeUninit::<KTimer>::uninit();
    dpc::initialize(object.as_mut_ptr(), Some(clobber), event.as_ptr());
    timer::initialize(clock.as_mut_ptr());
    timer::set_ex(clock.as_mut_ptr(), -MS, 1, object.as_mut_ptr());
    let pattern = 0x1234_5678_9abc_def0u64;
    let mut lost = 0u64;
    while event.signals() < 5 && lost == 0 {
        // SAFETY: only the registers named change. No call is made, so xmm0 must keep its value.
        unsafe {
            core::arch::asm!(
                "movq xmm0, {pattern}",
                "2:", "movq {seen}, xmm0", "cmp {seen}, {pattern}", "jne 3f", "dec {left}", "jnz 2b", "jmp 4f",
                "3:", "mov {lost}, 1", "4:",
                pattern = in(reg) pattern, seen = out(reg) _, left = inout(reg) 1_000_000u64 => _, lost = inout(reg) lost,
                out("xmm0") _, options(nostack),
            );
        }
    }
    timer::cancel(clock.as_mut_ptr());
    assert!(lost == 0, "xmm0 was lost to a DPC");
}

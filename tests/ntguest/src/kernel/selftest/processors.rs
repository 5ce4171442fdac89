//! Several processors (`cpus=2` and more): threads, service routines and DPCs run at the same time, a DPC
//! runs on the processor that it is for, and who must wait for another processor waits.

use alloc::vec::Vec;
use core::ffi::c_void;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::SeqCst};

use super::rules::Case;
use super::{
    CARD_REGISTERS, EDU_ACKNOWLEDGE, EDU_STATUS, MS, acquire, allocate, free, lower, map_card, raise,
    raise_edu_interrupt, service, store,
};
use crate::kernel::layout::KDpc;
use crate::kernel::{dpc, host_time, irql, pci, processor, spin, thread, time};

/// How long something that another processor does may take, milliseconds.
const PATIENCE_MS: u64 = 5000;
/// How often each processor does the same as the others.
const ROUNDS: usize = 2000;

/// The rules that two processors break together.
pub const CASES: &[Case] = &[
    // One keeps the lock and does not come back.
    ("spinlock-deadlock", || {
        static LOCK: AtomicUsize = AtomicUsize::new(0);
        static TAKEN: AtomicBool = AtomicBool::new(false);
        fn keep(_: *mut c_void) {
            acquire(LOCK.as_ptr());
            TAKEN.store(true, SeqCst);
            loop {
                core::hint::spin_loop();
            }
        }
        thread::spawn("keeper", keep, null_mut(), thread::DRIVER_STACK);
        until("the other processor has the lock", || TAKEN.load(SeqCst));
        acquire(LOCK.as_ptr());
    }),
];

/// What one processor has touched and another has freed: the first must not find it any more.
pub fn use_after_free_elsewhere() {
    static BLOCK: AtomicUsize = AtomicUsize::new(0);
    static STAGE: AtomicU32 = AtomicU32::new(0);
    fn touch(_: *mut c_void) {
        raise(irql::DISPATCH);
        let block = BLOCK.load(SeqCst) as *mut u8;
        store(block);
        STAGE.store(1, SeqCst);
        // No call of an import in between, at which it might hear of it.
        while STAGE.load(SeqCst) == 1 {
            core::hint::spin_loop();
        }
        store(block);
    }
    BLOCK.store(allocate(100) as usize, SeqCst);
    thread::spawn("user", touch, null_mut(), thread::DRIVER_STACK);
    until("the other processor has touched it", || STAGE.load(SeqCst) == 1);
    free(BLOCK.load(SeqCst) as *mut u8);
    STAGE.store(2, SeqCst);
    thread::sleep_100ns(PATIENCE_MS as i64 * MS);
}

/// Waits for what another processor does.
fn until(what: &str, done: impl Fn() -> bool) {
    let deadline = time::ms() + PATIENCE_MS;
    while !done() {
        assert!(time::ms() < deadline, "in vain: {what}");
        core::hint::spin_loop();
    }
}

/// Everything; with one processor too, where what needs another is left out.
pub fn run() {
    counts();
    locks();
    pool();
    clocks();
    if processor::count() > 1 {
        threads_overlap();
        targets();
        flush_waits();
        interrupts_overlap();
        timers();
    }
}

/// Each processor has a clock interrupt in each millisecond. A host that is late by one or two each time is
/// not told from a slow clock: of many looks one is undisturbed.
fn clocks() {
    let looked = || {
        let mark = host_time::Mark::now();
        let before: Vec<u64> = (0..processor::count()).map(host_time::ticks).collect();
        thread::sleep_100ns(100 * MS);
        let left = mark.left_100ns() / 10_000;
        let ticks = before.into_iter().enumerate().map(|(number, before)| host_time::ticks(number) - before);
        (left, ticks.collect::<Vec<u64>>())
    };
    let keeps_time = |(left, each): &(u64, Vec<u64>)| each.iter().all(|ticks| ticks * 4 > left * 3);
    let mut last = looked();
    for _ in 0..50 {
        if keeps_time(&last) {
            return;
        }
        last = looked();
    }
    panic!("clock interrupts in {} ms: {:?}", last.0, last.1);
}

fn counts() {
    let mut mask = 0usize;
    let count = service!("KeQueryActiveProcessorCount" as fn(*mut usize) -> u32)(&raw mut mask) as usize;
    assert!(count == processor::count() && mask == (1 << count) - 1, "{count} processors, {mask:#x}");
    let mut number = u32::MAX;
    let from_index = service!("KeGetProcessorNumberFromIndex" as fn(u32, *mut u32) -> i32);
    assert!(from_index(count as u32 - 1, &raw mut number) == 0 && number == (count as u32 - 1) << 16);
    assert!(from_index(count as u32, &raw mut number) < 0, "there is no such processor");
}

/// The number of the processor, as a driver asks for it.
fn here() -> usize {
    service!("KeGetCurrentProcessorNumberEx" as fn(*mut u32) -> u32)(null_mut()) as usize
}

/// Goes to another processor than this, and stays there at DISPATCH_LEVEL; the IRQL before.
fn away_from(number: usize) -> u8 {
    loop {
        let old = raise(irql::DISPATCH);
        if here() != number {
            return old;
        }
        lower(old);
        thread::sleep_100ns(MS);
    }
}

/// Runs `f` in one thread for each processor, and waits for all.
fn on_all(name: &'static str, f: thread::ThreadFn) {
    let spawn = |i: usize| thread::spawn(name, f, i as *mut c_void, thread::DRIVER_STACK);
    let ids: Vec<_> = (0..processor::count()).map(spawn).collect();
    ids.into_iter().for_each(thread::join);
}

/// As many threads as processors are at DISPATCH_LEVEL at once, each on a processor of its own.
fn threads_overlap() {
    static SEEN: AtomicUsize = AtomicUsize::new(0);
    on_all("meeting", |_| {
        let old = raise(irql::DISPATCH);
        SEEN.fetch_or(1 << here(), SeqCst);
        until("all processors meet", || SEEN.load(SeqCst) == (1 << processor::count()) - 1);
        lower(old);
    });
}

/// A spin lock lets one processor in; a count that is kept without it loses some (seen by `spun_for_locks`).
fn locks() {
    static LOCK: AtomicUsize = AtomicUsize::new(0);
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    on_all("counter", |_| {
        for _ in 0..ROUNDS {
            let old = acquire(LOCK.as_ptr());
            // Not one instruction: two processors at once would lose a round.
            let count = COUNT.load(SeqCst);
            (0..50).for_each(|_| core::hint::spin_loop());
            COUNT.store(count + 1, SeqCst);
            service!("KeReleaseSpinLock" as fn(*mut usize, u8))(LOCK.as_ptr(), old);
        }
    });
    assert!(COUNT.load(SeqCst) == ROUNDS * processor::count(), "a spin lock lets two in");
    assert!(processor::count() == 1 || spin::contended() > 0, "nobody had to wait for the lock");
}

/// Pool, events and lists from all sides.
fn pool() {
    on_all("pool", |number| {
        for round in 0..ROUNDS / 10 {
            let block = allocate(16 + (round * 37 + number.addr()) % 5000);
            // SAFETY: at least 16 bytes.
            unsafe { block.write_bytes(number.addr() as u8, 16) };
            thread::yield_now();
            // SAFETY: as above.
            assert!((0..16).all(|i| usize::from(unsafe { block.add(i).read() }) == number.addr()));
            free(block);
        }
    });
}

static RAN_ON: AtomicUsize = AtomicUsize::new(usize::MAX);
static LEAVE: AtomicBool = AtomicBool::new(false);
static AT_END: AtomicBool = AtomicBool::new(false);

fn new_dpc(routine: unsafe extern "win64" fn(*mut KDpc, *mut c_void, *mut c_void, *mut c_void)) -> *mut KDpc {
    let target = allocate(size_of::<KDpc>()).cast::<KDpc>();
    dpc::initialize(target, Some(routine), null_mut());
    target
}

unsafe extern "win64" fn says_where(_: *mut KDpc, _: *mut c_void, _: *mut c_void, _: *mut c_void) {
    RAN_ON.store(here(), SeqCst);
}

/// A DPC runs on its target: at once when it is important, else by the next tick.
fn targets() {
    let target = new_dpc(says_where);
    for number in 0..processor::count() as u32 {
        for importance in [0, 1, 2, 3] {
            RAN_ON.store(usize::MAX, SeqCst);
            let processor = number << 16;
            let set = service!("KeSetTargetProcessorDpcEx" as fn(*mut KDpc, *const u32) -> i32);
            assert!(set(target, &raw const processor) == 0);
            service!("KeSetImportanceDpc" as fn(*mut KDpc, u32))(target, importance);
            assert!(dpc::queue(target, null_mut(), null_mut()));
            until("the DPC runs", || RAN_ON.load(SeqCst) != usize::MAX);
            assert!(RAN_ON.load(SeqCst) == number as usize, "a DPC runs on its target");
        }
    }
    let none = 63u32 << 16;
    let set = service!("KeSetTargetProcessorDpcEx" as fn(*mut KDpc, *const u32) -> i32);
    assert!(set(target, &raw const none) < 0, "there is no such processor");
    free(target.cast());
}

unsafe extern "win64" fn takes_long(_: *mut KDpc, _: *mut c_void, _: *mut c_void, _: *mut c_void) {
    RAN_ON.store(here(), SeqCst);
    let until = time::ms() + 20;
    while time::ms() < until {
        core::hint::spin_loop();
    }
    AT_END.store(true, SeqCst);
}

/// KeFlushQueuedDpcs comes back when the DPC of another processor has returned: one that waits, and one that
/// runs already.
fn flush_waits() {
    let target = new_dpc(takes_long);
    for running in [false, true] {
        AT_END.store(false, SeqCst);
        RAN_ON.store(usize::MAX, SeqCst);
        let old = raise(irql::DISPATCH);
        dpc::set_target(target, ((here() + 1) % processor::count()) as u8);
        assert!(dpc::queue(target, null_mut(), null_mut()));
        lower(old);
        if running {
            until("the DPC runs", || RAN_ON.load(SeqCst) != usize::MAX);
        }
        service!("KeFlushQueuedDpcs" as fn())();
        assert!(AT_END.load(SeqCst), "KeFlushQueuedDpcs did not wait");
    }
    free(target.cast());
}

/// A thread that lets go what another processor does.
fn let_go(_: *mut c_void) {
    thread::sleep_100ns(10 * MS);
    LEAVE.store(true, SeqCst);
}

/// The service routine of the card, which waits for a thread.
unsafe extern "win64" fn waits_in_interrupt(_: *mut c_void, _: *mut c_void, _: u32) -> u8 {
    let registers = CARD_REGISTERS.load(SeqCst) as *mut u8;
    // SAFETY: the interrupt is connected only while the registers are mapped.
    unsafe {
        let status = registers.add(EDU_STATUS).cast::<u32>().read_volatile();
        registers.add(EDU_ACKNOWLEDGE).cast::<u32>().write_volatile(status);
    }
    RAN_ON.store(here(), SeqCst);
    until("a thread lets the service routine go on", || LEAVE.load(SeqCst));
    AT_END.store(true, SeqCst);
    1
}

/// A thread runs while the service routine does; its lock is waited for; and disconnecting waits for it too.
fn interrupts_overlap() {
    CARD_REGISTERS.store(map_card() as usize, SeqCst);
    let mut context: *mut c_void = null_mut();
    let routine = waits_in_interrupt as *const () as usize;
    let mut parameters = [3, 0x1000, (&raw mut context) as usize, routine, 0, 0, 0, 0, 0, 0];
    assert!(service!("IoConnectInterruptEx" as fn(*mut usize) -> i32)(parameters.as_mut_ptr()) == 0);
    LEAVE.store(false, SeqCst);
    AT_END.store(false, SeqCst);
    RAN_ON.store(usize::MAX, SeqCst);
    let old = away_from(processor::count() - 1);
    raise_edu_interrupt(CARD_REGISTERS.load(SeqCst) as *mut u8);
    lower(old);
    until("the service routine runs", || RAN_ON.load(SeqCst) != usize::MAX);
    let number = RAN_ON.load(SeqCst);
    assert!(number == processor::count() - 1 && pci::card().messages[0].affinity == processor::all());
    let id = thread::spawn("lets go", let_go, null_mut(), thread::DRIVER_STACK);
    super::disconnect(context);
    assert!(AT_END.load(SeqCst), "IoDisconnectInterruptEx did not wait for the service routine");
    thread::join(id);
    service!("MmUnmapIoSpace" as fn(*mut u8, usize))(CARD_REGISTERS.load(SeqCst) as *mut u8, 4096);
}

unsafe extern "win64" fn slow_timer(_: *mut c_void, _: *mut c_void) {
    RAN_ON.store(here(), SeqCst);
    until("the timer's callback may return", || LEAVE.load(SeqCst));
    AT_END.store(true, SeqCst);
}

/// The thread that waits for the callback has a processor to itself.
static ALONE: AtomicBool = AtomicBool::new(false);

fn set_elsewhere(timer: *mut c_void) {
    until("the other thread is not interrupted any more", || ALONE.load(SeqCst));
    service!("ExSetTimer" as fn(*mut c_void, i64, i64, *mut c_void) -> u8)(timer, -1, 0, null_mut());
}

/// ExDeleteTimer waits for a callback that runs on another processor.
fn timers() {
    type Callback = unsafe extern "win64" fn(*mut c_void, *mut c_void);
    let timer = service!("ExAllocateTimer" as fn(Callback, *mut c_void, u32) -> *mut c_void)(
        slow_timer,
        null_mut(),
        4,
    );
    LEAVE.store(false, SeqCst);
    AT_END.store(false, SeqCst);
    RAN_ON.store(usize::MAX, SeqCst);
    // At DISPATCH this thread keeps its processor, whatever the host does: timer and callback are another
    // one's.
    let setter = thread::spawn("sets a timer", set_elsewhere, timer, thread::DRIVER_STACK);
    let old = raise(irql::DISPATCH);
    ALONE.store(true, SeqCst);
    until("the timer's callback runs", || RAN_ON.load(SeqCst) != usize::MAX);
    lower(old);
    let id = thread::spawn("lets go", let_go, null_mut(), thread::DRIVER_STACK);
    service!("ExDeleteTimer" as fn(*mut c_void, u8, u8, *mut c_void) -> u8)(timer, 1, 1, null_mut());
    assert!(AT_END.load(SeqCst), "ExDeleteTimer did not wait for the callback");
    [setter, id].into_iter().for_each(thread::join);
}

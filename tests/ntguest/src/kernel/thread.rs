//! Kernel threads: preempted round robin, on stacks with an unmapped page below, SSE state saved at
//! every switch (the driver uses SSE, ntguest itself does not).

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::arch::naked_asm;
use core::ffi::c_void;

use super::layout::{DispatcherHeader, ListEntry};
use super::page_map::{Owner, PAGE};
use super::paging::{self, Region, bits};
use super::processor::{self, MOST};
use super::sync::{self, IrqLock};
use super::wait::Wait;
use super::{apic, cpu, image, irql, phys, time, user_data, wait};

/// Stack of a thread that runs driver code: what a Windows kernel thread has on x64 (WAVERT.md 6.2).
pub const DRIVER_STACK: usize = 24576;
/// What a thread runs.
pub type ThreadFn = fn(*mut c_void);
/// Clock ticks (milliseconds) a thread runs before another one gets its turn.
const QUANTUM: u32 = 10;

/// Names a thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ThreadId(pub usize);

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    Running,
    Blocked,
    Dead,
    Joined,
}

/// One thread; index in the table = its number.
pub struct Thread {
    name: &'static str,
    state: State,
    rsp: u64,
    stack: u64,
    stack_pages: u64,
    entry: (ThreadFn, *mut c_void),
    /// What it waits for while blocked.
    pub wait: Wait,
    /// How the wait ended.
    pub status: i32,
    last_call: (usize, u32),
    /// Ticks left of its turn.
    quantum: u32,
    /// Its KTHREAD: a dispatcher header, and for the rest opaque to drivers.
    object: *mut DispatcherHeader,
    /// Made by PsCreateSystemThread.
    drivers: bool,
    /// The processor that it ran on.
    processor: usize,
}

// SAFETY: the object is only touched through the wait services, which hold the scheduler's lock.
unsafe impl Send for Thread {}

/// All threads and whose turn it is.
pub struct Scheduler {
    /// The table.
    #[expect(clippy::vec_box, reason = "a switch keeps pointers into a thread while the table grows")]
    pub threads: Vec<Box<Thread>>,
    ready: VecDeque<usize>,
    /// The running thread of each processor.
    current: [usize; MOST],
    idle: [usize; MOST],
    resched: [bool; MOST],
}

/// The scheduler; only its short sections run with interrupts off.
pub static SCHED: IrqLock<Scheduler> = IrqLock::new(Scheduler {
    threads: Vec::new(),
    ready: VecDeque::new(),
    current: [0; MOST],
    idle: [usize::MAX; MOST],
    resched: [false; MOST],
});

impl Scheduler {
    /// The number of the running thread.
    pub fn current(&self) -> usize {
        self.current[processor::current()]
    }

    /// The running thread.
    pub fn running(&mut self) -> &mut Thread {
        let current = self.current();
        &mut self.threads[current]
    }

    /// Whether thread `index` is blocked.
    pub fn is_blocked(&self, index: usize) -> bool {
        self.threads[index].state == State::Blocked
    }

    /// Ends the wait of a blocked thread; it is next to run.
    pub fn wake(&mut self, index: usize, status: i32) {
        let thread = &mut self.threads[index];
        thread.state = State::Ready;
        thread.wait = Wait::None;
        thread.status = status;
        let last = thread.processor;
        self.ready.push_front(index);
        let number = self.idle_processor(last).unwrap_or_else(processor::current);
        self.ask(number);
    }

    /// A new thread, or one whose turn is over, may run.
    fn add_ready(&mut self, index: usize) {
        self.ready.push_back(index);
        if let Some(number) = self.idle_processor(self.threads[index].processor) {
            self.ask(number);
        }
    }

    /// A processor that has nothing to do and was not asked yet, `first` before the others.
    fn idle_processor(&self, first: usize) -> Option<usize> {
        let count = processor::count();
        let idle = |number: &usize| self.current[*number] == self.idle[*number] && !self.resched[*number];
        (0..count).map(|i| (first + i) % count).find(idle)
    }

    /// Asks processor `number` to choose a thread anew.
    fn ask(&mut self, number: usize) {
        self.resched[number] = true;
        if number == processor::current() {
            apic::request_dispatch();
        } else {
            apic::request_dispatch_on(number);
        }
    }

    /// Counts a tick of this processor; asks for a switch when the running thread had its turn, or the
    /// processor has nothing to do while a thread waits for one that was asked and stays at DISPATCH_LEVEL.
    pub fn tick(&mut self) {
        if self.threads.is_empty() {
            return;
        }
        let here = processor::current();
        let idle = self.current[here] == self.idle[here];
        let running = self.running();
        running.quantum = running.quantum.saturating_sub(1);
        if (running.quantum == 0 || idle) && !self.ready.is_empty() {
            self.ask(here);
        }
    }
}

/// Bytes of a thread's object; that of Windows 11 is a little smaller.
const OBJECT_BYTES: usize = 0xa00;

/// A thread's object, not signalled. It is never freed: a stale pointer must not become another thread.
fn new_object() -> *mut DispatcherHeader {
    let words = Box::leak(alloc::vec![0u64; OBJECT_BYTES / 8].into_boxed_slice());
    let object = words.as_mut_ptr().cast::<DispatcherHeader>();
    // SAFETY: just allocated, larger than the header.
    unsafe {
        let list = &raw mut (*object).wait_list;
        let wait_list = ListEntry { flink: list, blink: list };
        object.write(DispatcherHeader {
            kind: wait::THREAD,
            signalling: 0,
            size: 0,
            reserved: 0,
            signal_state: 0,
            wait_list,
        });
    }
    object
}

fn add(name: &'static str, f: ThreadFn, arg: *mut c_void, stack_bytes: usize) -> usize {
    let pages = (stack_bytes as u64).div_ceil(PAGE);
    let stack = paging::reserve(Region::Stacks, pages);
    for page in 0..pages {
        paging::map(stack + page * PAGE, phys::alloc_kernel(), bits::DATA);
    }
    let top = stack + pages * PAGE;
    // What `switch` pops: FXSAVE area, eight registers, the address to go to, and its home area.
    let rsp = top - 64 - 8 - 64 - 520;
    // SAFETY: all of it lies in the stack just mapped, which nobody uses yet.
    unsafe {
        let fx = rsp as *mut u8;
        core::arch::asm!("fxsave64 [{}]", in(reg) fx, options(nostack));
        fx.cast::<u16>().write(0x037f);
        fx.add(24).cast::<u32>().write(0x1f80);
        ((top - 72) as *mut u64).write(first_steps as *const () as u64);
    }
    let mut sched = SCHED.lock();
    sched.threads.push(Box::new(Thread {
        name,
        state: State::Ready,
        rsp,
        stack,
        stack_pages: pages,
        entry: (f, arg),
        wait: Wait::None,
        status: 0,
        last_call: (0, 0),
        quantum: QUANTUM,
        object: new_object(),
        drivers: false,
        processor: 0,
    }));
    sched.threads.len() - 1
}

/// Starts a thread at PASSIVE.
pub fn spawn(name: &'static str, f: ThreadFn, arg: *mut c_void, stack_bytes: usize) -> ThreadId {
    let index = add(name, f, arg, stack_bytes);
    SCHED.lock().add_ready(index);
    ThreadId(index)
}

/// Starts a thread that runs code of the driver's.
pub fn spawn_for_driver(f: ThreadFn, arg: *mut c_void) -> ThreadId {
    let index = add("driver's thread", f, arg, DRIVER_STACK);
    let mut sched = SCHED.lock();
    sched.threads[index].drivers = true;
    sched.add_ready(index);
    ThreadId(index)
}

/// Threads of the driver that have not ended.
pub fn drivers_alive() -> usize {
    let sched = SCHED.lock();
    sched.threads.iter().filter(|t| t.drivers && t.state != State::Dead && t.state != State::Joined).count()
}

/// Address of a thread's object.
pub fn object(id: ThreadId) -> usize {
    SCHED.lock().threads[id.0].object as usize
}

/// Address of the running thread's object; 0 before the first thread.
pub fn current_object() -> usize {
    let sched = SCHED.lock();
    sched.threads.get(sched.current()).map_or(0, |thread| thread.object as usize)
}

/// Whether the running thread was made by the driver.
pub fn is_drivers() -> bool {
    SCHED.lock().running().drivers
}

/// Makes the idle thread and the first thread and goes there for good.
pub fn begin(name: &'static str, f: ThreadFn, stack_bytes: usize) -> ! {
    let idle = add("idle", idle, core::ptr::null_mut(), 8192);
    let first = add(name, f, core::ptr::null_mut(), stack_bytes);
    go_to(idle, first)
}

/// Makes a further processor's idle thread and goes there for good; it runs `f(arg)` first.
pub fn begin_idle(f: ThreadFn, arg: *mut c_void) -> ! {
    let begin = Box::into_raw(Box::new((f, arg)));
    let idle = add("idle", idle, begin.cast(), 8192);
    go_to(idle, idle)
}

/// The first switch of a processor.
fn go_to(idle: usize, first: usize) -> ! {
    // What begins to run gives the lock back.
    sync::enter();
    let rsp = {
        let mut sched = SCHED.lock();
        let here = processor::current();
        sched.idle[here] = idle;
        sched.current[here] = first;
        sched.threads[first].state = State::Running;
        sched.threads[first].processor = here;
        user_data::set_current_thread(sched.threads[first].object as u64);
        sched.threads[first].rsp
    };
    cpu::write_cr8(irql::DISPATCH);
    let mut nowhere = 0;
    // SAFETY: the stack of the first thread was laid out for exactly this.
    unsafe { switch(&raw mut nowhere, rsp) };
    unreachable!()
}

fn idle(begin: *mut c_void) {
    if !begin.is_null() {
        // SAFETY: from `begin_idle`, and nobody else's.
        let (f, arg) = *unsafe { Box::from_raw(begin.cast::<(ThreadFn, *mut c_void)>()) };
        f(arg);
    }
    loop {
        cpu::sti_hlt();
    }
}

/// Saves this thread's registers on its stack and takes up another's.
#[unsafe(naked)]
unsafe extern "win64" fn switch(save: *mut u64, load: u64) {
    naked_asm!(
        "push rbx",
        "push rbp",
        "push rdi",
        "push rsi",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, 520",
        "fxsave64 [rsp]",
        "mov [rcx], rsp",
        "mov rsp, rdx",
        "fxrstor64 [rsp]",
        "add rsp, 520",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rsi",
        "pop rdi",
        "pop rbp",
        "pop rbx",
        "ret",
    )
}

/// Where `switch` returns to in a new thread: aligns the stack as a call would find it.
#[unsafe(naked)]
unsafe extern "win64" fn first_steps() -> ! {
    naked_asm!("sub rsp, 32", "call {start}", "int3", start = sym start)
}

/// Where a new thread begins: at DISPATCH with ntguest's lock, as every thread comes out of `switch`.
extern "win64" fn start() -> ! {
    let (f, arg) = SCHED.lock().running().entry;
    sync::leave(true);
    irql::lower(irql::PASSIVE);
    f(arg);
    exit()
}

/// Ends the running thread: its object is signalled.
pub fn exit() -> ! {
    irql::raise(irql::DISPATCH);
    wait::signal(current_object() as *mut DispatcherHeader, 1);
    // In one piece: who finds it dead takes its stack away.
    sync::enter();
    SCHED.lock().running().state = State::Dead;
    switch_to_next();
    unreachable!("a dead thread runs")
}

/// Gives the processor to the next thread, if there is one. IRQL must be DISPATCH; returns when it is
/// this thread's turn again.
fn reschedule() {
    let were_on = sync::enter();
    switch_to_next();
    sync::leave(were_on);
}

/// The same with ntguest's lock taken once: whoever comes out of the switch has it, on the same processor, so
/// that nobody takes a thread up before its registers are saved.
fn switch_to_next() {
    assert!(sync::is_taken_once(), "ntguest: a thread waits with a lock of its own held");
    let (save, load) = {
        let mut sched = SCHED.lock();
        let here = processor::current();
        sched.resched[here] = false;
        let old = sched.current[here];
        let mut new = sched.ready.pop_front();
        if sched.threads[old].state == State::Running {
            sched.threads[old].state = State::Ready;
            // Who was only interrupted by a thread that woke up goes on next, for the rest of his turn.
            if old != sched.idle[here] && sched.threads[old].quantum > 0 {
                sched.ready.push_front(old);
            } else if old != sched.idle[here] {
                sched.ready.push_back(old);
            }
            new = new.or_else(|| sched.ready.pop_front());
        }
        let new = new.unwrap_or(sched.idle[here]);
        if sched.threads[old].quantum == 0 || sched.threads[old].state == State::Blocked {
            sched.threads[old].quantum = QUANTUM;
        }
        sched.current[here] = new;
        sched.threads[new].state = State::Running;
        sched.threads[new].processor = here;
        user_data::set_current_thread(sched.threads[new].object as u64);
        sched.threads[old].last_call = image::last_call();
        if new == old {
            (core::ptr::null_mut(), 0)
        } else {
            (&raw mut sched.threads[old].rsp, sched.threads[new].rsp)
        }
    };
    if !save.is_null() {
        // SAFETY: threads are boxed and never removed, so `save` stays valid; `load` was saved by `switch`
        // or laid out by `add`. Interrupts are off.
        unsafe { switch(save, load) };
        let last_call = SCHED.lock().running().last_call;
        image::set_last_call(last_call);
    }
}

/// On the way down below DISPATCH: switch if somebody asked for it.
pub fn reschedule_if_requested() {
    let asked = {
        let sched = SCHED.lock();
        sched.resched[processor::current()]
    };
    if asked {
        reschedule();
    }
}

/// Blocks the running thread until its wait ends. The caller is at DISPATCH, has called [`sync::enter`],
/// which said `were_on`, and [`mark_blocked`]: nobody can end the wait before the thread is switched from.
pub fn block(were_on: bool, irql_before: u8) -> i32 {
    switch_to_next();
    let status = SCHED.lock().running().status;
    sync::leave(were_on);
    irql::lower(irql_before);
    status
}

/// Marks the running thread blocked (under the scheduler's lock).
pub fn mark_blocked(sched: &mut Scheduler, wait: Wait) {
    let thread = sched.running();
    thread.wait = wait;
    thread.state = State::Blocked;
}

/// Lets the others run.
pub fn yield_now() {
    let old = irql::raise(irql::DISPATCH);
    SCHED.lock().running().quantum = 0;
    reschedule();
    irql::lower(old);
}

/// Sleeps; units of 100 ns.
pub fn sleep_100ns(duration: i64) {
    let until = time::interrupt_time_100ns().saturating_add(duration.max(0) as u64);
    let old = irql::raise(irql::DISPATCH);
    let were_on = sync::enter();
    mark_blocked(&mut SCHED.lock(), Wait::Sleep { until });
    block(were_on, old);
}

/// Waits for the end of a thread and takes its stack away. The stacks of the driver's threads, which nobody
/// joins, go meanwhile: `main` is here as long as the driver is.
pub fn join(id: ThreadId) {
    while !take_stack(|index, _| index == id.0) {
        while take_stack(|_, thread| thread.drivers) {}
        sleep_100ns(10_000);
    }
}

/// Takes away the stack of one dead thread that is `wanted`; false when there is none.
fn take_stack(wanted: impl Fn(usize, &Thread) -> bool) -> bool {
    let (stack, pages) = {
        let mut sched = SCHED.lock();
        let mut threads = sched.threads.iter_mut().enumerate();
        let dead = threads.find(|(index, thread)| thread.state == State::Dead && wanted(*index, thread));
        let Some((_, thread)) = dead else { return false };
        thread.state = State::Joined;
        (thread.stack, thread.stack_pages)
    };
    for page in 0..pages {
        if let Some(pa) = paging::unmap(stack + page * PAGE) {
            phys::free(pa, Owner::Kernel);
        }
    }
    paging::shoot_down();
    true
}

/// For fault reports: name of the running thread and whether `va` is the page below its stack.
///
/// # Safety
/// As of [`IrqLock::peek`].
pub unsafe fn describe(va: u64) -> (&'static str, bool) {
    // SAFETY: by the contract above.
    let sched = unsafe { SCHED.peek() };
    match sched.threads.get(sched.current()) {
        Some(t) => (t.name, (t.stack - PAGE..t.stack).contains(&va)),
        None => ("boot", false),
    }
}

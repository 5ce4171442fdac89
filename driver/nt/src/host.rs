//! Fakes of the kernel for unit tests on a host that is not Windows. **Not for verdicts: ntguest judges.**
//!
//! They do the least that lets the driver's pure logic run: no checks of levels or order, one processor per
//! thread. IRQL, DPC queue, device memory, interrupts, pool faults and debug output belong to the calling
//! thread, so that tests running side by side do not see each other.
use crate::sys::{KDPC, KIRQL, PVOID};
use core::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::{string::String, vec::Vec};

pub(crate) mod calls;

/// A connected interrupt of the fakes: so many messages, or with 0 of them a line.
#[derive(Clone, Copy)]
pub(crate) struct Connection {
    pub(crate) messages: u32,
    pub(crate) on_message: crate::sys::PKMESSAGE_SERVICE_ROUTINE,
    pub(crate) on_line: crate::sys::PKSERVICE_ROUTINE,
    pub(crate) context: PVOID,
}

/// A timer of the fakes.
#[derive(Clone, Copy)]
pub(crate) struct FakeTimer {
    pub(crate) callback: crate::sys::PEXT_CALLBACK,
    pub(crate) context: PVOID,
    /// In how many 100 ns it expires, seen from when it was set; `None`: it is not set.
    pub(crate) due: Option<u64>,
}

/// How the next connections are answered.
#[derive(Clone, Copy, Debug)]
pub enum Grant {
    /// So many messages; 0: the line.
    Messages(u32),
    /// Success for messages, and no table.
    NoTable,
    /// Success for messages, and a table of none.
    EmptyTable,
    /// Success, whatever was asked, and nothing is connected.
    Nothing,
}

/// The bus driver of the fakes: what it answers to IRP_MN_QUERY_INTERFACE.
#[derive(Clone, Debug)]
pub struct Bus {
    /// It offers BUS_INTERFACE_STANDARD.
    pub offered: bool,
    /// Nothing is in the interface but its reference.
    pub without_functions: bool,
    /// It answers STATUS_PENDING and completes the request from another thread.
    pub pending: bool,
    /// Configuration space of every device.
    pub config: Vec<u8>,
}

impl Default for Bus {
    fn default() -> Self {
        Self { offered: true, without_functions: false, pending: false, config: Vec::new() }
    }
}

/// Exchanges the bus driver.
pub fn set_bus(bus: Bus) {
    BUS.set(bus);
}

/// References to the bus driver's interface.
pub fn bus_references() -> usize {
    BUS_REFERENCES.get()
}

std::thread_local! {
    pub(crate) static BUS: RefCell<Bus> = RefCell::default();
    pub(crate) static BUS_REFERENCES: Cell<usize> = const { Cell::new(0) };
    pub(crate) static IRQL: Cell<KIRQL> = const { Cell::new(0) };
    pub(crate) static DPCS: RefCell<VecDeque<*mut KDPC>> = const { RefCell::new(VecDeque::new()) };
    pub(crate) static CLOCK: Cell<Option<i64>> = const { Cell::new(None) };
    pub(crate) static TIMERS: RefCell<BTreeMap<usize, FakeTimer>> = const { RefCell::new(BTreeMap::new()) };
    pub(crate) static IO_SPACE: RefCell<BTreeMap<u64, (*mut u8, usize)>> = const { RefCell::new(BTreeMap::new()) };
    static SPARE_IO_SPACE: RefCell<Vec<(*mut u8, usize)>> = const { RefCell::new(Vec::new()) };
    static REACTIONS: Ranges<Reaction> = const { RefCell::new(Vec::new()) };
    static BEFORE_READS: Ranges<BeforeRead> = const { RefCell::new(Vec::new()) };
    pub(crate) static IO_MAPPINGS: Cell<usize> = const { Cell::new(0) };
    pub(crate) static POOL_BLOCKS: RefCell<BTreeMap<usize, core::alloc::Layout>> = const { RefCell::new(BTreeMap::new()) };
    pub(crate) static POOL_FAILS: Cell<bool> = const { Cell::new(false) };
    pub(crate) static CONTIGUOUS: RefCell<BTreeMap<usize, core::alloc::Layout>> = const { RefCell::new(BTreeMap::new()) };
    pub(crate) static GRANT: Cell<Grant> = const { Cell::new(Grant::Messages(1)) };
    pub(crate) static CONNECTION: Cell<Option<Connection>> = const { Cell::new(None) };
    pub(crate) static DEBUG_OUTPUT: RefCell<Vec<(u32, u32, String)>> = const { RefCell::new(Vec::new()) };
}

/// The level of this thread.
pub fn irql() -> KIRQL {
    IRQL.get()
}

/// Runs something at a level.
pub fn at_irql<R>(irql: KIRQL, work: impl FnOnce() -> R) -> R {
    let before = IRQL.replace(irql);
    let result = work();
    IRQL.set(before);
    result
}

/// Runs the DPCs this thread queued.
pub fn run_dpcs() {
    while let Some(dpc) = DPCS.with_borrow_mut(VecDeque::pop_front) {
        // SAFETY: queued by KeInsertQueueDpc and not removed: whoever queued it keeps it alive.
        unsafe {
            (*dpc).DpcData = core::ptr::null_mut();
            if let Some(routine) = (*dpc).DeferredRoutine {
                let (context, one, two): (PVOID, PVOID, PVOID) =
                    ((*dpc).DeferredContext, (*dpc).SystemArgument1, (*dpc).SystemArgument2);
                at_irql(crate::sys::DISPATCH_LEVEL, || routine(dpc, context, one, two));
            }
        }
    }
}

/// From now on this thread's performance counter stands still, but for what this lets pass, in 100 ns.
pub fn pass_time_100ns(time: u64) {
    let now = crate::clock::now();
    CLOCK.set(Some(now.saturating_add_unsigned(time)));
}

/// The same clock goes back.
pub fn turn_back_100ns(time: u64) {
    let now = crate::clock::now();
    CLOCK.set(Some(now.saturating_sub_unsigned(time)));
}

/// In how many 100 ns the first of this thread's timers was to expire when it was set; `None`: none is set.
pub fn timer_due_100ns() -> Option<u64> {
    TIMERS.with_borrow(|timers| timers.values().filter_map(|timer| timer.due).min())
}

/// Timers of this thread that were not deleted.
pub fn timers() -> usize {
    TIMERS.with_borrow(BTreeMap::len)
}

/// Lets every timer expire that this thread has set, whatever the time is.
pub fn expire_timers() {
    let expired = |(timer, found): (&usize, &mut FakeTimer)| {
        found.due.take()?;
        Some((*timer, found.callback?, found.context))
    };
    let all: Vec<_> = TIMERS.with_borrow_mut(|timers| timers.iter_mut().filter_map(expired).collect());
    for (timer, callback, context) in all {
        let timer = core::ptr::without_provenance_mut(timer);
        // SAFETY: not deleted, so that its context is alive.
        at_irql(crate::sys::DISPATCH_LEVEL, || unsafe { callback(timer, context) });
    }
}

/// Puts zeroed fake device memory at a physical address and answers where it really is. It stays until it is
/// forgotten.
pub fn add_io_space(physical: u64, bytes: usize) -> *mut u8 {
    let spare = SPARE_IO_SPACE.with_borrow_mut(|spare| {
        let index = spare.iter().position(|(_, length)| *length == bytes)?;
        Some(spare.swap_remove(index).0)
    });
    let base = if let Some(base) = spare {
        // SAFETY: leaked below with that length, and forgotten by whoever had it.
        unsafe { base.write_bytes(0, bytes) };
        base
    } else {
        let words = std::boxed::Box::leak(std::vec![0_u64; bytes.div_ceil(8)].into_boxed_slice());
        words.as_mut_ptr().cast()
    };
    IO_SPACE.with_borrow_mut(|space| space.insert(physical, (base, bytes)));
    base
}

/// What fake device memory does when at most 32 bits of it were written: the offset and the value.
type Reaction = Rc<dyn Fn(usize, u32)>;

/// What fake device memory does before it is read at an offset.
type BeforeRead = Rc<dyn Fn(usize)>;

/// Address, length, and what is set for it.
type Ranges<F> = RefCell<Vec<(usize, usize, F)>>;

/// Lets the fake device memory at a physical address react to what is written there, after it was stored.
/// Several reactions come in the order in which they were set.
pub fn on_write(physical: u64, reaction: impl Fn(usize, u32) + 'static) {
    let (base, bytes) = IO_SPACE.with_borrow(|space| space[&physical]);
    REACTIONS.with_borrow_mut(|reactions| reactions.push((base as usize, bytes, Rc::new(reaction))));
}

/// Lets the fake device memory at a physical address change before each read of it.
pub fn on_read(physical: u64, reaction: impl Fn(usize) + 'static) {
    let (base, bytes) = IO_SPACE.with_borrow(|space| space[&physical]);
    BEFORE_READS.with_borrow_mut(|reactions| reactions.push((base as usize, bytes, Rc::new(reaction))));
}

/// At most 32 bits were written to mapped device memory.
pub(crate) fn wrote(place: usize, value: u32) {
    for (offset, reaction) in set_for(&REACTIONS, place) {
        reaction(offset, value);
    }
}

/// Mapped device memory is about to be read.
pub(crate) fn reading(place: usize) {
    for (offset, reaction) in set_for(&BEFORE_READS, place) {
        reaction(offset);
    }
}

/// What was set for the range that `place` is in, and its offset there.
fn set_for<F: Clone>(all: &'static std::thread::LocalKey<Ranges<F>>, place: usize) -> Vec<(usize, F)> {
    let at = |(base, bytes, reaction): &(usize, usize, F)| {
        let offset = place.checked_sub(*base).filter(|offset| offset < bytes)?;
        Some((offset, reaction.clone()))
    };
    // A copy: a reaction may set another.
    all.with_borrow(|all| all.iter().filter_map(at).collect())
}

/// Takes fake device memory away, with what was set for it. Nothing is mapped of it any more.
pub fn forget_io_space(physical: u64) {
    let Some((base, bytes)) = IO_SPACE.with_borrow_mut(|space| space.remove(&physical)) else { return };
    REACTIONS.with_borrow_mut(|all| all.retain(|(start, ..)| *start != base as usize));
    BEFORE_READS.with_borrow_mut(|all| all.retain(|(start, ..)| *start != base as usize));
    SPARE_IO_SPACE.with_borrow_mut(|spare| spare.push((base, bytes)));
}

/// Frees all contiguous memory of this thread, which a driver has left to a device on purpose. Nobody has it
/// any more.
pub fn free_contiguous() {
    for (base, layout) in CONTIGUOUS.take() {
        // SAFETY: allocated by MmAllocateContiguousNodeMemory with this layout.
        unsafe { std::alloc::dealloc(core::ptr::with_exposed_provenance_mut(base), layout) };
    }
}

/// Mappings of device memory that are not taken away yet.
pub fn io_mappings() -> usize {
    IO_MAPPINGS.get()
}

/// Pieces of contiguous memory that are not freed yet.
pub fn contiguous_blocks() -> usize {
    CONTIGUOUS.with_borrow(BTreeMap::len)
}

/// Pool blocks that are not freed yet.
pub fn pool_blocks() -> usize {
    POOL_BLOCKS.with_borrow(BTreeMap::len)
}

/// Lets every pool allocation of this thread fail, or no longer. (On a host the global allocator is not the
/// pool.)
pub fn fail_pool(fails: bool) {
    POOL_FAILS.set(fails);
}

/// How many messages the next connection gets; 0: a line.
pub fn grant_messages(messages: u32) {
    grant(Grant::Messages(messages));
}

/// How the next connections are answered.
pub fn grant(grant: Grant) {
    GRANT.set(grant);
}

/// Raises an interrupt; answers what the routine did, or `None` if none is connected or granted.
pub fn interrupt(message: u32) -> Option<bool> {
    let connection = CONNECTION.get()?;
    at_irql(5, || {
        // SAFETY: connected, so the routine and its context are alive.
        unsafe {
            if connection.messages == 0 {
                connection.on_line.map(|routine| routine(core::ptr::null_mut(), connection.context) != 0)
            } else if message < connection.messages {
                let routine = connection.on_message?;
                Some(routine(core::ptr::null_mut(), connection.context, message) != 0)
            } else {
                None
            }
        }
    })
}

/// What was sent to the debugger from this thread since the last call: component, level, text.
pub fn take_debug_output() -> Vec<(u32, u32, String)> {
    DEBUG_OUTPUT.take()
}

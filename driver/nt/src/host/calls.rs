//! The kernel's functions as the host fakes have them. **Not for verdicts: ntguest judges.**
//!
//! Names and signatures are those of `sys::imports`.
#![allow(clippy::missing_safety_doc)] // their contracts are the kernel's; this is a fake of it
#![allow(missing_docs, clippy::missing_panics_doc)]
use super::{
    BUS, BUS_REFERENCES, CLOCK, CONNECTION, CONTIGUOUS, Connection, DEBUG_OUTPUT, DPCS, FakeTimer, GRANT,
    Grant, IO_MAPPINGS, IO_SPACE, IRQL, POOL_BLOCKS, POOL_FAILS, TIMERS,
};
use crate::status::{STATUS_NOT_SUPPORTED, STATUS_PENDING, STATUS_SUCCESS, STATUS_TIMEOUT};
use crate::sys::LargeInteger as _;
use crate::sys::{
    BOOLEAN, BUS_INTERFACE_STANDARD, CONNECT_LINE_BASED, DEVICE_OBJECT, DISPATCH_LEVEL, EVENT_TYPE,
    IO_CONNECT_INTERRUPT_PARAMETERS, IO_DISCONNECT_INTERRUPT_PARAMETERS, IO_INTERRUPT_MESSAGE_INFO,
    IO_STACK_LOCATION, IO_STATUS_BLOCK, IRP, IRP_MN_QUERY_INTERFACE, KDPC, KEVENT, KIRQL, KMUTEX, KSPIN_LOCK,
    KWAIT_REASON, LARGE_INTEGER, NTSTATUS, PEX_TIMER, PEXT_CALLBACK, PHYSICAL_ADDRESS, PKDEFERRED_ROUTINE,
    PVOID, UNICODE_STRING,
};
use core::alloc::Layout;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::boxed::Box;
use std::string::String;
use std::time::{Duration, Instant};

pub fn debug_print(component: u32, level: u32, text: &[u8]) {
    let text = String::from_utf8_lossy(text.strip_suffix(&[0]).unwrap_or(text)).into_owned();
    DEBUG_OUTPUT.with_borrow_mut(|output| output.push((component, level, text)));
}

pub unsafe fn ExAllocatePoolWithTag(_pool_type: i32, bytes: usize, _tag: u32) -> PVOID {
    if POOL_FAILS.get() {
        return null_mut();
    }
    let Ok(layout) = Layout::from_size_align(bytes.max(1), 16) else { return null_mut() };
    // SAFETY: the size is not 0.
    let block = unsafe { std::alloc::alloc(layout) };
    POOL_BLOCKS.with_borrow_mut(|blocks| blocks.insert(block as usize, layout));
    block.cast()
}

pub unsafe fn ExFreePoolWithTag(memory: PVOID, _tag: u32) {
    let layout = POOL_BLOCKS
        .with_borrow_mut(|blocks| blocks.remove(&(memory as usize)))
        .expect("not a pool block of this thread");
    // SAFETY: allocated above with this layout, and only once in the list.
    unsafe { std::alloc::dealloc(memory.cast(), layout) }
}

pub unsafe fn KeInitializeEvent(event: *mut KEVENT, kind: EVENT_TYPE, state: BOOLEAN) {
    // SAFETY: the caller's contract.
    unsafe {
        event.write(core::mem::zeroed());
        (*event).Header.Lock = kind;
        (*event).Header.SignalState = i32::from(state);
    }
}

unsafe fn signal<'a>(event: *mut KEVENT) -> &'a AtomicI32 {
    // SAFETY: a live event, by the caller's contract; the field is only reached through here.
    unsafe { AtomicI32::from_ptr(&raw mut (*event).Header.SignalState) }
}

pub unsafe fn KeSetEvent(event: *mut KEVENT, _increment: i32, _wait: BOOLEAN) -> i32 {
    // SAFETY: the caller's contract.
    unsafe { signal(event) }.swap(1, Ordering::SeqCst)
}

pub unsafe fn KeClearEvent(event: *mut KEVENT) {
    // SAFETY: the caller's contract.
    unsafe { signal(event) }.store(0, Ordering::SeqCst);
}

/// What the kernel keeps as the type of a mutex in the head.
const MUTANT: i32 = 2;

pub unsafe fn KeInitializeMutex(mutex: *mut KMUTEX, _level: u32) {
    // SAFETY: the caller's contract.
    unsafe {
        mutex.write(core::mem::zeroed());
        (*mutex).Header.Lock = MUTANT;
        (*mutex).Header.SignalState = 1;
    }
}

/// Unlike the kernel's it can't be taken again by its owner, who would wait for ever: that is always a
/// mistake of ours.
pub unsafe fn KeReleaseMutex(mutex: *mut KMUTEX, _wait: BOOLEAN) -> i32 {
    // SAFETY: the caller's contract; a mutex begins as an event does.
    let before = unsafe { signal(mutex.cast()) }.swap(1, Ordering::SeqCst);
    assert!(before == 0, "a mutex was released that was not held");
    before
}

/// How long an interval is. Negative is relative; positive is a point in time, which for small numbers (1601)
/// is long past.
fn duration(interval: LARGE_INTEGER) -> Duration {
    let relative = interval.as_i64().min(0).unsigned_abs();
    Duration::from_nanos(relative.saturating_mul(100))
}

pub unsafe fn KeWaitForSingleObject(
    object: PVOID,
    _reason: KWAIT_REASON,
    _mode: i8,
    _alertable: BOOLEAN,
    timeout: *mut LARGE_INTEGER,
) -> NTSTATUS {
    let event: *mut KEVENT = object.cast();
    // SAFETY: the caller's contract; NULL means for ever.
    let limit = (!timeout.is_null()).then(|| duration(unsafe { *timeout }));
    let start = Instant::now();
    loop {
        // SAFETY: the caller's contract.
        let signalled = unsafe {
            let keeps = (*event).Header.Lock == 0;
            let state = signal(event);
            if keeps { state.load(Ordering::SeqCst) != 0 } else { state.swap(0, Ordering::SeqCst) != 0 }
        };
        if signalled {
            return STATUS_SUCCESS;
        }
        if limit.is_some_and(|limit| start.elapsed() >= limit) {
            return STATUS_TIMEOUT;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

pub unsafe fn KeDelayExecutionThread(
    _mode: i8,
    _alertable: BOOLEAN,
    interval: *mut LARGE_INTEGER,
) -> NTSTATUS {
    // SAFETY: the caller's contract.
    std::thread::sleep(duration(unsafe { *interval }));
    STATUS_SUCCESS
}

pub unsafe fn KeInitializeDpc(dpc: *mut KDPC, routine: PKDEFERRED_ROUTINE, context: PVOID) {
    // SAFETY: the caller's contract.
    unsafe {
        dpc.write(core::mem::zeroed());
        (*dpc).DeferredRoutine = routine;
        (*dpc).DeferredContext = context;
    }
}

pub unsafe fn KeInsertQueueDpc(dpc: *mut KDPC, argument1: PVOID, argument2: PVOID) -> BOOLEAN {
    // SAFETY: the caller's contract.
    unsafe {
        if !(*dpc).DpcData.is_null() {
            return 0;
        }
        (*dpc).DpcData = dpc.cast();
        (*dpc).SystemArgument1 = argument1;
        (*dpc).SystemArgument2 = argument2;
    }
    DPCS.with_borrow_mut(|queue| queue.push_back(dpc));
    1
}

pub unsafe fn KeRemoveQueueDpc(dpc: *mut KDPC) -> BOOLEAN {
    // SAFETY: the caller's contract.
    let queued = unsafe { !core::mem::replace(&mut (*dpc).DpcData, null_mut()).is_null() };
    DPCS.with_borrow_mut(|queue| queue.retain(|&other| other != dpc));
    BOOLEAN::from(queued)
}

pub unsafe fn KeFlushQueuedDpcs() {
    super::run_dpcs();
}

pub unsafe fn ExAllocateTimer(callback: PEXT_CALLBACK, context: PVOID, _attributes: u32) -> PEX_TIMER {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    if POOL_FAILS.get() {
        return null_mut();
    }
    let timer = NEXT.fetch_add(1, Ordering::Relaxed);
    TIMERS.with_borrow_mut(|timers| timers.insert(timer, FakeTimer { callback, context, due: None }));
    core::ptr::without_provenance_mut(timer)
}

/// What a timer of this thread is set to; answers what it was set to before.
fn set_timer(timer: PEX_TIMER, due: Option<u64>) -> BOOLEAN {
    TIMERS.with_borrow_mut(|timers| {
        let found = timers.get_mut(&timer.addr()).expect("not a timer of this thread");
        BOOLEAN::from(core::mem::replace(&mut found.due, due).is_some())
    })
}

pub unsafe fn ExSetTimer(timer: PEX_TIMER, due: i64, _period: i64, _parameters: PVOID) -> BOOLEAN {
    assert!(due < 0, "a timer of high resolution takes relative times only");
    set_timer(timer, Some(due.unsigned_abs()))
}

pub unsafe fn ExCancelTimer(timer: PEX_TIMER, _parameters: PVOID) -> BOOLEAN {
    set_timer(timer, None)
}

pub unsafe fn ExDeleteTimer(
    timer: PEX_TIMER,
    _cancel: BOOLEAN,
    _wait: BOOLEAN,
    _parameters: PVOID,
) -> BOOLEAN {
    let deleted = TIMERS.with_borrow_mut(|timers| timers.remove(&timer.addr()));
    BOOLEAN::from(deleted.expect("not a timer of this thread").due.is_some())
}

unsafe fn word<'a>(lock: *mut KSPIN_LOCK) -> &'a AtomicUsize {
    // SAFETY: a live lock, by the caller's contract; the word is only reached through here.
    unsafe { AtomicUsize::from_ptr(lock) }
}

pub unsafe fn KeAcquireSpinLockRaiseToDpc(lock: *mut KSPIN_LOCK) -> KIRQL {
    let before = IRQL.replace(DISPATCH_LEVEL);
    // SAFETY: the caller's contract.
    unsafe { KeAcquireSpinLockAtDpcLevel(lock) };
    before
}

pub unsafe fn KeReleaseSpinLock(lock: *mut KSPIN_LOCK, irql: KIRQL) {
    // SAFETY: the caller's contract.
    unsafe { KeReleaseSpinLockFromDpcLevel(lock) };
    IRQL.set(irql);
}

pub unsafe fn KeAcquireSpinLockAtDpcLevel(lock: *mut KSPIN_LOCK) {
    // SAFETY: the caller's contract.
    while unsafe { word(lock) }.swap(1, Ordering::Acquire) != 0 {
        std::thread::yield_now();
    }
}

pub unsafe fn KeReleaseSpinLockFromDpcLevel(lock: *mut KSPIN_LOCK) {
    // SAFETY: the caller's contract.
    let held = unsafe { word(lock) }.swap(0, Ordering::Release);
    assert!(held == 1, "a spin lock was released that was not held");
}

pub unsafe fn MmMapIoSpaceEx(address: PHYSICAL_ADDRESS, bytes: usize, _protect: u32) -> PVOID {
    // All of a range, or a part of it.
    let base = IO_SPACE.with_borrow(|space| {
        let (start, (base, room)) = space.range(..=address.as_u64()).next_back()?;
        let offset = usize::try_from(address.as_u64() - start).ok()?;
        (offset.checked_add(bytes)? <= *room).then(|| base.wrapping_add(offset))
    });
    base.map_or(null_mut(), |base| {
        IO_MAPPINGS.set(IO_MAPPINGS.get() + 1);
        base.cast()
    })
}

pub unsafe fn MmUnmapIoSpace(_base: PVOID, _bytes: usize) {
    IO_MAPPINGS.set(IO_MAPPINGS.get().checked_sub(1).expect("unmapped more often than mapped"));
}

pub unsafe fn MmAllocateContiguousNodeMemory(
    bytes: usize,
    _lowest: PHYSICAL_ADDRESS,
    _highest: PHYSICAL_ADDRESS,
    _boundary: PHYSICAL_ADDRESS,
    _protect: u32,
    _node: u32,
) -> PVOID {
    let Ok(layout) = Layout::from_size_align(bytes.max(1), 4096) else { return null_mut() };
    // SAFETY: the size is not 0.
    let base = unsafe { std::alloc::alloc(layout) };
    if !base.is_null() {
        // SAFETY: fresh memory; as on Windows it is not zeroed.
        unsafe { base.write_bytes(0xCD, bytes) };
        CONTIGUOUS.with_borrow_mut(|blocks| blocks.insert(base as usize, layout));
    }
    base.cast()
}

pub unsafe fn MmFreeContiguousMemory(base: PVOID) {
    let layout = CONTIGUOUS
        .with_borrow_mut(|blocks| blocks.remove(&(base as usize)))
        .expect("not contiguous memory of this thread");
    // SAFETY: allocated above with this layout.
    unsafe { std::alloc::dealloc(base.cast(), layout) }
}

/// On a host a physical address is the address.
pub unsafe fn MmGetPhysicalAddress(base: PVOID) -> PHYSICAL_ADDRESS {
    PHYSICAL_ADDRESS::from_u64(base as u64)
}

pub unsafe fn IoConnectInterruptEx(parameters: *mut IO_CONNECT_INTERRUPT_PARAMETERS) -> NTSTATUS {
    let table_of = |messages| {
        // SAFETY: numbers and pointers, for which zero is a value.
        let mut table: IO_INTERRUPT_MESSAGE_INFO = unsafe { core::mem::zeroed() };
        table.MessageCount = messages;
        Box::into_raw(Box::new(table)).cast()
    };
    // SAFETY: the caller's contract; the version says which member it is.
    unsafe {
        let for_line = (*parameters).Version == CONNECT_LINE_BASED;
        let (place, connection) = if for_line {
            let asked = (*parameters).u.LineBased;
            let context = asked.ServiceContext;
            (
                asked.InterruptObject,
                Connection { messages: 0, on_message: None, on_line: asked.ServiceRoutine, context },
            )
        } else {
            let asked = (*parameters).u.MessageBased;
            let (on_message, on_line) = (asked.MessageServiceRoutine, asked.FallBackServiceRoutine);
            (
                asked.ConnectionContext,
                Connection { messages: 0, on_message, on_line, context: asked.ServiceContext },
            )
        };
        *place = match GRANT.get() {
            Grant::Messages(messages) if messages > 0 && !for_line => {
                CONNECTION.set(Some(Connection { messages, ..connection }));
                table_of(messages)
            }
            Grant::NoTable if !for_line => null_mut(),
            Grant::EmptyTable if !for_line => {
                CONNECTION.set(Some(Connection { messages: u32::MAX, on_message: None, ..connection }));
                table_of(0)
            }
            Grant::Nothing => null_mut(),
            _ => {
                (*parameters).Version = CONNECT_LINE_BASED;
                CONNECTION.set(Some(connection));
                LINE_OBJECT
            }
        };
    }
    STATUS_SUCCESS
}

/// Stands for a line's interrupt object.
const LINE_OBJECT: PVOID = core::ptr::dangling_mut::<u64>().cast();

pub unsafe fn IoDisconnectInterruptEx(parameters: *mut IO_DISCONNECT_INTERRUPT_PARAMETERS) {
    let connection = CONNECTION.take().expect("not connected");
    // SAFETY: the caller's contract; the table is the one made above.
    unsafe {
        assert_eq!(
            (*parameters).Version == CONNECT_LINE_BASED,
            connection.messages == 0,
            "disconnected with the wrong version"
        );
        if connection.messages > 0 {
            drop(Box::from_raw((*parameters).ConnectionContext.cast::<IO_INTERRUPT_MESSAGE_INFO>()));
        } else {
            assert_eq!((*parameters).ConnectionContext, LINE_OBJECT, "another interrupt object");
        }
    }
}

pub unsafe fn IoGetAttachedDeviceReference(device: *mut DEVICE_OBJECT) -> *mut DEVICE_OBJECT {
    device
}

/// An IRP with one stack location above it in memory, as the I/O manager makes them.
#[repr(C)]
struct SynchronousIrp {
    irp: IRP,
    location: IO_STACK_LOCATION,
}

pub unsafe fn IoBuildSynchronousFsdRequest(
    major: u32,
    _device: *mut DEVICE_OBJECT,
    _buffer: PVOID,
    _bytes: u32,
    _offset: *mut LARGE_INTEGER,
    event: *mut KEVENT,
    status: *mut IO_STATUS_BLOCK,
) -> *mut IRP {
    if POOL_FAILS.get() {
        return null_mut();
    }
    // SAFETY: numbers and pointers, for which zero is a value.
    let made: Box<SynchronousIrp> = Box::new(unsafe { core::mem::zeroed() });
    let made = Box::into_raw(made);
    // SAFETY: just made; one past the only location is where the pointer of an IRP that nobody has yet
    // stands.
    unsafe {
        (*made).irp.UserIosb = status;
        (*made).irp.UserEvent = event.cast();
        (*made).irp.Tail.Overlay.CurrentStackLocation = (&raw mut (*made).location).add(1);
        (*made).location.MajorFunction = u8::try_from(major).expect("a major function");
    }
    made.cast()
}

/// The bus driver is the only one in the stack. It completes the request and frees it.
pub unsafe fn IofCallDriver(_device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
    // SAFETY: made above, and sent once.
    let made = unsafe { Box::from_raw(irp.cast::<SynchronousIrp>()) };
    assert_eq!(made.location.MinorFunction, IRP_MN_QUERY_INTERFACE);
    assert_eq!(made.irp.IoStatus.Status, STATUS_NOT_SUPPORTED, "as every PnP request is sent");
    let bus = BUS.with_borrow(Clone::clone);
    let [_, size_and_version, place, _] = made.location.Parameters;
    assert_eq!(size_and_version, 64 | 1 << 16, "size and version of BUS_INTERFACE_STANDARD");
    let mut status = made.irp.IoStatus.Status;
    if bus.offered {
        let place: *mut BUS_INTERFACE_STANDARD = core::ptr::with_exposed_provenance_mut(place);
        // SAFETY: the caller's room.
        unsafe {
            (*place).InterfaceDereference = Some(bus_dereference);
            (*place).GetBusData = (!bus.without_functions).then_some(bus_read);
        }
        BUS_REFERENCES.set(BUS_REFERENCES.get() + 1);
        status = STATUS_SUCCESS;
    }
    let (block, event) = (made.irp.UserIosb.expose_provenance(), made.irp.UserEvent.expose_provenance());
    let complete = move || {
        // SAFETY: the caller waits for the event before it goes.
        unsafe {
            (*core::ptr::with_exposed_provenance_mut::<IO_STATUS_BLOCK>(block)).Status = status;
            KeSetEvent(core::ptr::with_exposed_provenance_mut(event), 0, 0);
        }
    };
    if bus.pending {
        std::thread::spawn(complete);
        return STATUS_PENDING;
    }
    complete();
    status
}

unsafe extern "C" fn bus_dereference(_context: PVOID) {
    BUS_REFERENCES.set(BUS_REFERENCES.get().checked_sub(1).expect("given back more often than taken"));
}

unsafe extern "C" fn bus_read(_: PVOID, _space: u32, buffer: PVOID, offset: u32, bytes: u32) -> u32 {
    BUS.with_borrow(|bus| {
        let rest = bus.config.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(bytes as usize);
        // SAFETY: the caller's room.
        unsafe { buffer.cast::<u8>().copy_from_nonoverlapping(rest.as_ptr(), count) };
        u32::try_from(count).unwrap_or(0)
    })
}

/// The fakes make no strings.
pub unsafe fn RtlFreeUnicodeString(_string: *mut UNICODE_STRING) {}

pub unsafe fn ObfReferenceObject(_object: PVOID) -> isize {
    1
}

pub unsafe fn ObfDereferenceObject(_object: PVOID) -> isize {
    1
}

/// Ten million a second, as Windows has it. It stands still for a test that says so.
pub unsafe fn KeQueryPerformanceCounter(frequency: *mut LARGE_INTEGER) -> LARGE_INTEGER {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    if !frequency.is_null() {
        // SAFETY: the caller's contract.
        unsafe { frequency.write(LARGE_INTEGER::from_i64(10_000_000)) };
    }
    if let Some(stands) = CLOCK.get() {
        return LARGE_INTEGER::from_i64(stands);
    }
    let since = START.get_or_init(Instant::now).elapsed();
    LARGE_INTEGER::from_i64(i64::try_from(since.as_nanos() / 100).unwrap_or(i64::MAX))
}

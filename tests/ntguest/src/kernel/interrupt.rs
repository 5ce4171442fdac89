//! IoConnectInterruptEx and what stands behind it. Layouts: WAVERT.md 7.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::c_void;
use core::mem::{offset_of, size_of};
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::pci::Card;
use super::sync::IrqLock;
use super::{call, caller, cards, cfg, inject, irql, lock_watch, pci, reenter, spin, time, violation};

const FULLY_SPECIFIED: u32 = 1;
const LINE_BASED: u32 = 2;
const MESSAGE_BASED: u32 = 3;

const STATUS_SUCCESS: i32 = 0;
const STATUS_INVALID_PARAMETER: i32 = 0xc000_000d_u32 as i32;
const STATUS_NOT_FOUND: i32 = 0xc000_0225_u32 as i32;

/// KSERVICE_ROUTINE.
type ServiceRoutine = unsafe extern "win64" fn(*mut c_void, *mut c_void) -> u8;
/// KMESSAGE_SERVICE_ROUTINE.
pub type MessageRoutine = unsafe extern "win64" fn(*mut c_void, *mut c_void, u32) -> u8;

/// IO_CONNECT_INTERRUPT_PARAMETERS; the tail is only there for FULLY_SPECIFIED. In MESSAGE_BASED the
/// byte 56 holds the fallback routine instead.
#[repr(C)]
struct Parameters {
    version: u32,
    pdo: *mut c_void,
    context: *mut *mut c_void,
    routine: usize,
    service_context: *mut c_void,
    spin_lock: *mut usize,
    synchronize_irql: u8,
    floating_save: u8,
    share_vector: u8,
    vector: u32,
    irql_or_fallback: usize,
    mask: usize,
    group: u16,
}
const _: () = assert!(size_of::<Parameters>() == 80 && offset_of!(Parameters, vector) == 52);
const _: () = assert!(offset_of!(Parameters, irql_or_fallback) == 56 && offset_of!(Parameters, group) == 72);

/// IO_DISCONNECT_INTERRUPT_PARAMETERS.
#[repr(C)]
struct DisconnectParameters {
    version: u32,
    context: *mut c_void,
}

/// One entry of IO_INTERRUPT_MESSAGE_INFO.
#[repr(C)]
struct MessageEntry {
    address: u64,
    targets: u64,
    object: *mut c_void,
    data: u32,
    vector: u32,
    irql: u8,
    mode: u32,
    polarity: u32,
}
const _: () = assert!(size_of::<MessageEntry>() == 48 && offset_of!(MessageEntry, irql) == 32);

/// IO_INTERRUPT_MESSAGE_INFO, with room for the 16 messages the card can get.
#[repr(C)]
struct MessageTable {
    irql: u8,
    count: u32,
    entries: [MessageEntry; 16],
}
const _: () = assert!(offset_of!(MessageTable, entries) == 8);

#[derive(Clone, Copy)]
enum Routine {
    Line(ServiceRoutine),
    Message(MessageRoutine, u32),
}

/// KINTERRUPT: opaque to the driver.
pub struct Interrupt {
    routine: Routine,
    context: *mut c_void,
    lock: *mut usize,
    own_lock: usize,
    irql: u8,
    vector: u8,
    /// Processors that call its routine.
    active: AtomicUsize,
    /// Whose it is.
    card: usize,
}

/// Connected interrupts: (address of the object, the connection's context pointer).
static CONNECTED: IrqLock<Vec<(usize, usize)>> = IrqLock::new(Vec::new());
/// Interrupts delivered.
static DELIVERED: AtomicU64 = AtomicU64::new(0);
/// Line interrupts in a row that nobody claimed.
static UNCLAIMED: AtomicU64 = AtomicU64::new(0);
/// When the last one was disconnected: a message may still be on its way then.
static LAST_DISCONNECT: AtomicU64 = AtomicU64::new(0);
/// Messages already sent when the driver disconnects arrive within this time (100 ns).
const IN_FLIGHT: u64 = 2_000_000;

/// The table without messages of `connect_table=empty`, until it is disconnected; 0 = none.
static EMPTY_TABLE: AtomicUsize = AtomicUsize::new(0);

/// The device objects PnP made for the cards; 0 while nobody has said.
static EXPECTED_PDOS: [AtomicUsize; cards::MOST] = [const { AtomicUsize::new(0) }; cards::MOST];

/// Says which physical device object is a card's: connecting with another one (the functional device object,
/// say) is the violation `interrupt-pdo`.
pub fn expect_pdo(card: usize, pdo: *mut c_void) {
    EXPECTED_PDOS[card].store(pdo as usize, Ordering::Relaxed);
}

/// Whose physical device object it is. While nobody has said there is one card.
fn card_of(pdo: *mut c_void) -> Option<&'static Card> {
    let expected = |card: usize| EXPECTED_PDOS[card].load(Ordering::Relaxed);
    if (0..cards::MOST).all(|card| expected(card) == 0) {
        return cards::get(0);
    }
    cards::get((0..cards::MOST).find(|card| expected(*card) == pdo as usize)?)
}

/// Connections that still stand.
pub fn connected() -> usize {
    CONNECTED.lock().len() + usize::from(EMPTY_TABLE.load(Ordering::Relaxed) != 0)
}

/// Connections of one card.
pub fn connected_of(card: usize) -> usize {
    // SAFETY: in the list = live.
    let of_card = |object: usize| unsafe { (*(object as *const Interrupt)).card } == card;
    CONNECTED.lock().iter().filter(|(object, _)| of_card(*object)).count()
        + usize::from(EMPTY_TABLE.load(Ordering::Relaxed) != 0)
}

/// Whether this is the context of a connection that stands, or an interrupt object of one.
pub fn is_connected(handle: usize) -> bool {
    CONNECTED.lock().iter().any(|(object, context)| *object == handle || *context == handle)
}

/// Interrupts delivered so far.
pub fn delivered() -> u64 {
    DELIVERED.load(Ordering::Relaxed)
}

/// Calls who is connected to `vector`; false when nobody is. At the vector's IRQL, interrupts on.
pub fn deliver(vector: u8) -> bool {
    let mut objects = [0usize; 16];
    let mut count = 0;
    for (object, _) in CONNECTED.lock().iter() {
        // SAFETY: in the list = live.
        let interrupt = unsafe { &*(*object as *const Interrupt) };
        if interrupt.vector == vector && count < objects.len() {
            interrupt.active.fetch_add(1, Ordering::Relaxed);
            objects[count] = *object;
            count += 1;
        }
    }
    if count == 0 {
        let since = time::interrupt_time_100ns() - LAST_DISCONNECT.load(Ordering::Relaxed);
        return LAST_DISCONNECT.load(Ordering::Relaxed) != 0 && since < IN_FLIGHT;
    }
    DELIVERED.fetch_add(1, Ordering::Relaxed);
    let mut claimed = false;
    for object in &objects[..count] {
        claimed |= serve(*object as *mut Interrupt);
        // SAFETY: never freed.
        unsafe { (*(*object as *const Interrupt)).active.fetch_sub(1, Ordering::Release) };
    }
    if claimed {
        UNCLAIMED.store(0, Ordering::Relaxed);
    } else if UNCLAIMED.fetch_add(1, Ordering::Relaxed) + 1 == cfg::get_u64("irq_storm_limit", 1000)
        && let Some(line) =
            cards::all().find_map(|card| card.line.filter(|line| line.vector == u32::from(vector)))
    {
        pci::mask_line(&line);
        violation("interrupt-storm", format_args!("no service routine claims the line: it is masked now"));
    }
    true
}

/// Another device on the card's line interrupts: every service routine on it is asked. Whether one claims it.
pub fn deliver_of_another() -> bool {
    let Some(line) = pci::card().line else { return false };
    let connected = CONNECTED.lock().clone();
    // SAFETY: in the list = live.
    let of_line =
        |object: &usize| u32::from(unsafe { (*(*object as *const Interrupt)).vector }) == line.vector;
    let objects = connected.iter().map(|(object, _)| *object).filter(of_line);
    objects.fold(false, |claimed, object| serve(object as *mut Interrupt) | claimed)
}

fn serve(interrupt: *mut Interrupt) -> bool {
    // SAFETY: connected = live.
    let (routine, context, lock, level) =
        unsafe { ((*interrupt).routine, (*interrupt).context, (*interrupt).lock, (*interrupt).irql) };
    let old = irql::raise(level);
    spin::acquire(lock, spin::NO_RESTORE);
    let other = other_message(interrupt);
    let result = call::driver_call("InterruptServiceRoutine", level, || match (routine, other) {
        // SAFETY: routine and context as the driver connected them.
        (Routine::Line(f), _) => lock_watch::line_routine(|| unsafe { f(interrupt.cast(), context) }),
        // SAFETY: see above; the other one is connected.
        (Routine::Message(f, id), Some(other)) => unsafe { reenter::call(f, interrupt, context, id, other) },
        // SAFETY: see above.
        (Routine::Message(f, id), None) => unsafe { f(interrupt.cast(), context, id) },
    });
    spin::release(lock, spin::NO_RESTORE);
    irql::lower(old);
    result != 0
}

/// Another message whose service routine may run on another processor while that of `interrupt` runs: one
/// with a lock of its own, and of an IRQL that is not lower.
fn other_message(interrupt: *mut Interrupt) -> Option<usize> {
    // SAFETY: connected = live.
    let (own, level) = unsafe { ((*interrupt).lock == &raw mut (*interrupt).own_lock, (*interrupt).irql) };
    let differs = |address: &usize| {
        // SAFETY: in the list = live.
        let other = unsafe { &*(*address as *const Interrupt) };
        let own_lock = core::ptr::eq(other.lock, &raw const other.own_lock);
        *address != interrupt as usize
            && own_lock
            && other.irql >= level
            && matches!(other.routine, Routine::Message(..))
            // Its lock is free: it is not running itself.
            && other.own_lock == 0
    };
    let connected = CONNECTED.lock();
    own.then(|| connected.iter().map(|(address, _)| *address).find(differs))?
}

/// Runs the service routine of another message, as another processor would.
pub fn serve_other(interrupt: *mut Interrupt) {
    serve(interrupt);
}

fn object(card: &Card, routine: Routine, p: &Parameters, vector: u32, device_irql: u8) -> *mut Interrupt {
    let level = if p.synchronize_irql == 0 { device_irql } else { p.synchronize_irql };
    if level < device_irql {
        violation(
            "interrupt-irql",
            format_args!("SynchronizeIrql {level} is below the interrupt's {device_irql}, {}", caller()),
        );
    }
    let interrupt = Box::into_raw(Box::new(Interrupt {
        routine,
        context: p.service_context,
        lock: p.spin_lock,
        own_lock: 0,
        irql: level.max(device_irql),
        vector: vector as u8,
        active: AtomicUsize::new(0),
        card: card.number,
    }));
    if p.spin_lock.is_null() {
        // SAFETY: just allocated; it does not move any more.
        unsafe { (*interrupt).lock = &raw mut (*interrupt).own_lock };
    }
    interrupt
}

/// IoConnectInterruptEx(parameters) -> NTSTATUS
pub extern "win64" fn connect(p: *mut c_void) -> i32 {
    let p = p.cast::<Parameters>();
    // SAFETY: the driver's parameters; only the fields of the version it names are read, and the
    // structure is a union of fixed size (80 bytes) in every version.
    let p = unsafe { &mut *p };
    if p.context.is_null() || p.routine == 0 {
        violation(
            "interrupt-parameters",
            format_args!("IoConnectInterruptEx without context or routine, {}", caller()),
        );
        return STATUS_INVALID_PARAMETER;
    }
    if p.pdo.is_null() {
        violation(
            "interrupt-parameters",
            format_args!("IoConnectInterruptEx without a physical device object, {}", caller()),
        );
        return STATUS_INVALID_PARAMETER;
    }
    let Some(card) = card_of(p.pdo) else {
        violation(
            "interrupt-pdo",
            format_args!(
                "IoConnectInterruptEx with {:p}, which is no physical device object, {}",
                p.pdo,
                caller()
            ),
        );
        return STATUS_INVALID_PARAMETER;
    };
    if let Some(status) = inject::CONNECT.fails() {
        return status.0;
    }
    match p.version {
        FULLY_SPECIFIED => connect_fully(card, p),
        LINE_BASED => connect_line(card, p, p.routine),
        MESSAGE_BASED => connect_messages(card, p),
        other => {
            violation(
                "interrupt-parameters",
                format_args!("IoConnectInterruptEx version {other}, {}", caller()),
            );
            STATUS_INVALID_PARAMETER
        }
    }
}

fn line_routine(address: usize) -> Routine {
    // SAFETY: not zero, and the driver says it is a KSERVICE_ROUTINE.
    Routine::Line(unsafe { core::mem::transmute::<usize, ServiceRoutine>(address) })
}

fn publish(p: &Parameters, interrupt: *mut Interrupt) {
    CONNECTED.lock().push((interrupt as usize, interrupt as usize));
    // SAFETY: checked not to be null; the driver's own variable.
    unsafe { *p.context = interrupt.cast() };
}

fn connect_fully(card: &Card, p: &mut Parameters) -> i32 {
    let known =
        card.messages.iter().map(|m| (m.vector, m.irql)).chain(card.line.iter().map(|l| (l.vector, l.irql)));
    let irql = p.irql_or_fallback as u8;
    if !known.into_iter().any(|(v, i)| v == p.vector && i == irql) {
        violation(
            "interrupt-parameters",
            format_args!("vector {:#x} at IRQL {irql} is not the card's, {}", p.vector, caller()),
        );
        return STATUS_INVALID_PARAMETER;
    }
    publish(p, object(card, line_routine(p.routine), p, p.vector, irql));
    STATUS_SUCCESS
}

fn connect_line(card: &Card, p: &mut Parameters, routine: usize) -> i32 {
    let first =
        card.line.map(|l| (l.vector, l.irql)).or_else(|| card.messages.first().map(|m| (m.vector, m.irql)));
    let Some((vector, irql)) = first else { return STATUS_NOT_FOUND };
    publish(p, object(card, line_routine(routine), p, vector, irql));
    STATUS_SUCCESS
}

fn connect_messages(card: &Card, p: &mut Parameters) -> i32 {
    if card.messages.is_empty() {
        if p.irql_or_fallback == 0 {
            return STATUS_NOT_FOUND;
        }
        let status = connect_line(card, p, p.irql_or_fallback);
        if status == STATUS_SUCCESS {
            p.version = LINE_BASED;
        }
        return status;
    }
    // SAFETY: not zero, and the driver says it is a KMESSAGE_SERVICE_ROUTINE.
    let routine = unsafe { core::mem::transmute::<usize, MessageRoutine>(p.routine) };
    // SAFETY: all-zero is a valid table.
    let mut table: Box<MessageTable> = unsafe { Box::new(core::mem::zeroed()) };
    // UnifiedIrql is the level of all messages where they share one; it says nothing where each has its own,
    // and is 0 then, so that a driver that raises to it all the same is seen.
    let shared = !p.spin_lock.is_null() || p.synchronize_irql != 0;
    table.irql = if shared {
        card.messages.iter().map(|m| m.irql).max().unwrap_or(0).max(p.synchronize_irql)
    } else {
        0
    };
    match cfg::get("connect_table") {
        // Faults: success with nothing behind it (issue of the drivers that trusted it). A driver must take
        // its line then.
        Some("none") => {
            // SAFETY: checked not to be null; the driver's own variable.
            unsafe { *p.context = core::ptr::null_mut() };
            return STATUS_SUCCESS;
        }
        Some("empty") => {
            let context = Box::into_raw(table);
            EMPTY_TABLE.store(context as usize, Ordering::Relaxed);
            // SAFETY: as above.
            unsafe { *p.context = context.cast() };
            return STATUS_SUCCESS;
        }
        Some(other) => {
            super::bad_input(format_args!("ntguest.cfg: connect_table={other} is neither none nor empty"))
        }
        None => {}
    }
    table.count = card.messages.len() as u32;
    let context = Box::into_raw(table);
    for (id, message) in card.messages.iter().enumerate() {
        let interrupt = object(card, Routine::Message(routine, id as u32), p, message.vector, message.irql);
        // SAFETY: just made; there are at most 16 messages. Mode 1 = Latched.
        unsafe {
            (*context).entries[id] = MessageEntry {
                address: message.address,
                targets: message.affinity,
                object: interrupt.cast(),
                data: message.data,
                vector: message.vector,
                irql: message.irql,
                mode: 1,
                polarity: 0,
            };
        }
        CONNECTED.lock().push((interrupt as usize, context as usize));
    }
    // SAFETY: checked not to be null; the driver's own variable.
    unsafe { *p.context = context.cast() };
    STATUS_SUCCESS
}

/// IoDisconnectInterruptEx(parameters)
pub extern "win64" fn disconnect(p: *mut c_void) {
    // SAFETY: the driver's parameters.
    let (version, context) = unsafe {
        let p = p.cast::<DisconnectParameters>();
        ((*p).version, (*p).context as usize)
    };
    if context != 0 && EMPTY_TABLE.swap(0, Ordering::Relaxed) == context {
        return;
    }
    let mut connected = CONNECTED.lock();
    let before = connected.len();
    let mut message = false;
    let mut gone = Vec::new();
    connected.retain(|(object, c)| {
        if *c == context {
            gone.push(*object);
            // SAFETY: in the list = live.
            message = matches!(unsafe { (*(*object as *const Interrupt)).routine }, Routine::Message(..));
        }
        *c != context
    });
    let found = connected.len() != before;
    drop(connected);
    // The routine runs on no processor any more when this returns (page of IoDisconnectInterruptEx).
    for object in gone {
        // SAFETY: never freed.
        while unsafe { (*(object as *const Interrupt)).active.load(Ordering::Acquire) } > 0 {
            core::hint::spin_loop();
        }
    }
    if !found {
        violation(
            "interrupt-not-connected",
            format_args!("IoDisconnectInterruptEx of {context:#x}, {}", caller()),
        );
        return;
    }
    if message != (version == MESSAGE_BASED) {
        violation(
            "interrupt-parameters",
            format_args!("disconnected with version {version}, connected otherwise, {}", caller()),
        );
    }
    // The objects are not freed: a stale pointer must not become another object.
    LAST_DISCONNECT.store(time::interrupt_time_100ns(), Ordering::Relaxed);
}

fn live(service: &str, interrupt: *mut c_void) -> Option<*mut Interrupt> {
    let known = CONNECTED.lock().iter().any(|(o, _)| *o == interrupt as usize);
    if !known {
        violation("interrupt-not-connected", format_args!("{service} on {interrupt:p}, {}", caller()));
    }
    known.then_some(interrupt.cast())
}

/// KeAcquireInterruptSpinLock(interrupt) -> KIRQL
pub extern "win64" fn acquire_lock(interrupt: *mut c_void) -> u8 {
    let Some(interrupt) = live("KeAcquireInterruptSpinLock", interrupt) else { return irql::current() };
    // SAFETY: connected = live.
    let (level, lock) = unsafe { ((*interrupt).irql, (*interrupt).lock) };
    let old = irql::raise(level);
    spin::acquire(lock, old);
    old
}

/// KeReleaseInterruptSpinLock(interrupt, KIRQL)
pub extern "win64" fn release_lock(interrupt: *mut c_void, old: u8) {
    let Some(interrupt) = live("KeReleaseInterruptSpinLock", interrupt) else { return };
    // SAFETY: connected = live.
    spin::release(unsafe { (*interrupt).lock }, old);
    irql::lower(old);
}

/// KSYNCHRONIZE_ROUTINE.
type Synchronized = unsafe extern "win64" fn(*mut c_void) -> u8;

/// KeSynchronizeExecution(interrupt, routine, context) -> BOOLEAN
pub extern "win64" fn synchronize(interrupt: *mut c_void, routine: Synchronized, context: *mut c_void) -> u8 {
    let Some(live) = live("KeSynchronizeExecution", interrupt) else { return 0 };
    let old = acquire_lock(interrupt);
    // SAFETY: connected = live; routine and context of the driver.
    let result = unsafe {
        let level = (*live).irql;
        call::driver_call("SynchronizedRoutine", level, || routine(context))
    };
    release_lock(interrupt, old);
    result
}
